"""What goes wrong with the PacSpace simulator on request."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest

from tests.integration.test_pacspace_simulator import BALANCE, NOW, Api


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    yield made
    made.client.close()


def test_a_lost_reply_has_its_effect_and_a_timeout_has_none(api: Api) -> None:
    for fault, deltas in (("timeout", 0), ("lost_reply", 1)):
        api.simulator.record(fault, "-1")
        api.simulator.add_fault(fault, endpoint="POST *", times=1)
        with pytest.raises(httpx.ReadTimeout):
            api.emit(fault)
        assert api.get(f"customers/{fault}")["totalDeltas"] == 1 + deltas

    assert [each.status for each in api.simulator.log if each.method == "POST"] == [0, 0]


def test_answers_of_others_come_with_200(api: Api) -> None:
    api.simulator.record("a", "-1")
    api.simulator.add_fault("html", times=1)
    api.simulator.add_fault("wrong_shape", times=1)
    html, wrong = (api.client.get(f"{BALANCE}/derive/a") for _ in range(2))

    assert (html.status_code, html.headers["Content-Type"].split(";")[0]) == (200, "text/html")
    assert wrong.json() == {"success": True, "data": {"simulator": "not what was asked"}}
    assert api.get("derive/a")["deltasCount"] == 1


def test_public_verify_can_be_without_its_chain(api: Api) -> None:
    api.simulator.record("a", "-1")
    root = api.post("checkpoint", customerId="a")["proofRoot"]
    api.simulator.add_fault("chain_unavailable", times=1)

    answer = api.client.get(f"/api/v1/verify/{root}?source=chain").json()

    assert answer == {"verified": False, "proofRoot": root, "message": "chain unavailable"}


def test_a_slow_answer_takes_the_clock_along(api: Api) -> None:
    api.simulator.add_fault("slow", times=1, seconds=2)
    api.emit()

    assert api.clock.now() == NOW + timedelta(seconds=2)


def test_unknown_faults_are_refused(api: Api) -> None:
    for name in ("lock_timeout", "earthquake"):
        with pytest.raises(ValueError, match=name.partition("_")[0]):
            api.simulator.add_fault(name)


def test_a_lost_batch_is_not_doubled_when_it_is_sent_again_without_a_key(api: Api) -> None:
    deltas = [{"customerId": "a", "delta": -1, "reason": "usage", "referenceId": f"r{n}"} for n in range(3)]
    api.simulator.add_fault("lost_reply", times=1)
    with pytest.raises(httpx.ReadTimeout):
        api.post("delta/batch", deltas=deltas)

    assert [each["idempotent"] for each in api.post("delta/batch", deltas=deltas)["results"]] == [True] * 3


def test_many_threads_lose_and_double_nothing(api: Api) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda number: api.emit(key=f"k{number % 50}"), range(200)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["data"]["recordId"] for answer in answers}) == 50
    assert api.get("customers/a")["totalDeltas"] == 50
