"""Invoices and their lines as JSON, in today's shape and in the one before 2025-03-31.basil."""

from copy import deepcopy

from pacspace_stripe.simulator.stripe.money import written
from pacspace_stripe.simulator.stripe.shapes import Json, listing, maybe_unix
from pacspace_stripe.simulator.stripe.tables import digits
from pacspace_stripe.simulator.stripe.world import (
    Line,
    PreviewKind,
    StoredCustomer,
    StoredInvoice,
    StoredInvoiceStatus,
    StoredPrice,
    unix,
)

EMBEDDED_LINES = 10
"""Number of lines on the invoice itself; the rest has to be paged."""


def line_json(line: Line, invoice: StoredInvoice, price: StoredPrice | None) -> Json:
    """Return an invoice line item."""
    return {
        "id": line.id,
        "object": "line_item",
        "amount": line.amount,
        "currency": invoice.currency,
        "description": line.description,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice.id,
        "livemode": False,
        "metadata": dict(line.metadata),
        "parent": _line_parent(line),
        "period": {"end": unix(line.period_end), "start": unix(line.period_start)},
        "pretax_credit_amounts": [],
        "pricing": _pricing(line, price),
        "quantity": None if line.quantity is None else int(line.quantity),
        "quantity_decimal": None if line.quantity is None else written(line.quantity),
        "subscription": line.subscription,
        "subtotal": line.amount,
        "taxes": [],
    }


def _line_parent(line: Line) -> Json:
    if line.kind is not None:
        return line_parent(line.kind, line.id)
    if line.item is None:
        return {
            "invoice_item_details": {
                "invoice_item": f"ii_{digits(line.id)}",
                "proration": line.proration,
                "proration_details": None,
                "subscription": line.subscription,
            },
            "subscription_item_details": None,
            "type": "invoice_item_details",
        }
    return {
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": None,
            "proration": line.proration,
            "proration_details": {"credited_items": None} if line.proration else None,
            "subscription": line.subscription,
            "subscription_item": line.item,
        },
        "type": "subscription_item_details",
    }


def _pricing(line: Line, price: StoredPrice | None) -> Json | None:
    if line.kind is not None:
        return line_pricing(line.kind, line.id)
    if price is None:
        return None
    unit = price.unit_amount
    if price.tiers and line.tier is not None:
        unit = price.tiers[line.tier].unit_amount
    return {
        "price_details": {"price": price.id, "product": price.product},
        "type": "price_details",
        "unit_amount_decimal": None if unit is None else written(unit),
    }


def page_secret(invoice: StoredInvoice) -> str:
    """Return the secret part of an invoice's links."""
    return f"test_{digits(f'{invoice.id}:hosted', 40)}"


def invoice_json(
    invoice: StoredInvoice,
    customer: StoredCustomer,
    lines: list[Json],
    account: str,
    account_name: str,
    *,
    pages_url: str,
) -> Json:
    """Return an invoice with its first lines; ``lines`` are all of them. Its PDF is below ``pages_url``."""
    total = invoice.total
    due = invoice.due
    finalized = invoice.status is not StoredInvoiceStatus.DRAFT
    secret = page_secret(invoice)
    page = f"https://invoice.stripe.com/i/{account}/{secret}"
    embedded = listing(f"/v1/invoices/{invoice.id}/lines", lines[:EMBEDDED_LINES], has_more=len(lines) > EMBEDDED_LINES)
    return {
        "id": invoice.id,
        "object": "invoice",
        "account_country": "US",
        "account_name": account_name,
        "account_tax_ids": None,
        "amount_due": due,
        "amount_overpaid": 0,
        "amount_paid": invoice.paid_amount,
        "amount_paid_off_stripe": 0,
        "amount_remaining": due - invoice.paid_amount,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": invoice.attempt_count,
        "attempted": invoice.attempt_count > 0 or invoice.status is StoredInvoiceStatus.PAID,
        "auto_advance": invoice.auto_advance,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": maybe_unix(invoice.automatically_finalizes_at),
        "billing_reason": invoice.billing_reason,
        "collection_method": invoice.collection_method,
        "created": unix(invoice.created),
        "currency": invoice.currency,
        "custom_fields": invoice.custom_fields,
        "customer": invoice.customer,
        "customer_account": None,
        "customer_address": None,
        "customer_email": customer.email,
        "customer_name": customer.name,
        "customer_phone": customer.phone,
        "customer_shipping": None,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": invoice.description,
        "discounts": [],
        "due_date": maybe_unix(invoice.due_at),
        "effective_at": maybe_unix(invoice.finalized_at),
        "ending_balance": -customer.credit if finalized else None,
        "footer": invoice.footer,
        "from_invoice": None,
        "hosted_invoice_url": f"{page}?s=ap" if finalized else None,
        "invoice_pdf": f"{pages_url}/invoice/{account}/{secret}/pdf?s=ap" if finalized else None,
        "issuer": {"type": "self"},
        "last_finalization_error": invoice.finalization_error,
        "latest_revision": None,
        "lines": embedded,
        "livemode": False,
        "metadata": dict(invoice.metadata),
        "next_payment_attempt": _next_attempt(invoice),
        "number": invoice.number,
        "on_behalf_of": None,
        "parent": _parent(invoice),
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": unix(invoice.period_end),
        "period_start": unix(invoice.period_start),
        "post_payment_credit_notes_amount": invoice.credited_after,
        "pre_payment_credit_notes_amount": invoice.credited_before,
        "receipt_number": None,
        "rendering": _rendering(invoice),
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": -invoice.from_balance if finalized else -customer.credit,
        "statement_descriptor": invoice.statement_descriptor,
        "status": str(invoice.status),
        "status_details": None,
        "status_transitions": {
            "finalized_at": maybe_unix(invoice.finalized_at),
            "marked_uncollectible_at": maybe_unix(invoice.uncollectible_at),
            "paid_at": maybe_unix(invoice.paid_at),
            "voided_at": maybe_unix(invoice.voided_at),
        },
        "subtotal": total,
        "subtotal_excluding_tax": total,
        "test_clock": customer.test_clock,
        "total": total,
        "total_discount_amounts": [],
        "total_excluding_tax": total,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": maybe_unix(invoice.webhooks_delivered_at),
    }


