"""Endpoints that take deltas, one by one and in batches."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pacspace_stripe.simulator.pacspace import answers, reads
from pacspace_stripe.simulator.pacspace.inputs import PacSpaceRequest, read_deltas, read_draft
from pacspace_stripe.simulator.pacspace.ledger import DeltaStatus, Draft
from pacspace_stripe.simulator.pacspace.refusals import (
    PacSpaceRefusal,
    cadence_limited,
    environment_missing,
    plan_limited,
)
from pacspace_stripe.simulator.pacspace.world import World


def emit(world: World, call: PacSpaceRequest) -> dict[str, Any]:
    """POST /api/v1/balance/delta. A repeated ``referenceId`` alone records twice: only the key protects."""
    draft = read_draft(call.body)
    _admit(world, draft)
    return answers.accepted(world, world.accept(draft))


def emit_batch(world: World, call: PacSpaceRequest) -> dict[str, Any]:
    """POST /api/v1/balance/delta/batch: each item succeeds, replays or fails alone."""
    deltas = read_deltas(call.body)
    if not world.environment_ready():
        raise environment_missing()
    return _answered([_batched(world, item) for item in deltas])


def refused_batch(deltas: list[Any], error: str) -> dict[str, Any]:
    """Return the answer to a batch of which no delta is accepted."""
    return _answered([_refused(item, error) for item in deltas])


def _answered(rows: list[dict[str, Any]]) -> dict[str, Any]:
    results = [{"index": index, **row} for index, row in enumerate(rows)]
    failed = sum(result["status"] is DeltaStatus.FAILED for result in results)
    return {"totalQueued": len(results) - failed, "totalFailed": failed, "results": results, "_efficiency": {}}


def _batched(world: World, item: Any) -> dict[str, Any]:
    try:
        draft = read_draft(item)
        known = world.ledger.by_reference(draft.account, draft.reference_id)
        if known is not None and world.status(known) is not DeltaStatus.FAILED:
            return {**answers.accepted(world, known), "idempotent": True}
        _admit(world, draft)
    except PacSpaceRefusal as refusal:
        return _refused(item, refusal.code or refusal.message)
    return answers.accepted(world, world.accept(draft))


def _refused(item: Any, error: str) -> dict[str, Any]:
    sent = item if isinstance(item, Mapping) else {}
    named = {name: sent.get(name) for name in ("customerId", "delta", "referenceId")}
    return {**named, "status": DeltaStatus.FAILED, "error": error}


def _admit(world: World, draft: Draft) -> None:
    """Refuse a delta that the environment, the plan or the cadence does not allow now."""
    rules = world.rules
    if not world.environment_ready():
        raise environment_missing()
    if rules.plan_limit is not None and reads.consumed(world) >= rules.plan_limit:
        raise plan_limited()
    if rules.cadence is not None:
        _keep_cadence(world, draft.account, rules.cadence)


def _keep_cadence(world: World, account: str, cadence: timedelta) -> None:
    records = world.ledger.records(account)
    if not records:
        return
    wait = (records[-1].accepted_at + cadence - world.now()).total_seconds()
    if wait > 0:
        raise cadence_limited(max(1, -int(-wait // 1)), account)
