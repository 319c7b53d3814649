"""Evidence chains: append-only, each link names the hash of the one before."""

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from pacspace_stripe.domain.evidence import Evidence, Json, seal
from pacspace_stripe.store.database import Database
from pacspace_stripe.store.tables import evidence


class Chains:
    """The evidence of every decision, one chain per subscription."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, core: Mapping[str, Json], *, chain: str, subject_id: str, decided_at: datetime) -> Evidence:
        """Seal the core as the next link of its chain and keep it.

        Two processes may append to one chain at once: the primary key lets one of them win, and on PostgreSQL
        the loser waits on the advisory lock instead (SQLite has one writer).
        """
        last = sa.select(evidence.c.sequence, evidence.c.sha256).where(evidence.c.chain_id == chain)
        with self._database.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(chain))))
            found = connection.execute(last.order_by(evidence.c.sequence.desc()).limit(1)).one_or_none()
            sequence, previous = (found.sequence + 1, found.sha256) if found else (1, None)
            sealed = seal(core, chain=chain, sequence=sequence, previous=previous, decided_at=decided_at)
            row = {"chain_id": chain, "sequence": sequence, "sha256": sealed.sha256, "subject_id": subject_id}
            values = {**row, "document": sealed.document, "decided_at": decided_at}
            connection.execute(sa.insert(evidence).values(**values))
        return sealed

    def of_subject(self, subject_id: str) -> list[Evidence]:
        """Every decision about one invoice, in order."""
        query = sa.select(evidence).where(evidence.c.subject_id == subject_id).order_by(evidence.c.sequence)
        with self._database.reading() as connection:
            return [Evidence(sha256=row.sha256, document=bytes(row.document)) for row in connection.execute(query)]
