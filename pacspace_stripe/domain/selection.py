"""Which of a ledger account's deltas count for one meter and window, and the usage they add up to.

Pure. A delta that cannot be placed, or whose meter cannot be told, makes the whole window ``Unclear``: never a guess.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from pacspace_stripe.domain.deltas import LedgerDelta
from pacspace_stripe.domain.ledger import Balance, LeftOut, LeftOutBy, UsageSign
from pacspace_stripe.domain.policy import BY_ACCOUNT, Attribution, Policy
from pacspace_stripe.domain.quantities import equal, text, total
from pacspace_stripe.domain.verdicts import Reason
from pacspace_stripe.domain.windows import Window

BY_REASON, BY_METADATA = "reason", "metadata."
_START, _END = "summaryWindowStart", "summaryWindowEnd"
_DATE = re.compile(r"(?<![0-9-])[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9-])")
_DAY = timedelta(days=1)
_TICK = timedelta(milliseconds=1)
"""PacSpace shows times to the millisecond, and its windows end before their end."""


class Place(StrEnum):
    """Where a delta's usage lies, seen from a window."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    ACROSS = "across"
    """Its usage window crosses a bound: a part of it is inside, and nothing says how much."""


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
        by_account = self.meter_from == BY_ACCOUNT and not self.exclude_reasons
        return by_account and self.attribution is Attribution.ACCEPTED and not self.reads

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
class Counted:
    """The deltas that count, and the sums of those that don't, in a fixed order."""

    deltas: tuple[LedgerDelta, ...]
    usage: Decimal
    """In the meter's unit."""
    left_out: tuple[LeftOut, ...] = ()

    @property
    def count(self) -> int:
        return len(self.deltas)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclear:
    """What counts cannot be told: unproven, with the record that it is about."""

    reason: Reason
    detail: str


def select(deltas: Iterable[LedgerDelta], window: Window, selection: Selection) -> Counted | Unclear:
    """The deltas that count for the selection's meter in a window.

    With ``accepted`` they must be those that PacSpace itself places in the window, whose clock is its own: their times
    are not looked at. With ``usage_time``, those of any longer time around it.
    """
    counted: list[LedgerDelta] = []
    sums: dict[tuple[LeftOutBy, str], list[Decimal]] = {}
    for delta in deltas:
        match _judged(delta, window, selection):
            case Unclear() as unclear:
                return unclear
            case None:
                counted.append(delta)
            case why:
                sums.setdefault(why, []).append(delta.amount)
    if selection.reads:
        last = _last(counted, selection)
        if isinstance(last, Unclear):
            return last
        earlier = [delta.amount for delta in counted if delta not in last]
        counted, sums = last, sums | ({(LeftOutBy.READING, ""): earlier} if earlier else {})
    left_out = tuple(
        LeftOut(by=by, name=name, count=len(amounts), net=total(amounts))
        for (by, name), amounts in sorted(sums.items(), key=lambda each: each[0])
    )
    usage = selection.usage(total(delta.amount for delta in counted))
    return Counted(deltas=tuple(counted), usage=usage, left_out=left_out)


def _last(deltas: list[LedgerDelta], selection: Selection) -> list[LedgerDelta] | Unclear:
    """The last of several readings, by the clock that places them; none of none."""
    if not deltas:
        return []
    latest = max(_read_at(delta, selection) for delta in deltas)
    last = [delta for delta in deltas if _read_at(delta, selection) == latest]
    if len({delta.amount for delta in last}) > 1:
        return _unclear(Reason.UNKNOWN_SHAPE, last[0], "is one of several different readings at its time")
    return last[-1:]


def _read_at(delta: LedgerDelta, selection: Selection) -> datetime:
    span = usage_window(delta) if selection.attribution is Attribution.USAGE_TIME else None
    return span.end if span else delta.accepted_at


def _judged(delta: LedgerDelta, window: Window, selection: Selection) -> "tuple[LeftOutBy, str] | Unclear | None":
    """None: it counts. What is no usage at all, or another meter's, need not be placed in time."""
    if delta.reason is not None and delta.reason in selection.exclude_reasons:
        return LeftOutBy.REASON, delta.reason
    timed = selection.attribution is Attribution.USAGE_TIME
    where = place(delta, window, selection.attribution) if timed else Place.INSIDE
    if where is Place.OUTSIDE:
        return LeftOutBy.TIME, ""
    other = _of_another_meter(delta, selection) if selection.splits else None
    if other is None and where is Place.ACROSS:
        what = f"is usage of {usage_window(delta)}, which crosses the edge of {window}"
        return _unclear(Reason.UNKNOWN_SHAPE, delta, what)
    return other


