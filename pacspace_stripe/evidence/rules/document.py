"""Evidence: the canonical JSON document that says what was compared, with what result, under which policy.

Canonical by RFC 8785 and hashed with SHA-256. Quantities are strings: JSON numbers are doubles there.
The core is the part that a new look at unchanged facts repeats word for word; a document is the core plus
its time, its place in the subscription's chain and the hash of the one before.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from pacspace_stripe.comparison.rules.verdicts import BilledAs, BilledLine, Finding, LineKind, Verdict, WindowResult
from pacspace_stripe.gate.rules.state import Waiver
from pacspace_stripe.usage.rules import BilledUsage
from pacspace_stripe.vocabulary.canonical_json import Json, canonical, digest
from pacspace_stripe.vocabulary.invoices import Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.ledger import Comparison, LedgerProtocol, Proof, Record, SelectedScope, UsageSign
from pacspace_stripe.vocabulary.policy import BY_ACCOUNT, Attribution, Policy
from pacspace_stripe.vocabulary.quantities import text
from pacspace_stripe.vocabulary.windows import Window, iso

FORMAT = "pacspace-stripe/evidence/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One stored document: its canonical bytes and their SHA-256 in hex."""

    sha256: str
    document: bytes


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
        "confirms": None,
    }


def confirmation(
    decided: Evidence, final: Invoice, billed: Iterable[BilledUsage | WindowResult]
) -> dict[str, Json] | None:
    """The core that says: finalized, and its final lines bill what that decision names. None: it was about them itself.

    Nor is one confirmed that an earlier version wrote, whose lines named no quantities.
    ``billed``: the final lines, whose figures the caller found to be those of the decision.
    """
    document: dict[str, Any] = json.loads(decided.document)
    if document["invoice_status"] != InvoiceStatus.DRAFT.value:
        return None
    if "confirms" not in document or any("lines" not in window for window in document["windows"]):
        return None
    lines = {(usage.meter, *_bounds(usage.window), usage.subscription_id): _lines(usage.lines) for usage in billed}
    windows = [
        {**window, "lines": lines.get(tuple(window.get(name) for name in _NAMES), []), "from_meter": False}
        for window in document["windows"]
    ]
    kept = {name: value for name, value in document.items() if name not in ("chain", "decided_at")}
    return {**kept, "invoice_status": final.status.value, "windows": windows, "confirms": decided.sha256}


_NAMES = ("meter", "start", "end", "subscription")
"""Return the key that tells the windows of one invoice apart."""


def decision_of(links: Iterable[Evidence]) -> Evidence | None:
    """Of an invoice's links, in order: the newest that decides, which is what a stamp names."""
    decisions = [link for link in links if json.loads(link.document).get("confirms") is None]
    return decisions[-1] if decisions else None


def confirmation_of(links: Iterable[Evidence], sha256: str) -> Evidence | None:
    """Of an invoice's links: the one that confirms this decision after finalization."""
    return next((link for link in links if json.loads(link.document).get("confirms") == sha256), None)


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
        "lines": _lines(result.lines),
        "from_meter": result.from_meter,
        "compare": _comparison(result.comparison),
        "proof": _proof(result.proof),
        # Only the settlement ledger has records: evidence from before there was one still says the same.
        **({"record": _record(result.record)} if result.record else {}),
        **_billing(result),
        **({"subscription": result.subscription_id} if result.subscription_id else {}),
        # Only where not all of the ledger's window is usage as it stands: again, older evidence says the same.
        **({"selection": _selection(result.selected)} if result.selected else {}),
    }


def _billing(result: WindowResult) -> dict[str, Json]:
    """How the lines say what is billed, where they are not simply added up: named only then, as ever before."""
    said: dict[str, Json] = {}
    if result.billed_as is not BilledAs.SUM:
        said["billed_as"] = result.billed_as.value
    if result.meter_totals is not None:
        said["meter_says"] = {"inner": text(result.meter_totals.inner), "outer": text(result.meter_totals.outer)}
    if result.billed_earlier:
        said["already"] = [
            {"invoice": each.invoice_id, "quantity": text(each.quantity)} for each in result.billed_earlier
        ]
    return said


def shown(result: WindowResult) -> dict[str, Json]:
    """One window in the shape that every command prints: decimals as strings."""
    start, end = _bounds(result.window)
    return {
        "account": result.account,
        "meter": result.meter,
        "start": start,
        "end": end,
        "billed": _number(result.billed),
        "recorded": _number(result.recorded),
        "count": result.count,
        "reason": result.reason.value,
    }


def _bounds(window: Window | None) -> tuple[str | None, str | None]:
    return (iso(window.start), iso(window.end)) if window else (None, None)


def _lines(lines: Iterable[BilledLine]) -> list[Json]:
    return [_line(line) for line in lines]


def _line(line: BilledLine) -> dict[str, Json]:
    said: dict[str, Json] = {"id": line.line_id, "quantity": _number(line.quantity)}
    if line.kind is not LineKind.USAGE:
        said["kind"] = line.kind.value
    if line.price is not None:
        said["price"] = line.price
    return said


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


def _selection(selected: SelectedScope) -> Json:
    start, end = _bounds(selected.scope)
    own = selected.by_usage_time
    return {
        "start": start,
        "end": end,
        # Named only where a record's own time placed it: older evidence says the same without it.
        **({"placed_by": {"accepted": selected.counted - own, "usage_time": own}} if own else {}),
        "record_count": selected.count,
        "net_change": text(selected.net),
        "left_out": [
            {"by": each.by.value, "name": each.name, "record_count": each.count, "net_change": text(each.net)}
            for each in selected.left_out
        ],
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
        **({} if settlement else _choices(policy)),
    }


def _choices(policy: Policy) -> dict[str, Json]:
    """What was decided about which records count, if anything was."""
    chosen: dict[str, Json] = {
        "meter_from": policy.meter_from if policy.meter_from != BY_ACCOUNT else "",
        "exclude_reasons": [*sorted(policy.exclude_reasons)],
        "attribution": policy.attribution.value if policy.attribution is not Attribution.ACCEPTED else "",
        "units": {meter: text(unit) for meter, unit in sorted(policy.units.items())},
        "readings": [*sorted(policy.readings)],
        "totals": [*sorted(policy.totals)],
        "usage_items": [*policy.usage_items.described],
    }
    return {name: value for name, value in chosen.items() if value}


def choices(policy: Mapping[str, Any]) -> Policy:
    """What a document's policy decided about which records count."""
    return Policy(
        usage_sign=UsageSign(policy["usage_sign"]),
        meter_from=policy.get("meter_from", BY_ACCOUNT),
        exclude_reasons=frozenset(policy.get("exclude_reasons", ())),
        attribution=Attribution(policy.get("attribution", Attribution.ACCEPTED)),
        units={meter: Decimal(unit) for meter, unit in policy.get("units", {}).items()},
        readings=frozenset(policy.get("readings", ())),
        totals=frozenset(policy.get("totals", ())),
    )


def _waiver(waiver: Waiver | None) -> Json:
    if waiver is None:
        return None
    return {"reason": waiver.reason, "by": waiver.by, "at": iso(waiver.at), "figures": dict(waiver.figures)}
