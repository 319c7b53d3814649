"""Meters of the simulated Stripe: accepted events, their time of counting, and the summaries."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.support.stripe_worlds import APRIL, HOUR, MARCH, Json, StripeWorld, unix

MINUTE, SECOND, DAY = timedelta(minutes=1), timedelta(seconds=1), timedelta(days=1)


@pytest.fixture
def world() -> StripeWorld:
    return StripeWorld()


def summaries(world: StripeWorld, start: datetime, end: datetime, **params: Any) -> list[Json]:  # noqa: ANN401
    path = f"billing/meters/{world.meter}/event_summaries"
    asked = {"customer": world.customer, "start_time": unix(start), "end_time": unix(end)}
    rows: list[Json] = world.get(path, **asked, **params)["data"]
    return rows


def values(rows: list[Json]) -> list[Decimal]:
    return [Decimal(str(row["aggregated_value"])) for row in rows]


def send(world: StripeWorld, value: str, **params: Any) -> Json:  # noqa: ANN401
    payload = {"payload[stripe_customer_id]": world.customer, "payload[value]": value}
    return world.post("billing/meter_events", event_name="api_calls", **payload, **params)


def test_the_start_is_included_and_the_end_is_not(world: StripeWorld) -> None:
    for value, at in (("1", MARCH - SECOND), ("10", MARCH), ("100", MARCH + HOUR - SECOND), ("1000", MARCH + HOUR)):
        world.use(value, at)
    (row,) = summaries(world, MARCH, MARCH + HOUR)
    assert Decimal(str(row["aggregated_value"])) == 110
    assert (row["start_time"], row["end_time"], row["meter"]) == (unix(MARCH), unix(MARCH + HOUR), world.meter)


@pytest.mark.parametrize(
    ("start", "end", "params", "param"),
    [
        (MARCH + SECOND, APRIL, {}, "start_time"),
        (MARCH, APRIL + SECOND, {}, "end_time"),
        (MARCH + MINUTE, APRIL, {"value_grouping_window": "hour"}, "start_time"),
        (MARCH, APRIL + HOUR, {"value_grouping_window": "day"}, "end_time"),
        (APRIL, MARCH, {}, "end_time"),
        (MARCH, APRIL, {"value_grouping_window": "week"}, "value_grouping_window"),
        (MARCH, APRIL, {"limit": "101"}, "limit"),
    ],
)
def test_misaligned_ranges_are_refused(
    world: StripeWorld, start: datetime, end: datetime, params: dict[str, str], param: str
) -> None:
    response = world.http.get(
        f"/v1/billing/meters/{world.meter}/event_summaries",
        params={"customer": world.customer, "start_time": unix(start), "end_time": unix(end), **params},
    )
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


def test_rows_by_day_and_hour_are_paged_newest_first(world: StripeWorld) -> None:
    for day in range(12):
        world.use(str(day + 1), MARCH + day * DAY + 5 * HOUR)
    path, asked = f"billing/meters/{world.meter}/event_summaries", {"value_grouping_window": "day", "limit": 5}
    asked |= {"customer": world.customer, "start_time": unix(MARCH), "end_time": unix(APRIL)}
    page, seen = world.get(path, **asked), []
    while True:
        seen += page["data"]
        if not page["has_more"]:
            break
        page = world.get(path, **asked, starting_after=seen[-1]["id"])
    assert values(seen) == [Decimal(day) for day in range(12, 0, -1)]
    assert seen[-1]["end_time"] - seen[-1]["start_time"] == 86400
    (hour,) = summaries(world, MARCH, MARCH + DAY, value_grouping_window="hour")
    assert hour["start_time"] == unix(MARCH + 5 * HOUR)


@pytest.mark.parametrize(("switch", "rows"), [("empty", []), ("zero", [Decimal(0)])])
def test_summaries_of_a_time_without_usage_are_a_switch(world: StripeWorld, switch: str, rows: list[Decimal]) -> None:
    world.simulator.configure(summaries_of_nothing=switch)
    assert values(summaries(world, MARCH, APRIL)) == rows


@pytest.mark.parametrize(
    ("formula", "window", "total"),
    [("sum", None, "8.5"), ("count", None, "4"), ("last", None, "2.5"), ("sum", "hour", "6.5"), ("sum", "day", "2.5")],
)
def test_each_formula_and_window_has_its_sum(world: StripeWorld, formula: Any, window: Any, total: str) -> None:  # noqa: ANN401
    meter = world.simulator.add_meter("jobs", formula, event_time_window=window)
    for value, at in (("2", MARCH), ("4", MARCH + MINUTE), ("0", MARCH + HOUR), ("2.5", MARCH + 2 * HOUR)):
        world.use(value, at, "jobs")
    invoice_id = world.renewed(world.simulator.add_price(meter))
    assert world.get(f"invoices/{invoice_id}/lines")["data"][0]["quantity_decimal"] == total


def test_usage_counts_only_after_its_aggregation(world: StripeWorld) -> None:
    world.simulator.configure(aggregation_delay=60)
    send(world, "5")
    assert summaries(world, MARCH, APRIL) == []
    world.clock.advance(60)
    assert values(summaries(world, MARCH, APRIL)) == [5]


def test_customers_do_not_share_usage(world: StripeWorld) -> None:
    other = world.simulator.add_customer()
    world.simulator.record_usage(other, "api_calls", "5", MARCH)
    assert summaries(world, MARCH, APRIL) == []


def test_an_accepted_event_is_echoed(world: StripeWorld) -> None:
    event = send(world, "12.5", identifier="mine", timestamp=unix(MARCH - DAY))
    assert (event["identifier"], event["timestamp"]) == ("mine", unix(MARCH - DAY))
    assert event["payload"] == {"stripe_customer_id": world.customer, "value": "12.5"}


def test_fifteen_significant_digits_pass_and_sixteen_do_not(world: StripeWorld) -> None:
    send(world, "12345678.9012345")
    error = refused(world, value="12345678.90123456")
    assert error["code"] == "meter_event_value_too_many_digits"
    assert values(summaries(world, MARCH, APRIL)) == [Decimal("12345678.9012345")]


def refused(world: StripeWorld, value: str = "1", **params: Any) -> Json:  # noqa: ANN401
    payload = {"payload[stripe_customer_id]": world.customer, "payload[value]": value}
    return world.refused("billing/meter_events", **{"event_name": "api_calls"} | payload | params)


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"value": "ten"}, "payload[value]"),
        ({"value": "NaN"}, "payload[value]"),
        ({"timestamp": str(unix(MARCH - timedelta(days=36)))}, "timestamp"),
        ({"timestamp": str(unix(MARCH + timedelta(minutes=6)))}, "timestamp"),
        ({"event_name": "unheard_of"}, "event_name"),
        ({"identifier": "i" * 101}, "identifier"),
    ],
)
def test_bad_events_are_refused(world: StripeWorld, params: dict[str, str], param: str) -> None:
    assert refused(world, **params)["param"] == param


def test_an_identifier_is_unique_for_a_day(world: StripeWorld) -> None:
    send(world, "1", identifier="same")
    assert refused(world, identifier="same")["param"] == "identifier"
    world.clock.advance(DAY)
    send(world, "1", identifier="same")


def test_a_cancelled_event_no_longer_counts(world: StripeWorld) -> None:
    identifier = world.use("5")
    assert world.simulator.cancel_usage(identifier) is True
    assert world.simulator.cancel_usage(identifier) is False
    assert summaries(world, MARCH, APRIL) == []


def test_a_meter_is_made_listed_and_unique_by_event_name(world: StripeWorld) -> None:
    made = world.post(
        "billing/meters",
        display_name="Jobs",
        event_name="jobs",
        event_time_window="hour",
        **{"default_aggregation[formula]": "last", "value_settings[event_payload_key]": "n"},
    )
    assert (made["value_settings"], made["event_time_window"]) == ({"event_payload_key": "n"}, "hour")
    assert world.get(f"billing/meters/{made['id']}") == made
    assert {meter["id"] for meter in world.get("billing/meters", status="active")["data"]} == {made["id"], "mtr_1"}
    again: dict[str, str] = {"display_name": "Jobs", "event_name": "jobs", "default_aggregation[formula]": "sum"}
    assert world.refused("billing/meters", **again)["param"] == "event_name"


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"recurring[usage_type]": "metered"}, "recurring[meter]"),
        ({"recurring[meter]": "mtr_1"}, "recurring[meter]"),
        ({"recurring[usage_type]": "metered", "recurring[meter]": "mtr_none"}, "recurring[meter]"),
        ({"billing_scheme": "tiered"}, "billing_scheme"),
        ({"unit_amount": "1.5.0"}, "unit_amount"),
        ({"unit_amount": ""}, "unit_amount"),
    ],
)
def test_bad_prices_are_refused(world: StripeWorld, params: dict[str, str], param: str) -> None:
    good = {
        "currency": "usd",
        "unit_amount": "1",
        "product_data[name]": "API",
        "recurring[interval]": "month",
    }
    assert world.refused("prices", **good | params)["param"] == param


def test_a_tiered_price_is_made_over_the_api(world: StripeWorld) -> None:
    asked: dict[str, Any] = {
        "currency": "usd",
        "billing_scheme": "tiered",
        "tiers_mode": "graduated",
        "product_data[name]": "API",
        "recurring[interval]": "month",
        "recurring[usage_type]": "metered",
        "recurring[meter]": world.meter,
        "tiers[0][up_to]": 10,
        "tiers[0][unit_amount]": 3,
        "tiers[1][up_to]": "inf",
        "tiers[1][unit_amount_decimal]": "0.25",
        "expand[]": "tiers",
    }
    price = world.post("prices", **asked)
    assert [tier["unit_amount_decimal"] for tier in price["tiers"]] == ["3", "0.25"]
    assert price["unit_amount"] is None
