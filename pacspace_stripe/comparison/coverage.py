"""Other invoices that bill the same part of the ledger, and whether any record is billed by both.

The ledger's records of one account and time vouch for one invoice. Two that overlap in time bill the same only where
the overlap holds a record: a move to a new subscription often overlaps by seconds without any. The ledger is asked
about the overlap alone, and about what it still has to verify there. A record that comes later holds whichever of the
two invoices has not left, as any other in the overlap does.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pacspace_stripe.comparison.rules.reconcile import unsettled_parts
from pacspace_stripe.comparison.rules.verdicts import Reason
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.gate.rules.transitions import GIVEN_UP
from pacspace_stripe.ledger.ledgers import Ledger
from pacspace_stripe.ledger.rules.selection import UnclearRecords
from pacspace_stripe.store import Job, Store
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.usage.rules import THRESHOLD, BilledUsage, rival_detail
from pacspace_stripe.usage.rules.accounts import CoveredPart
from pacspace_stripe.vocabulary.invoices import Invoice
from pacspace_stripe.vocabulary.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Rivals:
    """Finds the invoices that bill what another one bills. Writes only that a voided one claims nothing any more."""

    stripe: StripeApi
    ledger: Ledger
    store: Store

    def doubt(self, invoice: Invoice, usage: BilledUsage, claim: CoveredPart) -> tuple[Reason, str] | None:
        """Return why the ledger cannot vouch for this usage because of another invoice; None when it can.

        Raises RemoteError's children. An invoice that ended may have been voided unheard: Stripe is asked once.
        """
        claims, passed = self.store.coverage, _counted_with(usage)
        while (rival := claims.overlapping_invoice(invoice.invoice_id, *claim, but=passed)) is not None:
            job = self.store.jobs.find(rival)
            if self._runs_with(invoice, usage, rival, job):
                passed = (*passed, rival)
                continue
            ended = job is not None and job.memory.ended
            if ended and self.stripe.read_invoice(rival).status in GIVEN_UP:
                claims.put(rival, ())
                continue
            doubt = self._about(invoice, usage, claim, rival, job)
            if doubt is not None:
                return doubt
            passed = (*passed, rival)
        return None

    def _runs_with(self, invoice: Invoice, usage: BilledUsage, rival: str, known: Job | None) -> bool:
        """Return whether a later invoice of its period counts this one, which a threshold made.

        A dry run knows only what the other one claims; Stripe says whose it is.
        """
        if invoice.billing_reason != THRESHOLD or usage.by_record:
            return False
        subscription = known.memory.subscription_id if known else self.stripe.read_invoice(rival).subscription_id
        return subscription == invoice.subscription_id

    def _about(
        self, invoice: Invoice, usage: BilledUsage, claim: CoveredPart, rival: str, known: Job | None
    ) -> tuple[Reason, str] | None:
        """A settlement record has no time, and two customers must not share an account, whatever is recorded on it."""
        memory = known.memory if known else InvoiceState(invoice_id=rival)
        said = rival_detail(
            invoice,
            rival,
            customer_id=memory.customer_id,
            subscription_id=memory.subscription_id,
            by_record=usage.by_record,
        )
        if usage.by_record or not self._of_one_customer(invoice, rival, known):
            return Reason.UNMAPPED, said
        for overlap in _joined(self.store.coverage.overlaps(rival, *claim)):
            balance = self.ledger.recorded(claim.account, overlap, usage.meter)
            if isinstance(balance, UnclearRecords) or balance.counted:
                whole = overlap == usage.window
                return Reason.UNMAPPED, said if whole else f"{said}; both bill what is recorded in {overlap}"
            unsettled = self.ledger.unsettled(claim.account, overlap, usage.meter)
            if unsettled.any:
                missing = ", ".join(unsettled_parts(unsettled))
                return Reason.NOT_SETTLED, f"{said}; missing before it is known to bill nothing in {overlap}: {missing}"
        return None

    def _of_one_customer(self, invoice: Invoice, rival: str, known: Job | None) -> bool:
        remembered = known.memory.customer_id if known else None
        return (remembered or self.stripe.read_invoice(rival).customer_id) == invoice.customer_id


def _counted_with(usage: BilledUsage) -> tuple[str, ...]:
    """Invoices of its period that its running total counts: a record vouches for one invoice only."""
    return () if usage.by_record else tuple(each.invoice_id for each in usage.billed_earlier)


def _joined(windows: Iterable[Window]) -> list[Window]:
    """Windows as few as they can be: those that overlap or adjoin are one."""
    joined: list[Window] = []
    for window in sorted(windows):
        if joined and window.start <= joined[-1].end:
            joined[-1] = Window(start=joined[-1].start, end=max(joined[-1].end, window.end))
        else:
            joined.append(window)
    return joined
