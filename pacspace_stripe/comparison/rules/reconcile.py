"""The comparison of what is billed with what is recorded, per ledger account and window. Pure.

1. Compare both figures exactly.                                              ``compare_figures``
2. Confirm a difference: it counts only once nothing has to settle any more.  ``confirm_difference``
3. Store PacSpace's own answer, and cross-check its proof.                    ``after_compare``, ``after_verify``

Stripe's summaries of a meter are eventually consistent (FACTS 4.3), and nothing says by when. So a difference counts
once Stripe has returned the same figure twice, some time apart. Nothing sleeps for that, and a match needs no read:
each check of a difference reads the meter anyway, and the invoice state keeps what it read. The draft's line is such
a figure too: Stripe summed it from the same meter when it made the draft, and reading it at first sight costs
nothing. So the ordinary drift, whose meter still shows what the line showed before settling, is confirmed by the
first check.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from pacspace_stripe.comparison.rules.verdicts import MeterRead, MeterTotals, Reason, Verdict, WindowResult
from pacspace_stripe.usage.rules import BilledUsage
from pacspace_stripe.vocabulary.ledger import Balance, Comparison, Proof, ProofSummary, Unsettled, UsageSign
from pacspace_stripe.vocabulary.quantities import equal, subtract, text
from pacspace_stripe.vocabulary.text import plural
from pacspace_stripe.vocabulary.windows import iso_to_next_second, iso_to_second

MOST_APART = timedelta(minutes=1)
"""Longest time between two meter reads that have to agree: a lag of about 60 s was measured (FACTS 4.3).

Usage that is *sent* late has had its own time to settle before the first comparison. A longer wait here would only
report late what is wrong.
"""
_RETRIED = re.compile(r"; (?:checked|look\w+ at) again by .*", re.DOTALL)
"""The retry time at the end of a detail; details that earlier versions stored call a check a look."""


# -- 1. both figures -----------------------------------------------------------------------------------------------


def compare_figures(usage: BilledUsage, balance: Balance, sign: UsageSign, tolerance: Decimal) -> WindowResult:
    """Compare the billed figure with the ledger's. A difference is provisional: see ``confirm_difference``.

    Raises ValueError for a usage without a quantity: it has a problem, and is never compared.
    """
    if usage.quantity is None:
        message = "a usage without a quantity has a problem and is never compared"
        raise ValueError(message)
    billed, recorded, count = usage.quantity, balance.usage(sign), balance.counted
    if balance.record is not None and not balance.record.verified:
        reason, detail = Reason.NOT_SETTLED, f"record {balance.account} is not verified yet"
    elif billed == 0 and recorded == 0 and count == 0:
        reason, detail = Reason.ZERO, ""
    elif equal(billed, recorded):
        reason, detail = Reason.EXACT, ""
    elif equal(billed, recorded, tolerance=tolerance):
        reason = Reason.WITHIN_TOLERANCE
        detail = f"differs by {text(subtract(billed, recorded))}, tolerated up to {text(tolerance)}"
    else:
        reason = _difference(billed, recorded)
        detail = f"billed {text(billed)}, recorded {text(recorded)}: differs by {text(subtract(billed, recorded))}"
        if recorded < 0:
            detail += "; the ledger's sign is the other one: check PACSPACE_STRIPE_USAGE_SIGN"
    result = usage.result(reason, detail, recorded=recorded, count=count)
    return replace(result, record=balance.record, selected=balance.selected)


def _difference(billed: Decimal, recorded: Decimal) -> Reason:
    if billed == 0 and recorded > 0:
        return Reason.STRIPE_MISSING
    if recorded == 0:
        return Reason.LEDGER_MISSING
    return Reason.OVERBILLED if billed > recorded else Reason.UNDERBILLED


# -- 2. settled or not ---------------------------------------------------------------------------------------------


def reads_apart(settle: timedelta) -> timedelta:
    """Return how far apart two equal meter reads have to be; without a wait for usage to settle, there is none here."""
    return min(settle, MOST_APART)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """The meter reads of earlier checks of a draft. Final lines have none: their figure settles no more."""

    now: datetime
    apart: timedelta
    earlier: MeterRead | None = None

    def read(self, totals: MeterTotals) -> MeterRead:
        """Return what Stripe's meter shows now, and since when it has been showing it."""
        if self.earlier is not None and self.earlier.shows(totals):
            return self.earlier
        return MeterRead(at=self.now, inner=totals.inner, outer=totals.outer)

    def second_read_at(self, read: MeterRead) -> datetime | None:
        """Return when a second read counts; None if the meter has shown this figure for long enough."""
        due = read.at + self.apart
        return due if self.now < due else None

    def awaited(self, read: MeterRead) -> str:
        """Return the second read that is missing, for a person."""
        before = self.earlier
        moved = f", {before} at {iso_to_second(before.at)}" if before is not None and before is not read else ""
        return f"a second meter read that says the same ({read} since {iso_to_second(read.at)}{moved})"


