"""What the Stripe SDK's exceptions mean for us."""

from typing import Any

import stripe

from pacspace_stripe.errors import (
    NotEditable,
    NotFound,
    PacspaceStripeError,
    RateLimited,
    RemoteRefused,
    RemoteUnavailable,
    SignatureError,
    UnexpectedAnswer,
)
from pacspace_stripe.http.calls import shortened
from pacspace_stripe.http.redaction import Hide
from pacspace_stripe.stripe_api.sdk import STRIPE

_FROZEN = ("finalized invoices can't be updated", "already finalized", "no longer editable")
"""Stripe words a finalized invoice's refusal in several ways, most of them without ``invoice_not_editable``."""
_OTHER_MODE = "a similar object exists in"
_HINTS: tuple[tuple[type[stripe.StripeError], str], ...] = (
    (stripe.AuthenticationError, "Set STRIPE_API_KEY to a valid key of this Stripe account."),
    (stripe.PermissionError, "Give the restricted key in STRIPE_API_KEY the permission that the message names."),
)


def stripe_failure(error: stripe.StripeError, hide: Hide = str) -> PacspaceStripeError:
    """The error of ours that this one of the SDK's is; ``hide`` takes secrets out of its texts."""
    if isinstance(error, stripe.SignatureVerificationError):
        return SignatureError("Stripe: the webhook's signature does not hold")
    status, code, request_id = error.http_status, _code(error), error.request_id
    said = shortened(hide(str(error.user_message or f"HTTP {status}, no message")))
    details: dict[str, Any] = {
        "status": status,
        "code": None if code is None else shortened(hide(code)),
        "request_id": None if request_id is None else shortened(hide(request_id)),
    }
    if isinstance(error, stripe.RateLimitError) or status == 429:  # noqa: PLR2004  # too many requests
        return RateLimited(STRIPE, said, **details)
    if isinstance(error, stripe.APIConnectionError) or status in {408, 409} or (status or 0) >= 500:  # noqa: PLR2004
        return RemoteUnavailable(STRIPE, said, **details)
    if type(error) is stripe.APIError and error.error is None:
        # The SDK quotes the whole body here.
        return UnexpectedAnswer(STRIPE, f"HTTP {status} without an error that can be read", status=status)
    return _refusal(error, said, details)


def _refusal(error: stripe.StripeError, said: str, details: dict[str, Any]) -> RemoteRefused:
    kind, hint = RemoteRefused, next((hint for theirs, hint in _HINTS if isinstance(error, theirs)), None)
    if details["code"] == "invoice_not_editable" or any(words in said.lower() for words in _FROZEN):
        kind = NotEditable
    elif _OTHER_MODE in said:
        hint = "STRIPE_API_KEY and the webhook are of different modes: one is test, one live."
    elif details["status"] == 404 and details["code"] == "resource_missing":  # noqa: PLR2004  # not found
        # Also sent with 400, for an object that a parameter names: that is not the thing asked for.
        kind = NotFound
    return kind(STRIPE, said, hint=hint, **details)


def _code(error: stripe.StripeError) -> str | None:
    """The SDK leaves ``code`` unset on several classes (FACTS 6)."""
    inner = getattr(error.error, "code", None)
    code = error.code or inner
    return code if isinstance(code, str) else None
