"""Stripe's events, snapshot and thin: a signed body → the ids it carries, and nothing else.

Snapshots come in the API version of the webhook endpoint, which may be years old (FACTS 0, 5); thin events carry
no object at all (FACTS 12.6). So only ids are taken from either; everything that decides is read again at our
pinned version.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Never

from pacspace_stripe.errors import UnreadableEvent
from pacspace_stripe.gate.rules.stamp import OURS
from pacspace_stripe.http.answers import json_object, mapping, matching
from pacspace_stripe.vocabulary.webhooks import SUBSCRIPTION_TYPES, EventType

_EVENT_ID = re.compile(r"evt_[A-Za-z0-9_]{1,250}")
_ACCOUNT_ID = re.compile(r"acct_[A-Za-z0-9_]{1,250}")
_CONTEXT = re.compile(r"[A-Za-z0-9_]{1,250}(/[A-Za-z0-9_]{1,250}){0,3}")
"""A thin event's ``context``: an account, or the way to it through an organization."""
_INVOICE_ID = re.compile(r"in_[A-Za-z0-9_]{1,250}")
_SUBSCRIPTION_ID = re.compile(r"sub_[A-Za-z0-9_]{1,250}")
_CUSTOMER_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
"""Merchants could once choose customer ids themselves, without ``cus_``."""
_API_VERSION = re.compile(r"[0-9A-Za-z._-]{1,64}")
_IDEMPOTENCY_KEY = re.compile(r"[ -~]{1,255}")
_END_OF_TIME = 253_402_300_800
"""The year 10000, where ``datetime`` ends."""
_FORM_HINT = "It was recorded; ask Stripe support with the event from your dashboard if it happens again."
_THIN = "v2.core.event"
_THIN_PREFIX = "v1."
"""Before the type of a thin event about an object of the v1 API."""


_NAME_NO_INVOICE = (EventType.INVOICE_UPCOMING, EventType.INVOICE_OTHER)
"""Types about an invoice that may name none: a coming one has no id, and an unknown type may be about a part of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The ids of a Stripe event. Nothing in it decides anything: it says where to look."""

    event_id: str
    type: EventType
    account: str | None
    """The connected account it is about, or a thin event's ``context``; None for the endpoint's own."""
    livemode: bool
    created_at: datetime
    api_version: str | None
    invoice_id: str | None
    """None too when the id is not of a stored invoice, as on ``invoice.upcoming`` (FACTS 1)."""
    customer_id: str | None
    subscription_id: str | None
    period_end: datetime | None
    """The invoice's ``period_end``; with the subscription it names an upcoming invoice."""
    idempotency_key: str | None
    """Of the request that caused the event, if there was one."""
    touches_stamp: bool = True
    """True if it may be about a change of our metadata keys or of the footer; an event that does not say may be."""
    by_request: bool = False
    """A request caused it, or may have: a thin event need not say. Else it is Stripe's own doing."""


def event_from_stripe(body: bytes) -> Event:
    """The event in a body whose signature was verified. Raises UnreadableEvent, and nothing else."""
    return event_in(_object(body))


def event_in(data: Mapping[str, object]) -> Event:
    """The event in Stripe's own JSON, as ``GET /v1/events`` lists it too. Raises UnreadableEvent, and nothing else."""
    event = _thin(data) if data.get("object") == _THIN else _snapshot(data)
    about_invoice = event.type.startswith("invoice.") and event.type not in _NAME_NO_INVOICE
    if about_invoice and event.invoice_id is None:
        _refuse("it names no invoice of Stripe's form")
    if event.type in SUBSCRIPTION_TYPES and event.subscription_id is None:
        _refuse("it names no subscription of Stripe's form")
    return event


