"""Which of a ledger account's deltas count for one meter and window, and the usage they add up to.

Pure. A delta that cannot be placed, or whose meter cannot be told, makes the whole window ``UnclearRecords``: never a guess.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """How the deltas of one meter are told from the others of its ledger account."""

    meter: str
    """Its ``event_name``."""
    meter_from: str = BY_ACCOUNT
    exclude_reasons: frozenset[str] = frozenset()
    attribution: Attribution = Attribution.ACCEPTED
    unit: Decimal = Decimal(1)
    """How many of the ledger's units are one of the meter's."""
    reads: bool = False
    """Each delta carries a reading, and the last one is what is used: Stripe's aggregation ``last``."""
    usage_sign: UsageSign = UsageSign.NEGATIVE
    others: frozenset[str] = frozenset()
    """Names of other meters that Stripe has: a delta of one of these is no usage of this one."""

    @classmethod
    def of(cls, policy: Policy, meter: str, others: Iterable[str] = ()) -> "Selection":
        """What the policy says of one meter."""
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
        """Every delta that PacSpace places in the window counts: its balance says all there is to say."""
        return self.attribution is Attribution.ACCEPTED and self.takes_all_of_a_time

    @property
    def takes_all_of_a_time(self) -> bool:
        """Every delta counts whose place in time is the window, whichever clock places it."""
        return self.meter_from == BY_ACCOUNT and not self.exclude_reasons and not self.reads

    @property
    def plain(self) -> bool:
        """The net of PacSpace's window is usage as it stands, but for its sign."""
        return self.takes_all and self.unit == 1

    @property
    def splits(self) -> bool:
        """One ledger account holds several meters."""
        return self.meter_from != BY_ACCOUNT

    def usage(self, net: Decimal) -> Decimal:
        """Raw net of counted deltas → usage in the meter's unit; rounded as both sources keep it if it must be."""
        return self.usage_sign.in_meter_units(net, self.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedRecords:
    """The deltas that count, and the sums of those that don't, in a fixed order."""

    deltas: tuple[LedgerDelta, ...]
    usage: Decimal
    """In the meter's unit."""
    left_out: tuple[LeftOut, ...] = ()
    by_usage_time: int = 0
    """Number of them that their own usage time places, not their acceptance."""

    @property
    def count(self) -> int:
        return len(self.deltas)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnclearRecords:
    """What counts cannot be told: unproven, with the record that it is about."""

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
        match _judged(delta, window, selection, listed=listed):
            case UnclearRecords() as unclear:
                return unclear
            case None:
                counted.append(delta)
            case why:
                sums.setdefault(why, []).append(delta.amount)
    if selection.reads:
        last = _last(counted, selection)
        if isinstance(last, UnclearRecords):
            return last
        earlier = [delta.amount for delta in counted if delta not in last]
        counted, sums = last, sums | ({(LeftOutBy.READING, ""): earlier} if earlier else {})
    left_out = tuple(
        LeftOut(by=by, name=name, count=len(amounts), net=total(amounts))
        for (by, name), amounts in sorted(sums.items(), key=lambda each: each[0])
    )
    usage = selection.usage(total(delta.amount for delta in counted))
    own = sum(usage_time(delta, selection.attribution) is not None for delta in counted)
    return CountedRecords(deltas=tuple(counted), usage=usage, left_out=left_out, by_usage_time=own)


def _last(deltas: list[LedgerDelta], selection: Selection) -> list[LedgerDelta] | UnclearRecords:
    """The last of several readings, by the clock that places them; none of none."""
    if not deltas:
        return []
    latest = max(_read_at(delta, selection) for delta in deltas)
    last = [delta for delta in deltas if _read_at(delta, selection) == latest]
    if len({delta.amount for delta in last}) > 1:
        return _unclear(Reason.UNKNOWN_SHAPE, last[0], "is one of several different readings at its time")
    return last[-1:]


def _read_at(delta: LedgerDelta, selection: Selection) -> datetime:
    span = usage_time(delta, selection.attribution)
    return span.end if span else delta.accepted_at


def _judged(
    delta: LedgerDelta, window: Window, selection: Selection, *, listed: bool
) -> "tuple[LeftOutBy, str] | UnclearRecords | None":
    """None: it counts. What is no usage at all, or another meter's, need not be placed in time."""
    if delta.reason is not None and delta.reason in selection.exclude_reasons:
        return LeftOutBy.REASON, delta.reason
    where = placement(delta, window, selection.attribution, listed=listed)
    if where is Placement.OUTSIDE:
        return LeftOutBy.TIME, ""
    other = _of_another_meter(delta, selection) if selection.splits else None
    if other is None and where is Placement.ACROSS:
        what = f"is usage of {usage_window(delta)}, which crosses the edge of {window}"
        return _unclear(Reason.UNKNOWN_SHAPE, delta, what)
    if other is None and where is Placement.CONTRADICTED:
        at = iso_to_second(delta.accepted_at)
        what = f"names {usage_window(delta)} as its time and was accepted {at}: {_CHOOSE_A_CLOCK}"
        return _unclear(Reason.UNKNOWN_SHAPE, delta, what)
    return other


_CHOOSE_A_CLOCK = "set PACSPACE_STRIPE_ATTRIBUTION to accepted or usage_time to say which of the two counts"


def _of_another_meter(delta: LedgerDelta, selection: Selection) -> "tuple[LeftOutBy, str] | UnclearRecords | None":
    meter, told_by = meter_of(delta, selection.meter_from), selection.meter_from
    if meter is None:
        return _unclear(Reason.UNMAPPED, delta, f"names no meter in its {told_by}")
    if meter == selection.meter:
        return None
    if meter in selection.others:
        return LeftOutBy.METER, meter
    return _unclear(Reason.UNMAPPED, delta, f"names {meter!r} in its {told_by}, no meter of Stripe's")


def chosen(
    balance: Balance,
    deltas: Sequence[LedgerDelta],
    window: Window,
    selection: Selection,
    *,
    later: Sequence[LedgerDelta] = (),
) -> Balance | UnclearRecords:
    """Return the balance of a scope with what of it does not count, when the deltas are the ones that it is made of.

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
        case CountedRecords(left_out=left_out, by_usage_time=own):
            return replace(balance, left_out=left_out, unit=selection.unit, by_usage_time=own)


def as_it_stands(balance: Balance, selection: Selection) -> Balance:
    """Return the balance without a selection where auto found nothing to select: acceptance placed every record."""
    auto = selection.attribution is Attribution.AUTO and selection.takes_all_of_a_time and selection.unit == 1
    nothing = not balance.left_out and not balance.by_usage_time
    return replace(balance, left_out=None) if auto and nothing else balance


def proof_scope(counted: Iterable[LedgerDelta], window: Window) -> Window:
    """Return the shortest scope from the window's start in which all that counts was accepted: what a proof covers.

    ``counted``: the counted deltas that PacSpace places after the window's end.
    """
    last = max((delta.accepted_at for delta in counted), default=window.start)
    return Window(start=window.start, end=max(window.end, last + _TICK))


def awaited(deltas: Iterable[LedgerDelta], window: Window, selection: Selection, cadence: timedelta) -> Window | None:
    """Return the end of a window whose summary the ledger does not have yet; None when nothing is awaited.

    ``deltas``: all that are listed in the window and after it. A ledger whose records summarize times of their own
    gets the last one after that time has ended. It is awaited when no record covers the window's last ``cadence`` to
    its end, and none is of a later time.
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
    """Return whether an unverified delta might be usage of the window: what it does not say cannot rule it out.

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


def _unclear(reason: Reason, delta: LedgerDelta, what: str) -> UnclearRecords:
    return UnclearRecords(reason=reason, detail=f"{name_of(delta)} {what}")


def name_of(delta: LedgerDelta) -> str:
    """A record for people."""
    reference = f" ({delta.reference_id})" if delta.reference_id else ""
    return f"record {delta.record_id}{reference}"


def named_meters(deltas: Iterable[LedgerDelta], selection: Selection) -> frozenset[str]:
    """Other meters that the deltas name: whoever has some must know whether they are Stripe's."""
    if not selection.splits:
        return frozenset()
    usage = (delta for delta in deltas if delta.reason not in selection.exclude_reasons)
    found = (meter_of(delta, selection.meter_from) for delta in usage)
    return frozenset(meter for meter in found if meter is not None) - {selection.meter}


def meter_of(delta: LedgerDelta, meter_from: str) -> str | None:
    """The meter that a delta names in its ``reason`` or ``metadata.KEY``; None when it names none there."""
    if meter_from == BY_REASON:
        named: object = delta.reason
    else:
        named = delta.metadata.get(meter_from.removeprefix(BY_METADATA))
    return named if isinstance(named, str) and named else None
