"""Evidence chains: append-only, each link names the hash of the one before."""

import json
from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from pacspace_stripe.comparison.rules.verdicts import NOTHING_METERED
from pacspace_stripe.errors import NotFound
from pacspace_stripe.evidence.rules.document import Evidence, decision_of, meaning, seal
from pacspace_stripe.store.database import Database, one_at_a_time
from pacspace_stripe.store.tables import evidence, jobs
from pacspace_stripe.vocabulary.canonical_json import Json

_EVIDENCE = "evidence"
_NOT_HERE = (
    "Set PACSPACE_STRIPE_DATABASE_URL to where it was stamped from. If that is lost, take pacspace_evidence_sha256 off"
    " the invoice in Stripe, and `pacspace-stripe backfill --apply` compares and stamps it again."
)


class Chains:
    """Rows of ``pacspace_evidence``: the evidence of every decision, in one chain per subscription."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, core: Mapping[str, Json], *, chain: str, job_id: str, decided_at: datetime) -> Evidence:
        """Seal ``core`` as the next link of its chain and return it, or return the last link if that says the same.

        Processes that append to one chain at once do so one after the other.
        """
        with self._database.writing() as connection:
            one_at_a_time(connection, chain)
            same = last_link(connection, core, chain=chain, job_id=job_id)
            if same is not None:
                return same
            sequence, previous = next_place(connection, chain)
            sealed = seal(core, chain=chain, sequence=sequence, previous=previous, decided_at=decided_at)
            row = {"chain_id": chain, "sequence": sequence, "sha256": sealed.sha256, "job_id": job_id}
            values = {**row, "document": sealed.document, "decided_at": decided_at}
            connection.execute(sa.insert(evidence).values(**values))
        return sealed

    def find(self, sha256: str) -> Evidence | None:
        """Return the evidence with this hash, or None."""
        query = sa.select(evidence).where(evidence.c.sha256 == sha256)
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Evidence(sha256=row.sha256, document=bytes(row.document))

    def of_chain(self, chain: str) -> list[Evidence]:
        """Return every decision of one chain, the first one first."""
        return self._in_order(evidence.c.chain_id == chain)

    def of_job(self, job_id: str) -> list[Evidence]:
        """Return every decision about one job, the first one first."""
        return self._in_order(evidence.c.job_id == job_id)

    def decision_of(self, invoice_id: str) -> Evidence:
        """Return the decision about an invoice that its stamp names. Raises NotFound if there is none."""
        decision = decision_of(self.of_job(invoice_id))
        if decision is None and self._has_nothing_metered(invoice_id):
            message = f"none about {invoice_id}: nothing on it is metered"
            raise NotFound(
                _EVIDENCE, message, hint="It bills no usage, so there is nothing to compare, prove or state."
            )
        if decision is None:
            message = f"none about {invoice_id}: it was not compared yet"
            command = f"pacspace-stripe check {invoice_id} --apply"
            hint = f"Run `{command}` first, or look for it in `pacspace-stripe invoices`."
            raise NotFound(_EVIDENCE, message, hint=hint)
        return decision

    def _has_nothing_metered(self, invoice_id: str) -> bool:
        """Return whether the last check found nothing metered on it, so that another one would not help."""
        found = (jobs.c.state["detail"].as_string(), jobs.c.verdict)
        with self._database.reading() as connection:
            row = connection.execute(sa.select(*found).where(jobs.c.job_id == invoice_id)).one_or_none()
        return row is not None and row[0] == NOTHING_METERED and row[1] is None

    def _in_order(self, which: sa.ColumnElement[bool]) -> list[Evidence]:
        query = sa.select(evidence).where(which).order_by(evidence.c.sequence)
        with self._database.reading() as connection:
            return [Evidence(sha256=row.sha256, document=bytes(row.document)) for row in connection.execute(query)]


def last_link(connection: sa.Connection, core: Mapping[str, Json], *, chain: str, job_id: str) -> Evidence | None:
    """Return the last link of a job if it says what ``core`` says, so that there is nothing to append."""
    mine = (evidence.c.chain_id == chain, evidence.c.job_id == job_id)
    query = sa.select(evidence.c.sha256, evidence.c.document).where(*mine)
    last = connection.execute(query.order_by(evidence.c.sequence.desc()).limit(1)).one_or_none()
    if last is None or meaning(json.loads(last.document)) != meaning(core):
        return None
    return Evidence(sha256=last.sha256, document=bytes(last.document))


def next_place(connection: sa.Connection, chain: str) -> tuple[int, str | None]:
    """Return the sequence number of a chain's next link, and the hash of the link before it."""
    last = sa.select(evidence.c.sequence, evidence.c.sha256).where(evidence.c.chain_id == chain)
    found = connection.execute(last.order_by(evidence.c.sequence.desc()).limit(1)).one_or_none()
    return (found.sequence + 1, found.sha256) if found else (1, None)


def evidence_elsewhere(invoice_id: str) -> NotFound:
    """Return the error for an invoice that was stamped from another database: no document here matches its stamp."""
    return NotFound(_EVIDENCE, f"the one that {invoice_id} names is not in this database", hint=_NOT_HERE)
