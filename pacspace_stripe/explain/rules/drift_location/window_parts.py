"""Both sides' figures in the parts of a window: its days, its hours, and what surrounds them."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import combinations
from math import comb
from statistics import median

from pacspace_stripe.explain.rules.explanation import Cause, LocatedRecord, Side
from pacspace_stripe.vocabulary.quantities import SIGNIFICANT_DIGITS, subtract, total
from pacspace_stripe.vocabulary.windows import Window, floor_to

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
_MOST_TOGETHER, _MOST_TRIED = 3, 5000
"""Most records that are added up to explain a difference, and most sums that are tried."""
_UNLIKELY = Decimal("0.02")
"""Chance below which a sum that fits counts as no accident."""
_MOST_NEIGHBOURING = 2
"""Records at an edge that may belong to the other side of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEntry:
    """One record of the ledger, as usage."""

    quantity: Decimal
    """In the meter's unit; negative where the record has the opposite sign of usage."""
    accepted_at: datetime
    record_id: str | None = None
    reference_id: str | None = None
    used: Window | None = None
    """Usage time that the record itself names."""

    def located(self, *, in_ledger: bool = True) -> LocatedRecord:
        """Return the record as an explanation names it; usage that Stripe counted twice has no id and no time."""
        return LocatedRecord(
            side=Side.LEDGER if in_ledger else Side.STRIPE,
            quantity=self.quantity,
            at=self.accepted_at if in_ledger else None,
            record_id=self.record_id if in_ledger else None,
            reference_id=self.reference_id if in_ledger else None,
        )

    @property
    def accepted_when_used(self) -> bool:
        """Return whether the ledger accepted it within its own usage window; True for a record without one."""
        return self.used is None or self.used.start <= self.accepted_at < self.used.end

    def placed_at(self, window: Window) -> datetime:
        """Return the time at which it counts: its acceptance, unless it names another usage time within the window."""
        if self.used is None or self.accepted_when_used or not window.start <= self.used.start < window.end:
            return self.accepted_at
        return self.used.start


