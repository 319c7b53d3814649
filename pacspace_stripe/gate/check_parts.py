"""One pass through the story: what it knows so far, how it stops an invoice and gives it back, and how it ends."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pacspace_stripe.comparison.finding import mapped
from pacspace_stripe.comparison.rules.verdicts import UNANSWERED, Finding, Verdict
from pacspace_stripe.errors import RenderError
from pacspace_stripe.gate.early_warning import is_of_period
from pacspace_stripe.gate.rules import actions as steps
from pacspace_stripe.gate.rules import decide, timing
from pacspace_stripe.gate.rules.actions import WriteStamp
from pacspace_stripe.gate.rules.carried_stamp import changed_stamp, footer_is_lost, on_it, stamp_stays
from pacspace_stripe.gate.rules.stamp import carried
from pacspace_stripe.gate.rules.state import Cleared, Ended, HoldCause, InvoiceState, Waiver
from pacspace_stripe.gate.rules.transitions import (
    as_past,
    first_reads,
    forgotten,
    let_go,
    remembered,
    undone,
    with_finding,
)
from pacspace_stripe.gate.rules.would_hold import weighed
from pacspace_stripe.gate.services import Looked, Services
from pacspace_stripe.gate.stripe_writes import StripeWrites
from pacspace_stripe.store import JobLease
from pacspace_stripe.usage.rules import BilledUsage, covered_parts, may_bill_usage
from pacspace_stripe.vocabulary.invoices import CollectionMethod, Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.policy import Mode
from pacspace_stripe.vocabulary.webhooks import INVOICE_SENT_ARRIVES, EventType

MAIL_UNKNOWN = "and whether Stripe mailed it is not known: select invoice.sent for the webhook endpoint"
MOST_PUT_BACK = 5
"""Number of times in a row that a stamp is put back after somebody else changed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookBack:
    """A look that a backfill asks for: what has left is reported and stamped, and not held.

    ``patient``: what usually heals by itself is not written down yet; the look ends with the status ``UNSETTLED``.
    """

    patient: bool


