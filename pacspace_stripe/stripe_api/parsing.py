"""Stripe's JSON at the pinned version as our values. Pure; a malformed answer is UnexpectedAnswer, naming the field.

Fields that decide something must be present, even if null: a line whose ``pricing`` went missing would otherwise pass
for one without usage. A kind that is not listed in ``vocabulary.invoices`` is kept by name in ``unknown``: null means
that there is nothing, an unknown kind that we cannot know what there is.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from pacspace_stripe.errors import UnexpectedAnswer
from pacspace_stripe.http.answers import Fields
from pacspace_stripe.stripe_api.calls import STRIPE
from pacspace_stripe.vocabulary.invoices import (
    BillingReason,
    BillingScheme,
    CollectionMethod,
    EventTimeWindow,
    Formula,
    Invoice,
    InvoiceParent,
    InvoiceStatus,
    LineItem,
    LineParent,
    LinePricing,
    Meter,
    MeterStatus,
    Package,
    Price,
    PriceType,
    Rounding,
    StripeKind,
    Subscription,
    SubscriptionItem,
    SubscriptionState,
    SubscriptionStatus,
    TestClock,
    Tier,
    TiersMode,
    UsageType,
)
from pacspace_stripe.vocabulary.windows import Window

Kind = TypeVar("Kind", bound=StripeKind)
Value = TypeVar("Value")
_NO_CURRENCY = "xxx"
"""ISO 4217's code for none."""


def kind_of(kinds: type[Kind], found: Fields, name: str, unknown: list[str], where: str = "") -> Kind:
    """Return the kind that a field names; one that is not listed is added to ``unknown``, as ``where.name=word``."""
    word = found.text(name)
    kind = kinds(word)
    if kind is kinds["UNKNOWN"]:
        unknown.append(f"{where}{name}={word}")
    return kind


def stripe_object(data: object, kind: str) -> Fields:
    """Return a JSON object that must be a ``kind``, with its id in errors. Raises UnexpectedAnswer for another kind."""
    found = Fields(STRIPE, kind, data)
    if found.text("object") != kind:
        found.reject("object", f"is not {kind}")
    return Fields(STRIPE, f"{kind} {found.text('id')}", data)


def invoice_from_stripe(data: object, *, line_items: Iterable[object] | None = None) -> Invoice:
    """Read an invoice with ``line_items`` as its lines, or else with those embedded in it (maybe only the first).

    A part that cannot be read makes it of an unknown kind. Raises UnexpectedAnswer only for what a hold needs: the id,
    status, time, mode, ``auto_advance``, and the metadata and footer that a write must keep.
    """
    invoice = stripe_object(data, "invoice")
    unknown: list[str] = []

    def read(name: str, of: Callable[[str], Value], otherwise: Value) -> Value:
        return _read_or_unknown(lambda: of(name), unknown, name, otherwise)

    parent = read("parent", lambda _: _parent(invoice, unknown), _Parent())
    return Invoice(
        invoice_id=invoice.text("id"),
        customer_id=read("customer", lambda _: _customer_id(invoice), ""),
        customer_name=read("customer_name", invoice.optional_text, None),
        account_name=read("account_name", invoice.optional_text, None),
        subscription_id=parent.subscription_id,
        status=InvoiceStatus(invoice.nullable_text("status") or "unknown"),
        auto_advance=invoice.flag("auto_advance"),
        automatically_finalizes_at=read("automatically_finalizes_at", invoice.optional_at, None),
        created_at=invoice.at("created"),
        finalized_at=read("status_transitions", lambda name: invoice.fields(name).optional_at("finalized_at"), None),
        billing_reason=read(
            "billing_reason",
            lambda name: BillingReason(invoice.optional_text(name) or BillingReason.NONE),
            BillingReason.UNKNOWN,
        ),
        collection_method=CollectionMethod(read("collection_method", invoice.text, "unknown")),
        currency=read("currency", invoice.text, _NO_CURRENCY),
        number=read("number", invoice.optional_text, None),
        footer=invoice.optional_text("footer"),
        metadata=invoice.texts("metadata"),
        subscription_metadata=parent.metadata,
        livemode=invoice.flag("livemode"),
        attempted=read("attempted", invoice.flag, otherwise=False),
        attempt_count=read("attempt_count", invoice.integer, 0),
        amount_due=read("amount_due", invoice.integer, 0),
        finalization_error=read("last_finalization_error", lambda _: _finalization_error(invoice), None),
        line_items=read("lines", lambda _: _line_items(invoice, line_items), ()),
        subscriptions=parent.expanded,
        customer_deleted=read("customer", lambda _: _expanded_customer(invoice), None),
        test_clock=read("test_clock", lambda _: _test_clock(invoice), None),
        unknown=tuple(unknown),
    )


