# ruff: noqa: ANN401 - takes whatever the simulator and the API take
"""A simulated Stripe on compressed time, with every exchange held to Stripe's OpenAPI."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.simulator.stripe import StripeSimulator
from tests.support.openapi import Checked, validate_event

Json = dict[str, Any]

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY = "sk_test_simulator"


@dataclass
class Inbox:
    """A webhook endpoint in process, which keeps its requests and answers as the test says."""

    answer: Callable[[httpx.Request], int] = lambda _: 200
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(self.answer(request))

    @property
    def events(self) -> list[Json]:
        return [httpx.Response(200, content=request.content).json() for request in self.requests]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]


class StripeWorld:
    """One customer with one metered subscription for March 2026, and an HTTP client on the simulator."""

    def __init__(self, **options: Any) -> None:
        self.clock = ManualClock(MARCH)
        self.inbox = Inbox()
        options.setdefault("deliver", self.inbox)
        self.simulator = StripeSimulator(self.clock, **options)
        self.http = httpx.Client(
            transport=httpx.MockTransport(Checked(self.simulator)),
            base_url="https://api.stripe.com",
            headers={"Authorization": f"Bearer {KEY}"},
        )
        self.customer = self.simulator.add_customer("cus_1", name="Ada", email="ada@example.com")
        self.meter = self.simulator.add_meter("api_calls", id="mtr_1")
        self.price = self.simulator.add_price(self.meter, unit_amount=2, nickname="API calls", id="price_1")
        self.simulator.run_due()
        self.inbox.requests.clear()

    def subscribe(self, *prices: str, **options: Any) -> str:
        return self.simulator.add_subscription(
            self.customer, prices or [self.price], period_start=MARCH, period_end=APRIL, **options
        )

    def use(self, value: str, at: datetime = MARCH, event_name: str = "api_calls") -> str:
        return self.simulator.record_usage(self.customer, event_name, value, at)

    def run_until(self, at: datetime) -> None:
        """Move the clock from one due time to the next until ``at``."""
        self.simulator.run_due()
        while (due := self.simulator.next_due_at()) is not None and due <= at:
            self.clock.advance_to(due)
            self.simulator.run_due()
        self.clock.advance_to(at)

    def renewed(self, *prices: str, **options: Any) -> str:
        """Return the id of the draft that the subscription's renewal on 1 April makes."""
        subscription = self.subscribe(*prices, **options)
        self.run_until(APRIL)
        return self.simulator.invoices(subscription=subscription)[-1]

    def get(self, path: str, **params: Any) -> Json:
        return self._answered(self.http.get(f"/v1/{path}", params=params))

    def post(self, path: str, key: str | None = None, **params: Any) -> Json:
        headers = {"Idempotency-Key": key} if key else {}
        return self._answered(self.http.post(f"/v1/{path}", data=params, headers=headers))

    def refused(self, path: str, **params: Any) -> Json:
        """Return the error of a POST that must be refused with a 400."""
        response = self.http.post(f"/v1/{path}", data=params)
        assert response.status_code == 400, response.text
        error: Json = response.json()["error"]
        return error

    @staticmethod
    def _answered(response: httpx.Response) -> Json:
        assert response.status_code == 200, response.text
        body: Json = response.json()
        return body

    def check_events(self) -> None:
        """Assert that every event so far is as Stripe's OpenAPI says."""
        for event in self.simulator.events:
            validate_event(event)


def unix(at: datetime) -> int:
    return int(at.timestamp())
