"""Evidence: the canonical JSON document that says what was compared, with what result, under which policy.

Canonical by RFC 8785 and hashed with SHA-256. Quantities are strings: JSON numbers are doubles there.
The core is the part that a new look at unchanged facts repeats word for word; a document is the core plus
its time, its place in the subscription's chain and the hash of the one before.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

import rfc8785

from pacspace_stripe.domain.invoices import Invoice
from pacspace_stripe.domain.ledger import Comparison, LedgerProtocol, Proof, Record
from pacspace_stripe.domain.memory import Waiver
from pacspace_stripe.domain.policy import Policy
from pacspace_stripe.domain.quantities import text
from pacspace_stripe.domain.verdicts import Finding, Verdict, WindowResult
from pacspace_stripe.domain.windows import iso

FORMAT = "pacspace-stripe/evidence/1"

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One stored document: its canonical bytes and their SHA-256 in hex."""

    sha256: str
    document: bytes


def canonical(document: Mapping[str, Json]) -> bytes:
    """RFC 8785 bytes."""
    return rfc8785.dumps(dict(document))


def digest(data: bytes) -> str:
    """SHA-256 in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def core(invoice: Invoice, finding: Finding, policy: Policy, waiver: Waiver | None) -> dict[str, Json]:
    """What was compared and found, without when and where in the chain."""
    waived = waiver if finding.verdict is Verdict.WAIVED else None
    return {
        "format": FORMAT,
        "invoice": invoice.invoice_id,
        "invoice_status": invoice.status.value,
        "customer": invoice.customer_id,
        "subscription": invoice.subscription_id,
        "livemode": invoice.livemode,
        **found(finding),
        "policy": _policy(policy),
        "waiver": _waiver(waived),
    }


def found(finding: Finding) -> dict[str, Json]:
    """The decision, and both sides' figures with their proofs, window by window."""
    return {
        "decision": {"verdict": finding.verdict.value, "reason": finding.reason.value},
        "windows": [_window(result) for result in finding.windows],
    }


def seal(
    core_document: Mapping[str, Json], *, chain: str, sequence: int, previous: str | None, decided_at: datetime
) -> Evidence:
    """The core as one link of a chain."""
    document = canonical(
        {
            **core_document,
            "chain": {"id": chain, "sequence": sequence, "previous_sha256": previous},
            "decided_at": iso(decided_at),
        }
    )
    return Evidence(sha256=digest(document), document=document)


def meaning(document: Mapping[str, Json]) -> bytes:
    """What a core or a document says, canonical: equal is no news.

    That is without its time, its place in the chain and, of an invoice that may go, its status: one that was found
    right and moved on is still right by the same evidence.
    """
    left_out = {"chain", "decided_at"}
    match document["decision"]:
        case {"verdict": Verdict.MATCHED.value | Verdict.WAIVED.value}:
            left_out.add("invoice_status")
        case _:
            pass
    return canonical({name: value for name, value in document.items() if name not in left_out})


def _window(result: WindowResult) -> dict[str, Json]:
    return {
        **shown(result),
        "line_items": list(result.line_ids),
        "from_meter": result.from_meter,
        "compare": _comparison(result.comparison),
        "proof": _proof(result.proof),
        # Only the settlement ledger has records: evidence from before there was one still says the same.
        **({"record": _record(result.record)} if result.record else {}),
    }


def shown(result: WindowResult) -> dict[str, Json]:
    """One window in the shape that every command prints: decimals as strings."""
    return {
        "account": result.account,
        "meter": result.meter,
        "start": iso(result.window.start) if result.window else None,
        "end": iso(result.window.end) if result.window else None,
        "billed": _number(result.billed),
        "recorded": _number(result.recorded),
        "count": result.count,
        "reason": result.reason.value,
    }


def _number(quantity: Decimal | None) -> str | None:
    return None if quantity is None else text(quantity)


def _comparison(comparison: Comparison | None) -> Json:
    if comparison is None:
        return None
    return {
        "your_balance": text(comparison.your_balance),
        "their_balance": text(comparison.their_balance),
        "neutral_balance": _number(comparison.neutral_balance),
        "matches_yours": comparison.matches_yours,
        "matches_theirs": comparison.matches_theirs,
    }


def _proof(proof: Proof | None) -> Json:
    if proof is None:
        return None
    return {
        "checkpoint_id": proof.checkpoint_id,
        "proof_root": proof.proof_root,
        "record_count": proof.count,
        "net_change": text(proof.net),
        "verify_url": proof.verify_url,
        "cross_checked": proof.cross_checked,
        "stale": proof.stale,
    }


def _record(record: Record) -> Json:
    return {"key": record.key, "bits": text(record.bits), "writes": record.writes, "verified": record.verified}


def _policy(policy: Policy) -> Json:
    settlement = policy.ledger is LedgerProtocol.SETTLEMENT
    return {
        **({"ledger": policy.ledger.value} if settlement else {}),
        "mode": policy.mode.value,
        "fail": policy.fail.value,
        "finalize": policy.finalize.value,
        "tolerance": text(policy.tolerance),
        "usage_sign": policy.usage_sign.value,
    }


def _waiver(waiver: Waiver | None) -> Json:
    if waiver is None:
        return None
    return {"reason": waiver.reason, "by": waiver.by, "at": iso(waiver.at), "figures": dict(waiver.figures)}
