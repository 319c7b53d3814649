"""The decision → what the page for a dispute's reviewer shows."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from pacspace_stripe.bundles.sharing import shareable_text
from pacspace_stripe.documents import SummaryView, SummaryWindow
from pacspace_stripe.domain.evidence import Evidence
from pacspace_stripe.domain.invoices import Invoice
from pacspace_stripe.domain.letterhead import Letterhead
from pacspace_stripe.domain.stamps import PREFIX


def summary_view(
    decision: Evidence, confirmed: Evidence | None, invoice: Invoice | None, letterhead: Letterhead
) -> SummaryView:
    """``invoice`` is None when Stripe does not say more about it than the evidence does."""
    document: dict[str, Any] = json.loads(decision.document)
    name = invoice.customer_name if invoice and invoice.customer_name else None
    return SummaryView(
        invoice_id=document["invoice"],
        number=invoice.number if invoice else None,
        customer_id=document["customer"],
        customer=shareable_text(name) if name else None,
        livemode=document["livemode"],
        verdict=document["decision"]["verdict"],
        reason=document["decision"]["reason"],
        tolerance=Decimal(document["policy"]["tolerance"]),
        waiver=shareable_text(document["waiver"]["reason"]) if document["waiver"] else None,
        of_draft=document["invoice_status"] == "draft",
        decided_at=_moment(document["decided_at"]),
        confirmed_at=_moment(json.loads(confirmed.document)["decided_at"]) if confirmed else None,
        windows=tuple(_window(window) for window in document["windows"]),
        evidence_sha256=decision.sha256,
        stamped=invoice is not None and invoice.metadata.get(f"{PREFIX}evidence_sha256") == decision.sha256,
        letterhead=letterhead,
    )


def _window(window: dict[str, Any]) -> SummaryWindow:
    proof, record = window["proof"] or {}, window.get("record") or {}
    stated = proof if proof.get("cross_checked") else {}
    return SummaryWindow(
        meter=window["meter"],
        start=_moment(window["start"]) if window["start"] else None,
        end=_moment(window["end"]) if window["end"] else None,
        billed=_quantity(window["billed"]),
        recorded=_quantity(window["recorded"]),
        count=window["count"],
        proof_root=proof.get("proof_root"),
        covered=stated.get("record_count"),
        net=_quantity(stated.get("net_change")),
        stale=proof.get("stale", False),
        verify_url=proof.get("verify_url"),
        record_key=record.get("key"),
    )


def _quantity(written: str | None) -> Decimal | None:
    return None if written is None else Decimal(written)


def _moment(written: str) -> datetime:
    return datetime.fromisoformat(written)
