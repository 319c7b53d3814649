"""The finding about one invoice: its mapping, both figures, a waiver, the proof, and what finalization changed."""

import logging
from dataclasses import dataclass, replace

from pacspace_stripe.checks.comparing import Comparer
from pacspace_stripe.checks.recalling import GIVEN_UP
from pacspace_stripe.domain.decide import with_waiver
from pacspace_stripe.domain.invoices import Invoice, InvoiceStatus
from pacspace_stripe.domain.memory import Memory
from pacspace_stripe.domain.policy import Mode, Policy
from pacspace_stripe.domain.reconcile import ACCOUNT_METADATA_KEY, BilledUsage, billed_figures, same_figures
from pacspace_stripe.domain.verdicts import Finding, Reason, Verdict
from pacspace_stripe.errors import RemoteRefused
from pacspace_stripe.stripe_api import StripeApi

_log = logging.getLogger(__name__)
PATIENT_LOOKS = 5
"""Looks in a row that 429s may end before they count as no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Compares an invoice in the light of what we remember of it."""

    stripe: StripeApi
    comparer: Comparer
    policy: Policy

    def mapped(self, memory: Memory, invoice: Invoice) -> tuple[Memory, Invoice]:
        """The invoice with its subscription's mapping as corrected since.

        Stripe copies a subscription's metadata onto a draft once. Where that led to no match, a person may have put
        it right meanwhile.
        """
        copied = invoice.subscription_metadata.get(ACCOUNT_METADATA_KEY, "")
        if invoice.subscription_id and (memory.verdict is Verdict.DRIFTED or memory.reason is Reason.UNMAPPED):
            named = self._named(invoice.subscription_id, otherwise=copied)
            memory = replace(memory, mapping=None if named == copied else named)
        if memory.mapping is None:
            return memory, invoice
        metadata = {**invoice.subscription_metadata, ACCOUNT_METADATA_KEY: memory.mapping}
        return memory, replace(invoice, subscription_metadata=metadata)

    def _named(self, subscription_id: str, *, otherwise: str) -> str:
        """The ledger account in the subscription's metadata; "" for none."""
        try:
            return self.stripe.read_subscription(subscription_id).metadata.get(ACCOUNT_METADATA_KEY, "")
        except RemoteRefused as error:
            _log.warning("subscription=%s its mapping cannot be read: %s", subscription_id, error)
            return otherwise

    def finding(self, invoice: Invoice, usages: tuple[BilledUsage, ...], memory: Memory) -> Finding:
        """The verdict, with its proof when it may go. A checkpoint freezes: in enforce mode, of what is alive."""
        figures = billed_figures(usages)
        finding = with_waiver(self.compared(invoice, usages, memory), memory, figures)
        enforced = self.policy.mode is Mode.ENFORCE and invoice.status not in GIVEN_UP
        if enforced and finding.verdict in (Verdict.MATCHED, Verdict.WAIVED):
            finding = with_waiver(self.proven(finding, memory), memory, figures)
        return _changed_at_finalization(invoice, finding, figures, memory)

    def compared(self, invoice: Invoice, usages: tuple[BilledUsage, ...], memory: Memory) -> Finding:
        """Both figures, window by window; nothing is written to either vendor."""
        if not usages:
            detail = "the metered lines that we held it for are gone"
            return Finding(verdict=Verdict.UNPROVEN, reason=Reason.UNKNOWN_SHAPE, detail=detail, windows=())
        observing = self.policy.mode is Mode.OBSERVE and invoice.auto_advance
        ours_to_finalize = memory.held or observing
        return self.comparer.compare(invoice, usages, finalized_by_us=ours_to_finalize, patient=_patient(memory))

    def proven(self, finding: Finding, memory: Memory) -> Finding:
        """With checkpoints and their cross-checked proof roots."""
        return self.comparer.prove(finding, patient=_patient(memory))


def _patient(memory: Memory) -> bool:
    return memory.failures < PATIENT_LOOKS


def _changed_at_finalization(invoice: Invoice, finding: Finding, figures: dict[str, str], memory: Memory) -> Finding:
    stamped = memory.stamped
    if stamped is None or invoice.status is InvoiceStatus.DRAFT or finding.verdict is not Verdict.DRIFTED:
        return finding
    if stamped.verdict is Verdict.DRIFTED or same_figures(stamped.figures, figures):
        unchanged = memory.reason is not Reason.CHANGED_AT_FINALIZATION
        return finding if unchanged else replace(finding, reason=Reason.CHANGED_AT_FINALIZATION)
    return replace(finding, reason=Reason.CHANGED_AT_FINALIZATION)
