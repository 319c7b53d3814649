"""The finding about one invoice: its mapping, both figures, a waiver, the proof, and what finalization changed."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from pacspace_stripe.comparison.comparer import Comparer
from pacspace_stripe.comparison.rules.verdicts import UNANSWERED, Finding, Reason, Verdict
from pacspace_stripe.errors import RateLimited, RemoteError
from pacspace_stripe.gate.rules.decide import with_waiver
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.gate.rules.transitions import GIVEN_UP
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.usage.rules import ACCOUNT_METADATA_KEY, BilledUsage, billed_figures, same_figures
from pacspace_stripe.vocabulary.invoices import Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.policy import Mode, Policy

_log = logging.getLogger(__name__)
RATE_LIMIT_RETRY = timedelta(seconds=2)
"""A 429 says nothing about the invoice: look again soon, without climbing the retry ladder."""
MOST_RATE_LIMITED_CHECKS = 5
"""Looks in a row that 429s may end before they count as no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Compares an invoice in the light of what we remember of it."""

    stripe: StripeApi
    comparer: Comparer
    policy: Policy

    def other_mappings(self, read: Invoice, memory: InvoiceState, finding: Finding) -> tuple[str | None, ...]:
        """Other ledger accounts that may be meant, when the one in force did not lead to a match; None: the copy.

        Asks Stripe for the subscription; a refusal leaves only the copy on the invoice. A 429 ends the look.
        """
        if finding.verdict.may_leave or finding.reason in UNANSWERED or read.subscription_id is None:
            return ()
        copied = read.subscription_metadata.get(ACCOUNT_METADATA_KEY, "")
        try:
            named = self.stripe.read_subscription(read.subscription_id).metadata.get(ACCOUNT_METADATA_KEY, "")
        except RateLimited as error:
            if _patient(memory):
                raise
            _log.warning("subscription=%s its ledger account cannot be read: %s", read.subscription_id, error)
            named = copied
        except RemoteError as error:
            _log.warning("subscription=%s its ledger account cannot be read: %s", read.subscription_id, error)
            named = copied
        there = (None,) if named == copied else (None, named)
        return tuple(mapping for mapping in there if mapping != memory.mapping)

    def best(
        self,
        read: Invoice,
        invoice: Invoice,
        usages: tuple[BilledUsage, ...],
        memory: InvoiceState,
        *,
        claim: Callable[[Invoice, tuple[BilledUsage, ...]], None],
    ) -> tuple[Finding, InvoiceState]:
        """With the ledger account in force; where that matches nothing, with another one that the subscription names.

        Stripe copies a subscription's metadata onto a draft once, and a person may have put it right since. ``read``:
        the invoice with that copy. ``claim`` is called with whatever account is to be compared, before it is.
        """
        finding = self.finding(invoice, usages, memory)
        for mapping in self.other_mappings(read, memory, finding):
            other = mapped(replace(invoice, subscription_metadata=read.subscription_metadata), mapping)
            there = self.comparer.usages(other)
            claim(other, there)
            found = self.finding(other, there, memory)
            if better(found, finding):
                return found, replace(memory, mapping=mapping)
            claim(invoice, usages)
        return finding, memory

    def finding(self, invoice: Invoice, usages: tuple[BilledUsage, ...], memory: InvoiceState) -> Finding:
        """The verdict, with its proof when it may go. A checkpoint freezes: in enforce mode, of what is alive."""
        figures = billed_figures(usages)
        finding = with_waiver(self.compared(invoice, usages, memory), memory)
        enforced = self.policy.mode is Mode.ENFORCE and invoice.status not in GIVEN_UP
        if enforced and finding.verdict.may_leave:
            finding = with_waiver(self.proven(finding, memory), memory)
        return _changed_at_finalization(invoice, finding, figures, memory)

    def proves(self, invoice: Invoice, finding: Finding) -> bool:
        """Return whether a good finding rests on checkpoints."""
        enforced = self.policy.mode is Mode.ENFORCE and invoice.status not in GIVEN_UP
        recorded = any(result.count and result.account and not result.record for result in finding.windows)
        return enforced and finding.verdict.may_leave and recorded

    def compared(self, invoice: Invoice, usages: tuple[BilledUsage, ...], memory: InvoiceState) -> Finding:
        """Both figures, window by window; nothing is written to either vendor."""
        if not usages:
            detail = "the metered lines that we held it for are gone"
            return Finding(verdict=Verdict.UNPROVEN, reason=Reason.UNKNOWN_SHAPE, detail=detail, windows=())
        observing = self.policy.mode is Mode.OBSERVE and invoice.auto_advance
        ours_to_finalize = memory.held or observing
        comparer = self.comparer.with_meter_reads(memory.reads)
        return comparer.compare(invoice, usages, finalized_by_us=ours_to_finalize, raise_rate_limited=_patient(memory))

    def still_vouched(self, final: Invoice, usages: tuple[BilledUsage, ...], stamped: Finding) -> bool:
        """Whether the records behind a stamp say what they said then; a root always does."""
        if not any(usage.by_record for usage in usages):
            return True
        now = self.comparer.compare(final, usages, finalized_by_us=False, raise_rate_limited=False)
        return [result.record for result in now.windows] == [result.record for result in stamped.windows]

    def proven(self, finding: Finding, memory: InvoiceState) -> Finding:
        """With checkpoints and their cross-checked proof roots."""
        return self.comparer.prove(finding, raise_rate_limited=_patient(memory))


def mapped(invoice: Invoice, mapping: str | None) -> Invoice:
    """The invoice with another ledger account in the place of the one that Stripe copied from its subscription."""
    if mapping is None:
        return invoice
    return replace(invoice, subscription_metadata={**invoice.subscription_metadata, ACCOUNT_METADATA_KEY: mapping})


def better(found: Finding, than: Finding) -> bool:
    """Whether another ledger account says more: it matches, or it has records where the first had none at all."""
    if found.verdict.may_leave:
        return True
    return any(result.count for result in found.windows) and not any(result.count for result in than.windows)


def _patient(memory: InvoiceState) -> bool:
    return memory.failures < MOST_RATE_LIMITED_CHECKS


def _changed_at_finalization(
    invoice: Invoice, finding: Finding, figures: dict[str, str], memory: InvoiceState
) -> Finding:
    stamped = memory.stamp
    if stamped is None or invoice.status is InvoiceStatus.DRAFT or finding.verdict is not Verdict.DRIFTED:
        return finding
    if stamped.verdict is Verdict.DRIFTED or same_figures(stamped.figures, figures):
        unchanged = memory.reason is not Reason.CHANGED_AT_FINALIZATION
        return finding if unchanged else replace(finding, reason=Reason.CHANGED_AT_FINALIZATION)
    return replace(finding, reason=Reason.CHANGED_AT_FINALIZATION)
