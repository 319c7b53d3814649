"""One look at one drifted window: from its days to the hours that differ, then beyond its edges.

What a vendor does not answer is noted and left out; BudgetSpent ends the look.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby

from pacspace_stripe.errors import RemoteError
from pacspace_stripe.explain.bisection import Narrowing
from pacspace_stripe.explain.budget import Budget
from pacspace_stripe.explain.meter_account import Place, TooMany, Unlisted
from pacspace_stripe.explain.rules.drift_location import (
    DAY,
    HOUR,
    Bucket,
    Neighbour,
    Situation,
    filled,
    hours_tell,
    joined,
    parts_of,
    pattern,
    records_by_day,
)
from pacspace_stripe.explain.rules.explanation import DayFigures
from pacspace_stripe.vocabulary.quantities import subtract, text, total
from pacspace_stripe.vocabulary.windows import Window, floor_to

_BEFORE, _MINUTE = timedelta(days=1), timedelta(minutes=1)
_AFTER_BY_HOUR, _AFTER = timedelta(hours=96), timedelta(days=35)
"""How far behind the window's end late records are looked for: Stripe takes events of 35 days (FACTS 4.2)."""
_DAYS_AT_ONCE = 4
"""Whole days whose hours come in one answer."""
_MOST_RUNS = 16
"""Runs of such days that are read by hour."""


@dataclass(slots=True, kw_only=True)
class Look:
    """What is known of one window so far."""

    place: Place
    window: Window
    billed: Decimal
    slack: timedelta
    now: datetime
    budget: Budget
    notes: list[str] = field(default_factory=list)
    days: tuple[Bucket, ...] = ()
    inside: tuple[Bucket, ...] = ()
    before: tuple[Bucket, ...] = ()
    after: tuple[Bucket, ...] = ()
    neighbours: list[Neighbour] = field(default_factory=list)
    once_a_day: bool = False
    newest_of: timedelta | None = None
    """The meter's event time window."""
    minutes: dict[datetime, Decimal] = field(default_factory=dict)
    at_the_edges: tuple[Decimal, Decimal] = (Decimal(0), Decimal(0))
    """What is billed in the minutes that the window's start and its end cut."""

    @property
    def situation(self) -> Situation:
        return Situation(
            window=self.window,
            slack=self.slack,
            inside=self.inside,
            before=self.before,
            after=self.after,
            neighbours=tuple(self.neighbours),
            newest_of=self.newest_of,
        )

    @contextmanager
    def noting(self, what: str) -> Iterator[None]:
        """What fails inside is noted, and the look goes on with what it has."""
        try:
            yield
        except (RemoteError, Unlisted) as error:
            self.notes.append(f"{what}: {error}")

    # -- days -----------------------------------------------------------------------------------------------------

    def read_days(self) -> None:
        """Both sides by UTC day."""
        with self.noting("the window's days could not be read"):
            parts, counted = parts_of(self.window, DAY), self.place.counted_by_day(self.window)
            try:
                entries = self.place.entries(self.window)
            except TooMany:
                unread = tuple(_as_billed(day) for day in filled(parts, counted, ()))
                self._narrow(self._with_edge_minutes(unread))
            else:
                self.days = self.inside = self._with_edge_minutes(filled(parts, counted, entries))
            self.once_a_day = records_by_day(self.inside)

    def _narrow(self, days: tuple[Bucket, ...]) -> None:
        if not self.place.selection.takes_all:
            message = "too many records, and its balance says nothing of one meter"
            raise Unlisted(message)
        narrowing = Narrowing(place=self.place, budget=self.budget, notes=self.notes)
        self.inside = narrowing.narrowed(days)

    def figures(self) -> tuple[DayFigures, ...]:
        """The days, for people."""
        return tuple(
            DayFigures(on=day.window.start.date(), billed=day.billed, recorded=day.recorded) for day in self.days
        )

    def _with_edge_minutes(self, days: tuple[Bucket, ...]) -> tuple[Bucket, ...]:
        """What is billed and lies in no whole minute of the window is in the minutes at its edges."""
        rest = subtract(self.billed, total(day.billed for day in days))
        if rest == 0:
            return days
        if self.window.inner_minutes == self.window:
            said = f"the invoice bills {text(self.billed)}, the meter says {text(subtract(self.billed, rest))} now"
            self.notes.append(said)
            return days
        self.at_the_edges = self._shared(rest, days[0])
        at_the_start, at_the_end = self.at_the_edges
        if len(days) == 1:
            return (_more(days[0], rest),)
        return (_more(days[0], at_the_start), *days[1:-1], _more(days[-1], at_the_end))

    def _shared(self, rest: Decimal, first: Bucket) -> tuple[Decimal, Decimal]:
        """How much of it lies at the start, and at the end: never more than Stripe counted in those minutes."""
        start, end = (self._minute_of(edge) for edge in (self.window.start, self.window.end))
        for likely in (subtract(first.recorded, first.billed), start, subtract(rest, end), Decimal(0)):
            if 0 <= likely <= start and 0 <= subtract(rest, likely) <= end:
                return likely, subtract(rest, likely)
        return Decimal(0), rest

    def _minute_of(self, edge: datetime) -> Decimal:
        """All that Stripe counted in the minute that an edge cuts, on both of its sides."""
        if edge not in self.minutes:
            start = floor_to(edge, _MINUTE)
            whole = start == edge
            self.minutes[edge] = Decimal(0) if whole else self.place.counted(Window(start=start, end=start + _MINUTE))
        return self.minutes[edge]

    # -- hours ----------------------------------------------------------------------------------------------------

    def read_hours(self) -> None:
        """The hours of the days that differ; of a fault that runs through them, only where it begins and ends."""
        if self.newest_of == DAY:
            # The hours of such a meter do not add up to its days.
            return
        differing = [part for part in self.inside if part.differs]
        through = self.newest_of is None and pattern(self.inside) is not None
        if through:
            ends = dict.fromkeys((differing[0], differing[-1]))
            differing = [part for part in ends if _cut_short(part, self.inside)]
        differing = [part for part in differing if HOUR < part.window.end - part.window.start <= DAY]
        with self.noting("hours could not be read"):
            for count, run in enumerate(_runs(differing)):
                if count >= _MOST_RUNS:
                    self.notes.append(f"{len(differing)} days differ: not all of them were looked at by hour")
                    return
                self._read_hours_of(run, through=through)

    def _read_hours_of(self, run: tuple[Bucket, ...], *, through: bool) -> None:
        span = Window(start=run[0].window.start, end=run[-1].window.end)
        counted = self.place.counted_by_hour(span)
        for day in run:
            hours = list(filled(parts_of(day.window, HOUR), counted, day.entries))
            hours = _adding_up(day, hours)
            if hours_tell(day, hours, once_a_day=self.once_a_day):
                place = self.inside.index(day)
                parts = _outlined(hours) if through else hours
                self.inside = (*self.inside[:place], *parts, *self.inside[place + 1 :])

    # -- beyond the edges -----------------------------------------------------------------------------------------

    def read_edges(self) -> None:
        """What both sides have just before the window, and since its end."""
        step, start, end = DAY if self.once_a_day or self.newest_of == DAY else HOUR, self.window.start, self.window.end
        until = min(floor_to(self.now, _MINUTE), end + _AFTER)
        with self.noting("the time before the window could not be read"):
            near = Window(start=start - HOUR, end=start)
            wide = Window(start=floor_to(start, step) - _BEFORE, end=start)
            self.before = self._listed(near, lambda: self._read_around(wide, step))
        with self.noting("the time after the window could not be read"):
            if until > end:
                near = Window(start=end, end=min(end + HOUR, until))
                self.after = self._listed(near, lambda: self._read_after(until, step))

    def _listed(self, near: Window, read: Callable[[], tuple[Bucket, ...]]) -> tuple[Bucket, ...]:
        """What is read; of too many records those nearest to the edge."""
        try:
            return read()
        except TooMany as error:
            self.notes.append(f"only {near} was looked at beside the window: {error}")
            return self._read_around(near, HOUR)

    def _read_after(self, end: datetime, step: timedelta) -> tuple[Bucket, ...]:
        near = floor_to(self.window.end + _AFTER_BY_HOUR, DAY)
        if step is DAY or end <= near:
            return self._read_around(Window(start=self.window.end, end=end), step)
        soon = self._read_around(Window(start=self.window.end, end=near), step)
        return (*soon, *self._read_around(Window(start=near, end=end), DAY))

    def _read_around(self, span: Window, step: timedelta) -> tuple[Bucket, ...]:
        entries = self.place.entries(span)
        counted = self.place.counted_by_hour(span) if step is HOUR else self.place.counted_by_day(span)
        parts = list(filled(parts_of(span, step), counted, entries))
        if span.end == self.window.start:
            parts[-1] = _more(parts[-1], self._minute_of(span.end) - self.at_the_edges[0])
        elif span.start == self.window.end:
            parts[0] = _more(parts[0], self._minute_of(span.start) - self.at_the_edges[1])
        return tuple(part for part in parts if part.differs)


