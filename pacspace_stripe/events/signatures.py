"""Both vendors' webhook signatures, over the raw bytes (FACTS 5, CONTRACT 5.1). Does not read the body.

Stricter than the vendors' SDKs: of Stripe's, timestamps from the future are refused, and so is a header with two.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from pacspace_stripe.errors import SignatureError, Unsigned

_LONGEST_HEADER = 4096
_MOST_SIGNATURES = 16
"""Stripe sends one per secret that is being rolled, so two at most."""
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_PACSPACE_TIMESTAMP = re.compile(r"[0-9]{1,16}")
_MILLISECONDS_FROM = 10**12
"""PacSpace's documents show seconds, the tests of its SDK milliseconds; from here on it is those."""
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_CLOCK_HINT = "Compare this machine's clock with the real time; a replayed webhook is refused on purpose."
_FORM_HINT = "Stripe sends this header with every webhook: is something between Stripe and us changing it?"
_PACSPACE_FORM_HINT = "PacSpace sends it with every webhook: is something between PacSpace and us changing it?"
_PACSPACE_HINT = "Compare PACSPACE_WEBHOOK_SECRET with the secret that PacSpace showed when the webhook was made."


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
    _check_age(int(timestamp), now, tolerance)


def verify_pacspace_signature(
    body: bytes,
    header: str | None,
    timestamp: str | None,
    secrets: Sequence[str],
    *,
    now: datetime,
    tolerance: timedelta,
) -> None:
    """The same for PacSpace, which sends the time in a header of its own, in seconds or milliseconds.

    ``header`` holds two signatures for a day after a rotation; what is signed is the timestamp as it was sent.
    """
    if timestamp is None or _PACSPACE_TIMESTAMP.fullmatch(timestamp) is None:
        message = "the X-PacSpace-Timestamp header is missing or not a time"
        raise SignatureError(message, hint=_PACSPACE_FORM_HINT, cause=Unsigned.HEADER)
    parts = [part.strip().partition("=") for part in header.split(",")] if header and _is_short(header) else []
    signatures = tuple(value for name, _, value in parts if name == "v1" and _SIGNATURE.fullmatch(value))
    if not 0 < len(signatures) <= _MOST_SIGNATURES:
        message = "the X-PacSpace-Signature header is missing, or has no v1 signature, or too many"
        raise SignatureError(message, hint=_PACSPACE_FORM_HINT, cause=Unsigned.HEADER)
    if not _any_signed(f"{timestamp}.".encode() + body, signatures, secrets):
        message = "no configured secret signed this webhook"
        raise SignatureError(message, hint=_PACSPACE_HINT)
    signed_at = int(timestamp)
    _check_age(signed_at / 1000 if signed_at >= _MILLISECONDS_FROM else signed_at, now, tolerance)


def _check_age(signed_at: float, now: datetime, tolerance: timedelta) -> None:
    """Only after the signature, so that what is said about the time is true."""
    age = now.timestamp() - signed_at
    if abs(age) > tolerance.total_seconds():
        message = f"signed {abs(age):.0f} seconds {'ago' if age > 0 else 'in the future'}"
        raise SignatureError(message, hint=_CLOCK_HINT, cause=Unsigned.CLOCK)


def _is_short(header: str) -> bool:
    return len(header) <= _LONGEST_HEADER


def _parsed(header: str | None) -> tuple[str, tuple[str, ...]]:
    """The timestamp and every ``v1`` of ``t=…,v1=…[,v1=…][,v0=…]``; other schemes are ignored."""
    if not header:
        message = "the Stripe-Signature header is missing"
        raise SignatureError(message, hint=_FORM_HINT, cause=Unsigned.HEADER)
    pairs = [part.strip().partition("=") for part in header.split(",")] if _is_short(header) else []
    timestamps = [value for name, _, value in pairs if name == "t"]
    signatures = tuple(value for name, _, value in pairs if name == "v1" and _SIGNATURE.fullmatch(value))
    if len(timestamps) != 1 or _TIMESTAMP.fullmatch(timestamps[0]) is None:
        message = "the Stripe-Signature header has no single timestamp"
        raise SignatureError(message, hint=_FORM_HINT, cause=Unsigned.HEADER)
    if not 0 < len(signatures) <= _MOST_SIGNATURES:
        message = "the Stripe-Signature header has no v1 signature, or too many"
        raise SignatureError(message, hint=_FORM_HINT, cause=Unsigned.HEADER)
    return timestamps[0], signatures


def _any_signed(signed: bytes, signatures: Sequence[str], secrets: Sequence[str]) -> bool:
    """Every secret against every signature, all of them compared, each in constant time."""
    expected = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets if secret]
    found = [hmac.compare_digest(ours, theirs) for ours in expected for theirs in signatures]
    return any(found)
