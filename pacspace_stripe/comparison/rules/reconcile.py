"""The comparison: whether the ledger agrees with what is billed, per ledger account and window.

Pure. Compare the two figures exactly; only a difference asks what is still unsettled and what the meter says now.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from pacspace_stripe.comparison.rules.verdicts import MeterRead, Reason, WindowResult
from pacspace_stripe.usage.rules import BilledUsage
from pacspace_stripe.vocabulary.ledger import Balance, Comparison, Proof, ProofSummary, Unsettled, UsageSign
from pacspace_stripe.vocabulary.quantities import equal, subtract, text
from pacspace_stripe.vocabulary.text import plural
from pacspace_stripe.vocabulary.windows import iso_to_next_second, iso_to_second

MOST_APART = timedelta(minutes=1)
"""Two reads this far apart show an aggregation that lags: about 60 s were measured (FACTS 4.3). What is *sent*
late has had its own time to settle, before the first comparison; as long once more would tell of what is wrong late."""
_AGAIN = "; looked at again by "


def apart(settle: timedelta) -> timedelta:
    """How far apart two equal reads have to be; no wait for usage to settle, none here either."""
    return min(settle, MOST_APART)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """What a look at a draft knows of earlier ones. Final lines have none: nothing about them settles any more."""

    now: datetime
    apart: timedelta
    earlier: MeterRead | None = None

    def read(self, inner: Decimal, outer: Decimal) -> MeterRead:
        """What Stripe says now, since when."""
        if self.earlier is not None and self.earlier.says(inner, outer):
            return self.earlier
        return MeterRead(at=self.now, inner=inner, outer=outer)

    def again_at(self, read: MeterRead) -> datetime | None:
        """When a second read counts; None: it has been saying so for long enough."""
        due = read.at + self.apart
        return due if self.now < due else None

    def awaited(self, read: MeterRead) -> str:
        """The second read that is missing, for a person."""
        before = self.earlier
        moved = f", {before} at {iso_to_second(before.at)}" if before is not None and before is not read else ""
        return f"a second meter read that says the same ({read} since {iso_to_second(read.at)}{moved})"


def unsettled_parts(unsettled: Unsettled) -> Iterator[str]:
    """What the ledger still has to settle, for a person; names as far as PacSpace gave some."""
    if unsettled.unverified:
        yield f"{plural(unsettled.unverified, 'ledger record')} not verified yet{_named(unsettled.records)}"
    if unsettled.gaps:
        yield f"{plural(unsettled.gaps, 'gap')} in the ledger's sequence{_named(unsettled.sequences)}"


def _named(names: tuple[str, ...]) -> str:
    return f" ({', '.join(names)})" if names else ""


def lacking(difference: str, missing: Iterable[str]) -> str:
    """Both: how it differs, and all that is missing before that counts."""
    return f"{difference}; missing: {', '.join(missing)}"


def without_retry_time(detail: str) -> str:
    """Return what is missing without when it is tried again: for a place that shows the time by itself."""
    return detail.partition(_AGAIN)[0]


def with_retry_time(detail: str, until: datetime) -> str:
    """What is missing, and when it is tried again at the latest: a word of either vendor brings it forward."""
    return f"{detail.partition(_AGAIN)[0]}{_AGAIN}{iso_to_next_second(until)}"


def compare_figures(usage: BilledUsage, balance: Balance, sign: UsageSign, tolerance: Decimal) -> WindowResult:
    """Compare the line's figure with the ledger's. A difference is provisional: see ``confirm_difference``."""
    billed, recorded, count = _quantity(usage), balance.usage(sign), balance.counted
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
        reason, detail = _difference(billed, recorded), _difference_detail(billed, recorded)
    result = usage.result(reason, detail, recorded=recorded, count=count)
    return replace(result, record=balance.record, selected=balance.selected)


def confirm_difference(
    first: WindowResult,
    unsettled: Unsettled,
    meter_now: tuple[Decimal, Decimal] | None,
    *,
    strict: bool,
    tolerance: Decimal = Decimal(0),
    settling: Settling | None = None,
) -> WindowResult:
    """Judge a difference: still settling, a draft line that lags its meter, or a real drift.

    ``meter_now`` is what the meter says over the inner and the outer whole minutes of the window, or None
    when the invoice is final and its lines alone count. Between those two both figures may lie: only where the
    final lines are read again (``strict``) the ledger's is then taken for the meter's. A difference within the
    minutes at a period's edge thus shows after finalization; held before it, a right invoice could be held for ever.
    ``settling``: what earlier looks at a draft know of its meter; None: nothing about Stripe's figure settles any more.
    """
    read = _read(first, meter_now, settling)
    first = replace(first, metered=read)
    missing = list(unsettled_parts(unsettled))
    agreed = _as_the_ledger_says(first, meter_now, strict=strict, tolerance=tolerance)
    if agreed is not None and not missing:
        return agreed
    again_at = settling.again_at(read) if settling and read and agreed is None else None
    if settling and read and again_at:
        missing.append(settling.awaited(read))
    if not missing:
        return first
    detail = lacking(first.detail, missing)
    return replace(first, reason=Reason.NOT_SETTLED, detail=detail, second_read_at=None if unsettled.any else again_at)


def _read(
    first: WindowResult, meter_now: tuple[Decimal, Decimal] | None, settling: Settling | None
) -> MeterRead | None:
    """What Stripe says of the meter; where it cannot be asked about the window, what the draft's line says."""
    if settling is None or first.billed is None:
        return None
    return settling.read(*(meter_now or (first.billed, first.billed)))


