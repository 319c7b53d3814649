"""An index on the leases of alert deliveries, which the worker's loop settles and frees by their owner.

The rows themselves stay: a delivery that waits or is under way in an earlier version has the same due time here.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index."""
    op.create_index("ix_pacspace_deliveries_lease", "pacspace_deliveries", ["claim"], unique=False)


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_pacspace_deliveries_lease", table_name="pacspace_deliveries")
