"""What we look after, and the lease on it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.gate.rules.state import InvoiceState, Stage
from pacspace_stripe.store import states as memories
from pacspace_stripe.store.database import Database, insert_once
from pacspace_stripe.store.leases import Leased, is_dead, owner_token
from pacspace_stripe.store.outbox import Also
from pacspace_stripe.store.records import Kind, Subject, memory_columns
from pacspace_stripe.store.tables import subjects
from pacspace_stripe.store.triggers import new_row

_AT_ONCE = 500
"""Rows fetched at a time where there may be very many."""


class Subjects:
    """Rows of ``pacspace_subjects``: taken, saved and given back under a lease; read by anyone."""

    def __init__(self, database: Database, *, lost_after: timedelta) -> None:
        self._database = database
        self._lost_after = lost_after

    # -- the lease ----------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The time that leases are kept by."""
        return self._database.now()

    def acquire(self, kind: Kind, subject_id: str, ttl: timedelta) -> Leased | None:
        """Take the lease, making the row when it is new. None: somebody else has it."""
        owner, now = owner_token(), self._database.now()
        statement = (
            sa.update(subjects)
            .where(
                subjects.c.subject_id == subject_id,
                sa.or_(subjects.c.lease_owner.is_(None), subjects.c.lease_until <= now),
            )
            .values(lease_owner=owner, lease_until=now + ttl, next_check_at=self._beyond(now, ttl))
            .returning(*subjects.c)
        )
        with self._database.writing() as connection:
            insert_once(connection, subjects, new_row(now, subject_id, kind, InvoiceState(invoice_id=subject_id)))
            row = connection.execute(statement).mappings().one_or_none()
        if row is None:
            return None
        subject = Subject.from_row(row)
        return Leased(subjects=self, subject=subject, owner=owner, ttl=ttl, saved=subject.memory, renewed_at=now)

    def renew(self, subject_id: str, owner: str, ttl: timedelta) -> bool:
        """Extend a lease that is still ours."""
        now = self._database.now()
        statement = self._ours(subject_id, owner, now).values(**self._renewed(now, ttl))
        with self._database.writing() as connection:
            return connection.execute(statement).rowcount == 1

    def has(self, subject_id: str, owner: str, *, until: datetime) -> bool:
        """Whether a lease is this owner's until then."""
        held = (subjects.c.subject_id == subject_id, subjects.c.lease_owner == owner, subjects.c.lease_until >= until)
        with self._database.reading() as connection:
            return connection.execute(sa.select(subjects.c.subject_id).where(*held)).one_or_none() is not None

    def save(
        self, subject_id: str, owner: str, memory: InvoiceState, ttl: timedelta, *, also: Also = lambda _: None
    ) -> bool:
        """Write memory down under a lease that is still ours, and in the same transaction what ``also`` writes."""
        now = self._database.now()
        values = {**self._renewed(now, ttl), "updated_at": now, **memory_columns(memory)}
        with self._database.writing() as connection:
            ours = connection.execute(self._ours(subject_id, owner, now).values(**values)).rowcount == 1
            if ours:
                also(connection)
        return ours

    def _renewed(self, now: datetime, ttl: timedelta) -> dict[str, Any]:
        later = sa.case((_BROUGHT_FORWARD, subjects.c.next_check_at), else_=_at(self._beyond(now, ttl)))
        return {"lease_until": now + ttl, "next_check_at": later}

    def _beyond(self, now: datetime, ttl: timedelta) -> datetime:
        """When to look should the owner of a lease die: in any case after its end."""
        return now + max(self._lost_after, ttl + timedelta(seconds=1))

    @staticmethod
    def _ours(subject_id: str, owner: str, now: datetime) -> sa.Update:
        return sa.update(subjects).where(
            subjects.c.subject_id == subject_id, subjects.c.lease_owner == owner, subjects.c.lease_until > now
        )

    def give_back(
        self, subject: Subject, owner: str, memory: InvoiceState | None, next_check_at: datetime | None
    ) -> bool | None:
        """End a lease. True when ``wanted`` grew meanwhile: then another look is due at once. None: it was not ours."""
        now = self._database.now()
        grown = subjects.c.wanted > subject.wanted
        values = {
            "lease_owner": None,
            "lease_until": None,
            "checked": subject.wanted,
            "next_check_at": sa.case((grown, _at(now)), *_kept(next_check_at), else_=_at(next_check_at)),
            "updated_at": now,
            **(memory_columns(memory) if memory else {}),
        }
        statement = self._ours(subject.subject_id, owner, now).values(**values).returning(subjects.c.wanted)
        with self._database.writing() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else row.wanted > subject.wanted

    def free_leases_of_the_dead(self, host: str, alive: Callable[[int], bool]) -> int:
        """Free at once what processes of this host held that no longer run; look at those invoices now."""
        # Not `IS NOT NULL`: SQLite uses no index for that, and most rows have no owner.
        query = sa.select(subjects.c.subject_id, subjects.c.lease_owner).where(subjects.c.lease_owner > "")
        with self._database.writing() as connection:
            dead = [row for row in connection.execute(query) if is_dead(row.lease_owner, host, alive)]
            for row in dead:
                connection.execute(
                    sa.update(subjects)
                    .where(subjects.c.subject_id == row.subject_id, subjects.c.lease_owner == row.lease_owner)
                    .values(lease_owner=None, lease_until=None, next_check_at=self._database.now())
                )
        return len(dead)

    def find(self, subject_id: str) -> Subject | None:
        """One subject, or None when we do not know it."""
        with self._database.reading() as connection:
            row = connection.execute(sa.select(subjects).where(subjects.c.subject_id == subject_id)).mappings()
            found = row.one_or_none()
        return None if found is None else Subject.from_row(found)

    def invoices(self, *, status: str | None = None, held: bool | None = None) -> list[Subject]:
        """The invoices we look after, and what blocks coming ones, newest change first.

        ``status`` is a verdict or a stage.
        """
        blocks = sa.and_(
            subjects.c.kind == Kind.UPCOMING.value,
            subjects.c.verdict == Verdict.DRIFTED.value,
            subjects.c.stage != Stage.ENDED.value,
        )
        query = sa.select(subjects).where(sa.or_(subjects.c.kind == Kind.INVOICE.value, blocks))
        if status == Stage.HELD.value:
            held = True
        elif status is not None:
            query = query.where(sa.or_(subjects.c.verdict == status, subjects.c.stage == status))
        if held is not None:
            query = query.where(subjects.c.held == held, subjects.c.stage != Stage.ENDED.value)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(subjects.c.updated_at.desc())).mappings().all()
        return [Subject.from_row(row) for row in rows]

    def metered(self, *, since: datetime | None = None) -> Iterator[InvoiceState]:
        """What we remember of every invoice that is metered or not known to be otherwise, by customer, as it is read.

        ``since`` leaves those out that nobody looked at from then on.
        """
        judged = sa.or_(subjects.c.verdict.is_not(None), subjects.c.stage != Stage.ENDED.value)
        wanted = [subjects.c.kind == Kind.INVOICE.value, judged]
        if since is not None:
            wanted.append(subjects.c.updated_at >= since)
        query = sa.select(subjects.c.memory).where(*wanted).order_by(subjects.c.customer_id, subjects.c.subject_id)
        with self._database.reading() as connection:
            for found in connection.execution_options(yield_per=_AT_ONCE).execute(query).scalars():
                yield memories.from_json(found)

    def blocks(self) -> list[InvoiceState]:
        """The early warnings that found drift and wait for their draft."""
        query = sa.select(subjects.c.memory).where(
            subjects.c.kind == Kind.UPCOMING.value,
            subjects.c.verdict == Verdict.DRIFTED.value,
            subjects.c.stage != Stage.ENDED.value,
        )
        with self._database.reading() as connection:
            found = connection.execute(query.order_by(subjects.c.subject_id)).scalars().all()
        return [memories.from_json(memory) for memory in found]

    def known(self, subject_ids: Sequence[str]) -> set[str]:
        """Those of the given ids that we look after or have ended."""
        query = sa.select(subjects.c.subject_id).where(subjects.c.subject_id.in_(subject_ids))
        with self._database.reading() as connection:
            return set(connection.execute(query).scalars())

    def stamped(self, subject_ids: Sequence[str]) -> list[InvoiceState]:
        """Return the states of those of the given invoices that carry, or should carry, a stamp of ours."""
        is_stamped = subjects.c.memory["stamped", "evidence_sha256"].as_string().is_not(None)
        query = sa.select(subjects.c.memory).where(subjects.c.subject_id.in_(subject_ids), is_stamped)
        with self._database.reading() as connection:
            return [memories.from_json(memory) for memory in connection.execute(query).scalars()]

    def given_up(self, subject_ids: Sequence[str]) -> set[str]:
        """Those of the given ids that ended without ever being read: Stripe said, then, that there is no such thing."""
        never_read = subjects.c.memory["first", "at"].as_string().is_(None)
        ended = (subjects.c.subject_id.in_(subject_ids), subjects.c.stage == Stage.ENDED.value)
        with self._database.reading() as connection:
            return set(connection.execute(sa.select(subjects.c.subject_id).where(*ended, never_read)).scalars())

    def kept_back(self, subject_ids: Sequence[str]) -> set[str]:
        """Those of the given drafts that we hold, or that somebody else held at first sight."""
        foreign = subjects.c.memory["first", "auto_advance"].as_boolean() == sa.false()
        alive = subjects.c.stage != Stage.ENDED.value
        query = sa.select(subjects.c.subject_id).where(
            subjects.c.subject_id.in_(subject_ids), alive, sa.or_(subjects.c.held == sa.true(), foreign)
        )
        with self._database.reading() as connection:
            return set(connection.execute(query).scalars())

    def block_on(self, subscription_id: str) -> Subject | None:
        """The early warning that blocks this subscription's next draft, if one found drift."""
        query = sa.select(subjects).where(
            subjects.c.subscription_id == subscription_id,
            subjects.c.kind == Kind.UPCOMING.value,
            subjects.c.verdict == Verdict.DRIFTED.value,
            subjects.c.stage != Stage.ENDED.value,
        )
        with self._database.reading() as connection:
            row = connection.execute(query.limit(1)).mappings().one_or_none()
        return None if row is None else Subject.from_row(row)

    def early_warnings(self, subscription_id: str) -> list[Subject]:
        """Return the early warnings of a subscription that said something, ended ones too, the newest first."""
        query = sa.select(subjects).where(
            subjects.c.subscription_id == subscription_id,
            subjects.c.kind == Kind.UPCOMING.value,
            subjects.c.verdict.is_not(None),
        )
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(subjects.c.updated_at.desc())).mappings().all()
        return [Subject.from_row(row) for row in rows]

    def end_block(self, subject_id: str) -> None:
        """The blocked draft is there and carries the block itself: the early warning has done its work.

        Whoever looks at the early warning right now loses its lease, and cannot bring it back.
        """
        with self._database.writing() as connection:
            query = sa.select(subjects.c.memory).where(subjects.c.subject_id == subject_id).with_for_update()
            memory = memories.from_json(connection.execute(query).scalar_one())
            ended = memory_columns(replace(memory, stage=Stage.ENDED))
            values = {**ended, "next_check_at": None, "lease_owner": None, "lease_until": None}
            connection.execute(sa.update(subjects).where(subjects.c.subject_id == subject_id).values(**values))

    def finish_released(self, subject_id: str) -> bool:
        """A released invoice was paid, says a signed event: nothing is left to watch for."""
        released = (subjects.c.stage == Stage.RELEASED.value, subjects.c.held == sa.false())
        mine = (subjects.c.subject_id == subject_id, *released)
        with self._database.writing() as connection:
            found = connection.execute(sa.select(subjects.c.memory).where(*mine).with_for_update()).scalar()
            if found is None:
                return False
            ended = replace(memories.from_json(found), stage=Stage.ENDED, held=False)
            values = {**memory_columns(ended), "next_check_at": None, "updated_at": self._database.now()}
            return connection.execute(sa.update(subjects).where(*mine).values(**values)).rowcount == 1

    def wake_unanswered(self) -> int:
        """Look now at every subject that a look was wanted at and not finished: a process died with its trigger."""
        now = self._database.now()
        unanswered = (subjects.c.wanted > subjects.c.checked, subjects.c.next_check_at > now)
        statement = sa.update(subjects).where(*unanswered).values(next_check_at=now)
        with self._database.writing() as connection:
            return connection.execute(statement).rowcount

    def wake_all(self) -> int:
        """Look at every open subject again: the policy changed."""
        statement = (
            sa.update(subjects).where(subjects.c.next_check_at.is_not(None)).values(next_check_at=self._database.now())
        )
        with self._database.writing() as connection:
            return connection.execute(statement).rowcount


def _at(moment: datetime | None) -> sa.ColumnElement[datetime]:
    return sa.literal(moment, subjects.c.next_check_at.type)


def _kept(
    next_check_at: datetime | None,
) -> tuple[tuple[sa.ColumnElement[bool], sa.ColumnElement[datetime]], ...]:
    """A look that was brought forward while we looked: what it is about, we may not have seen."""
    if next_check_at is None:
        return ()
    return ((sa.and_(_BROUGHT_FORWARD, subjects.c.next_check_at < _at(next_check_at)), subjects.c.next_check_at),)


_BROUGHT_FORWARD = subjects.c.next_check_at <= subjects.c.lease_until
"""Under a lease the next look lies beyond it, should the owner die; not beyond it, somebody wants one sooner."""