def _of_another_meter(delta: LedgerDelta, selection: Selection) -> "tuple[LeftOutBy, str] | Unclear | None":
    meter, told_by = meter_of(delta, selection.meter_from), selection.meter_from
    if meter is None:
        return _unclear(Reason.UNMAPPED, delta, f"names no meter in its {told_by}")
    if meter == selection.meter:
        return None
    if meter in selection.others:
        return LeftOutBy.METER, meter
    return _unclear(Reason.UNMAPPED, delta, f"names {meter!r} in its {told_by}, no meter of Stripe's")


def chosen(balance: Balance, deltas: Sequence[LedgerDelta], window: Window, selection: Selection) -> Balance | Unclear:
    """The balance of a scope with what of it does not count, when the deltas are the ones that it is made of."""
    net = total(delta.amount for delta in deltas)
    if len(deltas) != balance.count or not equal(net, balance.net):
        listed = f"{len(deltas)} records netting {text(net)}"
        detail = f"the ledger lists {listed}, and derives {text(balance.net)} of {balance.count}"
        return Unclear(reason=Reason.LEDGER_INCONSISTENT, detail=detail)
    match select(deltas, window, selection):
        case Unclear() as unclear:
            return unclear
        case Counted(left_out=left_out):
            return replace(balance, left_out=left_out, unit=selection.unit)


def proof_scope(counted: Counted, window: Window) -> Window:
    """The shortest time from the window's start in which all that counts was accepted: what a proof has to cover."""
    last = max((delta.accepted_at for delta in counted.deltas), default=window.start)
    return Window(start=window.start, end=max(window.end, last + _TICK))


def may_count(delta: LedgerDelta, window: Window, selection: Selection) -> bool:
    """Whether an unverified delta might be usage of the window: what it does not say yet cannot rule it out."""
    if delta.reason is not None and delta.reason in selection.exclude_reasons:
        return False
    meter = meter_of(delta, selection.meter_from) if selection.splits else None
    if meter is not None and meter != selection.meter:
        return False
    span = usage_window(delta) if selection.attribution is Attribution.USAGE_TIME else None
    return span is None or place(delta, window, selection.attribution) is not Place.OUTSIDE


def _unclear(reason: Reason, delta: LedgerDelta, what: str) -> Unclear:
    return Unclear(reason=reason, detail=f"{name_of(delta)} {what}")


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


def place(delta: LedgerDelta, window: Window, attribution: Attribution) -> Place:
    """Where the clock of ``attribution`` puts a delta."""
    span = usage_window(delta) if attribution is Attribution.USAGE_TIME else None
    if span is None:
        return Place.INSIDE if window.start <= delta.accepted_at < window.end else Place.OUTSIDE
    if window.start <= span.start and span.end <= window.end:
        return Place.INSIDE
    return Place.OUTSIDE if span.end <= window.start or window.end <= span.start else Place.ACROSS


def usage_window(delta: LedgerDelta) -> Window | None:
    """When the delta's usage happened, as the delta itself says; None: it does not, so its acceptance decides.

    ``metadata.summaryWindowStart`` and ``…End`` (pacspace-api 3.2), else the one UTC day that the ``referenceId``
    names, else the ``reason``: PacSpace recommends ``usage:{customerId}:{YYYY-MM-DD}`` (1.7). What is malformed is
    not given.
    """
    return _summary_window(delta.metadata) or _day_in(delta.reference_id) or _day_in(delta.reason)


def _summary_window(metadata: Mapping[str, object]) -> Window | None:
    start, end = _moment(metadata.get(_START)), _moment(metadata.get(_END))
    return Window(start=start, end=end) if start is not None and end is not None and start < end else None


def _moment(written: object) -> datetime | None:
    """An aware time, in UTC."""
    if not isinstance(written, str):
        return None
    try:
        at = datetime.fromisoformat(written)
        return at.astimezone(UTC) if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _day_in(written: str | None) -> Window | None:
    """The UTC day that a text names; several different ones name none."""
    days = set(_days(written or ""))
    if len(days) != 1:
        return None
    day = days.pop()
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Window(start=start, end=start + _DAY)


def _days(written: str) -> Iterator[date]:
    for found in _DATE.findall(written):
        try:
            day = date.fromisoformat(found)
        except ValueError:
            continue
        if day < date.max:
            yield day