def _customer_id(found: Fields) -> str:
    """Return the customer, or the account that takes its place (FACTS 1.4)."""
    customer = found.nullable_id("customer") or found.optional_text("customer_account")
    if not customer:
        found.reject("customer", "is missing")
    return customer


def _expanded_subscription(details: Fields) -> tuple[SubscriptionState, ...] | None:
    """Return the invoice's subscription where it was expanded; an unreadable one does not hide the invoice."""
    if not isinstance(details.data.get("subscription"), Mapping):
        return None
    try:
        return (subscription_state_from_stripe(details.raw("subscription")),)
    except UnexpectedAnswer:
        return None


def _expanded_customer(invoice: Fields) -> bool | None:
    """Return whether the customer was deleted, where it was expanded."""
    if not isinstance(invoice.data.get("customer"), Mapping):
        return None
    return invoice.fields("customer").optional_flag("deleted") or False


def _test_clock(invoice: Fields) -> TestClock | None:
    clock_id = invoice.optional_id("test_clock")
    if clock_id is None:
        return None
    expanded = isinstance(invoice.raw("test_clock"), Mapping)
    frozen_at = invoice.fields("test_clock").at("frozen_time") if expanded else None
    return TestClock(clock_id=clock_id, frozen_at=frozen_at)


def _read_or_unknown(read: Callable[[], Value], unknown: list[str], name: str, otherwise: Value) -> Value:
    """Read a part of an invoice; an unreadable one makes it of an unknown kind: an error would leave it unheld."""
    try:
        return read()
    except UnexpectedAnswer as error:
        unknown.extend((f"{name}=unreadable", str(error)))
        return otherwise


class _Parent(NamedTuple):
    """The subscription that generated an invoice, and what Stripe shows of it."""

    subscription_id: str | None = None
    metadata: Mapping[str, str] = MappingProxyType({})
    expanded: tuple[SubscriptionState, ...] | None = None


def _parent(invoice: Fields, unknown: list[str]) -> _Parent:
    parent = invoice.nullable_fields("parent")
    if parent is None or kind_of(InvoiceParent, parent, "type", unknown, "parent.") is not InvoiceParent.SUBSCRIPTION:
        return _Parent()
    details = _details(parent, InvoiceParent.SUBSCRIPTION, unknown, "parent.")
    if details is None:
        return _Parent()
    return _Parent(
        subscription_id=details.optional_id("subscription") or details.reject("subscription", "is missing"),
        metadata=details.texts("metadata"),
        expanded=_expanded_subscription(details),
    )


def _details(found: Fields, kind: StripeKind, unknown: list[str], where: str) -> Fields | None:
    """Return the object of a kind in the field of its own name; without it the kind says nothing."""
    details = found.optional_fields(kind.value)
    if details is None:
        unknown.append(f"{where}{kind.value}=null")
    return details


def _finalization_error(invoice: Fields) -> str | None:
    error = invoice.optional_fields("last_finalization_error")
    return (error.optional_text("code") or error.optional_text("type") or "unknown") if error else None


def _line_items(invoice: Fields, paged: Iterable[object] | None) -> tuple[LineItem, ...]:
    data = invoice.fields("lines").raw("data") if paged is None else list(paged)
    if not isinstance(data, list):
        invoice.reject("lines.data", "is not a list")
    lines = tuple(map(_line_item, data))
    if len({line.line_id for line in lines}) != len(lines):
        invoice.reject("lines", "names one line twice")
    return lines


