"""Leases: one process at a time checks a job, and a process that dies or wakes up late harms nothing."""

import os
import socket
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from pacspace_stripe.errors import LeaseLost
from pacspace_stripe.gate.rules.state import (
    InvoiceState,
)
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.store import JobKind, JobLease, Store
from pacspace_stripe.store.processes import process_name
from tests.support.stores import DAY, HELD, LOST_AFTER, START, TTL, Queue, at_once, event, fill, leased, saved


def asking(store: Store, job_id: str) -> Callable[[int], JobLease | None]:
    return lambda _: store.jobs.acquire(JobKind.INVOICE, job_id, TTL)


def test_one_of_many_threads_gets_the_lease(store: Store) -> None:
    for number in range(5):
        taken = at_once(asking(store, f"in_{number}"))
        assert len([lease for lease in taken if lease is not None]) == 1


def test_acquiring_a_lease_makes_a_new_job(store: Store) -> None:
    lease = leased(store)
    assert lease.job.state == InvoiceState(invoice_id="in_1")
    assert lease.job.lease_until == START + TTL


def test_a_lease_is_free_again_when_it_was_given_back(store: Store) -> None:
    leased(store).give_back(HELD, None)
    again = leased(store)
    assert again.job.state == HELD


def test_a_lease_is_free_again_when_it_ran_out(store: Store, clock: ManualClock) -> None:
    leased(store)
    clock.advance(TTL.total_seconds() - 0.000001)
    assert store.jobs.acquire(JobKind.INVOICE, "in_1", TTL) is None
    clock.advance(0.000001)
    assert store.jobs.acquire(JobKind.INVOICE, "in_1", TTL) is not None


def test_a_guarded_lease_lasts(store: Store, clock: ManualClock) -> None:
    lease = leased(store)
    for _ in range(5):
        clock.advance(20)
        lease.guard()
    assert store.jobs.acquire(JobKind.INVOICE, "in_1", TTL) is None


def test_saving_renews_the_lease(store: Store, clock: ManualClock) -> None:
    lease = leased(store)
    clock.advance(20)
    lease.save(HELD)
    clock.advance(20)
    lease.guard()
    found = store.jobs.find("in_1")
    assert found is not None
    assert (found.state, lease.saved) == (HELD, HELD)


@pytest.mark.parametrize("taken_over", [False, True], ids=["run out", "taken over"])
def test_nothing_is_written_under_a_lost_lease(
    store: Store,
    clock: ManualClock,
    taken_over: bool,  # noqa: FBT001  # a column of the table
) -> None:
    late = leased(store)
    clock.advance(TTL.total_seconds())
    if taken_over:
        leased(store).save(InvoiceState(invoice_id="in_1", detail="theirs"))
    before = store.jobs.find("in_1")
    with pytest.raises(LeaseLost, match="in_1"):
        late.guard()
    with pytest.raises(LeaseLost, match="in_1"):
        late.save(HELD)
    with pytest.raises(LeaseLost, match="in_1"):
        late.give_back(HELD, START)
    assert store.jobs.find("in_1") == before
    assert late.saved == InvoiceState(invoice_id="in_1")


def test_a_lease_is_kept_by_renewing_it_once_a_quarter_is_over(store: Store, clock: ManualClock) -> None:
    lease = leased(store)
    ends = []
    for _ in range(5):
        clock.advance(2)
        lease.keep()
        found = store.jobs.find("in_1")
        assert found is not None
        ends.append(found.lease_until)
    renewed = START + timedelta(seconds=8) + TTL
    assert ends == [START + TTL, START + TTL, START + TTL, renewed, renewed]


def test_a_lease_that_ran_out_is_not_kept(store: Store, clock: ManualClock) -> None:
    lease = leased(store)
    clock.advance(TTL)
    with pytest.raises(LeaseLost, match="in_1"):
        lease.keep()


def test_the_end_of_a_check_plans_the_next_check(store: Store) -> None:
    lease = leased(store)
    assert lease.give_back(HELD, START + DAY) is False
    found = store.jobs.find("in_1")
    assert found is not None
    assert (found.next_check_at, found.lease_owner, found.lease_until) == (START + DAY, None, None)


@pytest.mark.parametrize("next_check_at", [None, START + DAY])
def test_a_request_during_a_check_makes_the_job_due_at_its_end(store: Store, next_check_at: datetime | None) -> None:
    lease = leased(store)
    store.triggers.receive(event(), Queue())
    assert lease.give_back(HELD, next_check_at) is True
    found = store.jobs.find("in_1")
    assert found is not None
    assert (found.next_check_at, found.requested, found.answered) == (START, 1, 0)
    again = leased(store)
    assert again.give_back(HELD, next_check_at) is False
    answered = store.jobs.find("in_1")
    assert answered is not None
    assert (answered.next_check_at, answered.answered) == (next_check_at, 1)


def test_a_leased_job_is_due_again_if_its_owner_dies(store: Store, clock: ManualClock) -> None:
    saved(store, HELD, next_check_at=START + DAY)
    leased(store)
    clock.advance(LOST_AFTER.total_seconds())
    assert store.triggers.due_ids() == [("in_1", JobKind.INVOICE)]
    assert store.jobs.acquire(JobKind.INVOICE, "in_1", TTL) is not None


def own(store: Store, job_id: str, owner: str) -> None:
    """Write a lease as another process left it."""
    fill(store, [job_id], lease_owner=owner, lease_until=START + TTL, next_check_at=START + DAY)


def test_a_starting_process_frees_the_leases_of_the_dead_on_its_host_alone(store: Store) -> None:
    own(store, "in_dead", "here/100/aaaa/1")
    own(store, "in_alive", "here/200/aaaa/1")
    own(store, "in_elsewhere", "there/100/aaaa/1")
    own(store, "in_odd", "here")
    assert store.jobs.free_leases_of_the_dead("here", lambda pid: pid == 200) == 1
    owners = {one.job_id: one.lease_owner for one in store.jobs.invoices()}
    assert owners["in_dead"] is None
    assert owners["in_alive"] == "here/200/aaaa/1"
    assert owners["in_elsewhere"] == "there/100/aaaa/1"
    assert owners["in_odd"] == "here"
    assert store.triggers.due_ids() == [("in_dead", JobKind.INVOICE)]


def test_a_starting_process_frees_the_leases_of_an_earlier_process_with_its_id(store: Store) -> None:
    host, pid, started = process_name().split("/")
    own(store, "in_before", f"{host}/{pid}/{started[::-1]}x/1")
    own(store, "in_mine", f"{host}/{pid}/{started}/1")
    assert store.jobs.free_leases_of_the_dead(host, lambda _: True) == 1
    assert store.triggers.due_ids() == [("in_before", JobKind.INVOICE)]


def test_a_lease_names_host_and_process(store: Store) -> None:
    assert leased(store).owner.startswith(f"{socket.gethostname()}/{os.getpid()}/")


def test_no_lease_is_freed_twice(store: Store) -> None:
    own(store, "in_dead", "here/100/aaaa/1")
    assert [store.jobs.free_leases_of_the_dead("here", lambda _: False) for _ in range(2)] == [1, 0]
