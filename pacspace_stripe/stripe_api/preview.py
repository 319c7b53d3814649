"""Stripe for a preview: reads are real, writes are only recorded."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from pacspace_stripe.stripe_api.api import StripeApi
from pacspace_stripe.vocabulary.invoices import Invoice, InvoiceStatus

_ALIVE = (InvoiceStatus.DRAFT, InvoiceStatus.OPEN)


class PreviewStripe(StripeApi):
    """A :class:`StripeApi` that sends no write and applies each one to the invoice that the next read returns.

    Finalization makes an invoice paid when nothing is due, else open (FACTS 2.1.4); its lines stay as read, although
    Stripe may fold late usage into them (FACTS 2.1.1).
    """

    only_records = True

    def __init__(self, below: StripeApi, *, now: Callable[[], datetime], read: Invoice | None = None) -> None:
        """Share the connections and cached prices of ``below``; use ``read`` as the invoice's present state."""
        vars(self).update(vars(below))
        self._now = now
        self._invoices = {read.invoice_id: read} if read else {}

    def read_invoice(self, invoice_id: str) -> Invoice:
        found = self._invoices.get(invoice_id)
        if found is None:
            found = self._invoices[invoice_id] = super().read_invoice(invoice_id)
        return found

    def read_invoice_standing(self, invoice_id: str, *, customer: bool) -> Invoice:
        found = self._invoices.get(invoice_id)
        if found is None or (found.subscriptions is None and found.status in _ALIVE):
            found = self._invoices[invoice_id] = super().read_invoice_standing(invoice_id, customer=customer)
        return found

    def update_invoice(
        self,
        invoice_id: str,
        *,
        auto_advance: bool | None = None,
        automatically_finalizes_at: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
        footer: str | None = None,
    ) -> None:
        invoice = self.read_invoice(invoice_id)
        written = {name: value for name, value in {**invoice.metadata, **(metadata or {})}.items() if value}
        advances = invoice.auto_advance if auto_advance is None else auto_advance
        finalizes_at = automatically_finalizes_at or invoice.automatically_finalizes_at
        self._invoices[invoice_id] = replace(
            invoice,
            auto_advance=advances,
            automatically_finalizes_at=finalizes_at if advances else None,
            metadata=written,
            footer=invoice.footer if footer is None else footer or None,
        )

    def finalize_invoice(self, invoice_id: str) -> None:
        invoice = self.read_invoice(invoice_id)
        self._invoices[invoice_id] = replace(
            invoice,
            status=InvoiceStatus.OPEN if invoice.amount_due else InvoiceStatus.PAID,
            auto_advance=False,
            automatically_finalizes_at=None,
            finalized_at=self._now(),
        )
