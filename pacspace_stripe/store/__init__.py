"""The store: our tables and their queries (SQLAlchemy Core), on SQLite and PostgreSQL.

Owns the jobs with their invoice states and leases, the triggers that make them due, the events received, the evidence
chains, coverage, explanations, alerts and their deliveries, the audit log, and each process's share of the rate limits.
Does not own what any of it means: that is decided by the rules of the rooms above.

Invariants:

* Every method is one transaction, and may be called from several threads and processes.
* A state is saved only under its job's lease. What belongs to it, such as an alert, is written in the same transaction.
* Whatever has to happen is a row with a due time. A lease moves the due time behind its own end, so that a row whose
  process dies is found again.
* Evidence and audit log are append-only; triggers of the database see to it for evidence.
* Processes of the previous version run beside this one while a deployment rolls: a migration only adds, and stored
  documents stay readable for that version.
"""

from collections.abc import Callable
from copy import copy
from datetime import datetime, timedelta

from pacspace_stripe.store.alerts import AlertDelivery, LeasedDelivery, SentAlert, StoredAlerts
from pacspace_stripe.store.chains import Chains, evidence_elsewhere
from pacspace_stripe.store.coverage import Coverage
from pacspace_stripe.store.database import Database, mapped_errors, migrate, open_engine
from pacspace_stripe.store.explanations import Explained, Explanations, Rejections
from pacspace_stripe.store.jobs import Job, JobKind, JobLease, Jobs
from pacspace_stripe.store.journal import Journal
from pacspace_stripe.store.preview import (
    PreviewChains,
    PreviewCoverage,
    PreviewJobs,
    PreviewJournal,
    ReadingDatabase,
)
from pacspace_stripe.store.processes import is_alive
from pacspace_stripe.store.rate_shares import RateShares
from pacspace_stripe.store.triggers import Enqueue, ReceivedEvent, Triggers

__all__ = [
    "AlertDelivery",
    "Coverage",
    "Enqueue",
    "Explained",
    "Job",
    "JobKind",
    "JobLease",
    "LeasedDelivery",
    "RateShares",
    "ReceivedEvent",
    "SentAlert",
    "Store",
    "evidence_elsewhere",
    "is_alive",
]


class Store:
    """The database, one attribute per subject. ``lost_after``: when a trigger counts as lost by the queue."""

    def __init__(self, url: str, *, now: Callable[[], datetime], lost_after: timedelta) -> None:
        with mapped_errors():
            self.engine = open_engine(url)
        self._lost_after = lost_after
        self._database = database = Database(engine=self.engine, now=now)
        self.triggers = Triggers(database, lost_after=lost_after)
        self.jobs = Jobs(database, lost_after=lost_after)
        self.chains = Chains(database)
        self.journal = Journal(database)
        self.coverage = Coverage(database)
        self.explanations = Explanations(database)
        self.rejections = Rejections(database)
        self.alerts = StoredAlerts(database)

    def rate_shares(self, service: str, *, process: str | None = None) -> RateShares:
        """Return the shares of a vendor's limits that the processes on this database agree on."""
        return RateShares(self._database, service, process)

    def preview(self, *, beside: Coverage | None = None) -> "Store":
        """Return this store for one preview: it reads the database and keeps in memory what would be written.

        ``beside`` also keeps the coverage of a dry run over many invoices.
        """
        seen, database = copy(self), ReadingDatabase(engine=self.engine, now=self._database.now)
        seen.jobs = PreviewJobs(database, lost_after=self._lost_after)
        seen.chains, seen.journal = PreviewChains(database), PreviewJournal(database)
        seen.coverage = PreviewCoverage(database, beside)
        seen.explanations, seen.alerts = Explanations(database), StoredAlerts(database)
        seen.triggers = Triggers(database, lost_after=self._lost_after)
        return seen

    def stamped_elsewhere(self, invoice_id: str) -> str | None:
        """Return the SHA-256 of the evidence that an invoice carries, if that is not in this database."""
        job = self.jobs.find(invoice_id)
        carried = job.state.evidence_sha256 if job else None
        return carried if carried is not None and self.chains.find(carried) is None else None

    def migrate(self) -> None:
        """Bring the schema to the newest version."""
        migrate(self.engine)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()
