"""Idempotency keys (CONTRACT 1.7): one outcome per endpoint and key, replayed for the same body."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from pacspace_stripe.simulator.http import json_response
from pacspace_stripe.simulator.pacspace.refusals import PacSpaceRefusal
from pacspace_stripe.simulator.pacspace.world import World

_SUCCESS = range(200, 300)


@dataclass(frozen=True, slots=True)
class _Outcome:
    body: Mapping[str, Any]
    status: int
    content: bytes
    first_at: datetime


class Idempotency:
    """Completed outcomes by key. A refused request is not kept, so its key is free again.

    Bodies are equal if their parsed JSON is; keys never expire. Neither is documented.
    """

    def __init__(self) -> None:
        self._outcomes: dict[tuple[str, str], _Outcome] = {}

    def once(
        self, endpoint: str, key: str, world: World, body: Mapping[str, Any], process: Callable[[], httpx.Response]
    ) -> httpx.Response:
        """Return the first outcome of this key; process the request if there is none yet.

        With the rule ``in_flight``, the answer is "in flight" until that long after the first arrival.
        """
        known = self._outcomes.get((endpoint, key))
        if known is None:
            response = process()
            if response.status_code not in _SUCCESS:
                return response
            known = _Outcome(body, response.status_code, response.content, world.now())
            self._outcomes[endpoint, key] = known
        elif known.body != body:
            message = "Idempotency-Key was already used with a different request body"
            raise PacSpaceRefusal(409, message, "IDEMPOTENCY_CONFLICT")
        left = (known.first_at + world.rules.in_flight - world.now()).total_seconds()
        if left > 0:
            return pending(world.rules.in_flight_status, math.ceil(left))
        return httpx.Response(known.status, content=known.content, headers={"Content-Type": "application/json"})


def pending(status: int, wait: int) -> httpx.Response:
    """Say that the first request with this key is not done: 202 at the top level, or an error with that code."""
    message = "A request with this Idempotency-Key is still in progress"
    said = {"code": "IDEMPOTENCY_PENDING", "retryAfterSeconds": wait, "message": message}
    body = said if status in _SUCCESS else {"success": False, "error": said, "message": message}
    return json_response(status, body, {"Retry-After": str(wait)})
