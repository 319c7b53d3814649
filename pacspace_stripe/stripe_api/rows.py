"""Rows of Stripe's lists, and objects that must be the one asked for."""

import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import TypeVar

from pacspace_stripe.errors import NotFound, UnexpectedAnswer, UnreadableEvent
from pacspace_stripe.http.answers import Fields, mapping, matching
from pacspace_stripe.stripe_api.events import Event, event_in
from pacspace_stripe.stripe_api.parsing import invoice_from_stripe
from pacspace_stripe.stripe_api.prices import stripe_object
from pacspace_stripe.stripe_api.sdk import STRIPE
from pacspace_stripe.vocabulary.invoices import ListedInvoice

Read = TypeVar("Read")
_ROW_ID = re.compile(r"[a-z]{1,20}_[A-Za-z0-9_]{1,230}")


def listed(row: Fields) -> ListedInvoice:
    """One row of a page of invoices; without its invoice where that cannot be read."""
    invoice_id = row.text("id")
    try:
        complete = not row.fields("lines").flag("has_more")
        return ListedInvoice(invoice_id=invoice_id, invoice=invoice_from_stripe(row.data), complete=complete)
    except UnexpectedAnswer:
        return ListedInvoice(invoice_id=invoice_id, invoice=None, complete=False)


def readable(rows: Iterable[object], read: Callable[[object], Read]) -> Iterator[Read]:
    """Every row that can be read; then, if there were some that cannot, the first one's UnexpectedAnswer."""
    unreadable: UnexpectedAnswer | None = None
    unread: list[str] = []
    for data in rows:
        try:
            found = read(data)
        except UnexpectedAnswer as error:
            unreadable = unreadable or error
            row_id = matching(_ROW_ID, mapping(data).get("id"))
            unread += [row_id] if row_id else []
        else:
            yield found
    if unreadable:
        unreadable.unread = tuple(unread)
        raise unreadable


def event_from_stripe(data: object) -> Event:
    """The ids in an event. Raises UnexpectedAnswer."""
    try:
        return event_in(stripe_object(data, "event").data)
    except UnreadableEvent as error:
        raise UnexpectedAnswer(STRIPE, str(error), hint=error.hint) from None


def require_object(data: object, kind: str, wanted_id: str) -> object:
    """The object asked for, and no other. Raises NotFound when it was deleted, UnexpectedAnswer for another one."""
    if Fields(STRIPE, kind, data).optional_flag("deleted"):
        raise NotFound(STRIPE, f"{kind} {wanted_id} was deleted", code="resource_missing")
    found = stripe_object(data, kind)
    if found.text("id") != wanted_id:
        found.reject("id", f"is not {wanted_id}")
    return data


def counted(meter_id: str, data: object) -> Decimal:
    """What a meter event summary counted, in the meter's unit. Raises UnexpectedAnswer for another meter's."""
    row = stripe_object(data, "billing.meter_event_summary")
    if row.text("meter") != meter_id:
        row.reject("meter", f"is not {meter_id}")
    return row.number("aggregated_value")
