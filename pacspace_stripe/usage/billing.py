"""What an invoice bills, asked of Stripe: prices and meters, and more only where its lines do not say it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal

from pacspace_stripe.comparison.rules.verdicts import Finding, MeterTotals, Reason
from pacspace_stripe.errors import NotFound
from pacspace_stripe.store import Store
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.usage.rules import (
    THRESHOLD,
    BilledUsage,
    billed_usage,
    earlier_of_period,
    lacks_some,
    metered_lines,
    open_question,
    other_subscriptions,
    with_meter,
)
from pacspace_stripe.vocabulary.invoices import (
    BillingReason,
    EventTimeWindow,
    Formula,
    Invoice,
    InvoiceStatus,
    Meter,
    Price,
)
from pacspace_stripe.vocabulary.policy import Policy
from pacspace_stripe.vocabulary.windows import Window

_BILLS_NO_USE_BEFORE_IT = (BillingReason.SUBSCRIPTION_CREATE, BillingReason.UPCOMING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Billing:
    """Reads what an invoice bills. A plain price costs its own reading and its meter's, both remembered."""

    stripe: StripeApi
    store: Store
    policy: Policy

    def usages(self, invoice: Invoice) -> tuple[BilledUsage, ...]:
        """Per meter and window; empty when nothing on it is metered."""
        prices = self._prices(invoice)
        meters = self._meters(prices)
        earlier = self._earlier(invoice) if metered_lines(invoice, prices) else ()
        policy = self.policy
        usages = billed_usage(
            invoice,
            prices,
            meters,
            policy.ledger_account,
            split=policy.splits_accounts,
            readings=policy.readings | policy.totals,
            earlier=earlier,
            items=policy.usage_items,
            subscriptions=self._metadata(other_subscriptions(invoice, prices, policy.usage_items)),
        )
        question = open_question(earlier)
        return tuple(self._told(invoice, usage, question) for usage in usages)

    def formulas(self, invoice: Invoice) -> Mapping[str, Formula]:
        """Return the formula of each meter on the invoice, by the meter's name.

        UNKNOWN for a meter that counts the newest event of each hour or day: one event more does not add up there.
        """
        meters = self._meters(self._prices(invoice)).values()
        adds_up = EventTimeWindow.NONE
        return {
            meter.event_name: meter.formula if meter.event_time_window is adds_up else Formula.UNKNOWN
            for meter in meters
        }

    def _prices(self, invoice: Invoice) -> Mapping[str, Price]:
        found: dict[str, Price] = {}
        for price_id in {line.price_id for line in invoice.line_items if line.price_id}:
            with suppress(NotFound):
                found[price_id] = self.stripe.price(price_id)
        return found

    def _meters(self, prices: Mapping[str, Price]) -> Mapping[str, Meter]:
        found: dict[str, Meter] = {}
        for meter_id in {price.meter_id for price in prices.values() if price.meter_id}:
            with suppress(NotFound):
                found[meter_id] = self.stripe.meter(meter_id)
        return found

    def _metadata(self, subscription_ids: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
        found: dict[str, Mapping[str, str]] = {}
        for subscription_id in subscription_ids:
            with suppress(NotFound):
                found[subscription_id] = self.stripe.read_subscription(subscription_id).metadata
        return found

    def _told(self, invoice: Invoice, usage: BilledUsage, question: tuple[Reason, str] | None) -> BilledUsage:
        if question is not None and usage.problem is None and usage.billed_earlier:
            return replace(usage, problem=question[0], detail=question[1])
        if not usage.asks_meter:
            return usage
        return with_meter(usage, self.meter_says(invoice, usage), draft=invoice.status is InvoiceStatus.DRAFT)

    def meter_says(self, invoice: Invoice, usage: BilledUsage) -> MeterTotals | None:
        """The meter's summaries of a usage's window; None when whole minutes cannot bound it."""
        if usage.meter_id is None or usage.window is None:
            return None
        return self._summed(usage.meter_id, invoice.customer_id, usage.window, usage.formula)

    def summed_over(self, invoice: Invoice, usage: BilledUsage, span: Window) -> tuple[Decimal, Decimal] | None:
        """Return what the usage's meter counted over the inner and the outer minutes of a part of its window."""
        if usage.meter_id is None or usage.formula not in (Formula.SUM, Formula.COUNT):
            return None
        says = self._summed(usage.meter_id, invoice.customer_id, span, usage.formula)
        return (says.inner, says.outer) if says else None

    def _summed(self, meter_id: str, customer_id: str, window: Window, formula: Formula) -> MeterTotals | None:
        inner, outer = window.inner_minutes, window.outer_minutes
        if inner == outer:
            exact = self.stripe.meter_usage(meter_id, customer_id, outer)
            return MeterTotals(inner=exact, outer=exact)
        if inner is None or formula is Formula.LAST:
            return None
        return MeterTotals(
            inner=self.stripe.meter_usage(meter_id, customer_id, inner),
            outer=self.stripe.meter_usage(meter_id, customer_id, outer),
        )

    # -- several invoices of one period --------------------------------------------------------------------------

    def _earlier(self, invoice: Invoice) -> tuple[Invoice, ...]:
        """Return the period's earlier threshold invoices, asked only where the subscription is known to have any.

        Why an invoice was made does not say that it ends its period: that of a cancellation (``invoice_now``) does too,
        and Stripe does not document its reason.
        """
        if invoice.subscription_id is None or invoice.billing_reason in _BILLS_NO_USE_BEFORE_IT:
            return ()
        name = _fact(invoice.subscription_id)
        known = self.store.journal.fact(name) is not None
        if invoice.billing_reason == THRESHOLD and not known:
            self.store.journal.remember_fact(name, invoice.invoice_id)
        if invoice.billing_reason != THRESHOLD and not known:
            return ()
        return tuple(self._thresholds(invoice, invoice.subscription_id))

    def _thresholds(self, invoice: Invoice, subscription_id: str) -> Iterator[Invoice]:
        """Yield all of them with all their lines, however many; a list shows only the first lines of each."""
        complete: dict[str, bool] = {}

        def newest_first() -> Iterator[Invoice]:
            for row in self.stripe.invoices_of_subscription(subscription_id):
                complete[row.invoice_id] = row.complete
                # One that cannot be read in the list cannot be read by itself: the error says why.
                yield row.invoice or self.stripe.read_invoice(row.invoice_id)

        for other in earlier_of_period(invoice, newest_first()):
            yield other if complete[other.invoice_id] else self.stripe.read_invoice(other.invoice_id)

    def finds_thresholds(self, invoice: Invoice, finding: Finding) -> bool:
        """Return whether an invoice's lines lack what thresholds that we never saw have billed: noted for good."""
        if invoice.subscription_id is None or invoice.billing_reason in (*_BILLS_NO_USE_BEFORE_IT, THRESHOLD):
            return False
        lacking = any(lacks_some(result) for result in finding.windows)
        if not lacking or self.store.journal.fact(_fact(invoice.subscription_id)) is not None:
            return False
        found = next(self._thresholds(invoice, invoice.subscription_id), None)
        if found is None:
            return False
        self.store.journal.remember_fact(_fact(invoice.subscription_id), found.invoice_id)
        return True


def _fact(subscription_id: str) -> str:
    return f"thresholds:{subscription_id}"[:64]
