"""One HTTP request, its answer, and the error that an answer carries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import httpx

from pacspace_stripe.http.answers import decimal_of, exact_json
from pacspace_stripe.http.redaction import Hide, hidden
from pacspace_stripe.vocabulary.text import printable

_LARGEST_BODY = 10 * 1024 * 1024
_MOST_SECONDS = 2**53
_LONGEST_WAIT = 86_400.0
_LONGEST_MESSAGE = 300
"""Characters of a vendor's own message that are repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as it is sent, byte for byte, on every try (except for its key, see ``key_header``)."""

    service: str
    """The vendor, for messages and rate limits: "Stripe" or "PacSpace"."""
    method: str
    url: str
    endpoint: str
    """Method and path without ids: rate limits and logs name requests by it."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes | None = field(default=None, repr=False)
    repeatable: bool = True
    """True if it may be sent again after no answer; False if that would do something twice."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Secrets that no error may repeat, beside those in the headers."""
    largest_body: int = _LARGEST_BODY
    """Largest answer in bytes that is read; a larger one is UnexpectedAnswer."""
    key_header: str | None = None
    """Name of the idempotency key's header, where the vendor answers the same key with the same 500 again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """Content of an error answer, in any of both vendors' shapes (CONTRACT 1.5, FACTS 6.5)."""

    code: str | None = None
    message: str | None = None
    retry_after: float | None = None
    """Seconds, from ``retryAfterSeconds``."""
    customer_id: str | None = None
    """Id of the PacSpace customer that the error is about."""
    readable: bool = False
    """True if the body has the shape of an error at all."""
    nested: bool = False
    """True for the shape ``{"error": {…}}``."""

    @property
    def suffix(self) -> str:
        """Return ``, CODE, message`` for the end of a message."""
        return "".join(f", {part}" for part in (self.code, self.message) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Answer of any status except 429 and 5xx, which are raised."""

    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Secrets of the request; no text about this answer may repeat one."""

    @property
    def request_id(self) -> str | None:
        """Return the id under which the vendor logged the request."""
        names = ("request-id", "x-request-id")
        named = next((self.headers[name] for name in names if name in self.headers), None)
        return None if named is None else shortened(self.hide(named))

    @property
    def error(self) -> ErrorBody:
        """Return the error in the body; empty if there is none."""
        return error_body(self.body, self.hide)

    def hide(self, text: str) -> str:
        """Return the text without the request's secrets."""
        return hidden(text, self.secrets)


def error_body(body: bytes, hide: Hide = str) -> ErrorBody:
    """Read an error answer; an unreadable one, such as an HTML page, gives an empty ErrorBody and never an exception.

    ``hide`` takes secrets out of the texts before they are shortened.
    """

    def text(value: object) -> str | None:
        return shortened(hide(value)) or None if isinstance(value, str) else None

    try:
        data = exact_json(body)
    except ValueError:
        return ErrorBody()
    if not isinstance(data, dict):
        return ErrorBody()
    error = data.get("error")
    inner = error if isinstance(error, dict) else {}
    message = inner.get("message", data.get("message", error))
    seconds = decimal_of(inner.get("retryAfterSeconds", data.get("retryAfterSeconds")))
    return ErrorBody(
        code=text(inner.get("code", data.get("code"))),
        message=text("; ".join(map(str, message)) if isinstance(message, list) else message),
        retry_after=None if seconds is None or not 0 <= seconds < _MOST_SECONDS else float(seconds),
        customer_id=text(inner.get("customerId", data.get("customerId"))),
        readable=bool(inner) or "message" in data,
        nested=isinstance(error, dict),
    )


def shortened(message: str) -> str:
    """Return a vendor's message as one bounded line that is safe for logs and terminals."""
    return printable(" ".join(message.split()))[:_LONGEST_MESSAGE]


def asked_wait(seconds: float | None) -> timedelta | None:
    """Return the time that a vendor asks us to wait, a day at most."""
    return None if seconds is None else timedelta(seconds=min(seconds, _LONGEST_WAIT))
