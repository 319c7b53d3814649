"""The usage statement of one invoice: its last decision as a document, with the very footer it was stamped with.

Where that footer froze with an earlier decision, it is told from the evidence instead.

The figures are the evidence's. What a statement shows besides them (number, customer's name, footer, daily figures) is
asked of Stripe and PacSpace, and remembered: so it comes out again to the byte, also when neither can be reached.
"""

import json
from dataclasses import dataclass
from typing import Any

from pacspace_stripe.app import App
from pacspace_stripe.documents.from_evidence import decided_at, footer_view, is_about, statement_windows
from pacspace_stripe.documents.statement.particulars import Particulars, particulars_of
from pacspace_stripe.documents.views import StatementView
from pacspace_stripe.evidence.rules.document import Evidence, confirmation_of
from pacspace_stripe.store import not_here


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement, and for a person what it had to leave out, and why."""

    pdf: bytes
    left_out: tuple[str, ...]


def statement_pdf(app: App, invoice_id: str) -> bytes:
    """The PDF alone; see ``statement_of``."""
    return statement_of(app, invoice_id).pdf


def statement_of(app: App, invoice_id: str, *, daily: bool = True) -> Statement:
    """The statement; the same bytes for the same evidence.

    Raises NotFound for an invoice that was never compared, or carries the stamp of evidence that is not here.

    Without ``daily`` both sides' figures by day are not asked for; those of an earlier statement are shown.
    """
    if app.store.stamped_elsewhere(invoice_id) is not None:
        raise not_here(invoice_id)
    evidence = app.store.chains.decision_of(invoice_id)
    confirmed = confirmation_of(app.store.chains.of_job(invoice_id), evidence.sha256)
    document: dict[str, Any] = json.loads(evidence.document)
    particulars = particulars_of(app, evidence, document, daily=daily)
    view = _view(app, evidence, document, particulars, confirmed)
    return Statement(pdf=app.documents.render_statement(view), left_out=particulars.left_out)


def _view(
    app: App, evidence: Evidence, document: dict[str, Any], particulars: Particulars, confirmed: Evidence | None
) -> StatementView:
    return StatementView(
        invoice_id=document["invoice"],
        number=particulars.number,
        customer=particulars.customer or document["customer"],
        verdict=document["decision"]["verdict"],
        reason=_reason(document),
        windows=statement_windows(document, particulars.days_of),
        evidence=evidence.document,
        confirmed_at=decided_at(json.loads(confirmed.document)) if confirmed else None,
        footer=_footer(app, evidence, document, particulars.footer),
        issued_at=decided_at(document),
        letterhead=app.settings.letterhead,
    )


def _footer(app: App, evidence: Evidence, document: dict[str, Any], frozen: str | None) -> str:
    if frozen is not None and is_about(frozen, document, evidence.sha256):
        return frozen
    return app.documents.render_footer(footer_view(document, evidence.sha256))


def _reason(document: dict[str, Any]) -> str:
    waiver: dict[str, str] | None = document["waiver"]
    return waiver["reason"] if waiver else str(document["decision"]["reason"])
