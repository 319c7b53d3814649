"""The backfill in one process, on both databases: outcomes of invoices of the past."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pacspace_stripe.backfill.rules.tally import ListPosition
from pacspace_stripe.errors import RemoteUnavailable
from pacspace_stripe.gate.rules.state import Waiver
from pacspace_stripe.store.tables import metadata, rates
from pacspace_stripe.vocabulary.invoices import InvoiceStatus
from pacspace_stripe.vocabulary.windows import Window
from tests.support.databases import Databases, Engine
from tests.support.pasts import MONTHS, Past, past


@pytest.fixture
def made(tmp_path: Path, database_url: str) -> Iterator[Past]:
    with past(tmp_path, database_url=database_url) as there:
        yield there


@pytest.fixture
def alone(tmp_path: Path, sqlite_url: str) -> Iterator[Past]:
    with past(tmp_path, database_url=sqlite_url) as there:
        yield there


def everything_written(made: Past) -> list[str]:
    """Return the requests that changed anything at either vendor; a comparison changes nothing."""
    ledger = [one for one in made.world.ledger_calls() if one.startswith("POST") and not one.endswith("/compare")]
    return made.world.writes() + ledger


def tables(made: Past) -> dict[str, list[sa.Row[Any]]]:
    """Return everything in our database but shares of rate limits, which a dry run takes part in too."""
    with made.world.app.store.engine.connect() as connection:
        found = {name: list(connection.execute(sa.select(table)).all()) for name, table in metadata.tables.items()}
    del found[rates.name]
    return found


def test_a_dry_run_checks_everything_and_writes_nothing(made: Past) -> None:
    matched, drifted = made.billed("100"), made.billed("100", "90", customer="cus_b")
    unproven, fixed = made.billed("7", customer="cus_c", verified=False), made.fixed()
    before = tables(made)
    found = made.backfill()
    assert tables(made) == before
    assert found.outcomes() == {
        matched: "matched",
        drifted: "drifted",
        unproven: "unproven",
        fixed: "nothing metered",
    }
    assert everything_written(made) == []
    assert (found.tally.stamped, found.tally.unchanged) == (3, 0)


def test_an_applied_backfill_stamps_metadata_and_nothing_else(made: Past) -> None:
    matched, drifted = made.billed("100"), made.billed("100", "90", customer="cus_b")
    before = {one: made.world.invoice(one) for one in (matched, drifted)}
    found = made.backfill(apply=True)
    assert found.outcomes() == {matched: "matched", drifted: "drifted"}
    assert made.metadata(matched)["pacspace_verdict"] == "matched"
    assert made.metadata(matched)["pacspace_proof_root"]
    assert made.metadata(drifted)["pacspace_verdict"] == "drifted"
    for one, was in before.items():
        assert {**made.world.invoice(one), "metadata": {}} == {**was, "metadata": {}}
    assert made.world.writes() == ["POST /v1/invoices/{id}"] * 2


def test_an_invoice_with_nothing_metered_is_not_checked(made: Past) -> None:
    fixed = made.fixed()
    made.backfill(apply=True)
    assert made.world.app.store.jobs.find(fixed) is None
    assert made.metadata(fixed) == {}
    assert [call for call in made.world.stripe_calls() if call.endswith("/invoices/{id}")] == []


def test_a_dry_run_finds_two_invoices_that_bill_the_same_usage(made: Past) -> None:
    first, second = made.billed("100"), made.billed("100", "0")
    dry = made.backfill().outcomes()
    assert sorted(dry.values()) == ["drifted", "unproven"]
    assert made.world.app.store.coverage.overlapping_invoice("in_x", "cus_acme", MONTHS[-1]) is None
    assert made.backfill(apply=True).outcomes() == dry
    assert dry.keys() == {first, second}


def test_the_settlement_ledger_can_be_backfilled(tmp_path: Path, sqlite_url: str) -> None:
    with past(tmp_path, database_url=sqlite_url, ledger="settlement") as made:
        matched, drifted = made.billed("100", "0"), made.billed("90", "0", month=MONTHS[0])
        made.world.write("100", key="usage-cus_acme-2026-09")
        made.world.write("80", key="usage-cus_acme-2026-06")
        assert made.backfill().outcomes() == {matched: "matched", drifted: "drifted"}
        made.backfill(apply=True)
        assert made.metadata(matched)["pacspace_record_key"] == "usage-cus_acme-2026-09"
        assert (made.backfill().tally.stamped, made.backfill(apply=True).tally.stamped) == (0, 0)


# -- never held ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("recorded", "verified"), [("90", True), ("100", False)], ids=["drifted", "unproven"])
def test_an_open_invoice_of_the_past_is_reported_and_never_held(made: Past, recorded: str, verified: bool) -> None:  # noqa: FBT001 - a table
    invoice_id = made.advancing(made.billed("100", recorded, status="open", verified=verified))
    made.backfill(apply=True)
    made.backfill(apply=True)
    assert made.metadata(invoice_id)["pacspace_verdict"] == made.world.memory(invoice_id).verdict != "matched"
    # nor by the next check, for an event or when it is due
    made.world.app.checker.check(invoice_id)
    made.world.run(timedelta(days=1))
    assert made.world.invoice(invoice_id)["auto_advance"]
    assert made.world.app.store.journal.audit_trail(invoice_id)
    assert "hold" not in [kind for _, kind, _ in made.world.app.store.journal.audit_trail(invoice_id)]


def test_an_invoice_that_left_just_now_is_left_to_the_gate(made: Past) -> None:
    yesterday = Window(start=datetime(2026, 9, 30, tzinfo=UTC), end=datetime(2026, 10, 31, tzinfo=UTC))
    invoice_id = made.advancing(made.billed("100", "90", month=yesterday, status="open"))
    found = made.backfill(apply=True)
    assert found.outcomes() == {invoice_id: "drifted"}
    assert made.world.invoice(invoice_id)["auto_advance"]
    made.world.run(timedelta(minutes=1))
    assert not made.world.invoice(invoice_id)["auto_advance"]


def test_a_draft_is_gated_as_by_a_webhook(made: Past) -> None:
    made.world.stripe.webhook.enabled_events = frozenset()
    made.world.subscribe()
    made.world.use("5")
    made.world.run(timedelta(hours=1, minutes=1))
    draft = made.world.invoice_id
    found = made.backfill(apply=True)
    assert found.outcomes() == {draft: "not yet judged"}
    assert not made.world.invoice(draft)["auto_advance"]
    made.world.run()
    assert made.world.left == {draft}
    assert made.metadata(draft)["pacspace_verdict"] == "matched"


def test_a_held_invoice_is_released_once_it_matches(made: Past) -> None:
    made.world.subscribe()
    made.world.bill("100")
    made.world.record("90")
    made.world.run(timedelta(days=1))
    held = made.world.invoice_id
    made.world.record("10")
    made.backfill(apply=True)
    made.world.run(timedelta(minutes=5))
    assert made.world.left == {held}


# -- once ---------------------------------------------------------------------------------------------------------


def test_a_second_backfill_neither_writes_nor_reads_stamped_invoices(made: Past) -> None:
    matched, drifted = made.billed("100"), made.billed("100", "90", customer="cus_b")
    made.backfill(apply=True)
    written, read = everything_written(made), len(made.world.stripe_calls())
    found = made.backfill(apply=True)
    assert everything_written(made) == written
    assert found.outcomes() == {matched: "matched", drifted: "drifted"}
    assert made.world.stripe_calls()[read:].count("GET /v1/invoices/{id}") == 1
    assert (found.tally.stamped, found.tally.unchanged) == (0, 2)


def test_a_matching_proof_stays_unchanged_with_an_empty_database(made: Past, databases: Databases) -> None:
    proven, zero = made.billed("100"), made.billed("0", customer="cus_zero")
    made.backfill(apply=True)
    before = {one: made.metadata(one) for one in (proven, zero)}
    assert before[zero]["pacspace_delta_count"] == "0"
    made.new_database(databases.new(Engine.SQLITE))
    written = made.world.writes()
    dry = made.backfill()
    assert (dry.tally.stamped, dry.tally.unchanged) == (0, 2)
    found = made.backfill(apply=True)
    assert found.outcomes() == {proven: "matched", zero: "matched"}
    assert made.world.writes() == written
    assert {one: made.metadata(one) for one in (proven, zero)} == before
    assert made.world.memory(proven).evidence_sha256 == before[proven]["pacspace_evidence_sha256"]
    # and the next check finds nothing to do either
    assert made.backfill(apply=True).steps(proven) == ("nothing: it says so already",)
    made.world.app.checker.check(proven)
    assert made.world.writes() == written


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pacspace_usage", "99"),
        ("pacspace_proof_root", "0x" + "0" * 64),
        ("pacspace_delta_count", "7"),
        ("pacspace_verdict", "drifted"),
        ("pacspace_evidence_sha256", "nothing"),
    ],
)
def test_a_different_proof_is_replaced_with_an_empty_database(
    alone: Past, databases: Databases, key: str, value: str
) -> None:
    invoice_id = alone.billed("100")
    alone.backfill(apply=True)
    right = alone.metadata(invoice_id)
    alone.world.stripe.account.invoices[invoice_id].metadata[key] = value
    alone.new_database(databases.new(Engine.SQLITE))
    alone.backfill(apply=True)
    now = alone.metadata(invoice_id)
    evidence = now.pop("pacspace_evidence_sha256")
    assert alone.world.app.store.chains.find(evidence)
    assert now == {name: one for name, one in right.items() if name != "pacspace_evidence_sha256"}


def test_a_waived_invoice_stays_waived_with_an_empty_database(made: Past, databases: Databases) -> None:
    waived = made.billed("100", "90")
    waiver = Waiver(reason="agreed by phone", by="jane", at=made.world.clock.now(), figures={})
    made.world.app.checker.check(waived, waiver=waiver)
    before = made.metadata(waived)
    assert before["pacspace_verdict"] == "waived"
    made.new_database(databases.new(Engine.SQLITE))
    assert made.backfill().outcomes() == {waived: "waived"}
    assert made.backfill(apply=True).outcomes() == {waived: "waived"}
    assert made.metadata(waived) == before


def test_a_dry_run_after_a_backfill_has_nothing_to_do(made: Past) -> None:
    made.billed("100"), made.billed("100", "90", customer="cus_b")
    made.backfill(apply=True)
    found = made.backfill()
    assert (found.tally.stamped, found.tally.unchanged) == (0, 2)


# -- storms, and what breaks --------------------------------------------------------------------------------------

ENDPOINTS = ["GET /v1/invoices", "GET /v1/invoices/{id}", "POST /v1/invoices/{id}", "GET /v1/prices/{id}"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("fault", ["429", "lock_timeout"])
def test_rate_limits_of_stripe_are_waited_for_and_make_no_verdict(alone: Past, endpoint: str, fault: str) -> None:
    invoice_id = alone.billed("100")
    alone.world.stripe.add_fault(fault, endpoint=endpoint, times=40)
    found = alone.backfill(apply=True)
    assert found.outcomes() == {invoice_id: "matched"}
    assert json.loads(alone.world.app.store.chains.of_job(invoice_id)[0].document)["decision"]["verdict"] == "matched"
    assert len(alone.world.app.store.chains.of_job(invoice_id)) == 1


def test_rate_limits_of_pacspace_are_waited_for_and_make_no_verdict(alone: Past) -> None:
    invoice_id = alone.billed("100")
    alone.world.ledger.add_fault("429", times=60)
    assert alone.backfill(apply=True).outcomes() == {invoice_id: "matched"}
    assert len(alone.world.app.store.chains.of_job(invoice_id)) == 1


def test_rate_limits_are_waited_for_in_a_dry_run_too(alone: Past) -> None:
    invoice_id = alone.billed("100", "90")
    alone.world.stripe.add_fault("429", endpoint="GET /v1/subscriptions/{id}", times=20)
    alone.world.ledger.add_fault("429", times=20)
    assert alone.backfill().outcomes() == {invoice_id: "drifted"}


@pytest.mark.parametrize("fault", ["500", "503", "connection_error", "timeout", "lost_reply"])
@pytest.mark.parametrize("endpoint", ["GET /v1/invoices", "GET /v1/invoices/{id}", "POST /v1/invoices/{id}"])
def test_a_request_without_an_answer_is_repeated(alone: Past, endpoint: str, fault: str) -> None:
    invoice_id = alone.billed("100")
    alone.world.stripe.add_fault(fault, endpoint=endpoint, times=5)
    assert alone.backfill(apply=True).outcomes() == {invoice_id: "matched"}
    assert alone.metadata(invoice_id)["pacspace_verdict"] == "matched"
    assert len(alone.world.app.store.chains.of_job(invoice_id)) == 1


def test_an_invoice_that_cannot_be_read_is_unproven_and_hides_no_other(alone: Past) -> None:
    hidden, other = alone.billed("100"), alone.billed("5", customer="cus_b", month=MONTHS[0])
    alone.world.stripe.add_fault("500", endpoint="GET /v1/invoices/{id}", times=15)
    found = alone.backfill(apply=True)
    assert found.outcomes() == {hidden: "unproven", other: "matched"}
    result = found.rows[hidden].result
    assert result.reason == "STRIPE_UNAVAILABLE"
    assert alone.metadata(hidden) == {}


def test_a_page_that_breaks_off_is_read_again(alone: Past) -> None:
    ids = {alone.billed("100"), alone.billed("5", customer="cus_b")}
    alone.cut_lists(times=2)
    found = alone.backfill(apply=True)
    assert found.outcomes() == dict.fromkeys(ids, "matched")
    assert alone.world.stripe_calls().count("GET /v1/invoices") == 3


def test_a_page_that_stays_broken_is_not_the_last_page(alone: Past) -> None:
    alone.billed("100")
    alone.world.stripe.add_fault("500", endpoint="GET /v1/invoices")
    with pytest.raises(RemoteUnavailable):
        alone.backfill(apply=True)


def test_a_checkpoint_that_is_not_committed_at_once_is_waited_for(alone: Past) -> None:
    alone.world.ledger.configure(checkpoint_delay=5)
    invoice_id = alone.billed("100")
    assert alone.backfill(apply=True).outcomes() == {invoice_id: "matched"}
    assert alone.world.writes() == ["POST /v1/invoices/{id}"]
    assert len(alone.world.app.store.chains.of_job(invoice_id)) == 1


def test_an_invoice_that_the_list_cannot_show_is_read_by_itself(alone: Past) -> None:
    odd, other = alone.billed("100"), alone.billed("5", customer="cus_b")
    alone.spoil_in_lists(odd)
    found = alone.backfill(apply=True)
    assert found.outcomes() == {odd: "matched", other: "matched"}


# -- page by page -------------------------------------------------------------------------------------------------


@pytest.fixture
def long(tmp_path: Path, sqlite_url: str) -> Iterator[Past]:
    with past(tmp_path, database_url=sqlite_url, validated=False, rate="100000/100000") as there:
        yield there


def many(made: Past, count: int) -> list[str]:
    """Make invoices without usage, one month after the other in turn."""
    subscription = made.world.subscribe("cus_many", prices=[made.world.stripe.add_price()])
    months = [MONTHS[number % len(MONTHS)] for number in range(count)]
    return [made.world.stripe.add_past_invoice(subscription, month.start, month.end) for month in months]


def test_every_invoice_of_every_page_is_checked_once(long: Past) -> None:
    ids = many(long, 305)
    found = long.backfill()
    assert found.seen == dict.fromkeys(ids, 1)
    assert (found.portions, found.next) == (7, None)
    assert long.world.stripe_calls().count("GET /v1/invoices") == 4


def test_a_backfill_continues_from_any_position(long: Past) -> None:
    ids = many(long, 305)
    seen, place = Counter[str](), ListPosition()
    for _ in range(3):
        found = long.backfill(place=place, portions=2)
        seen.update(found.seen)
        assert found.next is not None
        place = found.next
    last = long.backfill(place=place)
    assert (last.portions, last.next) == (1, None)
    assert seen + last.seen == dict.fromkeys(ids, 1)


def test_a_position_at_a_deleted_draft_is_found_by_its_time(long: Past) -> None:
    ids = many(long, 205)
    first = long.backfill(portions=1)
    assert first.next is not None
    assert first.next.after is not None
    long.world.stripe.account.invoices.remove(first.next.after)
    rest = long.backfill(place=first.next)
    assert first.seen.keys() | rest.seen.keys() == set(ids)


def test_finished_portions_are_yielded_although_the_next_page_fails(long: Past) -> None:
    many(long, 150)
    long.throttle_lists()
    found = long.backfill(portions=2)
    assert (len(found.seen), long.world.stripe_calls().count("GET /v1/invoices") > 1) == (100, True)
    assert found.next is not None
    assert found.next.after == list(found.seen)[-1]


def test_a_stop_ends_a_backfill_before_a_portion_is_done(long: Past) -> None:
    many(long, 150)
    stop = threading.Event()
    stop.set()
    assert long.backfill(stop=stop).portions == 0


# -- what it is about ---------------------------------------------------------------------------------------------


def test_the_time_span_is_half_open_and_about_creation(alone: Past) -> None:
    july, august = alone.billed("1", month=MONTHS[0]), alone.billed("2", month=MONTHS[1])
    first, second = MONTHS[0].end, MONTHS[1].end
    assert list(alone.backfill(since=first, until=second).rows) == [july]
    assert list(alone.backfill(since=second).rows) == [august]
    assert list(alone.backfill(until=second + timedelta(seconds=1)).rows) == [august, july]


def test_customers_and_statuses_can_be_selected(alone: Past) -> None:
    paid, opened = alone.billed("1"), alone.billed("2", customer="cus_b", status="open")
    alone.billed("3", customer="cus_c", status="void"), alone.billed("3", customer="cus_d", status="uncollectible")
    assert alone.backfill().outcomes().keys() == {paid, opened}
    assert alone.backfill(statuses=(InvoiceStatus.OPEN,)).outcomes().keys() == {opened}
    assert alone.backfill(statuses=(InvoiceStatus.DRAFT, InvoiceStatus.OPEN)).outcomes().keys() == {opened}
    assert alone.backfill(customers=("cus_acme", "cus_c")).outcomes().keys() == {paid}


def test_an_applied_backfill_takes_the_planned_calls(alone: Past) -> None:
    alone.billed("100"), alone.billed("100", "90", customer="cus_b"), alone.billed("0", customer="cus_c")
    alone.billed("5", customer="cus_d", status="open"), alone.fixed()
    planned = alone.backfill().tally.calls
    stripe, ledger = len(alone.world.stripe_calls()), len(alone.world.ledger_calls())
    alone.backfill(apply=True)
    done = Counter(alone.world.stripe_calls()[stripe:])
    reads = done["GET /v1/invoices/{id}"] + done["GET /v1/subscriptions/{id}"]
    assert (planned.reads, planned.updates) == (reads, done["POST /v1/invoices/{id}"])
    assert abs(planned.ledger - (len(alone.world.ledger_calls()) - ledger)) <= 4


def test_parallel_checks_stamp_everything_once(long: Past) -> None:
    ids = [long.billed("7", customer=f"cus_{number}") for number in range(20)]
    found = long.backfill(apply=True, jobs=8)
    assert found.outcomes() == dict.fromkeys(ids, "matched")
    assert long.world.writes() == ["POST /v1/invoices/{id}"] * 20


def test_a_dry_run_works_in_observe_mode(tmp_path: Path, sqlite_url: str) -> None:
    with past(tmp_path, database_url=sqlite_url, mode="observe") as made:
        invoice_id = made.billed("100", "90")
        assert made.backfill().outcomes() == {invoice_id: "drifted"}
        assert everything_written(made) == []
