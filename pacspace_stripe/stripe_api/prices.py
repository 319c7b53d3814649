"""Stripe's prices and meters at the pinned version as our values. Pure; UnexpectedAnswer names a malformed field.

A kind that is not listed in ``domain.kinds`` is kept by name in ``unknown``.
"""

from decimal import Decimal
from typing import TypeVar

from pacspace_stripe.http.answers import Fields
from pacspace_stripe.stripe_api.sdk import STRIPE
from pacspace_stripe.vocabulary.invoices import (
    BillingScheme,
    EventTimeWindow,
    Formula,
    Meter,
    MeterStatus,
    Package,
    Price,
    PriceType,
    Rounding,
    StripeKind,
    Tier,
    TiersMode,
    UsageType,
)

Kind = TypeVar("Kind", bound=StripeKind)


def kind_of(kinds: type[Kind], found: Fields, name: str, unknown: list[str], where: str = "") -> Kind:
    """The kind that a field names. One that is not listed is added to ``unknown``, as ``where.name=word``."""
    word = found.text(name)
    kind = kinds(word)
    if kind is kinds["UNKNOWN"]:
        unknown.append(f"{where}{name}={word}")
    return kind


def stripe_object(data: object, kind: str) -> Fields:
    """A JSON object that says it is a ``kind``, and which one: errors then name its id."""
    found = Fields(STRIPE, kind, data)
    if found.text("object") != kind:
        found.reject("object", f"is not {kind}")
    return Fields(STRIPE, f"{kind} {found.text('id')}", data)


def price_from_stripe(data: object) -> Price:
    """A price, as far as it decides what a line's quantity means."""
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
    """An amount that is null where there is none; its decimal is the exact one."""
    exact = tier.optional_number(f"{name}_decimal")
    return exact if exact is not None else Decimal(tier.optional_integer(name) or 0)


def meter_from_stripe(data: object) -> Meter:
    """A billing meter."""
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
