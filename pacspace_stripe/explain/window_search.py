"""The search of one drifted window: by days, then by the hours of days that differ, then beyond its edges.

A figure that a vendor does not give is noted, and the search goes on without it; BudgetSpent ends the search.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby

from pacspace_stripe.errors import RemoteError
from pacspace_stripe.explain.meter_account import MeterAccount, RecordsNotListed, TooManyRecords
from pacspace_stripe.explain.rules.drift_location.pattern_rules import pattern
from pacspace_stripe.explain.rules.drift_location.window_parts import (
    DAY,
    HOUR,
    DriftFigures,
    Neighbour,
    WindowPart,
    hours_are_comparable,
    is_recorded_daily,
    split,
    with_figures,
)
from pacspace_stripe.explain.rules.explanation import DayFigures
from pacspace_stripe.pacspace_api.balance import LARGEST_PAGE
from pacspace_stripe.vocabulary.quantities import subtract, text, total
from pacspace_stripe.vocabulary.windows import Window, floor_to

_MINUTE = timedelta(minutes=1)
_BEFORE = timedelta(days=1)
_AFTER_BY_HOUR, _AFTER = timedelta(hours=96), timedelta(days=35)
"""The time after the window's end that is searched for late records: Stripe takes events of 35 days (FACTS 4.2)."""
_DAYS_PER_ANSWER = 4
"""Number of whole days whose hours Stripe returns in one answer."""
_MOST_RUNS = 16
"""Runs of such days that are read by hour."""
_KEPT_REQUESTS = 25
"""Requests that the bisection leaves for what comes after it."""
_PARTS_OF_A_PATTERN = 4
"""Parts of one ratio that show a pattern."""
_SAME_RATIO = Decimal("0.000001")


class BudgetSpent(Exception):
    """Another request would exceed the budget."""


@dataclass(slots=True, kw_only=True)
class RequestBudget:
    """The requests that one drift may take, to both vendors, retries included."""

    most: int
    spent: int = 0

    def count(self) -> None:
        """Count a request right before it is sent. Raises BudgetSpent."""
        if self.spent >= self.most:
            raise BudgetSpent
        self.spent += 1

    @property
    def left(self) -> int:
        return self.most - self.spent


