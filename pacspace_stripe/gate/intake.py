"""Intake of an invoice, steps 2 and 3 of a check: what is read, what other people did, and what it bills."""

from dataclasses import replace
from datetime import datetime, timedelta

from pacspace_stripe.comparison.finding import mapped
from pacspace_stripe.comparison.rules.verdicts import (
    NOTHING_METERED,
    Verdict,
)
from pacspace_stripe.errors import (
    RemoteError,
)
from pacspace_stripe.gate import foreign_acts
from pacspace_stripe.gate.case import Case, CheckContext, CheckOutcome
from pacspace_stripe.gate.early_warning import is_of_period
from pacspace_stripe.gate.rules import actions, decide, timing
from pacspace_stripe.gate.rules.stamp import (
    carries_stamp,
    changed_stamp,
    footer_is_lost,
)
from pacspace_stripe.gate.rules.state import ANY_STOP, Cleared, Ended, HoldCause, InvoiceState, Waiver
from pacspace_stripe.gate.rules.stops import stops
from pacspace_stripe.gate.rules.transitions import (
    as_past,
    first_reads,
    forgotten,
    let_go,
    stopped_for,
    with_reading,
)
from pacspace_stripe.usage.rules import (
    UNNAMED,
    covered_parts,
    figures_of,
    may_bill_usage,
    names_metronome,
    same_figures,
)
from pacspace_stripe.vocabulary.invoices import Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.policy import Mode

MOST_PUT_BACK = 5
"""Number of times in a row that a stamp is put back after another party changed it."""


def read(context: CheckContext, state: InvoiceState) -> Case:
    """Read the invoice, with all that may have stopped it, and bring the state up to it."""
    fresh, state, now, ahead = _read_standing(context, state, context.started_at, None)
    seen = let_go(with_reading(state, fresh, now), fresh, context.services.policy.finalize)
    if context.backfill and state.first is None and not seen.held and timing.left_long_ago(fresh, now):
        seen = as_past(seen)
    return Case(state=seen, now=now, ahead=ahead, read=fresh, invoice=mapped(fresh, seen.mapping))


def _read_standing(
    context: CheckContext, state: InvoiceState, now: datetime, ahead: timedelta | None
) -> tuple[Invoice, InvoiceState, datetime, timedelta | None]:
    """Return the invoice with what may have stopped it, the state, and the time by its clock and its lead over ours."""
    one_off = state.first is not None and state.subscription_id is None
    invoice = context.services.stripe.read_invoice_standing(state.invoice_id, customer=one_off)
    clock = invoice.test_clock
    if clock is not None and clock.frozen_at is None:
        detail = f"its test clock {clock.clock_id} could not be read: it is compared by real time"
        state = context.alerted(state, "test_clock_unread", detail)
    elif clock is not None and clock.frozen_at is not None:
        # Stripe plans, finalizes and collects the invoice by its test clock.
        now, ahead = clock.frozen_at, clock.frozen_at - (now - (ahead or timedelta(0)))
    if state.held:
        state = foreign_acts.with_updates(context.services, state)
    return invoice, state, now, ahead


def read_again(context: CheckContext, case: Case) -> Case:
    """Read the invoice once more: a write of this check, or another party, may have changed it."""
    fresh, state, now, ahead = _read_standing(context, case.state, case.now, case.ahead)
    case = with_stamp_put_back(context, replace(case, state=state, now=now, ahead=ahead, invoice=fresh))
    return replace(case, invoice=mapped(case.invoice, case.state.mapping))


