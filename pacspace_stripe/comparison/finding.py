"""The finding about one invoice: the best of several comparisons, a waiver, the proof, and changes at finalization."""

import logging
from dataclasses import dataclass, replace
from datetime import timedelta

from pacspace_stripe.comparison.comparer import Comparer
from pacspace_stripe.comparison.rules.verdicts import UNANSWERED, Finding, Reason, Verdict
from pacspace_stripe.errors import RateLimited, RemoteError
from pacspace_stripe.gate.rules.decide import with_waiver
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.usage.rules import (
    ACCOUNT_METADATA_KEY,
    BilledUsage,
    billed_figures,
    covered_parts,
    same_figures,
)
from pacspace_stripe.vocabulary.invoices import GIVEN_UP, Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.policy import Mode, Policy

_log = logging.getLogger(__name__)
RATE_LIMIT_RETRY = timedelta(seconds=2)
"""Wait after a 429, which is no finding about the invoice: retry soon, without climbing the retry ladder."""
MOST_RATE_LIMITED_CHECKS = 5
"""Number of checks in a row that 429s may end before they count as no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The finding about one invoice, given its state."""

    stripe: StripeApi
    comparer: Comparer
    policy: Policy

    def best(
        self, read: Invoice, invoice: Invoice, usages: tuple[BilledUsage, ...], state: InvoiceState
    ) -> tuple[Finding, InvoiceState]:
        """Return the finding, and the state with the ledger account that it is about.

        That is the account in force; if it leads to no match, another one that the subscription names and that says
        more. Stripe copies a subscription's metadata onto a draft once, and the operator may have corrected it since.
        The coverage always names the account that is compared. ``read``: the invoice with Stripe's copy.
        """
        finding = self._judged(invoice, usages, state, self.compared(invoice, usages, state))
        coverage = self.comparer.store.coverage
        for mapping in self._other_mappings(read, state, finding):
            other = mapped(replace(invoice, subscription_metadata=read.subscription_metadata), mapping)
            other_usages = self.comparer.usages(other)
            coverage.put(other.invoice_id, covered_parts(other, other_usages))
            found = self._judged(other, other_usages, state, self.compared(other, other_usages, state))
            if found.verdict.may_leave or (_has_records(found) and not _has_records(finding)):
                return found, replace(state, mapping=mapping)
            coverage.put(invoice.invoice_id, covered_parts(invoice, usages))
        return finding, state

    def compared(self, invoice: Invoice, usages: tuple[BilledUsage, ...], state: InvoiceState) -> Finding:
        """Compare both figures per window; nothing is written to either vendor."""
        if not usages:
            detail = "its metered lines are gone: look up in Stripe what changed, or release it with a reason"
            return Finding(verdict=Verdict.UNPROVEN, reason=Reason.UNKNOWN_SHAPE, detail=detail, windows=())
        # In observe mode, an invoice that advances is one that the gate would have held and finalized itself.
        observing = self.policy.mode is Mode.OBSERVE and invoice.auto_advance
        return self.comparer.with_meter_reads(state.reads).compare(
            invoice,
            usages,
            finalized_by_us=state.held or observing,
            raise_rate_limited=_raises_rate_limited(state),
        )

    def proven(self, finding: Finding, state: InvoiceState) -> Finding:
        """Return the finding with checkpoints and their cross-checked proof roots."""
        return self.comparer.prove(finding, raise_rate_limited=_raises_rate_limited(state))

    def proves(self, invoice: Invoice, finding: Finding) -> bool:
        """Return whether a good finding rests on checkpoints."""
        recorded = any(result.count and result.account and not result.record for result in finding.windows)
        return self._may_prove(invoice, finding) and recorded

    def still_vouched(self, final: Invoice, usages: tuple[BilledUsage, ...], stamped: Finding) -> bool:
        """Return whether the records behind a stamp are what they were then; a root always is."""
        if not any(usage.by_record for usage in usages):
            return True
        now = self.comparer.compare(final, usages, finalized_by_us=False, raise_rate_limited=False)
        return [result.record for result in now.windows] == [result.record for result in stamped.windows]

    def _may_prove(self, invoice: Invoice, finding: Finding) -> bool:
        # A checkpoint freezes the window: it is made in enforce mode only, and not for an invoice that was given up.
        return self.policy.mode is Mode.ENFORCE and invoice.status not in GIVEN_UP and finding.verdict.may_leave

    def _judged(
        self, invoice: Invoice, usages: tuple[BilledUsage, ...], state: InvoiceState, compared: Finding
    ) -> Finding:
        """Return the comparison with a waiver, with its proof if it may leave, and with what finalization changed."""
        finding = with_waiver(compared, state)
        if self._may_prove(invoice, finding):
            finding = with_waiver(self.proven(finding, state), state)
        stamped = state.stamp
        if stamped is None or invoice.status is InvoiceStatus.DRAFT or finding.verdict is not Verdict.DRIFTED:
            return finding
        unchanged = stamped.verdict is Verdict.DRIFTED or same_figures(stamped.figures, billed_figures(usages))
        if unchanged and state.reason is not Reason.CHANGED_AT_FINALIZATION:
            return finding
        return replace(finding, reason=Reason.CHANGED_AT_FINALIZATION)

    def _other_mappings(self, read: Invoice, state: InvoiceState, finding: Finding) -> tuple[str | None, ...]:
        """Return the other ledger accounts that may be meant; None stands for the copy on the invoice.

        Empty if the account in force led to a match, or if a vendor did not answer. Stripe is asked for the
        subscription; a refusal leaves only the copy on the invoice, and a 429 raises RateLimited.
        """
        if finding.verdict.may_leave or finding.reason in UNANSWERED or read.subscription_id is None:
            return ()
        copied = read.subscription_metadata.get(ACCOUNT_METADATA_KEY, "")
        try:
            named = self.stripe.read_subscription(read.subscription_id).metadata.get(ACCOUNT_METADATA_KEY, "")
        except RemoteError as error:
            if isinstance(error, RateLimited) and _raises_rate_limited(state):
                raise
            _log.warning("subscription=%s its ledger account cannot be read: %s", read.subscription_id, error)
            named = copied
        mappings = (None,) if named == copied else (None, named)
        return tuple(mapping for mapping in mappings if mapping != state.mapping)


def mapped(invoice: Invoice, mapping: str | None) -> Invoice:
    """Return the invoice with another ledger account in place of the one that Stripe copied from its subscription."""
    if mapping is None:
        return invoice
    return replace(invoice, subscription_metadata={**invoice.subscription_metadata, ACCOUNT_METADATA_KEY: mapping})


def _has_records(finding: Finding) -> bool:
    return any(result.count for result in finding.windows)


def _raises_rate_limited(state: InvoiceState) -> bool:
    return state.failures < MOST_RATE_LIMITED_CHECKS
