"""The limit that a 429 reports: Stripe names it in a header (FACTS 6.2), PacSpace names only a time to wait."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto

from pacspace_stripe.http.calls import Answer

_TOO_MANY = 429
_LONGEST_REST = 60.0
"""Seconds without any request that one refusal can impose; then one request finds out whether the limit still holds."""
_ABOUT_ONE_OBJECT = {"lock_timeout", "CADENCE_LIMIT"}
"""Codes of refusals that are about one object or account: requests for others go on as before."""
_ABOUT_THE_RATE = {"rate_limit", "RATE_LIMITED"}
"""Stripe's and PacSpace's codes for too many requests, where nothing else names the limit."""


class ExceededLimit(Enum):
    """Kind of the limit that was hit."""

    A_SECOND = auto()
    """Requests per second."""
    AT_ONCE = auto()
    """Requests without an answer yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRefusal:
    """Limit that a 429 reports."""

    exceeded: ExceededLimit
    everywhere: bool
    """True for the limit on all endpoints together."""
    rest: timedelta | None = None
    """Time for which the vendor wants no request at all."""


def rate_refusal(answer: Answer, asked: float | None) -> RateRefusal | None:
    """Return the limit that an answer reports; None if it is no 429, or no reason to send less.

    ``asked`` is for how many seconds the answer wants us to wait. A 429 without header, code or a time to wait is a
    lock timeout, or of a kind we do not know; ``resource-specific`` limits are an object's own (FACTS 6.2). Neither is
    a reason to send less to others.
    """
    if answer.status != _TOO_MANY or (code := answer.error.code) in _ABOUT_ONE_OBJECT:
        return None
    match answer.headers.get("stripe-rate-limited-reason", "").rpartition("-"):
        case ("global" | "endpoint" as where, "-", "rate" | "concurrency" as kind):
            exceeded = ExceededLimit.A_SECOND if kind == "rate" else ExceededLimit.AT_ONCE
            return RateRefusal(exceeded=exceeded, everywhere=where == "global")
        case ("", "", "") if asked or code in _ABOUT_THE_RATE:
            rest = timedelta(seconds=min(asked, _LONGEST_REST)) if asked else None
            return RateRefusal(exceeded=ExceededLimit.A_SECOND, everywhere=True, rest=rest)
    return None