def gone(context: CheckContext, state: InvoiceState) -> CheckOutcome:
    """Handle an invoice that Stripe does not find.

    A subscription's draft cannot be deleted (FACTS 2.2.1): a 404 may mean a key of another account, or a read that
    came too early. A held invoice ends only if one of Stripe's events reports its deletion; until then there is an
    alert. Any other invoice ends after as many reads in a row as the retry ladder has steps.
    """
    policy = context.services.policy
    detail = None
    if state.held and foreign_acts.was_deleted(context.services, state, context.started_at):
        detail = "deleted in Stripe"
    elif state.held:
        missed = "Stripe does not know an invoice that we hold: is STRIPE_API_KEY of this account?"
        state = context.alerted(state, "held_but_gone", missed)
    elif state.attempts >= len(policy.retry):
        detail = "deleted in Stripe, or of another account"
    if detail is not None:
        context.services.store.coverage.put(state.invoice_id, ())
        ended = replace(state, position=Cleared() if state.cleared else Ended(), detail=detail)
        return CheckOutcome(state=ended, status="deleted", next_check_at=None)
    state = replace(state, attempts=state.attempts + 1)
    again_at = context.started_at + timing.ladder(policy, state.attempts)
    return CheckOutcome(state=state, status="deleted", next_check_at=again_at)


def with_stamp_put_back(context: CheckContext, case: Case) -> Case:
    """Alert about a change of our stamp by another party, and write the stamp again.

    A frozen footer cannot be written: where the gate holds the invoice, ``stops`` keeps it there and alerts.
    """
    invoice, state = case.invoice, case.state
    changed = changed_stamp(invoice, state)
    if changed is None:
        return replace(case, state=replace(state, put_back=0))
    draft = invoice.status is InvoiceStatus.DRAFT
    if changed.footer and not draft and not footer_is_lost(invoice, state):
        detail = "another party changed our block in its footer, and it is frozen now"
        state = context.alerted(state, "footer_changed", detail)
    if not changed.metadata and not draft:
        return replace(case, state=state)
    if context.services.policy.mode is Mode.OBSERVE:
        detail = f"another party changed our stamp, and observing puts nothing back: {changed}"
        return replace(case, state=context.alerted(state, "stamp_changed", detail))
    if state.put_back >= MOST_PUT_BACK:
        detail = f"another party changes our stamp again and again: {changed}"
        return replace(case, state=context.alerted(state, "stamp_contested", detail))
    state = context.alerted(state, "stamp_changed", f"another party changed our stamp, put back: {changed}")
    state, invoice = context.writes(case).put_back(invoice, forgotten(state, "stamp_changed"), changed)
    context.did(state, "put back the stamp")
    return replace(case, state=state, invoice=invoice)


def with_early_warning(context: CheckContext, case: Case) -> Case:
    """Move a block from the early warning that found drift to the draft of that period."""
    state, jobs = case.state, context.services.store.jobs
    if state.subscription_id is None or state.blocked or state.evidence_sha256:
        return case
    block = jobs.block_on(state.subscription_id)
    if block is None or not is_of_period(case.invoice, block.job_id):
        return case
    state = replace(state, early_warning_id=block.job_id, alerted=(*state.alerted, *block.state.alerted))
    context.leased.save(state)
    jobs.end_block(block.job_id)
    context.did(state, "blocked by the early warning")
    return replace(case, state=state)


def with_usages(context: CheckContext, case: Case) -> Case:
    """Read what the invoice bills. Hold it before re-raising when its prices or meters cannot be read."""
    state = case.state
    stopped_as_metered = state.stopped_for is HoldCause.METERED
    try:
        usages = context.services.comparer.usages(case.invoice)
    except RemoteError:
        _stop_unread(context, replace(case, cause=HoldCause.METERED if stopped_as_metered else HoldCause.PRECAUTION))
        raise
    if usages:
        precaution = not stopped_as_metered and all(usage.may_be_unmetered for usage in usages)
    else:
        # Where another party took away what named the system that counted its usage, the items that may bill it are
        # still there: nothing was answered, and the precaution becomes a hold.
        unnamed = any(window["meter"] == UNNAMED for window in state.windows)
        answered = names_metronome(case.invoice) or not unnamed
        precaution = state.stopped_for is HoldCause.PRECAUTION and answered
    cause = HoldCause.PRECAUTION if precaution else HoldCause.METERED
    return replace(case, state=stopped_for(state, cause), usages=usages, cause=cause)


