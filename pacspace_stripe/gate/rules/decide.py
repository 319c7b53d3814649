"""What to do next with one invoice, as data. Pure: the caller reads, this decides, the caller acts.

``before_comparison`` looks at the invoice as Stripe has it now and at what we remember; ``after_comparison``
adds the finding. Both can be asked again at any time and give the same answer for the same state.
"""

from datetime import datetime, timedelta
from typing import assert_never

from pacspace_stripe.comparison.rules.verdicts import UNANSWERED, Finding, Verdict
from pacspace_stripe.gate.rules.actions import (
    Action,
    Backstop,
    Compare,
    Confirm,
    End,
    Finalize,
    Hold,
    RaiseAlert,
    Release,
    Step,
    Wait,
    WatchRelease,
    WriteStamp,
)
from pacspace_stripe.gate.rules.carried_stamp import carries_stamp, stamp_stays, stamped_good
from pacspace_stripe.gate.rules.footer import find_block
from pacspace_stripe.gate.rules.stamp import EVIDENCE_KEY
from pacspace_stripe.gate.rules.state import InvoiceState, Stage
from pacspace_stripe.gate.rules.stops import stops, told, withheld
from pacspace_stripe.gate.rules.timing import (
    FOREIGN_HOLD_LOOK,
    GIVE_UP_AFTER,
    given_back_at,
    look_again_at,
    look_at,
    planned_finalization,
    rescheduled,
)
from pacspace_stripe.usage.rules import figures_of, same_figures
from pacspace_stripe.vocabulary.invoices import BillingReason, Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.policy import FailPolicy, FinalizePolicy, Mode, Policy

CONFIRM_MARGIN = timedelta(minutes=5)
"""How long after a planned finalization we look ourselves, should its event be lost."""
EFFECT_WITHIN = timedelta(hours=1)
"""A release that shows no attempt, no payment and no mail by then is alerted."""


def fails_closed(memory: InvoiceState, policy: Policy) -> bool:
    """Blocked or already held invoices are treated as fail closed, whatever the policy."""
    return policy.fail is FailPolicy.CLOSED or memory.blocked or memory.held


def before_comparison(invoice: Invoice, memory: InvoiceState, policy: Policy, now: datetime) -> Step:
    """The next step before the two figures are compared."""
    match invoice.status:
        case InvoiceStatus.DRAFT:
            return _draft(invoice, memory, policy, now)
        case InvoiceStatus.OPEN:
            return _open(invoice, memory, policy)
        case InvoiceStatus.PAID:
            if memory.stage is Stage.RELEASED:
                return Confirm() if memory.held else End(detail="paid")
            return Confirm() if memory.stamped and not memory.held else Compare()
        case InvoiceStatus.VOID | InvoiceStatus.UNCOLLECTIBLE:
            return Compare() if memory.held and policy.mode is Mode.ENFORCE else End(detail=invoice.status.value)
        case InvoiceStatus.UNKNOWN:
            return Compare()
        case _:
            assert_never(invoice.status)


def _open(invoice: Invoice, memory: InvoiceState, policy: Policy) -> Step:
    if memory.stage is Stage.RELEASED and invoice.auto_advance:
        return WatchRelease()
    if memory.held and invoice.auto_advance and policy.mode is Mode.ENFORCE:
        return Hold(again=True)
    if memory.stamped and not memory.held:
        return Confirm()
    return Compare()


def _draft(invoice: Invoice, memory: InvoiceState, policy: Policy, now: datetime) -> Step:
    if policy.mode is Mode.ENFORCE and invoice.auto_advance and not _let_go(invoice, memory, policy):
        if memory.held:
            return Hold(again=memory.held_at is not None)
        if fails_closed(memory, policy):
            return Hold()
        if memory.backstop_at is None:
            return _backstop(invoice, memory, policy, now)
    until = look_at(invoice, memory, policy)
    return Compare() if until <= now else Wait(until=until)


def _let_go(invoice: Invoice, memory: InvoiceState, policy: Policy) -> bool:
    """Our own stamp set it free, as the policy in force allows: it is no hold undone by somebody."""
    if fails_closed(memory, policy) and policy.finalize is FinalizePolicy.STRICT:
        return False
    no_room = memory.stage is Stage.STAMPED and EVIDENCE_KEY not in invoice.metadata
    return not memory.held and stamped_good(memory) and (carries_stamp(invoice, memory) or no_room)


def _backstop(invoice: Invoice, memory: InvoiceState, policy: Policy, now: datetime) -> Step:
    planned = planned_finalization(invoice, memory)
    at = max(planned, invoice.created_at + policy.backstop)
    if at <= planned or at <= now:
        return Backstop(at=planned)
    return Backstop(at=at)


def with_waiver(finding: Finding, memory: InvoiceState) -> Finding:
    """A waiver turns drifted or unproven into waived while it names exactly the quantities that will be billed."""
    waiver = memory.waiver
    if waiver is None or not waiver.of_finding or finding.verdict not in (Verdict.DRIFTED, Verdict.UNPROVEN):
        return finding
    if not same_figures(waiver.figures, figures_of(finding)):
        return finding
    return Finding(verdict=Verdict.WAIVED, reason=finding.reason, detail=finding.detail, windows=finding.windows)


