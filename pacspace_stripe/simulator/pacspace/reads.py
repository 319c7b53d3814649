"""Small reads: one delta, customers, sequence gaps, usage, limits."""

from typing import Any

from pacspace_stripe.simulator.pacspace import answers
from pacspace_stripe.simulator.pacspace.inputs import PacSpaceRequest
from pacspace_stripe.simulator.pacspace.ledger import DeltaRecord, DeltaStatus, made_id
from pacspace_stripe.simulator.pacspace.refusals import PacSpaceRefusal
from pacspace_stripe.simulator.pacspace.scopes import month_of, resolved_window
from pacspace_stripe.simulator.pacspace.world import World

_ALLOTMENT = 2_000_000
"""Deltas a month in PacSpace's largest listed plan, reported where no limit is set."""


def delta_status(world: World, call: PacSpaceRequest) -> dict[str, Any]:
    """GET /api/v1/balance/delta/{recordId}."""
    record = world.ledger.get(call.values["recordId"])
    if record is None:
        message = "Record not found"
        raise PacSpaceRefusal(404, message, "RECORD_NOT_FOUND")
    return answers.delta_status(world, record)


def customers(world: World, call: PacSpaceRequest) -> dict[str, Any]:
    """GET /api/v1/balance/customers."""
    page, limit = call.whole("page", 1, 1, 10**9), call.whole("limit", 25, 1, 100)
    found = [account for account in world.ledger.accounts() if call.query.get("search", "") in account]
    shown = found[(page - 1) * limit : page * limit]
    rows = [_customer(world, account, world.ledger.records(account)) for account in shown]
    return {"customers": rows, "total": len(found), "pagination": answers.numbered(len(found), page, limit)}


def customer(world: World, call: PacSpaceRequest) -> dict[str, Any]:
    """GET /api/v1/balance/customers/{customerId}: all-time balance, recent activity in any status."""
    account = call.customer()
    page, limit = call.whole("deltaPage", 1, 1, 10**9), call.whole("deltaLimit", 20, 1, 100)
    world.require(account)
    records = world.ledger.records(account)
    listed = answers.newest_first(_in_period(world, records, call))
    return {
        **_customer(world, account, records),
        "recentActivity": {
            "items": [answers.activity_row(world, record) for record in listed[(page - 1) * limit : page * limit]],
            "pagination": answers.numbered(len(listed), page, limit),
        },
    }


def customers_summary(world: World, _call: PacSpaceRequest) -> dict[str, Any]:
    """GET /api/v1/balance/customers/summary. Its fields are not published: these are the simulator's."""
    records, now = world.ledger.records(None), world.now()
    counts = {status: sum(each.status(now) is status for each in records) for status in DeltaStatus}
    return {
        "totalCustomers": len(world.ledger.accounts()),
        "totalDeltas": len(records),
        "totalBalance": world.balance(world.verified(None)),
        "verificationHealth": {status.lower(): count for status, count in counts.items()},
    }


def _in_period(world: World, records: list[DeltaRecord], call: PacSpaceRequest) -> list[DeltaRecord]:
    if "period" not in call.query:
        return records
    window = resolved_window({"period": call.query["period"]}, world.now(), world.rules.max_scope_months)
    return [record for record in records if window.covers(record.accepted_at)]


def _customer(world: World, account: str, records: list[DeltaRecord]) -> dict[str, Any]:
    made = [each for each in world.checkpoints.of(account) if each.committed(world.now())]
    digest = made_id(world.seed, "customer", account)
    return {
        "customerId": account,
        "customerReference": f"0x{digest[:40]}",
        "customerPartition": str(int(digest[40:50], 16)),
        "totalDeltas": len(records),
        "computedBalance": world.balance(world.verified(account)),
        "latestCheckpoint": made[-1].checkpoint_id if made else None,
        "lastActivityAt": answers.stamp(records[-1].accepted_at),
    }


def gaps(world: World, call: PacSpaceRequest) -> dict[str, Any]:
    """GET /api/v1/balance/gaps/{customerId}. No answer was ever published: this shape is the simulator's."""
    account = call.customer()
    world.require(account)
    last = world.ledger.last_sequence(account)
    first = call.whole("fromSequence", 1, 1, 10**18)
    last = call.whole("toSequence", last, 0, 10**18) if "toSequence" in call.query else last
    found = world.ledger.gaps(account, first, last)
    return {
        "customerId": account,
        "fromSequence": str(first),
        "toSequence": str(last),
        "hasGaps": bool(found),
        "totalGaps": len(found),
        "missingCount": sum(map(len, found)),
        "gaps": [
            {"fromSequence": str(run.start), "toSequence": str(run.stop - 1), "missingCount": len(run)}
            for run in found[: call.whole("limit", 100, 1, 1000)]
        ],
    }


def usage(world: World, _call: PacSpaceRequest) -> dict[str, Any]:
    """GET /api/v1/balance/usage."""
    allotment = world.rules.plan_limit if world.rules.plan_limit is not None else _ALLOTMENT
    used = consumed(world)
    return {
        "remaining": max(0, allotment - used),
        "allowed": used < allotment,
        "consumed": used,
        "limit": allotment,
        "period": month_of(world.now()).period,
    }


def consumed(world: World) -> int:
    """Return the billable deltas of this UTC month: accepted and not failed."""
    month, now = month_of(world.now()), world.now()
    records = world.ledger.records(None)
    return sum(month.covers(each.accepted_at) and each.status(now) is not DeltaStatus.FAILED for each in records)


def limits(world: World, _call: PacSpaceRequest) -> dict[str, Any]:
    """GET /api/v1/balance/limits."""
    months = world.rules.max_scope_months
    return {"maxScopeMonths": months, "maxLastNDays": months * 31, "maxRetentionDays": months * 31}
