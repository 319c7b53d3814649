"""Stripe's objects, as far as the gate knows them: invoices, line items, prices, meters, subscriptions. Values only.

One class per enumeration that decides what is compared or done. A word that is not listed reads as UNKNOWN: the gate
holds and names it, and never takes it for the absence of something. NONE is null at Stripe; no word of Stripe's reads
as it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from enum import StrEnum

from pacspace_stripe.vocabulary.windows import Window


class StripeKind(StrEnum):
    """A list of Stripe's words; every other word reads as UNKNOWN."""

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


GIVEN_UP = (InvoiceStatus.VOID, InvoiceStatus.UNCOLLECTIBLE)
"""Statuses of an invoice for which nothing is collected any more: a person decided so."""


class CollectionMethod(StripeKind):
    """Stripe's ``invoice.collection_method``."""

    CHARGE_AUTOMATICALLY = "charge_automatically"
    SEND_INVOICE = "send_invoice"
    UNKNOWN = "unknown"


class BillingReason(StripeKind):
    """Stripe's ``invoice.billing_reason``: the cause for which an invoice was made."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A Stripe billing meter. Its ``event_name`` is the meter's name everywhere in this package."""

    meter_id: str
    event_name: str
    display_name: str
    """Stripe's name for people when the meter was read; it may change."""
    formula: Formula
    event_time_window: EventTimeWindow = EventTimeWindow.NONE
    status: MeterStatus = MeterStatus.ACTIVE
    unknown: tuple[str, ...] = ()
    """Unknown kinds, as ``field=word``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One step of a tiered price; amounts are in minor units of its currency and may have a fraction."""

    up_to: Decimal | None
    """None for the last tier, which has no end."""
    unit_amount: Decimal
    flat_amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A price's ``transform_quantity``. Stripe does not document whether a line shows units or packages (FACTS 4.4)."""

    size: Decimal
    round_up: bool

    def count(self, quantity: Decimal) -> Decimal:
        """Return the number of packages of a quantity."""
        rounding = ROUND_CEILING if self.round_up else ROUND_FLOOR
        with localcontext() as context:
            context.prec = 60
            return (quantity / self.size).to_integral_value(rounding)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A Stripe price, as far as it decides whether a line's quantity is raw usage."""

    price_id: str
    usage_type: UsageType
    meter_id: str | None
    tiered: bool
    package: Package | None = None
    tiers: tuple[Tier, ...] = ()
    """Empty if the price is not tiered."""
    unknown: tuple[str, ...] = ()
    """Unknown kinds, as ``field=word``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineItem:
    """One invoice line item. ``quantity`` is exact (``quantity_decimal``), in the meter's unit."""

    line_id: str
    price_id: str | None
    subscription_id: str | None
    proration: bool
    quantity: Decimal | None
    window: Window | None
    """The line's own period; None if Stripe's start and end are equal (one-off items)."""
    item_id: str | None = None
    """The subscription item that it bills."""
    amount: int | None = None
    """Minor units of the invoice's currency. It only shows which line is a tier's flat fee, and is never compared."""
    parent: LineParent = LineParent.NONE
    """Object that generated the line."""
    unknown: tuple[str, ...] = ()
    """Unknown kinds, as ``field=word``: such a line may bill usage."""
    product_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The invoice item's own metadata; a line of a subscription shows the subscription's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionState:
    """A subscription, as far as it decides whether an invoice of it may be released."""

    subscription_id: str
    status: SubscriptionStatus
    status_text: str
    """Stripe's own word for the status."""
    paused: bool
    """True if ``pause_collection`` is set."""
    canceled_at: datetime | None
    """Time at which the cancellation was requested, not at which it took effect."""
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TestClock:
    """A Stripe test clock; its time counts for the objects that belong to it (FACTS 12.12)."""

    clock_id: str
    frozen_at: datetime | None
    """None if the clock itself could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """A Stripe invoice with all its line items, as just read at the pinned API version."""

    invoice_id: str
    customer_id: str
    customer_name: str | None
    subscription_id: str | None
    status: InvoiceStatus
    auto_advance: bool
    automatically_finalizes_at: datetime | None
    created_at: datetime
    finalized_at: datetime | None
    billing_reason: BillingReason
    collection_method: CollectionMethod
    currency: str
    number: str | None
    footer: str | None
    metadata: Mapping[str, str]
    subscription_metadata: Mapping[str, str]
    livemode: bool
    attempted: bool
    attempt_count: int
    amount_due: int
    """Minor units of ``currency``."""
    finalization_error: str | None
    """Stripe's ``last_finalization_error.code``, or its type."""
    line_items: tuple[LineItem, ...]
    unknown: tuple[str, ...] = ()
    """Unknown kinds of the invoice itself, as ``field=word``: it may bill usage on any of its lines."""
    account_name: str | None = None
    """The vendor's public name, as the invoice shows it."""
    subscriptions: tuple[SubscriptionState, ...] | None = None
    """The subscriptions that it bills, as read with it; None if they were not read, or could not be."""
    customer_deleted: bool | None = None
    """None if Stripe was not asked: a deletion cancels the customer's subscriptions, so their invoices need no read."""
    test_clock: TestClock | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedInvoice:
    """One row of a list of invoices."""

    invoice_id: str
    invoice: Invoice | None
    """None if this one cannot be read; that hides no other."""
    complete: bool
    """True if all its lines are there: a list shows only the first ones (FACTS 4.4.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoicePage:
    """One page of a list of invoices, newest first."""

    rows: tuple[ListedInvoice, ...]
    has_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionItem:
    """An item of a subscription with its current period."""

    item_id: str
    price: Price
    window: Window | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A Stripe subscription, as far as the early warning needs it."""

    subscription_id: str
    customer_id: str
    status: SubscriptionStatus
    collection_method: CollectionMethod
    paused: bool
    """True if ``pause_collection`` is set: its invoices are made, and nothing is collected for them."""
    metadata: Mapping[str, str]
    livemode: bool
    items: tuple[SubscriptionItem, ...]
