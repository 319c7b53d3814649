"""The requests we make of Stripe."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from pacspace_stripe.errors import RemoteRefused
from pacspace_stripe.explain.rules.rejections import RejectionReport
from pacspace_stripe.gate.rules.state import Finalizer
from pacspace_stripe.http.answers import Fields
from pacspace_stripe.http.client import Transport
from pacspace_stripe.http.ratelimit.rules.rate import STRIPE_LIVE, STRIPE_TEST
from pacspace_stripe.stripe_api import requests as acts
from pacspace_stripe.stripe_api.cache import Remembered
from pacspace_stripe.stripe_api.calls import PAGE, Calls, key_livemode, segment, unix
from pacspace_stripe.stripe_api.events import Event
from pacspace_stripe.stripe_api.parsing import (
    invoice_from_stripe,
    subscription_from_stripe,
    subscription_state_from_stripe,
)
from pacspace_stripe.stripe_api.prices import meter_from_stripe, price_from_stripe, stripe_object
from pacspace_stripe.stripe_api.rejections import rejection_reports
from pacspace_stripe.stripe_api.requests import InvoiceUpdate
from pacspace_stripe.stripe_api.rows import counted, event_from_stripe, listed, readable, require_object
from pacspace_stripe.stripe_api.sdk import STRIPE
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
from pacspace_stripe.vocabulary.windows import Window

_log = logging.getLogger(__name__)


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
        self._calls = Calls(transport, api_key, base_url)
        self._prices = Remembered(self._read_price)
        self._meters = Remembered(self._read_meter)
        self._event_names: frozenset[str] = frozenset()

    def read_invoice(self, invoice_id: str) -> Invoice:
        """The invoice now, with all its line items: one call, and one more per 100 lines when there are many."""
        return self._with_lines(invoice_id, self._invoice(invoice_id))

    def read_invoice_standing(self, invoice_id: str, *, customer: bool) -> Invoice:
        """Return the invoice with what may have stopped it: its subscription, its test clock, its customer if asked.

        One call: the others are expanded in it, or none of them where the key may not read one; that takes a second
        call. An invoice whose lines alone name subscriptions takes a call for each.
        """
        expand = ["parent.subscription_details.subscription", *([] if self.livemode else ["test_clock"])]
        expand += ["customer"] if customer else []
        try:
            invoice = self._with_lines(invoice_id, self._invoice(invoice_id, expand=expand))
        except RemoteRefused as error:
            if error.status != 403:  # noqa: PLR2004  # forbidden
                raise
            _log.warning("invoice=%s read without its subscription and customer: %s", invoice_id, error)
            return self.read_invoice(invoice_id)
        if invoice.subscription_id is not None:
            return invoice
        named = {line.subscription_id: None for line in invoice.line_items if line.subscription_id}
        return replace(invoice, subscriptions=tuple(map(self._subscription_state, named)))

    def invoice_updates(self, invoice_id: str, at: datetime) -> tuple[InvoiceUpdate, ...]:
        """Return what events say of an invoice's updates within seconds of a time; empty while Stripe lists none."""
        return acts.invoice_updates(self._calls, invoice_id, at)

    def finalizer(self, invoice_id: str, finalized_at: datetime) -> Finalizer:
        """Return who finalized an invoice, as its event says; UNKNOWN while there is none."""
        return acts.finalizer(self._calls, invoice_id, finalized_at)

    def was_deleted(self, invoice_id: str, since: datetime) -> bool:
        """Return whether an event of the last 30 days says that the invoice was deleted since then."""
        return acts.was_deleted(self._calls, invoice_id, since)

    def invoice_pdf(self, invoice_id: str) -> str | None:
        """Where Stripe serves the invoice's PDF now; None for a draft. Good for ten days at least (FACTS 3).

        It names its own secret: not to be logged, nor asked with the API key.
        """
        data = self._calls.get_object(f"/v1/invoices/{segment(invoice_id)}", "invoice", invoice_id)
        return Fields(STRIPE, f"invoice {invoice_id}", data).optional_text("invoice_pdf")

    def price(self, price_id: str) -> Price:
        """A price: one call, two for a tiered one; remembered. What we read of it cannot change at Stripe."""
        return self._prices(price_id)

    def meter(self, meter_id: str) -> Meter:
        """A meter: one call, remembered. Only its display name can change at Stripe."""
        return self._meters(meter_id)

    def meters_among(self, names: frozenset[str]) -> frozenset[str]:
        """Those that are event names of meters, deactivated ones too: one call, none where all are known already."""
        if not names <= self._event_names:
            self._event_names = frozenset(
                meter_from_stripe(row).event_name for row in self._calls.pages("/v1/billing/meters")
            )
        return names & self._event_names

    def meter_usage(self, meter_id: str, customer_id: str, window: Window) -> Decimal:
        """What the meter counted for the customer, in its unit; eventually consistent (FACTS 4.3).

        Raises ValueError unless the window's bounds are whole minutes: Stripe takes no others.
        """
        if window.inner_minutes != window:
            message = f"Stripe sums whole minutes only: {window}"
            raise ValueError(message)
        rows = self._summaries(meter_id, customer_id, window)
        return quantities.total(counted(meter_id, row) for row in rows)

    def meter_usage_by_day(self, meter_id: str, customer_id: str, window: Window) -> dict[date, Decimal]:
        """The same for each UTC day of a window that begins and ends at midnight; days without usage may be missing."""
        found: dict[date, Decimal] = {}
        for row in self._summaries(meter_id, customer_id, window, value_grouping_window="day"):
            start = stripe_object(row, "billing.meter_event_summary").at("start_time")
            found[start.date()] = quantities.total([found.get(start.date(), Decimal(0)), counted(meter_id, row)])
        return found

    def meter_usage_by_hour(self, meter_id: str, customer_id: str, window: Window) -> dict[datetime, Decimal]:
        """The same for each hour, by its start, of a window that begins and ends on the hour: 100 hours a call."""
        found: dict[datetime, Decimal] = {}
        for row in self._summaries(meter_id, customer_id, window, value_grouping_window="hour"):
            start = stripe_object(row, "billing.meter_event_summary").at("start_time")
            found[start] = quantities.total([found.get(start, Decimal(0)), counted(meter_id, row)])
        return found

    def read_subscription(self, subscription_id: str) -> Subscription:
        """The subscription now, with all its items and their prices."""
        data = self._calls.get_object(f"/v1/subscriptions/{segment(subscription_id)}", "subscription", subscription_id)
        return self._listed_subscription(data)

    def list_invoices(
        self,
        *,
        status: str | None = None,
        created_since: datetime | None = None,
        customer: str | None = None,
    ) -> Iterator[Invoice]:
        """Invoices, newest first, read page by page (100) while iterated.

        Their ``line_items`` are those embedded in the list, which may be only the first ones: read an invoice before
        judging it. An invoice that cannot be read does not hide the ones after it: the rest is given first, then
        UnexpectedAnswer is raised.
        """
        since = {"gte": unix(created_since)} if created_since else None
        rows = self._calls.pages("/v1/invoices", status=status, created=since, customer=customer)
        yield from readable(rows, invoice_from_stripe)

    def invoices_of_subscription(self, subscription_id: str) -> Iterator[ListedInvoice]:
        """All of a subscription's invoices, newest first, read page by page (100) while iterated."""
        path = "/v1/invoices"
        for row in self._calls.pages(path, subscription=subscription_id):
            yield listed(Fields(STRIPE, f"list {path}", row))

    def list_subscriptions(self, *, ends_after: datetime, ends_before: datetime) -> Iterator[Subscription]:
        """Subscriptions that are not canceled and whose current period ends between these times, page by page.

        Like ``list_invoices``, with what cannot be read told at the end; each has all its items.
        """
        between = {"gt": unix(ends_after), "lt": unix(ends_before)}
        rows = self._calls.pages("/v1/subscriptions", current_period_end=between)
        yield from readable(rows, self._listed_subscription)

    def list_undelivered_events(self, types: Iterable[str], *, created_since: datetime) -> Iterator[Event]:
        """Events of these types that an endpoint of the account did not take, or not yet; newest first.

        Stripe counts every endpoint of the account: an event that ours took is listed too while another one fails. It
        lists 30 days at most (FACTS 5). Like ``list_invoices``, with what cannot be read told at the end.
        """
        since = {"gte": unix(created_since)}
        rows = self._calls.pages("/v1/events", types=[*types], delivery_success=False, created=since)
        yield from readable(rows, event_from_stripe)

    def list_rejections(self, *, created_since: datetime) -> Iterator[RejectionReport]:
        """Stripe's reports on meter events that it accepted and rejected later; it lists 30 days at most."""
        return rejection_reports(self._calls, created_since)

    def invoice_page(
        self,
        *,
        created_since: datetime,
        created_before: datetime,
        status: str | None = None,
        customer: str | None = None,
        after: str | None = None,
    ) -> InvoicePage:
        """One page (100) of the invoices created in ``[created_since, created_before)``, newest first: one call.

        ``after``: the id of the last row of the page before. Times count in whole seconds.
        """
        path = "/v1/invoices"
        created = {"gte": unix(created_since), "lt": unix(created_before)}
        asked = {"limit": PAGE, "starting_after": after, "status": status, "customer": customer, "created": created}
        page = Fields(STRIPE, f"list {path}", self._calls.get(path, **asked))
        rows, has_more = tuple(listed(row) for row in page.items("data")), page.flag("has_more")
        if has_more and (not rows or rows[-1].invoice_id == after):
            page.reject("has_more", "promises more rows, but the page does not move on")
        return InvoicePage(rows=rows, has_more=has_more)

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
        changes = {
            "auto_advance": auto_advance,
            "automatically_finalizes_at": unix(at) if at else None,
            "metadata": dict(metadata) if metadata else None,
            "footer": footer,
        }
        changes = {name: value for name, value in changes.items() if value is not None}
        if not changes:
            message = "nothing to change"
            raise ValueError(message)
        self._calls.write(f"/v1/invoices/{segment(invoice_id)}", invoice_id, **changes)

    def finalize_invoice(self, invoice_id: str) -> None:
        """Finalize without letting Stripe go on: it is neither charged nor sent. NotEditable: it already was."""
        self._calls.write(f"/v1/invoices/{segment(invoice_id)}/finalize", invoice_id, auto_advance=False)

    def _invoice(self, invoice_id: str, **params: object) -> object:
        return require_object(self._calls.get(f"/v1/invoices/{segment(invoice_id)}", **params), "invoice", invoice_id)

    def _with_lines(self, invoice_id: str, data: object) -> Invoice:
        if not Fields(STRIPE, f"invoice {invoice_id}", data).fields("lines").flag("has_more"):
            return invoice_from_stripe(data)
        lines = self._calls.bounded(f"/v1/invoices/{segment(invoice_id)}/lines")
        return invoice_from_stripe(data, line_items=lines)

    def _subscription_state(self, subscription_id: str) -> SubscriptionState:
        path = f"/v1/subscriptions/{segment(subscription_id)}"
        return subscription_state_from_stripe(self._calls.get_object(path, "subscription", subscription_id))

    def _summaries(self, meter_id: str, customer_id: str, window: Window, **grouping: str) -> Iterator[object]:
        return self._calls.pages(
            f"/v1/billing/meters/{segment(meter_id)}/event_summaries",
            customer=customer_id,
            start_time=unix(window.start),
            end_time=unix(window.end),
            **grouping,
        )

    def _read_price(self, price_id: str) -> Price:
        path = f"/v1/prices/{segment(price_id)}"
        price = price_from_stripe(self._calls.get_object(path, "price", price_id))
        if not price.tiered or price.tiers:
            return price
        return price_from_stripe(require_object(self._calls.get(path, expand=["tiers"]), "price", price_id))

    def _read_meter(self, meter_id: str) -> Meter:
        path = f"/v1/billing/meters/{segment(meter_id)}"
        return meter_from_stripe(self._calls.get_object(path, "billing.meter", meter_id))

    def _listed_subscription(self, data: object) -> Subscription:
        found = stripe_object(data, "subscription")
        if not found.fields("items").flag("has_more"):
            return subscription_from_stripe(data)
        items = self._calls.bounded("/v1/subscription_items", subscription=found.text("id"))
        return subscription_from_stripe(data, items=items)
