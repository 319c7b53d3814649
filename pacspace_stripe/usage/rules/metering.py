"""Where the lines alone do not say what is billed: what the meter's summaries make of them. Pure.

1. tiers and packages     what their lines' quantities are is not documented (FACTS 4.4): the meter's figure
                          is Stripe's, and the lines have to go together with it
2. a draft's lines        may lag behind the meter until finalization, which brings them up to date
3. a meter below zero     bills nothing, and its line says 0 (FACTS 4.2)
"""

from dataclasses import replace
from decimal import Decimal

from pacspace_stripe.comparison.rules.verdicts import BilledAs, MeterTotals, Reason, Verdict, WindowResult
from pacspace_stripe.usage.rules.line_reading import NO_READING, Told, told
from pacspace_stripe.usage.rules.usage import BilledUsage
from pacspace_stripe.vocabulary.invoices import Formula
from pacspace_stripe.vocabulary.quantities import equal, text


def with_meter(usage: BilledUsage, says: MeterTotals | None, *, draft: bool) -> BilledUsage:
    """The usage with the figure that its lines and its meter agree on, or with what is not known as its problem."""
    if says is None:
        return _unknown(usage, "the meter's summaries take whole minutes, and its period has none")
    asked = replace(usage, meter_totals=says)
    billable = MeterTotals(inner=max(says.inner, Decimal(0)), outer=max(says.outer, Decimal(0)))
    heard = [told(share, billable) for share in usage.shares]
    doubts = [each for each in heard if each.quantity is None]
    if doubts:
        return _lagging(asked, doubts, billable) if draft else _doubted(asked, doubts)
    quantities = [each.quantity for each in heard if each.quantity is not None]
    if not all(equal(quantity, quantities[0]) for quantity in quantities):
        return _unknown(asked, "two prices bill one meter, and not the same usage for the same time")
    return replace(asked, quantity=quantities[0], billed_as=_billed_as(usage, quantities[0]))


def _billed_as(usage: BilledUsage, quantity: Decimal) -> BilledAs:
    """By the meter, where the lines' own quantities are something else than raw usage."""
    sums = [share.quantity for share in usage.shares]
    raw = all(each is not None and equal(each, quantity) for each in sums)
    return usage.billed_as if raw else BilledAs.METER


def _doubted(usage: BilledUsage, doubts: list[Told]) -> BilledUsage:
    doubt = doubts[0]
    unconfirmed = "; what the lines of such a price count is not documented" if doubt.unlike else ""
    return _unknown(usage, f"{doubt.doubt}{unconfirmed}")


def _lagging(usage: BilledUsage, doubts: list[Told], billable: MeterTotals) -> BilledUsage:
    """A draft whose lines are behind: what the meter says will be billed, as far as whole minutes tell."""
    if not all(each.unlike for each in doubts):
        return _doubted(usage, [each for each in doubts if not each.unlike])
    lagging = replace(usage, lags=True, detail=doubts[0].doubt)
    if billable.exact is not None:
        return replace(lagging, quantity=billable.exact, billed_as=BilledAs.METER)
    summed = usage.quantity is not None and not any(share.price and share.price.package for share in usage.shares)
    return lagging if summed else _doubted(usage, doubts)


def _unknown(usage: BilledUsage, detail: str) -> BilledUsage:
    return replace(usage, problem=Reason.UNKNOWN_SHAPE, detail=detail)


def lagging(result: WindowResult, usage: BilledUsage, *, strict: bool) -> WindowResult:
    """What is found of lines that lag behind their meter: it may go only where the final lines are read again."""
    if not usage.lags:
        return result
    if result.reason.verdict is Verdict.MATCHED:
        if strict and (result.from_meter or usage.billed_as is BilledAs.METER):
            return replace(result, from_meter=True, detail=result.detail or usage.detail)
        return replace(result, reason=Reason.NOT_SETTLED, detail=usage.detail)
    recorded = result.recorded if result.reason.verdict is Verdict.DRIFTED else None
    sums = [share.quantity for share in usage.shares]
    if recorded is not None and any(each is not None and equal(each, recorded) for each in sums):
        return replace(result, reason=Reason.NOT_SETTLED, detail=f"{usage.detail}, the ledger {text(recorded)}")
    return result


def may_be_below_zero(result: WindowResult) -> bool:
    """Whether nothing is billed and less than nothing recorded: then the meter is asked."""
    return result.billed == 0 and result.recorded is not None and result.recorded < 0


def below_zero(result: WindowResult, says: MeterTotals | None) -> WindowResult:
    """A period whose usage nets below zero is billed as zero: it agrees when its meter says what the ledger says."""
    recorded = result.recorded
    if says is None or recorded is None or max(says.inner, says.outer) >= 0 or not says.allows(recorded):
        return result
    return replace(
        result,
        reason=Reason.EXACT,
        detail=f"its meter is below zero, at {text(recorded)}: Stripe bills 0",
        billed=recorded,
        billed_as=BilledAs.METER,
        meter_totals=says,
    )


def by_formula(result: WindowResult, usage: BilledUsage) -> WindowResult:
    """What a difference means for a meter that does not sum: a count of reports, the last of several readings."""
    if usage.formula is Formula.LAST and result.reason is Reason.LEDGER_MISSING and not result.count:
        return replace(result, reason=Reason.UNKNOWN_SHAPE, detail=NO_READING)
    as_many = usage.formula is Formula.COUNT and result.count is not None and result.billed == result.count
    if result.reason.verdict is not Verdict.DRIFTED or not as_many:
        return result
    detail = f"{result.detail}; the meter counts reports, and the ledger has as many records: record 1 for each"
    return replace(result, detail=detail)
