"""One request and what came back, as the client sees them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from pacspace_stripe.http.redaction import hidden
from pacspace_stripe.http.refusals import ErrorBody, error_body, shortened

_LARGEST_BODY = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as it is sent, byte for byte, on every try (but for its key, see ``key_header``)."""

    service: str
    """Who is asked, for messages and rate limits: "Stripe" or "PacSpace"."""
    method: str
    url: str
    endpoint: str
    """Method and path with ids left out: what limits and logs speak of."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes | None = field(default=None, repr=False)
    repeatable: bool = True
    """Whether it may be sent again without an answer: not when that would do something twice."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What no error may repeat of it, beside what its headers carry."""
    largest_body: int = _LARGEST_BODY
    """Bytes of an answer that are read: more is UnexpectedAnswer."""
    key_header: str | None = None
    """The idempotency key's header, where the vendor would answer the same key with the same 500 again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: any status but 429 and 5xx, which are raised."""

    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Of the request: none of them in what is said of this answer."""

    @property
    def request_id(self) -> str | None:
        """As the vendor named the request."""
        names = ("request-id", "x-request-id")
        named = next((self.headers[name] for name in names if name in self.headers), None)
        return None if named is None else shortened(self.hide(named))

    @property
    def said(self) -> ErrorBody:
        """What the body says of an error, if anything."""
        return error_body(self.body, self.hide)

    def hide(self, text: str) -> str:
        """The text without what was secret in the request."""
        return hidden(text, self.secrets)
