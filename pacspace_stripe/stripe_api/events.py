"""Stripe's events, snapshot and thin: the ids that they carry, and what their history says about an invoice.

Snapshots come in the API version of the webhook endpoint, which may be years old (FACTS 0.2, 5.4); thin events carry
no object at all (FACTS 12.6). So only ids are taken from either; everything that decides is read again at our pinned
version. Also read here: the events that report which meter events Stripe rejected after it had accepted them.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Never

from pacspace_stripe.errors import UnexpectedAnswer, UnreadableEvent
from pacspace_stripe.explain.rules.rejections import RejectedSample, Rejection, RejectionReport
from pacspace_stripe.gate.rules.stamp import OURS
from pacspace_stripe.gate.rules.state import Finalizer
from pacspace_stripe.http.answers import Fields, json_object, mapping, matching
from pacspace_stripe.http.calls import shortened
from pacspace_stripe.stripe_api.calls import OUR_KEY_PREFIX, STRIPE
from pacspace_stripe.stripe_api.parsing import stripe_object
from pacspace_stripe.vocabulary.webhooks import SUBSCRIPTION_TYPES, EventType

_EVENT_ID = re.compile(r"evt_[A-Za-z0-9_]{1,250}")
_ACCOUNT_ID = re.compile(r"acct_[A-Za-z0-9_]{1,250}")
_CONTEXT = re.compile(r"[A-Za-z0-9_]{1,250}(/[A-Za-z0-9_]{1,250}){0,3}")
"""A thin event's ``context``: an account, or the path to it through an organization."""
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
"""Prefix of the type of a thin event about an object of the v1 API."""
_LONGEST_CODE = 128
_SAMPLES = 5
"""Rejected meter events of one code that are kept: Stripe itself sends a few of many."""


_NAME_NO_INVOICE = (EventType.INVOICE_UPCOMING, EventType.INVOICE_OTHER)
"""Types that may name no invoice: a coming one has no id, and an unknown type may be about a part of an invoice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The ids of a Stripe event. Nothing in it decides anything: it names what to check."""

    event_id: str
    type: EventType
    account: str | None
    """Connected account that it is about, or a thin event's ``context``; None for the endpoint's own account."""
    livemode: bool
    created_at: datetime
    api_version: str | None
    invoice_id: str | None
    """None also for an id of no stored invoice, as on ``invoice.upcoming`` (FACTS 1.2)."""
    customer_id: str | None
    subscription_id: str | None
    period_end: datetime | None
    """The invoice's ``period_end``; with the subscription it names an upcoming invoice."""
    idempotency_key: str | None
    """Key of the request that caused the event, if there was one."""
    touches_stamp: bool = True
    """True if it may be about a change of our metadata keys or of the footer; also if the event does not say."""
    by_request: bool = False
    """True if a request caused it, or may have: a thin event need not say. Otherwise Stripe did it by itself."""


def event_from_stripe(body: bytes) -> Event:
    """Read the event in a body whose signature was verified. Raises UnreadableEvent, and nothing else."""
    data = json_object(body)
    return event_in(_refuse("the body is not a JSON object") if data is None else data)


def event_in(data: Mapping[str, object]) -> Event:
    """Read an event in Stripe's JSON, as ``GET /v1/events`` lists it too. Raises UnreadableEvent, and nothing else."""
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
    """Read a thin event, whose object is in ``related_object`` and its cause in ``reason``, where Stripe names one."""
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


def _refuse(problem: str) -> Never:
    message = f"not an event of Stripe: {problem}"
    raise UnreadableEvent(message, hint=_FORM_HINT)


def _event_id(data: Mapping[str, object]) -> str:
    return matching(_EVENT_ID, data.get("id")) or _refuse("its id is not an event's")


def _about(data: Mapping[str, object], kind: EventType) -> Mapping[str, object]:
    """Return the object that a snapshot is about; empty for events of other types without one."""
    about = mapping(data.get("data")).get("object")
    if isinstance(about, dict):
        return about
    return {} if kind is EventType.OTHER else _refuse("it carries no object")


def _touches_stamp(previous: object) -> bool:
    """Return True if a change, as Stripe names it with its old values, may be one of our stamp."""
    if not isinstance(previous, dict):
        return True
    metadata = previous.get("metadata", {})
    return "footer" in previous or not isinstance(metadata, dict) or not OURS.isdisjoint(metadata)


def _subscription(invoice: Mapping[str, object]) -> object:
    """Return an invoice's subscription, in the shape since basil or the one before (FACTS 0.2)."""
    details = mapping(mapping(invoice.get("parent")).get("subscription_details"))
    return details.get("subscription") or invoice.get("subscription")


