"""Stripe's reports on rejected meter events, and the drifts that they explain."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pacspace_stripe.errors import UnexpectedAnswer
from pacspace_stripe.explain.rules.explanation import Cause, Explanation
from pacspace_stripe.explain.rules.explanation_text import sentence
from pacspace_stripe.explain.rules.rejections import Rejection
from pacspace_stripe.stripe_api.events import rejections_from_stripe
from pacspace_stripe.vocabulary.windows import Window

START, END = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TOLD = Explanation(
    account="cus_1",
    meter="api_calls",
    window=Window(start=START, end=END),
    billed=Decimal(8),
    recorded=Decimal(10),
    cause=Cause.NOT_IN_STRIPE,
)


def rejection(at: datetime = START + DAY, meter: str | None = "api_calls", code: str = "no_meter") -> Rejection:
    return Rejection(event_id="evt_1", at=at, meter=meter, start=at, end=at + HOUR, code=code, count=2)


def report(*types: dict[str, Any], count: int, **changes: object) -> dict[str, Any]:
    return {
        "id": "evt_1",
        "object": "v2.core.event",
        "type": "v1.billing.meter.error_report_triggered",
        "created": "2026-10-02T00:10:00.000Z",
        "livemode": False,
        "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
        "data": {
            "developer_message_summary": "There is 1 invalid event",
            "reason": {"error_count": count, "error_types": list(types)},
            "validation_start": "2026-10-02T00:00:00.000Z",
            "validation_end": "2026-10-02T00:10:00.000Z",
        },
    } | changes


def kind(code: str, count: int, *samples: str) -> dict[str, Any]:
    errors = [{"error_message": f"{one} is wrong", "request": {"identifier": one}} for one in samples]
    return {"code": code, "error_count": count, "sample_errors": errors}


@pytest.mark.parametrize(
    ("types", "count", "expected"),
    [
        ((kind("no_meter", 2, "a"),), 2, {"no_meter": 2}),
        ((kind("no_meter", 2), kind("archived_meter", 1)), 3, {"no_meter": 2, "archived_meter": 1}),
        ((kind("no_meter", 2), kind("no_meter", 1)), 3, {"no_meter": 3}),
        ((kind("a_code_of_tomorrow", 1),), 5, {"a_code_of_tomorrow": 1, "unknown": 4}),
        ((), 7, {"unknown": 7}),
        ((), 0, {"unknown": 0}),
    ],
)
def test_a_report_counts_every_rejected_event(types: tuple[Any, ...], count: int, expected: dict[str, int]) -> None:
    found = rejections_from_stripe(report(*types, count=count))
    assert {one.code: one.count for one in found.rejections} == expected
    assert (found.meter_id, found.event_id) == ("mtr_1", "evt_1")


def test_a_report_without_a_meter_names_none() -> None:
    assert rejections_from_stripe(report(kind("no_meter", 1, "a"), count=1, related_object=None)).meter_id is None


@pytest.mark.parametrize("changes", [{"data": None}, {"data": {}}, {"created": None}, {"object": "event"}])
def test_a_malformed_report_is_an_unexpected_answer(changes: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedAnswer):
        rejections_from_stripe(report(count=0) | changes)


@pytest.mark.parametrize(
    ("made", "explains"),
    [
        (rejection(), True),
        (rejection(meter=None), True),
        (rejection(meter="other"), False),
        (rejection(START - 2 * HOUR), False),
        (rejection(END + 23 * HOUR), True),
        (rejection(END + 25 * HOUR), False),
    ],
)
def test_a_rejection_explains_its_meter_and_time(made: Rejection, *, explains: bool) -> None:
    found = TOLD.with_rejections([made])
    assert (found.cause is Cause.REJECTED_BY_STRIPE) is explains
    assert found.rejections == ((made,) if explains else ())


def test_a_rejection_explains_nothing_where_stripe_counted_no_less() -> None:
    for billed in (10, 12):
        told = replace(TOLD, billed=Decimal(billed), cause=Cause.UNEXPLAINED)
        assert told.with_rejections([rejection()]) == told


def test_a_cause_seen_in_the_figures_stays_and_the_rejections_are_shown_beside() -> None:
    found = replace(TOLD, cause=Cause.UNIT_FACTOR).with_rejections([rejection()])
    assert (found.cause, len(found.rejections)) == (Cause.UNIT_FACTOR, 1)


def test_a_rejection_round_trips_through_json() -> None:
    found = TOLD.with_rejections([rejection()])
    assert Explanation.from_json(found.as_json()) == found
    assert "rejections" not in TOLD.as_json()
    assert "rejected 2 meter events (no_meter)" in sentence(found)
