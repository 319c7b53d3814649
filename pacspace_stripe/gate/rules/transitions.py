"""Transitions of the invoice state: from what was read and found, to the state that is kept. No I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from pacspace_stripe.comparison.rules.reconcile import with_retry_time
from pacspace_stripe.comparison.rules.verdicts import Finding, MeterRead, Reason, Verdict
from pacspace_stripe.gate.rules.result import shown_windows
from pacspace_stripe.gate.rules.stamp import MOST_KEYS, Sign, carries_good_stamp
from pacspace_stripe.gate.rules.state import (
    Finalizer,
    FirstSight,
    Free,
    Held,
    HoldCause,
    HoldStep,
    InvoiceState,
    Origin,
    Stamped,
)
from pacspace_stripe.gate.rules.timing import ladder
from pacspace_stripe.usage.rules import BilledUsage
from pacspace_stripe.vocabulary.invoices import GIVEN_UP, Invoice, InvoiceStatus, SubscriptionStatus
from pacspace_stripe.vocabulary.money import Money
from pacspace_stripe.vocabulary.policy import FinalizePolicy, Policy


def with_reading(state: InvoiceState, invoice: Invoice, now: datetime) -> InvoiceState:
    """Return the state with the invoice's ids and, at first sight, Stripe's own plan for it.

    A hold of another party that was lifted since makes a first sight again: from now on the invoice is the gate's to
    hold, and a stamp that was written meanwhile lets nothing go.
    """
    lifted = state.first is not None and not state.first.auto_advance and not state.held and invoice.auto_advance
    seen = FirstSight(
        at=now,
        auto_advance=invoice.auto_advance,
        finalizes_at=invoice.automatically_finalizes_at,
        status=invoice.status,
        canceled=_is_canceled(invoice),
    )
    if invoice.status is InvoiceStatus.DRAFT and state.finalizer is Finalizer.US:
        # Our finalization did not take place: a later finalization is another party's.
        state = replace(state, finalizer=None)
    sign = Sign.on(invoice.metadata, invoice.invoice_id)
    alive = invoice.status not in GIVEN_UP and invoice.status is not InvoiceStatus.PAID
    if sign and alive and not state.held and not invoice.auto_advance:
        # The database is a new one, or an older copy: the sign on the invoice keeps what the old one knew.
        draft = InvoiceStatus.DRAFT
        first = FirstSight(at=sign.since, auto_advance=True, finalizes_at=sign.planned_at, status=draft)
        state = replace(state, first=first, position=Held(cause=sign.cause), held_at=sign.since)
    elif state.first is None or (lifted and invoice.status is InvoiceStatus.DRAFT):
        position = state.position if state.held else Free()
        state = replace(state, first=seen, position=position, stamp=None, backstop=None)
    elif state.requested and not invoice.auto_advance:
        # A hold was asked for, and its answer was not noted: either Stripe took it, or another party set one.
        could_sign = len(invoice.metadata) < MOST_KEYS
        ours = replace(state.at_step(HoldStep.HELD), held_at=state.held_at or now)
        state = replace(state, first=seen, position=Free()) if could_sign and not sign else ours
    known = replace(state, customer_id=invoice.customer_id, subscription_id=invoice.subscription_id)
    return as_read(known, invoice)


def as_past(state: InvoiceState) -> InvoiceState:
    """Return the state of an invoice that is only reported and stamped, and never held."""
    return replace(state, first=replace(state.first, origin=Origin.PAST)) if state.first else state


def stopped_for(state: InvoiceState, cause: HoldCause) -> InvoiceState:
    """Return the state whose hold and backstop, as far as there are any, have this cause."""
    position = replace(state.position, cause=cause) if isinstance(state.position, Held) else state.position
    backstop = replace(state.backstop, cause=cause) if state.backstop else None
    return replace(state, position=position, backstop=backstop)


def _is_canceled(invoice: Invoice) -> bool | None:
    if invoice.subscriptions is None:
        return None
    return any(one.status is SubscriptionStatus.CANCELED for one in invoice.subscriptions)


def undone(state: InvoiceState, invoice: Invoice, now: datetime) -> InvoiceState:
    """Return the state of an invoice that advances under our hold, or that is held after it was finalized.

    Letting a draft advance gives it a new finalization time, too: it goes no earlier.
    """
    at = max(now, invoice.finalized_at or now)
    planned_at = invoice.automatically_finalizes_at
    if state.first is None or planned_at is None:
        return replace(state, undone_at=at)
    return replace(state, undone_at=at, first=replace(state.first, finalizes_at=planned_at))


def as_read(state: InvoiceState, invoice: Invoice) -> InvoiceState:
    """Return the state with what the report shows of the invoice; no decision is made from it."""
    money = Money(amount=invoice.amount_due, currency=invoice.currency)
    return replace(state, status=invoice.status, amount=money)


def let_go(state: InvoiceState, invoice: Invoice, finalize: FinalizePolicy) -> InvoiceState:
    """Return the state after a stamp that let the invoice go, where a crash came before that was noted."""
    moving = invoice.auto_advance or invoice.status is InvoiceStatus.PAID
    fast = finalize is FinalizePolicy.FAST and state.finalizer is not Finalizer.US
    if fast and moving and state.held and carries_good_stamp(invoice, state):
        return replace(state, position=Stamped())
    return state


def with_finding(state: InvoiceState, finding: Finding, policy: Policy, now: datetime) -> InvoiceState:
    """Return the state with the finding. The retry ladder starts again when anything changed: it may be right soon."""
    windows = shown_windows(finding) or state.windows
    same = (state.verdict, state.reason, state.windows) == (finding.verdict, finding.reason, windows)
    counts = state.counted_at is None or now >= state.counted_at + ladder(policy, state.attempts)
    return replace(
        state,
        verdict=finding.verdict,
        reason=finding.reason,
        detail=finding.detail,
        windows=windows,
        reads=reads_of(state, finding),
        attempts=state.attempts + counts if same else 0,
        counted_at=now if counts or not same else state.counted_at,
    )


def reads_of(state: InvoiceState, finding: Finding) -> Mapping[str, MeterRead]:
    """Return the meter reads that the finding is about: its own, else the ones before."""
    known = {result.key: result.meter_read or state.reads.get(result.key) for result in finding.windows}
    return {key: read for key, read in known.items() if read is not None} if finding.windows else state.reads


def awaiting(state: InvoiceState, until: datetime) -> InvoiceState:
    """Return the state whose detail names the time of the check that looks for the missing usage again."""
    if state.reason is not Reason.NOT_SETTLED or state.verdict is not Verdict.UNPROVEN:
        return state
    detail, kept = with_retry_time(state.detail, until), state.kept_back
    still = kept is not None and kept.until is None
    return replace(state, detail=detail, kept_back=replace(kept, detail=detail) if kept and still else kept)


def first_reads(usages: Iterable[BilledUsage], at: datetime) -> Mapping[str, MeterRead]:
    """Return a draft's lines at first sight as meter reads: Stripe summed them from the meters."""
    return {
        usage.key: MeterRead(at=at, inner=usage.quantity, outer=usage.quantity)
        for usage in usages
        if usage.quantity is not None and usage.problem is None
    }


def forgotten(state: InvoiceState, kind: str) -> InvoiceState:
    """Return the state as if an alert had not been given: it is about an event, and each event raises it again."""
    alerted = tuple(one for one in state.alerted if one != kind)
    return replace(state, alerted=alerted, left_out=tuple(one for one in state.left_out if one != kind))
