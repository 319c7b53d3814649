"""Place and cause of a drift: hand-made months, hour by hour. One table per rule, then what comes before what."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.explain.rules.drift_location.diagnosis import Diagnosis, diagnose
from pacspace_stripe.explain.rules.drift_location.window_parts import (
    DAY,
    HOUR,
    DriftFigures,
    Neighbour,
    UsageEntry,
    WindowPart,
    hours_are_comparable,
    is_recorded_daily,
    split,
    with_figures,
)
from pacspace_stripe.explain.rules.explanation import Cause, Side
from pacspace_stripe.vocabulary.quantities import total
from pacspace_stripe.vocabulary.windows import Window
from tests.support.examples import OCTOBER

SLACK = timedelta(minutes=5)
FIFTEENTH = datetime(2026, 10, 15, tzinfo=UTC)
NOVEMBER_1 = OCTOBER.end


def at(hour: float, day: datetime = FIFTEENTH) -> datetime:
    return day + timedelta(hours=hour)


def entry(quantity: str, hour: float = 14.5, *, reference: str | None = None, day: datetime = FIFTEENTH) -> UsageEntry:
    accepted = at(hour, day)
    name = f"rec_{quantity}_{accepted:%d%H%M%S}"
    return UsageEntry(quantity=Decimal(quantity), accepted_at=accepted, record_id=name, reference_id=reference)


def hour(start: int, billed: str, *recorded: str | UsageEntry, day: datetime = FIFTEENTH) -> WindowPart:
    """Return an hour with Stripe's figure and the ledger's records; those given by quantity lie in its middle."""
    window = Window(start=at(start, day), end=at(start + 1, day))
    listed = [
        each if isinstance(each, UsageEntry) else entry(each, start + 0.5 + place / 100, day=day)
        for place, each in enumerate(recorded)
    ]
    return WindowPart.listed(window, Decimal(billed), listed)


def month(*inside: WindowPart, **around: tuple[WindowPart, ...] | tuple[Neighbour, ...]) -> DriftFigures:
    return DriftFigures(window=OCTOBER, slack=SLACK, inside=inside, **around)  # type: ignore[arg-type]  # by their names


def found(*inside: WindowPart, **around: tuple[WindowPart, ...] | tuple[Neighbour, ...]) -> Diagnosis:
    return diagnose(month(*inside, **around))


def causes(diagnosis: Diagnosis) -> list[Cause]:
    return [fault.cause for fault in diagnosis.faults]


def named(diagnosis: Diagnosis) -> list[tuple[Side, str]]:
    return [(record.side, str(record.quantity)) for fault in diagnosis.faults for record in fault.records]


# -- one hour ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "cause", "records"),
    [
        pytest.param(
            hour(14, "425", "85"),
            Cause.NOT_IN_LEDGER,
            [(Side.STRIPE, "340")],
            id="Stripe has more, and no record is like it",
        ),
        pytest.param(
            hour(14, "85", "85", "340"),
            Cause.NOT_IN_STRIPE,
            [(Side.LEDGER, "340")],
            id="the ledger has one record more",
        ),
        pytest.param(
            hour(14, "0", "85", "340"),
            Cause.NOT_IN_STRIPE,
            [(Side.LEDGER, "85"), (Side.LEDGER, "340")],
            id="Stripe has nothing of what the ledger has",
        ),
        pytest.param(
            hour(14, "100.01", "100.01", "20.5", "31.17"),
            Cause.NOT_IN_STRIPE,
            [(Side.LEDGER, "20.5"), (Side.LEDGER, "31.17")],
            id="the ledger has two records more",
        ),
        pytest.param(
            hour(14, "765", "340", "85"), Cause.TWICE_IN_STRIPE, [(Side.STRIPE, "340")], id="Stripe has a record's more"
        ),
        pytest.param(
            hour(14, "3512.17", "1234.17", "271.83", "500.17"),
            Cause.TWICE_IN_STRIPE,
            [(Side.STRIPE, "1234.17"), (Side.STRIPE, "271.83")],
            id="Stripe has two records' more",
        ),
        pytest.param(
            hour(14, "425", "85", entry("340", 14.2), entry("340", 14.21)),
            Cause.TWICE_IN_LEDGER,
            [(Side.LEDGER, "340")],
            id="a record like another one, seconds later",
        ),
        pytest.param(
            hour(14, "205", "85", "-120"),
            Cause.WRONG_SIGN,
            [(Side.LEDGER, "-120")],
            id="a record takes away what it adds",
        ),
        pytest.param(
            hour(14, "-42", "85", "127"),
            Cause.WRONG_SIGN,
            [(Side.LEDGER, "127")],
            id="Stripe takes away what a record adds",
        ),
        pytest.param(
            hour(14, "251085", "85", "251"), Cause.UNIT_FACTOR, [(Side.LEDGER, "251")], id="a record times a thousand"
        ),
        pytest.param(
            hour(14, "85.251", "85", "251"), Cause.UNIT_FACTOR, [(Side.LEDGER, "251")], id="a thousandth of a record"
        ),
        pytest.param(
            hour(14, "261", "85.75", "176"),
            Cause.TRUNCATED_DECIMALS,
            [(Side.LEDGER, "85.75")],
            id="Stripe dropped decimals",
        ),
        pytest.param(
            hour(14, "261.75", "85", "176"),
            Cause.TRUNCATED_DECIMALS,
            [(Side.LEDGER, "85"), (Side.LEDGER, "176")],
            id="the ledger dropped decimals",
        ),
        pytest.param(hour(14, "100", "85", "176"), Cause.UNEXPLAINED, [], id="the ledger has more, but no such record"),
    ],
)
def test_one_hour_that_differs_has_its_cause(part: WindowPart, cause: Cause, records: list[tuple[Side, str]]) -> None:
    diagnosis = found(hour(9, "12", "12"), part, hour(20, "7", "7"))
    assert causes(diagnosis) == [cause]
    assert named(diagnosis) == records
    assert diagnosis.faults[0].part.window == part.window


@pytest.mark.parametrize(
    ("billed", "recorded", "factor"),
    [
        ("60120", "1002", "60"),
        ("1002", "60120", None),
        ("1026048", "1002", "1024"),
        ("3607200", "1002", "3600"),
        ("1.002", "1002", "0.001"),
        ("1002", "1.002", "1000"),
    ],
)
def test_a_well_known_factor_is_named(billed: str, recorded: str, factor: str | None) -> None:
    (fault,) = found(hour(14, billed, recorded)).faults
    assert fault.cause is Cause.UNIT_FACTOR
    assert fault.factor is not None
    assert fault.factor == (Decimal(factor) if factor else 1 / Decimal(60))


@pytest.mark.parametrize(
    ("part", "cause"),
    [
        pytest.param(hour(14, "20", "2"), Cause.NOT_IN_LEDGER, id="18 may be any event, and ten times 2 an accident"),
        pytest.param(hour(14, "9", "1", "2"), Cause.NOT_IN_LEDGER, id="six more is no unit of two"),
        pytest.param(
            hour(14, "4", "1", "2", "3", "4"), Cause.UNEXPLAINED, id="of small figures any add up to anything"
        ),
    ],
)
def test_figures_with_few_digits_are_no_evidence(part: WindowPart, cause: Cause) -> None:
    assert causes(found(part)) == [cause]


def test_one_record_without_its_decimals_is_found_among_other_faults() -> None:
    diagnosis = found(hour(3, "5000"), hour(9, "261", "85.75", "176"), hour(14, "261.75", "85", "176.5"))
    assert causes(diagnosis) == [Cause.NOT_IN_LEDGER, Cause.TRUNCATED_DECIMALS, Cause.TRUNCATED_DECIMALS]
    assert named(diagnosis)[1:] == [(Side.LEDGER, "85.75"), (Side.LEDGER, "85")]


def test_a_reference_seen_again_elsewhere_in_the_month_is_counted_twice() -> None:
    first = hour(9, "340", entry("340", 9.2, reference="usage-94"))
    again = hour(21, "5", "5", entry("340", 21.2, reference="usage-94"))
    diagnosis = found(first, again)
    assert causes(diagnosis) == [Cause.TWICE_IN_LEDGER]
    assert diagnosis.faults[0].records[0].reference_id == "usage-94"
    assert not diagnosis.unsure


def test_everything_of_an_hour_sent_again_under_its_references_is_counted_twice() -> None:
    twice = [entry(each, 14.1, reference=f"r{each}") for each in ("11", "12", "13", "14")]
    again = [replace(each, accepted_at=at(14.6), record_id="again") for each in twice]
    (fault,) = found(hour(14, "50", *twice, *again)).faults
    assert fault.cause is Cause.TWICE_IN_LEDGER
    assert {record.record_id for record in fault.records} == {"again"}


def test_records_alike_under_two_references_are_two_when_they_are_small() -> None:
    part = hour(14, "7", entry("7", 14.2, reference="a"), entry("7", 14.3, reference="b"))
    assert causes(found(part)) == [Cause.NOT_IN_STRIPE]


# -- through the month ------------------------------------------------------------------------------------------------

DAYS = [FIFTEENTH + timedelta(days=number) for number in range(6)]
FIGURES = ["1234", "981.5", "1100.25", "777", "1301", "64.75"]


def days(*figures: tuple[Decimal | str, Decimal | str]) -> list[WindowPart]:
    return [
        WindowPart.listed(
            Window(start=on, end=on + DAY), Decimal(billed), [entry(str(recorded), 12, day=on)] if recorded else []
        )
        for on, (billed, recorded) in zip(DAYS, figures, strict=False)
    ]


@pytest.mark.parametrize(
    ("figures", "cause", "factor"),
    [
        pytest.param([(each, -Decimal(each)) for each in FIGURES], Cause.WRONG_SIGN, None, id="the other sign"),
        pytest.param(
            [(Decimal(each) * 2, each) for each in FIGURES], Cause.TWICE_IN_STRIPE, None, id="Stripe has all twice"
        ),
        pytest.param([(each, Decimal(each) * 2) for each in FIGURES], Cause.TWICE_IN_LEDGER, None, id="the ledger has"),
        pytest.param([(Decimal(each) * 1024, each) for each in FIGURES], Cause.UNIT_FACTOR, "1024", id="kibibytes"),
        pytest.param([(each, Decimal(each) * 1000) for each in FIGURES], Cause.UNIT_FACTOR, "0.001", id="thousands"),
        pytest.param([(Decimal(each) * 7, each) for each in FIGURES[:2]], Cause.UNIT_FACTOR, "7", id="two days a week"),
        pytest.param(
            [(Decimal(each) * 13, each) for each in FIGURES], Cause.UNIT_FACTOR, "13", id="any ratio, if constant"
        ),
        pytest.param(
            [(each, Decimal(int(Decimal(each)))) for each in FIGURES],
            Cause.TRUNCATED_DECIMALS,
            None,
            id="the ledger cuts",
        ),
        pytest.param(
            [(Decimal(int(Decimal(each))), each) for each in FIGURES], Cause.TRUNCATED_DECIMALS, None, id="Stripe cuts"
        ),
    ],
)
def test_a_fault_through_the_month_is_one_place(
    figures: list[tuple[Decimal | str, Decimal | str]], cause: Cause, factor: str | None
) -> None:
    parts = days(*figures)
    (fault,) = found(*parts).faults
    assert (fault.cause, fault.factor) == (cause, Decimal(factor) if factor else None)
    differing = [part.window for part in parts if part.differs]
    assert fault.part.window == Window(start=differing[0].start, end=differing[-1].end)


def test_a_unit_changes_within_a_day_and_the_day_before_it_agrees() -> None:
    parts = days(("500", "500"), ("1500", "1001"), ("1100", "1.1"), ("777", "0.777"), ("1301", "1.301"))
    (fault,) = found(*parts).faults
    assert (fault.cause, fault.factor) == (Cause.UNIT_FACTOR, Decimal(1000))
    assert fault.part.window.start == DAYS[1]


@pytest.mark.parametrize(
    "figures",
    [
        pytest.param([("1000", "10"), ("77", "77"), ("1100", "11")], id="days between them agree"),
        pytest.param([("1234", "1000"), ("5000", "4000"), ("777", "600")], id="ratios that are not one"),
        pytest.param([("100", "10"), ("1300", "1301"), ("70", "7")], id="one that is not on the way"),
    ],
)
def test_a_ratio_that_does_not_hold_throughout_is_no_unit_of_all(figures: list[tuple[str, str]]) -> None:
    diagnosis = found(*days(*figures))
    assert len(diagnosis.faults) > 1 or diagnosis.faults[0].cause is not Cause.UNIT_FACTOR


# -- beyond the edges -------------------------------------------------------------------------------------------------

LAST = datetime(2026, 10, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("part", "accepted", "cause"),
    [
        pytest.param(hour(23, "77", day=LAST), 0.01, Cause.PERIOD_EDGE, id="seconds after the end"),
        pytest.param(hour(23, "77", day=LAST), 0.1, Cause.RECORDED_LATE, id="six minutes after the end"),
        pytest.param(hour(14, "77"), 40, Cause.RECORDED_LATE, id="usage of any day, the day after next"),
        pytest.param(hour(14, "77"), 0.01, Cause.RECORDED_LATE, id="usage of the 15th, seconds after the end"),
    ],
)
def test_records_accepted_after_the_end_are_late_or_at_the_edge(
    part: WindowPart, accepted: float, cause: Cause
) -> None:
    late = hour(int(accepted), "12", "12", entry("77", accepted, day=NOVEMBER_1), day=NOVEMBER_1)
    (fault,) = found(hour(9, "12", "12"), part, after=(late,)).faults
    assert fault.cause is cause
    assert [record.at for record in fault.records] == [at(accepted, NOVEMBER_1)]
    assert fault.sure


@pytest.mark.parametrize(
    ("inside", "around"),
    [
        pytest.param(
            hour(23, "0", entry("77", 23.99, day=LAST), day=LAST),
            {"after": (hour(0, "77", day=NOVEMBER_1),)},
            id="the ledger's clock is behind at the end",
        ),
        pytest.param(
            hour(0, "0", entry("77", 0.001, day=OCTOBER.start), day=OCTOBER.start),
            {"before": (hour(-1, "77", day=OCTOBER.start),)},
            id="the ledger takes it in after the start",
        ),
        pytest.param(
            hour(0, "77", day=OCTOBER.start),
            {"before": (hour(-1, "0", entry("77", -0.001, day=OCTOBER.start), day=OCTOBER.start),)},
            id="Stripe has it after the start, the ledger before",
        ),
    ],
)
def test_usage_on_different_sides_of_an_edge_is_found(
    inside: WindowPart, around: dict[str, tuple[WindowPart, ...]]
) -> None:
    (fault,) = found(hour(9, "12", "12"), inside, **around).faults
    assert fault.cause is Cause.PERIOD_EDGE
    assert [record.quantity for record in fault.records] == [Decimal(77)]


def test_a_summary_that_names_the_month_before_is_at_the_edge() -> None:
    before = Window(start=OCTOBER.start - DAY, end=OCTOBER.start)
    summary = replace(entry("900", 9, day=OCTOBER.start), used=before)
    (fault,) = found(hour(9, "12", "12", summary, day=OCTOBER.start)).faults
    assert fault.cause is Cause.PERIOD_EDGE


def test_a_late_summary_is_found_by_the_day_it_names() -> None:
    day = Window(start=LAST, end=LAST + DAY)
    summary = replace(entry("900", 9, day=NOVEMBER_1), used=day)
    other = entry("55", 9.2, day=NOVEMBER_1)
    late = hour(9, "0", summary, other, day=NOVEMBER_1)
    (fault,) = found(WindowPart.listed(day, Decimal(900), []), after=(late,)).faults
    assert fault.cause is Cause.RECORDED_LATE
    assert [record.record_id for record in fault.records] == [summary.record_id]


def test_several_hours_that_were_recorded_in_one_are_all_late() -> None:
    caught_up = [
        entry(each, 4.9 + place / 1000, day=NOVEMBER_1)
        for place, each in enumerate(("345.87", "936.5", "784.9", "611.81"))
    ]
    diagnosis = found(hour(1, "1282.37"), hour(5, "1396.71"), after=(hour(4, "0", *caught_up, day=NOVEMBER_1),))
    assert causes(diagnosis) == [Cause.RECORDED_LATE, Cause.RECORDED_LATE]
    assert [quantity for _, quantity in named(diagnosis)] == ["345.87", "936.5", "784.9", "611.81"]


def test_usage_that_only_stripe_has_after_the_end_makes_nothing_late() -> None:
    assert causes(found(hour(14, "77"), after=(hour(3, "77", day=NOVEMBER_1),))) == [Cause.NOT_IN_LEDGER]


# -- neighbours -------------------------------------------------------------------------------------------------------


def beta(*parts: WindowPart, cause: Cause = Cause.WRONG_CUSTOMER, name: str = "cus_beta") -> tuple[Neighbour, ...]:
    return (Neighbour(name=name, cause=cause, parts=parts),)


@pytest.mark.parametrize(
    ("ours", "theirs", "record"),
    [
        pytest.param(hour(14, "425", "85"), hour(14, "60", "60", "340"), "340", id="their ledger has our record"),
        pytest.param(
            hour(14, "85", "85", "340"), hour(14, "400", "60"), "340", id="our ledger has theirs, or Stripe has ours"
        ),
    ],
)
def test_the_mirror_on_another_account_names_it(ours: WindowPart, theirs: WindowPart, record: str) -> None:
    (fault,) = found(ours, neighbours=beta(theirs)).faults
    assert (fault.cause, fault.counterpart) == (Cause.WRONG_CUSTOMER, "cus_beta")
    assert [str(each.quantity) for each in fault.records] == [record]


def test_the_mirror_on_another_meter_names_it() -> None:
    theirs = beta(hour(14, "60", "60", "340"), cause=Cause.WRONG_METER, name="storage")
    (fault,) = found(hour(14, "425", "85"), neighbours=theirs).faults
    assert (fault.cause, fault.counterpart) == (Cause.WRONG_METER, "storage")


@pytest.mark.parametrize(
    "theirs",
    [
        pytest.param(hour(14, "60", "60"), id="both sides agree there"),
        pytest.param(hour(14, "60", "60", "341"), id="another difference"),
        pytest.param(hour(14, "400", "60"), id="the same difference, not its mirror"),
        pytest.param(hour(15, "60", "60", "340"), id="another hour"),
    ],
)
def test_a_neighbour_without_the_mirror_is_not_named(theirs: WindowPart) -> None:
    assert causes(found(hour(14, "425", "85"), neighbours=beta(theirs))) == [Cause.NOT_IN_LEDGER]


# -- what is no fault -------------------------------------------------------------------------------------------------


def test_a_record_accepted_seconds_later_hides_nothing() -> None:
    parts = hour(14, "425", "85"), hour(15, "20", entry("340", 15.001), "20"), hour(18, "33")
    diagnosis = found(*parts)
    assert [(fault.cause, fault.part.window.start) for fault in diagnosis.faults] == [(Cause.NOT_IN_LEDGER, at(18))]


def test_a_record_at_the_edge_of_an_hour_is_not_moved_into_a_difference() -> None:
    diagnosis = found(hour(14, "85", "85"), hour(15, "20", entry("340", 15.001), "20"))
    assert [(fault.cause, fault.part.window.start) for fault in diagnosis.faults] == [(Cause.NOT_IN_STRIPE, at(15))]


def test_the_same_usage_at_two_times_of_the_month_makes_no_drift() -> None:
    diagnosis = found(hour(3, "340"), hour(14, "85", "85", "340"), hour(18, "33"))
    assert [fault.part.window.start for fault in diagnosis.faults] == [at(18)]


def test_a_month_that_agrees_has_no_place() -> None:
    diagnosis = found(hour(3, "340", "340"), hour(14, "85", "85"))
    assert (diagnosis.faults, diagnosis.main, diagnosis.notes) == ((), None, ())


# -- several faults ---------------------------------------------------------------------------------------------------


def test_the_largest_of_several_faults_is_the_cause_and_the_others_are_noted() -> None:
    diagnosis = found(hour(3, "680", "340"), hour(9, "50", "50"), hour(14, "85", "85", "12.5"), hour(18, "33"))
    assert causes(diagnosis) == [Cause.TWICE_IN_STRIPE, Cause.NOT_IN_STRIPE, Cause.NOT_IN_LEDGER]
    assert diagnosis.main is diagnosis.faults[0]
    assert len(diagnosis.notes) == 2
    assert "not_in_stripe in 2026-10-15T14:00:00Z/2026-10-15T15:00:00Z: differs by -12.5" in diagnosis.notes[0]


def test_places_of_one_kind_that_follow_each_other_are_one() -> None:
    diagnosis = found(hour(13, "211"), hour(14, "95"), hour(15, "7", "7"), hour(16, "40"))
    (first, second) = diagnosis.located("api_calls")
    assert (first.window, first.billed) == (Window(start=at(13), end=at(15)), Decimal(306))
    assert second.window == Window(start=at(16), end=at(17))


@given(
    planted=st.integers(0, 23),
    others=st.lists(st.decimals("0.01", "9999", places=2), min_size=24, max_size=24),
    lost=st.decimals("10000.01", "99999", places=2),
)
def test_the_places_hold_all_of_the_difference(planted: int, others: list[Decimal], lost: Decimal) -> None:
    billed = [each + lost * (number == planted) for number, each in enumerate(others)]
    diagnosis = found(*(hour(number, str(billed[number]), str(each)) for number, each in enumerate(others)))
    assert total(fault.part.excess for fault in diagnosis.faults) == lost
    assert [fault.part.window.start for fault in diagnosis.faults] == [at(planted)]


# -- days and hours ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "step", "parts"),
    [
        pytest.param(OCTOBER, DAY, 31, id="a month of days"),
        pytest.param(Window(start=at(0.5), end=at(2.5)), HOUR, 3, id="half hours at both ends"),
        pytest.param(Window(start=at(12, LAST), end=at(36, LAST)), DAY, 2, id="from noon to noon"),
        pytest.param(Window(start=at(12.2), end=at(12.4)), HOUR, 1, id="within an hour"),
    ],
)
def test_parts_cover_a_window_without_overlap(window: Window, step: timedelta, parts: int) -> None:
    found_parts = split(window, step)
    assert len(found_parts) == parts
    assert (found_parts[0].start, found_parts[-1].end) == (window.start, window.end)
    assert all(one.end == other.start for one, other in pairwise(found_parts))


def test_a_record_lies_in_the_part_of_its_acceptance_unless_it_names_another_time() -> None:
    plain = entry("5", 30)
    summary = replace(entry("900", 30), used=Window(start=at(0), end=at(24)))
    whole = Window(start=at(0), end=at(48))
    first, second = with_figures(split(whole, DAY), {}, [plain, summary])
    assert (first.entries, second.entries) == ((summary,), (plain,))


def one_a_day(quantities: Sequence[str], hour_of_day: float = 12) -> list[WindowPart]:
    return days_with([[entry(each, hour_of_day, day=on)] for on, each in zip(DAYS, quantities, strict=False)])


def days_with(entries: list[list[UsageEntry]]) -> list[WindowPart]:
    return [
        WindowPart.listed(Window(start=on, end=on + DAY), total(one.quantity for one in listed), listed)
        for on, listed in zip(DAYS, entries, strict=False)
    ]


def test_a_ledger_that_is_written_daily_is_recognized() -> None:
    assert is_recorded_daily(one_a_day(FIGURES))
    assert not is_recorded_daily(days_with([[entry("1", 9, day=on), entry("2", 15, day=on)] for on in DAYS]))
    assert not is_recorded_daily([])


@pytest.mark.parametrize(
    ("hours", "recorded_daily", "tell"),
    [
        pytest.param([hour(9, "104"), hour(19, "42")], True, False, id="one record stands for several hours"),
        pytest.param([hour(9, "104")], True, True, id="all usage was in one hour"),
        pytest.param([hour(9, "104", "104"), hour(19, "42")], True, True, id="an hour agrees"),
        pytest.param([hour(9, "104"), hour(19, "42")], False, True, id="records come as it happens"),
    ],
)
def test_hours_are_compared_only_where_records_distinguish_them(
    hours: list[WindowPart], *, recorded_daily: bool, tell: bool
) -> None:
    assert hours_are_comparable(WindowPart.joined(hours), hours, recorded_daily=recorded_daily) is tell


def test_hours_of_a_day_with_a_late_summary_are_not_compared() -> None:
    summary = replace(entry("146", 30), used=Window(start=at(0), end=at(24)))
    day = WindowPart.listed(Window(start=at(0), end=at(24)), Decimal(150), [summary])
    assert not hours_are_comparable(day, [hour(9, "150")], recorded_daily=False)
