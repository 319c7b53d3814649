"""How long documents take, next to the fixed cost of an empty Typst page. Prints; asserts nothing about time."""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import typst

from pacspace_stripe.documents import Documents, StatementView, StatementWindow, Templates

ROUNDS = 30
START, END = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)


def median_ms(act: Callable[[int], object]) -> float:
    """Each round gets a number to render: Typst remembers what it rendered before."""
    act(ROUNDS)
    times = []
    for number in range(ROUNDS):
        began = time.perf_counter()
        act(number)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def statement(windows: int, number: int) -> StatementView:
    row = StatementWindow(
        account="cus_acme",
        meter="api_calls",
        start=START,
        end=END,
        billed=Decimal(number),
        recorded=Decimal(number),
        count=30,
        proof_root="0x" + "ab" * 32,
        verify_url="https://app.pacspace.io/verify/0x" + "ab" * 32,
    )
    return StatementView(
        invoice_id=f"in_{number}",
        number=f"ACME-{number:04}",
        customer="Acme",
        verdict="matched",
        reason="EXACT",
        windows=(row,) * windows,
        evidence_sha256="cd" * 32,
        footer="Metered usage as recorded in PacSpace\nProof root: 0x" + "ab" * 32,
        issued_at=END,
    )


@pytest.mark.parametrize("windows", [1, 3, 20])
def test_a_statement_beside_an_empty_page(windows: int) -> None:
    documents = Documents(Templates())
    fonts = typst.Fonts(include_system_fonts=False)
    empty = median_ms(lambda number: typst.Compiler(f"= {number}".encode(), font_paths=fonts).compile())
    full = median_ms(lambda number: documents.render_statement(statement(windows, number)))
    print(f"\nstatement of {windows} windows: {full:.1f} ms, {full / empty:.1f} times an empty page ({empty:.1f} ms)")
