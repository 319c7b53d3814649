"""The life of one invoice after its draft exists: held, finalized, collected, voided, deleted."""

from datetime import timedelta

from pacspace_stripe.simulator.stripe.account import Account
from pacspace_stripe.simulator.stripe.agenda import Action
from pacspace_stripe.simulator.stripe.drafts import refresh, rounded_up, schedule
from pacspace_stripe.simulator.stripe.errors import refuse, refuse_edit, refuse_state
from pacspace_stripe.simulator.stripe.shapes import Json, invoice_prefix
from pacspace_stripe.simulator.stripe.world import Charge, Mail, StoredInvoice, StoredInvoiceStatus

PAYMENT_RETRY = timedelta(days=3)
WEBHOOK_GATE = timedelta(hours=72)


def changed(before: Json, after: Json) -> Json:
    """Return ``previous_attributes``: the old values of all differences, nested objects compared key by key."""
    found: Json = {}
    for key in {**before, **after}:
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        found[key] = changed(old, new) if isinstance(old, dict) and isinstance(new, dict) else old
    return found


def tell_update(account: Account, invoice: StoredInvoice, before: Json) -> None:
    """Emit ``invoice.updated`` if something visible changed."""
    after = account.show_invoice(invoice)
    if previous := changed(before, after):
        account.emit("invoice.updated", after, previous)


def set_auto_advance(account: Account, invoice: StoredInvoice, wanted: bool) -> None:  # noqa: FBT001 - it is the value
    """Stop or resume Stripe's automatic advancement; a released draft gets a new grace period."""
    if invoice.status not in {StoredInvoiceStatus.DRAFT, StoredInvoiceStatus.OPEN}:
        refuse_edit("auto_advance")
    if invoice.auto_advance == wanted:
        return
    invoice.auto_advance = wanted
    if invoice.status is StoredInvoiceStatus.OPEN:
        advance(account, invoice, released=True)
        return
    invoice.finalizes_as_asked = False
    schedule(account, invoice, rounded_up(account.now() + account.behaviour.finalization_delay) if wanted else None)


def advance(account: Account, invoice: StoredInvoice, *, released: bool = False) -> None:
    """Advance an open invoice: plan the charge, or mail it; without ``auto_advance`` neither."""
    if invoice.status is not StoredInvoiceStatus.OPEN or not invoice.auto_advance:
        invoice.next_payment_at = None
        return
    if invoice.collection_method == "charge_automatically":
        invoice.next_payment_at = account.now() + account.behaviour.payment_delay
        account.plan(invoice.next_payment_at, Action.PAY, invoice.id)
    elif not invoice.mailed and (account.behaviour.mail_on_release or not released):
        send(account, invoice)


def send(account: Account, invoice: StoredInvoice) -> None:
    """Mail an open invoice to its customer."""
    invoice.mailed = True
    account.mails.append(Mail(at=account.now(), invoice=invoice.id, customer=invoice.customer))
    account.emit("invoice.sent", account.show_invoice(invoice))


def wait_for_webhooks(account: Account, invoice: StoredInvoice) -> bool:
    """Return True if finalization has to wait because the endpoint has not accepted ``invoice.created``."""
    latest = invoice.created + WEBHOOK_GATE
    if not account.behaviour.webhook_gate or invoice.finalizes_as_asked:
        return False
    if invoice.webhooks_delivered_at is not None or account.now() >= latest:
        return False
    schedule(account, invoice, latest)
    return True


def webhooks_delivered(account: Account, invoice: StoredInvoice) -> None:
    """Start the grace period, if the gate is on: the endpoint accepted ``invoice.created``."""
    invoice.webhooks_delivered_at = account.now()
    gated = account.behaviour.webhook_gate and not invoice.finalizes_as_asked
    if gated and invoice.status is StoredInvoiceStatus.DRAFT and invoice.auto_advance:
        schedule(account, invoice, rounded_up(account.now() + account.behaviour.finalization_delay))


FINALIZATION_ERROR = {
    "code": "customer_tax_location_invalid",
    "message": "The customer's location isn't recognized. Set a valid customer address to calculate tax.",
    "type": "invalid_request_error",
}


def fail_to_finalize(account: Account, invoice: StoredInvoice) -> None:
    """Leave the invoice a draft without a plan, and state the failure on it."""
    invoice.finalization_error = dict(FINALIZATION_ERROR)
    schedule(account, invoice, None)
    account.emit("invoice.finalization_failed", account.show_invoice(invoice))


def finalize(
    account: Account, invoice: StoredInvoice, *, auto_advance: bool | None = None, fold_in: bool = True
) -> None:
    """Freeze a draft: add late usage, set number and pages, and advance it if it may."""
    if invoice.status is not StoredInvoiceStatus.DRAFT:
        message = "This invoice is already finalized, you can't re-finalize a non-draft invoice."
        refuse_state(message, code="invoice_not_editable")
    if account.behaviour.finalization_fails:
        fail_to_finalize(account, invoice)
        refuse_state(FINALIZATION_ERROR["message"], code=FINALIZATION_ERROR["code"])
    before = account.show_invoice(invoice)
    if fold_in and account.behaviour.late_usage:
        refresh(account, invoice)
    if auto_advance is not None:
        invoice.auto_advance = auto_advance
    _freeze(account, invoice)
    advance(account, invoice)
    shown = account.show_invoice(invoice)
    account.emit("invoice.finalized", shown)
    account.emit("invoice.updated", shown, changed(before, shown))
    if invoice.due == 0:
        settle(account, invoice)


