"""A window's days and hours, and which of them a ledger's records can be told apart in. Pure."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median

from pacspace_stripe.explain.rules.drift_location.figures import Bucket, Entry, bucket
from pacspace_stripe.vocabulary.windows import Window, floor_to

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def parts_of(window: Window, step: timedelta) -> tuple[Window, ...]:
    """Its UTC days, or hours; the first and the last one cut at the window's bounds."""
    return tuple(_parts(window, step))


def _parts(window: Window, step: timedelta) -> Iterator[Window]:
    start = window.start
    while start < window.end:
        end = min(floor_to(start, step) + step, window.end)
        yield Window(start=start, end=end)
        start = end


def placed_at(entry: Entry, window: Window) -> datetime:
    """Where in the window a record belongs: when it was accepted, unless it says itself that it was used at another."""
    used = entry.used
    if used is None or used.start <= entry.accepted_at < used.end or not window.start <= used.start < window.end:
        return entry.accepted_at
    return used.start


def filled(parts: Iterable[Window], billed: Mapping[datetime, Decimal], entries: Iterable[Entry]) -> tuple[Bucket, ...]:
    """Services with Stripe's figures (by their start) and the ledger's records."""
    windows = tuple(parts)
    whole = Window(start=windows[0].start, end=windows[-1].end)
    starts = [part.start for part in windows]
    placed: dict[int, list[Entry]] = defaultdict(list)
    for entry in sorted(entries, key=lambda each: each.accepted_at):
        at = placed_at(entry, whole)
        place = bisect_right(starts, at) - 1
        if place >= 0 and at < windows[place].end:
            placed[place].append(entry)
    return tuple(bucket(part, billed.get(part.start, Decimal(0)), placed[place]) for place, part in enumerate(windows))


def records_by_day(days: Iterable[Bucket]) -> bool:
    """Whether the ledger is written once a day: its records then say nothing of hours."""
    hours = [len({floor_to(entry.accepted_at, HOUR) for entry in day.entries}) for day in days if day.entries]
    return bool(hours) and median(hours) <= 1


def hours_tell(day: Bucket, hours: Iterable[Bucket], *, once_a_day: bool) -> bool:
    """Whether a day's hours say more than the day: not when one record stands for several of them."""
    used = [hour for hour in hours if hour.billed]
    long = any(
        entry.used is not None and entry.used.end - entry.used.start > HOUR and _strange(entry) for entry in day.entries
    )
    if long:
        return False
    agreeing = any(not hour.differs for hour in used)
    return not once_a_day or len(used) <= 1 or agreeing


def _strange(entry: Entry) -> bool:
    """It was accepted at another time than it was used."""
    return entry.used is not None and not entry.used.start <= entry.accepted_at < entry.used.end
