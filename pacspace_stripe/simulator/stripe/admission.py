"""Rate limits by sliding window, and idempotency keys with their first answers."""

import hashlib
import json
from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import httpx

from pacspace_stripe.simulator.stripe.errors import StripeError, rate_limited, refuse
from pacspace_stripe.simulator.stripe.shapes import Json

WINDOW = timedelta(seconds=1)
REMEMBERED_FOR = timedelta(hours=24)
LONGEST_KEY = 255


@dataclass(slots=True)
class RateLimits:
    """Requests a second per endpoint and in all; test mode's figures by default."""

    per_endpoint: int = 25
    overall: int = 25
    _seen: dict[str, deque[datetime]] = field(default_factory=lambda: defaultdict(deque))

    def admit(self, endpoint: str, now: datetime) -> None:
        """Count a request. Raise Stripe's 429 above the limit; a refused request is not counted."""
        for name, limit, reason in (("", self.overall, "global-rate"), (endpoint, self.per_endpoint, "endpoint-rate")):
            seen = self._seen[name]
            while seen and seen[0] <= now - WINDOW:
                seen.popleft()
            if len(seen) >= limit:
                raise rate_limited(reason)
        self._seen[""].append(now)
        self._seen[endpoint].append(now)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotentAnswer:
    """The first answer of an idempotency key."""

    at: datetime
    endpoint: tuple[str, str]
    form: str
    response: httpx.Response


class IdempotencyKeys:
    """First answers by key, for 24 hours."""

    def __init__(self) -> None:
        self._answers: dict[str, IdempotentAnswer] = {}

    def replay(self, key: str, request: httpx.Request, form: Json, now: datetime) -> httpx.Response | None:
        """Return the first answer. Raise Stripe's idempotency error if the request is another one."""
        if len(key) > LONGEST_KEY:
            refuse("Idempotency keys can be at most 255 characters long.", None)
        self._forget(now)
        first = self._answers.get(key)
        if first is None:
            return None
        if first.endpoint != (request.method, request.url.path):
            raise _misused(key, f"for the same endpoint they were first used for ('{first.endpoint[1]}')")
        if first.form != _fingerprint(form):
            raise _misused(key, "with the same parameters they were first used with")
        headers = {**first.response.headers, "Idempotent-Replayed": "true"}
        return httpx.Response(first.response.status_code, content=first.response.content, headers=headers)

    def remember(self, key: str, request: httpx.Request, form: Json, response: httpx.Response, now: datetime) -> None:
        """Keep the first answer of a key."""
        endpoint = (request.method, request.url.path)
        self._answers[key] = IdempotentAnswer(at=now, endpoint=endpoint, form=_fingerprint(form), response=response)

    def _forget(self, now: datetime) -> None:
        while self._answers:
            oldest = next(iter(self._answers))
            if now - self._answers[oldest].at < REMEMBERED_FOR:
                return
            del self._answers[oldest]


def _fingerprint(form: Json) -> str:
    return hashlib.sha256(json.dumps(form, sort_keys=True).encode()).hexdigest()


def _misused(key: str, rule: str) -> StripeError:
    message = (
        f"Keys for idempotent requests can only be used {rule}. "
        f"Try using a key other than '{key}' if you meant to execute a different request."
    )
    return StripeError(message, kind="idempotency_error", remembered=False)
