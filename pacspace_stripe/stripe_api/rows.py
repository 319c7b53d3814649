"""Rows of Stripe's lists, and objects that must be the one asked for."""

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import TypeVar

from pacspace_stripe.domain.explanation import RejectedSample, Rejection
from pacspace_stripe.domain.invoices import ListedInvoice
from pacspace_stripe.domain.rejections import RejectionReport
from pacspace_stripe.errors import NotFound, UnexpectedAnswer, UnreadableEvent
from pacspace_stripe.events import Event, event_in
from pacspace_stripe.stripe_api.prices import stripe_object
from pacspace_stripe.stripe_api.reading import invoice_from_stripe
from pacspace_stripe.transport.answers import Fields
from pacspace_stripe.transport.refusals import shortened
from pacspace_stripe.transport.stripe_sdk import STRIPE

Read = TypeVar("Read")
_THIN_EVENT = "v2.core.event"
_LONGEST_CODE = 128
_SAMPLES = 5
"""Rejected meter events of one code that are kept: Stripe itself sends a few of many."""


def listed(row: Fields) -> ListedInvoice:
    """One row of a page of invoices; without its invoice where that cannot be read."""
    invoice_id = row.text("id")
    try:
        complete = not row.fields("lines").flag("has_more")
        return ListedInvoice(invoice_id=invoice_id, invoice=invoice_from_stripe(row.data), complete=complete)
    except UnexpectedAnswer:
        return ListedInvoice(invoice_id=invoice_id, invoice=None, complete=False)


def readable(rows: Iterable[object], read: Callable[[object], Read]) -> Iterator[Read]:
    """Every row that can be read; then, if there was one that cannot, its UnexpectedAnswer."""
    unreadable: UnexpectedAnswer | None = None
    for data in rows:
        try:
            found = read(data)
        except UnexpectedAnswer as error:
            unreadable = unreadable or error
        else:
            yield found
    if unreadable:
        raise unreadable


def event_from_stripe(data: object) -> Event:
    """The ids in an event. Raises UnexpectedAnswer."""
    try:
        return event_in(stripe_object(data, "event").data)
    except UnreadableEvent as error:
        raise UnexpectedAnswer(STRIPE, str(error), hint=error.hint) from None


def the(data: object, kind: str, wanted_id: str) -> object:
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


def rejections_from_stripe(data: object) -> RejectionReport:
    """One of Stripe's reports on meter events that it had accepted and rejected later (stripe-facts 12.7).

    What the report counts and explains with no code is kept under the code ``unknown``.
    """
    event = stripe_object(data, _THIN_EVENT)
    details = event.fields("data")
    reason, related = details.fields("reason"), event.optional_fields("related_object")
    start, end = details.optional_written_at("validation_start"), details.optional_written_at("validation_end")
    at = event.optional_written_at("created")
    if start is None or end is None or at is None:
        event.reject("data", "names no time")
    kinds = [(kind.text("code"), kind.integer("error_count"), _samples(kind)) for kind in reason.items("error_types")]
    rest = reason.integer("error_count") - sum(count for _, count, _ in kinds)
    if rest > 0 or not kinds:
        kinds.append(("unknown", max(rest, 0), ()))
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
                code=code[:_LONGEST_CODE],
                count=count,
                samples=samples,
            )
            for code, count, samples in kinds
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