@dataclass(frozen=True, kw_only=True)
class WindowPart:
    """A part of a window with both sides' usage in it, in the meter's unit."""

    window: Window
    billed: Decimal
    recorded: Decimal
    entries: tuple[UsageEntry, ...] = ()
    """Its records in order of time; none when there are too many to be listed."""

    @classmethod
    def listed(cls, window: Window, billed: Decimal, entries: Iterable[UsageEntry]) -> "WindowPart":
        """Return a part whose records are all known: they add up to what is recorded."""
        known = tuple(entries)
        return cls(window=window, billed=billed, recorded=total(each.quantity for each in known), entries=known)

    @classmethod
    def joined(cls, parts: Iterable["WindowPart"]) -> "WindowPart":
        """Return several parts, in order of time, as one."""
        known = tuple(parts)
        return cls(
            window=Window(start=known[0].window.start, end=max(part.window.end for part in known)),
            billed=total(part.billed for part in known),
            recorded=total(part.recorded for part in known),
            entries=tuple(entry for part in known for entry in part.entries),
        )

    @cached_property
    def excess(self) -> Decimal:
        """Billed minus recorded usage: negative when the ledger has more."""
        return subtract(self.billed, self.recorded)

    @cached_property
    def grain(self) -> Decimal:
        """The least difference that means anything between sums of this size: both sides keep 15 digits."""
        largest = max(self.billed.copy_abs(), self.recorded.copy_abs())
        return Decimal(1).scaleb(largest.adjusted() - SIGNIFICANT_DIGITS + 2) if largest else Decimal(0)

    @cached_property
    def differs(self) -> bool:
        return self.excess.copy_abs() > self.grain

    def equal(self, left: Decimal, right: Decimal) -> bool:
        """Return whether two figures of this part differ by no more than its grain."""
        return subtract(left, right).copy_abs() <= self.grain

    # -- the records that make a difference ----------------------------------------------------------------------

    def entry_of(self, quantity: Decimal) -> UsageEntry | None:
        """Return the record of this quantity; the last one of several."""
        return next((entry for entry in reversed(self.entries) if self.equal(entry.quantity, quantity)), None)

    def few_adding_up_to(self, quantity: Decimal) -> tuple[UsageEntry, ...]:
        """Return two or three records that add up to a quantity; none where some records might do so by accident."""
        for size in range(2, _MOST_TOGETHER + 1):
            if comb(len(self.entries), size) > _MOST_TRIED:
                return ()
            for chosen in combinations(self.entries, size):
                if self.equal(total(entry.quantity for entry in chosen), quantity):
                    return chosen if self._chance_of_a_sum(size) < _UNLIKELY else ()
        return ()

    def _chance_of_a_sum(self, size: int) -> Decimal:
        """Estimate the chance that some sum of so many records fits by accident: sums tried / figures possible."""
        exponents = [int(entry.quantity.normalize().as_tuple().exponent) for entry in self.entries]
        largest = max(entry.quantity.copy_abs() for entry in self.entries) * size
        figures = largest.scaleb(-min(exponents)) if largest else Decimal(1)
        return comb(len(self.entries), size) / figures if figures else Decimal(1)

    def entries_making(self, quantity: Decimal) -> tuple[UsageEntry, ...]:
        """Return the records that make up a quantity: one, all, or a few; none when the figures do not show which."""
        entry = self.entry_of(quantity)
        if entry is not None:
            return (entry,)
        if self.entries and self.equal(total(each.quantity for each in self.entries), quantity):
            return self.entries
        return self.few_adding_up_to(quantity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """Another ledger account, or another meter of the customer, that may have the usage in question."""

    name: str
    cause: Cause
    """WRONG_CUSTOMER or WRONG_METER."""
    parts: tuple[WindowPart, ...]
    """Its figures in the parts where ours differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftFigures:
    """All figures that were read of one drifted window and around it."""

    window: Window
    slack: timedelta
    """The distance from an edge within which the two sides may place the same usage differently."""
    inside: tuple[WindowPart, ...]
    """The parts of the window in order of time, without overlap; days whose figures agree may be whole."""
    before: tuple[WindowPart, ...] = ()
    after: tuple[WindowPart, ...] = ()
    """The parts that differ outside the window, as far as it was searched."""
    neighbours: tuple[Neighbour, ...] = ()
    newest_of: timedelta | None = None
    """The meter's event time window: Stripe counts only the newest event of each (FACTS 12.10)."""

    @property
    def entries(self) -> list[UsageEntry]:
        return [entry for part in self.inside for entry in part.entries]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocatedFault:
    """The cause of the difference in one part, with the records that make it."""

    part: WindowPart
    cause: Cause
    records: tuple[LocatedRecord, ...] = ()
    factor: Decimal | None = None
    counterpart: str | None = None
    sure: bool = False
    """Figures from outside the window, or of neighbours, could not show another cause."""

    @property
    def kind(self) -> tuple[Cause, Decimal | None, str | None]:
        """The key that two places with the same fault share."""
        return self.cause, self.factor, self.counterpart


# -- days and hours ---------------------------------------------------------------------------------------------------


def split(window: Window, step: timedelta) -> tuple[Window, ...]:
    """Return the window's UTC days, or hours; the first and the last one cut at its bounds."""
    parts, start = [], window.start
    while start < window.end:
        end = min(floor_to(start, step) + step, window.end)
        parts.append(Window(start=start, end=end))
        start = end
    return tuple(parts)


def with_figures(
    windows: Iterable[Window], billed: Mapping[datetime, Decimal], entries: Iterable[UsageEntry]
) -> tuple[WindowPart, ...]:
    """Return consecutive windows with Stripe's figures (by their starts) and the ledger's records."""
    windows = tuple(windows)
    whole = Window(start=windows[0].start, end=windows[-1].end)
    starts = [window.start for window in windows]
    placed: dict[int, list[UsageEntry]] = defaultdict(list)
    for entry in sorted(entries, key=lambda each: each.accepted_at):
        at = entry.placed_at(whole)
        place = bisect_right(starts, at) - 1
        if place >= 0 and at < windows[place].end:
            placed[place].append(entry)
    return tuple(
        WindowPart.listed(window, billed.get(window.start, Decimal(0)), placed[place])
        for place, window in enumerate(windows)
    )


def is_recorded_daily(days: Iterable[WindowPart]) -> bool:
    """Return whether the ledger gets one record a day: its records then show nothing about hours."""
    hours = [len({floor_to(entry.accepted_at, HOUR) for entry in day.entries}) for day in days if day.entries]
    return bool(hours) and median(hours) <= 1


def hours_are_comparable(day: WindowPart, hours: Iterable[WindowPart], *, recorded_daily: bool) -> bool:
    """Return whether a day's hours can be compared: they cannot when one record stands for several hours."""
    for entry in day.entries:
        if entry.used is not None and entry.used.end - entry.used.start > HOUR and not entry.accepted_when_used:
            return False
    used = [hour for hour in hours if hour.billed]
    return not recorded_daily or len(used) <= 1 or any(not hour.differs for hour in used)


def neighbouring_entries(
    window: Window, entries: Iterable[UsageEntry], slack: timedelta
) -> Iterator[tuple[UsageEntry, ...]]:
    """Yield the records of a window, then variants with the first records after it, or without its own first ones.

    The window was chosen for one account. Its edges may lie in the middle of another account's usage.
    """
    listed = sorted(entries, key=lambda entry: entry.accepted_at)
    inside = tuple(entry for entry in listed if window.start <= entry.accepted_at < window.end)
    after = tuple(entry for entry in listed if window.end <= entry.accepted_at < window.end + slack)
    early = sum(entry.accepted_at < window.start + slack for entry in inside)
    yield inside
    yield from ((*inside, *after[:count]) for count in range(1, min(len(after), _MOST_NEIGHBOURING) + 1))
    yield from (inside[count:] for count in range(1, min(early, _MOST_NEIGHBOURING) + 1))
