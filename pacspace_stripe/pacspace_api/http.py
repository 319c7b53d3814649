"""One request to PacSpace: address, headers, exact body, the wait while it is in flight, and the opened envelope.

Owns no endpoint and no meaning: the parts of the client name the endpoints, ``models`` reads the data.
"""

import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from urllib.parse import quote, urlencode

from pacspace_stripe import __version__
from pacspace_stripe.errors import InvalidInput, RemoteUnavailable, StillInFlight, UnexpectedAnswer
from pacspace_stripe.http.answers import Fields, json_answer
from pacspace_stripe.http.calls import Answer, Call, asked_wait
from pacspace_stripe.http.client import Transport
from pacspace_stripe.http.ratelimit.rules.rate import NO_KNOWN_RATE
from pacspace_stripe.http.redaction import hidden, secrets_in
from pacspace_stripe.pacspace_api.failures import PACSPACE, pacspace_failure
from pacspace_stripe.vocabulary import quantities

BALANCE = "/api/v1/balance"
Body = Mapping[str, object]
Query = Mapping[str, str]
Data = Mapping[str, object]
PENDING = "IDEMPOTENCY_PENDING"
_PENDING_WAIT, _SHORTEST_WAIT = 1.0, 0.1
"""Seconds before a request in flight is sent again: where PacSpace names none, and at least."""


