"""Usage that one invoice bills of one meter in one window, and the figures that stamps and waivers name. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from pacspace_stripe.comparison.rules.verdicts import (
    BilledAs,
    BilledLine,
    EarlierBilling,
    Finding,
    LineKind,
    MeterTotals,
    Reason,
    WindowResult,
    window_key,
)
from pacspace_stripe.vocabulary.invoices import Formula, LineItem, Price
from pacspace_stripe.vocabulary.quantities import equal, text, total
from pacspace_stripe.vocabulary.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceLines:
    """The lines of one subscription item and price in one window, with what earlier invoices of the period billed."""

    price_id: str | None
    item_id: str | None
    price: Price | None
    window: Window | None
    lines: tuple[LineItem, ...]
    billed_earlier: tuple[EarlierBilling, ...] = ()
    subscription_id: str | None = None
    """The subscription that the lines name, if it is another than the invoice's own."""
    doubt: str | None = None
    """Reason for not knowing what a line bills, if its own quantity and window do not show it."""

    @property
    def name(self) -> str:
        """Price and item: one price may be on two items of a subscription."""
        return "/".join(part for part in (self.price_id, self.item_id) if part)

    @property
    def needs_meter(self) -> bool:
        """True for tiers and packages: Stripe does not document that their lines show raw usage (FACTS 4.4)."""
        return self.price is not None and (self.price.tiered or self.price.package is not None)

    @property
    def quantity(self) -> Decimal | None:
        """Sum of the lines' usage and of what was billed earlier; None if a line has no quantity."""
        quantities = usage_quantities(self.lines, self.price)
        return None if quantities is None else total([*quantities, *(each.quantity for each in self.billed_earlier)])

    @property
    def ambiguous(self) -> bool:
        """True if a line may bill a tier's flat fee or one unit of usage: both cost the same."""
        fees, _ = _tier_amounts(self.price)
        return any(
            line.quantity == 1 and line.amount in fees and not is_flat_fee(line, self.price) for line in self.lines
        )

    def kind(self, line: LineItem) -> LineKind:
        return LineKind.FLAT_FEE if is_flat_fee(line, self.price) else LineKind.USAGE


def usage_quantities(lines: Iterable[LineItem], price: Price | None) -> list[Decimal] | None:
    """Return the quantities of the lines that bill usage; None if one of them has none."""
    found = [line.quantity for line in lines if not is_flat_fee(line, price)]
    known = [quantity for quantity in found if quantity is not None]
    return known if len(known) == len(found) else None


def is_flat_fee(line: LineItem, price: Price | None) -> bool:
    """Return whether a line certainly bills the fixed part of a tier.

    Its amount is then a tier's flat fee, and not the price of one unit.
    """
    if line.quantity not in (None, Decimal(0), Decimal(1)):
        return False
    fees, units = _tier_amounts(price)
    return line.amount in fees and (line.quantity != 1 or line.amount not in units)


def _tier_amounts(price: Price | None) -> tuple[set[int], set[int]]:
    """Return the flat fees and the unit amounts of a price's tiers, as a line shows them: in whole minor units."""

    def shown(amount: Decimal) -> int:
        return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP))

    tiers = price.tiers if price else ()
    return {shown(tier.flat_amount) for tier in tiers if tier.flat_amount}, {shown(tier.unit_amount) for tier in tiers}


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledUsage:
    """Usage that one invoice bills for one meter and window, before the ledger is asked."""

    meter: str
    meter_id: str | None
    window: Window | None
    account: str | None
    quantity: Decimal | None
    lines: tuple[BilledLine, ...]
    problem: Reason | None = None
    """Reason for which this usage cannot be compared; ``detail`` explains it to a person."""
    detail: str = ""
    by_record: bool = False
    """True if ``account`` is the key of a settlement record: see ``usage.rules.accounts``."""
    split_for: str | None = None
    """The Stripe customer, if the records of the ledger account name their meter: several meters may share it."""
    formula: Formula = Formula.SUM
    price_lines: tuple[PriceLines, ...] = ()
    """The lines by subscription item and price: each price on a meter bills all of the customer's use (FACTS 4.1)."""
    billed_as: BilledAs = BilledAs.SUM
    meter_totals: MeterTotals | None = None
    billed_earlier: tuple[EarlierBilling, ...] = ()
    """Earlier invoices of the period whose usage ``quantity`` includes."""
    lags: bool = False
    """True if a draft's lines differ from its meter, and only both together show what is billed."""
    named_account: str | None = None
    """The ledger account that the metadata of its subscription names."""
    subscription_id: str | None = None
    """The subscription that its lines name, if it is not the invoice's own."""
    ends_early: bool = False
    """True for a threshold's line: its period is not over, and the invoice's own time ends the window."""
    external: bool = False
    """True if another system counted it: invoice items bill it, and Stripe has no meter of it."""

    @property
    def key(self) -> str:
        """Key of the window, as ``WindowResult.key`` has it."""
        return window_key(self.meter, self.window, self.subscription_id)

    def result(
        self, reason: Reason, detail: str = "", *, recorded: Decimal | None = None, count: int | None = None
    ) -> WindowResult:
        """Return the usage as a result with its reason, and with the ledger's figures if they were read."""
        return WindowResult(
            account=self.account,
            meter=self.meter,
            window=self.window,
            billed=self.quantity,
            recorded=recorded,
            count=count,
            reason=reason,
            detail=detail,
            lines=tuple(sorted(self.lines, key=lambda line: line.line_id)),
            billed_as=self.billed_as,
            meter_totals=self.meter_totals,
            billed_earlier=self.billed_earlier,
            subscription_id=self.subscription_id,
        )

    @property
    def may_be_unmetered(self) -> bool:
        """True if nothing here may be metered after all: none of the lines is of a known kind."""
        unknown = all(line.kind is LineKind.UNKNOWN for line in self.lines)
        return unknown and self.problem is Reason.UNKNOWN_SHAPE and self.account is None and self.meter_id is None

    @property
    def needs_meter(self) -> bool:
        """True if only the meter's summaries can tell what the lines bill."""
        return self.problem is None and any(each.needs_meter for each in self.price_lines)


def billed_figures(usages: Iterable[BilledUsage]) -> dict[str, str]:
    """Return the exact quantities that the lines bill, by the key of their window."""
    return {usage.key: _figure(usage.quantity) for usage in usages}


def figures_of(finding: Finding) -> dict[str, str]:
    """Return the exact quantities that were compared, by the key of their window.

    They are what a stamp and a waiver name. A draft's lines may lag behind its meter and name others.
    """
    return {result.key: _figure(result.billed) for result in finding.windows}


def _figure(billed: Decimal | None) -> str:
    # A meter below zero bills nothing (FACTS 4.2).
    return "unknown" if billed is None else text(max(billed, Decimal(0)))


def same_figures(left: Mapping[str, str], right: Mapping[str, str]) -> bool:
    """Return whether two sets of billed figures agree on the digits that the sources keep."""
    return left.keys() == right.keys() and all(
        one == other or ("unknown" not in (one, other) and equal(Decimal(one), Decimal(other)))
        for one, other in ((left[key], right[key]) for key in left)
    )
