"""Changes and finalizations of an invoice in Stripe's events: each names the request that caused it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from pacspace_stripe.gate.rules.state import Finalizer
from pacspace_stripe.http.answers import Fields
from pacspace_stripe.stripe_api.calls import OUR_KEY_PREFIX, Calls, unix
from pacspace_stripe.stripe_api.prices import stripe_object
from pacspace_stripe.vocabulary.webhooks import EventType

_BEFORE, _AFTER = 5, 5
"""Seconds around a time in which its event is looked for: a thin event is made apart from its snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceUpdate:
    """Change that one ``invoice.updated`` event reports."""

    at: datetime
    ours: bool
    """A request of this product caused it."""
    auto_advance: bool | None
    """Its new value; None when it did not change."""


def invoice_updates(calls: Calls, invoice_id: str, at: datetime) -> tuple[InvoiceUpdate, ...]:
    """Return the updates of an invoice within seconds of a time, oldest first; empty while Stripe lists none.

    Stripe keeps events for 30 days and lists new ones late (FACTS 5).
    """
    newest_first = [_update(event) for event in _events(calls, EventType.INVOICE_UPDATED, invoice_id, at)]
    return tuple(newest_first[::-1])


def finalizer(calls: Calls, invoice_id: str, finalized_at: datetime) -> Finalizer:
    """Return who finalized an invoice; UNKNOWN while Stripe lists no event of that."""
    for event in _events(calls, EventType.INVOICE_FINALIZED, invoice_id, finalized_at):
        if _is_ours(event):
            return Finalizer.US
        request = event.optional_fields("request")
        named = request and (request.optional_text("id") or request.optional_text("idempotency_key"))
        if not named:
            return Finalizer.STRIPE
        advances = event.fields("data").fields("object").flag("auto_advance")
        return Finalizer.SENDER if advances else Finalizer.SOMEBODY
    return Finalizer.UNKNOWN


def was_deleted(calls: Calls, invoice_id: str, since: datetime) -> bool:
    """Return whether an event says that the invoice was deleted, even where the endpoint never got it."""
    created = {"gte": unix(since) - _BEFORE}
    return any(True for _ in _listed(calls, EventType.INVOICE_DELETED, invoice_id, created))


def _events(calls: Calls, kind: EventType, invoice_id: str, at: datetime) -> Iterator[Fields]:
    return _listed(calls, kind, invoice_id, {"gte": unix(at) - _BEFORE, "lte": unix(at) + _AFTER})


def _listed(calls: Calls, kind: EventType, invoice_id: str, created: Mapping[str, int]) -> Iterator[Fields]:
    for row in calls.pages("/v1/events", types=[kind.value], created=created):
        event = stripe_object(row, "event")
        if event.fields("data").fields("object").optional_text("id") == invoice_id:
            yield event


def _update(event: Fields) -> InvoiceUpdate:
    data = event.fields("data")
    before = data.optional_fields("previous_attributes")
    changed = before is not None and "auto_advance" in before
    return InvoiceUpdate(
        at=event.at("created"),
        ours=_is_ours(event),
        auto_advance=data.fields("object").flag("auto_advance") if changed else None,
    )


def _is_ours(event: Fields) -> bool:
    """Stripe itself names no request in its own events."""
    request = event.optional_fields("request")
    key = request.optional_text("idempotency_key") if request else None
    return bool(key and key.startswith(OUR_KEY_PREFIX))