def _as_the_ledger_says(
    first: WindowResult, meter_now: tuple[Decimal, Decimal] | None, *, strict: bool, tolerance: Decimal
) -> WindowResult | None:
    """The result where the meter has what the ledger has, and only the draft's line differs; None when it differs too.

    One read is enough for that: final lines are compared again, or it is unproven.
    """
    if meter_now is None or first.recorded is None:
        return None
    metered = _nearest(first.recorded, *meter_now)
    if not equal(metered, first.recorded, tolerance=tolerance):
        return None
    if strict:
        return _as_metered(first, metered, first.recorded)
    if first.billed is not None and equal(_nearest(first.billed, *meter_now), first.billed):
        return None
    missing = [f"the draft's line lags behind its meter, which says what the ledger says ({text(metered)})"]
    return replace(first, reason=Reason.NOT_SETTLED, detail=lacking(first.detail, missing))


def _nearest(quantity: Decimal, one: Decimal, other: Decimal) -> Decimal:
    """Of all between two bounds (in any order) what is nearest to a quantity: often the quantity itself."""
    return min(max(quantity, min(one, other)), max(one, other))


def _as_metered(first: WindowResult, metered: Decimal, recorded: Decimal) -> WindowResult:
    """The meter's figure in the place of the line's, which only finalization brings up to date."""
    exact = equal(metered, recorded)
    detail = f"the draft's line says {text(first.billed or Decimal(0))}, its meter {text(metered)}"
    return replace(
        first,
        reason=Reason.EXACT if exact else Reason.WITHIN_TOLERANCE,
        detail=detail if exact else f"{detail}, the ledger {text(recorded)}",
        billed=recorded if exact else metered,
        from_meter=True,
    )


def _difference(billed: Decimal, recorded: Decimal) -> Reason:
    if billed == 0 and recorded > 0:
        return Reason.STRIPE_MISSING
    if recorded == 0:
        return Reason.LEDGER_MISSING
    return Reason.OVERBILLED if billed > recorded else Reason.UNDERBILLED


def _difference_detail(billed: Decimal, recorded: Decimal) -> str:
    detail = f"billed {text(billed)}, recorded {text(recorded)}: differs by {text(subtract(billed, recorded))}"
    if recorded < 0:
        detail += "; the ledger's sign is the other one: check PACSPACE_STRIPE_USAGE_SIGN"
    return detail


def after_compare(result: WindowResult, balance: Balance, comparison: Comparison) -> WindowResult:
    """Store PacSpace's own answer; only a neutral balance that contradicts derive is judged."""
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
    named = summary.record_count is not None and summary.net_change is not None
    same_count = summary.record_count in (None, proof.count)
    same_net = summary.net_change is None or equal(summary.net_change, proof.net)
    if same_count and same_net:
        return replace(result, proof=replace(proof, cross_checked=named))
    known = summary.record_count
    records = "an unknown number of records" if known is None else plural(known, "record")
    detail = (
        f"the proof root covers {records} netting "
        f"{'unknown' if summary.net_change is None else text(summary.net_change)}, "
        f"the ledger has {proof.count} netting {text(proof.net)}"
    )
    return replace(result, reason=Reason.ROOT_STALE, detail=detail, proof=replace(proof, stale=True))


def _quantity(usage: BilledUsage) -> Decimal:
    if usage.quantity is None:
        message = "a usage without a quantity has a problem and is never compared"
        raise ValueError(message)
    return usage.quantity
