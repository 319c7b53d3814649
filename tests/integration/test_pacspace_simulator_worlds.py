"""Building and inspecting worlds in the PacSpace simulator."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator
from tests.integration.test_pacspace_simulator import BALANCE, NOW, Api


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    yield made
    made.client.close()


def test_daily_usage_adds_up_and_lies_within_its_window(api: Api) -> None:
    start, end = datetime(2026, 3, 10, 7, 30, tzinfo=UTC), datetime(2026, 4, 10, 7, 30, tzinfo=UTC)

    record_ids = api.simulator.emit_daily_usage("a", start, end, "1000.01")

    assert len(record_ids) == 31
    assert api.simulator.balance("a", start, end) == (Decimal("-1000.01"), 31)


def test_records_of_the_future_and_live_keys_are_refused(api: Api) -> None:
    with pytest.raises(ValueError, match="has not come yet"):
        api.simulator.record("a", "-1", NOW + timedelta(seconds=1))
    with pytest.raises(ValueError, match="live"):
        PacSpaceSimulator(api.clock, api_key="pk_live_a.b")


def test_a_missing_record_cannot_be_changed(api: Api) -> None:
    assert api.refused("GET", "delta/rec_none") == (404, "RECORD_NOT_FOUND")
    with pytest.raises(LookupError, match="rec_none"):
        api.simulator.fail("rec_none")
    with pytest.raises(ValueError, match="final"):
        api.simulator.fail(api.simulator.record("a", "-1"))
    with pytest.raises(ValueError, match="zero"):
        api.simulator.record("a", "0")
    with pytest.raises(ValueError, match="time zone"):
        api.simulator.record("a", "-1", "2026-04-01T00:00:00")


def test_gaps_are_runs_within_the_range_asked(api: Api) -> None:
    api.simulator.inject_gap("a", 2)
    api.simulator.record("a", "-1")
    api.simulator.inject_gap("a")

    assert [gap["fromSequence"] for gap in api.get("gaps/a")["gaps"]] == ["1", "4"]
    assert api.get("gaps/a", fromSequence=2, toSequence=3)["missingCount"] == 1
    api.simulator.close_gaps("a")
    assert api.get("gaps/a")["hasGaps"] is False


def test_limits_say_how_wide_a_scope_may_be(api: Api) -> None:
    api.simulator.configure(max_scope_months=3)

    assert api.get("limits")["maxScopeMonths"] == 3


def test_the_log_counts_by_endpoint(api: Api) -> None:
    api.emit("a:b", key="k")
    api.client.get(f"{BALANCE}/derive/a%3Ab")
    api.client.get(f"{BALANCE}/nothing/here")

    assert [(each.endpoint, each.status) for each in api.simulator.log] == [
        ("POST /api/v1/balance/delta", 201),
        ("GET /api/v1/balance/derive/{customerId}", 200),
        ("GET (unknown)", 404),
    ]
    assert api.simulator.log[0].idempotency_key == "k"
    assert api.simulator.calls()["POST /api/v1/balance/delta"] == 1


def test_equal_seeds_make_equal_worlds() -> None:
    ids = [PacSpaceSimulator(ManualClock(NOW), seed=seed).record("a", "-1") for seed in (1, 1, 2)]

    assert ids[0] == ids[1] != ids[2]
