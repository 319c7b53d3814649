"""The older settlement API (CONTRACT 7): writes that add up under a key, and facts named by their content."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx

from pacspace_stripe.simulator.http import exact_json, json_response
from pacspace_stripe.simulator.pacspace import answers
from pacspace_stripe.simulator.pacspace.amounts import total
from pacspace_stripe.simulator.pacspace.buckets import BucketWrite, PostedFact
from pacspace_stripe.simulator.pacspace.inputs import PacSpaceRequest
from pacspace_stripe.simulator.pacspace.refusals import PacSpaceRefusal
from pacspace_stripe.simulator.pacspace.world import World

_MOST_ITEMS = 1000
_LARGEST_BITS = 2**53


def write(world: World, call: PacSpaceRequest) -> httpx.Response:
    """POST /api/v1/writes: all items or none."""
    items = call.body.get("items")
    if not isinstance(items, list) or not 1 <= len(items) <= _MOST_ITEMS:
        message = f"items must be an array of 1 to {_MOST_ITEMS} items"
        raise _flat(400, message)
    state, now = world.settlement, world.now()
    for written in [_written(item, now, now + world.rules.verify_delay) for item in items]:
        state.add(written)
    state.batches += 1
    names = {"requestId": f"req_{state.batches:06d}", "batchId": f"batch_{state.batches:06d}"}
    data = {**names, "itemCount": len(items), "status": "queued", "message": "Writes queued for processing"}
    return _answer(202, data)


def _written(item: Any, now: datetime, verifies_at: datetime) -> BucketWrite:
    sent = item if isinstance(item, Mapping) else {}
    for name in ("key", "accountId"):
        if not isinstance(sent.get(name), str) or not sent[name]:
            message = f"{name} must be a non-empty string"
            raise _flat(400, message)
    bits, metadata = sent.get("bits"), sent.get("metadata") or {}
    if isinstance(bits, bool) or not isinstance(bits, int) or abs(bits) > _LARGEST_BITS:
        message = "bits must be an integer"
        raise _flat(400, message)
    if not isinstance(metadata, dict):
        message = "metadata must be an object"
        raise _flat(400, message)
    return BucketWrite(
        key=sent["key"],
        account=sent["accountId"],
        bits=Decimal(bits),
        metadata=metadata,
        accepted_at=now,
        verifies_at=verifies_at,
    )


def bucket(world: World, call: PacSpaceRequest) -> httpx.Response:
    """GET /api/v1/reads/bucket/{key}: the sum of all writes, verified when each of them is."""
    key = call.values["key"]
    writes = world.settlement.writes.get(key)
    if not writes:
        message = f"No record found for key: {key}"
        raise _flat(404, message)
    last, now = max(reversed(writes), key=lambda each: each.accepted_at), world.now()
    data = {
        "key": key,
        "accountId": last.account,
        "currentBits": total(each.bits for each in writes),
        "totalWrites": len(writes),
        "lastWriteAt": answers.stamp(last.accepted_at),
        "verified": all(each.verifies_at is not None and each.verifies_at <= now for each in writes),
        "metadata": last.metadata,
    }
    return _answer(200, data)


def post_fact(world: World, call: PacSpaceRequest) -> httpx.Response:
    """POST /api/v1/facts: the same content is the same fact."""
    if "content" not in call.body:
        message = "content is required"
        raise _flat(400, message)
    content = call.body["content"]
    name = f"sha256_{hashlib.sha256(exact_json(content)).hexdigest()}"
    now = world.now()
    fact = PostedFact(
        content_hash=name,
        content=content,
        metadata=call.body.get("metadata") or {},
        created_at=now,
        verifies_at=now + world.rules.verify_delay,
    )
    fact = world.settlement.facts.setdefault(name, fact)
    data = {"contentHash": name, "status": "queued", "message": "Fact queued for verification"}
    return _answer(202, {**data, "createdAt": answers.stamp(fact.created_at)})


def fact(world: World, call: PacSpaceRequest) -> httpx.Response:
    """GET /api/v1/facts/{hash}."""
    found = _existing(world, call)
    return _answer(200, {**_state(world, found), "content": found.content, "metadata": found.metadata})


def verify_fact(world: World, call: PacSpaceRequest) -> httpx.Response:
    """GET /api/v1/facts/{hash}/verify."""
    return _answer(200, _state(world, _existing(world, call)))


def _existing(world: World, call: PacSpaceRequest) -> PostedFact:
    found = world.settlement.facts.get(call.values["hash"])
    if found is None:
        message = f"No fact found for hash: {call.values['hash']}"
        raise _flat(404, message)
    return found


def _state(world: World, found: PostedFact) -> dict[str, Any]:
    verified = found.verifies_at <= world.now()
    return {
        "contentHash": found.content_hash,
        "verified": verified,
        "verifiedAt": answers.stamp(found.verifies_at) if verified else None,
        "createdAt": answers.stamp(found.created_at),
    }


def _answer(status: int, data: dict[str, Any]) -> httpx.Response:
    return json_response(status, {"statusCode": status, "data": data})


def _flat(status: int, message: str) -> PacSpaceRefusal:
    return PacSpaceRefusal(status, message, flat=True)
