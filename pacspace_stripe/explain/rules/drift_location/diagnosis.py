"""The diagnosis of one drifted window: every fault that its figures show, and which of them is the main one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

from pacspace_stripe.explain.rules.drift_location.cause_rules import cause_of, newest_only
from pacspace_stripe.explain.rules.drift_location.pattern_rules import pattern
from pacspace_stripe.explain.rules.drift_location.window_parts import (
    DriftFigures,
    LocatedFault,
    UsageEntry,
    WindowPart,
)
from pacspace_stripe.explain.rules.explanation import LocatedPart
from pacspace_stripe.vocabulary.quantities import text

_MOST_RECORDS = 50
"""Records named in one place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The faults that the figures show so far."""

    faults: tuple[LocatedFault, ...]
    """In order of time."""

    @property
    def unsure(self) -> tuple[LocatedFault, ...]:
        """Faults that figures from outside the window, or of neighbours, may still correct."""
        return tuple(fault for fault in self.faults if not fault.sure)

    @property
    def main(self) -> LocatedFault | None:
        """The first fault of the kind that makes up most of the difference."""
        sizes: dict[object, Decimal] = {}
        for fault in self.faults:
            sizes[fault.kind] = sizes.get(fault.kind, Decimal(0)) + fault.part.excess.copy_abs()
        return max(self.faults, key=lambda fault: sizes[fault.kind], default=None)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for a person about faults beside the main one, and about records that are not listed."""
        main, notes = self.main, []
        for fault in self.faults:
            if main is not None and fault.kind != main.kind:
                named = f" ({fault.counterpart})" if fault.counterpart else ""
                where = f"{fault.part.window}: differs by {text(fault.part.excess)}"
                notes.append(f"also {fault.cause.value}{named} in {where}")
            if len(fault.records) > _MOST_RECORDS:
                notes.append(f"{len(fault.records) - _MOST_RECORDS} more records in {fault.part.window}")
        return tuple(notes)

    def located(self, meter: str) -> tuple[LocatedPart, ...]:
        """Return every place, with its own cause where that is not the main one."""
        main = self.main
        return tuple(
            LocatedPart(
                window=fault.part.window,
                meter=meter,
                billed=fault.part.billed,
                recorded=fault.part.recorded,
                records=fault.records[:_MOST_RECORDS],
                cause=fault.cause if main is not None and fault.cause is not main.cause else None,
            )
            for fault in self.faults
        )


def diagnose(figures: DriftFigures) -> Diagnosis:
    """Return what explains the figures: a fault that runs through all that differs, else one fault for each part."""
    # 1. Events that a meter with an event time window drops look like many faults, and like patterns; they are neither.
    differing = [part for part in figures.inside if part.differs]
    dropped_alone = bool(differing) and all(newest_only(part, figures) for part in differing)
    # 2. One fault through all that differs.
    through = None if dropped_alone else pattern(figures.inside)
    if through is not None:
        return Diagnosis(faults=(through,))
    # 3. Usage that was recorded a little late within the window is no fault.
    parts = without_lag(figures.inside, figures.slack)
    # 4. Each part has a cause of its own; parts that follow each other with the same cause become one.
    faults: list[LocatedFault] = []
    for fault in (cause_of(part, figures) for part in parts if part.differs):
        last = faults[-1] if faults else None
        if last is not None and last.kind == fault.kind and last.part.window.end == fault.part.window.start:
            faults[-1] = replace(
                last,
                part=WindowPart.joined((last.part, fault.part)),
                records=(*last.records, *fault.records),
                sure=last.sure and fault.sure,
            )
        else:
            faults.append(fault)
    return Diagnosis(faults=tuple(faults))


# -- lag: usage that the ledger accepted a little later than it happened, and so in the next part ---------------------


def without_lag(inside: Sequence[WindowPart], slack: timedelta) -> tuple[WindowPart, ...]:
    """Return the parts with late records put back; parts that then cancel each other agree.

    Both sides have such usage within the window, so it makes no difference there, but it would hide where the
    difference is.
    """
    parts = list(inside)
    for place, (one, other) in enumerate(pairwise(inside)):
        if one.window.end == other.window.start:
            parts[place], parts[place + 1] = _put_back(parts[place], other, slack)
    return tuple(_without_opposites(parts))


def _put_back(one: WindowPart, other: WindowPart, slack: timedelta) -> tuple[WindowPart, WindowPart]:
    """Return two parts with the records at their edge on the side where they leave fewer parts that differ."""
    if not (one.differs or other.differs):
        return one, other

    def holding(part: WindowPart, entries: tuple[UsageEntry, ...]) -> WindowPart:
        return WindowPart.listed(part.window, part.billed, entries)

    def lacking(part: WindowPart, moved: tuple[UsageEntry, ...]) -> WindowPart:
        return holding(part, tuple(entry for entry in part.entries if entry not in moved))

    tried = [(one, other)]
    first = tuple(entry for entry in other.entries if entry.accepted_at < other.window.start + slack)
    for count in range(1, len(first) + 1):
        moved = first[:count]
        tried.append((holding(one, (*one.entries, *moved)), lacking(other, moved)))
    last = tuple(entry for entry in one.entries if entry.accepted_at >= one.window.end - slack)
    for count in range(1, len(last) + 1):
        moved = last[-count:]
        tried.append((lacking(one, moved), holding(other, (*moved, *other.entries))))
    return min(tried, key=lambda pair: pair[0].differs + pair[1].differs)


def _without_opposites(parts: Sequence[WindowPart]) -> Iterator[WindowPart]:
    """Yield the parts; two whose differences cancel, the same usage at two times within the window, agree."""
    differing = [part for part in parts if part.differs]
    cancelled: set[int] = set()
    for place, one in enumerate(differing):
        if id(one) in cancelled:
            continue
        for other in differing[place + 1 :]:
            if id(other) not in cancelled and one.equal(one.excess, -other.excess):
                cancelled |= {id(one), id(other)}
                break
    for part in parts:
        yield replace(part, billed=part.recorded) if id(part) in cancelled else part