def after_comparison(
    invoice: Invoice, memory: InvoiceState, policy: Policy, now: datetime, finding: Finding
) -> tuple[Action, ...]:
    """What the finding asks for: actions in order, the last one says when to look again (or never)."""
    asked = _asked_for(invoice, memory, policy, now, finding)
    if not stamp_stays(invoice, memory, finding):
        return asked
    return tuple(action for action in asked if not isinstance(action, WriteStamp))


def _asked_for(
    invoice: Invoice, memory: InvoiceState, policy: Policy, now: datetime, finding: Finding
) -> tuple[Action, ...]:
    if policy.mode is Mode.OBSERVE:
        return _observed(invoice, memory, policy, now, finding)
    match invoice.status:
        case InvoiceStatus.DRAFT:
            actions = _draft_found(invoice, memory, policy, now, finding)
        case InvoiceStatus.OPEN | InvoiceStatus.PAID:
            actions = _left_found(invoice, memory, policy, now, finding)
        case InvoiceStatus.VOID | InvoiceStatus.UNCOLLECTIBLE:
            actions = _given_up(invoice, memory, policy, now, finding)
        case InvoiceStatus.UNKNOWN:
            actions = (RaiseAlert(kind="unknown_status"), _retry(memory, policy, now, finding))
        case _:
            assert_never(invoice.status)
    return withheld(actions, invoice, memory, policy, now)


def _given_up(
    invoice: Invoice, memory: InvoiceState, policy: Policy, now: datetime, finding: Finding
) -> tuple[Action, ...]:
    """A person voided it, or wrote it off, under our hold. What was wrong about it is said on it; nothing is proven."""
    if finding.reason in UNANSWERED and memory.attempts < len(policy.retry):
        return (_retry(memory, policy, now, finding),)
    mark: tuple[Action, ...] = () if finding.verdict.may_leave else (WriteStamp(footer=False),)
    status = invoice.status.value
    return *mark, RaiseAlert(kind=f"{status}_under_hold"), End(detail=f"a person made it {status}")


def _draft_found(
    invoice: Invoice, memory: InvoiceState, policy: Policy, now: datetime, finding: Finding
) -> tuple[Action, ...]:
    if finding.verdict.may_leave:
        return _draft_good(invoice, memory, policy, now, finding)
    hold = (Hold(),) if _must_hold(invoice, memory, policy, finding) else ()
    says_otherwise = invoice.metadata.get("pacspace_verdict", finding.verdict.value) != finding.verdict.value
    mark = (WriteStamp(footer=False),) if says_otherwise else ()
    goes_out = memory.backstop_at is not None and not fails_closed(memory, policy) and now < memory.backstop_at
    told = () if goes_out and finding.is_transient else _told(memory, policy, finding)
    return (*hold, *mark, *told, _retry(memory, policy, now, finding))


def _told(memory: InvoiceState, policy: Policy, finding: Finding) -> tuple[Action, ...]:
    """A drift is told at once; an unproven one when it will not heal by itself, or has not.

    One that goes out at its backstop has until then to heal.
    """
    waits = finding.is_transient and memory.attempts < len(policy.retry)
    return () if waits or finding.verdict.may_leave else (RaiseAlert(kind=finding.verdict.value),)


def _must_hold(invoice: Invoice, memory: InvoiceState, policy: Policy, finding: Finding) -> bool:
    if not invoice.auto_advance:
        return False
    return finding.verdict is Verdict.DRIFTED or fails_closed(memory, policy) or _too_late_then(invoice, finding)


def _too_late_then(invoice: Invoice, finding: Finding) -> bool:
    """Stripe finalizes it, and takes the money, before a difference that was found can be looked at a second time."""
    planned = invoice.automatically_finalizes_at
    return finding.second_read_at is not None and planned is not None and planned <= finding.second_read_at


def _draft_good(
    invoice: Invoice, memory: InvoiceState, policy: Policy, now: datetime, finding: Finding
) -> tuple[Action, ...]:
    if not memory.held and not invoice.auto_advance:
        stopped = stops(invoice, memory) if memory.backstop_at else ()
        return WriteStamp(footer=True), *told(stopped, memory, policy, now)
    lags = any(result.from_meter for result in finding.windows)
    if memory.held and (lags or policy.finalize is FinalizePolicy.STRICT):
        return WriteStamp(footer=True), Finalize(), Release(), Wait(until=now + EFFECT_WITHIN)
    if memory.held:
        return WriteStamp(footer=True, auto_advance=True), Wait(until=now + EFFECT_WITHIN + CONFIRM_MARGIN)
    given_back = carries_stamp(invoice, memory) and memory.backstop_at is None
    if invoice.automatically_finalizes_at and (given_back or rescheduled(invoice, memory)):
        return WriteStamp(footer=True), Wait(until=max(invoice.automatically_finalizes_at, now) + CONFIRM_MARGIN)
    at = given_back_at(invoice, memory, now)
    return WriteStamp(footer=True, finalizes_at=at), Wait(until=at + CONFIRM_MARGIN)


