"""PacSpace's dashboard over any handler or the simulator, in compressed time."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx

from pacspace_stripe.http.client import Transport
from pacspace_stripe.pacspace_api.dashboard import AccessRequest, Dashboard, Environment
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator, Rules

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
ADDRESS, EMAIL, PASSWORD, TOKEN = "https://pacspace.test", "jane@example.com", "correct horse", "approve_1"
COOKIE = "pacspace_session=cookie-value"
KEY = "pk_test_abc.topsecret"
JANE = AccessRequest(email=EMAIL, name="Jane Doe", organization="Acme Inc", use_case="Record usage.")
SANDBOX, PRODUCTION = Environment.SANDBOX, Environment.PRODUCTION
Plan = Callable[[httpx.Request], httpx.Response]


@dataclass
class Desk:
    """A dashboard over any handler, in compressed time, and the requests that it got."""

    handler: Plan
    clock: ManualClock = field(default_factory=lambda: ManualClock(START))
    seen: list[httpx.Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.transport = Transport(
            httpx_transport=httpx.MockTransport(self._watched),
            clock=self.clock.now,
            sleep=lambda seconds: self.clock.advance(timedelta(seconds=seconds)),
            random=lambda: 0.5,
        )
        self.dashboard = Dashboard(self.transport, ADDRESS)

    def _watched(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        return self.handler(request)

    def sent(self) -> list[str]:
        return [f"{request.method} {request.url.path}" for request in self.seen]


@contextmanager
def desk(handler: Plan) -> Iterator[Desk]:
    made = Desk(handler)
    try:
        yield made
    finally:
        made.transport.close()


@contextmanager
def simulated(**rules: object) -> Iterator[tuple[Desk, PacSpaceSimulator]]:
    clock = ManualClock(START)
    ledger = PacSpaceSimulator(clock, rules=Rules().changed(rules), base_url="https://sandbox.pacspace.test")
    made = Desk(ledger, clock)
    try:
        yield made, ledger
    finally:
        made.transport.close()


def registered(at: Desk, ledger: PacSpaceSimulator) -> None:
    at.dashboard.register(JANE, password=PASSWORD, approval_token=ledger.approve_access(EMAIL))


def replies(pages: Mapping[str, httpx.Response]) -> Plan:
    """Return a handler that answers by the end of the path, and 404 for any other path."""
    missing = httpx.Response(404, json={"statusCode": 404, "message": "Cannot GET /", "error": "Not Found"})

    def answer(request: httpx.Request) -> httpx.Response:
        planned = next((page for path, page in pages.items() if request.url.path.endswith(path)), missing)
        return httpx.Response(planned.status_code, headers=planned.headers, content=planned.content)

    return answer


def logged_in(**cookies: str) -> httpx.Response:
    return httpx.Response(200, json={"success": True, "data": {}}, headers={"Set-Cookie": COOKIE, **cookies})


STEPS: Mapping[str, Callable[[Dashboard], object]] = {
    "request_access": lambda dashboard: dashboard.request_access(JANE),
    "register": lambda dashboard: dashboard.register(JANE, password=PASSWORD, approval_token=TOKEN),
    "log_in": lambda dashboard: dashboard.log_in(EMAIL, PASSWORD),
    "verify_mfa": lambda dashboard: dashboard.verify_mfa("mfa_1", "123456"),
    "listed_keys": lambda dashboard: dashboard.listed_keys(),
    "create_key": lambda dashboard: dashboard.create_key("mine", SANDBOX),
    "status": lambda dashboard: dashboard.status(SANDBOX),
    "api_address": lambda dashboard: dashboard.api_address(SANDBOX),
    "provision": lambda dashboard: dashboard.provision(SANDBOX),
}
