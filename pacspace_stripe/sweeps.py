"""The sweep: webhooks are lost in practice, so Stripe is asked for what it has that we do not know.

It writes nothing anywhere but triggers; each find goes through the same check as any event.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pacspace_stripe.domain.invoices import InvoiceStatus
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
    """Finds drafts of any age and fresh finalized invoices that we do not know."""

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
        drafts = (invoice.invoice_id for invoice in self.stripe.list_invoices(status=InvoiceStatus.DRAFT.value))
        fresh = (
            invoice.invoice_id
            for invoice in self.stripe.list_invoices(created_since=self.now() - FRESH)
            if invoice.status in (InvoiceStatus.OPEN, InvoiceStatus.PAID)
        )
        yield from self._not_known(drafts)
        yield from self._not_known(fresh)

    def _not_known(self, invoice_ids: Iterable[str]) -> Iterator[str]:
        for chunk in _chunks(invoice_ids):
            known = self.store.subjects.known(chunk)
            yield from (invoice_id for invoice_id in chunk if invoice_id not in known)


def _chunks(invoice_ids: Iterable[str]) -> Iterator[list[str]]:
    """In pieces; what was read before Stripe's list broke off is handed on first."""
    chunk: list[str] = []
    try:
        for invoice_id in invoice_ids:
            chunk.append(invoice_id)
            if len(chunk) == _CHUNK:
                yield chunk
                chunk = []
    except RemoteError:
        yield chunk
        raise
    if chunk:
        yield chunk
