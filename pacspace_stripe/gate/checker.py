"""The ways to check an invoice: a check that acts, a check for a backfill, and a preview that only reads."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pacspace_stripe.comparison.finding import mapped
from pacspace_stripe.comparison.rules.verdicts import Finding
from pacspace_stripe.gate.case import BackfillRequest, CheckContext, Services
from pacspace_stripe.gate.check import Check, check_invoice
from pacspace_stripe.gate.rules.result import CheckResult, result_of
from pacspace_stripe.gate.rules.stamp import carries_good_stamp, changed_stamp
from pacspace_stripe.gate.rules.state import Waiver
from pacspace_stripe.http.client import Transport
from pacspace_stripe.store import Coverage, JobKind
from pacspace_stripe.usage.rules import billed_figures, same_figures
from pacspace_stripe.vocabulary.invoices import Invoice, InvoiceStatus

_STAMPED_ALREADY = "nothing: it says so already"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Both sides of an invoice, compared now."""

    invoice: Invoice
    """The invoice with the ledger account that was compared."""
    finding: Finding
    result: CheckResult
    """The finding in the shape of a check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """The gate as the worker, the backfill and the commands call it.

    ``now`` is the only clock; ``lease`` is the time that one check may take without renewing its lease.
    """

    services: Services
    transport: Transport
    lease: timedelta
    now: Callable[[], datetime]
    beside: Coverage | None = None
    """Coverage that a dry run over many invoices records."""

    def check(
        self, invoice_id: str, *, waiver: Waiver | None = None, backfill: BackfillRequest | None = None
    ) -> CheckResult:
        """Take one step towards the invoice's right end state. Raises LeaseBusy and StoreUnavailable.

        ``waiver`` is a person's decision, kept with the invoice; its figures are filled in from what is billed now.
        For a backfill, the check also raises RateLimited, and any RemoteError when it is patient: nothing was decided.
        """
        outcome = check_invoice(
            self.services,
            self.transport,
            invoice_id,
            lease=self.lease,
            now=self.now,
            waiver=waiver,
            backfill=backfill,
        )
        again_at = outcome.next_check_at
        return result_of(outcome.state, status=outcome.status, steps=outcome.steps, next_check_at=again_at)

    def with_coverage_in(self, beside: Coverage) -> "Checker":
        """Return a checker for a dry run, which finds two invoices that bill the same usage as real checks do."""
        return replace(self, beside=beside)

    def settled(self, invoice: Invoice) -> CheckResult | None:
        """Return the last result of an invoice that left with our stamp and these very figures; else None.

        Nothing is left to check on such an invoice. A settlement record may grow, so its invoices are always checked.
        """
        job = self.services.store.jobs.find(invoice.invoice_id)
        left = invoice.status in (InvoiceStatus.OPEN, InvoiceStatus.PAID)
        if job is None or not left or not job.state.ended or not job.state.cleared:
            return None
        state, usages = job.state, self.services.comparer.usages(mapped(invoice, job.state.mapping))
        if any(usage.by_record for usage in usages) or not carries_good_stamp(invoice, state):
            return None
        changed = changed_stamp(invoice, state)
        if changed is not None and changed.metadata:
            return None
        same = state.stamp is not None and same_figures(state.stamp.figures, billed_figures(usages))
        return result_of(state, status=invoice.status.value, steps=(_STAMPED_ALREADY,)) if same else None

    def preview(self, invoice_id: str) -> CheckResult:
        """Return what ``check`` would find and do now; change nothing, need no lease. Raises NotFound."""
        return self.preview_of(self.services.stripe.read_invoice(invoice_id))

    def preview_of(
        self, read: Invoice, *, waiver: Waiver | None = None, backfill: BackfillRequest | None = None
    ) -> CheckResult:
        """Return what ``check`` would find and do with an invoice, as just read with all its lines.

        ``status`` is the one that was read: nothing of what would be done has happened. A backfill's preview has the
        status of its check, and raises what that raises.
        """
        previewed = self._recording(read).check(read.invoice_id, waiver=waiver, backfill=backfill)
        return previewed if backfill else replace(previewed, status=read.status.value)

    def compared(self, read: Invoice) -> Compared:
        """Compare both sides of an invoice now, even one that a check would not compare yet; change nothing."""
        services = self._recording(read).services
        leased = services.store.jobs.acquire(JobKind.INVOICE, read.invoice_id, self.lease)
        if leased is None:
            message = "a recording store gives every lease"
            raise AssertionError(message)
        check = Check(context=CheckContext(services=services, leased=leased, started_at=self.now()))
        with self.transport.guarded(leased.guard, reading=leased.keep):
            invoice, finding, state = check.compared()
        return Compared(invoice=invoice, finding=finding, result=result_of(state, status=read.status.value))

    def _recording(self, read: Invoice) -> "Checker":
        return replace(self, services=self.services.recording(self.now, read=read, beside=self.beside))
