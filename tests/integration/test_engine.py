"""The worker on SQLite and on PostgreSQL: every trigger becomes one check, whatever else happens."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import sqlalchemy as sa

from pacspace_stripe.errors import LeaseBusy, LeaseLost, StoreUnavailable
from pacspace_stripe.store import JobKind, ReceivedEvent, Store
from pacspace_stripe.store.alerts import DeliveryState
from pacspace_stripe.worker import APPLICATION_VERSION, CHECKS, HOLDS, KEPT, Worker
from tests.support.alert_receivers import Receiver, alert_sender, delivery, receiving, tell
from tests.support.engines import LEASE, LOST_AFTER, PATIENCE, EngineProcess, eventually, wall_clock
from tests.support.stores import fill, normal

if TYPE_CHECKING:
    from pacspace_stripe.vocabulary.canonical_json import Json

QUIET = 1.0
"""Seconds in which a second look would have begun."""
DAY = timedelta(days=1)


@dataclass
class Bench:
    """A worker of this process, and the checks that it ran."""

    url: str
    checks: list[tuple[JobKind, str, int]] = field(default_factory=list)
    troubles: dict[str, Exception] = field(default_factory=dict)
    """Errors that the check of a job raises."""
    receiver: Receiver | None = None
    """Receiver of alerts."""

    def __post_init__(self) -> None:
        self.store = Store(self.url, now=wall_clock, lost_after=LOST_AFTER)
        self.store.migrate()
        senders = [alert_sender(self.store, self.receiver)] if self.receiver else []
        self.engine = Worker(store=self.store, url=self.url, run_job=self._check, alert_senders=senders)

    def _check(self, kind: JobKind, job_id: str, requested: int) -> None:
        self.checks.append((kind, job_id, requested))
        if job_id in self.troubles:
            raise self.troubles[job_id]
        lease = self.store.jobs.acquire(kind, job_id, LEASE)
        if lease is not None:
            lease.give_back(None, None)

    def of(self, job_id: str) -> list[int]:
        """Return the requests of a job that were answered."""
        return [requested for _, looked_at, requested in self.checks if looked_at == job_id]

    def rows(self, job_id: str) -> list[Any]:
        """Return the queue's rows of a job."""
        query = f"SELECT * FROM {self.table('workflow_status')} WHERE workflow_uuid LIKE :id ORDER BY workflow_uuid"  # noqa: S608  # our own words
        with self.store.engine.connect() as connection:
            return list(connection.execute(sa.text(query), {"id": f"check:{job_id}:%"}))

    def stored(self, table: str, column: str, workflow_id: str) -> list[Any]:
        """Return a column of another table of the queue for a row."""
        query = sa.text(f"SELECT {column} FROM {self.table(table)} WHERE workflow_uuid = :id")  # noqa: S608  # our own words
        with self.store.engine.connect() as connection:
            return list(connection.execute(query, {"id": workflow_id}).scalars())

    def outcome(self, workflow_id: str) -> str:
        """Return the outcome of a check."""
        (output,) = self.stored("workflow_output", "output", workflow_id)
        return str(json.loads(output))

    def table(self, name: str) -> str:
        """Return the name of a table of the queue in this database."""
        return f"dbos.{name}" if self.store.engine.dialect.name == "postgresql" else name

    def change(self, job_id: str, column: str, value: object) -> None:
        """Change a column of the queue's rows of a job."""
        change = f"UPDATE {self.table('workflow_status')} SET {column} = :value WHERE workflow_uuid LIKE :id"  # noqa: S608  # our own words
        with self.store.engine.begin() as connection:
            connection.execute(sa.text(change), {"value": value, "id": f"check:{job_id}:%"})

    def copy(self, workflow_id: str, times: int) -> None:
        """Insert a number of copies of a row."""
        schema, _, name = self.table("workflow_status").rpartition(".")
        table = sa.Table(name, sa.MetaData(), schema=schema or None, autoload_with=self.store.engine)
        with self.store.engine.begin() as connection:
            row = connection.execute(sa.select(table).where(table.c.workflow_uuid == workflow_id)).mappings().one()
            copies = [{**row, "workflow_uuid": f"{workflow_id}:{number}"} for number in range(times)]
            connection.execute(sa.insert(table), copies)

    def finished(self, job_id: str) -> bool:
        """Return whether every queued check of a job is over."""
        rows = self.rows(job_id)
        return bool(rows) and all(row.status == "SUCCESS" for row in rows)

    def answered(self, job_id: str) -> bool:
        """Return whether every request of a job was answered."""
        found = self.store.jobs.find(job_id)
        return found is not None and found.answered == found.requested


