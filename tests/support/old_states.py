"""Invoice states as the version of revision 0007 wrote them, kept apart from the code that reads them now."""

import json
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from pacspace_stripe.gate.rules.state import Cleared, Finalizer, Held, HoldCause, HoldStep, InvoiceState, Released
from pacspace_stripe.store import Store
from pacspace_stripe.store.states import to_json

OLD_ROWS = [
    json.loads(line) for line in (Path(__file__).parents[1] / "data" / "states" / "0007.jsonl").read_text().splitlines()
]
"""One row for each combination of stage and flags that the gate's own tests made that version write."""

_SAME = (
    *("invoice_id", "customer_id", "subscription_id", "held_at", "mapping", "finalizer", "undone_at", "stopped_at"),
    *("verdict", "reason", "detail", "windows", "reads", "put_back", "evidence_sha256", "evidence_core", "waiver"),
    *("counted_at", "attempts", "failures", "status", "amount", "kept_back", "agreed_at", "alerted", "left_out"),
)
"""Fields that have the same form before and after."""


def old_row(state: InvoiceState) -> dict[str, Any]:
    """Return a state as revision 0007 would have written it."""
    now = to_json(state)
    stages = {HoldStep.REQUESTED: "seen", HoldStep.RELEASING: "released"}
    position = state.position
    stage = stages.get(position.step, position.step.value) if isinstance(position, Held) else state.stage.value
    first = {name: value for name, value in now["first"].items() if name != "origin"} if state.first else None
    return {
        **{name: now[name] for name in _SAME},
        "first": first,
        "stage": stage,
        "held": isinstance(position, Held),
        "precaution": state.stopped_for is HoldCause.PRECAUTION,
        "backstop_at": now["backstop"]["at"] if state.backstop else None,
        "blocked": state.early_warning_id is not None,
        "past": state.past,
        "finalized_by_us": state.finalizer is Finalizer.US,
        "finalizer": None if state.finalizer is Finalizer.US else now["finalizer"],
        "updates_unread": bool(state.unread_updates),
        "stamped": now["stamp"],
        "released_at": now["stage"]["at"] if isinstance(position, Released) else None,
        "cleared": isinstance(position, Cleared | Released),
    }


def take_back_to_0007(store: Store) -> None:
    """Rewrite a database as the version of revision 0007 would have left it."""
    jobs = sa.table("pacspace_subjects", sa.column("subject_id"), sa.column("stage"), sa.column("memory", sa.JSON))
    with store.engine.begin() as connection:
        for job_id in connection.execute(sa.select(jobs.c.subject_id)).scalars().all():
            found = store.jobs.find(job_id)
            assert found is not None
            row = old_row(found.memory)
            statement = sa.update(jobs).where(jobs.c.subject_id == job_id)
            connection.execute(statement.values(memory=row, stage=row["stage"]))
        connection.exec_driver_sql("UPDATE pacspace_alembic_version SET version_num = '0007'")
