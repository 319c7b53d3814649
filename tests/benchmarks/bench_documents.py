"""Time that documents take, beside the fixed cost of an empty Typst page. Prints; asserts nothing about time.

Both are rendered in turns, so that a busy machine slows both, and the ratio says more than the milliseconds.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
import typst

from pacspace_stripe.documents import examples
from pacspace_stripe.documents.renderer import Documents
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.documents.views import Day, StatementView

ROUNDS = 40
BUDGET_MS = 20


def in_turns(*acts: Callable[[int], object]) -> list[float]:
    """The median milliseconds of each. Each round gets a number to render: Typst remembers what it rendered before."""
    times: list[list[float]] = [[] for _ in acts]
    for number in range(ROUNDS + 1):
        for act, taken in zip(acts, times, strict=True):
            began = time.perf_counter()
            act(number)
            taken.append((time.perf_counter() - began) * 1000)
    return [statistics.median(taken[1:]) for taken in times]


def statement(windows: int, number: int, *, days: bool) -> StatementView:
    """Figures, root and link that no round had before."""
    plain = examples.window_with_days(number)
    shown = tuple(
        Day(on=date(2026, 9, 1) + timedelta(days=at), billed=Decimal(number + at), recorded=Decimal(number + at))
        for at in range(30)
    )
    row = replace(plain, billed=Decimal(number), recorded=Decimal(number), days=shown if days else ())
    return replace(examples.statement(), number=f"ACME-{number:04}", windows=(row,) * windows)


@pytest.mark.parametrize("days", [False, True], ids=["plain", "with daily bars"])
@pytest.mark.parametrize("windows", [1, 3, 20])
def test_a_statement_beside_an_empty_page(windows: int, *, days: bool) -> None:
    documents = Documents(Templates())
    fonts = typst.Fonts(include_system_fonts=False)
    full, empty = in_turns(
        lambda number: documents.render_statement(statement(windows, number, days=days)),
        lambda number: typst.Compiler(f"= {number}".encode(), font_paths=fonts).compile(pdf_standards=["a-3b"]),
    )
    budget = f"budget {BUDGET_MS} ms" if windows == 1 else "no budget"
    print(
        f"\nstatement of {windows} windows{' with daily bars' if days else ''}: {full:.1f} ms median ({budget}), "
        f"{full / empty:.1f} times an empty page ({empty:.1f} ms)"
    )
