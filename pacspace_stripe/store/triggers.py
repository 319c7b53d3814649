"""Triggers: events, requested checks and due jobs. No wake-up is lost.

A trigger increments the ``requested`` counter of a job and enqueues a check of it, in one transaction; a check writes
down which count it answered. If the queue loses a trigger, the job is found as due.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.gate.rules.state import InvoiceState, Stage
from pacspace_stripe.store.database import Database, insert_once
from pacspace_stripe.store.jobs import JobKind, new_row
from pacspace_stripe.store.tables import coverage, events, jobs

Enqueue = Callable[[sa.Connection, JobKind, str, int], None]
"""Put the check of a job (its kind, id and ``requested`` count) into the queue within the given transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedEvent:
    """A verified webhook event: ids only. ``job_id`` is the job it is about, None if it is about none.

    With ``wakes`` false, the event is recorded and its job is not checked for it.
    """

    event_id: str
    type: str
    job_id: str | None
    kind: JobKind
    subscription_id: str | None
    customer_id: str | None
    outcome: str
    wakes: bool = True


class Triggers:
    """Everything that makes a job due. ``lost_after`` is the time after which a trigger counts as lost by the queue."""

    def __init__(self, database: Database, *, lost_after: timedelta) -> None:
        self._database = database
        self._lost_after = lost_after

    # -- events -----------------------------------------------------------------------------------------------------

    def receive(self, event: ReceivedEvent, enqueue: Enqueue | None) -> bool:
        """Record an event and request a check of its job, in one transaction. Return False if it was recorded before.

        Without a queue, the job is due now.
        """
        with self._database.writing(urgent=True) as connection:
            if not insert_once(connection, events, self._event_row(event)):
                return False
            if event.job_id is not None and event.wakes:
                state = InvoiceState(
                    invoice_id=event.job_id, customer_id=event.customer_id, subscription_id=event.subscription_id
                )
                self._request(connection, event.job_id, event.kind, state, enqueue)
            return True

    def received(self, event_ids: Sequence[str]) -> set[str]:
        """Return which of the given events were recorded before."""
        query = sa.select(events.c.event_id).where(events.c.event_id.in_(event_ids))
        with self._database.reading() as connection:
            return set(connection.execute(query).scalars())

    def wake_subscription(self, event: ReceivedEvent, *, soon: timedelta, apart: timedelta) -> bool:
        """Record a subscription's event and check its invoices that do not agree soon. Return whether any is woken.

        An invoice that agrees, or waits for its usage to settle, reads the subscription before its release anyway.
        """
        with self._database.writing(urgent=True) as connection:
            if not insert_once(connection, events, self._event_row(event)):
                return False
            query = _disagreeing(jobs.c.subscription_id == event.subscription_id)
            woken = _lock_sooner(connection, query, self._database.now(), soon, apart)
            _bring_forward(connection, woken)
            return bool(woken)

    def wake_account(self, event_id: str, kind: str, account: str, *, soon: timedelta, apart: timedelta) -> int:
        """Check what does not agree with a ledger account soon, but ``apart`` from its last check. Return how many.

        An invoice that agrees, or waits for its usage to settle, gains nothing from another check, and the events of a
        busy account never end. An event that brings no check forward is not even recorded: the first event of a burst
        did bring it forward, and was recorded.
        """
        now = self._database.now()
        query = _disagreeing(jobs.c.job_id.in_(sa.select(coverage.c.invoice_id).where(coverage.c.account == account)))
        with self._database.reading() as connection:
            if not any(_sooner(row, now, soon, apart) for row in connection.execute(query)):
                return 0
        outcome = {"job_id": None, "outcome": "woke its ledger account", "received_at": now}
        with self._database.writing(urgent=True) as connection:
            woken = _lock_sooner(connection, query, now, soon, apart)
            if not woken or not insert_once(connection, events, {"event_id": event_id, "type": kind, **outcome}):
                return 0
            _bring_forward(connection, woken)
        return len(woken)

    def _event_row(self, event: ReceivedEvent) -> dict[str, Any]:
        return {
            "event_id": event.event_id,
            "type": event.type,
            "job_id": event.job_id,
            "outcome": event.outcome,
            "received_at": self._database.now(),
        }

    # -- requested checks -------------------------------------------------------------------------------------------

    def request(self, kind: JobKind, job_id: str, enqueue: Enqueue | None = None) -> None:
        """Request a check of a job, making its row if it is new. Without a queue, the job is due now."""
        with self._database.writing() as connection:
            self._request(connection, job_id, kind, InvoiceState(invoice_id=job_id), enqueue)

    def _request(
        self, connection: sa.Connection, job_id: str, kind: JobKind, state: InvoiceState, enqueue: Enqueue | None
    ) -> None:
        now = self._database.now()
        due_at = now + self._lost_after if enqueue else now
        found = _increment(connection, job_id, due_at)
        if found is None:
            insert_once(connection, jobs, new_row(now, job_id, kind, state))
            found = _increment(connection, job_id, due_at)
        if found is None:
            message = f"job {job_id} can be neither found nor made"
            raise RuntimeError(message)
        if enqueue:
            # A job keeps the kind it was made with, whatever a later event takes it for.
            requested, kept_kind = found
            enqueue(connection, kept_kind, job_id, requested)

    # -- due jobs ---------------------------------------------------------------------------------------------------

    def take_due(self, enqueue: Enqueue, *, limit: int = 100) -> list[str]:
        """Enqueue a check of each due job, also of one that the queue lost, and return their ids.

        Each due job is taken by one process.
        """
        now = self._database.now()
        due = _due(now).with_only_columns(jobs.c.job_id).limit(limit).with_for_update(skip_locked=True)
        with self._database.writing() as connection:
            found = connection.execute(due).scalars().all()
            for job_id in found:
                incremented = _increment(connection, job_id, now + self._lost_after)
                if incremented:
                    requested, kind = incremented
                    enqueue(connection, kind, job_id, requested)
            return list(found)

    def any_due(self) -> bool:
        """Return whether ``take_due`` would find a job, without taking a lock."""
        query = sa.select(sa.exists().where(jobs.c.next_check_at <= self._database.now()))
        with self._database.reading() as connection:
            return bool(connection.execute(query).scalar())

    def due_ids(self, limit: int = 1000) -> list[tuple[str, JobKind]]:
        """Return the due jobs, the earliest first, and leave them due."""
        with self._database.reading() as connection:
            rows = connection.execute(_due(self._database.now()).limit(limit))
            return [(row.job_id, JobKind(row.kind)) for row in rows]

    def next_due_at(self) -> datetime | None:
        """Return the time of the next planned check."""
        query = sa.select(sa.func.min(jobs.c.next_check_at, type_=jobs.c.next_check_at.type))
        with self._database.reading() as connection:
            return connection.execute(query).scalar()


