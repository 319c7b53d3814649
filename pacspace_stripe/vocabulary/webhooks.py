"""Words about webhooks: the types of Stripe's events, and why a request or an event is not acted on."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from pacspace_stripe.vocabulary.windows import iso

STRIPE_SENDER: Final = "stripe"
PACSPACE_SENDER: Final = "pacspace"
REFUSALS_IN_A_ROW: Final = 5
"""Number of consecutive refused requests that makes a wrong setting likely: a stranger may send a few."""
FOUND_BY_SWEEP: Final = "found by the sweep"
"""Outcome of an event that no webhook delivered."""
INVOICE_SENT_ARRIVES: Final = "webhooks:stripe:sent"
"""Fact in the journal: this endpoint receives ``invoice.sent``, so a mailed invoice without that event has not left."""
_OWNERS: Final = {STRIPE_SENDER: "Stripe", PACSPACE_SENDER: "PacSpace"}
_SECRETS: Final = {STRIPE_SENDER: "STRIPE_WEBHOOK_SECRET", PACSPACE_SENDER: "PACSPACE_WEBHOOK_SECRET"}


class EventType(StrEnum):
    """The types of Stripe's events that the gate acts on, snapshot and thin; every other type reads as OTHER."""

    INVOICE_UPCOMING = "invoice.upcoming"
    INVOICE_CREATED = "invoice.created"
    INVOICE_UPDATED = "invoice.updated"
    INVOICE_FINALIZED = "invoice.finalized"
    INVOICE_FINALIZATION_FAILED = "invoice.finalization_failed"
    INVOICE_VOIDED = "invoice.voided"
    INVOICE_DELETED = "invoice.deleted"
    INVOICE_PAID = "invoice.paid"
    INVOICE_SENT = "invoice.sent"
    INVOICE_MARKED_UNCOLLECTIBLE = "invoice.marked_uncollectible"
    SUBSCRIPTION_UPDATED = "customer.subscription.updated"
    SUBSCRIPTION_DELETED = "customer.subscription.deleted"
    METER_ERRORS = "billing.meter.error_report_triggered"
    """Stripe rejected meter events that it had accepted; thin events only (FACTS 12.7)."""
    METER_NOT_FOUND = "billing.meter.no_meter_found"
    """Stripe rejected meter events that name no meter; thin events only (FACTS 12.7)."""
    INVOICE_OTHER = "invoice.other"
    """Something else happened to an invoice, of a type that this version does not know."""
    OTHER = "other"

    @classmethod
    def _missing_(cls, value: object) -> "EventType":
        return cls.INVOICE_OTHER if isinstance(value, str) and value.startswith("invoice.") else cls.OTHER


METER_TYPES: Final = (EventType.METER_ERRORS, EventType.METER_NOT_FOUND)
SUBSCRIPTION_TYPES: Final = (EventType.SUBSCRIPTION_UPDATED, EventType.SUBSCRIPTION_DELETED)
SUBSCRIBED: Final = tuple(
    kind for kind in EventType if kind not in (*METER_TYPES, EventType.INVOICE_OTHER, EventType.OTHER)
)
"""The types that a webhook endpoint must select in Stripe, whatever the style of its payloads."""


class Ignored(StrEnum):
    """Reason why an event of a handled type is recorded and not acted on; the report shows it."""

    OTHER_ACCOUNT = "of another account"
    OTHER_MODE = "of the other mode"
    ECHO = "echo of our own write"


class SignatureProblem(StrEnum):
    """Cause of a refused webhook signature."""

    HEADER = "header"
    """The header is missing or malformed: a proxy changed it, or the sender is not the vendor."""
    SIGNER = "signer"
    """No configured secret made the signature."""
    CLOCK = "clock"
    """The signature holds, but its time is too far from this machine's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedWebhooks:
    """Requests of one sender that were refused since the last accepted one, by cause.

    The database keeps them as a fact of the journal, so that ``report`` finds them from another process.
    """

    sender: str
    counts: Mapping[SignatureProblem, int]
    last_at: datetime
    """Time of the newest request that was counted."""

    @classmethod
    def parse(cls, sender: str, stored: str | None) -> "RefusedWebhooks | None":
        """Return what :meth:`merged` stored; None when there were no refused requests."""
        data = json.loads(stored) if stored else {"counts": {}}
        counts = {SignatureProblem(cause): count for cause, count in data["counts"].items()}
        return cls(sender=sender, counts=counts, last_at=datetime.fromisoformat(data["last_at"])) if counts else None

    @staticmethod
    def merged(sender: str, stored: str | None, more: Mapping[SignatureProblem, int], now: datetime) -> str:
        """Return what to store after ``more`` requests were refused."""
        known = RefusedWebhooks.parse(sender, stored)
        return json.dumps({"counts": Counter(known.counts if known else {}) + Counter(more), "last_at": iso(now)})

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    @property
    def cause(self) -> SignatureProblem:
        """Return the most frequent cause; requests without any signature do not hide a problem of signed ones."""
        signed = [
            cause
            for cause in (SignatureProblem.SIGNER, SignatureProblem.CLOCK)
            if self.counts.get(cause, 0) >= REFUSALS_IN_A_ROW
        ]
        return max(signed or self.counts, key=lambda cause: self.counts[cause])

    @property
    def advice(self) -> str:
        """Name the setting that is likely wrong, and what to do."""
        owner, secret = _OWNERS[self.sender], _SECRETS[self.sender]
        match self.cause:
            case SignatureProblem.SIGNER:
                return (
                    f"no secret in {secret} made their signatures. Set {secret} to the signing secret that {owner} "
                    "shows for this webhook endpoint."
                )
            case SignatureProblem.CLOCK:
                return (
                    "their signing time is too far from this machine's clock. Set the clock, or raise "
                    "PACSPACE_STRIPE_EVENT_TOLERANCE."
                )
            case SignatureProblem.HEADER:
                return (
                    f"their signature header is missing or malformed. If {owner} sent them, a proxy in front of this "
                    "address removes or changes headers."
                )


def refused_fact(sender: str) -> str:
    """Return the name of the journal's fact that holds a sender's refused requests."""
    return f"webhooks:{sender}:refused"


def ignored_fact(sender: str) -> str:
    """Return the name of the journal's fact that lists the accounts and modes whose events are ignored (JSON)."""
    return f"webhooks:{sender}:ignored"
