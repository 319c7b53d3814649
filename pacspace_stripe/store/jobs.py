"""Jobs and the leases on them.

A job is checked again and again until it ends: an invoice, an early warning, or the sweep. The lease says which process
may act on it now. It has an owner and an expiry, and its holder checks it right before every write that others can see,
so that a process which was paused and wakes up late writes nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.errors import LeaseLost
from pacspace_stripe.gate.rules.state import Cleared, Ended, InvoiceState, Stage
from pacspace_stripe.store import states
from pacspace_stripe.store.database import AlsoWrite, Database, insert_once
from pacspace_stripe.store.processes import is_dead, owner_token
from pacspace_stripe.store.tables import jobs

_FETCHED_AT_ONCE = 500
"""Rows fetched at a time where there may be very many."""
_BROUGHT_FORWARD = jobs.c.next_check_at <= jobs.c.lease_until
"""A trigger came during the lease: without one, ``next_check_at`` lies beyond the lease, should its owner die."""


class JobKind(StrEnum):
    """Kind of a job."""

    INVOICE = "invoice"
    UPCOMING = "upcoming"
    """An early warning about an invoice that Stripe has not made yet."""
    SWEEP = "sweep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row of ``pacspace_subjects``.

    ``requested`` counts the checks that were asked for, ``answered`` is its value when the last finished check began.
    """

    job_id: str
    kind: JobKind
    state: InvoiceState
    requested: int
    answered: int
    next_check_at: datetime | None
    lease_owner: str | None
    lease_until: datetime | None
    updated_at: datetime

    @classmethod
    def from_row(cls, row: sa.RowMapping | Mapping[str, Any]) -> "Job":
        return cls(
            job_id=row["job_id"],
            kind=JobKind(row["kind"]),
            state=states.from_json(row["state"]),
            requested=row["requested"],
            answered=row["answered"],
            next_check_at=row["next_check_at"],
            lease_owner=row["lease_owner"],
            lease_until=row["lease_until"],
            updated_at=row["updated_at"],
        )


def state_columns(state: InvoiceState) -> dict[str, Any]:
    """Return the columns that an invoice state fills: itself as JSON, and the values that queries filter by."""
    return {
        "customer_id": state.customer_id,
        "subscription_id": state.subscription_id,
        "stage": state.stage.value,
        "held": state.held,
        "verdict": state.verdict.value if state.verdict else None,
        "reason": state.reason.value if state.reason else None,
        "state": states.to_json(state),
    }


def new_row(now: datetime, job_id: str, kind: JobKind, state: InvoiceState) -> dict[str, Any]:
    """Return the row of a job that was never checked."""
    counters = {"requested": 0, "answered": 0}
    return {"job_id": job_id, "kind": kind.value, **counters, "updated_at": now, **state_columns(state)}


@dataclass(slots=True)
class JobLease:
    """The lease on a job while this process holds it. Every save and every guard fails once the lease is lost."""

    jobs: "Jobs"
    job: Job
    owner: str
    ttl: timedelta
    saved: InvoiceState
    """State written last, which a failure after it leaves behind."""
    renewed_at: datetime

    def guard(self) -> None:
        """Have most of the lease ahead, or raise LeaseLost. Call it right before every write that others can see.

        In the first quarter of the lease, this only reads whether the lease is still held, because a read does not wait
        for the disk.
        """
        now = self.jobs.now()
        young = now < self.renewed_at + self.ttl / 4
        if young and self.jobs.has_lease(self.job.job_id, self.owner, until=now + self.ttl * 3 / 4):
            return
        if not self.jobs.renew(self.job.job_id, self.owner, self.ttl):
            message = f"the lease on {self.job.job_id} is lost: nothing more is written"
            raise LeaseLost(message)
        self.renewed_at = now

    def keep(self) -> None:
        """Renew the lease once a quarter of it is over. Call it before anything that takes less than the rest of it."""
        if self.jobs.now() >= self.renewed_at + self.ttl / 4:
            self.guard()

    def save(self, state: InvoiceState, *, also: AlsoWrite = lambda _: None) -> None:
        """Write the state, and in the same transaction what ``also`` writes. Raises LeaseLost."""
        now = self.jobs.now()
        if not self.jobs.save(self.job.job_id, self.owner, state, self.ttl, also=also):
            message = f"the lease on {self.job.job_id} is lost: nothing was saved"
            raise LeaseLost(message)
        self.saved, self.renewed_at = state, now

    def give_back(self, state: InvoiceState | None, next_check_at: datetime | None) -> bool:
        """End the lease with a last state and the time of the next check.

        Return whether another check was requested meanwhile. Raises LeaseLost: then nothing is saved, and the process
        that has the lease now finds out for itself.
        """
        requested_again = self.jobs.give_back(self.job, self.owner, state, next_check_at)
        if requested_again is None:
            message = f"the lease on {self.job.job_id} is lost: nothing was saved"
            raise LeaseLost(message)
        return requested_again