def _as_billed(part: Bucket) -> Bucket:
    """Stripe's figure alone: the ledger's is not known yet."""
    return replace(part, recorded=part.billed)


def _more(part: Bucket, billed: Decimal) -> Bucket:
    return replace(part, billed=total((part.billed, billed)))


def _outlined(hours: list[Bucket]) -> list[Bucket]:
    """A day's hours as three parts: what agrees before, all from the first to the last that differs, and after."""
    places = [place for place, hour in enumerate(hours) if hour.differs]
    if not places:
        return hours
    first, last = places[0], places[-1] + 1
    return [joined(part) for part in (hours[:first], hours[first:last], hours[last:]) if part]


def _cut_short(day: Bucket, days: tuple[Bucket, ...]) -> bool:
    """Whether the fault may begin or end within this day: the days beside it agree."""
    place = days.index(day)
    beside = [days[other] for other in (place - 1, place + 1) if 0 <= other < len(days)]
    return any(not other.differs for other in beside)


def _runs(days: list[Bucket]) -> Iterator[tuple[Bucket, ...]]:
    """Days that follow each other, at most four at a time: their hours fit one answer."""
    numbered = list(enumerate(days))
    for _, group in groupby(numbered, key=lambda each: each[1].window.start.toordinal() - each[0]):
        run = tuple(day for _, day in group)
        for first in range(0, len(run), _DAYS_AT_ONCE):
            yield run[first : first + _DAYS_AT_ONCE]


def _adding_up(day: Bucket, hours: list[Bucket]) -> list[Bucket]:
    """The hours with what the day has more, in an hour that its edge cuts: seconds that Stripe cannot be asked for."""
    rest = subtract(day.billed, total(hour.billed for hour in hours))
    if rest <= 0:
        return hours
    place = 0 if hours[0].window.end - hours[0].window.start < HOUR else len(hours) - 1
    hours[place] = _more(hours[place], rest)
    return hours
