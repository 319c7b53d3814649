"""The requests that we make of Stripe."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import TypeVar

from pacspace_stripe.errors import NotFound, RemoteRefused, UnexpectedAnswer
from pacspace_stripe.explain.rules.rejections import RejectionReport
from pacspace_stripe.gate.rules.state import Finalizer
from pacspace_stripe.http.answers import Fields, mapping, matching
from pacspace_stripe.http.client import Transport
from pacspace_stripe.http.ratelimit.rules.rate import STRIPE_LIVE, STRIPE_TEST
from pacspace_stripe.stripe_api.cache import ReadOnceCache
from pacspace_stripe.stripe_api.calls import (
    PAGE,
    STRIPE,
    StripeCalls,
    key_livemode,
    new_idempotency_key,
    rfc3339,
    segment,
    unix,
)
from pacspace_stripe.stripe_api.events import (
    Event,
    InvoiceUpdate,
    finalizer_of,
    invoice_update,
    listed_event,
    rejections_from_stripe,
)
from pacspace_stripe.stripe_api.parsing import (
    invoice_from_stripe,
    meter_from_stripe,
    price_from_stripe,
    stripe_object,
    subscription_from_stripe,
    subscription_state_from_stripe,
)
from pacspace_stripe.vocabulary import quantities
from pacspace_stripe.vocabulary.invoices import (
    Invoice,
    InvoicePage,
    ListedInvoice,
    Meter,
    Price,
    Subscription,
    SubscriptionState,
)
from pacspace_stripe.vocabulary.webhooks import METER_TYPES, EventType
from pacspace_stripe.vocabulary.windows import Window

_FORBIDDEN = 403
_EVENT_SECONDS = 5
"""Seconds around a time in which its event is searched for: a thin event is made apart from its snapshot."""
_ROW_ID = re.compile(r"[a-z]{1,20}_[A-Za-z0-9_]{1,230}")
_log = logging.getLogger(__name__)
Row = TypeVar("Row")


class StripeApi:
    """Stripe at ``base_url`` (default: Stripe's own). Thread-safe.

    Every method raises RemoteError's children: RemoteUnavailable and RateLimited for another time, UnexpectedAnswer
    for what the API does not document, RemoteRefused (NotFound, NotEditable) for a clear no; and, from a write, what
    the transport's guard raises.
    """

    only_records = False
    """True when writes are recorded and not sent: what Stripe makes of them, such as final lines, is then not known."""

    def __init__(self, transport: Transport, api_key: str, base_url: str | None = None) -> None:
        self.livemode = key_livemode(api_key)
        transport.limit(STRIPE, STRIPE_LIVE if self.livemode else STRIPE_TEST)
        self._calls = StripeCalls(transport, api_key, base_url)
        self._prices = ReadOnceCache(self._read_price)
        self._meters = ReadOnceCache(self._read_meter)
        self._event_names: frozenset[str] = frozenset()

    # -- one invoice ------------------------------------------------------------------------------------------------

    def read_invoice(self, invoice_id: str) -> Invoice:
        """Return the invoice now, with all its lines: one call, and one more per 100 lines when there are many."""
        return self._with_lines(invoice_id, self._object(_invoice(invoice_id), "invoice", invoice_id))

    def read_invoice_standing(self, invoice_id: str, *, customer: bool) -> Invoice:
        """Return the invoice with what may have stopped it: its subscription, its test clock, its customer if asked.

        One call: the others are expanded in it, or none of them where the key may not read one; that takes a second
        call. An invoice whose lines alone name subscriptions takes a call for each.
        """
        expand = ["parent.subscription_details.subscription", *([] if self.livemode else ["test_clock"])]
        expand += ["customer"] if customer else []
        try:
            data = self._object(_invoice(invoice_id), "invoice", invoice_id, expand=expand)
            invoice = self._with_lines(invoice_id, data)
        except RemoteRefused as error:
            if error.status != _FORBIDDEN:
                raise
            _log.warning("invoice=%s read without its subscription and customer: %s", invoice_id, error)
            return self.read_invoice(invoice_id)
        if invoice.subscription_id is not None:
            return invoice
        named = {line.subscription_id: None for line in invoice.line_items if line.subscription_id}
        return replace(invoice, subscriptions=tuple(map(self._subscription_state, named)))

    def invoice_pdf(self, invoice_id: str) -> str | None:
        """Return the address of the invoice's PDF, good for ten days at least (FACTS 3.3); None for a draft.

        The address carries its own secret: it must not be logged, nor be asked with the API key.
        """
        data = self._object(_invoice(invoice_id), "invoice", invoice_id)
        return Fields(STRIPE, f"invoice {invoice_id}", data).optional_text("invoice_pdf")

    def update_invoice(
        self,
        invoice_id: str,
        *,
        auto_advance: bool | None = None,
        automatically_finalizes_at: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
        footer: str | None = None,
    ) -> None:
        """Change what is given, in one request. An empty footer clears it; an empty metadata value deletes its key.

        Raises NotEditable when Stripe has frozen one of the fields: nothing was changed then.
        """
        at = automatically_finalizes_at
        values = {
            "auto_advance": auto_advance,
            "automatically_finalizes_at": unix(at) if at else None,
            "metadata": dict(metadata) if metadata else None,
            "footer": footer,
        }
        changes = {name: value for name, value in values.items() if value is not None}
        if not changes:
            message = "nothing to change"
            raise ValueError(message)
        answer = self._calls.ask("post", _invoice(invoice_id), idempotency_key=new_idempotency_key(), **changes)
        require_object(answer, "invoice", invoice_id)

    def finalize_invoice(self, invoice_id: str) -> None:
        """Finalize without letting Stripe go on: it is neither charged nor sent (FACTS 2.2.2).

        Raises NotEditable when it was finalized before.
        """
        path = f"{_invoice(invoice_id)}/finalize"
        answer = self._calls.ask("post", path, idempotency_key=new_idempotency_key(), auto_advance=False)
        require_object(answer, "invoice", invoice_id)

    def _object(self, path: str, kind: str, object_id: str, **params: object) -> object:
        return require_object(self._calls.ask("get", path, **params), kind, object_id)

    def _with_lines(self, invoice_id: str, data: object) -> Invoice:
        if not Fields(STRIPE, f"invoice {invoice_id}", data).fields("lines").flag("has_more"):
            return invoice_from_stripe(data)
        lines = self._calls.rows_of_one(f"{_invoice(invoice_id)}/lines")
        return invoice_from_stripe(data, line_items=lines)

    # -- what events say of an invoice: each names the request that caused it (FACTS 5.6) ---------------------------

    def invoice_updates(self, invoice_id: str, at: datetime) -> tuple[InvoiceUpdate, ...]:
        """Return an invoice's updates within seconds of a time, oldest first; empty while Stripe lists none.

        Stripe keeps events for 30 days and lists new ones late (FACTS 5.3).
        """
        newest_first = [invoice_update(event) for event in self._events(EventType.INVOICE_UPDATED, invoice_id, at, at)]
        return tuple(newest_first[::-1])

    def finalizer(self, invoice_id: str, finalized_at: datetime) -> Finalizer:
        """Return who finalized an invoice, by its event; UNKNOWN while Stripe lists none."""
        events = self._events(EventType.INVOICE_FINALIZED, invoice_id, finalized_at, finalized_at)
        return next(map(finalizer_of, events), Finalizer.UNKNOWN)

    def was_deleted(self, invoice_id: str, since: datetime) -> bool:
        """Return True if an event of the last 30 days, delivered or not, says that the invoice was deleted since."""
        return any(True for _ in self._events(EventType.INVOICE_DELETED, invoice_id, since, None))

    def _events(self, kind: EventType, invoice_id: str, since: datetime, until: datetime | None) -> Iterator[Fields]:
        created = {"gte": unix(since) - _EVENT_SECONDS}
        created |= {"lte": unix(until) + _EVENT_SECONDS} if until else {}
        for row in self._calls.pages("/v1/events", types=[kind.value], created=created):
            event = stripe_object(row, "event")
            if event.fields("data").fields("object").optional_text("id") == invoice_id:
                yield event

    # -- prices, meters and usage -----------------------------------------------------------------------------------

    def price(self, price_id: str) -> Price:
        """Return a price: one call, two for a tiered one; cached, since what is read of it cannot change at Stripe."""
        return self._prices(price_id)

    def meter(self, meter_id: str) -> Meter:
        """Return a meter: one call; cached, since only its display name can change at Stripe (FACTS 4.1.1)."""
        return self._meters(meter_id)

    def meters_among(self, names: frozenset[str]) -> frozenset[str]:
        """Return which names are event names of meters, deactivated ones included: one call, none if all are known."""
        if not names <= self._event_names:
            meters = map(meter_from_stripe, self._calls.pages("/v1/billing/meters"))
            self._event_names = frozenset(meter.event_name for meter in meters)
        return names & self._event_names

    def meter_usage(self, meter_id: str, customer_id: str, window: Window) -> Decimal:
        """Return what the meter counted for the customer, in its unit; eventually consistent (FACTS 4.3).

        Raises ValueError unless the window's bounds are whole minutes: Stripe takes no others.
        """
        if window.inner_minutes != window:
            message = f"Stripe sums whole minutes only: {window}"
            raise ValueError(message)
        rows = self._summaries(meter_id, customer_id, window)
        return quantities.total(row.number("aggregated_value") for row in rows)

    def meter_usage_by_day(self, meter_id: str, customer_id: str, window: Window) -> dict[date, Decimal]:
        """Return the usage of each UTC day of a window of whole days; days without usage may be missing."""
        found: dict[date, Decimal] = {}
        for row in self._summaries(meter_id, customer_id, window, value_grouping_window="day"):
            day = row.at("start_time").date()
            found[day] = quantities.total([found.get(day, Decimal(0)), row.number("aggregated_value")])
        return found

    def meter_usage_by_hour(self, meter_id: str, customer_id: str, window: Window) -> dict[datetime, Decimal]:
        """Return the usage of each hour, by its start, of a window of whole hours: 100 hours a call."""
        found: dict[datetime, Decimal] = {}
        for row in self._summaries(meter_id, customer_id, window, value_grouping_window="hour"):
            hour = row.at("start_time")
            found[hour] = quantities.total([found.get(hour, Decimal(0)), row.number("aggregated_value")])
        return found

    def _summaries(self, meter_id: str, customer_id: str, window: Window, **grouping: str) -> Iterator[Fields]:
        """Yield each row of a meter's summaries. Raises UnexpectedAnswer for a row of another meter."""
        path = f"/v1/billing/meters/{segment(meter_id)}/event_summaries"
        start, end = unix(window.start), unix(window.end)
        for data in self._calls.pages(path, customer=customer_id, start_time=start, end_time=end, **grouping):
            row = stripe_object(data, "billing.meter_event_summary")
            if row.text("meter") != meter_id:
                row.reject("meter", f"is not {meter_id}")
            yield row

    def _read_price(self, price_id: str) -> Price:
        path = f"/v1/prices/{segment(price_id)}"
        price = price_from_stripe(self._object(path, "price", price_id))
        if not price.tiered or price.tiers:
            return price
        return price_from_stripe(self._object(path, "price", price_id, expand=["tiers"]))

    def _read_meter(self, meter_id: str) -> Meter:
        return meter_from_stripe(self._object(f"/v1/billing/meters/{segment(meter_id)}", "billing.meter", meter_id))

    # -- subscriptions ----------------------------------------------------------------------------------------------

    def read_subscription(self, subscription_id: str) -> Subscription:
        """Return the subscription now, with all its items and their prices."""
        path = f"/v1/subscriptions/{segment(subscription_id)}"
        return self._with_items(self._object(path, "subscription", subscription_id))

    def list_subscriptions(self, *, ends_after: datetime, ends_before: datetime) -> Iterator[Subscription]:
        """Yield the subscriptions that are not canceled and whose current period ends between these times.

        Each has all its items. Unreadable ones are reported at the end, as by :meth:`list_invoices`.
        """
        between = {"gt": unix(ends_after), "lt": unix(ends_before)}
        yield from readable(self._calls.pages("/v1/subscriptions", current_period_end=between), self._with_items)

    def _subscription_state(self, subscription_id: str) -> SubscriptionState:
        path = f"/v1/subscriptions/{segment(subscription_id)}"
        return subscription_state_from_stripe(self._object(path, "subscription", subscription_id))

    def _with_items(self, data: object) -> Subscription:
        found = stripe_object(data, "subscription")
        if not found.fields("items").flag("has_more"):
            return subscription_from_stripe(data)
        items = self._calls.rows_of_one("/v1/subscription_items", subscription=found.text("id"))
        return subscription_from_stripe(data, items=items)

    # -- lists ------------------------------------------------------------------------------------------------------

    def list_invoices(
        self,
        *,
        status: str | None = None,
        created_since: datetime | None = None,
        customer: str | None = None,
    ) -> Iterator[Invoice]:
        """Yield invoices, newest first, read page by page (100) while iterated.

        Their ``line_items`` are those embedded in the list, which may be only the first ones: read an invoice before
        judging it. An unreadable invoice does not hide the ones after it: the others are yielded first, then
        UnexpectedAnswer is raised.
        """
        since = {"gte": unix(created_since)} if created_since else None
        rows = self._calls.pages("/v1/invoices", status=status, created=since, customer=customer)
        yield from readable(rows, invoice_from_stripe)

    def invoices_of_subscription(self, subscription_id: str) -> Iterator[ListedInvoice]:
        """Yield all of a subscription's invoices, newest first, read page by page (100) while iterated."""
        path = "/v1/invoices"
        for row in self._calls.pages(path, subscription=subscription_id):
            yield _listed(Fields(STRIPE, f"list {path}", row))

    def invoice_page(
        self,
        *,
        created_since: datetime,
        created_before: datetime,
        status: str | None = None,
        customer: str | None = None,
        after: str | None = None,
    ) -> InvoicePage:
        """Return one page (100) of the invoices created in ``[created_since, created_before)``, newest first: one call.

        ``after``: the id of the last row of the page before. Times count in whole seconds.
        """
        path = "/v1/invoices"
        created = {"gte": unix(created_since), "lt": unix(created_before)}
        asked = {"limit": PAGE, "starting_after": after, "status": status, "customer": customer, "created": created}
        page = Fields(STRIPE, f"list {path}", self._calls.ask("get", path, **asked))
        rows, has_more = tuple(map(_listed, page.items("data"))), page.flag("has_more")
        if has_more and (not rows or rows[-1].invoice_id == after):
            page.reject("has_more", "promises more rows, but the page does not move on")
        return InvoicePage(rows=rows, has_more=has_more)

    def list_undelivered_events(self, types: Iterable[str], *, created_since: datetime) -> Iterator[Event]:
        """Yield the events of these types that an endpoint of the account did not take, or not yet; newest first.

        Stripe counts every endpoint of the account: an event that ours took is listed too while another one fails. It
        lists 30 days at most (FACTS 5.3). Unreadable ones are reported at the end, as by :meth:`list_invoices`.
        """
        since = {"gte": unix(created_since)}
        rows = self._calls.pages("/v1/events", types=[*types], delivery_success=False, created=since)
        yield from readable(rows, listed_event)

    def list_rejections(self, *, created_since: datetime) -> Iterator[RejectionReport]:
        """Yield Stripe's reports on meter events that it accepted and rejected later (FACTS 12.7), 30 days at most.

        Unreadable ones are reported at the end, as by :meth:`list_invoices`.
        """
        types, since = [f"v1.{kind.value}" for kind in METER_TYPES], {"gte": rfc3339(created_since)}
        yield from readable(
            self._calls.pages_of_v2("/v2/core/events", types=types, created=since), rejections_from_stripe
        )


def _invoice(invoice_id: str) -> str:
    return f"/v1/invoices/{segment(invoice_id)}"


def _listed(row: Fields) -> ListedInvoice:
    """Return one row of a page of invoices; without its invoice where that cannot be read."""
    invoice_id = row.text("id")
    try:
        complete = not row.fields("lines").flag("has_more")
        return ListedInvoice(invoice_id=invoice_id, invoice=invoice_from_stripe(row.data), complete=complete)
    except UnexpectedAnswer:
        return ListedInvoice(invoice_id=invoice_id, invoice=None, complete=False)


def readable(rows: Iterable[object], read: Callable[[object], Row]) -> Iterator[Row]:
    """Yield every row that can be read; then, if there were others, raise the first one's UnexpectedAnswer.

    The error names the ids of all unreadable rows, as far as they have one.
    """
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


def require_object(data: object, kind: str, object_id: str) -> object:
    """Return the object asked for. Raises NotFound when it was deleted, UnexpectedAnswer for another one."""
    if Fields(STRIPE, kind, data).optional_flag("deleted"):
        raise NotFound(STRIPE, f"{kind} {object_id} was deleted", code="resource_missing")
    found = stripe_object(data, kind)
    if found.text("id") != object_id:
        found.reject("id", f"is not {object_id}")
    return data
