"""What a drift comes from: found out once, after it was acted on, and kept for whoever asks.

It explains; it decides nothing. Whatever goes wrong here, verdict, hold and next look stay what they are.
"""

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pacspace_stripe.comparison.rules.verdicts import Finding, Verdict
from pacspace_stripe.errors import LeaseLost
from pacspace_stripe.explain.rules.explanation import Explanation, fingerprint
from pacspace_stripe.gate.rules.result import shown_windows
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.http.ratelimit.priority import background
from pacspace_stripe.store import Leased, Store
from pacspace_stripe.vocabulary.invoices import BillingReason, Invoice, InvoiceStatus, LineItem, Subscription

_log = logging.getLogger(__name__)


class Explainer(Protocol):
    """Finds out what drifts come from: reads a bounded number of times, and says in a note what it could not read."""

    def explain_all(self, invoice: Invoice, finding: Finding) -> tuple[Explanation, ...]:
        """One explanation for each window that drifted."""
        ...


def differs(finding: Finding) -> bool:
    """Whether there is anything to explain: a drift in which some window's two figures differ."""
    windows = (result.reason.verdict for result in finding.windows)
    return finding.verdict is Verdict.DRIFTED and Verdict.DRIFTED in windows


@dataclass(frozen=True, slots=True, kw_only=True)
class Explaining:
    """Explains what a look found, under its lease; its requests give way to those that hold and release."""

    explainer: Explainer
    store: Store

    def after(self, leased: Leased, memory: InvoiceState, invoice: Invoice, finding: Finding) -> None:
        """Explain the drift unless these very figures were explained before. Raises LeaseLost, nothing else.

        ``memory`` is written down first: it knows who was told, and explaining takes its time.
        """
        if not differs(finding):
            return
        try:
            known = fingerprint(shown_windows(finding))
            if self.store.explanations.fingerprint_of(invoice.invoice_id) == known:
                return
            leased.save(memory)
            with background():
                found = self.explainer.explain_all(invoice, finding)
            leased.guard()
            self.store.explanations.put(invoice.invoice_id, known, found)
        except LeaseLost:
            raise
        except Exception:  # noqa: BLE001 - what only explains must not change what was decided
            _log.exception("invoice=%s its drift was not explained", invoice.invoice_id)


def coming(subscription: Subscription, job_id: str, now: datetime) -> Invoice:
    """The draft that a subscription's period will bring, as far as explaining an early warning needs it."""
    lines = tuple(
        LineItem(
            line_id=item.item_id,
            price_id=item.price.price_id,
            subscription_id=subscription.subscription_id,
            proration=False,
            quantity=None,
            window=item.window,
            item_id=item.item_id,
        )
        for item in subscription.items
    )
    return Invoice(
        invoice_id=job_id,
        customer_id=subscription.customer_id,
        customer_name=None,
        subscription_id=subscription.subscription_id,
        status=InvoiceStatus.DRAFT,
        auto_advance=False,
        automatically_finalizes_at=None,
        created_at=now,
        finalized_at=None,
        billing_reason=BillingReason.UPCOMING,
        collection_method=subscription.collection_method,
        currency="",
        number=None,
        footer=None,
        metadata={},
        subscription_metadata=subscription.metadata,
        livemode=subscription.livemode,
        attempted=False,
        attempt_count=0,
        amount_due=0,
        finalization_error=None,
        line_items=lines,
    )
