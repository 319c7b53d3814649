"""Migrations: from an empty database and from earlier versions, by several processes at once."""

import json
import socket
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import pacspace_stripe
from pacspace_stripe.alerts.rules.alert import Delivered
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.store import Store
from pacspace_stripe.store.alerts import DeliveryState
from pacspace_stripe.store.database import NEWEST
from pacspace_stripe.store.tables import metadata
from pacspace_stripe.usage.rules.accounts import CoveredPart
from pacspace_stripe.vocabulary.canonical_json import Json
from tests.support.alert_receivers import receiving, sending
from tests.support.stores import HELD, OCTOBER, START, append, normal, revision, saved

MINUTE = timedelta(minutes=1)


def test_an_empty_database_gets_exactly_our_tables(empty: Store) -> None:
    empty.migrate()
    assert set(sa.inspect(empty.engine).get_table_names()) == {*metadata.tables, "pacspace_alembic_version"}
    with empty.engine.connect() as connection:
        migrated = MigrationContext.configure(connection, opts={"version_table": "pacspace_alembic_version"})
        assert compare_metadata(migrated, metadata) == []


def test_the_newest_version_is_that_of_the_last_migration() -> None:
    folder = Path(pacspace_stripe.__file__).parent / "store" / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == NEWEST


def test_migrating_again_keeps_the_rows(store: Store) -> None:
    saved(store, HELD)
    store.migrate()
    found = store.jobs.find("in_1")
    assert found is not None
    assert found.state == HELD


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


def test_a_database_of_version_0001_keeps_its_evidence_and_guards_it(empty: Store) -> None:
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


def test_coverage_of_version_0005_without_meters_is_kept(empty: Store) -> None:
    revision(empty, "upgrade", "head")
    empty.coverage.put(
        "in_1", [CoveredPart("acme", OCTOBER, "api_calls", "cus_1"), CoveredPart("acme", OCTOBER, "seats", "cus_1")]
    )
    revision(empty, "downgrade", "0005")
    revision(empty, "upgrade", "head")
    assert empty.coverage.overlapping_invoice("in_2", "acme", OCTOBER, "storage", "cus_1") == "in_1"


def test_deliveries_of_version_0007_arrive_once(empty: Store, clock: ManualClock) -> None:
    """One delivery waits, and a process of that version, which may still run, has leased another one."""
    empty.migrate()
    revision(empty, "downgrade", "0007")
    with empty.engine.begin() as connection:
        for number, claim, due_at in ((1, None, START), (2, "f" * 32, START + MINUTE), (3, None, None)):
            values = {
                "id": f"msg_{number}",
                "job": f"in_{number}",
                "alert": json.dumps(told_by_0007(number)),
                "at": stored(connection, START),
                "due": stored(connection, due_at),
                "claim": claim,
                "state": "waiting" if due_at else "delivered",
            }
            connection.execute(
                sa.text(
                    "INSERT INTO pacspace_alerts (alert_id, subject_id, kind, figures, told, alert, at)"
                    " VALUES (:id, :job, 'drifted:OVERBILLED', '', TRUE, :alert, :at)"
                ),
                values,
            )
            connection.execute(
                sa.text(
                    "INSERT INTO pacspace_deliveries (alert_id, channel, state, attempts, due_at, claim)"
                    " VALUES (:id, 'webhook', :state, 1, :due, :claim)"
                ),
                values,
            )
    empty.migrate()
    assert empty.alerts.free_leases_of_the_dead(socket.gethostname(), lambda _: False) == 0
    with receiving() as receiver, sending(empty, receiver) as sender:
        assert [sender.deliver(), sender.deliver()] == [Delivered(), None]
        clock.advance(MINUTE)
        assert [sender.deliver(), sender.deliver()] == [Delivered(), None]
    assert receiver.ids == ["msg_1", "msg_2"]
    assert [body["invoice"] for body in receiver.bodies] == ["in_1", "in_2"]
    assert {one.alert.job_id: one.deliveries[0].state for one in empty.alerts.sent()} == dict.fromkeys(
        ("in_1", "in_2", "in_3"), DeliveryState.DELIVERED
    )


def told_by_0007(number: int) -> dict[str, Json]:
    """Return the stored form of an alert in revision 0007."""
    return {
        "alert_id": f"msg_{number}",
        "subject_id": f"in_{number}",
        "kind": "drifted:OVERBILLED",
        "at": "2026-11-01T00:00:00Z",
        "customer_id": "cus_1",
        "subscription_id": "sub_1",
        "verdict": "drifted",
        "reason": "OVERBILLED",
        "detail": "differs by 10",
        "amount": {"amount": 12345, "currency": "eur"},
        "windows": [],
        "left_out": 2,
    }


def stored(connection: sa.Connection, at: datetime | None) -> object:
    """Return a time as each database stores it: SQLite keeps text without a zone."""
    if at is None or connection.dialect.name == "postgresql":
        return at
    return f"{at:%Y-%m-%d %H:%M:%S.%f}"
