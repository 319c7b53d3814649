"""Evidence: the canonical JSON document that says what was compared, with what result, under which policy.

Its *core* is the part that a check of unchanged facts repeats byte for byte. A *document* is the core plus its
time, its place in the subscription's chain, and the hash of the document before it. Quantities are strings: a JSON
number is a double to many readers.

A key that was added later appears only where it says something: so what had no such thing has the same core, and the
same hash, as in earlier versions.
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
from pacspace_stripe.vocabulary.ledger import LedgerProtocol, SelectedScope, UsageSign
from pacspace_stripe.vocabulary.policy import BY_ACCOUNT, Attribution, Policy
from pacspace_stripe.vocabulary.quantities import text
from pacspace_stripe.vocabulary.windows import Window, iso

FORMAT = "pacspace-stripe/evidence/1"
_WINDOW_KEY = ("meter", "start", "end", "subscription")
"""Keys that distinguish the windows of one invoice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One stored document: its canonical bytes and their SHA-256 in hex."""

    sha256: str
    document: bytes


def core(invoice: Invoice, finding: Finding, policy: Policy, waiver: Waiver | None) -> dict[str, Json]:
    """Return what was compared and found, without its time and place in the chain."""
    waived = waiver if finding.verdict is Verdict.WAIVED else None
    return {
        "format": FORMAT,
        "invoice": invoice.invoice_id,
        "invoice_status": invoice.status.value,
        "customer": invoice.customer_id,
        "subscription": invoice.subscription_id,
        "livemode": invoice.livemode,
        **decision_and_windows(finding),
        "policy": _policy(policy),
        "waiver": (
            {"reason": waived.reason, "by": waived.by, "at": iso(waived.at), "figures": dict(waived.figures)}
            if waived
            else None
        ),
        "confirms": None,
    }


def confirmation(
    decided: Evidence, final: Invoice, billed: Iterable[BilledUsage | WindowResult]
) -> dict[str, Json] | None:
    """Return the core that confirms a decision: the final lines of the invoice bill what it says of the draft.

    None if the decision is about the final lines itself, or if an earlier version wrote it, whose lines named no
    quantities. ``billed`` are the final lines, whose figures the caller found to be those of the decision.
    """
    document: dict[str, Any] = json.loads(decided.document)
    if document["invoice_status"] != InvoiceStatus.DRAFT.value:
        return None
    if "confirms" not in document or any("lines" not in window for window in document["windows"]):
        return None
    lines = {(usage.meter, *_bounds(usage.window), usage.subscription_id): _lines(usage.lines) for usage in billed}
    windows = [
        {**window, "lines": lines.get(tuple(window.get(key) for key in _WINDOW_KEY), []), "from_meter": False}
        for window in document["windows"]
    ]
    kept = {name: value for name, value in document.items() if name not in ("chain", "decided_at")}
    return {**kept, "invoice_status": final.status.value, "windows": windows, "confirms": decided.sha256}


def decision_of(links: Iterable[Evidence]) -> Evidence | None:
    """Return the newest of an invoice's links, in order, that decides: it is the one that a stamp names."""
    decisions = [link for link in links if json.loads(link.document).get("confirms") is None]
    return decisions[-1] if decisions else None


def confirmation_of(links: Iterable[Evidence], sha256: str) -> Evidence | None:
    """Return the one of an invoice's links that confirms this decision after finalization."""
    return next((link for link in links if json.loads(link.document).get("confirms") == sha256), None)


def decision_and_windows(finding: Finding) -> dict[str, Json]:
    """Return the decision, and both sides' figures with their proofs, window by window."""
    return {
        "decision": {"verdict": finding.verdict.value, "reason": finding.reason.value},
        "windows": [_window(result) for result in finding.windows],
    }


def seal(
    core_document: Mapping[str, Json], *, chain: str, sequence: int, previous: str | None, decided_at: datetime
) -> Evidence:
    """Return the core as one link of a chain."""
    document = canonical(
        {
            **core_document,
            "chain": {"id": chain, "sequence": sequence, "previous_sha256": previous},
            "decided_at": iso(decided_at),
        }
    )
    return Evidence(sha256=digest(document), document=document)


def meaning(document: Mapping[str, Json]) -> bytes:
    """Return the canonical bytes of what a core or a document says: if they are equal, there is nothing new.

    Left out are its time, its place in the chain and, where the invoice may leave, its status: an invoice that was
    found right and then advanced is still right by the same evidence.
    """
    left_out = {"chain", "decided_at"}
    match document["decision"]:
        case {"verdict": Verdict.MATCHED.value | Verdict.WAIVED.value}:
            left_out.add("invoice_status")
        case _:
            pass
    return canonical({name: value for name, value in document.items() if name not in left_out})


