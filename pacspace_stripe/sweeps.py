"""The sweep: webhooks are lost in practice, so Stripe is asked for what it has that we do not know.

That is also a draft that moves again though we, or somebody else, kept it back when we last looked.

It writes nothing anywhere but triggers; each find goes through the same check as any event.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pacspace_stripe.domain.invoices import Invoice, InvoiceStatus
from pacspace_stripe.errors import LeaseBusy, RemoteError
from pacspace_stripe.store import Enqueue, Kind, Store
from pacspace_stripe.stripe_api import StripeApi

SUBJECT = "sweep"
FRESH = timedelta(days=3)
"""How far back finalized invoices are looked for: as long as Stripe repeats a webhook."""
_CHUNK = 500

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Finds drafts of any age and fresh finalized invoices that we do not know, and holds that were undone."""

    stripe: StripeApi
    store: Store
    interval: timedelta
    lease: timedelta
    now: Callable[[], datetime]

    def plan(self) -> None:
        """Sweep soon: ``serve`` does at every start, and from then on each sweep plans the next one."""
        self.store.triggers.want(Kind.SWEEP, SUBJECT)

    def run(self, enqueue: Enqueue | None = None) -> list[str]:
        """One sweep, now: the invoices it found. Raises LeaseBusy when another process sweeps."""
        leased = self.store.subjects.acquire(Kind.SWEEP, SUBJECT, max(self.lease, timedelta(minutes=5)))
        if leased is None:
            message = "another process is sweeping"
            raise LeaseBusy(message)
        found: list[str] = []
        try:
            for invoice_id in self._unknown():
                self.store.triggers.want(Kind.INVOICE, invoice_id, enqueue)
                found.append(invoice_id)
        except RemoteError as error:
            _log.warning("sweep ended early: %s", error)
            raise
        finally:
            _log.info("sweep found=%d", len(found))
            leased.give_back(None, self.now() + self.interval)
        return found

    def _unknown(self) -> Iterator[str]:
        recent = self.stripe.list_invoices(created_since=self.now() - FRESH)
        yield from self._not_known(self.stripe.list_invoices(status=InvoiceStatus.DRAFT.value))
        yield from self._not_known(
            invoice for invoice in recent if invoice.status in (InvoiceStatus.OPEN, InvoiceStatus.PAID)
        )

    def _not_known(self, invoices: Iterable[Invoice]) -> Iterator[str]:
        for chunk in _chunks(invoices):
            known = self.store.subjects.known([invoice.invoice_id for invoice in chunk])
            yield from (invoice.invoice_id for invoice in chunk if invoice.invoice_id not in known)
            yield from self.store.subjects.kept_back([invoice.invoice_id for invoice in chunk if _moves(invoice)])


def _moves(invoice: Invoice) -> bool:
    return invoice.status is InvoiceStatus.DRAFT and invoice.auto_advance


def _chunks(invoices: Iterable[Invoice]) -> Iterator[list[Invoice]]:
    """In pieces; what was read before Stripe's list broke off is handed on first."""
    chunk: list[Invoice] = []
    try:
        for invoice in invoices:
            chunk.append(invoice)
            if len(chunk) == _CHUNK:
                yield chunk
                chunk = []
    except RemoteError:
        yield chunk
        raise
    if chunk:
        yield chunk