def _line_item(data: object) -> LineItem:
    """Read a line; an unreadable one is a line of an unknown kind, since an error would leave its invoice unheld."""
    line = stripe_object(data, "line_item")
    try:
        return line_item_from_stripe(data)
    except UnexpectedAnswer as error:
        return LineItem(
            line_id=line.text("id"),
            price_id=None,
            subscription_id=None,
            proration=False,
            quantity=None,
            window=None,
            parent=LineParent.UNKNOWN,
            unknown=("line_item=unreadable", str(error)),
        )


def line_item_from_stripe(data: object) -> LineItem:
    """Read one line. Its quantity is exact, in the meter's unit; the integer is used only where that is null."""
    line = stripe_object(data, "line_item")
    unknown: list[str] = []
    parent, details = _line_parent(line, unknown)
    return LineItem(
        line_id=line.text("id"),
        price_id=_price_id(line, unknown),
        subscription_id=details.optional_id("subscription") if details else None,
        proration=details.flag("proration") if details else False,
        quantity=_quantity(line),
        window=_window(line.fields("period"), "start", "end"),
        item_id=details.optional_id("subscription_item") if details else None,
        amount=line.optional_integer("amount"),
        parent=parent,
        unknown=tuple(unknown),
        product_id=_product_id(line),
        metadata=line.texts("metadata"),
    )


def _quantity(line: Fields) -> Decimal | None:
    """Return the exact quantity; ``quantity``, which is truncated (FACTS 4.4), only where there is no exact one."""
    exact = line.optional_number("quantity_decimal")
    if exact is not None:
        return exact
    line.raw("quantity")
    whole = line.optional_integer("quantity")
    return None if whole is None else Decimal(whole)


def _line_parent(line: Fields, unknown: list[str]) -> tuple[LineParent, Fields | None]:
    parent = line.nullable_fields("parent")
    if parent is None:
        return LineParent.NONE, None
    kind = kind_of(LineParent, parent, "type", unknown, "parent.")
    return kind, None if kind is LineParent.UNKNOWN else _details(parent, kind, unknown, "parent.")


def _price_id(line: Fields, unknown: list[str]) -> str | None:
    pricing = line.nullable_fields("pricing")
    if pricing is None or kind_of(LinePricing, pricing, "type", unknown, "pricing.") is not LinePricing.PRICE:
        return None
    details = _details(pricing, LinePricing.PRICE, unknown, "pricing.")
    price_id = details.nullable_id("price") if details else None
    if details and not price_id:
        unknown.append("pricing.price_details.price=null")
    return price_id


def _product_id(line: Fields) -> str | None:
    pricing = line.nullable_fields("pricing")
    details = pricing.optional_fields("price_details") if pricing else None
    return details.optional_id("product") if details else None


def _window(found: Fields, start: str, end: str) -> Window | None:
    found.at(start), found.at(end)
    return Window.from_unix(found.integer(start), found.integer(end))


def subscription_from_stripe(data: object, *, items: Iterable[object] | None = None) -> Subscription:
    """Read a subscription with ``items`` as its items, or else with those embedded in it (maybe only the first)."""
    subscription = stripe_object(data, "subscription")
    embedded = subscription.fields("items").raw("data") if items is None else list(items)
    if not isinstance(embedded, list):
        subscription.reject("items.data", "is not a list")
    return Subscription(
        subscription_id=subscription.text("id"),
        customer_id=_customer_id(subscription),
        status=SubscriptionStatus(subscription.text("status")),
        collection_method=CollectionMethod(subscription.text("collection_method")),
        paused=subscription.optional_fields("pause_collection") is not None,
        metadata=subscription.texts("metadata"),
        livemode=subscription.flag("livemode"),
        items=tuple(map(subscription_item_from_stripe, embedded)),
    )


def subscription_state_from_stripe(data: object) -> SubscriptionState:
    """Read what a subscription says about the collection of its invoices."""
    subscription = stripe_object(data, "subscription")
    status = subscription.text("status")
    return SubscriptionState(
        subscription_id=subscription.text("id"),
        status=SubscriptionStatus(status),
        status_text=status,
        paused=subscription.nullable_fields("pause_collection") is not None,
        canceled_at=subscription.optional_at("canceled_at"),
        ended_at=subscription.optional_at("ended_at"),
    )


