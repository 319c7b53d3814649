"""Stripe's SDK over our client: it builds and signs requests and reads errors; sending them is ours."""

import re
from collections.abc import Mapping
from typing import cast
from urllib.parse import urlsplit

import stripe

from pacspace_stripe.errors import UnexpectedAnswer
from pacspace_stripe.transport.answers import error_body
from pacspace_stripe.transport.client import Answer, Call, Transport

STRIPE = "Stripe"
_ID = re.compile(r"(?:in|il|upcoming|price|mtr|sub|si|cus)_.+|.*[^a-z_].*")


def endpoint_of(method: str, url: str) -> str:
    """``POST /v1/invoices/{id}``: Stripe's unit of rate limiting (stripe-facts 6)."""
    _, _, path = urlsplit(url).path.rpartition("/v1/")
    return "/".join([f"{method} /v1", *("{id}" if _ID.fullmatch(part) else part for part in path.split("/"))])


class StripeHttp(stripe.HTTPClient):
    """The SDK's HTTP client. It asks the SDK for no retries: the transport has them, with the same key and bytes."""

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
        """Send; the body goes back as bytes, which the SDK decodes."""
        verb = method.upper()
        content = post_data.encode() if isinstance(post_data, str) else None
        call = Call(
            service=STRIPE,
            method=verb,
            url=url,
            endpoint=endpoint_of(verb, url),
            headers=headers or {},
            content=content,
        )
        answer = self._transport.send(call)
        _check_error(call, answer)
        return cast("str", answer.body), answer.status, answer.headers

    def close(self) -> None:
        """Nothing: whoever made the transport closes it."""


def _check_error(call: Call, answer: Answer) -> None:
    """Keep from the SDK what it would stumble over: pages, and errors that are no objects."""
    if answer.status >= 300 and not error_body(answer.body).nested:  # noqa: PLR2004  # anything but success
        message = f"{call.endpoint}: HTTP {answer.status} without an error that can be read"
        raise UnexpectedAnswer(STRIPE, message, status=answer.status, request_id=answer.request_id)
