"""Invoice states are stored as JSON, and read again by this version and by the next."""

from dataclasses import fields
from datetime import UTC, datetime, timezone
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
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
    Stage,
    Stamped,
    Waiver,
    WrittenStamp,
)
from pacspace_stripe.store.states import from_json, to_json
from tests.support.examples import BACKSTOPPED, HELD, RELEASED, SEEN, STAMPED
from tests.support.old_states import OLD_ROWS

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
moments = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001  # Hypothesis adds the zone
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
POSITIONS: tuple[Position, ...] = (
    *(Free(), Stamped(), Released(at=datetime(2026, 11, 1, 2, tzinfo=UTC)), Cleared(), Ended()),
    *(Held(step=step, cause=cause) for step in HoldStep for cause in HoldCause),
)
figures = st.dictionaries(words, words, max_size=3)
states = st.builds(
    InvoiceState,
    invoice_id=words,
    customer_id=st.none() | words,
    subscription_id=st.none() | words,
    first=st.none() | st.builds(FirstSight, at=moments, auto_advance=st.booleans(), finalizes_at=st.none() | moments),
    position=st.sampled_from(POSITIONS),
    held_at=st.none() | moments,
    backstop=st.none() | st.builds(Backstop, at=moments, cause=st.sampled_from(HoldCause)),
    early_warning_id=st.none() | words,
    finalizer=st.none() | st.sampled_from(Finalizer),
    verdict=st.none() | st.sampled_from(Verdict),
    reason=st.none() | st.sampled_from(Reason),
    detail=words,
    windows=st.lists(st.dictionaries(words, st.none() | words | st.integers(), max_size=3), max_size=3).map(tuple),
    stamp=st.none()
    | st.builds(WrittenStamp, verdict=st.sampled_from(Verdict), evidence_sha256=words, figures=figures, at=moments),
    evidence_sha256=st.none() | words,
    evidence_core=st.none() | words,
    waiver=st.none() | st.builds(Waiver, reason=words, by=words, at=moments, figures=figures),
    attempts=st.integers(min_value=0),
    failures=st.integers(min_value=0),
    alerted=st.lists(words, max_size=3).map(tuple),
    left_out=st.lists(words, max_size=3).map(tuple),
)


@given(states)
def test_a_stored_state_is_read_as_it_was(state: InvoiceState) -> None:
    assert from_json(to_json(state)) == state


@pytest.mark.parametrize("state", [SEEN, HELD, BACKSTOPPED, STAMPED, RELEASED], ids=lambda state: state.stage)
def test_every_stage_is_read_as_it_was(state: InvoiceState) -> None:
    assert from_json(to_json(state)) == state


def test_a_figure_in_digits_stays_text() -> None:
    read = from_json(to_json(InvoiceState(invoice_id="in_1", windows=({"billed": "100", "count": 4},))))
    assert read.windows[0]["billed"] == "100"
    assert read.windows[0]["count"] == 4


def test_a_row_with_nothing_but_the_id_is_read() -> None:
    assert from_json({"invoice_id": "in_1"}) == InvoiceState(invoice_id="in_1")


def test_every_field_but_the_id_has_a_default_so_that_older_rows_can_be_read() -> None:
    InvoiceState(invoice_id="in_1")
    assert {field.name for field in fields(InvoiceState)} == set(get_type_hints(InvoiceState))


def test_a_field_that_a_newer_version_added_is_left_out() -> None:
    assert from_json(to_json(HELD) | {"from_the_future": 1}) == HELD


def test_a_moment_of_another_zone_is_read_as_the_same_moment() -> None:
    elsewhere = datetime(2026, 11, 1, 2, tzinfo=timezone.max)
    read = from_json(to_json(InvoiceState(invoice_id="in_1", held_at=elsewhere)))
    assert read.held_at == elsewhere


def test_two_positions_are_ends() -> None:
    ended = [position for position in POSITIONS if InvoiceState(invoice_id="in_1", position=position).ended]
    assert ended == [Cleared(), Ended()]


def stage_before(row: dict[str, Any]) -> str:
    """Return the stage that a row of revision 0007 stands for, where its stage was not up to date."""
    if row["held"]:
        intended = row["held_at"] is None or row["stage"] not in {"held", "stamped", "finalized", "released"}
        return "held" if intended else row["stage"]
    if row["stage"] in {"seen", "held", "backstopped"}:
        return "backstopped" if row["backstop_at"] else "seen"
    return str(row["stage"])


@pytest.mark.parametrize("row", OLD_ROWS, ids=lambda row: f"{row['stage']}{' held' if row['held'] else ''}")
def test_a_row_of_the_version_before_says_the_same(row: dict[str, Any]) -> None:
    state = from_json(row)
    assert (state.stage, state.held, state.ended) == (stage_before(row), row["held"], state.stage is Stage.ENDED)
    assert (state.blocked, state.past, bool(state.unread_updates)) == (
        row["blocked"],
        row["past"],
        row["updates_unread"],
    )
    assert (state.finalizer is Finalizer.US) == row["finalized_by_us"]
    assert (state.backstop is not None, state.stamp is not None) == (
        row["backstop_at"] is not None,
        row["stamped"] is not None,
    )
    if state.stopped_for is not None:
        assert (state.stopped_for is HoldCause.PRECAUTION) == row["precaution"]
    if state.stage in {Stage.RELEASED, Stage.ENDED}:
        assert state.cleared == row["cleared"]
    assert from_json(to_json(state)) == state


def test_a_hold_that_was_only_intended_is_not_taken_for_one_that_stripe_took() -> None:
    intended = [row for row in OLD_ROWS if row["held"] and row["held_at"] is None]
    assert intended
    assert {from_json(row).position for row in intended} <= {
        Held(step=HoldStep.REQUESTED, cause=cause) for cause in HoldCause
    }
