"""No answer is no finding: a stamp outlives silent vendors, a refused key and a lost database."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from tests.integration.test_billing import TIERS
from tests.integration.test_gate import kinds
from tests.integration.test_sweep import request
from tests.support.databases import Databases
from tests.support.databases import Engine as Kind
from tests.support.pasts import Past, past
from tests.support.worlds import World

DAY = timedelta(days=1)


def ledger_down(made: World) -> None:
    made.ledger.faults.add("500")


def ledger_refuses(made: World) -> None:
    made.ledger.api_key = "pk_test_another.secret"


def ledger_times_out(made: World) -> None:
    made.ledger.faults.add("timeout")


def meters_unread(made: World) -> None:
    made.stripe.add_fault("500", endpoint="GET /v1/billing/meters/*")
    made.stripe.add_fault("500", endpoint="GET /v1/prices/*")


SILENCES = [ledger_down, ledger_refuses, ledger_times_out, meters_unread]


@pytest.fixture
def lost(tmp_path: Path, sqlite_url: str) -> Iterator[Past]:
    with past(tmp_path, database_url=sqlite_url, sweep="6h") as there:
        yield there


def answers_again(made: World) -> None:
    made.ledger.faults.clear()
    made.stripe.faults.clear()
    made.ledger.api_key = "pk_test_simulator.secret"


def touched(made: World, invoice_id: str) -> None:
    """Somebody writes a key of their own on it, which Stripe tells."""
    assert request(made, "POST", f"/v1/invoices/{invoice_id}", **{"metadata[order_id]": "7"}).status_code == 200


def by_event(made: Past, invoice_id: str) -> None:
    touched(made.world, invoice_id)
    made.world.run(DAY)


def by_sweep(made: Past, _: str) -> None:
    made.world.app.sweep.run(widely=True)
    made.world.app.drain()
    made.world.run(DAY)


def by_backfill(made: Past, _: str) -> None:
    made.backfill(apply=True)


def by_command(made: Past, invoice_id: str) -> None:
    made.world.app.checker.check(invoice_id)


WAYS = [by_event, by_sweep, by_backfill, by_command]


def stamped_by(made: Past, gone: Kind | None, databases: Databases) -> str:
    """A paid invoice with a matched stamp, which our database knows or does not know any more."""
    made.world.subscribe()
    made.world.use("100")
    made.world.run(DAY)
    invoice_id = made.world.invoice_id
    assert made.metadata(invoice_id)["pacspace_verdict"] == "matched"
    if gone:
        made.new_database(databases.new(gone))
    return invoice_id


@pytest.mark.parametrize("silence", SILENCES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("gone", [Kind.SQLITE, None], ids=["lost database", "our database"])
def test_silence_leaves_the_stamp_of_a_paid_invoice_as_it_is(
    lost: Past,
    databases: Databases,
    silence: Callable[[World], None],
    way: Callable[[Past, str], None],
    gone: Kind | None,
) -> None:
    invoice_id = stamped_by(lost, gone, databases)
    before = lost.metadata(invoice_id)
    silence(lost.world)
    way(lost, invoice_id)
    way(lost, invoice_id)
    after = lost.metadata(invoice_id)
    after.pop("order_id", None)
    assert after == before
    answers_again(lost.world)
    lost.world.run(DAY)
    lost.backfill(apply=True)
    after = lost.metadata(invoice_id)
    after.pop("order_id", None)
    assert after == before
    assert lost.world.memory(invoice_id).verdict is Verdict.MATCHED


def test_a_check_without_answers_keeps_the_verdict_and_the_stamp(lost: Past, databases: Databases) -> None:
    invoice_id = stamped_by(lost, None, databases)
    evidence = lost.metadata(invoice_id)["pacspace_evidence_sha256"]
    del lost.world.stripe.account.invoices[invoice_id].metadata["pacspace_evidence_sha256"]
    ledger_down(lost.world)
    result = lost.world.app.checker.check(invoice_id)
    assert (result.verdict, result.reason) == (Verdict.MATCHED, Reason.EXACT)
    assert evidence


def test_a_check_without_answers_about_an_unknown_stamp_is_unproven_and_names_the_stamp(
    lost: Past, databases: Databases
) -> None:
    invoice_id = stamped_by(lost, Kind.SQLITE, databases)
    ledger_down(lost.world)
    result = lost.world.app.checker.check(invoice_id)
    assert (result.verdict, result.reason) == (Verdict.UNPROVEN, Reason.LEDGER_UNAVAILABLE)
    assert result.detail.startswith("its stamp stays (matched, evidence ")


@pytest.mark.parametrize("drift", ["5", "-5"])
def test_a_drift_replaces_the_stamp_that_a_lost_database_wrote(lost: Past, databases: Databases, drift: str) -> None:
    invoice_id = stamped_by(lost, Kind.SQLITE, databases)
    lost.world.record(drift)
    lost.backfill(apply=True)
    assert lost.metadata(invoice_id)["pacspace_verdict"] == "drifted"


def test_a_held_invoice_of_a_lost_database_leaves_with_the_stamp_that_its_footer_names(
    lost: Past, databases: Databases
) -> None:
    made = lost.world
    made.subscribe()
    made.use("100")
    made.stripe.faults.add("500", endpoint="POST /v1/invoices/{id}", skip=2)
    made.run(timedelta(hours=2, minutes=1))
    invoice_id = made.invoice_id
    assert (made.invoice()["status"], made.invoice()["auto_advance"]) == ("open", False)
    named = lost.metadata(invoice_id)["pacspace_evidence_sha256"]
    assert named in made.invoice()["footer"]
    lost.new_database(databases.new(Kind.SQLITE))
    ledger_down(made)
    made.stripe.faults.clear()
    made.app.checker.check(invoice_id)
    assert (made.invoice()["status"], made.invoice()["auto_advance"]) == ("open", False)
    answers_again(made)
    made.run(DAY)
    assert made.left == {invoice_id}
    assert lost.metadata(invoice_id)["pacspace_evidence_sha256"] == named
    assert "alert:footer_outdated:EXACT" not in kinds(made)


@pytest.mark.parametrize("silence", [ledger_down, ledger_refuses, ledger_times_out])
def test_a_drift_stays_a_drift_while_pacspace_is_silent(lost: Past, silence: Callable[[World], None]) -> None:
    made = lost.world
    made.subscribe()
    made.bill("100")
    made.record("90")
    made.run(DAY)
    silence(made)
    made.run(DAY)
    assert (made.memory().verdict, made.memory().reason) == (Verdict.DRIFTED, Reason.OVERBILLED)
    assert made.memory().detail.startswith("drifted before, and nothing new is known: ")
    assert kinds(made).count("alert:drifted:OVERBILLED") == 1
    assert not any(kind.startswith("alert:unproven") for kind in kinds(made))
    answers_again(made)
    made.record("10")
    made.run(DAY)
    assert made.left == {made.invoice_id}


def test_an_invoice_that_left_with_a_drift_keeps_that_verdict(lost: Past) -> None:
    invoice_id = lost.billed("100", "90")
    lost.backfill(apply=True)
    ledger_down(lost.world)
    lost.world.app.checker.check(invoice_id)
    assert lost.world.memory(invoice_id).verdict is Verdict.DRIFTED
    assert lost.metadata(invoice_id)["pacspace_verdict"] == "drifted"


@pytest.mark.parametrize("way", WAYS)
def test_silent_meter_summaries_leave_the_stamp_of_a_tiered_invoice_as_it_is(
    lost: Past, databases: Databases, way: Callable[[Past, str], None]
) -> None:
    made = lost.world
    made.subscribe(prices=[made.stripe.add_price(made.meter, tiers=TIERS)])
    made.use("100")
    made.run(DAY)
    invoice_id, before = made.invoice_id, lost.metadata(made.invoice_id)
    assert before["pacspace_verdict"] == "matched"
    lost.new_database(databases.new(Kind.SQLITE))
    made.stripe.add_fault("500", endpoint="GET /v1/billing/meters/{id}/event_summaries")
    way(lost, invoice_id)
    after = lost.metadata(invoice_id)
    after.pop("order_id", None)
    assert after == before
    assert made.memory(invoice_id).verdict in (None, Verdict.UNPROVEN)


def test_a_held_drift_stays_one_when_a_backfill_finds_pacspace_silent(lost: Past) -> None:
    made = lost.world
    made.subscribe()
    made.bill("100")
    made.record("90")
    made.run(timedelta(hours=2))
    assert request(made, "POST", f"/v1/invoices/{made.invoice_id}/finalize", auto_advance="false").status_code == 200
    made.run(DAY)
    before = lost.metadata(made.invoice_id)
    assert before["pacspace_verdict"] == "drifted"
    ledger_down(made)
    lost.backfill(apply=True)
    assert made.memory().verdict is Verdict.DRIFTED
    assert "alert:unproven:LEDGER_UNAVAILABLE" not in kinds(made)
    answers_again(made)
    made.run(DAY)
    assert lost.metadata(made.invoice_id) == before
