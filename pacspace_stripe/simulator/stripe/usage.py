"""Meter events and their sums: asynchronous, per meter and customer, in exact decimals."""

import bisect
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from pacspace_stripe.simulator.stripe.world import MeterEvent, StoredMeter, unix

SIGNIFICANT_DIGITS = 15


def too_many_digits(value: Decimal) -> bool:
    """Return True if Stripe refuses the value: it sums doubles, so it takes 15 significant digits."""
    return len(value.normalize().as_tuple().digits) > SIGNIFICANT_DIGITS


class MeterEvents:
    """All meter events, by event name and customer, in the order of their own time."""

    def __init__(self) -> None:
        self._events: dict[tuple[str, str], list[tuple[datetime, int, MeterEvent]]] = defaultdict(list)
        self._identifiers: dict[str, datetime] = {}
        self._count = 0

    def known(self, identifier: str) -> datetime | None:
        """Return the time at which an event with this identifier was received."""
        return self._identifiers.get(identifier)

    def add(self, event: MeterEvent) -> None:
        """Store an event; it counts from its ``visible_at``."""
        self._count += 1
        self._identifiers[event.identifier] = event.created
        bisect.insort(self._events[event.event_name, event.customer], (event.at, self._count, event))

    def cancel(self, identifier: str) -> bool:
        """Withdraw an event, as a meter event adjustment does."""
        for events in self._events.values():
            for place, (_, _, event) in enumerate(events):
                if event.identifier == identifier:
                    del events[place]
                    return True
        return False

    def between(
        self, meter: StoredMeter, customer: str, start: datetime, end: datetime, *, seen_at: datetime
    ) -> list[MeterEvent]:
        """Return the counted events with ``start <= at < end``, oldest first."""
        events = self._events.get((meter.event_name, customer), [])
        first = bisect.bisect_left(events, (start, 0))
        last = bisect.bisect_left(events, (end, 0))
        return [event for _, _, event in events[first:last] if event.visible_at <= seen_at]

    def total(self, meter: StoredMeter, customer: str, start: datetime, end: datetime, *, seen_at: datetime) -> Decimal:
        """Return the meter's figure for ``[start, end)``, in the meter's unit; 0 without an event."""
        return aggregate(meter, self.between(meter, customer, start, end, seen_at=seen_at))


def aggregate(meter: StoredMeter, events: Iterable[MeterEvent]) -> Decimal:
    """Return the meter's formula over events in time order."""
    counted = list(events)
    if meter.event_time_window:
        step = 3600 if meter.event_time_window == "hour" else 86400
        counted = list({unix(event.at) // step: event for event in counted}.values())
    match meter.formula:
        case "count":
            return Decimal(len(counted))
        case "last":
            return counted[-1].value if counted else Decimal(0)
        case _:
            return sum((event.value for event in counted), Decimal(0))
