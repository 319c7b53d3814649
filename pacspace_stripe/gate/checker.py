"""Who may look at an invoice and when again: the lease, vendors that do not answer, and a look that only reads."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pacspace_stripe.comparison.comparer import error_reason
from pacspace_stripe.comparison.finding import MOST_RATE_LIMITED_CHECKS, RATE_LIMIT_RETRY, mapped
from pacspace_stripe.comparison.rules.verdicts import UNANSWERED, Finding, Verdict
from pacspace_stripe.errors import LeaseBusy, RateLimited, RemoteError, UnexpectedAnswer
from pacspace_stripe.gate.check_parts import LookBack
from pacspace_stripe.gate.rules import timing
from pacspace_stripe.gate.rules.carried_stamp import carries_good_stamp, changed_stamp
from pacspace_stripe.gate.rules.result import CheckResult, result_of
from pacspace_stripe.gate.rules.state import InvoiceState, Waiver
from pacspace_stripe.gate.rules.transitions import with_finding
from pacspace_stripe.gate.services import Looked, Services
from pacspace_stripe.gate.story import Look
from pacspace_stripe.http.client import Transport
from pacspace_stripe.store import Coverage, JobKind, JobLease
from pacspace_stripe.usage.rules import billed_figures, same_figures
from pacspace_stripe.vocabulary.invoices import Invoice, InvoiceStatus

SAYS_SO = "nothing: it says so already"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Both sides of an invoice, compared now."""

    invoice: Invoice
    """With the ledger account that was compared."""
    finding: Finding
    result: CheckResult
    """The finding in the shape of a check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """Looks at invoices. ``now`` is the only clock; ``lease`` how long one look may take unrenewed."""

    parts: Services
    transport: Transport
    lease: timedelta
    now: Callable[[], datetime]
    beside: Coverage | None = None
    """Coverage that a dry run over many invoices records."""

    def check(self, invoice_id: str, *, waiver: Waiver | None = None) -> CheckResult:
        """One step towards the right end state. Raises LeaseBusy, StoreUnavailable; nothing else is lost.

        ``waiver``: a person's decision, kept with the invoice; its figures are filled in from what is billed now.
        """
        return self._check(invoice_id, waiver, None)

    def look_back(self, invoice_id: str, *, patient: bool) -> CheckResult:
        """As ``check``, for a backfill: what has left is reported and stamped, and not held.

        Raises RateLimited: nothing was decided. ``patient``: what usually heals by itself is not written down yet;
        the result's status is then ``UNSETTLED``, and any RemoteError is raised.
        """
        return self._check(invoice_id, None, LookBack(patient=patient))

    def _check(self, invoice_id: str, waiver: Waiver | None, back: LookBack | None) -> CheckResult:
        leased = self.parts.store.jobs.acquire(JobKind.INVOICE, invoice_id, self.lease)
        if leased is None:
            message = f"{invoice_id} is being looked at by another process"
            raise LeaseBusy(message)
        looked = self._looked(leased, waiver, back)
        leased.give_back(looked.memory, looked.next_check_at)
        return result_of(looked.memory, status=looked.status, steps=looked.steps, next_check_at=looked.next_check_at)

    def _looked(self, leased: JobLease, waiver: Waiver | None, back: LookBack | None) -> Looked:
        memory = leased.job.memory
        # A backfill has all the time there is: to it, a 429 never counts as no answer.
        begun = replace(memory, failures=0) if back else memory
        look = Look(parts=self.parts, leased=leased, memory=begun, now=self.now(), waiver=waiver, back=back)
        try:
            with self.transport.guarded(leased.guard, reading=leased.keep):
                looked = look.run()
                looked = replace(looked, memory=self.parts.alerts.recovered(leased, looked.memory))
            unanswered = looked.memory.reason in UNANSWERED
            return looked if unanswered else replace(looked, memory=replace(looked.memory, failures=0))
        except RemoteError as error:
            if back and (back.patient or isinstance(error, RateLimited)):
                leased.give_back(look.as_saved(), self.now() + RATE_LIMIT_RETRY)
                raise
            return self._ended_by(error, look, memory)

    def _ended_by(self, error: RemoteError, look: Look, memory: InvoiceState) -> Looked:
        if isinstance(error, RateLimited):
            if memory.failures >= MOST_RATE_LIMITED_CHECKS:
                return self._unread(look, error)
            wait = max(RATE_LIMIT_RETRY, min(error.retry_after or RATE_LIMIT_RETRY, timedelta(minutes=1)))
            again = replace(look.as_saved(), failures=memory.failures + 1)
            return Looked(again, "unread", self.now() + wait, ("rate limited",))
        _log.warning("invoice=%s %s", memory.invoice_id, error)
        return self._unread(look, error)

    def _unread(self, look: Look, error: RemoteError) -> Looked:
        """Remember that a vendor did not answer, or said no: nothing was decided."""
        memory, alerts = look.as_saved(), self.parts.alerts
        reason, detail = error_reason(error)
        said = Finding(verdict=Verdict.UNPROVEN, reason=reason, detail=detail, windows=())
        known = (
            with_finding(memory, said, self.parts.policy, self.now())
            if memory.verdict in (None, Verdict.UNPROVEN)
            else replace(memory, detail=detail)
        )
        if not error.retryable:
            known = alerts.tell(look.leased, known, "stripe_refused", detail)
        elif isinstance(error, UnexpectedAnswer) or memory.failures >= MOST_RATE_LIMITED_CHECKS:
            known = alerts.tell(look.leased, known, "unanswered", detail)
        wait = timing.ladder(self.parts.policy, max(0, memory.failures - MOST_RATE_LIMITED_CHECKS))
        failed = replace(known, failures=memory.failures + 1)
        return Looked(failed, "unread", self.now() + wait, (f"{error.service} unavailable",))

    def keeping_claims_in(self, beside: Coverage) -> "Checker":
        """Return a checker for a dry run over many, which finds two invoices that bill the same as real checks do."""
        return replace(self, beside=beside)

    def settled(self, invoice: Invoice) -> CheckResult | None:
        """What we know of an invoice that left with our stamp and these very figures: nothing is left to look at.

        None when there is something. A settlement record may grow, so its invoices are always looked at.
        """
        job = self.parts.store.jobs.find(invoice.invoice_id)
        left = invoice.status in (InvoiceStatus.OPEN, InvoiceStatus.PAID)
        if job is None or not left or not job.memory.ended or not job.memory.cleared:
            return None
        memory, usages = job.memory, self.parts.comparer.usages(mapped(invoice, job.memory.mapping))
        if any(usage.by_record for usage in usages) or not carries_good_stamp(invoice, memory):
            return None
        changed = changed_stamp(invoice, memory)
        if changed is not None and changed.metadata:
            return None
        same = memory.stamp is not None and same_figures(memory.stamp.figures, billed_figures(usages))
        return result_of(memory, status=invoice.status.value, steps=(SAYS_SO,)) if same else None

    def preview(self, invoice_id: str) -> CheckResult:
        """Return what ``check`` would find and do now; change nothing, need no lease. Raises NotFound."""
        return self.preview_of(self.parts.stripe.read_invoice(invoice_id))

    def preview_of(self, read: Invoice, *, waiver: Waiver | None = None) -> CheckResult:
        """Return what ``check`` would find and do with an invoice, as just read with all its lines.

        ``status`` is the one read: nothing of what would be done has happened.
        """
        return replace(self._recording(read).check(read.invoice_id, waiver=waiver), status=read.status.value)

    def preview_back(self, read: Invoice, *, patient: bool) -> CheckResult:
        """Return what ``look_back`` would; raise what it raises."""
        return self._recording(read).look_back(read.invoice_id, patient=patient)

    def compared(self, read: Invoice) -> Compared:
        """Compare both sides of an invoice now, also one that a check would not compare yet; change nothing."""
        parts = self._recording(read).parts
        leased = parts.store.jobs.acquire(JobKind.INVOICE, read.invoice_id, self.lease)
        if leased is None:
            message = "a recording store gives every lease"
            raise AssertionError(message)
        look = Look(parts=parts, leased=leased, memory=leased.saved, now=self.now(), waiver=None)
        with self.transport.guarded(leased.guard, reading=leased.keep):
            invoice, finding = look.compared()
        result = result_of(look.memory, status=read.status.value)
        return Compared(invoice=invoice, finding=finding, result=result)

    def _recording(self, read: Invoice | None) -> "Checker":
        return replace(self, parts=self.parts.recording(self.now, read=read, beside=self.beside))
