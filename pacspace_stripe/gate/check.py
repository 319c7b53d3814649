"""One check: it takes one invoice one step towards its right end state, from fresh reads, at any time.

1. Take the lease.           Only one process at a time acts on an invoice.
2. Read.                     The invoice and all its lines are read anew; no earlier decision is replayed.
3. Nothing metered?          Then the invoice is not ours: it gets no hold and no write.
4. Hold or backstop, wait.   At first sight the gate stops it, then it waits until usage has settled.
5. Compare and prove.        Both figures of each window; only what matched is checkpointed and cross-checked.
6. Evidence.                 One link of the subscription's chain, when there is anything new to record.
7. Act.                      Stamp, finalize, read again, release; or hold, alert, then explain the drift.
8. Give the lease back.      With the time of the next check.

Each step takes a :class:`Case`, which is the invoice state with what was read, and returns a new one; a step that ends
the check returns a :class:`CheckOutcome`. Nothing else is kept between steps but the list of steps for people.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import assert_never

from pacspace_stripe.comparison.comparer import error_reason
from pacspace_stripe.comparison.finding import MOST_RATE_LIMITED_CHECKS, RATE_LIMIT_RETRY, mapped
from pacspace_stripe.comparison.rules.verdicts import (
    NOTHING_METERED,
    TRANSIENT,
    UNANSWERED,
    Finding,
    Reason,
    Verdict,
    summarize,
)
from pacspace_stripe.errors import (
    LeaseBusy,
    NotEditable,
    NotFound,
    RateLimited,
    RemoteError,
    RenderError,
    UnexpectedAnswer,
)
from pacspace_stripe.explain.meter_account import BillingScope
from pacspace_stripe.gate import foreign_acts
from pacspace_stripe.gate.early_warning import is_of_period
from pacspace_stripe.gate.rules import actions, decide, timing
from pacspace_stripe.gate.rules.stamp import (
    HOLD_KEY,
    carried,
    carries_stamp,
    changed_stamp,
    footer_is_lost,
    on_it,
    stamp_stays,
)
from pacspace_stripe.gate.rules.state import ANY_STOP, Cleared, Ended, Held, HoldCause, InvoiceState, Released, Waiver
from pacspace_stripe.gate.rules.stops import Stop, check_again_at, frees_unread, stops
from pacspace_stripe.gate.rules.transitions import (
    as_past,
    as_read,
    awaiting,
    first_reads,
    forgotten,
    let_go,
    stopped_for,
    undone,
    with_finding,
    with_reading,
)
from pacspace_stripe.gate.services import Services
from pacspace_stripe.gate.stripe_writes import StripeWrites
from pacspace_stripe.http.client import Transport
from pacspace_stripe.store import JobKind, JobLease
from pacspace_stripe.stripe_api.calls import STRIPE
from pacspace_stripe.usage.rules import (
    UNNAMED,
    BilledUsage,
    billed_figures,
    covered_parts,
    figures_of,
    may_bill_usage,
    names_metronome,
    same_figures,
)
from pacspace_stripe.vocabulary.invoices import GIVEN_UP, Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.policy import Mode
from pacspace_stripe.vocabulary.windows import iso_to_next_second

UNSETTLED = "unsettled"
"""Status of a check for a backfill that may wait: what it found usually heals, and was not written down."""
MOST_READS = 3
"""Number of times that one check starts over when Stripe says that the invoice changed meanwhile."""
MOST_PUT_BACK = 5
"""Number of times in a row that a stamp is put back after somebody else changed it."""
_log = logging.getLogger(__name__)
_MAIL_UNKNOWN = "and whether Stripe mailed it is not known: select invoice.sent for the webhook endpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillRequest:
    """A check that a backfill asks for: what has left is reported and stamped, and not held.

    ``patient``: a transient finding is not written down; the check ends with the status ``UNSETTLED``.
    """

    patient: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOutcome:
    """State and status at the end of a check, and the time of the next one."""

    state: InvoiceState
    status: str
    next_check_at: datetime | None
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One invoice as a check knows it: the state that is kept, and what was read for it."""

    state: InvoiceState
    now: datetime
    ahead: timedelta | None = None
    """Lead of ``now`` over real time, where the invoice lives by a test clock; else None."""
    read: Invoice
    """The invoice as Stripe has it."""
    invoice: Invoice
    """The invoice with the ledger account in force, and as later steps changed it."""
    usages: tuple[BilledUsage, ...] = ()
    cause: HoldCause = HoldCause.METERED
    """Cause of a hold or a backstop, should this check set one."""

    @property
    def real_now(self) -> datetime:
        """Return real time, by which ledger records and meter reads are dated whatever a test clock says."""
        return self.now - (self.ahead or timedelta(0))

    @property
    def status(self) -> str:
        return self.invoice.status.value

    @property
    def has_left(self) -> bool:
        return self.invoice.status in (InvoiceStatus.OPEN, InvoiceStatus.PAID)


