"""Rules for one part that differs: each reads the part alone, or together with the figures around it.

The first rule that holds, in this order, gives the cause:

1. Stripe has just the newest record of each hour or day, on a meter that counts no other (``newest_only``);
2. one or more records have the wrong sign (``wrong_sign``);
3. the other side has the usage beyond the window's edge (``beyond_the_edge``);
4. the ledger has the same reference twice (``same_reference``);
5. another account or meter has the opposite difference (``mirrored``);
6. Stripe has more by the quantity of one record, so it counted that one twice (``twice_in_stripe``);
7. the ledger has two records of the same quantity near each other (``twice_in_ledger``);
8. Stripe lacks a record (``not_in_stripe``);
9. Stripe has a record with the opposite sign (``wrong_sign_in_stripe``);
10. a record is in another unit (``other_unit``);
11. a record lacks its decimals (``without_decimals``);
12. Stripe lacks several records, or has several twice (``several_records``);
13. Stripe has more for any other reason, so the ledger lacks it (``not_in_ledger``).

If the ledger has more and no record or sum of records fits the difference, the part stays unexplained.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from pacspace_stripe.explain.rules.drift_location.pattern_rules import is_distinctive, is_whole, known_factor
from pacspace_stripe.explain.rules.drift_location.window_parts import (
    DriftFigures,
    LocatedFault,
    Neighbour,
    UsageEntry,
    WindowPart,
)
from pacspace_stripe.explain.rules.explanation import Cause, LocatedRecord, Side
from pacspace_stripe.vocabulary.quantities import total
from pacspace_stripe.vocabulary.windows import Window, floor_to

_RESENT = timedelta(hours=1)
"""Time within which a program sends a record again automatically."""


def cause_of(part: WindowPart, figures: DriftFigures) -> LocatedFault:
    """Return the fault of a part that differs, by the first rule that holds."""
    rules: tuple[Callable[[WindowPart, DriftFigures], LocatedFault | None], ...] = (
        newest_only,
        wrong_sign,
        beyond_the_edge,
        same_reference,
        mirrored,
        twice_in_stripe,
        twice_in_ledger,
        not_in_stripe,
        wrong_sign_in_stripe,
        other_unit,
        without_decimals,
        several_records,
        not_in_ledger,
    )
    for rule in rules:
        found = rule(part, figures)
        if found is not None:
            return found
    return LocatedFault(part=part, cause=Cause.UNEXPLAINED)


def newest_only(part: WindowPart, figures: DriftFigures) -> LocatedFault | None:
    """Find that Stripe counted only the newest record of each hour or day."""
    if figures.newest_of is None:
        return None
    newest: dict[datetime, UsageEntry] = {}
    for entry in part.entries:
        newest[floor_to(entry.used.start if entry.used else entry.accepted_at, figures.newest_of)] = entry
    dropped = [entry for entry in part.entries if not any(entry is kept for kept in newest.values())]
    if not dropped or not part.equal(part.billed, total(entry.quantity for entry in newest.values())):
        return None
    return _fault(part, Cause.EVENT_TIME_WINDOW, dropped, sure=True)


def wrong_sign(part: WindowPart, _: DriftFigures) -> LocatedFault | None:
    """Find negative records that Stripe counted with the opposite sign: it has twice their quantity more."""
    negative = tuple(entry for entry in part.entries if entry.quantity < 0)
    for chosen in (*((entry,) for entry in negative), negative):
        if chosen and part.equal(part.excess, -2 * total(entry.quantity for entry in chosen)):
            return _fault(part, Cause.WRONG_SIGN, chosen, sure=True)
    return None


# -- beyond the window's edge -----------------------------------------------------------------------------------------


def beyond_the_edge(part: WindowPart, figures: DriftFigures) -> LocatedFault | None:
    """Find usage that the two sides place on different sides of the window's edge.

    Usage that the ledger accepted after the end, beyond the slack, was recorded late; all other is PERIOD_EDGE. The
    records' own usage times come first; then a mirror of the difference outside the window.
    """
    return _by_usage_time(part, figures) or _mirrored_after(part, figures) or _mirrored_before(part, figures)


def _by_usage_time(part: WindowPart, figures: DriftFigures) -> LocatedFault | None:
    """Find records here that were used outside the window, or records outside it that were used in this part."""
    window = figures.window

    def used_outside(entry: UsageEntry) -> bool:
        return entry.used is not None and (entry.used.end <= window.start or window.end <= entry.used.start)

    if part.excess < 0:
        chosen = _adding_up(part, [entry for entry in part.entries if used_outside(entry)], -part.excess)
        return _at_edge(part, chosen) if chosen else None
    used_here = [
        entry
        for outside in (*figures.before, *figures.after)
        for entry in outside.entries
        if entry.used is not None and _overlap(entry.used, part.window) and not used_outside(entry)
    ]
    chosen = _adding_up(part, used_here, part.excess)
    return _late_or_at_edge(part, chosen, figures) if chosen else None


def _adding_up(part: WindowPart, entries: list[UsageEntry], quantity: Decimal) -> list[UsageEntry]:
    for entry in entries:
        if part.equal(entry.quantity, quantity):
            return [entry]
    return entries if entries and part.equal(total(entry.quantity for entry in entries), quantity) else []


def _mirrored_after(part: WindowPart, figures: DriftFigures) -> LocatedFault | None:
    for outside in figures.after:
        if not _is_opposite(part, outside):
            continue
        if part.excess < 0:
            return _at_edge(part, part.entries_making(-part.excess))
        chosen = outside.entries_making(part.excess)
        if chosen:
            return _late_or_at_edge(part, chosen, figures)
    return None


def _mirrored_before(part: WindowPart, figures: DriftFigures) -> LocatedFault | None:
    for outside in figures.before:
        if _is_opposite(part, outside):
            # The record lies where the ledger has more.
            chosen = (outside if part.excess > 0 else part).entries_making(part.excess.copy_abs())
            if chosen:
                return _at_edge(part, chosen)
    return None


def _is_opposite(part: WindowPart, outside: WindowPart) -> bool:
    """Return whether a part outside the window has the opposite difference, or records that add up to it."""
    mirror = outside.equal(outside.excess, -part.excess)
    if part.excess > 0:
        # Stripe may not have counted new usage outside the window yet, so the ledger's records are enough.
        return outside.excess < 0 and (mirror or bool(outside.entries_making(part.excess)))
    return mirror


def _late_or_at_edge(part: WindowPart, chosen: Sequence[UsageEntry], figures: DriftFigures) -> LocatedFault:
    end, slack = figures.window.end, figures.slack
    accepted = [entry.accepted_at for entry in chosen]
    late = max(accepted) >= end + slack or part.window.end < end - slack
    return _at_edge(part, chosen, Cause.RECORDED_LATE if late and max(accepted) >= end else Cause.PERIOD_EDGE)


def _at_edge(part: WindowPart, chosen: Iterable[UsageEntry], cause: Cause = Cause.PERIOD_EDGE) -> LocatedFault:
    records = tuple(entry.located() for entry in chosen)
    unknown = LocatedRecord(side=Side.LEDGER, quantity=part.excess.copy_abs(), at=None)
    return LocatedFault(part=part, cause=cause, records=records or (unknown,), sure=True)


# -- records within the window ----------------------------------------------------------------------------------------


def same_reference(part: WindowPart, figures: DriftFigures) -> LocatedFault | None:
    """Find that the ledger has more by a record whose reference another record in the window has too."""
    if part.excess >= 0:
        return None
    times = Counter(entry.reference_id for entry in figures.entries if entry.reference_id is not None)
    again = [entry for entry in part.entries if entry.reference_id and times[entry.reference_id] > 1]
    for entry in reversed(again):
        if part.equal(entry.quantity, -part.excess):
            return _fault(part, Cause.TWICE_IN_LEDGER, (entry,), sure=True)
    first = {entry.reference_id: entry for entry in reversed(again)}
    repeated = [entry for entry in again if entry is not first[entry.reference_id]]
    if repeated and part.equal(total(entry.quantity for entry in repeated), -part.excess):
        return _fault(part, Cause.TWICE_IN_LEDGER, repeated, sure=True)
    return None


def mirrored(part: WindowPart, figures: DriftFigures) -> LocatedFault | None:
    """Find another account or meter whose difference in the same time is ours with the opposite sign."""
    for neighbour in figures.neighbours:
        there = _mirror(part, neighbour)
        if there is not None:
            # The ledger's record lies where the ledger has more.
            chosen = (there if part.excess > 0 else part).entries_making(part.excess.copy_abs())
            records = tuple(entry.located() for entry in chosen)
            return LocatedFault(
                part=part, cause=neighbour.cause, records=records, counterpart=neighbour.name, sure=True
            )
    return None


def _mirror(part: WindowPart, neighbour: Neighbour) -> WindowPart | None:
    """Return the neighbour's part of the same time whose difference is ours with the opposite sign."""
    for theirs in neighbour.parts:
        if not (theirs.differs and _overlap(theirs.window, part.window)):
            continue
        if part.equal(theirs.excess, -part.excess) or theirs.equal(theirs.excess, -part.excess):
            return theirs
    return None