def _next_attempt(invoice: StoredInvoice) -> int | None:
    if invoice.collection_method == "send_invoice" or not invoice.auto_advance:
        return None
    return maybe_unix(invoice.automatically_finalizes_at or invoice.next_payment_at)


def _rendering(invoice: StoredInvoice) -> Json | None:
    if invoice.page_size is None:
        return None
    return {
        "amount_tax_display": None,
        "pdf": {"page_size": invoice.page_size},
        "template": None,
        "template_version": None,
    }


def _parent(invoice: StoredInvoice) -> Json | None:
    if invoice.by_cadence:
        return cadence_parent(invoice.id)
    if invoice.subscription is None:
        return None
    return {
        "quote_details": None,
        "subscription_details": {
            "metadata": dict(invoice.subscription_metadata),
            "subscription": invoice.subscription,
        },
        "type": "subscription_details",
    }


def before_basil(invoice: Json) -> Json:
    """Return an invoice as API versions before 2025-03-31 send it, without ``parent`` and ``pricing``."""
    old = deepcopy(invoice)
    details = (old.pop("parent", None) or {}).get("subscription_details") or {}
    old["subscription"] = details.get("subscription")
    old["subscription_details"] = {"metadata": details.get("metadata")}
    old["paid"] = old["status"] == "paid"
    old["charge"] = old["payment_intent"] = old["quote"] = old["tax"] = None
    for name in ("amount_overpaid", "amount_paid_off_stripe", "customer_account", "status_details", "total_taxes"):
        old.pop(name, None)
    old["lines"]["data"] = [_line_before_basil(line) for line in old["lines"]["data"]]
    return old


def _line_before_basil(line: Json) -> Json:
    parent = line.pop("parent") or {}
    pricing = line.pop("pricing") or {}
    details = parent.get("subscription_item_details") or parent.get("invoice_item_details") or {}
    price = (pricing.get("price_details") or {}).get("price")
    for name in ("quantity_decimal", "subtotal", "taxes"):
        line.pop(name, None)
    line["type"] = "subscription" if parent.get("subscription_item_details") else "invoiceitem"
    line["proration"] = details.get("proration", False)
    line["subscription"] = details.get("subscription")
    line["plan"] = None
    line["price"] = {"id": price, "object": "price"} if price else None
    line["tax_amounts"] = []
    if "subscription_item" in details:
        line["subscription_item"] = details["subscription_item"]
    return line


# Kinds that only previews of the API describe; their form at the pinned version is not documented (FACTS 12.1).


def line_parent(kind: PreviewKind, line_id: str) -> Json:
    """Return ``parent`` of a line that a rate card, or a license fee of a pricing plan, generated."""
    number = digits(line_id)
    plan = {"pricing_plan_subscription": f"ppsub_{number}", "pricing_plan_version": f"ppv_{number}"}
    shared: Json = {"invoice_item_details": None, "subscription_item_details": None}
    if kind == "rate_card":
        details = {"rate_card_subscription": f"rcsub_{number}", "rate_card_version": f"rcv_{number}"}
        return shared | {
            "rate_card_subscription_details": {"invoice_item": f"ii_{number}", **plan, **details},
            "type": "rate_card_subscription_details",
        }
    details = {"license_fee_subscription": f"lfsub_{number}", "license_fee_version": f"lfv_{number}"}
    return shared | {
        "license_fee_subscription_details": {"invoice_item": f"ii_{number}", **plan, **details},
        "type": "pricing_plan_subscription_details",
    }


def line_pricing(kind: PreviewKind, line_id: str) -> Json:
    """Return ``pricing`` of such a line."""
    number = digits(line_id)
    if kind == "rate_card":
        details = {"metered_item": f"mi_{number}", "rate_card": f"rc_{number}", "rate_card_rate": f"rcr_{number}"}
        return {"rate_card_rate_details": details, "type": "rate_card_rate_details", "unit_amount_decimal": None}
    details = {"license_fee": f"lf_{number}", "license_fee_version": f"lfv_{number}", "licensed_item": f"li_{number}"}
    return {"license_fee_details": details, "type": "license_fee_details", "unit_amount_decimal": None}


def cadence_parent(invoice_id: str) -> Json:
    """Return ``parent`` of an invoice that a billing cadence generated."""
    return {
        "billing_cadence_details": {"billing_cadence": f"bc_{digits(invoice_id)}"},
        "quote_details": None,
        "subscription_details": None,
        "type": "billing_cadence_details",
    }
