"""A drift at the edge of its period: the same usage, placed on different sides of a bound by the two sides. Pure.

A drift stays a drift. This only says that it would vanish if records near a bound of the window lay on its other side,
and names them. Three rules, in this order; each looks at few records in few ways, never at all subsets:

1. *The other clock.* All records placed by their own usage time instead of their acceptance, or the reverse.
2. *The slack.* Records no further from a bound than ``Policy.edge_slack`` change sides: one of them alone; or those
   nearest to one bound, without a gap, all of them included; or the same at both bounds in one direction, as a clock
   does that is ahead or behind. Of all that agree, the fewest records.
3. *The minutes.* A window with seconds in its bounds, whose meter Stripe sums by whole minutes: the ledger's figure
   lies between what the meter counted over the minutes inside and over those around.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import accumulate

from pacspace_stripe.ledger.rules.attribution import Placement, placement, usage_time
from pacspace_stripe.ledger.rules.selection import Selection
from pacspace_stripe.vocabulary.ledger import LedgerDelta
from pacspace_stripe.vocabulary.policy import Attribution
from pacspace_stripe.vocabulary.quantities import equal, round_to_source, subtract, text, total
from pacspace_stripe.vocabulary.windows import Window, iso, iso_to_second

MOST_NAMED = 5
"""Of the records that are named to a person: the rest is counted."""


class Bound(StrEnum):
    """Which edge of the window."""

    START = "start"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeRecord:
    """One record of the meter near a bound, and whether the figure that drifted includes it."""

    delta: LedgerDelta
    usage: Decimal
    """In the meter's unit."""
    bound: Bound
    counted: bool

    @classmethod
    def of(cls, delta: LedgerDelta, window: Window, selection: Selection, *, inside: bool) -> "EdgeRecord":
        """``inside``: PacSpace itself places it in the window, by a clock of its own (CONTRACT 4)."""
        nearer_end = abs(delta.accepted_at - window.end) < abs(delta.accepted_at - window.start)
        return cls(
            delta=delta,
            usage=selection.usage(delta.amount),
            bound=Bound.END if nearer_end else Bound.START,
            counted=placement(delta, window, selection.attribution, listed=inside) is Placement.INSIDE,
        )

    @property
    def change(self) -> Decimal:
        """What the ledger's figure gains when it changes sides."""
        return -self.usage if self.counted else self.usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Records that make both sides agree on the other side of their bound, and why they may lie there."""

    records: tuple[EdgeRecord, ...]
    why: str

    def __str__(self) -> str:
        named = [_named(record) for record in self.records[:MOST_NAMED]]
        more = len(self.records) - len(named)
        rest = f" and {more} more" if more else ""
        return f"they agree {self.why}: {', '.join(named)}{rest}"


def _named(record: EdgeRecord) -> str:
    delta = record.delta
    reference = f" ({delta.reference_id})" if delta.reference_id else ""
    side = "counted" if record.counted else "not counted"
    return f"{delta.record_id}{reference} of {text(record.usage)}, accepted {iso_to_second(delta.accepted_at)}, {side}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """What is known near the bounds of a window that drifted."""

    window: Window
    difference: Decimal
    """Billed minus recorded: what the ledger's figure has to gain."""
    records: tuple[EdgeRecord, ...]
    attribution: Attribution
    slack: timedelta
    tolerance: Decimal = Decimal(0)

    def moved(self) -> Moved | None:
        """The records of the first rule that makes both sides agree."""
        return self._by_the_other_clock() or self._within_the_slack()

    def _agrees(self, gained: Decimal) -> bool:
        return equal(gained, self.difference, tolerance=self.tolerance)

    def _by_the_other_clock(self) -> Moved | None:
        other = Attribution.AUTO if self.attribution is Attribution.ACCEPTED else Attribution.ACCEPTED
        places = [(record, placement(record.delta, self.window, other)) for record in self.records]
        if any(where in (Placement.ACROSS, Placement.CONTRADICTED) for _, where in places):
            return None
        moved = tuple(record for record, where in places if (where is Placement.INSIDE) is not record.counted)
        if not moved or not self._agrees(total(record.change for record in moved)):
            return None
        by = "when they were accepted" if other is Attribution.ACCEPTED else "usage time"
        return Moved(records=_in_time(moved), why=f"when placed by {by}")

    def _within_the_slack(self) -> Moved | None:
        found = _fewest(self._agreeing())
        if found is None:
            return None
        minutes = text(Decimal(self.slack.total_seconds()) / 60)
        return Moved(records=_in_time(found), why=f"when moved across the period's edge, {minutes} min at most")

    def _agreeing(self) -> Iterator[tuple[EdgeRecord, ...]]:
        late = (self._nearest(Bound.END, counted=False), self._nearest(Bound.START, counted=True))
        early = (self._nearest(Bound.END, counted=True), self._nearest(Bound.START, counted=False))
        for zone in (*late, *early):
            yield from ((record,) for record in zone if self._agrees(record.change))
            yield from (zone[:length] for length, gained in _gains(zone) if self._agrees(gained))
        for one, other in (late, early):
            yield from self._at_both(one, other)

    def _at_both(self, one: tuple[EdgeRecord, ...], other: tuple[EdgeRecord, ...]) -> Iterator[tuple[EdgeRecord, ...]]:
        """A run at each bound. Looked up by its sum, to the digits that the sources keep, not tried one by one."""
        lengths: dict[Decimal, int] = {}
        for length, gained in _gains(one):
            lengths.setdefault(round_to_source(gained), length)
        for length, gained in _gains(other):
            there = lengths.get(round_to_source(subtract(self.difference, gained)))
            if there is not None:
                yield one[:there] + other[:length]

    def _nearest(self, bound: Bound, *, counted: bool) -> tuple[EdgeRecord, ...]:
        """Those of one side of a bound that are near enough, nearest first."""
        at = self.window.start if bound is Bound.START else self.window.end
        far = self._distance_from(at)
        zone = [each for each in self.records if each.bound is bound and each.counted is counted]
        near = [(far(each.delta), each) for each in zone if far(each.delta) <= self.slack]
        return tuple(each for _, each in sorted(near, key=lambda pair: (pair[0], pair[1].delta.record_id)))

    def _distance_from(self, at: datetime) -> Callable[[LedgerDelta], timedelta]:
        """How far the farthest moment of a record is, by the clock that counts."""

        def distance(delta: LedgerDelta) -> timedelta:
            span = usage_time(delta, self.attribution)
            return max(abs(each - at) for each in ((span.start, span.end) if span else (delta.accepted_at,)))

        return distance


def _gains(zone: Iterable[EdgeRecord]) -> Iterator[tuple[int, Decimal]]:
    """From the bound outwards, without a gap: how many records, and what the ledger's figure gains by them."""
    return enumerate(accumulate((record.change for record in zone), lambda one, other: total((one, other))), start=1)


def _fewest(found: Iterable[tuple[EdgeRecord, ...]]) -> tuple[EdgeRecord, ...] | None:
    return min(found, key=len, default=None)


def _in_time(records: Iterable[EdgeRecord]) -> tuple[EdgeRecord, ...]:
    return tuple(sorted(records, key=lambda each: (each.delta.accepted_at, each.delta.record_id)))


def within_minutes(window: Window, recorded: Decimal, inner: Decimal, outer: Decimal) -> str | None:
    """How both sides may agree after all: by what Stripe counted in the minutes at bounds that have seconds."""
    if equal(inner, outer) or not min(inner, outer) <= recorded <= max(inner, outer):
        return None
    minutes = " and ".join(iso(span.start) + "/" + iso(span.end) for span in window.edge_minutes)
    counted = text(subtract(outer, inner))
    return f"they may agree: Stripe counted {counted} in the minutes at the period's edge ({minutes})"
