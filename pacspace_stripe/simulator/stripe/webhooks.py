"""Events and their delivery: signed, retried, and on request duplicated, shuffled, lost or late."""

import hashlib
import heapq
import hmac
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from pacspace_stripe.simulator.stripe.world import unix
from pacspace_stripe.simulator.wire import exact_json

Json = dict[str, Any]
Deliver = Callable[[httpx.Request], httpx.Response]

RETRY_AFTER = tuple(timedelta(minutes=minutes) for minutes in (5, 30, 120, 300, 600, 720))
"""Waits between attempts; the last one repeats until ``give_up_after``."""


@dataclass(slots=True, kw_only=True)
class Event:
    """Something that happened, with the object as it was then."""

    id: str
    created: datetime
    type: str
    api_version: str
    object: Json
    previous: Json | None = None
    request_id: str | None = None
    idempotency_key: str | None = None
    pending: int = 0
    acknowledged: bool = False
    lost: bool = False

    @property
    def delivered(self) -> bool:
        """What ``delivery_success`` filters by: no endpoint still waits for it, and none gave up."""
        return self.pending == 0 and not self.lost

    def json(self) -> Json:
        """The snapshot event."""
        data: Json = {"object": self.object}
        if self.previous is not None:
            data["previous_attributes"] = self.previous
        return {
            "id": self.id,
            "object": "event",
            "api_version": self.api_version,
            "created": unix(self.created),
            "data": data,
            "livemode": False,
            "pending_webhooks": self.pending,
            "request": {"id": self.request_id, "idempotency_key": self.idempotency_key},
            "type": self.type,
        }


@dataclass(slots=True, kw_only=True)
class WebhookEndpoint:
    """Where events go, and what goes wrong on the way. Change its fields at any time."""

    url: str = "http://127.0.0.1/webhooks/stripe"
    secrets: tuple[str, ...] = ("whsec_simulator",)
    api_version: str = "2026-10-28.endive"
    enabled_events: frozenset[str] | None = None
    """The types it subscribed to; None is all."""
    copies: int = 1
    """How often each event is delivered, even when the first copy was taken."""
    shuffled: bool = False
    """Whether events that are due together arrive in another order than they happened."""
    delay: timedelta = timedelta(0)
    lost_types: frozenset[str] = frozenset()
    loses: Callable[[Json], bool] | None = None
    """Whether this event is never delivered; called with the event's JSON."""
    loss: float = 0.0
    """The share of events that are never delivered, 0 to 1."""
    lost_count_as_delivered: bool = False
    """Whether ``GET /v1/events?delivery_success=false`` hides lost events: taken by a proxy that then dropped them."""
    retry_after: tuple[timedelta, ...] = RETRY_AFTER
    give_up_after: timedelta = timedelta(days=3)

    def wants(self, event_type: str) -> bool:
        """Whether the endpoint subscribed to this type."""
        return self.enabled_events is None or event_type in self.enabled_events


def signature(body: bytes, secrets: tuple[str, ...], at: datetime) -> str:
    """``Stripe-Signature`` over the raw body: one ``v1`` per secret that is alive."""
    signed = f"{unix(at)}.".encode() + body
    digests = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={unix(at)}", *(f"v1={digest}" for digest in digests)])


@dataclass(slots=True, kw_only=True)
class Delivery:
    """One copy of one event on its way."""

    event: Event
    first_at: datetime
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try to deliver; ``status`` None means that nobody answered."""

    at: datetime
    event_id: str
    type: str
    status: int | None


@dataclass(slots=True)
class Outbox:
    """Deliveries by when they are due. The owner locks; sending happens outside."""

    endpoint: WebhookEndpoint
    random: random.Random
    attempts: list[Attempt] = field(default_factory=list)
    _heap: list[tuple[datetime, int, Delivery]] = field(default_factory=list)
    _ready: deque[tuple[datetime, Delivery]] = field(default_factory=deque)
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
            self._queue(Delivery(event=event, first_at=now), now + self.endpoint.delay)

    def _loses(self, event: Event) -> bool:
        endpoint = self.endpoint
        if event.type in endpoint.lost_types or (endpoint.loss and self.random.random() < endpoint.loss):
            return True
        return endpoint.loses is not None and endpoint.loses(event.json())

    def _queue(self, delivery: Delivery, at: datetime) -> None:
        self._added += 1
        heapq.heappush(self._heap, (at, self._added, delivery))

    def next_due_at(self) -> datetime | None:
        """When the next attempt is due."""
        if self._ready:
            return self._ready[0][0]
        return self._heap[0][0] if self._heap else None

    def take(self, now: datetime) -> Delivery | None:
        """The next delivery that is due; when asked for, those due together come in another order."""
        if not self._ready:
            while self._heap and self._heap[0][0] <= now:
                at, _, delivery = heapq.heappop(self._heap)
                self._ready.append((at, delivery))
            if self.endpoint.shuffled:
                self.random.shuffle(self._ready)
        return self._ready.popleft()[1] if self._ready else None

    def request_for(self, delivery: Delivery, now: datetime) -> httpx.Request:
        """The signed POST of one attempt."""
        body = exact_json(delivery.event.json())
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature(body, self.endpoint.secrets, now),
        }
        return httpx.Request("POST", self.endpoint.url, content=body, headers=headers)

    def settle(self, delivery: Delivery, status: int | None, now: datetime) -> bool:
        """Write down an attempt; True when it was the first success of the event. A failure is queued again."""
        event = delivery.event
        self.attempts.append(Attempt(at=now, event_id=event.id, type=event.type, status=status))
        if status is not None and 200 <= status < 300:  # noqa: PLR2004 - a redirect is a failure too
            first, event.acknowledged, event.pending = not event.acknowledged, True, 0
            return first
        waits = self.endpoint.retry_after
        wait = waits[min(delivery.attempts, len(waits) - 1)] if waits else self.endpoint.give_up_after
        delivery.attempts += 1
        if now + wait < delivery.first_at + self.endpoint.give_up_after:
            self._queue(delivery, now + wait)
        return False
