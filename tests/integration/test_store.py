"""The store on SQLite and on PostgreSQL: one transaction each, one taker each, nothing lost."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import pacspace_stripe
from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.errors import LeaseLost, StoreUnavailable
from pacspace_stripe.gate.rules.state import (
    Cleared,
    Ended,
    FirstSight,
    Free,
    Held,
    HoldStep,
    InvoiceState,
    Position,
    Released,
    Stage,
    Stamped,
)
from pacspace_stripe.settings import load_settings
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.store import JobKind, JobLease, ReceivedEvent, Store
from pacspace_stripe.store.database import NEWEST, Database
from pacspace_stripe.store.processes import process_name
from pacspace_stripe.store.tables import jobs, metadata
from pacspace_stripe.usage.rules.accounts import CoveredPart
from pacspace_stripe.vocabulary.windows import Window
from tests.unit.test_settings import CREDENTIALS

if TYPE_CHECKING:
    from pacspace_stripe.vocabulary.canonical_json import Json

START = datetime(2026, 11, 1, 0, 0, 0, 123456, tzinfo=UTC)
TTL, LOST_AFTER = timedelta(seconds=30), timedelta(seconds=35)
MICROSECOND, SECOND, DAY = timedelta(microseconds=1), timedelta(seconds=1), timedelta(days=1)
THREADS = 8
HELD = InvoiceState(invoice_id="in_1", customer_id="cus_1", subscription_id="sub_1", position=Held())

Value = TypeVar("Value")


def normal(database_url: str) -> str:
    """The URL as the product reads it from the environment."""
    settings = load_settings(CREDENTIALS | {"PACSPACE_STRIPE_DATABASE_URL": database_url})
    return settings.database_url.get_secret_value()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def empty(database_url: str, clock: ManualClock) -> Iterator[Store]:
    """A store over an empty database."""
    made = Store(normal(database_url), now=clock.now, lost_after=LOST_AFTER)
    yield made
    made.close()


@pytest.fixture
def store(module_database_url: str, clock: ManualClock) -> Iterator[Store]:
    """A store over our tables, empty; the database is that of all tests here."""
    made = Store(normal(module_database_url), now=clock.now, lost_after=LOST_AFTER)
    made.migrate()
    with made.engine.begin() as connection, evidence_unguarded(connection):
        for table in metadata.tables.values():
            connection.execute(sa.delete(table))
    yield made
    made.close()


@contextmanager
def evidence_unguarded(connection: sa.Connection) -> Iterator[None]:
    """Only the owner of a database can do this: take away the triggers that keep evidence, and put them back."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        yield
        return
    triggers = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").all()
    for name, _ in triggers:
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
    yield
    for _, sql in triggers:
        connection.exec_driver_sql(sql)


class Queue:
    """Remembers what was enqueued; safe from several threads, as appending to a list is."""

    def __init__(self) -> None:
        self.looks: list[tuple[JobKind, str, int]] = []

    def __call__(self, connection: sa.Connection, kind: JobKind, job_id: str, requested: int) -> None:
        assert connection.in_transaction()
        self.looks.append((kind, job_id, requested))


def broken(_: sa.Connection, _kind: JobKind, _job_id: str, _requested: int) -> None:
    """A queue that fails."""
    message = "the queue is full"
    raise RuntimeError(message)


def event(number: int = 1, job_id: str | None = "in_1", kind: JobKind = JobKind.INVOICE) -> ReceivedEvent:
    return ReceivedEvent(
        event_id=f"evt_{number}",
        type="invoice.created",
        job_id=job_id,
        kind=kind,
        subscription_id="sub_1",
        customer_id="cus_1",
        outcome="queued",
    )


def at_once(work: Callable[[int], Value], times: int = THREADS) -> list[Value]:
    """The same work from several threads that begin together."""
    start = threading.Barrier(THREADS)

    def begin(number: int) -> Value:
        if number < THREADS:
            start.wait(timeout=10)
        return work(number)

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(begin, range(times)))


def leased(store: Store, job_id: str = "in_1", kind: JobKind = JobKind.INVOICE) -> JobLease:
    found = store.jobs.acquire(kind, job_id, TTL)
    assert found is not None
    return found


def saved(
    store: Store, memory: InvoiceState, *, kind: JobKind = JobKind.INVOICE, next_check_at: datetime | None = None
) -> None:
    """A job as a finished look leaves it."""
    leased(store, memory.invoice_id, kind).give_back(memory, next_check_at)


# -- migrations -------------------------------------------------------------------------------------------------------


def test_an_empty_database_gets_exactly_our_tables(empty: Store) -> None:
    empty.migrate()
    assert set(sa.inspect(empty.engine).get_table_names()) == {*metadata.tables, "pacspace_alembic_version"}
    with empty.engine.connect() as connection:
        migrated = MigrationContext.configure(connection, opts={"version_table": "pacspace_alembic_version"})
        assert compare_metadata(migrated, metadata) == []


def test_the_newest_version_is_that_of_the_last_migration() -> None:
    folder = Path(pacspace_stripe.__file__).parent / "store" / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == NEWEST


def test_migrating_again_keeps_what_is_there(store: Store) -> None:
    saved(store, HELD)
    store.migrate()
    found = store.jobs.find("in_1")
    assert found is not None
    assert found.memory == HELD


MIGRATE = """
import sys
from datetime import UTC, datetime, timedelta
from pacspace_stripe.store import Store

store = Store(sys.argv[1], now=lambda: datetime.now(UTC), lost_after=timedelta(seconds=1))
sys.stdin.readline()
store.migrate()
store.journal.ping()
"""


def test_processes_that_migrate_at_once_do_not_disturb_each_other(database_url: str) -> None:
    command = [sys.executable, "-c", MIGRATE, normal(database_url)]
    pipe = subprocess.PIPE
    started = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(4)]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=60)[1] for process in started]
    assert [(process.returncode, errors) for process, errors in zip(started, told, strict=True)] == [(0, "")] * 4


# -- triggers ---------------------------------------------------------------------------------------------------------


def test_an_event_wakes_its_subject_and_makes_it_known(store: Store) -> None:
    queue = Queue()
    assert store.triggers.receive(event(), queue)
    assert queue.looks == [(JobKind.INVOICE, "in_1", 1)]
    found = store.jobs.find("in_1")
    assert found is not None
    assert (found.requested, found.answered, found.kind) == (1, 0, JobKind.INVOICE)
    assert (found.memory.customer_id, found.memory.subscription_id) == ("cus_1", "sub_1")


def test_an_event_is_received_once(store: Store) -> None:
    queue = Queue()
    assert [store.triggers.receive(event(), queue) for _ in range(3)] == [True, False, False]
    assert len(queue.looks) == 1


