"""An invoice's PDF, Stripe's own or a file, stamped with what was decided about the invoice.

This is how finalized invoices get their footer, since Stripe freezes theirs. Reads the database and Stripe; writes to
neither, and does not ask PacSpace.
"""

import json
from dataclasses import dataclass

from pacspace_stripe.documents.overlay import LARGEST_PDF, Overlay, PdfStamp
from pacspace_stripe.documents.renderer import Documents
from pacspace_stripe.documents.views import decided_at, footer_view, is_about, proof_roots
from pacspace_stripe.errors import NotFound, RemoteUnavailable
from pacspace_stripe.evidence.rules.document import Evidence
from pacspace_stripe.explain.rules.next_steps import next_step
from pacspace_stripe.gate.rules.footer import find_block
from pacspace_stripe.gate.rules.stamp import EVIDENCE_KEY
from pacspace_stripe.http.client import Transport
from pacspace_stripe.settings import Settings
from pacspace_stripe.store import Store, evidence_elsewhere
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.stripe_api.calls import STRIPE
from pacspace_stripe.stripe_api.invoice_pdf import fetch_invoice_pdf
from pacspace_stripe.vocabulary.invoices import Invoice, InvoiceStatus

_WAIT = (
    "Nothing to do: `serve` compares it when usage has settled, and releases it if both sides agree. "
    "`pacspace-stripe check {invoice}` shows where it stands; run this command again once it has left."
)
_STOPPED = (
    "pacspace-stripe releases only what it held itself. Ask who stopped it and why; "
    "run this command again once the invoice has left."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StampedInvoice:
    """A stamped PDF, and what it was stamped with."""

    pdf: bytes
    number: str | None
    """The invoice's number."""
    pages: int
    evidence_sha256: str
    again: bool
    """True when it replaces an earlier stamp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceStamper:
    """Stamper of invoices' PDFs with the footer and evidence of their decisions."""

    store: Store
    stripe: StripeApi
    transport: Transport
    documents: Documents
    settings: Settings

    def stamp(self, invoice_id: str, *, pdf: bytes | None = None, break_signature: bool = False) -> StampedInvoice:
        """Return ``pdf``, or else Stripe's own PDF of the invoice, with the decision's footer and evidence.

        The same PDF and decision give the same bytes. Raises NotFound: no such invoice, not compared yet, or still a
        draft; RemoteUnavailable: Stripe has no PDF yet; RenderError: it cannot be stamped, and why.
        """
        invoice = self.stripe.read_invoice(invoice_id)
        if pdf is None and invoice.status is InvoiceStatus.DRAFT:
            raise self._no_pdf_yet(invoice)
        evidence = self._decision(invoice)
        document = json.loads(evidence.document)
        footer = find_block(invoice.footer)
        # A footer that Stripe froze is repeated word for word, unless it froze with an earlier decision.
        if footer is None or not is_about(footer, document, evidence.sha256):
            footer = self.documents.render_footer(footer_view(document, evidence.sha256))
        stamp = PdfStamp(
            footer=footer,
            evidence=evidence.document,
            evidence_sha256=evidence.sha256,
            proof_roots=proof_roots(document),
            decided_at=decided_at(document),
        )
        bare = self._stripes_own(invoice) if pdf is None else pdf
        stamped = Overlay(self.documents.typesetter).stamp(bare, stamp, break_signature=break_signature)
        return StampedInvoice(
            pdf=stamped.pdf,
            number=invoice.number,
            pages=stamped.pages,
            evidence_sha256=evidence.sha256,
            again=stamped.again,
        )

    def _decision(self, invoice: Invoice) -> Evidence:
        """Return the decision that the invoice names at Stripe; if it names none, the last one about it."""
        chains = self.store.chains
        named = invoice.metadata.get(EVIDENCE_KEY)
        # In observe mode nothing is stamped at Stripe, so the invoice names no evidence.
        if named is None:
            return chains.decision_of(invoice.invoice_id)
        found = chains.find(named)
        if found is None or json.loads(found.document)["invoice"] != invoice.invoice_id:
            raise evidence_elsewhere(invoice.invoice_id)
        return found

    def _no_pdf_yet(self, invoice: Invoice) -> NotFound:
        """Return why a draft has no PDF and what to do.

        The advice is never to finalize the draft by hand: that would bypass the gate.
        """
        problem = f"{invoice.invoice_id} is a draft, so Stripe has no PDF of it yet"
        job = self.store.jobs.find(invoice.invoice_id)
        state = job.state if job else None
        if state is not None and state.held:
            decided = state.verdict is not None and state.reason is not None
            finding = f" as {state.verdict} ({state.reason})" if decided else ""
            hint = next_step(state.reason, invoice.invoice_id) or _WAIT.format(invoice=invoice.invoice_id)
            detail = f": {state.detail}" if state.detail else ""
            return NotFound(STRIPE, f"{problem}: pacspace-stripe holds it{finding}{detail}", hint=hint)
        if not invoice.auto_advance:
            return NotFound(
                STRIPE, f"{problem}: it was stopped outside pacspace-stripe (auto_advance is false)", hint=_STOPPED
            )
        planned = invoice.automatically_finalizes_at
        when = f" Stripe plans to finalize it on {planned:%Y-%m-%d %H:%M} UTC." if planned else ""
        return NotFound(STRIPE, problem, hint=f"Run this command again once the invoice has left.{when}")

    def _stripes_own(self, invoice: Invoice) -> bytes:
        link = self.stripe.invoice_pdf(invoice.invoice_id)
        if link is None:
            message = f"{invoice.invoice_id} has no PDF yet"
            raise RemoteUnavailable(STRIPE, message, hint="Stripe makes it soon: try again later.")
        base_url, hosts = self.settings.stripe_api_base_url, self.settings.pdf_hosts or ()
        return fetch_invoice_pdf(self.transport, link, largest=LARGEST_PDF, base_url=base_url, hosts=hosts)
