"""The decision → what the page for a dispute's reviewer shows."""

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from pacspace_stripe.documents.rules.letterhead import Letterhead
from pacspace_stripe.documents.views import SummaryView, decided_at, summary_windows
from pacspace_stripe.evidence.bundle.redaction import shareable_text
from pacspace_stripe.evidence.rules.document import Evidence
from pacspace_stripe.explain.rules.explanation import Explanation
from pacspace_stripe.gate.rules.stamp import PREFIX
from pacspace_stripe.vocabulary.invoices import Invoice


def summary_view(
    decision: Evidence,
    confirmed: Evidence | None,
    invoice: Invoice | None,
    letterhead: Letterhead,
    explanations: Iterable[Explanation] = (),
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
        decided_at=decided_at(document),
        confirmed_at=decided_at(json.loads(confirmed.document)) if confirmed else None,
        windows=summary_windows(document, explanations),
        evidence_sha256=decision.sha256,
        stamped=invoice is not None and invoice.metadata.get(f"{PREFIX}evidence_sha256") == decision.sha256,
        letterhead=letterhead,
    )