def test_an_event_delivered_many_times_at_once_is_received_once(store: Store) -> None:
    queue = Queue()
    received = at_once(lambda _: store.triggers.receive(event(), queue))
    assert sorted(received) == [False] * (THREADS - 1) + [True]
    assert queue.looks == [(JobKind.INVOICE, "in_1", 1)]


def test_events_at_once_each_ask_for_a_look_of_their_own(store: Store) -> None:
    queue = Queue()
    assert all(at_once(lambda number: store.triggers.receive(event(number), queue), times=40))
    assert sorted(queue.looks) == [(JobKind.INVOICE, "in_1", requested) for requested in range(1, 41)]
    found = store.jobs.find("in_1")
    assert found is not None
    assert found.requested == 40


def test_an_event_about_nothing_of_ours_wakes_nothing(store: Store) -> None:
    queue = Queue()
    assert store.triggers.receive(event(job_id=None), queue)
    assert not store.triggers.receive(event(job_id=None), queue)
    assert queue.looks == []
    assert store.journal.event_outcomes() == {"evt_1": "queued"}


def test_a_queue_that_fails_leaves_no_trace(store: Store) -> None:
    with pytest.raises(RuntimeError, match="queue is full"):
        store.triggers.receive(event(), broken)
    assert store.journal.event_outcomes() == {}
    assert store.jobs.find("in_1") is None


def test_what_a_failing_queue_refused_can_be_received_again(store: Store) -> None:
    store.triggers.receive(event(1), Queue())
    with pytest.raises(RuntimeError, match="queue is full"):
        store.triggers.receive(event(2), broken)
    queue = Queue()
    assert store.triggers.receive(event(2), queue)
    assert queue.looks == [(JobKind.INVOICE, "in_1", 2)]


def test_a_wish_without_a_queue_is_due_at_once(store: Store) -> None:
    store.triggers.request(JobKind.UPCOMING, "upcoming:sub_1:0")
    assert store.triggers.due_ids() == [("upcoming:sub_1:0", JobKind.UPCOMING)]


def test_a_wish_with_a_queue_is_queued(store: Store) -> None:
    queue = Queue()
    store.triggers.request(JobKind.INVOICE, "in_1", queue)
    assert queue.looks == [(JobKind.INVOICE, "in_1", 1)]
    assert not store.triggers.any_due()


def test_a_subject_keeps_the_kind_it_was_made_with(store: Store) -> None:
    queue = Queue()
    store.triggers.request(JobKind.SWEEP, "sweep", queue)
    store.triggers.receive(event(job_id="sweep", kind=JobKind.INVOICE), queue)
    assert [kind for kind, _, _ in queue.looks] == [JobKind.SWEEP, JobKind.SWEEP]


def test_a_trigger_that_the_queue_loses_is_found_as_due(store: Store, clock: ManualClock) -> None:
    store.triggers.receive(event(), Queue())
    clock.advance(LOST_AFTER.total_seconds() - 1)
    assert not store.triggers.any_due()
    assert store.triggers.take_due(Queue()) == []
    clock.advance(1)
    queue = Queue()
    assert store.triggers.any_due()
    assert store.triggers.take_due(queue) == ["in_1"]
    assert queue.looks == [(JobKind.INVOICE, "in_1", 2)]
    assert not store.triggers.any_due()


def test_the_longest_due_come_first(store: Store, clock: ManualClock) -> None:
    for number in (2, 1, 3):
        saved(store, InvoiceState(invoice_id=f"in_{number}"), next_check_at=START + number * SECOND)
    clock.advance(10)
    assert [job_id for job_id, _ in store.triggers.due_ids()] == ["in_1", "in_2", "in_3"]
    assert store.triggers.take_due(Queue(), limit=2) == ["in_1", "in_2"]
    assert store.triggers.next_due_at() == START + 3 * SECOND


def test_what_has_ended_is_never_due(store: Store, clock: ManualClock) -> None:
    saved(store, replace(HELD, position=Ended()), next_check_at=None)
    clock.advance(10**8)
    assert not store.triggers.any_due()
    assert store.triggers.next_due_at() is None


def test_each_due_subject_goes_to_one_taker(store: Store, clock: ManualClock) -> None:
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
    assert sorted(queue.looks) == [(JobKind.INVOICE, job_id, 1) for job_id in ids]


def test_due_subjects_that_cannot_be_queued_stay_due(store: Store, clock: ManualClock) -> None:
    fill(store, ["in_1", "in_2"])
    clock.advance(10)
    with pytest.raises(RuntimeError, match="queue is full"):
        store.triggers.take_due(broken)
    assert len(store.triggers.due_ids()) == 2


def fill(store: Store, ids: list[str], *, next_check_at: datetime | None = START, **columns: object) -> None:
    """Rows as many looks leave them."""
    row = {
        "kind": "invoice",
        "stage": "held",
        "held": True,
        "requested": 0,
        "answered": 0,
        "updated_at": START,
        "next_check_at": next_check_at,
        **columns,
    }
    with store.engine.begin() as connection:
        rows = [row | {"job_id": one, "subscription_id": f"sub_of_{one}", "memory": {"invoice_id": one}} for one in ids]
        connection.execute(sa.insert(jobs), rows)


# -- the lease --------------------------------------------------------------------------------------------------------


def asking(store: Store, job_id: str) -> Callable[[int], JobLease | None]:
    return lambda _: store.jobs.acquire(JobKind.INVOICE, job_id, TTL)


def test_a_lease_goes_to_one_of_many_who_ask_at_once(store: Store) -> None:
    for number in range(5):
        taken = at_once(asking(store, f"in_{number}"))
        assert len([lease for lease in taken if lease is not None]) == 1


def test_a_lease_makes_a_subject_that_is_new(store: Store) -> None:
    lease = leased(store)
    assert lease.job.memory == InvoiceState(invoice_id="in_1")
    assert lease.job.lease_until == START + TTL


def test_a_lease_is_free_again_when_it_was_given_back(store: Store) -> None:
    leased(store).give_back(HELD, None)
    again = leased(store)
    assert again.job.memory == HELD


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
    assert (found.memory, lease.saved) == (HELD, HELD)