def _stop_unread(context: CheckContext, case: Case) -> None:
    """Hold an invoice whose lines cannot be read, or set its backstop, as at any first sight."""
    if not may_bill_usage(case.invoice):
        return
    match decide.before_comparison(case.invoice, case.state, context.services.policy, case.now):
        case actions.Hold(again=again):
            held = context.hold(case, again=again)
            context.alerted(held.state, "held_unread", "its prices or meters could not be read: held until they can be")
        case actions.SetBackstop(at=at):
            context.set_backstop(case, at)
        case _:
            pass


def nothing_metered(context: CheckContext, case: Case) -> CheckOutcome:
    """End the invoice. A precautionary hold or backstop is undone, unless another party stopped it, too."""
    state, invoice = case.state, case.invoice
    draft = invoice.status is InvoiceStatus.DRAFT
    held = state.held and not invoice.auto_advance and (draft or invoice.status is InvoiceStatus.OPEN)
    postponed = state.backstop is not None and draft
    if state.stopped_for is HoldCause.PRECAUTION and (held or postponed):
        stopped = stops(invoice, state)
        if stopped:
            return context.stays(case, stopped)
        at = timing.given_back_at(invoice, state, case.now)
        case = replace(case, state=context.writes(case).give_back(invoice, state, at))
        context.did(case.state, "give back")
    return context.end(case, NOTHING_METERED)


def with_coverage(context: CheckContext, case: Case, *, seen_at: datetime) -> Case:
    """Record which usage the invoice bills, and keep what a draft's lines say at first sight."""
    state, invoice = case.state, case.invoice
    if not state.reads and invoice.status is InvoiceStatus.DRAFT:
        state = replace(state, reads=first_reads(case.usages, seen_at))
    context.services.store.coverage.put(state.invoice_id, covered_parts(invoice, case.usages))
    return replace(case, state=state)


def with_reported_problems(context: CheckContext, case: Case) -> Case:
    """Alert about a mail that left under our hold, and about a finalization that failed at Stripe."""
    state, invoice = case.state, case.invoice
    if state.held and invoice.status is InvoiceStatus.OPEN and foreign_acts.was_mailed(context.services, invoice):
        detail = "another party had Stripe mail it under our hold: the customer has it"
        state = context.alerted(state, "sent_under_hold", detail)
    if invoice.finalization_error:
        kind = f"finalization_failed:{invoice.finalization_error}"
        state = context.alerted(state, kind, "Stripe could not finalize this invoice")
    return replace(case, state=state)


def with_waiver(context: CheckContext, case: Case, given: Waiver | None) -> Case:
    """Take a person's decision about a finding that is wrong or unproven, or about stops of another party."""
    if given is None:
        return case
    state, invoice, policy = case.state, case.invoice, context.services.policy
    finding = context.services.findings.compared(invoice, case.usages, state)
    settled = timing.may_compare(invoice, state, policy, case.now)
    if finding.verdict is Verdict.MATCHED and settled:
        finding = context.services.findings.proven(finding, state)
    despite: tuple[str, ...] = ()
    if settled and ANY_STOP in given.despite and (state.held or state.backstop):
        state = foreign_acts.with_finalizer(context.services, state, invoice)
        despite = tuple(stop.key for stop in stops(invoice, replace(state, waiver=None)))
    wrong = finding.verdict in (Verdict.DRIFTED, Verdict.UNPROVEN)
    if not wrong and not despite:
        context.did(state, f"not waived: it is {finding.verdict.value}")
        return replace(case, state=state)
    waiver = replace(given, figures=figures_of(finding), despite=despite, of_finding=wrong)
    known, stamp = state.waiver, state.stamp
    waived = stamp is not None and stamp.verdict is Verdict.WAIVED and carries_stamp(invoice, state)
    if waived and known is not None and known.covers(waiver) and same_figures(known.figures, waiver.figures):
        # The stamp names the earlier decision: a second one would contradict it.
        context.did(state, f"not waived again: {known.by} released it already")
        return replace(case, state=state)
    state = replace(state, waiver=waiver)
    context.leased.save(state)
    context.services.store.journal.note("waive", state.invoice_id, str(waiver))
    return replace(case, state=state)
