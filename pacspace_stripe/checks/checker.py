"""Who may look at an invoice and when again: the lease, vendors that do not answer, and a look that only reads."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pacspace_stripe.checks.judging import PATIENT_LOOKS, RATE_LIMITED_LOOK, better, mapped
from pacspace_stripe.checks.parts import Looked, Parts
from pacspace_stripe.checks.passing import LookBack
from pacspace_stripe.checks.recalling import awaiting, first_reads, remembered, with_finding
from pacspace_stripe.checks.result import CheckResult, result_of
from pacspace_stripe.checks.story import Look
from pacspace_stripe.domain import decide, evidence, steps, timing
from pacspace_stripe.domain.billing import billed_figures, same_figures
from pacspace_stripe.domain.invoices import Invoice, InvoiceStatus
from pacspace_stripe.domain.memory import Memory, Waiver
from pacspace_stripe.domain.stamps import carried
from pacspace_stripe.domain.verdicts import UNANSWERED, Finding, Reason, Verdict, summarize
from pacspace_stripe.errors import LeaseBusy, RateLimited, RemoteError, UnexpectedAnswer
from pacspace_stripe.store import Claims, Kind, Leased
from pacspace_stripe.transport import Transport

SAYS_SO = "nothing: it says so already"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A look that only read."""

    invoice: Invoice
    """With the ledger account that was compared."""
    finding: Finding
    """Of both sides' figures as read now."""
    result: CheckResult
    """What a check would say: of one that carries its proof already, what that says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """Looks at invoices. ``now`` is the only clock; ``lease`` how long one look may take unrenewed."""

    parts: Parts
    transport: Transport
    lease: timedelta
    now: Callable[[], datetime]

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
        leased = self.parts.store.subjects.acquire(Kind.INVOICE, invoice_id, self.lease)
        if leased is None:
            message = f"{invoice_id} is being looked at by another process"
            raise LeaseBusy(message)
        looked = self._looked(leased, waiver, back)
        leased.give_back(looked.memory, looked.next_check_at)
        return result_of(looked.memory, status=looked.status, steps=looked.steps, next_check_at=looked.next_check_at)

    def _looked(self, leased: Leased, waiver: Waiver | None, back: LookBack | None) -> Looked:
        memory = leased.subject.memory
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
                leased.give_back(look.as_saved(), self.now() + RATE_LIMITED_LOOK)
                raise
            return self._ended_by(error, look, memory)

    def _ended_by(self, error: RemoteError, look: Look, memory: Memory) -> Looked:
        if isinstance(error, RateLimited):
            if memory.failures >= PATIENT_LOOKS:
                return self._unread(look, error)
            wait = max(RATE_LIMITED_LOOK, min(error.retry_after or RATE_LIMITED_LOOK, timedelta(minutes=1)))
            again = replace(look.as_saved(), failures=memory.failures + 1)
            return Looked(again, "unread", self.now() + wait, ("rate limited",))
        _log.warning("invoice=%s %s", memory.invoice_id, error)
        return self._unread(look, error)

    def _unread(self, look: Look, error: RemoteError) -> Looked:
        """Stripe did not answer, or said no: nothing was decided."""
        memory, alerts = look.as_saved(), self.parts.alerts
        detail = f"{error} {error.hint}".strip()
        reason = Reason.STRIPE_UNAVAILABLE if error.service == "Stripe" else Reason.LEDGER_UNAVAILABLE
        said = Finding(verdict=Verdict.UNPROVEN, reason=reason, detail=detail, windows=())
        known = (
            with_finding(memory, said, self.parts.policy, self.now())
            if memory.verdict in (None, Verdict.UNPROVEN)
            else replace(memory, detail=detail)
        )
        if not error.retryable:
            known = alerts.tell(look.leased, known, "stripe_refused", detail)
        elif isinstance(error, UnexpectedAnswer) or memory.failures >= PATIENT_LOOKS:
            known = alerts.tell(look.leased, known, "unanswered", detail)
        wait = timing.ladder(self.parts.policy, max(0, memory.failures - PATIENT_LOOKS))
        failed = replace(known, failures=memory.failures + 1)
        return Looked(failed, "unread", self.now() + wait, ("Stripe unavailable",))

    def keeping_claims_in(self, apart: Claims) -> "Checker":
        """For a dry run of many: two invoices that bill the same are found, as if they had been checked."""
        comparer = replace(self.parts.comparer, apart=apart)
        judge = replace(self.parts.judge, comparer=comparer)
        return replace(self, parts=replace(self.parts, comparer=comparer, judge=judge))

    def settled(self, invoice: Invoice) -> CheckResult | None:
        """What we know of an invoice that left with our stamp and these very figures: nothing is left to look at.

        None when there is something. A settlement record may grow, so its invoices are always looked at.
        """
        subject = self.parts.store.subjects.find(invoice.invoice_id)
        left = invoice.status in (InvoiceStatus.OPEN, InvoiceStatus.PAID)
        if subject is None or not left or not subject.memory.ended or not subject.memory.cleared:
            return None
        memory, usages = subject.memory, self.parts.comparer.usages(mapped(invoice, subject.memory.mapping))
        if any(usage.by_record for usage in usages) or not decide.carries_good_stamp(invoice, memory):
            return None
        same = memory.stamped is not None and same_figures(memory.stamped.figures, billed_figures(usages))
        return result_of(memory, status=invoice.status.value, steps=(SAYS_SO,)) if same else None

    def preview(self, invoice_id: str) -> CheckResult:
        """The verdict now and what a check would do: reads only, remembers nothing."""
        return self.preview_of(self.parts.stripe.read_invoice(invoice_id))

    def preview_of(self, read: Invoice, *, back: bool = False) -> CheckResult:
        """As ``preview``, of an invoice with all its lines, as just read. ``back``: what ``look_back`` would do."""
        return self.compared(read, back=back).result

    def compared(self, read: Invoice, *, back: bool = False) -> Compared:
        """As ``preview_of``, with all of the finding."""
        invoice_id = read.invoice_id
        subject = self.parts.store.subjects.find(invoice_id)
        memory = remembered(subject.memory if subject else Memory(invoice_id=invoice_id), read, self.now())
        usages = self.parts.comparer.usages(read)
        if not usages and not memory.held:
            result = result_of(replace(memory, detail="nothing metered"), status=read.status.value)
            return Compared(invoice=read, finding=summarize(()), result=result)
        # Nothing remembers what a preview reads: of a draft not looked at before, lines count from when it was made.
        memory = replace(memory, reads=memory.reads or first_reads(usages, read.created_at))
        invoice = mapped(read, memory.mapping)
        finding = self._previewed(memory, invoice)
        for mapping in self.parts.judge.other_mappings(read, memory, finding):
            other = self._previewed(memory, mapped(read, mapping))
            if better(other, finding):
                invoice, finding = mapped(read, mapping), other
        if back:
            memory = replace(memory, past=True)
        there = self._says_so(read, memory, finding)
        found = with_finding(memory, there or finding, self.parts.policy, self.now())
        planned = () if there else self._planned(read, memory, finding)
        again = next((step.until for step in planned[::-1] if isinstance(step, steps.Wait)), None)
        said = awaiting(found, again) if again else found
        told = (SAYS_SO,) if there else tuple(str(step) for step in planned)
        result = result_of(said, status=read.status.value, steps=told)
        return Compared(invoice=invoice, finding=finding, result=result)

    def _says_so(self, invoice: Invoice, memory: Memory, finding: Finding) -> Finding | None:
        """What stands on an invoice that has left, when a look would find the same and write nothing."""
        if invoice.status not in (InvoiceStatus.OPEN, InvoiceStatus.PAID) or memory.held:
            return None
        if memory.evidence_sha256 is None:
            there = carried(invoice.metadata, finding)
            return there[0] if there else None
        news = evidence.meaning(evidence.core(invoice, finding, self.parts.policy, memory.waiver))
        told = evidence.digest(news) == memory.evidence_core
        return finding if told and invoice.metadata.get(decide.EVIDENCE_KEY) == memory.evidence_sha256 else None

    def _previewed(self, memory: Memory, invoice: Invoice) -> Finding:
        usages = self.parts.comparer.usages(invoice)
        self.parts.comparer.remember_apart(invoice, usages)
        ours = memory.held or (invoice.auto_advance and decide.fails_closed(memory, self.parts.policy))
        finding = self.parts.comparer.knowing(memory.reads).compare(invoice, usages, finalized_by_us=ours)
        return decide.with_waiver(finding, memory)

    def _planned(self, invoice: Invoice, memory: Memory, finding: Finding) -> tuple[steps.Step | steps.Action, ...]:
        now = self.now()
        if memory.cleared:
            return (steps.End(detail="it was let go with these lines"),)
        step = decide.before_comparison(invoice, memory, self.parts.policy, now)
        if isinstance(step, steps.End | steps.WatchRelease):
            return (step,)
        first = () if isinstance(step, steps.Compare) else (step,)
        held = replace(memory, held=True) if isinstance(step, steps.Hold) else memory
        return *first, *decide.after_comparison(invoice, held, self.parts.policy, now, finding)