def _left_found(
    invoice: Invoice, memory: InvoiceState, policy: Policy, now: datetime, finding: Finding
) -> tuple[Action, ...]:
    """Finalized: the footer is frozen, so metadata only. Only what we held is released."""
    free = memory.finalized_by_us and invoice.amount_due == 0
    under_hold = memory.held and invoice.status is InvoiceStatus.PAID and not free
    alerts: tuple[Action, ...] = (RaiseAlert(kind="paid_under_hold"),) if under_hold else ()
    if finding.verdict.may_leave:
        if memory.held and invoice.status is InvoiceStatus.OPEN:
            footer = (RaiseAlert(kind="footer_outdated"),) if _footer_outdated(invoice, memory) else ()
            return WriteStamp(footer=False), *footer, Release(), Wait(until=now + EFFECT_WITHIN)
        return WriteStamp(footer=False), *alerts, End(detail="verified after it was finalized")
    stopped = (Hold(),) if must_stop(invoice, memory, policy, finding) else ()
    told: tuple[Action, ...] = (*stopped, WriteStamp(footer=False), *alerts, RaiseAlert(kind=_left(memory, finding)))
    return *told, _after_bad(invoice, memory, policy, now, finding)


def _left(memory: InvoiceState, finding: Finding) -> str:
    """What is told of one that left: failing open, it went out at its backstop, or somebody sent it before."""
    went_out = finding.verdict is Verdict.UNPROVEN and memory.backstop_at is not None and not memory.held
    return "went_out_unproven" if went_out else finding.verdict.value


def _footer_outdated(invoice: Invoice, memory: InvoiceState) -> bool:
    """The frozen footer names an earlier evidence than the one it leaves with."""
    return find_block(invoice.footer) is not None and (memory.evidence_sha256 or "") not in (invoice.footer or "")


def must_stop(invoice: Invoice, memory: InvoiceState, policy: Policy, finding: Finding) -> bool:
    """Whether a finalized invoice that still advances is held: a drift always, an unproven one when failing closed.

    First invoices are finalized at birth and can only be verified after the fact, as is what left long ago.
    """
    if memory.past or invoice.status is not InvoiceStatus.OPEN or not invoice.auto_advance:
        return False
    at_birth = invoice.billing_reason is BillingReason.SUBSCRIPTION_CREATE
    closed = fails_closed(memory, policy) and not invoice.attempted and not at_birth
    return finding.verdict is Verdict.DRIFTED or closed


def _after_bad(invoice: Invoice, memory: InvoiceState, policy: Policy, now: datetime, finding: Finding) -> Action:
    held = memory.held or must_stop(invoice, memory, policy, finding)
    if held and invoice.status is InvoiceStatus.OPEN:
        return _retry(memory, policy, now, finding)
    if finding.verdict is Verdict.DRIFTED:
        return End(detail="left with a drift")
    left_at = invoice.finalized_at or invoice.created_at
    if now >= left_at + GIVE_UP_AFTER:
        return End(detail="left unproven")
    return _retry(memory, policy, now, finding)


def _observed(
    invoice: Invoice, memory: InvoiceState, policy: Policy, now: datetime, finding: Finding
) -> tuple[Action, ...]:
    inherited: tuple[Action, ...] = (RaiseAlert(kind="inherited_hold"),) if memory.held else ()
    alert = (*inherited, *_told(memory, policy, finding))
    if invoice.status is InvoiceStatus.PAID and finding.verdict is not Verdict.UNPROVEN:
        return *alert, End(detail="observed")
    if invoice.status is InvoiceStatus.OPEN and finding.verdict.may_leave and not memory.held:
        return (End(detail="observed"),)
    given_up = now >= invoice.created_at + 2 * GIVE_UP_AFTER
    if given_up and invoice.status is not InvoiceStatus.DRAFT and not memory.held:
        return *alert, End(detail="observed")
    if invoice.status is InvoiceStatus.DRAFT and finding.verdict.may_leave:
        planned = invoice.automatically_finalizes_at or now + FOREIGN_HOLD_LOOK
        return *inherited, Wait(until=max(planned, now) + CONFIRM_MARGIN)
    planned = planned_finalization(invoice, memory)
    again = _retry(memory, policy, now, finding)
    # When the gate would let it go or keep it: what is found then is what the report says.
    return *alert, Wait(until=planned) if now < planned < again.until else again


def _retry(memory: InvoiceState, policy: Policy, now: datetime, finding: Finding) -> Wait:
    return Wait(until=look_again_at(memory, policy, now, finding))


def release_showed_effect(invoice: Invoice, *, mailed: bool) -> bool:
    """Return whether a released invoice moved: a payment was attempted, or Stripe said that it was mailed."""
    return invoice.attempted or invoice.attempt_count > 0 or mailed
