"""Customers, products, prices, meters and subscriptions as JSON, in the shape of API version 2026-10-28.endive."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from pacspace_stripe.simulator.stripe.money import written
from pacspace_stripe.simulator.stripe.world import (
    Item,
    MeterEvent,
    Product,
    StoredCustomer,
    StoredMeter,
    StoredPrice,
    StoredSubscription,
    StoredTier,
    unix,
)

Json = dict[str, Any]


def maybe_unix(at: datetime | None) -> int | None:
    """Return Unix seconds, or null."""
    return None if at is None else unix(at)


def listing(url: str, data: list[Json], *, has_more: bool = False) -> Json:
    """Return a Stripe list object."""
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def customer_json(customer: StoredCustomer) -> Json:
    """Return a customer, or the remains of a deleted one."""
    if customer.deleted:
        return {"id": customer.id, "object": "customer", "deleted": True}
    return {
        "id": customer.id,
        "object": "customer",
        "address": None,
        "balance": -customer.credit,
        "created": unix(customer.created),
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": customer.description,
        "discount": None,
        "email": customer.email,
        "invoice_prefix": invoice_prefix(customer),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": customer.footer,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": dict(customer.metadata),
        "name": customer.name,
        "next_invoice_sequence": customer.invoices_numbered + 1,
        "phone": customer.phone,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": customer.test_clock,
    }


def invoice_prefix(customer: StoredCustomer) -> str:
    """Return the letters that an invoice number starts with."""
    return customer.id.removeprefix("cus_")[:8].upper()


def product_json(product: Product) -> Json:
    """Return a product."""
    return {
        "id": product.id,
        "object": "product",
        "active": True,
        "created": unix(product.created),
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": dict(product.metadata),
        "name": product.name,
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "unit_label": None,
        "updated": unix(product.created),
        "url": None,
    }


def meter_json(meter: StoredMeter) -> Json:
    """Return a billing meter."""
    return {
        "id": meter.id,
        "object": "billing.meter",
        "created": unix(meter.created),
        "customer_mapping": {"event_payload_key": meter.customer_key, "type": "by_id"},
        "default_aggregation": {"formula": meter.formula},
        "display_name": meter.display_name,
        "event_name": meter.event_name,
        "event_time_window": meter.event_time_window,
        "livemode": False,
        "status": meter.status,
        "status_transitions": {"deactivated_at": None},
        "updated": unix(meter.created),
        "value_settings": {"event_payload_key": meter.value_key},
    }


def meter_event_json(event: MeterEvent, payload: dict[str, str]) -> Json:
    """Return a meter event as it was accepted, which does not say that it was counted."""
    return {
        "object": "billing.meter_event",
        "created": unix(event.created),
        "event_name": event.event_name,
        "identifier": event.identifier,
        "livemode": False,
        "payload": payload,
        "timestamp": unix(event.at),
    }


def _whole(amount: Decimal | None) -> int | None:
    return int(amount) if amount is not None and amount == amount.to_integral_value() else None


def _tier_json(tier: StoredTier) -> Json:
    return {
        "flat_amount": _whole(tier.flat_amount) if tier.flat_amount else None,
        "flat_amount_decimal": written(tier.flat_amount) if tier.flat_amount else None,
        "unit_amount": _whole(tier.unit_amount),
        "unit_amount_decimal": written(tier.unit_amount),
        "up_to": tier.up_to,
    }


def tiers_json(price: StoredPrice) -> list[Json]:
    """Return a price's tiers, which are sent only when expanded."""
    return [_tier_json(tier) for tier in price.tiers]


def _recurring_json(price: StoredPrice) -> Json | None:
    if price.interval is None:
        return None
    return {
        "interval": str(price.interval),
        "interval_count": price.interval_count,
        "meter": price.meter,
        "usage_type": "metered" if price.metered else "licensed",
    }


def price_json(price: StoredPrice) -> Json:
    """Return a price, without its tiers."""
    package = {"divide_by": price.package_size, "round": price.package_round} if price.package_size else None
    return {
        "id": price.id,
        "object": "price",
        "active": True,
        "billing_scheme": "tiered" if price.tiers_mode else "per_unit",
        "created": unix(price.created),
        "currency": price.currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": price.lookup_key,
        "metadata": dict(price.metadata),
        "nickname": price.nickname,
        "product": price.product,
        "recurring": _recurring_json(price),
        "tax_behavior": "unspecified",
        "tiers_mode": price.tiers_mode,
        "transform_quantity": package,
        "type": "recurring" if price.interval else "one_time",
        "unit_amount": _whole(price.unit_amount),
        "unit_amount_decimal": None if price.unit_amount is None else written(price.unit_amount),
    }


def item_json(item: Item, subscription: str, price: StoredPrice) -> Json:
    """Return a subscription item, which carries the current period since 2025-03-31."""
    shown: Json = {
        "id": item.id,
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": unix(item.created),
        "current_period_end": unix(item.period_end),
        "current_period_start": unix(item.period_start),
        "discounts": [],
        "metadata": dict(item.metadata),
        "price": price_json(price),
        "subscription": subscription,
        "tax_rates": [],
    }
    return shown if price.metered else shown | {"quantity": item.quantity or 1}


EMBEDDED_ITEMS = 20
"""Number of items on the subscription itself; the rest has to be paged."""


def subscription_json(subscription: StoredSubscription, items: list[Json], currency: str) -> Json:
    """Return a subscription with its first items; ``items`` are all of them."""
    pause = {"behavior": subscription.pause_behavior, "resumes_at": None} if subscription.pause_behavior else None
    return {
        "id": subscription.id,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": unix(subscription.anchor),
        "billing_cycle_anchor_config": None,
        "billing_mode": {"flexible": None, "type": subscription.billing_mode},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": subscription.cancel_at_period_end,
        "canceled_at": maybe_unix(subscription.canceled_at),
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": subscription.collection_method,
        "created": unix(subscription.created),
        "currency": currency,
        "customer": subscription.customer,
        "customer_account": None,
        "days_until_due": subscription.days_until_due,
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": subscription.description,
        "discounts": [],
        "ended_at": maybe_unix(subscription.ended_at),
        "invoice_settings": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": subscription.footer,
            "issuer": {"type": "self"},
        },
        "items": listing(
            f"/v1/subscription_items?subscription={subscription.id}",
            items[:EMBEDDED_ITEMS],
            has_more=len(items) > EMBEDDED_ITEMS,
        ),
        "latest_invoice": subscription.latest_invoice,
        "livemode": False,
        "metadata": dict(subscription.metadata),
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": pause,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": unix(subscription.created),
        "status": subscription.status,
        "status_details": None,
        "test_clock": None,
        "transfer_data": None,
        "trial_end": maybe_unix(subscription.trial_end),
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": unix(subscription.created) if subscription.trial_end else None,
    }