class Jobs:
    """Rows of ``pacspace_subjects``: leased, saved and given back by one process at a time, read by any.

    ``lost_after`` is the time after which a trigger counts as lost by the queue.
    """

    def __init__(self, database: Database, *, lost_after: timedelta) -> None:
        self._database = database
        self._lost_after = lost_after

    # -- the lease ----------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Return the time of the clock that leases are kept by."""
        return self._database.now()

    def acquire(self, kind: JobKind, job_id: str, ttl: timedelta) -> JobLease | None:
        """Take the lease on a job, making its row if it is new. Return None while another process has the lease."""
        owner, now = owner_token(), self._database.now()
        statement = (
            sa.update(jobs)
            .where(jobs.c.job_id == job_id, sa.or_(jobs.c.lease_owner.is_(None), jobs.c.lease_until <= now))
            .values(lease_owner=owner, lease_until=now + ttl, next_check_at=self._beyond(now, ttl))
            .returning(*jobs.c)
        )
        with self._database.writing() as connection:
            insert_once(connection, jobs, new_row(now, job_id, kind, InvoiceState(invoice_id=job_id)))
            row = connection.execute(statement).mappings().one_or_none()
        if row is None:
            return None
        job = Job.from_row(row)
        return JobLease(jobs=self, job=job, owner=owner, ttl=ttl, saved=job.state, renewed_at=now)

    def renew(self, job_id: str, owner: str, ttl: timedelta) -> bool:
        """Extend a lease. Return False if it is lost."""
        now = self._database.now()
        statement = _leased(job_id, owner, now).values(**self._renewed(now, ttl))
        with self._database.writing() as connection:
            return connection.execute(statement).rowcount == 1

    def has_lease(self, job_id: str, owner: str, *, until: datetime) -> bool:
        """Return whether a lease is this owner's until a time."""
        held = (jobs.c.job_id == job_id, jobs.c.lease_owner == owner, jobs.c.lease_until >= until)
        with self._database.reading() as connection:
            return connection.execute(sa.select(jobs.c.job_id).where(*held)).one_or_none() is not None

    def save(
        self, job_id: str, owner: str, state: InvoiceState, ttl: timedelta, *, also: AlsoWrite = lambda _: None
    ) -> bool:
        """Write a state and extend the lease, in one transaction with ``also``. Return False if the lease is lost."""
        now = self._database.now()
        values = {**self._renewed(now, ttl), "updated_at": now, **state_columns(state)}
        with self._database.writing() as connection:
            saved = connection.execute(_leased(job_id, owner, now).values(**values)).rowcount == 1
            if saved:
                also(connection)
        return saved

    def give_back(
        self, job: Job, owner: str, state: InvoiceState | None, next_check_at: datetime | None
    ) -> bool | None:
        """End a lease. Return whether another check was requested meanwhile and is due now; None if the lease is lost.

        A trigger that brought the next check forward during the lease keeps its time: the check that ends now may not
        have seen what the trigger is about.
        """
        now = self._database.now()
        cases: list[tuple[Any, Any]] = [(jobs.c.requested > job.requested, _at(now))]
        if next_check_at is not None:
            sooner = sa.and_(_BROUGHT_FORWARD, jobs.c.next_check_at < _at(next_check_at))
            cases.append((sooner, jobs.c.next_check_at))
        values = {
            "lease_owner": None,
            "lease_until": None,
            "answered": job.requested,
            "next_check_at": sa.case(*cases, else_=_at(next_check_at)),
            "updated_at": now,
            **(state_columns(state) if state else {}),
        }
        statement = _leased(job.job_id, owner, now).values(**values).returning(jobs.c.requested)
        with self._database.writing() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else row.requested > job.requested

    def free_leases_of_the_dead(self, host: str, alive: Callable[[int], bool]) -> int:
        """Free the leases of dead processes of this host, make their jobs due now, and return how many there are."""
        # Not `IS NOT NULL`: SQLite uses no index for that, and most rows have no owner.
        query = sa.select(jobs.c.job_id, jobs.c.lease_owner).where(jobs.c.lease_owner > "")
        with self._database.writing() as connection:
            dead = [row for row in connection.execute(query) if is_dead(row.lease_owner, host, alive)]
            for row in dead:
                connection.execute(
                    sa.update(jobs)
                    .where(jobs.c.job_id == row.job_id, jobs.c.lease_owner == row.lease_owner)
                    .values(lease_owner=None, lease_until=None, next_check_at=self._database.now())
                )
        return len(dead)

    def _renewed(self, now: datetime, ttl: timedelta) -> dict[str, Any]:
        later = sa.case((_BROUGHT_FORWARD, jobs.c.next_check_at), else_=_at(self._beyond(now, ttl)))
        return {"lease_until": now + ttl, "next_check_at": later}

    def _beyond(self, now: datetime, ttl: timedelta) -> datetime:
        """Return when to check should the owner of a lease die: in any case after the lease's end."""
        return now + max(self._lost_after, ttl + timedelta(seconds=1))

    # -- queries --------------------------------------------------------------------------------------------------

    def find(self, job_id: str) -> Job | None:
        """Return a job, or None for an unknown one."""
        return self._one(sa.select(jobs).where(jobs.c.job_id == job_id))

    def invoices(self, *, status: str | None = None, held: bool | None = None) -> list[Job]:
        """Return the invoices and the early warnings that block coming ones, the last changed first.

        ``status`` is a verdict or a stage.
        """
        query = sa.select(jobs).where(sa.or_(jobs.c.kind == JobKind.INVOICE.value, sa.and_(*_BLOCKING)))
        if status == Stage.HELD.value:
            held = True
        elif status is not None:
            query = query.where(sa.or_(jobs.c.verdict == status, jobs.c.stage == status))
        if held is not None:
            query = query.where(jobs.c.held == held, jobs.c.stage != Stage.ENDED.value)
        return self._many(query.order_by(jobs.c.updated_at.desc()))

    def metered(self, *, since: datetime | None = None) -> Iterator[InvoiceState]:
        """Yield the state of every invoice that is metered or not known to be unmetered, by customer.

        Rows are read as they are yielded. ``since`` leaves out invoices that were not checked from then on.
        """
        judged = sa.or_(jobs.c.verdict.is_not(None), jobs.c.stage != Stage.ENDED.value)
        query = sa.select(jobs.c.state).where(jobs.c.kind == JobKind.INVOICE.value, judged)
        if since is not None:
            query = query.where(jobs.c.updated_at >= since)
        query = query.order_by(jobs.c.customer_id, jobs.c.job_id)
        with self._database.reading() as connection:
            for found in connection.execution_options(yield_per=_FETCHED_AT_ONCE).execute(query).scalars():
                yield states.from_json(found)

    def known(self, job_ids: Sequence[str]) -> set[str]:
        """Return which of the given ids have a row, those of ended jobs included."""
        return self._ids(jobs.c.job_id.in_(job_ids))

    def stamped(self, job_ids: Sequence[str]) -> list[InvoiceState]:
        """Return the states of those of the given invoices that carry, or should carry, a stamp of ours."""
        # Up to revision 0007 a row had its stamp as `stamped`, and processes of that version may still write some.
        names = ("stamp", "stamped")
        is_stamped = sa.or_(*(jobs.c.state[name, "evidence_sha256"].as_string().is_not(None) for name in names))
        return self._states(sa.select(jobs.c.state).where(jobs.c.job_id.in_(job_ids), is_stamped))

    def given_up(self, job_ids: Sequence[str]) -> set[str]:
        """Return which of the given ids ended without ever being read, because Stripe had no such invoice."""
        never_read = jobs.c.state["first", "at"].as_string().is_(None)
        return self._ids(jobs.c.job_id.in_(job_ids), jobs.c.stage == Stage.ENDED.value, never_read)

    def kept_back(self, job_ids: Sequence[str]) -> set[str]:
        """Return which of the given drafts are held, by the gate or by another tool before it."""
        foreign = jobs.c.state["first", "auto_advance"].as_boolean() == sa.false()
        held = sa.or_(jobs.c.held == sa.true(), foreign)
        return self._ids(jobs.c.job_id.in_(job_ids), jobs.c.stage != Stage.ENDED.value, held)

    def blocks(self) -> list[InvoiceState]:
        """Return the early warnings that found drift and wait for their draft."""
        return self._states(sa.select(jobs.c.state).where(*_BLOCKING).order_by(jobs.c.job_id))

    def block_on(self, subscription_id: str) -> Job | None:
        """Return the early warning that blocks the next draft of a subscription, if one found drift."""
        return self._one(sa.select(jobs).where(jobs.c.subscription_id == subscription_id, *_BLOCKING).limit(1))

    def early_warnings(self, subscription_id: str) -> list[Job]:
        """Return the early warnings of a subscription that have a verdict, ended ones too, the newest first."""
        query = sa.select(jobs).where(
            jobs.c.subscription_id == subscription_id,
            jobs.c.kind == JobKind.UPCOMING.value,
            jobs.c.verdict.is_not(None),
        )
        return self._many(query.order_by(jobs.c.updated_at.desc()))

    # -- changes without the lease ----------------------------------------------------------------------------------

    def end_block(self, job_id: str) -> None:
        """End an early warning whose blocked draft exists now and carries the block itself.

        A process that checks the early warning at this moment loses its lease, so that it cannot revive the block.
        """
        with self._database.writing() as connection:
            query = sa.select(jobs.c.state).where(jobs.c.job_id == job_id).with_for_update()
            state = states.from_json(connection.execute(query).scalar_one())
            ended = state_columns(replace(state, position=Ended()))
            values = {**ended, "next_check_at": None, "lease_owner": None, "lease_until": None}
            connection.execute(sa.update(jobs).where(jobs.c.job_id == job_id).values(**values))

    def finish_released(self, job_id: str) -> bool:
        """End a released invoice that a signed event reports as paid: nothing is left to watch for."""
        released = (jobs.c.job_id == job_id, jobs.c.stage == Stage.RELEASED.value, jobs.c.held == sa.false())
        with self._database.writing() as connection:
            found = connection.execute(sa.select(jobs.c.state).where(*released).with_for_update()).scalar()
            if found is None:
                return False
            ended = replace(states.from_json(found), position=Cleared())
            values = {**state_columns(ended), "next_check_at": None, "updated_at": self._database.now()}
            return connection.execute(sa.update(jobs).where(*released).values(**values)).rowcount == 1

    def wake_unanswered(self) -> int:
        """Make every job due now whose requested check did not finish: a process may have died with the trigger."""
        unanswered = (jobs.c.requested > jobs.c.answered, jobs.c.next_check_at > self._database.now())
        return self._make_due(*unanswered)

    def wake_all(self) -> int:
        """Make every open job due now, because the policy changed."""
        return self._make_due(jobs.c.next_check_at.is_not(None))

    def _make_due(self, *which: sa.ColumnElement[bool]) -> int:
        statement = sa.update(jobs).where(*which).values(next_check_at=self._database.now())
        with self._database.writing() as connection:
            return connection.execute(statement).rowcount

    def _one(self, query: sa.Select[Any]) -> Job | None:
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else Job.from_row(row)

    def _many(self, query: sa.Select[Any]) -> list[Job]:
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings().all()
        return [Job.from_row(row) for row in rows]

    def _states(self, query: sa.Select[Any]) -> list[InvoiceState]:
        with self._database.reading() as connection:
            return [states.from_json(found) for found in connection.execute(query).scalars()]

    def _ids(self, *which: sa.ColumnElement[bool]) -> set[str]:
        with self._database.reading() as connection:
            return set(connection.execute(sa.select(jobs.c.job_id).where(*which)).scalars())


_BLOCKING = (
    jobs.c.kind == JobKind.UPCOMING.value,
    jobs.c.verdict == Verdict.DRIFTED.value,
    jobs.c.stage != Stage.ENDED.value,
)
"""An early warning that found drift and still waits for its draft."""


def _leased(job_id: str, owner: str, now: datetime) -> sa.Update:
    return sa.update(jobs).where(jobs.c.job_id == job_id, jobs.c.lease_owner == owner, jobs.c.lease_until > now)


def _at(moment: datetime | None) -> sa.ColumnElement[datetime]:
    return sa.literal(moment, jobs.c.next_check_at.type)