def subscription_item_from_stripe(data: object) -> SubscriptionItem:
    """Read an item with its own period: since basil, periods are per item (FACTS 4.1)."""
    item = stripe_object(data, "subscription_item")
    return SubscriptionItem(
        item_id=item.text("id"),
        price=price_from_stripe(item.raw("price")),
        window=_window(item, "current_period_start", "current_period_end"),
    )


def price_from_stripe(data: object) -> Price:
    """Read a price, as far as it decides what a line's quantity means."""
    price = stripe_object(data, "price")
    unknown: list[str] = []
    usage_type, meter_id = _usage_type(price, unknown)
    scheme = kind_of(BillingScheme, price, "billing_scheme", unknown)
    tiers_mode = kind_of(TiersMode, price, "tiers_mode", unknown) if price.optional_text("tiers_mode") else None
    return Price(
        price_id=price.text("id"),
        usage_type=usage_type,
        meter_id=meter_id,
        tiered=scheme is BillingScheme.TIERED or tiers_mode is not None,
        package=_package(price.optional_fields("transform_quantity"), unknown),
        tiers=tuple(map(_tier, price.items("tiers"))) if price.data.get("tiers") is not None else (),
        unknown=tuple(unknown),
    )


def _usage_type(price: Fields, unknown: list[str]) -> tuple[UsageType, str | None]:
    """Return a price's usage type and meter; only a price that is known to be one-off has no usage."""
    recurring = price.nullable_fields("recurring")
    if recurring is None:
        kind = kind_of(PriceType, price, "type", unknown)
        if kind is PriceType.RECURRING:
            unknown.append("recurring=null")
        return UsageType.NONE if kind is PriceType.ONE_TIME else UsageType.UNKNOWN, None
    usage_type = kind_of(UsageType, recurring, "usage_type", unknown, "recurring.")
    meter_id = recurring.optional_id("meter")
    if meter_id and usage_type is UsageType.LICENSED:
        # Stripe documents a meter on metered prices alone: whatever else has one may bill its usage.
        unknown.append(f"recurring.usage_type={usage_type.value} with a meter")
        return UsageType.UNKNOWN, meter_id
    return usage_type, meter_id


def _package(found: Fields | None, unknown: list[str]) -> Package | None:
    if found is None:
        return None
    size = found.integer("divide_by")
    if size < 1:
        found.reject("divide_by", "is not positive")
    rounding = kind_of(Rounding, found, "round", unknown, "transform_quantity.")
    return Package(size=Decimal(size), round_up=rounding is not Rounding.DOWN)


def _tier(tier: Fields) -> Tier:
    upto = tier.optional_integer("up_to")
    return Tier(
        up_to=None if upto is None else Decimal(upto),
        unit_amount=_amount(tier, "unit_amount"),
        flat_amount=_amount(tier, "flat_amount"),
    )


def _amount(tier: Fields, name: str) -> Decimal:
    """Return a tier's amount, 0 where there is none; the field with the decimal is the exact one."""
    exact = tier.optional_number(f"{name}_decimal")
    return exact if exact is not None else Decimal(tier.optional_integer(name) or 0)


def meter_from_stripe(data: object) -> Meter:
    """Read a billing meter (FACTS 4.1.1)."""
    meter = stripe_object(data, "billing.meter")
    unknown: list[str] = []
    by_window = meter.optional_text("event_time_window")
    return Meter(
        meter_id=meter.text("id"),
        event_name=meter.text("event_name"),
        display_name=meter.text("display_name"),
        formula=kind_of(Formula, meter.fields("default_aggregation"), "formula", unknown, "default_aggregation."),
        event_time_window=(
            kind_of(EventTimeWindow, meter, "event_time_window", unknown) if by_window else EventTimeWindow.NONE
        ),
        status=kind_of(MeterStatus, meter, "status", unknown),
        unknown=tuple(unknown),
    )
