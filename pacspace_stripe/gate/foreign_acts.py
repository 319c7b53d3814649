"""Questions to Stripe about what other people did to an invoice.

Each one that Stripe does not answer stays open: an unreadable event never means that nothing happened. A 429 is raised,
and the check starts over later.
"""

from dataclasses import replace
from datetime import datetime

from pacspace_stripe.errors import RateLimited, RemoteError
from pacspace_stripe.gate.case import Services
from pacspace_stripe.gate.rules.state import Finalizer, InvoiceState
from pacspace_stripe.vocabulary.invoices import CollectionMethod, Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.webhooks import INVOICE_SENT_ARRIVES, EventType


def with_updates(services: Services, state: InvoiceState) -> InvoiceState:
    """Return the state with the last change of ``auto_advance`` by another party under our hold."""
    journal, stopped_at = services.store.journal, state.stopped_at
    unread: tuple[datetime, ...] = ()
    for at in journal.pending_updates(state.invoice_id):
        try:
            updates = services.stripe.invoice_updates(state.invoice_id, at)
        except RateLimited:
            raise
        except RemoteError as error:
            services.log.warning("invoice=%s who changed it is not known: %s", state.invoice_id, error)
            updates = ()
        for update in updates:
            if not update.ours and update.auto_advance is not None:
                stopped_at = None if update.auto_advance else update.at
        if updates:
            journal.forget_update(state.invoice_id, at)
        else:
            unread = (*unread, at)
    return replace(state, stopped_at=stopped_at, unread_updates=unread)


def with_finalizer(services: Services, state: InvoiceState, invoice: Invoice) -> InvoiceState:
    """Return the state with who finalized the invoice under our hold, where that was not the gate.

    A person may be in the middle of ending it. The question is asked until Stripe's events answer it.
    """
    asked = state.finalizer not in (None, Finalizer.UNKNOWN)
    if not state.held or asked or invoice.status is not InvoiceStatus.OPEN or invoice.finalized_at is None:
        return state
    try:
        finalizer = services.stripe.finalizer(invoice.invoice_id, invoice.finalized_at)
    except RateLimited:
        raise
    except RemoteError as error:
        services.log.warning("invoice=%s its finalization's event could not be read: %s", state.invoice_id, error)
        finalizer = Finalizer.UNKNOWN
    return replace(state, finalizer=finalizer)


def was_deleted(services: Services, state: InvoiceState, now: datetime) -> bool:
    """Return whether Stripe has an event of the deletion; an event that cannot be read proves nothing."""
    since = min(state.first.at if state.first else now, now)
    try:
        return services.stripe.was_deleted(state.invoice_id, since)
    except RateLimited:
        raise
    except RemoteError as error:
        services.log.warning("invoice=%s whether it was deleted is not known: %s", state.invoice_id, error)
        return False


def was_mailed(services: Services, invoice: Invoice) -> bool | None:
    """Return whether Stripe mailed the invoice; None when this endpoint gets no event about it."""
    journal = services.store.journal
    if invoice.collection_method is CollectionMethod.CHARGE_AUTOMATICALLY:
        return False
    if journal.first_received_at(invoice.invoice_id, EventType.INVOICE_SENT.value) is not None:
        return True
    return False if journal.fact(INVOICE_SENT_ARRIVES) else None
