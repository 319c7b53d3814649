"""Alerts and their deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "pacspace_alerts",
        sa.Column("alert_id", sa.String(length=64), nullable=False),
        sa.Column("subject_id", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=128), nullable=False),
        sa.Column("figures", sa.String(length=64), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.Column("alert", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("alert_id"),
    )
    op.create_index("ix_pacspace_alerts_subject", "pacspace_alerts", ["subject_id", "at"])
    op.create_index("ix_pacspace_alerts_at", "pacspace_alerts", ["at"])
    op.create_table(
        "pacspace_deliveries",
        sa.Column("alert_id", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("claim", sa.String(length=255)),
        sa.Column("problem", sa.String(length=512)),
        sa.Column("tried_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("alert_id", "channel"),
    )
    op.create_index("ix_pacspace_deliveries_due", "pacspace_deliveries", ["channel", "due_at"])
    op.create_index("ix_pacspace_deliveries_state", "pacspace_deliveries", ["state"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("pacspace_deliveries")
    op.drop_table("pacspace_alerts")
