"""Amounts of a quantity: per unit, packages, graduated and volume tiers. Minor currency units, rounded half up."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal

from pacspace_stripe.simulator.stripe.world import StoredPrice

_PLACES = Decimal("1e-12")


@dataclass(frozen=True, slots=True)
class Part:
    """The share of a quantity that one invoice line bills."""

    quantity: Decimal
    amount: int
    tier: int | None = None
    flat: bool = False
    """A line that bills the fixed part of a tier, and no usage."""


def cents(amount: Decimal) -> int:
    """Return whole minor units."""
    return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def written(quantity: Decimal) -> str:
    """Return ``quantity_decimal`` as Stripe writes it: up to 12 places, no exponent, no trailing zeros."""
    rounded = quantity.quantize(_PLACES, rounding=ROUND_HALF_UP) if _has_more_places(quantity) else quantity
    text = f"{rounded:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"", "-0"} else text


def _has_more_places(quantity: Decimal) -> bool:
    exponent = quantity.as_tuple().exponent
    return isinstance(exponent, int) and exponent < _PLACES.as_tuple().exponent  # type: ignore[operator]


def packages(price: StoredPrice, quantity: Decimal) -> Decimal:
    """Return the number of packages that a package price bills for this quantity."""
    if not price.package_size:
        return quantity
    rounding = ROUND_CEILING if price.package_round == "up" else ROUND_FLOOR
    return (quantity / price.package_size).quantize(Decimal(1), rounding=rounding)


def parts(
    price: StoredPrice, quantity: Decimal, *, line_per_tier: bool, bill_packages: bool, flat_lines: bool = False
) -> list[Part]:
    """Return the lines that bill ``quantity``, at least one. A negative figure bills as zero."""
    quantity = max(quantity, Decimal(0))
    if price.tiers_mode is not None:
        steps = [_volume(price, quantity)] if price.tiers_mode == "volume" else list(_graduated(price, quantity))
        return _tiered(price, quantity, steps, line_per_tier=line_per_tier, flat_lines=flat_lines)
    units = packages(price, quantity)
    amount = cents(units * (price.unit_amount or Decimal(0)))
    return [Part(units if bill_packages else quantity, amount)]


def _tiered(
    price: StoredPrice, quantity: Decimal, steps: list[Part], *, line_per_tier: bool, flat_lines: bool
) -> list[Part]:
    fees = list(_fees(price, steps)) if flat_lines else []
    usage = [_without_fee(price, step) for step in steps] if flat_lines else steps
    if not line_per_tier and len(usage) > 1:
        usage = [Part(quantity, sum(step.amount for step in usage))]
    return [*usage, *fees]


def _fees(price: StoredPrice, steps: list[Part]) -> Iterator[Part]:
    for step in steps:
        if step.tier is not None and price.tiers[step.tier].flat_amount:
            yield Part(Decimal(1), cents(price.tiers[step.tier].flat_amount), step.tier, flat=True)


def _without_fee(price: StoredPrice, step: Part) -> Part:
    if step.tier is None:
        return step
    return Part(step.quantity, cents(step.quantity * price.tiers[step.tier].unit_amount), step.tier)


def _volume(price: StoredPrice, quantity: Decimal) -> Part:
    for place, tier in enumerate(price.tiers):
        if tier.up_to is None or quantity <= tier.up_to:
            return Part(quantity, cents(quantity * tier.unit_amount + tier.flat_amount), place)
    return Part(quantity, 0)


def _graduated(price: StoredPrice, quantity: Decimal) -> Iterator[Part]:
    below = Decimal(0)
    for place, tier in enumerate(price.tiers):
        top = quantity if tier.up_to is None else min(quantity, Decimal(tier.up_to))
        share = max(top - below, Decimal(0))
        if share or place == 0:
            yield Part(share, cents(share * tier.unit_amount + tier.flat_amount), place)
        if tier.up_to is not None:
            below = Decimal(tier.up_to)
