"""One check: it takes one invoice one step towards its right end state, from fresh reads, at any time.

1. Take the lease.           Only one process at a time acts on an invoice.
2. Read.                     The invoice and all its lines are read again; no earlier decision is replayed.
3. Nothing metered?          Then the invoice is not ours: it gets no hold and no write.
4. Hold or backstop, wait.   At first sight the gate stops it, then it waits until usage has settled.
5. Compare and prove.        Both figures of each window; only what matched is checkpointed and cross-checked.
6. Evidence.                 One link of the subscription's chain, when there is anything new to record.
7. Act.                      Stamp, finalize, read again, release; or hold, alert, then explain the drift.
8. Give the lease back.      With the time of the next check.

Each step takes a :class:`Case`, which is the invoice state with what was read, and returns a new one; a step that ends
the check returns a :class:`CheckOutcome`. Nothing else is kept between steps but the list of steps for people.
``intake`` has the details of steps 2 and 3.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
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
from pacspace_stripe.gate import foreign_acts, intake
from pacspace_stripe.gate.case import BackfillRequest, Case, CheckContext, CheckOutcome, Services
from pacspace_stripe.gate.rules import actions, decide, timing
from pacspace_stripe.gate.rules.stamp import (
    carried,
    carries_stamp,
    on_it,
    stamp_stays,
)
from pacspace_stripe.gate.rules.state import Held, HoldCause, InvoiceState, Released, Waiver
from pacspace_stripe.gate.rules.stops import frees_unread, stops
from pacspace_stripe.gate.rules.transitions import (
    as_past,
    as_read,
    awaiting,
    forgotten,
    let_go,
    with_finding,
    with_reading,
)
from pacspace_stripe.http.client import Transport
from pacspace_stripe.store import JobKind, JobLease
from pacspace_stripe.stripe_api.calls import STRIPE
from pacspace_stripe.usage.rules import (
    billed_figures,
    figures_of,
    same_figures,
)
from pacspace_stripe.vocabulary.invoices import GIVEN_UP, Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.policy import Mode
from pacspace_stripe.vocabulary.windows import iso_to_next_second

UNSETTLED = "unsettled"
"""Status of a check for a backfill that may wait: what it found usually heals, and was not written down."""
MOST_READS = 3
"""Number of times that one check starts over when Stripe says that the invoice changed meanwhile."""
_log = logging.getLogger(__name__)
_MAIL_UNKNOWN = "and whether Stripe mailed it is not known: select invoice.sent for the webhook endpoint"


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
    context = CheckContext(services=services, leased=leased, started_at=now(), backfill=backfill)
    check = Check(context=context, waiver=waiver)
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

    context: CheckContext
    waiver: Waiver | None = None
    """A person's decision that this check takes; its figures are filled in from what is billed now."""

    @property
    def services(self) -> Services:
        return self.context.services

    @property
    def leased(self) -> JobLease:
        return self.context.leased

    def run(self, guarded: AbstractContextManager[object]) -> CheckOutcome:
        """Take the steps; take them again when Stripe refuses a write because the invoice changed meanwhile."""
        state, waiver = self.leased.saved, self.waiver
        if self.context.backfill:
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
                    self.context.did(state, "changed under us: read again")
            else:
                state = replace(state, attempts=state.attempts + 1)
                again_at = self.context.started_at + timing.ladder(self.services.policy, state.attempts)
                outcome = CheckOutcome(state=state, status="unread", next_check_at=again_at)
            state = self.services.alerts.recovered(self.leased, outcome.state)
        if state.reason not in UNANSWERED:
            state = replace(state, failures=0)
        return replace(outcome, state=state, steps=tuple(self.context.done))

    def _steps(  # noqa: C901, PLR0911  # all steps in one place, and each one may end the check
        self, state: InvoiceState, waiver: Waiver | None
    ) -> CheckOutcome:
        # 2. Read the invoice and all its lines.
        try:
            case = intake.read(self.context, state)
        except NotFound:
            return intake.gone(self.context, state)
        case = intake.with_stamp_put_back(self.context, case)
        if case.state.put_back >= intake.MOST_PUT_BACK and not case.state.held:
            # Another tool changes our stamp each time: two tools would go on for ever.
            if case.invoice.status is InvoiceStatus.DRAFT:
                return self.context.until(case, case.now + timing.FOREIGN_HOLD_INTERVAL)
            return self.context.end(case, case.state.detail)
        case = intake.with_early_warning(self.context, case)

        # 3. Nothing metered? Then the invoice is not ours, and a precautionary hold on it is undone.
        case = intake.with_usages(self.context, case)
        if not case.usages and (case.cause is HoldCause.PRECAUTION or not case.state.held):
            return intake.nothing_metered(self.context, case)
        case = intake.with_coverage(self.context, case, seen_at=case.real_now)
        case = intake.with_reported_problems(self.context, case)
        case = intake.with_waiver(self.context, case, waiver)

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
            return self.context.end(proven, proven.state.detail, cleared=True)
        case = proven or self._sealed(case, finding)
        if case.invoice.status is not InvoiceStatus.DRAFT and finding.verdict.may_leave:
            self.context.writes(case).confirm(case.invoice, case.state.evidence_sha256 or "", finding.windows)

        # 7. Act. Usage that Stripe folds in at finalization is a new finding, which is acted on in turn.
        acted = self._act(case, finding)
        while not isinstance(acted, CheckOutcome):
            case, finding = acted
            acted = self._act(case, finding)
        # A backfill reports very many drifts; one of them is explained when a person asks.
        if self.services.explaining and not self.context.backfill:
            scope = BillingScope.of_invoice(case.invoice)
            self.services.explaining.explain_once(self.leased, acted.state, scope, finding)
        return acted

    # -- 4. hold or backstop, wait ------------------------------------------------------------------------------------

    def _before_comparison(self, case: Case) -> Case | CheckOutcome:
        """Take the step that comes before the comparison; a case that is returned is compared now."""
        policy = self.services.policy
        match decide.before_comparison(case.invoice, case.state, policy, case.now):
            case actions.End(detail=detail):
                self.context.remove_hold_sign(case)
                return self.context.end(case, detail)
            case actions.Wait(until=until):
                return self._not_yet(case, until)
            case actions.Hold(again=again):
                case = self.context.hold(case, again=again)
            case actions.SetBackstop(at=at):
                case = self.context.set_backstop(case, at)
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

    def _not_yet(self, case: Case, until: datetime) -> CheckOutcome:
        state = case.state
        if state.verdict is None:
            why = ", blocked by the early warning" if state.blocked else ""
            held = "held" if state.held else "not held"
            whose = " by its test clock" if case.ahead is not None else ""
            detail = f"{held}{why}, compared from {iso_to_next_second(until)}{whose}"
            case = replace(case, state=replace(state, detail=detail))
        return self.context.until(case, until)

    def _confirm(self, case: Case) -> Case | CheckOutcome:
        """End an invoice that left with the lines that its stamp names; any other is compared again."""
        stamp = case.state.stamp if carries_stamp(case.invoice, case.state) else None
        # A root proves what it covered; a settlement record may have grown since.
        grows = any(usage.by_record for usage in case.usages)
        if stamp is None or not stamp.verdict.may_leave or grows:
            return case
        if not same_figures(stamp.figures, billed_figures(case.usages)):
            return case
        self.context.did(case.state, "confirmed")
        self.context.writes(case).confirm(case.invoice, stamp.evidence_sha256, case.usages)
        return self.context.end(case, case.state.detail, cleared=True)

    def _watch_release(self, case: Case) -> CheckOutcome:
        """End a released invoice once Stripe collects or mails it; alert when that takes too long."""
        mailed, state = foreign_acts.was_mailed(self.services, case.invoice), case.state
        released = state.position if isinstance(state.position, Released) else Released(at=case.now)
        case = replace(case, state=replace(state, position=released))
        if decide.release_showed_effect(case.invoice, mailed=bool(mailed)):
            return self.context.end(case, state.detail)
        deadline = released.at + decide.EFFECT_WITHIN
        if case.now < deadline:
            return self.context.until(case, deadline)
        if mailed is None:
            return self.context.end(case, f"{state.detail}; released, {_MAIL_UNKNOWN}")
        detail = "released, but Stripe shows no attempt, no payment and no mail"
        return self.context.end(
            replace(case, state=self.context.alerted(case.state, "release_without_effect", detail)), state.detail
        )

    # -- 5. compare and prove -----------------------------------------------------------------------------------------

    def _compare(self, case: Case) -> tuple[Case, Finding]:
        """Compare with the ledger account in force, or with another one that the subscription names."""
        findings = self.services.findings
        finding, state = findings.best(case.read, case.invoice, case.usages, case.state)
        if findings.proves(case.invoice, finding):
            self.context.did(state, str(actions.Prove()))
        waiver, figures = state.waiver, figures_of(finding)
        # A figure that could not be read now is no sign of a change.
        ends = waiver is not None and not state.cleared and finding.reason not in TRANSIENT
        if ends and waiver is not None and not same_figures(waiver.figures, figures):
            detail = f"it named {dict(waiver.figures)}, billed is now {figures}"
            state = replace(self.context.alerted(state, "waiver_ended", detail), waiver=None)
        return replace(case, state=state), finding

    def compared(self) -> tuple[Invoice, Finding, InvoiceState]:
        """Compare both sides now, at any moment, and write nothing: only for a preview.

        A draft whose lines were never read counts from its creation.
        """
        read = self.services.stripe.read_invoice(self.leased.saved.invoice_id)
        policy, now = self.services.policy, self.context.started_at
        state = let_go(with_reading(self.leased.saved, read, now), read, policy.finalize)
        case = Case(state=state, now=now, read=read, invoice=mapped(read, state.mapping))
        case = replace(case, usages=self.services.comparer.usages(case.invoice))
        if not case.usages and not state.held:
            return case.invoice, summarize(()), replace(state, detail=NOTHING_METERED)
        case = intake.with_coverage(self.context, case, seen_at=case.invoice.created_at)
        if case.invoice.auto_advance and not state.held and decide.fails_closed(state, policy):
            case = replace(case, state=replace(case.state, position=Held()))
        finding, state = self.services.findings.best(case.read, case.invoice, case.usages, case.state)
        return mapped(read, state.mapping), finding, with_finding(state, finding, policy, case.real_now)

    def _unestablished(self, case: Case, finding: Finding) -> CheckOutcome | None:
        """End the check when it found only silence about what an earlier check established; else return None."""
        state, policy = case.state, self.services.policy
        if case.has_left and self.context.backfill and self.context.backfill.patient and finding.is_transient:
            if state.verdict in (None, Verdict.UNPROVEN):
                state = with_finding(state, finding, policy, case.real_now)
            return self.context.until(replace(case, state=state), case.now + RATE_LIMIT_RETRY, status=UNSETTLED)
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
            return self.context.end(case, detail)
        return self.context.until(case, case.now + timing.ladder(policy, state.attempts))

    # -- 6. evidence --------------------------------------------------------------------------------------------------

    def _sealed(self, case: Case, finding: Finding) -> Case:
        """Keep the finding, and what it means for leaving; append it to the chain of evidence."""
        policy = self.services.policy
        state = with_finding(
            decide.with_kept_back(case.invoice, case.state, policy, case.now, finding), finding, policy, case.real_now
        )
        state = self.context.writes(case).seal(case.invoice, state, finding, policy)
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
        state = self.context.writes(case).adopt(case.invoice, state, found, sha256, policy)
        self.context.did(state, "carries this proof already")
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
            writes = self.context.writes(case)
            match action:
                case actions.Hold():
                    case = self.context.hold(case, again=False)
                case actions.WriteStamp():
                    try:
                        state, wrote = writes.stamp(case.invoice, case.state, finding, action)
                    except RenderError as error:
                        return self._unrendered(case, error)
                    case = replace(case, state=self._with_footer_problem(state) if action.footer else state)
                    if wrote:
                        self.context.did(case.state, str(action))
                case actions.Finalize():
                    case = replace(case, state=writes.finalize(case.invoice, case.state))
                    self.context.did(case.state, str(action))
                    final = self._after_finalization(intake.read_again(self.context, case), finding)
                    if not isinstance(final, Case):
                        return final
                    case = final
                case actions.Release():
                    case = replace(case, state=writes.release(case.invoice, case.state))
                    self.context.did(case.state, str(action))
                case actions.RaiseAlert():
                    case = replace(case, state=self._raised(case.state, action, finding))
                case actions.Wait(until=until):
                    return self.context.until(replace(case, state=awaiting(case.state, until)), until)
                case actions.End(detail=detail):
                    return self._done(case, finding, detail)
                case _:
                    assert_never(action)
        return self.context.until(case, case.now + RATE_LIMIT_RETRY)

    def _planned(self, case: Case, finding: Finding) -> tuple[tuple[actions.Action, ...], Case]:
        """Return what the finding asks for, and the case as it was read for that.

        An invoice that is to be set free is read once more: another party may have stopped it while it was compared.
        Raises NotEditable when it is not where it was.
        """
        dated = finding.shifted(case.ahead) if case.ahead else finding
        planned = self._asked_for(case, dated)
        if not frees_unread(planned):
            return planned, case
        fresh = intake.read_again(self.context, case)
        before, after = case.invoice, fresh.invoice
        if (after.status, after.auto_advance) != (before.status, before.auto_advance):
            raise NotEditable(STRIPE, "it was changed while it was compared")
        return self._asked_for(fresh, dated), fresh

    def _asked_for(self, case: Case, finding: Finding) -> tuple[actions.Action, ...]:
        # A backfill holds nothing that has left.
        state = as_past(case.state) if self.context.backfill else case.state
        return decide.after_comparison(case.invoice, state, self.services.policy, case.now, finding)

    def _raised(self, state: InvoiceState, action: actions.RaiseAlert, finding: Finding) -> InvoiceState:
        """Alert with the finding's detail, or with the action's own, which the invoice then waits for."""
        if action.detail is None:
            return self.context.alerted(state, f"{action.kind}:{finding.reason.value}", finding.detail)
        return self.context.alerted(replace(state, detail=action.detail), action.kind, action.detail)

    def _unrendered(self, case: Case, error: RenderError) -> CheckOutcome:
        """Hold an invoice whose footer cannot be rendered: it never leaves without it, and goes on when it can be."""
        if case.invoice.auto_advance and not case.state.held:
            case = self.context.hold(case, again=False)
        detail = f"its footer cannot be rendered: {error.with_hint}"
        state = replace(self.context.alerted(case.state, "footer_not_rendered", detail), detail=detail)
        again_at = case.now + timing.ladder(self.services.policy, state.attempts)
        return self.context.until(replace(case, state=state), again_at)

    def _with_footer_problem(self, state: InvoiceState) -> InvoiceState:
        """Alert about a draft that was stamped without its footer; a footer that could not be rendered now was."""
        state = forgotten(state, "footer_not_rendered")
        missing = state.stamp.without_footer if state.stamp else ""
        if not missing:
            return state
        detail = f"stamped without a footer: {missing}"
        state = self.context.alerted(state, "footer_too_long", detail)
        return replace(state, detail="; ".join(filter(None, [state.detail, detail])))

    def _after_finalization(self, case: Case, stamped: Finding) -> Case | CheckOutcome | tuple[Case, Finding]:
        """Read what the finalized invoice bills: it goes on only if that is what was stamped."""
        final, comparer = case.invoice, self.services.comparer
        usages = comparer.usages(final)
        case = replace(case, state=as_read(case.state, final), usages=usages)
        # A preview cannot know the final lines: Stripe may fold usage into them that came after the draft was made.
        same = self.services.stripe.only_records or same_figures(figures_of(stamped), billed_figures(usages))
        if same and self.services.findings.still_vouched(final, usages, stamped):
            self.context.writes(case).confirm(final, case.state.evidence_sha256 or "", usages)
            if final.status is InvoiceStatus.OPEN:
                stopped = stops(final, case.state)
                return self.context.stays(case, stopped) if stopped else case
            self.context.remove_hold_sign(case)
            return self.context.end(case, stamped.detail, cleared=True)
        # Late usage was folded in: the invoice stays where it is, and goes through steps 6 and 7 with that finding.
        now = comparer.compare(final, usages, finalized_by_us=False, raise_rate_limited=False) if usages else stamped
        finding = Finding(
            verdict=Verdict.DRIFTED,
            reason=Reason.CHANGED_AT_FINALIZATION,
            detail=f"stamped {figures_of(stamped)}, final {billed_figures(usages)}",
            windows=now.windows,
        )
        return self._sealed(case, finding), finding

    def _done(self, case: Case, finding: Finding, detail: str) -> CheckOutcome:
        good, invoice = finding.verdict.may_leave, case.invoice
        if self.context.backfill and not good and decide.must_stop(invoice, case.state, self.services.policy, finding):
            # It left just now: holding it is the next ordinary check's to do.
            return self.context.until(case, case.now)
        if good and invoice.status in GIVEN_UP:
            self.context.remove_hold_sign(case)
        return self.context.end(case, case.state.detail or detail, cleared=good)

    # -- no answer ----------------------------------------------------------------------------------------------------

    def unanswered(self, error: RemoteError, now: datetime) -> CheckOutcome:
        """Note that a vendor did not answer, or refused: nothing was decided, and no finding is replaced."""
        state, alerts, policy = self.leased.saved, self.services.alerts, self.services.policy
        failures = self.leased.job.state.failures
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
