"""Stripe's side of the comparison: what an invoice bills, read from its lines, prices and meters.

It asks Stripe for prices and meters, which are cached, and for more only if the lines do not show what they bill: the
meter's summaries, the metadata of another subscription, and earlier threshold invoices of the period.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from pacspace_stripe.comparison.rules.verdicts import Finding, MeterTotals
from pacspace_stripe.errors import NotFound
from pacspace_stripe.store import Store
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.usage.rules import (
    THRESHOLD,
    BilledUsage,
    apply_meter,
    billed_usage,
    bills_less,
    metered_lines,
    on_records,
    open_question,
    other_subscriptions,
    thresholds_of_period,
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
from pacspace_stripe.vocabulary.ledger import LedgerProtocol
from pacspace_stripe.vocabulary.policy import Policy
from pacspace_stripe.vocabulary.windows import Window

_NOTHING_BILLED_BEFORE = (BillingReason.SUBSCRIPTION_CREATE, BillingReason.UPCOMING)
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Billing:
    """Reader of what an invoice bills. The journal remembers which subscriptions have threshold invoices."""

    stripe: StripeApi
    store: Store
    policy: Policy

    def usages(self, invoice: Invoice) -> tuple[BilledUsage, ...]:
        """Return what the invoice bills per meter and window; empty if nothing on it is metered.

        Raises RemoteError's children.
        """
        policy = self.policy
        prices = self._prices(invoice)
        meters = self._meters(prices)
        earlier = self._earlier_thresholds(invoice) if metered_lines(invoice, prices) else ()
        others = other_subscriptions(invoice, prices, policy.usage_items)
        subscriptions = _known(others, self.stripe.read_subscription)
        usages = billed_usage(
            invoice,
            prices,
            meters,
            policy.ledger_account,
            split=policy.splits_accounts,
            readings=policy.readings | policy.totals,
            earlier=earlier,
            items=policy.usage_items,
            subscriptions={subscription_id: each.metadata for subscription_id, each in subscriptions.items()},
        )
        question, draft = open_question(earlier), invoice.status is InvoiceStatus.DRAFT
        found: list[BilledUsage] = []
        for usage in usages:
            if question is not None and usage.problem is None and usage.billed_earlier:
                found.append(replace(usage, problem=question[0], detail=question[1]))
            elif usage.needs_meter:
                found.append(apply_meter(usage, self.meter_totals(invoice, usage), draft=draft))
            else:
                found.append(usage)
        if policy.ledger is LedgerProtocol.SETTLEMENT:
            return on_records(invoice, tuple(found), policy.record_key)
        return tuple(found)

    def formulas(self, invoice: Invoice) -> Mapping[str, Formula]:
        """Return the formula of each meter on the invoice, by the meter's name.

        UNKNOWN for a meter that counts the newest event of each hour or day: one more event does not add up there.
        """
        meters = self._meters(self._prices(invoice)).values()
        adds_up = EventTimeWindow.NONE
        return {
            meter.event_name: meter.formula if meter.event_time_window is adds_up else Formula.UNKNOWN
            for meter in meters
        }

    def _prices(self, invoice: Invoice) -> Mapping[str, Price]:
        return _known({line.price_id for line in invoice.line_items if line.price_id}, self.stripe.price)

    def _meters(self, prices: Mapping[str, Price]) -> Mapping[str, Meter]:
        return _known({price.meter_id for price in prices.values() if price.meter_id}, self.stripe.meter)

    def meter_totals(self, invoice: Invoice, usage: BilledUsage, window: Window | None = None) -> MeterTotals | None:
        """Return what the usage's meter counted in its window, or in ``window``, a part of it.

        None if there is no meter, or if whole minutes, which the summaries take (FACTS 4.3), cannot bound the window.
        The last reading of a window is not bounded by those of a shorter and a longer one.
        """
        window = window or usage.window
        if usage.meter_id is None or window is None:
            return None
        inner, outer = window.inner_minutes, window.outer_minutes
        if inner == outer:
            exact = self.stripe.meter_usage(usage.meter_id, invoice.customer_id, outer)
            return MeterTotals(inner=exact, outer=exact)
        if inner is None or usage.formula is Formula.LAST:
            return None
        return MeterTotals(
            inner=self.stripe.meter_usage(usage.meter_id, invoice.customer_id, inner),
            outer=self.stripe.meter_usage(usage.meter_id, invoice.customer_id, outer),
        )

    # -- several invoices of one period ----------------------------------------------------------------------------

    def _earlier_thresholds(self, invoice: Invoice) -> tuple[Invoice, ...]:
        """Return the period's earlier threshold invoices; Stripe is asked only if the subscription has had any.

        The billing reason does not show whether an invoice ends its period: that of a cancellation (``invoice_now``)
        ends it too, and Stripe does not document its reason.
        """
        if invoice.subscription_id is None or invoice.billing_reason in _NOTHING_BILLED_BEFORE:
            return ()
        fact = _fact(invoice.subscription_id)
        known = self.store.journal.fact(fact) is not None
        if invoice.billing_reason == THRESHOLD and not known:
            self.store.journal.remember_fact(fact, invoice.invoice_id)
        if invoice.billing_reason != THRESHOLD and not known:
            return ()
        return tuple(self._thresholds(invoice, invoice.subscription_id))

    def _thresholds(self, invoice: Invoice, subscription_id: str) -> Iterator[Invoice]:
        """Yield the period's threshold invoices with all their lines: a list shows only the first lines of each."""
        complete: dict[str, bool] = {}

        def newest_first() -> Iterator[Invoice]:
            for row in self.stripe.invoices_of_subscription(subscription_id):
                complete[row.invoice_id] = row.complete
                # An invoice that cannot be read in the list cannot be read by itself either: the error says why.
                yield row.invoice or self.stripe.read_invoice(row.invoice_id)

        for other in thresholds_of_period(invoice, newest_first()):
            yield other if complete[other.invoice_id] else self.stripe.read_invoice(other.invoice_id)

    def finds_thresholds(self, invoice: Invoice, finding: Finding) -> bool:
        """Return whether an invoice bills too little because of threshold invoices that the gate never saw.

        The journal notes them for good.
        """
        if invoice.subscription_id is None or invoice.billing_reason in (*_NOTHING_BILLED_BEFORE, THRESHOLD):
            return False
        fact = _fact(invoice.subscription_id)
        if not any(map(bills_less, finding.windows)) or self.store.journal.fact(fact) is not None:
            return False
        found = next(self._thresholds(invoice, invoice.subscription_id), None)
        if found is None:
            return False
        self.store.journal.remember_fact(fact, found.invoice_id)
        return True


def _known(ids: Iterable[str], read: Callable[[str], Found]) -> dict[str, Found]:
    """Return what Stripe knows of some ids. An unknown one is missing, and the rules report what depends on it."""
    found: dict[str, Found] = {}
    for each in ids:
        with suppress(NotFound):
            found[each] = read(each)
    return found


def _fact(subscription_id: str) -> str:
    return f"thresholds:{subscription_id}"[:64]
