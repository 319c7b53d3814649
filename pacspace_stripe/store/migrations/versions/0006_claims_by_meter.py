"""Coverage of one meter's part of a ledger account. Existing rows cover the whole account."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two columns, one of them to the primary key, by making the table again under a free name."""
    op.create_table(
        "pacspace_claims_anew",
        sa.Column("account", sa.String(length=128), nullable=False),
        sa.Column("invoice_id", sa.String(length=255), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("meter", sa.String(length=255), server_default="", nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("customer_id", sa.String(length=255), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("account", "invoice_id", "starts_at", "meter"),
    )
    op.execute(
        "INSERT INTO pacspace_claims_anew (account, invoice_id, starts_at, ends_at)"
        " SELECT account, invoice_id, starts_at, ends_at FROM pacspace_claims"
    )
    _put_in_place()


def downgrade() -> None:
    """Make the table as before, with the longest of several meters' rows that start together."""
    op.create_table(
        "pacspace_claims_anew",
        sa.Column("account", sa.String(length=128), nullable=False),
        sa.Column("invoice_id", sa.String(length=255), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account", "invoice_id", "starts_at"),
    )
    op.execute(
        "INSERT INTO pacspace_claims_anew (account, invoice_id, starts_at, ends_at)"
        " SELECT account, invoice_id, starts_at, max(ends_at) FROM pacspace_claims"
        " GROUP BY account, invoice_id, starts_at"
    )
    _put_in_place()


def _put_in_place() -> None:
    op.drop_table("pacspace_claims")
    op.rename_table("pacspace_claims_anew", "pacspace_claims")
    op.create_index("ix_pacspace_claims_invoice", "pacspace_claims", ["invoice_id"], unique=False)
