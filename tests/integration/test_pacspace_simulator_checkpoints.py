"""Checkpoints, invoice proofs and public verify of the PacSpace simulator."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.integration.test_pacspace_simulator import Api


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    yield made
    made.client.close()


def test_a_repeated_checkpoint_is_the_same_one(api: Api) -> None:
    api.simulator.record("a", "-1")

    by_default = api.post("checkpoint", customerId="a")
    by_month = api.post("checkpoint", customerId="a", period="2026-04")
    by_dates = api.post("checkpoint", customerId="a", startDate="2026-04-01", endDate="2026-05-01")

    assert by_default == by_month == by_dates
    assert len(api.simulator.checkpoints()) == 1


@pytest.mark.parametrize("late_deltas", ["new_root", "frozen"])
def test_late_deltas_make_a_new_root_or_leave_the_frozen_one(late_deltas: str) -> None:
    api = Api(late_deltas=late_deltas)
    api.simulator.record("a", "-1")
    first = api.post("checkpoint", customerId="a")
    api.simulator.record("a", "-2")
    second = api.post("checkpoint", customerId="a")

    frozen = late_deltas == "frozen"
    assert (second["proofRoot"] == first["proofRoot"]) is frozen
    assert api.verify(second["proofRoot"])["summary"]["netChange"] == (-1 if frozen else -3)
    assert api.verify(first["proofRoot"])["summary"]["recordCount"] == 1


def test_a_delayed_checkpoint_shows_its_root_when_it_is_committed() -> None:
    api = Api(checkpoint_delay=60)
    api.simulator.record("a", "-1")
    root = None
    for _ in range(2):
        answers = [
            api.post("checkpoint", customerId="a"),
            api.get("checkpoints", customerId="a")["checkpoints"][0],
            api.get("invoice-proof/a", period="2026-04"),
        ]
        roots = {answer.get("proofRoot") for answer in answers}
        statuses = {answer["status"] for answer in answers}
        assert (len(roots), statuses) == (1, {"QUEUED"} if root is None and roots == {None} else {"VERIFIED"})
        root = roots.pop()
        api.clock.advance(60)

    assert root
    assert api.get("receipt/a")["proofRoot"] == root


def test_a_checkpoint_covers_verified_deltas_only_and_needs_one(api: Api) -> None:
    api.simulator.record("a", "-1", verified=False)
    assert api.refused("POST", "checkpoint", json={"customerId": "a"}) == (400, "NO_VERIFIED_DELTAS")

    assert api.simulator.verify_all("a") == 1
    assert api.post("checkpoint", customerId="a")["deltasCount"] == 1


def test_a_checkpoint_of_a_coming_month_is_refused(api: Api) -> None:
    api.simulator.record("a", "-1")

    assert api.refused("POST", "checkpoint", json={"customerId": "a", "period": "2026-05"}) == (400, None)


def test_a_checkpoint_can_cover_everybody_or_a_selection(api: Api) -> None:
    api.simulator.record("a", "-1")
    api.simulator.record("b", "-2")
    receipt = api.get("derive/b")["deltas"][0]["receiptId"]

    assert api.post("checkpoint")["netChange"] == -3
    assert api.post("checkpoint", mode="fingerprints", fingerprints=[receipt])["netChange"] == -2


def test_public_verify_needs_no_key_and_says_what_the_root_covers(api: Api) -> None:
    api.simulator.record("a", "-7", "2026-03-15T00:00:00Z")
    api.simulator.record("a", "-1.5", "2026-04-02T00:00:00Z")
    api.simulator.record("a", "-1", "2026-04-03T00:00:00Z")
    root = api.post("checkpoint", customerId="a")["proofRoot"]

    answer = api.verify(root)

    assert answer["summary"] == {
        "recordCount": 2,
        "netChange": Decimal("-2.5"),
        "startingBalance": -7,
        "endingBalance": Decimal("-9.5"),
        "firstRecordAt": "2026-04-02T00:00:00.000Z",
        "lastRecordAt": "2026-04-03T00:00:00.000Z",
    }
    assert (answer["verified"], answer["simulator"], answer["records"]) == (True, True, [])
    assert "records: 2" in api.client.get(f"http://127.0.0.1/verify/{root}").text


def test_public_verify_has_its_variants(api: Api) -> None:
    api.simulator.record("a", "-1", reference_id="r")
    root = api.post("checkpoint", customerId="a")["proofRoot"]
    assert api.verify("0xnone") == {
        "verified": False, "proofRoot": "0xnone", "message": "Simulator: no record of this proof root",
        "simulator": True, "source": "db",
    }  # fmt: skip

    api.simulator.configure(verify_records=True)
    assert [(each["amount"], each["referenceId"]) for each in api.verify(root)["records"]] == [(-1, "r")]
    api.simulator.configure(verify_summary=False, unknown_root="not_found")
    bare = api.client.get(f"/api/v1/verify/{root}").json()
    assert (bare["verified"], "data" in bare, "summary" in bare) == (True, False, False)
    assert api.client.get("/api/v1/verify/0xnone").status_code == 404
    assert api.client.get(f"/api/v1/verify/{root}?source=moon").status_code == 400


def test_a_shared_record_brings_its_link_and_access_hint() -> None:
    api = Api(shared_record=True)
    api.simulator.record("a", "-1")
    assert api.refused("GET", "invoice-proof/a") == (404, "CHECKPOINT_NOT_FOUND")
    api.post("checkpoint", customerId="a")

    proof = api.get("invoice-proof/a")

    assert proof["verifyUrl"] == proof["customerLinkUrl"]
    assert len(proof["accessHint"]) == 6
    assert api.client.get(proof["verifyUrl"]).status_code == 200


def test_checkpoints_are_listed_newest_first_and_by_window(api: Api) -> None:
    for month in ("2026-02", "2026-03", "2026-04"):
        api.simulator.record("a", "-1", f"{month}-01T00:00:00Z", reference_id=month)
        api.post("checkpoint", customerId="a", period=month)

    listed = api.get("checkpoints", customerId="a", limit=2)

    assert ([each["period"] for each in listed["checkpoints"]], listed["total"]) == (["2026-04", "2026-03"], 3)
    assert api.get("checkpoints", period="2026-02")["total"] == 1
    assert api.get("checkpoints", startDate="2026-02-01", endDate="2026-04-01")["total"] == 2
    assert api.get("checkpoints", customerId="b")["total"] == 0
