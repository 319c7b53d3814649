"""The official ``stripe`` package drives the simulator over a real socket; Stripe's OpenAPI judges every exchange."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest
import stripe

from pacspace_stripe.simulator.clock import WallClock
from pacspace_stripe.simulator.serve import serve
from pacspace_stripe.simulator.stripe import StripeSimulator
from tests.support.openapi import Checked, validate_event

SECRETS = ("whsec_old", "whsec_new")


@dataclass
class Receiver:
    """A webhook endpoint that keeps its requests."""

    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200)

    def of_type(self, event_type: str) -> list[httpx.Request]:
        return [request for request in self.requests if f'"type": "{event_type}"' in request.content.decode()]


@dataclass
class World:
    """A served simulator, the official client on it, and its webhook endpoint."""

    simulator: StripeSimulator
    client: stripe.StripeClient
    receiver: Receiver
    url: str


@pytest.fixture
def world() -> Iterator[World]:
    receiver = Receiver()
    simulator = StripeSimulator(WallClock(), webhook_secret=SECRETS)
    checked = Checked(simulator, raises=False)
    with (
        simulator,
        serve(receiver) as endpoint,
        serve(checked, tick=simulator.tick, control=simulator) as served,
    ):
        simulator.set_webhook(f"{endpoint.url}/webhooks/stripe")
        simulator.behaviour.payment_delay = timedelta(0)
        client = stripe.StripeClient("sk_test_simulator", base_addresses={"api": served.url})
        yield World(simulator, client, receiver, served.url)
    assert checked.problems == []
    for event in simulator.events:
        validate_event(event)


def wait_until(condition: Callable[[], object], seconds: float = 5) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def create_world(client: stripe.StripeClient, *, prices: int = 1) -> tuple[stripe.Customer, stripe.billing.Meter, str]:
    """Subscribe a customer to a meter, all through the API; the last value is the subscription's id."""
    customer = client.v1.customers.create({"name": "Ada", "email": "ada@example.com", "metadata": {"tier": "gold"}})
    meter = client.v1.billing.meters.create(
        {
            "display_name": "API calls",
            "event_name": "api_calls",
            "default_aggregation": {"formula": "sum"},
            "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
            "value_settings": {"event_payload_key": "value"},
        }
    )
    product = client.v1.products.create({"name": "API"})
    ids = [
        client.v1.prices.create(
            {
                "currency": "usd",
                "product": product.id,
                "unit_amount_decimal": Decimal("0.5"),
                "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
            }
        ).id
        for _ in range(prices)
    ]
    subscription = client.v1.subscriptions.create(
        {
            "customer": customer.id,
            "items": [{"price": price} for price in ids],
            "metadata": {"pacspace_customer_id": "acme"},
            "backdate_start_date": int(time.time()) - 3600,
            "expand": ["customer"],
        }
    )
    assert isinstance(subscription.customer, stripe.Customer)
    return customer, meter, subscription.id


def report(client: stripe.StripeClient, customer: str, value: str, seconds_ago: int = 60) -> None:
    client.v1.billing.meter_events.create(
        {
            "event_name": "api_calls",
            "payload": {"stripe_customer_id": customer, "value": value},
            "timestamp": int(time.time()) - seconds_ago,
        }
    )


