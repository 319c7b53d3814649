"""Who may look at an invoice and when again: the lease, vendors that do not answer, and a look that only reads."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pacspace_stripe.checks.judging import PATIENT_LOOKS, RATE_LIMITED_LOOK, better, mapped
from pacspace_stripe.checks.parts import Looked, Parts
from pacspace_stripe.checks.recalling import remembered, with_finding
from pacspace_stripe.checks.result import CheckResult, result_of
from pacspace_stripe.checks.story import Look
from pacspace_stripe.domain import decide, steps
from pacspace_stripe.domain.invoices import Invoice
from pacspace_stripe.domain.memory import Memory, Waiver
from pacspace_stripe.domain.verdicts import Finding, Reason, Verdict
from pacspace_stripe.errors import LeaseBusy, RateLimited, RemoteError, UnexpectedAnswer
from pacspace_stripe.store import Kind, Leased
from pacspace_stripe.transport import Transport

_log = logging.getLogger(__name__)


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
        leased = self.parts.store.subjects.acquire(Kind.INVOICE, invoice_id, self.lease)
        if leased is None:
            message = f"{invoice_id} is being looked at by another process"
            raise LeaseBusy(message)
        looked = self._looked(leased, waiver)
        leased.give_back(looked.memory, looked.next_check_at)
        return result_of(looked.memory, status=looked.status, steps=looked.steps, next_check_at=looked.next_check_at)

    def _looked(self, leased: Leased, waiver: Waiver | None) -> Looked:
        memory = leased.subject.memory
        look = Look(parts=self.parts, leased=leased, memory=memory, now=self.now(), waiver=waiver)
        try:
            with self.transport.guarded(leased.guard, reading=leased.keep):
                looked = look.run()
            unanswered = looked.memory.reason in (Reason.LEDGER_UNAVAILABLE, Reason.STRIPE_UNAVAILABLE)
            return looked if unanswered else replace(looked, memory=replace(looked.memory, failures=0))
        except RateLimited as error:
            if memory.failures >= PATIENT_LOOKS:
                return self._unread(look.as_saved(), error)
            wait = max(RATE_LIMITED_LOOK, min(error.retry_after or RATE_LIMITED_LOOK, timedelta(minutes=1)))
            again = replace(look.as_saved(), failures=memory.failures + 1)
            return Looked(again, "unread", self.now() + wait, ("rate limited",))
        except RemoteError as error:
            _log.warning("invoice=%s %s", memory.invoice_id, error)
            return self._unread(look.as_saved(), error)

    def _unread(self, memory: Memory, error: RemoteError) -> Looked:
        """Stripe did not answer, or said no: nothing was decided."""
        detail = f"{error} {error.hint}".strip()
        reason = Reason.STRIPE_UNAVAILABLE if error.service == "Stripe" else Reason.LEDGER_UNAVAILABLE
        said = Finding(verdict=Verdict.UNPROVEN, reason=reason, detail=detail, windows=())
        known = (
            with_finding(memory, said, self.parts.policy, self.now())
            if memory.verdict in (None, Verdict.UNPROVEN)
            else replace(memory, detail=detail)
        )
        if not error.retryable:
            known = self.parts.alerts.tell(known, "stripe_refused", detail)
        elif isinstance(error, UnexpectedAnswer) or memory.failures >= PATIENT_LOOKS:
            known = self.parts.alerts.tell(known, "unanswered", detail)
        wait = decide.ladder(self.parts.policy, max(0, memory.failures - PATIENT_LOOKS))
        failed = replace(known, failures=memory.failures + 1)
        return Looked(failed, "unread", self.now() + wait, ("Stripe unavailable",))

    def preview(self, invoice_id: str) -> CheckResult:
        """The verdict now and what a check would do: reads only, remembers nothing."""
        read = self.parts.stripe.read_invoice(invoice_id)
        subject = self.parts.store.subjects.find(invoice_id)
        memory = remembered(subject.memory if subject else Memory(invoice_id=invoice_id), read, self.now())
        if not self.parts.comparer.usages(read) and not memory.held:
            return result_of(replace(memory, detail="nothing metered"), status=read.status.value)
        finding = self._previewed(memory, mapped(read, memory.mapping))
        for mapping in self.parts.judge.other_mappings(read, memory, finding):
            other = self._previewed(memory, mapped(read, mapping))
            if better(other, finding):
                finding = other
        steps = self._planned(read, memory, finding)
        return result_of(
            with_finding(memory, finding, self.parts.policy, self.now()), status=read.status.value, steps=steps
        )

    def _previewed(self, memory: Memory, invoice: Invoice) -> Finding:
        usages = self.parts.comparer.usages(invoice)
        ours = memory.held or (invoice.auto_advance and decide.fails_closed(memory, self.parts.policy))
        finding = self.parts.comparer.compare(invoice, usages, finalized_by_us=ours)
        return decide.with_waiver(finding, memory)

    def _planned(self, invoice: Invoice, memory: Memory, finding: Finding) -> tuple[str, ...]:
        now = self.now()
        if memory.cleared:
            return ("nothing: it was let go with these lines",)
        step = decide.before_comparison(invoice, memory, self.parts.policy, now)
        if isinstance(step, steps.End | steps.WatchRelease):
            return (str(step),)
        first = () if isinstance(step, steps.Compare) else (str(step),)
        held = replace(memory, held=True) if isinstance(step, steps.Hold) else memory
        later = decide.after_comparison(invoice, held, self.parts.policy, now, finding)
        return (*first, *(str(action) for action in later))
