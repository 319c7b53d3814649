"""Retries of a backfill: after rate limits, failures and busy leases, until the operator stops it.

A backfill has time. It waits for the end of a rate limit (HTTP 429) however long that lasts, and repeats a request that
gets no answer a few times.
"""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from pacspace_stripe.backfill.results import CheckAttempt
from pacspace_stripe.comparison.rules.verdicts import UNANSWERED
from pacspace_stripe.errors import LeaseBusy, LeaseLost, RateLimited, RemoteError
from pacspace_stripe.gate.check import UNSETTLED
from pacspace_stripe.gate.rules.result import CheckResult

PAUSES = (2.0, 5.0, 15.0)
"""Seconds before each repetition of a request that Stripe or PacSpace did not answer."""
SETTLING_PAUSES = (2.0, 5.0)
"""Seconds before each further check of unsettled usage: a checkpoint takes seconds, a late record may take days."""
RATE_LIMIT_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before each repetition after a 429, the last one without end: a 429 is no finding about any invoice."""
_BUSY_PAUSE = 0.5

Found = TypeVar("Found")


class Stopped(Exception):
    """A stop was requested in the middle of something that was not finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Rules for the retries of a backfill. ``stop`` is set by a caller who wants it to end."""

    stop: threading.Event
    busy_for: timedelta
    """Longest wait for another process's check of an invoice."""
    wait: Callable[[float], object] | None = None
    """Let seconds pass; by default for real, until ``stop`` is set."""

    def raise_if_stopped(self) -> None:
        """Raise Stopped if a stop was requested."""
        if self.stop.is_set():
            raise Stopped

    def rest(self, seconds: float) -> None:
        """Let time pass. Raises Stopped."""
        (self.wait or self.stop.wait)(seconds)
        self.raise_if_stopped()

    def while_rate_limited(self, act: Callable[[], Found]) -> Found:
        """Repeat ``act`` while the answer is 429. Raises Stopped, and what ``act`` raises."""
        repeated = 0
        while True:
            self.raise_if_stopped()
            try:
                return act()
            except RateLimited as error:
                asked = error.retry_after.total_seconds() if error.retry_after else 0.0
                longest = RATE_LIMIT_PAUSES[min(repeated, len(RATE_LIMIT_PAUSES) - 1)]
                repeated += 1
                # At random, so that not all threads come back at the same moment.
                self.rest(max(asked, longest * random.uniform(0.5, 1)))  # noqa: S311 - jitter is no secret

    def read(self, act: Callable[[], Found]) -> Found:
        """Repeat ``act`` a few times while it gets no answer. Raises RemoteError, at once if a retry is pointless."""
        for pause in PAUSES:
            try:
                return self.while_rate_limited(act)
            except RemoteError as error:
                if not error.retryable:
                    raise
            self.rest(pause)
        return self.while_rate_limited(act)

    def check(self, attempt: CheckAttempt) -> CheckResult:
        """Check an invoice, and again while a further check may find something else.

        Raises RemoteError, and LeaseBusy when another process does not finish its check.
        """
        waits = _Waits(unanswered=iter(PAUSES), unsettled=iter(SETTLING_PAUSES))
        while True:
            result = self._attempted(attempt, waits)
            if result is not None:
                return result

    def _attempted(self, attempt: CheckAttempt, waits: "_Waits") -> CheckResult | None:
        may_wait, next_pause = waits.pause is not None, waits.unanswered
        try:
            result = self.while_rate_limited(lambda: attempt(may_wait))
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
            if not may_wait:
                raise
            next_pause = waits.unanswered if error.retryable else iter(())
        waits.pause = next(next_pause, None)
        if waits.pause is not None:
            self.rest(waits.pause)
        return None


@dataclass(slots=True, kw_only=True)
class _Waits:
    """The pauses that are left for one invoice. ``pause`` is the last one taken; None makes the next check the last."""

    unanswered: Iterator[float]
    unsettled: Iterator[float]
    pause: float | None = field(default=0.0)
    busy: float = 0.0