@pytest.mark.parametrize("taken_over", [False, True], ids=["run out", "taken over"])
def test_nothing_is_written_under_a_lease_that_is_gone(
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


def test_a_look_says_when_to_look_again(store: Store) -> None:
    lease = leased(store)
    assert lease.give_back(HELD, START + DAY) is False
    found = store.jobs.find("in_1")
    assert found is not None
    assert (found.next_check_at, found.lease_owner, found.lease_until) == (START + DAY, None, None)


@pytest.mark.parametrize("next_check_at", [None, START + DAY])
def test_a_wish_during_a_look_is_answered_by_another_look_at_once(store: Store, next_check_at: datetime | None) -> None:
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


def test_a_subject_under_lease_is_looked_at_again_should_its_owner_die(store: Store, clock: ManualClock) -> None:
    saved(store, HELD, next_check_at=START + DAY)
    leased(store)
    clock.advance(LOST_AFTER.total_seconds())
    assert store.triggers.due_ids() == [("in_1", JobKind.INVOICE)]
    assert store.jobs.acquire(JobKind.INVOICE, "in_1", TTL) is not None


def own(store: Store, job_id: str, owner: str) -> None:
    """A lease as another process left it."""
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


def test_a_starting_process_frees_what_the_one_before_held_under_the_same_id(store: Store) -> None:
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


# -- what is read -----------------------------------------------------------------------------------------------------


def test_nobody_knows_what_was_never_seen(store: Store) -> None:
    assert store.jobs.find("in_1") is None
    assert store.jobs.known(["in_1"]) == set()
    assert store.jobs.known([]) == set()


def test_the_known_are_told_from_the_unknown(store: Store) -> None:
    fill(store, [f"in_{number}" for number in range(0, 500, 2)])
    asked = [f"in_{number}" for number in range(500)]
    assert store.jobs.known(asked) == {f"in_{number}" for number in range(0, 500, 2)}


def test_invoices_are_listed_by_verdict_stage_and_hold_newest_first(store: Store, clock: ManualClock) -> None:
    memories = [
        replace(HELD, invoice_id="in_held", verdict=Verdict.DRIFTED, reason=Reason.OVERBILLED),
        replace(HELD, invoice_id="in_stamped", position=Held(step=HoldStep.STAMPED), verdict=Verdict.MATCHED),
        replace(HELD, invoice_id="in_ended", position=Ended(), verdict=Verdict.DRIFTED),
        replace(HELD, invoice_id="in_free", position=Free(), verdict=None),
    ]
    for memory in memories:
        clock.advance(1)
        saved(store, memory)
    clock.advance(1)
    saved(store, InvoiceState(invoice_id="upcoming:sub_1:0", verdict=Verdict.DRIFTED), kind=JobKind.UPCOMING)
    saved(store, InvoiceState(invoice_id="upcoming:sub_2:0", verdict=Verdict.MATCHED), kind=JobKind.UPCOMING)

    def listed(*, status: str | None = None, held: bool | None = None) -> list[str]:
        return [found.job_id for found in store.jobs.invoices(status=status, held=held)]

    assert listed() == ["upcoming:sub_1:0", "in_free", "in_ended", "in_stamped", "in_held"]
    assert listed(status="drifted") == ["upcoming:sub_1:0", "in_ended", "in_held"]
    assert listed(status="stamped") == ["in_stamped"]
    assert listed(held=True) == ["in_stamped", "in_held"]
    assert listed(status="drifted", held=True) == ["in_held"]
    assert listed(held=False) == ["upcoming:sub_1:0", "in_free"]


def seen(*, auto_advance: bool) -> FirstSight:
    return FirstSight(at=START, auto_advance=auto_advance, finalizes_at=None)


@pytest.mark.parametrize(
    ("memory", "kept"),
    [
        pytest.param(replace(HELD, first=seen(auto_advance=True)), True, id="held by us"),
        pytest.param(replace(HELD, first=None), True, id="held by us, never read"),
        pytest.param(replace(HELD, position=Free(), first=seen(auto_advance=False)), True, id="held by somebody else"),
        pytest.param(replace(HELD, position=Free(), first=seen(auto_advance=True)), False, id="held by nobody"),
        pytest.param(replace(HELD, position=Free(), first=None), False, id="never read"),
        pytest.param(replace(HELD, position=Ended()), False, id="ended"),
    ],
)
def test_drafts_that_were_kept_back_are_told(
    store: Store,
    memory: InvoiceState,
    kept: bool,  # noqa: FBT001  # a column of the table
) -> None:
    saved(store, memory)
    saved(store, replace(HELD, invoice_id="in_2"))
    assert store.jobs.kept_back(["in_1", "in_9"]) == ({"in_1"} if kept else set())


BLOCK = InvoiceState(invoice_id="upcoming:sub_1:0", subscription_id="sub_1", verdict=Verdict.DRIFTED)


@pytest.mark.parametrize(
    ("memory", "kind", "blocks"),
    [
        pytest.param(BLOCK, JobKind.UPCOMING, True, id="a drift"),
        pytest.param(replace(BLOCK, verdict=Verdict.MATCHED), JobKind.UPCOMING, False, id="a match"),
        pytest.param(replace(BLOCK, verdict=Verdict.UNPROVEN), JobKind.UPCOMING, False, id="an open question"),
        pytest.param(replace(BLOCK, position=Ended()), JobKind.UPCOMING, False, id="one that has ended"),
        pytest.param(replace(BLOCK, subscription_id="sub_2"), JobKind.UPCOMING, False, id="another subscription's"),
        pytest.param(BLOCK, JobKind.INVOICE, False, id="an invoice is no early warning"),
    ],
)
def test_a_draft_is_blocked_by_a_drift_that_the_early_warning_found(
    store: Store,
    memory: InvoiceState,
    kind: JobKind,
    blocks: bool,  # noqa: FBT001  # a column of the table
) -> None:
    saved(store, memory, kind=kind)
    assert (store.jobs.block_on("sub_1") is not None) is blocks


def test_a_block_ends_when_the_draft_carries_it(store: Store, clock: ManualClock) -> None:
    saved(store, BLOCK, kind=JobKind.UPCOMING, next_check_at=START + DAY)
    store.jobs.end_block(BLOCK.invoice_id)
    assert store.jobs.block_on("sub_1") is None
    clock.advance(10**6)
    assert not store.triggers.any_due()


def test_whoever_looked_at_a_block_when_it_ended_cannot_bring_it_back(store: Store) -> None:
    saved(store, BLOCK, kind=JobKind.UPCOMING, next_check_at=START + DAY)
    leased = store.jobs.acquire(JobKind.UPCOMING, BLOCK.invoice_id, timedelta(seconds=30))
    assert leased is not None
    store.jobs.end_block(BLOCK.invoice_id)
    with pytest.raises(LeaseLost):
        leased.guard()
    with pytest.raises(LeaseLost):
        leased.give_back(BLOCK, START + DAY)
    found = store.jobs.find(BLOCK.invoice_id)
    assert found is not None
    assert (found.memory.stage, found.next_check_at) == (Stage.ENDED, None)


def test_a_released_invoice_that_was_paid_has_ended(store: Store) -> None:
    saved(store, replace(HELD, position=Released(at=START)), next_check_at=START + DAY)
    assert store.jobs.finish_released("in_1")
    found = store.jobs.find("in_1")
    assert found is not None
    assert (found.memory.stage, found.memory.held, found.next_check_at) == (Stage.ENDED, False, None)


def test_an_invoice_that_is_held_again_does_not_end_by_being_paid(store: Store) -> None:
    saved(store, replace(HELD, position=Held(step=HoldStep.RELEASING)))
    assert not store.jobs.finish_released("in_1")


@pytest.mark.parametrize("position", [Free(), Held(), Held(step=HoldStep.FINALIZED), Stamped(), Cleared(), Ended()])
def test_no_other_invoice_ends_by_being_paid(store: Store, position: Position) -> None:
    saved(store, replace(HELD, position=position))
    before = store.jobs.find("in_1")
    assert not store.jobs.finish_released("in_1")
    assert not store.jobs.finish_released("in_2")
    assert store.jobs.find("in_1") == before


def test_another_policy_wakes_every_open_subject(store: Store) -> None:
    fill(store, ["in_1", "in_2"], next_check_at=START + DAY)
    saved(store, replace(HELD, invoice_id="in_3", position=Ended()))
    assert store.jobs.wake_all() == 2
    assert {job_id for job_id, _ in store.triggers.due_ids()} == {"in_1", "in_2"}


def test_what_a_dead_process_left_unanswered_is_woken_and_nothing_else(store: Store, clock: ManualClock) -> None:
    store.triggers.receive(event(), Queue())
    saved(store, replace(HELD, invoice_id="in_2"), next_check_at=START + DAY)
    saved(store, replace(HELD, invoice_id="in_3"))
    clock.advance(1)
    assert store.jobs.wake_unanswered() == 1
    assert store.triggers.due_ids() == [("in_1", JobKind.INVOICE)]


# -- moments ----------------------------------------------------------------------------------------------------------


def test_moments_come_back_in_utc_with_their_microseconds(store: Store) -> None:
    at = START + 7 * MICROSECOND
    saved(store, HELD, next_check_at=at.astimezone(timezone(timedelta(hours=5, minutes=45))))
    found = store.jobs.find("in_1")
    assert found is not None
    assert (found.next_check_at, found.updated_at) == (at, START)
    assert [moment.utcoffset() for moment in (at, found.updated_at)] == [timedelta(0)] * 2
    assert store.triggers.next_due_at() == at


def test_moments_are_ordered_by_their_microseconds(store: Store, clock: ManualClock) -> None:
    for number, at in enumerate([START + MICROSECOND, START, START + SECOND, START.replace(microsecond=0)]):
        saved(store, InvoiceState(invoice_id=f"in_{number}"), next_check_at=at)
    assert [one for one, _ in store.triggers.due_ids()] == ["in_3", "in_1"]
    clock.advance(1)
    assert [one for one, _ in store.triggers.due_ids()] == ["in_3", "in_1", "in_0", "in_2"]


def test_a_moment_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(sa.exc.StatementError, match="without a zone"):
        saved(store, HELD, next_check_at=START.replace(tzinfo=None))


# -- chains -----------------------------------------------------------------------------------------------------------


def append(store: Store, number: int = 1, chain: str = "sub_1", job_id: str = "in_1") -> str:
    core: dict[str, Json] = {"decision": {"verdict": "drifted", "reason": "OVERBILLED"}, "number": number}
    return store.chains.append(core, chain=chain, job_id=job_id, decided_at=START).sha256


def test_every_link_names_the_one_before(store: Store) -> None:
    hashes = [append(store, number) for number in range(3)]
    links = [json.loads(link.document)["chain"] for link in store.chains.of_job("in_1")]
    assert [link["sequence"] for link in links] == [1, 2, 3]
    assert [link["previous_sha256"] for link in links] == [None, *hashes[:-1]]


def test_every_chain_begins_anew(store: Store) -> None:
    append(store, chain="sub_1")
    append(store, chain="sub_2", job_id="in_2")
    (link,) = store.chains.of_job("in_2")
    assert json.loads(link.document)["chain"] == {"id": "sub_2", "sequence": 1, "previous_sha256": None}


def test_a_chain_goes_on_from_invoice_to_invoice(store: Store) -> None:
    first = append(store, job_id="in_1")
    append(store, job_id="in_2")
    (link,) = store.chains.of_job("in_2")
    assert json.loads(link.document)["chain"]["previous_sha256"] == first


def test_the_same_decision_again_is_no_news(store: Store) -> None:
    assert len({append(store) for _ in range(3)}) == 1
    assert len(store.chains.of_job("in_1")) == 1


def test_a_decision_that_was_another_meanwhile_is_news(store: Store) -> None:
    assert len({append(store, number) for number in (1, 2, 1)}) == 3


def test_evidence_comes_back_to_the_byte(store: Store) -> None:
    sealed = store.chains.append(
        {"decision": {}, "text": "ß \u2028 東京"}, chain="sub_1", job_id="in_1", decided_at=START
    )
    assert store.chains.of_job("in_1") == [sealed]


def test_a_chain_has_no_gap_and_no_fork_when_many_append_at_once(store: Store) -> None:
    hashes = at_once(lambda number: append(store, number), times=48)
    assert len(set(hashes)) == 48
    links = store.chains.of_job("in_1")
    places = [json.loads(link.document)["chain"] for link in links]
    assert [place["sequence"] for place in places] == list(range(1, 49))
    assert [place["previous_sha256"] for place in places] == [None, *(link.sha256 for link in links[:-1])]


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE pacspace_evidence SET document = document",
        "UPDATE pacspace_evidence SET subject_id = 'in_2' WHERE sequence = 1",
        "DELETE FROM pacspace_evidence",
        "DELETE FROM pacspace_evidence WHERE sequence = 2",
    ],
)
def test_the_database_refuses_to_change_or_delete_evidence(store: Store, tampering: str) -> None:
    for number in range(2):
        append(store, number)
    before = store.chains.of_job("in_1")
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), store.engine.begin() as connection:
        connection.exec_driver_sql(tampering)
    assert store.chains.of_job("in_1") == before


