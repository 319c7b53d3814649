"""Meter events that Stripe accepted and rejected later, as its error reports list them (FACTS 12.7)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.windows import Window, iso

_CHECKED_AFTERWARDS = timedelta(days=1)
"""Time after a period in which Stripe may still check its events: a day's usage is often sent after that day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedSample:
    """One rejected meter event: the identifier it was sent with, and Stripe's message about it."""

    identifier: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Meter events that Stripe rejected with one error code, according to one error report."""

    event_id: str
    at: datetime
    """Time at which Stripe reported it."""
    meter: str | None
    """The meter's event name, or its id where that could not be read; None when Stripe found no meter."""
    start: datetime
    """Start of the time in which Stripe checked the meter events; their usage may be older."""
    end: datetime
    """End of that time."""
    code: str
    """Stripe's, such as ``meter_event_customer_not_found``."""
    count: int
    """Number of meter events, not their usage."""
    samples: tuple[RejectedSample, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """Return the rejection in the form that commands print and the database keeps."""
        return {
            "event": self.event_id,
            "at": iso(self.at),
            "meter": self.meter,
            "start": iso(self.start),
            "end": iso(self.end),
            "code": self.code,
            "count": self.count,
            "samples": [{"identifier": each.identifier, "message": each.message} for each in self.samples],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the rejection that ``as_json`` wrote."""
        return cls(
            event_id=data["event"],
            at=datetime.fromisoformat(data["at"]),
            meter=data["meter"],
            start=datetime.fromisoformat(data["start"]),
            end=datetime.fromisoformat(data["end"]),
            code=data["code"],
            count=data["count"],
            samples=tuple(
                RejectedSample(identifier=each["identifier"], message=each["message"]) for each in data["samples"]
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionReport:
    """One event of Stripe about rejected meter events."""

    event_id: str
    at: datetime
    meter_id: str | None
    """None where Stripe found no meter."""
    rejections: tuple[Rejection, ...]
    """One per error code; their meter is not named yet."""


def checked_while(window: Window) -> Window:
    """Return the time in which Stripe checks the meter events of a period, as far as it is known."""
    return Window(start=window.start, end=window.end + _CHECKED_AFTERWARDS)
