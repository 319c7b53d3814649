"""Windows: half-open spans in aware UTC, and the whole minutes in and around them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.vocabulary.windows import Window, floor_to, iso
from tests.support.examples import NOVEMBER, OCTOBER

NOON = datetime(2026, 10, 5, 12, tzinfo=UTC)
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)

moments = st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001  # Hypothesis adds the zone
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
windows = st.tuples(moments, st.timedeltas(min_value=timedelta(microseconds=1), max_value=400 * DAY)).map(
    lambda drawn: Window(start=drawn[0], end=drawn[0] + drawn[1])
)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize("length", [timedelta(0), -SECOND])
def test_a_window_ends_after_it_starts(length: timedelta) -> None:
    with pytest.raises(ValueError, match="ends after it starts"):
        Window(start=NOON, end=NOON + length)


@pytest.mark.parametrize("zone", [None, timezone(timedelta(hours=2))])
def test_a_window_is_aware_utc(zone: timezone | None) -> None:
    with pytest.raises(ValueError, match="aware UTC"):
        Window(start=NOON.replace(tzinfo=zone), end=NOVEMBER.end)


def test_a_window_is_made_from_stripes_seconds() -> None:
    assert Window.from_unix(1_790_812_800, 1_793_491_200) == OCTOBER


@pytest.mark.parametrize("end", [1_790_812_800, 1_790_812_799])
def test_the_empty_period_of_a_one_off_item_is_no_window(end: int) -> None:
    assert Window.from_unix(1_790_812_800, end) is None


@pytest.mark.parametrize(
    ("start", "end", "inner", "outer"),
    [
        pytest.param(0, 120, (0, 120), (0, 120), id="whole minutes are both"),
        pytest.param(1, 120, (60, 120), (0, 120), id="a start with seconds"),
        pytest.param(0, 119, (0, 60), (0, 120), id="an end with seconds"),
        pytest.param(0.5, 119.5, (60, 60), (0, 120), id="only parts of minutes"),
        pytest.param(10, 50, (60, 0), (0, 60), id="inside one minute"),
        pytest.param(59, 61, (60, 60), (0, 120), id="around a minute's end"),
    ],
)
def test_summaries_take_whole_minutes(
    start: float, end: float, inner: tuple[float, float], outer: tuple[float, float]
) -> None:
    window = Window(start=at(start), end=at(end))
    fits = inner[0] < inner[1]
    assert window.inner_minutes == (Window(start=at(inner[0]), end=at(inner[1])) if fits else None)
    assert window.outer_minutes == Window(start=at(outer[0]), end=at(outer[1]))


@given(windows)
def test_the_inner_minutes_lie_in_the_window_and_the_window_in_the_outer_ones(window: Window) -> None:
    inner, outer = window.inner_minutes, window.outer_minutes
    assert outer.start <= window.start < window.end <= outer.end
    assert outer.start > window.start - MINUTE
    assert outer.end < window.end + MINUTE
    if inner is None:
        assert window.end - window.start < 2 * MINUTE
    else:
        assert window.start <= inner.start < inner.end <= window.end
        assert outer.end - outer.start <= (inner.end - inner.start) + 2 * MINUTE


@given(windows)
def test_rounding_to_minutes_twice_changes_nothing(window: Window) -> None:
    outer = window.outer_minutes
    assert outer.outer_minutes == outer
    assert outer.inner_minutes == outer


@pytest.mark.parametrize(
    ("moment", "step", "floored"),
    [
        (NOON + SECOND, MINUTE, NOON),
        (NOON, MINUTE, NOON),
        (NOON, DAY, datetime(2026, 10, 5, tzinfo=UTC)),
        (NOON, timedelta(hours=5), datetime(2026, 10, 5, 11, tzinfo=UTC)),
    ],
)
def test_flooring_counts_from_the_epoch(moment: datetime, step: timedelta, floored: datetime) -> None:
    assert floor_to(moment, step) == floored


@given(moments, st.timedeltas(min_value=timedelta(microseconds=1), max_value=30 * DAY))
def test_flooring_goes_back_less_than_a_step_and_only_once(moment: datetime, step: timedelta) -> None:
    floored = floor_to(moment, step)
    assert timedelta(0) <= moment - floored < step
    assert floor_to(floored, step) == floored


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (NOON, "2026-10-05T12:00:00Z"),
        (NOON + timedelta(microseconds=5), "2026-10-05T12:00:00.000005Z"),
        (NOON.astimezone(timezone(timedelta(hours=-7))), "2026-10-05T12:00:00Z"),
    ],
)
def test_times_are_written_in_utc(moment: datetime, written: str) -> None:
    assert iso(moment) == written


def test_a_window_is_written_as_an_iso_interval() -> None:
    assert str(OCTOBER) == "2026-10-01T00:00:00Z/2026-11-01T00:00:00Z"


@given(windows, windows)
def test_only_equal_windows_are_written_alike(one: Window, other: Window) -> None:
    assert (str(one) == str(other)) == (one == other)


@given(windows)
def test_halves_make_up_the_whole_and_meet_at_a_midnight(whole: Window) -> None:
    halves = whole.halves
    if halves is None:
        assert whole.end - whole.start < 2 * DAY
        return
    one, other = halves
    assert (one.start, one.end, other.end) == (whole.start, other.start, whole.end)
    assert one.end == floor_to(one.end, DAY)


@given(windows)
def test_the_edge_minutes_are_those_that_only_the_outer_window_has(window: Window) -> None:
    inner, outer = window.inner_minutes, window.outer_minutes
    lasting = sum((minute.end - minute.start for minute in window.edge_minutes), timedelta(0))
    assert all(outer.start <= minute.start and minute.end <= outer.end for minute in window.edge_minutes)
    if inner is not None:
        assert lasting == (outer.end - outer.start) - (inner.end - inner.start)
