"""Decisions about one invoice, as data: the caller reads, this module decides, the caller acts.

``before_comparison`` takes the invoice as Stripe has it now and the invoice state; ``after_comparison`` takes the
finding as well. Both give the same answer for the same input, at any time.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from pacspace_stripe.comparison.rules.verdicts import UNANSWERED, Finding, Verdict
from pacspace_stripe.gate.rules.actions import (
    Action,
    Compare,
    Confirm,
    End,
    Finalize,
    Hold,
    RaiseAlert,
    Release,
    SetBackstop,
    Step,
    Wait,
    WatchRelease,
    WriteStamp,
)
from pacspace_stripe.gate.rules.footer import find_block
from pacspace_stripe.gate.rules.stamp import EVIDENCE_KEY, carries_stamp, stamp_stays, stamped_good
from pacspace_stripe.gate.rules.state import Finalizer, InvoiceState, KeptBack, Stamped
from pacspace_stripe.gate.rules.stops import alerts_about, stops, withheld
from pacspace_stripe.gate.rules.timing import (
    FOREIGN_HOLD_INTERVAL,
    GIVE_UP_AFTER,
    comparable_at,
    given_back_at,
    next_check_at,
    planned_finalization,
    rescheduled,
)
from pacspace_stripe.usage.rules import figures_of, same_figures
from pacspace_stripe.vocabulary.invoices import BillingReason, Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.policy import FailPolicy, FinalizePolicy, Mode, Policy

CONFIRM_MARGIN = timedelta(minutes=5)
"""Time after a planned finalization at which the gate checks by itself, in case the event was lost."""
EFFECT_WITHIN = timedelta(hours=1)
"""Time after which a release without an attempt, a payment or a mail raises an alert."""


def fails_closed(state: InvoiceState, policy: Policy) -> bool:
    """Return whether the invoice fails closed: by policy, because it is blocked, or because it is held already."""
    return policy.fail is FailPolicy.CLOSED or state.blocked or state.held


def before_comparison(invoice: Invoice, state: InvoiceState, policy: Policy, now: datetime) -> Step:
    """Return the next step before the two figures are compared."""
    match invoice.status:
        case InvoiceStatus.DRAFT:
            return _draft(invoice, state, policy, now)
        case InvoiceStatus.OPEN:
            return _open(invoice, state, policy)
        case InvoiceStatus.PAID:
            if state.released:
                return Confirm() if state.held else End(detail="paid")
            return Confirm() if state.stamp and not state.held else Compare()
        case InvoiceStatus.VOID | InvoiceStatus.UNCOLLECTIBLE:
            return Compare() if state.held and policy.mode is Mode.ENFORCE else End(detail=invoice.status.value)
        case InvoiceStatus.UNKNOWN:
            return Compare()
        case _:
            assert_never(invoice.status)


def _open(invoice: Invoice, state: InvoiceState, policy: Policy) -> Step:
    if state.released and invoice.auto_advance:
        return WatchRelease()
    if state.held and invoice.auto_advance and policy.mode is Mode.ENFORCE:
        return Hold(again=True)
    if state.stamp and not state.held:
        return Confirm()
    return Compare()


def _draft(invoice: Invoice, state: InvoiceState, policy: Policy, now: datetime) -> Step:
    if policy.mode is Mode.ENFORCE and invoice.auto_advance and not _let_go(invoice, state, policy):
        if state.held:
            return Hold(again=not state.requested)
        if fails_closed(state, policy):
            return Hold()
        if state.backstop_at is None:
            return _backstop(invoice, state, policy, now)
    until = comparable_at(invoice, state, policy)
    return Compare() if until <= now else Wait(until=until)


def _let_go(invoice: Invoice, state: InvoiceState, policy: Policy) -> bool:
    """Return whether our own stamp set it free, as the policy in force allows: no hold was undone then."""
    if fails_closed(state, policy) and policy.finalize is FinalizePolicy.STRICT:
        return False
    no_room = isinstance(state.position, Stamped) and EVIDENCE_KEY not in invoice.metadata
    return not state.held and stamped_good(state) and (carries_stamp(invoice, state) or no_room)


def _backstop(invoice: Invoice, state: InvoiceState, policy: Policy, now: datetime) -> Step:
    planned = planned_finalization(invoice, state)
    at = max(planned, invoice.created_at + policy.backstop)
    if at <= planned or at <= now:
        return SetBackstop(at=planned)
    return SetBackstop(at=at)


def with_waiver(finding: Finding, state: InvoiceState) -> Finding:
    """Turn drifted or unproven into waived while the waiver names exactly the quantities that will be billed."""
    waiver = state.waiver
    if waiver is None or not waiver.of_finding or finding.verdict not in (Verdict.DRIFTED, Verdict.UNPROVEN):
        return finding
    if not same_figures(waiver.figures, figures_of(finding)):
        return finding
    return Finding(verdict=Verdict.WAIVED, reason=finding.reason, detail=finding.detail, windows=finding.windows)


def after_comparison(
    invoice: Invoice, state: InvoiceState, policy: Policy, now: datetime, finding: Finding
) -> tuple[Action, ...]:
    """Return the actions that the finding asks for, in order; the last one waits for the next check, or ends."""
    asked = _asked_for(invoice, state, policy, now, finding)
    if not stamp_stays(invoice, state, finding):
        return asked
    return tuple(action for action in asked if not isinstance(action, WriteStamp))


def _asked_for(
    invoice: Invoice, state: InvoiceState, policy: Policy, now: datetime, finding: Finding
) -> tuple[Action, ...]:
    if policy.mode is Mode.OBSERVE:
        return _observed(invoice, state, policy, now, finding)
    match invoice.status:
        case InvoiceStatus.DRAFT:
            actions = _draft_found(invoice, state, policy, now, finding)
        case InvoiceStatus.OPEN | InvoiceStatus.PAID:
            actions = _left_found(invoice, state, policy, now, finding)
        case InvoiceStatus.VOID | InvoiceStatus.UNCOLLECTIBLE:
            actions = _given_up(invoice, state, policy, now, finding)
        case InvoiceStatus.UNKNOWN:
            actions = (RaiseAlert(kind="unknown_status"), _retry(state, policy, now, finding))
        case _:
            assert_never(invoice.status)
    return withheld(actions, invoice, state, policy, now)


def _given_up(
    invoice: Invoice, state: InvoiceState, policy: Policy, now: datetime, finding: Finding
) -> tuple[Action, ...]:
    """Return the actions on an invoice that a person gave up under our hold: mark what is wrong, prove nothing."""
    if finding.reason in UNANSWERED and state.attempts < len(policy.retry):
        return (_retry(state, policy, now, finding),)
    mark: tuple[Action, ...] = () if finding.verdict.may_leave else (WriteStamp(footer=False),)
    status = invoice.status.value
    return *mark, RaiseAlert(kind=f"{status}_under_hold"), End(detail=f"a person made it {status}")


def _draft_found(
    invoice: Invoice, state: InvoiceState, policy: Policy, now: datetime, finding: Finding
) -> tuple[Action, ...]:
    if finding.verdict.may_leave:
        return _draft_good(invoice, state, policy, now, finding)
    hold = (Hold(),) if _must_hold(invoice, state, policy, finding) else ()
    outdated = invoice.metadata.get("pacspace_verdict", finding.verdict.value) != finding.verdict.value
    mark = (WriteStamp(footer=False),) if outdated else ()
    leaves_at_backstop = state.backstop_at is not None and not fails_closed(state, policy) and now < state.backstop_at
    # An invoice that leaves at its backstop has until then to heal.
    alerts = () if leaves_at_backstop and finding.is_transient else _alerts(state, policy, finding)
    return (*hold, *mark, *alerts, _retry(state, policy, now, finding))


def _alerts(state: InvoiceState, policy: Policy, finding: Finding) -> tuple[Action, ...]:
    """Return the alert about a finding: a drift at once, an unproven one when it does not heal by itself."""
    waits = finding.is_transient and state.attempts < len(policy.retry)
    return () if waits or finding.verdict.may_leave else (RaiseAlert(kind=finding.verdict.value),)


def _must_hold(invoice: Invoice, state: InvoiceState, policy: Policy, finding: Finding) -> bool:
    if not invoice.auto_advance:
        return False
    return finding.verdict is Verdict.DRIFTED or fails_closed(state, policy) or _too_late_then(invoice, finding)


def _too_late_then(invoice: Invoice, finding: Finding) -> bool:
    """Return whether Stripe finalizes it, and takes the money, before a second meter read confirms the difference."""
    planned = invoice.automatically_finalizes_at
    return finding.second_read_at is not None and planned is not None and planned <= finding.second_read_at


def _draft_good(
    invoice: Invoice, state: InvoiceState, policy: Policy, now: datetime, finding: Finding
) -> tuple[Action, ...]:
    if not state.held and not invoice.auto_advance:
        stopped = stops(invoice, state) if state.backstop_at else ()
        return WriteStamp(footer=True), *alerts_about(stopped, state, policy, now)
    lags = any(result.from_meter for result in finding.windows)
    if state.held and (lags or policy.finalize is FinalizePolicy.STRICT):
        return WriteStamp(footer=True), Finalize(), Release(), Wait(until=now + EFFECT_WITHIN)
    if state.held:
        return WriteStamp(footer=True, auto_advance=True), Wait(until=now + EFFECT_WITHIN + CONFIRM_MARGIN)
    given_back = carries_stamp(invoice, state) and state.backstop_at is None
    if invoice.automatically_finalizes_at and (given_back or rescheduled(invoice, state)):
        return WriteStamp(footer=True), Wait(until=max(invoice.automatically_finalizes_at, now) + CONFIRM_MARGIN)
    at = given_back_at(invoice, state, now)
    return WriteStamp(footer=True, finalizes_at=at), Wait(until=at + CONFIRM_MARGIN)


def _left_found(
    invoice: Invoice, state: InvoiceState, policy: Policy, now: datetime, finding: Finding
) -> tuple[Action, ...]:
    """Return the actions on a finalized invoice: its footer is frozen, and only what the gate held is released."""
    free = state.finalizer is Finalizer.US and invoice.amount_due == 0
    under_hold = state.held and invoice.status is InvoiceStatus.PAID and not free
    alerts: tuple[Action, ...] = (RaiseAlert(kind="paid_under_hold"),) if under_hold else ()
    if finding.verdict.may_leave:
        if state.held and invoice.status is InvoiceStatus.OPEN:
            footer = (RaiseAlert(kind="footer_outdated"),) if _footer_outdated(invoice, state) else ()
            return WriteStamp(footer=False), *footer, Release(), Wait(until=now + EFFECT_WITHIN)
        return WriteStamp(footer=False), *alerts, End(detail="verified after it was finalized")
    stopped = (Hold(),) if must_stop(invoice, state, policy, finding) else ()
    marked: tuple[Action, ...] = (*stopped, WriteStamp(footer=False), *alerts, RaiseAlert(kind=_left(state, finding)))
    return *marked, _after_bad(invoice, state, policy, now, finding)


def _left(state: InvoiceState, finding: Finding) -> str:
    """Return the alert about a bad invoice that left: unproven at its backstop when failing open, else its verdict."""
    went_out = finding.verdict is Verdict.UNPROVEN and state.backstop_at is not None and not state.held
    return "went_out_unproven" if went_out else finding.verdict.value


def _footer_outdated(invoice: Invoice, state: InvoiceState) -> bool:
    """Return whether the frozen footer names an earlier evidence than the one that the invoice leaves with."""
    return find_block(invoice.footer) is not None and (state.evidence_sha256 or "") not in (invoice.footer or "")


def must_stop(invoice: Invoice, state: InvoiceState, policy: Policy, finding: Finding) -> bool:
    """Return whether a finalized invoice that still advances is held: a drift always, unproven when failing closed.

    First invoices are finalized as they are made, and can only be verified afterwards, as is what left long ago.
    """
    if state.past or invoice.status is not InvoiceStatus.OPEN or not invoice.auto_advance:
        return False
    at_birth = invoice.billing_reason is BillingReason.SUBSCRIPTION_CREATE
    closed = fails_closed(state, policy) and not invoice.attempted and not at_birth
    return finding.verdict is Verdict.DRIFTED or closed


def _after_bad(invoice: Invoice, state: InvoiceState, policy: Policy, now: datetime, finding: Finding) -> Action:
    held = state.held or must_stop(invoice, state, policy, finding)
    if held and invoice.status is InvoiceStatus.OPEN:
        return _retry(state, policy, now, finding)
    if finding.verdict is Verdict.DRIFTED:
        return End(detail="left with a drift")
    left_at = invoice.finalized_at or invoice.created_at
    if now >= left_at + GIVE_UP_AFTER:
        return End(detail="left unproven")
    return _retry(state, policy, now, finding)


def _observed(
    invoice: Invoice, state: InvoiceState, policy: Policy, now: datetime, finding: Finding
) -> tuple[Action, ...]:
    inherited: tuple[Action, ...] = (RaiseAlert(kind="inherited_hold"),) if state.held else ()
    alert = (*inherited, *_alerts(state, policy, finding))
    if invoice.status is InvoiceStatus.PAID and finding.verdict is not Verdict.UNPROVEN:
        return *alert, End(detail="observed")
    if invoice.status is InvoiceStatus.OPEN and finding.verdict.may_leave and not state.held:
        return (End(detail="observed"),)
    given_up = now >= invoice.created_at + 2 * GIVE_UP_AFTER
    if given_up and invoice.status is not InvoiceStatus.DRAFT and not state.held:
        return *alert, End(detail="observed")
    if invoice.status is InvoiceStatus.DRAFT and finding.verdict.may_leave:
        planned = invoice.automatically_finalizes_at or now + FOREIGN_HOLD_INTERVAL
        return *inherited, Wait(until=max(planned, now) + CONFIRM_MARGIN)
    planned = planned_finalization(invoice, state)
    again = _retry(state, policy, now, finding)
    # At that time the gate would release or keep it: the report shows the finding of that check.
    return *alert, Wait(until=planned) if now < planned < again.until else again


def _retry(state: InvoiceState, policy: Policy, now: datetime, finding: Finding) -> Wait:
    return Wait(until=next_check_at(state, policy, now, finding))


def release_showed_effect(invoice: Invoice, *, mailed: bool) -> bool:
    """Return whether a released invoice moved: a payment was attempted, or Stripe reported that it was mailed."""
    return invoice.attempted or invoice.attempt_count > 0 or mailed


def with_kept_back(
    invoice: Invoice, state: InvoiceState, policy: Policy, now: datetime, finding: Finding
) -> InvoiceState:
    """Return the state with whether this finding keeps the invoice back, and since when both sides agree."""
    if finding.verdict.may_leave:
        kept = state.kept_back
        ended = replace(kept, until=now) if kept is not None and kept.until is None else kept
        return replace(state, kept_back=ended, agreed_at=state.agreed_at or now)
    state = replace(state, agreed_at=None)
    if not would_hold(invoice, state, policy, now, finding):
        return state
    since = planned_finalization(invoice, state) if _was_draft(state) else now
    since = state.kept_back.since if state.kept_back else since
    kept = KeptBack(since=since, verdict=finding.verdict, reason=finding.reason, detail=finding.detail)
    return replace(state, kept_back=kept)


def would_hold(invoice: Invoice, state: InvoiceState, policy: Policy, now: datetime, finding: Finding) -> bool:
    """Return whether the gate keeps the invoice back when Stripe would send it; in observe mode: would keep it.

    Both modes give the same answer for the same finding: the report counts it before the gate enforces. An invoice that
    cannot be stopped any more, or never may be, is not kept back.
    """
    stops = finding.verdict is Verdict.DRIFTED or fails_closed(state, policy)
    if finding.verdict.may_leave or not stops or now < planned_finalization(invoice, state):
        return False
    match invoice.status:
        case InvoiceStatus.DRAFT:
            return state.held or invoice.auto_advance
        case InvoiceStatus.OPEN:
            return state.held or _got_away(state, policy) or must_stop(invoice, state, policy, finding)
        case InvoiceStatus.PAID:
            return _got_away(state, policy)
        case _:
            return False


def _got_away(state: InvoiceState, policy: Policy) -> bool:
    """Return whether an invoice left only because the gate observes: enforcing, it would have held the draft."""
    first = state.first
    return policy.mode is Mode.OBSERVE and first is not None and first.auto_advance and _was_draft(state)


def _was_draft(state: InvoiceState) -> bool:
    return state.first is not None and state.first.status is InvoiceStatus.DRAFT
