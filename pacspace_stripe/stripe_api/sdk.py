"""Stripe's SDK over our client: it builds and signs requests and reads errors; sending them is ours."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import stripe

from pacspace_stripe.errors import UnexpectedAnswer
from pacspace_stripe.http.calls import Answer, Call
from pacspace_stripe.http.client import Transport

STRIPE = "Stripe"
_NO_SUCCESS = 300
_ID = re.compile(r"(?:in|il|upcoming|price|mtr|sub|si|cus|evt)_.+|.*[^a-z_].*")
_API = re.compile(r".*/(v[12])/")


def endpoint_of(method: str, url: str) -> str:
    """``POST /v1/invoices/{id}``: Stripe's unit of rate limiting (FACTS 6)."""
    whole = urlsplit(url).path
    found = _API.match(whole)
    version, path = (found[1], whole[found.end() :]) if found else ("v1", whole)
    return "/".join([f"{method} /{version}", *("{id}" if _ID.fullmatch(part) else part for part in path.split("/"))])


class StripeHttp(stripe.HTTPClient):
    """The SDK's HTTP client. It asks the SDK for no retries: the transport has them."""

    name = "httpx"

    def __init__(self, transport: Transport) -> None:
        super().__init__()
        self._transport = transport

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: object = None,
        *,
        _usage: object = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        verb = method.upper()
        content = post_data.encode() if isinstance(post_data, str) else None
        call = Call(
            service=STRIPE,
            method=verb,
            url=url,
            endpoint=endpoint_of(verb, url),
            headers=headers or {},
            content=content,
            key_header="Idempotency-Key" if verb == "POST" else None,
        )
        answer = self._transport.send(call)
        return _readable(call, answer), answer.status, answer.headers

    def close(self) -> None:
        """Nothing: whoever made the transport closes it."""


def _readable(call: Call, answer: Answer) -> str:
    """The body, kept from the SDK where it would stumble: bytes that are no text, errors that are no objects."""
    text = answer.body.decode(errors="replace")
    if text.encode() != answer.body or (answer.status >= _NO_SUCCESS and not answer.said.nested):
        message = f"{call.endpoint}: HTTP {answer.status} with a body that cannot be read"
        raise UnexpectedAnswer(STRIPE, message, status=answer.status, request_id=answer.request_id)
    return text
