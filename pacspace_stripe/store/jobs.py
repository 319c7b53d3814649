"""What we look after, and the lease on it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.gate.rules.state import Cleared, Ended, InvoiceState, Stage
from pacspace_stripe.store import states as memories
from pacspace_stripe.store.database import Database, insert_once
from pacspace_stripe.store.leases import Leased, is_dead, owner_token
from pacspace_stripe.store.outbox import Also
from pacspace_stripe.store.records import Job, Kind, memory_columns
from pacspace_stripe.store.tables import jobs
from pacspace_stripe.store.triggers import new_row

_AT_ONCE = 500
"""Rows fetched at a time where there may be very many."""


class Jobs:
    """Rows of ``pacspace_subjects``: taken, saved and given back under a lease; read by anyone."""

    def __init__(self, database: Database, *, lost_after: timedelta) -> None:
        self._database = database
        self._lost_after = lost_after

    # -- the lease ----------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The time that leases are kept by."""
        return self._database.now()

    def acquire(self, kind: Kind, job_id: str, ttl: timedelta) -> Leased | None:
        """Take the lease, making the row when it is new. None: somebody else has it."""
        owner, now = owner_token(), self._database.now()
        statement = (
            sa.update(jobs)
            .where(
                jobs.c.job_id == job_id,
                sa.or_(jobs.c.lease_owner.is_(None), jobs.c.lease_until <= now),
            )
            .values(lease_owner=owner, lease_until=now + ttl, next_check_at=self._beyond(now, ttl))
            .returning(*jobs.c)
        )
        with self._database.writing() as connection:
            insert_once(connection, jobs, new_row(now, job_id, kind, InvoiceState(invoice_id=job_id)))
            row = connection.execute(statement).mappings().one_or_none()
        if row is None:
            return None
        job = Job.from_row(row)
        return Leased(jobs=self, job=job, owner=owner, ttl=ttl, saved=job.memory, renewed_at=now)

    def renew(self, job_id: str, owner: str, ttl: timedelta) -> bool:
        """Extend a lease that is still ours."""
        now = self._database.now()
        statement = self._ours(job_id, owner, now).values(**self._renewed(now, ttl))
        with self._database.writing() as connection:
            return connection.execute(statement).rowcount == 1

    def has(self, job_id: str, owner: str, *, until: datetime) -> bool:
        """Whether a lease is this owner's until then."""
        held = (jobs.c.job_id == job_id, jobs.c.lease_owner == owner, jobs.c.lease_until >= until)
        with self._database.reading() as connection:
            return connection.execute(sa.select(jobs.c.job_id).where(*held)).one_or_none() is not None

    def save(
        self, job_id: str, owner: str, memory: InvoiceState, ttl: timedelta, *, also: Also = lambda _: None
    ) -> bool:
        """Write memory down under a lease that is still ours, and in the same transaction what ``also`` writes."""
        now = self._database.now()
        values = {**self._renewed(now, ttl), "updated_at": now, **memory_columns(memory)}
        with self._database.writing() as connection:
            ours = connection.execute(self._ours(job_id, owner, now).values(**values)).rowcount == 1
            if ours:
                also(connection)
        return ours

    def _renewed(self, now: datetime, ttl: timedelta) -> dict[str, Any]:
        later = sa.case((_BROUGHT_FORWARD, jobs.c.next_check_at), else_=_at(self._beyond(now, ttl)))
        return {"lease_until": now + ttl, "next_check_at": later}

    def _beyond(self, now: datetime, ttl: timedelta) -> datetime:
        """When to look should the owner of a lease die: in any case after its end."""
        return now + max(self._lost_after, ttl + timedelta(seconds=1))

    @staticmethod
    def _ours(job_id: str, owner: str, now: datetime) -> sa.Update:
        return sa.update(jobs).where(jobs.c.job_id == job_id, jobs.c.lease_owner == owner, jobs.c.lease_until > now)

    def give_back(
        self, job: Job, owner: str, memory: InvoiceState | None, next_check_at: datetime | None
    ) -> bool | None:
        """End a lease. True when ``requested`` grew meanwhile: then another look is due at once. None: it was not ours."""
        now = self._database.now()
        grown = jobs.c.requested > job.requested
        values = {
            "lease_owner": None,
            "lease_until": None,
            "answered": job.requested,
            "next_check_at": sa.case((grown, _at(now)), *_kept(next_check_at), else_=_at(next_check_at)),
            "updated_at": now,
            **(memory_columns(memory) if memory else {}),
        }
        statement = self._ours(job.job_id, owner, now).values(**values).returning(jobs.c.requested)
        with self._database.writing() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else row.requested > job.requested

    def free_leases_of_the_dead(self, host: str, alive: Callable[[int], bool]) -> int:
        """Free at once what processes of this host held that no longer run; look at those invoices now."""
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

    def find(self, job_id: str) -> Job | None:
        """One job, or None when we do not know it."""
        with self._database.reading() as connection:
            row = connection.execute(sa.select(jobs).where(jobs.c.job_id == job_id)).mappings()
            found = row.one_or_none()
        return None if found is None else Job.from_row(found)

    def invoices(self, *, status: str | None = None, held: bool | None = None) -> list[Job]:
        """The invoices we look after, and what blocks coming ones, newest change first.

        ``status`` is a verdict or a stage.
        """
        blocks = sa.and_(
            jobs.c.kind == Kind.UPCOMING.value,
            jobs.c.verdict == Verdict.DRIFTED.value,
            jobs.c.stage != Stage.ENDED.value,
        )
        query = sa.select(jobs).where(sa.or_(jobs.c.kind == Kind.INVOICE.value, blocks))
        if status == Stage.HELD.value:
            held = True
        elif status is not None:
            query = query.where(sa.or_(jobs.c.verdict == status, jobs.c.stage == status))
        if held is not None:
            query = query.where(jobs.c.held == held, jobs.c.stage != Stage.ENDED.value)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(jobs.c.updated_at.desc())).mappings().all()
        return [Job.from_row(row) for row in rows]

    def metered(self, *, since: datetime | None = None) -> Iterator[InvoiceState]:
        """What we remember of every invoice that is metered or not known to be otherwise, by customer, as it is read.

        ``since`` leaves those out that nobody looked at from then on.
        """
        judged = sa.or_(jobs.c.verdict.is_not(None), jobs.c.stage != Stage.ENDED.value)
        requested = [jobs.c.kind == Kind.INVOICE.value, judged]
        if since is not None:
            requested.append(jobs.c.updated_at >= since)
        query = sa.select(jobs.c.memory).where(*requested).order_by(jobs.c.customer_id, jobs.c.job_id)
        with self._database.reading() as connection:
            for found in connection.execution_options(yield_per=_AT_ONCE).execute(query).scalars():
                yield memories.from_json(found)

    def blocks(self) -> list[InvoiceState]:
        """The early warnings that found drift and wait for their draft."""
        query = sa.select(jobs.c.memory).where(
            jobs.c.kind == Kind.UPCOMING.value,
            jobs.c.verdict == Verdict.DRIFTED.value,
            jobs.c.stage != Stage.ENDED.value,
        )
        with self._database.reading() as connection:
            found = connection.execute(query.order_by(jobs.c.job_id)).scalars().all()
        return [memories.from_json(memory) for memory in found]

    def known(self, job_ids: Sequence[str]) -> set[str]:
        """Those of the given ids that we look after or have ended."""
        query = sa.select(jobs.c.job_id).where(jobs.c.job_id.in_(job_ids))
        with self._database.reading() as connection:
            return set(connection.execute(query).scalars())

    def stamped(self, job_ids: Sequence[str]) -> list[InvoiceState]:
        """Return the states of those of the given invoices that carry, or should carry, a stamp of ours."""
        is_stamped = jobs.c.memory["stamp", "evidence_sha256"].as_string().is_not(None)
        query = sa.select(jobs.c.memory).where(jobs.c.job_id.in_(job_ids), is_stamped)
        with self._database.reading() as connection:
            return [memories.from_json(memory) for memory in connection.execute(query).scalars()]

    def given_up(self, job_ids: Sequence[str]) -> set[str]:
        """Those of the given ids that ended without ever being read: Stripe said, then, that there is no such thing."""
        never_read = jobs.c.memory["first", "at"].as_string().is_(None)
        ended = (jobs.c.job_id.in_(job_ids), jobs.c.stage == Stage.ENDED.value)
        with self._database.reading() as connection:
            return set(connection.execute(sa.select(jobs.c.job_id).where(*ended, never_read)).scalars())

    def kept_back(self, job_ids: Sequence[str]) -> set[str]:
        """Those of the given drafts that we hold, or that somebody else held at first sight."""
        foreign = jobs.c.memory["first", "auto_advance"].as_boolean() == sa.false()
        alive = jobs.c.stage != Stage.ENDED.value
        query = sa.select(jobs.c.job_id).where(
            jobs.c.job_id.in_(job_ids), alive, sa.or_(jobs.c.held == sa.true(), foreign)
        )
        with self._database.reading() as connection:
            return set(connection.execute(query).scalars())

    def block_on(self, subscription_id: str) -> Job | None:
        """The early warning that blocks this subscription's next draft, if one found drift."""
        query = sa.select(jobs).where(
            jobs.c.subscription_id == subscription_id,
            jobs.c.kind == Kind.UPCOMING.value,
            jobs.c.verdict == Verdict.DRIFTED.value,
            jobs.c.stage != Stage.ENDED.value,
        )
        with self._database.reading() as connection:
            row = connection.execute(query.limit(1)).mappings().one_or_none()
        return None if row is None else Job.from_row(row)

    def early_warnings(self, subscription_id: str) -> list[Job]:
        """Return the early warnings of a subscription that said something, ended ones too, the newest first."""
        query = sa.select(jobs).where(
            jobs.c.subscription_id == subscription_id,
            jobs.c.kind == Kind.UPCOMING.value,
            jobs.c.verdict.is_not(None),
        )
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(jobs.c.updated_at.desc())).mappings().all()
        return [Job.from_row(row) for row in rows]

    def end_block(self, job_id: str) -> None:
        """The blocked draft is there and carries the block itself: the early warning has done its work.

        Whoever looks at the early warning right now loses its lease, and cannot bring it back.
        """
        with self._database.writing() as connection:
            query = sa.select(jobs.c.memory).where(jobs.c.job_id == job_id).with_for_update()
            memory = memories.from_json(connection.execute(query).scalar_one())
            ended = memory_columns(replace(memory, position=Ended()))
            values = {**ended, "next_check_at": None, "lease_owner": None, "lease_until": None}
            connection.execute(sa.update(jobs).where(jobs.c.job_id == job_id).values(**values))

    def finish_released(self, job_id: str) -> bool:
        """A released invoice was paid, says a signed event: nothing is left to watch for."""
        released = (jobs.c.stage == Stage.RELEASED.value, jobs.c.held == sa.false())
        mine = (jobs.c.job_id == job_id, *released)
        with self._database.writing() as connection:
            found = connection.execute(sa.select(jobs.c.memory).where(*mine).with_for_update()).scalar()
            if found is None:
                return False
            ended = replace(memories.from_json(found), position=Cleared())
            values = {**memory_columns(ended), "next_check_at": None, "updated_at": self._database.now()}
            return connection.execute(sa.update(jobs).where(*mine).values(**values)).rowcount == 1

    def wake_unanswered(self) -> int:
        """Look now at every job that a look was requested at and not finished: a process died with its trigger."""
        now = self._database.now()
        unanswered = (jobs.c.requested > jobs.c.answered, jobs.c.next_check_at > now)
        statement = sa.update(jobs).where(*unanswered).values(next_check_at=now)
        with self._database.writing() as connection:
            return connection.execute(statement).rowcount

    def wake_all(self) -> int:
        """Look at every open job again: the policy changed."""
        statement = sa.update(jobs).where(jobs.c.next_check_at.is_not(None)).values(next_check_at=self._database.now())
        with self._database.writing() as connection:
            return connection.execute(statement).rowcount


def _at(moment: datetime | None) -> sa.ColumnElement[datetime]:
    return sa.literal(moment, jobs.c.next_check_at.type)


def _kept(
    next_check_at: datetime | None,
) -> tuple[tuple[sa.ColumnElement[bool], sa.ColumnElement[datetime]], ...]:
    """A look that was brought forward while we looked: what it is about, we may not have seen."""
    if next_check_at is None:
        return ()
    return ((sa.and_(_BROUGHT_FORWARD, jobs.c.next_check_at < _at(next_check_at)), jobs.c.next_check_at),)


_BROUGHT_FORWARD = jobs.c.next_check_at <= jobs.c.lease_until
"""Under a lease the next look lies beyond it, should the owner die; not beyond it, somebody wants one sooner."""
