"""The request rate that a vendor gets from us, and how it is reduced after a 429."""

from dataclasses import dataclass
from datetime import datetime, timedelta

SPAN = timedelta(seconds=1.02)
"""A second, and the variation of a request's way to the vendor: without it a 26th could arrive in Stripe's second."""
STEPS_BACK = 25
"""Seconds, one step each, in which a reduced rate recovers to the limit."""
_FIRST_AGAIN = timedelta(seconds=10)
"""Least time since the last reduction after which a refusal counts as a first one."""
FORGOTTEN_AFTER = timedelta(minutes=5)
"""Age at which a reduction no longer counts, for a vendor whose limit is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Requests per second: to one endpoint (method and path pattern), and to the vendor in all."""

    endpoint: int
    total: int

    def __post_init__(self) -> None:
        if self.endpoint < 1 or self.total < 1:
            message = "a rate allows at least one request per second"
            raise ValueError(message)

    def __str__(self) -> str:
        return f"{self.endpoint}/{self.total}"


STRIPE_LIVE = Rate(endpoint=25, total=100)
STRIPE_TEST = Rate(endpoint=25, total=25)
"""Stripe's limits by kind of key (FACTS 6.1)."""
NO_KNOWN_RATE = Rate(endpoint=1_000_000, total=1_000_000)
"""Rate for a vendor that publishes no numbers, as PacSpace (CONTRACT 1.8): only its refusals show the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReducedRate:
    """A limit after a 429: 10 % less at once, then more each second until it has recovered.

    A first 429 may only have come a moment too soon. The next one within seconds means that another program uses the
    limit too: the rate falls by a quarter, again and again while refusals go on.
    """

    lowered_to: int
    lowered_at: datetime

    def allowed(self, limit: int, now: datetime) -> int:
        """Return the requests that may be sent in any second."""
        since = now - self.lowered_at
        if since >= FORGOTTEN_AFTER:
            return limit
        step = max(1, min(limit, 100) // STEPS_BACK)
        return min(limit, self.lowered_to + step * int(since.total_seconds()))

    def after(self, allowed: int, *, asked_at: datetime, now: datetime) -> "ReducedRate":
        """Return the rate after one more 429; that of a request sent before the last reduction changes nothing."""
        if asked_at <= self.lowered_at:
            return self
        if now - self.lowered_at > _FIRST_AGAIN:
            return reduced(allowed, now)
        return ReducedRate(lowered_to=max(1, allowed * 3 // 4), lowered_at=now)


def reduced(allowed: int, now: datetime) -> ReducedRate:
    """Return nine tenths of what was allowed, and at least one request."""
    return ReducedRate(lowered_to=max(1, allowed * 9 // 10), lowered_at=now)


def reserved(allowed: int) -> int:
    """Return the part of a limit that background work may always use: a tenth, so that it never waits for ever."""
    return max(1, allowed // 10) if allowed else 0
