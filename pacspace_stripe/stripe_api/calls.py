"""Requests to Stripe: the SDK builds and signs requests and reads errors, our HTTP client sends them.

Answers are read by us, at one API version and with exact numbers: the SDK would read them as floats (FACTS 0.3).
"""

import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import stripe

from pacspace_stripe.errors import (
    ConfigurationError,
    NotEditable,
    NotFound,
    PacspaceStripeError,
    RateLimited,
    RemoteRefused,
    RemoteUnavailable,
    SignatureError,
    UnexpectedAnswer,
)
from pacspace_stripe.http.answers import Fields, json_answer
from pacspace_stripe.http.calls import Answer, Call, shortened
from pacspace_stripe.http.client import Transport, quiet
from pacspace_stripe.http.redaction import Hide, hidden
from pacspace_stripe.vocabulary.windows import floor_to

STRIPE = "Stripe"
"""Name of the service, in errors and rate limits."""
API_VERSION = "2026-10-28.endive"
"""The version every answer is read at, whatever the account's default is (FACTS 0.1)."""
OUR_KEY_PREFIX = "pacspace-stripe-"
"""Prefix of the idempotency key of every write: an event that names such a key was caused by us."""
PAGE = 100
_MOST_ROWS = 10_000
"""Far above what one invoice or subscription may hold (250 items, FACTS 4.4.1)."""
_KEY = re.compile(r"(?:sk|rk)_(live|test)_")
_ID = re.compile(r"(?:in|il|upcoming|price|mtr|sub|si|cus|evt)_.+|.*[^a-z_].*")
_API = re.compile(r".*/(v[12])/")
_REQUEST_TIMEOUT, _CONFLICT, _TOO_MANY, _SERVER_ERROR = 408, 409, 429, 500
_NO_SUCCESS, _NOT_FOUND = 300, 404
_FROZEN = ("finalized invoices can't be updated", "already finalized", "no longer editable")
"""Words of Stripe's refusals of a finalized invoice, most of which carry no ``invoice_not_editable`` (FACTS 2.2.3)."""
_OTHER_MODE = "a similar object exists in"
_HINTS: tuple[tuple[type[stripe.StripeError], str], ...] = (
    (stripe.AuthenticationError, "Set STRIPE_API_KEY to a valid key of this Stripe account."),
    (stripe.PermissionError, "Give the restricted key in STRIPE_API_KEY the permission that the message names."),
)


class StripeHttp(stripe.HTTPClient):
    """The SDK's HTTP client, over our transport. The SDK makes no retries: the transport does."""

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
        call = Call(
            service=STRIPE,
            method=verb,
            url=url,
            endpoint=endpoint_of(verb, url),
            headers=headers or {},
            content=post_data.encode() if isinstance(post_data, str) else None,
            key_header="Idempotency-Key" if verb == "POST" else None,
        )
        answer = self._transport.send(call)
        return _readable(call, answer), answer.status, answer.headers

    def close(self) -> None:
        """Do nothing: the owner of the transport closes it."""


class StripeCalls:
    """Requests to Stripe at ``base_url``. Thread-safe. They raise RemoteError's children, which never hold the key."""

    def __init__(self, transport: Transport, api_key: str, base_url: str | None) -> None:
        self._key = api_key
        quiet("stripe")
        self._sdk = stripe.StripeClient(
            api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": base_url.rstrip("/")} if base_url else {},
            max_network_retries=0,
            http_client=StripeHttp(transport),
        )

    def ask(self, method: str, path: str, **params: object) -> object:
        """Send one request; return its answer, parsed with exact numbers."""
        try:
            answer = self._sdk.raw_request(method, path, **params)
        except stripe.StripeError as error:
            failure = stripe_failure(error, lambda text: hidden(text, (self._key,)))
        else:
            return json_answer(STRIPE, path, answer.body)
        # Raised out here: the SDK's error holds the whole answer, and would stay attached as context.
        raise failure

    def pages(self, path: str, **params: object) -> Iterator[object]:
        """Yield every row of a list, by cursor. Raises UnexpectedAnswer for a cursor that would never end."""
        seen: set[str | None] = {None}
        after: str | None = None
        while True:
            page = Fields(STRIPE, f"list {path}", self.ask("get", path, limit=PAGE, starting_after=after, **params))
            rows = page.items("data")
            yield from (row.data for row in rows)
            if not page.flag("has_more"):
                return
            after = rows[-1].text("id") if rows else None
            if after in seen:
                page.reject("has_more", "promises more rows, but the page does not move on")
            seen.add(after)

    def pages_of_v2(self, path: str, **params: object) -> Iterator[object]:
        """Yield every row of a list of the v2 API, which names the next page itself (FACTS 7.1).

        Raises UnexpectedAnswer for a next page that is none of this list, or was here before.
        """
        page = Fields(STRIPE, f"list {path}", self.ask("get", path, limit=PAGE, **params))
        seen = set[str]()
        while True:
            yield from (row.data for row in page.items("data"))
            following = page.nullable_text("next_page_url")
            if following is None:
                return
            if following in seen or not following.startswith(f"{path}?"):
                page.reject("next_page_url", "does not lead to another page of this list")
            seen.add(following)
            page = Fields(STRIPE, f"list {path}", self.ask("get", following))

    def rows_of_one(self, path: str, **params: object) -> list[object]:
        """Return every row of a list that belongs to one object. Raises UnexpectedAnswer for more than it can have."""
        rows: list[object] = []
        for row in self.pages(path, **params):
            rows.append(row)
            if len(rows) > _MOST_ROWS:
                raise UnexpectedAnswer(STRIPE, f"{path}: more than {_MOST_ROWS} rows")
        return rows


