"""What goes into a bundle: from our database, from PacSpace, from Stripe, and the documents made of it."""

import json
from datetime import datetime
from typing import Any

from pacspace_stripe.app import App
from pacspace_stripe.evidence.bundle.archive import Bundle, Folder
from pacspace_stripe.evidence.bundle.ledger_answers import LedgerFiles
from pacspace_stripe.evidence.bundle.redaction import shareable_text
from pacspace_stripe.evidence.bundle.summary import summary_view
from pacspace_stripe.evidence.rules.document import Evidence, confirmation_of
from pacspace_stripe.gate.rules.stamp import PREFIX
from pacspace_stripe.pacspace_api import PacSpace
from pacspace_stripe.pacspace_api.failures import PACSPACE
from pacspace_stripe.stripe_api.calls import STRIPE
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.invoices import Invoice, LineItem
from pacspace_stripe.vocabulary.quantities import text
from pacspace_stripe.vocabulary.windows import iso

_OURS = "pacspace-stripe"


def make_bundle(app: App, invoice_id: str, *, made_at: datetime) -> Bundle:
    """The bundle; what a vendor does not answer is missing in it. Raises NotFound: no evidence about the invoice."""
    decision = app.store.chains.decision_of(invoice_id)
    links = app.store.chains.of_job(invoice_id)
    document: dict[str, Any] = json.loads(decision.document)
    folder = Folder()
    for number, link in enumerate(app.store.chains.of_chain(document["chain"]["id"]), start=1):
        folder.put(f"evidence/{number:04d}.json", link.document)
    LedgerFiles(pacspace=_pacspace(app), folder=folder).collect(document)
    invoice = _stripe(app, invoice_id, folder)
    _documents(app, folder, decision, confirmation_of(links, decision.sha256), invoice)
    return folder.packed(invoice_id, decision.sha256, made_at)


def _pacspace(app: App) -> PacSpace:
    settings = app.settings
    key, address = settings.pacspace_api_key.get_secret_value(), settings.pacspace_api_base_url
    return PacSpace(key, base_url=address, transport=app.transport)


def _stripe(app: App, invoice_id: str, folder: Folder) -> Invoice | None:
    names = ("stripe/invoice.json", "stripe/lines.json")
    invoice = folder.asked(STRIPE, names, lambda: app.stripe.read_invoice(invoice_id))
    if invoice is not None:
        folder.put_json(names[0], _invoice(invoice))
        folder.put_json(names[1], [_line(line) for line in invoice.line_items])
    return invoice


def _invoice(invoice: Invoice) -> dict[str, Json]:
    return {
        "invoice": invoice.invoice_id,
        "number": invoice.number,
        "status": invoice.status.value,
        "metadata": {name: value for name, value in invoice.metadata.items() if name.startswith(PREFIX)},
        "footer": None if invoice.footer is None else shareable_text(invoice.footer),
    }


def _line(line: LineItem) -> dict[str, Json]:
    return {
        "id": line.line_id,
        "quantity": None if line.quantity is None else text(line.quantity),
        "price": line.price_id,
        "start": iso(line.window.start) if line.window else None,
        "end": iso(line.window.end) if line.window else None,
    }


def _documents(
    app: App, folder: Folder, decision: Evidence, confirmed: Evidence | None, invoice: Invoice | None
) -> None:
    known = app.store.explanations.find(json.loads(decision.document)["invoice"])
    explanations = known.explanations if known else ()
    view = summary_view(decision, confirmed, invoice, app.settings.letterhead, explanations)
    summary, statement = "summary.pdf", "statement.pdf"
    page = folder.asked(_OURS, (summary,), lambda: app.documents.render_summary(view))
    if page is not None:
        folder.put(summary, page)
    # Not Stripe's to give: without it a statement is made of what is remembered.
    pdf = folder.asked(
        _OURS, (statement,), lambda: app.statements.of_invoice(view.invoice_id, daily=folder.answers(PACSPACE)).pdf
    )
    if pdf is not None:
        folder.put(statement, pdf)
