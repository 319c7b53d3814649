"""A drift at the edge of its period: both sides have the same usage, and place it on different sides of a bound. Pure.

A drift stays a drift. These rules only find that it would vanish if records near a bound of the window lay on its other
side, and name them. There are three, tried in this order; each tries few records in few ways, never all subsets:

1. *The other clock.* All records are placed by their own usage time instead of their acceptance, or the reverse.
2. *The slack.* Records no further from a bound than ``Policy.edge_slack`` change sides: one of them alone; or those
   nearest to one bound without a gap; or such a run at both bounds in one direction, as a clock does that is ahead or
   behind. Of all that agree, the fewest records.
3. *The minutes.* For a window with seconds in its bounds, whose meter Stripe sums by whole minutes (FACTS 4.3): the
   ledger's figure lies between what the meter counted over the minutes inside and over those around.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import accumulate

from pacspace_stripe.comparison.rules.verdicts import MeterTotals
from pacspace_stripe.ledger.rules.attribution import Placement, placement, usage_time
from pacspace_stripe.ledger.rules.selection import Selection
from pacspace_stripe.vocabulary.ledger import LedgerDelta
from pacspace_stripe.vocabulary.policy import Attribution
from pacspace_stripe.vocabulary.quantities import equal, round_to_source, subtract, text, total
from pacspace_stripe.vocabulary.windows import Window, iso, iso_to_second

MOST_NAMED = 5
"""Number of records that are named to a person; the rest is counted."""


class Bound(StrEnum):
    """A bound of the window."""

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
        """Return a delta as a record of its nearer bound.

        ``inside``: whether PacSpace itself places it in the window, by a clock of its own (CONTRACT 4).
        """
        nearer_end = abs(delta.accepted_at - window.end) < abs(delta.accepted_at - window.start)
        return cls(
            delta=delta,
            usage=selection.usage(delta.amount),
            bound=Bound.END if nearer_end else Bound.START,
            counted=placement(delta, window, selection.attribution, listed=inside) is Placement.INSIDE,
        )

    @property
    def change(self) -> Decimal:
        """Amount that the ledger's figure gains if the record changes sides."""
        return -self.usage if self.counted else self.usage

    def __str__(self) -> str:
        delta = self.delta
        reference = f" ({delta.reference_id})" if delta.reference_id else ""
        at, side = iso_to_second(delta.accepted_at), "counted" if self.counted else "not counted"
        return f"{delta.record_id}{reference} of {text(self.usage)}, accepted {at}, {side}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeShift:
    """Records that make both sides agree if they lie on the other side of their bound, and why they may lie there."""

    records: tuple[EdgeRecord, ...]
    why: str

    def __str__(self) -> str:
        named = [str(record) for record in self.records[:MOST_NAMED]]
        more = len(self.records) - len(named)
        return f"they agree {self.why}: {', '.join(named)}{f' and {more} more' if more else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodEdges:
    """The records near the bounds of a window that drifted."""

    window: Window
    difference: Decimal
    """Billed minus recorded: what the ledger's figure has to gain."""
    records: tuple[EdgeRecord, ...]
    attribution: Attribution
    slack: timedelta
    tolerance: Decimal = Decimal(0)

    def shift(self) -> EdgeShift | None:
        """Return the records of the first rule that makes both sides agree."""
        return self._by_the_other_clock() or self._within_the_slack()

    def _agrees(self, gained: Decimal) -> bool:
        return equal(gained, self.difference, tolerance=self.tolerance)

    def _by_the_other_clock(self) -> EdgeShift | None:
        other = Attribution.AUTO if self.attribution is Attribution.ACCEPTED else Attribution.ACCEPTED
        places = [(record, placement(record.delta, self.window, other)) for record in self.records]
        if any(place in (Placement.ACROSS, Placement.CONTRADICTED) for _, place in places):
            return None
        moved = tuple(record for record, place in places if (place is Placement.INSIDE) is not record.counted)
        if not moved or not self._agrees(total(record.change for record in moved)):
            return None
        by = "when they were accepted" if other is Attribution.ACCEPTED else "usage time"
        return EdgeShift(records=_in_time(moved), why=f"when placed by {by}")

    def _within_the_slack(self) -> EdgeShift | None:
        found = min(self._agreeing(), key=len, default=None)
        if found is None:
            return None
        minutes = text(Decimal(self.slack.total_seconds()) / 60)
        return EdgeShift(records=_in_time(found), why=f"when moved across the period's edge, {minutes} min at most")

    def _agreeing(self) -> Iterator[tuple[EdgeRecord, ...]]:
        late = (self._nearest(Bound.END, counted=False), self._nearest(Bound.START, counted=True))
        early = (self._nearest(Bound.END, counted=True), self._nearest(Bound.START, counted=False))
        for zone in (*late, *early):
            yield from ((record,) for record in zone if self._agrees(record.change))
            yield from (zone[:length] for length, gained in _gains(zone) if self._agrees(gained))
        # A run at each bound is found by its sum, to the digits that the sources keep, and not tried one by one.
        for one, other in (late, early):
            lengths: dict[Decimal, int] = {}
            for length, gained in _gains(one):
                lengths.setdefault(round_to_source(gained), length)
            for length, gained in _gains(other):
                there = lengths.get(round_to_source(subtract(self.difference, gained)))
                if there is not None:
                    yield one[:there] + other[:length]

    def _nearest(self, bound: Bound, *, counted: bool) -> tuple[EdgeRecord, ...]:
        """Return the records of one side of a bound that are within the slack, nearest first."""
        at = self.window.start if bound is Bound.START else self.window.end

        def distance(delta: LedgerDelta) -> timedelta:
            # The farthest moment of a record, by the clock that counts.
            span = usage_time(delta, self.attribution)
            return max(abs(each - at) for each in ((span.start, span.end) if span else (delta.accepted_at,)))

        zone = [each for each in self.records if each.bound is bound and each.counted is counted]
        near = [(distance(each.delta), each) for each in zone if distance(each.delta) <= self.slack]
        return tuple(each for _, each in sorted(near, key=lambda pair: (pair[0], pair[1].delta.record_id)))


def _gains(zone: Iterable[EdgeRecord]) -> Iterator[tuple[int, Decimal]]:
    """Yield, from the bound outwards and without a gap, how many records change sides and what the ledger gains."""
    return enumerate(accumulate((record.change for record in zone), lambda one, other: total((one, other))), start=1)


def _in_time(records: Iterable[EdgeRecord]) -> tuple[EdgeRecord, ...]:
    return tuple(sorted(records, key=lambda each: (each.delta.accepted_at, each.delta.record_id)))


def within_minutes(window: Window, recorded: Decimal, totals: MeterTotals) -> str | None:
    """Return the text for a drift that Stripe's count in the minutes at the bounds may explain; None if it cannot."""
    inner, outer = totals.inner, totals.outer
    if equal(inner, outer) or not min(inner, outer) <= recorded <= max(inner, outer):
        return None
    minutes = " and ".join(f"{iso(span.start)}/{iso(span.end)}" for span in window.edge_minutes)
    counted = text(subtract(outer, inner))
    return f"they may agree: Stripe counted {counted} in the minutes at the period's edge ({minutes})"