def test_no_evidence_takes_the_place_of_another(store: Store) -> None:
    first = append(store)
    columns = "chain_id, sequence, sha256, subject_id, document, decided_at"
    forged = "SELECT chain_id, sequence, 'other', subject_id, document, decided_at FROM pacspace_evidence"
    with pytest.raises(sa.exc.IntegrityError), store.engine.begin() as connection:
        connection.exec_driver_sql(f"INSERT INTO pacspace_evidence ({columns}) {forged}")
    assert [link.sha256 for link in store.chains.of_job("in_1")] == [first]


def test_sqlite_refuses_to_replace_evidence(sqlite_url: str, clock: ManualClock) -> None:
    store = Store(normal(sqlite_url), now=clock.now, lost_after=LOST_AFTER)
    store.migrate()
    first = append(store)
    forged = "SELECT chain_id, sequence, 'other', subject_id, document, decided_at FROM pacspace_evidence"
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), store.engine.begin() as connection:
        connection.exec_driver_sql(f"INSERT OR REPLACE INTO pacspace_evidence {forged}")
    assert [link.sha256 for link in store.chains.of_job("in_1")] == [first]
    store.close()


def test_postgresql_refuses_to_truncate_evidence(postgresql_url: str, clock: ManualClock) -> None:
    store = Store(normal(postgresql_url), now=clock.now, lost_after=LOST_AFTER)
    store.migrate()
    first = append(store)
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), store.engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE pacspace_evidence")
    assert [link.sha256 for link in store.chains.of_job("in_1")] == [first]
    store.close()


