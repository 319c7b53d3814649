"""How a backfill waits: for vendors that say later, for other processes, and until somebody asks it to stop.

It has all the time there is. A 429 is waited out however long it lasts; what is not answered is asked for again a few
times.
"""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from pacspace_stripe.comparison.rules.verdicts import UNANSWERED
from pacspace_stripe.errors import LeaseBusy, LeaseLost, RateLimited, RemoteError
from pacspace_stripe.gate.rules.result import CheckResult
from pacspace_stripe.gate.story import UNSETTLED

PAUSES = (2.0, 5.0, 15.0)
"""Seconds before the further looks at what Stripe or PacSpace did not answer for."""
SETTLING_PAUSES = (2.0, 5.0)
"""The same for what the ledger has not settled: its checkpoint takes seconds, a record that is late may take days."""
STORM_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds to wait in a storm of 429s, without end: they say nothing about any invoice."""
_BUSY_PAUSE = 0.5

Found = TypeVar("Found")


class Stopped(Exception):
    """Somebody asked to stop, in the middle of something that was not finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """``stop``: set by whoever wants an end. ``wait`` lets seconds pass; by default for real, until ``stop``."""

    stop: threading.Event
    busy_for: timedelta
    """How long another process's look at an invoice is waited for."""
    wait: Callable[[float], object] | None = None

    def go_on(self) -> None:
        """Raise Stopped when that was asked for."""
        if self.stop.is_set():
            raise Stopped

    def rest(self, seconds: float) -> None:
        """Let time pass. Raises Stopped."""
        (self.wait or self.stop.wait)(seconds)
        self.go_on()

    def through_storms(self, act: Callable[[], Found]) -> Found:
        """Do it, again and again while the answer is 429. Raises Stopped, and whatever else ``act`` does."""
        storm = 0
        while True:
            self.go_on()
            try:
                return act()
            except RateLimited as error:
                asked = error.retry_after.total_seconds() if error.retry_after else 0.0
                longest = STORM_PAUSES[min(storm, len(STORM_PAUSES) - 1)]
                storm += 1
                # Not all threads at the same moment.
                self.rest(max(asked, longest * random.uniform(0.5, 1)))  # noqa: S311 - jitter is no secret

    def read(self, act: Callable[[], Found]) -> Found:
        """Do it, a few times while nobody answers. Raises RemoteError when that stays so, or for a clear no."""
        for pause in PAUSES:
            try:
                return self.through_storms(act)
            except RemoteError as error:
                if not error.retryable:
                    raise
            self.rest(pause)
        return self.through_storms(act)

    def look(self, look: Callable[[bool], CheckResult]) -> CheckResult:
        """One look at an invoice, and more while they may still find something else.

        ``look`` is told whether it may be patient; if so, it returns ``UNSETTLED``, or raises, instead of writing down
        what another look may not find. Raises RemoteError, and LeaseBusy when another process does not get done.
        """
        waits = _Waits(unanswered=iter(PAUSES), unsettled=iter(SETTLING_PAUSES))
        while True:
            result = self._looked(look, waits)
            if result is not None:
                return result

    def _looked(self, look: Callable[[bool], CheckResult], waits: "_Waits") -> CheckResult | None:
        patient, next_pause = waits.pause is not None, waits.unanswered
        try:
            result = self.through_storms(lambda: look(patient))
            if result.status != UNSETTLED:
                return result
            next_pause = waits.unanswered if result.reason in UNANSWERED else waits.unsettled
        except LeaseBusy:
            if waits.busy >= self.busy_for.total_seconds():
                raise
            waits.busy += _BUSY_PAUSE
            self.rest(_BUSY_PAUSE)
            return None
        except LeaseLost:
            return None
        except RemoteError as error:
            if not patient:
                raise
            next_pause = waits.unanswered if error.retryable else iter(())
        waits.pause = next(next_pause, None)
        if waits.pause is not None:
            self.rest(waits.pause)
        return None


@dataclass(slots=True, kw_only=True)
class _Waits:
    """The pauses that are left for one invoice. ``pause`` is the last one taken; None: the next look is the last."""

    unanswered: Iterator[float]
    unsettled: Iterator[float]
    pause: float | None = field(default=0.0)
    busy: float = 0.0
