"""Times of checks: as Stripe planned the invoice, as its usage settles, and by the retry ladder."""

from datetime import datetime, timedelta

from pacspace_stripe.comparison.rules.verdicts import Finding
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.vocabulary.invoices import Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.policy import Mode, Policy
from pacspace_stripe.vocabulary.windows import floor_to

SOONEST_FINALIZATION = timedelta(minutes=1)
"""Distance to now of a finalization time that is given back after it has passed."""
FOREIGN_HOLD_INTERVAL = timedelta(days=1)
"""Interval between checks of a stamped invoice that another party keeps back: an event or the sweep reports its end."""
SOONEST_CLOCK_CHECK, CLOCK_INTERVAL = timedelta(seconds=30), timedelta(minutes=5)
"""Interval between checks of a test clock's invoice: the gate does not receive the event of a clock's move."""
GIVE_UP_AFTER = timedelta(days=3)
"""Time for which an invoice that already left is checked while nothing can be proven about it."""


def planned_finalization(invoice: Invoice, state: InvoiceState) -> datetime:
    """Return Stripe's own planned time as first seen; the time of creation when there was none."""
    first = state.first.finalizes_at if state.first else None
    return first or invoice.created_at


def comparable_at(invoice: Invoice, state: InvoiceState, policy: Policy) -> datetime:
    """Return when a draft may be compared: after settling and, when the gate finalizes it, Stripe's planned time."""
    seen_at = state.held_at or (state.first.at if state.first else invoice.created_at)
    settled_at = seen_at + policy.settle
    if policy.mode is Mode.ENFORCE and state.held:
        return max(settled_at, planned_finalization(invoice, state))
    return settled_at


def may_compare(invoice: Invoice, state: InvoiceState, policy: Policy, now: datetime) -> bool:
    """Return whether the usage of a draft has settled; a finalized invoice is compared at any time."""
    return invoice.status is not InvoiceStatus.DRAFT or comparable_at(invoice, state, policy) <= now


def given_back_at(invoice: Invoice, state: InvoiceState, now: datetime) -> datetime:
    """Return the finalization time first seen, or the nearest one that Stripe still takes."""
    soonest = floor_to(now + SOONEST_FINALIZATION, timedelta(seconds=1))
    return max(planned_finalization(invoice, state), soonest)


def rescheduled(invoice: Invoice, state: InvoiceState) -> bool:
    """Return whether another party moved the backstop that we set: the finalization time is theirs then."""
    at, backstop_at = invoice.automatically_finalizes_at, state.backstop_at
    return at is not None and backstop_at is not None and abs(at - backstop_at) >= timedelta(seconds=1)


def by_real_time(wait: timedelta, real_now: datetime) -> datetime:
    """Return when to check an invoice again that waits for its test clock, which moves when a person moves it."""
    return real_now + min(max(wait, SOONEST_CLOCK_CHECK), CLOCK_INTERVAL)


def next_check_at(state: InvoiceState, policy: Policy, now: datetime, finding: Finding) -> datetime:
    """Return the next time on the retry ladder; for a new difference, the time at which a second meter read counts."""
    if finding.second_read_at is not None and state.attempts == 0:
        return max(finding.second_read_at, now)
    return now + ladder(policy, state.attempts)


def ladder(policy: Policy, attempts: int) -> timedelta:
    """Return the wait after a number of attempts; the last step of the ladder is repeated."""
    return policy.retry[min(attempts, len(policy.retry) - 1)]


def left_long_ago(invoice: Invoice, now: datetime) -> bool:
    """Return whether an invoice was finalized so long ago (``GIVE_UP_AFTER``) that the gate gave up checking it."""
    left = invoice.status in (InvoiceStatus.OPEN, InvoiceStatus.PAID)
    return left and now >= (invoice.finalized_at or invoice.created_at) + GIVE_UP_AFTER
