"""Triggers: no wake-up is lost.

A trigger bumps the job's ``requested`` counter and enqueues a look at it in one transaction; whoever looks
notes which ``requested`` it answered. What the queue loses is found as due.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.gate.rules.state import InvoiceState, Stage
from pacspace_stripe.store.database import Database, insert_once
from pacspace_stripe.store.records import Kind, ReceivedEvent, memory_columns
from pacspace_stripe.store.tables import claims, events, jobs

Enqueue = Callable[[sa.Connection, Kind, str, int], None]
"""Puts a trigger for ``(kind, job, requested)`` into the queue within the given transaction."""


class Triggers:
    """Events, wake-ups and what is due. ``lost_after``: when we look ourselves, should the queue lose a trigger."""

    def __init__(self, database: Database, *, lost_after: timedelta) -> None:
        self._database = database
        self._lost_after = lost_after

    # -- triggers: no wake-up is lost ---------------------------------------------------------------------------

    def receive(self, event: ReceivedEvent, enqueue: Enqueue | None) -> bool:
        """Record an event and wake its job, in one transaction. False: this event was here before.

        Without a queue, the job is found as due.
        """
        with self._database.writing(urgent=True) as connection:
            if not insert_once(connection, events, self._event_row(event)):
                return False
            if event.job_id is not None and event.wakes:
                requested, kind = self._request(connection, event, due_at=None if enqueue else self._database.now())
                if enqueue:
                    enqueue(connection, kind, event.job_id, requested)
            return True

    def wake_subscription(self, event: ReceivedEvent, *, soon: timedelta, apart: timedelta) -> bool:
        """Record a subscription's event and look soon at what of it does not agree; whether it woke anything.

        What agrees, or waits for its usage to settle, reads the subscription again before it is released anyway.
        """
        with self._database.writing(urgent=True) as connection:
            if not insert_once(connection, events, self._event_row(event)):
                return False
            query = _waiting(jobs.c.subscription_id == event.subscription_id)
            woken = _sooner_ones(connection, query, self._database.now(), soon, apart)
            _bring_forward(connection, woken)
            return bool(woken)

    def _event_row(self, event: ReceivedEvent) -> dict[str, Any]:
        return {
            "event_id": event.event_id,
            "type": event.type,
            "job_id": event.job_id,
            "outcome": event.outcome,
            "received_at": self._database.now(),
        }

    def received(self, event_ids: Sequence[str]) -> set[str]:
        """Those of the given events that were recorded before."""
        query = sa.select(events.c.event_id).where(events.c.event_id.in_(event_ids))
        with self._database.reading() as connection:
            return set(connection.execute(query).scalars())

    def wake_account(self, event_id: str, kind: str, account: str, *, soon: timedelta, apart: timedelta) -> int:
        """Look soon at what does not agree with a ledger account, but ``apart`` from the look before; how many wake.

        What agrees, or waits for its usage to settle, gains nothing from another look: a busy account's events never
        end. An event that brings no look forward is not even recorded: of a burst, the first one did, and it was.
        """
        now = self._database.now()
        query = _open_on(account)
        with self._database.reading() as connection:
            if not any(_sooner(row, now, soon, apart) for row in connection.execute(query)):
                return 0
        row = {
            "event_id": event_id,
            "type": kind,
            "job_id": None,
            "outcome": "woke its ledger account",
            "received_at": now,
        }
        with self._database.writing(urgent=True) as connection:
            woken = _sooner_ones(connection, query, now, soon, apart)
            if not woken or not insert_once(connection, events, row):
                return 0
            _bring_forward(connection, woken)
        return len(woken)

    def request(self, kind: Kind, job_id: str, enqueue: Enqueue | None = None) -> None:
        """Ask for a look at a job; without a queue it is found as due."""
        event = ReceivedEvent(
            event_id="", type="", job_id=job_id, kind=kind, subscription_id=None, customer_id=None, outcome=""
        )
        with self._database.writing() as connection:
            requested, kind = self._request(connection, event, due_at=None if enqueue else self._database.now())
            if enqueue:
                enqueue(connection, kind, job_id, requested)

    def _request(
        self, connection: sa.Connection, event: ReceivedEvent, *, due_at: datetime | None = None
    ) -> tuple[int, Kind]:
        job_id = event.job_id or ""
        found = self._bump(connection, job_id, due_at)
        if found is None:
            memory = InvoiceState(
                invoice_id=job_id, customer_id=event.customer_id, subscription_id=event.subscription_id
            )
            insert_once(connection, jobs, new_row(self._database.now(), job_id, event.kind, memory))
            found = self._bump(connection, job_id, due_at)
        if found is None:
            message = f"job {job_id} can be neither found nor made"
            raise RuntimeError(message)
        return found

    def _bump(self, connection: sa.Connection, job_id: str, due_at: datetime | None) -> tuple[int, Kind] | None:
        statement = (
            sa.update(jobs)
            .where(jobs.c.job_id == job_id)
            .values(requested=jobs.c.requested + 1, next_check_at=due_at or self._database.now() + self._lost_after)
            .returning(jobs.c.requested, jobs.c.kind)
        )
        row = connection.execute(statement).one_or_none()
        return None if row is None else (row.requested, Kind(row.kind))

    def take_due(self, enqueue: Enqueue, *, limit: int = 100) -> list[str]:
        """Wake every job whose time has come, whatever the queue believes; one process gets each."""
        due = (
            sa.select(jobs.c.job_id)
            .where(jobs.c.next_check_at <= self._database.now())
            .order_by(jobs.c.next_check_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        with self._database.writing() as connection:
            found = connection.execute(due).scalars().all()
            for job_id in found:
                bumped = self._bump(connection, job_id, None)
                if bumped:
                    enqueue(connection, bumped[1], job_id, bumped[0])
            return list(found)

    def any_due(self) -> bool:
        """Whether ``take_due`` would find something, without taking any lock."""
        query = sa.select(sa.exists().where(jobs.c.next_check_at <= self._database.now()))
        with self._database.reading() as connection:
            return bool(connection.execute(query).scalar())

    def due_ids(self, limit: int = 1000) -> list[tuple[str, Kind]]:
        """Jobs whose time has come, earliest first, without waking them."""
        query = (
            sa.select(jobs.c.job_id, jobs.c.kind)
            .where(jobs.c.next_check_at <= self._database.now())
            .order_by(jobs.c.next_check_at)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [(row.job_id, Kind(row.kind)) for row in connection.execute(query)]

    def next_due_at(self) -> datetime | None:
        """When the next look is planned."""
        query = sa.select(sa.func.min(jobs.c.next_check_at, type_=jobs.c.next_check_at.type))
        with self._database.reading() as connection:
            return connection.execute(query).scalar()


def _open_on(account: str) -> sa.Select[Any]:
    """Select what is open on a ledger account, does not agree with it, or is being checked."""
    return _waiting(jobs.c.job_id.in_(sa.select(claims.c.invoice_id).where(claims.c.account == account)))


def _waiting(which: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Return what is open, does not agree, or is being checked; always in the same order."""
    waits = jobs.c.verdict.in_((Verdict.DRIFTED.value, Verdict.UNPROVEN.value))
    looked_at = sa.and_(jobs.c.kind == Kind.INVOICE.value, jobs.c.lease_owner.is_not(None))
    columns = (jobs.c.job_id, jobs.c.next_check_at, jobs.c.lease_until, jobs.c.updated_at)
    query = sa.select(*columns).where(
        which,
        jobs.c.stage.not_in((Stage.ENDED.value, Stage.RELEASED.value)),
        jobs.c.next_check_at.is_not(None),
        sa.or_(waits, looked_at),
    )
    return query.order_by(jobs.c.job_id)


