"""Rows as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.store import states as memories


class Kind(StrEnum):
    """What a job is: whatever is looked at again and again until it ends."""

    INVOICE = "invoice"
    UPCOMING = "upcoming"
    SWEEP = "sweep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row of ``pacspace_subjects``."""

    job_id: str
    kind: Kind
    memory: InvoiceState
    requested: int
    answered: int
    next_check_at: datetime | None
    lease_owner: str | None
    lease_until: datetime | None
    updated_at: datetime

    @classmethod
    def from_row(cls, row: sa.RowMapping | Mapping[str, Any]) -> "Job":
        return cls(
            job_id=row["job_id"],
            kind=Kind(row["kind"]),
            memory=memories.from_json(row["memory"]),
            requested=row["requested"],
            answered=row["answered"],
            next_check_at=row["next_check_at"],
            lease_owner=row["lease_owner"],
            lease_until=row["lease_until"],
            updated_at=row["updated_at"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedEvent:
    """A verified webhook event: ids only. ``job_id`` is what it wakes, None when it wakes nothing.

    With ``wakes`` false it is only known to be about its job.
    """

    event_id: str
    type: str
    job_id: str | None
    kind: Kind
    subscription_id: str | None
    customer_id: str | None
    outcome: str
    wakes: bool = True


def memory_columns(memory: InvoiceState) -> dict[str, Any]:
    """The columns that a memory fills: itself as JSON, and what queries look for."""
    return {
        "customer_id": memory.customer_id,
        "subscription_id": memory.subscription_id,
        "stage": memory.stage.value,
        "held": memory.held,
        "verdict": memory.verdict.value if memory.verdict else None,
        "reason": memory.reason.value if memory.reason else None,
        "memory": memories.to_json(memory),
    }
