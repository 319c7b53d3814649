"""check(invoice), top to bottom.

1. take the lease                      one process at a time acts on an invoice
2. read the invoice, all its lines     fresh, at the pinned API version; nothing decided earlier is replayed
3. nothing metered?                    not ours: no hold, no write
4. before the comparison               hold or backstop at first sight, wait until usage has settled
5. compare, prove                      both figures per window; checkpoint and cross-check only what matched
6. evidence                            one link of the subscription's chain, when there is anything new to say
7. act                                 stamp, finalize, read again, release; or hold, alert, then say what it comes from
8. give the lease back                 with the time of the next look
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from pacspace_stripe.comparison.finding import RATE_LIMIT_RETRY, mapped
from pacspace_stripe.comparison.rules.verdicts import NOTHING_METERED, TRANSIENT, Finding, Reason, Verdict, summarize
from pacspace_stripe.errors import NotEditable, NotFound, RemoteError, RenderError
from pacspace_stripe.explain.meter_account import BillingScope
from pacspace_stripe.gate.check_parts import MAIL_UNKNOWN, MOST_PUT_BACK
from pacspace_stripe.gate.release_guard import ReleaseGuard
from pacspace_stripe.gate.rules import actions as steps
from pacspace_stripe.gate.rules import decide, timing
from pacspace_stripe.gate.rules.carried_stamp import carries_stamp
from pacspace_stripe.gate.rules.state import Held, HoldCause, Released
from pacspace_stripe.gate.rules.stops import stops
from pacspace_stripe.gate.rules.transitions import as_read, awaiting, stopped_for, with_finding
from pacspace_stripe.gate.services import Looked
from pacspace_stripe.usage.rules import BilledUsage, billed_figures, figures_of, same_figures
from pacspace_stripe.vocabulary.invoices import GIVEN_UP, Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.windows import iso_to_next_second

UNSETTLED = "unsettled"
READ_AGAIN = 3
"""How often one check starts over when Stripe says that the invoice changed under it."""


@dataclass(slots=True, kw_only=True)
class Look(ReleaseGuard):
    """One pass, told from the top: what is read, what is found, what is done about it."""

    def run(self) -> Looked:
        for _ in range(READ_AGAIN):
            try:
                return self._once()
            except NotEditable:
                self.memory = self.as_saved()
                self._did("changed under us: read again")
        self.memory = replace(self.memory, attempts=self.memory.attempts + 1)
        return self._until("unread", self.now + timing.ladder(self.parts.policy, self.memory.attempts))

    def _once(self) -> Looked:
        try:
            invoice = self._read_invoice()
        except NotFound:
            return self._gone()
        invoice = self._put_back(self._recall(invoice))
        if self.memory.put_back >= MOST_PUT_BACK and not self.memory.held:
            return self._left_to_people(invoice)
        self._take_over_block(invoice)
        usages = self._usages(invoice)
        if not usages and (self.cause is HoldCause.PRECAUTION or not self.memory.held):
            stays = self._give_back(invoice)
            return stays or self._end(invoice.status.value, NOTHING_METERED)
        self._claim(invoice, usages, seen_at=self.real_now)
        if self.memory.held and invoice.status is InvoiceStatus.OPEN and self._mailed(invoice):
            self._alert("sent_under_hold", "somebody had Stripe mail it under our hold: the customer has it")
        if invoice.finalization_error:
            self._alert(f"finalization_failed:{invoice.finalization_error}", "Stripe could not finalize this invoice")
        self._waive(invoice, usages)
        return self._before(invoice, usages)

    def compared(self) -> tuple[Invoice, Finding]:
        """Compare both sides now, at any moment: what nobody remembers of a draft's lines counts since it was made."""
        invoice = self._recall(self.parts.stripe.read_invoice(self.memory.invoice_id))
        usages = self.parts.comparer.usages(invoice)
        if not usages and not self.memory.held:
            self.memory = replace(self.memory, detail=NOTHING_METERED)
            return invoice, summarize(())
        self._claim(invoice, usages, seen_at=invoice.created_at)
        would_hold = invoice.auto_advance and decide.fails_closed(self.memory, self.parts.policy)
        known = replace(self.memory, position=Held()) if would_hold and not self.memory.held else self.memory
        finding, known = self._best(invoice, usages, known)
        self.memory = with_finding(known, finding, self.parts.policy, self.real_now)
        return mapped(self.read or invoice, known.mapping), finding

    def _usages(self, invoice: Invoice) -> tuple[BilledUsage, ...]:
        """What it bills. What we cannot read, we cannot let pass: stopped before the error goes on."""
        try:
            usages = self.parts.comparer.usages(invoice)
        except RemoteError:
            self._stop_unread(invoice)
            raise
        self.cause = HoldCause.PRECAUTION if self._is_precaution(invoice, usages) else HoldCause.METERED
        self.memory = stopped_for(self.memory, self.cause)
        return usages

    def _waive(self, invoice: Invoice, usages: tuple[BilledUsage, ...]) -> None:
        """Take a person's decision about what was found wrong or unproven, or stopped by somebody else."""
        given, self.waiver = self.waiver, None
        if given is None:
            return
        finding = self.parts.findings.compared(invoice, usages, self.memory)
        settled = timing.may_compare(invoice, self.memory, self.parts.policy, self.now)
        if finding.verdict is Verdict.MATCHED and settled:
            finding = self.parts.findings.proven(finding, self.memory)
        despite = self._overruled(invoice, given) if settled else ()
        wrong = finding.verdict in (Verdict.DRIFTED, Verdict.UNPROVEN)
        if not wrong and not despite:
            self._did(f"not waived: it is {finding.verdict.value}")
            return
        waiver = replace(given, figures=figures_of(finding), despite=despite, of_finding=wrong)
        if self._stamped_as(waiver, invoice):
            return
        self.memory = replace(self.memory, waiver=waiver)
        self.leased.save(self.memory)
        self.parts.store.journal.note("waive", self.memory.invoice_id, str(waiver))

    def _end_waiver(self, finding: Finding) -> None:
        """It named exact quantities and ends with them. What could not be read now does not say that they changed."""
        waiver, figures = self.memory.waiver, figures_of(finding)
        if waiver is None or self.memory.cleared or finding.reason in TRANSIENT:
            return
        if not same_figures(waiver.figures, figures):
            self._alert("waiver_ended", f"it named {dict(waiver.figures)}, billed is now {figures}")
            self.memory = replace(self.memory, waiver=None)

    def _before(self, invoice: Invoice, usages: tuple[BilledUsage, ...]) -> Looked:  # noqa: PLR0911 - one per step
        parts = self.parts
        match decide.before_comparison(invoice, self.memory, parts.policy, self.now):
            case steps.End(detail=detail):
                self._unsign(invoice)
                return self._end(invoice.status.value, detail)
            case steps.Wait(until=until):
                return self._not_yet(invoice, until)
            case steps.Hold(again=again):
                held = self._hold(invoice, again=again)
                return self._settle(held, usages)
            case steps.SetBackstop(at=at) as step:
                self.memory = self._actor.backstop(invoice, self.memory, at, self.cause)
                self._did(str(step))
                return self._settle(replace(invoice, automatically_finalizes_at=at), usages)
            case steps.Confirm():
                return self._confirm(invoice, usages)
            case steps.WatchRelease():
                return self._watch(invoice)
            case steps.Compare():
                return self._compare(invoice, usages)
            case step:
                assert_never(step)

    def _settle(self, invoice: Invoice, usages: tuple[BilledUsage, ...]) -> Looked:
        """Held: compare when usage has settled, at once when it has."""
        if invoice.status is InvoiceStatus.DRAFT:
            until = timing.look_at(invoice, self.memory, self.parts.policy)
            if until > self.now:
                return self._not_yet(invoice, until)
        return self._compare(invoice, usages)

    def _not_yet(self, invoice: Invoice, until: datetime) -> Looked:
        if self.memory.verdict is None:
            why = ", blocked by the early warning" if self.memory.blocked else ""
            held = "held" if self.memory.held else "not held"
            whose = " by its test clock" if self.ahead is not None else ""
            self.memory = replace(self.memory, detail=f"{held}{why}, compared from {iso_to_next_second(until)}{whose}")
        return self._until(invoice.status.value, until)

    def _confirm(self, invoice: Invoice, usages: tuple[BilledUsage, ...]) -> Looked:
        """It left: its final lines are those of the stamp on it, or it is compared again."""
        stamped = self.memory.stamp if carries_stamp(invoice, self.memory) else None
        good = stamped is not None and stamped.verdict.may_leave
        # A root vouches for what it covered; a record may have grown since.
        grows = any(usage.by_record for usage in usages)
        if stamped and good and not grows and same_figures(stamped.figures, billed_figures(usages)):
            self._did("confirmed")
            self._actor.confirm(invoice, stamped.evidence_sha256, usages)
            return self._end(invoice.status.value, self.memory.detail, cleared=True)
        return self._compare(invoice, usages)

    def _watch(self, invoice: Invoice) -> Looked:
        mailed = self._mailed(invoice)
        if decide.release_showed_effect(invoice, mailed=bool(mailed)):
            return self._end(invoice.status.value, self.memory.detail)
        released = self.memory.position
        if not isinstance(released, Released):
            released = Released(at=self.now)
            self.memory = replace(self.memory, position=released)
        deadline = released.at + decide.EFFECT_WITHIN
        if self.now < deadline:
            return self._until(invoice.status.value, deadline)
        if mailed is None:
            self.memory = replace(self.memory, detail=f"{self.memory.detail}; released, {MAIL_UNKNOWN}")
        else:
            self._alert("release_without_effect", "released, but Stripe shows no attempt, no payment and no mail")
        return self._end(invoice.status.value, self.memory.detail)

    def _compare(self, invoice: Invoice, usages: tuple[BilledUsage, ...]) -> Looked:
        finding, self.memory = self._best(invoice, usages, self.memory)
        if self.parts.findings.proves(invoice, finding):
            self._did(str(steps.Prove()))
        self._end_waiver(finding)
        left = invoice.status in (InvoiceStatus.OPEN, InvoiceStatus.PAID)
        if left and self.back and self.back.patient and finding.is_transient:
            if self.memory.verdict in (None, Verdict.UNPROVEN):
                self.memory = with_finding(self.memory, finding, self.parts.policy, self.real_now)
            return self._until(UNSETTLED, self.now + RATE_LIMIT_RETRY)
        stays = self._established(invoice, finding)
        if stays is not None:
            return stays
        proven = self._proven_already(invoice, finding) if left else None
        if proven is not None and not self.memory.held:
            return self._end(invoice.status.value, self.memory.detail, cleared=True)
        if proven is None:
            self._seal(invoice, finding)
        if invoice.status is not InvoiceStatus.DRAFT and finding.verdict.may_leave:
            self._actor.confirm(invoice, self.memory.evidence_sha256 or "", finding.windows)
        return self._act(invoice, finding)

    def _act(self, invoice: Invoice, finding: Finding) -> Looked:
        if finding.verdict.may_leave:
            self._finalizer_known(invoice)
        try:
            looked = self._acted(invoice, finding)
        except RenderError as error:
            return self._unrendered(invoice, error)
        # A backfill says what drifted among very many; what one of them comes from is found out when somebody asks.
        if self.parts.explaining and not self.back:
            scope = BillingScope.of_invoice(invoice)
            self.parts.explaining.explain_once(self.leased, looked.memory, scope, finding)
        return looked

    def _acted(self, invoice: Invoice, finding: Finding) -> Looked:
        actions, current = self._planned(invoice, finding)
        for action in actions:
            match action:
                case steps.Hold():
                    current = self._hold(current, again=False)
                case steps.WriteStamp():
                    self.memory, wrote = self._actor.stamp(current, self.memory, finding, action)
                    self._tell_footer(action)
                    self._did(str(action)) if wrote else None
                case steps.Finalize():
                    self.memory = self._actor.finalize(current, self.memory)
                    self._did(str(action))
                    current = mapped(self._put_back(self._read_invoice()), self.memory.mapping)
                    left = self._after_finalization(current, finding)
                    if left is not None:
                        return left
                case steps.Release():
                    self.memory = self._actor.release(current, self.memory)
                    self._did(str(action))
                case steps.RaiseAlert():
                    self._told(action, finding)
                case steps.Wait(until=until):
                    self.memory = awaiting(self.memory, until)
                    return self._until(current.status.value, until)
                case steps.End(detail=detail):
                    return self._done(current, finding, detail)
                case _:
                    assert_never(action)
        return self._until(current.status.value, self.now + RATE_LIMIT_RETRY)

    def _done(self, invoice: Invoice, finding: Finding, detail: str) -> Looked:
        good = finding.verdict.may_leave
        if self.back and not good and decide.must_stop(invoice, self.memory, self.parts.policy, finding):
            # It left just now: stopping it is still the gate's to do.
            return self._until(invoice.status.value, self.now)
        if good and invoice.status in GIVEN_UP:
            self._unsign(invoice)
        return self._end(invoice.status.value, self.memory.detail or detail, cleared=good)

    def _after_finalization(self, final: Invoice, stamped: Finding) -> Looked | None:
        """All lines again: None when they are what was stamped and it may be released."""
        usages = self.parts.comparer.usages(final)
        self.memory = as_read(self.memory, final)
        # A preview cannot know the final lines: Stripe may fold usage into them that came after the draft was made.
        same = self.parts.stripe.only_records or same_figures(figures_of(stamped), billed_figures(usages))
        if same and self.parts.findings.still_vouched(final, usages, stamped):
            self._actor.confirm(final, self.memory.evidence_sha256 or "", usages)
            if final.status is InvoiceStatus.OPEN:
                stopped = stops(final, self.memory)
                return self._stays(final, stopped) if stopped else None
            self._unsign(final)
            return self._end(final.status.value, stamped.detail, cleared=True)
        return self._caught(final, usages, stamped)

    def _caught(self, final: Invoice, usages: tuple[BilledUsage, ...], stamped: Finding) -> Looked:
        """Late usage was folded in: not what was stamped, so it stays where it is."""
        comparer = self.parts.comparer
        now = comparer.compare(final, usages, finalized_by_us=False, raise_rate_limited=False) if usages else stamped
        detail = f"stamped {figures_of(stamped)}, final {billed_figures(usages)}"
        finding = Finding(
            verdict=Verdict.DRIFTED, reason=Reason.CHANGED_AT_FINALIZATION, detail=detail, windows=now.windows
        )
        self._seal(final, finding)
        return self._act(final, finding)
