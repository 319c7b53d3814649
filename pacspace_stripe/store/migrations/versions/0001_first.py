"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "pacspace_audit",
        sa.Column("audit_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("subject_id", sa.String(length=255), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("audit_id"),
    )
    op.create_index("ix_pacspace_audit_subject", "pacspace_audit", ["subject_id", "at"], unique=False)
    op.create_table(
        "pacspace_claims",
        sa.Column("account", sa.String(length=128), nullable=False),
        sa.Column("invoice_id", sa.String(length=255), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account", "invoice_id", "starts_at"),
    )
    op.create_index("ix_pacspace_claims_invoice", "pacspace_claims", ["invoice_id"], unique=False)
    op.create_table(
        "pacspace_events",
        sa.Column("event_id", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("subject_id", sa.String(length=255), nullable=True),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
    )
    op.create_index("ix_pacspace_events_received", "pacspace_events", ["received_at"], unique=False)
    op.create_table(
        "pacspace_evidence",
        sa.Column("chain_id", sa.String(length=255), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("subject_id", sa.String(length=255), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("chain_id", "sequence"),
        sa.UniqueConstraint("sha256"),
    )
    op.create_index("ix_pacspace_evidence_subject", "pacspace_evidence", ["subject_id"], unique=False)
    op.create_table(
        "pacspace_facts",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "pacspace_subjects",
        sa.Column("subject_id", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("customer_id", sa.String(length=255), nullable=True),
        sa.Column("subscription_id", sa.String(length=255), nullable=True),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=True),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("memory", sa.JSON(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("checked", sa.Integer(), nullable=False),
        sa.Column("next_check_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_owner", sa.String(length=255), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subject_id"),
    )
    op.create_index("ix_pacspace_subjects_due", "pacspace_subjects", ["next_check_at"], unique=False)
    op.create_index("ix_pacspace_subjects_lease", "pacspace_subjects", ["lease_owner"], unique=False)
    op.create_index("ix_pacspace_subjects_subscription", "pacspace_subjects", ["subscription_id", "kind"], unique=False)
    op.create_index("ix_pacspace_subjects_verdict", "pacspace_subjects", ["kind", "verdict"], unique=False)


def downgrade() -> None:
    """Drop every table."""
    op.drop_index("ix_pacspace_subjects_verdict", table_name="pacspace_subjects")
    op.drop_index("ix_pacspace_subjects_subscription", table_name="pacspace_subjects")
    op.drop_index("ix_pacspace_subjects_lease", table_name="pacspace_subjects")
    op.drop_index("ix_pacspace_subjects_due", table_name="pacspace_subjects")
    op.drop_table("pacspace_subjects")
    op.drop_table("pacspace_facts")
    op.drop_index("ix_pacspace_evidence_subject", table_name="pacspace_evidence")
    op.drop_table("pacspace_evidence")
    op.drop_index("ix_pacspace_events_received", table_name="pacspace_events")
    op.drop_table("pacspace_events")
    op.drop_index("ix_pacspace_claims_invoice", table_name="pacspace_claims")
    op.drop_table("pacspace_claims")
    op.drop_index("ix_pacspace_audit_subject", table_name="pacspace_audit")
    op.drop_table("pacspace_audit")
