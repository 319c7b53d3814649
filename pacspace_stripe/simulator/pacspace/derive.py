"""Derive and compare: the sum of the neutral record in one scope."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pacspace_stripe.simulator.pacspace import answers
from pacspace_stripe.simulator.pacspace.amounts import negated, total
from pacspace_stripe.simulator.pacspace.inputs import PacSpaceRequest, read_balance, read_customer_id, read_number
from pacspace_stripe.simulator.pacspace.ledger import DeltaRecord
from pacspace_stripe.simulator.pacspace.refusals import PacSpaceRefusal, invalid
from pacspace_stripe.simulator.pacspace.scopes import ScopeWindow, asked_window, month_of
from pacspace_stripe.simulator.pacspace.world import World

_CHECKPOINT_TYPES = {None, "proofRoot", "itemsRoot", "recordId", "anchorId"}
_GRANULARITIES = {"day", "week", "month"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedBalance:
    """A starting balance and the verified records that are added to it."""

    start: Decimal
    records: Sequence[DeltaRecord]
    window: ScopeWindow | None
    """None when resuming from a checkpoint: everything since."""


def derive(world: World, call: PacSpaceRequest) -> dict[str, Any]:
    """GET /api/v1/balance/derive/{customerId}."""
    limit, offset = call.whole("limit", 100, 1, 1000), call.whole("offset", 0, 0, 10**9)
    start = read_number(call.query.get("startingBalance", "0"), "startingBalance")
    derived = _derived(world, call.customer(), call.query, start)
    records = derived.records
    return {
        "customerId": call.customer(),
        "computedBalance": world.balance(records, derived.start),
        "startingBalance": world.number(derived.start),
        "netChange": world.balance(records),
        **answers.counted(len(records)),
        **(answers.spanned(derived.window) if derived.window else {}),
        "latestReceiptId": records[-1].receipt_id if records else None,
        "deltas": [answers.delta_row(world, record) for record in records[offset : offset + limit]],
        **answers.paged(len(records), limit, offset),
        **_breakdown(world, records, call.query),
    }


def compare(world: World, call: PacSpaceRequest) -> dict[str, Any]:
    """POST /api/v1/balance/compare; without a customer, over all of them, as the Quick Start does."""
    body = call.body
    account = None if body.get("customerId") is None else read_customer_id(body["customerId"])
    yours, theirs = read_balance(body, "yourBalance"), read_balance(body, "theirBalance")
    derived = _derived(world, account, body, read_balance(body, "startingBalance"))
    neutral = world.balance(derived.records, derived.start)
    return {
        "customerId": account,
        "neutralBalance": neutral,
        "yourBalance": yours,
        "theirBalance": theirs,
        "startingBalance": world.number(derived.start),
        "matchesYours": neutral == world.number(yours),
        "matchesTheirs": neutral == world.number(theirs),
        **answers.counted(len(derived.records)),
        **(answers.spanned(derived.window) if derived.window else {}),
        "simulatorDiscrepancy": {"yours": _less(yours, neutral), "theirs": _less(theirs, neutral)},
    }


def _less(amount: Decimal, neutral: Decimal | float) -> Decimal:
    return total([amount, negated(Decimal(neutral))])


def _breakdown(world: World, records: Sequence[DeltaRecord], query: Mapping[str, Any]) -> dict[str, Any]:
    granularity = query.get("granularity")
    if granularity is None:
        return {}
    if granularity not in _GRANULARITIES:
        message = "granularity must be one of: day, week, month"
        raise invalid(message)
    return {"windowSummaries": answers.summaries(world, records, granularity)}


def _derived(world: World, account: str | None, asked: Mapping[str, Any], start: Decimal) -> DerivedBalance:
    window = asked_window(asked, world.now(), world.rules.max_scope_months)
    if account is not None and world.rules.unknown_customer == "not_found":
        world.require(account)
    named = asked.get("startingCheckpoint")
    if named is not None:
        return _resumed(world, account, str(named), asked.get("startingCheckpointType"), start)
    window = window or month_of(world.now())
    return DerivedBalance(start=start, records=world.verified(account, window), window=window)


def _resumed(world: World, account: str | None, named: str, kind: Any, start: Decimal) -> DerivedBalance:
    """Carry the balance up to the checkpoint or record, and replay the records that it does not cover."""
    if kind not in _CHECKPOINT_TYPES:
        message = "startingCheckpointType must be one of: proofRoot, recordId"
        raise invalid(message)
    carried = _carried_by_record(world, account, named) if kind in {"recordId", "anchorId"} else None
    if carried is None:
        carried = _carried_by_checkpoint(world, account, named)
    if carried is None and kind is None:
        carried = _carried_by_record(world, account, named)
    if carried is None:
        message = "Starting checkpoint not found"
        raise PacSpaceRefusal(404, message, "CHECKPOINT_NOT_FOUND")
    records = world.verified(account)
    return DerivedBalance(
        start=total((record.delta for record in records if record.record_id in carried), start=start),
        records=[record for record in records if record.record_id not in carried],
        window=None,
    )


def _carried_by_checkpoint(world: World, account: str | None, named: str) -> set[str] | None:
    made = world.checkpoints.named(named)
    if made is None or made.scope.account not in {None, account}:
        return None
    earlier = (each for each in world.verified(account) if world.placed_at(each) < made.scope.window.start)
    return {*made.record_ids, *(record.record_id for record in earlier)}


def _carried_by_record(world: World, account: str | None, named: str) -> set[str] | None:
    last = world.ledger.get(named)
    if last is None or account not in {None, last.account}:
        return None
    return {record.record_id for record in world.ledger.records(account) if record.order <= last.order}
