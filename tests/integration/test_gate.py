"""The gate in one process, on compressed time, scenario by scenario."""

import json
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from pacspace_stripe.gate.early_warning import upcoming_job_id
from pacspace_stripe.gate.rules.state import Waiver
from pacspace_stripe.vocabulary.windows import Window
from tests.support.worlds import MIDDLE, PERIOD_END, PERIOD_START, World, world

DAY = timedelta(days=1)


def verdict(made: World) -> tuple[str | None, str | None]:
    memory = made.memory()
    return memory.verdict, memory.reason


def test_a_matched_invoice_is_stamped_finalized_and_released(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("1250")
        made.run()
        invoice = made.invoice()
        assert invoice["status"] == "paid"
        assert invoice["metadata"]["pacspace_verdict"] == "matched"
        assert invoice["metadata"]["pacspace_proof_root"] in invoice["footer"]
        assert made.left == {made.invoice_id}


def test_a_matched_invoice_takes_seven_calls_of_stripe_and_six_of_pacspace(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("1")
        made.app.stripe.price(made.price)
        made.app.stripe.meter(made.meter)
        warm = len(made.stripe_calls())
        made.run(DAY)
        calls = made.stripe_calls()[warm:]
        assert calls == [
            "GET /v1/invoices/{id}",
            "POST /v1/invoices/{id}",
            "GET /v1/invoices/{id}",
            "POST /v1/invoices/{id}",
            "POST /v1/invoices/{id}/finalize",
            "GET /v1/invoices/{id}",
            "POST /v1/invoices/{id}",
        ]
        assert len(made.ledger_calls()) <= 6


def test_failing_open_takes_four_calls_and_one_to_confirm(tmp_path: Path) -> None:
    with world(tmp_path, fail="open") as made:
        made.subscribe()
        made.use("1")
        made.app.stripe.price(made.price)
        made.app.stripe.meter(made.meter)
        warm = len(made.stripe_calls())
        made.run(3 * DAY)
        read, write = "GET /v1/invoices/{id}", "POST /v1/invoices/{id}"
        assert made.stripe_calls()[warm:] == [read, write, read, write, read]
        assert made.invoice()["status"] == "paid"
        assert made.invoice()["metadata"]["pacspace_verdict"] == "matched"
        assert made.memory().ended


def test_the_fast_policy_releases_with_the_stamp_and_confirms(tmp_path: Path) -> None:
    with world(tmp_path, finalize="fast") as made:
        made.subscribe()
        made.use("7.5")
        made.run(DAY)
        assert made.invoice()["status"] == "paid"
        assert made.invoice()["metadata"]["pacspace_usage"] == "7.5"
        assert made.memory().ended


def test_no_invoice_is_finalized_before_stripes_own_planned_time(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("1")
        made.run(timedelta(hours=1, minutes=59))
        assert made.invoice()["status"] == "draft"
        made.run(timedelta(minutes=2))
        assert made.invoice()["status"] in {"open", "paid"}


def test_an_overbilled_invoice_is_held(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("100")
        made.record("90")
        made.run(2 * DAY)
        assert made.invoice()["status"] == "draft"
        assert verdict(made) == ("drifted", "OVERBILLED")
        assert made.left == set()
        assert [kind for _, kind, _ in made.app.store.journal.audit_trail(made.invoice_id)] == [
            "hold",
            "alert:drifted:OVERBILLED",
        ]


@pytest.mark.parametrize(
    ("billed", "recorded", "reason"),
    [("0", "5", "STRIPE_MISSING"), ("5", "0", "LEDGER_MISSING"), ("5", "6", "UNDERBILLED")],
)
def test_a_drift_names_the_side_that_is_missing(tmp_path: Path, billed: str, recorded: str, reason: str) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill(billed)
        if recorded != "0":
            made.record(recorded)
        made.run(DAY)
        assert verdict(made) == ("drifted", reason)
        assert made.left == set()


def test_an_overbilled_invoice_goes_out_once_the_ledger_agrees(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("100")
        made.record("90")
        made.run(DAY)
        made.record("10")
        made.run(DAY)
        assert made.invoice()["status"] == "paid"
        assert verdict(made) == ("matched", "EXACT")
        assert made.left == {made.invoice_id}


def test_a_late_ledger_is_unproven_then_released_by_itself(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("12")
        late = made.record("12", verified=False)
        made.run(timedelta(hours=6))
        assert verdict(made) == ("unproven", "NOT_SETTLED")
        assert made.left == set()
        assert late
        made.ledger.verify_all()
        made.run(timedelta(hours=2))
        assert verdict(made) == ("matched", "EXACT")
        assert made.left == {made.invoice_id}


def test_zero_usage_is_matched_without_a_root(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.run(DAY)
        assert verdict(made) == ("matched", "ZERO")
        assert "pacspace_proof_root" not in made.invoice()["metadata"]
        assert made.invoice()["status"] == "paid"
        assert not any("checkpoint" in call for call in made.ledger_calls())


def test_an_invoice_without_metered_lines_is_left_alone(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        licensed = made.stripe.add_price(None, unit_amount=500)
        made.subscribe(prices=[licensed])
        made.run(DAY)
        assert made.invoice()["status"] == "paid"
        assert made.writes() == []
        assert made.ledger_calls() == []


def test_late_usage_at_finalization_is_caught(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("100")
        made.run(timedelta(hours=1, minutes=30))
        made.bill("7")
        made.run(DAY)
        invoice = made.invoice()
        assert invoice["status"] == "open"
        assert invoice["auto_advance"] is False
        assert invoice["metadata"]["pacspace_verdict"] == "drifted"
        assert verdict(made) == ("drifted", "CHANGED_AT_FINALIZATION")
        assert made.left == set()


def test_usage_caught_at_finalization_leaves_once_it_is_recorded(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("100")
        made.run(timedelta(hours=1, minutes=30))
        made.bill("7")
        made.run(timedelta(hours=3))
        made.record("7")
        made.run(DAY)
        assert verdict(made) == ("matched", "EXACT")
        assert made.invoice()["metadata"]["pacspace_usage"] == "107"
        assert made.left == {made.invoice_id}


def test_draft_lines_that_lag_the_meter_are_no_drift(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("100")
        made.run(timedelta(hours=1, minutes=30))
        made.use("7")
        made.run(DAY)
        assert verdict(made) == ("matched", "EXACT")
        assert made.invoice()["metadata"]["pacspace_usage"] == "107"
        assert made.invoice()["status"] == "paid"


def test_a_waived_invoice_is_stamped_as_waived(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("100")
        made.record("90")
        made.run(DAY)
        waiver = Waiver(reason="agreed by phone", by="fin", at=made.clock.now(), figures={})
        result = made.app.checker.check(made.invoice_id, waiver=waiver)
        assert result.verdict == "waived"
        made.run(DAY)
        metadata = made.invoice()["metadata"]
        assert metadata["pacspace_verdict"] == "waived"
        assert metadata["pacspace_waiver"] == "agreed by phone"
        assert metadata["pacspace_proof_root"].startswith("0x")
        assert made.left == {made.invoice_id}


def test_a_waiver_ends_when_the_billed_quantity_changes(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("100")
        made.record("90")
        made.run(timedelta(hours=1, minutes=30))
        waiver = Waiver(reason="agreed", by="fin", at=made.clock.now(), figures={})
        made.app.checker.check(made.invoice_id, waiver=waiver)
        made.bill("5")
        made.run(DAY)
        assert verdict(made) == ("drifted", "CHANGED_AT_FINALIZATION")
        assert made.memory().waiver is None
        assert made.left == set()


def test_only_our_own_hold_is_released(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("3")
        made.clock.advance_to(PERIOD_END)
        made.stripe.run_due()
        made.queue.clear()
        invoice_id = made.invoice_id
        made.stripe.set_auto_advance_by_person(invoice_id, auto_advance=False)
        made.run(3 * DAY)
        invoice = made.invoice(invoice_id)
        assert invoice["status"] == "draft"
        assert invoice["metadata"]["pacspace_verdict"] == "matched"
        assert made.left == set()


def test_a_hold_that_a_person_undoes_is_set_again(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("100")
        made.run(timedelta(hours=3))
        made.stripe.set_auto_advance_by_person(made.invoice_id, auto_advance=True)
        made.run(DAY)
        assert made.invoice()["auto_advance"] is False
        assert made.left == set()
        kinds = [kind for _, kind, _ in made.app.store.journal.audit_trail(made.invoice_id)]
        assert "alert:hold_undone" in kinds


def test_a_person_who_waits_releases_their_own_hold_and_it_is_gated_then(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("3")
        made.clock.advance_to(PERIOD_END)
        made.stripe.run_due()
        made.queue.clear()
        made.stripe.set_auto_advance_by_person(made.invoice_id, auto_advance=False)
        made.run(DAY)
        made.stripe.set_auto_advance_by_person(made.invoice_id, auto_advance=True)
        made.run(DAY)
        assert made.left == {made.invoice_id}
        assert made.invoice()["metadata"]["pacspace_verdict"] == "matched"


def test_observe_mode_reaches_the_verdict_and_writes_nothing(tmp_path: Path) -> None:
    with world(tmp_path, mode="observe") as made:
        made.subscribe()
        made.bill("100")
        made.record("90")
        made.run(3 * DAY)
        assert made.writes() == []
        assert not any("checkpoint" in call for call in made.ledger_calls())
        assert verdict(made) == ("drifted", "OVERBILLED")
        assert made.invoice()["status"] == "paid"
        assert made.memory().ended


def test_failing_open_lets_a_marked_unproven_invoice_leave_at_the_backstop(tmp_path: Path) -> None:
    with world(tmp_path, fail="open") as made:
        made.subscribe()
        made.bill("12")
        made.record("12", verified=False)
        made.run(timedelta(hours=24, minutes=30))
        assert made.invoice()["status"] == "draft"
        made.run(DAY)
        assert made.left == {made.invoice_id}
        assert made.invoice()["metadata"]["pacspace_verdict"] == "unproven"


def test_failing_open_holds_a_drifted_invoice(tmp_path: Path) -> None:
    with world(tmp_path, fail="open") as made:
        made.subscribe()
        made.bill("12")
        made.record("11")
        made.run(3 * DAY)
        assert made.invoice()["status"] == "draft"
        assert made.invoice()["auto_advance"] is False
        assert made.left == set()


def test_drift_at_upcoming_blocks_the_coming_draft_even_when_open(tmp_path: Path) -> None:
    with world(tmp_path, fail="open") as made:
        subscription = made.subscribe()
        made.bill("100")
        made.record("90")
        made.stripe.send_upcoming(subscription)
        made.settle()
        made.run(timedelta(hours=1, minutes=5))
        assert made.invoice()["auto_advance"] is False
        made.record("10")
        made.run(DAY)
        assert made.left == {made.invoice_id}
        assert made.invoice()["metadata"]["pacspace_verdict"] == "matched"


def test_upcoming_that_agrees_is_checkpointed_and_blocks_nothing(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe()
        made.use("10")
        made.stripe.send_upcoming(subscription)
        made.settle()
        [checkpoint] = made.ledger.checkpoints()
        assert made.ledger_calls().count("POST /api/v1/balance/compare") == 1
        assert made.writes() == []
        early = upcoming_job_id(subscription, PERIOD_END)
        [window] = made.memory(early).windows
        assert (window["billed"], window["recorded"], window["end"]) == ("10", "10", "2026-10-31T00:00:00Z")
        assert window["proof_root"] == checkpoint["proofRoot"]
        [(_, kind, detail)] = made.app.store.journal.audit_trail(early)
        assert kind == "early_warning"
        assert json.loads(detail)["windows"][0]["compare"]["neutral_balance"] == "-10"
        made.run(DAY)
        assert made.left == {made.invoice_id}


def test_an_existing_footer_is_kept_to_the_letter(tmp_path: Path) -> None:
    legal = "Acme Ltd.  Reg. 123\r\nVAT DE1 \n"
    with world(tmp_path) as made:
        made.subscribe(footer=legal)
        made.use("1")
        made.run(DAY)
        assert made.invoice()["footer"].startswith(legal)
        assert made.invoice()["metadata"]["pacspace_proof_root"] in made.invoice()["footer"]


def test_a_footer_without_room_is_left_as_it_was_and_the_invoice_goes(tmp_path: Path) -> None:
    legal = "x" * 4900
    with world(tmp_path) as made:
        made.subscribe(footer=legal)
        made.use("1")
        made.run(DAY)
        assert made.invoice()["footer"] == legal
        assert made.invoice()["metadata"]["pacspace_verdict"] == "matched"
        assert made.left == {made.invoice_id}
        kinds = [kind for _, kind, _ in made.app.store.journal.audit_trail(made.invoice_id)]
        assert "footer_too_long" in kinds


def test_two_windows_are_never_netted_against_each_other(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe()
        made.stripe.split_period(subscription, MIDDLE)
        made.bill("10", at=MIDDLE - DAY)
        made.bill("20", at=MIDDLE + DAY)
        made.record("20", at=MIDDLE - DAY)
        made.record("10", at=MIDDLE + DAY)
        made.run(DAY)
        assert made.memory().verdict == "drifted"
        assert {window["reason"] for window in made.memory().windows} == {"OVERBILLED", "UNDERBILLED"}
        assert made.left == set()


def test_two_windows_that_agree_are_stamped_both(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe()
        made.stripe.split_period(subscription, MIDDLE)
        made.use("10", at=MIDDLE - DAY)
        made.use("20", at=MIDDLE + DAY)
        made.run(DAY)
        metadata = made.invoice()["metadata"]
        stamped = [metadata[f"pacspace_{name}"] for name in ("usage", "usage_2", "windows")]
        assert stamped == ["10", "20", "2"]
        assert made.left == {made.invoice_id}


def test_the_account_of_the_subscriptions_metadata_is_used(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe(metadata={"pacspace_customer_id": "acme:prod"})
        made.bill("5")
        made.record("5", account="acme:prod")
        made.run(DAY)
        assert verdict(made) == ("matched", "EXACT")


def test_two_customers_on_one_ledger_account_prove_nothing(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        for customer in ("cus_a", "cus_b"):
            made.subscribe(customer, metadata={"pacspace_customer_id": "shared"})
            made.bill("5", customer=customer)
        made.record("5", account="shared")
        made.run(DAY)
        assert {made.memory(invoice_id).reason for invoice_id in made.stripe.invoices()} == {"UNMAPPED"}
        assert made.left == set()


def test_two_subscriptions_on_one_meter_are_not_billed_twice_for_one_use(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.subscribe()
        made.use("100")
        made.run(DAY)
        assert {made.memory(invoice_id).reason for invoice_id in made.stripe.invoices()} == {"UNMAPPED"}
        assert made.left == set()


def test_a_voided_invoice_frees_its_usage_for_another(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("100")
        made.run(timedelta(hours=3))
        invoice_id = made.invoice_id
        ask(made, f"/v1/invoices/{invoice_id}/finalize", auto_advance="false")
        ask(made, f"/v1/invoices/{invoice_id}/void")
        made.run(timedelta(hours=1))
        window = Window(start=PERIOD_START, end=PERIOD_END)
        assert made.app.store.coverage.overlapping_invoice("in_other", "cus_acme", window) is None


@pytest.mark.parametrize("finalize", ["strict", "fast"])
def test_a_confirmation_of_the_final_lines_is_evidence_of_its_own(tmp_path: Path, finalize: str) -> None:
    with world(tmp_path, finalize=finalize) as made:
        made.subscribe()
        made.bill("100")
        made.record("100")
        made.run(timedelta(hours=6))
        decided, confirmed = made.app.store.chains.of_job(made.invoice_id)
        first, second = json.loads(decided.document), json.loads(confirmed.document)
        assert (first["invoice_status"], first["confirms"]) == ("draft", None)
        assert second["invoice_status"] in ("open", "paid")
        assert second["confirms"] == decided.sha256 == made.invoice()["metadata"]["pacspace_evidence_sha256"]
        assert second["chain"] == {**first["chain"], "sequence": 2, "previous_sha256": decided.sha256}
        assert [line["quantity"] for line in second["windows"][0]["lines"]] == ["100"]
        told_apart = ("invoice_status", "confirms", "chain", "decided_at")
        assert {k: v for k, v in first.items() if k not in told_apart} == {
            k: v for k, v in second.items() if k not in told_apart
        }


def test_an_invoice_voided_under_our_hold_is_alerted_and_marked(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("100")
        made.record("90")
        made.run(timedelta(hours=3))
        ask(made, f"/v1/invoices/{made.invoice_id}/finalize", auto_advance="false")
        ask(made, f"/v1/invoices/{made.invoice_id}/void")
        made.run(timedelta(hours=1))
        assert "alert:void_under_hold:OVERBILLED" in kinds(made)
        said = [json.loads(link.document) for link in made.app.store.chains.of_job(made.invoice_id)]
        assert [one["invoice_status"] for one in said] == ["draft", "void"]
        assert said[-1]["decision"] == {"verdict": "drifted", "reason": "OVERBILLED"}
        assert made.invoice()["metadata"]["pacspace_verdict"] == "drifted"
        assert made.memory().ended
        assert made.memory().held is False


@pytest.mark.parametrize("endpoint", ["GET /v1/prices/{id}", "GET /v1/billing/meters/{id}"])
@pytest.mark.parametrize("fault", ["500", "429"])
def test_an_invoice_that_cannot_be_read_is_held_first(tmp_path: Path, endpoint: str, fault: str) -> None:
    with world(tmp_path) as made:
        made.stripe.add_fault(fault, endpoint=endpoint, times=40)
        made.subscribe()
        made.bill("100")
        made.record("90")
        made.run(timedelta(hours=5))
        assert made.left == set()
        assert made.invoice()["auto_advance"] is False
        made.record("10")
        made.stripe.faults.clear()
        made.run(DAY)
        assert made.left == {made.invoice_id}


def test_a_key_that_may_not_read_prices_does_not_switch_the_gate_off(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.stripe.forbid("GET /v1/prices/{id}")
        made.subscribe()
        made.bill("100")
        made.run(DAY)
        assert made.left == set()
        assert "alert:held_unread" in kinds(made)


def test_a_precautionary_hold_is_undone_when_nothing_is_metered(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        licensed = made.stripe.add_price(None, unit_amount=500)
        made.stripe.add_fault("500", endpoint="GET /v1/prices/{id}", times=3)
        made.subscribe(prices=[licensed])
        made.run(DAY)
        invoice = made.invoice()
        assert invoice["status"] == "paid"
        assert invoice["metadata"] == {}
        assert kinds(made) == ["hold", "alert:held_unread", "give_back"]


def test_a_matched_invoice_cannot_be_waived(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("5")
        made.run(timedelta(hours=1, minutes=5))
        waiver = Waiver(reason="hurry", by="fin", at=made.clock.now(), figures={})
        result = made.app.checker.check(made.invoice_id, waiver=waiver)
        assert "not waived: it is matched" in result.steps
        assert made.memory().waiver is None
        made.run(DAY)
        assert made.invoice()["metadata"]["pacspace_verdict"] == "matched"


def test_failing_closed_stops_an_open_invoice_that_it_cannot_prove(tmp_path: Path) -> None:
    with world(tmp_path, sweep="12h") as made:
        made.stripe.configure(payment_delay=timedelta(days=1))
        made.subscribe()
        made.bill("100")
        made.record("100", verified=False)
        made.stripe.set_webhook(loss=1.0)
        made.run(timedelta(hours=2, minutes=30))
        assert made.invoice()["status"] == "open"
        made.app.sweep.run()
        made.run(timedelta(hours=2))
        assert made.invoice()["auto_advance"] is False
        made.ledger.verify_all()
        made.run(2 * DAY)
        assert made.left == {made.invoice_id}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"fail": "open"}, {"PACSPACE_STRIPE_FAIL": "closed"}),
        ({"finalize": "fast"}, {"PACSPACE_STRIPE_FINALIZE": "strict"}),
    ],
)
def test_a_stricter_policy_holds_an_invoice_that_was_already_stamped(
    tmp_path: Path, before: dict[str, str], after: dict[str, str]
) -> None:
    with world(tmp_path, settle="0", **before) as made:
        made.stripe.configure(finalization_delay=timedelta(hours=6))
        made.subscribe()
        made.use("3")
        made.run(timedelta(hours=8) if "finalize" in before else timedelta(hours=2))
        assert made.invoice()["status"] == "draft"
        made.restart(**after)
        made.bill("997")
        made.run(DAY)
        assert made.left == set()
        assert made.invoice()["metadata"]["pacspace_verdict"] == "drifted"


def test_a_held_invoice_whose_metered_line_is_gone_is_not_matched(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("3")
        made.record("90")
        made.run(timedelta(hours=3))
        made.stripe.account.invoices[made.invoice_id].lines.clear()
        made.run(DAY)
        assert verdict(made) == ("unproven", "UNKNOWN_SHAPE")
        assert made.left == set()


def test_a_lasting_429_of_the_ledger_counts_as_no_answer(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("3")
        made.ledger.add_fault("cadence_limit", endpoint="*", times=100_000)
        made.run(timedelta(hours=6))
        assert verdict(made) == ("unproven", "LEDGER_UNAVAILABLE")
        assert len(made.ledger_calls()) < 300
        made.ledger.clear_faults()
        made.run(DAY)
        assert made.left == {made.invoice_id}


def ask(made: World, path: str, **form: str) -> None:
    """Send a person's own request to Stripe."""
    headers = {"Authorization": "Bearer sk_test_simulator"}
    answer = made.stripe(httpx.Request("POST", f"http://127.0.0.1:1{path}", headers=headers, data=form))
    assert answer.status_code == 200, answer.text


def test_pacspace_down_is_unproven_then_heals(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("5")
        made.ledger.add_fault("503", times=1000)
        made.run(timedelta(hours=5))
        assert verdict(made) == ("unproven", "LEDGER_UNAVAILABLE")
        made.ledger.clear_faults()
        made.run(timedelta(hours=2))
        assert made.left == {made.invoice_id}


def test_a_first_invoice_is_verified_after_the_fact_metadata_only(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe()
        made.use("5")
        made.stripe.create_first_invoice(subscription, with_usage=True)
        first = made.invoice_id
        made.run(timedelta(minutes=30))
        assert made.memory(first).verdict is not None
        assert made.invoice(first)["footer"] in (None, "")


def test_a_finished_invoice_is_not_written_again(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("5")
        made.run(DAY)
        writes, checkpoints = made.writes(), len(made.ledger.checkpoints())
        made.app.checker.check(made.invoice_id)
        made.run(DAY)
        assert made.writes() == writes
        assert len(made.ledger.checkpoints()) == checkpoints


def test_a_lost_created_event_is_found_by_the_sweep(tmp_path: Path) -> None:
    with world(tmp_path, sweep="12h") as made:
        made.subscribe()
        made.use("5")
        made.clock.advance_to(PERIOD_END)
        made.stripe.run_due()
        made.queue.clear()
        made.app.sweep.run()
        made.run(DAY)
        assert made.left == {made.invoice_id}
        assert made.invoice()["metadata"]["pacspace_verdict"] == "matched"


def kinds(made: World) -> list[str]:
    return [kind for _, kind, _ in made.app.store.journal.audit_trail(made.invoice_id)]


def test_a_release_without_effect_is_alerted(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.stripe.configure(payment_delay=timedelta(days=5))
        made.subscribe()
        made.use("5")
        made.run(timedelta(hours=2, minutes=30))
        assert "alert:release_without_effect" not in kinds(made)
        made.run(DAY)
        assert "alert:release_without_effect" in kinds(made)
        assert made.memory().ended


def test_a_mailed_invoice_is_released_and_ends(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe(collection_method="send_invoice")
        made.use("5")
        made.run(DAY)
        assert made.invoice()["status"] == "open"
        assert [mail.invoice for mail in made.stripe.mail_sent] == [made.invoice_id]
        assert made.memory().ended
        assert not any(kind.startswith("alert") for kind in kinds(made))


def test_observe_mode_reports_inherited_holds_and_does_not_touch_them(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("100")
        made.run(timedelta(hours=3))
        writes = made.writes()
        made.restart(PACSPACE_STRIPE_MODE="observe")
        made.run(DAY)
        assert made.writes() == writes
        assert "alert:inherited_hold:LEDGER_MISSING" in kinds(made)
        assert made.left == set()


def test_back_to_enforce_the_inherited_hold_is_gated_again(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("100")
        made.run(timedelta(hours=3))
        made.restart(PACSPACE_STRIPE_MODE="observe")
        made.run(DAY)
        made.record("100")
        made.restart(PACSPACE_STRIPE_MODE="enforce")
        made.run(DAY)
        assert made.left == {made.invoice_id}
        assert verdict(made) == ("matched", "EXACT")


def test_a_frozen_checkpoint_is_a_stale_root_that_only_a_waiver_releases(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.ledger.configure(late_deltas="frozen")
        made.subscribe()
        made.bill("100")
        made.record("90")
        window = Window(start=PERIOD_START, end=PERIOD_END)
        made.app.ledger.checkpoint("cus_acme", window, idempotency_key="somebody-else")
        made.record("10")
        made.run(DAY)
        assert verdict(made) == ("unproven", "ROOT_STALE")
        assert made.left == set()
        waiver = Waiver(reason="records shown to the customer", by="fin", at=made.clock.now(), figures={})
        made.app.checker.check(made.invoice_id, waiver=waiver)
        made.run(DAY)
        assert made.left == {made.invoice_id}
        assert made.invoice()["metadata"]["pacspace_verdict"] == "waived"


def test_a_checkpoint_that_commits_late_is_waited_for(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.ledger.configure(checkpoint_delay=600)
        made.subscribe()
        made.use("5")
        made.run(timedelta(hours=2, minutes=5))
        assert verdict(made) == ("unproven", "NOT_SETTLED")
        made.run(timedelta(hours=2))
        assert made.left == {made.invoice_id}


def test_a_refused_finalization_is_alerted_and_nothing_leaves(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.stripe.configure(finalization_fails=True)
        made.subscribe()
        made.use("5")
        made.run(DAY)
        assert made.left == set()
        assert any(
            kind.startswith("alert:finalization_failed") or kind == "alert:stripe_refused" for kind in kinds(made)
        )
        made.stripe.configure(finalization_fails=False)
        made.run(DAY)
        assert made.left == {made.invoice_id}


def test_a_voided_invoice_ends(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("100")
        made.run(timedelta(hours=1, minutes=30))
        made.bill("7")
        made.run(timedelta(hours=3))
        request = httpx.Request(
            "POST",
            f"http://127.0.0.1:1/v1/invoices/{made.invoice_id}/void",
            headers={"Authorization": "Bearer sk_test_simulator"},
        )
        assert made.stripe(request).status_code == 200
        made.run(timedelta(hours=2))
        assert made.memory().ended
        assert made.left == set()


def test_a_zero_invoice_is_paid_at_finalization_and_ends(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.run(DAY)
        assert made.memory().ended
        assert not any(kind.startswith("alert") for kind in kinds(made))


def test_second_precision_anchors_are_compared_exactly(tmp_path: Path) -> None:
    start, end = PERIOD_START + timedelta(seconds=56), PERIOD_END + timedelta(seconds=56)
    with world(tmp_path) as made:
        made.stripe.add_customer("cus_acme")
        made.stripe.add_subscription("cus_acme", [made.price], period_start=start, period_end=end)
        made.use("5", at=start)
        made.clock.advance_to(end - timedelta(milliseconds=1))
        made.use("7", at=end - timedelta(seconds=1))
        made.run(DAY)
        assert verdict(made) == ("matched", "EXACT")
        assert made.invoice()["metadata"]["pacspace_usage"] == "12"


def test_an_invoice_of_many_lines_is_read_whole(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe()
        for day in range(1, 30):
            made.stripe.split_period(subscription, PERIOD_START + timedelta(days=day))
            made.use("1", at=PERIOD_START + timedelta(days=day, hours=1))
        made.run(DAY)
        assert len(made.memory().windows) == 30
        assert made.memory().verdict == "matched"
        assert made.left == {made.invoice_id}
