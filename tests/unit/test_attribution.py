"""The clock that places a delta under ``auto``: the time that it summarizes, else its acceptance."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.ledger.rules.attribution import LATEST_ACCEPTANCE, Placement, placement, usage_time
from pacspace_stripe.ledger.rules.selection import Selection, awaited_summary, may_count, unless_trivial
from pacspace_stripe.vocabulary.ledger import LedgerDelta, LeftOut, LeftOutBy
from pacspace_stripe.vocabulary.policy import Attribution, Policy
from pacspace_stripe.vocabulary.windows import Window
from tests.support.examples import OCTOBER, balance

AUTO = Attribution.AUTO
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
START, END = OCTOBER.start, OCTOBER.end
LAST_DAY = "daily_usage_flush:2026-10-31"
SELECTION = Selection(meter="api_calls", attribution=AUTO)


def at(day: int, hour: int = 0, month: int = 10) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def delta(accepted_at: datetime, reference: str | None = None, **metadata: str) -> LedgerDelta:
    return LedgerDelta(
        record_id="rec_1",
        amount=Decimal(-10),
        accepted_at=accepted_at,
        reason="usage",
        reference_id=reference,
        metadata=metadata,
    )


def summary(accepted_at: datetime, start: datetime, end: datetime) -> LedgerDelta:
    return delta(accepted_at, summaryWindowStart=start.isoformat(), summaryWindowEnd=end.isoformat())


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        pytest.param(delta(at(1, 3, 11), LAST_DAY), Placement.INSIDE, id="a day recorded hours after the period"),
        pytest.param(delta(END + 20 * DAY, LAST_DAY), Placement.INSIDE, id="a day recorded weeks later"),
        pytest.param(delta(at(1), "usage:cus_1:2026-09-30"), Placement.OUTSIDE, id="the last day of the period before"),
        pytest.param(delta(at(15)), Placement.INSIDE, id="no time of its own, accepted inside"),
        pytest.param(delta(END), Placement.OUTSIDE, id="no time of its own, accepted after it"),
        pytest.param(delta(at(31, 23), LAST_DAY), Placement.INSIDE, id="recorded on the day that it names"),
        pytest.param(delta(at(31, 23), "2026-11-01"), Placement.INSIDE, id="a local date ahead of UTC"),
        pytest.param(delta(at(15), "renews:2026-12-01"), Placement.CONTRADICTED, id="a date far ahead"),
        pytest.param(delta(at(15), "contract:2024-01-01"), Placement.CONTRADICTED, id="a date years ago"),
        pytest.param(
            delta(at(10, month=12), LAST_DAY), Placement.CONTRADICTED, id="a day recorded too late to be sure"
        ),
        pytest.param(delta(at(5, month=11), "contract:2024-01-01"), Placement.OUTSIDE, id="outside by both clocks"),
        pytest.param(summary(at(1, 1, 11), at(31), END), Placement.INSIDE, id="a summary window in the metadata"),
        pytest.param(
            summary(at(1, 1, 11), at(31, 12), at(1, 12, 11)), Placement.ACROSS, id="a summary across the edge"
        ),
        pytest.param(
            summary(at(31, 20), at(31, 12), at(1, 12, 11)), Placement.INSIDE, id="sent before its window ended"
        ),
        pytest.param(summary(at(15), at(1, month=7), at(2, month=7)), Placement.OUTSIDE, id="a window months ago"),
        pytest.param(summary(at(15), at(1, month=12), at(2, month=12)), Placement.CONTRADICTED, id="a window to come"),
    ],
)
def test_auto_places_a_record_by_the_time_that_it_summarizes(record: LedgerDelta, expected: Placement) -> None:
    assert placement(record, OCTOBER, AUTO) is expected


def test_pacspaces_own_windows_place_a_record_without_a_time() -> None:
    record = delta(END - timedelta(seconds=1))
    assert placement(record, OCTOBER, AUTO, listed=False) is Placement.OUTSIDE
    assert placement(replace(record, accepted_at=END), OCTOBER, AUTO, listed=True) is Placement.INSIDE


def test_usage_time_accepts_a_date_however_far_it_is() -> None:
    record = delta(at(15), "contract:2024-01-01")
    assert placement(record, OCTOBER, Attribution.USAGE_TIME) is Placement.OUTSIDE
    assert placement(record, OCTOBER, Attribution.ACCEPTED) is Placement.INSIDE


@given(
    st.datetimes(min_value=datetime(2026, 8, 1), max_value=datetime(2027, 1, 31), timezones=st.just(UTC)),  # noqa: DTZ001  # hypothesis adds the time zone
    st.none() | st.dates().map(lambda day: f"usage:{day:%Y-%m-%d}"),
)
def test_no_record_counts_in_two_neighbouring_periods(accepted_at: datetime, reference: str | None) -> None:
    record = delta(accepted_at, reference)
    november = Window(start=END, end=END + 30 * DAY)
    places = [placement(record, window, AUTO) for window in (OCTOBER, november)]
    assert places.count(Placement.INSIDE) <= 1


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        pytest.param([delta(at(31), "2026-10-30")], Window(start=at(31), end=END), id="the last day"),
        pytest.param([delta(at(20), "2026-10-19")], Window(start=at(31), end=END), id="one day at most"),
        pytest.param([delta(at(1), "2026-09-30")], Window(start=at(31), end=END), id="known by the period before"),
        pytest.param([summary(at(31, 19), at(31, 12), at(31, 18))], Window(start=at(31, 18), end=END), id="six hours"),
        pytest.param([delta(at(1, 1, 11), LAST_DAY)], None, id="it is there"),
        pytest.param([delta(at(31), "2026-10-30"), delta(at(2, month=11), "2026-11-01")], None, id="a later day is"),
        pytest.param([delta(at(31), "2026-10-30"), delta(at(31, 5))], None, id="single records of that day"),
        pytest.param([delta(at(20)), delta(at(31, 5), LAST_DAY)], None, id="no record is a summary"),
        pytest.param([], None, id="no record at all"),
    ],
)
def test_the_last_summary_of_a_period_is_awaited(records: list[LedgerDelta], expected: Window | None) -> None:
    assert awaited_summary(records, OCTOBER, SELECTION, DAY) == expected


def test_no_summary_is_awaited_for_deposits() -> None:
    deposit = replace(delta(at(31), "2026-10-30"), reason="deposit")
    assert awaited_summary([deposit], OCTOBER, replace(SELECTION, exclude_reasons=frozenset({"deposit"})), DAY) is None


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (delta(at(15)), True),
        (delta(END + HOUR), False),
        (delta(END + HOUR, LAST_DAY), True),
        (delta(at(2, month=11), "2026-11-01"), False),
        (delta(at(15), "contract:2024-01-01"), True),
    ],
)
def test_an_unverified_record_is_placed_by_the_time_that_it_names(record: LedgerDelta, *, expected: bool) -> None:
    assert may_count(record, OCTOBER, SELECTION) is expected


def test_a_balance_without_anything_to_select_stays_as_it_is() -> None:
    plain = replace(balance("-10", 1), left_out=())
    assert unless_trivial(plain, SELECTION).selected is None
    left_out = (LeftOut(by=LeftOutBy.TIME, name="", count=1, net=Decimal(-1)),)
    assert unless_trivial(replace(plain, left_out=left_out), SELECTION).selected is not None
    assert unless_trivial(replace(plain, by_usage_time=1), SELECTION).selected is not None
    assert unless_trivial(plain, replace(SELECTION, unit=Decimal(2))).selected is not None


def test_auto_is_the_default() -> None:
    assert Selection.of(Policy(), "api_calls").attribution is AUTO
    assert timedelta(days=35) == LATEST_ACCEPTANCE
    assert usage_time(delta(at(1, 0, 11), LAST_DAY), Attribution.ACCEPTED) is None
