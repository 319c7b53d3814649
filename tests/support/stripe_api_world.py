"""A simulated account behind a real StripeApi, whose every exchange is held to Stripe's OpenAPI."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from pacspace_stripe.http.client import Transport
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.simulator.stripe import StripeSimulator
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.vocabulary.windows import Window
from tests.support.openapi import Checked

START, END = datetime(2026, 11, 1, 8, 30, 15, tzinfo=UTC), datetime(2026, 12, 1, 8, 30, 15, tzinfo=UTC)
WHOLE = Window(start=START.replace(second=0), end=END.replace(second=0))


class ApiWorld:
    """A simulated account with one customer, whose every exchange is held to Stripe's OpenAPI."""

    def __init__(self, *, enforce_rate_limits: bool = False) -> None:
        self.clock = ManualClock(END - timedelta(hours=1))
        self.stripe = StripeSimulator(self.clock, enforce_rate_limits=enforce_rate_limits)
        self.seen: list[httpx.Request] = []
        checked = Checked(self.stripe)

        def watched(request: httpx.Request) -> httpx.Response:
            self.seen.append(request)
            return checked(request)

        self.transport = transport(watched, self.clock)
        self.api = StripeApi(self.transport, self.stripe.api_key)
        self.customer = self.stripe.add_customer(name="Ann")
        self.meter = self.stripe.add_meter("api_calls")
        self.price = self.stripe.add_price(self.meter)
        self.subscription = self.subscribe(self.price)

    def subscribe(self, *prices: str) -> str:
        return self.stripe.add_subscription(
            self.customer,
            prices,
            period_start=START,
            period_end=END,
            metadata={"pacspace_customer_id": "acme"},
        )

    def use(self, value: str, at: datetime | None = None) -> None:
        self.stripe.record_usage(self.customer, "api_calls", value, at or START + timedelta(days=3))

    def draft(self, subscription: str | None = None) -> str:
        self.clock.advance_to(END + timedelta(minutes=1))
        self.stripe.run_due()
        drafts = self.stripe.invoices(status="draft", subscription=subscription or self.subscription)
        self.seen.clear()
        return drafts[-1]

    def asked(self) -> list[str]:
        """Return the requests since the draft was made."""
        return [f"{request.method} {request.url.path}" for request in self.seen]


def transport(handler: Callable[[httpx.Request], httpx.Response], clock: ManualClock | None = None) -> Transport:
    clock = clock or ManualClock(START)
    return Transport(
        httpx_transport=httpx.MockTransport(handler), clock=clock.now, sleep=clock.advance, random=lambda: 1.0
    )


def api_over(handler: Callable[[httpx.Request], httpx.Response]) -> StripeApi:
    return StripeApi(transport(handler), "sk_test_1", "https://stripe.test/")


def page(*rows: object, more: bool = False) -> dict[str, Any]:
    return {"object": "list", "data": list(rows), "has_more": more}


@dataclass
class Pages:
    """A long list, served by cursor."""

    rows: list[dict[str, Any]]
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        after = request.url.params.get("starting_after")
        first = next((place + 1 for place, row in enumerate(self.rows) if row["id"] == after), 0)
        last = first + int(request.url.params["limit"])
        return httpx.Response(200, json=page(*self.rows[first:last], more=last < len(self.rows)))
