"""PacSpace's webhooks (CONTRACT 5): the envelope, the two shapes of its data, and the signature."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from pacspace_stripe.simulator.http import exact_json
from pacspace_stripe.simulator.outbox import WebhookReceiver

RETRY_AFTER = tuple(timedelta(seconds=5 * 2**retry) for retry in range(10))
"""Ten retries with doubling waits; the real schedule is not published (CONTRACT 5.5)."""
TENANT = "tenant_simulator"


@dataclass(slots=True, kw_only=True)
class PacSpaceEvent:
    """A change, with its data at that moment."""

    id: str
    type: str
    happened_at: str
    data: Mapping[str, Any] = field(repr=False)
    pending: int = 0
    acknowledged: bool = False
    lost: bool = False

    def json(self) -> dict[str, Any]:
        """Return both envelopes at once (CONTRACT 5.2): the documents' and the SDK's."""
        return {
            "id": self.id,
            "event": self.type,
            "tenantId": TENANT,
            "createdAt": self.happened_at,
            "timestamp": self.happened_at,
            "data": self.data,
        }


@dataclass(slots=True, kw_only=True)
class LedgerWebhook(WebhookReceiver):
    """The endpoint of PacSpace's events; see :class:`WebhookReceiver`.

    Two secrets sign during a rotation, the current first.
    """

    url: str = "http://127.0.0.1/webhooks/pacspace"
    secrets: tuple[str, ...] = ("whsec_pacspace_simulator",)
    milliseconds: bool = False
    """Sign with a time in milliseconds, as the SDK's tests do, instead of seconds, as documented."""
    retry_after: tuple[timedelta, ...] = RETRY_AFTER
    most_attempts: int | None = 11


def signature(body: bytes, timestamp: str, secrets: tuple[str, ...]) -> str:
    """Return ``X-PacSpace-Signature`` over the raw body (CONTRACT 5.1): one ``v1`` per valid secret."""
    signed = f"{timestamp}.".encode() + body
    return ",".join(f"v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}" for secret in secrets)


def request_for(event: PacSpaceEvent, endpoint: LedgerWebhook, now: datetime) -> httpx.Request:
    """Return the signed POST of one attempt."""
    body = exact_json(event.json())
    timestamp = str(int(now.timestamp() * 1000) if endpoint.milliseconds else int(now.timestamp()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "PacSpace-Webhooks/1.0",
        "X-PacSpace-Signature": signature(body, timestamp, endpoint.secrets),
        "X-PacSpace-Timestamp": timestamp,
        "X-Webhook-Event": event.type,
        "X-Event-ID": event.id,
    }
    return httpx.Request("POST", endpoint.url, content=body, headers=headers)