def _sooner_ones(
    connection: sa.Connection, query: sa.Select[Any], now: datetime, soon: timedelta, apart: timedelta
) -> dict[str, datetime]:
    """When to look at each of these jobs that a look is not planned for as soon; their rows are locked."""
    found = connection.execute(query.with_for_update()).all()
    return {one.job_id: at for one in found if (at := _sooner(one, now, soon, apart))}


def _bring_forward(connection: sa.Connection, woken: Mapping[str, datetime]) -> None:
    for job_id, at in woken.items():
        connection.execute(sa.update(jobs).where(jobs.c.job_id == job_id).values(next_check_at=at))


def _sooner(row: Any, now: datetime, soon: timedelta, apart: timedelta) -> datetime | None:  # noqa: ANN401 - a row
    """When to look at a job now, if that is sooner than planned."""
    at = max(now + soon, row.updated_at + apart)
    if row.lease_until is None or row.lease_until <= now:
        return at if at < row.next_check_at else None
    # It is looked at now, perhaps too early to see what this is about: a time within the lease asks for another look.
    return min(at, row.lease_until) if row.next_check_at > row.lease_until else None


def new_row(now: datetime, job_id: str, kind: Kind, memory: InvoiceState) -> dict[str, Any]:
    """A job nobody has looked at yet."""
    return {
        "job_id": job_id,
        "kind": kind.value,
        "requested": 0,
        "answered": 0,
        "updated_at": now,
        **memory_columns(memory),
    }
