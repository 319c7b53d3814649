"""The simulated Stripe account: its clock, its objects, its events, and the switches of its behaviour."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from pacspace_stripe.simulator.clock import Clock
from pacspace_stripe.simulator.outbox import WebhookOutbox
from pacspace_stripe.simulator.stripe.agenda import Action, Agenda
from pacspace_stripe.simulator.stripe.invoice_shapes import before_basil, invoice_json, line_json
from pacspace_stripe.simulator.stripe.shapes import Json, item_json, subscription_json
from pacspace_stripe.simulator.stripe.tables import Ids, Table
from pacspace_stripe.simulator.stripe.test_clocks import StoredTestClock
from pacspace_stripe.simulator.stripe.usage import MeterEvents
from pacspace_stripe.simulator.stripe.webhooks import StoredEvent, WebhookEndpoint
from pacspace_stripe.simulator.stripe.world import (
    Charge,
    Mail,
    Product,
    StoredCustomer,
    StoredInvoice,
    StoredMeter,
    StoredPrice,
    StoredSubscription,
)

BASIL = "2025-03-31"
"""The API version that moved an invoice's subscription and a line's price."""


@dataclass(slots=True, kw_only=True)
class Behaviour:
    """Switches of the account. Where Stripe's documents leave something open, both answers are available here."""

    finalization_delay: timedelta = timedelta(hours=1)
    """Grace period from a draft's creation, or from its release, to its finalization."""
    payment_delay: timedelta = timedelta(seconds=1)
    """Time from a finalized, advancing invoice to the charge."""
    payments_succeed: bool = True
    finalization_fails: bool = False
    """Fail to finalize drafts, as with a missing tax location."""
    upcoming_before: timedelta | None = timedelta(days=3)
    """Time before a renewal at which ``invoice.upcoming`` is sent; None is never."""
    upcoming_has_id: bool = False
    aggregation_delay: timedelta = timedelta(0)
    """Time from receiving a meter event to counting it."""
    draft_lines_refresh: bool = False
    """Let a draft's quantities follow usage while it waits; otherwise they are those of its creation."""
    late_usage: bool = True
    """Add usage at finalization that came after the draft was made."""
    webhook_gate: bool = False
    """Wait with finalization until the endpoint accepted ``invoice.created``, 72 hours at most."""
    line_per_tier: bool = True
    """Give each graduated tier a line of its own."""
    flat_lines: bool = False
    """Give a tier's flat amount a line of its own, instead of adding it to the tier's."""
    threshold_periods: Literal["parts", "whole"] = "parts"
    """Periods of lines after a threshold: parts that follow each other, or the whole period on each."""
    first_zero_line: Literal["empty", "coming"] = "empty"
    """Period of the zero line on the first invoice of a classic subscription: none, or the coming one."""
    bill_packages: bool = False
    """Count packages on a package price's line, instead of raw usage."""
    summaries_of_nothing: Literal["empty", "zero"] = "empty"
    """Event summaries of a time without usage: no row, or a row of 0."""
    mail_on_release: bool = True
    """Mail an open ``send_invoice`` invoice when a hold on it ends."""
    pdfs_ready: bool = True
    """Let a finalized invoice's PDF be fetched at once."""
    default_footer: str | None = None
    account_name: str = "Simulator"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventCause:
    """The API call that caused an event; empty for acts of Stripe's own clock."""

    request_id: str | None = None
    idempotency_key: str | None = None


