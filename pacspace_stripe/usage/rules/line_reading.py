"""Reading of lines together with their meter, where the lines alone do not show what is billed. Pure.

1. Tiers and packages   Stripe does not document what the quantities of their lines are (FACTS 4.4). The meter's figure
                        is Stripe's own, and the lines have to agree with it.
2. A draft's lines      They may lag behind the meter until finalization, which brings them up to date (FACTS 2.1.1).
3. A meter below zero   It bills nothing, and its line shows 0 (FACTS 4.2).
4. Counts and readings  A meter that does not sum explains some differences by itself.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from pacspace_stripe.comparison.rules.verdicts import BilledAs, MeterTotals, Reason, Verdict, WindowResult
from pacspace_stripe.usage.rules.billed_usage import BilledUsage, PriceLines
from pacspace_stripe.vocabulary.invoices import Formula
from pacspace_stripe.vocabulary.quantities import equal, text

NO_READING = "no reading in its period: whether Stripe goes on with an earlier one is not known"
_AFTER_THRESHOLD = "what its lines count after a threshold is not documented"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineReading:
    """The usage that the lines of one price bill, read together with their meter's totals."""

    quantity: Decimal | None
    """None if lines and meter do not agree, or if it cannot be known."""
    doubt: str = ""
    """Reason for a ``quantity`` of None, for a person."""
    differs: bool = False
    """True if the lines contradict the meter: a draft's lines may lag behind it."""


def read_lines(lines: PriceLines, totals: MeterTotals) -> LineReading:
    """Return the usage that lines bill. Those of a package price may count usage or packages: the meter shows which."""
    billed = lines.quantity or Decimal(0)
    if lines.ambiguous:
        doubt = "a tiered price: a line of quantity 1 may be a tier's flat fee or one unit, which cost the same"
        return LineReading(quantity=None, doubt=doubt)
    package = lines.price.package if lines.price else None
    least, most = sorted((totals.inner, totals.outer))
    between = text(least) if equal(least, most) else f"{text(least)} to {text(most)}"
    # After a threshold the lines may count the packages that it left over: no sign of a draft that lags.
    may_be_rest = bool(lines.billed_earlier) and package is not None
    packed = package is not None and not may_be_rest and package.count(least) <= billed <= package.count(most)
    if not totals.allows(billed) and not packed:
        shown = "its line says" if len(lines.lines) == 1 else "its lines add up to"
        doubt = f"a {'package' if package else 'tiered'} price: {shown} {text(billed)}, its meter says {between}"
        doubt = f"{doubt}; {_AFTER_THRESHOLD}" if may_be_rest else doubt
        return LineReading(quantity=None, doubt=doubt, differs=not may_be_rest)
    if packed and totals.exact is None:
        doubt = f"a package price whose meter says {between} over whole minutes: which of these is not known"
        return LineReading(quantity=None, doubt=doubt)
    return LineReading(quantity=totals.exact if packed else billed)


def apply_meter(usage: BilledUsage, totals: MeterTotals | None, *, draft: bool) -> BilledUsage:
    """Return the usage with the figure that its lines and its meter agree on, or with its problem."""
    if totals is None:
        return _unknown(usage, "the meter's summaries take whole minutes, and its period has none")
    metered = replace(usage, meter_totals=totals)
    billable = MeterTotals(inner=max(totals.inner, Decimal(0)), outer=max(totals.outer, Decimal(0)))
    readings = [read_lines(lines, billable) for lines in usage.price_lines]
    if doubts := [reading for reading in readings if reading.quantity is None]:
        lagging = draft and all(reading.differs for reading in doubts)
        return (_lagging(metered, doubts[0], billable) if lagging else None) or _doubted(metered, doubts, draft=draft)
    quantity, *others = [reading.quantity for reading in readings if reading.quantity is not None]
    if not all(equal(other, quantity) for other in others):
        return _unknown(metered, "two prices bill one meter, and not the same usage for the same time")
    raw = all(lines.quantity is not None and equal(lines.quantity, quantity) for lines in usage.price_lines)
    return replace(metered, quantity=quantity, billed_as=usage.billed_as if raw else BilledAs.METER)


