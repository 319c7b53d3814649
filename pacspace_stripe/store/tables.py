"""Our tables. They hold every state; the tables of the queue only carry triggers.

Earlier versions called a job a subject, its state a memory, its counters ``wanted`` and ``checked``, coverage claims,
and the lease on a delivery a claim. The database keeps these names behind the keys of the columns: processes of the
previous version run beside this one while a deployment rolls, and would not find renamed tables or columns.
"""

from datetime import UTC, datetime

import sqlalchemy as sa


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware UTC datetime. SQLite keeps it as text without a zone, which sorts as time does."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[datetime]:
        return dialect.type_descriptor(sa.DateTime(timezone=dialect.name != "sqlite"))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            message = "a time without a zone"
            raise ValueError(message)
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = sa.MetaData()

jobs = sa.Table(
    "pacspace_subjects",
    metadata,
    sa.Column("subject_id", sa.String(255), key="job_id", primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("customer_id", sa.String(255)),
    sa.Column("subscription_id", sa.String(255)),
    sa.Column("stage", sa.String(16), nullable=False),
    sa.Column("held", sa.Boolean, nullable=False, default=False),
    sa.Column("verdict", sa.String(16)),
    sa.Column("reason", sa.String(32)),
    sa.Column("memory", sa.JSON, key="state", nullable=False),
    sa.Column("wanted", sa.Integer, key="requested", nullable=False, default=0),
    sa.Column("checked", sa.Integer, key="answered", nullable=False, default=0),
    sa.Column("next_check_at", UtcDateTime),
    sa.Column("lease_owner", sa.String(255)),
    sa.Column("lease_until", UtcDateTime),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Index("ix_pacspace_subjects_due", "next_check_at"),
    sa.Index("ix_pacspace_subjects_subscription", "subscription_id", "kind"),
    sa.Index("ix_pacspace_subjects_verdict", "kind", "verdict"),
    sa.Index("ix_pacspace_subjects_lease", "lease_owner"),
)
"""Invoices, early warnings, and the sweep: everything that is checked until it ends. ``state`` is its InvoiceState."""

events = sa.Table(
    "pacspace_events",
    metadata,
    sa.Column("event_id", sa.String(255), primary_key=True),
    sa.Column("type", sa.String(64), nullable=False),
    sa.Column("subject_id", sa.String(255), key="job_id"),
    sa.Column("outcome", sa.String(32), nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Index("ix_pacspace_events_received", "received_at"),
    sa.Index("ix_pacspace_events_subject", "job_id", "type"),
)
"""Every event received, once: ids only, never bodies."""

evidence = sa.Table(
    "pacspace_evidence",
    metadata,
    sa.Column("chain_id", sa.String(255), primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False, unique=True),
    sa.Column("subject_id", sa.String(255), key="job_id", nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
    sa.Column("decided_at", UtcDateTime, nullable=False),
    sa.Index("ix_pacspace_evidence_subject", "job_id"),
)
"""Evidence, append-only by triggers of the database (migration 0002). One chain per subscription, in decision order."""

audit = sa.Table(
    "pacspace_audit",
    metadata,
    sa.Column("audit_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("subject_id", sa.String(255), key="job_id", nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Index("ix_pacspace_audit_subject", "job_id", "at"),
)
"""Append-only: every write sent to Stripe, every alert, every decision of a person."""

coverage = sa.Table(
    "pacspace_claims",
    metadata,
    sa.Column("account", sa.String(128), primary_key=True),
    sa.Column("invoice_id", sa.String(255), primary_key=True),
    sa.Column("starts_at", UtcDateTime, primary_key=True),
    sa.Column("meter", sa.String(255), primary_key=True, server_default=""),
    sa.Column("ends_at", UtcDateTime, nullable=False),
    sa.Column("customer_id", sa.String(255), nullable=False, server_default=""),
    sa.Index("ix_pacspace_claims_invoice", "invoice_id"),
)
"""Coverage: the invoice that bills a ledger account for a window.

``meter`` and ``customer_id`` are empty where an invoice covers the whole account.
"""

facts = sa.Table(
    "pacspace_facts",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
"""Small single values, such as the policy that the open invoices were last checked under."""

explanations = sa.Table(
    "pacspace_explanations",
    metadata,
    sa.Column("subject_id", sa.String(255), key="job_id", primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("made_at", UtcDateTime, nullable=False),
)
"""Explanation of the last drift of a job. ``fingerprint`` is that of the figures: equal for the same drift."""

rejections = sa.Table(
    "pacspace_rejections",
    metadata,
    sa.Column("event_id", sa.String(255), primary_key=True),
    sa.Column("code", sa.String(128), primary_key=True),
    sa.Column("starts_at", UtcDateTime, nullable=False),
    sa.Column("ends_at", UtcDateTime, nullable=False),
    sa.Column("rejection", sa.JSON, nullable=False),
    sa.Index("ix_pacspace_rejections_checked", "starts_at", "ends_at"),
)
"""Meter events that Stripe rejected after it had accepted them: one row per report and error code."""

rates = sa.Table(
    "pacspace_rates",
    metadata,
    sa.Column("service", sa.String(64), primary_key=True),
    sa.Column("process", sa.String(255), primary_key=True),
    sa.Column("shares", sa.JSON, nullable=False),
    sa.Column("until", UtcDateTime, nullable=False),
)
"""Shares of a vendor's rate limits: one row per process, renewed while it sends."""

alerts = sa.Table(
    "pacspace_alerts",
    metadata,
    sa.Column("alert_id", sa.String(64), primary_key=True),
    sa.Column("subject_id", sa.String(255), key="job_id", nullable=False),
    sa.Column("kind", sa.String(128), nullable=False),
    sa.Column("figures", sa.String(64), nullable=False),
    sa.Column("told", sa.Boolean, key="sent", nullable=False),
    sa.Column("alert", sa.JSON, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Index("ix_pacspace_alerts_subject", "job_id", "at"),
    sa.Index("ix_pacspace_alerts_at", "at"),
)
"""Alerts that were sent, and those that were throttled. ``alert`` is the Alert as JSON."""

deliveries = sa.Table(
    "pacspace_deliveries",
    metadata,
    sa.Column("alert_id", sa.String(64), primary_key=True),
    sa.Column("channel", sa.String(16), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("due_at", UtcDateTime),
    sa.Column("claim", sa.String(255), key="lease_owner"),
    sa.Column("problem", sa.String(512)),
    sa.Column("tried_at", UtcDateTime),
    sa.Index("ix_pacspace_deliveries_due", "channel", "due_at"),
    sa.Index("ix_pacspace_deliveries_state", "state"),
    sa.Index("ix_pacspace_deliveries_lease", "lease_owner"),
)
"""Each alert on each channel. ``due_at`` is the time of the next attempt, or during an attempt the end of its lease."""
