"""Both vendors' webhook signatures, over the raw bytes (FACTS 5.1, CONTRACT 5.1). The body is not read here.

This is stricter than the vendors' SDKs: for Stripe, a timestamp in the future is refused, and a header with two.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NoReturn

from pacspace_stripe.errors import SignatureError
from pacspace_stripe.vocabulary.webhooks import SignatureProblem

_LONGEST_HEADER = 4096
_MOST_SIGNATURES = 16
"""Stripe sends one signature per secret that is being rolled, so two at most."""
_STRIPE_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_PACSPACE_TIMESTAMP = re.compile(r"[0-9]{1,16}")
_MILLISECONDS_FROM = 10**12
"""PacSpace's documents show seconds, the tests of its SDK milliseconds; numbers from here on are milliseconds."""
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_NOT_SIGNED = "no configured secret signed this webhook"
_CLOCK_HINT = "Compare this machine's clock with the real time; a replayed webhook is refused on purpose."
_STRIPE_HEADER_HINT = "Stripe sends this header with every webhook: check whether a proxy in front of us changes it."
_PACSPACE_HEADER_HINT = "PacSpace sends it with every webhook: check whether a proxy in front of us changes it."
_PACSPACE_SIGNER_HINT = (
    "Compare PACSPACE_WEBHOOK_SECRET with the secret that PacSpace showed when the webhook was made."
)


def verify_stripe_signature(
    body: bytes, header: str | None, secrets: Sequence[str], now: datetime, tolerance: timedelta
) -> None:
    """Raise SignatureError unless one of ``secrets`` signed ``body`` at most ``tolerance`` before or after ``now``.

    The header is ``t=…,v1=…[,v1=…][,v0=…]``; schemes other than ``v1`` are ignored.
    """
    if not header:
        _refuse_header("the Stripe-Signature header is missing", _STRIPE_HEADER_HINT)
    pairs = _pairs(header)
    timestamps = [value for name, value in pairs if name == "t"]
    if len(timestamps) != 1 or _STRIPE_TIMESTAMP.fullmatch(timestamps[0]) is None:
        _refuse_header("the Stripe-Signature header has no single timestamp", _STRIPE_HEADER_HINT)
    signatures = _signatures(pairs)
    if not 0 < len(signatures) <= _MOST_SIGNATURES:
        _refuse_header("the Stripe-Signature header has no v1 signature, or too many", _STRIPE_HEADER_HINT)
    timestamp = timestamps[0]
    if not _is_signed(f"{timestamp}.".encode() + body, signatures, secrets):
        raise SignatureError(_NOT_SIGNED)
    _require_recent(int(timestamp), now, tolerance)


def verify_pacspace_signature(
    body: bytes,
    header: str | None,
    timestamp: str | None,
    secrets: Sequence[str],
    *,
    now: datetime,
    tolerance: timedelta,
) -> None:
    """Raise SignatureError unless one of ``secrets`` signed ``body`` at most ``tolerance`` before or after ``now``.

    PacSpace sends the time in a header of its own, in seconds or milliseconds, and signs it as it was sent. For a day
    after a rotation, ``header`` holds two signatures.
    """
    if timestamp is None or _PACSPACE_TIMESTAMP.fullmatch(timestamp) is None:
        _refuse_header("the X-PacSpace-Timestamp header is missing or not a time", _PACSPACE_HEADER_HINT)
    signatures = _signatures(_pairs(header or ""))
    if not 0 < len(signatures) <= _MOST_SIGNATURES:
        problem = "the X-PacSpace-Signature header is missing, or has no v1 signature, or too many"
        _refuse_header(problem, _PACSPACE_HEADER_HINT)
    if not _is_signed(f"{timestamp}.".encode() + body, signatures, secrets):
        raise SignatureError(_NOT_SIGNED, hint=_PACSPACE_SIGNER_HINT)
    signed_at = int(timestamp)
    _require_recent(signed_at / 1000 if signed_at >= _MILLISECONDS_FROM else signed_at, now, tolerance)


def _refuse_header(problem: str, hint: str) -> NoReturn:
    raise SignatureError(problem, hint=hint, cause=SignatureProblem.HEADER)


def _pairs(header: str) -> list[tuple[str, str]]:
    """Return the ``name=value`` parts of a header; none of a header that is longer than any vendor sends."""
    parts = [part.strip().partition("=") for part in header.split(",")] if len(header) <= _LONGEST_HEADER else []
    return [(name, value) for name, _, value in parts]


def _signatures(pairs: list[tuple[str, str]]) -> list[str]:
    return [value for name, value in pairs if name == "v1" and _SIGNATURE.fullmatch(value)]


def _is_signed(signed: bytes, signatures: Sequence[str], secrets: Sequence[str]) -> bool:
    """Compare every secret with every signature, all of them, each in constant time."""
    expected = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets if secret]
    found = [hmac.compare_digest(ours, theirs) for ours in expected for theirs in signatures]
    return any(found)


def _require_recent(signed_at: float, now: datetime, tolerance: timedelta) -> None:
    """Raise SignatureError for a time that is too far away; called after the signature, so that the time is genuine."""
    age = now.timestamp() - signed_at
    if abs(age) > tolerance.total_seconds():
        message = f"signed {abs(age):.0f} seconds {'ago' if age > 0 else 'in the future'}"
        raise SignatureError(message, hint=_CLOCK_HINT, cause=SignatureProblem.CLOCK)
