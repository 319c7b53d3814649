"""The progress of a backfill: one line on standard error, overwritten on a terminal and repeated elsewhere."""

import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from threading import Lock

from pacspace_stripe.backfill.results import BackfillRow
from pacspace_stripe.backfill.rules.tally import BackfillOutcome, BackfillSelection, ListPosition
from pacspace_stripe.vocabulary.invoices import ListedInvoice
from pacspace_stripe.vocabulary.text import plural

_STEPS = 200
"""Parts of the selected time: the number of invoices is estimated again where one of them ends."""
_EVERY = 0.1
"""Seconds between two updates on a terminal."""
_SLOWER = 0.9
"""A rate below this share of the one before counts as slower: the remaining time may grow then."""


@dataclass(slots=True, kw_only=True)
class ProgressLine:
    """The progress line: invoices done of those listed, rate, remaining time and counts by verdict. Thread-safe.

    Stripe does not count its invoices. Their number is estimated from how many fell into the part of the selected time
    that is listed, at steps of that time: a month's invoices are all made on its first day, and within that day nothing
    is known of the months before it.
    """

    selection: BackfillSelection
    before: Mapping[BackfillOutcome | str, int]
    """Invoices of an earlier run, by outcome."""
    plain_every: float = 10.0
    """Seconds between two lines where nothing is overwritten."""
    clock: Callable[[], float] = time.monotonic
    _began: float = 0.0
    _said: float | None = None
    _listed: int = 0
    _done: Counter[BackfillOutcome] = field(default_factory=Counter)
    _first: float | None = None
    """The share of the selected time before the first invoice."""
    _step: int = 0
    _jumps: int = 0
    _expected: float | None = None
    """The estimated number of invoices of this run."""
    _left: tuple[float, float] | None = None
    """The rate and the remaining seconds that were shown last."""
    _width: int = 0
    _turn: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self._began = self.clock()

    def listed(self, invoices: Sequence[ListedInvoice], place: ListPosition, *, last: bool) -> None:
        """Count listed invoices of one page, or of a part of it."""
        with self._turn:
            for one in invoices:
                self._estimate(replace(place, created_at=one.invoice.created_at) if one.invoice else place)
                self._listed += 1
            if last:
                self._expected = self._listed
            self._show()

    def done(self, row: BackfillRow) -> None:
        """Count one invoice that is done."""
        with self._turn:
            self._done[row.outcome] += 1
            self._show()

    def end(self, *, finished: bool = False) -> None:
        """Show the final figures if the backfill is finished, and leave the line."""
        with self._turn:
            if finished:
                self._show(finished=True)
            if self._width:
                _write("\n")
                self._width = 0

    def _estimate(self, place: ListPosition) -> None:
        """Estimate the number of all invoices when the place enters another part of the selected time.

        The time that is left is expected to hold invoices at the rate since the first one, plus one more part's worth,
        since the last day of the selected time may have its share too.
        """
        share = place.share(self.selection)
        step = int(share * _STEPS)
        if self._first is None:
            self._first, self._step = share, step
        elif step != self._step:
            self._step, self._jumps = step, self._jumps + 1
            behind = max(share - self._first, 1 / _STEPS)
            self._expected = self._listed * (1 + (1 - share) / behind + 1 / self._jumps)

    def _show(self, *, finished: bool = False) -> None:
        now, terminal = self.clock(), sys.stderr.isatty()
        every = _EVERY if terminal else self.plain_every
        if not finished and self._said is not None and now < self._said + every:
            return
        self._said = now
        line = self._line(now - self._began, finished=finished)
        if terminal:
            fitting = line[: shutil.get_terminal_size().columns - 1]
            _write("\r" + fitting.ljust(self._width))
            self._width = len(fitting)
        else:
            _write(line + "\n")

    def _line(self, took: float, *, finished: bool) -> str:
        done = self._done.total()
        rate = done / max(took, 0.001)
        sums = {outcome: self.before.get(outcome, 0) + self._done[outcome] for outcome in BackfillOutcome}
        counts = "  ".join(f"{outcome.value} {count:,}" for outcome, count in sums.items() if count)
        many, listed = sum(sums.values()), sum(self.before.values()) + self._listed
        of = plural(many, "invoice") if finished else f"{many:,} of {plural(listed, 'invoice')} listed"
        left = f"done in {rough_duration(timedelta(seconds=took))}" if finished else self._remaining(done, rate)
        return f"backfill: {of}  {rate:,.1f}/s  {left}  {counts}".rstrip()

    def _remaining(self, done: int, rate: float) -> str:
        """Return the remaining time, which does not grow while the rate does not fall.

        A new estimate that is higher is not shown. When more invoices were listed than estimated, the remaining time
        is unknown until the next estimate.
        """
        listed = (self._listed - done) / rate if done else 0.0
        if self._expected is None or not done:
            return "time left unknown"
        seconds = max((self._expected - done) / rate, listed)
        if self._left is not None and rate >= self._left[0] * _SLOWER:
            seconds = min(seconds, self._left[1])
        if seconds < listed * _SLOWER and self._expected != self._listed:
            self._expected = self._left = None
            return "time left unknown"
        self._left = rate, seconds
        return f"about {rough_duration(timedelta(seconds=seconds))} left"


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def rough_duration(span: timedelta) -> str:
    """Return a duration for people, such as ``1h 04m``, ``3m 20s`` or ``12s``."""
    seconds = round(span.total_seconds())
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    if hours:
        return f"{hours:,}h {minutes:02}m"
    return f"{minutes}m {seconds % 60:02}s" if minutes else f"{seconds}s"
