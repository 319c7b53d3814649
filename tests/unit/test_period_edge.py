"""A drift at the edge of its period: the records that the rules name, and those that they never name."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.comparison.rules.period_edge import (
    MOST_NAMED,
    Bound,
    EdgeRecord,
    EdgeShift,
    PeriodEdges,
    within_minutes,
)
from pacspace_stripe.comparison.rules.verdicts import MeterTotals
from pacspace_stripe.ledger.rules.selection import Selection, is_usage_of
from pacspace_stripe.vocabulary.ledger import LedgerDelta
from pacspace_stripe.vocabulary.policy import Attribution
from pacspace_stripe.vocabulary.windows import Window
from tests.support.examples import OCTOBER

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
START, END = OCTOBER.start, OCTOBER.end
SELECTION = Selection(meter="api_calls")
USAGE_TIME = replace(SELECTION, attribution=Attribution.USAGE_TIME)


def delta(accepted_at: datetime, usage: int | str, reference: str | None = None, **metadata: str) -> LedgerDelta:
    """Return a record that the ledger accepted at that time; usage is negative there."""
    return LedgerDelta(
        record_id=f"rec_{accepted_at:%d%H%M%S}_{usage}",
        amount=-Decimal(usage),
        accepted_at=accepted_at,
        reason="usage",
        reference_id=reference,
        metadata=metadata,
    )


def edges(
    difference: int | str,
    *deltas: LedgerDelta,
    window: Window = OCTOBER,
    selection: Selection = SELECTION,
    slack: timedelta = 5 * MINUTE,
    tolerance: str = "0",
) -> EdgeShift | None:
    """Return the shift that explains an overbilling, of records that PacSpace places by their acceptance."""
    records = (
        EdgeRecord.of(each, window, selection, inside=window.start <= each.accepted_at < window.end) for each in deltas
    )
    return PeriodEdges(
        window=window,
        difference=Decimal(difference),
        records=tuple(records),
        attribution=selection.attribution,
        slack=slack,
        tolerance=Decimal(tolerance),
    ).shift()


def ids(moved: EdgeShift | None) -> set[str]:
    return {record.delta.record_id for record in moved.records} if moved else set()


# -- the slack --------------------------------------------------------------------------------------------------------

BEFORE_START, AFTER_START = delta(START - 2 * MINUTE, 3), delta(START + MINUTE, 5)
BEFORE_END, AFTER_END = delta(END - MINUTE, 7), delta(END + 2 * MINUTE, 11)
ALL_FOUR = (BEFORE_START, AFTER_START, BEFORE_END, AFTER_END)


@pytest.mark.parametrize(
    ("difference", "named"),
    [
        pytest.param(11, [AFTER_END], id="recorded just after the end, billed before it"),
        pytest.param(-7, [BEFORE_END], id="recorded just before the end, billed after it"),
        pytest.param(3, [BEFORE_START], id="recorded just before the start, billed after it"),
        pytest.param(-5, [AFTER_START], id="recorded just after the start, billed before it"),
        pytest.param(6, [AFTER_END, AFTER_START], id="a ledger that is late at both bounds"),
        pytest.param(-4, [BEFORE_END, BEFORE_START], id="a ledger that is early at both bounds"),
        pytest.param(4, [], id="late at one bound and early at the other is no clock"),
        pytest.param(14, [], id="nor is what came in at both"),
        pytest.param(1, [], id="no record is that large"),
        pytest.param(-11, [], id="the other direction"),
    ],
)
def test_records_near_a_bound_may_belong_to_its_other_side(difference: int, named: list[LedgerDelta]) -> None:
    assert ids(edges(difference, *ALL_FOUR)) == {each.record_id for each in named}


@pytest.mark.parametrize(
    ("after_the_end", "slack", "found"),
    [
        (timedelta(0), 5 * MINUTE, True),
        (5 * MINUTE, 5 * MINUTE, True),
        (5 * MINUTE + SECOND, 5 * MINUTE, False),
        (5 * MINUTE + SECOND, 6 * MINUTE, True),
        (SECOND, timedelta(0), False),
    ],
)
def test_the_slack_decides_which_records_are_near(after_the_end: timedelta, slack: timedelta, found: bool) -> None:  # noqa: FBT001  # a column
    assert (edges(9, delta(END + after_the_end, 9), slack=slack) is not None) is found


RUN = tuple(delta(END + place * 20 * SECOND, 2**place) for place in range(6))
"""1, 2, 4, ... 32, from the end outwards."""


@pytest.mark.parametrize(
    ("difference", "named"),
    [
        pytest.param(16, RUN[4:5], id="one alone, wherever it lies"),
        pytest.param(7, RUN[:3], id="the nearest ones, without a gap"),
        pytest.param(63, RUN, id="all of them"),
        pytest.param(5, (), id="two that are not neighbours are a coincidence"),
        pytest.param(48, (), id="nor those that leave out the nearest"),
    ],
)
def test_several_records_are_named_only_from_the_bound_outwards(
    difference: int, named: tuple[LedgerDelta, ...]
) -> None:
    assert ids(edges(difference, *RUN)) == {each.record_id for each in named}


def test_the_fewest_records_that_agree_are_named() -> None:
    six = [delta(END + place * SECOND, 1) for place in range(6)]
    moved = edges(6, *six, delta(END + 2 * MINUTE, 6))
    assert ids(moved) == {"rec_01000200_6"}


def test_the_tolerance_applies_to_moved_records_too() -> None:
    assert edges(10, delta(END + MINUTE, 9)) is None
    assert edges(10, delta(END + MINUTE, 9), tolerance="1") is not None


def test_no_record_near_the_bounds_is_no_explanation() -> None:
    assert edges(10) is None


@given(
    st.lists(st.tuples(st.integers(1, 900), st.integers(1, 50)), max_size=25),
    st.integers(-300, 300).filter(bool),
    st.sampled_from([OCTOBER, Window(start=START, end=START + DAY)]),
)
def test_a_ledger_clock_that_is_off_by_less_than_the_slack_is_found(
    used: list[tuple[int, int]], off: int, window: Window
) -> None:
    """Bill usage near both bounds by one clock, and record it by another that is off by some seconds."""
    when = [
        (bound + side * seconds * SECOND, amount, place)
        for place, (seconds, amount) in enumerate(used)
        for bound in (window.start, window.end)
        for side in (-1, 1)
    ]
    billed = sum(amount for at, amount, _ in when if window.start <= at < window.end)
    made = [replace(delta(at + off * SECOND, amount), record_id=f"{at}{amount}{place}") for at, amount, place in when]
    recorded = sum(-each.amount for each in made if window.start <= each.accepted_at < window.end)
    if billed != recorded:
        moved = edges(str(billed - recorded), *made, window=window)
        assert moved is not None
        assert sum(record.change for record in moved.records) == billed - recorded


@given(
    st.lists(st.tuples(st.integers(-600, 600), st.integers(1, 9)), max_size=12),
    st.integers(-40, 40).filter(bool),
    st.sampled_from([START, END]),
)
def test_named_records_make_up_the_difference_and_lie_near_their_bound(
    near: list[tuple[int, int]], difference: int, bound: datetime
) -> None:
    made = [
        replace(delta(bound + off * SECOND, amount), record_id=f"rec_{place}")
        for place, (off, amount) in enumerate(near)
    ]
    moved = edges(difference, *made)
    if moved is not None:
        assert sum(record.change for record in moved.records) == difference
        assert all(abs(record.delta.accepted_at - bound) <= 5 * MINUTE for record in moved.records)
    if any(abs(off) <= 300 and (-1 if _inside(bound, off) else 1) * amount == difference for off, amount in near):
        assert moved is not None
        assert len(moved.records) == 1


def _inside(bound: datetime, off: int) -> bool:
    return START <= bound + off * SECOND < END


# -- the other clock --------------------------------------------------------------------------------------------------


def day(on: str) -> dict[str, str]:
    start = datetime.fromisoformat(on).replace(tzinfo=UTC)
    return {"summaryWindowStart": start.isoformat(), "summaryWindowEnd": (start + DAY).isoformat()}


LAST_DAY = delta(END + 10 * MINUTE, 40, "usage:cus_1:2026-10-31")
DAY_BEFORE = delta(START + 10 * MINUTE, 30, "usage:cus_1:2026-09-30")
FIRST_DAY = delta(START + DAY + 10 * MINUTE, 20, "usage:cus_1:2026-10-01")


@pytest.mark.parametrize(
    ("difference", "named"),
    [
        pytest.param(40, [LAST_DAY], id="the last day's summary came after midnight"),
        pytest.param(-30, [DAY_BEFORE], id="so did that of the day before the first"),
        pytest.param(10, [LAST_DAY, DAY_BEFORE], id="as every day"),
        pytest.param(20, [], id="a summary of a day inside changes nothing"),
    ],
)
def test_daily_summaries_accepted_after_midnight_agree_by_usage_time(difference: int, named: list[LedgerDelta]) -> None:
    there = [each for each in (LAST_DAY, DAY_BEFORE) if each in named] or [FIRST_DAY]
    moved = edges(difference, FIRST_DAY, *there)
    assert ids(moved) == {each.record_id for each in named}
    assert moved is None or "placed by usage time" in str(moved)


@pytest.mark.parametrize(
    ("difference", "made", "found"),
    [
        pytest.param(-40, LAST_DAY, True, id="billed by acceptance, recorded by usage time"),
        pytest.param(30, DAY_BEFORE, True, id="and at the start"),
        pytest.param(20, FIRST_DAY, False, id="inside by either"),
        pytest.param(-40, replace(LAST_DAY, reference_id=None), False, id="a record that says no time of its own"),
    ],
)
def test_the_other_clock_of_usage_time_is_acceptance(difference: int, made: LedgerDelta, found: bool) -> None:  # noqa: FBT001  # a column
    moved = edges(difference, made, selection=USAGE_TIME)
    assert (moved is not None) is found
    assert moved is None or "placed by when they were accepted" in str(moved)


def test_a_summary_across_a_bound_is_no_explanation() -> None:
    noon = Window(start=START + 12 * HOUR, end=END + 12 * HOUR)
    assert edges(40, delta(noon.end + HOUR, 40, **day("2026-11-01")), window=noon) is None


def test_the_other_clock_comes_before_the_slack() -> None:
    both = (LAST_DAY, delta(END + MINUTE, 40))
    assert ids(edges(40, *both)) == {LAST_DAY.record_id}


# -- calendars --------------------------------------------------------------------------------------------------------


def window(start: str, end: str) -> Window:
    return Window(start=datetime.fromisoformat(start), end=datetime.fromisoformat(end))


@pytest.mark.parametrize(
    ("of", "accepted", "reference", "found"),
    [
        pytest.param(
            window("2028-02-01T00:00Z", "2028-03-01T00:00Z"),
            "2028-03-01T00:05:30Z",
            "u:2028-02-29",
            True,
            id="leap day",
        ),
        pytest.param(
            window("2027-02-01T00:00Z", "2027-03-01T00:00Z"),
            "2027-03-01T00:05:30Z",
            "u:2027-02-29",
            False,
            id="no leap day: no date",
        ),
        pytest.param(
            window("2028-02-29T00:00Z", "2028-03-29T00:00Z"),
            "2028-03-29T02:00:00Z",
            "u:2028-03-28",
            True,
            id="anchored on the leap day",
        ),
        pytest.param(
            window("2026-03-29T00:00Z", "2026-03-30T00:00Z"),
            "2026-03-30T01:00:00Z",
            "u:2026-03-29",
            True,
            id="the day that Europe's clocks go forward has 24 hours in UTC",
        ),
        pytest.param(
            window("2026-10-25T00:00Z", "2026-10-26T00:00Z"),
            "2026-10-26T01:00:00Z",
            "u:2026-10-25",
            True,
            id="and the day that they go back",
        ),
        pytest.param(
            window("2026-12-31T00:00Z", "2027-12-31T00:00Z"), "2027-12-31T03:00:00Z", "u:2027-12-30", True, id="a year"
        ),
        pytest.param(
            window("2026-10-31T23:00Z", "2026-11-01T23:00Z"),
            "2026-11-01T23:30:00Z",
            "u:2026-11-01",
            False,
            id="a day in Berlin is no day in UTC: its summary crosses the bound",
        ),
        pytest.param(
            window("2026-10-01T12:34:56Z", "2026-11-01T12:34:56Z"),
            "2026-11-01T12:36:00Z",
            None,
            True,
            id="an anchor with seconds, within the slack",
        ),
        pytest.param(
            window("2026-10-01T12:34:56Z", "2026-11-01T12:34:56Z"),
            "2026-11-01T12:40:00Z",
            None,
            False,
            id="an anchor with seconds, outside the slack",
        ),
    ],
)
def test_days_are_days_of_utc(of: Window, accepted: str, reference: str | None, found: bool) -> None:  # noqa: FBT001  # a column
    made = delta(datetime.fromisoformat(accepted), 12, reference)
    assert (edges(12, made, window=of) is not None) is found


@pytest.mark.parametrize("zone", ["+02:00", "-08:00", "+05:45"])
def test_a_summary_window_is_read_in_its_own_zone(zone: str) -> None:
    spoken = {"summaryWindowStart": f"2026-10-31T00:00:00{zone}", "summaryWindowEnd": f"2026-10-31T12:00:00{zone}"}
    assert edges(8, delta(END + HOUR, 8, **spoken)) is not None


# -- the minutes ------------------------------------------------------------------------------------------------------

SECONDS = window("2026-10-01T12:34:56Z", "2026-11-01T12:34:56Z")


@pytest.mark.parametrize(
    ("recorded", "inner", "outer", "found"),
    [
        ("95", "90", "100", True),
        ("90", "90", "100", True),
        ("100", "90", "100", True),
        ("89", "90", "100", False),
        ("101", "90", "100", False),
        ("90", "90", "90", False),
    ],
)
def test_minutes_at_a_bound_with_seconds_may_lie_on_either_side(
    recorded: str,
    inner: str,
    outer: str,
    found: bool,  # noqa: FBT001  # a column of the table
) -> None:
    said = within_minutes(SECONDS, Decimal(recorded), MeterTotals(inner=Decimal(inner), outer=Decimal(outer)))
    assert (said is not None) is found


def test_the_minutes_are_named() -> None:
    assert within_minutes(SECONDS, Decimal(95), MeterTotals(inner=Decimal(90), outer=Decimal(100))) == (
        "they may agree: Stripe counted 10 in the minutes at the period's edge "
        "(2026-10-01T12:34:00Z/2026-10-01T12:35:00Z and 2026-11-01T12:34:00Z/2026-11-01T12:35:00Z)"
    )


MINUTE_AT_MOST = window("2026-10-01T00:00:10Z", "2026-10-01T00:00:50Z")


@pytest.mark.parametrize(
    ("of", "minutes"),
    [(OCTOBER, 0), (SECONDS, 2), (Window(start=START, end=SECONDS.end), 1), (MINUTE_AT_MOST, 1)],
)
def test_bounds_on_whole_minutes_have_no_minutes_of_their_own(of: Window, minutes: int) -> None:
    assert len(of.edge_minutes) == minutes


# -- what is named ----------------------------------------------------------------------------------------------------


def test_records_are_named_for_a_person_in_order_of_time() -> None:
    assert str(edges(6, *ALL_FOUR)) == (
        "they agree when moved across the period's edge, 5 min at most: "
        "rec_01000100_5 of 5, accepted 2026-10-01T00:01:00Z, counted, "
        "rec_01000200_11 of 11, accepted 2026-11-01T00:02:00Z, not counted"
    )
    assert "(usage:cus_1:2026-10-31)" in str(edges(40, LAST_DAY))


def test_only_the_first_few_records_are_named() -> None:
    many = [delta(END + place * SECOND, 2) for place in range(MOST_NAMED + 4)]
    said = str(edges(2 * len(many), *many))
    assert said.count("accepted") == MOST_NAMED
    assert said.endswith(" and 4 more")


@pytest.mark.parametrize(
    ("selection", "reason", "ours"),
    [
        pytest.param(SELECTION, "anything", True, id="one meter on the account"),
        pytest.param(replace(SELECTION, exclude_reasons=frozenset({"deposit"})), "deposit", False, id="a deposit"),
        pytest.param(replace(SELECTION, meter_from="reason"), "api_calls", True, id="its meter"),
        pytest.param(replace(SELECTION, meter_from="reason"), "storage", False, id="another meter"),
    ],
)
def test_only_usage_of_the_meter_can_move(selection: Selection, reason: str, ours: bool) -> None:  # noqa: FBT001  # a column
    assert is_usage_of(replace(AFTER_END, reason=reason), selection) is ours


def test_a_record_moves_in_the_meters_unit() -> None:
    in_bytes = replace(SELECTION, unit=Decimal(1024))
    assert edges(2, delta(END + MINUTE, 2048), selection=in_bytes) is not None


@pytest.mark.parametrize(
    ("accepted", "inside", "bound"),
    [(END - SECOND, True, Bound.END), (START, True, Bound.START), (START - SECOND, False, Bound.START)],
)
def test_pacspaces_own_windows_decide_on_which_side_a_record_is(
    accepted: datetime,
    inside: bool,  # noqa: FBT001  # a column of the table
    bound: Bound,
) -> None:
    record = EdgeRecord.of(delta(accepted, 4), OCTOBER, SELECTION, inside=inside)
    assert (record.counted, record.bound) == (inside, bound)
    other = EdgeRecord.of(delta(accepted, 4), OCTOBER, SELECTION, inside=not inside)
    assert (other.counted, other.change) == (not inside, -record.change)
