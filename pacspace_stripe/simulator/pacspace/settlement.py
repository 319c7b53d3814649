"""The older settlement API (contract 7): writes that add up in records, in its own envelope."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx

from pacspace_stripe.simulator.pacspace import answers
from pacspace_stripe.simulator.pacspace.amounts import total
from pacspace_stripe.simulator.pacspace.inputs import MAX_BATCH, Call
from pacspace_stripe.simulator.pacspace.ledger import made_id
from pacspace_stripe.simulator.pacspace.refusals import invalid
from pacspace_stripe.simulator.pacspace.world import World
from pacspace_stripe.simulator.wire import Route, json_response


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One item of a batch. ``verifies_at``: None while nothing is planned."""

    account: str
    bits: Decimal
    metadata: Mapping[str, Any]
    at: datetime
    verifies_at: datetime | None


def write(world: World, call: Call) -> httpx.Response:
    """POST /api/v1/writes: all items or none."""
    items = call.body.get("items")
    if not isinstance(items, list) or not 0 < len(items) <= MAX_BATCH:
        message = f"items must be an array of 1 to {MAX_BATCH} writes"
        raise invalid(message)
    now = world.now()
    writes = [_read(item, now, now + world.rules.verify_delay) for item in items]
    for key, made in writes:
        world.records.setdefault(key, []).append(made)
    number = sum(map(len, world.records.values()))
    data = {
        "requestId": f"req_{made_id(world.seed, 'request', number)[:12]}",
        "batchId": f"batch_{made_id(world.seed, 'batch', number)[:12]}",
        "itemCount": len(writes),
        "status": "queued",
        "message": "Writes accepted",
    }
    return json_response(202, {"statusCode": 202, "data": data})


def _read(item: Any, now: datetime, verifies_at: datetime) -> tuple[str, Write]:
    if not isinstance(item, Mapping):
        message = "each item must be an object"
        raise invalid(message)
    key, account, bits = item.get("key"), item.get("accountId"), item.get("bits")
    if not isinstance(key, str) or not key or not isinstance(account, str) or not account:
        message = "each item needs a key and an accountId"
        raise invalid(message)
    if isinstance(bits, bool) or not isinstance(bits, int):
        message = "bits must be an integer"
        raise invalid(message)
    metadata = item.get("metadata")
    kept = metadata if isinstance(metadata, Mapping) else {}
    return key, Write(account=account, bits=Decimal(bits), metadata=kept, at=now, verifies_at=verifies_at)


def read(world: World, call: Call) -> httpx.Response:
    """GET /api/v1/reads/bucket/{key}: the sum of all its writes, and the last one's metadata."""
    key, now = call.values["key"], world.now()
    writes = world.records.get(key, [])
    if not writes:
        message = f"No record found for key: {key}"
        return json_response(404, {"statusCode": 404, "error": "Not Found", "message": message})
    data = {
        "key": key,
        "accountId": writes[-1].account,
        "currentBits": total(each.bits for each in writes),
        "totalWrites": len(writes),
        "lastWriteAt": answers.stamp(writes[-1].at),
        "verified": all(each.verifies_at is not None and each.verifies_at <= now for each in writes),
        "metadata": writes[-1].metadata,
    }
    return json_response(200, {"statusCode": 200, "data": data})


SETTLEMENT_ROUTES = (
    Route("POST", "/api/v1/writes", write),
    Route("GET", "/api/v1/reads/bucket/{key}", read),
)
