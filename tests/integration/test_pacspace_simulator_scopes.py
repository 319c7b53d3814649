"""Scopes of derive answers of the PacSpace simulator."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.integration.test_pacspace_simulator import NOW, Api


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    yield made
    made.client.close()


def test_windows_are_half_open_and_default_to_the_current_utc_month(api: Api) -> None:
    for at in ("2026-03-31T23:59:59.999Z", "2026-04-01T00:00:00Z", "2026-04-10T00:00:00Z"):
        api.simulator.record("a", "-1", at)
    custom = {"startDate": "2026-03-31T23:59:59.999Z", "endDate": "2026-04-10T00:00:00Z"}

    assert api.get("derive/a")["deltasCount"] == 2
    assert api.get("derive/a", period="2026-03")["deltasCount"] == 1
    assert api.get("derive/a", timePreset="current_month")["period"] == "2026-04"
    assert api.get("derive/a", **custom)["deltasCount"] == 2
    assert api.get("derive/a", timePreset="custom", **custom)["deltasCount"] == 2
    assert api.get("derive/a", startDate="2026-04-01T02:00:00+02:00", endDate="2026-04-02")["deltasCount"] == 1


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        ({"period": "2026-04", "timePreset": "current_month"}, (400, "INVALID_SCOPE_COMBINATION")),
        ({"period": "2026-04", "startDate": "2026-04-01"}, (400, "INVALID_SCOPE_COMBINATION")),
        ({"period": "2026-04", "startingCheckpoint": "0x1"}, (400, "INVALID_SCOPE_COMBINATION")),
        ({"timePreset": "current_month", "endDate": "2026-04-01"}, (400, "INVALID_SCOPE_COMBINATION")),
        ({"timePreset": "custom", "endDate": "2026-04-01"}, (400, "INVALID_SCOPE_COMBINATION")),
        ({"timePreset": "custom"}, (400, "INVALID_SCOPE_COMBINATION")),
        ({"startDate": "2026-04-01"}, (400, "INVALID_SCOPE_COMBINATION")),
        ({"startDate": "2024-01-01", "endDate": "2026-01-01T00:00:00.001Z"}, (400, "SCOPE_TOO_WIDE")),
        ({"startDate": "2026-04-02", "endDate": "2026-04-02"}, (400, None)),
        ({"startDate": "yesterday", "endDate": "2026-04-02"}, (400, None)),
        ({"period": "2026-13"}, (400, None)),
        ({"timePreset": "last_30_days"}, (400, None)),
        ({"startingCheckpoint": "0x1"}, (404, "CHECKPOINT_NOT_FOUND")),
        ({"limit": 0}, (400, None)),
        ({"limit": 1001}, (400, None)),
        ({"granularity": "hour"}, (400, None)),
        ({"startingBalance": "x"}, (400, None)),
    ],
)
def test_scopes_that_make_no_sense_are_refused(
    api: Api, asked: dict[str, str], refusal: tuple[int, str | None]
) -> None:
    api.simulator.record("a", "-1")

    assert api.refused("GET", "derive/a", params=asked) == refusal


def test_the_widest_window_is_allowed(api: Api) -> None:
    api.simulator.record("a", "-1")

    assert api.get("derive/a", startDate="2024-05-01", endDate="2026-05-01")["deltasCount"] == 1


def test_deltas_are_paged_but_the_balance_is_not(api: Api) -> None:
    for number in range(1, 6):
        api.simulator.record("a", -number, NOW - timedelta(hours=number))

    page = api.get("derive/a", limit=2, offset=1, startingBalance="0.5")

    assert (page["computedBalance"], page["total"], page["pagination"]["hasMore"]) == (Decimal("-14.5"), 5, True)
    assert [row["delta"] for row in page["deltas"]] == [-4, -3]


@pytest.mark.parametrize("kind", ["recordId", "anchorId", None])
def test_a_balance_resumes_after_a_record(api: Api, kind: str | None) -> None:
    first = api.simulator.record("a", "-1", "2026-01-01T00:00:00Z")
    api.simulator.record("a", "-2", "2026-02-01T00:00:00Z")
    api.simulator.record("b", "-4")
    asked = {"startingCheckpoint": first, **({"startingCheckpointType": kind} if kind else {})}

    resumed = api.get("derive/a", **asked)

    assert (resumed["startingBalance"], resumed["computedBalance"], resumed["deltasCount"]) == (-1, -3, 1)
    assert api.refused("GET", "derive/b", params=asked) == (404, "CHECKPOINT_NOT_FOUND")


def test_a_balance_resumes_after_what_a_checkpoint_covers_and_what_came_before(api: Api) -> None:
    api.simulator.record("a", "-1", "2026-01-01T00:00:00Z")
    api.simulator.record("a", "-2", "2026-02-01T00:00:00Z")
    late = api.simulator.record("a", "-4", "2026-02-02T00:00:00Z", verified=False)
    root = api.post("checkpoint", customerId="a", period="2026-02")["proofRoot"]
    api.simulator.verify_all()

    resumed = api.get("derive/a", startingCheckpoint=root)

    assert (resumed["startingBalance"], resumed["computedBalance"]) == (-3, -7)
    assert [row["recordId"] for row in resumed["deltas"]] == [late]
    wrong = {"startingCheckpoint": root, "startingCheckpointType": "moon"}
    assert api.refused("GET", "derive/a", params=wrong) == (400, None)


def test_a_breakdown_by_week_starts_on_mondays(api: Api) -> None:
    for day in (5, 6, 12, 13):
        api.simulator.record("a", "-2" if day < 12 else "3", datetime(2026, 4, day, tzinfo=UTC))

    weeks = api.get("derive/a", granularity="week")["windowSummaries"]

    assert [(week["period"], week["totalCredits"], week["totalDebits"], week["netChange"]) for week in weeks] == [
        ("2026-03-30", 0, -2, -2),
        ("2026-04-06", 3, -2, 1),
        ("2026-04-13", 3, 0, 3),
    ]


def test_the_clock_that_places_a_delta_is_a_switch(api: Api) -> None:
    api.simulator.record("a", "-1", "2026-03-31T23:59:50Z", verify_delay=30)

    assert api.get("derive/a", period="2026-03")["deltasCount"] == 1
    api.simulator.configure(counts_by="verified")
    assert api.get("derive/a", period="2026-03")["deltasCount"] == 0
    assert api.get("derive/a", period="2026-04")["deltasCount"] == 1


def test_an_unknown_customer_is_not_found_or_zero(api: Api) -> None:
    assert api.refused("GET", "derive/nobody") == (404, "CUSTOMER_NOT_FOUND")
    assert api.refused("GET", "receipt/nobody") == (404, "CUSTOMER_NOT_FOUND")
    assert api.refused("POST", "checkpoint", json={"customerId": "nobody"}) == (404, "CUSTOMER_NOT_FOUND")
    api.simulator.configure(unknown_customer="zero")
    assert api.get("derive/nobody")["computedBalance"] == 0
