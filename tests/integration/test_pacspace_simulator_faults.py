"""Faults of the PacSpace simulator."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest

from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.simulator.faults import FaultName, Faults
from pacspace_stripe.simulator.pacspace.routes import KEY_ROUTES, OPEN_ROUTES
from pacspace_stripe.simulator.pacspace.troubles import LedgerFault, LedgerFaults
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


def test_a_proxys_page_comes_with_200(api: Api) -> None:
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


EVERY_ROUTE = (*KEY_ROUTES, *OPEN_ROUTES)
DELTAS = {"POST /api/v1/balance/delta", "POST /api/v1/balance/delta/batch"}
ABOUT: Mapping[str, set[str]] = {
    "402": {*DELTAS, "POST /api/v1/writes", "POST /api/v1/facts"},
    "412": DELTAS,
    "cadence_limit": DELTAS,
    "idempotency_pending": {*DELTAS, "POST /api/v1/balance/checkpoint"},
    "chain_unavailable": {"GET /api/v1/verify/{proofRoot}"},
}


@pytest.mark.parametrize("name", sorted({*FaultName, *LedgerFault} - {FaultName.LOCK_TIMEOUT}))
def test_a_fault_strikes_where_the_contract_has_it_and_nowhere_else(name: str) -> None:
    faults = LedgerFaults(Faults(), seed=0)
    faults.add(name, seconds=1)
    struck = {route.endpoint for route in EVERY_ROUTE if strikes(faults, route.endpoint)}
    assert struck == ABOUT.get(name, {route.endpoint for route in EVERY_ROUTE})


@pytest.mark.parametrize("name", ABOUT)
def test_a_plan_that_names_an_endpoint_has_it_there(name: str) -> None:
    faults = LedgerFaults(Faults(), seed=0)
    faults.add(name, endpoint="GET */derive/*")
    struck = {route.endpoint for route in EVERY_ROUTE if strikes(faults, route.endpoint)}
    assert struck == {"GET /api/v1/balance/derive/{customerId}"}


def strikes(faults: LedgerFaults, endpoint: str) -> bool:
    """Return True if a request there is answered otherwise than usual."""
    headers = {"Idempotency-Key": "k"}
    request = httpx.Request(endpoint.partition(" ")[0], "http://127.0.0.1/x", headers=headers, content=b"{}")
    clock, well = ManualClock(NOW), httpx.Response(200, json={"fine": True})
    try:
        answer = faults.answer(endpoint, request, clock, lambda: well)
    except httpx.TransportError:
        return True
    return answer is not well or clock.now() != NOW


def test_a_full_plan_still_reads_derives_and_verifies(api: Api) -> None:
    api.simulator.record("a", "-1")
    root = api.post("checkpoint", customerId="a")["proofRoot"]
    api.simulator.add_fault("402")

    assert api.emit().status_code == 402
    assert (api.get("derive/a")["deltasCount"], api.verify(root)["verified"]) == (1, True)


def test_the_cadence_of_a_batch_refuses_each_of_its_rows(api: Api) -> None:
    api.simulator.add_fault("cadence_limit")
    deltas = [{"customerId": each, "delta": -1, "reason": "usage"} for each in ("a", "b")]

    answer = api.post("delta/batch", deltas=deltas)

    assert (answer["totalQueued"], answer["totalFailed"]) == (0, 2)
    assert [(row["index"], row["customerId"], row["error"]) for row in answer["results"]] == [
        (0, "a", "CADENCE_LIMIT"),
        (1, "b", "CADENCE_LIMIT"),
    ]


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
