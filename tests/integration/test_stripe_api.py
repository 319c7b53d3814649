"""Our reads of Stripe: each request as Stripe's OpenAPI documents it, each answer read exactly."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import pytest
import stripe

from pacspace_stripe.errors import (
    NotFound,
)
from pacspace_stripe.stripe_api import API_VERSION
from pacspace_stripe.vocabulary.invoices import Formula, InvoiceStatus, Package, Tier, UsageType
from pacspace_stripe.vocabulary.windows import Window
from tests.support.stripe_api_world import END, START, WHOLE, ApiWorld, Pages, api_over

# Reading


def test_a_draft_is_read_in_one_call() -> None:
    world = ApiWorld()
    world.use("1250.5")
    invoice_id = world.draft()
    invoice = world.api.read_invoice(invoice_id)
    assert world.asked() == [f"GET /v1/invoices/{invoice_id}"]
    assert (invoice.status, invoice.auto_advance, invoice.billing_reason) == (
        InvoiceStatus.DRAFT,
        True,
        "subscription_cycle",
    )
    assert (invoice.customer_id, invoice.customer_name) == (world.customer, "Ann")
    assert invoice.subscription_metadata == {"pacspace_customer_id": "acme"}
    assert (invoice.created_at, invoice.automatically_finalizes_at) == (END, END + timedelta(hours=1))
    (line,) = invoice.line_items
    assert (line.price_id, line.subscription_id, line.quantity) == (world.price, world.subscription, Decimal("1250.5"))
    assert line.window == Window(start=START, end=END)


def test_all_lines_of_a_long_invoice_are_read_page_by_page() -> None:
    world = ApiWorld()
    tiers = [{"up_to": number, "unit_amount": 1} for number in range(1, 150)] + [{"up_to": None, "unit_amount": 1}]
    subscription = world.subscribe(world.stripe.add_price(world.meter, tiers=tiers))
    world.use("200")
    invoice_id = world.draft(subscription)
    invoice = world.api.read_invoice(invoice_id)
    lines = f"GET /v1/invoices/{invoice_id}/lines"
    assert world.asked() == [f"GET /v1/invoices/{invoice_id}", lines, lines]
    assert len(invoice.line_items) == 150
    assert sum((line.quantity or 0 for line in invoice.line_items), Decimal(0)) == 200


def test_every_request_names_the_pinned_version() -> None:
    world = ApiWorld()
    list(world.api.list_invoices())
    world.api.finalize_invoice(world.draft())
    assert {request.headers["Stripe-Version"] for request in world.seen} == {API_VERSION}
    assert stripe.api_version == API_VERSION  # the SDK's own pin: both move together


@pytest.mark.parametrize("aggregated", ["12.25", "0.1", "123456789.012345", "-3"])
def test_meter_usage_is_exact(aggregated: str) -> None:
    world = ApiWorld()
    world.use(aggregated)
    assert world.api.meter_usage(world.meter, world.customer, WHOLE) == Decimal(aggregated)


def test_no_usage_is_zero() -> None:
    world = ApiWorld()
    assert world.api.meter_usage(world.meter, world.customer, WHOLE) == 0
    world.stripe.behaviour.summaries_of_nothing = "zero"
    assert world.api.meter_usage(world.meter, world.customer, WHOLE) == 0


@pytest.mark.parametrize("seconds", [{"start": START}, {"end": END}, {"start": START, "end": END}])
def test_stripe_sums_whole_minutes_only(seconds: dict[str, datetime]) -> None:
    world = ApiWorld()
    window = Window(**{"start": WHOLE.start, "end": WHOLE.end} | seconds)
    with pytest.raises(ValueError, match="whole minutes"):
        world.api.meter_usage(world.meter, world.customer, window)
    assert world.asked() == []


def test_usage_by_hour_is_one_answer_for_four_days() -> None:
    world = ApiWorld()
    start = WHOLE.start.replace(hour=0, minute=0, second=0)
    for later in (0, 1.5, 1.75, 95):
        world.use("10.5", start + timedelta(hours=later))
    days = Window(start=start, end=start + timedelta(days=4))
    found = world.api.meter_usage_by_hour(world.meter, world.customer, days)
    hours = {int((at - start).total_seconds() / 3600): counted for at, counted in found.items()}
    assert hours == {0: Decimal("10.5"), 1: Decimal(21), 95: Decimal("10.5")}
    assert len(world.asked()) == 1


def test_prices_and_meters_are_read_once() -> None:
    world = ApiWorld()
    for _ in range(3):
        assert world.api.price(world.price).usage_type is UsageType.METERED
        assert world.api.meter(world.meter).event_name == "api_calls"
    assert Counter(world.asked()) == {f"GET /v1/prices/{world.price}": 1, f"GET /v1/billing/meters/{world.meter}": 1}


def test_many_threads_read_a_price_once() -> None:
    world = ApiWorld()
    with ThreadPoolExecutor(8) as pool:
        prices = set(pool.map(world.api.price, [world.price] * 40))
    assert len(prices) == 1
    assert world.asked() == [f"GET /v1/prices/{world.price}"]


def test_meters_are_listed_only_for_new_names() -> None:
    world = ApiWorld()
    world.stripe.add_meter("storage")
    before = len(world.seen)
    for _ in range(2):
        assert world.api.meters_among(frozenset({"storage", "api_calls"})) == {"storage", "api_calls"}
    assert len(world.seen) == before + 1
    world.stripe.add_meter("seats")
    assert world.api.meters_among(frozenset({"seats", "deposit"})) == {"seats"}
    assert len(world.seen) == before + 2


def test_a_failed_read_is_not_remembered() -> None:
    world = ApiWorld()
    for _ in range(2):
        with pytest.raises(NotFound):
            world.api.price("price_unknown")
    world.stripe.add_price(world.meter, id="price_unknown")
    assert world.api.price("price_unknown").meter_id == world.meter


ENDLESS = Tier(up_to=None, unit_amount=Decimal(1), flat_amount=Decimal(0))


@pytest.mark.parametrize(
    ("options", "tiers", "package", "calls"),
    [
        ({}, (), None, 1),
        ({"tiers": [{"up_to": None, "unit_amount": 1}]}, (ENDLESS,), None, 2),
        ({"package_size": 100}, (), Package(size=Decimal(100), round_up=True), 1),
    ],
)
def test_a_prices_package_and_tiers_are_read(
    options: dict[str, Any], tiers: tuple[Tier, ...], package: Package | None, calls: int
) -> None:
    world = ApiWorld()
    price = world.api.price(world.stripe.add_price(world.meter, **options))
    assert (price.tiered, price.tiers, price.package) == (bool(tiers), tiers, package)
    assert price.meter_id == world.meter
    assert len(world.stripe.log) == calls


def test_a_licensed_price_has_no_meter() -> None:
    world = ApiWorld()
    price = world.api.price(world.stripe.add_price(None, unit_amount=500))
    assert (price.usage_type, price.meter_id) == (UsageType.LICENSED, None)


@pytest.mark.parametrize("formula", ["sum", "count", "last"])
def test_a_meter_is_read_with_its_formula(formula: Literal["sum", "count", "last"]) -> None:
    world = ApiWorld()
    assert world.api.meter(world.stripe.add_meter("bytes", formula)).formula is Formula(formula)


def test_a_subscription_is_read_with_its_items() -> None:
    world = ApiWorld()
    subscription = world.api.read_subscription(world.subscription)
    assert subscription.metadata == {"pacspace_customer_id": "acme"}
    (item,) = subscription.items
    assert (item.price.meter_id, item.window) == (world.meter, Window(start=START, end=END))


def test_all_items_of_a_wide_subscription_are_read() -> None:
    world = ApiWorld()
    prices = [world.stripe.add_price(world.meter) for _ in range(25)]
    subscription = world.api.read_subscription(world.subscribe(*prices))
    assert [item.price.price_id for item in subscription.items] == prices


def test_invoices_are_listed_newest_first() -> None:
    world = ApiWorld()
    for month in range(1, 4):
        end = START - timedelta(days=month)
        world.stripe.add_past_invoice(world.subscription, end - timedelta(days=1), end)
    assert [each.created_at for each in world.api.list_invoices()] == [START - timedelta(days=day) for day in (1, 2, 3)]
    assert world.asked() == ["GET /v1/invoices"]


def test_a_long_list_is_read_page_by_page_as_it_is_needed() -> None:
    world = ApiWorld()
    draft = world.stripe.invoice(world.draft())
    pages = Pages([draft | {"id": f"in_{number}"} for number in range(230)])
    listed = api_over(pages).list_invoices(status="draft")
    assert pages.requests == []
    assert next(listed).invoice_id == "in_0"
    assert len(pages.requests) == 1
    assert [each.invoice_id for each in listed] == [f"in_{number}" for number in range(1, 230)]
    assert [request.url.params.get("starting_after") for request in pages.requests] == [None, "in_99", "in_199"]
    assert {request.url.params["status"] for request in pages.requests} == {"draft"}


def test_lists_are_narrowed_by_stripe() -> None:
    world = ApiWorld()
    other = world.subscribe(world.price)
    old = world.stripe.add_past_invoice(world.subscription, START - timedelta(days=60), START - timedelta(days=30))
    draft = world.draft()

    def listed(**wanted: Any) -> set[str]:  # noqa: ANN401  # the filters of the method under test
        return {each.invoice_id for each in world.api.list_invoices(**wanted)}

    assert draft in listed(status="draft")
    assert old not in listed(status="draft")
    mine = {each.invoice_id: each.complete for each in world.api.invoices_of_subscription(world.subscription)}
    assert mine == {draft: True, old: True}
    assert old not in {each.invoice_id for each in world.api.invoices_of_subscription(other)}
    assert old not in listed(created_since=START)
    assert draft in listed(created_since=END)
    assert listed(customer=world.stripe.add_customer()) == set()
    assert all("None" not in str(request.url) for request in world.seen)
