"""The database itself: failures, readiness, query plans, readers beside writers."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from pacspace_stripe.errors import StoreUnavailable
from pacspace_stripe.gate.rules.state import (
    Stage,
)
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.store import JobKind, Store
from pacspace_stripe.store.database import Database
from pacspace_stripe.store.tables import jobs, metadata
from tests.support.stores import (
    DAY,
    HELD,
    LOST_AFTER,
    OCTOBER,
    START,
    TTL,
    Queue,
    append,
    at_once,
    event,
    fill,
    normal,
    saved,
    tell,
)

DEAD_DATABASES = {
    "a closed port": "postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=2",
    "a folder that is not there": "sqlite:////nonexistent/folder/gate.db",
}
EVERYTHING: dict[str, Callable[[Store], object]] = {
    "migrate": lambda store: store.migrate(),
    "ping": lambda store: store.journal.ping(),
    "claim": lambda store: store.coverage.put("in_1", ()),
    "overlapping": lambda store: store.coverage.overlapping_invoice("in_1", "acme", OCTOBER),
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
def test_every_method_raises_store_unavailable_on_a_dead_database(
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
    """Return the URL of the same database, read-only as a standby or a read-only disk."""
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
    """Return the query plans of a call."""
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
    assert found.state.stage is Stage.HELD


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
