"""Lines and invoices of kinds that only previews of Stripe's API describe, in the shape of 2026-10-14.preview.

Their form at the pinned API version is not documented (FACTS 12.1).
"""

from typing import Any, Literal

from pacspace_stripe.simulator.stripe.ids import digits

Json = dict[str, Any]
PreviewKind = Literal["rate_card", "license_fee"]


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
