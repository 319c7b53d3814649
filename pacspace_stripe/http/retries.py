"""Retries of a call, and the time that one try may take. Decisions only: no clock, no sleeping."""

from collections.abc import Mapping
from dataclasses import dataclass

_TIMED_OUT, _CONFLICT, _TOO_MANY, _SERVER_ERROR = 408, 409, 429, 500
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 4.0
_LONGEST_ASKED = 5.0
"""Longest Retry-After, in seconds, that a call waits for; a longer one makes it fail at once."""
_KEPT_FOR_LATER_TRIES = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Limits of one call in seconds. ``total`` covers every try, pause and wait, well under a lease (30 s).

    The time that the operating system takes to resolve a host's name comes on top.
    """

    connect: float = 3.0
    read: float = 8.0
    total: float = 20.0
    tries: int = 3


def worth_repeating(status: int, headers: Mapping[str, str]) -> bool:
    """Return True if the same bytes may get another answer; Stripe's ``Stripe-Should-Retry`` decides (FACTS 6.3)."""
    if status < 400:  # noqa: PLR2004  # the first error status
        return False
    advice = headers.get("stripe-should-retry")
    if advice in {"true", "false"}:
        return advice == "true"
    return status in {_TIMED_OUT, _CONFLICT, _TOO_MANY} or status >= _SERVER_ERROR


def pause(tried: int, random: float, *, asked: float | None) -> float | None:
    """Return the seconds before the next try: full jitter, doubling, at least what the vendor asked for.

    Return None when the vendor asks for more than is waited for.
    """
    if asked is not None and asked > _LONGEST_ASKED:
        return None
    jittered = random * min(_LONGEST_PAUSE, _FIRST_PAUSE * (1 << tried - 1))
    return max(jittered, asked or 0)


def try_limits(timeouts: Timeouts, *, left: float, tries_left: int) -> tuple[float, float]:
    """Return the connect and read timeouts of the next try: what is ``left``, less a reserve for later tries."""
    reserve = min(_KEPT_FOR_LATER_TRIES, left / tries_left) * (tries_left - 1)
    allowed = min(timeouts.connect + timeouts.read, left - reserve)
    connect = min(timeouts.connect, allowed / 3)
    return connect, min(timeouts.read, allowed - connect)