def _id(reference: object) -> object:
    """Return the id of a reference, which is an id, or the whole object where it was expanded."""
    return reference.get("id") if isinstance(reference, dict) else reference


def _account(value: object, form: re.Pattern[str]) -> str | None:
    """Return the account; refuse an unreadable one, since another account's invoices are not ours to read."""
    return None if value is None else matching(form, value) or _refuse("its account is not an account's id")


def _text(data: Mapping[str, object], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) and value else _refuse(f"it has no {name}")


def _livemode(value: object) -> bool:
    return value if isinstance(value, bool) else _refuse("its livemode is neither true nor false")


def _time(value: object) -> datetime | None:
    """Return the time of Unix seconds; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _END_OF_TIME:
        return None
    return datetime.fromtimestamp(value, UTC)


def _written_time(value: object) -> datetime | None:
    """Return an RFC 3339 time, the form of the v2 API; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value)
        return read.astimezone(UTC) if read.tzinfo else None
    except (ValueError, OverflowError):
        return None


def listed_event(data: object) -> Event:
    """Read the ids in one event of a list. Raises UnexpectedAnswer."""
    try:
        return event_in(stripe_object(data, "event").data)
    except UnreadableEvent as error:
        raise UnexpectedAnswer(STRIPE, str(error), hint=error.hint) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceUpdate:
    """Change that one ``invoice.updated`` event reports."""

    at: datetime
    ours: bool
    """True if a request of this product caused it."""
    auto_advance: bool | None
    """New value; None when it did not change."""


def invoice_update(event: Fields) -> InvoiceUpdate:
    """Read the change that an ``invoice.updated`` snapshot reports."""
    data = event.fields("data")
    before = data.optional_fields("previous_attributes")
    changed = before is not None and "auto_advance" in before
    return InvoiceUpdate(
        at=event.at("created"),
        ours=_is_ours(event),
        auto_advance=data.fields("object").flag("auto_advance") if changed else None,
    )


def finalizer_of(event: Fields) -> Finalizer:
    """Return who finalized an invoice, by its ``invoice.finalized`` snapshot (FACTS 5.6)."""
    if _is_ours(event):
        return Finalizer.US
    request = event.optional_fields("request")
    if not (request and (request.optional_text("id") or request.optional_text("idempotency_key"))):
        return Finalizer.STRIPE
    advances = event.fields("data").fields("object").flag("auto_advance")
    return Finalizer.SENDER if advances else Finalizer.SOMEBODY


def _is_ours(event: Fields) -> bool:
    request = event.optional_fields("request")
    key = request.optional_text("idempotency_key") if request else None
    return bool(key and key.startswith(OUR_KEY_PREFIX))


def rejections_from_stripe(data: object) -> RejectionReport:
    """Read one report on rejected meter events (FACTS 12.7).

    Events that it counts without a code are kept under the code ``unknown``.
    """
    event = stripe_object(data, _THIN)
    details = event.fields("data")
    reason, related = details.fields("reason"), event.optional_fields("related_object")
    start, end = details.optional_written_at("validation_start"), details.optional_written_at("validation_end")
    at = event.optional_written_at("created")
    if start is None or end is None or at is None:
        event.reject("data", "names no time")
    counts, samples = Counter[str](), dict[str, tuple[RejectedSample, ...]]()
    for kind in reason.items("error_types"):
        code = kind.text("code")[:_LONGEST_CODE]
        counts[code] += kind.integer("error_count")
        samples[code] = samples.get(code, ()) + _samples(kind)
    counts["unknown"] += max(reason.integer("error_count") - counts.total(), 0)
    return RejectionReport(
        event_id=event.text("id"),
        at=at,
        meter_id=related.text("id") if related else None,
        rejections=tuple(
            Rejection(
                event_id=event.text("id"),
                at=at,
                meter=None,
                start=start,
                end=end,
                code=code,
                count=count,
                samples=samples.get(code, ())[:_SAMPLES],
            )
            for code, count in counts.items()
            if count or len(counts) == 1
        ),
    )


def _samples(kind: Fields) -> tuple[RejectedSample, ...]:
    found = kind.items("sample_errors") if kind.data.get("sample_errors") is not None else []
    return tuple(
        RejectedSample(
            identifier=shortened(each.fields("request").optional_text("identifier") or "-"),
            message=shortened(each.optional_text("error_message") or "-"),
        )
        for each in found[:_SAMPLES]
    )
