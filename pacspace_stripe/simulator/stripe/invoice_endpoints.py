"""Invoices: read, list, update, finalize, void, pay."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pacspace_stripe.simulator.stripe import lifecycle
from pacspace_stripe.simulator.stripe.account import Account
from pacspace_stripe.simulator.stripe.calls import PAGING, Endpoint, StripeRequest, named, page, page_of, time_filter
from pacspace_stripe.simulator.stripe.drafts import place, refresh, schedule
from pacspace_stripe.simulator.stripe.errors import refuse, refuse_edit, refuse_state
from pacspace_stripe.simulator.stripe.forms import Params
from pacspace_stripe.simulator.stripe.shapes import Json
from pacspace_stripe.simulator.stripe.subscription_endpoints import collection_of
from pacspace_stripe.simulator.stripe.world import StoredInvoice, StoredInvoiceStatus, whole_second

FARTHEST_FINALIZATION = timedelta(days=5 * 366)
LONGEST_FOOTER, LONGEST_DESCRIPTION, LONGEST_NUMBER = 5000, 1500, 26
MOST_CUSTOM_FIELDS = 4
ALWAYS_EDITABLE = frozenset({"metadata", "auto_advance", "rendering", "expand"})
FIELDS = (
    "auto_advance",
    "automatically_finalizes_at",
    "collection_method",
    "custom_fields",
    "days_until_due",
    "description",
    "due_date",
    "expand",
    "footer",
    "metadata",
    "number",
    "rendering",
    "statement_descriptor",
)


def found(call: StripeRequest) -> StoredInvoice:
    """Return the invoice of the path, with its draft quantities as the switches say."""
    invoice = call.find(call.account.invoices, "invoice")
    show(call.account, invoice)
    return invoice


def show(account: Account, invoice: StoredInvoice) -> Json:
    """Return the invoice as JSON, brought up to date first if drafts follow usage."""
    if account.behaviour.draft_lines_refresh and invoice.status is StoredInvoiceStatus.DRAFT:
        refresh(account, invoice)
    return account.show_invoice(invoice)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """The changes that an update asks for, read and checked before anything changes."""

    auto_advance: bool | None
    finalizes_at: datetime | None
    values: dict[str, object]


def read_edit(account: Account, invoice: StoredInvoice, params: Params) -> Edit:
    """Check an update's parameters against their limits."""
    rendering, pdf = params.within("rendering"), params.within("rendering").within("pdf")
    rendering.only("pdf")
    pdf.only("page_size")
    values: dict[str, object] = {
        "metadata": params.metadata(invoice.metadata),
        "footer": params.text("footer", invoice.footer, longest=LONGEST_FOOTER) or None,
        "description": params.text("description", invoice.description, longest=LONGEST_DESCRIPTION) or None,
        "number": params.text("number", invoice.number, longest=LONGEST_NUMBER) or None,
        "statement_descriptor": params.text("statement_descriptor", invoice.statement_descriptor, longest=22) or None,
        "collection_method": collection_of(params, invoice.collection_method),
        "days_until_due": params.integer("days_until_due", invoice.days_until_due),
        "due_at": params.moment("due_date") or invoice.due_at,
        "page_size": pdf.choice("page_size", "a4", "letter", "auto", default=invoice.page_size),
        "custom_fields": _custom_fields(params, invoice.custom_fields),
    }
    auto_advance = params.boolean("auto_advance")
    advances = invoice.auto_advance if auto_advance is None else auto_advance
    return Edit(
        auto_advance=auto_advance, finalizes_at=_finalizes_at(account, params, advances=advances), values=values
    )


def _custom_fields(params: Params, current: list[dict[str, str]] | None) -> list[dict[str, str]] | None:
    if "custom_fields" not in params:
        return current
    if params["custom_fields"] == "":
        return None
    sent = params.each("custom_fields")
    if len(sent) > MOST_CUSTOM_FIELDS:
        refuse(f"You can set at most {MOST_CUSTOM_FIELDS} custom fields", "custom_fields")
    return [{"name": one.required("name", longest=40), "value": one.required("value", longest=140)} for one in sent]


def _finalizes_at(account: Account, params: Params, *, advances: bool) -> datetime | None:
    at = params.moment("automatically_finalizes_at")
    if at is None:
        return None
    name = "automatically_finalizes_at"
    if at <= account.now():
        refuse(f"{name} must be in the future.", name)
    if at > account.now() + FARTHEST_FINALIZATION:
        refuse(f"{name} can be at most 5 years in the future.", name)
    if not advances:
        refuse(f"{name} can only be set when auto_advance is true.", name)
    return at


def apply(account: Account, invoice: StoredInvoice, edit: Edit) -> None:
    """Write a checked update onto an invoice."""
    for name, value in edit.values.items():
        setattr(invoice, name, value)
    if edit.auto_advance is not None:
        lifecycle.set_auto_advance(account, invoice, edit.auto_advance)
    if edit.finalizes_at is not None:
        invoice.finalizes_as_asked = True
        schedule(account, invoice, edit.finalizes_at)


def update_invoice(call: StripeRequest) -> Json:
    """``POST /v1/invoices/{id}``."""
    account, params = call.account, call.params
    params.only(*FIELDS)
    invoice = found(call)
    edit = read_edit(account, invoice, params)
    if invoice.status is not StoredInvoiceStatus.DRAFT:
        _refuse_frozen(invoice, params)
    before = account.show_invoice(invoice)
    apply(account, invoice, edit)
    lifecycle.tell_update(account, invoice, before)
    return account.show_invoice(invoice)


