"""Small facts: account claims, the audit trail, events received."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import exc

from pacspace_stripe.errors import StoreUnavailable
from pacspace_stripe.store.database import Database, insert_once, one_at_a_time
from pacspace_stripe.store.tables import accounts, audit, events, facts

CLAIM_LASTS = timedelta(days=40)
"""How long a claim on a ledger account counts: longer than a month, so that a corrected mapping heals."""


class Journal:
    """What is noted once and read by people."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ping(self) -> None:
        """Raise StoreUnavailable unless the database takes writes and has our tables."""
        try:
            with self._database.writing() as connection:
                connection.execute(sa.update(facts).where(sa.false()).values(value=""))
        except exc.ProgrammingError as error:
            message = "the database does not have our tables"
            raise StoreUnavailable(message) from error

    def claim_account(self, account: str, customer_id: str) -> str | None:
        """Note that this Stripe customer's usage is on this ledger account.

        Returns another customer who claimed the same account lately, or None when there is none. Of two who claim it
        at the same moment at least one hears of the other.
        """
        now = self._database.now()
        row = {"account": account, "customer_id": customer_id, "claimed_at": now}
        mine = (accounts.c.account == account, accounts.c.customer_id == customer_id)
        with self._database.writing() as connection:
            one_at_a_time(connection, f"account {account}")
            if not insert_once(connection, accounts, row):
                connection.execute(sa.update(accounts).where(*mine).values(claimed_at=now))
            return connection.execute(self._rival(account, customer_id)).scalar()

    def rival_of(self, account: str, customer_id: str) -> str | None:
        """Another customer who claimed this account lately; claims nothing."""
        with self._database.reading() as connection:
            return connection.execute(self._rival(account, customer_id)).scalar()

    def _rival(self, account: str, customer_id: str) -> sa.Select[str]:
        others = (accounts.c.account == account, accounts.c.customer_id != customer_id)
        lately = accounts.c.claimed_at > self._database.now() - CLAIM_LASTS
        return sa.select(accounts.c.customer_id).where(*others, lately).limit(1)

    def remember_fact(self, name: str, value: str) -> str | None:
        """Store a fact; the value it had before."""
        with self._database.writing() as connection:
            before = connection.execute(sa.select(facts.c.value).where(facts.c.name == name)).scalar()
            if before is None:
                insert_once(connection, facts, {"name": name, "value": value})
            else:
                connection.execute(sa.update(facts).where(facts.c.name == name).values(value=value))
            return before

    def note(self, kind: str, subject_id: str, detail: str) -> None:
        """One line of the audit trail."""
        row = {"at": self._database.now(), "kind": kind, "subject_id": subject_id, "detail": detail}
        with self._database.writing() as connection:
            connection.execute(sa.insert(audit).values(**row))

    def audit_trail(self, subject_id: str) -> list[tuple[datetime, str, str]]:
        """When, what, in detail: everything that was done about one subject, in order."""
        query = sa.select(audit).where(audit.c.subject_id == subject_id).order_by(audit.c.audit_id)
        with self._database.reading() as connection:
            return [(row.at, row.kind, row.detail) for row in connection.execute(query)]

    def event_outcomes(self) -> dict[str, str]:
        """Outcome by event id, for every event received."""
        with self._database.reading() as connection:
            return {row.event_id: row.outcome for row in connection.execute(sa.select(events))}