def test_a_database_of_the_version_before_keeps_its_evidence_and_guards_it(empty: Store) -> None:
    empty.migrate()
    append(empty)
    revision(empty, "downgrade", "0001")
    append(empty, 2)
    before = empty.chains.of_job("in_1")
    empty.migrate()
    assert empty.chains.of_job("in_1") == before
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), empty.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM pacspace_evidence")
    revision(empty, "downgrade", "base")
    assert sa.inspect(empty.engine).get_table_names() == ["pacspace_alembic_version"]


def revision(store: Store, direction: str, target: str) -> None:
    """Another version of the schema."""
    config = Config()
    config.set_main_option("script_location", str(Path(pacspace_stripe.__file__).parent / "store" / "migrations"))
    with store.engine.connect() as connection:
        config.attributes["connection"] = connection
        getattr(command, direction)(config, target)


BEFORE_METERS = "0005"


# -- the journal ------------------------------------------------------------------------------------------------------


OCTOBER = Window(start=datetime(2026, 10, 1, tzinfo=UTC), end=datetime(2026, 11, 1, tzinfo=UTC))
HALF = Window(start=datetime(2026, 10, 16, tzinfo=UTC), end=datetime(2026, 11, 16, tzinfo=UTC))
NOVEMBER = Window(start=datetime(2026, 11, 1, tzinfo=UTC), end=datetime(2026, 12, 1, tzinfo=UTC))


def test_an_account_that_one_invoice_bills_has_no_rival(store: Store) -> None:
    for _ in range(2):
        store.coverage.put("in_1", [("acme", OCTOBER), ("acme", NOVEMBER)])
    assert store.coverage.overlapping_invoice("in_1", "acme", OCTOBER) is None


def test_two_invoices_for_one_time_are_each_others_rivals(store: Store) -> None:
    store.coverage.put("in_1", [("acme", OCTOBER)])
    store.coverage.put("in_2", [("acme", HALF)])
    assert store.coverage.overlapping_invoice("in_1", "acme", OCTOBER) == "in_2"
    assert store.coverage.overlapping_invoice("in_2", "acme", HALF) == "in_1"
    assert store.coverage.overlapping_invoice("in_2", "other", HALF) is None


def test_the_time_that_two_invoices_bill_is_told(store: Store) -> None:
    store.coverage.put(
        "in_1", [CoveredPart("acme", OCTOBER, "seats", "cus_1"), CoveredPart("acme", NOVEMBER, "api_calls", "cus_1")]
    )
    first, second = replace(HALF, end=OCTOBER.end), replace(HALF, start=NOVEMBER.start)
    assert sorted(store.coverage.overlaps("in_1", "acme", HALF)) == [first, second]
    assert store.coverage.overlaps("in_1", "acme", HALF, "seats", "cus_1") == [first]
    assert store.coverage.overlaps("in_1", "other", HALF) == store.coverage.overlaps("in_2", "acme", HALF) == []


def test_one_period_after_the_other_is_no_rival(store: Store) -> None:
    store.coverage.put("in_1", [("acme", OCTOBER)])
    store.coverage.put("in_2", [("acme", NOVEMBER)])
    assert store.coverage.overlapping_invoice("in_2", "acme", NOVEMBER) is None


def test_windows_that_begin_together_are_claimed_as_the_longest(store: Store) -> None:
    store.coverage.put("in_1", [("acme", OCTOBER), ("acme", replace(OCTOBER, end=OCTOBER.start + DAY))])
    assert store.coverage.overlapping_invoice("in_2", "acme", HALF) == "in_1"


def test_two_meters_of_one_customer_share_an_account(store: Store) -> None:
    store.coverage.put(
        "in_1", [CoveredPart("acme", OCTOBER, "api_calls", "cus_1"), CoveredPart("acme", OCTOBER, "seats", "cus_1")]
    )
    assert store.coverage.overlapping_invoice("in_2", "acme", HALF, "storage", "cus_1") is None
    assert store.coverage.overlapping_invoice("in_2", "acme", HALF, "seats", "cus_1") == "in_1"
    assert store.coverage.overlapping_invoice("in_2", "acme", HALF, "storage", "cus_2") == "in_1"
    assert store.coverage.overlapping_invoice("in_2", "acme", HALF) == "in_1"


def test_a_claim_of_all_of_an_account_is_one_of_every_meter_in_it(store: Store) -> None:
    store.coverage.put("in_1", [("acme", OCTOBER)])
    assert store.coverage.overlapping_invoice("in_2", "acme", HALF, "storage", "cus_1") == "in_1"


def test_claims_from_before_there_were_meters_are_kept(empty: Store) -> None:
    revision(empty, "upgrade", "head")
    empty.coverage.put(
        "in_1", [CoveredPart("acme", OCTOBER, "api_calls", "cus_1"), CoveredPart("acme", OCTOBER, "seats", "cus_1")]
    )
    revision(empty, "downgrade", BEFORE_METERS)
    revision(empty, "upgrade", "head")
    assert empty.coverage.overlapping_invoice("in_2", "acme", OCTOBER, "storage", "cus_1") == "in_1"


def test_an_early_warning_is_nobodys_rival(store: Store) -> None:
    store.coverage.put("upcoming:sub_1:7", [("acme", OCTOBER)])
    assert store.coverage.overlapping_invoice("in_1", "acme", OCTOBER) is None