def _snapshot(data: Mapping[str, object]) -> Event:
    kind = EventType(_text(data, "type"))
    about, request = _about(data, kind), mapping(data.get("request"))
    invoice = about if about.get("object") == "invoice" else {}
    subscription = about.get("id") if about.get("object") == "subscription" else _id(_subscription(invoice))
    return Event(
        event_id=_event_id(data),
        type=kind,
        account=_account(data.get("account"), _ACCOUNT_ID),
        livemode=_livemode(data.get("livemode")),
        created_at=_time(data.get("created")) or _refuse("its created is not a time"),
        api_version=matching(_API_VERSION, data.get("api_version")),
        invoice_id=matching(_INVOICE_ID, invoice.get("id")),
        customer_id=matching(_CUSTOMER_ID, _id(about.get("customer"))),
        subscription_id=matching(_SUBSCRIPTION_ID, subscription),
        period_end=_time(invoice.get("period_end")),
        idempotency_key=matching(_IDEMPOTENCY_KEY, request.get("idempotency_key")),
        by_request=bool(request.get("id") or request.get("idempotency_key")),
        touches_stamp=_touches_stamp(mapping(data.get("data")).get("previous_attributes")),
    )


def _thin(data: Mapping[str, object]) -> Event:
    """A thin event names its object in ``related_object``; who caused it is in ``reason``, where Stripe says so."""
    related_id = mapping(data.get("related_object")).get("id")
    request = mapping(mapping(data.get("reason")).get("request"))
    return Event(
        event_id=_event_id(data),
        type=EventType(_text(data, "type").removeprefix(_THIN_PREFIX)),
        account=_account(data.get("context"), _CONTEXT),
        livemode=_livemode(data.get("livemode")),
        created_at=_written_time(data.get("created")) or _refuse("its created is not a time"),
        api_version=None,
        invoice_id=matching(_INVOICE_ID, related_id),
        customer_id=None,
        subscription_id=matching(_SUBSCRIPTION_ID, related_id),
        period_end=None,
        idempotency_key=matching(_IDEMPOTENCY_KEY, request.get("idempotency_key")),
        by_request=True,
    )


def _object(body: bytes) -> Mapping[str, object]:
    data = json_object(body)
    return _refuse("the body is not a JSON object") if data is None else data


def _refuse(problem: str) -> Never:
    message = f"not an event of Stripe: {problem}"
    raise UnreadableEvent(message, hint=_FORM_HINT)


def _event_id(data: Mapping[str, object]) -> str:
    return matching(_EVENT_ID, data.get("id")) or _refuse("its id is not an event's")


def _about(data: Mapping[str, object], kind: EventType) -> Mapping[str, object]:
    """The object that a snapshot is about; empty for events of other types without one."""
    about = mapping(data.get("data")).get("object")
    if isinstance(about, dict):
        return about
    return {} if kind is EventType.OTHER else _refuse("it carries no object")


def _touches_stamp(previous: object) -> bool:
    """Return whether what changed, as Stripe names it with its old values, may be a stamp of ours."""
    if not isinstance(previous, dict):
        return True
    metadata = previous.get("metadata", {})
    return "footer" in previous or not isinstance(metadata, dict) or not OURS.isdisjoint(metadata)


def _subscription(invoice: Mapping[str, object]) -> object:
    """Where it is since 2025-03-31, or where it was before."""
    details = mapping(mapping(invoice.get("parent")).get("subscription_details"))
    return details.get("subscription") or invoice.get("subscription")


def _id(reference: object) -> object:
    """Stripe's references are an id, or the whole object when expanded."""
    return reference.get("id") if isinstance(reference, dict) else reference


def _account(value: object, form: re.Pattern[str]) -> str | None:
    """Another account's invoices are not ours to read, so an account we cannot read is not ignored."""
    return None if value is None else matching(form, value) or _refuse("its account is not an account's id")


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


def _written_time(value: object) -> datetime | None:
    """RFC 3339, as the v2 API writes every time."""
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value)
        return read.astimezone(UTC) if read.tzinfo else None
    except (ValueError, OverflowError):
        return None
