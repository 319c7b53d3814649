"""Holds, their owners and the ledger account that counts: faults, crashes, people and lost databases."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from pacspace_stripe.gate.rules.state import Waiver
from tests.integration.test_gate import ask, kinds, verdict
from tests.support.worlds import PERIOD_END, PERIOD_START, World, world

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PRICES = "GET /v1/prices/{id}"


@dataclass
class Forgetful(World):
    """A world in which Stripe does not know some of its objects."""

    unknown: str | None = None
    """Part of their path."""

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.unknown and request.method == "GET" and self.unknown in request.url.path:
            error = {"code": "resource_missing", "type": "invalid_request_error", "message": "No such object"}
            return httpx.Response(404, json={"error": error})
        return super()._answer(request)


def lose_database(made: World) -> None:
    """Start with a new, empty database; the sweep finds the invoices at Stripe."""
    made.database_url = f"sqlite:///{made.folder / 'new.db'}"
    made.app.close()
    made.queue.clear()
    made.restart()
    made.app.sweep.run()


# -- whose hold it is --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "left"), [("lost_reply", True), ("500", False)])
def test_a_hold_of_ours_without_an_answer_is_distinguished_from_a_persons(
    tmp_path: Path, fault: str, *, left: bool
) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("5")
        made.stripe.add_fault(fault, endpoint="POST /v1/invoices/{id}", times=3)
        made.run(HOUR)
        if fault == "500":
            ask(made, f"/v1/invoices/{made.invoice_id}", auto_advance="false")
        assert (made.memory().held, made.memory().held_at) == (True, None)
        made.run(DAY)
        assert made.memory().held is False
        assert made.invoice()["status"] == ("paid" if left else "draft")
        assert made.invoice()["metadata"]["pacspace_verdict"] == "matched"
        assert "pacspace_hold" not in made.invoice()["metadata"]
        assert made.left == ({made.invoice_id} if left else set())


def test_our_hold_is_ours_even_when_our_database_is_lost(tmp_path: Path) -> None:
    with world(tmp_path, sweep="12h") as made:
        made.subscribe()
        made.bill("100")
        made.run(2 * HOUR)
        assert made.invoice()["metadata"]["pacspace_hold"].startswith(made.invoice_id)
        lose_database(made)
        made.record("100")
        made.run(DAY)
        assert made.left == {made.invoice_id}
        assert "pacspace_hold" not in made.invoice()["metadata"]


def test_the_sign_of_a_hold_copied_from_another_invoice_means_nothing(tmp_path: Path) -> None:
    with world(tmp_path, sweep="12h") as made:
        made.subscribe()
        made.use("5")
        made.stripe.set_webhook(lost_types=["invoice.created", "invoice.updated"])
        made.run(HOUR)
        sign = {"metadata[pacspace_hold]": "in_other since 2026-10-01T00:00:00Z"}
        ask(made, f"/v1/invoices/{made.invoice_id}", auto_advance="false", **sign)
        made.app.sweep.run()
        made.run(DAY)
        assert made.invoice()["status"] == "draft"
        assert made.left == set()


def test_a_new_database_knows_what_stripe_had_planned(tmp_path: Path) -> None:
    with world(tmp_path, sweep="12h") as made:
        made.stripe.configure(finalization_delay=DAY)
        made.subscribe()
        made.use("5")
        made.run(2 * HOUR)
        lose_database(made)
        made.run(HOUR)
        assert made.invoice()["status"] == "draft"
        made.use("7")
        made.run(DAY)
        assert made.left == {made.invoice_id}
        assert made.invoice()["metadata"]["pacspace_usage"] == "12"


def test_a_hold_is_ours_to_an_older_copy_of_the_database_too(tmp_path: Path) -> None:
    with world(tmp_path, sweep="12h") as made:
        made.restart(PACSPACE_STRIPE_MODE="observe")
        made.subscribe()
        made.bill("100")
        made.run(HOUR + MINUTE)
        assert made.memory().held is False
        made.app.close()
        with (
            closing(sqlite3.connect(tmp_path / "world.db")) as there,
            closing(sqlite3.connect(tmp_path / "copy.db")) as copy,
        ):
            there.backup(copy)
        made.restart(PACSPACE_STRIPE_MODE="enforce")
        made.run(2 * HOUR)
        assert made.memory().held
        made.database_url = f"sqlite:///{tmp_path / 'copy.db'}"
        made.app.close()
        made.queue.clear()
        made.restart()
        made.record("100")
        made.run(DAY)
        assert made.left == {made.invoice_id}


def test_an_invoice_paid_at_its_finalization_carries_no_sign(tmp_path: Path) -> None:
    with world(tmp_path, sweep="12h") as made:
        made.subscribe()
        made.run(DAY)
        assert made.invoice()["status"] == "paid"
        assert "pacspace_hold" not in made.invoice()["metadata"]
        lose_database(made)
        made.run(HOUR)
        assert not any(kind.startswith("alert") for kind in kinds(made))


def test_the_proof_has_room_before_the_sign(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("5")
        made.run(HOUR)
        ask(made, f"/v1/invoices/{made.invoice_id}", **{f"metadata[own_{number}]": "x" for number in range(47)})
        made.run(DAY)
        ours = {key for key in made.invoice()["metadata"] if key.startswith("pacspace_")}
        assert ours == {"pacspace_verdict", "pacspace_evidence_sha256", "pacspace_verify_url"}
        assert made.left == {made.invoice_id}


# -- what cannot be read is stopped ------------------------------------------------------------------------------------


def undo(made: World) -> None:
    made.stripe.set_auto_advance_by_person(made.invoice_id, auto_advance=True)


def test_an_undone_hold_is_renewed_though_its_subscription_cannot_be_read(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("100")
        made.record("90")
        made.run(2 * HOUR)
        made.stripe.add_fault("500", endpoint="GET /v1/subscriptions/{id}")
        undo(made)
        made.run(DAY)
        assert made.left == set()
        assert made.app.checker.preview(made.invoice_id).reason == "OVERBILLED"


@pytest.mark.parametrize("fault", ["500", "forbidden"])
def test_a_hold_that_never_arrived_or_was_undone_is_renewed_though_prices_cannot_be_read(
    tmp_path: Path, fault: str
) -> None:
    with world(tmp_path) as made:
        if fault == "forbidden":
            made.stripe.forbid(PRICES)
        else:
            made.stripe.add_fault(fault, endpoint=PRICES)
            made.stripe.add_fault(fault, endpoint="POST /v1/invoices/{id}", times=3)
        made.subscribe()
        made.bill("100")
        made.run(HOUR + 10 * MINUTE)
        assert made.invoice()["auto_advance"] is False
        undo(made)
        made.run(DAY)
        assert made.invoice()["auto_advance"] is False
        assert made.left == set()
        assert "alert:hold_undone" in kinds(made)


def test_failing_open_gives_an_unreadable_invoice_a_backstop_and_takes_it_back(tmp_path: Path) -> None:
    with world(tmp_path, fail="open") as made:
        licensed = made.stripe.add_price(None, unit_amount=500)
        made.stripe.add_fault("500", endpoint=PRICES)
        made.subscribe(prices=[licensed])
        made.run(HOUR + MINUTE)
        assert made.memory().backstop_at == PERIOD_END + DAY
        made.stripe.faults.clear()
        made.run(HOUR)
        assert made.left == {made.invoice_id}
        assert not [key for key in made.invoice()["metadata"] if key.startswith("pacspace_")]


def test_failing_open_a_blocked_draft_is_held_though_prices_cannot_be_read(tmp_path: Path) -> None:
    with world(tmp_path, fail="open") as made:
        subscription = made.subscribe()
        made.bill("100")
        made.stripe.send_upcoming(subscription)
        made.settle()
        made.restart()
        made.stripe.add_fault("500", endpoint=PRICES)
        made.run(DAY)
        assert made.left == set()
        assert made.memory().blocked


def test_failing_open_and_fast_a_stamp_of_a_drift_lets_nothing_go(tmp_path: Path) -> None:
    with world(tmp_path, fail="open", finalize="fast") as made:
        made.subscribe()
        made.use("100")
        made.run(HOUR + 5 * MINUTE)
        made.bill("7")
        made.run(4 * HOUR)
        assert verdict(made)[0] == "drifted"
        undo(made)
        made.run(MINUTE)
        assert made.invoice()["auto_advance"] is False


def test_one_404_ends_nothing(tmp_path: Path) -> None:
    made = Forgetful(tmp_path, unknown="/invoices/")
    made.stripe.set_webhook(lost_types=["invoice.updated", "invoice.finalized", "invoice.paid"])
    made.subscribe()
    made.bill("100")
    made.run(HOUR)
    made.unknown = None
    made.run(DAY)
    assert made.left == set()
    assert verdict(made) == ("drifted", "LEDGER_MISSING")
    made.app.close()


def test_a_draft_that_was_given_up_as_unknown_is_found_again_by_the_sweep(tmp_path: Path) -> None:
    made = Forgetful(tmp_path, {"PACSPACE_STRIPE_SWEEP": "20m"}, unknown="/invoices/")
    made.stripe.configure(finalization_delay=DAY)
    made.stripe.set_webhook(lost_types=["invoice.updated"])
    made.subscribe()
    made.bill("100")
    made.run(6 * HOUR)
    assert made.memory().ended
    made.unknown = None
    made.app.sweep.run()
    made.run(2 * DAY)
    assert made.left == set()
    assert verdict(made) == ("drifted", "LEDGER_MISSING")
    made.app.close()


@pytest.mark.parametrize("end", ["pay", "void"])
def test_an_invoice_that_a_person_ended_is_not_given_back_for_ever(tmp_path: Path, end: str) -> None:
    with world(tmp_path) as made:
        made.stripe.add_fault("500", endpoint=PRICES)
        made.subscribe(prices=[made.stripe.add_price(None, unit_amount=500)])
        made.run(HOUR + 10 * MINUTE)
        ask(made, f"/v1/invoices/{made.invoice_id}/finalize", auto_advance="false")
        ask(made, f"/v1/invoices/{made.invoice_id}/{end}")
        made.stripe.faults.clear()
        made.run(2 * HOUR)
        assert made.memory().ended
        assert "give_back" not in kinds(made)


def test_a_price_or_meter_that_is_gone_can_be_waived(tmp_path: Path) -> None:
    made = Forgetful(tmp_path, unknown="/billing/meters/")
    made.subscribe()
    made.bill("100")
    made.run(3 * HOUR)
    assert verdict(made) == ("unproven", "UNKNOWN_SHAPE")
    waiver = Waiver(reason="the meter was archived", by="finance", at=made.clock.now(), figures={})
    made.app.checker.check(made.invoice_id, waiver=waiver)
    made.run(DAY)
    assert made.left == {made.invoice_id}
    made.app.close()


# -- which ledger account counts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fail", ["closed", "open"])
def test_a_ledger_account_corrected_on_the_subscription_is_seen_by_the_draft(tmp_path: Path, fail: str) -> None:
    with world(tmp_path, fail=fail) as made:
        subscription = made.subscribe(metadata={"pacspace_customer_id": "acme-typo"})
        made.bill("10")
        made.record("10", account="acme-berlin")
        made.run(3 * HOUR)
        assert verdict(made) == ("drifted", "LEDGER_MISSING")
        ask(made, f"/v1/subscriptions/{subscription}", **{"metadata[pacspace_customer_id]": "acme-berlin"})
        assert made.app.checker.preview(made.invoice_id).windows[0]["account"] == "acme-berlin"
        made.run(DAY)
        assert made.left == {made.invoice_id}
        assert verdict(made) == ("matched", "EXACT")
        assert made.memory().windows[0]["account"] == "acme-berlin"


def test_a_subscription_moved_to_another_account_leaves_the_draft_its_own(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe(metadata={"pacspace_customer_id": "acme-old"})
        made.bill("10")
        made.record("6", account="acme-old")
        made.run(3 * HOUR)
        ask(made, f"/v1/subscriptions/{subscription}", **{"metadata[pacspace_customer_id]": "acme-new"})
        made.run(HOUR)
        assert made.memory().windows[0]["account"] == "acme-old"
        made.record("4", account="acme-old")
        made.run(DAY)
        assert made.left == {made.invoice_id}


def test_a_corrected_account_counts_whatever_the_wrong_one_shows(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe(metadata={"pacspace_customer_id": "other"})
        made.bill("10")
        made.record("10", account="other", verified=False)
        made.record("10", account="acme")
        made.run(3 * HOUR)
        assert verdict(made) == ("unproven", "NOT_SETTLED")
        ask(made, f"/v1/subscriptions/{subscription}", **{"metadata[pacspace_customer_id]": "acme"})
        made.run(DAY)
        assert made.left == {made.invoice_id}


def test_a_corrected_account_is_not_forgotten_when_the_subscription_cannot_be_read(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe(metadata={"pacspace_customer_id": "typo"})
        made.bill("10")
        made.record("6", account="acme")
        made.run(3 * HOUR)
        ask(made, f"/v1/subscriptions/{subscription}", **{"metadata[pacspace_customer_id]": "acme"})
        made.run(2 * HOUR)
        made.stripe.forbid("GET /v1/subscriptions/{id}")
        made.run(2 * HOUR)
        assert (verdict(made), made.memory().windows[0]["account"]) == (("drifted", "OVERBILLED"), "acme")
        made.record("4", account="acme")
        made.run(DAY)
        assert made.left == {made.invoice_id}


def test_a_void_without_an_event_frees_its_usage_when_it_is_billed_again(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe(collection_method="send_invoice")
        made.use("5")
        made.run(4 * HOUR)
        first = made.invoice_id
        made.stripe.set_webhook(lost_types=["invoice.voided", "invoice.updated"])
        later = PERIOD_END + 6 * HOUR
        made.stripe.add_subscription("cus_acme", [made.price], period_start=PERIOD_START, period_end=later)
        ask(made, f"/v1/invoices/{first}/void")
        made.run(DAY)
        assert made.invoice_id != first
        assert made.invoice()["status"] == "paid"


# -- what a person does too early --------------------------------------------------------------------------------------


def test_a_waiver_before_usage_has_settled_freezes_nothing(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.ledger.configure(late_deltas="frozen")
        made.subscribe()
        made.use("5")
        made.run(HOUR + 5 * MINUTE)
        waiver = Waiver(reason="too early", by="finance", at=made.clock.now(), figures={})
        assert made.app.checker.check(made.invoice_id, waiver=waiver).steps == ("not waived: it is matched",)
        assert made.ledger.checkpoints() == []
        made.use("7", at=PERIOD_END - MINUTE)
        made.run(DAY)
        assert made.left == {made.invoice_id}


def test_a_block_is_for_the_draft_of_its_period(tmp_path: Path) -> None:
    with world(tmp_path, fail="open") as made:
        subscription = made.subscribe()
        made.bill("100")
        made.stripe.send_upcoming(subscription)
        made.settle()
        threshold = made.stripe.bill_threshold(subscription)
        made.settle()
        assert made.memory(threshold).blocked is False
        made.run(HOUR + 5 * MINUTE)
        assert made.invoice_id != threshold
        assert made.memory().blocked
        assert "blocked by the early warning" in made.memory().detail


def test_an_early_warning_under_a_storm_of_429s_calms_down(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe()
        made.bill("100")
        made.ledger.add_fault("429", times=100_000)
        made.stripe.send_upcoming(subscription)
        made.run(20 * MINUTE)
        assert len(made.ledger_calls()) < 150


def test_an_invoice_voided_under_hold_waits_a_while_for_a_ledger_that_is_down(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("100")
        made.record("90")
        made.run(3 * HOUR)
        made.ledger.add_fault("503", times=100_000)
        ask(made, f"/v1/invoices/{made.invoice_id}/finalize", auto_advance="false")
        ask(made, f"/v1/invoices/{made.invoice_id}/void")
        made.run(10 * MINUTE)
        assert not made.memory().ended
        made.ledger.clear_faults()
        made.run(HOUR)
        assert made.memory().ended
        assert verdict(made) == ("drifted", "OVERBILLED")
