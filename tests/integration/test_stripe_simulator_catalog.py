"""Customers, products, prices and subscriptions of the simulated Stripe, over its API."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.stripe_worlds import APRIL, HOUR, MARCH, MAY, StripeWorld, unix

DAY = timedelta(days=1)


@pytest.fixture
def world() -> Iterator[StripeWorld]:
    one = StripeWorld()
    yield one
    one.check_events()


def test_a_customer_is_updated_and_an_update_that_fails_changes_nothing(world: StripeWorld) -> None:
    path = f"customers/{world.customer}"
    updated = world.post(path, name="Grace", **{"metadata[a]": "1", "invoice_settings[footer]": "Ltd."})
    assert (updated["name"], updated["invoice_settings"]["footer"]) == ("Grace", "Ltd.")
    assert world.refused(path, name="Eve", phone="0" * 21)["param"] == "phone"
    assert world.get(path) == updated
    world.simulator.run_due()
    assert world.inbox.events[-1]["data"]["previous_attributes"]["name"] == "Ada"


def test_a_customers_footer_is_on_the_invoice(world: StripeWorld) -> None:
    world.post(f"customers/{world.customer}", **{"invoice_settings[footer]": "Registered in Delft"})
    assert world.get(f"invoices/{world.renewed()}")["footer"] == "Registered in Delft"


def test_customers_and_products_are_listed_by_their_filters(world: StripeWorld) -> None:
    other = world.post("customers", email="grace@example.com")
    assert [one["id"] for one in world.get("customers", email="grace@example.com")["data"]] == [other["id"]]
    product = world.post("products", name="Seat", id="prod_seat")
    assert world.get("products/prod_seat") == product
    assert world.refused("products", name="Seat", id="prod_seat")["code"] == "resource_already_exists"
    assert [one["id"] for one in world.get("products", **{"created[lt]": unix(MARCH)})["data"]] == []
    assert len(world.get("products", created=unix(MARCH))["data"]) == 2
    assert [one["id"] for one in world.get("prices", product="prod_seat")["data"]] == []


def test_expanding_reaches_customers_products_and_subscriptions(world: StripeWorld) -> None:
    world.subscribe()
    listed = world.http.get(
        "/v1/subscriptions?expand[]=data.customer&expand[]=data.items.data.price.product&expand[]=data.latest_invoice"
    ).json()["data"][0]
    assert listed["customer"]["name"] == "Ada"
    assert listed["items"]["data"][0]["price"]["product"]["name"] == "API calls"
    assert listed["latest_invoice"] is None
    invoice_id = world.renewed()
    path = "parent.subscription_details.subscription.latest_invoice"
    invoice = world.get(f"invoices/{invoice_id}", **{"expand[]": path})
    latest = invoice["parent"]["subscription_details"]["subscription"]["latest_invoice"]
    assert latest["id"] == invoice_id
    too_deep = "lines.data.pricing.price_details.price.product.default_price.product.default_price"
    assert world.http.get(f"/v1/invoices/{invoice_id}?expand[]={too_deep}").status_code == 400


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"customer": "cus_none"}, "customer"),
        ({"items[0][price]": "price_none"}, "items[0][price]"),
        ({"items[0][quantity]": 2}, "items[0][quantity]"),
        ({"items[0][price]": ""}, "items[0][price]"),
        ({"collection_method": "send_invoice"}, "days_until_due"),
        ({"trial_period_days": 7}, "trial_period_days"),
    ],
)
def test_bad_subscriptions_are_refused(world: StripeWorld, params: dict[str, Any], param: str) -> None:
    good = {"customer": world.customer, "items[0][price]": world.price}
    assert world.refused("subscriptions", **good | params)["param"] == param
    assert len(world.simulator.account.subscriptions) == 0


def test_a_subscription_needs_items(world: StripeWorld) -> None:
    assert world.refused("subscriptions", customer=world.customer)["param"] == "items"


@pytest.mark.parametrize(
    ("recurring", "end"),
    [
        ({"recurring[interval]": "day"}, MARCH + DAY),
        ({"recurring[interval]": "week", "recurring[interval_count]": 2}, MARCH + 14 * DAY),
        ({"recurring[interval]": "month", "recurring[interval_count]": 3}, datetime(2026, 6, 1, tzinfo=MARCH.tzinfo)),
        ({"recurring[interval]": "year"}, datetime(2027, 3, 1, tzinfo=MARCH.tzinfo)),
    ],
)
def test_a_period_is_as_long_as_the_price_says(world: StripeWorld, recurring: dict[str, Any], end: datetime) -> None:
    metered = {"recurring[usage_type]": "metered", "recurring[meter]": world.meter}
    price = world.post("prices", currency="usd", unit_amount=1, **{"product_data[name]": "x"}, **recurring | metered)
    made = world.post("subscriptions", customer=world.customer, **{"items[0][price]": price["id"]})
    assert made["items"]["data"][0]["current_period_end"] == unix(end)
    assert made["latest_invoice"] is None


def test_a_subscription_can_start_in_the_past_and_be_anchored(world: StripeWorld) -> None:
    item = {"items[0][price]": world.price}
    past = world.post("subscriptions", customer=world.customer, backdate_start_date=unix(MARCH - 40 * DAY), **item)[
        "items"
    ]["data"][0]
    assert past["current_period_start"] <= unix(MARCH) < past["current_period_end"]
    anchored = world.post(
        "subscriptions", customer=world.customer, billing_cycle_anchor=unix(MARCH + 10 * DAY), **item
    )["items"]["data"][0]
    assert anchored["current_period_end"] == unix(MARCH + 10 * DAY)


def test_a_classic_subscription_gets_a_first_invoice_of_zero(world: StripeWorld) -> None:
    world.use("5")
    made = world.post(
        "subscriptions", customer=world.customer, **{"items[0][price]": world.price, "billing_mode[type]": "classic"}
    )
    first = world.get(f"invoices/{made['latest_invoice']}")
    assert (first["status"], first["total"], first["lines"]["data"][0]["quantity"]) == ("paid", 0, 0)


def test_a_sent_first_invoice_is_a_draft_for_an_hour(world: StripeWorld) -> None:
    seat = world.post(
        "prices", currency="usd", unit_amount=900, **{"product_data[name]": "Seat", "recurring[interval]": "month"}
    )
    made = world.post(
        "subscriptions",
        customer=world.customer,
        collection_method="send_invoice",
        days_until_due=30,
        **{"items[0][price]": seat["id"]},
    )
    first = world.get(f"invoices/{made['latest_invoice']}")
    assert (first["status"], first["automatically_finalizes_at"]) == ("draft", unix(MARCH + HOUR))


def test_a_subscriptions_own_footer_and_description_reach_its_invoices(world: StripeWorld) -> None:
    subscription = world.subscribe()
    settings = {"invoice_settings[footer]": "Thank you"}
    world.post(f"subscriptions/{subscription}", description="Usage plan", **settings)
    world.run_until(APRIL)
    invoice = world.get(f"invoices/{world.simulator.invoices()[0]}")
    assert (invoice["footer"], invoice["description"]) == ("Thank you", "Usage plan")


def test_a_cancelled_subscription_renews_no_more(world: StripeWorld) -> None:
    subscription = world.subscribe()
    cancelled = world.http.delete(f"/v1/subscriptions/{subscription}").json()
    assert (cancelled["status"], cancelled["ended_at"]) == ("canceled", unix(MARCH))
    assert world.http.delete(f"/v1/subscriptions/{subscription}").json() == cancelled
    world.run_until(MAY)
    assert world.simulator.invoices() == []
    assert "canceled" in world.refused(f"subscriptions/{subscription}", description="again")["message"]
    assert world.post(f"subscriptions/{subscription}", **{"metadata[a]": "1"})["metadata"] == {"a": "1"}


def test_subscriptions_are_listed_by_their_filters(world: StripeWorld) -> None:
    first, second = world.subscribe(), world.subscribe(collection_method="send_invoice")
    other = world.simulator.add_price(world.meter)
    third = world.subscribe(other)
    world.http.delete(f"/v1/subscriptions/{third}")

    def ids(**params: Any) -> list[str]:  # noqa: ANN401 - any parameter
        return [one["id"] for one in world.get("subscriptions", **params)["data"]]

    assert ids() == [second, first]
    assert ids(status="all") == [third, second, first]
    assert ids(status="canceled") == ids(status="all", price=other) == [third]
    assert ids(collection_method="send_invoice") == [second]
    assert ids(customer=world.customer, limit=1) == [second]
    assert ids(**{"current_period_end[lte]": unix(APRIL)}) == [second, first]
    assert ids(**{"current_period_end[gt]": unix(APRIL)}) == []


def test_only_drafts_are_kept_when_paused(world: StripeWorld) -> None:
    error = world.refused(f"subscriptions/{world.subscribe()}", **{"pause_collection[behavior]": "void"})
    assert error["param"] == "pause_collection[behavior]"


def test_a_one_off_invoice_is_made_edited_sent_and_found_by_its_due_date(world: StripeWorld) -> None:
    made = world.post(
        "invoices",
        customer=world.customer,
        collection_method="send_invoice",
        days_until_due=10,
        subscription=world.subscribe(),
        **{"custom_fields[0][name]": "PO", "custom_fields[0][value]": "42"},
    )
    assert made["custom_fields"] == [{"name": "PO", "value": "42"}]
    path = f"invoices/{made['id']}"
    many = {f"custom_fields[{place}][{part}]": "x" for place in range(5) for part in ("name", "value")}
    assert world.refused(path, **many)["param"] == "custom_fields"
    assert world.post(path, custom_fields="")["custom_fields"] is None
    world.simulator.add_line(made["id"], amount=1500)
    sent = world.post(f"{path}/send")
    assert (sent["status"], sent["amount_due"]) == ("open", 1500)
    assert [mail.invoice for mail in world.simulator.mail_sent] == [made["id"]]
    due = {"due_date[lte]": unix(MARCH + 10 * DAY)}
    assert [one["id"] for one in world.get("invoices", **due)["data"]] == [made["id"]]
    assert world.get("invoices", **{"due_date[gt]": unix(MARCH + 10 * DAY)})["data"] == []


def test_a_one_off_invoice_can_be_planned(world: StripeWorld) -> None:
    at = MARCH + 2 * DAY
    made = world.post("invoices", customer=world.customer, auto_advance="true", automatically_finalizes_at=unix(at))
    world.run_until(at)
    assert world.get(f"invoices/{made['id']}")["status"] == "paid", "it is of nothing"


def test_only_a_sent_invoice_is_sent(world: StripeWorld) -> None:
    made = world.post("invoices", customer=world.customer)
    assert "send_invoice" in world.refused(f"invoices/{made['id']}/send")["message"]


def test_lines_are_paged_in_both_directions(world: StripeWorld) -> None:
    invoice_id = world.renewed(*[world.price] * 12)
    every = [line["id"] for line in world.get(f"invoices/{invoice_id}/lines", limit=100)["data"]]
    page = world.get(f"invoices/{invoice_id}/lines", limit=3, ending_before=every[5])
    assert ([line["id"] for line in page["data"]], page["has_more"]) == (every[2:5], True)
    unknown = world.http.get(f"/v1/invoices/{invoice_id}/lines?starting_after=il_none")
    assert unknown.status_code == 400


def test_time_in_one_leap_or_in_steps_comes_to_the_same(world: StripeWorld) -> None:
    leap = StripeWorld()
    for one in (world, leap):
        one.subscribe()
        one.subscribe(collection_method="send_invoice")
        for day in range(45):
            one.use(str(day), MARCH + day * DAY)
    world.run_until(MAY + DAY)
    leap.clock.advance_to(MAY + DAY)
    leap.simulator.run_due()
    assert [leap.simulator.invoice(one) for one in leap.simulator.invoices()] == [
        world.simulator.invoice(one) | {"webhooks_delivered_at": unix(MAY + DAY)} for one in world.simulator.invoices()
    ]
    assert leap.simulator.charges == world.simulator.charges
    assert leap.simulator.mail_sent == world.simulator.mail_sent
