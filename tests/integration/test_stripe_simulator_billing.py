"""Invoices of the simulated Stripe: periods, late usage, tiers and packages, and the early warning."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.stripe_worlds import APRIL, HOUR, MARCH, MAY, StripeWorld, unix

SECOND = timedelta(seconds=1)


@pytest.fixture
def world() -> Iterator[StripeWorld]:
    one = StripeWorld()
    yield one
    one.check_events()


def quantities(world: StripeWorld, invoice_id: str) -> list[str]:
    return [line["quantity_decimal"] for line in world.get(f"invoices/{invoice_id}/lines")["data"]]


def test_a_renewal_bills_the_closed_period_and_nothing_outside_it(world: StripeWorld) -> None:
    world.use("1", MARCH - SECOND)
    world.use("10.25", MARCH)
    world.use("0.5", APRIL - SECOND)
    invoice = world.get(f"invoices/{world.renewed(metadata={'pacspace_customer_id': 'acme'})}")
    world.use("1000", APRIL)

    line = invoice["lines"]["data"][0]
    assert (line["quantity"], line["quantity_decimal"], line["amount"]) == (10, "10.75", 22)
    assert line["period"] == {"start": unix(MARCH), "end": unix(APRIL)}
    assert line["parent"]["subscription_item_details"]["proration"] is False
    assert line["pricing"]["price_details"]["price"] == world.price
    assert invoice["parent"]["subscription_details"]["metadata"] == {"pacspace_customer_id": "acme"}
    assert invoice["billing_reason"] == "subscription_cycle"
    assert invoice["auto_advance"] is True
    assert invoice["automatically_finalizes_at"] == unix(APRIL + HOUR)
    assert (invoice["number"], invoice["hosted_invoice_url"], invoice["invoice_pdf"]) == (None, None, None)


def test_a_subscription_of_many_items_is_paged(world: StripeWorld) -> None:
    subscription = world.subscribe(*[world.price] * 23)
    embedded = world.get(f"subscriptions/{subscription}")["items"]
    assert (len(embedded["data"]), embedded["has_more"]) == (20, True)
    items = world.get("subscription_items", subscription=subscription, limit=100)
    assert (len(items["data"]), items["has_more"]) == (23, False)
    assert items["data"][22]["current_period_end"] == unix(APRIL)


def test_metadata_is_copied_once_from_the_subscription(world: StripeWorld) -> None:
    invoice_id = world.renewed(metadata={"a": "1"})
    subscription = world.simulator.account.invoices[invoice_id].subscription
    world.post(f"subscriptions/{subscription}", **{"metadata[a]": "2"})
    invoice = world.get(f"invoices/{invoice_id}")
    assert invoice["parent"]["subscription_details"]["metadata"] == {"a": "1"}


def test_a_draft_is_a_snapshot_and_finalization_folds_late_usage_in(world: StripeWorld) -> None:
    world.use("5")
    invoice_id = world.renewed()
    line_id = world.simulator.invoice(invoice_id)["lines"]["data"][0]["id"]
    world.use("0.125", APRIL - SECOND)
    assert quantities(world, invoice_id) == ["5"]
    world.run_until(APRIL + HOUR)
    assert quantities(world, invoice_id) == ["5.125"]
    assert world.simulator.invoice(invoice_id)["lines"]["data"][0]["id"] == line_id
    world.use("7", APRIL - SECOND)
    assert quantities(world, invoice_id) == ["5.125"]


def test_drafts_that_follow_usage_are_a_switch(world: StripeWorld) -> None:
    world.simulator.configure(draft_lines_refresh=True)
    invoice_id = world.renewed()
    world.use("3", APRIL - SECOND)
    assert quantities(world, invoice_id) == ["3"]


def test_usage_that_is_not_aggregated_yet_misses_the_draft(world: StripeWorld) -> None:
    world.run_until(APRIL - 2 * SECOND)
    world.simulator.configure(aggregation_delay=60)
    world.use("3", APRIL - 2 * SECOND)
    invoice_id = world.renewed()
    assert quantities(world, invoice_id) == ["0"]
    world.run_until(APRIL + HOUR)
    assert quantities(world, invoice_id) == ["3"]


def test_a_metered_subscription_has_no_first_invoice_and_a_licensed_one_finalizes_at_birth(world: StripeWorld) -> None:
    world.subscribe()
    assert world.simulator.invoices() == []
    licensed = world.post(
        "prices", currency="usd", unit_amount=900, **{"product_data[name]": "Seat", "recurring[interval]": "month"}
    )
    created = world.post(
        "subscriptions",
        customer=world.customer,
        **{"items[0][price]": licensed["id"], "items[0][quantity]": 3, "items[1][price]": world.price},
    )
    first = world.get(f"invoices/{created['latest_invoice']}")
    assert (first["billing_reason"], first["status"], first["amount_due"]) == ("subscription_create", "open", 2700)
    assert len(first["lines"]["data"]) == 1
    world.run_until(MARCH + HOUR)
    assert world.get(f"invoices/{first['id']}")["status"] == "paid"


def test_a_first_invoice_with_usage_is_finalized_before_anyone_sees_it(world: StripeWorld) -> None:
    world.use("4")
    world.run_until(MARCH + HOUR)
    first = world.simulator.create_first_invoice(world.subscribe(), with_usage=True)
    assert first is not None
    world.simulator.run_due()
    created = next(event for event in world.inbox.events if event["type"] == "invoice.created")
    assert created["data"]["object"]["status"] == "draft", "as it was then"
    assert world.get(f"invoices/{first}")["status"] == "open"


def test_a_threshold_bills_a_part_and_the_renewal_the_rest(world: StripeWorld) -> None:
    subscription = world.subscribe()
    middle = MARCH + timedelta(days=10)
    world.use("100", MARCH)
    world.run_until(middle)
    first = world.simulator.bill_threshold(subscription)
    world.use("7", middle)
    world.run_until(APRIL)
    second = world.simulator.invoices(billing_reason="subscription_cycle")[0]
    assert first is not None
    assert world.get(f"invoices/{first}")["billing_reason"] == "subscription_threshold"
    assert (quantities(world, first), quantities(world, second)) == (["100"], ["7"])


@pytest.mark.parametrize(
    ("periods", "first", "last"),
    [("parts", ("start", "middle"), ("middle", "end")), ("whole", ("start", "end"), ("start", "end"))],
)
def test_the_period_on_the_lines_of_a_threshold_is_a_switch(
    world: StripeWorld, periods: str, first: tuple[str, str], last: tuple[str, str]
) -> None:
    world.simulator.configure(threshold_periods=periods)
    at = {"start": MARCH, "middle": MARCH + timedelta(days=10), "end": APRIL}
    subscription = world.subscribe()
    world.use("100", MARCH)
    world.run_until(at["middle"])
    threshold = world.simulator.bill_threshold(subscription)
    world.run_until(at["middle"] + 2 * HOUR)
    world.use("5", MARCH)
    world.use("7", at["middle"])
    world.run_until(APRIL)
    renewal = world.simulator.invoices(billing_reason="subscription_cycle")[0]
    for invoice, bounds, quantity in ((threshold, first, "100"), (renewal, last, "12")):
        (line,) = world.get(f"invoices/{invoice}/lines")["data"]
        assert line["period"] == {"start": unix(at[bounds[0]]), "end": unix(at[bounds[1]])}
        assert line["quantity_decimal"] == quantity, "what came late is billed by the renewal"


def test_a_price_may_change_inside_a_period(world: StripeWorld) -> None:
    subscription, middle = world.subscribe(), datetime(2026, 3, 11, 12, 34, 56, tzinfo=MARCH.tzinfo)
    cheaper = world.simulator.add_price(world.meter, unit_amount=1)
    world.simulator.change_price(subscription, cheaper, middle)
    world.use("1", middle - SECOND)
    world.use("2", middle)
    world.run_until(APRIL + HOUR)
    lines = world.get(f"invoices/{world.simulator.invoices()[0]}/lines")["data"]
    assert [(line["period"]["start"], line["period"]["end"]) for line in lines] == [
        (unix(MARCH), unix(middle)),
        (unix(middle), unix(APRIL)),
    ]
    billed = [(line["pricing"]["price_details"]["price"], line["quantity_decimal"], line["amount"]) for line in lines]
    assert billed == [(world.price, "1", 2), (cheaper, "2", 2)]
    assert len({line["parent"]["subscription_item_details"]["subscription_item"] for line in lines}) == 1


@pytest.mark.parametrize("paid", [False, True])
def test_a_credit_note_changes_no_line(world: StripeWorld, paid: bool) -> None:  # noqa: FBT001  # a column
    world.use("100")
    invoice_id = world.renewed()
    world.run_until(APRIL + HOUR + (2 * SECOND if paid else -SECOND))
    if not paid:
        world.post(f"invoices/{invoice_id}/finalize", auto_advance="false")
    before = world.get(f"invoices/{invoice_id}")
    world.simulator.add_credit_note(invoice_id, 50)
    after = world.get(f"invoices/{invoice_id}")
    assert (before["status"], before["lines"], before["total"]) == (after["status"], after["lines"], after["total"])
    credited = (after["pre_payment_credit_notes_amount"], after["post_payment_credit_notes_amount"])
    assert credited == ((0, 50) if paid else (50, 0))
    assert after["amount_due"] == (200 if paid else 150)


def test_a_split_period_gives_a_line_per_window(world: StripeWorld) -> None:
    subscription, middle = world.subscribe(), datetime(2026, 3, 11, 12, 34, 56, tzinfo=MARCH.tzinfo)
    world.simulator.split_period(subscription, middle)
    world.use("1", middle - SECOND)
    world.use("2", middle)
    world.run_until(APRIL)
    invoice = world.simulator.invoice(world.simulator.invoices()[0])
    windows = [(line["period"]["start"], line["period"]["end"]) for line in invoice["lines"]["data"]]
    assert windows == [(unix(MARCH), unix(middle)), (unix(middle), unix(APRIL))]
    world.run_until(APRIL + HOUR)
    assert quantities(world, invoice["id"]) == ["1", "2"]


def test_a_proration_line_stays_as_it_was(world: StripeWorld) -> None:
    world.use("5")
    invoice_id = world.renewed()
    item = world.simulator.invoice(invoice_id)["lines"]["data"][0]["parent"]["subscription_item_details"]
    world.simulator.add_line(
        invoice_id, amount=-100, price=world.price, item=item["subscription_item"], quantity="2.5", proration=True
    )
    world.run_until(APRIL + HOUR)
    lines = world.get(f"invoices/{invoice_id}/lines")["data"]
    assert [line["parent"]["subscription_item_details"]["proration"] for line in lines] == [False, True]
    assert [line["quantity_decimal"] for line in lines] == ["5", "2.5"]


@pytest.mark.parametrize("fields", [{"collection_method": "send_invoice"}, {"pause": True}])
def test_sent_invoices_and_paused_subscriptions_get_no_early_warning(
    world: StripeWorld, fields: dict[str, Any]
) -> None:
    paused = fields.pop("pause", False)
    subscription = world.subscribe(**fields)
    if paused:
        world.post(f"subscriptions/{subscription}", **{"pause_collection[behavior]": "keep_as_draft"})
    world.run_until(APRIL)
    assert "invoice.upcoming" not in world.inbox.types
    invoice = world.get(f"invoices/{world.simulator.invoices()[0]}")
    assert invoice["auto_advance"] is not paused


@pytest.mark.parametrize("switches", [{}, {"upcoming_has_id": True}])
def test_the_early_warning_comes_days_before_and_has_no_id_of_an_invoice(
    world: StripeWorld, switches: dict[str, Any]
) -> None:
    world.simulator.configure(upcoming_before=timedelta(days=7), **switches)
    world.use("12")
    subscription = world.subscribe()
    world.run_until(APRIL - SECOND)
    (event,) = [event for event in world.inbox.events if event["type"] == "invoice.upcoming"]
    shown = event["data"]["object"]
    assert event["created"] == unix(APRIL - timedelta(days=7))
    assert ("id" in shown) is bool(switches)
    assert shown.get("id", "upcoming_in_").startswith("upcoming_in_")
    assert shown["parent"]["subscription_details"]["subscription"] == subscription
    assert shown["lines"]["data"][0]["quantity_decimal"] == "12"
    assert (shown["metadata"], shown["billing_reason"]) == ({}, "upcoming")
    assert world.get("invoices")["data"] == []


def test_a_period_shorter_than_the_warning_has_none(world: StripeWorld) -> None:
    world.simulator.add_subscription(
        world.customer, [world.price], period_start=MARCH, period_end=MARCH + timedelta(days=2)
    )
    world.run_until(MARCH + timedelta(days=2))
    assert "invoice.upcoming" not in world.inbox.types
    assert len(world.simulator.invoices()) == 1


def test_a_subscription_that_ends_bills_its_last_usage(world: StripeWorld) -> None:
    subscription = world.subscribe()
    world.post(f"subscriptions/{subscription}", cancel_at_period_end="true")
    world.use("9")
    world.run_until(MAY)
    assert quantities(world, world.simulator.invoices()[0]) == ["9"]
    assert len(world.simulator.invoices()) == 1
    assert world.get(f"subscriptions/{subscription}")["status"] == "canceled"


def test_months_keep_their_anchor_day() -> None:
    world = StripeWorld()
    start = datetime(2026, 3, 1, 12, 34, 56, tzinfo=MARCH.tzinfo)
    end = datetime(2026, 3, 31, 12, 34, 56, tzinfo=MARCH.tzinfo)
    world.simulator.add_subscription(world.customer, [world.price], period_start=start, period_end=end)
    world.run_until(datetime(2026, 6, 2, tzinfo=MARCH.tzinfo))
    ends = [world.simulator.invoice(one)["period_end"] for one in world.simulator.invoices()]
    assert ends == [unix(end.replace(month=month, day=day)) for month, day in ((3, 31), (4, 30), (5, 31))]


TIERS: list[dict[str, Any]] = [
    {"up_to": 100, "unit_amount": 0},
    {"up_to": 1000, "unit_amount": "2", "flat_amount": 500},
    {"unit_amount": 1},
]


@pytest.mark.parametrize(
    ("price", "behaviour", "expected"),
    [
        ({"tiers": TIERS}, {}, [("100", 0), ("900", 2300), ("234.5", 235)]),
        ({"tiers": TIERS}, {"line_per_tier": False}, [("1234.5", 2535)]),
        ({"tiers": TIERS}, {"flat_lines": True}, [("100", 0), ("900", 1800), ("234.5", 235), ("1", 500)]),
        ({"tiers": TIERS}, {"flat_lines": True, "line_per_tier": False}, [("1234.5", 2035), ("1", 500)]),
        ({"tiers": TIERS, "tiers_mode": "volume"}, {}, [("1234.5", 1235)]),
        ({"package_size": 100, "unit_amount": 300}, {}, [("1234.5", 3900)]),
        ({"package_size": 100, "unit_amount": 300}, {"bill_packages": True}, [("13", 3900)]),
        ({"package_size": 100, "unit_amount": 300, "package_round": "down"}, {}, [("1234.5", 3600)]),
    ],
)
def test_tiers_and_packages_become_their_lines(
    world: StripeWorld, price: dict[str, Any], behaviour: dict[str, Any], expected: list[tuple[str, int]]
) -> None:
    world.simulator.configure(**behaviour)
    world.use("1234.5")
    invoice_id = world.renewed(world.simulator.add_price(world.meter, **price))
    lines = world.get(f"invoices/{invoice_id}/lines")["data"]
    assert [(line["quantity_decimal"], line["amount"]) for line in lines] == expected
    world.run_until(APRIL + HOUR)
    assert world.get(f"invoices/{invoice_id}/lines")["data"] == lines


def test_tiers_are_sent_only_when_expanded(world: StripeWorld) -> None:
    price = world.simulator.add_price(world.meter, tiers=TIERS)
    assert "tiers" not in world.get(f"prices/{price}")
    expanded = world.get(f"prices/{price}", **{"expand[]": "tiers"})
    assert [tier["up_to"] for tier in expanded["tiers"]] == [100, 1000, None]


def test_volume_beyond_the_last_tier_bills_nothing(world: StripeWorld) -> None:
    world.use("11")
    price = world.simulator.add_price(world.meter, tiers=[{"up_to": 10, "unit_amount": 5}], tiers_mode="volume")
    (line,) = world.get(f"invoices/{world.renewed(price)}/lines")["data"]
    assert (line["quantity_decimal"], line["amount"]) == ("11", 0)


def test_a_negative_total_bills_as_zero(world: StripeWorld) -> None:
    world.use("-5.5")
    assert quantities(world, world.renewed()) == ["0"]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.decimals("0", "99999", places=6), max_size=20))
def test_quantities_are_the_exact_sum(values: list[Decimal]) -> None:
    world = StripeWorld()
    for value in values:
        world.use(str(value))
    line = world.simulator.invoice(world.renewed())["lines"]["data"][0]
    assert Decimal(line["quantity_decimal"]) == sum(values)
    assert line["quantity"] == int(sum(values))
