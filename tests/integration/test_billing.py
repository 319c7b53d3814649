"""Billed usage through the real gate, beyond the tables of scenarios: calls, evidence, waivers, lost events."""

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from pacspace_stripe.gate.early_warning import upcoming_job_id
from pacspace_stripe.gate.rules.state import Waiver
from pacspace_stripe.store import Store
from tests.support.worlds import PERIOD_END, PERIOD_START, START, World, world

HOUR, LATER = timedelta(hours=1), timedelta(hours=4)
SUMMARIES = "GET /v1/billing/meters/{id}/event_summaries"
TIERS: list[dict[str, Any]] = [{"up_to": 10, "unit_amount": 5}, {"up_to": None, "unit_amount": 1}]


def verdict(made: World, invoice_id: str | None = None) -> tuple[str | None, str | None]:
    memory = made.memory(invoice_id)
    return memory.verdict, memory.reason


def evidence(made: World) -> list[dict[str, Any]]:
    """Return the windows of every document about the newest invoice, oldest first."""
    links = made.app.store.chains.of_job(made.invoice_id)
    return [window for link in links for window in json.loads(link.document)["windows"]]


def packaged(made: World) -> str:
    made.stripe.configure(bill_packages=True)
    return made.stripe.add_price(made.meter, package_size=100, unit_amount=300)


def ask(made: World, path: str, **form: str) -> None:
    """Send a request to Stripe that is not the gate's."""
    headers = {"Authorization": "Bearer sk_test_simulator"}
    answer = made.stripe(httpx.Request("POST", f"http://127.0.0.1:1{path}", headers=headers, data=form))
    assert answer.status_code == 200, answer.text


# -- what it costs ----------------------------------------------------------------------------------------------------