def _window(result: WindowResult) -> dict[str, Json]:
    comparison, proof, record = result.comparison, result.proof, result.record
    window: dict[str, Json] = {
        **shown(result),
        "lines": _lines(result.lines),
        "from_meter": result.from_meter,
        "compare": None,
        "proof": None,
    }
    if comparison is not None:
        window["compare"] = {
            "your_balance": text(comparison.your_balance),
            "their_balance": text(comparison.their_balance),
            "neutral_balance": _number(comparison.neutral_balance),
            "matches_yours": comparison.matches_yours,
            "matches_theirs": comparison.matches_theirs,
        }
    if proof is not None:
        window["proof"] = {
            "checkpoint_id": proof.checkpoint_id,
            "proof_root": proof.proof_root,
            "record_count": proof.count,
            "net_change": text(proof.net),
            "verify_url": proof.verify_url,
            "cross_checked": proof.cross_checked,
            "stale": proof.stale,
        }
    # Keys of later versions, each only where it says something (see the module).
    if record is not None:
        window["record"] = {
            "key": record.key,
            "bits": text(record.bits),
            "writes": record.writes,
            "verified": record.verified,
        }
    if result.billed_as is not BilledAs.SUM:
        window["billed_as"] = result.billed_as.value
    if result.meter_totals is not None:
        window["meter_says"] = {"inner": text(result.meter_totals.inner), "outer": text(result.meter_totals.outer)}
    if result.billed_earlier:
        window["already"] = [
            {"invoice": each.invoice_id, "quantity": text(each.quantity)} for each in result.billed_earlier
        ]
    if result.subscription_id:
        window["subscription"] = result.subscription_id
    if result.selected:
        window["selection"] = _selection(result.selected)
    return window


def shown(result: WindowResult) -> dict[str, Json]:
    """Return one window in the shape that every command prints; decimals are strings."""
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


def _number(quantity: Decimal | None) -> str | None:
    return None if quantity is None else text(quantity)


def _lines(lines: Iterable[BilledLine]) -> list[Json]:
    return [
        {
            "id": line.line_id,
            "quantity": _number(line.quantity),
            **({"kind": line.kind.value} if line.kind is not LineKind.USAGE else {}),
            **({"price": line.price} if line.price is not None else {}),
        }
        for line in lines
    ]


def _selection(selected: SelectedScope) -> dict[str, Json]:
    start, end = _bounds(selected.scope)
    own = selected.by_usage_time
    return {
        "start": start,
        "end": end,
        **({"placed_by": {"accepted": selected.counted - own, "usage_time": own}} if own else {}),
        "record_count": selected.count,
        "net_change": text(selected.net),
        "left_out": [
            {"by": each.by.value, "name": each.name, "record_count": each.count, "net_change": text(each.net)}
            for each in selected.left_out
        ],
    }


def _policy(policy: Policy) -> dict[str, Json]:
    document: dict[str, Json] = {
        "mode": policy.mode.value,
        "fail": policy.fail.value,
        "finalize": policy.finalize.value,
        "tolerance": text(policy.tolerance),
        "usage_sign": policy.usage_sign.value,
    }
    if policy.ledger is LedgerProtocol.SETTLEMENT:
        # It has one record per key: nothing is chosen among records.
        return {"ledger": policy.ledger.value, **document}
    chosen: dict[str, Json] = {
        "meter_from": policy.meter_from if policy.meter_from != BY_ACCOUNT else "",
        "exclude_reasons": [*sorted(policy.exclude_reasons)],
        "attribution": policy.attribution.value if policy.attribution is not Attribution.ACCEPTED else "",
        "units": {meter: text(unit) for meter, unit in sorted(policy.units.items())},
        "readings": [*sorted(policy.readings)],
        "totals": [*sorted(policy.totals)],
        "usage_items": [*policy.usage_items.described],
    }
    return {**document, **{name: value for name, value in chosen.items() if value}}


def choices(policy: Mapping[str, Any]) -> Policy:
    """Return the policy that says which records count, from a document's."""
    return Policy(
        usage_sign=UsageSign(policy["usage_sign"]),
        meter_from=policy.get("meter_from", BY_ACCOUNT),
        exclude_reasons=frozenset(policy.get("exclude_reasons", ())),
        attribution=Attribution(policy.get("attribution", Attribution.ACCEPTED)),
        units={meter: Decimal(unit) for meter, unit in policy.get("units", {}).items()},
        readings=frozenset(policy.get("readings", ())),
        totals=frozenset(policy.get("totals", ())),
    )
