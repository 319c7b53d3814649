"""When an invoice is looked at, and again: as Stripe planned it, as usage settles, by the retry ladder. Pure."""

from datetime import datetime, timedelta

from pacspace_stripe.comparison.rules.verdicts import Finding
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.vocabulary.invoices import Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.policy import Mode, Policy
from pacspace_stripe.vocabulary.windows import floor_to

SOONEST_FINALIZATION = timedelta(minutes=1)
"""How far ahead a finalization time is set that is given back when it has already passed."""
FOREIGN_HOLD_LOOK = timedelta(days=1)
"""Interval between checks of a stamped invoice that somebody else keeps back: an event or the sweep tells its end."""
SOONEST_CLOCK_LOOK, CLOCK_LOOK = timedelta(seconds=30), timedelta(minutes=5)
"""Interval between checks of a test clock's invoice: the gate does not receive the event of a clock's move."""
GIVE_UP_AFTER = timedelta(days=3)
"""How long an invoice that already left is looked at while nothing can be proven about it."""


def planned_finalization(invoice: Invoice, state: InvoiceState) -> datetime:
    """Stripe's own planned time as first seen; the creation when it had none."""
    first = state.first.finalizes_at if state.first else None
    return first or invoice.created_at


def look_at(invoice: Invoice, state: InvoiceState, policy: Policy) -> datetime:
    """When the draft may be compared: after settling and, when we finalize it, Stripe's own planned time."""
    seen_at = state.held_at or (state.first.at if state.first else invoice.created_at)
    settled_at = seen_at + policy.settle
    if policy.mode is Mode.ENFORCE and state.held:
        return max(settled_at, planned_finalization(invoice, state))
    return settled_at


def may_compare(invoice: Invoice, state: InvoiceState, policy: Policy, now: datetime) -> bool:
    """Whether its usage has settled, as far as we wait for that."""
    return invoice.status is not InvoiceStatus.DRAFT or look_at(invoice, state, policy) <= now


def given_back_at(invoice: Invoice, state: InvoiceState, now: datetime) -> datetime:
    """The finalization time first seen, or the nearest one that Stripe still takes."""
    soonest = floor_to(now + SOONEST_FINALIZATION, timedelta(seconds=1))
    return max(planned_finalization(invoice, state), soonest)


def rescheduled(invoice: Invoice, state: InvoiceState) -> bool:
    """Return whether somebody moved the backstop that we set: the finalization time is theirs then."""
    at, backstop_at = invoice.automatically_finalizes_at, state.backstop_at
    return at is not None and backstop_at is not None and abs(at - backstop_at) >= timedelta(seconds=1)


def by_real_time(wait: timedelta, real_now: datetime) -> datetime:
    """Return when to check an invoice again that waits for its test clock, which moves whenever somebody moves it."""
    return real_now + min(max(wait, SOONEST_CLOCK_LOOK), CLOCK_LOOK)


def look_again_at(state: InvoiceState, policy: Policy, now: datetime, finding: Finding) -> datetime:
    """By the ladder; a new difference as soon as a second meter read counts, which is soon. One that moves climbs."""
    if finding.second_read_at is not None and state.attempts == 0:
        return max(finding.second_read_at, now)
    return now + ladder(policy, state.attempts)


def ladder(policy: Policy, attempts: int) -> timedelta:
    """The retry ladder: its last step is repeated."""
    return policy.retry[min(attempts, len(policy.retry) - 1)]


def left_long_ago(invoice: Invoice, now: datetime) -> bool:
    """Whether it was finalized before anything that the gate still looks at: an invoice of the past."""
    left = invoice.status in (InvoiceStatus.OPEN, InvoiceStatus.PAID)
    return left and now >= (invoice.finalized_at or invoice.created_at) + GIVE_UP_AFTER
