"""A bench for the HTTP client: planned replies, compressed time, and a lease that can be lost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from pacspace_stripe.errors import (
    LeaseLost,
)
from pacspace_stripe.http.calls import Answer, Call
from pacspace_stripe.http.client import Transport
from pacspace_stripe.http.ratelimit.rules.rate import Rate
from pacspace_stripe.http.retries import Timeouts
from pacspace_stripe.simulator.clock import ManualClock

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
OK = httpx.Response(200, json={"ok": True})
KEY = {"Idempotency-Key": "key-1", "X-Api-Key": "pk_test_public.topsecret"}


@dataclass
class Replies:
    """Planned answers, given in order, the last one for ever; the requests are kept."""

    planned: list[httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]]
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        next_one = self.planned[min(len(self.requests), len(self.planned) - 1)]
        self.requests.append(request)
        if isinstance(next_one, Exception):
            raise next_one
        if isinstance(next_one, httpx.Response):
            return httpx.Response(next_one.status_code, headers=next_one.headers, content=next_one.content)
        return next_one(request)


@dataclass
class Bench:
    """A transport in compressed time over planned replies."""

    replies: Replies
    clock: ManualClock
    transport: Transport
    slept: list[float]

    def send(self, method: str = "GET", *, service: str = "PacSpace", content: bytes | None = None) -> Answer:
        """Send one call."""
        return self.transport.send(call(method, service=service, content=content))

    @property
    def tries(self) -> int:
        return len(self.replies.requests)


def call(method: str = "GET", *, service: str = "PacSpace", content: bytes | None = None) -> Call:
    return Call(
        service=service,
        method=method,
        url="https://vendor.test/v1/things/thing_1?private=1",
        endpoint=f"{method} /v1/things/{{id}}",
        headers=KEY,
        content=content if method == "GET" else content or b"amount=5",
    )


def bench(
    *planned: httpx.Response | Exception | Callable[[httpx.Request], httpx.Response],
    limits: Mapping[str, Rate] | None = None,
    timeouts: Timeouts | None = None,
) -> Bench:
    clock, slept, replies = ManualClock(START), [], Replies(list(planned))

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(seconds)

    transport = Transport(
        httpx_transport=httpx.MockTransport(replies),
        clock=clock.now,
        sleep=sleep,
        random=lambda: 1.0,
        limits=limits,
        timeouts=timeouts,
    )
    return Bench(replies, clock, transport, slept)


def status(code: int, **headers: str) -> httpx.Response:
    return httpx.Response(code, headers={name.replace("_", "-"): value for name, value in headers.items()})


@dataclass
class Lease:
    """A lease that counts how often it was checked, and is lost after so many times."""

    lasts: int = 10**6
    asked: int = 0

    def check(self) -> None:
        self.asked += 1
        if self.asked > self.lasts:
            message = "the lease is gone"
            raise LeaseLost(message)
