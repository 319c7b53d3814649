"""Triggers: events, requests and due jobs; no wake-up is lost."""

from dataclasses import replace

import pytest

from pacspace_stripe.gate.rules.state import (
    Ended,
    InvoiceState,
)
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.store import JobKind, Store
from tests.support.stores import HELD, LOST_AFTER, SECOND, START, THREADS, Queue, at_once, broken, event, fill, saved


def test_an_event_makes_its_job_known_and_requests_a_check(store: Store) -> None:
    queue = Queue()
    assert store.triggers.receive(event(), queue)
    assert queue.checks == [(JobKind.INVOICE, "in_1", 1)]
    found = store.jobs.find("in_1")
    assert found is not None
    assert (found.requested, found.answered, found.kind) == (1, 0, JobKind.INVOICE)
    assert (found.state.customer_id, found.state.subscription_id) == ("cus_1", "sub_1")


def test_an_event_is_received_once(store: Store) -> None:
    queue = Queue()
    assert [store.triggers.receive(event(), queue) for _ in range(3)] == [True, False, False]
    assert len(queue.checks) == 1


def test_an_event_delivered_many_times_at_once_is_received_once(store: Store) -> None:
    queue = Queue()
    received = at_once(lambda _: store.triggers.receive(event(), queue))
    assert sorted(received) == [False] * (THREADS - 1) + [True]
    assert queue.checks == [(JobKind.INVOICE, "in_1", 1)]


def test_events_at_the_same_time_each_request_a_check(store: Store) -> None:
    queue = Queue()
    assert all(at_once(lambda number: store.triggers.receive(event(number), queue), times=40))
    assert sorted(queue.checks) == [(JobKind.INVOICE, "in_1", requested) for requested in range(1, 41)]
    found = store.jobs.find("in_1")
    assert found is not None
    assert found.requested == 40


def test_an_event_about_no_job_wakes_nothing(store: Store) -> None:
    queue = Queue()
    assert store.triggers.receive(event(job_id=None), queue)
    assert not store.triggers.receive(event(job_id=None), queue)
    assert queue.checks == []
    assert store.journal.event_outcomes() == {"evt_1": "queued"}


def test_a_queue_that_fails_leaves_no_trace(store: Store) -> None:
    with pytest.raises(RuntimeError, match="queue is full"):
        store.triggers.receive(event(), broken)
    assert store.journal.event_outcomes() == {}
    assert store.jobs.find("in_1") is None


def test_an_event_that_a_failing_queue_refused_can_be_received_again(store: Store) -> None:
    store.triggers.receive(event(1), Queue())
    with pytest.raises(RuntimeError, match="queue is full"):
        store.triggers.receive(event(2), broken)
    queue = Queue()
    assert store.triggers.receive(event(2), queue)
    assert queue.checks == [(JobKind.INVOICE, "in_1", 2)]


def test_a_request_without_a_queue_makes_the_job_due(store: Store) -> None:
    store.triggers.request(JobKind.UPCOMING, "upcoming:sub_1:0")
    assert store.triggers.due_ids() == [("upcoming:sub_1:0", JobKind.UPCOMING)]


def test_a_request_with_a_queue_is_queued(store: Store) -> None:
    queue = Queue()
    store.triggers.request(JobKind.INVOICE, "in_1", queue)
    assert queue.checks == [(JobKind.INVOICE, "in_1", 1)]
    assert not store.triggers.any_due()


def test_a_job_keeps_the_kind_it_was_made_with(store: Store) -> None:
    queue = Queue()
    store.triggers.request(JobKind.SWEEP, "sweep", queue)
    store.triggers.receive(event(job_id="sweep", kind=JobKind.INVOICE), queue)
    assert [kind for kind, _, _ in queue.checks] == [JobKind.SWEEP, JobKind.SWEEP]


def test_a_trigger_that_the_queue_loses_is_found_as_due(store: Store, clock: ManualClock) -> None:
    store.triggers.receive(event(), Queue())
    clock.advance(LOST_AFTER.total_seconds() - 1)
    assert not store.triggers.any_due()
    assert store.triggers.take_due(Queue()) == []
    clock.advance(1)
    queue = Queue()
    assert store.triggers.any_due()
    assert store.triggers.take_due(queue) == ["in_1"]
    assert queue.checks == [(JobKind.INVOICE, "in_1", 2)]
    assert not store.triggers.any_due()


def test_the_longest_due_come_first(store: Store, clock: ManualClock) -> None:
    for number in (2, 1, 3):
        saved(store, InvoiceState(invoice_id=f"in_{number}"), next_check_at=START + number * SECOND)
    clock.advance(10)
    assert [job_id for job_id, _ in store.triggers.due_ids()] == ["in_1", "in_2", "in_3"]
    assert store.triggers.take_due(Queue(), limit=2) == ["in_1", "in_2"]
    assert store.triggers.next_due_at() == START + 3 * SECOND


def test_an_ended_job_is_never_due(store: Store, clock: ManualClock) -> None:
    saved(store, replace(HELD, position=Ended()), next_check_at=None)
    clock.advance(10**8)
    assert not store.triggers.any_due()
    assert store.triggers.next_due_at() is None


def test_each_due_job_is_taken_once(store: Store, clock: ManualClock) -> None:
    ids = [f"in_{number:03}" for number in range(120)]
    fill(store, ids)
    clock.advance(10)
    queue = Queue()

    def take(_: int) -> list[str]:
        taken: list[str] = []
        while found := store.triggers.take_due(queue, limit=7):
            taken += found
        return taken

    taken = [job_id for part in at_once(take) for job_id in part]
    assert sorted(taken) == ids
    assert sorted(queue.checks) == [(JobKind.INVOICE, job_id, 1) for job_id in ids]


def test_due_jobs_that_cannot_be_queued_stay_due(store: Store, clock: ManualClock) -> None:
    fill(store, ["in_1", "in_2"])
    clock.advance(10)
    with pytest.raises(RuntimeError, match="queue is full"):
        store.triggers.take_due(broken)
    assert len(store.triggers.due_ids()) == 2
