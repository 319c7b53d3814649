"""Building worlds from Python: subscriptions, usage, invoices."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from pacspace_stripe.simulator.stripe import drafts as drafting
from pacspace_stripe.simulator.stripe import engine, lifecycle, meter_endpoints
from pacspace_stripe.simulator.stripe.account import Account, EventCause
from pacspace_stripe.simulator.stripe.item_builder import ItemBuilding
from pacspace_stripe.simulator.stripe.shapes import Json
from pacspace_stripe.simulator.stripe.world import (
    Collection,
    Line,
    StoredInvoice,
    StoredInvoiceStatus,
    StoredSubscription,
    whole_second,
)


class WorldBuilding(ItemBuilding):
    """Subscriptions, usage and invoices. Each method takes the lock."""

    def add_subscription(
        self,
        customer: str,
        prices: Sequence[str],
        *,
        period_start: datetime,
        period_end: datetime,
        collection_method: Collection = "charge_automatically",
        days_until_due: int | None = None,
        metadata: dict[str, str] | None = None,
        footer: str | None = None,
        billing_mode: Literal["flexible", "classic"] = "flexible",
        trial_end: datetime | None = None,
        cancel_at_period_end: bool = False,
        id: str | None = None,  # noqa: A002 - Stripe's word
    ) -> str:
        """Add a running subscription and return its id, without a first invoice.

        Times are cut to whole seconds. If ``period_end`` has passed, the renewal follows at once, as of that time.
        """
        with self._lock:
            account = self.account
            start, end = whole_second(period_start), whole_second(period_end)
            subscription = StoredSubscription(
                id=id or account.ids.new("sub"),
                created=start,
                customer=account.customers[customer].id,
                items=[self._item(price, start, end) for price in prices],
                anchor=end,
                collection_method=collection_method,
                days_until_due=days_until_due or (30 if collection_method == "send_invoice" else None),
                billing_mode=billing_mode,
                metadata=metadata or {},
                footer=footer,
                trial_end=whole_second(trial_end) if trial_end else None,
                cancel_at_period_end=cancel_at_period_end,
            )
            account.subscriptions.add(subscription)
            account.emit("customer.subscription.created", account.show_subscription(subscription))
            engine.watch(account, subscription)
            return subscription.id

    def record_usage(
        self,
        customer: str,
        event_name: str,
        value: Decimal | int | str,
        at: datetime | None = None,
        *,
        identifier: str | None = None,
    ) -> str:
        """Record usage at a time (now by default), without the API's limits on age. Return the event's identifier."""
        with self._lock:
            event = meter_endpoints.accept(
                self.account,
                event_name=event_name,
                customer=customer,
                value=Decimal(value),
                at=at or self.account.now(),
                identifier=identifier,
            )
            return event.identifier

    def cancel_usage(self, identifier: str) -> bool:
        """Withdraw a meter event. Return False if there is none."""
        with self._lock:
            return self.account.usage.cancel(identifier)

    def reject_usage(
        self,
        identifiers: list[str],
        *,
        code: str = "meter_event_customer_not_found",
        message: str = "The customer does not exist.",
        meter: str | None = None,
    ) -> None:
        """Reject meter events that were accepted, and report it as Stripe does; ``meter`` None: no meter was found."""
        with self._lock:
            for identifier in identifiers:
                self.account.usage.cancel(identifier)
            found = self.account.meters[meter] if meter else None
            meter_endpoints.reject(self.account, found, code, [(identifier, message) for identifier in identifiers])

    def renew_now(self, subscription: str) -> str | None:
        """End the current period at this second. Return the draft's id, or None if nothing was billed."""
        with self._lock:
            engine.run_due(self.account)
            found, now = self._subscription(subscription), whole_second(self.account.now())
            for item in found.items:
                item.period_end = max(now, item.period_start)
            found.anchor = now
            invoice = engine.renew(self.account, found)
            return invoice.id if invoice else None

    def send_upcoming(self, subscription: str) -> str:
        """Send ``invoice.upcoming`` now, at any time of the period. Return the event's id."""
        with self._lock:
            found = self._subscription(subscription)
            engine.warn(self.account, found)
            return next(self.account.events.older_than(None)).id

    def create_first_invoice(self, subscription: str, *, with_usage: bool = False) -> str | None:
        """Make a new subscription's first invoice, finalized as it is made if charged automatically. Return its id."""
        with self._lock:
            invoice = engine.bill_first(self.account, self._subscription(subscription), with_usage=with_usage)
            return invoice.id if invoice else None

    def bill_threshold(self, subscription: str) -> str | None:
        """Bill the usage of the period so far now, as a billing threshold does. Return the draft's id."""
        with self._lock:
            upto = whole_second(self.account.now())
            invoice = engine.bill_threshold(self.account, self._subscription(subscription), upto)
            return invoice.id if invoice else None

    def split_period(self, subscription: str, at: datetime) -> None:
        """Make usage before and after ``at`` separate lines, as a change inside the period does."""
        with self._lock:
            for item in self._subscription(subscription).items:
                item.splits.append(whole_second(at))

    def change_price(self, subscription: str, price: str, since: datetime, *, item: int = 0) -> None:
        """Give an item another price inside its period; usage before and after are separate lines at the renewal."""
        with self._lock:
            changed = self._subscription(subscription).items[item]
            changed.was.append((whole_second(since), changed.price))
            changed.price = self.account.prices[price].id

    def add_credit_note(self, invoice: str, amount: int) -> None:
        """Credit a part of a finalized invoice, in minor units; its billed usage stays on it."""
        with self._lock:
            found = self._invoice(invoice)
            before = self.account.show_invoice(found)
            if found.status is StoredInvoiceStatus.PAID:
                found.credited_after += amount
            else:
                found.credited_before += amount
            lifecycle.tell_update(self.account, found, before)

    def add_line(
        self,
        invoice: str,
        *,
        amount: int,
        description: str = "One-off",
        quantity: Decimal | int | str = 1,
        price: str | None = None,
        item: str | None = None,
        proration: bool = False,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> str:
        """Put a free line on a draft, such as a proration, and return its id. ``amount`` is in minor units."""
        with self._lock:
            found = self._invoice(invoice)
            line = Line(
                id=self.account.ids.new("il"),
                description=description,
                period_start=start or found.period_start,
                period_end=end or found.period_end,
                amount=amount,
                quantity=Decimal(quantity),
                price=price,
                subscription=found.subscription if item else None,
                item=item,
                proration=proration,
            )
            found.lines.append(line)
            return line.id

    def add_past_invoice(
        self,
        subscription: str,
        period_start: datetime,
        period_end: datetime,
        *,
        status: StoredInvoiceStatus | str = StoredInvoiceStatus.PAID,
    ) -> str:
        """Add a finalized invoice of an earlier period with the usage recorded in it, without events. Return its id."""
        with self._lock:
            account, found = self.account, self._subscription(subscription)
            start, end = whole_second(period_start), whole_second(period_end)
            lines: list[Line] = []
            for item in found.items:
                past = self._item(item.price, start, end)
                past.id = item.id
                metered = account.prices[item.price].metered
                bill = drafting.metered_lines if metered else drafting.licensed_lines
                lines.extend(bill(account, found, past))
            invoice = _past(account, found, lines, StoredInvoiceStatus(status))
            return account.invoices.add(invoice).id

    def set_auto_advance_by_person(self, invoice: str, *, auto_advance: bool) -> None:
        """Set ``auto_advance`` as a person does in the Dashboard; the event carries no idempotency key of ours."""
        with self._lock:
            engine.run_due(self.account)
            found = self._invoice(invoice)
            before = self.account.show_invoice(found)
            self.account.cause = EventCause(request_id=self.account.ids.new("req"))
            lifecycle.set_auto_advance(self.account, found, auto_advance)
            lifecycle.tell_update(self.account, found, before)
            self.account.cause = EventCause()

    def invoice(self, invoice: str) -> Json:
        """Return the invoice as the API shows it now, with all its lines."""
        with self._lock:
            engine.run_due(self.account)
            found = self._invoice(invoice)
            shown = self.account.show_invoice(found)
            shown["lines"] |= {"data": self.account.show_lines(found), "has_more": False}
            return shown

    def invoices(self, **wanted: str) -> list[str]:
        """Return the ids of all invoices, oldest first; narrow by attribute, such as ``status="draft"``."""
        with self._lock:
            engine.run_due(self.account)
            return [
                one.id
                for one in self.account.invoices
                if all(getattr(one, key) == value for key, value in wanted.items())
            ]

    def _subscription(self, subscription: str) -> StoredSubscription:
        return self.account.subscriptions[subscription]

    def _invoice(self, invoice: str) -> StoredInvoice:
        return self.account.invoices[invoice]


def _past(
    account: Account, subscription: StoredSubscription, lines: list[Line], status: StoredInvoiceStatus
) -> StoredInvoice:
    customer = account.customers[subscription.customer]
    customer.invoices_numbered += 1
    start, end = lines[0].period_start, lines[0].period_end
    finalized = end + timedelta(hours=1)
    total = sum(line.amount for line in lines)
    return StoredInvoice(
        id=account.ids.new("in"),
        created=end,
        customer=customer.id,
        currency=account.currency_of(subscription),
        collection_method=subscription.collection_method,
        billing_reason="subscription_cycle",
        period_start=start,
        period_end=end,
        auto_advance=False,
        subscription=subscription.id,
        subscription_metadata=dict(subscription.metadata),
        lines=lines,
        status=status,
        footer=subscription.footer or customer.footer or account.behaviour.default_footer,
        number=f"{customer.id.removeprefix('cus_')[:8].upper()}-{customer.invoices_numbered:04}",
        finalized_at=finalized,
        paid_at=finalized if status is StoredInvoiceStatus.PAID else None,
        paid_amount=max(total, 0) if status is StoredInvoiceStatus.PAID else 0,
        attempt_count=1 if status is StoredInvoiceStatus.PAID else 0,
        voided_at=finalized if status is StoredInvoiceStatus.VOID else None,
        uncollectible_at=finalized if status is StoredInvoiceStatus.UNCOLLECTIBLE else None,
        webhooks_delivered_at=end,
    )