@dataclass(slots=True, kw_only=True)
class WindowSearch:
    """The figures of one window that were read so far; each ``read_…`` method reads more."""

    meter_account: MeterAccount
    window: Window
    billed: Decimal
    slack: timedelta
    now: datetime
    budget: RequestBudget
    newest_of: timedelta | None = None
    """The meter's event time window."""
    notes: list[str] = field(default_factory=list)
    days: tuple[WindowPart, ...] = ()
    inside: tuple[WindowPart, ...] = ()
    before: tuple[WindowPart, ...] = ()
    after: tuple[WindowPart, ...] = ()
    neighbours: list[Neighbour] = field(default_factory=list)
    recorded_daily: bool = False
    _edge_minutes: dict[datetime, Decimal] = field(default_factory=dict)
    _billed_at_edges: tuple[Decimal, Decimal] = (Decimal(0), Decimal(0))
    """Usage that is billed in the minutes that the window's start and its end cut in two."""

    @property
    def figures(self) -> DriftFigures:
        return DriftFigures(
            window=self.window,
            slack=self.slack,
            inside=self.inside,
            before=self.before,
            after=self.after,
            neighbours=tuple(self.neighbours),
            newest_of=self.newest_of,
        )

    @property
    def day_figures(self) -> tuple[DayFigures, ...]:
        """The days of the window, for people."""
        return tuple(
            DayFigures(on=day.window.start.date(), billed=day.billed, recorded=day.recorded) for day in self.days
        )

    @contextmanager
    def noting(self, problem: str) -> Iterator[None]:
        """Turn a vendor's failure into a note, and go on without its answer."""
        try:
            yield
        except (RemoteError, RecordsNotListed) as error:
            self.notes.append(f"{problem}: {error}")

    # -- days -----------------------------------------------------------------------------------------------------

    def read_days(self) -> None:
        """Read both sides by UTC day."""
        with self.noting("the window's days could not be read"):
            windows, billed = split(self.window, DAY), self.meter_account.billed_by_day(self.window)
            try:
                entries = self.meter_account.entries(self.window)
            except TooManyRecords:
                # The ledger's figures are not known yet: until then, no day differs.
                unread = (replace(day, recorded=day.billed) for day in with_figures(windows, billed, ()))
                billed_days = self._with_edge_minutes(tuple(unread))
                if not self.meter_account.selection.takes_all:
                    message = "too many records, and the account's balance says nothing of one meter"
                    raise RecordsNotListed(message) from None
                self.inside = self._bisected(billed_days)
            else:
                self.days = self.inside = self._with_edge_minutes(with_figures(windows, billed, entries))
            self.recorded_daily = is_recorded_daily(self.inside)

    def _with_edge_minutes(self, days: tuple[WindowPart, ...]) -> tuple[WindowPart, ...]:
        """Add the billed usage that no whole minute of the window has: it lies in the minutes that its edges cut."""
        rest = subtract(self.billed, total(day.billed for day in days))
        if rest == 0:
            return days
        if self.window.inner_minutes == self.window:
            now_billed = text(subtract(self.billed, rest))
            self.notes.append(f"the invoice bills {text(self.billed)}, the meter counts {now_billed} now")
            return days
        self._billed_at_edges = at_start, at_end = self._shared_between_edges(rest, days[0])
        if len(days) == 1:
            return (_with_more_billed(days[0], rest),)
        return (_with_more_billed(days[0], at_start), *days[1:-1], _with_more_billed(days[-1], at_end))

    def _shared_between_edges(self, rest: Decimal, first: WindowPart) -> tuple[Decimal, Decimal]:
        """Divide usage between the minutes at start and end: neither gets more than Stripe counted in that minute."""
        start, end = (self._billed_in_minute_of(edge) for edge in (self.window.start, self.window.end))
        for likely in (subtract(first.recorded, first.billed), start, subtract(rest, end), Decimal(0)):
            if 0 <= likely <= start and 0 <= subtract(rest, likely) <= end:
                return likely, subtract(rest, likely)
        return Decimal(0), rest

    def _billed_in_minute_of(self, edge: datetime) -> Decimal:
        """Return all that Stripe counted in the minute that an edge cuts, on both of its sides."""
        if edge not in self._edge_minutes:
            start = floor_to(edge, _MINUTE)
            minute = Window(start=start, end=start + _MINUTE)
            self._edge_minutes[edge] = Decimal(0) if start == edge else self.meter_account.billed(minute)
        return self._edge_minutes[edge]

    # -- bisection: a ledger with too many records to be listed ---------------------------------------------------

    def _bisected(self, days: Sequence[WindowPart]) -> tuple[WindowPart, ...]:
        """Return parts with both sides' figures, from days with Stripe's only; small parts have their records.

        Each request asks for the ledger's balance of one half of a part that differs; the other half is the rest.
        Halves of the same ratio are not halved any further: they show a pattern.
        """
        recorded, count = self.meter_account.recorded(WindowPart.joined(days).window)
        return tuple(self._search_in(tuple(days), recorded, count, depth=0))

    def _search_in(
        self, parts: tuple[WindowPart, ...], recorded: Decimal, count: int, *, depth: int
    ) -> Iterator[WindowPart]:
        """Yield parts of a time in which the ledger has ``recorded`` in ``count`` records."""
        whole = replace(WindowPart.joined(parts), recorded=recorded)
        if not whole.differs:
            yield whole
        elif self.budget.left <= _KEPT_REQUESTS:
            self.notes.append(f"{whole.window} was not searched any closer: {count} records")
            yield whole
        elif count <= LARGEST_PAGE:
            billed = {part.window.start: part.billed for part in parts}
            yield from with_figures((part.window for part in parts), billed, self.meter_account.entries(whole.window))
        elif len(parts) > 1:
            first, second = parts[: len(parts) // 2], parts[len(parts) // 2 :]
            early, early_count = self.meter_account.recorded(WindowPart.joined(first).window)
            late, late_count = subtract(recorded, early), count - early_count
            halves = (
                replace(WindowPart.joined(first), recorded=early),
                replace(WindowPart.joined(second), recorded=late),
            )
            if 2 ** (depth + 1) >= _PARTS_OF_A_PATTERN and _have_same_ratio(*halves):
                yield from halves
            else:
                yield from self._search_in(first, early, early_count, depth=depth + 1)
                yield from self._search_in(second, late, late_count, depth=depth + 1)
        elif whole.window.end - whole.window.start > HOUR:
            yield from self._search_in(self._billed_hours(whole), recorded, count, depth=depth)
        else:
            yield whole

    def _billed_hours(self, day: WindowPart) -> tuple[WindowPart, ...]:
        """Return a day's hours with Stripe's figures; the last hour gets the usage that no hour has."""
        *hours, last = with_figures(split(day.window, HOUR), self.meter_account.billed_by_hour(day.window), ())
        return (*hours, replace(last, billed=total((day.billed, *(-hour.billed for hour in hours)))))

    # -- hours ----------------------------------------------------------------------------------------------------

    def read_hours(self) -> None:
        """Read the hours of the days that differ; of days with one common fault, only the first and the last."""
        if self.newest_of == DAY:
            # The hours of such a meter do not add up to its days.
            return
        differing = [part for part in self.inside if part.differs]
        through = self.newest_of is None and pattern(self.inside) is not None
        if through:
            ends = dict.fromkeys((differing[0], differing[-1]))
            differing = [part for part in ends if _may_begin_or_end_within(part, self.inside)]
        differing = [part for part in differing if HOUR < part.window.end - part.window.start <= DAY]
        with self.noting("hours could not be read"):
            for count, run in enumerate(_runs(differing)):
                if count >= _MOST_RUNS:
                    self.notes.append(f"{len(differing)} days differ: not all of them were searched by hour")
                    return
                self._read_hours_of(run, through=through)

    def _read_hours_of(self, run: tuple[WindowPart, ...], *, through: bool) -> None:
        span = Window(start=run[0].window.start, end=run[-1].window.end)
        billed = self.meter_account.billed_by_hour(span)
        for day in run:
            hours = list(with_figures(split(day.window, HOUR), billed, day.entries))
            rest = subtract(day.billed, total(hour.billed for hour in hours))
            if rest > 0:
                # It lies in an hour that the day's edge cuts, in seconds that Stripe cannot be asked for.
                place = 0 if hours[0].window.end - hours[0].window.start < HOUR else -1
                hours[place] = _with_more_billed(hours[place], rest)
            if hours_are_comparable(day, hours, recorded_daily=self.recorded_daily):
                place = self.inside.index(day)
                parts = _outlined(hours) if through else hours
                self.inside = (*self.inside[:place], *parts, *self.inside[place + 1 :])

    # -- beyond the edges -----------------------------------------------------------------------------------------

    def read_edges(self) -> None:
        """Read both sides just before the window, and after its end."""
        step = DAY if self.recorded_daily or self.newest_of == DAY else HOUR
        start, end = self.window.start, self.window.end
        until = min(floor_to(self.now, _MINUTE), end + _AFTER)
        with self.noting("the time before the window could not be read"):
            nearest = Window(start=start - HOUR, end=start)
            wide = Window(start=floor_to(start, step) - _BEFORE, end=start)
            self.before = self._read_or_nearest(nearest, lambda: self._read_around(wide, step))
        with self.noting("the time after the window could not be read"):
            if until > end:
                nearest = Window(start=end, end=min(end + HOUR, until))
                self.after = self._read_or_nearest(nearest, lambda: self._read_after(until, step))

    def _read_or_nearest(self, nearest: Window, read: Callable[[], tuple[WindowPart, ...]]) -> tuple[WindowPart, ...]:
        """Return what ``read`` returns; if there are too many records, read only the hour nearest to the edge."""
        try:
            return read()
        except TooManyRecords as error:
            self.notes.append(f"only {nearest} was searched beside the window: {error}")
            return self._read_around(nearest, HOUR)

    def _read_after(self, until: datetime, step: timedelta) -> tuple[WindowPart, ...]:
        """Read the first days after the window by ``step``, and later ones by day."""
        end = self.window.end
        near = floor_to(end + _AFTER_BY_HOUR, DAY)
        if step is DAY or until <= near:
            return self._read_around(Window(start=end, end=until), step)
        soon = self._read_around(Window(start=end, end=near), step)
        return (*soon, *self._read_around(Window(start=near, end=until), DAY))

    def _read_around(self, span: Window, step: timedelta) -> tuple[WindowPart, ...]:
        """Return the parts of a span outside the window that differ."""
        entries = self.meter_account.entries(span)
        by_step = self.meter_account.billed_by_hour if step is HOUR else self.meter_account.billed_by_day
        parts = list(with_figures(split(span, step), by_step(span), entries))
        at_start, at_end = self._billed_at_edges
        if span.end == self.window.start:
            parts[-1] = _with_more_billed(parts[-1], self._billed_in_minute_of(span.end) - at_start)
        elif span.start == self.window.end:
            parts[0] = _with_more_billed(parts[0], self._billed_in_minute_of(span.start) - at_end)
        return tuple(part for part in parts if part.differs)


def _with_more_billed(part: WindowPart, billed: Decimal) -> WindowPart:
    return replace(part, billed=total((part.billed, billed)))


def _have_same_ratio(one: WindowPart, other: WindowPart) -> bool:
    if not (one.recorded and other.recorded and one.billed and other.billed):
        return False
    ratio, other_ratio = one.billed / one.recorded, other.billed / other.recorded
    return (ratio / other_ratio - 1).copy_abs() <= _SAME_RATIO


def _outlined(hours: list[WindowPart]) -> list[WindowPart]:
    """Return a day's hours as three parts: before, from and after the hours that differ."""
    places = [place for place, hour in enumerate(hours) if hour.differs]
    if not places:
        return hours
    first, last = places[0], places[-1] + 1
    return [WindowPart.joined(part) for part in (hours[:first], hours[first:last], hours[last:]) if part]


def _may_begin_or_end_within(day: WindowPart, days: tuple[WindowPart, ...]) -> bool:
    """Return whether a fault may begin or end within this day, because a day beside it agrees."""
    place = days.index(day)
    beside = [days[other] for other in (place - 1, place + 1) if 0 <= other < len(days)]
    return any(not other.differs for other in beside)


def _runs(days: list[WindowPart]) -> Iterator[tuple[WindowPart, ...]]:
    """Yield days that follow each other, at most four at a time: their hours fit one answer."""
    for _, group in groupby(enumerate(days), key=lambda each: each[1].window.start.toordinal() - each[0]):
        run = tuple(day for _, day in group)
        for first in range(0, len(run), _DAYS_PER_ANSWER):
            yield run[first : first + _DAYS_PER_ANSWER]