def _lagging(usage: BilledUsage, doubt: LineReading, billable: MeterTotals) -> BilledUsage | None:
    """Return a draft's usage as its meter says it will be billed, as far as whole minutes tell; None if they do not."""
    lagging = replace(usage, lags=True, detail=doubt.doubt)
    if billable.exact is not None:
        return replace(lagging, quantity=billable.exact, billed_as=BilledAs.METER)
    in_packages = any(lines.price and lines.price.package for lines in usage.price_lines)
    return lagging if usage.quantity is not None and not in_packages else None


def _doubted(usage: BilledUsage, doubts: list[LineReading], *, draft: bool) -> BilledUsage:
    # A draft's lines that only differ may still catch up with the meter: any other doubt is the one to name.
    doubt = next((each for each in doubts if draft and not each.differs), doubts[0])
    unconfirmed = "; what the lines of such a price count is not documented" if doubt.differs else ""
    return _unknown(usage, f"{doubt.doubt}{unconfirmed}")


def _unknown(usage: BilledUsage, detail: str) -> BilledUsage:
    return replace(usage, problem=Reason.UNKNOWN_SHAPE, detail=detail)


def judge_lagging_lines(result: WindowResult, usage: BilledUsage, *, strict: bool) -> WindowResult:
    """Judge lines that lag behind their meter: they may leave only if the final lines are read again (``strict``)."""
    if not usage.lags:
        return result
    if result.reason.verdict is Verdict.MATCHED:
        if strict and (result.from_meter or usage.billed_as is BilledAs.METER):
            return replace(result, from_meter=True, detail=result.detail or usage.detail)
        return replace(result, reason=Reason.NOT_SETTLED, detail=usage.detail)
    recorded = result.recorded if result.reason.verdict is Verdict.DRIFTED else None
    sums = [lines.quantity for lines in usage.price_lines]
    if recorded is not None and any(each is not None and equal(each, recorded) for each in sums):
        return replace(result, reason=Reason.NOT_SETTLED, detail=f"{usage.detail}, the ledger {text(recorded)}")
    return result


def may_be_below_zero(result: WindowResult) -> bool:
    """Return whether 0 is billed and the recorded usage is negative: only the meter can explain that."""
    return result.billed == 0 and result.recorded is not None and result.recorded < 0


def judge_below_zero(result: WindowResult, totals: MeterTotals | None) -> WindowResult:
    """Match a period whose usage nets below zero, and is billed as 0, if its meter says what the ledger says."""
    recorded = result.recorded
    if totals is None or recorded is None or max(totals.inner, totals.outer) >= 0 or not totals.allows(recorded):
        return result
    return replace(
        result,
        reason=Reason.EXACT,
        detail=f"its meter is below zero, at {text(recorded)}: Stripe bills 0",
        billed=recorded,
        billed_as=BilledAs.METER,
        meter_totals=totals,
    )


def judge_by_formula(result: WindowResult, usage: BilledUsage) -> WindowResult:
    """Explain a difference by a meter that does not sum: a count of reports, or the last of several readings."""
    if usage.formula is Formula.LAST and result.reason is Reason.LEDGER_MISSING and not result.count:
        # No record is no reading of zero: Stripe may bill an earlier reading that the ledger never had to repeat.
        return replace(result, reason=Reason.UNKNOWN_SHAPE, detail=NO_READING)
    as_many = usage.formula is Formula.COUNT and result.count is not None and result.billed == result.count
    if result.reason.verdict is not Verdict.DRIFTED or not as_many:
        return result
    detail = f"{result.detail}; the meter counts reports, and the ledger has as many records: record 1 for each"
    return replace(result, detail=detail)
