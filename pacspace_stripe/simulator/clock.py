"""The clock that both simulators share: wall time over sockets, compressed time in one process."""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """A source of the current time, as an aware UTC datetime."""

    def now(self) -> datetime: ...


class WallClock:
    """Real time, on which simulators run when they are served over sockets."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(slots=True)
class ManualClock:
    """Compressed time, which moves only when a caller moves it; in-process tests share one with the product."""

    at: datetime
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def now(self) -> datetime:
        return self.at

    def advance(self, by: timedelta | float) -> datetime:
        """Move forward by a timedelta or by seconds, never backwards."""
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        if step < timedelta(0):
            message = "time does not run backwards"
            raise ValueError(message)
        with self._lock:
            self.at += step
            return self.at

    def advance_to(self, at: datetime) -> datetime:
        """Move forward to ``at``; stay in place if that is already past."""
        with self._lock:
            self.at = max(self.at, at)
            return self.at