@dataclass(slots=True, kw_only=True)
class Pass:
    """What one pass knows so far. Lives as long as its lease."""

    parts: Services
    leased: JobLease
    memory: InvoiceState
    now: datetime
    waiver: Waiver | None
    back: LookBack | None = None
    steps: tuple[str, ...] = ()
    cause: HoldCause = HoldCause.METERED
    ahead: timedelta | None = None
    """By how much ``now`` is ahead of real time: it is a test clock's, where the invoice belongs to one."""
    read: Invoice | None = None
    """The invoice as Stripe has it; in what the steps pass on, a corrected ledger account has its place."""

    @property
    def real_now(self) -> datetime:
        """Real time, which a ledger's records and the reads of a meter live by whatever a test clock says."""
        return self.now - (self.ahead or timedelta(0))

    def as_saved(self) -> InvoiceState:
        """What was last written down, before a write that failed: its intent, not its wish."""
        return replace(self.leased.saved, alerted=self.memory.alerted, left_out=self.memory.left_out)

    def _recall(self, read: Invoice) -> Invoice:
        """Bring what we remember up to the invoice as read, and return it with the ledger account in force."""
        new = self.memory.first is None
        self.memory = let_go(remembered(self.memory, read, self.now), read, self.parts.policy.finalize)
        if self.back and new and not self.memory.held and timing.left_long_ago(read, self.now):
            self.memory = as_past(self.memory)
        self.read = read
        return mapped(read, self.memory.mapping)

    def _claim(self, invoice: Invoice, usages: tuple[BilledUsage, ...], *, seen_at: datetime) -> None:
        """Say which usage it bills, and keep what its lines say at first sight."""
        if not self.memory.reads and invoice.status is InvoiceStatus.DRAFT:
            self.memory = replace(self.memory, reads=first_reads(usages, seen_at))
        self.parts.store.coverage.put(self.memory.invoice_id, covered_parts(invoice, usages))

    def _best(
        self, invoice: Invoice, usages: tuple[BilledUsage, ...], memory: InvoiceState
    ) -> tuple[Finding, InvoiceState]:
        return self.parts.findings.best(self.read or invoice, invoice, usages, memory)

    def _take_over_block(self, invoice: Invoice) -> None:
        """The early warning found drift: the draft of that period carries the block from here on."""
        subscription = self.memory.subscription_id
        if subscription is None or self.memory.blocked or self.memory.evidence_sha256:
            return
        block = self.parts.store.jobs.block_on(subscription)
        if block is not None and is_of_period(invoice, block.job_id):
            told = (*self.memory.alerted, *block.memory.alerted)
            self.memory = replace(self.memory, early_warning_id=block.job_id, alerted=told)
            self.leased.save(self.memory)
            self.parts.store.jobs.end_block(block.job_id)
            self._did("blocked by the early warning")

    @property
    def _actor(self) -> StripeWrites:
        parts = self.parts
        return StripeWrites(
            stripe=parts.stripe, store=parts.store, rendering=parts.rendering, leased=self.leased, now=self.now
        )

    def _hold(self, invoice: Invoice, *, again: bool) -> Invoice:
        if again:
            self._alert("hold_undone", "somebody set auto_advance=true under our hold: held again")
            self.memory = forgotten(self.memory, "hold_undone")
        if again or invoice.status is InvoiceStatus.OPEN:
            self.memory = undone(self.memory, invoice, self.now)
        self.memory, held = self._actor.hold(invoice, self.memory, self.cause)
        self._did(str(steps.Hold()))
        return held

    def _put_back(self, invoice: Invoice) -> Invoice:
        """Notice what somebody changed of our stamp, tell it and write it again; return the invoice as it is then.

        A footer that is frozen is only told; where we hold the invoice, ``domain.stops`` keeps it and says so.
        """
        changed = changed_stamp(invoice, self.memory)
        if changed is None:
            self.memory = replace(self.memory, put_back=0)
            return invoice
        if changed.footer and invoice.status is not InvoiceStatus.DRAFT and not footer_is_lost(invoice, self.memory):
            self._alert("footer_changed", "somebody changed our block in its footer, and it is frozen now")
        if not changed.metadata and invoice.status is not InvoiceStatus.DRAFT:
            return invoice
        if self.parts.policy.mode is Mode.OBSERVE:
            self._alert("stamp_changed", f"somebody changed our stamp, and observing puts nothing back: {changed}")
            return invoice
        if self.memory.put_back >= MOST_PUT_BACK:
            self._alert("stamp_contested", f"somebody changes our stamp again and again: {changed}")
            return invoice
        self._alert("stamp_changed", f"somebody changed our stamp, put back: {changed}")
        self.memory, invoice = self._actor.put_back(invoice, forgotten(self.memory, "stamp_changed"), changed)
        self._did("put back the stamp")
        return invoice

    def _left_to_people(self, invoice: Invoice) -> Looked:
        """Write nothing more where another tool changes our stamp each time: two tools would go on for ever."""
        if invoice.status is InvoiceStatus.DRAFT:
            return self._until(invoice.status.value, self.now + timing.FOREIGN_HOLD_LOOK)
        return self._end(invoice.status.value, self.memory.detail)

    def _tell_footer(self, action: WriteStamp) -> None:
        """Tell when a stamp had to do without its footer, and show it; what could not be rendered could be now."""
        if not action.footer:
            return
        self.memory = forgotten(self.memory, "footer_not_rendered")
        missing = self.memory.stamp.without_footer if self.memory.stamp else ""
        if missing:
            detail = f"stamped without a footer: {missing}"
            self._alert("footer_too_long", detail)
            self.memory = replace(self.memory, detail="; ".join(filter(None, [self.memory.detail, detail])))

    def _unrendered(self, invoice: Invoice, error: RenderError) -> Looked:
        """Hold an invoice whose footer cannot be rendered: it never leaves without it, and goes on when it can be."""
        if invoice.auto_advance and not self.memory.held:
            self._hold(invoice, again=False)
        detail = f"its footer cannot be rendered: {error.with_hint}"
        self._alert("footer_not_rendered", detail)
        self.memory = replace(self.memory, detail=detail)
        return self._until(invoice.status.value, self.now + timing.ladder(self.parts.policy, self.memory.attempts))

    def _stop_unread(self, invoice: Invoice) -> None:
        """Held, or given its backstop, as any other is at first sight or when somebody undid our hold."""
        if not may_bill_usage(invoice):
            return
        metered = self.memory.stopped_for is HoldCause.METERED
        self.cause = HoldCause.METERED if metered else HoldCause.PRECAUTION
        match decide.before_comparison(invoice, self.memory, self.parts.policy, self.now):
            case steps.Hold(again=again):
                self._hold(invoice, again=again)
                self._alert("held_unread", "its prices or meters could not be read: held until they can be")
            case steps.SetBackstop(at=at) as step:
                self.memory = self._actor.backstop(invoice, self.memory, at, self.cause)
                self._did(str(step))
            case _:
                pass

    def _seal(self, invoice: Invoice, finding: Finding) -> None:
        """What was found is remembered, and what it means for going out; then it is evidence."""
        policy = self.parts.policy
        known = weighed(invoice, self.memory, policy, self.now, finding)
        self.memory = self._actor.seal(invoice, with_finding(known, finding, policy, self.real_now), finding, policy)
        if stamp_stays(invoice, self.memory, finding):
            self.memory = replace(self.memory, detail=f"its stamp stays ({on_it(invoice)}): {finding.detail}")

    def _proven_already(self, invoice: Invoice, finding: Finding) -> Finding | None:
        """Keep a stamp that proves this finding already: its hash is in the customer's PDF. None when it does not.

        A waiver that is only read off the invoice releases nothing.
        """
        memory, policy = self.memory, self.parts.policy
        there = carried(invoice.metadata, finding) if policy.mode is Mode.ENFORCE else None
        if there is None or (memory.held and there[0].verdict is not Verdict.MATCHED):
            return None
        known = with_finding(memory, there[0], policy, self.real_now)
        self.memory = self._actor.adopt(invoice, known, *there, policy)
        self._did("carries this proof already")
        return there[0]

    def _established(self, invoice: Invoice, finding: Finding) -> Looked | None:
        """Keep the verdict that an earlier check established, when this one only found silence; else None.

        That is what an invoice left with, and a drift as long as it keeps the invoice.
        """
        memory = self.memory
        if finding.verdict is not Verdict.UNPROVEN or not finding.is_transient:
            return None
        left = invoice.status in (InvoiceStatus.OPEN, InvoiceStatus.PAID) and not memory.held
        proven = (
            left
            and memory.cleared
            and memory.verdict
            and memory.verdict.may_leave
            and stamp_stays(invoice, memory, finding)
        )
        drifted = memory.verdict is Verdict.DRIFTED and finding.reason in UNANSWERED and (memory.ended or not left)
        if not proven and not drifted:
            return None
        verdict = memory.verdict.value if memory.verdict else ""
        self.memory = replace(memory, detail=f"{verdict} before, and nothing new is known: {finding.detail}")
        if left:
            return self._end(invoice.status.value, self.memory.detail)
        return self._until(invoice.status.value, self.now + timing.ladder(self.parts.policy, memory.attempts))

    def _mailed(self, invoice: Invoice) -> bool | None:
        """Return whether Stripe mailed it; None when no event would have said so."""
        journal = self.parts.store.journal
        if invoice.collection_method is CollectionMethod.CHARGE_AUTOMATICALLY:
            return False
        if journal.heard(invoice.invoice_id, EventType.INVOICE_SENT.value) is not None:
            return True
        return False if journal.fact(INVOICE_SENT_ARRIVES) else None

    def _alert(self, kind: str, detail: str) -> None:
        before = self.memory.alerted
        self.memory = self.parts.alerts.tell(self.leased, self.memory, kind, detail)
        if self.memory.alerted != before:
            self._did(str(steps.RaiseAlert(kind=kind)))

    def _did(self, step: str) -> None:
        self.steps = (*self.steps, step)
        self.parts.log.info("invoice=%s step=%r verdict=%s", self.memory.invoice_id, step, self.memory.verdict)

    def _until(self, status: str, until: datetime) -> Looked:
        at = until if self.ahead is None else timing.by_real_time(until - self.now, self.real_now)
        return Looked(self.memory, status, at, self.steps)

    def _end(self, status: str, detail: str, *, cleared: bool | None = None) -> Looked:
        clear = self.memory.cleared if cleared is None else cleared
        self.memory = replace(self.memory, position=Cleared() if clear else Ended(), detail=detail)
        return Looked(self.memory, status, None, self.steps)
