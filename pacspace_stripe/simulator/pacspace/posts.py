"""Delivery of webhooks at their due times, outside the lock, to a receiver on this machine."""

import threading
from datetime import datetime, timedelta
from typing import Any

import httpx

from pacspace_stripe.simulator.http import require_loopback
from pacspace_stripe.simulator.outbox import Deliver, DeliveredWebhook, WebhookAttempt
from pacspace_stripe.simulator.pacspace.announcements import announce_due
from pacspace_stripe.simulator.pacspace.webhooks import LedgerWebhook, PacSpaceEvent, request_for
from pacspace_stripe.simulator.pacspace.world import World

POSTING_METHODS = ("set_webhook", "events", "deliveries")
"""Methods that other processes may call too."""


class Posting:
    """PacSpace's webhooks. None are sent before :meth:`set_webhook`, or without a ``deliver``."""

    def __init__(self, world: World, lock: threading.RLock, deliver: Deliver | None) -> None:
        self._world = world
        self._lock = lock
        self._deliver = deliver
        self._client: httpx.Client | None = None
        world.announces = deliver is not None

    @property
    def webhook(self) -> LedgerWebhook:
        """Return the endpoint; its fields can be changed at any time."""
        return self._world.webhook

    def set_webhook(
        self,
        url: str | None = None,
        *,
        secrets: list[str] | None = None,
        milliseconds: bool | None = None,
        copies: int | None = None,
        shuffled: bool | None = None,
        loss: float | None = None,
        lost_types: list[str] | None = None,
        delay: timedelta | None = None,
        retry_after: list[timedelta] | None = None,
    ) -> None:
        """Change the webhook endpoint; a ``url`` turns delivery on, with a client of our own to loopback."""
        given: dict[str, Any] = {
            "url": url,
            "secrets": None if secrets is None else tuple(secrets),
            "milliseconds": milliseconds,
            "copies": copies,
            "shuffled": shuffled,
            "loss": loss,
            "lost_types": None if lost_types is None else frozenset(lost_types),
            "delay": delay,
            "retry_after": None if retry_after is None else tuple(retry_after),
        }
        with self._lock:
            if url is not None:
                self._turn_on(url)
            for name, value in given.items():
                if value is not None:
                    setattr(self.webhook, name, value)

    def _turn_on(self, url: str) -> None:
        if self._deliver is None or self._client is not None:
            require_loopback(httpx.URL(url).host)
        if self._deliver is None:
            self._client = httpx.Client(timeout=30, trust_env=False)
            self._deliver = self._client.send
        if not self._world.announces:
            self._world.announced_checkpoints = len(self._world.checkpoints.all)
        self._world.announces = True

    def close(self) -> None:
        """Close the client that :meth:`set_webhook` made."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client, self._deliver, self._world.announces = None, None, False

    def run_due(self) -> int:
        """Send everything that is due, and return the number of attempts. The receiver may call back."""
        tried = 0
        while (delivery := self._next_delivery()) is not None:
            self._send(delivery)
            tried += 1
        return tried

    def tick(self) -> None:
        """Send everything that is due, for a background thread."""
        self.run_due()

    def _next_delivery(self) -> DeliveredWebhook[PacSpaceEvent] | None:
        with self._lock:
            if self._deliver is None:
                return None
            announce_due(self._world)
            return self._world.outbox.take(self._world.clock.now())

    def _send(self, delivery: DeliveredWebhook[PacSpaceEvent]) -> None:
        with self._lock:
            request, deliver = request_for(delivery.event, self.webhook, self._world.clock.now()), self._deliver
        status: int | None = None
        try:
            status = deliver(request).status_code if deliver is not None else None
        except httpx.TransportError:
            status = None
        finally:
            with self._lock:
                self._world.outbox.settle(delivery, status, self._world.clock.now())

    def next_due_at(self) -> datetime | None:
        """Return the time of the next delivery, so that tests can move the clock there."""
        with self._lock:
            if self._deliver is None:
                return None
            announce_due(self._world)
            records = map(self._world.ledger.get, self._world.unannounced)
            final = [record.final_at for record in records if record]
            made = self._world.checkpoints.all[self._world.announced_checkpoints :]
            due = (*final, *(each.commits_at for each in made), self._world.outbox.next_due_at())
            return min((at for at in due if at is not None), default=None)

    def events(self) -> list[dict[str, Any]]:
        """Return every announced event, oldest first, as it is sent."""
        with self._lock:
            return [event.json() for event in self._world.events]

    def deliveries(self) -> list[WebhookAttempt]:
        """Return every attempt to deliver, oldest first."""
        with self._lock:
            return list(self._world.outbox.attempts)
