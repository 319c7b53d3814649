"""Stripe's events and their signature."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from pacspace_stripe.simulator.outbox import Receiver
from pacspace_stripe.simulator.stripe.world import unix
from pacspace_stripe.simulator.wire import exact_json

Json = dict[str, Any]

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
class WebhookEndpoint(Receiver):
    """Where Stripe's events go; see :class:`Receiver`."""

    url: str = "http://127.0.0.1/webhooks/stripe"
    secrets: tuple[str, ...] = ("whsec_simulator",)
    api_version: str = "2026-10-28.endive"
    retry_after: tuple[timedelta, ...] = RETRY_AFTER


def signature(body: bytes, secrets: tuple[str, ...], at: datetime) -> str:
    """``Stripe-Signature`` over the raw body: one ``v1`` per secret that is alive."""
    signed = f"{unix(at)}.".encode() + body
    digests = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={unix(at)}", *(f"v1={digest}" for digest in digests)])


def request_for(event: Event, endpoint: Receiver, now: datetime) -> httpx.Request:
    """The signed POST of one attempt."""
    body = exact_json(event.json())
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "Stripe-Signature": signature(body, endpoint.secrets, now),
    }
    return httpx.Request("POST", endpoint.url, content=body, headers=headers)