def test_only_a_price_whose_lines_are_not_raw_usage_reads_its_meter(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        tiered = made.stripe.add_price(made.meter, tiers=TIERS)
        for customer, price in (("cus_plain", made.price), ("cus_tiered", tiered)):
            made.stripe.add_customer(customer)
            made.subscribe(customer, prices=[price])
            made.use("25", customer=customer)
        made.run(LATER)
        assert len(made.left) == 2
        # Stripe is read at first sight, after the usage settled, and when the invoice is final.
        assert made.stripe_calls().count(SUMMARIES) == 3


def test_an_early_warning_about_two_prices_on_one_meter_names_one_use(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe(prices=[made.price, made.stripe.add_price(made.meter)])
        made.use("25")
        made.stripe.send_upcoming(subscription)
        made.run(timedelta(minutes=30))
        (window,) = made.memory(upcoming_job_id(subscription, PERIOD_END)).windows
        assert (window["billed"], window["recorded"]) == ("25", "25")


def test_an_overlap_with_another_invoice_costs_a_few_requests(tmp_path: Path) -> None:
    second_end = PERIOD_END + timedelta(days=30)
    with world(tmp_path) as made:
        made.stripe.add_customer("cus_acme")
        for start, end in ((PERIOD_START, PERIOD_END), (PERIOD_END - timedelta(seconds=5), second_end)):
            made.stripe.add_subscription(
                "cus_acme", [made.price], period_start=start, period_end=end, cancel_at_period_end=True
            )
        made.use("25")
        made.run(LATER)
        alone = len(made.ledger_calls())
        made.use("7", at=PERIOD_END + HOUR)
        made.run(second_end - HOUR - made.clock.now())
        made.ledger.log.clear()
        made.run(LATER)
        assert verdict(made) == ("matched", "EXACT")
        assert len(made.left) == 2
        # An overlap costs its balance, and what is unsettled in it: its recent records and gaps.
        assert len(made.ledger_calls()) <= alone + 4


# -- what its evidence says --------------------------------------------------------------------------------------------


def test_evidence_of_packages_names_the_meters_totals(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe(prices=[packaged(made)])
        made.use("1234")
        made.run(LATER)
        assert verdict(made) == ("matched", "EXACT")
        for window in evidence(made):
            assert (window["billed"], window["lines"][0]["quantity"], window["billed_as"]) == ("1234", "13", "meter")
            assert window["meter_says"] == {"inner": "1234", "outer": "1234"}


def test_evidence_of_two_prices_names_the_price_of_each_line(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        support = made.stripe.add_price(made.meter, id="price_support")
        made.subscribe(prices=[made.price, support])
        made.use("40")
        made.run(LATER)
        decided, confirmed = evidence(made)
        assert decided["billed_as"] == confirmed["billed_as"] == "each"
        assert [line["quantity"] for line in decided["lines"]] == ["40", "40"]
        assert {line["price"].split("/")[0] for line in decided["lines"]} == {made.price, support}


def test_evidence_of_a_renewal_names_what_a_threshold_billed(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe()
        made.use("40")
        threshold = made.stripe.bill_threshold(subscription)
        made.use("2", at=START)
        made.run(LATER)
        assert verdict(made) == ("matched", "EXACT")
        window = evidence(made)[0]
        assert (window["billed"], window["already"]) == ("42", [{"invoice": threshold, "quantity": "40"}])
        assert [line["quantity"] for line in window["lines"]] == ["2"]


def test_a_proration_is_named_and_counts_for_nothing(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("40")
        made.run(HOUR + timedelta(minutes=5))
        line = made.invoice()["lines"]["data"][0]
        item = line["parent"]["subscription_item_details"]["subscription_item"]
        made.stripe.add_line(made.invoice_id, amount=-10, price=made.price, item=item, quantity="2.5", proration=True)
        made.run(LATER)
        assert verdict(made) == ("matched", "EXACT")
        assert [line.get("kind") for line in evidence(made)[0]["lines"]].count("proration") == 1
        assert made.left == {made.invoice_id}


# -- what is not known ---------------------------------------------------------------------------------------------


def test_a_line_that_no_reading_explains_is_unproven_once_it_is_final(tmp_path: Path) -> None:
    with world(tmp_path, finalize="fast") as made:
        made.stripe.configure(late_usage=False)
        made.subscribe(prices=[made.stripe.add_price(made.meter, tiers=TIERS)])
        made.use("25")
        made.run(HOUR + timedelta(minutes=5))
        made.use("3")
        made.run(LATER)
        assert verdict(made) == ("unproven", "UNKNOWN_SHAPE")
        assert "its lines add up to 25, its meter says 28" in made.memory().detail
        assert made.left == set()


def test_an_unknown_shape_can_be_waived(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        meter = made.stripe.add_meter("seats", "last")
        made.subscribe(prices=[made.stripe.add_price(meter)])
        made.bill("7", meter="seats")
        made.run(3 * HOUR)
        assert verdict(made) == ("unproven", "UNKNOWN_SHAPE")
        waiver = Waiver(reason="seats are counted by hand", by="finance", at=made.clock.now(), figures={})
        made.app.checker.check(made.invoice_id, waiver=waiver)
        made.run(LATER)
        assert made.left == {made.invoice_id}
        assert made.invoice()["metadata"]["pacspace_verdict"] == "waived"


def test_a_waiver_of_unequal_prices_lasts_while_they_stay_the_same(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.stripe.configure(late_usage=False)
        made.subscribe(prices=[made.price, made.stripe.add_price(made.meter)])
        made.use("40")
        made.run(HOUR + timedelta(minutes=5))
        made.stripe.account.invoices[made.invoice_id].lines[1].quantity = Decimal(20)
        made.run(3 * HOUR)
        assert verdict(made) == ("unproven", "UNKNOWN_SHAPE")
        assert "not the same usage for the same time" in made.memory().detail
        waiver = Waiver(reason="agreed", by="finance", at=made.clock.now(), figures={})
        made.app.checker.check(made.invoice_id, waiver=waiver)
        made.run(LATER)
        assert made.left == {made.invoice_id}


# -- thresholds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("periods", ["parts", "whole"])
def test_a_threshold_whose_draft_is_still_held_is_waited_for(tmp_path: Path, periods: str) -> None:
    with world(tmp_path) as made:
        made.stripe.configure(threshold_periods=periods)
        subscription = made.subscribe()
        made.bill("40")
        made.record("39")
        threshold = made.stripe.bill_threshold(subscription)
        assert threshold is not None
        made.use("2", at=START)
        made.run(LATER)
        assert verdict(made, threshold) == (("drifted", "OVERBILLED") if periods == "parts" else UNPROVEN)
        assert verdict(made) == ("unproven", "NOT_SETTLED")
        assert made.left == set()
        made.record("1")
        made.run(LATER)
        assert made.left == set(made.stripe.invoices())


UNPROVEN = ("unproven", "UNKNOWN_SHAPE")


def test_a_voided_threshold_leaves_a_question_open(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe()
        made.use("40")
        threshold = made.stripe.bill_threshold(subscription)
        made.run(timedelta(minutes=5))
        ask(made, f"/v1/invoices/{threshold}/finalize", auto_advance="false")
        ask(made, f"/v1/invoices/{threshold}/void")
        made.run(LATER)
        assert verdict(made) == UNPROVEN
        assert f"invoice {threshold} of the same period is void" in made.memory().detail


@pytest.mark.parametrize(("periods", "renewal"), [("parts", "2"), ("whole", "42")])
def test_a_dry_run_over_past_thresholds_matches_both(tmp_path: Path, periods: str, renewal: str) -> None:
    with world(tmp_path) as made:
        made.stripe.configure(threshold_periods=periods)
        made.stripe.account.delivers = False
        subscription = made.subscribe()
        made.use("40")
        made.stripe.bill_threshold(subscription)
        made.use("2", at=START)
        made.run(LATER)
        apart = Store(f"sqlite:///{tmp_path / 'apart.db'}", now=made.clock.now, lost_after=HOUR)
        apart.migrate()
        checker = made.app.checker.with_coverage_in(apart.coverage)
        found = [checker.preview(invoice_id) for invoice_id in reversed(made.stripe.invoices())]
        assert [(each.reason, each.windows[0]["billed"]) for each in found] == [("EXACT", renewal), ("EXACT", "40")]
        apart.close()


def test_a_renewal_that_bills_too_little_asks_for_thresholds_and_finds_none(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("38")
        made.record("40")
        made.run(2 * HOUR)
        assert verdict(made) == ("drifted", "UNDERBILLED")
        assert made.stripe_calls().count("GET /v1/invoices") <= 2


def test_the_next_period_starts_without_earlier_billing(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe()
        made.use("40")
        made.stripe.bill_threshold(subscription)
        made.run(LATER)
        made.use("5", at=PERIOD_END + HOUR)
        made.stripe.renew_now(subscription)
        made.run(LATER)
        assert verdict(made) == ("matched", "EXACT")
        (window,) = made.memory().windows
        assert (window["billed"], window["start"]) == ("5", "2026-11-01T00:00:00Z")
