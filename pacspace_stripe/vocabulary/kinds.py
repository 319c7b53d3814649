"""Stripe's enumerations, as far as they decide what is compared or what is done.

A word that is not listed reads as UNKNOWN: it is held and named, and never taken for the absence of something. NONE is
null at Stripe, and no word of Stripe's reads as it.
"""

from enum import StrEnum


class StripeKind(StrEnum):
    """A list of Stripe's words with UNKNOWN for every other one."""

    @classmethod
    def _missing_(cls, value: object) -> "StripeKind":
        return cls["UNKNOWN"]


class InvoiceStatus(StripeKind):
    """Stripe's ``invoice.status``."""

    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"
    UNKNOWN = "unknown"


class CollectionMethod(StripeKind):
    """Stripe's ``invoice.collection_method``."""

    CHARGE_AUTOMATICALLY = "charge_automatically"
    SEND_INVOICE = "send_invoice"
    UNKNOWN = "unknown"


class BillingReason(StripeKind):
    """Stripe's ``invoice.billing_reason``: why an invoice was made."""

    AUTOMATIC_PENDING_INVOICE_ITEM_INVOICE = "automatic_pending_invoice_item_invoice"
    MANUAL = "manual"
    QUOTE_ACCEPT = "quote_accept"
    SUBSCRIPTION = "subscription"
    SUBSCRIPTION_CREATE = "subscription_create"
    SUBSCRIPTION_CYCLE = "subscription_cycle"
    SUBSCRIPTION_THRESHOLD = "subscription_threshold"
    SUBSCRIPTION_UPDATE = "subscription_update"
    UPCOMING = "upcoming"
    NONE = ""
    UNKNOWN = "unknown"


class InvoiceParent(StripeKind):
    """Stripe's ``invoice.parent.type``: what generated an invoice."""

    SUBSCRIPTION = "subscription_details"
    QUOTE = "quote_details"
    UNKNOWN = "unknown"


class LineParent(StripeKind):
    """Stripe's ``line_item.parent.type``: what generated a line. Rate cards and pricing plans are not among them."""

    SUBSCRIPTION_ITEM = "subscription_item_details"
    INVOICE_ITEM = "invoice_item_details"
    NONE = ""
    UNKNOWN = "unknown"


class LinePricing(StripeKind):
    """Stripe's ``line_item.pricing.type``."""

    PRICE = "price_details"
    UNKNOWN = "unknown"


class PriceType(StripeKind):
    """Stripe's ``price.type``."""

    ONE_TIME = "one_time"
    RECURRING = "recurring"
    UNKNOWN = "unknown"


class UsageType(StripeKind):
    """Stripe's ``price.recurring.usage_type``; NONE for one-off prices, which have no usage."""

    METERED = "metered"
    LICENSED = "licensed"
    NONE = ""
    UNKNOWN = "unknown"


class BillingScheme(StripeKind):
    """Stripe's ``price.billing_scheme``."""

    PER_UNIT = "per_unit"
    TIERED = "tiered"
    UNKNOWN = "unknown"


class TiersMode(StripeKind):
    """Stripe's ``price.tiers_mode``."""

    GRADUATED = "graduated"
    VOLUME = "volume"
    UNKNOWN = "unknown"


class Rounding(StripeKind):
    """Stripe's ``price.transform_quantity.round``."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


class Formula(StripeKind):
    """Stripe's ``meter.default_aggregation.formula``."""

    SUM = "sum"
    COUNT = "count"
    LAST = "last"
    UNKNOWN = "unknown"


class EventTimeWindow(StripeKind):
    """Stripe's ``meter.event_time_window``: only the newest event of each hour or day counts (FACTS 12.10)."""

    HOUR = "hour"
    DAY = "day"
    NONE = ""
    UNKNOWN = "unknown"


class MeterStatus(StripeKind):
    """Stripe's ``meter.status``. An inactive meter takes no events; what it has counted is billed all the same."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    UNKNOWN = "unknown"


class SubscriptionStatus(StripeKind):
    """Stripe's ``subscription.status``."""

    INCOMPLETE = "incomplete"
    INCOMPLETE_EXPIRED = "incomplete_expired"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    CANCELED = "canceled"
    UNPAID = "unpaid"
    PAUSED = "paused"
    UNKNOWN = "unknown"
