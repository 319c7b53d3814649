"""The store as a preview sees it: read as it is, written nowhere.

What a check writes and reads again within one pass (its state, evidence, facts, claims) is kept in memory. Every other
write reaches :class:`ReadingDatabase` and raises, so that a new one is not forgotten here.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

import sqlalchemy as sa

from pacspace_stripe.evidence.rules.document import Evidence, seal
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.store.chains import Chains, last_said, next_place
from pacspace_stripe.store.coverage import Coverage
from pacspace_stripe.store.database import Database
from pacspace_stripe.store.jobs import Jobs
from pacspace_stripe.store.journal import Journal
from pacspace_stripe.store.leases import Leased
from pacspace_stripe.store.outbox import Also
from pacspace_stripe.store.records import Job, Kind
from pacspace_stripe.usage.rules.accounts import CoveredPart
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.windows import Window


class ReadingDatabase(Database):
    """A database that refuses to write."""

    @contextmanager
    def writing(self, *, urgent: bool = False) -> Iterator[sa.Connection]:  # noqa: ARG002 - the signature of Database
        message = "a preview writes nothing to the database"
        raise AssertionError(message)
        yield  # pragma: no cover - makes this a generator


class RecordingJobs(Jobs):
    """States without leases: anybody may look, and what is saved is kept by who looks."""

    def acquire(self, kind: Kind, job_id: str, ttl: timedelta) -> Leased | None:
        now = self.now()
        job = self.find(job_id) or Job(
            job_id=job_id,
            kind=kind,
            memory=InvoiceState(invoice_id=job_id),
            requested=0,
            answered=0,
            next_check_at=None,
            lease_owner=None,
            lease_until=None,
            updated_at=now,
        )
        return Leased(jobs=self, job=job, owner="preview", ttl=ttl, saved=job.memory, renewed_at=now)

    def renew(self, job_id: str, owner: str, ttl: timedelta) -> bool:  # noqa: ARG002 - nobody else is kept out
        return True

    def has(self, job_id: str, owner: str, *, until: datetime) -> bool:  # noqa: ARG002 - nobody else is kept out
        return True

    def save(
        self,
        job_id: str,  # noqa: ARG002 - the lease itself keeps what was saved
        owner: str,  # noqa: ARG002 - as above
        memory: InvoiceState,  # noqa: ARG002 - as above
        ttl: timedelta,  # noqa: ARG002 - as above
        *,
        also: Also = lambda _: None,  # noqa: ARG002 - nobody is told
    ) -> bool:
        return True

    def give_back(
        self,
        job: Job,  # noqa: ARG002 - nothing was taken
        owner: str,  # noqa: ARG002 - as above
        memory: InvoiceState | None,  # noqa: ARG002 - as above
        next_check_at: datetime | None,  # noqa: ARG002 - as above
    ) -> bool | None:
        return False

    def end_block(self, job_id: str) -> None:
        """Leave the early warning as it is."""


class RecordingChains(Chains):
    """Chains with the links that one preview would append."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._sealed: dict[str, Evidence] = {}

    def append(self, core: Mapping[str, Json], *, chain: str, job_id: str, decided_at: datetime) -> Evidence:
        with self._database.reading() as connection:
            said = last_said(connection, core, chain=chain, job_id=job_id)
            if said is not None:
                return said
            sequence, previous = next_place(connection, chain)
        sealed = seal(core, chain=chain, sequence=sequence, previous=previous, decided_at=decided_at)
        return self._sealed.setdefault(sealed.sha256, sealed)

    def find(self, sha256: str) -> Evidence | None:
        return self._sealed.get(sha256) or super().find(sha256)


class RecordingJournal(Journal):
    """The audit log and the facts, with the facts that one preview would remember."""

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


class RecordingCoverage(Coverage):
    """Coverage with those that previews would make.

    ``beside`` keeps them for a dry run over many invoices, so that two that bill the same usage are found; without it
    only what one preview would free is kept.
    """

    def __init__(self, database: Database, beside: Coverage | None) -> None:
        super().__init__(database)
        self._beside = beside
        self._freed: set[str] = set()

    def put(self, invoice_id: str, wanted: Iterable[CoveredPart | tuple[str, Window]]) -> None:
        claimed = tuple(wanted)
        if not claimed:
            self._freed.add(invoice_id)
        if self._beside:
            self._beside.put(invoice_id, claimed)

    def overlapping_invoice(
        self,
        invoice_id: str,
        account: str,
        window: Window,
        meter: str = "",
        customer_id: str = "",
        *,
        but: Collection[str] = (),
    ) -> str | None:
        but = (*but, *self._freed)
        found = super().overlapping_invoice(invoice_id, account, window, meter, customer_id, but=but)
        if found is None and self._beside:
            return self._beside.overlapping_invoice(invoice_id, account, window, meter, customer_id, but=but)
        return found

    def overlaps(
        self, rival_id: str, account: str, window: Window, meter: str = "", customer_id: str = ""
    ) -> list[Window]:
        found = super().overlaps(rival_id, account, window, meter, customer_id)
        return found + (self._beside.overlaps(rival_id, account, window, meter, customer_id) if self._beside else [])