def test_the_official_client_bills_usage_from_meter_event_to_payment(world: World) -> None:
    client = world.client
    customer, meter, subscription_id = create_world(client)
    report(client, customer.id, "1200.5")
    report(client, customer.id, "34.25")

    subscription = client.v1.subscriptions.retrieve(subscription_id)
    item = subscription["items"].data[0]
    assert item.price.recurring is not None
    assert item.price.recurring.meter == meter.id
    minute = item.current_period_start // 60 * 60
    summaries = client.v1.billing.meters.event_summaries.list(
        meter.id, {"customer": customer.id, "start_time": minute, "end_time": int(time.time()) // 60 * 60 + 60}
    )
    assert [Decimal(str(row.aggregated_value)) for row in summaries.data] == [Decimal("1234.75")]

    invoice_id = world.simulator.renew_now(subscription_id)
    assert invoice_id is not None
    draft = client.v1.invoices.retrieve(invoice_id)
    assert (draft.status, draft.auto_advance, draft.billing_reason) == ("draft", True, "subscription_cycle")
    assert draft.automatically_finalizes_at is not None
    assert draft.parent is not None
    assert draft.parent.subscription_details is not None
    assert draft.parent.to_dict()["subscription_details"]["metadata"] == {"pacspace_customer_id": "acme"}
    line = draft.lines.data[0]
    assert (line.quantity, line.quantity_decimal) == (1234, Decimal("1234.75"))

    held = client.v1.invoices.update(invoice_id, {"auto_advance": False})
    assert (held.auto_advance, held.automatically_finalizes_at) == (False, None)
    stamped = client.v1.invoices.update(
        invoice_id, {"footer": "proof\nroot", "metadata": {"pacspace_verdict": "matched"}}
    )
    assert stamped.footer == "proof\nroot"
    report(client, customer.id, "0.25", seconds_ago=90)

    final = client.v1.invoices.finalize_invoice(invoice_id, {"auto_advance": False})
    assert (final.status, final.number is not None, final.invoice_pdf is not None) == ("open", True, True)
    assert final.lines.data[0].quantity_decimal == Decimal(1235), "usage that came late is folded in"
    assert world.simulator.charges == []

    client.v1.invoices.update(invoice_id, {"auto_advance": True})
    wait_until(lambda: world.simulator.charges)
    assert client.v1.invoices.retrieve(invoice_id).status == "paid"


def test_webhooks_verify_with_either_secret_of_a_rotation(world: World) -> None:
    _, _, subscription_id = create_world(world.client)
    invoice_id = world.simulator.renew_now(subscription_id)
    wait_until(lambda: world.receiver.of_type("invoice.created"))

    request = world.receiver.of_type("invoice.created")[0]
    for secret in SECRETS:
        event = stripe.Webhook.construct_event(request.content, request.headers["Stripe-Signature"], secret)
        assert event.data.object.id == invoice_id
        assert event.api_version == "2026-10-28.endive"
        assert event.request is not None
        assert event.request.idempotency_key is None, "Stripe's own clock did it"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(request.content, request.headers["Stripe-Signature"], "whsec_other")


def test_an_event_names_the_idempotency_key_of_the_call_that_caused_it(world: World) -> None:
    _, _, subscription_id = create_world(world.client)
    invoice_id = str(world.simulator.renew_now(subscription_id))
    world.client.v1.invoices.update(invoice_id, {"metadata": {"a": "1"}}, {"idempotency_key": "key-1"})
    wait_until(lambda: world.receiver.of_type("invoice.updated"))

    request = world.receiver.of_type("invoice.updated")[0]
    event = stripe.Webhook.construct_event(request.content, request.headers["Stripe-Signature"], SECRETS[0])
    assert event.request is not None
    assert event.request.idempotency_key == "key-1"
    assert event.data.to_dict()["previous_attributes"] == {"metadata": {"a": None}}


def test_lines_beyond_the_first_ten_are_paged(world: World) -> None:
    customer, _, subscription_id = create_world(world.client, prices=25)
    report(world.client, customer.id, "3")
    invoice_id = str(world.simulator.renew_now(subscription_id))
    embedded = world.client.v1.invoices.retrieve(invoice_id).lines
    assert (len(embedded.data), embedded.has_more) == (10, True)
    pages = world.client.v1.invoices.line_items.list(invoice_id, {"limit": 7})
    assert [line.quantity_decimal for line in pages.auto_paging_iter()] == [Decimal(3)] * 25
    before = world.simulator.calls()["GET /v1/invoices/{id}/lines"]
    assert before == 4


def test_invoices_are_listed_newest_first_with_filters_and_cursors(world: World) -> None:
    client, simulator = world.client, world.simulator
    customer = simulator.add_customer()
    price = simulator.add_price(simulator.add_meter("gigabytes"))
    now = datetime.now(UTC)
    subscription = simulator.add_subscription(
        customer, [price], period_start=now - timedelta(days=1), period_end=now + timedelta(days=20)
    )
    months = [now - timedelta(days=30 * back) for back in range(12, 0, -1)]
    past = [simulator.add_past_invoice(subscription, start, start + timedelta(days=30)) for start in months]

    listed = client.v1.invoices.list({"limit": 5, "subscription": subscription})
    assert [invoice.id for invoice in listed.auto_paging_iter()] == past[::-1]
    since = int((months[9] + timedelta(days=30)).timestamp())
    recent = client.v1.invoices.list({"created": {"gte": since}, "status": "paid", "customer": customer})
    assert [invoice.id for invoice in recent.data] == past[:8:-1]
    assert client.v1.invoices.list({"status": "draft"}).data == []
    backwards = client.v1.invoices.list({"ending_before": past[0], "limit": 3})
    assert [invoice.id for invoice in backwards.data] == [past[3], past[2], past[1]]


def test_errors_arrive_as_the_sdk_knows_them(world: World) -> None:
    client = world.client
    with pytest.raises(stripe.InvalidRequestError) as missing:
        client.v1.invoices.retrieve("in_none")
    assert (missing.value.code, missing.value.http_status) == ("resource_missing", 404)
    assert missing.value.request_id
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        client.raw_request("post", "/v1/customers", nmae="Ada")
    assert (unknown.value.code, unknown.value.param) == ("parameter_unknown", "nmae")
    with pytest.raises(stripe.AuthenticationError):
        stripe.StripeClient("sk_test_wrong", base_addresses={"api": world.url}).v1.customers.list()
    customer = client.v1.customers.create({"name": "Ada"}, {"idempotency_key": "once"})
    assert client.v1.customers.create({"name": "Ada"}, {"idempotency_key": "once"}).id == customer.id
    with pytest.raises(stripe.IdempotencyError):
        client.v1.customers.create({"name": "Bob"}, {"idempotency_key": "once"})


def test_a_finalized_invoice_takes_metadata_and_refuses_the_rest(world: World) -> None:
    _, _, subscription_id = create_world(world.client)
    invoice_id = str(world.simulator.renew_now(subscription_id))
    world.client.v1.invoices.finalize_invoice(invoice_id, {"auto_advance": False})
    assert world.client.v1.invoices.update(invoice_id, {"metadata": {"a": "1"}}).to_dict()["metadata"] == {"a": "1"}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        world.client.v1.invoices.update(invoice_id, {"footer": "late"})
    assert (refused.value.code, refused.value.param) == ("invoice_not_editable", "footer")


@pytest.mark.parametrize(("fault", "requests"), [("429", 1), ("lock_timeout", 2), ("500", 2), ("lost_reply", 2)])
def test_the_sdk_retries_what_stripe_says_it_should(world: World, fault: str, requests: int) -> None:
    client = stripe.StripeClient("sk_test_simulator", base_addresses={"api": world.url}, max_network_retries=1)
    world.simulator.add_fault(fault, endpoint="POST /v1/customers", times=1)
    try:
        client.v1.customers.create({"name": "Ada"})
    except (stripe.RateLimitError, stripe.APIError):
        assert fault in {"429", "500"}, "a 429 is not retried; a 500 is, and replayed to the same key"
    assert world.simulator.calls()["POST /v1/customers"] == requests
    assert len(list(world.simulator.account.customers)) == (1 if fault in {"lock_timeout", "lost_reply"} else 0)
