"""Invoice states as the version of revision 0007 wrote them, kept apart from the code that reads them now."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import pacspace_stripe
from pacspace_stripe.gate.rules.state import Cleared, Finalizer, Held, HoldCause, HoldStep, InvoiceState, Released
from pacspace_stripe.store import Store
from pacspace_stripe.store.states import to_json
from pacspace_stripe.store.tables import UtcDateTime

OLD_ROWS = [
    json.loads(line) for line in (Path(__file__).parents[1] / "data" / "states" / "0007.jsonl").read_text().splitlines()
]
"""One row for each combination of stage and flags that the gate's own tests made that version write."""

JOBS = sa.table(
    "pacspace_subjects",
    *map(sa.column, ("subject_id", "kind", "stage", "held", "checked", "wanted")),
    sa.column("updated_at", UtcDateTime),
    sa.column("memory", sa.JSON),
)
"""Table of revision 0007, as far as these rows need it."""

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


def revision(store: Store, direction: str, target: str) -> None:
    """Bring a database to another version of the schema."""
    config = Config()
    config.set_main_option("script_location", str(Path(pacspace_stripe.__file__).parent / "store" / "migrations"))
    with store.engine.connect() as connection:
        config.attributes["connection"] = connection
        getattr(command, direction)(config, target)


def take_back_to_0007(store: Store) -> None:
    """Rewrite a database as the version of revision 0007 would have left it."""
    with store.engine.connect() as connection:
        job_ids = connection.execute(sa.select(JOBS.c.subject_id)).scalars().all()
    found = {job_id: store.jobs.find(job_id) for job_id in job_ids}
    rows = {job_id: old_row(job.state) for job_id, job in found.items() if job is not None}
    revision(store, "downgrade", "0007")
    write_old_rows(store, rows)


def write_old_rows(store: Store, rows: Mapping[str, dict[str, Any]]) -> None:
    """Write states in the form of revision 0007, as a process of that version does at any time."""
    with store.engine.begin() as connection:
        for job_id, row in rows.items():
            statement = sa.update(JOBS).where(JOBS.c.subject_id == job_id)
            connection.execute(statement.values(memory=row, stage=row["stage"], held=row["held"]))
