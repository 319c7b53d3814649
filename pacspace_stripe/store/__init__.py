"""Our tables and queries (SQLAlchemy Core), on SQLite and PostgreSQL.

Owns: what we remember of each invoice, the lease on it, the counters that let no wake-up get lost, the events
received, the evidence chains, what drifts come from, what Stripe rejected, the audit trail, the alerts on their way,
each process's share of the rate limits. Does not own: what any of it means. Every method is one transaction;
everything is safe to use from several threads.
"""

from collections.abc import Callable
from copy import copy
from datetime import datetime, timedelta

from pacspace_stripe.store.chains import Chains, not_here
from pacspace_stripe.store.coverage import Coverage
from pacspace_stripe.store.database import Database, mapped_errors, migrate, open_engine
from pacspace_stripe.store.explanations import Explained, Explanations
from pacspace_stripe.store.jobs import Jobs
from pacspace_stripe.store.journal import Journal
from pacspace_stripe.store.leases import Leased, is_alive
from pacspace_stripe.store.outbox import Claimed, Delivery, Outbox, Sent
from pacspace_stripe.store.recording import (
    ReadingDatabase,
    RecordingChains,
    RecordingCoverage,
    RecordingJobs,
    RecordingJournal,
)
from pacspace_stripe.store.records import Job, Kind, ReceivedEvent
from pacspace_stripe.store.rejections import Rejections
from pacspace_stripe.store.shares import Shares
from pacspace_stripe.store.triggers import Enqueue, Triggers

__all__ = [
    "Claimed",
    "Coverage",
    "Delivery",
    "Enqueue",
    "Explained",
    "Job",
    "Kind",
    "Leased",
    "Outbox",
    "ReceivedEvent",
    "Sent",
    "Shares",
    "Store",
    "is_alive",
    "not_here",
]


class Store:
    """The database behind six doors. ``lost_after``: when a trigger counts as lost by the queue."""

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
        self.outbox = Outbox(database)

    def shares(self, service: str, *, process: str | None = None) -> Shares:
        """What the processes on this database agree on about the limits of ``service``; by default for this one."""
        return Shares(self._database, service, process)

    def recording(self, *, beside: Coverage | None = None) -> "Store":
        """Return this store for one preview: it reads what is there and keeps to itself what would be written.

        ``beside`` also keeps the claims of a dry run over many invoices.
        """
        seen, database = copy(self), ReadingDatabase(engine=self.engine, now=self._database.now)
        seen.jobs = RecordingJobs(database, lost_after=self._lost_after)
        seen.chains, seen.journal = RecordingChains(database), RecordingJournal(database)
        seen.coverage = RecordingCoverage(database, beside)
        seen.explanations, seen.outbox = Explanations(database), Outbox(database)
        seen.triggers = Triggers(database, lost_after=self._lost_after)
        return seen

    def stamped_elsewhere(self, invoice_id: str) -> str | None:
        """The SHA-256 of the evidence that the invoice carries, when that is not in this database."""
        job = self.jobs.find(invoice_id)
        carried = job.memory.evidence_sha256 if job else None
        return carried if carried is not None and self.chains.find(carried) is None else None

    def migrate(self) -> None:
        """Bring the schema to the newest version."""
        migrate(self.engine)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()
