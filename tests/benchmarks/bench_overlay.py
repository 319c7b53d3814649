"""Time that stamping takes, beside opening and saving the PDF. Prints; asserts nothing about time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from pacspace_stripe.documents.overlay import Overlay
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.documents.typesetting import Typesetter
from tests.support.invoice_pdfs import page, pdf_of, stamp
from tests.support.pdfs import reopened, written

ROUNDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """Milliseconds, round by round: by the clock, and of processors, which a busy machine disturbs less."""

    clock: list[float]
    processors: list[float]

    def __str__(self) -> str:
        return (
            f"{median(self.clock):.2f} ms median, {min(self.clock):.2f} ms least, "
            f"{median(self.processors):.2f} ms median of processors"
        )


def measured(act: Callable[[int], object]) -> Took:
    """Each round gets a number of its own to stamp: Typst remembers what it rendered before."""
    act(ROUNDS)
    took = Took(clock=[], processors=[])
    for number in range(ROUNDS):
        began, used = time.perf_counter(), time.process_time()
        act(number)
        took.clock.append((time.perf_counter() - began) * 1000)
        took.processors.append((time.process_time() - used) * 1000)
    return took


def opened_and_saved(pdf: bytes) -> bytes:
    with reopened(pdf) as file:
        return written(file)


def test_stamping_two_pages_beside_opening_and_saving_them() -> None:
    lines = "\n".join(f"BT /F1 9 Tf 40 {750 - 14 * line} Td (Line {line}: 1 250.5) Tj ET" for line in range(48))
    bare = pdf_of(page(content=lines), page(content=lines))
    overlay = Overlay(Typesetter(Templates()))
    plain = measured(lambda _: opened_and_saved(bare))
    stamped = measured(lambda number: overlay.stamp(bare, stamp(number)))
    print(f"\nstamp on 2 pages: {stamped}\nopening and saving them: {plain}")
    print(f"ratio: {median(stamped.processors) / median(plain.processors):.0f}")
