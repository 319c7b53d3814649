"""What a vendor's answer says when it refuses: code, message, and how long it asks us to wait."""

from dataclasses import dataclass
from datetime import timedelta

from pacspace_stripe.http.answers import decimal_of, exact_json
from pacspace_stripe.http.redaction import Hide
from pacspace_stripe.vocabulary.text import printable

_LONGEST_SECONDS = 2**53
_LONGEST_WISH = 86_400.0
_LONGEST_MESSAGE = 300
"""Characters of a vendor's own message that we repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """What an error answer says of itself, in any of both vendors' shapes (CONTRACT 1.5, FACTS 6)."""

    code: str | None = None
    message: str | None = None
    retry_after: float | None = None
    """Seconds, from ``retryAfterSeconds``."""
    customer_id: str | None = None
    """The PacSpace customer it is about."""
    readable: bool = False
    """Whether it is an error body at all."""
    nested: bool = False
    """Whether it is ``{"error": {…}}``."""

    @property
    def suffix(self) -> str:
        """For the end of a message: ``, CODE, what it says``."""
        return "".join(f", {part}" for part in (self.code, self.message) if part)


def error_body(body: bytes, hide: Hide = str) -> ErrorBody:
    """Never fails: an HTML page says nothing. ``hide`` takes secrets out of its texts before they are shortened."""
    try:
        data = exact_json(body)
    except ValueError:
        return ErrorBody()
    if not isinstance(data, dict):
        return ErrorBody()
    error = data.get("error")
    inner = error if isinstance(error, dict) else {}
    message = inner.get("message", data.get("message", error))
    return ErrorBody(
        code=_text(inner.get("code", data.get("code")), hide),
        message=_text("; ".join(map(str, message)) if isinstance(message, list) else message, hide),
        retry_after=_seconds(inner.get("retryAfterSeconds", data.get("retryAfterSeconds"))),
        customer_id=_text(inner.get("customerId", data.get("customerId")), hide),
        readable=bool(inner) or "message" in data,
        nested=isinstance(error, dict),
    )


def _text(value: object, hide: Hide) -> str | None:
    return shortened(hide(value)) or None if isinstance(value, str) else None


def shortened(message: str) -> str:
    """A vendor's message on one line that a terminal shows as it is, for logs and people."""
    return printable(" ".join(message.split()))[:_LONGEST_MESSAGE]


def _seconds(value: object) -> float | None:
    number = decimal_of(value)
    return None if number is None or not 0 <= number < _LONGEST_SECONDS else float(number)


def wish(seconds: float | None) -> timedelta | None:
    """How long a vendor asks us to wait, believed up to a day."""
    return None if seconds is None else timedelta(seconds=min(seconds, _LONGEST_WISH))