@pytest.mark.parametrize(
    ("claimed", "verdict", "found"),
    [
        pytest.param(HALF, Verdict.DRIFTED, True, id="of a time that overlaps, drifted"),
        pytest.param(NOVEMBER, Verdict.DRIFTED, False, id="of another time"),
        pytest.param(OCTOBER, Verdict.MATCHED, False, id="matched"),
        pytest.param(OCTOBER, Verdict.UNPROVEN, False, id="not judged yet"),
    ],
)
def test_drifts_beside_are_found_by_their_claims(
    store: Store, claimed: Window, verdict: Verdict, *, found: bool
) -> None:
    store.coverage.put("in_2", [("beta", claimed)])
    memory = replace(HELD, invoice_id="in_2", verdict=verdict)
    saved(store, memory)
    assert store.coverage.drifting("in_1", OCTOBER, most=5) == ([memory] if found else [])
    assert store.coverage.drifting("in_2", OCTOBER, most=5) == []


def test_invoices_beside_that_were_not_judged_are_found_once(store: Store) -> None:
    store.coverage.put(
        "in_2", [CoveredPart("beta", OCTOBER, "api_calls", "cus_2"), CoveredPart("beta", OCTOBER, "seats", "cus_2")]
    )
    store.coverage.put("in_3", [("gamma", NOVEMBER)])
    store.coverage.put("in_4", [("delta", OCTOBER)])
    saved(store, replace(HELD, invoice_id="in_4", verdict=Verdict.MATCHED))
    assert store.coverage.beside("in_1", OCTOBER, most=5) == [("in_2", "beta")]


# -- a ledger account's events ----------------------------------------------------------------------------------------

SOON, APART = START + 5 * SECOND, 30 * SECOND
WAITS = replace(HELD, verdict=Verdict.UNPROVEN)
WARNING = replace(HELD, invoice_id="upcoming:sub_1:7", position=Free())


def bills(
    store: Store, memory: InvoiceState, *, account: str = "acme", next_check_at: datetime | None = START + DAY
) -> None:
    """A job that bills an account, was looked at long ago and is looked at again later."""
    kind = JobKind.UPCOMING if memory.invoice_id.startswith("upcoming:") else JobKind.INVOICE
    store.coverage.put(memory.invoice_id, [(account, OCTOBER)])
    saved(store, memory, kind=kind, next_check_at=next_check_at)
    with store.engine.begin() as connection:
        connection.execute(sa.update(metadata.tables["pacspace_subjects"]).values(updated_at=START - DAY))


def planned(store: Store, job_id: str = "in_1") -> datetime | None:
    found = store.jobs.find(job_id)
    assert found is not None
    return found.next_check_at


def tell(store: Store, event_id: str = "evt_1", account: str = "acme") -> int:
    return store.triggers.wake_account(event_id, "delta.verified", account, soon=5 * SECOND, apart=APART)


@pytest.mark.parametrize(
    ("memory", "woken"),
    [
        pytest.param(WAITS, True, id="a held invoice that is unproven"),
        pytest.param(replace(HELD, verdict=Verdict.DRIFTED), True, id="one that drifted"),
        pytest.param(replace(WAITS, position=Free()), True, id="one that waits for its backstop"),
        pytest.param(HELD, False, id="one whose usage settles: it is looked at when that is over"),
        pytest.param(replace(HELD, verdict=Verdict.MATCHED), False, id="one that agreed before"),
        pytest.param(replace(HELD, position=Ended()), False, id="one that has ended"),
        pytest.param(replace(HELD, position=Released(at=START)), False, id="one that was let go"),
        pytest.param(replace(WARNING, verdict=Verdict.DRIFTED), True, id="an early warning"),
        pytest.param(replace(WARNING, verdict=Verdict.UNPROVEN), True, id="one that could not say"),
        pytest.param(replace(WARNING, verdict=Verdict.MATCHED), False, id="one that had nothing to warn of"),
        pytest.param(replace(WARNING, verdict=None), False, id="one that has not looked"),
    ],
)
def test_an_event_wakes_what_is_open_on_its_account(store: Store, memory: InvoiceState, woken: bool) -> None:  # noqa: FBT001 - a table
    bills(store, memory)
    bills(store, replace(HELD, invoice_id="in_other"), account="other")
    assert tell(store) == int(woken)
    assert planned(store, memory.invoice_id) == (SOON if woken else START + DAY)
    assert planned(store, "in_other") == START + DAY


def test_of_a_burst_the_first_event_is_recorded_and_counts(store: Store, clock: ManualClock) -> None:
    bills(store, WAITS)
    for number in range(50):
        assert tell(store, f"evt_{number}") == int(number == 0)
        clock.advance(0.05)
    assert list(store.journal.event_outcomes()) == ["evt_0"]
    assert planned(store) == SOON


def test_a_burst_to_several_processes_is_one_row(store: Store) -> None:
    bills(store, WAITS)
    assert sum(at_once(lambda number: tell(store, f"evt_{number}"), 20 * THREADS)) == 1
    assert len(store.journal.event_outcomes()) == 1


def test_a_stream_of_events_wakes_now_and_then(store: Store, clock: ManualClock) -> None:
    bills(store, WAITS)
    saved(store, WAITS, next_check_at=START + DAY)
    clock.advance(1)
    assert tell(store) == 1
    assert planned(store) == START + APART


def test_an_event_about_nobodys_account_leaves_no_trace(store: Store) -> None:
    bills(store, WAITS)
    assert tell(store, account="nobody") == 0
    assert store.journal.event_outcomes() == {}


def test_a_replayed_event_wakes_nobody(store: Store) -> None:
    bills(store, WAITS)
    tell(store)
    saved(store, WAITS, next_check_at=START + DAY)
    assert tell(store) == 0
    assert planned(store) == START + DAY


def test_an_event_puts_nothing_off(store: Store) -> None:
    bills(store, HELD, next_check_at=START + SECOND)
    assert tell(store) == 0
    assert planned(store) == START + SECOND


def test_an_event_does_not_open_again_what_is_never_looked_at(store: Store) -> None:
    bills(store, HELD, next_check_at=None)
    assert tell(store) == 0
    assert planned(store) is None


@pytest.mark.parametrize(
    ("next_check_at", "then"), [(START + DAY, SOON), (START + SECOND, START + SECOND), (None, None)]
)
def test_an_event_during_a_look_is_not_lost(
    store: Store, next_check_at: datetime | None, then: datetime | None
) -> None:
    bills(store, WAITS)
    lease = leased(store)
    assert [tell(store, f"evt_{number}") for number in range(3)] == [1, 0, 0]
    lease.guard()
    lease.save(HELD)
    lease.give_back(HELD, next_check_at)
    assert planned(store) == then


