"""Idempotency keys (contract 1.7): one outcome per endpoint and key, replayed for the same body."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from pacspace_stripe.simulator.pacspace.refusals import Refusal

_SUCCESS = range(200, 300)


@dataclass(frozen=True, slots=True)
class _Outcome:
    body: Mapping[str, Any]
    status: int
    content: bytes


class Idempotency:
    """Completed outcomes. Refused requests are not kept: their key is free again.

    Bodies are the same when their parsed JSON is equal; keys never expire. Neither is documented.
    """

    def __init__(self) -> None:
        self._outcomes: dict[tuple[str, str], _Outcome] = {}

    def once(
        self, endpoint: str, key: str, body: Mapping[str, Any], process: Callable[[], httpx.Response]
    ) -> httpx.Response:
        """The first outcome of this key, processing the request if there is none yet."""
        known = self._outcomes.get((endpoint, key))
        if known is None:
            response = process()
            if response.status_code in _SUCCESS:
                self._outcomes[endpoint, key] = _Outcome(body, response.status_code, response.content)
            return response
        if known.body != body:
            message = "Idempotency-Key was already used with a different request body"
            raise Refusal(409, message, "IDEMPOTENCY_CONFLICT")
        return httpx.Response(known.status, content=known.content, headers={"Content-Type": "application/json"})
