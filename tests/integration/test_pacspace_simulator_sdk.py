"""The simulator held to the official SDK, and to the Quick Start, over a real loopback socket."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, Protocol

import httpx
import pacspace_sdk
import pytest
from pacspace_sdk import errors

from pacspace_stripe.simulator.clock import WallClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator, Rules
from pacspace_stripe.simulator.serve import serve

API_KEY = "pk_test_simulator.secret"


class Start(Protocol):
    def __call__(self, simulator: PacSpaceSimulator) -> str: ...


@pytest.fixture
def start() -> Iterator[Start]:
    """Serve a simulator on a free loopback port, and yield its address."""
    with ExitStack() as servers:

        def started(simulator: PacSpaceSimulator) -> str:
            simulator.base_url = servers.enter_context(serve(simulator)).url
            return simulator.base_url

        yield started


def sdk(base_url: str, api_key: str = API_KEY, submission: Mapping[str, object] | None = None) -> pacspace_sdk.PacSpace:
    return pacspace_sdk.PacSpace(api_key, base_url=base_url, max_retries=0, submission=submission)


def simulator(**rules: object) -> PacSpaceSimulator:
    return PacSpaceSimulator(WallClock(), rules=Rules().changed({"verify_delay": 0.05, **rules}))


def this_month() -> str:
    return f"{datetime.now(UTC):%Y-%m}"


def test_the_sdk_walks_the_whole_flow(start: Start) -> None:
    pacspace = sdk(start(simulator()))
    balance = pacspace.balance
    options = {"referenceId": "usage:cust:1:2026-11-01", "metadata": {"region": "eu"}, "idempotencyKey": "k1"}

    emitted = balance.emit("cust:1", -42.5, "usage", options)
    verified = balance.wait_for_verified(emitted["recordId"], {"timeout": 5_000, "pollInterval": 10})
    derived = balance.derive("cust:1")
    compared = balance.compare("cust:1", {"yours": -42.5, "theirs": -42})
    checkpoint = balance.checkpoint("cust:1", {"period": this_month()})
    proof = balance.invoice_proof("cust:1", {"period": this_month()})
    shown = pacspace.verify(checkpoint["proofRoot"], "both")

    assert (emitted["status"], verified["status"]) == ("QUEUED", "VERIFIED")
    assert (derived["computedBalance"], derived["deltasCount"], derived["deltaCount"]) == (-42.5, 1, 1)
    assert derived["deltas"][0]["metadata"] == {"region": "eu"}
    assert (compared["neutralBalance"], compared["matchesYours"], compared["matchesTheirs"]) == (-42.5, True, False)
    assert (checkpoint["status"], checkpoint["simulator"]) == ("VERIFIED", True)
    assert proof["proofRoot"] == checkpoint["proofRoot"] == balance.receipt("cust:1")["proofRoot"]
    assert (shown["verified"], shown["summary"]["recordCount"], shown["summary"]["netChange"]) == (True, 1, -42.5)
    assert "Simulator" in shown["message"]
    assert pacspace.verify(emitted["receiptId"])["verified"] is True


def test_the_sdk_reads_customers_usage_gaps_and_checkpoints(start: Start) -> None:
    world = simulator()
    for number in range(3):
        world.record("cust_1", -number - 1)
    world.record("cust_1", "-5", verified=False)
    world.inject_gap("cust_1", 2)
    balance = sdk(start(world)).balance
    balance.checkpoint("cust_1")

    detail = balance.customer("cust_1", {"deltaLimit": 2, "deltaPage": 1, "period": this_month()})

    assert [each["customerId"] for each in balance.customers({"search": "cust"})["customers"]] == ["cust_1"]
    assert (detail["computedBalance"], detail["totalDeltas"]) == (-6, 4)
    assert [each["status"] for each in detail["recentActivity"]["items"]] == ["QUEUED", "VERIFIED"]
    assert detail["recentActivity"]["pagination"]["total"] == 4
    assert (
        detail["latestCheckpoint"]
        == balance.list_checkpoints({"customerId": "cust_1"})["checkpoints"][0]["checkpointId"]
    )
    assert balance.usage()["allowed"] is True
    assert balance.gaps("cust_1")["gaps"] == [{"fromSequence": "5", "toSequence": "6", "missingCount": 2}]


def test_the_sdk_resumes_from_a_checkpoint_and_derives_months_back(start: Start) -> None:
    world = simulator()
    world.record("cust_1", "-10")
    balance = sdk(start(world)).balance
    root = balance.checkpoint("cust_1")["proofRoot"]
    world.record("cust_1", "-2.5")

    resumed = balance.derive("cust_1", {"startingCheckpoint": root, "startingCheckpointType": "proofRoot"})

    assert (resumed["startingBalance"], resumed["computedBalance"], resumed["deltasCount"]) == (-10, -12.5, 1)
    assert balance.derive_months_back("cust_1", 3)["computedBalance"] == -12.5
    assert balance.derive_current_month("cust_1", {"startingBalance": 100})["computedBalance"] == 87.5


def test_the_sdk_flushes_summaries_as_a_batch_and_sees_replays(start: Start) -> None:
    world = simulator(cadence=3600)
    world.record("busy", "-1")
    submission = {"maxRequestsPerMinute": 6_000, "autoStart": False, "autoFlushOnShutdown": False}
    balance = sdk(start(world), submission=submission).balance
    window = {"windowStart": "2026-03-17T00:00:00Z", "windowEnd": "2026-03-18T00:00:00Z"}

    def flush(customer_id: str) -> dict[str, Any]:
        balance.queue_summary({"customerId": customer_id, "delta": -3.0, **window})
        flushed: dict[str, Any] = balance.flush_summaries()
        return flushed

    first, again, busy = flush("c1"), flush("c1"), flush("busy")

    assert (first["submitted"], first["replayed"], first["failed"]) == (1, 0, 0)
    assert (again["submitted"], again["replayed"], again["failed"]) == (1, 1, 0)
    assert (busy["failed"], busy["failures"][0]["error"]) == (1, "CADENCE_LIMIT")
    assert balance.customer("c1")["totalDeltas"] == 1
    assert balance.customer("c1")["recentActivity"]["items"][0]["referenceId"] == (
        "sum_17615b376604fa65f7e1d17f9701fffab38d83d7e20618b0"
    )


def test_the_sdk_maps_every_refusal(start: Start) -> None:
    world = simulator()
    base_url = start(world)
    balance = sdk(base_url).balance

    with pytest.raises(errors.InvalidApiKeyError):
        sdk(base_url, "pk_test_other.secret").balance.usage()
    with pytest.raises(errors.NotFoundError) as unknown:
        balance.customer("nobody")
    with pytest.raises(errors.ValidationError):
        balance.emit("cust_1", 0, "usage")
    with pytest.raises(errors.ValidationError):
        balance.emit("cust_1", float("nan"), "usage")
    with pytest.raises(errors.InvalidScopeCombinationError):
        balance.checkpoint("cust_1", {"period": "2026-04", "timePreset": "current_month"})
    with pytest.raises(errors.ScopeTooWideError):
        balance.derive("cust_1", {"startDate": "2020-01-01", "endDate": "2026-01-01"})
    with pytest.raises(errors.PacSpaceError, match="another environment") as live:
        sdk(base_url, "pk_live_other.secret").balance.usage()

    assert unknown.value.api_body["code"] == "CUSTOMER_NOT_FOUND"
    assert (live.value.status_code, live.value.code) == (403, "API_KEY_ENVIRONMENT_HOST_MISMATCH")


def test_the_sdk_maps_limits_of_plan_cadence_and_environment(start: Start) -> None:
    world = simulator()
    balance = sdk(start(world)).balance
    balance.emit("cust_1", -1, "usage")

    world.configure(cadence=3600)
    with pytest.raises(errors.CadenceLimitError) as cadence:
        balance.emit("cust_1", -1, "usage")
    world.configure(cadence=None, plan_limit=1)
    with pytest.raises(errors.InsufficientCreditsError):
        balance.emit("cust_1", -1, "usage")
    world.configure(environment_ready=False)
    with pytest.raises(errors.ContractNotDeployedError):
        balance.emit("cust_1", -1, "usage")

    assert cadence.value.customer_id == "cust_1"
    assert cadence.value.retry_after_ms is not None
    assert 3_590_000 < cadence.value.retry_after_ms <= 3_600_000
    assert balance.usage() == {"remaining": 0, "allowed": False, "consumed": 1, "limit": 1, "period": this_month()}


def test_the_quick_start_gives_its_numbers(start: Start) -> None:
    base_url = start(simulator(verify_delay=0))

    def curl(path: str, body: str | None = None) -> tuple[int, dict[str, Any]]:
        with httpx.Client(
            trust_env=False, headers={"X-Api-Key": API_KEY, "Content-Type": "application/json"}
        ) as client:
            method = "POST" if body else "GET"
            response = client.request(method, f"{base_url}/api/v1/balance/{path}", content=body)
            answer: dict[str, Any] = response.json()
            return response.status_code, answer["data"]

    emit = """{"customerId": "customer_001", "delta": 100.00, "reason": "initial-deposit",
               "referenceId": "txn-quickstart-001",
               "metadata": {"source": "quickstart-guide", "note": "First delta!"}}"""
    emitted, delta = curl("delta", emit)
    derived, balance = curl("derive/customer_001")
    compared, report = curl("compare", '{"yourBalance": 100.00, "theirBalance": 100.00, "startingBalance": 0}')
    made, checkpoint = curl("checkpoint", '{"customerId": "customer_001"}')

    assert (emitted, derived, compared, made) == (201, 200, 201, 201)
    assert delta["receiptId"].startswith("0x")
    assert balance["computedBalance"] == 100.00
    assert (report["matchesYours"], report["matchesTheirs"], report["neutralBalance"]) == (True, True, 100.00)
    assert len(checkpoint["proofRoot"]) == 66


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("500", errors.PacSpaceError),
        ("502", errors.PacSpaceError),
        ("503", errors.ServiceUnavailableError),
        ("429", errors.RateLimitError),
        ("cadence_limit", errors.CadenceLimitError),
        ("402", errors.InsufficientCreditsError),
        ("412", errors.ContractNotDeployedError),
        ("connection_error", errors.PacSpaceError),
        ("timeout", errors.PacSpaceError),
        ("lost_reply", errors.PacSpaceError),
    ],
)
def test_the_sdk_meets_every_fault_once(start: Start, fault: str, error: type[errors.PacSpaceError]) -> None:
    world = simulator()
    balance = sdk(start(world)).balance
    world.add_fault(fault, endpoint="POST /api/v1/balance/delta", times=1, seconds=7)
    options = {"idempotencyKey": "k"}

    with pytest.raises(error) as met:
        balance.emit("cust_1", -1, "usage", options)
    balance.emit("cust_1", -1, "usage", options)

    assert met.type is error
    assert getattr(met.value, "retry_after", 7) == 7
    assert balance.customer("cust_1")["totalDeltas"] == 1


def test_the_sdk_sees_a_write_that_is_still_in_flight(start: Start) -> None:
    world = simulator()
    balance = sdk(start(world)).balance
    world.add_fault("idempotency_pending", times=1)
    options = {"idempotencyKey": "k"}

    pending, done = (balance.emit("cust_1", -1, "usage", options) for _ in range(2))

    assert (pending["code"], pending["retryAfterSeconds"]) == ("IDEMPOTENCY_PENDING", 1)
    assert done["status"] == "QUEUED"
    assert balance.customer("cust_1")["totalDeltas"] == 1


def test_another_process_steers_the_world_through_the_control_endpoint(start: Start) -> None:
    base_url = start(simulator())

    def call(method: str, **args: object) -> object:
        with httpx.Client(trust_env=False) as client:
            response = client.post(f"{base_url}/_simulator/call", json={"method": method, "args": args})
        assert response.status_code == 200, response.text
        answer: dict[str, object] = response.json()
        return answer["result"]

    day = {"start": "2026-10-01T00:00:00Z", "end": "2026-10-02T00:00:00Z"}
    record_id = call("record", account="a", delta="-0.10", at="2026-10-01T12:00:00Z", verified=False)
    call("emit_daily_usage", account="a", total="4.2", **day)

    assert call("balance", account="a", **day) == ["-4.2", 1]
    assert call("verify_all", account="a") == 1
    assert call("balance", account="a", **day) == ["-4.30", 2]
    assert call("status", record_id=record_id) == "VERIFIED"
    assert call("inject_gap", account="a", missing=2) == [3, 4]
    call("close_gaps", account="a")
    call("configure", cadence=60, late_deltas="frozen")
    call("add_fault", name="html", times=1)
    call("clear_faults")
    assert call("checkpoints") == []
    assert call("calls") == {}
