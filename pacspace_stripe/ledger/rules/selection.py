"""The deltas of a ledger account that count for one meter and window, and the usage that they add up to. Pure.

A ledger account may hold other things than one meter's usage: another meter's deltas, deposits, summaries of another
time, earlier readings. What the policy selects counts; everything else of a scope is named with its sum, so that the
figures can be recomputed. A delta that cannot be placed in time, or whose meter is unknown, makes the whole window
``UnclearRecords``: never a guess.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from pacspace_stripe.comparison.rules.verdicts import Reason
from pacspace_stripe.ledger.rules.attribution import Placement, placement, usage_time, usage_window
from pacspace_stripe.vocabulary.ledger import Balance, LedgerDelta, LeftOut, LeftOutBy, UsageSign
from pacspace_stripe.vocabulary.policy import BY_ACCOUNT, Attribution, Policy
from pacspace_stripe.vocabulary.quantities import equal, text, total
from pacspace_stripe.vocabulary.text import plural
from pacspace_stripe.vocabulary.windows import Window, floor_to, iso_to_second

BY_REASON, BY_METADATA = "reason", "metadata."
_TICK = timedelta(milliseconds=1)
"""PacSpace shows times to the millisecond, and its windows end before their end."""
_CHOOSE_A_CLOCK = "set PACSPACE_STRIPE_ATTRIBUTION to accepted or usage_time to say which of the two counts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Rules that tell the deltas of one meter from the others of its ledger account."""

    meter: str
    """The meter's ``event_name``."""
    meter_from: str = BY_ACCOUNT
    exclude_reasons: frozenset[str] = frozenset()
    attribution: Attribution = Attribution.ACCEPTED
    unit: Decimal = Decimal(1)
    """Number of the ledger's units in one of the meter's."""
    reads: bool = False
    """True if each delta carries a reading and the last one is what is used: Stripe's aggregation ``last``."""
    usage_sign: UsageSign = UsageSign.NEGATIVE
    others: frozenset[str] = frozenset()
    """Names of Stripe's other meters: a delta of one of these is no usage of this one."""

    @classmethod
    def of(cls, policy: Policy, meter: str, others: Iterable[str] = ()) -> "Selection":
        """Return what the policy sets for one meter."""
        return cls(
            meter=meter,
            meter_from=policy.meter_from,
            exclude_reasons=policy.exclude_reasons,
            attribution=policy.attribution,
            unit=policy.units.get(meter, Decimal(1)),
            reads=meter in policy.readings,
            usage_sign=policy.usage_sign,
            others=frozenset(others) - {meter},
        )

    @property
    def takes_all(self) -> bool:
        """True if every delta that PacSpace places in the window counts: its balance needs no list of deltas."""
        return self.attribution is Attribution.ACCEPTED and self.takes_all_of_a_time

    @property
    def takes_all_of_a_time(self) -> bool:
        """True if every delta that a clock places in the window counts."""
        return self.meter_from == BY_ACCOUNT and not self.exclude_reasons and not self.reads

    @property
    def plain(self) -> bool:
        """True if the net of PacSpace's window is usage as it stands, but for its sign."""
        return self.takes_all and self.unit == 1

    @property
    def splits(self) -> bool:
        """True if one ledger account holds several meters."""
        return self.meter_from != BY_ACCOUNT

    def usage(self, net: Decimal) -> Decimal:
        """Return the usage, in the meter's unit, of counted deltas by their raw net."""
        return self.usage_sign.in_meter_units(net, self.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedRecords:
    """The deltas that count, and the sums of those that do not, in a fixed order."""

    deltas: tuple[LedgerDelta, ...]
    usage: Decimal
    """In the meter's unit."""
    left_out: tuple[LeftOut, ...] = ()
    by_usage_time: int = 0
    """Number of the deltas that their own usage time places, not their acceptance."""

    @property
    def count(self) -> int:
        return len(self.deltas)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnclearRecords:
    """Records of which it is unknown what counts: the window is unproven, and ``detail`` names the record."""

    reason: Reason
    detail: str
    read: Balance | None = None
    """The balance that was read all the same: an early warning fixes it by a checkpoint."""


def select(
    deltas: Iterable[LedgerDelta], window: Window, selection: Selection, *, later: Iterable[LedgerDelta] = ()
) -> CountedRecords | UnclearRecords:
    """Choose the deltas that count for the selection's meter in a window.

    ``deltas`` are those that PacSpace itself places in the window, by a clock of its own; ``later`` are those that it
    places after the window's end.
    """
    counted: list[LedgerDelta] = []
    sums: dict[tuple[LeftOutBy, str], list[Decimal]] = {}
    for listed, delta in (*((True, each) for each in deltas), *((False, each) for each in later)):
        match _left_out_by(delta, window, selection, listed=listed):
            case UnclearRecords() as unclear:
                return unclear
            case None:
                counted.append(delta)
            case why:
                sums.setdefault(why, []).append(delta.amount)
    if selection.reads and counted:
        # Of several readings the last one counts, by the clock that places them.
        spans = [(usage_time(delta, selection.attribution), delta) for delta in counted]
        timed = [(span.end if span else delta.accepted_at, delta) for span, delta in spans]
        latest = max(at for at, _ in timed)
        last = [delta for at, delta in timed if at == latest]
        if len({delta.amount for delta in last}) > 1:
            return _unclear(Reason.UNKNOWN_SHAPE, last[0], "is one of several different readings at its time")
        if earlier := [delta.amount for delta in counted if delta != last[-1]]:
            sums[LeftOutBy.READING, ""] = earlier
        counted = last[-1:]
    left_out = tuple(
        LeftOut(by=by, name=name, count=len(amounts), net=total(amounts))
        for (by, name), amounts in sorted(sums.items(), key=lambda each: each[0])
    )
    usage = selection.usage(total(delta.amount for delta in counted))
    by_usage_time = sum(usage_time(delta, selection.attribution) is not None for delta in counted)
    return CountedRecords(deltas=tuple(counted), usage=usage, left_out=left_out, by_usage_time=by_usage_time)


def _left_out_by(  # noqa: PLR0911  # one return per rule, in the order in which they decide
    delta: LedgerDelta, window: Window, selection: Selection, *, listed: bool
) -> "tuple[LeftOutBy, str] | UnclearRecords | None":
    """Return why a delta does not count; None if it counts.

    A delta that is no usage at all, or another meter's, need not be placed in time.
    """
    if delta.reason is not None and delta.reason in selection.exclude_reasons:
        return LeftOutBy.REASON, delta.reason
    place = placement(delta, window, selection.attribution, listed=listed)
    if place is Placement.OUTSIDE:
        return LeftOutBy.TIME, ""
    if selection.splits:
        meter, source = meter_of(delta, selection.meter_from), selection.meter_from
        if meter is None:
            return _unclear(Reason.UNMAPPED, delta, f"names no meter in its {source}")
        if meter != selection.meter:
            if meter in selection.others:
                return LeftOutBy.METER, meter
            return _unclear(Reason.UNMAPPED, delta, f"names {meter!r} in its {source}, no meter of Stripe's")
    if place is Placement.ACROSS:
        what = f"is usage of {usage_window(delta)}, which crosses the edge of {window}"
        return _unclear(Reason.UNKNOWN_SHAPE, delta, what)
    if place is Placement.CONTRADICTED:
        at = iso_to_second(delta.accepted_at)
        what = f"names {usage_window(delta)} as its time and was accepted {at}: {_CHOOSE_A_CLOCK}"
        return _unclear(Reason.UNKNOWN_SHAPE, delta, what)
    return None


def _unclear(reason: Reason, delta: LedgerDelta, what: str) -> UnclearRecords:
    return UnclearRecords(reason=reason, detail=f"{name_of(delta)} {what}")


def balance_of(
    balance: Balance,
    deltas: Sequence[LedgerDelta],
    window: Window,
    selection: Selection,
    *,
    later: Sequence[LedgerDelta] = (),
) -> Balance | UnclearRecords:
    """Return the balance of a scope with the sums of its deltas that do not count.

    PacSpace's own balance has to be the sum of the deltas that it lists, else the ledger is inconsistent.
    ``later``: those of them that PacSpace places after the window's end.
    """
    net, count = total(delta.amount for delta in (*deltas, *later)), len(deltas) + len(later)
    if count != balance.count or not equal(net, balance.net):
        listed = f"{plural(count, 'record')} netting {text(net)}"
        detail = f"the ledger lists {listed}, and derives {text(balance.net)} of {balance.count}"
        return UnclearRecords(reason=Reason.LEDGER_INCONSISTENT, detail=detail)
    match select(deltas, window, selection, later=later):
        case UnclearRecords() as unclear:
            return unclear
        case CountedRecords(left_out=left_out, by_usage_time=by_usage_time):
            return replace(balance, left_out=left_out, unit=selection.unit, by_usage_time=by_usage_time)


def unless_trivial(balance: Balance, selection: Selection) -> Balance:
    """Return the balance without its selection if auto had nothing to select: acceptance placed every record."""
    auto = selection.attribution is Attribution.AUTO and selection.takes_all_of_a_time and selection.unit == 1
    nothing = not balance.left_out and not balance.by_usage_time
    return replace(balance, left_out=None) if auto and nothing else balance


def proof_scope(counted: Iterable[LedgerDelta], window: Window) -> Window:
    """Return the shortest scope from the window's start in which all that counts was accepted: what a proof covers.

    ``counted``: the counted deltas that PacSpace places after the window's end.
    """
    last = max((delta.accepted_at for delta in counted), default=window.start)
    return Window(start=window.start, end=max(window.end, last + _TICK))


def awaited_summary(
    deltas: Iterable[LedgerDelta], window: Window, selection: Selection, cadence: timedelta
) -> Window | None:
    """Return the end of a window whose summary the ledger does not have yet; None if no summary is awaited.

    A ledger whose records summarize times of their own gets the last one after that time has ended. It is awaited while
    no record covers the window's last ``cadence`` to its end, and none is of a later time.
    ``deltas``: all that are listed in the window and after it.
    """
    mine = [delta for delta in deltas if is_usage_of(delta, selection)]
    spans = [span for delta in mine if (span := usage_time(delta, selection.attribution))]
    if not spans or any(window.end <= span.end for span in spans):
        return None
    last_cadence = floor_to(window.end - _TICK, cadence)
    since = max(window.start, last_cadence, *(span.end for span in spans))
    single = (delta for delta in mine if usage_time(delta, selection.attribution) is None)
    if any(since <= delta.accepted_at < window.end for delta in single):
        return None
    return Window(start=since, end=window.end)


def is_usage_of(delta: LedgerDelta, selection: Selection) -> bool:
    """Return whether a delta is usage of the selection's meter, whenever it happened."""
    if delta.reason is not None and delta.reason in selection.exclude_reasons:
        return False
    return not selection.splits or meter_of(delta, selection.meter_from) == selection.meter


def may_count(delta: LedgerDelta, window: Window, selection: Selection) -> bool:
    """Return whether an unverified delta might be usage of the window: what it does not name cannot rule it out.

    With auto, a delta that names no time of its own is placed by its acceptance, as it will be once it is verified.
    """
    if delta.reason is not None and delta.reason in selection.exclude_reasons:
        return False
    meter = meter_of(delta, selection.meter_from) if selection.splits else None
    if meter is not None and meter != selection.meter:
        return False
    if usage_time(delta, selection.attribution) is None:
        return selection.attribution is not Attribution.AUTO or delta.accepted_at < window.end
    return placement(delta, window, selection.attribution) is not Placement.OUTSIDE


def name_of(delta: LedgerDelta) -> str:
    """Return the name of a record for people: its id, and its reference if it has one."""
    reference = f" ({delta.reference_id})" if delta.reference_id else ""
    return f"record {delta.record_id}{reference}"


def named_meters(deltas: Iterable[LedgerDelta], selection: Selection) -> frozenset[str]:
    """Return the other meters that the deltas name; the caller finds out which of them are Stripe's."""
    if not selection.splits:
        return frozenset()
    usage = (delta for delta in deltas if delta.reason not in selection.exclude_reasons)
    found = (meter_of(delta, selection.meter_from) for delta in usage)
    return frozenset(meter for meter in found if meter is not None) - {selection.meter}


def meter_of(delta: LedgerDelta, meter_from: str) -> str | None:
    """Return the meter that a delta names in its ``reason`` or ``metadata.KEY``; None if it names none there."""
    if meter_from == BY_REASON:
        named: object = delta.reason
    else:
        named = delta.metadata.get(meter_from.removeprefix(BY_METADATA))
    return named if isinstance(named, str) and named else None
