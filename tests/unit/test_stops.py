"""Reasons that keep an invoice from being released: every act of somebody else, and any that cannot be ruled out."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.gate.rules.actions import Finalize, RaiseAlert, Release, Wait, WriteStamp
from pacspace_stripe.gate.rules.decide import after_comparison, with_waiver
from pacspace_stripe.gate.rules.footer import find_block, insert_block
from pacspace_stripe.gate.rules.state import Finalizer, FirstSight, InvoiceState, Waiver, WrittenStamp
from pacspace_stripe.gate.rules.stops import StopKind, stops
from pacspace_stripe.vocabulary.invoices import Invoice, SubscriptionState, SubscriptionStatus
from pacspace_stripe.vocabulary.policy import FailPolicy, FinalizePolicy, Policy
from tests.support.examples import (
    BACKSTOPPED,
    CREATED,
    FIGURES,
    HELD,
    PLANNED,
    SETTLED,
    Change,
    finding,
    held_draft,
    invoice,
    left,
    subscription_state,
)

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LATER = PLANNED + HOUR
KNOWN_CANCELED = replace(HELD, first=FirstSight(at=CREATED, auto_advance=True, finalizes_at=PLANNED, canceled=True))
KNOWN_ACTIVE = replace(HELD, first=FirstSight(at=CREATED, auto_advance=True, finalizes_at=PLANNED, canceled=False))
FINALIZED = replace(HELD, finalizer=Finalizer.SOMEBODY)
WHOLE_FOOTER = str(insert_block("Acme Ltd.", "Proof 0x1"))
STAMP = {"pacspace_verdict": "matched", "pacspace_evidence_sha256": "e" * 64}
WITH_FOOTER = WrittenStamp(
    verdict=Verdict.MATCHED,
    evidence_sha256="e" * 64,
    figures={},
    at=SETTLED,
    metadata=STAMP,
    footer=find_block(WHOLE_FOOTER),
)
CANCELED, UNKNOWN = StopKind.CANCELED, StopKind.UNKNOWN


def canceled(**times: Change) -> SubscriptionState:
    """A subscription that was canceled, by default half an hour after the invoice was made."""
    at = CREATED + 30 * MINUTE
    ordinary = {"canceled_at": at, "ended_at": at} | times
    return subscription_state(status=SubscriptionStatus.CANCELED, status_text="canceled", **ordinary)


def of(*states: SubscriptionState, **changes: Change) -> Invoice:
    return held_draft(subscriptions=states, **changes)


def in_state(status: str) -> SubscriptionState:
    return subscription_state(status=SubscriptionStatus(status), status_text=status)


@pytest.mark.parametrize(
    ("made", "state", "kinds"),
    [
        pytest.param(of(subscription_state()), HELD, [], id="not stopped"),
        pytest.param(of(in_state("trialing")), HELD, [], id="in a trial"),
        pytest.param(of(in_state("past_due")), HELD, [], id="another invoice is past due"),
        pytest.param(of(in_state("unpaid")), HELD, [StopKind.NOT_COLLECTED], id="Stripe collects nothing for it"),
        pytest.param(of(in_state("paused")), HELD, [StopKind.NOT_COLLECTED], id="paused by Stripe"),
        pytest.param(of(in_state("new_status")), HELD, [StopKind.NOT_COLLECTED], id="an unknown status"),
        pytest.param(of(subscription_state(paused=True)), HELD, [StopKind.PAUSED], id="collection is paused"),
        pytest.param(of(canceled()), HELD, [CANCELED], id="canceled after it was made"),
        pytest.param(of(canceled(canceled_at=CREATED + SECOND)), HELD, [CANCELED], id="canceled a second after"),
        pytest.param(of(canceled(canceled_at=CREATED, ended_at=CREATED)), HELD, [], id="invoice_now made it"),
        pytest.param(
            of(canceled(canceled_at=CREATED, ended_at=CREATED)),
            KNOWN_ACTIVE,
            [CANCELED],
            id="canceled in the second in which it was made, after it was seen",
        ),
        pytest.param(of(canceled(canceled_at=None)), HELD, [CANCELED], id="canceled at an unknown time"),
        pytest.param(
            of(canceled(canceled_at=CREATED - 9 * DAY, ended_at=CREATED + 3 * SECOND)),
            HELD,
            [],
            id="the last invoice of a subscription that ends with its period",
        ),
        pytest.param(
            of(canceled(canceled_at=CREATED - 9 * DAY, ended_at=CREATED + 30 * DAY)),
            HELD,
            [CANCELED],
            id="an earlier invoice, still held when its subscription ends as planned",
        ),
        pytest.param(of(canceled()), KNOWN_CANCELED, [], id="it advanced although its subscription was canceled"),
        pytest.param(
            of(canceled()), replace(HELD, undone_at=CREATED + HOUR), [], id="a person let it advance after that"
        ),
        pytest.param(
            of(canceled()), replace(HELD, undone_at=CREATED + MINUTE), [CANCELED], id="a person let it advance before"
        ),
        pytest.param(of(subscription_state(), canceled()), HELD, [CANCELED], id="one of two subscriptions"),
        pytest.param(held_draft(subscriptions=None), HELD, [UNKNOWN], id="its subscription could not be read"),
        pytest.param(of(), HELD, [UNKNOWN], id="one-off, its customer could not be read"),
        pytest.param(of(customer_deleted=False), HELD, [], id="one-off"),
        pytest.param(
            of(customer_deleted=True), HELD, [StopKind.CUSTOMER_DELETED], id="one-off, its customer was deleted"
        ),
        pytest.param(
            of(subscription_state()),
            replace(HELD, stopped_at=SETTLED),
            [StopKind.STOPPED_BY_SOMEBODY],
            id="a person stopped it under our hold",
        ),
        pytest.param(
            of(subscription_state()),
            replace(HELD, stopped_at=SETTLED, undone_at=SETTLED + SECOND),
            [],
            id="a person stopped it and let it advance again",
        ),
        pytest.param(
            of(subscription_state()),
            replace(HELD, unread_updates=(CREATED,)),
            [UNKNOWN],
            id="an act that cannot be read",
        ),
        pytest.param(
            of(subscription_state()),
            BACKSTOPPED,
            [StopKind.STOPPED_BY_SOMEBODY],
            id="open, a person stopped it before its backstop",
        ),
        pytest.param(of(canceled()), BACKSTOPPED, [CANCELED], id="open, canceled before its backstop"),
        pytest.param(left(auto_advance=False), HELD, [], id="finalized, and Stripe was not asked by whom"),
        pytest.param(
            left(auto_advance=False, footer="Acme Ltd.", metadata=STAMP),
            replace(HELD, stamp=WITH_FOOTER, finalizer=Finalizer.US),
            [StopKind.FOOTER_CHANGED],
            id="finalized without the footer that a person took off",
        ),
        pytest.param(
            left(auto_advance=False, footer="Acme Ltd.", metadata=STAMP),
            replace(HELD, stamp=WITH_FOOTER, finalizer=Finalizer.US, undone_at=LATER),
            [],
            id="finalized without it, and a person let it advance",
        ),
        pytest.param(
            left(auto_advance=False, footer=WHOLE_FOOTER, metadata=STAMP),
            replace(HELD, stamp=WITH_FOOTER, finalizer=Finalizer.US),
            [],
            id="finalized with its footer",
        ),
        pytest.param(left(auto_advance=False), FINALIZED, [StopKind.FINALIZED_BY_SOMEBODY], id="finalized by a person"),
        pytest.param(
            left(auto_advance=False),
            replace(FINALIZED, finalizer=Finalizer.UNKNOWN),
            [UNKNOWN],
            id="by whom is not known",
        ),
        pytest.param(
            left(auto_advance=False), replace(FINALIZED, finalizer=Finalizer.STRIPE), [], id="finalized by Stripe"
        ),
        pytest.param(left(auto_advance=False), replace(FINALIZED, finalizer=Finalizer.US), [], id="finalized by us"),
        pytest.param(
            left(auto_advance=False), replace(FINALIZED, undone_at=PLANNED), [], id="finalized by a person to go out"
        ),
    ],
)
def test_each_act_keeps_an_invoice_from_being_released(
    made: Invoice, state: InvoiceState, kinds: list[StopKind]
) -> None:
    assert [stop.kind for stop in stops(made, state)] == kinds


def test_a_release_with_a_reason_covers_the_stops_known_then_and_no_later_one() -> None:
    known = stops(of(canceled()), HELD)
    waiver = Waiver(reason="agreed", by="fin", at=LATER, figures={}, despite=tuple(stop.key for stop in known))
    released = replace(HELD, waiver=waiver)
    assert stops(of(canceled()), released) == ()
    assert [stop.kind for stop in stops(of(canceled(paused=True)), released)] == [StopKind.PAUSED]
    assert [stop.kind for stop in stops(of(canceled(ended_at=LATER)), released)] == [CANCELED]


def test_a_release_although_one_thing_is_not_known_does_not_cover_another() -> None:
    (unread,) = stops(held_draft(subscriptions=None), HELD)
    waiver = Waiver(reason="agreed", by="fin", at=LATER, figures={}, despite=(unread.key,))
    released = replace(HELD, waiver=waiver, unread_updates=(CREATED,))
    (other,) = stops(held_draft(subscriptions=None), released)
    assert (other.kind, other.key != unread.key) == (UNKNOWN, True)


def test_a_release_of_a_matched_invoice_waives_no_later_difference() -> None:
    waiver = Waiver(reason="agreed", by="fin", at=LATER, figures=FIGURES, of_finding=False)
    later = finding(Reason.OVERBILLED)
    assert with_waiver(later, replace(HELD, waiver=waiver)) == later
    assert with_waiver(later, replace(HELD, waiver=replace(waiver, of_finding=True))).verdict is Verdict.WAIVED


@pytest.mark.parametrize(
    ("made", "state", "policy"),
    [
        (of(canceled()), HELD, Policy()),
        (of(canceled()), HELD, Policy(finalize=FinalizePolicy.FAST)),
        (of(canceled()), HELD, Policy(fail=FailPolicy.OPEN)),
        (
            invoice(subscriptions=(subscription_state(paused=True),), automatically_finalizes_at=CREATED + DAY),
            BACKSTOPPED,
            Policy(fail=FailPolicy.OPEN),
        ),
        (of(subscription_state()), BACKSTOPPED, Policy(fail=FailPolicy.OPEN)),
        (left(auto_advance=False), FINALIZED, Policy()),
        (left(auto_advance=False, subscriptions=(canceled(),)), replace(HELD, finalizer=Finalizer.US), Policy()),
    ],
)
def test_a_stopped_invoice_is_stamped_alerted_and_left_under_every_policy(
    made: Invoice, state: InvoiceState, policy: Policy
) -> None:
    actions = after_comparison(made, state, policy, LATER, finding())
    assert [type(action) for action in actions] == [WriteStamp, RaiseAlert, Wait]
    assert isinstance(actions[0], WriteStamp)
    assert (actions[0].auto_advance, actions[0].finalizes_at) == (None, None)


@pytest.mark.parametrize("made", [of(subscription_state()), of(customer_deleted=False)])
def test_an_invoice_that_nobody_stopped_is_released(made: Invoice) -> None:
    assert {Finalize, Release} <= {type(action) for action in after_comparison(made, HELD, Policy(), LATER, finding())}


def test_a_backstop_that_another_party_moved_is_left_where_it_is() -> None:
    moved = invoice(automatically_finalizes_at=CREATED + 9 * DAY)
    actions = after_comparison(moved, BACKSTOPPED, Policy(fail=FailPolicy.OPEN), LATER, finding())
    assert actions[0] == WriteStamp(footer=True)


def test_a_drift_is_alerted_as_a_drift_although_the_invoice_is_stopped() -> None:
    told = after_comparison(of(canceled()), HELD, Policy(), LATER, finding(Reason.OVERBILLED))
    assert [action.kind for action in told if isinstance(action, RaiseAlert)] == ["drifted"]
