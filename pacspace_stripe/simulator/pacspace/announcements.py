"""Events made of changes (CONTRACT 5.3, 5.4): deltas verified or failed, checkpoints committed, new customers."""

from typing import Any

from pacspace_stripe.simulator.pacspace import answers
from pacspace_stripe.simulator.pacspace.checkpoints import StoredCheckpoint
from pacspace_stripe.simulator.pacspace.ledger import DeltaRecord, DeltaStatus, made_id
from pacspace_stripe.simulator.pacspace.webhooks import PacSpaceEvent
from pacspace_stripe.simulator.pacspace.world import World


def announce_due(world: World) -> None:
    """Turn every change that became final since the last call into an event, in the order of the changes."""
    now = world.now()
    for account in world.new_customers:
        publish(world, customer_created(world, account))
    world.new_customers.clear()
    final = [record for record in map(world.ledger.get, world.unannounced) if record and record.is_final(now)]
    settled = {record.record_id for record in final}
    committed = [made for made in world.checkpoints.all[world.announced_checkpoints :] if made.committed(now)]
    happened = [(record.final_at or now, _delta_event(world, record)) for record in final]
    happened += [(made.commits_at, _checkpoint_event(world, made)) for made in committed]
    if settled:
        world.unannounced = [record_id for record_id in world.unannounced if record_id not in settled]
    # Checkpoints commit in the order they were made: the rule's delay is the same for all.
    world.announced_checkpoints += len(committed)
    for _, event in sorted(happened, key=lambda each: each[0]):
        publish(world, event)


def publish(world: World, event: PacSpaceEvent) -> None:
    """Write an event down and queue its delivery."""
    world.events.append(event)
    world.outbox.accept(event, world.clock.now())


def _event(world: World, kind: str, subject: str, data: dict[str, Any]) -> PacSpaceEvent:
    name = made_id(world.seed, kind, subject)[:20]
    return PacSpaceEvent(id=f"evt_{name}", type=kind, happened_at=answers.stamp(world.now()), data=data)


def customer_created(world: World, account: str) -> PacSpaceEvent:
    """Return the event of a customer's first delta."""
    return _event(world, "customer.created", account, {"customerId": account, "displayName": account})


def _checkpoint_event(world: World, made: StoredCheckpoint) -> PacSpaceEvent:
    return _event(world, "checkpoint.verified", made.checkpoint_id, answers.checkpoint(world, made))


def _delta_event(world: World, record: DeltaRecord) -> PacSpaceEvent:
    if world.status(record) is DeltaStatus.FAILED:
        return _event(world, "delta.failed", record.record_id, _failed(world, record))
    shapes = {"flat": _flat(world, record), "nested": _nested(world, record)}
    both = {**shapes["flat"], **shapes["nested"]}
    return _event(world, "delta.verified", record.record_id, shapes.get(world.rules.webhook_data, both))


def _failed(world: World, record: DeltaRecord) -> dict[str, Any]:
    return {
        "recordId": record.record_id,
        "customerId": record.account,
        "delta": world.number(record.delta),
        "error": record.failure,
        "failedAt": answers.stamp(record.failed_at) if record.failed_at else None,
    }


def _flat(world: World, record: DeltaRecord) -> dict[str, Any]:
    return {
        "recordId": record.record_id,
        "receiptId": record.receipt_id,
        "verificationReference": answers.reference_of(world, record),
        "customerId": record.account,
        "delta": world.number(record.delta),
        "sequenceNumber": str(record.sequence),
        "referenceId": record.draft.reference_id,
        "blockTimestamp": answers.stamp(record.verifies_at) if record.verifies_at else None,
    }


def _nested(world: World, record: DeltaRecord) -> dict[str, Any]:
    """Return the documented form, in which ``delta`` is an object; it is a number in the flat form."""
    verified_at = answers.stamp(record.verifies_at) if record.verifies_at else None
    return {
        "receiptId": record.receipt_id,
        "deltaIndex": None,
        "status": "verified",
        "verifiedAt": verified_at,
        "verificationId": answers.reference_of(world, record),
        "delta": {
            "customerId": record.account,
            "amount": world.number(record.delta),
            "reason": record.draft.reason,
            "referenceId": record.draft.reference_id,
            "metadata": record.draft.metadata,
            "submittedAt": answers.stamp(record.accepted_at),
        },
        "proof": {"proofHash": record.receipt_id, "contentHash": record.receipt_id, "itemHashes": [record.receipt_id]},
        "verification": {"verified": True, "latencyMs": 0, "discrepancies": []},
        "period": {"id": f"{world.placed_at(record):%Y-%m}", **answers.counted(1)},
        **answers.SIMULATED,
    }