class PacSpaceHttp:
    """HTTP with PacSpace at ``base_url``, for one key or, for public requests, none. Thread-safe.

    Every request returns the data of an answer that reports success. Raises RemoteError's children, and whatever the
    transport's guard raises before a POST.
    """

    def __init__(
        self, transport: Transport, api_key: str | None, base_url: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        transport.limit(PACSPACE, NO_KNOWN_RATE)
        self.transport = transport
        self.base_url = base_url.rstrip("/")
        self._key = {**({} if api_key is None else {"X-Api-Key": api_key}), **(headers or {})}

    def get(self, what: str, path: str, named: str | None = None, query: Query | None = None) -> Data:
        """Send a GET; ``named`` is the id in ``path``, ``what`` names the answer in errors."""
        call = self._call("GET", path, named, headers=self._key, query=query)
        return data_of(what, _succeeded(call.endpoint, self.transport.send(call)))

    def get_rows(self, what: str, path: str, named: str | None, query: Query, *names: str) -> Data:
        """Send a GET for a list; its rows are under the first of ``names``, wherever the answer has them."""
        call = self._call("GET", path, named, headers=self._key, query=query)
        return listing_of(what, _succeeded(call.endpoint, self.transport.send(call)), *names)

    def get_public(self, what: str, path: str, named: str, query: Query | None = None) -> Data:
        """Send a GET without our key; the answer may come without an envelope (CONTRACT 3.13)."""
        call = self._call("GET", path, named, headers={}, query=query)
        return data_of(what, _succeeded(call.endpoint, self.transport.send(call)), bare=True)

    def get_file(self, path: str, named: str) -> Answer:
        """Send a GET without our key for something that is not JSON."""
        call = self._call("GET", path, named, headers={})
        return _succeeded(call.endpoint, self.transport.send(call))

    def post(
        self,
        what: str,
        path: str,
        body: Body,
        *,
        named: str | None = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
    ) -> Data:
        """Send a POST: the same bytes under the same idempotency key until PacSpace is done, in bounded time in all.

        ``repeatable``: PacSpace documents idempotency keys for this path (CONTRACT 1.7); otherwise it is sent once.
        Raises StillInFlight when the first request with the key takes longer than the time allowed.
        """
        sent = {**self._key, "Content-Type": "application/json", **(headers or {})}
        if key is not None:
            sent["Idempotency-Key"] = key
        call = self._call("POST", path, named, headers=sent, content=_content(body), repeatable=repeatable)
        until = self.transport.deadline()
        while True:
            # PacSpace reports a request in flight with 202 or with an error (CONTRACT 1.7).
            try:
                answer = self.transport.send(call, until=until)
            except RemoteUnavailable as error:
                if error.code != PENDING:
                    raise
                wait = error.retry_after.total_seconds() if error.retry_after else _PENDING_WAIT
            else:
                if not is_pending(answer):
                    return data_of(what, _succeeded(call.endpoint, answer))
                asked = answer.error.retry_after
                wait = _PENDING_WAIT if asked is None else asked
            if not self.transport.rest(max(wait, _SHORTEST_WAIT), until=until):
                message = f"POST {path}: the first request with this idempotency key is still being made"
                raise StillInFlight(PACSPACE, message, code=PENDING, retry_after=asked_wait(wait))

    def address(self, path: str, named: str | None = None) -> str:
        """Return the address of ``path`` with an id in it. Raises InvalidInput for an id that would change the path."""
        return self.base_url + (path if named is None else path.replace("{id}", segment(named)))

    def hide(self, text: str) -> str:
        """Return a text without the key, should PacSpace repeat it."""
        return hidden(text, secrets_in(self._key))

    def _call(
        self,
        method: str,
        path: str,
        named: str | None,
        *,
        headers: Mapping[str, str],
        query: Query | None = None,
        content: bytes | None = None,
        repeatable: bool = True,
    ) -> Call:
        return Call(
            service=PACSPACE,
            method=method,
            url=self.address(path, named) + (f"?{urlencode(query)}" if query else ""),
            endpoint=f"{method} {path}",
            headers={"User-Agent": f"pacspace-stripe/{__version__}", "Accept": "application/json", **headers},
            content=content,
            repeatable=repeatable,
        )


# -- answers -----------------------------------------------------------------------------------------------------------


def _succeeded(endpoint: str, answer: Answer) -> Answer:
    if not 200 <= answer.status < 300:  # noqa: PLR2004  # success
        raise pacspace_failure(endpoint, answer)
    return answer


def is_pending(answer: Answer) -> bool:
    """Return whether the first request with this key is still in flight (CONTRACT 1.7), whatever the status."""
    return answer.error.code == PENDING


def success_of(what: str, answer: Answer) -> Fields:
    """Return the body of an answer that reports success of itself (CONTRACT 1.4): a 200 alone proves nothing."""
    body = Fields(PACSPACE, what, json_answer(PACSPACE, what, answer.body))
    failed = "success" in body and body.optional_flag("success") is not True
    if "success" not in body and "statusCode" in body:
        failed = body.integer("statusCode") // 100 != 2  # noqa: PLR2004  # success
    if not failed:
        return body
    said = answer.error
    message = f"{what}: HTTP {answer.status} with success=false{said.suffix}"
    raise UnexpectedAnswer(PACSPACE, message, status=answer.status, code=said.code, request_id=answer.request_id)


def data_of(what: str, answer: Answer, *, bare: bool = False) -> Data:
    """Return what the envelope ``{success, data}`` or ``{statusCode, data}`` holds (CONTRACT 1.4).

    ``bare``: the answer may also come without any envelope (CONTRACT 3.13).
    """
    body = success_of(what, answer)
    if _is_enveloped(body):
        return body.fields("data").data
    return body.data if bare and "data" not in body else body.reject("success", "is missing")


def listing_of(what: str, answer: Answer, *names: str) -> Data:
    """Return a list and what describes it, with the rows under the first of ``names``.

    The answer may have the rows under any of ``names``, or as the data itself.
    """
    body = success_of(what, answer)
    if not _is_enveloped(body):
        body.reject("success", "is missing")
    rows = body.raw("data")
    if isinstance(rows, list):
        return {names[0]: rows}
    data = body.fields("data")
    there = next((name for name in names if name in data), None) or data.reject(names[0], "is missing")
    return {**data.data, names[0]: data.raw(there)}


def _is_enveloped(body: Fields) -> bool:
    return "success" in body or "statusCode" in body


# -- requests ----------------------------------------------------------------------------------------------------------


def segment(an_id: str) -> str:
    """Return an id as one path segment, whatever it contains. Raises InvalidInput for one that names another path."""
    if not an_id.strip("."):
        message = "an id is needed"
        raise InvalidInput(message)
    try:
        return quote(an_id, safe="")
    except UnicodeEncodeError:
        message = "an id is text, not halves of characters"
        raise InvalidInput(message) from None


def _content(body: Body) -> bytes:
    try:
        return exact_json(body).encode()
    except RecursionError:
        message = "it is nested too deep to be sent as JSON"
        raise InvalidInput(message) from None


def exact_json(value: object) -> str:
    """Return JSON in which a Decimal has exactly its digits: ``json`` would need floats. Raises InvalidInput."""
    match value:
        case Decimal():
            return quantities.text(value) if value.is_finite() else _refuse(value)
        case Mapping():
            names = [json.dumps(name) if isinstance(name, str) else _refuse(name) for name in value]
            pairs = zip(names, map(exact_json, value.values()), strict=True)
            return f"{{{','.join(f'{name}:{inner}' for name, inner in pairs)}}}"
        case str() | bool() | int() | None:
            return json.dumps(value)
        case float() if math.isfinite(value):
            return json.dumps(value)
        case Sequence() if not isinstance(value, bytes | bytearray):
            return f"[{','.join(map(exact_json, value))}]"
        case _:
            return _refuse(value)


def _refuse(value: object) -> str:
    message = f"{type(value).__name__} cannot be sent as JSON"
    raise InvalidInput(message)
