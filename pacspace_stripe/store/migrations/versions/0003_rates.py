"""Shares of a vendor's rate limits, over all processes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of shares."""
    op.create_table(
        "pacspace_rates",
        sa.Column("service", sa.String(length=64), nullable=False),
        sa.Column("process", sa.String(length=255), nullable=False),
        sa.Column("shares", sa.JSON(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("service", "process"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("pacspace_rates")
