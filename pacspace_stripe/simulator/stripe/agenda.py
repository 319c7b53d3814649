"""Planned acts of the engine. A plan that no longer holds at its time is skipped."""

import heapq
from datetime import datetime
from enum import StrEnum


class Action(StrEnum):
    """Acts of Stripe's own clock, in the order in which they happen when they are due together."""

    UPCOMING = "1 upcoming"
    RENEW = "2 renew"
    FINALIZE = "3 finalize"
    PAY = "4 pay"


class Agenda:
    """Plans by time. Plans are never removed: the engine asks before each if it still holds."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, Action, int, str]] = []
        self._added = 0

    def plan(self, at: datetime, action: Action, subject: str) -> None:
        """Plan an action."""
        self._added += 1
        heapq.heappush(self._heap, (at, action, self._added, subject))

    def first(self) -> tuple[datetime, Action, str] | None:
        """Return the next plan and leave it in its place."""
        if not self._heap:
            return None
        at, action, _, subject = self._heap[0]
        return at, action, subject

    def drop_first(self) -> None:
        """Remove the next plan."""
        heapq.heappop(self._heap)
