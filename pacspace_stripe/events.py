"""Stripe's events: a signed body → the ids it carries, and nothing else.

Payloads come in the API version of the webhook endpoint, which may be years old (stripe-facts 0, 5). So only ids are
taken from them; everything that decides is read again at our pinned version.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Never

from pacspace_stripe.errors import UnreadableEvent
from pacspace_stripe.payloads import json_object, mapping, matching

_EVENT_ID = re.compile(r"evt_[A-Za-z0-9_]{1,250}")
_ACCOUNT_ID = re.compile(r"acct_[A-Za-z0-9_]{1,250}")
_INVOICE_ID = re.compile(r"in_[A-Za-z0-9_]{1,250}")
_SUBSCRIPTION_ID = re.compile(r"sub_[A-Za-z0-9_]{1,250}")
_CUSTOMER_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
"""Merchants could once choose customer ids themselves, without ``cus_``."""
_API_VERSION = re.compile(r"[0-9A-Za-z._-]{1,64}")
_IDEMPOTENCY_KEY = re.compile(r"[ -~]{1,255}")
_END_OF_TIME = 253_402_300_800
"""The year 10000, where ``datetime`` ends."""
_FORM_HINT = "It was recorded; ask Stripe support with the event from your dashboard if it happens again."
_THIN_HINT = "Give this webhook endpoint snapshot payloads: thin ones carry no invoice. The README names the events."


class EventType(StrEnum):
    """The types of events we act on; every other one reads as OTHER."""

    INVOICE_UPCOMING = "invoice.upcoming"
    INVOICE_CREATED = "invoice.created"
    INVOICE_UPDATED = "invoice.updated"
    INVOICE_FINALIZED = "invoice.finalized"
    INVOICE_FINALIZATION_FAILED = "invoice.finalization_failed"
    INVOICE_VOIDED = "invoice.voided"
    INVOICE_DELETED = "invoice.deleted"
    INVOICE_PAID = "invoice.paid"
    OTHER = "other"

    @classmethod
    def _missing_(cls, value: object) -> "EventType":
        return cls.OTHER


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The ids of a Stripe event. Nothing in it decides anything: it says where to look."""

    event_id: str
    type: EventType
    account: str | None
    """The connected account it is about; None for the endpoint's own."""
    livemode: bool
    created_at: datetime
    api_version: str | None
    invoice_id: str | None
    """None too when the id is not of a stored invoice, as on ``invoice.upcoming`` (stripe-facts 1)."""
    customer_id: str | None
    subscription_id: str | None
    period_end: datetime | None
    """The invoice's ``period_end``; with the subscription it names an upcoming invoice."""
    idempotency_key: str | None
    """Of the request that caused the event, if there was one."""


class Outcome(StrEnum):
    """What became of one delivery."""

    QUEUED = "queued"
    RECORDED = "recorded"
    """Kept, but nothing to do: a type, mode or account that is not ours, or an echo of our own write."""
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the receiver made durable; the ids are for the log."""

    outcome: Outcome
    event_id: str | None = None
    invoice_id: str | None = None
    account: str | None = None
    """The ledger account, of PacSpace's events."""


def event_from_stripe(body: bytes) -> Event:
    """The event in a body whose signature was verified. Raises UnreadableEvent, and nothing else."""
    return event_in(_object(body))


def event_in(data: Mapping[str, object]) -> Event:
    """The event in Stripe's own JSON, as ``GET /v1/events`` lists it too. Raises UnreadableEvent, and nothing else."""
    if data.get("object") == "v2.core.event":
        message = "a thin event, which carries no invoice"
        raise UnreadableEvent(message, hint=_THIN_HINT)
    kind = EventType(_text(data, "type"))
    invoice = _invoice(data, kind)
    return Event(
        event_id=matching(_EVENT_ID, data.get("id")) or _refuse("its id is not an event's"),
        type=kind,
        account=_account(data.get("account")),
        livemode=_livemode(data.get("livemode")),
        created_at=_time(data.get("created")) or _refuse("its created is not a time"),
        api_version=matching(_API_VERSION, data.get("api_version")),
        invoice_id=matching(_INVOICE_ID, invoice.get("id")),
        customer_id=matching(_CUSTOMER_ID, _id(invoice.get("customer"))),
        subscription_id=matching(_SUBSCRIPTION_ID, _id(_subscription(invoice))),
        period_end=_time(invoice.get("period_end")),
        idempotency_key=matching(_IDEMPOTENCY_KEY, mapping(data.get("request")).get("idempotency_key")),
    )


def _object(body: bytes) -> Mapping[str, object]:
    data = json_object(body)
    return _refuse("the body is not a JSON object") if data is None else data


def _refuse(problem: str) -> Never:
    message = f"not an event of Stripe: {problem}"
    raise UnreadableEvent(message, hint=_FORM_HINT)


def _invoice(data: Mapping[str, object], kind: EventType) -> Mapping[str, object]:
    """The invoice that the event is about; empty for events about other things."""
    about = mapping(data.get("data")).get("object")
    if not isinstance(about, dict):
        return {} if kind is EventType.OTHER else _refuse("it carries no invoice")
    return about if about.get("object") == "invoice" else {}


def _subscription(invoice: Mapping[str, object]) -> object:
    """Where it is since 2025-03-31, or where it was before."""
    details = mapping(mapping(invoice.get("parent")).get("subscription_details"))
    return details.get("subscription") or invoice.get("subscription")


def _id(reference: object) -> object:
    """Stripe's references are an id, or the whole object when expanded."""
    return reference.get("id") if isinstance(reference, dict) else reference


def _account(value: object) -> str | None:
    """Another account's invoices are not ours to read, so an account we cannot read is not ignored."""
    return None if value is None else matching(_ACCOUNT_ID, value) or _refuse("its account is not an account's id")


def _text(data: Mapping[str, object], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) and value else _refuse(f"it has no {name}")


def _livemode(value: object) -> bool:
    return value if isinstance(value, bool) else _refuse("its livemode is neither true nor false")


def _time(value: object) -> datetime | None:
    """Stripe's Unix seconds."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _END_OF_TIME:
        return None
    return datetime.fromtimestamp(value, UTC)
