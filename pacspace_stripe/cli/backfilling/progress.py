"""How far it is, on standard error: one line that is written over on a terminal, a line now and then elsewhere."""

import shutil
import sys
import time
from dataclasses import dataclass, field
from datetime import timedelta

import click

from pacspace_stripe.domain.backfills import Outcome, Place, Selection, Tally


@dataclass(slots=True, kw_only=True)
class ProgressLine:
    """Rate, remaining time and counts by verdict. Remaining is a guess by time: Stripe does not count its invoices."""

    selection: Selection
    tally: Tally
    plain_every: float = 10.0
    """Seconds between two lines where nothing is written over."""
    _began: float = field(default_factory=time.monotonic)
    _said: float = 0.0
    _first: int = 0
    _share: float | None = None
    _width: int = 0

    def __post_init__(self) -> None:
        self._first = self.tally.invoices

    def show(self, place: Place | None) -> None:
        """Called after every portion, with the place behind it; None behind the last one, which is always shown."""
        share = place.share(self.selection) if place else 1.0
        if self._share is None:
            self._share = share
        line = self._line(share, done=place is None)
        if sys.stderr.isatty():
            fitting = line[: shutil.get_terminal_size().columns - 1]
            click.echo("\r" + fitting.ljust(self._width), err=True, nl=False)
            self._width = len(fitting)
        elif place is None or time.monotonic() >= self._said + self.plain_every:
            click.echo(line, err=True)
            self._said = time.monotonic()

    def end(self) -> None:
        """Leave the line as it is."""
        if self._width:
            click.echo(err=True)
            self._width = 0

    def _line(self, share: float, *, done: bool) -> str:
        took = max(time.monotonic() - self._began, 0.001)
        rate = (self.tally.invoices - self._first) / took
        counts = "  ".join(
            f"{name.value} {self.tally.outcomes[name]:,}" for name in Outcome if self.tally.outcomes[name]
        )
        left = f"done in {written(timedelta(seconds=took))}" if done else self._remaining(share, took)
        return f"backfill: {self.tally.invoices:,} invoices  {rate:,.1f}/s  {left}  {counts}"

    def _remaining(self, share: float, took: float) -> str:
        done = share - (self._share or 0.0)
        if done <= 0:
            return "time left unknown"
        return f"about {written(timedelta(seconds=took * (1 - share) / done))} left"


def written(span: timedelta) -> str:
    """A duration for people: ``1h 04m``, ``3m 20s``, ``12s``."""
    seconds = round(span.total_seconds())
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    if hours:
        return f"{hours:,}h {minutes:02}m"
    return f"{minutes}m {seconds % 60:02}s" if minutes else f"{seconds}s"
