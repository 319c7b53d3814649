"""Stripe's webhook signature, over the raw bytes (stripe-facts 5). Does not read the body.

Stricter than the vendor's SDK in two ways: timestamps from the future are refused, and so is a header with two of them.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from pacspace_stripe.errors import SignatureError

_LONGEST_HEADER = 4096
_MOST_SIGNATURES = 16
"""Stripe sends one per secret that is being rolled, so two at most."""
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_CLOCK_HINT = "Compare this machine's clock with the real time; a replayed webhook is refused on purpose."
_FORM_HINT = "Stripe sends this header with every webhook: is something between Stripe and us changing it?"


def verify_stripe_signature(
    body: bytes, header: str | None, secrets: Sequence[str], now: datetime, tolerance: timedelta
) -> None:
    """Pass if one of ``secrets`` signed ``body`` at most ``tolerance`` before or after ``now``.

    Raises SignatureError otherwise.
    """
    timestamp, signatures = _parsed(header)
    signed = f"{timestamp}.".encode() + body
    if not _any_signed(signed, signatures, secrets):
        message = "no configured secret signed this webhook"
        raise SignatureError(message)
    # Only after the signature, so that what is said about the time is true.
    age = now.timestamp() - int(timestamp)
    if abs(age) > tolerance.total_seconds():
        message = f"signed {abs(age):.0f} seconds {'ago' if age > 0 else 'in the future'}"
        raise SignatureError(message, hint=_CLOCK_HINT)


def _parsed(header: str | None) -> tuple[str, tuple[str, ...]]:
    """The timestamp and every ``v1`` of ``t=…,v1=…[,v1=…][,v0=…]``; other schemes are ignored."""
    if not header:
        message = "the Stripe-Signature header is missing"
        raise SignatureError(message, hint=_FORM_HINT)
    pairs = [part.strip().partition("=") for part in header.split(",")] if len(header) <= _LONGEST_HEADER else []
    timestamps = [value for name, _, value in pairs if name == "t"]
    signatures = tuple(value for name, _, value in pairs if name == "v1" and _SIGNATURE.fullmatch(value))
    if len(timestamps) != 1 or _TIMESTAMP.fullmatch(timestamps[0]) is None:
        message = "the Stripe-Signature header has no single timestamp"
        raise SignatureError(message, hint=_FORM_HINT)
    if not 0 < len(signatures) <= _MOST_SIGNATURES:
        message = "the Stripe-Signature header has no v1 signature, or too many"
        raise SignatureError(message, hint=_FORM_HINT)
    return timestamps[0], signatures


def _any_signed(signed: bytes, signatures: Sequence[str], secrets: Sequence[str]) -> bool:
    """Every secret against every signature, all of them compared, each in constant time."""
    expected = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets if secret]
    found = [hmac.compare_digest(ours, theirs) for ours in expected for theirs in signatures]
    return any(found)
