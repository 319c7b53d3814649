"""One request to PacSpace: its address, headers and exact body, and the wait for one that is still in flight.

Owns nothing of what is asked; that is ``calls``.
"""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from urllib.parse import quote, urlencode

from pacspace_stripe import __version__
from pacspace_stripe.errors import InvalidInput, RemoteUnavailable, StillInFlight
from pacspace_stripe.http.calls import Answer, Call, wish
from pacspace_stripe.http.client import Transport
from pacspace_stripe.http.ratelimit.rules.rate import NO_KNOWN_RATE
from pacspace_stripe.http.redaction import hidden, secrets_in
from pacspace_stripe.pacspace_api.envelope import PENDING, is_pending
from pacspace_stripe.pacspace_api.failures import PACSPACE, pacspace_failure
from pacspace_stripe.vocabulary import quantities

Body = Mapping[str, object]
Query = Mapping[str, str]

_PENDING_REST, _SHORTEST_REST = 1.0, 0.1
"""Seconds before a pending request is asked for again when PacSpace names none, and at least."""


class Wire:
    """PacSpace at ``base_url``, for one key, or for none: what is public. Thread-safe.

    Only answers of success come back. Raises RemoteError's children, and what the transport's guard raises before a
    POST.
    """

    def __init__(
        self, transport: Transport, api_key: str | None, base_url: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        transport.limit(PACSPACE, NO_KNOWN_RATE)
        self.transport = transport
        self.base_url = base_url.rstrip("/")
        self._key = {**({} if api_key is None else {"X-Api-Key": api_key}), **(headers or {})}

    def get(self, path: str, named: str | None = None, query: Query | None = None, *, public: bool = False) -> Answer:
        """One GET; ``named`` is the id in ``path``. ``public``: without our key."""
        asked = f"?{urlencode(query)}" if query else ""
        return self._send("GET", path, named, asked=asked, headers={} if public else self._key)

    def post(
        self,
        path: str,
        body: Body,
        *,
        named: str | None = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
    ) -> Answer:
        """One POST, the same bytes under the same idempotency key until it is done, in bounded time in all.

        ``repeatable``: whether a key counts there (CONTRACT 1.7); else it is sent once. Raises StillInFlight when PacSpace is
        at it longer than that.
        """
        sent = {**self._key, "Content-Type": "application/json", **(headers or {})}
        if key is not None:
            sent["Idempotency-Key"] = key
        content, until = _content(body), self.transport.deadline()
        while True:
            answer, asked = self._tried(path, named, sent, content, until, repeatable=repeatable)
            if answer is not None:
                return answer
            if not self.transport.rest(max(asked, _SHORTEST_REST), until=until):
                message = f"POST {path}: the first request with this idempotency key is still being made"
                raise StillInFlight(PACSPACE, message, code=PENDING, retry_after=wish(asked))

    def _tried(
        self,
        path: str,
        named: str | None,
        headers: Mapping[str, str],
        content: bytes,
        until: datetime,
        *,
        repeatable: bool,
    ) -> tuple[Answer | None, float]:
        """The answer, or None and how long to rest: PacSpace says "in flight" with 202 or with an error (CONTRACT 1.7)."""
        try:
            answer = self._exchange(
                "POST", path, named, headers=headers, content=content, until=until, repeatable=repeatable
            )
        except RemoteUnavailable as error:
            if error.code != PENDING:
                raise
            return None, error.retry_after.total_seconds() if error.retry_after else _PENDING_REST
        if is_pending(answer):
            asked = answer.said.retry_after
            return None, _PENDING_REST if asked is None else asked
        return _checked(f"POST {path}", answer), 0

    def _send(self, method: str, path: str, named: str | None, *, asked: str, headers: Mapping[str, str]) -> Answer:
        return _checked(f"{method} {path}", self._exchange(method, path, named, asked=asked, headers=headers))

    def _exchange(
        self,
        method: str,
        path: str,
        named: str | None,
        *,
        headers: Mapping[str, str],
        asked: str = "",
        content: bytes | None = None,
        until: datetime | None = None,
        repeatable: bool = True,
    ) -> Answer:
        call = Call(
            service=PACSPACE,
            method=method,
            url=f"{self.address(path, named)}{asked}",
            endpoint=f"{method} {path}",
            headers={"User-Agent": f"pacspace-stripe/{__version__}", "Accept": "application/json", **headers},
            content=content,
            repeatable=repeatable,
        )
        return self.transport.send(call, until=until)

    def hide(self, text: str) -> str:
        """A text of PacSpace's without our key."""
        return hidden(text, secrets_in(self._key))

    def address(self, path: str, named: str | None = None) -> str:
        """Where a path with an id in it is."""
        return self.base_url + (path if named is None else path.replace("{id}", segment(named)))


def _checked(endpoint: str, answer: Answer) -> Answer:
    if not 200 <= answer.status < 300:  # noqa: PLR2004  # success
        raise pacspace_failure(endpoint, answer)
    return answer


def segment(an_id: str) -> str:
    """An id as one path segment, whatever it contains; never one that names another path. Raises InvalidInput."""
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
    """JSON in which a Decimal has exactly its digits: ``json`` would need floats. Raises InvalidInput."""
    match value:
        case Decimal():
            return quantities.text(value) if value.is_finite() else _not_json(value)
        case Mapping():
            return f"{{{','.join(f'{_name(name)}:{exact_json(inner)}' for name, inner in value.items())}}}"
        case str() | bool() | int() | None:
            return json.dumps(value)
        case float() if math.isfinite(value):
            return json.dumps(value)
        case Sequence() if not isinstance(value, bytes | bytearray):
            return f"[{','.join(map(exact_json, value))}]"
        case _:
            return _not_json(value)


def _name(name: object) -> str:
    return json.dumps(name) if isinstance(name, str) else _not_json(name)


def _not_json(value: object) -> str:
    message = f"{type(value).__name__} cannot be sent as JSON"
    raise InvalidInput(message)
