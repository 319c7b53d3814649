"""Invoices that another party stops under our hold: stamped, alerted and left, whatever the policy."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from pacspace_stripe.gate.case import BackfillRequest
from pacspace_stripe.gate.rules.state import ANY_STOP, Waiver
from tests.integration.test_gate import ask, kinds, verdict
from tests.integration.test_holds import Forgetful
from tests.support.worlds import PERIOD_END, World, world

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
POLICIES: list[dict[str, str]] = [{}, {"finalize": "fast"}, {"fail": "open"}]


def delete(made: World, path: str, **params: str) -> None:
    """Send a person's own request to Stripe."""
    url, headers = f"http://127.0.0.1:1{path}", {"Authorization": "Bearer sk_test_simulator"}
    answer = made.stripe(httpx.Request("DELETE", url, headers=headers, params=params))
    assert answer.status_code == 200, answer.text


def held(made: World, **options: Any) -> str:  # noqa: ANN401 - the simulator's own
    """Hold a right invoice, ten minutes after it was made; return its subscription."""
    subscription = made.subscribe(**options)
    made.use("5")
    made.run(HOUR + 10 * MINUTE)
    return subscription


def released_by_a_person(made: World) -> None:
    waiver = Waiver(reason="the customer agreed", by="fin", at=made.clock.now(), figures={}, despite=(ANY_STOP,))
    made.app.checker.check(made.invoice_id, waiver=waiver)
    made.run(DAY)


def left_alone(made: World, kind: str) -> bool:
    """Return whether it was stamped, alerted once, and not collected."""
    told = [one for one in kinds(made) if one.startswith("alert:not_released")]
    stamped = made.invoice()["metadata"].get("pacspace_verdict") == "matched"
    return stamped and told == [f"alert:not_released:{kind}"] and made.left == set()


@pytest.mark.parametrize("policy", POLICIES)
def test_a_customer_who_canceled_is_not_charged(tmp_path: Path, policy: dict[str, str]) -> None:
    with world(tmp_path, **policy) as made:
        delete(made, f"/v1/subscriptions/{held(made)}")
        made.run(3 * DAY)
        assert left_alone(made, "canceled")
        assert (made.invoice()["status"], made.invoice()["auto_advance"]) == ("draft", False)
        assert verdict(made) == ("matched", "EXACT")
        assert "release it with a reason" in made.memory().detail


