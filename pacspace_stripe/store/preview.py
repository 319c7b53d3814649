"""The store of a preview: it reads the database and writes nothing.

Everything that a check writes and reads again within one pass (its state, evidence, facts, coverage) is kept in memory.
Every other write reaches :class:`ReadingDatabase` and raises, so that a new one is not forgotten here.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

import sqlalchemy as sa

from pacspace_stripe.evidence.rules.document import Evidence, seal
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.store.chains import Chains, last_link, next_place
from pacspace_stripe.store.coverage import Coverage
from pacspace_stripe.store.database import AlsoWrite, Database
from pacspace_stripe.store.jobs import Job, JobKind, JobLease, Jobs
from pacspace_stripe.store.journal import Journal
from pacspace_stripe.usage.rules import CoveredPart
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.windows import Window


class ReadingDatabase(Database):
    """A database that refuses to write."""

    @contextmanager
    def writing(self, *, urgent: bool = False) -> Iterator[sa.Connection]:  # noqa: ARG002 - the signature of Database
        message = "a preview writes nothing to the database"
        raise AssertionError(message)
        yield  # pragma: no cover - makes this a generator


class PreviewLease(JobLease):
    """A lease that keeps no other process out, and keeps in memory what is saved."""

    def guard(self) -> None:
        """Do nothing: there is no lease to lose."""

    def keep(self) -> None:
        """Do nothing, as above."""

    def save(self, state: InvoiceState, *, also: AlsoWrite = lambda _: None) -> None:  # noqa: ARG002 - gives no alert
        self.saved = state

    def give_back(self, state: InvoiceState | None, next_check_at: datetime | None) -> bool:  # noqa: ARG002 - nothing was taken
        return False


class PreviewJobs(Jobs):
    """Jobs that every preview may check."""

    def acquire(self, kind: JobKind, job_id: str, ttl: timedelta) -> JobLease | None:
        now = self.now()
        job = self.find(job_id) or Job(
            job_id=job_id,
            kind=kind,
            state=InvoiceState(invoice_id=job_id),
            requested=0,
            answered=0,
            next_check_at=None,
            lease_owner=None,
            lease_until=None,
            updated_at=now,
        )
        return PreviewLease(jobs=self, job=job, owner="preview", ttl=ttl, saved=job.state, renewed_at=now)

    def end_block(self, job_id: str) -> None:
        """Leave the early warning as it is."""


class PreviewChains(Chains):
    """Evidence chains with the links that one preview would append."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._sealed: dict[str, Evidence] = {}

    def append(self, core: Mapping[str, Json], *, chain: str, job_id: str, decided_at: datetime) -> Evidence:
        with self._database.reading() as connection:
            same = last_link(connection, core, chain=chain, job_id=job_id)
            if same is not None:
                return same
            sequence, previous = next_place(connection, chain)
        sealed = seal(core, chain=chain, sequence=sequence, previous=previous, decided_at=decided_at)
        return self._sealed.setdefault(sealed.sha256, sealed)

    def find(self, sha256: str) -> Evidence | None:
        return self._sealed.get(sha256) or super().find(sha256)


class PreviewJournal(Journal):
    """The journal with the facts that one preview would store."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._facts: dict[str, str] = {}

    def note(self, kind: str, job_id: str, detail: str) -> None:
        """Note nothing."""

    def remember_fact(self, name: str, value: str) -> str | None:
        before = self.fact(name)
        self._facts[name] = value
        return before

    def fact(self, name: str) -> str | None:
        return (self._facts[name] or None) if name in self._facts else super().fact(name)

    def forget_fact(self, name: str) -> None:
        self._facts[name] = ""


class PreviewCoverage(Coverage):
    """Coverage with what previews would write.

    ``beside`` keeps it for a dry run over many invoices, so that two which bill the same usage are found; without
    ``beside``, only the invoices whose coverage one preview would delete are kept.
    """

    def __init__(self, database: Database, beside: Coverage | None) -> None:
        super().__init__(database)
        self._beside = beside
        self._freed: set[str] = set()

    def put(self, invoice_id: str, parts: Iterable[CoveredPart | tuple[str, Window]]) -> None:
        covered = tuple(parts)
        if not covered:
            self._freed.add(invoice_id)
        if self._beside:
            self._beside.put(invoice_id, covered)

    def overlapping_invoice(
        self,
        invoice_id: str,
        account: str,
        window: Window,
        meter: str = "",
        customer_id: str = "",
        *,
        ignoring: Collection[str] = (),
    ) -> str | None:
        ignoring = (*ignoring, *self._freed)
        found = super().overlapping_invoice(invoice_id, account, window, meter, customer_id, ignoring=ignoring)
        if found is None and self._beside:
            return self._beside.overlapping_invoice(invoice_id, account, window, meter, customer_id, ignoring=ignoring)
        return found

    def overlaps(
        self, other_id: str, account: str, window: Window, meter: str = "", customer_id: str = ""
    ) -> list[Window]:
        found = super().overlaps(other_id, account, window, meter, customer_id)
        return found + (self._beside.overlaps(other_id, account, window, meter, customer_id) if self._beside else [])
