"""Queries of the sweep and the report, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.explain.rules.rejections import RejectedSample, Rejection
from pacspace_stripe.gate.rules.state import Ended, FirstSight, InvoiceState
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.store import JobKind, ReceivedEvent, Store
from pacspace_stripe.vocabulary.invoices import InvoiceStatus
from pacspace_stripe.vocabulary.money import Money
from pacspace_stripe.vocabulary.windows import Window

START, MINUTE = datetime(2026, 11, 1, tzinfo=UTC), timedelta(minutes=1)
FIRST = FirstSight(at=START, auto_advance=True, finalizes_at=START, status=InvoiceStatus.DRAFT)
MATCHED = InvoiceState(invoice_id="-", first=FIRST, verdict=Verdict.MATCHED, reason=Reason.EXACT, customer_id="cus_1")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def store(database_url: str, clock: ManualClock) -> Iterator[Store]:
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    made = Store(url, now=clock.now, lost_after=MINUTE)
    made.migrate()
    yield made
    made.close()


def keep(store: Store, invoice_id: str, memory: InvoiceState, kind: JobKind = JobKind.INVOICE) -> None:
    leased = store.jobs.acquire(kind, invoice_id, MINUTE)
    assert leased is not None
    leased.give_back(replace(memory, invoice_id=invoice_id), None if memory.ended else START)


def event(event_id: str, outcome: str = "queued", job: str | None = "in_1") -> ReceivedEvent:
    return ReceivedEvent(
        event_id=event_id,
        type="invoice.created",
        job_id=job,
        kind=JobKind.INVOICE,
        subscription_id=None,
        customer_id="cus_1",
        outcome=outcome,
    )


def test_a_given_up_invoice_ended_without_ever_being_read(store: Store) -> None:
    keep(store, "in_read", replace(MATCHED, position=Ended()))
    keep(store, "in_unread", InvoiceState(invoice_id="-", customer_id="cus_1", position=Ended()))
    keep(store, "in_open", InvoiceState(invoice_id="-"))
    assert store.jobs.given_up(["in_read", "in_unread", "in_open", "in_unknown"]) == {"in_unread"}


def test_an_event_without_a_queue_is_found_as_due_and_taken_once(store: Store) -> None:
    assert store.triggers.receive(event("evt_1", "found by the sweep"), None)
    assert not store.triggers.receive(event("evt_1"), None)
    assert store.triggers.due_ids() == [("in_1", JobKind.INVOICE)]
    assert store.triggers.received(["evt_1", "evt_2"]) == {"evt_1"}
    assert store.journal.events_received() == {("invoice.created", "found by the sweep"): 1}


def test_a_fact_has_its_last_value(store: Store) -> None:
    assert store.journal.fact("sweep:events") is None
    store.journal.remember_fact("sweep:events", "then")
    store.journal.remember_fact("sweep:events", "now")
    assert store.journal.fact("sweep:events") == "now"


def test_metered_invoices_are_read_by_customer_without_unmetered_ones(store: Store) -> None:
    keep(store, "in_2", replace(MATCHED, customer_id="cus_2", amount=Money(amount=5, currency="jpy")))
    keep(store, "in_1", replace(MATCHED, position=Ended()))
    keep(store, "in_flat", InvoiceState(invoice_id="-", first=FIRST, position=Ended(), detail="nothing metered"))
    keep(store, "upcoming:sub_1:1", replace(MATCHED, verdict=Verdict.DRIFTED), JobKind.UPCOMING)
    found = list(store.jobs.metered())
    assert [memory.invoice_id for memory in found] == ["in_1", "in_2"]
    assert found[1].amount == Money(amount=5, currency="jpy")
    assert [memory.invoice_id for memory in store.jobs.blocks()] == ["upcoming:sub_1:1"]


def test_since_leaves_out_invoices_that_were_not_checked_after_it(store: Store, clock: ManualClock) -> None:
    keep(store, "in_1", MATCHED)
    clock.advance(3600)
    keep(store, "in_2", MATCHED)
    assert [memory.invoice_id for memory in store.jobs.metered(since=START + MINUTE)] == ["in_2"]


def test_rejections_are_stored_once_and_found_by_the_time_of_stripes_check(store: Store) -> None:
    hour = timedelta(hours=1)
    early, late = (
        Rejection(
            event_id=f"evt_{number}",
            at=START,
            meter="api_calls",
            start=START + number * hour,
            end=START + (number + 1) * hour,
            code="no_meter",
            count=3,
            samples=(RejectedSample(identifier="call-1", message="No such meter."),),
        )
        for number in (1, 5)
    )
    assert store.rejections.put([early, late]) == 2
    assert store.rejections.put([late, replace(late, code="archived_meter")]) == 1
    assert store.rejections.while_checked(Window(start=START, end=START + 2 * hour)) == (early,)
    assert store.rejections.while_checked(Window(start=START, end=START + hour)) == ()
    assert [one.code for one in store.rejections.since(START + 3 * hour)] == ["archived_meter", "no_meter"]
    assert len(store.rejections.since(None)) == 3


def test_the_first_event_of_a_type_about_a_job_is_found(store: Store) -> None:
    assert store.journal.first_received_at("in_1", "invoice.sent") is None
    assert store.triggers.receive(replace(event("evt_1"), type="invoice.sent", wakes=False), None)
    assert store.journal.first_received_at("in_1", "invoice.sent") is not None
    assert store.triggers.due_ids() == []


def test_a_fact_is_changed_in_one_transaction(store: Store) -> None:
    assert store.journal.change_fact("count", lambda before: str(int(before or 0) + 1)) == "1"
    assert store.journal.change_fact("count", lambda before: str(int(before or 0) + 1)) == "2"
    assert store.journal.fact("count") == "2"
