"""What a 429 says of our pace: Stripe names the limit in a header (FACTS 6), PacSpace only a time to wait."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto

from pacspace_stripe.http.calls import ErrorBody

_TOO_MANY = 429
_LONGEST_REST = 60.0
"""Seconds of silence that one refusal is given; then one request finds out whether it is still so."""
_ABOUT_ONE_OBJECT = {"lock_timeout", "CADENCE_LIMIT"}
"""Codes of refusals that are about one object or account: all others may go on as before."""
_ABOUT_THE_RATE = {"rate_limit", "RATE_LIMITED"}
"""Stripe's and PacSpace's codes for too many requests, where nothing else says of what."""


class ExceededLimit(Enum):
    """Of what there were too many."""

    A_SECOND = auto()
    AT_ONCE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRefusal:
    """Which limit was hit."""

    too_many: ExceededLimit
    everywhere: bool
    """Whether it is the limit on all endpoints together."""
    rest: timedelta | None = None
    """How long the vendor wants to hear nothing at all."""


def refusal(status: int, headers: Mapping[str, str], said: ErrorBody, asked: float | None) -> RateRefusal | None:
    """What an answer says of our pace; None: nothing. ``asked``: seconds that it wants us to wait.

    A 429 without header, code or a time to wait is a lock timeout, or of a kind we do not know; ``resource-specific``
    limits are an object's own. Neither is a reason to send less to others.
    """
    if status != _TOO_MANY or said.code in _ABOUT_ONE_OBJECT:
        return None
    reason = headers.get("stripe-rate-limited-reason", "")
    match reason.rpartition("-"):
        case ("global" | "endpoint" as where, "-", "rate" | "concurrency" as what):
            too_many = ExceededLimit.A_SECOND if what == "rate" else ExceededLimit.AT_ONCE
            return RateRefusal(too_many=too_many, everywhere=where == "global")
        case ("", "", "") if asked or said.code in _ABOUT_THE_RATE:
            rest = timedelta(seconds=min(asked, _LONGEST_REST)) if asked else None
            return RateRefusal(too_many=ExceededLimit.A_SECOND, everywhere=True, rest=rest)
    return None
