"""Control of a running simulator, from Python or from another process."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, Literal

import httpx

from pacspace_stripe.simulator.clock import Clock
from pacspace_stripe.simulator.faults import Fault, Faults
from pacspace_stripe.simulator.http import LoggedRequest, require_loopback
from pacspace_stripe.simulator.outbox import Deliver, WebhookAttempt
from pacspace_stripe.simulator.stripe import engine
from pacspace_stripe.simulator.stripe.account import Behaviour
from pacspace_stripe.simulator.stripe.admission import RateLimits
from pacspace_stripe.simulator.stripe.shapes import Json
from pacspace_stripe.simulator.stripe.webhooks import WebhookEndpoint
from pacspace_stripe.simulator.stripe.world import Charge, Mail
from pacspace_stripe.simulator.stripe.world_builder import WorldBuilding


class Controlled(WorldBuilding):
    """Switches and observations of the simulator."""

    clock: Clock
    faults: Faults
    log: list[LoggedRequest]
    rate_limits: RateLimits
    enforce_rate_limits: bool
    forbidden: set[str]
    _deliver: Deliver | None
    _client: httpx.Client | None

    @property
    def behaviour(self) -> Behaviour:
        """Return the switches of the account; they can be changed at any time."""
        return self.account.behaviour

    @property
    def webhook(self) -> WebhookEndpoint:
        """Return the endpoint of events and its faults; both can be changed at any time."""
        return self.account.endpoint

    @property
    def events(self) -> list[Json]:
        """Return all events made so far, oldest first, delivered or not."""
        with self._lock:
            engine.run_due(self.account)
            return [event.json() for event in self.account.events]

    @property
    def deliveries(self) -> list[WebhookAttempt]:
        """Return every attempt to deliver a webhook."""
        with self._lock:
            return list(self.account.outbox.attempts)

    @property
    def charges(self) -> list[Charge]:
        """Return the charges that were made."""
        with self._lock:
            engine.run_due(self.account)
            return list(self.account.charges)

    @property
    def mail_sent(self) -> list[Mail]:
        """Return the invoices that were mailed to customers."""
        with self._lock:
            engine.run_due(self.account)
            return list(self.account.mails)

    def calls(self) -> Counter[str]:
        """Return the number of answered requests per endpoint, such as ``{"POST /v1/invoices/{id}": 2}``."""
        with self._lock:
            return Counter(entry.endpoint for entry in self.log)

    def next_due_at(self) -> datetime | None:
        """Return the time of the next event, so that tests can move the clock there."""
        with self._lock:
            delivery = self.account.outbox.next_due_at() if self._deliver is not None else None
            due = (engine.next_plan_at(self.account), delivery)
        return min((at for at in due if at is not None), default=None)

    def set_webhook(
        self,
        url: str | None = None,
        *,
        secrets: list[str] | None = None,
        copies: int | None = None,
        shuffled: bool | None = None,
        loss: float | None = None,
        lost_types: list[str] | None = None,
        enabled_events: list[str] | None = None,
        delay: timedelta | None = None,
        retry_after: list[timedelta] | None = None,
        api_version: str | None = None,
        style: Literal["snapshot", "thin"] | None = None,
    ) -> None:
        """Change the webhook endpoint; a ``url`` turns delivery on, with a client of our own to loopback."""
        with self._lock:
            endpoint = self.webhook
            given: dict[str, Any] = {
                "url": url,
                "secrets": None if secrets is None else tuple(secrets),
                "copies": copies,
                "shuffled": shuffled,
                "loss": loss,
                "lost_types": None if lost_types is None else frozenset(lost_types),
                "enabled_events": None if enabled_events is None else frozenset(enabled_events),
                "delay": delay,
                "retry_after": None if retry_after is None else tuple(retry_after),
                "api_version": api_version,
                "style": style,
            }
            if url is not None:
                if self._deliver is None or self._client is not None:
                    require_loopback(httpx.URL(url).host)
                if self._deliver is None:
                    self._client = httpx.Client(timeout=30, trust_env=False)
                    self._deliver = self._client.send
                self.account.delivers = True
            for name, value in given.items():
                if value is not None:
                    setattr(endpoint, name, value)

    def configure(self, **switches: Any) -> None:
        """Set switches of :class:`Behaviour` by name; durations may be seconds."""
        known = {one.name: one for one in fields(Behaviour)}
        with self._lock:
            for name, value in switches.items():
                current = getattr(self.behaviour, known[name].name)
                as_duration = isinstance(current, timedelta) and isinstance(value, int | float)
                setattr(self.behaviour, name, timedelta(seconds=value) if as_duration else value)

    def limit_rates(self, per_endpoint: int = 25, overall: int = 25) -> None:
        """Enforce rate limits from now on: requests a second per endpoint, and in all (25 in test mode, 100 live)."""
        with self._lock:
            self.rate_limits = RateLimits(per_endpoint=per_endpoint, overall=overall)
            self.enforce_rate_limits = True

    def forbid(self, endpoint: str) -> None:
        """Take an endpoint's permission from the key, as a restricted key lacks it: 403 from now on."""
        self.forbidden.add(endpoint)

    def forbid_expanding(self, name: str) -> None:
        """Take the permission to read what a property such as ``subscription`` names: 403 when it is expanded."""
        self.forbidden.add(f"expand {name}")

    def add_fault(
        self,
        name: str,
        *,
        endpoint: str | None = None,
        times: int | None = None,
        skip: int = 0,
        probability: float = 1.0,
        seconds: float = 0.0,
    ) -> Fault:
        """Plan a fault; see :class:`~pacspace_stripe.simulator.faults.FaultName`."""
        return self.faults.add(
            name, endpoint=endpoint, times=times, skip=skip, probability=probability, seconds=seconds
        )

    def snapshot(self) -> Json:
        """Return the charges, mails, events and calls per endpoint, for a test in another process."""
        return {
            "charges": self.charges,
            "mail_sent": self.mail_sent,
            "events": self.events,
            "deliveries": self.deliveries,
            "calls": dict(self.calls()),
            "next_due_at": self.next_due_at(),
            "now": self.clock.now(),
        }

    def controls(self) -> Mapping[str, Callable[..., object]]:
        """Return the methods that the control endpoint of a served simulator may call."""
        names = (
            "add_customer add_meter add_price add_subscription record_usage cancel_usage reject_usage renew_now "
            "send_upcoming create_first_invoice bill_threshold split_period change_price add_credit_note "
            "add_line add_invoice_item invoice_pending add_past_invoice set_auto_advance_by_person "
            "invoice invoices set_webhook configure limit_rates forbid add_fault snapshot"
        )
        return {name: getattr(self, name) for name in names.split()} | {"clear_faults": self.faults.clear}
