"""The simulated Stripe account: its clock, its objects, what it tells, and the switches of its behaviour."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from pacspace_stripe.simulator.clock import Clock
from pacspace_stripe.simulator.outbox import WebhookOutbox
from pacspace_stripe.simulator.stripe.agenda import Action, Agenda
from pacspace_stripe.simulator.stripe.ids import Ids
from pacspace_stripe.simulator.stripe.invoice_shapes import before_basil, invoice_json, line_json
from pacspace_stripe.simulator.stripe.shapes import Json, item_json, subscription_json
from pacspace_stripe.simulator.stripe.tables import Table
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
    """Switches of the account. Where Stripe's documents leave something open, both answers can be had here."""

    finalization_delay: timedelta = timedelta(hours=1)
    """The grace period: from a draft's creation, or from its release, to its finalization."""
    payment_delay: timedelta = timedelta(seconds=1)
    """From a finalized, advancing invoice to the charge."""
    payments_succeed: bool = True
    finalization_fails: bool = False
    """Whether drafts cannot be finalized, as with a tax location that is missing."""
    upcoming_before: timedelta | None = timedelta(days=3)
    """How long before a renewal ``invoice.upcoming`` is sent; None is never."""
    upcoming_has_id: bool = False
    aggregation_delay: timedelta = timedelta(0)
    """From receiving a meter event to counting it."""
    draft_lines_refresh: bool = False
    """Whether a draft's quantities follow usage while it waits; else they are those of its creation."""
    late_usage: bool = True
    """Whether finalization folds usage in that came after the draft was made."""
    webhook_gate: bool = False
    """Whether finalization waits for the endpoint to take ``invoice.created``, 72 hours at most."""
    line_per_tier: bool = True
    """Whether graduated tiers give one line each, or one line in all."""
    flat_lines: bool = False
    """Whether a tier's flat amount has a line of its own, or is in the tier's."""
    threshold_periods: Literal["parts", "whole"] = "parts"
    """What the lines of a period with thresholds name: parts that follow each other, or each the whole period."""
    first_zero_line: Literal["empty", "coming"] = "empty"
    """The period of the line of 0 on the first invoice of a classic subscription: none, or the coming one."""
    bill_packages: bool = False
    """Whether a package price's line counts packages, or raw usage."""
    summaries_of_nothing: Literal["empty", "zero"] = "empty"
    """What event summaries say where nothing happened: no row, or a row of 0."""
    mail_on_release: bool = True
    """Whether an open ``send_invoice`` invoice is mailed when a hold on it ends."""
    pdfs_ready: bool = True
    """Whether a finalized invoice's PDF can be fetched already."""
    default_footer: str | None = None
    account_name: str = "Simulator"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventCause:
    """The API call that an event comes from; empty for what Stripe does by its own clock."""

    request_id: str | None = None
    idempotency_key: str | None = None


@dataclass(slots=True)
class Account:
    """Everything one simulated account holds. Not locked: its owner does that."""

    id: str
    clock: Clock
    ids: Ids
    random: random.Random
    endpoint: WebhookEndpoint
    delivers: bool
    pages_url: str = "https://pay.stripe.com"
    """Where links to PDFs lead; no slash at its end."""
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
    """The time of the plan being carried out, which may lie before the clock's."""
    outbox: WebhookOutbox[StoredEvent] = field(init=False)

    def __post_init__(self) -> None:
        self.outbox = WebhookOutbox(self.endpoint, self.random)

    def now(self) -> datetime:
        """The account's time: the clock's, or that of the overdue plan being carried out."""
        return self.acting_at or self.clock.now()

    def clock_of(self, subject: str | None) -> StoredTestClock | None:
        """The test clock that an invoice, a subscription or a customer belongs to."""
        found = self.invoices.get(subject or "") or self.subscriptions.get(subject or "")
        customer = self.customers.get(found.customer if found else subject or "")
        return self.test_clocks.get(customer.test_clock) if customer and customer.test_clock else None

    def plan(self, at: datetime, action: Action, subject: str) -> None:
        """Do this then, by the clock of its subject."""
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

        ``data`` is what a thin event shows when it is read.
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
        """All lines of an invoice as JSON."""
        return [line_json(line, invoice, self.price_of(line.price)) for line in invoice.lines]

    def show_invoice(self, invoice: StoredInvoice) -> Json:
        """The invoice as JSON."""
        customer = self.customers[invoice.customer]
        lines, name = self.show_lines(invoice), self.behaviour.account_name
        return invoice_json(invoice, customer, lines, self.id, name, pages_url=self.pages_url)

    def show_items(self, subscription: StoredSubscription) -> list[Json]:
        """All items of a subscription as JSON."""
        return [item_json(item, subscription.id, self.prices[item.price]) for item in subscription.items]

    def show_subscription(self, subscription: StoredSubscription) -> Json:
        """The subscription as JSON."""
        shown = subscription_json(subscription, self.show_items(subscription), self.currency_of(subscription))
        return shown | {"test_clock": self.customers[subscription.customer].test_clock}

    def currency_of(self, subscription: StoredSubscription) -> str:
        return self.prices[subscription.items[0].price].currency

    def meter_named(self, event_name: str) -> StoredMeter | None:
        return next((meter for meter in self.meters if meter.event_name == event_name), None)