def _refuse_frozen(invoice: StoredInvoice, params: Params) -> None:
    for name in params:
        if name not in ALWAYS_EDITABLE:
            refuse_edit(name)
    if "auto_advance" in params and invoice.status is not StoredInvoiceStatus.OPEN:
        refuse_edit("auto_advance")


def create_invoice(call: StripeRequest) -> Json:
    """``POST /v1/invoices``."""
    account, params = call.account, call.params
    params.only(*FIELDS, "customer", "currency", "subscription", "pending_invoice_items_behavior")
    customer = named(account.customers, "customer", params.required("customer"), "customer")
    now = whole_second(account.now())
    invoice = StoredInvoice(
        id=account.ids.new("in"),
        created=now,
        customer=customer.id,
        currency=(params.text("currency") or "usd").lower(),
        collection_method="charge_automatically",
        billing_reason="manual",
        period_start=now,
        period_end=now,
        auto_advance=params.boolean("auto_advance") or False,
        footer=customer.footer or account.behaviour.default_footer,
    )
    if subscription_id := params.text("subscription"):
        subscription = named(account.subscriptions, "subscription", subscription_id, "subscription")
        invoice.subscription, invoice.subscription_metadata = subscription.id, dict(subscription.metadata)
    edit = read_edit(account, invoice, params)
    for name, value in edit.values.items():
        setattr(invoice, name, value)
    invoice.automatically_finalizes_at = edit.finalizes_at
    invoice.finalizes_as_asked = edit.finalizes_at is not None
    return account.show_invoice(place(account, invoice))


def get_invoice(call: StripeRequest) -> Json:
    """``GET /v1/invoices/{id}``."""
    call.params.only("expand")
    return call.account.show_invoice(found(call))


def list_invoices(call: StripeRequest) -> Json:
    """``GET /v1/invoices``."""
    account, params = call.account, call.params
    params.only(*PAGING, "status", "customer", "subscription", "collection_method", "created", "due_date")
    wanted = {
        "status": params.choice("status", *StoredInvoiceStatus),
        "customer": params.text("customer"),
        "subscription": params.text("subscription"),
        "collection_method": params.text("collection_method"),
    }
    exact = {name: value for name, value in wanted.items() if value is not None}
    created, due = time_filter(params, "created"), time_filter(params, "due_date")

    def keep(row: StoredInvoice) -> bool:
        if any(getattr(row, name) != value for name, value in exact.items()):
            return False
        return created(row.created) and ("due_date" not in params or (row.due_at is not None and due(row.due_at)))

    return page(call, account.invoices, "/v1/invoices", lambda row: show(account, row), keep)


def list_lines(call: StripeRequest) -> Json:
    """``GET /v1/invoices/{id}/lines``."""
    call.params.only(*PAGING)
    invoice = found(call)
    return page_of(call, f"/v1/invoices/{invoice.id}/lines", call.account.show_lines(invoice))


def finalize_invoice(call: StripeRequest) -> Json:
    """``POST /v1/invoices/{id}/finalize``."""
    call.params.only("auto_advance", "expand")
    invoice = found(call)
    lifecycle.finalize(call.account, invoice, auto_advance=call.params.boolean("auto_advance"))
    return call.account.show_invoice(invoice)


def pay_invoice(call: StripeRequest) -> Json:
    """``POST /v1/invoices/{id}/pay``."""
    call.params.only("paid_out_of_band", "payment_method", "source", "off_session", "expand")
    invoice = found(call)
    out_of_band = call.params.boolean("paid_out_of_band") or False
    lifecycle.pay_by_person(call.account, invoice, out_of_band=out_of_band)
    return call.account.show_invoice(invoice)


def send_invoice(call: StripeRequest) -> Json:
    """``POST /v1/invoices/{id}/send``."""
    call.params.only("expand")
    invoice = found(call)
    if invoice.collection_method != "send_invoice":
        message = "You can only manually send an invoice if its collection method is 'send_invoice'."
        refuse_state(message)
    if invoice.status is StoredInvoiceStatus.DRAFT:
        lifecycle.finalize(call.account, invoice, auto_advance=False)
    lifecycle.send(call.account, invoice)
    return call.account.show_invoice(invoice)


def delete_invoice(call: StripeRequest) -> Json:
    """``DELETE /v1/invoices/{id}``."""
    call.params.only()
    invoice = found(call)
    lifecycle.delete(call.account, invoice)
    return {"id": invoice.id, "object": "invoice", "deleted": True}


def _plain(act: Callable[[Account, StoredInvoice], None]) -> Endpoint:
    """Return an endpoint that takes nothing but the invoice."""

    def endpoint(call: StripeRequest) -> Json:
        call.params.only("expand")
        invoice = found(call)
        act(call.account, invoice)
        return call.account.show_invoice(invoice)

    return endpoint


ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", "/v1/invoices"): list_invoices,
    ("POST", "/v1/invoices"): create_invoice,
    ("GET", "/v1/invoices/{id}"): get_invoice,
    ("POST", "/v1/invoices/{id}"): update_invoice,
    ("DELETE", "/v1/invoices/{id}"): delete_invoice,
    ("GET", "/v1/invoices/{id}/lines"): list_lines,
    ("POST", "/v1/invoices/{id}/finalize"): finalize_invoice,
    ("POST", "/v1/invoices/{id}/pay"): pay_invoice,
    ("POST", "/v1/invoices/{id}/send"): send_invoice,
    ("POST", "/v1/invoices/{id}/void"): _plain(lifecycle.void),
    ("POST", "/v1/invoices/{id}/mark_uncollectible"): _plain(lifecycle.mark_uncollectible),
}
