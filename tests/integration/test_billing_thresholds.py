"""Thresholds that billed a part of the period, while the rest looks like a draft that lags behind its meter."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pacspace_stripe.simulator.clock import ManualClock
from tests.integration.test_billing import LATER, TIERS, UNPROVEN, evidence, verdict
from tests.integration.test_kinds import Reworded
from tests.support.worlds import START, World, world


@contextlib.contextmanager
def after_a_threshold_of_october(
    folder: Path,
    mode: str = "enforce",
    **price: Any,  # noqa: ANN401 - the simulator's own
) -> Iterator[World]:
    """Make a renewal of 42, of which a threshold billed 40 before there was a webhook endpoint."""
    clock = ManualClock(datetime(2026, 10, 20, tzinfo=UTC))
    made = World(folder, {"PACSPACE_STRIPE_MODE": mode}, clock=clock)
    made.stripe.configure(threshold_periods="whole")
    subscription = made.subscribe(prices=[made.stripe.add_price(made.meter, **price)])
    made.use("40")
    made.stripe.account.delivers = False
    threshold = made.stripe.bill_threshold(subscription)
    made.run(START - made.clock.now())
    made.stripe.account.delivers = True
    made.use("2", at=START)
    made.run(timedelta(hours=12))
    assert threshold is not None
    assert made.app.store.jobs.find(threshold) is None
    yield made
    made.vouch()
    made.app.close()


@pytest.mark.parametrize("price", [{}, {"tiers": TIERS}, {"package_size": 10}], ids=["plain", "tiers", "packages"])
def test_a_threshold_billed_before_the_gate_ran_is_no_lag_of_the_draft(tmp_path: Path, price: dict[str, Any]) -> None:
    with after_a_threshold_of_october(tmp_path, **price) as made:
        assert (verdict(made), made.invoice()["status"]) == (("matched", "EXACT"), "paid")
        assert [(window["billed"], window["reason"]) for window in evidence(made)] == [("42", "EXACT")] * 2


def test_observing_finds_it_too(tmp_path: Path) -> None:
    with after_a_threshold_of_october(tmp_path, mode="observe") as made:
        assert verdict(made) == ("matched", "EXACT")
        assert {window["billed"] for window in evidence(made)} == {"42"}


def test_packages_that_a_threshold_left_over_are_not_finalized_as_a_lag(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.stripe.configure(threshold_periods="whole", bill_packages=True)
        subscription = made.subscribe(prices=[made.stripe.add_price(made.meter, package_size=10)])
        made.use("40")
        made.stripe.bill_threshold(subscription)
        made.use("2", at=START)
        made.run(LATER)
        assert made.invoice()["billing_reason"] == "subscription_cycle"
        assert (verdict(made), made.invoice()["status"]) == (UNPROVEN, "draft")
        assert "after a threshold is not documented" in made.memory().detail


@pytest.mark.parametrize("periods", ["parts", "whole"])
def test_however_many_thresholds_billed_a_period_all_of_them_count(tmp_path: Path, periods: str) -> None:
    with world(tmp_path) as made:
        made.stripe.configure(threshold_periods=periods)
        subscription = made.subscribe()
        for _ in range(23):
            made.use("40", at=made.clock.now() - timedelta(seconds=1))
            made.stripe.bill_threshold(subscription)
            made.run(timedelta(minutes=1))
        made.use("2", at=made.clock.now() - timedelta(seconds=1))
        made.run(timedelta(hours=12))
        assert {verdict(made, each) for each in made.stripe.invoices()} == {("matched", "EXACT")}
        assert (evidence(made)[0]["billed"], len(evidence(made)[0]["already"])) == ("922", 23)
        assert made.left == set(made.stripe.invoices())


def test_a_threshold_that_cannot_be_read_is_not_left_out_of_the_total(tmp_path: Path) -> None:
    made = World(tmp_path, validated=False)
    with contextlib.closing(made.app):
        subscription = made.subscribe()
        made.use("40")
        threshold = made.stripe.bill_threshold(subscription)
        assert threshold is not None
        made.run(timedelta(minutes=5))
        made.stripe.account.invoices[threshold].metadata["odd"] = 1  # type: ignore[assignment]  # not what Stripe documents
        made.bill("2", at=START)
        made.record("2", at=START)
        made.run(LATER)
        assert made.invoice()["billing_reason"] == "subscription_cycle"
        assert made.invoice_id not in made.left
        assert made.memory().held
        del made.stripe.account.invoices[threshold].metadata["odd"]
        made.run(timedelta(hours=12))
        assert (verdict(made), made.invoice()["status"]) == (("matched", "EXACT"), "paid")


@pytest.mark.parametrize("reason", ["manual", "subscription_update"])
@pytest.mark.parametrize("periods", ["parts", "whole"])
def test_the_last_invoice_of_a_period_counts_thresholds_whatever_its_billing_reason(
    tmp_path: Path, periods: str, reason: str
) -> None:
    """Stripe does not document the reason of the invoice that ``invoice_now`` makes of a cancellation."""

    def change(found: dict[str, Any]) -> None:
        if found["billing_reason"] == "subscription_cycle":
            found["billing_reason"] = reason

    made = Reworded(tmp_path, kind="invoice", change=change)
    with contextlib.closing(made):
        made.stripe.configure(threshold_periods=periods)
        subscription = made.subscribe()
        made.use("40")
        made.stripe.bill_threshold(subscription)
        made.run(timedelta(minutes=5))
        made.use("2", at=START + timedelta(minutes=1))
        made.run(timedelta(hours=12))
        assert {verdict(made, each) for each in made.stripe.invoices()} == {("matched", "EXACT")}
        assert made.left == set(made.stripe.invoices())
