"""Stamps an invoice's PDF, Stripe's own or a file, with what was decided about the invoice.

This is how finalized invoices get their footer, since Stripe freezes theirs. Reads the store and Stripe; nothing is
written to either, and PacSpace is not asked.
"""

import json
from dataclasses import dataclass
from typing import Any

from pacspace_stripe.app import App
from pacspace_stripe.documents.from_evidence import decided_at, footer_view, is_about, proof_roots
from pacspace_stripe.documents.overlay import LARGEST_PDF, Overlay, Stamp
from pacspace_stripe.errors import NotFound, RemoteUnavailable
from pacspace_stripe.evidence.rules.document import Evidence
from pacspace_stripe.explain.rules.next_steps import next_step
from pacspace_stripe.gate.rules.footer import find_block
from pacspace_stripe.gate.rules.stamp import EVIDENCE_KEY
from pacspace_stripe.store import not_here
from pacspace_stripe.stripe_api.invoice_pdf import fetch_invoice_pdf
from pacspace_stripe.stripe_api.sdk import STRIPE
from pacspace_stripe.vocabulary.invoices import Invoice, InvoiceStatus

_WAIT = (
    "Nothing to do: `serve` compares it when usage has settled, and lets it go if both sides agree. "
    "`pacspace-stripe check {invoice}` shows where it stands; run this command again once it has left."
)
_STOPPED = (
    "pacspace-stripe lets go only what it held itself. Ask who stopped it and why; "
    "run this command again once the invoice has left."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StampedInvoice:
    """A stamped PDF, and what it was stamped with."""

    pdf: bytes
    number: str | None
    """The invoice's."""
    pages: int
    evidence_sha256: str
    again: bool
    """Whether it replaces a stamp that was there."""


def stamp_invoice(
    app: App, invoice_id: str, *, pdf: bytes | None = None, break_signature: bool = False
) -> StampedInvoice:
    """``pdf``, or else Stripe's own PDF of the invoice, with the decision's footer and evidence.

    The same bytes for the same PDF and decision. Raises NotFound: no such invoice, not compared yet, or still a draft;
    RemoteUnavailable: Stripe has no PDF yet; RenderError: it cannot be stamped, and why.
    """
    invoice = app.stripe.read_invoice(invoice_id)
    if pdf is None and invoice.status is InvoiceStatus.DRAFT:
        raise _no_pdf_yet(app, invoice)
    evidence = _decision(app, invoice)
    document = json.loads(evidence.document)
    stamp = Stamp(
        footer=_footer(app, invoice, evidence, document),
        evidence=evidence.document,
        evidence_sha256=evidence.sha256,
        proof_roots=proof_roots(document),
        decided_at=decided_at(document),
    )
    overlay = Overlay(app.documents.typesetter)
    bare = _stripes_own(app, invoice) if pdf is None else pdf
    made = overlay.stamp(bare, stamp, break_signature=break_signature)
    return StampedInvoice(
        pdf=made.pdf, number=invoice.number, pages=made.pages, evidence_sha256=evidence.sha256, again=made.again
    )


def _decision(app: App, invoice: Invoice) -> Evidence:
    """The decision that the invoice names at Stripe; if it names none, the last one about it."""
    named = invoice.metadata.get(EVIDENCE_KEY)
    if named is not None:
        found = app.store.chains.find(named)
        if found is None or json.loads(found.document)["invoice"] != invoice.invoice_id:
            raise not_here(invoice.invoice_id)
        return found
    return app.store.chains.decision_of(invoice.invoice_id)


def _footer(app: App, invoice: Invoice, evidence: Evidence, document: dict[str, Any]) -> str:
    """What the frozen footer says, if it is about this evidence; else the template's text."""
    frozen = find_block(invoice.footer)
    if frozen is not None and is_about(frozen, document, evidence.sha256):
        return frozen
    return app.documents.render_footer(footer_view(document, evidence.sha256))


def _no_pdf_yet(app: App, invoice: Invoice) -> NotFound:
    """Return why a draft has no PDF and what to do, which is never to finalize it by hand: that leaves the gate out."""
    said, job = (
        f"{invoice.invoice_id} is a draft, so Stripe has no PDF of it yet",
        app.store.jobs.find(invoice.invoice_id),
    )
    memory = job.memory if job else None
    if memory is not None and memory.held:
        found = memory.verdict is not None and memory.reason is not None
        judged = f" as {memory.verdict} ({memory.reason})" if found else ""
        hint = next_step(memory.reason, invoice.invoice_id) or _WAIT.format(invoice=invoice.invoice_id)
        detail = f": {memory.detail}" if memory.detail else ""
        return NotFound(STRIPE, f"{said}: pacspace-stripe holds it{judged}{detail}", hint=hint)
    if not invoice.auto_advance:
        return NotFound(STRIPE, f"{said}: somebody stopped it (auto_advance is false)", hint=_STOPPED)
    planned = invoice.automatically_finalizes_at
    when = f" Stripe plans to finalize it on {planned:%Y-%m-%d %H:%M} UTC." if planned else ""
    return NotFound(STRIPE, said, hint=f"Run this command again once the invoice has left.{when}")


def _stripes_own(app: App, invoice: Invoice) -> bytes:
    link = app.stripe.invoice_pdf(invoice.invoice_id)
    if link is None:
        message = f"{invoice.invoice_id} has no PDF yet"
        raise RemoteUnavailable(STRIPE, message, hint="Stripe makes it soon: try again later.")
    base_url, hosts = app.settings.stripe_api_base_url, app.settings.pdf_hosts or ()
    return fetch_invoice_pdf(app.transport, link, largest=LARGEST_PDF, base_url=base_url, hosts=hosts)