def test_an_event_late_in_a_long_look_is_not_lost(store: Store, clock: ManualClock) -> None:
    bills(store, WAITS)
    lease = leased(store)
    for _ in range(6):
        clock.advance(20)
        lease.save(HELD)
    assert tell(store) == 1
    wanted = planned(store)
    lease.give_back(HELD, START + DAY)
    assert planned(store) == wanted == clock.now() + TTL


def test_an_event_about_what_a_dead_process_looked_at_is_not_lost(store: Store, clock: ManualClock) -> None:
    bills(store, WAITS)
    leased(store)
    clock.advance(TTL.total_seconds())
    assert tell(store) == 0
    clock.advance(5)
    assert store.triggers.due_ids() == [("in_1", JobKind.INVOICE)]


def test_a_look_that_nobody_brought_forward_says_itself_when_to_look_again(store: Store) -> None:
    bills(store, WAITS)
    for days in (2, 1, 3):
        leased(store).give_back(HELD, START + days * DAY)
        assert planned(store) == START + days * DAY


def test_a_renewed_lease_is_looked_after_from_then_on(store: Store, clock: ManualClock) -> None:
    lease = leased(store)
    clock.advance(20)
    lease.guard()
    assert planned(store) == clock.now() + LOST_AFTER


def test_a_corrected_mapping_frees_what_was_claimed_before(store: Store) -> None:
    store.coverage.put("in_1", [("acme", OCTOBER)])
    store.coverage.put("in_1", [("other", OCTOBER)])
    assert store.coverage.overlapping_invoice("in_2", "acme", OCTOBER) is None
    store.coverage.put("in_1", [])
    assert store.coverage.overlapping_invoice("in_2", "other", OCTOBER) is None


def test_the_audit_trail_is_in_the_order_of_what_happened(store: Store) -> None:
    for number in range(12):
        store.journal.note("hold", "in_1", str(number))
    store.journal.note("hold", "in_2", "another")
    trail = store.journal.audit_trail("in_1")
    assert trail == [(START, "hold", str(number)) for number in range(12)]


def test_a_fact_tells_what_it_was_before(store: Store) -> None:
    assert store.journal.fact("policy") is None
    assert [store.journal.remember_fact("policy", value) for value in ("a", "b", "b")] == [None, "a", "b"]
    assert store.journal.fact("policy") == "b"


# -- a database that does not answer ----------------------------------------------------------------------------------

DEAD_DATABASES = {
    "a closed port": "postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=2",
    "a folder that is not there": "sqlite:////nonexistent/folder/gate.db",
}
EVERYTHING: dict[str, Callable[[Store], object]] = {
    "migrate": lambda store: store.migrate(),
    "ping": lambda store: store.journal.ping(),
    "claim": lambda store: store.coverage.put("in_1", ()),
    "rival": lambda store: store.coverage.overlapping_invoice("in_1", "acme", OCTOBER),
    "fact": lambda store: store.journal.remember_fact("policy", "x"),
    "note": lambda store: store.journal.note("hold", "in_1", ""),
    "trail": lambda store: store.journal.audit_trail("in_1"),
    "outcomes": lambda store: store.journal.event_outcomes(),
    "append": append,
    "evidence": lambda store: store.chains.of_job("in_1"),
    "receive": lambda store: store.triggers.receive(event(), Queue()),
    "request": lambda store: store.triggers.request(JobKind.INVOICE, "in_1"),
    "take": lambda store: store.triggers.take_due(Queue()),
    "any": lambda store: store.triggers.any_due(),
    "due": lambda store: store.triggers.due_ids(),
    "next": lambda store: store.triggers.next_due_at(),
    "acquire": lambda store: store.jobs.acquire(JobKind.INVOICE, "in_1", TTL),
    "renew": lambda store: store.jobs.renew("in_1", "me", TTL),
    "save": lambda store: store.jobs.save("in_1", "me", HELD, TTL),
    "free": lambda store: store.jobs.free_leases_of_the_dead("here", lambda _: True),
    "find": lambda store: store.jobs.find("in_1"),
    "invoices": lambda store: store.jobs.invoices(),
    "known": lambda store: store.jobs.known(["in_1"]),
    "block": lambda store: store.jobs.block_on("sub_1"),
    "unblock": lambda store: store.jobs.end_block("in_1"),
    "finish": lambda store: store.jobs.finish_released("in_1"),
    "wake": lambda store: store.jobs.wake_all(),
    "unanswered": lambda store: store.jobs.wake_unanswered(),
    "kept back": lambda store: store.jobs.kept_back(["in_1"]),
    "account": tell,
}


@pytest.mark.parametrize("ask", EVERYTHING.values(), ids=EVERYTHING)
@pytest.mark.parametrize("url", DEAD_DATABASES.values(), ids=DEAD_DATABASES)
def test_whatever_is_asked_of_a_dead_database_is_unavailable(
    url: str, ask: Callable[[Store], object], clock: ManualClock
) -> None:
    dead = Store(url, now=clock.now, lost_after=LOST_AFTER)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        ask(dead)
    dead.close()


def test_a_database_without_our_tables_is_not_ready(empty: Store) -> None:
    with pytest.raises(StoreUnavailable):
        empty.journal.ping()


def test_a_migrated_database_is_ready(store: Store) -> None:
    store.journal.ping()


def test_a_database_that_takes_no_writes_is_not_ready(database_url: str, empty: Store, clock: ManualClock) -> None:
    empty.migrate()
    refusing = Store(read_only(database_url, empty), now=clock.now, lost_after=LOST_AFTER)
    with pytest.raises(StoreUnavailable):
        refusing.journal.ping()
    with pytest.raises(StoreUnavailable):
        refusing.triggers.receive(event(), Queue())
    assert refusing.jobs.find("in_1") is None
    refusing.close()


def read_only(database_url: str, store: Store) -> str:
    """The same database as a standby or a read-only disk would show it."""
    url = sa.make_url(normal(database_url))
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///file:{url.database}?mode=ro&uri=true"
    with store.engine.begin() as connection:
        connection.exec_driver_sql(f'ALTER DATABASE "{url.database}" SET default_transaction_read_only = on')
    return normal(database_url)


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "gate.db").write_text("This is a letter to a friend, and longer than a database's header. " * 20)
    letter = Store(f"sqlite:///{tmp_path / 'gate.db'}", now=clock.now, lost_after=LOST_AFTER)
    with pytest.raises(StoreUnavailable):
        letter.journal.ping()
    letter.close()


