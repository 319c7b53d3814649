"""The audit log, the facts (small single values), and the list of events received."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import exc

from pacspace_stripe.errors import StoreUnavailable
from pacspace_stripe.store.database import Database, insert_once
from pacspace_stripe.store.tables import audit, events, facts


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """One line of the audit log: what was done or alerted about a job."""

    at: datetime
    kind: str
    job_id: str
    detail: str


class Journal:
    """Rows of ``pacspace_audit``, ``pacspace_facts`` and ``pacspace_events``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ping(self) -> None:
        """Raise StoreUnavailable unless the database accepts writes and has our tables."""
        try:
            with self._database.writing() as connection:
                connection.execute(sa.update(facts).where(sa.false()).values(value=""))
        except exc.ProgrammingError as error:
            message = "the database does not have our tables"
            raise StoreUnavailable(message) from error

    # -- facts ------------------------------------------------------------------------------------------------------

    def remember_fact(self, name: str, value: str) -> str | None:
        """Store a fact, and return the value that it had before, or None."""
        with self._database.writing() as connection:
            before = connection.execute(sa.select(facts.c.value).where(facts.c.name == name)).scalar()
            if before is None:
                insert_once(connection, facts, {"name": name, "value": value})
            else:
                connection.execute(sa.update(facts).where(facts.c.name == name).values(value=value))
            return before

    def fact(self, name: str) -> str | None:
        """Return a fact, or None if there is none of this name."""
        with self._database.reading() as connection:
            return connection.execute(sa.select(facts.c.value).where(facts.c.name == name)).scalar()

    def change_fact(self, name: str, change: Callable[[str | None], str | None]) -> str | None:
        """Replace a fact by the result of ``change`` in one transaction, and return it. None stands for no fact."""
        with self._database.writing() as connection:
            insert_once(connection, facts, {"name": name, "value": ""})
            this = facts.c.name == name
            before = connection.execute(sa.select(facts.c.value).where(this).with_for_update()).scalar()
            after = change(before or None)
            connection.execute(sa.update(facts).where(this).values(value=after or ""))
            return after

    def forget_fact(self, name: str) -> None:
        """Delete a fact."""
        with self._database.writing() as connection:
            connection.execute(sa.delete(facts).where(facts.c.name == name))

    def add_pending_update(self, invoice_id: str, at: datetime) -> None:
        """Store the time of a change to a held invoice, which Stripe's events of that time explain."""
        times = sorted({*self.pending_updates(invoice_id), at})
        self.remember_fact(_pending(invoice_id), " ".join(map(datetime.isoformat, times)))

    def pending_updates(self, invoice_id: str) -> tuple[datetime, ...]:
        """Return the times of changes to a held invoice that were not looked up in Stripe yet, the oldest first."""
        return tuple(map(datetime.fromisoformat, (self.fact(_pending(invoice_id)) or "").split()))

    def forget_update(self, invoice_id: str, at: datetime) -> None:
        """Delete one time of the pending ones."""
        left = [one for one in self.pending_updates(invoice_id) if one != at]
        name = _pending(invoice_id)
        self.remember_fact(name, " ".join(map(datetime.isoformat, left))) if left else self.forget_fact(name)

    # -- the audit log ------------------------------------------------------------------------------------------------

    def note(self, kind: str, job_id: str, detail: str) -> None:
        """Append a line to the audit log."""
        row = {"at": self._database.now(), "kind": kind, "job_id": job_id, "detail": detail}
        with self._database.writing() as connection:
            connection.execute(sa.insert(audit).values(**row))

    def audit_trail(self, job_id: str) -> list[tuple[datetime, str, str]]:
        """Return the time, kind and detail of each line about one job, the oldest first."""
        query = sa.select(audit).where(audit.c.job_id == job_id).order_by(audit.c.audit_id)
        with self._database.reading() as connection:
            return [(row.at, row.kind, row.detail) for row in connection.execute(query)]

    def audit_log(self, *, job_id: str | None = None, since: datetime | None = None, limit: int) -> list[AuditLine]:
        """Return the newest lines of the audit log, newest last; of one job, or of all."""
        query = sa.select(audit).order_by(audit.c.audit_id.desc()).limit(limit)
        if job_id is not None:
            query = query.where(audit.c.job_id == job_id)
        if since is not None:
            query = query.where(audit.c.at >= since)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return [AuditLine(at=row.at, kind=row.kind, job_id=row.job_id, detail=row.detail) for row in rows[::-1]]

    def count(self, kind: str, job_id: str) -> int:
        """Return how many lines of one kind the audit log has about one job."""
        query = sa.select(sa.func.count()).where(audit.c.job_id == job_id, audit.c.kind == kind)
        with self._database.reading() as connection:
            return connection.execute(query).scalar() or 0

    # -- events received ------------------------------------------------------------------------------------------

    def first_received_at(self, job_id: str, event_type: str) -> datetime | None:
        """Return when an event of this type about a job was received first, or None."""
        query = sa.select(sa.func.min(events.c.received_at, type_=events.c.received_at.type)).where(
            events.c.job_id == job_id, events.c.type == event_type
        )
        with self._database.reading() as connection:
            return connection.execute(query).scalar()

    def events_received(self) -> dict[tuple[str, str], int]:
        """Return the number of events received, by type and outcome."""
        query = sa.select(events.c.type, events.c.outcome, sa.func.count()).group_by(events.c.type, events.c.outcome)
        with self._database.reading() as connection:
            return {(row[0], row[1]): row[2] for row in connection.execute(query)}

    def event_outcomes(self) -> dict[str, str]:
        """Return the outcome of every event received, by event id."""
        with self._database.reading() as connection:
            return {row.event_id: row.outcome for row in connection.execute(sa.select(events))}


def _pending(invoice_id: str) -> str:
    return f"updates:{invoice_id}"[:64]
