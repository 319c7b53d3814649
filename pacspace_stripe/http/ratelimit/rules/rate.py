"""How many requests a second a vendor gets from us, and how that gives way when the vendor refuses some."""

from dataclasses import dataclass
from datetime import datetime, timedelta

SPAN = timedelta(seconds=1.02)
"""A second, and what a request's way to the vendor may vary: without it a 26th could arrive in their second."""
STEPS_BACK = 25
"""In so many steps, one each second, a slowed pace is back at the limit."""
_ALONE = timedelta(seconds=10)
"""So far from the one before, a refusal counts as a first one."""
FORGOTTEN_AFTER = timedelta(minutes=5)
"""When a refusal says nothing any more, of a vendor whose limit nobody knows."""


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
"""Stripe's limits by kind of key (FACTS 6)."""
NO_KNOWN_RATE = Rate(endpoint=1_000_000, total=1_000_000)
"""A vendor that publishes no numbers, as PacSpace (CONTRACT 1.8): only its refusals say how much is too much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What is left of a limit after a refusal: a tenth less at once, then more each second until it is back.

    A first one says little: it may have come a moment too soon. The next one within seconds means that somebody else
    uses the limit too: a quarter less, again and again while refusals go on.
    """

    lowered_to: int
    lowered_at: datetime

    def allowed(self, limit: int, now: datetime) -> int:
        """Requests in any second."""
        since = now - self.lowered_at
        if since >= FORGOTTEN_AFTER:
            return limit
        step = max(1, min(limit, 100) // STEPS_BACK)
        return min(limit, self.lowered_to + step * int(since.total_seconds()))

    def after(self, allowed: int, *, asked_at: datetime, now: datetime) -> "Pace":
        """After one more refusal; one of a request sent before the last slowing says nothing new."""
        if asked_at <= self.lowered_at:
            return self
        return slowed(allowed, now) if now - self.lowered_at > _ALONE else _lowered(allowed * 3 // 4, now)


def slowed(allowed: int, now: datetime) -> Pace:
    """Nine tenths of what was allowed, and never nothing."""
    return _lowered(allowed * 9 // 10, now)


def _lowered(to: int, now: datetime) -> Pace:
    return Pace(lowered_to=max(1, to), lowered_at=now)


def reserved(allowed: int) -> int:
    """How much of a limit background work may always use: a tenth, so that it never waits for ever."""
    return max(1, allowed // 10) if allowed else 0
