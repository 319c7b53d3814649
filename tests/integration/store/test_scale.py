"""No query that a check or a backfill makes slows down as the tables grow: each one goes through an index.

Asked of the databases themselves, of every statement that a call makes, over tables of thousands of rows.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from pacspace_stripe.gate.rules.state import Ended, InvoiceState
from pacspace_stripe.store import JobKind, Store
from pacspace_stripe.store.jobs import new_row
from pacspace_stripe.store.tables import audit, coverage, events, evidence, facts, jobs
from pacspace_stripe.store.triggers import ReceivedEvent
from pacspace_stripe.vocabulary.windows import Window

NOW = datetime(2026, 10, 1, tzinfo=UTC)
MONTH = Window(start=datetime(2026, 9, 1, tzinfo=UTC), end=NOW)
ROWS = 5000
LATER = timedelta(days=1)


def _row(number: int) -> dict[str, Any]:
    memory = InvoiceState(invoice_id=f"in_{number}", subscription_id=f"sub_{number}", position=Ended())
    return {**new_row(NOW, f"in_{number}", JobKind.INVOICE, memory), "next_check_at": NOW + timedelta(seconds=number)}


def _fill(store: Store) -> None:
    numbers = range(ROWS)
    window = {"starts_at": MONTH.start, "ends_at": MONTH.end}
    with store.engine.begin() as connection:
        connection.execute(sa.insert(jobs), [_row(number) for number in numbers])
        connection.execute(
            sa.insert(coverage), [{"account": f"cus_{one}", "invoice_id": f"in_{one}", **window} for one in numbers]
        )
        links = [
            {
                "chain_id": f"sub_{one}",
                "sequence": 1,
                "sha256": f"{one:064}",
                "job_id": f"in_{one}",
                "document": b'{"decision": {"verdict": "drifted"}}',
                "decided_at": NOW,
            }
            for one in numbers
        ]
        connection.execute(sa.insert(evidence), links)
        connection.execute(
            sa.insert(audit), [{"at": NOW, "kind": "stamp", "job_id": f"in_{one}", "detail": ""} for one in numbers]
        )
        connection.execute(sa.insert(facts), [{"name": f"backfill:{one}", "value": "{}"} for one in numbers])
        received = {"type": "invoice.updated", "job_id": None, "outcome": "queued", "received_at": NOW}
        connection.execute(sa.insert(events), [{"event_id": f"evt_{one}", **received} for one in numbers])
    with store.engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
        connection.commit()


@pytest.fixture(scope="module")
def store(module_database_url: str) -> Iterator[Store]:
    made = Store(module_database_url, now=lambda: NOW, lost_after=timedelta(seconds=30))
    made.migrate()
    _fill(made)
    yield made
    made.close()


def _whole_look(store: Store) -> None:
    leased = store.jobs.acquire(JobKind.INVOICE, "in_7", timedelta(seconds=30))
    assert leased is not None
    leased.guard()
    leased.save(leased.job.state)
    leased.give_back(leased.job.state, NOW + LATER)


def _receive(store: Store) -> None:
    event = ReceivedEvent(
        event_id="evt_of_today",
        type="invoice.updated",
        job_id="in_7",
        kind=JobKind.INVOICE,
        subscription_id=None,
        customer_id=None,
        outcome="queued",
    )
    store.triggers.receive(event, lambda *_: None)


ASKED: dict[str, Callable[[Store], object]] = {
    "a job": lambda store: store.jobs.find("in_7"),
    "a look under its lease": _whole_look,
    "the known": lambda store: store.jobs.known([f"in_{one}" for one in range(50)]),
    "the kept back": lambda store: store.jobs.kept_back([f"in_{one}" for one in range(50)]),
    "a block": lambda store: store.jobs.block_on("sub_7"),
    "a payment of what was released": lambda store: store.jobs.finish_released("in_7"),
    "what is due": lambda store: store.triggers.due_ids(limit=10),
    "whether anything is due": lambda store: store.triggers.any_due(),
    "when the next is due": lambda store: store.triggers.next_due_at(),
    "what to take": lambda store: store.triggers.take_due(lambda *_: None, limit=5),
    "a request": lambda store: store.triggers.request(JobKind.INVOICE, "in_7"),
    "an event": _receive,
    "an event about an account": lambda store: store.triggers.wake_account(
        "evt_new", "delta.verified", "cus_7", soon=timedelta(seconds=1), apart=timedelta(seconds=1)
    ),
    "an overlapping invoice": lambda store: store.coverage.overlapping_invoice("in_8", "cus_7", MONTH),
    "a claim": lambda store: store.coverage.put("in_7", [("cus_7", MONTH), ("cus_seven", MONTH)]),
    "evidence by hash": lambda store: store.chains.find(f"{7:064}"),
    "an invoice's evidence": lambda store: store.chains.of_job("in_7"),
    "a chain": lambda store: store.chains.of_chain("sub_7"),
    "one more link": lambda store: store.chains.append(
        {"decision": {"verdict": "matched"}}, chain="sub_7", job_id="in_7", decided_at=NOW
    ),
    "an audit trail": lambda store: store.journal.audit_trail("in_7"),
    "a bookmark": lambda store: store.journal.fact("backfill:7"),
    "a bookmark moved on": lambda store: store.journal.remember_fact("backfill:7", "{}"),
    "a bookmark forgotten": lambda store: store.journal.forget_fact("backfill:7"),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_every_query_uses_an_index(store: Store, ask: Callable[[Store], object]) -> None:
    for statement, plan in _plans(store, ask):
        assert "Seq Scan" not in plan, (statement, plan)
        scans = [line for line in plan.splitlines() if line.startswith("SCAN pacspace_") and "INDEX" not in line]
        assert not scans, (statement, plan)


def test_a_query_without_an_index_would_be_noticed(store: Store) -> None:
    plans = list(_plans(store, lambda one: one.jobs.invoices(status="drifted")))
    assert any("Seq Scan" in plan or "SCAN pacspace_subjects" in plan for _, plan in plans)


def _plans(store: Store, ask: Callable[[Store], object]) -> Iterator[tuple[str, str]]:
    """Yield every statement of a call but inserts, with its query plan."""
    asked: list[tuple[str, Any]] = []

    def listen(_: object, __: object, statement: str, parameters: object, *_rest: object) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")) and "FROM pg_" not in statement:
            asked.append((statement, parameters))

    sa.event.listen(store.engine, "before_cursor_execute", listen)
    try:
        ask(store)
    finally:
        sa.event.remove(store.engine, "before_cursor_execute", listen)
    assert asked
    explain = "EXPLAIN QUERY PLAN " if store.engine.dialect.name == "sqlite" else "EXPLAIN "
    with store.engine.connect() as connection:
        for statement, parameters in asked:
            rows = connection.exec_driver_sql(explain + statement, parameters)
            yield statement, "".join(f"{row[-1]}\n" for row in rows)
        connection.rollback()
