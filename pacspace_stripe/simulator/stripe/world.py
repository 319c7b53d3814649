"""The objects of the simulated Stripe account as values, in tables that list newest first."""

from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal

Collection = Literal["charge_automatically", "send_invoice"]
Formula = Literal["sum", "count", "last"]

PreviewKind = Literal["rate_card", "license_fee"]


class Interval(StrEnum):
    """Recurrence of a price."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class StoredInvoiceStatus(StrEnum):
    """Status of an invoice."""

    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"


def unix(at: datetime) -> int:
    """Return whole Unix seconds, as Stripe writes every time."""
    return int(at.timestamp())


def take_over(target: object, source: object) -> None:
    """Copy the fields of a changed copy to ``target``: an update that fails half-way leaves no trace."""
    for field_of in fields(target):  # type: ignore[arg-type]
        setattr(target, field_of.name, getattr(source, field_of.name))


def whole_second(at: datetime) -> datetime:
    """Return ``at`` without its fraction."""
    return at.astimezone(UTC).replace(microsecond=0)


@dataclass(slots=True, kw_only=True)
class StoredCustomer:
    """A customer."""

    id: str
    created: datetime
    name: str | None = None
    email: str | None = None
    description: str | None = None
    phone: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    footer: str | None = None
    invoices_numbered: int = 0
    deleted: bool = False
    test_clock: str | None = None
    credit: int = 0  # what the next finalized invoices take from its balance, in minor units


@dataclass(slots=True, kw_only=True)
class Product:
    """The product of a price."""

    id: str
    created: datetime
    name: str
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class StoredMeter:
    """A meter, which turns meter events into one figure per customer and period."""

    id: str
    created: datetime
    event_name: str
    display_name: str
    formula: Formula = "sum"
    event_time_window: Literal["hour", "day"] | None = None
    customer_key: str = "stripe_customer_id"
    value_key: str = "value"
    status: Literal["active", "inactive"] = "active"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTier:
    """One step of a tiered price; ``up_to`` None is without end. Amounts are in minor currency units."""

    up_to: int | None
    unit_amount: Decimal = Decimal(0)
    flat_amount: Decimal = Decimal(0)


@dataclass(slots=True, kw_only=True)
class StoredPrice:
    """An amount and its recurrence. ``unit_amount`` is in minor currency units and may have a fraction."""

    id: str
    created: datetime
    product: str
    currency: str = "usd"
    unit_amount: Decimal | None = None
    interval: Interval | None = Interval.MONTH
    interval_count: int = 1
    meter: str | None = None
    tiers: tuple[StoredTier, ...] = ()
    tiers_mode: Literal["graduated", "volume"] | None = None
    package_size: int | None = None
    package_round: Literal["up", "down"] = "up"
    nickname: str | None = None
    lookup_key: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def metered(self) -> bool:
        return self.meter is not None


@dataclass(slots=True, kw_only=True)
class Item:
    """One price on a subscription, with its own current period."""

    id: str
    created: datetime
    price: str
    quantity: int | None
    period_start: datetime
    period_end: datetime
    metadata: dict[str, str] = field(default_factory=dict)
    splits: list[datetime] = field(default_factory=list)
    """Moments inside the period at which usage starts a new line, as a mid-period change does."""
    was: list[tuple[datetime, str]] = field(default_factory=list)
    """Earlier prices in this period, each with the time until which it held; oldest first."""
    billed_until: datetime | None = None
    """Time up to which an invoice inside the period, such as a threshold's, has billed the usage already."""

    def price_at(self, at: datetime) -> str:
        """Return its price at a time inside the period."""
        return next((price for until, price in self.was if at < until), self.price)


