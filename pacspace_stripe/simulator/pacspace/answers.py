"""Shapes of the answers. Where documents use several names for one thing, the simulator serves all of them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from pacspace_stripe.simulator.pacspace.checkpoints import StoredCheckpoint
from pacspace_stripe.simulator.pacspace.ledger import DeltaRecord, DeltaStatus, made_id
from pacspace_stripe.simulator.pacspace.scopes import ScopeWindow
from pacspace_stripe.simulator.pacspace.world import World

SIMULATED = {"simulator": True}
"""Label beside every root, since it is not PacSpace's."""


def stamp(at: datetime) -> str:
    """Return a time as PacSpace writes it: UTC, milliseconds, Z."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def reference_of(world: World, record: DeltaRecord) -> str:
    """Return the record's reference on the public ledger."""
    return f"0x{made_id(world.seed, 'delta-reference', record.number)}"


def accepted(world: World, record: DeltaRecord) -> dict[str, Any]:
    """Return the answer to an emit: queued, whatever follows."""
    return {
        "recordId": record.record_id,
        "anchorId": record.record_id,
        "status": DeltaStatus.QUEUED,
        "receiptId": record.receipt_id,
        "customerId": record.account,
        "delta": world.number(record.delta),
        "reason": record.draft.reason,
        "referenceId": record.draft.reference_id,
        "sequenceNumber": str(record.sequence),
        "createdAt": stamp(record.accepted_at),
    }


def delta_status(world: World, record: DeltaRecord) -> dict[str, Any]:
    """Return one delta with its status."""
    status = world.status(record)
    answer = {**accepted(world, record), "metadata": record.draft.metadata, "status": status}
    if status is DeltaStatus.VERIFIED and record.verifies_at is not None:
        times = dict.fromkeys(("verifiedAt", "blockTimestamp"), stamp(record.verifies_at))
        return {**answer, **times, "verificationReference": reference_of(world, record)}
    if record.failed_at is not None:
        return {**answer, "error": record.failure, "failedAt": stamp(record.failed_at)}
    return answer


def delta_row(world: World, record: DeltaRecord) -> dict[str, Any]:
    """Return one verified delta as a row of a derive answer or a receipt."""
    return {**delta_status(world, record), "window": f"{world.placed_at(record):%Y-%m}"}


def activity_row(world: World, record: DeltaRecord) -> dict[str, Any]:
    """Return one delta as a row of a customer's recent activity, in any status."""
    status = world.status(record)
    return {
        "recordId": record.record_id,
        "delta": world.number(record.delta),
        "reason": record.draft.reason,
        "referenceId": record.draft.reference_id,
        "metadata": record.draft.metadata,
        "status": status.lower(),
        "time": stamp(record.accepted_at),
        "receiptId": record.receipt_id,
        "sequenceNumber": str(record.sequence),
        "verificationReference": reference_of(world, record) if status is DeltaStatus.VERIFIED else None,
    }


def counted(count: int) -> dict[str, int]:
    """Return a number of deltas under both of its names."""
    return {"deltasCount": count, "deltaCount": count}


def spanned(window: ScopeWindow) -> dict[str, Any]:
    """Return a resolved window."""
    return {"period": window.period, "startDate": stamp(window.start), "endDate": stamp(window.end)}


def checkpoint(world: World, made: StoredCheckpoint) -> dict[str, Any]:
    """Return a checkpoint; its root appears when it is committed."""
    answer = {
        "checkpointId": made.checkpoint_id,
        "customerId": made.scope.account,
        "status": DeltaStatus.QUEUED,
        **spanned(made.scope.window),
        **counted(made.count),
        "netChange": world.number(made.net),
        "createdAt": stamp(made.created_at),
        **SIMULATED,
    }
    if not made.committed(world.now()):
        return answer
    return {
        **answer,
        "status": DeltaStatus.VERIFIED,
        "proofRoot": made.proof_root,
        "merkleRoot": made.proof_root,
        "verifiedAt": stamp(made.commits_at),
        "verificationReference": made.reference,
    }


def summaries(world: World, records: Sequence[DeltaRecord], granularity: str) -> list[dict[str, Any]]:
    """Return credits, debits and net per day, week (named by its Monday) or month."""
    groups: dict[str, list[DeltaRecord]] = {}
    for record in records:
        groups.setdefault(_bucket(world.placed_at(record), granularity), []).append(record)
    return [{"period": period, **_summed(world, groups[period])} for period in sorted(groups)]


def _bucket(at: datetime, granularity: str) -> str:
    if granularity == "month":
        return f"{at:%Y-%m}"
    day = at.date()
    return str(day.fromordinal(day.toordinal() - day.weekday()) if granularity == "week" else day)


def _summed(world: World, records: Sequence[DeltaRecord]) -> dict[str, Any]:
    return {
        "totalCredits": world.balance([record for record in records if record.delta > 0]),
        "totalDebits": world.balance([record for record in records if record.delta < 0]),
        "netChange": world.balance(records),
        **counted(len(records)),
    }


def paged(total: int, limit: int, offset: int) -> dict[str, Any]:
    """Return limit-and-offset paging, beside the rows and once more at the top."""
    paging = {"total": total, "limit": limit, "offset": offset}
    return {**paging, "pagination": {**paging, "hasMore": offset + limit < total}}


def numbered(total: int, page: int, limit: int) -> dict[str, int]:
    """Return page-number paging."""
    return {"page": page, "limit": limit, "total": total, "totalPages": -(-total // limit)}


def newest_first(records: Iterable[DeltaRecord]) -> list[DeltaRecord]:
    """Return records in the order in which recent activity shows them."""
    return sorted(records, key=lambda record: record.order, reverse=True)
