"""What a new look makes of what we remember: whose hold it is, what was found, what it claims. No I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from pacspace_stripe.comparison.rules.reconcile import with_retry_time
from pacspace_stripe.comparison.rules.verdicts import Finding, MeterRead, Reason, Verdict
from pacspace_stripe.gate.rules.carried_stamp import carries_good_stamp
from pacspace_stripe.gate.rules.result import shown_windows
from pacspace_stripe.gate.rules.stamp import MOST_KEYS, Sign
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


def remembered(state: InvoiceState, invoice: Invoice, now: datetime) -> InvoiceState:
    """InvoiceState with the invoice's ids and, at first sight, Stripe's own plan for it.

    Somebody else's hold that was lifted since is a first sight again: from now on it is ours to gate, and what was
    stamped meanwhile lets nothing go.
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
        # Our finalization did not take place: a later finalization is somebody else's.
        state = replace(state, finalizer=None)
    sign = Sign.on(invoice.metadata, invoice.invoice_id)
    alive = invoice.status not in GIVEN_UP and invoice.status is not InvoiceStatus.PAID
    if sign and alive and not state.held and not invoice.auto_advance:
        # Our database is a new one, or an older copy.
        draft = InvoiceStatus.DRAFT
        first = FirstSight(at=sign.since, auto_advance=True, finalizes_at=sign.planned_at, status=draft)
        state = replace(state, first=first, position=Held(cause=sign.cause), held_at=sign.since)
    elif state.first is None or (lifted and invoice.status is InvoiceStatus.DRAFT):
        state = replace(state, first=seen, position=Free(), stamp=None, backstop=None)
    elif state.requested and not invoice.auto_advance:
        # A hold of ours was sent and not noted: either it came to be, or somebody else's did.
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
    """InvoiceState of a hold that is set on an invoice that advances although we held it, or after it was finalized.

    Whoever let a draft advance gave it a new finalization time, too: it goes no earlier.
    """
    at = max(now, invoice.finalized_at or now)
    planned_at = invoice.automatically_finalizes_at
    if state.first is None or planned_at is None:
        return replace(state, undone_at=at)
    return replace(state, undone_at=at, first=replace(state.first, finalizes_at=planned_at))


def as_read(state: InvoiceState, invoice: Invoice) -> InvoiceState:
    """InvoiceState with what the report says of the invoice: no decision is made from it."""
    money = Money(amount=invoice.amount_due, currency=invoice.currency)
    return replace(state, status=invoice.status, amount=money)


def let_go(state: InvoiceState, invoice: Invoice, finalize: FinalizePolicy) -> InvoiceState:
    """We died after a stamp that let it go and before that was noted: no hold of ours is left on it."""
    moving = invoice.auto_advance or invoice.status is InvoiceStatus.PAID
    fast = finalize is FinalizePolicy.FAST and state.finalizer is not Finalizer.US
    if fast and moving and state.held and carries_good_stamp(invoice, state):
        return replace(state, position=Stamped())
    return state


def with_finding(state: InvoiceState, finding: Finding, policy: Policy, now: datetime) -> InvoiceState:
    """InvoiceState with the finding; the retry ladder starts again when anything changed: then it may be right soon."""
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
    """What is known of the meters that the finding is about: what it read, else what was read before."""
    known = {result.key: result.metered or state.reads.get(result.key) for result in finding.windows}
    return {key: read for key, read in known.items() if read is not None} if finding.windows else state.reads


def awaiting(state: InvoiceState, until: datetime) -> InvoiceState:
    """InvoiceState that says when what is missing is looked for again."""
    if state.reason is not Reason.NOT_SETTLED or state.verdict is not Verdict.UNPROVEN:
        return state
    detail, kept = with_retry_time(state.detail, until), state.kept_back
    still = kept is not None and kept.until is None
    return replace(state, detail=detail, kept_back=replace(kept, detail=detail) if kept and still else kept)


def first_reads(usages: Iterable[BilledUsage], at: datetime) -> Mapping[str, MeterRead]:
    """What a draft's lines say at first sight: Stripe summed them from the meters."""
    return {
        usage.key: MeterRead(at=at, inner=usage.quantity, outer=usage.quantity)
        for usage in usages
        if usage.quantity is not None and usage.problem is None
    }


def forgotten(state: InvoiceState, kind: str) -> InvoiceState:
    """InvoiceState in which an alert was not given: it is about something that happens, not about what stays so."""
    alerted = tuple(one for one in state.alerted if one != kind)
    return replace(state, alerted=alerted, left_out=tuple(one for one in state.left_out if one != kind))