def test_a_mailed_invoice_of_a_customer_who_canceled_is_not_mailed(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        delete(made, f"/v1/subscriptions/{held(made, collection_method='send_invoice')}")
        made.run(3 * DAY)
        assert left_alone(made, "canceled")


def test_a_person_releases_a_canceled_invoice_with_a_reason(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        delete(made, f"/v1/subscriptions/{held(made)}")
        made.run(DAY)
        released_by_a_person(made)
        assert made.left == {made.invoice_id}
        assert made.invoice()["metadata"]["pacspace_verdict"] == "matched"
        noted = [detail for _, kind, detail in made.app.store.journal.audit_trail(made.invoice_id) if kind == "waive"]
        assert "although canceled" in noted[0]


@pytest.mark.parametrize("finalized", [False, True])
def test_a_backfill_charges_no_customer_who_canceled(tmp_path: Path, *, finalized: bool) -> None:
    with world(tmp_path) as made:
        subscription = held(made)
        if finalized:
            made.stripe.add_fault("500", endpoint="POST /v1/invoices/{id}", skip=1, times=50)
            made.run(HOUR)
            assert made.invoice()["status"] == "open"
        delete(made, f"/v1/subscriptions/{subscription}")
        made.stripe.faults.clear()
        made.clock.advance(2 * HOUR)
        made.queue.clear()
        made.app.checker.check(made.invoice_id, backfill=BackfillRequest(patient=False))
        assert "alert:not_released:canceled" in kinds(made)
        made.run(DAY)
        assert made.left == set()


def test_a_waiver_of_a_drift_does_not_charge_a_customer_who_canceled_since(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe()
        made.bill("100")
        made.record("90")
        made.run(HOUR + 30 * MINUTE)
        waiver = Waiver(reason="agreed", by="fin", at=made.clock.now(), figures={}, despite=(ANY_STOP,))
        made.app.checker.check(made.invoice_id, waiver=waiver)
        delete(made, f"/v1/subscriptions/{subscription}")
        made.run(DAY)
        assert made.left == set()
        assert "alert:not_released:canceled" in kinds(made)


def test_resuming_collection_in_stripe_is_a_persons_choice_and_passes_the_gate(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        delete(made, f"/v1/subscriptions/{held(made)}")
        made.run(DAY)
        made.stripe.set_auto_advance_by_person(made.invoice_id, auto_advance=True)
        made.run(DAY)
        assert made.left == {made.invoice_id}
        assert made.invoice()["metadata"]["pacspace_verdict"] == "matched"


@pytest.mark.parametrize("policy", POLICIES)
def test_the_last_invoice_of_a_subscription_that_ends_with_its_period_goes_out(
    tmp_path: Path, policy: dict[str, str]
) -> None:
    with world(tmp_path, **policy) as made:
        subscription = made.subscribe()
        made.use("5")
        ask(made, f"/v1/subscriptions/{subscription}", cancel_at_period_end="true")
        made.run(3 * DAY)
        assert made.left == {made.invoice_id}


@pytest.mark.parametrize("policy", POLICIES)
def test_the_final_invoice_of_a_cancellation_goes_out(tmp_path: Path, policy: dict[str, str]) -> None:
    with world(tmp_path, **policy) as made:
        subscription = made.subscribe()
        made.use("5")
        made.run(10 * MINUTE)
        delete(made, f"/v1/subscriptions/{subscription}", invoice_now="true")
        made.run(3 * DAY)
        assert made.left == {made.invoice_id}
        assert made.invoice()["metadata"]["pacspace_usage"] == "5"


def test_the_final_invoice_goes_out_and_the_renewal_before_it_stays(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = held(made)
        renewal = made.invoice_id
        made.use("3", at=PERIOD_END + 5 * MINUTE)
        delete(made, f"/v1/subscriptions/{subscription}", invoice_now="true")
        made.run(3 * DAY)
        assert made.left == {made.invoice_id}
        assert made.invoice(renewal)["status"] == "draft"


@pytest.mark.parametrize("policy", POLICIES[:2])
def test_a_paused_invoice_waits_for_the_end_of_the_pause(tmp_path: Path, policy: dict[str, str]) -> None:
    with world(tmp_path, **policy) as made:
        subscription = held(made)
        pause = {"pause_collection[behavior]": "keep_as_draft"}
        ask(made, f"/v1/subscriptions/{subscription}", **pause)
        made.run(2 * DAY)
        assert left_alone(made, "paused")
        ask(made, f"/v1/subscriptions/{subscription}", pause_collection="")
        made.run(DAY)
        assert made.left == {made.invoice_id}


def test_failing_open_gives_no_time_back_to_a_paused_invoice(tmp_path: Path) -> None:
    with world(tmp_path, fail="open") as made:
        subscription = made.subscribe()
        made.use("5")
        made.run(HOUR + MINUTE)
        ask(made, f"/v1/subscriptions/{subscription}", **{"pause_collection[behavior]": "keep_as_draft"})
        made.run(12 * HOUR)
        assert left_alone(made, "paused")
        assert made.invoice()["automatically_finalizes_at"] == int((PERIOD_END + DAY).timestamp())
        ask(made, f"/v1/subscriptions/{subscription}", pause_collection="")
        made.run(2 * HOUR)
        assert made.left == {made.invoice_id}


def test_nothing_is_released_for_a_subscription_that_stripe_stopped_collecting(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = held(made)
        made.stripe.set_subscription_status(subscription, "unpaid")
        made.run(DAY)
        assert left_alone(made, "not_collected")
        made.stripe.set_subscription_status(subscription, "active")
        made.run(DAY)
        assert made.left == {made.invoice_id}


def test_the_invoice_of_a_deleted_customer_stays(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        held(made)
        delete(made, "/v1/customers/cus_acme")
        made.run(DAY)
        assert left_alone(made, "canceled")


def one_off(made: World) -> None:
    """A manual invoice that bills usage, held by us."""
    made.stripe.add_customer("cus_acme", name="Acme")
    ask(made, "/v1/invoices", customer="cus_acme", auto_advance="true")
    made.stripe.add_line(made.invoice_id, amount=5, quantity=5, price=made.price)
    made.run(MINUTE)


@pytest.mark.parametrize(("deleted", "reason"), [(True, "customer_deleted"), (False, None)])
def test_a_one_off_invoice_goes_only_while_its_customer_is_there(
    tmp_path: Path, reason: str | None, *, deleted: bool
) -> None:
    with world(tmp_path) as made:
        one_off(made)
        assert made.memory().held
        if deleted:
            delete(made, "/v1/customers/cus_acme")
        made.run(DAY)
        waiver = Waiver(reason="agreed", by="fin", at=made.clock.now(), figures={})
        made.app.checker.check(made.invoice_id, waiver=waiver)
        made.run(DAY)
        assert made.left == (set() if reason else {made.invoice_id})
        assert (f"alert:not_released:{reason}" in kinds(made)) is bool(reason)


@pytest.mark.parametrize("policy", POLICIES)
def test_an_unreadable_subscription_releases_nothing(tmp_path: Path, policy: dict[str, str]) -> None:
    with world(tmp_path, **policy) as made:
        made.stripe.forbid_expanding("subscription")
        held(made)
        made.run(12 * HOUR)
        assert left_alone(made, "unknown")
        assert "rak_subscription_read" in made.memory().detail
        made.stripe.forbidden.clear()
        made.run(DAY)
        assert made.left == {made.invoice_id}


# -- people who act on the invoice itself ------------------------------------------------------------------------------


def test_an_invoice_that_a_person_finalized_to_void_it_is_not_collected(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        held(made)
        ask(made, f"/v1/invoices/{made.invoice_id}/finalize", auto_advance="false")
        made.run(DAY)
        assert left_alone(made, "finalized_by_somebody")
        ask(made, f"/v1/invoices/{made.invoice_id}/void")
        made.run(HOUR)
        assert made.memory().ended


def test_an_invoice_that_a_person_finalized_is_released_with_a_reason(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        held(made)
        ask(made, f"/v1/invoices/{made.invoice_id}/finalize", auto_advance="false")
        made.run(DAY)
        released_by_a_person(made)
        assert made.left == {made.invoice_id}


def test_an_invoice_that_a_person_finalized_to_send_it_leaves_once_it_is_proven(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("5")
        made.run(2 * HOUR + 10 * MINUTE)
        made.stripe.configure(payment_delay=HOUR)
        ask(made, f"/v1/invoices/{made.invoice_id}/finalize", auto_advance="true")
        made.run(10 * MINUTE)
        assert made.left == set()
        made.record("5")
        made.run(DAY)
        assert made.left == {made.invoice_id}


def test_a_finalization_of_unknown_origin_releases_nothing(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        held(made)
        made.stripe.forbid("GET /v1/events")
        ask(made, f"/v1/invoices/{made.invoice_id}/finalize", auto_advance="false")
        made.run(DAY)
        assert left_alone(made, "unknown")
        assert "rak_event_read" in made.memory().detail


@pytest.mark.parametrize("webhook", [{"style": "snapshot"}, {"style": "thin"}, {"style": "thin", "thin_reason": False}])
def test_a_person_who_lets_it_go_and_stops_it_again_at_once_has_stopped_it(
    tmp_path: Path, webhook: dict[str, Any]
) -> None:
    with world(tmp_path) as made:
        for name, value in webhook.items():
            setattr(made.stripe.webhook, name, value)
        held(made)
        made.stripe.set_auto_advance_by_person(made.invoice_id, auto_advance=True)
        made.stripe.set_auto_advance_by_person(made.invoice_id, auto_advance=False)
        made.run(DAY)
        assert left_alone(made, "stopped_by_somebody")
        made.stripe.set_auto_advance_by_person(made.invoice_id, auto_advance=True)
        made.run(DAY)
        assert made.left == {made.invoice_id}


def test_an_act_that_cannot_be_read_releases_nothing_until_it_can(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        held(made)
        made.stripe.forbid("GET /v1/events")
        ask(made, f"/v1/invoices/{made.invoice_id}", **{"metadata[own]": "changed"})
        made.run(DAY)
        assert left_alone(made, "unknown")
        made.stripe.forbidden.clear()
        made.run(DAY)
        assert made.left == {made.invoice_id}


def test_failing_open_alerts_about_a_stop_before_the_backstop(tmp_path: Path) -> None:
    with world(tmp_path, fail="open") as made:
        made.subscribe()
        made.use("5")
        made.run(HOUR + MINUTE)
        made.stripe.set_auto_advance_by_person(made.invoice_id, auto_advance=False)
        made.run(2 * DAY)
        assert left_alone(made, "stopped_by_somebody")


def test_a_finalization_time_that_a_person_set_is_kept(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        held(made)
        at = int((PERIOD_END + 5 * DAY).timestamp())
        later = {"auto_advance": "true", "automatically_finalizes_at": str(at)}
        ask(made, f"/v1/invoices/{made.invoice_id}", **later)
        made.run(4 * DAY)
        assert made.invoice()["status"] == "draft"
        made.run(2 * DAY)
        assert made.left == {made.invoice_id}


def test_failing_open_keeps_a_finalization_time_that_a_person_set(tmp_path: Path) -> None:
    with world(tmp_path, fail="open") as made:
        held(made)
        at = int((PERIOD_END + 5 * DAY).timestamp())
        ask(made, f"/v1/invoices/{made.invoice_id}", automatically_finalizes_at=str(at))
        made.run(DAY)
        assert made.invoice()["automatically_finalizes_at"] == at
        made.run(6 * DAY)
        assert made.left == {made.invoice_id}


def test_a_precaution_is_not_given_back_to_a_customer_who_canceled(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.stripe.add_fault("500", endpoint="GET /v1/prices/{id}")
        subscription = made.subscribe(prices=[made.stripe.add_price(None, unit_amount=500)])
        made.run(HOUR + 10 * MINUTE)
        delete(made, f"/v1/subscriptions/{subscription}")
        made.stripe.faults.clear()
        made.run(DAY)
        assert made.left == set()
        assert "alert:not_released:canceled" in kinds(made)


def around_the_hold(made: World, act: Callable[[], object], *, after: bool = False) -> None:
    """Let a person act on the draft that we read, just before or after our hold reaches Stripe."""
    answer, acted = made._at_stripe, list[object]()  # noqa: SLF001 - the way to Stripe, with a person beside it

    def ambushed(asked: httpx.Request) -> httpx.Response:
        ours = asked.method == "POST" and not acted
        if ours and not after:
            acted.append(act())
        said = answer(asked)
        if ours and after:
            acted.append(act())
        return said

    made._at_stripe = ambushed  # type: ignore[assignment]  # noqa: SLF001 - as above


def test_an_invoice_that_a_person_sends_just_before_our_hold_leaves_once_it_is_proven(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.stripe.configure(payment_delay=HOUR)
        around_the_hold(made, lambda: ask(made, f"/v1/invoices/{made.invoice_id}/finalize", auto_advance="true"))
        made.subscribe()
        made.use("5")
        made.run(DAY)
        assert made.left == {made.invoice_id}
        assert made.invoice()["metadata"]["pacspace_verdict"] == "matched"
        assert [one for one in kinds(made) if one.startswith("alert:not_released")] == []


def test_an_invoice_that_a_person_finalizes_to_void_just_before_our_hold_stays(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        around_the_hold(made, lambda: ask(made, f"/v1/invoices/{made.invoice_id}/finalize", auto_advance="false"))
        made.subscribe()
        made.use("5")
        made.run(DAY)
        assert made.left == set()
        assert "alert:not_released:finalized_by_somebody" in kinds(made)


def test_a_customer_who_cancels_in_the_second_of_the_renewal_is_not_charged(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe()
        around_the_hold(made, lambda: delete(made, f"/v1/subscriptions/{subscription}"), after=True)
        made.use("5")
        made.run(3 * DAY)
        assert left_alone(made, "canceled")


@pytest.mark.parametrize("policy", POLICIES[:2])
def test_a_customer_who_cancels_while_pacspace_is_asked_is_not_charged(tmp_path: Path, policy: dict[str, str]) -> None:
    with world(tmp_path, **policy) as made:
        path = f"/v1/subscriptions/{held(made)}"
        ledger, acted = made.ledger, list[str]()

        def slowly(asked: httpx.Request) -> httpx.Response:
            if asked.method == "POST" and not acted:
                acted.append(path)
                made.clock.advance(3)
                delete(made, path)
            return ledger(asked)

        made.ledger = slowly  # type: ignore[assignment]  # the way to PacSpace, with a customer beside it
        made.run(3 * DAY)
        assert acted
        assert left_alone(made, "canceled")


# -- what is over ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("heard", [True, False])
def test_a_deleted_draft_ends(tmp_path: Path, *, heard: bool) -> None:
    with world(tmp_path) as made:
        one_off(made)
        deleted = made.invoice_id
        if not heard:
            made.stripe.set_webhook(lost_types=["invoice.deleted"])
        delete(made, f"/v1/invoices/{deleted}")
        made.run(DAY)
        assert made.memory(deleted).ended
        assert made.memory(deleted).detail == "deleted in Stripe"
        told = [kind for _, kind, _ in made.app.store.journal.audit_trail(deleted)]
        assert "alert:held_but_gone" not in told
        assert len([call for call in made.stripe_calls() if call == "GET /v1/events"]) <= 2


def test_an_invoice_that_stripe_does_not_know_does_not_end_while_we_hold_it(tmp_path: Path) -> None:
    made = Forgetful(tmp_path)
    held(made)
    made.unknown = "/invoices/"
    made.run(DAY)
    assert not made.memory().ended
    assert "alert:held_but_gone" in kinds(made)
    made.app.close()


@pytest.mark.parametrize("policy", POLICIES)
def test_an_invoice_paid_by_credit_carries_no_sign_of_a_hold(tmp_path: Path, policy: dict[str, str]) -> None:
    with world(tmp_path, **policy) as made:
        made.stripe.add_customer("cus_acme", name="Acme", credit=100_000)
        held(made)
        made.run(2 * DAY)
        invoice = made.invoice()
        assert (invoice["status"], invoice["amount_due"]) == ("paid", 0)
        assert invoice["metadata"]["pacspace_verdict"] == "matched"
        assert "pacspace_hold" not in invoice["metadata"]
        assert made.memory().ended


def test_a_voided_invoice_that_was_right_carries_no_sign_of_a_hold(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        held(made)
        ask(made, f"/v1/invoices/{made.invoice_id}/finalize", auto_advance="false")
        ask(made, f"/v1/invoices/{made.invoice_id}/void")
        made.run(DAY)
        assert "pacspace_hold" not in made.invoice()["metadata"]