def twice_in_stripe(part: WindowPart, figures: DriftFigures) -> LocatedFault | None:
    """Find that Stripe has more by exactly one ledger record in this part, or near it: it was sent again later."""
    if part.excess <= 0:
        return None
    first, last = part.window.start - figures.slack, part.window.end + figures.slack
    beside = (
        entry
        for entry in figures.entries
        if first <= entry.accepted_at < last
        and is_distinctive(entry.quantity)
        and part.equal(entry.quantity, part.excess)
    )
    entry = part.entry_of(part.excess) or next(beside, None)
    return _fault(part, Cause.TWICE_IN_STRIPE, (entry,), in_ledger=False) if entry else None


def twice_in_ledger(part: WindowPart, figures: DriftFigures) -> LocatedFault | None:
    """Find that the ledger has more by a record, and that a like one was accepted within an hour of it."""
    entry = part.entry_of(-part.excess) if part.excess < 0 else None
    if entry is None:
        return None
    alike = any(each is not entry and _are_alike(each, entry) for each in figures.entries)
    return _fault(part, Cause.TWICE_IN_LEDGER, (entry,)) if alike else None


def _are_alike(one: UsageEntry, other: UsageEntry) -> bool:
    soon = abs(one.accepted_at - other.accepted_at) <= _RESENT
    named_apart = None not in (one.reference_id, other.reference_id) and one.reference_id != other.reference_id
    return soon and one.quantity == other.quantity and (is_distinctive(one.quantity) or not named_apart)