def check_invoice(
    services: Services,
    transport: Transport,
    invoice_id: str,
    *,
    lease: timedelta,
    now: Callable[[], datetime],
    waiver: Waiver | None = None,
    backfill: BackfillRequest | None = None,
) -> CheckOutcome:
    """Check one invoice. Raises LeaseBusy and StoreUnavailable; for a backfill also RateLimited, undecided."""
    # 1. Take the lease.
    leased = services.store.jobs.acquire(JobKind.INVOICE, invoice_id, lease)
    if leased is None:
        message = f"{invoice_id} is being checked by another process"
        raise LeaseBusy(message)
    # 2. to 7. The transport checks before each request that the lease is still ours.
    guarded = transport.guarded(leased.guard, reading=leased.keep)
    check = Check(services=services, leased=leased, started_at=now(), waiver=waiver, backfill=backfill)
    try:
        outcome = check.run(guarded)
    except RemoteError as error:
        if backfill and (backfill.patient or isinstance(error, RateLimited)):
            leased.give_back(leased.saved, now() + RATE_LIMIT_RETRY)
            raise
        outcome = check.unanswered(error, now())
    # 8. Give the lease back.
    leased.give_back(outcome.state, outcome.next_check_at)
    return outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Steps 2 to 7 of one check, under its lease."""

    services: Services
    leased: JobLease
    started_at: datetime
    waiver: Waiver | None = None
    """A person's decision that this check takes; its figures are filled in from what is billed now."""
    backfill: BackfillRequest | None = None
    done: list[str] = field(default_factory=list)
    """Steps for people, in order. Nothing is decided from them."""

    def run(self, guarded: AbstractContextManager[object]) -> CheckOutcome:
        """Take the steps; take them again when Stripe refuses a write because the invoice changed meanwhile."""
        state, waiver = self.leased.saved, self.waiver
        if self.backfill:
            # A backfill may take all the time it needs: to it, a 429 never counts as no answer.
            state = replace(state, failures=0)
        with guarded:
            for _ in range(MOST_READS):
                try:
                    outcome = self._steps(state, waiver)
                    break
                except NotEditable:
                    state = self.leased.saved
                    # The decision was taken already, or is taken now from what is billed now.
                    waiver = None if waiver and state.waiver and _is_decision(state.waiver, waiver) else waiver
                    self._did(state, "changed under us: read again")
            else:
                state = replace(state, attempts=state.attempts + 1)
                again_at = self.started_at + timing.ladder(self.services.policy, state.attempts)
                outcome = CheckOutcome(state=state, status="unread", next_check_at=again_at)
            state = self.services.alerts.recovered(self.leased, outcome.state)
        if state.reason not in UNANSWERED:
            state = replace(state, failures=0)
        return replace(outcome, state=state, steps=tuple(self.done))

    def _steps(  # noqa: C901, PLR0911  # the story is told in one place, and each step may end it
        self, state: InvoiceState, waiver: Waiver | None
    ) -> CheckOutcome:
        # 2. Read the invoice and all its lines.
        try:
            case = self._read(state)
        except NotFound:
            return self._gone(state)
        case = self._with_stamp_put_back(case)
        if case.state.put_back >= MOST_PUT_BACK and not case.state.held:
            # Another tool changes our stamp each time: two tools would go on for ever.
            if case.invoice.status is InvoiceStatus.DRAFT:
                return self._until(case, case.now + timing.FOREIGN_HOLD_INTERVAL)
            return self._end(case, case.state.detail)
        case = self._with_early_warning(case)

        # 3. Nothing metered? Then the invoice is not ours, and a precautionary hold on it is undone.
        case = self._with_usages(case)
        if not case.usages and (case.cause is HoldCause.PRECAUTION or not case.state.held):
            return self._nothing_metered(case)
        case = self._with_coverage(case, seen_at=case.real_now)
        case = self._with_reported_problems(case)
        case = self._with_waiver(case, waiver)

        # 4. Hold it or set its backstop, and wait until usage has settled.
        before = self._before_comparison(case)
        if isinstance(before, CheckOutcome):
            return before
        case = before

        # 5. Compare both sides, and prove what matched. Silence replaces no earlier finding.
        case, finding = self._compare(case)
        unproven = self._unestablished(case, finding)
        if isinstance(unproven, CheckOutcome):
            return unproven

        # 6. Evidence of what was found, unless the stamp on the invoice proves it already.
        proven = self._proven_already(case, finding) if case.has_left else None
        if proven is not None and not case.state.held:
            return self._end(proven, proven.state.detail, cleared=True)
        case = proven or self._sealed(case, finding)
        if case.invoice.status is not InvoiceStatus.DRAFT and finding.verdict.may_leave:
            self._writes(case).confirm(case.invoice, case.state.evidence_sha256 or "", finding.windows)

        # 7. Act. Usage that Stripe folds in at finalization is a new finding, which is acted on in turn.
        acted = self._act(case, finding)
        while not isinstance(acted, CheckOutcome):
            case, finding = acted
            acted = self._act(case, finding)
        # A backfill reports very many drifts; one of them is explained when a person asks.
        if self.services.explaining and not self.backfill:
            scope = BillingScope.of_invoice(case.invoice)
            self.services.explaining.explain_once(self.leased, acted.state, scope, finding)
        return acted

    # -- 2. read ------------------------------------------------------------------------------------------------------

    def _read(self, state: InvoiceState) -> Case:
        """Read the invoice, with all that may have stopped it, and bring the state up to it."""
        read, state, now, ahead = self._read_standing(state, self.started_at, None)
        seen = let_go(with_reading(state, read, now), read, self.services.policy.finalize)
        if self.backfill and state.first is None and not seen.held and timing.left_long_ago(read, now):
            seen = as_past(seen)
        return Case(state=seen, now=now, ahead=ahead, read=read, invoice=mapped(read, seen.mapping))

    def _read_standing(
        self, state: InvoiceState, now: datetime, ahead: timedelta | None
    ) -> tuple[Invoice, InvoiceState, datetime, timedelta | None]:
        one_off = state.first is not None and state.subscription_id is None
        invoice = self.services.stripe.read_invoice_standing(state.invoice_id, customer=one_off)
        clock = invoice.test_clock
        if clock is not None and clock.frozen_at is None:
            detail = f"its test clock {clock.clock_id} could not be read: it is compared by real time"
            state = self._alerted(state, "test_clock_unread", detail)
        elif clock is not None and clock.frozen_at is not None:
            # Stripe plans, finalizes and collects the invoice by its test clock.
            now, ahead = clock.frozen_at, clock.frozen_at - (now - (ahead or timedelta(0)))
        if state.held:
            state = foreign_acts.with_updates(self.services, state)
        return invoice, state, now, ahead

    def _read_again(self, case: Case) -> Case:
        """Read the invoice once more: a write of this check, or somebody else, may have changed it."""
        read, state, now, ahead = self._read_standing(case.state, case.now, case.ahead)
        case = self._with_stamp_put_back(replace(case, state=state, now=now, ahead=ahead, invoice=read))
        return replace(case, invoice=mapped(case.invoice, case.state.mapping))

    def _gone(self, state: InvoiceState) -> CheckOutcome:
        """End an invoice that Stripe's events call deleted; one that the gate holds is missed, and not ended.

        A subscription's draft cannot be deleted (FACTS 2.2): a 404 may be a key of another account, or a read that
        came too early. An invoice that is not held ends when it is missed again and again.
        """
        policy = self.services.policy
        detail = None
        if state.held and foreign_acts.was_deleted(self.services, state, self.started_at):
            detail = "deleted in Stripe"
        elif state.held:
            missed = "Stripe does not know an invoice that we hold: is STRIPE_API_KEY of this account?"
            state = self._alerted(state, "held_but_gone", missed)
        elif state.attempts >= len(policy.retry):
            detail = "deleted in Stripe, or of another account"
        if detail is not None:
            self.services.store.coverage.put(state.invoice_id, ())
            ended = replace(state, position=Cleared() if state.cleared else Ended(), detail=detail)
            return CheckOutcome(state=ended, status="deleted", next_check_at=None)
        state = replace(state, attempts=state.attempts + 1)
        again_at = self.started_at + timing.ladder(policy, state.attempts)
        return CheckOutcome(state=state, status="deleted", next_check_at=again_at)

    def _with_stamp_put_back(self, case: Case) -> Case:
        """Alert about a change of our stamp by somebody else, and write the stamp again.

        A frozen footer cannot be written: where the gate holds the invoice, ``stops`` keeps it and says so.
        """
        invoice, state = case.invoice, case.state
        changed = changed_stamp(invoice, state)
        if changed is None:
            return replace(case, state=replace(state, put_back=0))
        draft = invoice.status is InvoiceStatus.DRAFT
        if changed.footer and not draft and not footer_is_lost(invoice, state):
            detail = "somebody changed our block in its footer, and it is frozen now"
            state = self._alerted(state, "footer_changed", detail)
        if not changed.metadata and not draft:
            return replace(case, state=state)
        if self.services.policy.mode is Mode.OBSERVE:
            detail = f"somebody changed our stamp, and observing puts nothing back: {changed}"
            return replace(case, state=self._alerted(state, "stamp_changed", detail))
        if state.put_back >= MOST_PUT_BACK:
            detail = f"somebody changes our stamp again and again: {changed}"
            return replace(case, state=self._alerted(state, "stamp_contested", detail))
        state = self._alerted(state, "stamp_changed", f"somebody changed our stamp, put back: {changed}")
        state, invoice = self._writes(case).put_back(invoice, forgotten(state, "stamp_changed"), changed)
        self._did(state, "put back the stamp")
        return replace(case, state=state, invoice=invoice)

    def _with_early_warning(self, case: Case) -> Case:
        """Move a block from the early warning that found drift to the draft of that period."""
        state, jobs = case.state, self.services.store.jobs
        if state.subscription_id is None or state.blocked or state.evidence_sha256:
            return case
        block = jobs.block_on(state.subscription_id)
        if block is None or not is_of_period(case.invoice, block.job_id):
            return case
        state = replace(state, early_warning_id=block.job_id, alerted=(*state.alerted, *block.memory.alerted))
        self.leased.save(state)
        jobs.end_block(block.job_id)
        self._did(state, "blocked by the early warning")
        return replace(case, state=state)

    # -- 3. nothing metered? ------------------------------------------------------------------------------------------

    def _with_usages(self, case: Case) -> Case:
        """Read what the invoice bills. Hold it before re-raising when its prices or meters cannot be read."""
        state = case.state
        stopped_as_metered = state.stopped_for is HoldCause.METERED
        try:
            usages = self.services.comparer.usages(case.invoice)
        except RemoteError:
            self._stop_unread(replace(case, cause=HoldCause.METERED if stopped_as_metered else HoldCause.PRECAUTION))
            raise
        if usages:
            precaution = not stopped_as_metered and all(usage.may_be_unmetered for usage in usages)
        else:
            # Where somebody took away what named the system that counted its usage, the items that may bill it are
            # still there: nothing was answered, and the precaution becomes a hold.
            unnamed = any(window["meter"] == UNNAMED for window in state.windows)
            answered = names_metronome(case.invoice) or not unnamed
            precaution = state.stopped_for is HoldCause.PRECAUTION and answered
        cause = HoldCause.PRECAUTION if precaution else HoldCause.METERED
        return replace(case, state=stopped_for(state, cause), usages=usages, cause=cause)

    def _stop_unread(self, case: Case) -> None:
        """Hold an invoice whose lines cannot be read, or set its backstop, as at any first sight."""
        if not may_bill_usage(case.invoice):
            return
        match decide.before_comparison(case.invoice, case.state, self.services.policy, case.now):
            case actions.Hold(again=again):
                held = self._hold(case, again=again)
                self._alerted(
                    held.state, "held_unread", "its prices or meters could not be read: held until they can be"
                )
            case actions.SetBackstop(at=at):
                self._set_backstop(case, at)
            case _:
                pass

    def _nothing_metered(self, case: Case) -> CheckOutcome:
        """End the invoice. A precautionary hold or backstop is undone, unless somebody else stopped it, too."""
        state, invoice = case.state, case.invoice
        draft = invoice.status is InvoiceStatus.DRAFT
        held = state.held and not invoice.auto_advance and (draft or invoice.status is InvoiceStatus.OPEN)
        postponed = state.backstop is not None and draft
        if state.stopped_for is HoldCause.PRECAUTION and (held or postponed):
            stopped = stops(invoice, state)
            if stopped:
                return self._stays(case, stopped)
            at = timing.given_back_at(invoice, state, case.now)
            case = replace(case, state=self._writes(case).give_back(invoice, state, at))
            self._did(case.state, "give back")
        return self._end(case, NOTHING_METERED)

    def _with_coverage(self, case: Case, *, seen_at: datetime) -> Case:
        """Record which usage the invoice bills, and keep what a draft's lines say at first sight."""
        state, invoice = case.state, case.invoice
        if not state.reads and invoice.status is InvoiceStatus.DRAFT:
            state = replace(state, reads=first_reads(case.usages, seen_at))
        self.services.store.coverage.put(state.invoice_id, covered_parts(invoice, case.usages))
        return replace(case, state=state)

    def _with_reported_problems(self, case: Case) -> Case:
        """Alert about a mail that left under our hold, and about a finalization that failed at Stripe."""
        state, invoice = case.state, case.invoice
        if state.held and invoice.status is InvoiceStatus.OPEN and foreign_acts.was_mailed(self.services, invoice):
            detail = "somebody had Stripe mail it under our hold: the customer has it"
            state = self._alerted(state, "sent_under_hold", detail)
        if invoice.finalization_error:
            kind = f"finalization_failed:{invoice.finalization_error}"
            state = self._alerted(state, kind, "Stripe could not finalize this invoice")
        return replace(case, state=state)

    def _with_waiver(self, case: Case, given: Waiver | None) -> Case:
        """Take a person's decision about a finding that is wrong or unproven, or about stops of somebody else."""
        if given is None:
            return case
        state, invoice, policy = case.state, case.invoice, self.services.policy
        finding = self.services.findings.compared(invoice, case.usages, state)
        settled = timing.may_compare(invoice, state, policy, case.now)
        if finding.verdict is Verdict.MATCHED and settled:
            finding = self.services.findings.proven(finding, state)
        despite: tuple[str, ...] = ()
        if settled and ANY_STOP in given.despite and (state.held or state.backstop):
            state = foreign_acts.with_finalizer(self.services, state, invoice)
            despite = tuple(stop.key for stop in stops(invoice, replace(state, waiver=None)))
        wrong = finding.verdict in (Verdict.DRIFTED, Verdict.UNPROVEN)
        if not wrong and not despite:
            self._did(state, f"not waived: it is {finding.verdict.value}")
            return replace(case, state=state)
        waiver = replace(given, figures=figures_of(finding), despite=despite, of_finding=wrong)
        known, stamp = state.waiver, state.stamp
        waived = stamp is not None and stamp.verdict is Verdict.WAIVED and carries_stamp(invoice, state)
        if waived and known is not None and known.covers(waiver) and same_figures(known.figures, waiver.figures):
            # The stamp names the earlier decision: a second one would contradict it.
            self._did(state, f"not waived again: {known.by} released it already")
            return replace(case, state=state)
        state = replace(state, waiver=waiver)
        self.leased.save(state)
        self.services.store.journal.note("waive", state.invoice_id, str(waiver))
        return replace(case, state=state)

    # -- 4. hold or backstop, wait ------------------------------------------------------------------------------------

    def _before_comparison(self, case: Case) -> Case | CheckOutcome:
        """Take the step that comes before the comparison; a case that is returned is compared now."""
        policy = self.services.policy
        match decide.before_comparison(case.invoice, case.state, policy, case.now):
            case actions.End(detail=detail):
                self._remove_hold_sign(case)
                return self._end(case, detail)
            case actions.Wait(until=until):
                return self._not_yet(case, until)
            case actions.Hold(again=again):
                case = self._hold(case, again=again)
            case actions.SetBackstop(at=at):
                case = self._set_backstop(case, at)
            case actions.Confirm():
                return self._confirm(case)
            case actions.WatchRelease():
                return self._watch_release(case)
            case actions.Compare():
                return case
            case step:
                assert_never(step)
        until = timing.comparable_at(case.invoice, case.state, policy)
        waits = case.invoice.status is InvoiceStatus.DRAFT and until > case.now
        return self._not_yet(case, until) if waits else case

    def _hold(self, case: Case, *, again: bool) -> Case:
        state = case.state
        if again:
            state = self._alerted(state, "hold_undone", "somebody set auto_advance=true under our hold: held again")
            state = forgotten(state, "hold_undone")
        if again or case.invoice.status is InvoiceStatus.OPEN:
            state = undone(state, case.invoice, case.now)
        state, invoice = self._writes(case).hold(case.invoice, state, case.cause)
        self._did(state, str(actions.Hold()))
        return replace(case, state=state, invoice=invoice)

    def _set_backstop(self, case: Case, at: datetime) -> Case:
        state = self._writes(case).backstop(case.invoice, case.state, at, case.cause)
        self._did(state, str(actions.SetBackstop(at=at)))
        return replace(case, state=state, invoice=replace(case.invoice, automatically_finalizes_at=at))

    def _not_yet(self, case: Case, until: datetime) -> CheckOutcome:
        state = case.state
        if state.verdict is None:
            why = ", blocked by the early warning" if state.blocked else ""
            held = "held" if state.held else "not held"
            whose = " by its test clock" if case.ahead is not None else ""
            detail = f"{held}{why}, compared from {iso_to_next_second(until)}{whose}"
            case = replace(case, state=replace(state, detail=detail))
        return self._until(case, until)

    def _confirm(self, case: Case) -> Case | CheckOutcome:
        """End an invoice that left with the lines that its stamp names; any other is compared again."""
        stamp = case.state.stamp if carries_stamp(case.invoice, case.state) else None
        # A root proves what it covered; a settlement record may have grown since.
        grows = any(usage.by_record for usage in case.usages)
        if stamp is None or not stamp.verdict.may_leave or grows:
            return case
        if not same_figures(stamp.figures, billed_figures(case.usages)):
            return case
        self._did(case.state, "confirmed")
        self._writes(case).confirm(case.invoice, stamp.evidence_sha256, case.usages)
        return self._end(case, case.state.detail, cleared=True)

    def _watch_release(self, case: Case) -> CheckOutcome:
        """End a released invoice once Stripe collects or mails it; alert when that takes too long."""
        mailed, state = foreign_acts.was_mailed(self.services, case.invoice), case.state
        released = state.position if isinstance(state.position, Released) else Released(at=case.now)
        case = replace(case, state=replace(state, position=released))
        if decide.release_showed_effect(case.invoice, mailed=bool(mailed)):
            return self._end(case, state.detail)
        deadline = released.at + decide.EFFECT_WITHIN
        if case.now < deadline:
            return self._until(case, deadline)
        if mailed is None:
            return self._end(case, f"{state.detail}; released, {_MAIL_UNKNOWN}")
        detail = "released, but Stripe shows no attempt, no payment and no mail"
        return self._end(replace(case, state=self._alerted(case.state, "release_without_effect", detail)), state.detail)

    # -- 5. compare and prove -----------------------------------------------------------------------------------------

    def _compare(self, case: Case) -> tuple[Case, Finding]:
        """Compare with the ledger account in force, or with another one that the subscription names."""
        findings = self.services.findings
        finding, state = self.services.findings.best(case.read, case.invoice, case.usages, case.state)
        if findings.proves(case.invoice, finding):
            self._did(state, str(actions.Prove()))
        waiver, figures = state.waiver, figures_of(finding)
        # A figure that could not be read now does not say that it changed.
        ends = waiver is not None and not state.cleared and finding.reason not in TRANSIENT
        if ends and waiver is not None and not same_figures(waiver.figures, figures):
            detail = f"it named {dict(waiver.figures)}, billed is now {figures}"
            state = replace(self._alerted(state, "waiver_ended", detail), waiver=None)
        return replace(case, state=state), finding

    def compared(self) -> tuple[Invoice, Finding, InvoiceState]:
        """Compare both sides now, at any moment, and write nothing: only for a preview.

        A draft whose lines were never read counts from its creation.
        """
        read = self.services.stripe.read_invoice(self.leased.saved.invoice_id)
        policy, now = self.services.policy, self.started_at
        state = let_go(with_reading(self.leased.saved, read, now), read, policy.finalize)
        case = Case(state=state, now=now, read=read, invoice=mapped(read, state.mapping))
        case = replace(case, usages=self.services.comparer.usages(case.invoice))
        if not case.usages and not state.held:
            return case.invoice, summarize(()), replace(state, detail=NOTHING_METERED)
        case = self._with_coverage(case, seen_at=case.invoice.created_at)
        if case.invoice.auto_advance and not state.held and decide.fails_closed(state, policy):
            case = replace(case, state=replace(case.state, position=Held()))
        finding, state = self.services.findings.best(case.read, case.invoice, case.usages, case.state)
        return mapped(read, state.mapping), finding, with_finding(state, finding, policy, case.real_now)

    def _unestablished(self, case: Case, finding: Finding) -> CheckOutcome | None:
        """End the check when it found only silence about what an earlier check established; else return None."""
        state, policy = case.state, self.services.policy
        if case.has_left and self.backfill and self.backfill.patient and finding.is_transient:
            if state.verdict in (None, Verdict.UNPROVEN):
                state = with_finding(state, finding, policy, case.real_now)
            return self._until(replace(case, state=state), case.now + RATE_LIMIT_RETRY, status=UNSETTLED)
        if finding.verdict is not Verdict.UNPROVEN or not finding.is_transient or state.verdict is None:
            return None
        left = case.has_left and not state.held
        good = state.cleared and state.verdict.may_leave
        proven = left and good and stamp_stays(case.invoice, state, finding)
        drifted = state.verdict is Verdict.DRIFTED and finding.reason in UNANSWERED and (state.ended or not left)
        if not proven and not drifted:
            return None
        detail = f"{state.verdict.value} before, and nothing new is known: {finding.detail}"
        case = replace(case, state=replace(state, detail=detail))
        if left:
            return self._end(case, detail)
        return self._until(case, case.now + timing.ladder(policy, state.attempts))

    # -- 6. evidence --------------------------------------------------------------------------------------------------

    def _sealed(self, case: Case, finding: Finding) -> Case:
        """Keep the finding, and what it means for leaving; append it to the chain of evidence."""
        policy = self.services.policy
        state = with_finding(
            decide.with_kept_back(case.invoice, case.state, policy, case.now, finding), finding, policy, case.real_now
        )
        state = self._writes(case).seal(case.invoice, state, finding, policy)
        if stamp_stays(case.invoice, state, finding):
            state = replace(state, detail=f"its stamp stays ({on_it(case.invoice)}): {finding.detail}")
        return replace(case, state=state)

    def _proven_already(self, case: Case, finding: Finding) -> Case | None:
        """Keep a stamp that proves this finding already: its hash is in the customer's PDF. None when it does not.

        A waiver that is only read off the invoice releases nothing.
        """
        policy = self.services.policy
        there = carried(case.invoice.metadata, finding) if policy.mode is Mode.ENFORCE else None
        if there is None or (case.state.held and there[0].verdict is not Verdict.MATCHED):
            return None
        found, sha256 = there
        state = with_finding(case.state, found, policy, case.real_now)
        state = self._writes(case).adopt(case.invoice, state, found, sha256, policy)
        self._did(state, "carries this proof already")
        return replace(case, state=state)

    # -- 7. act -------------------------------------------------------------------------------------------------------

    def _act(  # noqa: C901, PLR0912  # one branch per action
        self, case: Case, finding: Finding
    ) -> CheckOutcome | tuple[Case, Finding]:
        """Carry out what the finding asks for; return the case with a new finding when finalization changed it."""
        if finding.verdict.may_leave:
            case = replace(case, state=foreign_acts.with_finalizer(self.services, case.state, case.invoice))
        planned, case = self._planned(case, finding)
        for action in planned:
            writes = self._writes(case)
            match action:
                case actions.Hold():
                    case = self._hold(case, again=False)
                case actions.WriteStamp():
                    try:
                        state, wrote = writes.stamp(case.invoice, case.state, finding, action)
                    except RenderError as error:
                        return self._unrendered(case, error)
                    case = replace(case, state=self._with_footer_problem(state) if action.footer else state)
                    if wrote:
                        self._did(case.state, str(action))
                case actions.Finalize():
                    case = replace(case, state=writes.finalize(case.invoice, case.state))
                    self._did(case.state, str(action))
                    final = self._after_finalization(self._read_again(case), finding)
                    if not isinstance(final, Case):
                        return final
                    case = final
                case actions.Release():
                    case = replace(case, state=writes.release(case.invoice, case.state))
                    self._did(case.state, str(action))
                case actions.RaiseAlert():
                    case = replace(case, state=self._raised(case.state, action, finding))
                case actions.Wait(until=until):
                    return self._until(replace(case, state=awaiting(case.state, until)), until)
                case actions.End(detail=detail):
                    return self._done(case, finding, detail)
                case _:
                    assert_never(action)
        return self._until(case, case.now + RATE_LIMIT_RETRY)

    def _planned(self, case: Case, finding: Finding) -> tuple[tuple[actions.Action, ...], Case]:
        """Return what the finding asks for, and the case as it was read for that.

        An invoice that is to be set free is read once more: somebody may have stopped it while it was compared. Raises
        NotEditable when it is not where it was.
        """
        dated = finding.shifted(case.ahead) if case.ahead else finding
        planned = self._asked_for(case, dated)
        if not frees_unread(planned):
            return planned, case
        fresh = self._read_again(case)
        before, after = case.invoice, fresh.invoice
        if (after.status, after.auto_advance) != (before.status, before.auto_advance):
            raise NotEditable(STRIPE, "it was changed while it was compared")
        return self._asked_for(fresh, dated), fresh

    def _asked_for(self, case: Case, finding: Finding) -> tuple[actions.Action, ...]:
        # A backfill holds nothing that has left.
        state = as_past(case.state) if self.backfill else case.state
        return decide.after_comparison(case.invoice, state, self.services.policy, case.now, finding)

    def _raised(self, state: InvoiceState, action: actions.RaiseAlert, finding: Finding) -> InvoiceState:
        """Alert with the finding's detail, or with the action's own, which the invoice then waits for."""
        if action.detail is None:
            return self._alerted(state, f"{action.kind}:{finding.reason.value}", finding.detail)
        return self._alerted(replace(state, detail=action.detail), action.kind, action.detail)

    def _unrendered(self, case: Case, error: RenderError) -> CheckOutcome:
        """Hold an invoice whose footer cannot be rendered: it never leaves without it, and goes on when it can be."""
        if case.invoice.auto_advance and not case.state.held:
            case = self._hold(case, again=False)
        detail = f"its footer cannot be rendered: {error.with_hint}"
        state = replace(self._alerted(case.state, "footer_not_rendered", detail), detail=detail)
        again_at = case.now + timing.ladder(self.services.policy, state.attempts)
        return self._until(replace(case, state=state), again_at)

    def _with_footer_problem(self, state: InvoiceState) -> InvoiceState:
        """Alert about a draft that was stamped without its footer; a footer that could not be rendered now was."""
        state = forgotten(state, "footer_not_rendered")
        missing = state.stamp.without_footer if state.stamp else ""
        if not missing:
            return state
        detail = f"stamped without a footer: {missing}"
        state = self._alerted(state, "footer_too_long", detail)
        return replace(state, detail="; ".join(filter(None, [state.detail, detail])))

    def _after_finalization(self, case: Case, stamped: Finding) -> Case | CheckOutcome | tuple[Case, Finding]:
        """Read what the finalized invoice bills: it goes on only if that is what was stamped."""
        final, comparer = case.invoice, self.services.comparer
        usages = comparer.usages(final)
        case = replace(case, state=as_read(case.state, final), usages=usages)
        # A preview cannot know the final lines: Stripe may fold usage into them that came after the draft was made.
        same = self.services.stripe.only_records or same_figures(figures_of(stamped), billed_figures(usages))
        if same and self.services.findings.still_vouched(final, usages, stamped):
            self._writes(case).confirm(final, case.state.evidence_sha256 or "", usages)
            if final.status is InvoiceStatus.OPEN:
                stopped = stops(final, case.state)
                return self._stays(case, stopped) if stopped else case
            self._remove_hold_sign(case)
            return self._end(case, stamped.detail, cleared=True)
        # Late usage was folded in: the invoice stays where it is, and goes through steps 6 and 7 with that finding.
        now = comparer.compare(final, usages, finalized_by_us=False, raise_rate_limited=False) if usages else stamped
        finding = Finding(
            verdict=Verdict.DRIFTED,
            reason=Reason.CHANGED_AT_FINALIZATION,
            detail=f"stamped {figures_of(stamped)}, final {billed_figures(usages)}",
            windows=now.windows,
        )
        return self._sealed(case, finding), finding

    def _stays(self, case: Case, stopped: tuple[Stop, ...]) -> CheckOutcome:
        """Leave the invoice where it is because somebody else is stopping it: alert, and check again later."""
        state = replace(case.state, detail="; ".join(stop.detail for stop in stopped))
        for stop in stopped:
            state = self._alerted(state, stop.alert.kind, stop.detail)
        again_at = check_again_at(stopped, state, self.services.policy, case.now)
        return self._until(replace(case, state=state), again_at)

    def _done(self, case: Case, finding: Finding, detail: str) -> CheckOutcome:
        good, invoice = finding.verdict.may_leave, case.invoice
        if self.backfill and not good and decide.must_stop(invoice, case.state, self.services.policy, finding):
            # It left just now: holding it is the next ordinary check's to do.
            return self._until(case, case.now)
        if good and invoice.status in GIVEN_UP:
            self._remove_hold_sign(case)
        return self._end(case, case.state.detail or detail, cleared=good)

    def _remove_hold_sign(self, case: Case) -> None:
        """Take the sign of our hold off an invoice on which nothing is held any more."""
        if HOLD_KEY in case.invoice.metadata and self.services.policy.mode is Mode.ENFORCE:
            self._writes(case).unsign(case.invoice)

    # -- every step ---------------------------------------------------------------------------------------------------

    def _writes(self, case: Case) -> StripeWrites:
        services = self.services
        return StripeWrites(
            stripe=services.stripe,
            store=services.store,
            rendering=services.rendering,
            leased=self.leased,
            now=case.now,
        )

    def _alerted(self, state: InvoiceState, kind: str, detail: str) -> InvoiceState:
        alerted = self.services.alerts.give(self.leased, state, kind, detail)
        if alerted.alerted != state.alerted:
            self._did(alerted, str(actions.RaiseAlert(kind=kind)))
        return alerted

    def _did(self, state: InvoiceState, step: str) -> None:
        self.done.append(step)
        self.services.log.info("invoice=%s step=%r verdict=%s", state.invoice_id, step, state.verdict)

    def _until(self, case: Case, until: datetime, *, status: str | None = None) -> CheckOutcome:
        at = until if case.ahead is None else timing.by_real_time(until - case.now, case.real_now)
        return CheckOutcome(state=case.state, status=status or case.status, next_check_at=at)

    def _end(self, case: Case, detail: str, *, cleared: bool | None = None) -> CheckOutcome:
        """End the invoice; without ``cleared``, whether its final lines were matched or waived stays as it was."""
        clear = case.state.cleared if cleared is None else cleared
        ended = replace(case.state, position=Cleared() if clear else Ended(), detail=detail)
        return CheckOutcome(state=ended, status=case.status, next_check_at=None)

    # -- no answer ----------------------------------------------------------------------------------------------------

    def unanswered(self, error: RemoteError, now: datetime) -> CheckOutcome:
        """Note that a vendor did not answer, or refused: nothing was decided, and no finding is replaced."""
        state, alerts, policy = self.leased.saved, self.services.alerts, self.services.policy
        failures = self.leased.job.memory.failures
        if isinstance(error, RateLimited) and failures < MOST_RATE_LIMITED_CHECKS:
            wait = max(RATE_LIMIT_RETRY, min(error.retry_after or RATE_LIMIT_RETRY, timedelta(minutes=1)))
            state = replace(state, failures=failures + 1)
            return CheckOutcome(state=state, status="unread", next_check_at=now + wait, steps=("rate limited",))
        if not isinstance(error, RateLimited):
            _log.warning("invoice=%s %s", state.invoice_id, error)
        reason, detail = error_reason(error)
        if state.verdict in (None, Verdict.UNPROVEN):
            silence = Finding(verdict=Verdict.UNPROVEN, reason=reason, detail=detail, windows=())
            state = with_finding(state, silence, policy, now)
        else:
            state = replace(state, detail=detail)
        if not error.retryable:
            state = alerts.give(self.leased, state, "stripe_refused", detail)
        elif isinstance(error, UnexpectedAnswer) or state.failures >= MOST_RATE_LIMITED_CHECKS:
            state = alerts.give(self.leased, state, "unanswered", detail)
        wait = timing.ladder(policy, max(0, state.failures - MOST_RATE_LIMITED_CHECKS))
        state = replace(state, failures=state.failures + 1)
        steps = (f"{error.service} unavailable",)
        return CheckOutcome(state=state, status="unread", next_check_at=now + wait, steps=steps)


def _is_decision(waiver: Waiver, given: Waiver) -> bool:
    """Return whether a kept waiver is the decision that is being given: a check that starts over takes it once."""
    return (waiver.by, waiver.reason, waiver.at) == (given.by, given.reason, given.at)
