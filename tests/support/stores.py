"""Stores of the tests: over both databases, with helpers that fill them and take from them."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import pacspace_stripe
from pacspace_stripe.gate.rules.state import (
    Held,
    InvoiceState,
)
from pacspace_stripe.settings import load_settings
from pacspace_stripe.store import JobKind, JobLease, ReceivedEvent, Store
from pacspace_stripe.store.tables import jobs
from pacspace_stripe.vocabulary.windows import Window
from tests.support.settings import CREDENTIALS

if TYPE_CHECKING:
    from pacspace_stripe.vocabulary.canonical_json import Json

START = datetime(2026, 11, 1, 0, 0, 0, 123456, tzinfo=UTC)
TTL, LOST_AFTER = timedelta(seconds=30), timedelta(seconds=35)
MICROSECOND, SECOND, DAY = timedelta(microseconds=1), timedelta(seconds=1), timedelta(days=1)
THREADS = 8
HELD = InvoiceState(invoice_id="in_1", customer_id="cus_1", subscription_id="sub_1", position=Held())

Value = TypeVar("Value")
OCTOBER = Window(start=datetime(2026, 10, 1, tzinfo=UTC), end=datetime(2026, 11, 1, tzinfo=UTC))
HALF = Window(start=datetime(2026, 10, 16, tzinfo=UTC), end=datetime(2026, 11, 16, tzinfo=UTC))
NOVEMBER = Window(start=datetime(2026, 11, 1, tzinfo=UTC), end=datetime(2026, 12, 1, tzinfo=UTC))
APART = 30 * SECOND


def normal(database_url: str) -> str:
    """Return the URL as the product reads it from the environment."""
    settings = load_settings(CREDENTIALS | {"PACSPACE_STRIPE_DATABASE_URL": database_url})
    return settings.database_url.get_secret_value()


@contextmanager
def evidence_unguarded(connection: sa.Connection) -> Iterator[None]:
    """Remove the triggers that protect evidence, as only the owner of a database can, and put them back."""
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
    """A queue that keeps the enqueued checks; thread-safe, as appending to a list is."""

    def __init__(self) -> None:
        self.checks: list[tuple[JobKind, str, int]] = []

    def __call__(self, connection: sa.Connection, kind: JobKind, job_id: str, requested: int) -> None:
        assert connection.in_transaction()
        self.checks.append((kind, job_id, requested))


def broken(_: sa.Connection, _kind: JobKind, _job_id: str, _requested: int) -> None:
    """Fail as a full queue does."""
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
    """Do the same work in several threads that begin together."""
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
    """Write a job as a finished check leaves it."""
    leased(store, memory.invoice_id, kind).give_back(memory, next_check_at)


def fill(store: Store, ids: list[str], *, next_check_at: datetime | None = START, **columns: object) -> None:
    """Insert jobs as many checks leave them."""
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
        rows = [row | {"job_id": one, "subscription_id": f"sub_of_{one}", "state": {"invoice_id": one}} for one in ids]
        connection.execute(sa.insert(jobs), rows)


def append(store: Store, number: int = 1, chain: str = "sub_1", job_id: str = "in_1") -> str:
    core: dict[str, Json] = {"decision": {"verdict": "drifted", "reason": "OVERBILLED"}, "number": number}
    return store.chains.append(core, chain=chain, job_id=job_id, decided_at=START).sha256


def tell(store: Store, event_id: str = "evt_1", account: str = "acme") -> int:
    return store.triggers.wake_account(event_id, "delta.verified", account, soon=5 * SECOND, apart=APART)


def planned(store: Store, job_id: str = "in_1") -> datetime | None:
    found = store.jobs.find(job_id)
    assert found is not None
    return found.next_check_at


def revision(store: Store, direction: str, target: str) -> None:
    """Move the schema to another version."""
    config = Config()
    config.set_main_option("script_location", str(Path(pacspace_stripe.__file__).parent / "store" / "migrations"))
    with store.engine.connect() as connection:
        config.attributes["connection"] = connection
        getattr(command, direction)(config, target)
