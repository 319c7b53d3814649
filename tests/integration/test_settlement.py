"""The gate with the settlement ledger: records instead of deltas, on compressed time."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from pacspace_stripe.errors import RateLimited, RemoteRefused, RemoteUnavailable, UnexpectedAnswer
from pacspace_stripe.gate.early_warning import upcoming_job_id
from pacspace_stripe.gate.rules.state import Waiver
from pacspace_stripe.http.client import Transport
from pacspace_stripe.pacspace_api import PacSpace, ReconciliationApi
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator
from pacspace_stripe.vocabulary.ledger import Record
from tests.support.worlds import MIDDLE, PERIOD_END, PERIOD_START, START, World, world

DAY = timedelta(days=1)
OCTOBER = "usage-cus_acme-2026-10"


def settlement(folder: Path, **settings: str) -> Any:  # noqa: ANN401 - a context manager of a World
    return world(folder, ledger="settlement", **settings)


def verdict(made: World) -> tuple[str | None, str | None]:
    memory = made.memory()
    return memory.verdict, memory.reason


def test_a_verified_record_that_agrees_is_the_proof_itself(tmp_path: Path) -> None:
    with settlement(tmp_path) as made:
        made.subscribe()
        made.bill("500")
        for bits in ("100", "250", "150"):
            made.write(bits)
        made.run()
        assert verdict(made) == ("matched", "EXACT")
        assert made.left == {made.invoice_id}
        assert set(made.ledger_calls()) == {"GET /api/v1/reads/bucket/{key}"}


def test_stamp_footer_and_evidence_name_the_record_and_invent_no_root(tmp_path: Path) -> None:
    with settlement(tmp_path) as made:
        made.subscribe()
        made.bill("500")
        made.write("400")
        made.write("100")
        made.run()
        invoice = made.invoice()
        stamped = {name for name in invoice["metadata"] if name.startswith("pacspace_")}
        assert stamped == {
            *("pacspace_verdict", "pacspace_evidence_sha256", "pacspace_window", "pacspace_usage"),
            *("pacspace_record_key", "pacspace_record_bits", "pacspace_record_writes"),
        }
        named = [invoice["metadata"][f"pacspace_record_{name}"] for name in ("key", "bits", "writes")]
        assert named == [OCTOBER, "500", "2"]
        assert f"api_calls: 500 in 2 writes to record {OCTOBER}" in invoice["footer"]
        assert "root" not in invoice["footer"].lower()
        document = json.loads(made.app.store.chains.of_job(made.invoice_id)[-1].document)
        (window,) = document["windows"]
        assert window["record"] == {"key": OCTOBER, "bits": "500", "writes": 2, "verified": True}
        assert (window["account"], window["proof"], window["compare"]) == (OCTOBER, None, None)
        assert (document["policy"]["ledger"], document["policy"]["usage_sign"]) == ("settlement", "positive")


def test_the_statement_names_the_record(tmp_path: Path) -> None:
    with settlement(tmp_path) as made:
        made.subscribe()
        made.bill("500")
        made.write("500")
        made.run()
        assert made.app.statements.of_invoice(made.invoice_id).pdf.startswith(b"%PDF")


@pytest.mark.parametrize(
    ("billed", "written", "reason"),
    [("100", "90", "OVERBILLED"), ("90", "100", "UNDERBILLED"), ("0", "5", "STRIPE_MISSING")],
)
def test_a_record_that_differs_is_a_drift(tmp_path: Path, billed: str, written: str, reason: str) -> None:
    with settlement(tmp_path) as made:
        made.subscribe()
        made.bill(billed)
        made.write(written)
        made.run(DAY)
        assert verdict(made) == ("drifted", reason)
        assert made.left == set()


def test_a_record_without_writes_is_missing(tmp_path: Path) -> None:
    with settlement(tmp_path) as made:
        made.subscribe()
        made.bill("5")
        made.run(DAY)
        assert verdict(made) == ("drifted", "LEDGER_MISSING")
        assert made.left == set()


def test_nothing_billed_and_no_record_is_matched(tmp_path: Path) -> None:
    with settlement(tmp_path) as made:
        made.subscribe()
        made.run(DAY)
        assert verdict(made) == ("matched", "ZERO")
        assert "pacspace_record_key" not in made.invoice()["metadata"]
        assert made.invoice()["status"] == "paid"


@pytest.mark.parametrize("billed", ["12", "0", "13"])
def test_a_record_that_is_not_verified_proves_nothing(tmp_path: Path, billed: str) -> None:
    with settlement(tmp_path) as made:
        made.subscribe()
        made.bill(billed)
        made.write("12", verified=False)
        made.run(6 * timedelta(hours=1))
        assert verdict(made) == ("unproven", "NOT_SETTLED")
        assert made.left == set()


def test_an_invoice_leaves_once_its_record_is_verified(tmp_path: Path) -> None:
    with settlement(tmp_path) as made:
        made.subscribe()
        made.bill("12")
        made.write("12", verified=False)
        made.run(3 * timedelta(hours=1))
        made.ledger.verify_all()
        made.run(DAY)
        assert verdict(made) == ("matched", "EXACT")
        assert made.left == {made.invoice_id}


def test_usage_may_be_written_as_negative_bits(tmp_path: Path) -> None:
    with settlement(tmp_path, usage_sign="negative") as made:
        made.subscribe()
        made.bill("12")
        made.write("-12")
        made.run()
        assert verdict(made) == ("matched", "EXACT")
        assert made.invoice()["metadata"]["pacspace_record_bits"] == "-12"


def test_one_record_does_not_prove_two_windows(tmp_path: Path) -> None:
    with settlement(tmp_path) as made:
        subscription = made.subscribe()
        made.stripe.split_period(subscription, MIDDLE)
        made.bill("10", at=MIDDLE - DAY)
        made.bill("10", at=MIDDLE + DAY)
        made.write("10")
        made.run(DAY)
        assert verdict(made) == ("unproven", "UNMAPPED")
        assert made.left == set()


def test_two_windows_with_a_record_each_agree(tmp_path: Path) -> None:
    with settlement(tmp_path, record_key="{customer}:{meter}:{start}:{end}") as made:
        subscription = made.subscribe()
        made.stripe.split_period(subscription, MIDDLE)
        made.bill("10", at=MIDDLE - DAY)
        made.bill("20", at=MIDDLE + DAY)
        made.write("10", key="cus_acme:api_calls:2026-10-01:2026-10-15")
        made.write("20", key="cus_acme:api_calls:2026-10-15:2026-11-01")
        made.run(DAY)
        metadata = made.invoice()["metadata"]
        assert (metadata["pacspace_record_bits"], metadata["pacspace_record_bits_2"]) == ("10", "20")
        assert made.left == {made.invoice_id}


def test_one_record_does_not_prove_two_meters(tmp_path: Path) -> None:
    with settlement(tmp_path) as made:
        other = made.stripe.add_price(made.stripe.add_meter("tokens"))
        made.subscribe(prices=[made.price, other])
        made.bill("10")
        made.bill("10", meter="tokens")
        made.write("10")
        made.run(DAY)
        assert verdict(made) == ("unproven", "UNMAPPED")
        assert made.left == set()


def test_one_record_does_not_prove_two_invoices(tmp_path: Path) -> None:
    with settlement(tmp_path) as made:
        first_ends = START + timedelta(minutes=30)
        made.stripe.add_customer("cus_acme")
        for start, end in ((PERIOD_START, first_ends), (first_ends, START + 4 * DAY)):
            made.stripe.add_subscription("cus_acme", [made.price], period_start=start, period_end=end)
        made.bill("10", at=MIDDLE)
        made.write("10")
        made.run(DAY)
        (first,) = made.stripe.invoices()
        assert made.left == {first}
        made.bill("10", at=START + timedelta(minutes=31))
        made.run(4 * DAY)
        _, second = made.stripe.invoices()
        assert made.memory(second).reason == "UNMAPPED"
        assert first in made.memory(second).detail
        assert made.left == {first}


def test_a_customer_named_in_the_subscription_names_the_record(tmp_path: Path) -> None:
    with settlement(tmp_path) as made:
        made.subscribe(metadata={"pacspace_customer_id": "acme"})
        made.bill("5")
        made.write("5", key="usage-acme-2026-10")
        made.run()
        assert verdict(made) == ("matched", "EXACT")


@pytest.mark.parametrize("name", ["acme/prod", "{month}"])
def test_a_name_that_makes_no_legal_key_is_unmapped(tmp_path: Path, name: str) -> None:
    with settlement(tmp_path) as made:
        made.subscribe(metadata={"pacspace_customer_id": name})
        made.bill("5")
        made.run(DAY)
        assert verdict(made) == ("unproven", "UNMAPPED")
        assert made.ledger_calls() == []


def test_a_draft_line_that_lags_its_meter_is_no_drift(tmp_path: Path) -> None:
    with settlement(tmp_path) as made:
        made.subscribe()
        made.bill("100")
        made.write("100")
        made.run(timedelta(hours=1, minutes=30))
        made.bill("7")
        made.write("7")
        made.run(DAY)
        assert verdict(made) == ("matched", "EXACT")
        assert made.invoice()["metadata"]["pacspace_usage"] == "107"
        assert made.left == {made.invoice_id}


def test_late_usage_at_finalization_is_caught(tmp_path: Path) -> None:
    with settlement(tmp_path) as made:
        made.subscribe()
        made.bill("100")
        made.write("100")
        made.run(timedelta(hours=1, minutes=30))
        made.bill("7")
        made.run(DAY)
        assert verdict(made) == ("drifted", "CHANGED_AT_FINALIZATION")
        assert made.left == set()


@pytest.mark.parametrize("policy", [{"fail": "open"}, {"finalize": "fast"}])
def test_a_record_that_grows_after_the_stamp_is_caught(tmp_path: Path, policy: dict[str, str]) -> None:
    with settlement(tmp_path, **policy) as made:
        made.stripe.configure(finalization_delay=timedelta(hours=6))
        made.subscribe()
        made.bill("100")
        made.write("100")
        made.run(timedelta(hours=2) if "fail" in policy else timedelta(hours=7, minutes=2))
        assert made.invoice()["metadata"]["pacspace_record_bits"] == "100"
        made.write("50")
        made.run(DAY)
        assert verdict(made) == ("drifted", "UNDERBILLED")
        kinds = [kind for _, kind, _ in made.app.store.journal.audit_trail(made.invoice_id)]
        assert "alert:drifted:UNDERBILLED" in kinds


def test_a_record_that_is_not_verified_is_named_nowhere(tmp_path: Path) -> None:
    with settlement(tmp_path) as made:
        made.subscribe()
        made.bill("12")
        made.write("5", verified=False)
        made.run(timedelta(hours=3))
        waiver = Waiver(reason="agreed", by="finance", at=made.clock.now(), figures={})
        made.app.checker.check(made.invoice_id, waiver=waiver)
        made.run(DAY)
        assert made.left == {made.invoice_id}
        invoice = made.invoice()
        assert invoice["metadata"]["pacspace_verdict"] == "waived"
        assert not [key for key in invoice["metadata"] if key.startswith("pacspace_record")]
        assert "as recorded" not in (invoice["footer"] or "")


def test_an_early_warning_compares_nothing_and_gives_the_reason(tmp_path: Path) -> None:
    with settlement(tmp_path, fail="open") as made:
        subscription = made.subscribe()
        made.bill("50")
        made.stripe.send_upcoming(subscription)
        made.run(timedelta(minutes=30))
        warning = made.memory(upcoming_job_id(subscription, PERIOD_END))
        assert (warning.verdict, warning.ended) == (None, True)
        assert "no window" in warning.detail
        assert made.ledger_calls() == []
        assert made.app.store.jobs.block_on(subscription) is None


def test_a_block_of_the_other_ledger_ends_with_it(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe()
        made.bill("50")
        made.stripe.send_upcoming(subscription)
        made.run(timedelta(minutes=30))
        assert made.app.store.jobs.block_on(subscription) is not None
        made.restart(PACSPACE_STRIPE_LEDGER="settlement")
        made.run(timedelta(minutes=1))
        assert made.app.store.jobs.block_on(subscription) is None


def test_observe_reads_the_record_and_writes_nothing(tmp_path: Path) -> None:
    with settlement(tmp_path, mode="observe") as made:
        made.subscribe()
        made.bill("5")
        made.write("5")
        made.run(DAY)
        assert verdict(made) == ("matched", "EXACT")
        assert made.writes() == []


# -- the adapter ------------------------------------------------------------------------------------------------------


def api(answer: Callable[[httpx.Request], httpx.Response]) -> ReconciliationApi:
    clock = ManualClock(START)
    transport = Transport(httpx_transport=httpx.MockTransport(answer), clock=clock.now, sleep=clock.advance)
    return PacSpace("pk_test_simulator.secret", base_url="https://pacspace.test", transport=transport).reconciliation


def answering(status: int, body: object) -> ReconciliationApi:
    return api(lambda _: httpx.Response(status, content=body if isinstance(body, bytes) else json.dumps(body)))


RECORD = {"key": "k", "accountId": "acme", "currentBits": 500, "totalWrites": 3, "verified": True, "metadata": {}}


@pytest.mark.parametrize(
    "body", [{"statusCode": 200, "data": RECORD}, {"success": True, "data": RECORD}], ids=["statusCode", "success"]
)
def test_both_envelopes_are_read(body: dict[str, object]) -> None:
    assert answering(200, body).record("k") == Record(key="k", bits=Decimal(500), writes=3, verified=True)


@pytest.mark.parametrize("bits", ["-900719925474099312345", "500.0", "5e2", '"500"'])
def test_bits_are_read_exactly(bits: str) -> None:
    body = f'{{"success":true,"data":{{"currentBits":{bits},"totalWrites":1,"verified":true}}}}'.encode()
    record = answering(200, body).record("k")
    assert record is not None
    assert record.bits == Decimal(bits.strip('"'))


@pytest.mark.parametrize(
    "bits",
    ["0.5", "1" * 4000, "1" * 5000, "1." + "0" * 4000 + "1", "1." + "1" * 119, "1e999999", "true", '"1e5000"', "[1]"],
    ids=lambda bits: bits[:10],
)
@pytest.mark.parametrize("name", ["currentBits", "totalWrites"])
def test_bits_that_are_no_whole_number_of_bounded_length_are_refused(name: str, bits: str) -> None:
    figures = {"currentBits": "1", "totalWrites": "1", name: bits}
    said = ",".join(f'"{each}":{figure}' for each, figure in figures.items())
    body = f'{{"success":true,"data":{{{said},"verified":true}}}}'.encode()
    with pytest.raises(UnexpectedAnswer):
        answering(200, body).record("k")


@pytest.mark.parametrize(
    "body",
    [
        {"statusCode": 404, "error": "Not Found", "message": "No record found for key: k"},
        {"success": False, "error": {"code": "RECORD_NOT_FOUND", "message": "No record"}},
        {"message": ["No record found"], "code": "NOT_FOUND"},
    ],
)
def test_a_key_without_writes_has_no_record(body: dict[str, object]) -> None:
    assert answering(404, body).record("k") is None


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, {"statusCode": 404, "message": "Cannot GET /api/v1/reads/bucket/k"}, UnexpectedAnswer),
        (404, b"<html>", UnexpectedAnswer),
        (401, {"message": "Invalid API key"}, RemoteRefused),
        (429, {"error": {"code": "RATE_LIMITED", "message": "slow down"}}, RateLimited),
        (503, b"", RemoteUnavailable),
        (200, b"<html>", UnexpectedAnswer),
        (200, {"success": False, "data": RECORD}, UnexpectedAnswer),
        (200, {"statusCode": 500, "data": RECORD}, UnexpectedAnswer),
        (200, RECORD, UnexpectedAnswer),
        (200, {"success": True, "data": RECORD | {"key": "other"}}, UnexpectedAnswer),
        (200, {"success": True, "data": RECORD | {"verified": "true"}}, UnexpectedAnswer),
        (200, {"success": True, "data": RECORD | {"verified": None}}, UnexpectedAnswer),
        (200, {"success": True, "data": RECORD | {"currentBits": "NaN"}}, UnexpectedAnswer),
        (200, {"success": True, "data": RECORD | {"totalWrites": -1}}, UnexpectedAnswer),
        (200, {"success": True, "data": {"currentBits": 5}}, UnexpectedAnswer),
    ],
)
def test_any_other_answer_is_an_error_and_never_a_record(status: int, body: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        answering(status, body).record("k")


def test_the_key_is_one_segment_of_the_address() -> None:
    seen: list[httpx.Request] = []

    def watched(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"success": True, "data": RECORD | {"key": "a/b"}})

    api(watched).record("a/b")
    assert seen[0].url.raw_path == b"/api/v1/reads/bucket/a%2Fb"
    assert seen[0].headers["X-Api-Key"] == "pk_test_simulator.secret"


# -- the simulator ----------------------------------------------------------------------------------------------------


def test_writes_add_up_in_the_simulated_record_and_are_verified_in_time() -> None:
    clock = ManualClock(START)
    ledger = PacSpaceSimulator(clock, verify_delay=timedelta(seconds=2))

    def call(method: str, path: str, body: object = None) -> httpx.Response:
        headers = {"X-Api-Key": ledger.api_key}
        return ledger(httpx.Request(method, f"http://127.0.0.1{path}", headers=headers, json=body))

    items = [{"key": "k", "accountId": "acme", "bits": bits, "metadata": {"week": bits}} for bits in (100, 250)]
    accepted = call("POST", "/api/v1/writes", {"items": items})
    assert (accepted.status_code, accepted.json()["data"]["itemCount"]) == (202, 2)
    before = call("GET", "/api/v1/reads/bucket/k").json()["data"]
    assert (before["currentBits"], before["totalWrites"], before["verified"]) == (350, 2, False)
    clock.advance(2)
    after = call("GET", "/api/v1/reads/bucket/k").json()["data"]
    assert (after["verified"], after["metadata"], after["accountId"]) == (True, {"week": 250}, "acme")
    assert call("GET", "/api/v1/reads/bucket/other").status_code == 404


@pytest.mark.parametrize(
    "items",
    [
        *(None, [], "x", ["x"], [{"key": "k", "accountId": "a"}], [{"key": "", "accountId": "a", "bits": 1}]),
        *([{"key": "k", "accountId": "a", "bits": 1.5}], [{"key": "k", "accountId": "a", "bits": True}]),
    ],
)
def test_an_invalid_write_is_refused(items: object) -> None:
    ledger = PacSpaceSimulator(ManualClock(datetime.fromisoformat("2026-11-01T00:00:00Z")))
    headers = {"X-Api-Key": ledger.api_key}
    request = httpx.Request("POST", "http://127.0.0.1/api/v1/writes", headers=headers, json={"items": items})
    assert ledger(request).status_code == 400
