"""Deltas that count, by meter, reason and time: none is lost or counted twice."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pacspace_stripe.comparison.rules.verdicts import Reason
from pacspace_stripe.ledger.rules.attribution import Placement, placement, usage_window
from pacspace_stripe.ledger.rules.selection import (
    CountedRecords,
    Selection,
    UnclearRecords,
    balance_of,
    may_count,
    meter_of,
    named_meters,
    proof_scope,
    select,
)
from pacspace_stripe.vocabulary.ledger import Balance, LedgerDelta, LeftOut, LeftOutBy, UsageSign
from pacspace_stripe.vocabulary.policy import Attribution, Policy
from pacspace_stripe.vocabulary.quantities import multiply, subtract, total
from pacspace_stripe.vocabulary.windows import Window
from tests.support.examples import OCTOBER, Change, balance

MIDDLE = datetime(2026, 10, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)
CALLS = Selection(meter="api_calls")
ON_TIME, BY_USAGE = Attribution.ACCEPTED, Attribution.USAGE_TIME


def delta(amount: str = "-10", **changes: Change) -> LedgerDelta:
    ordinary: dict[str, Change] = {"record_id": "rec_1", "accepted_at": MIDDLE, "reason": "usage"}
    return LedgerDelta(amount=Decimal(amount), **(ordinary | changes))


def summary(start: object, end: object) -> Mapping[str, object]:
    return {"summaryWindowStart": start, "summaryWindowEnd": end}


def day(on: int, month: int = 10) -> Window:
    start = datetime(2026, month, on, tzinfo=UTC)
    return Window(start=start, end=start + DAY)


def chosen_of(deltas: list[LedgerDelta], window: Window, selection: Selection) -> CountedRecords | UnclearRecords:
    """Choose by the rules; PacSpace places a delta in a window by its acceptance."""
    inside = [each for each in deltas if each.accepted_at < window.end]
    return select(inside, window, selection, later=[each for each in deltas if each.accepted_at >= window.end])


def counted(deltas: list[LedgerDelta], window: Window = OCTOBER, **selected: Change) -> CountedRecords:
    found = chosen_of(deltas, window, replace(CALLS, **selected))
    assert isinstance(found, CountedRecords)
    return found


def unclear(deltas: list[LedgerDelta], window: Window = OCTOBER, **selected: Change) -> UnclearRecords:
    found = chosen_of(deltas, window, replace(CALLS, **selected))
    assert isinstance(found, UnclearRecords)
    return found


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"metadata": summary("2026-10-30T00:00:00Z", "2026-10-31T00:00:00.000Z")}, day(30)),
        ({"metadata": summary("2026-10-30T02:00:00+02:00", "2026-10-31T02:00:00+02:00")}, day(30)),
        ({"reference_id": "usage:cus_1:2026-10-30"}, day(30)),
        ({"reason": "api calls of 2026-10-30"}, day(30)),
        ({"reference_id": "usage:2026-10-30", "reason": "sent 2026-10-31"}, day(30)),
        ({"reference_id": "2026-10-30 (2026-10-30)"}, day(30)),
        ({"reference_id": "usage:cus_1:2026-10-30T14"}, day(30)),
        (
            {"metadata": summary("2026-10-30T00:00:00Z", "2026-10-31T00:00:00Z"), "reference_id": "2026-10-02"},
            day(30),
        ),
        ({}, None),
        ({"reference_id": "txn-quickstart-001"}, None),
        ({"reference_id": "inv_20261030_001"}, None),
        ({"reference_id": "2026-10-30..2026-10-31"}, None),
        ({"reference_id": "2026-02-30"}, None),
        ({"reference_id": "9999-12-31"}, None),
        ({"reference_id": "12026-10-30"}, None),
        ({"reference_id": "2026-10-305"}, None),
        ({"metadata": summary("2026-10-30T00:00:00", "2026-10-31T00:00:00")}, None),
        ({"metadata": summary("2026-10-31T00:00:00Z", "2026-10-30T00:00:00Z")}, None),
        ({"metadata": summary("2026-10-30T00:00:00Z", "2026-10-30T00:00:00Z")}, None),
        ({"metadata": summary("2026-10-30T00:00:00Z", None)}, None),
        ({"metadata": summary(1793318400, 1793404800)}, None),
        ({"metadata": summary("0001-01-01T00:00:00+14:00", "2026-10-30T00:00:00Z")}, None),
        ({"metadata": {"summaryWindowEnd": "2026-10-30T00:00:00Z"}, "reference_id": "x 2026-10-29"}, day(29)),
        ({"metadata": summary("yesterday", "today"), "reason": "2026-10-29"}, day(29)),
    ],
)
def test_a_delta_names_when_its_usage_happened(changes: Change, expected: Window | None) -> None:
    assert usage_window(delta(**changes)) == expected


@pytest.mark.parametrize(
    ("changes", "by_acceptance", "by_usage"),
    [
        ({}, Placement.INSIDE, Placement.INSIDE),
        ({"accepted_at": OCTOBER.start}, Placement.INSIDE, Placement.INSIDE),
        ({"accepted_at": OCTOBER.end}, Placement.OUTSIDE, Placement.OUTSIDE),
        ({"accepted_at": OCTOBER.end, "reference_id": "2026-10-31"}, Placement.OUTSIDE, Placement.INSIDE),
        ({"accepted_at": OCTOBER.start, "reference_id": "2026-09-30"}, Placement.INSIDE, Placement.OUTSIDE),
        (
            {"metadata": summary("2026-10-31T12:00:00Z", "2026-11-01T12:00:00Z")},
            Placement.INSIDE,
            Placement.ACROSS,
        ),
        ({"metadata": summary("2026-09-01T00:00:00Z", "2026-12-01T00:00:00Z")}, Placement.INSIDE, Placement.ACROSS),
        ({"metadata": summary("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z")}, Placement.INSIDE, Placement.INSIDE),
        ({"metadata": summary("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z")}, Placement.INSIDE, Placement.OUTSIDE),
    ],
)
def test_each_clock_places_a_delta(changes: Change, by_acceptance: Placement, by_usage: Placement) -> None:
    assert placement(delta(**changes), OCTOBER, ON_TIME) is by_acceptance
    assert placement(delta(**changes), OCTOBER, BY_USAGE) is by_usage


@pytest.mark.parametrize(
    ("changes", "meter_from", "expected"),
    [
        ({"reason": "storage"}, "reason", "storage"),
        ({"reason": None}, "reason", None),
        ({"reason": ""}, "reason", None),
        ({"metadata": {"meter": "storage"}}, "metadata.meter", "storage"),
        ({"metadata": {"a.b": "storage"}}, "metadata.a.b", "storage"),
        ({"metadata": {}}, "metadata.meter", None),
        ({"metadata": {"meter": 7}}, "metadata.meter", None),
    ],
)
def test_a_delta_names_its_meter(changes: Change, meter_from: str, expected: str | None) -> None:
    assert meter_of(delta(**changes), meter_from) == expected


def test_the_plain_selection_takes_every_delta_as_it_is() -> None:
    deltas = [delta("-10"), delta("3", reason="credit"), delta("-1.5")]
    assert Selection.of(Policy(attribution=ON_TIME), "api_calls").takes_all
    assert counted(deltas) == CountedRecords(deltas=tuple(deltas), usage=Decimal("8.5"))


@pytest.mark.parametrize(
    "policy",
    [
        Policy(readings=frozenset({"api_calls"})),
        Policy(meter_from="reason"),
        Policy(meter_from="metadata.meter"),
        Policy(exclude_reasons=frozenset({"deposit"})),
        Policy(attribution=BY_USAGE),
        Policy(),
    ],
)
def test_every_other_selection_needs_the_single_deltas(policy: Policy) -> None:
    assert not Selection.of(policy, "api_calls").takes_all


def test_a_unit_alone_needs_no_single_deltas() -> None:
    policy = Policy(units={"api_calls": Decimal(1000)}, attribution=ON_TIME)
    assert Selection.of(policy, "api_calls").takes_all


def test_deposits_are_left_out_and_added_up() -> None:
    found = counted(
        [delta(), delta("500", reason="deposit"), delta("20", reason="deposit"), delta("7", reason="bonus")],
        exclude_reasons=frozenset({"deposit", "bonus"}),
    )
    assert (found.usage, found.count) == (Decimal(10), 1)
    assert found.left_out == (
        LeftOut(by=LeftOutBy.REASON, name="bonus", count=1, net=Decimal(7)),
        LeftOut(by=LeftOutBy.REASON, name="deposit", count=2, net=Decimal(520)),
    )


def test_deltas_of_another_stripe_meter_are_left_out() -> None:
    found = counted(
        [delta(reason="api_calls"), delta("-99", reason="storage")], meter_from="reason", others=frozenset({"storage"})
    )
    assert found.usage == Decimal(10)
    assert found.left_out == (LeftOut(by=LeftOutBy.METER, name="storage", count=1, net=Decimal(-99)),)


@pytest.mark.parametrize(
    ("changes", "meter_from", "what"),
    [
        ({"reason": "api_cals", "reference_id": "r7"}, "reason", "record rec_1 (r7) names 'api_cals' in its reason"),
        ({"metadata": {}}, "metadata.meter", "record rec_1 names no meter in its metadata.meter"),
        ({"metadata": {"meter": ["api_calls"]}}, "metadata.meter", "names no meter in its metadata.meter"),
    ],
)
def test_a_delta_of_an_unknown_meter_is_unmapped_and_named(changes: Change, meter_from: str, what: str) -> None:
    found = unclear([delta(**changes)], meter_from=meter_from, others=frozenset({"storage"}))
    assert found.reason is Reason.UNMAPPED
    assert what in found.detail


def test_usage_across_the_edge_has_an_unknown_shape_and_is_named() -> None:
    across = delta(metadata=summary("2026-10-31T12:00:00Z", "2026-11-01T12:00:00Z"), record_id="rec_9")
    found = unclear([delta(), across], attribution=BY_USAGE)
    assert found.reason is Reason.UNKNOWN_SHAPE
    assert "record rec_9" in found.detail
    assert "2026-10-31T12:00:00Z/2026-11-01T12:00:00Z" in found.detail


def test_deltas_of_another_meter_and_deposits_may_lie_across_the_edge() -> None:
    across = summary("2026-10-31T12:00:00Z", "2026-11-01T12:00:00Z")
    found = counted(
        [delta(reason="storage", metadata=across), delta(reason="deposit", metadata=across)],
        meter_from="reason",
        others=frozenset({"storage"}),
        exclude_reasons=frozenset({"deposit"}),
        attribution=BY_USAGE,
    )
    assert found.count == 0
    assert [each.by for each in found.left_out] == [LeftOutBy.METER, LeftOutBy.REASON]


def test_a_nameless_delta_of_another_month_does_not_concern_this_one() -> None:
    found = counted([delta(accepted_at=OCTOBER.end, metadata={})], meter_from="metadata.meter", attribution=BY_USAGE)
    assert found.left_out == (LeftOut(by=LeftOutBy.TIME, name="", count=1, net=Decimal(-10)),)


@pytest.mark.parametrize(
    ("readings", "attribution", "last"),
    [
        pytest.param([("5", 10), ("7", 20)], ON_TIME, "7", id="the later one"),
        pytest.param([("7", 20), ("5", 10)], ON_TIME, "7", id="listed in another order"),
        pytest.param([("5", 10)], ON_TIME, "5", id="one"),
        pytest.param([("5", 10), ("5", 10)], ON_TIME, "5", id="the same twice"),
        pytest.param([], ON_TIME, "0", id="none"),
        pytest.param([("7", 10), ("5", 12)], BY_USAGE, "7", id="the later one by its usage"),
    ],
)
def test_the_last_of_several_readings_counts(
    readings: list[tuple[str, int]], attribution: Attribution, last: str
) -> None:
    used_on = {10: "2026-10-09", 12: "2026-10-01"}
    deltas = [
        delta(f"-{amount}", record_id=f"rec_{at}", accepted_at=day(on).start, reference_id=used_on.get(on))
        for at, (amount, on) in enumerate(readings)
    ]
    found = counted(deltas, reads=True, attribution=attribution)
    assert (found.usage, found.count) == (Decimal(last), min(1, len(readings)))
    assert sum(each.count for each in found.left_out) == max(0, len(readings) - 1)


def test_two_different_readings_of_one_time_are_no_reading() -> None:
    found = unclear([delta("-5"), delta("-7", record_id="rec_2")], reads=True)
    assert (found.reason, "different readings" in found.detail) == (Reason.UNKNOWN_SHAPE, True)


def test_the_meters_that_deltas_name_are_found_before_selecting() -> None:
    deltas = [delta(reason="storage"), delta(reason="deposit"), delta(reason="api_calls"), delta(reason=None)]
    selection = Selection(meter="api_calls", meter_from="reason", exclude_reasons=frozenset({"deposit"}))
    assert named_meters(deltas, selection) == {"storage"}
    assert named_meters(deltas, Selection(meter="api_calls")) == frozenset()


@pytest.mark.parametrize(
    ("changes", "selected", "expected"),
    [
        ({}, {}, True),
        ({"reason": "deposit"}, {"exclude_reasons": frozenset({"deposit"})}, False),
        ({"reason": "storage"}, {"meter_from": "reason"}, False),
        ({"reason": "api_calls"}, {"meter_from": "reason"}, True),
        ({"metadata": {}}, {"meter_from": "metadata.meter"}, True),
        ({"accepted_at": OCTOBER.end}, {"attribution": BY_USAGE}, True),
        ({"accepted_at": OCTOBER.end, "reference_id": "2026-10-31"}, {"attribution": BY_USAGE}, True),
        ({"accepted_at": OCTOBER.end, "reference_id": "2026-11-01"}, {"attribution": BY_USAGE}, False),
    ],
)
def test_an_unverified_delta_may_count_unless_it_names_something_else(
    changes: Change, selected: Change, *, expected: bool
) -> None:
    assert may_count(delta(**changes), OCTOBER, replace(CALLS, **selected)) is expected


@pytest.mark.parametrize(
    ("net", "count", "what"),
    [
        ("-9", 1, "1 record netting -10, and derives -9 of 1"),
        ("-10", 2, "1 record netting -10, and derives -10 of 2"),
    ],
)
def test_a_list_that_differs_from_the_derived_balance_is_inconsistent(net: str, count: int, what: str) -> None:
    found = balance_of(balance(net, count), [delta()], OCTOBER, CALLS)
    assert isinstance(found, UnclearRecords)
    assert found.reason is Reason.LEDGER_INCONSISTENT
    assert what in found.detail


def test_a_balance_names_what_of_it_counts() -> None:
    deltas = [delta("-2048"), delta("500", reason="deposit")]
    selection = replace(CALLS, exclude_reasons=frozenset({"deposit"}), unit=Decimal(1024))
    found = balance_of(balance("-1548", 2), deltas, OCTOBER, selection)
    assert isinstance(found, Balance)
    assert (found.usage(UsageSign.NEGATIVE), found.counted) == (Decimal(2), 1)
    assert found.selected is not None
    assert (found.selected.count, found.selected.net, found.selected.net_left_out) == (2, Decimal(-1548), Decimal(500))


def test_a_balance_without_a_selection_is_usage_as_it_stands() -> None:
    plain = balance("-100", 4)
    assert (plain.usage(UsageSign.NEGATIVE), plain.counted, plain.selected) == (Decimal(100), 4, None)


@pytest.mark.parametrize(
    ("accepted", "end"),
    [
        ([], OCTOBER.end),
        ([MIDDLE], OCTOBER.end),
        ([MIDDLE, OCTOBER.end + DAY], OCTOBER.end + DAY + timedelta(milliseconds=1)),
    ],
)
def test_a_proof_covers_all_that_counts_and_no_longer_than_needed(accepted: list[datetime], end: datetime) -> None:
    deltas = [delta(accepted_at=at) for at in accepted]
    scope = proof_scope(deltas, OCTOBER)
    assert scope == Window(start=OCTOBER.start, end=end)


@pytest.mark.parametrize(
    ("net", "unit", "sign", "usage"),
    [
        ("-2500", "1000", UsageSign.NEGATIVE, "2.5"),
        ("2500", "1000", UsageSign.POSITIVE, "2.5"),
        ("-10", "0.5", UsageSign.NEGATIVE, "20"),
        ("-10", "3", UsageSign.NEGATIVE, "3.33333333333333"),
        ("0", "7", UsageSign.NEGATIVE, "0"),
    ],
)
def test_the_ledgers_units_are_converted_to_the_meters(net: str, unit: str, sign: UsageSign, usage: str) -> None:
    assert Selection(meter="m", unit=Decimal(unit), usage_sign=sign).usage(Decimal(net)) == Decimal(usage)


AMOUNTS = st.decimals(min_value=-(10**6), max_value=10**6, places=3).filter(bool)
NAIVE = datetime(2026, 9, 25)  # noqa: DTZ001 - hypothesis adds the time zone
MOMENTS = st.datetimes(min_value=NAIVE, max_value=NAIVE + 40 * DAY, timezones=st.just(UTC))
DELTAS = st.lists(
    st.builds(
        LedgerDelta,
        record_id=st.uuids().map(str),
        amount=AMOUNTS,
        accepted_at=MOMENTS,
        reason=st.sampled_from(["api_calls", "storage", "deposit"]),
        reference_id=st.none() | MOMENTS.map(lambda at: f"usage:{at:%Y-%m-%d}"),
    ),
    max_size=12,
)
SELECTIONS = st.builds(
    Selection,
    meter=st.just("api_calls"),
    meter_from=st.just("reason"),
    exclude_reasons=st.sampled_from([frozenset({"deposit"}), frozenset({"deposit", "storage"})]),
    attribution=st.sampled_from(Attribution),
    others=st.just(frozenset({"storage"})),
)


@given(DELTAS, SELECTIONS)
def test_every_delta_is_counted_once_or_left_out_once(deltas: list[LedgerDelta], selection: Selection) -> None:
    found = chosen_of(deltas, OCTOBER, selection)
    assume(isinstance(found, CountedRecords))
    assert isinstance(found, CountedRecords)
    kept = total(each.amount for each in found.deltas)
    assert total([kept, *(each.net for each in found.left_out)]) == total(each.amount for each in deltas)
    assert found.count + sum(each.count for each in found.left_out) == len(deltas)


@given(DELTAS, SELECTIONS)
def test_the_order_of_deltas_does_not_matter(deltas: list[LedgerDelta], selection: Selection) -> None:
    one, other = chosen_of(deltas, OCTOBER, selection), chosen_of(deltas[::-1], OCTOBER, selection)
    assume(isinstance(one, CountedRecords))
    assert isinstance(one, CountedRecords)
    assert isinstance(other, CountedRecords)
    assert (one.usage, one.count, one.left_out) == (other.usage, other.count, other.left_out)


@given(DELTAS)
def test_by_usage_time_no_delta_counts_in_two_neighbouring_windows(deltas: list[LedgerDelta]) -> None:
    september = Window(start=OCTOBER.start - timedelta(days=30), end=OCTOBER.start)
    for each in deltas:
        inside = [placement(each, window, BY_USAGE) for window in (september, OCTOBER)].count(Placement.INSIDE)
        assert inside <= 1


@given(AMOUNTS, st.decimals(min_value=Decimal("0.001"), max_value=10**6, places=3))
def test_a_unit_loses_no_more_than_the_last_digit_that_the_sources_keep(net: Decimal, unit: Decimal) -> None:
    usage = Selection(meter="m", unit=unit, usage_sign=UsageSign.POSITIVE).usage(net)
    assert subtract(multiply(usage, unit), net).copy_abs() <= net.copy_abs() * Decimal("1e-14")


@given(st.text(max_size=60), st.text(max_size=60), st.dictionaries(st.text(max_size=20), st.text(max_size=30)))
def test_every_delta_has_a_place(reason: str, reference: str, metadata: dict[str, str]) -> None:
    odd = delta(reason=reason, reference_id=reference, metadata={**metadata, **summary(reason, reference)})
    assert placement(odd, OCTOBER, BY_USAGE) in Placement