def confirm_difference(
    first: WindowResult,
    unsettled: Unsettled,
    meter_now: MeterTotals | None,
    *,
    strict: bool,
    tolerance: Decimal = Decimal(0),
    settling: Settling | None = None,
) -> WindowResult:
    """Judge a difference: something is still settling, a draft's line lags behind its meter, or it is a real drift.

    ``meter_now`` is what the meter shows now, or None if the invoice is final and its lines alone count. Both figures
    may lie between its inner and outer total. Only if the final lines are read again (``strict``) the ledger's figure
    is then taken for the meter's. A difference within the minutes at a period's edge thus shows after finalization;
    if it were held before, a right invoice could be held for ever.
    ``settling``: what earlier checks of a draft read; None if nothing about Stripe's figure settles any more.
    """
    read = None
    if settling is not None and first.billed is not None:
        # Where the meter cannot be asked about the window, the draft's line is what Stripe shows of it.
        read = settling.read(meter_now or MeterTotals(inner=first.billed, outer=first.billed))
    first = replace(first, meter_read=read)
    missing = list(unsettled_parts(unsettled))
    agreed = _by_the_meter(first, meter_now, strict=strict, tolerance=tolerance)
    if agreed is not None and not missing:
        return agreed
    second_read_at = settling.second_read_at(read) if settling and read and agreed is None else None
    if settling and read and second_read_at:
        missing.append(settling.awaited(read))
    if not missing:
        return first
    detail = lacking(first.detail, missing)
    due = None if unsettled.any else second_read_at
    return replace(first, reason=Reason.NOT_SETTLED, detail=detail, second_read_at=due)


def _by_the_meter(
    first: WindowResult, meter_now: MeterTotals | None, *, strict: bool, tolerance: Decimal
) -> WindowResult | None:
    """Return the result if the meter agrees with the ledger and only the draft's line differs; None if it does not.

    One read is enough for that: the final lines are compared again, or the result is unproven.
    """
    recorded = first.recorded
    if meter_now is None or recorded is None:
        return None
    metered = meter_now.nearest(recorded)
    if not equal(metered, recorded, tolerance=tolerance):
        return None
    if strict:
        # The meter's figure replaces the line's, which only finalization brings up to date (FACTS 2.1.1).
        exact = equal(metered, recorded)
        detail = f"the draft's line says {text(first.billed or Decimal(0))}, its meter {text(metered)}"
        return replace(
            first,
            reason=Reason.EXACT if exact else Reason.WITHIN_TOLERANCE,
            detail=detail if exact else f"{detail}, the ledger {text(recorded)}",
            billed=recorded if exact else metered,
            from_meter=True,
        )
    if first.billed is not None and equal(meter_now.nearest(first.billed), first.billed):
        return None
    missing = [f"the draft's line lags behind its meter, which says what the ledger says ({text(metered)})"]
    return replace(first, reason=Reason.NOT_SETTLED, detail=lacking(first.detail, missing))


def unless_awaited(
    result: WindowResult, awaited: str, counted: MeterTotals | None, tolerance: Decimal, *, decides_alone: bool
) -> WindowResult:
    """Return a drift as not settled if exactly the ledger's awaited summary explains it.

    ``counted``: what Stripe's meter counted in the time of that summary. ``decides_alone``: the meter bills its last
    reading, which the awaited summary carries whatever came before it.
    """
    if result.reason.verdict is not Verdict.DRIFTED:
        return result
    if not decides_alone:
        if counted is None or result.billed is None or result.recorded is None:
            return result
        missing = subtract(result.billed, result.recorded)
        if missing <= 0 or not equal(counted.nearest(missing), missing, tolerance=tolerance):
            return result
    return replace(result, reason=Reason.NOT_SETTLED, detail=lacking(result.detail, [awaited]))


def unsettled_parts(unsettled: Unsettled) -> Iterator[str]:
    """Yield what the ledger still has to settle, for a person, with the names that PacSpace gave."""

    def named(names: tuple[str, ...]) -> str:
        return f" ({', '.join(names)})" if names else ""

    if unsettled.unverified:
        yield f"{plural(unsettled.unverified, 'ledger record')} not verified yet{named(unsettled.records)}"
    if unsettled.gaps:
        yield f"{plural(unsettled.gaps, 'gap')} in the ledger's sequence{named(unsettled.sequences)}"


def lacking(difference: str, missing: Iterable[str]) -> str:
    """Return a difference with everything that is missing before it counts."""
    return f"{difference}; missing: {', '.join(missing)}"


def with_retry_time(detail: str, until: datetime) -> str:
    """Return what is missing, with the time of the next check at the latest; a vendor's event brings it forward."""
    return f"{without_retry_time(detail)}; checked again by {iso_to_next_second(until)}"


def without_retry_time(detail: str) -> str:
    """Return what is missing without the time of the next check, for a place that shows the time by itself."""
    return _RETRIED.sub("", detail)


# -- 3. PacSpace's own answers -------------------------------------------------------------------------------------


def after_compare(result: WindowResult, balance: Balance, comparison: Comparison) -> WindowResult:
    """Store PacSpace's own answer; only a neutral balance that contradicts derive has a consequence."""
    neutral = comparison.neutral_balance
    stored = replace(result, comparison=comparison)
    if neutral is None or equal(neutral, balance.net):
        return stored
    detail = f"compare says {text(neutral)}, derive says {text(balance.net)}"
    return replace(stored, reason=Reason.LEDGER_INCONSISTENT, detail=detail)


def after_verify(result: WindowResult, proof: Proof, summary: ProofSummary) -> WindowResult:
    """Cross-check the root: public verify must give derive's count and net, else it vouches for other records."""
    if not summary.verified:
        detail = "public verify does not confirm the proof root yet"
        return replace(result, reason=Reason.NOT_SETTLED, detail=detail, proof=proof)
    same_count = summary.record_count in (None, proof.count)
    same_net = summary.net_change is None or equal(summary.net_change, proof.net)
    if same_count and same_net:
        named = summary.record_count is not None and summary.net_change is not None
        return replace(result, proof=replace(proof, cross_checked=named))
    known = summary.record_count
    records = "an unknown number of records" if known is None else plural(known, "record")
    detail = (
        f"the proof root covers {records} netting "
        f"{'unknown' if summary.net_change is None else text(summary.net_change)}, "
        f"the ledger has {proof.count} netting {text(proof.net)}"
    )
    return replace(result, reason=Reason.ROOT_STALE, detail=detail, proof=replace(proof, stale=True))
