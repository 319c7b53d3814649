"""What is no fault: usage that the ledger took in a little later than it happened, so that it fell into the next part.

Both sides have it within the window, so it makes no difference there; but it would hide where the difference is.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from pacspace_stripe.explain.rules.drift_location.figures import Bucket, Entry, bucket
from pacspace_stripe.vocabulary.windows import Window

_MOST_AROUND = 2


def without_lag(inside: Sequence[Bucket], slack: timedelta) -> tuple[Bucket, ...]:
    """The parts with such records put back; then parts that cancel each other, joined or left out."""
    parts = list(inside)
    for place, (one, other) in enumerate(pairwise(inside)):
        if one.window.end == other.window.start:
            parts[place], parts[place + 1] = _put_back(parts[place], other, slack)
    return tuple(_without_opposites(parts))


def _put_back(one: Bucket, other: Bucket, slack: timedelta) -> tuple[Bucket, Bucket]:
    """Records at the edge of two parts on the side where they leave fewer parts that differ."""
    if not (one.differs or other.differs):
        return one, other
    late = ((_with(one, (*one.entries, *moved)), _less(other, moved)) for moved in _at_the_start(other, slack))
    early = ((_less(one, moved), _with(other, (*moved, *other.entries))) for moved in _at_the_end(one, slack))
    tried = [(one, other), *late, *early]
    return min(tried, key=lambda pair: pair[0].differs + pair[1].differs)


def _less(part: Bucket, moved: tuple[Entry, ...]) -> Bucket:
    return _with(part, tuple(entry for entry in part.entries if entry not in moved))


def _with(part: Bucket, entries: tuple[Entry, ...]) -> Bucket:
    return bucket(part.window, part.billed, entries)


def _at_the_start(part: Bucket, slack: timedelta) -> Iterator[tuple[Entry, ...]]:
    """The first records within the slack: one, two and so on."""
    near = [entry for entry in part.entries if entry.accepted_at < part.window.start + slack]
    yield from (tuple(near[: count + 1]) for count in range(len(near)))


def _at_the_end(part: Bucket, slack: timedelta) -> Iterator[tuple[Entry, ...]]:
    near = [entry for entry in part.entries if entry.accepted_at >= part.window.end - slack]
    yield from (tuple(near[-count - 1 :]) for count in range(len(near)))


def _without_opposites(parts: Sequence[Bucket]) -> Iterator[Bucket]:
    """Two parts whose differences cancel: the same usage at two times, within the window."""
    left = [part for part in parts if part.differs]
    gone: set[int] = set()
    for place, one in enumerate(left):
        if place in gone:
            continue
        for other_place in range(place + 1, len(left)):
            if other_place not in gone and one.close(one.excess, -left[other_place].excess):
                gone |= {place, other_place}
                break
    cancelled = {id(left[place]) for place in gone}
    for part in parts:
        yield part if id(part) not in cancelled else _agreed(part)


def _agreed(part: Bucket) -> Bucket:
    return replace(part, billed=part.recorded)


def around(window: Window, entries: Iterable[Entry], slack: timedelta) -> Iterator[tuple[Entry, ...]]:
    """The records of a window; then with the first ones after it, which may belong to it, or without its own first."""
    listed = sorted(entries, key=lambda entry: entry.accepted_at)
    inside = tuple(entry for entry in listed if window.start <= entry.accepted_at < window.end)
    after = tuple(entry for entry in listed if window.end <= entry.accepted_at < window.end + slack)
    early = sum(entry.accepted_at < window.start + slack for entry in inside)
    yield inside
    yield from ((*inside, *after[:count]) for count in range(1, min(len(after), _MOST_AROUND) + 1))
    yield from (inside[count:] for count in range(1, min(early, _MOST_AROUND) + 1))
