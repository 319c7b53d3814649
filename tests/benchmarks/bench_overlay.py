"""How long stamping an invoice's PDF takes, next to opening and saving it. Prints; asserts nothing about time."""

import statistics
import time
from collections.abc import Callable
from io import BytesIO

import pikepdf

from pacspace_stripe.documents import Templates
from pacspace_stripe.documents.overlay import Overlay
from tests.integration.test_overlay import stamp
from tests.invoice_pdfs import page, pdf_of, written

ROUNDS = 60


def milliseconds(act: Callable[[int], object]) -> list[float]:
    """Each round gets a number of its own to stamp: Typst remembers what it rendered before."""
    act(ROUNDS)
    times = []
    for number in range(ROUNDS):
        began = time.perf_counter()
        act(number)
        times.append((time.perf_counter() - began) * 1000)
    return times


def opened_and_saved(pdf: bytes) -> bytes:
    with pikepdf.open(BytesIO(pdf)) as file:
        return written(file, deterministic_id=True)


def test_stamping_two_pages_beside_opening_and_saving_them() -> None:
    lines = "\n".join(f"BT /F1 9 Tf 40 {750 - 14 * line} Td (Line {line}: 1 250.5) Tj ET" for line in range(48))
    bare = pdf_of(page(content=lines), page(content=lines))
    overlay = Overlay(Templates())
    plain = milliseconds(lambda _: opened_and_saved(bare))
    stamped = milliseconds(lambda number: overlay.stamp(bare, stamp(number)))
    again, least = statistics.median(stamped), min(stamped)
    print(
        f"\nstamp on 2 pages: {again:.1f} ms median, {least:.1f} ms least; "
        f"{again / statistics.median(plain):.0f} times opening and saving ({statistics.median(plain):.2f} ms)"
    )