def _due(now: datetime) -> sa.Select[Any]:
    query = sa.select(jobs.c.job_id, jobs.c.kind).where(jobs.c.next_check_at <= now)
    return query.order_by(jobs.c.next_check_at)


def _increment(connection: sa.Connection, job_id: str, due_at: datetime) -> tuple[int, JobKind] | None:
    """Count one more requested check and return the count and kind; None for an unknown job."""
    statement = (
        sa.update(jobs)
        .where(jobs.c.job_id == job_id)
        .values(requested=jobs.c.requested + 1, next_check_at=due_at)
        .returning(jobs.c.requested, jobs.c.kind)
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else (row.requested, JobKind(row.kind))


def _disagreeing(which: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Select the open jobs that do not agree, or are being checked; always in the same order, so that locks are too."""
    disagrees = jobs.c.verdict.in_((Verdict.DRIFTED.value, Verdict.UNPROVEN.value))
    in_check = sa.and_(jobs.c.kind == JobKind.INVOICE.value, jobs.c.lease_owner.is_not(None))
    columns = (jobs.c.job_id, jobs.c.next_check_at, jobs.c.lease_until, jobs.c.updated_at)
    query = sa.select(*columns).where(
        which,
        jobs.c.stage.not_in((Stage.ENDED.value, Stage.RELEASED.value)),
        jobs.c.next_check_at.is_not(None),
        sa.or_(disagrees, in_check),
    )
    return query.order_by(jobs.c.job_id)


def _lock_sooner(
    connection: sa.Connection, query: sa.Select[Any], now: datetime, soon: timedelta, apart: timedelta
) -> dict[str, datetime]:
    """Lock the selected jobs, and return the new time of each whose next check is planned later than it."""
    found = connection.execute(query.with_for_update()).all()
    return {row.job_id: at for row in found if (at := _sooner(row, now, soon, apart))}


def _bring_forward(connection: sa.Connection, woken: Mapping[str, datetime]) -> None:
    for job_id, at in woken.items():
        connection.execute(sa.update(jobs).where(jobs.c.job_id == job_id).values(next_check_at=at))


def _sooner(row: Any, now: datetime, soon: timedelta, apart: timedelta) -> datetime | None:  # noqa: ANN401 - a row
    """Return the time to check a job for a trigger that comes now, if that is sooner than planned."""
    at = max(now + soon, row.updated_at + apart)
    if row.lease_until is None or row.lease_until <= now:
        return at if at < row.next_check_at else None
    # A check is under way, perhaps too early to see what this is about: a time within the lease requests another one.
    return min(at, row.lease_until) if row.next_check_at > row.lease_until else None
