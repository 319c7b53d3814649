"""Transitions of the invoice state from what was read, above all after a crash between a write and its answer."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pacspace_stripe.gate.rules.actions import Hold
from pacspace_stripe.gate.rules.decide import before_comparison
from pacspace_stripe.gate.rules.stamp import HOLD_KEY, MOST_KEYS, Sign
from pacspace_stripe.gate.rules.state import (
    Cleared,
    Ended,
    Finalizer,
    Free,
    Held,
    HoldCause,
    HoldStep,
    InvoiceState,
    Position,
    Released,
    Stage,
    Stamped,
)
from pacspace_stripe.gate.rules.transitions import let_go, stopped_for, with_reading
from pacspace_stripe.vocabulary.policy import FinalizePolicy, Policy
from tests.support.examples import BACKSTOPPED, CREATED, FOREIGN, HELD, SEEN, SHA, STAMPED, held_draft, invoice, left

LATER = CREATED + timedelta(hours=1)
SIGN = Sign(invoice_id="in_1", since=CREATED, planned_at=None, cause=HoldCause.METERED).written({})
REQUESTED = replace(SEEN, position=Held(step=HoldStep.REQUESTED))
HELD_BEFORE = replace(STAMPED, position=Held(step=HoldStep.REQUESTED), held_at=CREATED)
FULL = {f"merchant_{number}": "" for number in range(MOST_KEYS)}


@pytest.mark.parametrize("state", [REQUESTED, HELD_BEFORE], ids=["a first hold", "a hold after an earlier one"])
def test_a_hold_without_an_answer_is_ours_when_the_invoice_carries_its_sign(state: InvoiceState) -> None:
    read = with_reading(state, held_draft(metadata=SIGN), LATER)
    assert (read.position, read.held_at) == (Held(), state.held_at or LATER)


@pytest.mark.parametrize("state", [REQUESTED, HELD_BEFORE], ids=["a first hold", "a hold after an earlier one"])
def test_a_hold_without_an_answer_and_without_its_sign_is_another_partys(state: InvoiceState) -> None:
    read = with_reading(state, held_draft(), LATER)
    assert read.position == Free()
    assert read.first is not None
    assert not read.first.auto_advance


def test_a_hold_without_an_answer_is_ours_where_there_was_no_room_for_its_sign() -> None:
    assert with_reading(REQUESTED, held_draft(metadata=FULL), LATER).position == Held()


@pytest.mark.parametrize("state", [REQUESTED, HELD_BEFORE], ids=["a first hold", "a hold after an earlier one"])
def test_a_hold_that_never_arrived_is_sent_again_and_does_not_count_as_undone(state: InvoiceState) -> None:
    read = with_reading(state, invoice(), LATER)
    assert read.held
    assert before_comparison(invoice(), read, Policy(), LATER) == Hold(again=False)
    assert before_comparison(invoice(), HELD, Policy(), LATER) == Hold(again=True)


def test_a_new_database_learns_its_hold_from_the_sign() -> None:
    signed = Sign(invoice_id="in_1", since=CREATED, planned_at=LATER, cause=HoldCause.PRECAUTION).written({})
    read = with_reading(InvoiceState(invoice_id="in_1"), held_draft(metadata=signed), LATER)
    assert (read.position, read.held_at) == (Held(cause=HoldCause.PRECAUTION), CREATED)
    assert read.first is not None
    assert read.first.finalizes_at == LATER
    assert HOLD_KEY in signed


def test_a_foreign_hold_that_was_lifted_is_a_first_sight_without_an_earlier_stamp() -> None:
    stamped = replace(FOREIGN, stamp=STAMPED.stamp, position=Stamped(), backstop=BACKSTOPPED.backstop)
    read = with_reading(stamped, invoice(), LATER)
    assert (read.position, read.stamp, read.backstop) == (Free(), None, None)
    assert read.first is not None
    assert read.first.at == LATER


def test_a_first_sight_ends_no_hold_of_ours() -> None:
    assert with_reading(replace(HELD, first=None), held_draft(), LATER).position == Held()


def test_a_draft_was_not_finalized_by_us_whatever_was_intended() -> None:
    intended = replace(HELD, finalizer=Finalizer.US)
    assert with_reading(intended, held_draft(), LATER).finalizer is None
    assert with_reading(intended, left(), LATER).finalizer is Finalizer.US


@pytest.mark.parametrize(
    ("policy", "finalizer", "position"),
    [
        (FinalizePolicy.FAST, None, Stamped()),
        (FinalizePolicy.STRICT, None, Held(step=HoldStep.STAMPED)),
        (FinalizePolicy.FAST, Finalizer.US, Held(step=HoldStep.STAMPED)),
    ],
)
def test_a_fast_stamp_whose_answer_was_lost_left_no_hold(
    policy: FinalizePolicy, finalizer: Finalizer | None, position: Position
) -> None:
    state = replace(STAMPED, position=Held(step=HoldStep.STAMPED), held_at=CREATED)
    moving = invoice(metadata={"pacspace_evidence_sha256": SHA, "pacspace_verdict": "matched"})
    assert let_go(replace(state, finalizer=finalizer), moving, policy).position == position


@pytest.mark.parametrize("cause", HoldCause)
def test_a_hold_and_its_backstop_have_one_cause(cause: HoldCause) -> None:
    both = stopped_for(replace(HELD, backstop=BACKSTOPPED.backstop), cause)
    assert both.stopped_for is cause
    assert replace(both, position=Free()).stopped_for is cause
    assert stopped_for(SEEN, cause) == SEEN


@pytest.mark.parametrize(
    ("position", "stage", "held", "cleared", "ended"),
    [
        (Free(), Stage.SEEN, False, False, False),
        (Held(step=HoldStep.REQUESTED), Stage.HELD, True, False, False),
        (Held(), Stage.HELD, True, False, False),
        (Held(step=HoldStep.STAMPED), Stage.STAMPED, True, False, False),
        (Held(step=HoldStep.FINALIZED), Stage.FINALIZED, True, False, False),
        (Held(step=HoldStep.RELEASING), Stage.RELEASED, True, False, False),
        (Stamped(), Stage.STAMPED, False, False, False),
        (Released(at=CREATED), Stage.RELEASED, False, True, False),
        (Cleared(), Stage.ENDED, False, True, True),
        (Ended(), Stage.ENDED, False, False, True),
    ],
)
def test_each_position_has_one_stage(
    position: Position,
    stage: Stage,
    held: bool,  # noqa: FBT001
    cleared: bool,  # noqa: FBT001
    ended: bool,  # noqa: FBT001
) -> None:
    state = InvoiceState(invoice_id="in_1", position=position)
    assert (state.stage, state.held, state.cleared, state.ended) == (stage, held, cleared, ended)
    assert BACKSTOPPED.stage is Stage.BACKSTOPPED