def event(name: str) -> ReceivedEvent:
    return ReceivedEvent(
        event_id=f"evt_{name}",
        type="invoice.created",
        job_id=f"in_{name}",
        kind=JobKind.INVOICE,
        subscription_id=None,
        customer_id=None,
        outcome="queued",
    )


def gone() -> int:
    """Return the id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def lease_left_by(bench: Bench, job_id: str, owner: str) -> None:
    fill(bench.store, [job_id], lease_owner=owner, lease_until=wall_clock() + DAY, next_check_at=wall_clock() + DAY)


@pytest.fixture(scope="module")
def bench(module_database_url: str) -> Iterator[Bench]:
    """One worker for all tests of a module, since a process has one. Other processes left leases behind."""
    with receiving(blocked, 200) as receiver:
        made = Bench(normal(module_database_url), receiver=receiver)
        yield from started(made)


LET_GO = threading.Event()


def blocked(_: httpx.Request) -> httpx.Response:
    """Answer once a test lets it."""
    LET_GO.wait(timeout=PATIENCE)
    return httpx.Response(200)


def started(made: Bench) -> Iterator[Bench]:
    here = socket.gethostname()
    lease_left_by(made, "in_of_the_dead", f"{here}/{gone()}/aaaa/1")
    lease_left_by(made, "in_of_the_living", f"{here}/1/aaaa/1")
    lease_left_by(made, "in_of_another_host", f"not-{here}/{gone()}/aaaa/1")
    made.engine.start()
    yield made
    made.engine.stop()
    made.store.close()


# -- one engine -------------------------------------------------------------------------------------------------------


def test_the_leases_of_dead_processes_of_this_host_are_freed_at_the_start(bench: Bench) -> None:
    eventually(lambda: bench.of("in_of_the_dead"))
    assert not bench.of("in_of_the_living")
    assert not bench.of("in_of_another_host")


def test_a_trigger_becomes_one_check(bench: Bench) -> None:
    assert bench.store.triggers.receive(event("one"), bench.engine.enqueue)
    assert not bench.store.triggers.receive(event("one"), bench.engine.enqueue)
    eventually(lambda: bench.of("in_one"), within=3)
    time.sleep(QUIET)
    assert bench.of("in_one") == [1]


def test_a_transaction_that_fails_queues_nothing(bench: Bench) -> None:
    def fail_afterwards(connection: sa.Connection, kind: JobKind, job_id: str, requested: int) -> None:
        bench.engine.enqueue(connection, kind, job_id, requested)
        message = "the disk is full"
        raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="disk is full"):
        bench.store.triggers.receive(event("rolled_back"), fail_afterwards)
    time.sleep(QUIET)
    assert bench.rows("in_rolled_back") == []
    assert bench.of("in_rolled_back") == []
    assert bench.store.jobs.find("in_rolled_back") is None


def test_many_triggers_become_one_check_each(bench: Bench) -> None:
    job_ids = [f"in_many_{number}" for number in range(60)]
    for job_id in job_ids:
        bench.store.triggers.request(JobKind.INVOICE, job_id, bench.engine.enqueue)
    eventually(lambda: all(map(bench.finished, job_ids)))
    assert [bench.of(job_id) for job_id in job_ids] == [[1]] * 60


def test_triggers_that_meet_on_one_job_are_all_answered(bench: Bench) -> None:
    for _ in range(20):
        bench.store.triggers.request(JobKind.INVOICE, "in_wanted", bench.engine.enqueue)
    eventually(lambda: bench.answered("in_wanted") and bench.finished("in_wanted"))
    assert set(range(1, 21)) <= set(bench.of("in_wanted"))


def test_a_due_job_is_checked_within_two_seconds(bench: Bench) -> None:
    bench.store.triggers.request(JobKind.UPCOMING, "upcoming:sub_1:0")
    eventually(lambda: bench.of("upcoming:sub_1:0"), within=2.5)
    assert (JobKind.UPCOMING, "upcoming:sub_1:0", 2) in bench.checks


TROUBLES = {
    "in_bug": (RuntimeError("a bug"), "failed"),
    "in_busy": (LeaseBusy("another process"), "busy"),
    "in_late": (LeaseLost("it ran out"), "lease lost"),
    "in_dark": (StoreUnavailable("no answer"), "StoreUnavailable"),
}


def test_checks_that_raise_are_survived_and_repeated(bench: Bench) -> None:
    bench.troubles = {job_id: trouble for job_id, (trouble, _) in TROUBLES.items()}
    for job_id in TROUBLES:
        bench.store.triggers.request(JobKind.INVOICE, job_id, bench.engine.enqueue)
    eventually(lambda: all(map(bench.finished, TROUBLES)))
    bench.troubles.clear()
    assert {one: bench.outcome(f"check:{one}:1") for one in TROUBLES} == {
        one: outcome for one, (_, outcome) in TROUBLES.items()
    }
    eventually(lambda: all(map(bench.answered, TROUBLES)), within=LOST_AFTER.total_seconds() + 5)


def test_a_database_that_is_away_for_a_moment_is_survived(bench: Bench) -> None:
    """Nothing is found as due while the table is away, and everything afterwards."""
    bench.store.triggers.request(JobKind.UPCOMING, "upcoming:away:0")
    with away(bench):
        time.sleep(2)
    eventually(lambda: bench.answered("upcoming:away:0"), within=LOST_AFTER.total_seconds() + 5)


@contextmanager
def away(bench: Bench) -> Iterator[None]:
    """Rename our table for a while."""
    renaming = "ALTER TABLE {} RENAME TO {}"
    for old, new in [("pacspace_subjects", "elsewhere"), ("elsewhere", "pacspace_subjects")]:
        with bench.store.engine.begin() as connection:
            connection.exec_driver_sql(renaming.format(old, new))
        if new == "elsewhere":
            yield


def test_first_checks_have_a_queue_of_their_own(bench: Bench) -> None:
    for kind, job_id in [
        (JobKind.INVOICE, "in_queued"),
        (JobKind.INVOICE, "in_queued"),
        (JobKind.UPCOMING, "upcoming:q:0"),
    ]:
        bench.store.triggers.request(kind, job_id, bench.engine.enqueue)
    eventually(lambda: bench.of("in_queued") and bench.of("upcoming:q:0"))
    assert {row.workflow_uuid: row.queue_name for row in bench.rows("in_queued")} == {
        "check:in_queued:1": HOLDS,
        "check:in_queued:2": CHECKS,
    }
    assert [row.queue_name for row in bench.rows("upcoming:q:0")] == [CHECKS]


def test_what_the_queue_stores_is_json_that_anyone_can_read(bench: Bench) -> None:
    bench.store.triggers.request(JobKind.INVOICE, "in_json", bench.engine.enqueue)
    eventually(lambda: bench.finished("in_json"))
    (row,) = bench.rows("in_json")
    (inputs,) = bench.stored("workflow_input", "inputs", row.workflow_uuid)
    (step,) = bench.stored("operation_outputs", "output", row.workflow_uuid)
    assert json.loads(inputs)["positionalArgs"] == ["invoice", "in_json", 1]
    assert [json.loads(step), bench.outcome(row.workflow_uuid)] == ["done", "done"]
    assert row.serialization == "portable_json"


def test_one_application_version_for_ever_and_one_executor_per_start(bench: Bench) -> None:
    bench.store.triggers.request(JobKind.INVOICE, "in_version", bench.engine.enqueue)
    eventually(lambda: bench.finished("in_version"))
    (row,) = bench.rows("in_version")
    assert row.application_version == APPLICATION_VERSION
    assert row.executor_id.startswith(f"{socket.gethostname()}-{os.getpid()}-")


def age(bench: Bench, job_id: str, by: timedelta) -> None:
    created_at = (wall_clock() - by).timestamp() * 1000
    bench.change(job_id, "created_at", int(created_at))


def test_only_old_rows_are_pruned_finished_or_not(bench: Bench) -> None:
    job_ids = ["in_old", "in_young", "in_killed"]
    for job_id in job_ids:
        bench.store.triggers.request(JobKind.INVOICE, job_id, bench.engine.enqueue)
    eventually(lambda: all(map(bench.finished, job_ids)))
    age(bench, "in_old", KEPT + DAY)
    age(bench, "in_young", KEPT - DAY)
    age(bench, "in_killed", KEPT + DAY)
    bench.change("in_killed", "status", "PENDING")
    bench.copy("check:in_old:1", times=700)
    evidence: dict[str, Json] = {"decision": {"verdict": "drifted", "reason": "OVERBILLED"}}
    old = wall_clock() - 2 * KEPT
    bench.store.chains.append(evidence, chain="sub_old", job_id="in_old", decided_at=old)
    assert bench.engine.prune() == 702
    assert len(bench.store.chains.of_job("in_old")) == 1
    assert [len(bench.rows(job_id)) for job_id in job_ids] == [0, 1, 0]
    for table in ("workflow_input", "workflow_output", "operation_outputs"):
        assert bench.stored(table, "workflow_uuid", "check:in_old:1") == []


def test_a_sweep_prunes_too(bench: Bench) -> None:
    bench.store.triggers.request(JobKind.INVOICE, "in_swept", bench.engine.enqueue)
    eventually(lambda: bench.finished("in_swept"))
    age(bench, "in_swept", KEPT + DAY)
    bench.store.triggers.request(JobKind.SWEEP, "sweep", bench.engine.enqueue)
    eventually(lambda: bench.finished("sweep"))
    assert bench.rows("in_swept") == []
    assert bench.outcome("check:sweep:1") == "done"


def test_a_slow_receiver_of_alerts_delays_neither_checks_nor_the_loop(bench: Bench) -> None:
    assert bench.receiver is not None
    receiver = bench.receiver
    LET_GO.clear()
    tell(bench.store, "in_alerted")
    try:
        eventually(lambda: receiver.requests)
        bench.store.triggers.request(JobKind.INVOICE, "in_meanwhile", bench.engine.enqueue)
        bench.store.triggers.request(JobKind.UPCOMING, "upcoming:meanwhile:0")
        eventually(lambda: bench.answered("in_meanwhile") and bench.answered("upcoming:meanwhile:0"))
        assert delivery(bench.store) == (DeliveryState.WAITING, 1, None)
    finally:
        LET_GO.set()
    eventually(lambda: delivery(bench.store)[0] is DeliveryState.DELIVERED)
    tell(bench.store, "in_alerted_later")
    eventually(lambda: delivery(bench.store) == (DeliveryState.DELIVERED, 1, None))
    assert [body["invoice"] for body in receiver.bodies] == ["in_alerted", "in_alerted_later"]


@pytest.mark.usefixtures("bench")
def test_at_rest_it_sleeps() -> None:
    time.sleep(QUIET)
    before = time.process_time()
    time.sleep(3)
    assert time.process_time() - before < 0.25 * 3


# -- several, one after the other and side by side --------------------------------------------------------------------


def test_a_worker_that_was_not_started_queues_nothing(database_url: str) -> None:
    made = Bench(normal(database_url))
    with pytest.raises(RuntimeError, match="not started"):
        made.store.triggers.receive(event("early"), made.engine.enqueue)
    assert made.store.jobs.find("in_early") is None
    made.store.close()


def looked(*processes: EngineProcess) -> list[str]:
    return sorted(line.split()[0] for process in processes for line in process.heard("looked"))


def names(count: int) -> list[str]:
    return sorted(f"in_{number:02}" for number in range(count))


def test_jobs_of_a_killed_worker_are_checked_by_the_next(database_url: str) -> None:
    with EngineProcess(normal(database_url)) as first:
        first.tell("work 60", *(f"want {name}" for name in names(30)))
        eventually(lambda: len(first.heard("looking")) == 6)
        first.process.kill()
        first.process.wait()
    with EngineProcess(normal(database_url)) as second:
        eventually(lambda: set(looked(second)) == set(names(30)))


def test_jobs_of_a_stopped_worker_are_checked_by_the_next(database_url: str) -> None:
    with EngineProcess(normal(database_url)) as first:
        first.tell("work 3", *(f"want {name}" for name in names(30)))
        eventually(lambda: first.heard("looking"))
        first.tell("stop")
        assert first.process.wait(timeout=PATIENCE) == 0
        assert 0 < len(looked(first)) == len(first.heard("looking")) < 30
        assert not [line for line in first.told if "Traceback" in line]
    with EngineProcess(normal(database_url)) as second:
        eventually(lambda: set(looked(first, second)) == set(names(30)))


def test_workers_side_by_side_share_the_work_and_repeat_none(database_url: str) -> None:
    with EngineProcess(normal(database_url)) as one, EngineProcess(normal(database_url)) as other:
        for process in (one, other):
            process.tell("work 0.1")
        for number, name in enumerate(names(40)):
            (one, other)[number % 2].tell(f"want {name}")
        eventually(lambda: len(looked(one, other)) >= 40)
        time.sleep(QUIET)
        assert looked(one, other) == names(40)
        assert looked(one)
        assert looked(other)


def test_a_killed_worker_beside_another_delays_no_job_for_long(database_url: str) -> None:
    with EngineProcess(normal(database_url)) as one, EngineProcess(normal(database_url)) as other:
        one.tell("work 60", *(f"want {name}" for name in names(4)))
        other.tell("work 0.1")
        eventually(lambda: len(one.heard("looking") + other.heard("looking")) >= 4)
        one.process.kill()
        one.process.wait()
        other.tell("want in_99")
        eventually(lambda: "in_99" in looked(other), within=3)