def stripe_failure(error: stripe.StripeError, hide: Hide = str) -> PacspaceStripeError:
    """Return our error for one of the SDK's; ``hide`` takes secrets out of its texts."""
    if isinstance(error, stripe.SignatureVerificationError):
        return SignatureError("Stripe: the webhook's signature does not hold")
    status, request_id = error.http_status, error.request_id
    code = error.code or getattr(error.error, "code", None)  # unset on several classes (FACTS 6.5)
    message = shortened(hide(str(error.user_message or f"HTTP {status}, no message")))
    details: dict[str, Any] = {
        "status": status,
        "code": shortened(hide(code)) if isinstance(code, str) else None,
        "request_id": None if request_id is None else shortened(hide(request_id)),
    }
    if isinstance(error, stripe.RateLimitError) or status == _TOO_MANY:
        return RateLimited(STRIPE, message, **details)
    passing = status in {_REQUEST_TIMEOUT, _CONFLICT} or (status or 0) >= _SERVER_ERROR
    if isinstance(error, stripe.APIConnectionError) or passing:
        return RemoteUnavailable(STRIPE, message, **details)
    if type(error) is stripe.APIError and error.error is None:
        # The SDK quotes the whole body here.
        return UnexpectedAnswer(STRIPE, f"HTTP {status} without an error that can be read", status=status)
    return _refused(error, message, details)


def _refused(error: stripe.StripeError, message: str, details: dict[str, Any]) -> RemoteRefused:
    kind, hint = RemoteRefused, next((hint for theirs, hint in _HINTS if isinstance(error, theirs)), None)
    if details["code"] == "invoice_not_editable" or any(words in message.lower() for words in _FROZEN):
        kind = NotEditable
    elif _OTHER_MODE in message:
        hint = "STRIPE_API_KEY and the webhook are of different modes: one is test, one live."
    elif details["status"] == _NOT_FOUND and details["code"] == "resource_missing":
        # With a 400, the code is about an object that a parameter names, not the one asked for (FACTS 6.7).
        kind = NotFound
    return kind(STRIPE, message, hint=hint, **details)


def _readable(call: Call, answer: Answer) -> str:
    """Return the body. Raises UnexpectedAnswer where the SDK would stumble: no text, or an error that is no object."""
    text = answer.body.decode(errors="replace")
    if text.encode() != answer.body or (answer.status >= _NO_SUCCESS and not answer.error.nested):
        message = f"{call.endpoint}: HTTP {answer.status} with a body that cannot be read"
        raise UnexpectedAnswer(STRIPE, message, status=answer.status, request_id=answer.request_id)
    return text


def endpoint_of(method: str, url: str) -> str:
    """Return ``POST /v1/invoices/{id}`` for a request: Stripe's unit of rate limiting (FACTS 6.1)."""
    whole = urlsplit(url).path
    found = _API.match(whole)
    version, path = (found[1], whole[found.end() :]) if found else ("v1", whole)
    return "/".join([f"{method} /{version}", *("{id}" if _ID.fullmatch(part) else part for part in path.split("/"))])


def key_livemode(api_key: str) -> bool:
    """Return True for a live key, False for a test key. Raises ConfigurationError for anything else."""
    found = _KEY.match(api_key)
    if found is None:
        variable = "STRIPE_API_KEY"
        problem = "is not a secret or restricted key of one Stripe account (sk_live_…, rk_live_…, …)"
        raise ConfigurationError(variable, problem)
    return found[1] == "live"


def new_idempotency_key() -> str:
    """Return a new key; each decision takes one, since Stripe replays a key's first answer for a day (FACTS 6.4)."""
    return f"{OUR_KEY_PREFIX}{uuid.uuid4().hex}"


def segment(an_id: str) -> str:
    """Return an id as one path segment, whatever it contains. Raises ValueError for one that names another path."""
    if not an_id.strip("."):
        message = "an id is needed"
        raise ValueError(message)
    return quote(an_id, safe="")


def rfc3339(at: datetime) -> str:
    """Return a time as the v2 API takes it, in whole seconds."""
    return f"{floor_to(at, timedelta(seconds=1)):%Y-%m-%dT%H:%M:%SZ}"


def unix(at: datetime) -> int:
    """Return a time as Stripe counts it, in whole seconds."""
    return int(floor_to(at, timedelta(seconds=1)).timestamp())
