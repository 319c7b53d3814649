"""Invoice states with one position each, in place of a stage beside boolean flags."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

from pacspace_stripe.store.migrations.invoice_states import downgraded, is_old, stage_of, upgraded

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_JOBS = sa.table(
    "pacspace_subjects", sa.column("subject_id", sa.String), sa.column("stage", sa.String), sa.column("memory", sa.JSON)
)
_AT_ONCE = 500
"""Rows that are read and written at a time, where there may be very many."""


def upgrade() -> None:
    """Rewrite each row; the columns that queries select by follow it."""
    _rewrite(lambda row: upgraded(row) if is_old(row) else row, stage_of)


def downgrade() -> None:
    """Rewrite each row in the form of revision 0007."""
    _rewrite(lambda row: row if is_old(row) else downgraded(row), lambda row: str(row.get("stage", "seen")))


def _rewrite(converted: Callable[[dict[str, Any]], dict[str, Any]], stage: Callable[[dict[str, Any]], str]) -> None:
    connection, last = op.get_bind(), ""
    query = sa.select(_JOBS.c.subject_id, _JOBS.c.memory).order_by(_JOBS.c.subject_id).limit(_AT_ONCE)
    # Locked: a process that saves a row meanwhile waits, and its newer state is not overwritten.
    query = query.with_for_update()
    while rows := connection.execute(query.where(_JOBS.c.subject_id > last)).all():
        for subject_id, memory in rows:
            new = converted(memory)
            statement = sa.update(_JOBS).where(_JOBS.c.subject_id == subject_id)
            connection.execute(statement.values(memory=new, stage=stage(new)))
        last = rows[-1].subject_id
