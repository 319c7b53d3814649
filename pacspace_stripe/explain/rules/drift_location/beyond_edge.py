"""Usage that the two sides place on different sides of the window's edge. Pure.

What the ledger took in after the end, beyond the slack, was recorded late; everything else at an edge is PERIOD_EDGE.
"""

from collections.abc import Iterator
from decimal import Decimal

from pacspace_stripe.explain.rules.drift_location.figures import Bucket, Entry, Piece, Situation
from pacspace_stripe.explain.rules.drift_location.matches import several, single
from pacspace_stripe.explain.rules.explanation import Cause, LocatedRecord, Side
from pacspace_stripe.vocabulary.quantities import total
from pacspace_stripe.vocabulary.windows import Window


def beyond_the_edge(part: Bucket, situation: Situation) -> Piece | None:
    """By what the records themselves say of their time; else by a mirror of the difference outside the window."""
    return _said(part, situation) or _mirrored_after(part, situation) or _mirrored_before(part, situation)


def _said(part: Bucket, situation: Situation) -> Piece | None:
    """The ledger has more by records that were used outside the window, or less by ones outside used in this part."""
    if part.excess < 0:
        strangers = tuple(entry for entry in part.entries if _outside(entry.used, situation.window))
        chosen = _adding_up(part, strangers, -part.excess)
        return _edge(part, chosen) if chosen else None
    theirs = tuple(
        entry
        for outside in (*situation.before, *situation.after)
        for entry in outside.entries
        if entry.used is not None and _touches(entry.used, part.window) and not _outside(entry.used, situation.window)
    )
    chosen = _adding_up(part, theirs, part.excess)
    return _late_or_edge(part, chosen, situation) if chosen else None


def _adding_up(part: Bucket, entries: tuple[Entry, ...], quantity: Decimal) -> tuple[Entry, ...]:
    for entry in entries:
        if part.close(entry.quantity, quantity):
            return (entry,)
    return entries if entries and part.close(total(entry.quantity for entry in entries), quantity) else ()


def _outside(used: Window | None, window: Window) -> bool:
    return used is not None and (used.end <= window.start or window.end <= used.start)


def _touches(used: Window, window: Window) -> bool:
    return used.start < window.end and window.start < used.end


def _mirrored_after(part: Bucket, situation: Situation) -> Piece | None:
    """After the end, one side has what it lacks here."""
    for outside in situation.after:
        if not _opposite(part, outside):
            continue
        if part.excess < 0:
            return _edge(part, matching_records(part, -part.excess))
        chosen = matching_records(outside, part.excess)
        if chosen:
            return _late_or_edge(part, chosen, situation)
    return None


def _mirrored_before(part: Bucket, situation: Situation) -> Piece | None:
    """Before the start, one side has what it lacks here."""
    for outside in situation.before:
        if _opposite(part, outside):
            source, quantity = (outside, part.excess) if part.excess > 0 else (part, -part.excess)
            chosen = matching_records(source, quantity)
            if chosen:
                return _edge(part, chosen)
    return None


def _opposite(part: Bucket, outside: Bucket) -> bool:
    """Exactly the mirror, or at least some of it: what is new there may not be counted yet."""
    if part.excess > 0:
        whole = outside.close(outside.excess, -part.excess)
        return outside.excess < 0 and (whole or bool(matching_records(outside, part.excess)))
    return outside.close(outside.excess, -part.excess)


def matching_records(source: Bucket, quantity: Decimal) -> tuple[Entry, ...]:
    """The records of a part that make up a quantity: one, all, or a few; none when it cannot be told."""
    entry = single(source, quantity)
    if entry is not None:
        return (entry,)
    everything = total(each.quantity for each in source.entries)
    return source.entries if source.entries and source.close(everything, quantity) else several(source, quantity)


def _late_or_edge(part: Bucket, chosen: tuple[Entry, ...], situation: Situation) -> Piece:
    end, slack = situation.window.end, situation.slack
    late = any(entry.accepted_at >= end + slack for entry in chosen) or part.window.end < end - slack
    late = late and any(entry.accepted_at >= end for entry in chosen)
    return _edge(part, chosen, Cause.RECORDED_LATE if late else Cause.PERIOD_EDGE)


def _edge(part: Bucket, chosen: tuple[Entry, ...], cause: Cause = Cause.PERIOD_EDGE) -> Piece:
    return Piece(bucket=part, cause=cause, records=tuple(_named(part, chosen)), sure=True)


def _named(part: Bucket, chosen: tuple[Entry, ...]) -> Iterator[LocatedRecord]:
    if not chosen:
        yield LocatedRecord(side=Side.LEDGER, quantity=part.excess.copy_abs(), at=None)
    yield from (entry.located() for entry in chosen)
