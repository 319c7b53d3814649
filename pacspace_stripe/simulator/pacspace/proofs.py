"""Endpoints that show a root: checkpoints, receipts and the public verify answer."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import httpx

from pacspace_stripe.simulator.http import json_response
from pacspace_stripe.simulator.pacspace import answers
from pacspace_stripe.simulator.pacspace.amounts import plain_digits
from pacspace_stripe.simulator.pacspace.checkpoints import Scope, StoredCheckpoint
from pacspace_stripe.simulator.pacspace.inputs import PacSpaceRequest, read_customer_id
from pacspace_stripe.simulator.pacspace.ledger import DeltaRecord, DeltaStatus, made_id
from pacspace_stripe.simulator.pacspace.refusals import PacSpaceRefusal, invalid
from pacspace_stripe.simulator.pacspace.scopes import ScopeWindow, asked_window, resolved_window
from pacspace_stripe.simulator.pacspace.world import World

_SOURCES = {"db", "chain", "both"}


def _window(world: World, asked: Mapping[str, Any]) -> ScopeWindow:
    return resolved_window(asked, world.now(), world.rules.max_scope_months)


def checkpoint(world: World, call: PacSpaceRequest) -> dict[str, Any]:
    """POST /api/v1/balance/checkpoint."""
    body = call.body
    account = None if body.get("customerId") is None else read_customer_id(body["customerId"])
    window = _window(world, body)
    if account is not None:
        world.require(account)
    if window.period and window.start > world.now():
        message = "period must not be in the future"
        raise invalid(message)
    scope = Scope(account=account, window=window, fingerprints=_fingerprints(body))
    return answers.checkpoint(world, world.checkpoint(scope))


def _fingerprints(body: Mapping[str, Any]) -> tuple[str, ...]:
    fingerprints = body.get("fingerprints", [])
    if not isinstance(fingerprints, list) or not all(isinstance(each, str) for each in fingerprints):
        message = "fingerprints must be an array of strings"
        raise invalid(message)
    return tuple(sorted(set(fingerprints)))


def checkpoints(world: World, call: PacSpaceRequest) -> dict[str, Any]:
    """GET /api/v1/balance/checkpoints: newest first, those whose window lies within the one asked."""
    limit, offset = call.whole("limit", 25, 1, 100), call.whole("offset", 0, 0, 10**9)
    window = asked_window(call.query, world.now(), world.rules.max_scope_months)
    account = call.query.get("customerId")
    listed = world.checkpoints.all if account is None else world.checkpoints.of(account)
    found = [made for made in reversed(listed) if window is None or made.scope.window.within(window)]
    rows = [answers.checkpoint(world, made) for made in found[offset : offset + limit]]
    return {"checkpoints": rows, **answers.paged(len(found), limit, offset)}


def receipt(world: World, call: PacSpaceRequest) -> dict[str, Any]:
    """GET /api/v1/balance/receipt/{customerId}: the verified records, and the root if the scope has one."""
    account = call.customer()
    world.require(account)
    window = _window(world, call.query)
    records = world.verified(account, window)
    made = world.checkpoints.latest(Scope(account=account, window=window))
    made = made if made and made.committed(world.now()) else None
    return {
        "customerId": account,
        **answers.spanned(window),
        "generatedAt": answers.stamp(world.now()),
        **answers.counted(len(records)),
        "startingBalance": 0,
        "finalBalance": world.balance(records),
        "receiptId": made.proof_root if made else None,
        "proofRoot": made.proof_root if made else None,
        "latestCheckpoint": made.checkpoint_id if made else None,
        "deltas": [answers.delta_row(world, record) for record in records],
        "windowSummaries": answers.summaries(world, records, "month"),
        "verification": _links(world, made.proof_root) if made else {},
        **(_links(world, made.proof_root) if made else {}),
        **answers.SIMULATED,
    }


def invoice_proof(world: World, call: PacSpaceRequest) -> dict[str, Any]:
    """GET /api/v1/balance/invoice-proof/{customerId}: where the proof of a scope is shown."""
    account = call.customer()
    world.require(account)
    window = _window(world, call.query)
    made = world.checkpoints.latest(Scope(account=account, window=window))
    if made is None:
        message = "No checkpoint for this scope"
        raise PacSpaceRefusal(404, message, "CHECKPOINT_NOT_FOUND", customer_id=account)
    answer = {"customerId": account, **answers.checkpoint(world, made)}
    if "proofRoot" not in answer:
        return {**answer, "proofRoot": None}
    return {**answer, **_links(world, made.proof_root), **_shared_record(world, account)}


def _links(world: World, proof_root: str) -> dict[str, str]:
    return {
        "verifyUrl": f"{world.base_url}/verify/{proof_root}",
        "verificationApiUrl": f"{world.base_url}/api/v1/verify/{proof_root}",
    }


def _shared_record(world: World, account: str) -> dict[str, str]:
    """Return the permanent customer link, which is the verify link too then."""
    if not world.rules.shared_record:
        return {}
    digest = made_id(world.seed, "handle", account)
    link = f"{world.base_url}/c/cus_{digest[:12]}"
    return {
        "verifyUrl": link,
        "customerLinkUrl": link,
        "customerLinkHost": httpx.URL(world.base_url).netloc.decode(),
        "accessHint": digest[12:18].upper(),
    }


def verify(world: World, call: PacSpaceRequest) -> httpx.Response:
    """GET /api/v1/verify/{proofRoot}: public; the root is the key."""
    root, source = call.values["proofRoot"], call.query.get("source", "db")
    if source not in _SOURCES:
        message = "source must be one of: db, chain, both"
        raise invalid(message)
    answer = {**_verified(world, root), "source": source}
    if not world.rules.verify_summary:
        return json_response(200, {name: answer[name] for name in ("verified", "proofRoot", "message", "simulator")})
    return json_response(200, {"success": True, "data": answer})


def _verified(world: World, root: str) -> dict[str, Any]:
    made = world.checkpoints.by_root(root)
    if made is not None:
        return _verified_checkpoint(world, made)
    record = world.ledger.by_receipt(root.lower())
    if record is not None:
        return _verified_record(world, record)
    message = "Simulator: no record of this proof root"
    if world.rules.unknown_root == "not_found":
        raise PacSpaceRefusal(404, message, "PROOF_NOT_FOUND")
    return {"verified": False, "proofRoot": root, "message": message, **answers.SIMULATED}


def _verified_checkpoint(world: World, made: StoredCheckpoint) -> dict[str, Any]:
    if not made.committed(world.now()):
        message = "Simulator: this root is not committed yet"
        return {"verified": False, "proofRoot": made.proof_root, "message": message, **answers.SIMULATED}
    records = [record for record in map(world.ledger.get, made.record_ids) if record]
    ending = world.balance(records, made.starting_balance)
    return {
        **_proven(world, made.proof_root, made.reference),
        "recordedAt": answers.stamp(made.commits_at),
        "summary": {
            "recordCount": made.count,
            "netChange": world.balance(records),
            "startingBalance": world.number(made.starting_balance),
            "endingBalance": ending,
            "firstRecordAt": answers.stamp(made.first_at),
            "lastRecordAt": answers.stamp(made.last_at),
        },
        "records": [_shown(world, record) for record in records] if world.rules.verify_records else [],
    }


def _verified_record(world: World, record: DeltaRecord) -> dict[str, Any]:
    if world.status(record) is not DeltaStatus.VERIFIED or record.verifies_at is None:
        message = "Simulator: this delta is not verified"
        return {"verified": False, "proofRoot": record.receipt_id, "message": message, **answers.SIMULATED}
    amount, at = world.number(record.delta), answers.stamp(record.accepted_at)
    return {
        **_proven(world, record.receipt_id, answers.reference_of(world, record)),
        "recordedAt": answers.stamp(record.verifies_at),
        "summary": {"recordCount": 1, "netChange": amount, "firstRecordAt": at, "lastRecordAt": at},
        "records": [_shown(world, record)] if world.rules.verify_records else [],
    }


def _proven(world: World, root: str, reference: str) -> dict[str, Any]:
    explorer = _links(world, root)["verifyUrl"]
    return {
        "verified": True,
        "proofRoot": root,
        "message": "Simulator: a root of the simulator's own, not of PacSpace",
        "verification": {
            "reference": reference,
            "verificationReference": reference,
            "publicLedgerUrl": explorer,
            "verificationExplorerUrl": explorer,
        },
        **answers.SIMULATED,
    }


def _shown(world: World, record: DeltaRecord) -> dict[str, Any]:
    return {
        "amount": world.number(record.delta),
        "reason": record.draft.reason,
        "referenceId": record.draft.reference_id,
        "status": "verified",
        "time": answers.stamp(record.accepted_at),
    }


def page(world: World, call: PacSpaceRequest) -> httpx.Response:
    """GET /verify/{proofRoot}: what a person sees."""
    answer = _verified(world, call.values["proofRoot"])
    shown = {"proof root": answer["proofRoot"], "verified": "yes" if answer["verified"] else "no"}
    if "summary" in answer:
        net = plain_digits(Decimal(answer["summary"]["netChange"]))
        shown |= {"records": answer["summary"]["recordCount"], "net change": net}
    lines = [answer["message"], *(f"{name}: {value}" for name, value in shown.items()), ""]
    return httpx.Response(200, text="\n".join(lines))


def shared_record(_world: World, call: PacSpaceRequest) -> httpx.Response:
    """GET /c/{handle}: the permanent customer link."""
    return httpx.Response(200, text=f"Simulator: shared record {call.values['handle']}\n")
