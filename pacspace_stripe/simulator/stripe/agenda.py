"""What the engine will do and when; a plan that no longer holds when its time comes is skipped."""

import heapq
from datetime import datetime
from enum import StrEnum


class Action(StrEnum):
    """The things Stripe does by its own clock, in the order they happen when due together."""

    UPCOMING = "1 upcoming"
    RENEW = "2 renew"
    FINALIZE = "3 finalize"
    PAY = "4 pay"


class Agenda:
    """Plans by time. Plans are never removed: whoever carries one out asks first whether it still holds."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, Action, int, str]] = []
        self._added = 0

    def plan(self, at: datetime, action: Action, subject: str) -> None:
        """Do this then."""
        self._added += 1
        heapq.heappush(self._heap, (at, action, self._added, subject))

    def first(self) -> tuple[datetime, Action, str] | None:
        """The next plan, which stays where it is."""
        if not self._heap:
            return None
        at, action, _, subject = self._heap[0]
        return at, action, subject

    def drop_first(self) -> None:
        """Take the next plan out."""
        heapq.heappop(self._heap)
