"""Meter events that Stripe rejected, and events by what they are about."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of rejected meter events, and the index that finds an invoice's events."""
    op.create_table(
        "pacspace_rejections",
        sa.Column("event_id", sa.String(length=255), nullable=False),
        sa.Column("code", sa.String(length=128), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rejection", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", "code"),
    )
    op.create_index("ix_pacspace_rejections_checked", "pacspace_rejections", ["starts_at", "ends_at"], unique=False)
    op.create_index("ix_pacspace_events_subject", "pacspace_events", ["subject_id", "type"], unique=False)


def downgrade() -> None:
    """Drop them: Stripe lists its reports for 30 days."""
    op.drop_index("ix_pacspace_events_subject", table_name="pacspace_events")
    op.drop_table("pacspace_rejections")
