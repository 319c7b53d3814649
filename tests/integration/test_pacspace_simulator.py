"""Deltas in the PacSpace simulator: their states, what is refused, exact numbers, idempotency."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator, Rules

NOW = datetime(2026, 4, 20, 12, tzinfo=UTC)
KEY = {"X-Api-Key": "pk_test_simulator.secret"}
BALANCE = "/api/v1/balance"


class Api:
    """A client of one simulator whose clock the test moves."""

    def __init__(self, **rules: object) -> None:
        self.clock = ManualClock(NOW)
        self.simulator = PacSpaceSimulator(self.clock, rules=Rules().changed(rules))
        self.transport = httpx.MockTransport(self.simulator)
        self.client = httpx.Client(transport=self.transport, base_url="http://127.0.0.1", headers=KEY)

    def get(self, path: str, **query: str | int) -> dict[str, Any]:
        return self._data(self.client.get(f"{BALANCE}/{path}", params=query))

    def post(self, path: str, **body: object) -> dict[str, Any]:
        return self._data(self.client.post(f"{BALANCE}/{path}", json=body))

    def verify(self, root: str) -> dict[str, Any]:
        return self._data(httpx.Client(transport=self.transport).get(f"http://127.0.0.1/api/v1/verify/{root}"))

    def refused(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        content: str | None = None,
        json: object = None,
    ) -> tuple[int, str | None]:
        response = self.client.request(method, f"{BALANCE}/{path}", params=params, content=content, json=json)
        body = response.json()
        assert body["success"] is False
        assert body["message"] == body["error"]["message"]
        return response.status_code, body["error"].get("code")

    def emit(self, account: str = "a", delta: str = "-1", *, key: str | None = None, **more: object) -> httpx.Response:
        body = {"customerId": account, "reason": "usage", **more}
        text = json.dumps(body)[:-1] + f', "delta": {delta}}}'
        headers = {"Idempotency-Key": key} if key else {}
        return self.client.post(f"{BALANCE}/delta", content=text, headers=headers)

    @staticmethod
    def _data(response: httpx.Response) -> dict[str, Any]:
        assert response.is_success, response.text
        data: dict[str, Any] = json.loads(response.text, parse_float=Decimal)["data"]
        return data


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    yield made
    made.client.close()


def test_a_delta_is_queued_then_processed_then_verified(api: Api) -> None:
    record_id = api.emit().json()["data"]["recordId"]
    seen = [api.get(f"delta/{record_id}")]
    for _ in range(2):
        api.clock.advance(0.5)
        seen.append(api.get(f"delta/{record_id}"))

    assert [each["status"] for each in seen] == ["QUEUED", "PROCESSING", "VERIFIED"]
    assert "verifiedAt" not in seen[1]
    assert seen[2]["verifiedAt"] == "2026-04-20T12:00:01.000Z"


def test_a_failed_delta_stays_failed_and_never_counts(api: Api) -> None:
    record_id = api.emit().json()["data"]["recordId"]
    api.simulator.fail(record_id, "chain rejected it")
    api.clock.advance(60)

    assert api.get(f"delta/{record_id}")["error"] == "chain rejected it"
    assert api.simulator.status(record_id) == "FAILED"
    assert api.get("derive/a")["deltasCount"] == 0


@pytest.mark.parametrize(
    "body",
    [
        '{"customerId": "a", "reason": "usage", "delta": 0}',
        '{"customerId": "a", "reason": "usage", "delta": 0.0}',
        '{"customerId": "a", "reason": "usage", "delta": 1e-400}',
        '{"customerId": "a", "reason": "usage", "delta": NaN}',
        '{"customerId": "a", "reason": "usage", "delta": -Infinity}',
        '{"customerId": "a", "reason": "usage", "delta": 1e999999999}',
        '{"customerId": "a", "reason": "usage", "delta": 1000000000.01}',
        '{"customerId": "a", "reason": "usage", "delta": "-1"}',
        '{"customerId": "a", "reason": "usage", "delta": true}',
        '{"customerId": "a", "reason": "usage"}',
        '{"customerId": "a/b", "reason": "usage", "delta": -1}',
        '{"customerId": "", "reason": "usage", "delta": -1}',
        '{"customerId": 7, "reason": "usage", "delta": -1}',
        '{"customerId": "a", "reason": "", "delta": -1}',
        '{"customerId": "a", "delta": -1}',
        '{"customerId": "a", "reason": "usage", "delta": -1, "metadata": []}',
        '{"customerId": "a", "reason": "usage", "delta": -1, "adjusts": {}}',
        '{"customerId": "a", "reason": "usage", "delta": -1, "vendorAccountId": "v"}',
        "[]",
        "not json",
        "",
    ],
)
def test_a_wrong_delta_is_refused_without_a_code(api: Api, body: str) -> None:
    assert api.refused("POST", "delta", content=body) == (400, None)
    assert api.get("customers")["total"] == 0


@given(st.lists(st.decimals("-1000000000", "1000000000", places=18).filter(bool), min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_balances_are_exact_to_the_last_digit(deltas: list[Decimal]) -> None:
    api = Api(verify_delay=0)
    for delta in deltas:
        assert api.emit(delta=f"{delta:f}").status_code == 201

    exact = sum(map(int, (delta.scaleb(18) for delta in deltas)))
    assert api.get("derive/a")["computedBalance"] * 10**18 == exact
    net, count = api.simulator.balance("a", NOW, NOW + timedelta(seconds=1))
    assert (int(net.scaleb(18)), count) == (exact, len(deltas))


def test_a_world_of_doubles_adds_up_as_doubles_do() -> None:
    api = Api(doubles=True)
    api.simulator.record("a", "0.1")
    api.simulator.record("a", "0.2")

    compared = api.post("compare", customerId="a", yourBalance=0.3, theirBalance=0.1 + 0.2, startingBalance=0)

    assert '"computedBalance": 0.30000000000000004' in api.client.get(f"{BALANCE}/derive/a").text
    assert (compared["matchesYours"], compared["matchesTheirs"]) == (False, True)


def test_numbers_are_written_with_the_digits_they_came_with(api: Api) -> None:
    api.simulator.record("a", "100.00")

    assert '"computedBalance": 100.00' in api.client.get(f"{BALANCE}/derive/a").text


def test_an_idempotency_key_replays_the_same_body_and_refuses_another(api: Api) -> None:
    first, again = api.emit(delta="-1.0", key="k"), api.emit(delta="-1", key="k")
    other = api.emit(delta="-2", key="k")

    assert first.json() == again.json()
    assert (again.status_code, other.status_code, other.json()["error"]["code"]) == (201, 409, "IDEMPOTENCY_CONFLICT")
    assert api.get("customers/a")["totalDeltas"] == 1


def test_without_a_key_a_repeated_reference_records_twice(api: Api) -> None:
    api.emit(referenceId="r")
    api.emit(referenceId="r")

    assert api.get("customers/a")["totalDeltas"] == 2


def test_a_failed_summary_can_be_sent_again(api: Api) -> None:
    item = {"customerId": "a", "delta": -1, "reason": "usage", "referenceId": "r"}
    api.simulator.fail(api.post("delta/batch", deltas=[item])["results"][0]["recordId"])

    assert "idempotent" not in api.post("delta/batch", deltas=[item])["results"][0]


def test_a_refused_request_leaves_its_key_free(api: Api) -> None:
    api.simulator.configure(environment_ready=False)
    assert api.emit(key="k").status_code == 412
    api.simulator.configure(environment_ready=True)
    assert api.emit(key="k").status_code == 201


def test_a_batch_succeeds_replays_and_fails_item_by_item(api: Api) -> None:
    item = {"customerId": "a", "delta": -1, "reason": "usage", "referenceId": "r"}
    answer = api.post("delta/batch", deltas=[item, item, {**item, "delta": 0, "referenceId": "s"}])

    assert (answer["totalQueued"], answer["totalFailed"]) == (2, 1)
    assert [each["status"] for each in answer["results"]] == ["QUEUED", "QUEUED", "FAILED"]
    assert [each.get("idempotent") for each in answer["results"]] == [None, True, None]
    assert api.refused("POST", "delta/batch", json={"deltas": [item] * 101}) == (400, None)