def test_a_file_that_breaks_while_it_is_open_is_unavailable(sqlite_url: str, clock: ManualClock) -> None:
    broken, other = (Store(sqlite_url, now=clock.now, lost_after=LOST_AFTER) for _ in range(2))
    broken.migrate()
    broken.triggers.receive(event(1), Queue())
    other.triggers.receive(event(2), Queue())
    with other.engine.connect() as connection:
        connection.rollback()
        connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with Path(sa.make_url(sqlite_url).database or "").open("r+b") as file:
        file.write(b"a letter to a friend" * 200)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="does not answer"):
            broken.triggers.receive(event(3), Queue())
    broken.close()
    other.close()


def test_an_error_of_the_database_keeps_its_secrets(clock: ManualClock) -> None:
    url = "postgresql+psycopg://someone:hunter2@127.0.0.1:1/none?connect_timeout=2"
    dead = Store(url, now=clock.now, lost_after=LOST_AFTER)
    with pytest.raises(StoreUnavailable) as raised:
        dead.journal.ping()
    assert "hunter2" not in str(raised.value) + raised.value.hint
    dead.close()


def test_a_connection_that_broke_is_replaced(postgresql_url: str, clock: ManualClock) -> None:
    made = Store(normal(postgresql_url), now=clock.now, lost_after=LOST_AFTER)
    made.migrate()
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
    with psycopg.connect(postgresql_url) as other:
        other.execute(f"{cut} AND pid <> pg_backend_pid()", [other.info.dbname])
    made.journal.ping()
    made.close()


# -- how it is read ---------------------------------------------------------------------------------------------------

LOOKUPS: dict[str, tuple[Callable[[Store], object], str]] = {
    "whether something is due": (lambda store: store.triggers.any_due(), "ix_pacspace_subjects_due"),
    "what is due": (lambda store: store.triggers.due_ids(), "ix_pacspace_subjects_due"),
    "what to take": (lambda store: store.triggers.take_due(Queue()), "ix_pacspace_subjects_due"),
    "when the next is due": (lambda store: store.triggers.next_due_at(), "ix_pacspace_subjects_due"),
    "a block": (lambda store: store.jobs.block_on("sub_of_in_7"), "ix_pacspace_subjects_subscription"),
    "the known": (lambda store: store.jobs.known([f"in_{one}" for one in range(50)]), "pacspace_subjects"),
    "an account's invoices": (
        tell,
        "pacspace_claims",
    ),
    "leases": (
        lambda store: store.jobs.free_leases_of_the_dead("here", lambda _: True),
        "ix_pacspace_subjects_lease",
    ),
}


@pytest.mark.parametrize(("ask", "index"), LOOKUPS.values(), ids=LOOKUPS)
def test_a_lookup_among_many_uses_an_index(store: Store, ask: Callable[[Store], object], index: str) -> None:
    fill(
        store, [f"in_{number}" for number in range(5000)], next_check_at=START + DAY, kind="upcoming", verdict="drifted"
    )
    with store.engine.connect() as connection:
        row = {"starts_at": OCTOBER.start, "ends_at": OCTOBER.end}
        rows = [{"account": f"acme_{number}", "invoice_id": f"in_{number}", **row} for number in range(5000)]
        connection.execute(sa.insert(metadata.tables["pacspace_claims"]), rows)
        connection.exec_driver_sql("ANALYZE")
        connection.commit()
    (plan,) = plans(store, ask)
    assert index in plan
    assert "Seq Scan" not in plan
    assert "SCAN pacspace_subjects\n" not in plan


def plans(store: Store, ask: Callable[[Store], object]) -> list[str]:
    """How the database goes about the queries that are asked of it."""
    asked: list[tuple[str, Any]] = []

    def listen(_: object, _cursor: object, statement: str, parameters: object, *_rest: object) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    sa.event.listen(store.engine, "before_cursor_execute", listen)
    ask(store)
    sa.event.remove(store.engine, "before_cursor_execute", listen)
    explain = "EXPLAIN QUERY PLAN " if store.engine.dialect.name == "sqlite" else "EXPLAIN "
    with store.engine.connect() as connection:
        found = [connection.exec_driver_sql(explain + statement, parameters) for statement, parameters in asked]
        return ["".join(f"{row[-1]}\n" for row in plan) for plan in found]


def test_sqlite_survives_a_power_cut_and_lets_readers_read(sqlite_url: str, clock: ManualClock) -> None:
    made = Store(sqlite_url, now=clock.now, lost_after=LOST_AFTER)
    with made.engine.connect() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout")
        ]
    assert found == ["wal", 2, 10_000]
    made.close()


def test_a_reader_does_not_keep_a_writer_waiting(store: Store, clock: ManualClock) -> None:
    database = Database(engine=store.engine, now=clock.now)
    with database.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(jobs)).scalar() == 0
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(store.triggers.receive, event(), Queue()).result(timeout=2)
        assert connection.execute(sa.select(sa.func.count()).select_from(jobs)).scalar() in (0, 1)


def test_a_writer_does_not_keep_a_reader_waiting(store: Store, clock: ManualClock) -> None:
    saved(store, HELD)
    database = Database(engine=store.engine, now=clock.now)
    with database.writing() as connection:
        connection.execute(sa.update(jobs).values(stage="ended"))
        with ThreadPoolExecutor(1) as thread:
            found = thread.submit(store.jobs.find, "in_1").result(timeout=2)
    assert found is not None
    assert found.memory.stage is Stage.HELD


def test_writers_wait_for_each_other(store: Store) -> None:
    def work(number: int) -> bool:
        store.journal.note("hold", f"in_{number % 3}", str(number))
        lease = store.jobs.acquire(JobKind.INVOICE, f"in_{number}", TTL)
        return lease is not None and not lease.give_back(HELD, None)

    assert all(at_once(work, times=80))
    assert sum(len(store.journal.audit_trail(f"in_{number}")) for number in range(3)) == 80


def test_a_folder_that_cannot_be_written_is_named_as_the_reason(tmp_path: Path) -> None:
    made = Store(f"sqlite:///{tmp_path / 'there.db'}", now=lambda: START, lost_after=TTL)
    made.migrate()
    made.close()
    with closing(sqlite3.connect(tmp_path / "there.db")) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    for address in (f"file:{tmp_path / 'there.db'}?mode=ro&uri=true", str(tmp_path / "nowhere" / "there.db")):
        store = Store(f"sqlite:///{address}", now=lambda: START, lost_after=TTL)
        with pytest.raises(StoreUnavailable, match="does not answer: SQLite needs to write") as refused:
            store.migrate()
        assert "copy the database" in refused.value.hint
        store.close()
