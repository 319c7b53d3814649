"""What one price bills of a meter in one window: the lines of one subscription item and price. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from pacspace_stripe.comparison.rules.verdicts import EarlierBilling, LineKind, MeterTotals
from pacspace_stripe.vocabulary.invoices import Formula, LineItem, Meter, Price, UsageType
from pacspace_stripe.vocabulary.quantities import equal, text, total
from pacspace_stripe.vocabulary.windows import Window

_COMPARED = (Formula.SUM, Formula.COUNT)
"""Aggregations that a ledger's sum of records can agree with."""
LAST = (
    "its meter bills the last value reported, and a ledger account adds its records up: name it in "
    "PACSPACE_STRIPE_READINGS if each record carries a reading, as METER:total if Stripe is sent a running total, "
    "else bill it by a meter that sums"
)
NO_READING = "no reading in its period: whether Stripe goes on with an earlier one is not known"
_REST = "what its lines count after a threshold is not documented"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One price's lines in one window, and what earlier invoices of the same period billed for it."""

    price_id: str | None
    item_id: str | None
    price: Price | None
    window: Window | None
    lines: tuple[LineItem, ...]
    earlier: tuple[EarlierBilling, ...] = ()
    subscription_id: str | None = None
    """The subscription that its lines name, where that is another than the invoice's own."""
    doubt: str | None = None
    """Why it is not known what a line bills, where its own quantity and window do not show it."""

    @property
    def name(self) -> str:
        """Whose lines these are: one price may be on two items of a subscription."""
        return "/".join(part for part in (self.price_id, self.item_id) if part)

    @property
    def asks_meter(self) -> bool:
        """Whether Stripe does not say that its quantities are raw usage (FACTS 4.4)."""
        return self.price is not None and (self.price.tiered or self.price.package is not None)

    @property
    def quantity(self) -> Decimal | None:
        """Its quantities of usage added up, with those billed earlier; None when a line has none."""
        quantities = usage_quantities(self.lines, self.price)
        return None if quantities is None else total([*quantities, *(each.quantity for each in self.earlier)])

    def kind(self, line: LineItem) -> LineKind:
        return LineKind.FLAT_FEE if is_flat_fee(line, self.price) else LineKind.USAGE


def usage_quantities(lines: Iterable[LineItem], price: Price | None) -> list[Decimal] | None:
    """The quantities of the lines that bill usage; None when one has none."""
    found = [line.quantity for line in lines if not is_flat_fee(line, price)]
    known = [quantity for quantity in found if quantity is not None]
    return known if len(known) == len(found) else None


def is_flat_fee(line: LineItem, price: Price | None) -> bool:
    """Whether a line surely bills the fixed part of a tier: its amount is that, and not the price of one unit."""
    if price is None or line.amount is None or line.quantity not in (None, Decimal(0), Decimal(1)):
        return False
    fees = {_whole(tier.flat_amount) for tier in price.tiers if tier.flat_amount}
    units = {_whole(tier.unit_amount) for tier in price.tiers}
    return line.amount in fees and (line.quantity != 1 or line.amount not in units)


def is_unclear(line: LineItem, price: Price | None) -> bool:
    """Whether a line may as well bill a tier's flat fee as one unit of usage: both cost the same."""
    if price is None or line.amount is None or line.quantity != 1:
        return False
    fees = {_whole(tier.flat_amount) for tier in price.tiers if tier.flat_amount}
    return line.amount in fees and not is_flat_fee(line, price)


def _whole(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def shape_problem(share: Share) -> str | None:
    """Whatever makes its lines' quantities something else than usage of one meter in one window."""
    price, lines = share.price, share.lines
    negative = any(line.quantity is not None and line.quantity < 0 for line in lines)
    problems = {
        "its price could not be read": price is None,
        f"its price is of a kind that is not known: {', '.join(price.unknown) if price else ''}": bool(
            price and price.unknown
        ),
        "the price's usage type is not known": price is not None and price.usage_type is not UsageType.METERED,
        "a metered price without a meter (legacy usage records)": price is not None and price.meter_id is None,
        share.doubt or "": share.doubt is not None,
        "a line without a quantity": usage_quantities(lines, price) is None,
        "a negative quantity": negative,
        "a line without a period": share.window is None,
    }
    return next((text for text, present in problems.items() if present), None)


def formula_problem(meter: Meter, *, reads: bool) -> str | None:
    """Return why a ledger's records cannot be compared with how a meter adds up what it is sent."""
    if meter.formula is Formula.LAST:
        return None if reads else LAST
    if meter.formula not in _COMPARED:
        return "the meter's aggregation is not compared yet"
    return f"PACSPACE_STRIPE_READINGS names it, and its meter bills a {meter.formula.value}" if reads else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a share's lines say beside what its meter says."""

    quantity: Decimal | None
    """None: they do not agree, or nobody can tell."""
    doubt: str = ""
    unlike: bool = False
    """They say something else than the meter: a draft's lines may lag behind it."""


def told(share: Share, says: MeterTotals) -> Told:
    """The usage that the lines bill. Of packages they may count usage or packages: the meter tells which."""
    billed = share.quantity or Decimal(0)
    if any(is_unclear(line, share.price) for line in share.lines):
        doubt = "a tiered price: a line of quantity 1 may be a tier's flat fee or one unit, which cost the same"
        return Told(quantity=None, doubt=doubt)
    raw = says.allows(billed)
    packed = _is_packed(share, billed, says)
    if not raw and not packed:
        doubt, unlike = _unlike(share, billed, says), not _may_be_a_rest(share)
        return Told(quantity=None, doubt=doubt if unlike else f"{doubt}; {_REST}", unlike=unlike)
    if packed and says.exact is None:
        doubt = f"a package price whose meter says {_between(says)} over whole minutes: which of these is not known"
        return Told(quantity=None, doubt=doubt)
    return Told(quantity=says.exact if packed else billed)


def _is_packed(share: Share, billed: Decimal, says: MeterTotals) -> bool:
    """Whether the lines may count packages."""
    package = share.price.package if share.price else None
    if package is None or _may_be_a_rest(share):
        return False
    least, most = sorted((package.count(says.inner), package.count(says.outer)))
    return least <= billed <= most


def _may_be_a_rest(share: Share) -> bool:
    """Whether they may count the packages that a threshold left over: no sign of a draft that lags behind its meter."""
    return bool(share.earlier) and share.price is not None and share.price.package is not None


def _unlike(share: Share, billed: Decimal, says: MeterTotals) -> str:
    kind = "package" if share.price and share.price.package else "tiered"
    lines = "its line says" if len(share.lines) == 1 else "its lines add up to"
    return f"a {kind} price: {lines} {text(billed)}, its meter says {_between(says)}"


def _between(says: MeterTotals) -> str:
    least, most = sorted((says.inner, says.outer))
    return text(least) if equal(least, most) else f"{text(least)} to {text(most)}"
