"""Where a ledger with too many records to be listed differs: by halves, and listed only where few are left.

Stripe's figures are known by day, and are read by hour for a day that differs; the ledger's balance is asked for half
of what differs at a time, and the other half is the rest. Services whose ratio is the same are not halved any further.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from pacspace_stripe.explain.budget import Budget
from pacspace_stripe.explain.meter_account import Place
from pacspace_stripe.explain.rules.drift_location import HOUR, Bucket, filled, joined, parts_of
from pacspace_stripe.pacspace_api.balance import LARGEST_PAGE
from pacspace_stripe.vocabulary.quantities import subtract, total

_KEPT = 25
"""Requests that are left for what comes after."""
_PARTS = 4
"""Services of one ratio that show a pattern."""
_SAME_RATIO = Decimal("0.000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """Services with Stripe's figures, and what the ledger has in all of them."""

    parts: tuple[Bucket, ...]
    recorded: Decimal
    count: int
    halved: int = 0

    @property
    def whole(self) -> Bucket:
        return replace(joined(self.parts), recorded=self.recorded)


@dataclass(slots=True, kw_only=True)
class Narrowing:
    """One search. ``notes``: where it had to stop."""

    place: Place
    budget: Budget
    notes: list[str]

    def narrowed(self, parts: Sequence[Bucket]) -> tuple[Bucket, ...]:
        """Of parts with Stripe's figures only, those with both sides': small ones with their records."""
        window = joined(parts).window
        recorded, count = self.place.net(window)
        return tuple(self._within(_Span(parts=tuple(parts), recorded=recorded, count=count)))

    def _within(self, span: _Span) -> Iterator[Bucket]:
        whole = span.whole
        if not whole.differs:
            yield whole
        elif self.budget.left <= _KEPT:
            self.notes.append(f"{whole.window} was not looked at any closer: {span.count} records")
            yield whole
        elif span.count <= LARGEST_PAGE:
            yield from self._listed(span)
        elif len(span.parts) > 1:
            yield from self._halved(span)
        elif whole.window.end - whole.window.start > HOUR:
            yield from self._within(replace(span, parts=self._hours(whole)))
        else:
            yield whole

    def _listed(self, span: _Span) -> tuple[Bucket, ...]:
        entries = self.place.entries(span.whole.window)
        billed = {part.window.start: part.billed for part in span.parts}
        return filled((part.window for part in span.parts), billed, entries)

    def _halved(self, span: _Span) -> Iterator[Bucket]:
        middle = len(span.parts) // 2
        first, second = span.parts[:middle], span.parts[middle:]
        recorded, count = self.place.net(joined(first).window)
        deeper = span.halved + 1
        early = _Span(parts=first, recorded=recorded, count=count, halved=deeper)
        rest = subtract(span.recorded, recorded)
        late = _Span(parts=second, recorded=rest, count=span.count - count, halved=deeper)
        if 2**deeper >= _PARTS and _same_ratio(early.whole, late.whole):
            yield from (early.whole, late.whole)
        else:
            yield from self._within(early)
            yield from self._within(late)

    def _hours(self, day: Bucket) -> tuple[Bucket, ...]:
        """A day's hours on Stripe's side; what they lack of the day lies at its edge."""
        counted = self.place.counted_by_hour(day.window)
        hours = list(filled(parts_of(day.window, HOUR), counted, ()))
        hours[-1] = replace(hours[-1], billed=total((hours[-1].billed, day.billed, *(-hour.billed for hour in hours))))
        return tuple(hours)


def _same_ratio(one: Bucket, other: Bucket) -> bool:
    if not (one.recorded and other.recorded and one.billed and other.billed):
        return False
    ratio, other_ratio = one.billed / one.recorded, other.billed / other.recorded
    return (ratio / other_ratio - 1).copy_abs() <= _SAME_RATIO
