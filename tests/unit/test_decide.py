"""Decisions about an invoice, for every state that it can be in."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.comparison.rules.verdicts import Finding, Reason, Verdict, summarize
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
from pacspace_stripe.gate.rules.decide import (
    CONFIRM_MARGIN,
    EFFECT_WITHIN,
    after_comparison,
    before_comparison,
    release_showed_effect,
    with_waiver,
)
from pacspace_stripe.gate.rules.stamp import EVIDENCE_KEY
from pacspace_stripe.gate.rules.state import (
    Backstop,
    Cleared,
    Ended,
    Finalizer,
    FirstSight,
    Free,
    Held,
    HoldCause,
    HoldStep,
    InvoiceState,
    Position,
    Released,
    Stamped,
    Waiver,
    WrittenStamp,
)
from pacspace_stripe.gate.rules.timing import FOREIGN_HOLD_INTERVAL, GIVE_UP_AFTER, ladder
from pacspace_stripe.vocabulary.invoices import BillingReason, CollectionMethod, Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.policy import FailPolicy, FinalizePolicy, Mode, Policy
from tests.support.examples import (
    BACKSTOPPED,
    CREATED,
    FIGURES,
    FOREIGN,
    HELD,
    OCTOBER,
    PLANNED,
    RELEASED,
    SEEN,
    SETTLED,
    SHA,
    STAMPED,
    WAIVED,
    finding,
    held_draft,
    invoice,
    left,
    result,
)

CLOSED, OPEN, FAST = Policy(), Policy(fail=FailPolicy.OPEN), Policy(finalize=FinalizePolicy.FAST)
OBSERVE = Policy(mode=Mode.OBSERVE)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
BACKSTOP = CREATED + DAY
RIGHT_AWAY, LATER, MUCH_LATER = CREATED + SECOND, PLANNED + HOUR, CREATED + 30 * DAY
MATCHED, DRIFTED = finding(), finding(Reason.OVERBILLED)
UNSETTLED, UNMAPPED = finding(Reason.NOT_SETTLED), finding(Reason.UNMAPPED)
OURS = {EVIDENCE_KEY: SHA, "pacspace_verdict": "matched"}
WARNED = "upcoming:sub_1:0"
BLOCKED = replace(SEEN, early_warning_id=WARNED)
INTENDED = replace(SEEN, position=Held(step=HoldStep.REQUESTED))
"""A hold was written down but the crash came before Stripe answered."""
HELD_STAMPED = replace(STAMPED, position=Held(step=HoldStep.STAMPED), held_at=CREATED)
FINALIZED = replace(HELD_STAMPED, position=Held(step=HoldStep.FINALIZED), finalizer=Finalizer.US)
RELEASING = replace(FINALIZED, position=Held(step=HoldStep.RELEASING))
"""A release was written down but the crash came before Stripe answered."""


# -- before the comparison --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "state", "policy", "now", "step"),
    [
        pytest.param(invoice(), SEEN, CLOSED, RIGHT_AWAY, Hold(), id="closed holds at first sight"),
        pytest.param(invoice(), SEEN, CLOSED, MUCH_LATER, Hold(), id="closed holds a draft found late"),
        pytest.param(invoice(), SEEN, FAST, RIGHT_AWAY, Hold(), id="fast holds too"),
        pytest.param(invoice(), SEEN, OPEN, RIGHT_AWAY, SetBackstop(at=BACKSTOP), id="open gives Stripe a later time"),
        pytest.param(
            invoice(), SEEN, OPEN, BACKSTOP, SetBackstop(at=PLANNED), id="open after its backstop changes none"
        ),
        pytest.param(invoice(), BLOCKED, OPEN, RIGHT_AWAY, Hold(), id="open holds what the early warning blocked"),
        pytest.param(held_draft(), HELD, CLOSED, SETTLED, Wait(until=PLANNED), id="held waits for Stripe's own time"),
        pytest.param(held_draft(), HELD, CLOSED, PLANNED, Compare(), id="held is compared at Stripe's own time"),
        pytest.param(invoice(), HELD, CLOSED, LATER, Hold(again=True), id="an undone hold is held again"),
        pytest.param(invoice(), HELD, OPEN, LATER, Hold(again=True), id="in open too"),
        pytest.param(invoice(), INTENDED, CLOSED, LATER, Hold(), id="a hold that a crash cut short is done again"),
        pytest.param(held_draft(), INTENDED, CLOSED, LATER, Compare(), id="or was done, and then compared"),
        pytest.param(invoice(), BACKSTOPPED, OPEN, RIGHT_AWAY, Wait(until=SETTLED), id="open waits until settled"),
        pytest.param(invoice(), BACKSTOPPED, OPEN, SETTLED, Compare(), id="open compares when settled"),
        pytest.param(invoice(), BACKSTOPPED, CLOSED, SETTLED, Hold(), id="closed now holds what open let run"),
        pytest.param(held_draft(), FOREIGN, CLOSED, RIGHT_AWAY, Wait(until=SETTLED), id="a foreign hold is let be"),
        pytest.param(held_draft(), FOREIGN, CLOSED, SETTLED, Compare(), id="and only compared"),
        pytest.param(invoice(), SEEN, OBSERVE, RIGHT_AWAY, Wait(until=SETTLED), id="observe waits until settled"),
        pytest.param(invoice(), SEEN, OBSERVE, SETTLED, Compare(), id="observe compares"),
        pytest.param(invoice(), HELD, OBSERVE, LATER, Compare(), id="observe does not hold again"),
        pytest.param(
            invoice(metadata=OURS), STAMPED, FAST, LATER, Compare(), id="what our stamp set free is not held again"
        ),
        pytest.param(
            invoice(metadata=OURS | {EVIDENCE_KEY: "other"}), STAMPED, FAST, LATER, Hold(), id="another stamp frees not"
        ),
        pytest.param(left(), SEEN, CLOSED, LATER, Compare(), id="finalized before we saw it is compared"),
        pytest.param(left(auto_advance=False), HELD, CLOSED, LATER, Compare(), id="finalized under our hold"),
        pytest.param(left(), HELD, CLOSED, LATER, Hold(again=True), id="finalized and let go under our hold"),
        pytest.param(left(), HELD, OBSERVE, LATER, Compare(), id="observe only looks"),
        pytest.param(left(), STAMPED, OPEN, LATER, Confirm(), id="left by Stripe's clock with our stamp"),
        pytest.param(left(), RELEASED, CLOSED, LATER, WatchRelease(), id="released by us"),
        pytest.param(left(), RELEASING, CLOSED, LATER, WatchRelease(), id="released, then a crash"),
        pytest.param(left(auto_advance=False), RELEASING, CLOSED, LATER, Compare(), id="a crash before the release"),
        pytest.param(left(InvoiceStatus.PAID), RELEASED, CLOSED, LATER, End(detail="paid"), id="released and paid"),
        pytest.param(left(InvoiceStatus.PAID), RELEASING, CLOSED, LATER, Confirm(), id="a crash, released and paid"),
        pytest.param(left(InvoiceStatus.PAID), STAMPED, OPEN, LATER, Confirm(), id="paid with our stamp"),
        pytest.param(left(InvoiceStatus.PAID), SEEN, CLOSED, LATER, Compare(), id="paid before we saw it"),
        pytest.param(left(InvoiceStatus.PAID), HELD, CLOSED, LATER, Compare(), id="paid under our hold"),
        pytest.param(left(InvoiceStatus.UNKNOWN), HELD, CLOSED, LATER, Compare(), id="of a status we do not know"),
    ],
)
def test_each_state_has_its_step_before_the_comparison(
    made: Invoice, state: InvoiceState, policy: Policy, now: datetime, step: Step
) -> None:
    assert before_comparison(made, state, policy, now) == step


@pytest.mark.parametrize("state", [SEEN, HELD, BACKSTOPPED, STAMPED, FINALIZED, RELEASED])
@pytest.mark.parametrize("policy", [CLOSED, OPEN, FAST, OBSERVE])
@pytest.mark.parametrize("status", [InvoiceStatus.VOID, InvoiceStatus.UNCOLLECTIBLE])
def test_a_void_or_uncollectible_invoice_ends(status: InvoiceStatus, policy: Policy, state: InvoiceState) -> None:
    under_hold = state.held and policy.mode is Mode.ENFORCE
    step = Compare() if under_hold else End(detail=status.value)
    assert before_comparison(left(status), state, policy, LATER) == step


@pytest.mark.parametrize("status", [InvoiceStatus.VOID, InvoiceStatus.UNCOLLECTIBLE])
@pytest.mark.parametrize(("found", "marks"), [(DRIFTED, (WriteStamp(footer=False),)), (MATCHED, ())])
def test_an_invoice_that_a_person_gives_up_under_our_hold_is_alerted_and_ends(
    status: InvoiceStatus, found: Finding, marks: tuple[Action, ...]
) -> None:
    told, end = RaiseAlert(kind=f"{status.value}_under_hold"), End(detail=f"a person made it {status.value}")
    assert after_comparison(left(status), HELD, CLOSED, LATER, found) == (*marks, told, end)


def test_an_invoice_without_a_planned_time_is_compared_when_settled() -> None:
    state = replace(HELD, first=FirstSight(at=CREATED, auto_advance=True, finalizes_at=None))
    assert before_comparison(held_draft(), state, CLOSED, SETTLED) == Compare()


def test_a_grace_period_longer_than_the_backstop_is_kept() -> None:
    planned = CREATED + 2 * DAY
    state = replace(SEEN, first=FirstSight(at=CREATED, auto_advance=True, finalizes_at=planned))
    made = invoice(automatically_finalizes_at=planned)
    assert before_comparison(made, state, OPEN, RIGHT_AWAY) == SetBackstop(at=planned)


# -- after it ---------------------------------------------------------------------------------------------------------

STRICT_END: tuple[Action, ...] = (WriteStamp(footer=True), Finalize(), Release(), Wait(until=LATER + EFFECT_WITHIN))
FIRST_RETRY = Wait(until=LATER + MINUTE)
OVERDUE = replace(HELD, attempts=len(CLOSED.retry))


@pytest.mark.parametrize(
    ("made", "state", "policy", "found", "actions"),
    [
        # drafts
        pytest.param(held_draft(), HELD, CLOSED, MATCHED, STRICT_END, id="matched, strict"),
        pytest.param(held_draft(), HELD, CLOSED, WAIVED, STRICT_END, id="waived goes the same way"),
        pytest.param(held_draft(), HELD, OPEN, MATCHED, STRICT_END, id="matched, open, but held"),
        pytest.param(
            held_draft(),
            HELD,
            FAST,
            MATCHED,
            (WriteStamp(footer=True, auto_advance=True), Wait(until=LATER + EFFECT_WITHIN + CONFIRM_MARGIN)),
            id="matched, fast",
        ),
        pytest.param(
            held_draft(),
            FOREIGN,
            CLOSED,
            MATCHED,
            (WriteStamp(footer=True), Wait(until=LATER + FOREIGN_HOLD_INTERVAL)),
            id="matched under a foreign hold",
        ),
        pytest.param(
            invoice(automatically_finalizes_at=BACKSTOP),
            BACKSTOPPED,
            OPEN,
            MATCHED,
            (WriteStamp(footer=True, finalizes_at=LATER + MINUTE), Wait(until=LATER + MINUTE + CONFIRM_MARGIN)),
            id="matched, open, its own time is over",
        ),
        pytest.param(
            held_draft(), HELD, CLOSED, DRIFTED, (RaiseAlert(kind="drifted"), FIRST_RETRY), id="drifted stays held"
        ),
        pytest.param(
            invoice(),
            BACKSTOPPED,
            OPEN,
            DRIFTED,
            (Hold(), RaiseAlert(kind="drifted"), FIRST_RETRY),
            id="open holds a drift",
        ),
        pytest.param(
            held_draft(metadata=OURS),
            HELD_STAMPED,
            CLOSED,
            DRIFTED,
            (WriteStamp(footer=False), RaiseAlert(kind="drifted"), FIRST_RETRY),
            id="a stamp that is no longer true is replaced",
        ),
        pytest.param(held_draft(), HELD, CLOSED, UNSETTLED, (FIRST_RETRY,), id="not settled is looked at again"),
        pytest.param(invoice(), BACKSTOPPED, OPEN, UNSETTLED, (FIRST_RETRY,), id="open lets it run to its backstop"),
        pytest.param(
            invoice(),
            replace(BACKSTOPPED, attempts=len(OPEN.retry)),
            OPEN,
            UNSETTLED,
            (Wait(until=LATER + HOUR),),
            id="open, not settled for long, has until its backstop",
        ),
        pytest.param(
            invoice(),
            replace(BACKSTOPPED, attempts=len(OPEN.retry), backstop=Backstop(at=LATER)),
            OPEN,
            UNSETTLED,
            (RaiseAlert(kind="unproven"), Wait(until=LATER + HOUR)),
            id="open, a backstop that passed is told",
        ),
        pytest.param(
            invoice(),
            BACKSTOPPED,
            OPEN,
            UNMAPPED,
            (RaiseAlert(kind="unproven"), FIRST_RETRY),
            id="open, unmapped is told at once",
        ),
        pytest.param(
            left(),
            BACKSTOPPED,
            OPEN,
            UNSETTLED,
            (WriteStamp(footer=False), RaiseAlert(kind="went_out_unproven"), FIRST_RETRY),
            id="open, it went out unproven",
        ),
        pytest.param(
            held_draft(),
            OVERDUE,
            CLOSED,
            UNSETTLED,
            (RaiseAlert(kind="unproven"), Wait(until=LATER + HOUR)),
            id="not settled for long is told",
        ),
        pytest.param(
            held_draft(),
            HELD,
            CLOSED,
            UNMAPPED,
            (RaiseAlert(kind="unproven"), FIRST_RETRY),
            id="unmapped is told at once",
        ),
        pytest.param(
            held_draft(),
            FOREIGN,
            CLOSED,
            DRIFTED,
            (RaiseAlert(kind="drifted"), FIRST_RETRY),
            id="a drift under a foreign hold is told",
        ),
        # finalized
        pytest.param(
            left(auto_advance=False),
            FINALIZED,
            CLOSED,
            MATCHED,
            (WriteStamp(footer=False), Release(), Wait(until=LATER + EFFECT_WITHIN)),
            id="finalized by us, then a crash",
        ),
        pytest.param(
            left(auto_advance=False),
            FINALIZED,
            CLOSED,
            DRIFTED,
            (WriteStamp(footer=False), RaiseAlert(kind="drifted"), FIRST_RETRY),
            id="drifted at finalization is not released",
        ),
        pytest.param(
            left(),
            SEEN,
            CLOSED,
            MATCHED,
            (WriteStamp(footer=False), End(detail="verified after it was finalized")),
            id="finalized as it was made and matched",
        ),
        pytest.param(
            left(),
            SEEN,
            CLOSED,
            DRIFTED,
            (Hold(), WriteStamp(footer=False), RaiseAlert(kind="drifted"), FIRST_RETRY),
            id="finalized as it was made and drifted is stopped",
        ),
        pytest.param(
            left(billing_reason=BillingReason.SUBSCRIPTION_CREATE),
            SEEN,
            CLOSED,
            UNSETTLED,
            (WriteStamp(footer=False), RaiseAlert(kind="unproven"), FIRST_RETRY),
            id="finalized as it was made and unproven",
        ),
        pytest.param(
            left(),
            SEEN,
            CLOSED,
            UNSETTLED,
            (Hold(), WriteStamp(footer=False), RaiseAlert(kind="unproven"), FIRST_RETRY),
            id="finalized before we saw it and unproven is stopped",
        ),
        pytest.param(
            left(InvoiceStatus.PAID),
            SEEN,
            CLOSED,
            DRIFTED,
            (WriteStamp(footer=False), RaiseAlert(kind="drifted"), End(detail="left with a drift")),
            id="paid and drifted",
        ),
        pytest.param(
            left(InvoiceStatus.PAID),
            HELD,
            CLOSED,
            MATCHED,
            (
                WriteStamp(footer=False),
                RaiseAlert(kind="paid_under_hold"),
                End(detail="verified after it was finalized"),
            ),
            id="paid under our hold",
        ),
        pytest.param(
            left(InvoiceStatus.UNKNOWN),
            HELD,
            CLOSED,
            MATCHED,
            (RaiseAlert(kind="unknown_status"), FIRST_RETRY),
            id="a status we do not know is told and nothing else",
        ),
        # observe
        pytest.param(
            invoice(), SEEN, OBSERVE, DRIFTED, (RaiseAlert(kind="drifted"), FIRST_RETRY), id="observe tells a drift"
        ),
        pytest.param(
            invoice(automatically_finalizes_at=BACKSTOP),
            SEEN,
            OBSERVE,
            MATCHED,
            (Wait(until=BACKSTOP + CONFIRM_MARGIN),),
            id="observe looks again when it has left",
        ),
        pytest.param(left(), SEEN, OBSERVE, MATCHED, (End(detail="observed"),), id="observe ends with a match"),
        pytest.param(
            held_draft(),
            HELD,
            OBSERVE,
            DRIFTED,
            (RaiseAlert(kind="inherited_hold"), RaiseAlert(kind="drifted"), FIRST_RETRY),
            id="observe tells the holds it inherits",
        ),
        pytest.param(
            left(InvoiceStatus.PAID),
            SEEN,
            OBSERVE,
            DRIFTED,
            (RaiseAlert(kind="drifted"), End(detail="observed")),
            id="observe ends with a paid drift",
        ),
    ],
)
def test_each_finding_has_its_actions_after_the_comparison(
    made: Invoice, state: InvoiceState, policy: Policy, found: Finding, actions: tuple[Action, ...]
) -> None:
    assert after_comparison(made, state, policy, LATER, found) == actions


def test_failing_open_gives_back_the_time_that_stripe_had_planned() -> None:
    made = invoice(automatically_finalizes_at=BACKSTOP)
    assert after_comparison(made, BACKSTOPPED, OPEN, SETTLED, MATCHED) == (
        WriteStamp(footer=True, finalizes_at=PLANNED),
        Wait(until=PLANNED + CONFIRM_MARGIN),
    )


def test_failing_open_does_not_change_a_time_that_it_has_given_back() -> None:
    given_back = invoice(automatically_finalizes_at=PLANNED, metadata=OURS)
    state = replace(STAMPED, backstop=Backstop(at=BACKSTOP))
    assert after_comparison(given_back, state, OPEN, SETTLED, MATCHED) == (
        WriteStamp(footer=True),
        Wait(until=PLANNED + CONFIRM_MARGIN),
    )


def test_the_fast_policy_is_strict_when_a_line_lags_behind_its_meter() -> None:
    lagging = summarize((result(from_meter=True),))
    assert after_comparison(held_draft(), HELD, FAST, LATER, lagging) == STRICT_END


def test_an_invoice_that_left_unproven_is_not_checked_for_ever() -> None:
    made = left(InvoiceStatus.PAID)
    assert after_comparison(made, SEEN, CLOSED, PLANNED + GIVE_UP_AFTER, UNSETTLED)[-1] == End(detail="left unproven")


# -- always -----------------------------------------------------------------------------------------------------------

moments = st.sampled_from([CREATED, RIGHT_AWAY, SETTLED, PLANNED, LATER, BACKSTOP, CREATED + 3 * DAY, MUCH_LATER])
invoices = st.builds(
    lambda status, advance, plan, finalized, method, marked: invoice(
        status=status,
        auto_advance=advance,
        automatically_finalizes_at=plan,
        finalized_at=finalized,
        collection_method=method,
        metadata=OURS if marked else {},
    ),
    st.sampled_from(InvoiceStatus),
    st.booleans(),
    st.none() | moments,
    st.none() | moments,
    st.sampled_from(CollectionMethod),
    st.booleans(),
)
positions: st.SearchStrategy[Position] = st.one_of(
    st.just(Free()),
    st.builds(Held, step=st.sampled_from(HoldStep), cause=st.sampled_from(HoldCause)),
    st.just(Stamped()),
    st.builds(Released, at=moments),
    st.just(Cleared()),
    st.just(Ended()),
)
states = st.builds(
    InvoiceState,
    invoice_id=st.just("in_1"),
    first=st.none() | st.builds(FirstSight, at=moments, auto_advance=st.booleans(), finalizes_at=st.none() | moments),
    position=positions,
    held_at=st.none() | moments,
    backstop=st.none() | st.builds(Backstop, at=moments, cause=st.sampled_from(HoldCause)),
    early_warning_id=st.none() | st.just(WARNED),
    finalizer=st.none() | st.sampled_from(Finalizer),
    stamp=st.none()
    | st.builds(
        WrittenStamp,
        verdict=st.sampled_from(Verdict),
        evidence_sha256=st.just(SHA),
        figures=st.just(FIGURES),
        at=moments,
    ),
    attempts=st.integers(min_value=0, max_value=10),
)
policies = st.builds(
    Policy,
    mode=st.sampled_from(Mode),
    fail=st.sampled_from(FailPolicy),
    finalize=st.sampled_from(FinalizePolicy),
    settle=st.sampled_from([timedelta(0), 10 * MINUTE, 2 * DAY]),
    backstop=st.sampled_from([MINUTE, DAY]),
)
findings = st.one_of(
    st.sampled_from(Reason).map(finding),
    st.sampled_from(Reason).map(lambda reason: replace(finding(reason), verdict=Verdict.WAIVED)),
)
bad_findings = st.sampled_from([reason for reason in Reason if reason.verdict is not Verdict.MATCHED]).map(finding)


@given(invoices, states, policies, moments)
def test_there_is_always_a_next_step(made: Invoice, state: InvoiceState, policy: Policy, now: datetime) -> None:
    assert str(before_comparison(made, state, policy, now))


@given(invoices, states, policies, moments)
def test_no_wait_ends_in_the_past(made: Invoice, state: InvoiceState, policy: Policy, now: datetime) -> None:
    step = before_comparison(made, state, policy, now)
    assert not isinstance(step, Wait) or step.until > now


@given(invoices, states, policies, moments)
def test_observe_mode_plans_no_write(made: Invoice, state: InvoiceState, policy: Policy, now: datetime) -> None:
    step = before_comparison(made, state, replace(policy, mode=Mode.OBSERVE), now)
    assert not isinstance(step, Hold | SetBackstop)


@given(invoices, states, policies, moments)
def test_only_an_invoice_that_advances_by_itself_is_held(
    made: Invoice, state: InvoiceState, policy: Policy, now: datetime
) -> None:
    step = before_comparison(made, state, policy, now)
    assert not isinstance(step, Hold | SetBackstop) or made.auto_advance


@given(invoices, states, policies, moments, findings)
def test_only_the_last_action_sets_the_next_check(
    made: Invoice, state: InvoiceState, policy: Policy, now: datetime, found: Finding
) -> None:
    *done, last = after_comparison(made, state, policy, now, found)
    assert isinstance(last, Wait | End)
    assert not [action for action in done if isinstance(action, Wait | End)]
    assert not isinstance(last, Wait) or last.until > now


@given(invoices, states, policies, moments, findings)
def test_only_an_invoice_under_our_hold_is_finalized_or_released(
    made: Invoice, state: InvoiceState, policy: Policy, now: datetime, found: Finding
) -> None:
    actions = after_comparison(made, state, policy, now, found)
    if not state.held:
        assert not [action for action in actions if isinstance(action, Finalize | Release)]
        assert not [action for action in actions if isinstance(action, WriteStamp) and action.auto_advance]


@given(invoices, states, policies, moments, bad_findings)
def test_nothing_leaves_without_a_matched_or_waived_verdict(
    made: Invoice, state: InvoiceState, policy: Policy, now: datetime, found: Finding
) -> None:
    actions = after_comparison(made, state, policy, now, found)
    assert not [action for action in actions if isinstance(action, Finalize | Release)]
    stamps = [action for action in actions if isinstance(action, WriteStamp)]
    assert not [stamp for stamp in stamps if stamp.auto_advance or stamp.finalizes_at]


@given(invoices, states, policies, moments, findings)
def test_a_finalization_comes_after_the_stamp_and_before_the_release(
    made: Invoice, state: InvoiceState, policy: Policy, now: datetime, found: Finding
) -> None:
    kinds = [type(action) for action in after_comparison(made, state, policy, now, found)]
    if Finalize in kinds:
        assert kinds.index(WriteStamp) < kinds.index(Finalize) < kinds.index(Release)
        assert made.status is InvoiceStatus.DRAFT
    if Release in kinds:
        assert made.status in (InvoiceStatus.DRAFT, InvoiceStatus.OPEN)


@given(invoices, states, policies, moments, findings)
def test_observe_mode_only_alerts(
    made: Invoice, state: InvoiceState, policy: Policy, now: datetime, found: Finding
) -> None:
    actions = after_comparison(made, state, replace(policy, mode=Mode.OBSERVE), now, found)
    assert all(isinstance(action, Wait | RaiseAlert | End) for action in actions)


@given(invoices, states, policies, moments, findings)
def test_a_footer_is_written_on_drafts_alone(
    made: Invoice, state: InvoiceState, policy: Policy, now: datetime, found: Finding
) -> None:
    for action in after_comparison(made, state, policy, now, found):
        assert not isinstance(action, WriteStamp) or not action.footer or made.status is InvoiceStatus.DRAFT


@given(invoices, states, policies, moments, findings)
def test_a_void_or_uncollectible_invoice_gets_only_its_verdict(
    made: Invoice, state: InvoiceState, policy: Policy, now: datetime, found: Finding
) -> None:
    for status in (InvoiceStatus.VOID, InvoiceStatus.UNCOLLECTIBLE):
        gone = replace(made, status=status)
        assert isinstance(before_comparison(gone, state, policy, now), Compare if state.held else End) or (
            policy.mode is Mode.OBSERVE
        )
        for action in after_comparison(gone, state, policy, now, found):
            assert isinstance(action, Wait | RaiseAlert | End) or action == WriteStamp(footer=False)


@given(states, policies, moments, st.sampled_from(Reason).map(finding))
def test_enforce_mode_holds_a_drift_on_an_advancing_draft(
    state: InvoiceState, policy: Policy, now: datetime, found: Finding
) -> None:
    actions = after_comparison(invoice(), state, replace(policy, mode=Mode.ENFORCE), now, found)
    assert found.verdict is not Verdict.DRIFTED or Hold() in actions


@given(invoices, states, policies, moments, bad_findings)
def test_a_held_invoice_with_a_bad_finding_is_always_checked_again(
    made: Invoice, state: InvoiceState, policy: Policy, now: datetime, found: Finding
) -> None:
    if state.held and policy.mode is Mode.ENFORCE and made.status in (InvoiceStatus.DRAFT, InvoiceStatus.OPEN):
        assert isinstance(after_comparison(made, state, policy, now, found)[-1], Wait)


# -- in words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Wait(until=PLANNED), "check again at 2026-11-01T01:00:00Z"),
        (Hold(), "hold (auto_advance=false)"),
        (Hold(again=True), "hold (auto_advance=false)"),
        (SetBackstop(at=PLANNED), "let Stripe finalize at 2026-11-01T01:00:00Z at the latest"),
        (Compare(), "compare"),
        (Confirm(), "confirm the final lines"),
        (WatchRelease(), "watch the release"),
        (End(detail="paid"), "nothing more: paid"),
        (WriteStamp(footer=True), "stamp metadata and footer"),
        (WriteStamp(footer=False), "stamp metadata"),
        (Finalize(), "finalize without advancing, read all lines again"),
        (Release(), "release (auto_advance=true)"),
        (RaiseAlert(kind="drifted"), "alert drifted"),
    ],
)
def test_every_step_has_a_text(step: Step | Action, words: str) -> None:
    assert str(step) == words


# -- the ladder, the waiver, the release ------------------------------------------------------------------------------


@pytest.mark.parametrize(("attempts", "minutes"), [(0, 1), (1, 5), (2, 15), (3, 60), (4, 60), (1000, 60)])
def test_the_last_step_of_the_ladder_repeats(attempts: int, minutes: int) -> None:
    assert ladder(CLOSED, attempts) == timedelta(minutes=minutes)


OVER = Reason.OVERBILLED
WAIVER = Waiver(reason="agreed", by="ada", at=CREATED, figures=FIGURES)


@pytest.mark.parametrize(
    ("found", "waiver", "verdict"),
    [
        pytest.param(DRIFTED, WAIVER, Verdict.WAIVED, id="a drift"),
        pytest.param(UNMAPPED, WAIVER, Verdict.WAIVED, id="an open question"),
        pytest.param(MATCHED, WAIVER, Verdict.MATCHED, id="a match needs none"),
        pytest.param(DRIFTED, None, Verdict.DRIFTED, id="not waived"),
        pytest.param(summarize((result(OVER, billed=Decimal(101)),)), WAIVER, Verdict.DRIFTED, id="another quantity"),
        pytest.param(replace(DRIFTED, windows=()), WAIVER, Verdict.DRIFTED, id="nothing is billed any more"),
        pytest.param(summarize((result(OVER), result(meter="storage"))), WAIVER, Verdict.DRIFTED, id="more is billed"),
        pytest.param(
            summarize((result(OVER, billed=Decimal("100.0")),)), WAIVER, Verdict.WAIVED, id="written otherwise"
        ),
        pytest.param(summarize((result(OVER, billed=None),)), WAIVER, Verdict.DRIFTED, id="an unknown billed figure"),
    ],
)
def test_a_waiver_holds_for_exactly_the_quantities_it_names(
    found: Finding, waiver: Waiver | None, verdict: Verdict
) -> None:
    waived = with_waiver(found, replace(HELD, waiver=waiver))
    assert waived == replace(found, verdict=verdict)


def test_a_waiver_keeps_the_reason_and_every_window() -> None:
    found = summarize((result(OVER), result(meter="storage", billed=Decimal(1))))
    waiver = replace(WAIVER, figures={**FIGURES, f"storage|{OCTOBER}": "1"})
    waived = with_waiver(found, replace(HELD, waiver=waiver))
    assert (waived.reason, waived.windows) == (Reason.OVERBILLED, found.windows)


@pytest.mark.parametrize(
    ("made", "mailed", "effect"),
    [
        (left(), False, False),
        (left(attempted=True), False, True),
        (left(attempt_count=1), False, True),
        (left(collection_method=CollectionMethod.SEND_INVOICE), False, False),
        (left(collection_method=CollectionMethod.SEND_INVOICE), True, True),
        (left(collection_method=CollectionMethod.UNKNOWN), False, False),
    ],
)
def test_a_release_shows_its_effect_in_an_attempt_or_a_mail(
    made: Invoice,
    mailed: bool,  # noqa: FBT001  # a column of the table
    effect: bool,  # noqa: FBT001  # a column of the table
) -> None:
    assert release_showed_effect(made, mailed=mailed) is effect
