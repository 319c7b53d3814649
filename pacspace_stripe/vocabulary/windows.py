"""Windows: half-open spans of time ``[start, end)`` in aware UTC."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Window:
    """A half-open span ``[start, end)`` in aware UTC: a line item's own period, never the invoice's (FACTS 4.4)."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for at in (self.start, self.end):
            if at.utcoffset() != timedelta(0):
                message = "a window's bounds are aware UTC"
                raise ValueError(message)
        if self.end <= self.start:
            message = "a window ends after it starts"
            raise ValueError(message)

    @classmethod
    def from_unix(cls, start: int, end: int) -> Self | None:
        """Return the window between two of Stripe's times, in seconds; None for the empty periods of one-off items."""
        if end <= start:
            return None
        return cls(start=datetime.fromtimestamp(start, UTC), end=datetime.fromtimestamp(end, UTC))

    @property
    def inner_minutes(self) -> "Window | None":
        """The widest window of whole minutes inside; None if no whole minute fits."""
        start, end = _ceil(self.start, _MINUTE), floor_to(self.end, _MINUTE)
        return Window(start=start, end=end) if start < end else None

    @property
    def outer_minutes(self) -> "Window":
        """The narrowest window of whole minutes around it."""
        return Window(start=floor_to(self.start, _MINUTE), end=_ceil(self.end, _MINUTE))

    @property
    def edge_minutes(self) -> "tuple[Window, ...]":
        """The whole minutes in which a bound with seconds lies: those of the outer window that the inner one lacks."""
        at = (floor_to(bound, _MINUTE) for bound in (self.start, self.end) if floor_to(bound, _MINUTE) != bound)
        return tuple(Window(start=minute, end=minute + _MINUTE) for minute in dict.fromkeys(at))

    @property
    def halves(self) -> "tuple[Window, Window] | None":
        """Both parts of the window, cut at a UTC midnight near its middle; None if no midnight lies inside."""
        middle = floor_to(self.start + (self.end - self.start) / 2, timedelta(days=1))
        if middle <= self.start:
            return None
        return Window(start=self.start, end=middle), Window(start=middle, end=self.end)

    def __str__(self) -> str:
        return f"{iso(self.start)}/{iso(self.end)}"


def iso(at: datetime) -> str:
    """Return a time as ISO 8601 in UTC with a ``Z``; fractions of a second only if there are any."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def iso_to_second(at: datetime) -> str:
    """Return a past time for people, to the second."""
    return iso(at.replace(microsecond=0))


def iso_to_next_second(at: datetime) -> str:
    """Return a coming time for people, to the second after which it is past."""
    return iso((at + timedelta(microseconds=999_999)).replace(microsecond=0))


def floor_to(at: datetime, step: timedelta) -> datetime:
    """Return the last multiple of ``step`` since the Unix epoch that is not after ``at``."""
    epoch = datetime.fromtimestamp(0, UTC)
    return at - (at - epoch) % step


def _ceil(at: datetime, step: timedelta) -> datetime:
    floored = floor_to(at, step)
    return floored if floored == at else floored + step