@dataclass(slots=True)
class Account:
    """Everything that one simulated account holds. Not locked: its owner does that."""

    id: str
    clock: Clock
    ids: Ids
    random: random.Random
    endpoint: WebhookEndpoint
    delivers: bool
    pages_url: str = "https://pay.stripe.com"
    """Start of links to PDFs, without a slash at its end."""
    behaviour: Behaviour = field(default_factory=Behaviour)
    customers: Table[StoredCustomer] = field(default_factory=Table)
    products: Table[Product] = field(default_factory=Table)
    meters: Table[StoredMeter] = field(default_factory=Table)
    prices: Table[StoredPrice] = field(default_factory=Table)
    subscriptions: Table[StoredSubscription] = field(default_factory=Table)
    invoices: Table[StoredInvoice] = field(default_factory=Table)
    events: Table[StoredEvent] = field(default_factory=Table)
    test_clocks: Table[StoredTestClock] = field(default_factory=Table)
    usage: MeterEvents = field(default_factory=MeterEvents)
    agenda: Agenda = field(default_factory=Agenda)
    charges: list[Charge] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)
    cause: EventCause = field(default_factory=EventCause)
    acting_at: datetime | None = None
    """Time of the plan being carried out, which may lie before the clock's."""
    outbox: WebhookOutbox[StoredEvent] = field(init=False)

    def __post_init__(self) -> None:
        self.outbox = WebhookOutbox(self.endpoint, self.random)

    def now(self) -> datetime:
        """Return the account's time: the clock's, or that of the overdue plan being carried out."""
        return self.acting_at or self.clock.now()

    def clock_of(self, subject: str | None) -> StoredTestClock | None:
        """Return the test clock of an invoice, a subscription or a customer."""
        found = self.invoices.get(subject or "") or self.subscriptions.get(subject or "")
        customer = self.customers.get(found.customer if found else subject or "")
        return self.test_clocks.get(customer.test_clock) if customer and customer.test_clock else None

    def plan(self, at: datetime, action: Action, subject: str) -> None:
        """Plan an action, by the clock of its subject."""
        clock = self.clock_of(subject)
        (clock.agenda if clock else self.agenda).plan(at, action, subject)

    @contextmanager
    def living_by_clock_of(self, subject: str | None) -> Iterator[None]:
        """Act as of the time of a subject's test clock, if it has one."""
        clock, before = self.clock_of(subject), self.acting_at
        self.acting_at = clock.frozen_at if clock else before
        try:
            yield
        finally:
            self.acting_at = before

    def emit(
        self, event_type: str, shown: Json, previous: Json | None = None, *, data: Json | None = None
    ) -> StoredEvent:
        """Record an event and hand it to the endpoint. ``shown`` must not be changed afterwards.

        ``data`` holds the fields that a thin event shows when it is read.
        """
        version = self.endpoint.api_version
        if shown.get("object") == "invoice" and version < BASIL:
            shown = before_basil(shown)
        event = StoredEvent(
            id=self.ids.new("evt"),
            created=self.now(),
            type=event_type,
            api_version=version,
            object=shown,
            previous=previous,
            request_id=self.cause.request_id,
            idempotency_key=self.cause.idempotency_key,
            data=data,
        )
        if self.delivers:
            self.outbox.accept(event, self.clock.now())
        return self.events.add(event)

    def price_of(self, price_id: str | None) -> StoredPrice | None:
        return None if price_id is None else self.prices[price_id]

    def show_lines(self, invoice: StoredInvoice) -> list[Json]:
        """Return all lines of an invoice as JSON."""
        return [line_json(line, invoice, self.price_of(line.price)) for line in invoice.lines]

    def show_invoice(self, invoice: StoredInvoice) -> Json:
        """Return the invoice as JSON."""
        customer = self.customers[invoice.customer]
        lines, name = self.show_lines(invoice), self.behaviour.account_name
        return invoice_json(invoice, customer, lines, self.id, name, pages_url=self.pages_url)

    def show_items(self, subscription: StoredSubscription) -> list[Json]:
        """Return all items of a subscription as JSON."""
        return [item_json(item, subscription.id, self.prices[item.price]) for item in subscription.items]

    def show_subscription(self, subscription: StoredSubscription) -> Json:
        """Return the subscription as JSON."""
        shown = subscription_json(subscription, self.show_items(subscription), self.currency_of(subscription))
        return shown | {"test_clock": self.customers[subscription.customer].test_clock}

    def currency_of(self, subscription: StoredSubscription) -> str:
        return self.prices[subscription.items[0].price].currency

    def meter_named(self, event_name: str) -> StoredMeter | None:
        return next((meter for meter in self.meters if meter.event_name == event_name), None)
