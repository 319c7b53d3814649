"""Webhook delivery that both simulators share: retried, duplicated, shuffled, lost or late."""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar

import httpx

Deliver = Callable[[httpx.Request], httpx.Response]


class Occurrence(Protocol):
    """The part of an event that its delivery needs."""

    id: str
    type: str
    pending: int
    acknowledged: bool
    lost: bool

    def json(self) -> dict[str, Any]: ...


Event = TypeVar("Event", bound=Occurrence)


@dataclass(slots=True, kw_only=True)
class WebhookReceiver:
    """The receiver of events and the faults on the way to it. Its fields can be changed at any time."""

    url: str
    secrets: tuple[str, ...]
    enabled_events: frozenset[str] | None = None
    """Types that it subscribed to; None is all."""
    copies: int = 1
    """Number of deliveries of each event, even after the first one succeeded."""
    shuffled: bool = False
    """Deliver events that are due together in another order than they happened."""
    delay: timedelta = timedelta(0)
    lost_types: frozenset[str] = frozenset()
    loses: Callable[[dict[str, Any]], bool] | None = None
    """Predicate over an event's JSON: events for which it is true are never delivered."""
    loss: float = 0.0
    """Share of events that are never delivered, 0 to 1."""
    lost_count_as_delivered: bool = False
    """Hide lost events from the list of undelivered ones, as a proxy does that took them and then dropped them."""
    retry_after: tuple[timedelta, ...] = ()
    """Waits between attempts; the last one repeats."""
    give_up_after: timedelta = timedelta(days=3)
    most_attempts: int | None = None

    def wants(self, event_type: str) -> bool:
        """Return True if the endpoint subscribed to this type."""
        return self.enabled_events is None or event_type in self.enabled_events


@dataclass(slots=True, kw_only=True)
class DeliveredWebhook(Generic[Event]):
    """One copy of one event on its way."""

    event: Event
    first_at: datetime
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAttempt:
    """One attempt to deliver; ``status`` None means that nothing answered."""

    at: datetime
    event_id: str
    type: str
    status: int | None


@dataclass(slots=True)
class WebhookOutbox(Generic[Event]):
    """Deliveries, ordered by due time. The owner locks it, and sending happens outside the lock."""

    endpoint: WebhookReceiver
    random: random.Random
    attempts: list[WebhookAttempt] = field(default_factory=list)
    _heap: list[tuple[datetime, int, DeliveredWebhook[Event]]] = field(default_factory=list)
    _ready: deque[tuple[datetime, DeliveredWebhook[Event]]] = field(default_factory=deque)
    _added: int = 0

    def __len__(self) -> int:
        return len(self._heap) + len(self._ready)

    def accept(self, event: Event, now: datetime) -> None:
        """Queue an event for delivery, or lose it."""
        if not self.endpoint.wants(event.type):
            return
        if self._loses(event):
            event.lost = not self.endpoint.lost_count_as_delivered
            return
        event.pending = 1
        for _ in range(self.endpoint.copies):
            self.queue(DeliveredWebhook(event=event, first_at=now), now + self.endpoint.delay)

    def _loses(self, event: Event) -> bool:
        endpoint = self.endpoint
        if event.type in endpoint.lost_types or (endpoint.loss and self.random.random() < endpoint.loss):
            return True
        return endpoint.loses is not None and endpoint.loses(event.json())

    def queue(self, delivery: DeliveredWebhook[Event], at: datetime) -> None:
        """Plan an attempt."""
        self._added += 1
        heapq.heappush(self._heap, (at, self._added, delivery))

    def next_due_at(self) -> datetime | None:
        """Return the time of the next attempt."""
        if self._ready:
            return self._ready[0][0]
        return self._heap[0][0] if self._heap else None

    def take(self, now: datetime) -> DeliveredWebhook[Event] | None:
        """Return the next delivery that is due, in shuffled order if the endpoint says so."""
        if not self._ready:
            while self._heap and self._heap[0][0] <= now:
                at, _, delivery = heapq.heappop(self._heap)
                self._ready.append((at, delivery))
            if self.endpoint.shuffled:
                self.random.shuffle(self._ready)
        return self._ready.popleft()[1] if self._ready else None

    def settle(self, delivery: DeliveredWebhook[Event], status: int | None, now: datetime) -> bool:
        """Write down an attempt, and queue a failed one again. Return True at the first success of an event."""
        event = delivery.event
        self.attempts.append(WebhookAttempt(at=now, event_id=event.id, type=event.type, status=status))
        if status is not None and 200 <= status < 300:  # noqa: PLR2004 - a redirect is a failure too
            first, event.acknowledged, event.pending = not event.acknowledged, True, 0
            return first
        endpoint, waits = self.endpoint, self.endpoint.retry_after
        wait = waits[min(delivery.attempts, len(waits) - 1)] if waits else endpoint.give_up_after
        delivery.attempts += 1
        exhausted = endpoint.most_attempts is not None and delivery.attempts >= endpoint.most_attempts
        if not exhausted and now + wait < delivery.first_at + endpoint.give_up_after:
            self.queue(delivery, now + wait)
        return False