def not_in_stripe(part: WindowPart, _: DriftFigures) -> LocatedFault | None:
    """Find that the ledger has more by exactly one record, or by all of its records in this part."""
    if part.excess >= 0:
        return None
    entry = part.entry_of(-part.excess)
    if entry:
        return _fault(part, Cause.NOT_IN_STRIPE, (entry,))
    return _fault(part, Cause.NOT_IN_STRIPE, part.entries) if not part.billed and part.entries else None


def wrong_sign_in_stripe(part: WindowPart, _: DriftFigures) -> LocatedFault | None:
    """Find that Stripe has less by twice the quantity of one record, so it counted that with the opposite sign."""
    entry = part.entry_of(-part.excess / 2) if part.excess < 0 else None
    return _fault(part, Cause.WRONG_SIGN, (entry,)) if entry and is_distinctive(entry.quantity) else None


def other_unit(part: WindowPart, _: DriftFigures) -> LocatedFault | None:
    """Find that Stripe counted one of the ledger's records times a known factor between units."""
    for entry in part.entries:
        theirs = part.excess + entry.quantity
        if not entry.quantity or not (is_distinctive(entry.quantity) or is_distinctive(theirs)):
            continue
        factor = known_factor(theirs / entry.quantity)
        # The factor holds to a part in a million, which is evidence only for figures with digits enough.
        enough_digits = theirs.copy_abs() > part.grain * 1000 and entry.quantity.copy_abs() > part.grain
        if factor is not None and enough_digits:
            return _fault(part, Cause.UNIT_FACTOR, (entry,), factor=factor)
    return None


def without_decimals(part: WindowPart, _: DriftFigures) -> LocatedFault | None:
    """Find that one side dropped the decimals of a record: Stripe lacks them, or the ledger has whole numbers only."""
    if part.excess.copy_abs() >= 1:
        return None
    for entry in part.entries:
        fraction = entry.quantity - int(entry.quantity)
        if fraction and part.equal(-part.excess, fraction):
            return _fault(part, Cause.TRUNCATED_DECIMALS, (entry,))
    whole = tuple(entry for entry in part.entries if is_whole(entry.quantity))
    if whole and part.excess > 0:
        return _fault(part, Cause.TRUNCATED_DECIMALS, whole if len(whole) == 1 else ())
    return None


def several_records(part: WindowPart, _: DriftFigures) -> LocatedFault | None:
    """Find several records of the ledger that add up to the difference."""
    chosen = part.few_adding_up_to(part.excess.copy_abs())
    if not chosen:
        return None
    if part.excess > 0:
        return _fault(part, Cause.TWICE_IN_STRIPE, chosen, in_ledger=False)
    return _fault(part, Cause.NOT_IN_STRIPE, chosen)


def not_in_ledger(part: WindowPart, _: DriftFigures) -> LocatedFault | None:
    """Find that Stripe has more, for a reason that no earlier rule found."""
    if part.excess <= 0:
        return None
    theirs = LocatedRecord(side=Side.STRIPE, quantity=part.excess, at=None)
    return LocatedFault(part=part, cause=Cause.NOT_IN_LEDGER, records=(theirs,))


def _overlap(one: Window, other: Window) -> bool:
    return one.start < other.end and other.start < one.end


def _fault(
    part: WindowPart,
    cause: Cause,
    entries: Iterable[UsageEntry],
    *,
    factor: Decimal | None = None,
    in_ledger: bool = True,
    sure: bool = False,
) -> LocatedFault:
    records = tuple(entry.located(in_ledger=in_ledger) for entry in entries)
    return LocatedFault(part=part, cause=cause, records=records, factor=factor, sure=sure)
