"""The reason that a vendor's error stands for, in the one place that decides it."""

from pacspace_stripe.comparison.rules.verdicts import Reason
from pacspace_stripe.errors import RemoteError, ScopeRefused
from pacspace_stripe.http.stripe_sdk import STRIPE

_TOO_WIDE = (
    "No one checkpoint proves a period this long: ask PacSpace to raise the limit, bill shorter periods, or release it "
    "with a reason."
)


def reason_of(error: RemoteError) -> tuple[Reason, str]:
    """Return which vendor gave no answer, and what a person reads; a no that repeating does not change is no outage."""
    if isinstance(error, ScopeRefused):
        return Reason.UNKNOWN_SHAPE, f"{error} {_TOO_WIDE}"
    reason = Reason.STRIPE_UNAVAILABLE if error.service == STRIPE else Reason.LEDGER_UNAVAILABLE
    return reason, error.with_hint
