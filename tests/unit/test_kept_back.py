"""Invoices that the gate keeps back: the same ones in both modes, from the moment Stripe would have sent them."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from pacspace_stripe.comparison.rules.verdicts import Finding, Reason, Verdict
from pacspace_stripe.gate.rules.decide import with_kept_back, would_hold
from pacspace_stripe.gate.rules.state import FirstSight, InvoiceState, KeptBack
from pacspace_stripe.vocabulary.invoices import Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.policy import FailPolicy, Mode, Policy
from tests.support.examples import CREATED, HELD, PLANNED, SEEN, WAIVED, finding, held_draft, invoice, left

BEFORE, LATER = PLANNED - timedelta(minutes=1), PLANNED + timedelta(hours=2)
CLOSED, OPEN = Policy(), Policy(fail=FailPolicy.OPEN)
OBSERVE, OBSERVE_OPEN = Policy(mode=Mode.OBSERVE), Policy(mode=Mode.OBSERVE, fail=FailPolicy.OPEN)
DRAFTED = FirstSight(at=CREATED, auto_advance=True, finalizes_at=PLANNED, status=InvoiceStatus.DRAFT)
BORN_OPEN = FirstSight(at=CREATED, auto_advance=True, finalizes_at=None, status=InvoiceStatus.OPEN)
DRIFT, UNSETTLED = finding(Reason.OVERBILLED), finding(Reason.NOT_SETTLED)
WATCHED, KEPT = replace(SEEN, first=DRAFTED), replace(HELD, first=DRAFTED)
STRANGERS = replace(SEEN, first=replace(DRAFTED, auto_advance=False, finalizes_at=None))
FIRST_INVOICE = replace(SEEN, first=BORN_OPEN)
PAID = left(InvoiceStatus.PAID, auto_advance=False, attempted=True)


@pytest.mark.parametrize(
    ("made", "state", "policy", "now", "found", "kept"),
    [
        (invoice(), WATCHED, OBSERVE, PLANNED, DRIFT, True),
        (invoice(), WATCHED, OBSERVE, PLANNED, UNSETTLED, True),
        (invoice(), WATCHED, OBSERVE, BEFORE, DRIFT, False),
        (invoice(), WATCHED, OBSERVE, PLANNED, finding(), False),
        (invoice(), WATCHED, OBSERVE_OPEN, PLANNED, UNSETTLED, False),
        (invoice(), WATCHED, OBSERVE_OPEN, PLANNED, DRIFT, True),
        (invoice(), replace(WATCHED, early_warning_id="upcoming:sub_1:0"), OBSERVE_OPEN, PLANNED, UNSETTLED, True),
        (held_draft(), STRANGERS, OBSERVE, PLANNED, DRIFT, False),
        (PAID, WATCHED, OBSERVE, LATER, DRIFT, True),
        (left(attempted=True), WATCHED, OBSERVE, LATER, UNSETTLED, True),
        (PAID, FIRST_INVOICE, OBSERVE, LATER, DRIFT, False),
        (left(attempted=True), FIRST_INVOICE, OBSERVE, LATER, UNSETTLED, False),
        (left(attempted=True), FIRST_INVOICE, OBSERVE, LATER, DRIFT, True),
        (held_draft(), KEPT, CLOSED, PLANNED, DRIFT, True),
        (held_draft(), KEPT, CLOSED, BEFORE, DRIFT, False),
        (held_draft(), KEPT, CLOSED, PLANNED, WAIVED, False),
        (invoice(), WATCHED, OPEN, PLANNED, DRIFT, True),
        (invoice(), WATCHED, OPEN, PLANNED, UNSETTLED, False),
        (left(auto_advance=False), KEPT, CLOSED, LATER, DRIFT, True),
        (PAID, KEPT, CLOSED, LATER, DRIFT, False),
        (left(InvoiceStatus.VOID), KEPT, CLOSED, LATER, DRIFT, False),
    ],
)
def test_the_gate_keeps_back_the_same_invoices_in_both_modes(  # noqa: PLR0917
    made: Invoice,
    state: InvoiceState,
    policy: Policy,
    now: datetime,
    found: Finding,
    kept: bool,  # noqa: FBT001
) -> None:
    assert would_hold(made, state, policy, now, found) is kept


def test_an_invoice_is_kept_back_from_the_time_stripe_would_send_it_until_both_sides_agree() -> None:
    kept = with_kept_back(PAID, WATCHED, OBSERVE, LATER, DRIFT)
    assert kept.kept_back == KeptBack(
        since=PLANNED, verdict=Verdict.DRIFTED, reason=Reason.OVERBILLED, detail=DRIFT.detail
    )
    cleared = with_kept_back(PAID, kept, OBSERVE, LATER + timedelta(hours=1), finding())
    assert cleared.kept_back is not None
    assert (cleared.kept_back.since, cleared.kept_back.until) == (PLANNED, LATER + timedelta(hours=1))
    assert cleared.agreed_at == LATER + timedelta(hours=1)
    assert with_kept_back(PAID, cleared, OBSERVE, LATER + timedelta(days=1), finding()) == cleared


def test_an_invoice_that_is_wrong_again_is_kept_back_since_the_first_time() -> None:
    kept = with_kept_back(invoice(), WATCHED, OBSERVE, PLANNED, UNSETTLED)
    cleared = with_kept_back(invoice(), kept, OBSERVE, LATER, finding())
    again = with_kept_back(invoice(), cleared, OBSERVE, LATER + timedelta(hours=1), DRIFT)
    assert again.kept_back == KeptBack(
        since=PLANNED, verdict=Verdict.DRIFTED, reason=Reason.OVERBILLED, detail=DRIFT.detail
    )
    assert again.agreed_at is None


def test_an_invoice_that_was_right_in_time_was_never_kept_back() -> None:
    early = with_kept_back(invoice(), WATCHED, OBSERVE, BEFORE, DRIFT)
    assert with_kept_back(invoice(), early, OBSERVE, PLANNED, finding()).kept_back is None


def test_an_invoice_that_was_open_at_first_sight_is_kept_back_since_that_check() -> None:
    kept = with_kept_back(left(), FIRST_INVOICE, CLOSED, LATER, DRIFT).kept_back
    assert kept is not None
    assert kept.since == LATER