def _freeze(account: Account, invoice: StoredInvoice) -> None:
    now, customer = account.now(), account.customers[invoice.customer]
    customer.invoices_numbered += 1
    invoice.from_balance = max(min(customer.credit, invoice.total), 0)
    customer.credit -= invoice.from_balance
    invoice.status = StoredInvoiceStatus.OPEN
    invoice.finalization_error = None
    invoice.number = invoice.number or f"{invoice_prefix(customer)}-{customer.invoices_numbered:04}"
    invoice.finalized_at = now
    invoice.automatically_finalizes_at = None
    if invoice.collection_method == "send_invoice" and invoice.due_at is None:
        invoice.due_at = now + timedelta(days=invoice.days_until_due or 30)


def collect(account: Account, invoice: StoredInvoice) -> None:
    """Make Stripe's own payment attempt."""
    if account.behaviour.payments_succeed:
        settle(account, invoice)
        return
    before = account.show_invoice(invoice)
    invoice.attempt_count += 1
    invoice.next_payment_at = account.now() + PAYMENT_RETRY
    account.plan(invoice.next_payment_at, Action.PAY, invoice.id)
    account.emit("invoice.payment_failed", account.show_invoice(invoice))
    tell_update(account, invoice, before)


def settle(account: Account, invoice: StoredInvoice, *, by_person: bool = False, moves_money: bool = True) -> None:
    """Mark the invoice as paid, by Stripe's charge or by a person."""
    before = account.show_invoice(invoice)
    due = invoice.due
    invoice.status = StoredInvoiceStatus.PAID
    invoice.auto_advance = False
    invoice.next_payment_at = None
    invoice.attempt_count += 1 if due else 0
    invoice.paid_amount = due
    invoice.paid_at = account.now()
    if due and moves_money:
        account.charges.append(
            Charge(
                at=account.now(),
                invoice=invoice.id,
                customer=invoice.customer,
                amount=due,
                currency=invoice.currency,
                by_person=by_person,
            )
        )
    tell_update(account, invoice, before)
    shown = account.show_invoice(invoice)
    account.emit("invoice.paid", shown)
    account.emit("invoice.payment_succeeded", shown)


def void(account: Account, invoice: StoredInvoice) -> None:
    """Undo a finalized invoice that is not paid."""
    if invoice.status not in {StoredInvoiceStatus.OPEN, StoredInvoiceStatus.UNCOLLECTIBLE}:
        message = (
            f"You can only pass in open or uncollectible invoices. This invoice isn't one: it is {invoice.status}."
        )
        refuse_state(message, param="invoice")
    invoice.voided_at = account.now()
    _end(account, invoice, StoredInvoiceStatus.VOID, "invoice.voided")


def mark_uncollectible(account: Account, invoice: StoredInvoice) -> None:
    """Write an open invoice off."""
    if invoice.status is not StoredInvoiceStatus.OPEN:
        message = f"You can only mark open invoices as uncollectible. This invoice is {invoice.status}."
        refuse_state(message, param="invoice")
    invoice.uncollectible_at = account.now()
    _end(account, invoice, StoredInvoiceStatus.UNCOLLECTIBLE, "invoice.marked_uncollectible")


def _end(account: Account, invoice: StoredInvoice, status: StoredInvoiceStatus, event_type: str) -> None:
    before = account.show_invoice(invoice)
    invoice.status = status
    invoice.auto_advance = False
    invoice.next_payment_at = None
    tell_update(account, invoice, before)
    account.emit(event_type, account.show_invoice(invoice))


def delete(account: Account, invoice: StoredInvoice) -> None:
    """Delete a one-off draft; every other invoice has to be voided."""
    if invoice.status is not StoredInvoiceStatus.DRAFT:
        message = "You can only delete draft invoices. To cancel a finalized invoice, void it."
        refuse_state(message, code="invoice_not_editable")
    if invoice.subscription is not None:
        message = "You can't delete invoices created by subscriptions. Finalize it and void it instead."
        refuse_state(message, code="invoice_not_editable")
    shown = account.show_invoice(invoice)
    account.invoices.remove(invoice.id)
    account.emit("invoice.deleted", shown)


def pay_by_person(account: Account, invoice: StoredInvoice, *, out_of_band: bool = False) -> None:
    """Pay as a person does through the API or the hosted page; a draft is finalized first."""
    if invoice.status is StoredInvoiceStatus.DRAFT:
        finalize(account, invoice, auto_advance=False)
        if invoice.status is StoredInvoiceStatus.PAID:  # type: ignore[comparison-overlap]  # finalize changes it
            return
    if invoice.status is StoredInvoiceStatus.PAID:
        refuse_state("Invoice is already paid")
    if invoice.status is StoredInvoiceStatus.VOID:
        refuse("You can't pay a voided invoice", "invoice")
    settle(account, invoice, by_person=True, moves_money=not out_of_band)
