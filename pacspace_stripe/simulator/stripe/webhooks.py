"""Stripe's events and their signature."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import httpx

from pacspace_stripe.simulator.http import exact_json
from pacspace_stripe.simulator.outbox import WebhookReceiver
from pacspace_stripe.simulator.stripe.world import unix

Json = dict[str, Any]

THIN_PREFIX = "v1."
"""Prefix of the type of a thin event about an object of the v1 API."""
THIN_ONLY = frozenset({"billing.meter.error_report_triggered", "billing.meter.no_meter_found"})
"""Types that have no snapshot."""

RETRY_AFTER = tuple(timedelta(minutes=minutes) for minutes in (5, 30, 120, 300, 600, 720))
"""Waits between attempts; the last one repeats until ``give_up_after``."""


@dataclass(slots=True, kw_only=True)
class StoredEvent:
    """A change, with the object as it was then."""

    id: str
    created: datetime
    type: str
    api_version: str
    object: Json
    previous: Json | None = None
    request_id: str | None = None
    idempotency_key: str | None = None
    data: Json | None = None
    """Fields that the v2 API shows of a thin event when it is read, and no notification carries."""
    pending: int = 0
    acknowledged: bool = False
    lost: bool = False

    @property
    def delivered(self) -> bool:
        """Return True if no endpoint still waits for it and none gave up, as ``delivery_success`` filters."""
        return self.pending == 0 and not self.lost

    def json(self) -> Json:
        """Return the snapshot event."""
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

    def thin(self, *, reason: bool = True, context: str | None = None) -> Json:
        """Return the notification of the thin event: a reference to the object, and perhaps the cause."""
        shown: Json = {
            "id": self.id,
            "object": "v2.core.event",
            "type": f"{THIN_PREFIX}{self.type}",
            "created": rfc3339(self.created),
            "livemode": False,
        }
        if "id" in self.object and self.type != "invoice.upcoming":
            shown["related_object"] = _related(self.object)
        if reason and self.request_id and self.idempotency_key:
            request = {"id": self.request_id, "idempotency_key": self.idempotency_key}
            shown["reason"] = {"type": "request", "request": request}
        if context is not None:
            shown["context"] = context
        return shown

    def read(self) -> Json:
        """Return the thin event as ``GET /v2/core/events`` shows it."""
        data = self.data
        if self.type == "invoice.upcoming":
            details = (self.object.get("parent") or {}).get("subscription_details") or {}
            data = {"customer": self.object.get("customer"), "subscription": details.get("subscription")}
        return self.thin() | ({} if data is None else {"data": data})


def rfc3339(at: datetime) -> str:
    """Return a time as the v2 API writes it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


_PATHS = {"invoice": "invoices", "subscription": "subscriptions", "customer": "customers"}


def _related(shown: Json) -> Json:
    kind = shown["object"]
    path = "billing/meters" if kind == "billing.meter" else _PATHS.get(kind, f"{kind}s")
    return {"id": shown["id"], "type": kind, "url": f"/v1/{path}/{shown['id']}"}


@dataclass(slots=True, kw_only=True)
class WebhookEndpoint(WebhookReceiver):
    """The endpoint of Stripe's events; see :class:`WebhookReceiver`."""

    style: Literal["snapshot", "thin"] = "snapshot"
    """Payload style of events: the object as it was, or a reference to it."""
    thin_reason: bool = True
    """Name the request that caused a thin event; documented as optional."""
    context: str | None = None
    """The account that thin events name, as those of a connected account do."""

    url: str = "http://127.0.0.1/webhooks/stripe"
    secrets: tuple[str, ...] = ("whsec_simulator",)
    api_version: str = "2026-10-28.endive"
    retry_after: tuple[timedelta, ...] = RETRY_AFTER

    def wants(self, event_type: str) -> bool:
        """Return whether the endpoint selected this type, by its name or its thin one, and can carry it."""
        if self.style == "snapshot" and event_type in THIN_ONLY:
            return False
        selected = self.enabled_events
        return selected is None or event_type in selected or f"{THIN_PREFIX}{event_type}" in selected

    def shown(self, event: StoredEvent) -> Json:
        """Return the body of a delivery."""
        thin = self.style == "thin"
        return event.thin(reason=self.thin_reason, context=self.context) if thin else event.json()


def signature(body: bytes, secrets: tuple[str, ...], at: datetime) -> str:
    """Return ``Stripe-Signature`` over the raw body: one ``v1`` per valid secret."""
    signed = f"{unix(at)}.".encode() + body
    digests = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={unix(at)}", *(f"v1={digest}" for digest in digests)])


def request_for(event: StoredEvent, endpoint: WebhookEndpoint, now: datetime) -> httpx.Request:
    """Return the signed POST of one attempt."""
    body = exact_json(endpoint.shown(event))
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "Stripe-Signature": signature(body, endpoint.secrets, now),
    }
    return httpx.Request("POST", endpoint.url, content=body, headers=headers)