@dataclass(slots=True, kw_only=True)
class StoredSubscription:
    """A subscription."""

    id: str
    created: datetime
    customer: str
    items: list[Item]
    anchor: datetime
    collection_method: Collection = "charge_automatically"
    days_until_due: int | None = None
    status: Literal["active", "canceled", "unpaid"] = "active"
    billing_mode: Literal["flexible", "classic"] = "flexible"
    metadata: dict[str, str] = field(default_factory=dict)
    footer: str | None = None
    description: str | None = None
    pause_behavior: str | None = None
    cancel_at_period_end: bool = False
    canceled_at: datetime | None = None  # when the cancellation was asked for …
    ended_at: datetime | None = None  # … and when it took effect
    latest_invoice: str | None = None
    upcoming_sent_for: datetime | None = None
    trial_end: datetime | None = None
    """End of the trial, before which nothing costs anything."""
    pending: list["Line"] = field(default_factory=list)
    """Lines of items that a change inside the period ended; the next invoice bills them."""

    @property
    def period_start(self) -> datetime:
        return min(item.period_start for item in self.items)

    @property
    def period_end(self) -> datetime:
        return min(item.period_end for item in self.items)


@dataclass(slots=True, kw_only=True)
class Line:
    """One line of an invoice: a tier of an item, an item, or a one-off amount."""

    id: str
    description: str
    period_start: datetime
    period_end: datetime
    amount: int = 0
    quantity: Decimal | None = None
    price: str | None = None
    subscription: str | None = None
    item: str | None = None
    tier: int | None = None
    proration: bool = False
    metered: bool = False
    flat: bool = False  # the fixed part of a tier
    free: bool = False
    """True for a trial's line, which has its quantity and costs nothing."""
    kind: PreviewKind | None = None
    """Kind that generated it, if that is none of the pinned API version."""
    counts_from: datetime | None = None
    """Start of the usage that it bills."""
    counts_to: datetime | None = None
    """End of the usage that it bills."""
    already: Decimal = Decimal(0)
    """Usage in that time that earlier invoices of the period billed, which is subtracted."""
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class StoredInvoice:
    """An invoice from draft to its end. Amounts are in minor currency units."""

    id: str
    created: datetime
    customer: str
    currency: str
    collection_method: Collection
    billing_reason: str
    period_start: datetime
    period_end: datetime
    auto_advance: bool
    subscription: str | None = None
    subscription_metadata: dict[str, str] = field(default_factory=dict)
    days_until_due: int | None = None
    lines: list[Line] = field(default_factory=list)
    status: StoredInvoiceStatus = StoredInvoiceStatus.DRAFT
    automatically_finalizes_at: datetime | None = None
    finalizes_as_asked: bool = False  # by a person or program: webhook failures do not delay it
    metadata: dict[str, str] = field(default_factory=dict)
    footer: str | None = None
    description: str | None = None
    custom_fields: list[dict[str, str]] | None = None
    statement_descriptor: str | None = None
    page_size: str | None = None
    number: str | None = None
    finalization_error: dict[str, str] | None = None
    due_at: datetime | None = None
    next_payment_at: datetime | None = None
    attempt_count: int = 0
    mailed: bool = False
    paid_amount: int = 0
    from_balance: int = 0  # paid by the customer's credit, at finalization
    credited_before: int = 0  # by credit notes, before it was paid
    credited_after: int = 0
    finalized_at: datetime | None = None
    paid_at: datetime | None = None
    voided_at: datetime | None = None
    uncollectible_at: datetime | None = None
    webhooks_delivered_at: datetime | None = None
    by_cadence: bool = False
    """True if a billing cadence generated it, which is no kind of the pinned API version."""

    @property
    def total(self) -> int:
        return sum(line.amount for line in self.lines)

    @property
    def due(self) -> int:
        return max(self.total - self.from_balance - self.credited_before, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterEvent:
    """One report of usage, counted from ``visible_at`` on."""

    identifier: str
    event_name: str
    customer: str
    value: Decimal
    at: datetime
    created: datetime
    visible_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A charge, which is the cost of a wrong release. Minor currency units."""

    at: datetime
    invoice: str
    customer: str
    amount: int
    currency: str
    by_person: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """An invoice that Stripe sent to its customer."""

    at: datetime
    invoice: str
    customer: str
