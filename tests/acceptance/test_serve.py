"""``serve`` as a process: its answers, its log, and what it survives."""

import contextlib
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from pacspace_stripe.cli.processes import free_port, wait_for
from pacspace_stripe.vocabulary.webhooks import SUBSCRIBED
from tests.support.databases import OwnServer
from tests.support.town import PATIENCE, Bill, Links, Town, town

HANDLED = [kind.value for kind in SUBSCRIBED if kind.startswith("invoice.")]
OLD = timedelta(minutes=10)
SECONDS_TO_STOP = 30
"""Longest wait for a process to end: it must end sooner, but a slow machine is no failure."""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Start a process that serves and gets no webhooks but the test's."""
    with town(tmp_path_factory.mktemp("endpoint"), seconds=600, log_format="json") as made:
        made.quiet()
        made.stack.serve()
        yield made


# -- what it answers ----------------------------------------------------------------------------------------------


def event(event_id: str, kind: str = "invoice.updated", invoice_id: str = "in_1") -> dict[str, Any]:
    return {
        "id": event_id,
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(time.time()),
        "data": {"object": {"id": invoice_id, "object": "invoice", "customer": "cus_1"}},
        "livemode": False,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }


def sent(
    place: Town, body: Mapping[str, Any] | bytes, *, ago: timedelta = timedelta(0), secret: str | None = None
) -> int:
    """Send one delivery, signed as Stripe signs, and return the status of the answer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    at = int((datetime.now(UTC) - ago).timestamp())
    key = (secret or place.stack.environment["STRIPE_WEBHOOK_SECRET"]).encode()
    digest = hmac.new(key, f"{at}.".encode() + content, hashlib.sha256).hexdigest()
    url = f"http://127.0.0.1:{place.stack.port}/webhooks/stripe"
    signed = {"Stripe-Signature": f"t={at},v1={digest}"}
    return httpx.post(url, content=content, headers=signed, timeout=30, trust_env=False).status_code


def outcome(place: Town, event_id: str) -> str | None:
    with place.store() as store:
        return store.journal.event_outcomes().get(event_id)


def test_a_forged_webhook_is_refused_and_not_stored(endpoint: Town) -> None:
    assert sent(endpoint, event("evt_forged"), secret="whsec_of_somebody_else") == 400
    assert outcome(endpoint, "evt_forged") is None


@pytest.mark.parametrize("ago", [OLD, -OLD], ids=["replayed", "from the future"])
def test_a_webhook_signed_at_another_time_is_refused(endpoint: Town, ago: timedelta) -> None:
    assert sent(endpoint, event("evt_old"), ago=ago) == 400
    assert outcome(endpoint, "evt_old") is None


def test_a_body_of_two_megabytes_is_refused(endpoint: Town) -> None:
    assert sent(endpoint, event("evt_large") | {"padding": "x" * 2 * 1024 * 1024}) == 413
    assert outcome(endpoint, "evt_large") is None


def test_an_event_of_an_unknown_type_is_answered_and_not_stored(endpoint: Town) -> None:
    assert sent(endpoint, event("evt_other", kind="customer.created")) == 200
    assert outcome(endpoint, "evt_other") is None


def test_a_signed_body_that_is_no_event_is_answered_and_recorded(endpoint: Town) -> None:
    assert sent(endpoint, b'{"signed": "but what is it?"}') == 200
    with endpoint.store() as store:
        assert "unreadable_event" in {kind for _, kind, _ in store.journal.audit_trail("-")}


@pytest.mark.parametrize(
    ("changes", "noted"),
    [({"livemode": True}, "of the other mode"), ({"account": "acct_connected"}, "of another account")],
    ids=["live", "connected account"],
)
def test_an_event_of_another_account_is_recorded_without_any_request(
    endpoint: Town, changes: dict[str, bool | str], noted: str
) -> None:
    stranger = "in_notOurs"
    assert sent(endpoint, event(f"evt_{next(iter(changes))}", invoice_id=stranger) | changes) == 200
    assert outcome(endpoint, f"evt_{next(iter(changes))}") == noted
    # An event that is ours comes later and is done: by then the other one would have been, too.
    bill = endpoint.invoiced()
    assert sent(endpoint, event(f"evt_after_{noted[3:6]}", "invoice.created", bill.invoice_id)) == 200
    endpoint.until_held(bill)
    assert not [entry for entry in endpoint.stripe.log() if stranger in entry["path"]]


def test_a_repeated_event_has_one_effect(endpoint: Town) -> None:
    bill = endpoint.invoiced()
    twice = event("evt_twice", "invoice.created", bill.invoice_id)
    assert [sent(endpoint, twice) for _ in range(5)] == [200] * 5
    endpoint.until_held(bill)
    assert endpoint.writes(bill.invoice_id) == ["hold"]


def test_logs_are_lines_of_json_that_carry_ids(endpoint: Town) -> None:
    bill = endpoint.invoiced()
    assert sent(endpoint, event("evt_logged", "invoice.created", bill.invoice_id)) == 200
    endpoint.until_logged(f'"invoice": "{bill.invoice_id}", "step": "hold (auto_advance=false)"')
    lines = [json.loads(line) for line in endpoint.log().splitlines()]
    [received] = [line for line in lines if line.get("event") == "evt_logged"]
    assert (received["invoice"], received["outcome"], received["status"]) == (bill.invoice_id, "queued", "200")
    assert received["request"].startswith("req_")


def test_another_asgi_server_runs_the_same_gate_from_the_environment(tmp_path: Path) -> None:
    with town(tmp_path, seconds=600) as place:
        command = [sys.executable, "-m", "uvicorn", "--factory", "webhooks.app:create_app", "--log-level", "warning"]
        environment = {**os.environ, **place.stack.environment}
        with (tmp_path / "uvicorn.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--port", str(place.stack.port)], env=environment, stdout=log, stderr=log
            )
        try:
            readyz = f"http://127.0.0.1:{place.stack.port}/readyz"
            wait_for("the endpoint to be ready", lambda: is_ready(readyz))
            assert httpx.get(readyz, trust_env=False).json() == {"status": "ready", "database": "answers"}
            bill = place.invoiced()
            place.until_held(bill)
        finally:
            process.terminate()
            process.wait(timeout=SECONDS_TO_STOP)
        assert "Traceback" not in (tmp_path / "uvicorn.log").read_text()


def is_ready(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    return False


# -- what it survives ---------------------------------------------------------------------------------------------


def test_a_refused_key_is_logged_and_no_event_is_lost(tmp_path: Path) -> None:
    with town(tmp_path, seconds=600) as place:
        right_key = place.stack.environment["STRIPE_API_KEY"]
        place.stack.environment["STRIPE_API_KEY"] = "sk_test_ofNobody"
        first = place.stack.serve()
        bill = place.invoiced()
        place.until_verdict("unproven", bill)
        listed = place.listed()[bill.invoice_id]
        assert listed["reason"] == "STRIPE_UNAVAILABLE"
        assert "Set STRIPE_API_KEY to a valid key of this Stripe account." in listed["detail"]
        place.until_logged("alert=stripe_refused")
        ended(first)
        place.stack.environment["STRIPE_API_KEY"] = right_key
        place.stack.serve()
        place.until_held(bill)


def test_a_database_that_goes_away_loses_no_event(tmp_path: Path) -> None:
    with OwnServer() as server, town(tmp_path, database_url=server.url) as place:
        process = place.stack.serve()
        before = place.invoiced()
        place.until_held(before)
        server.stop()
        during = place.invoiced()
        wait_for("a refusal", lambda: 503 in answers(place, "invoice.created"), seconds=PATIENCE)
        assert get(place, "/readyz") == 503
        assert get(place, "/healthz") == 200
        server.start()
        place.until_paid(before, during)
        place.until_acknowledged()
        assert answers(place, "invoice.created")[-1] == 200
        ended(process)


def answers(place: Town, kind: str) -> list[int | None]:
    return [one["status"] for one in place.stripe("snapshot")["deliveries"] if one["type"] == kind]


def get(place: Town, path: str) -> int:
    return httpx.get(f"http://127.0.0.1:{place.stack.port}{path}", timeout=30, trust_env=False).status_code


def test_a_storm_of_rate_limit_errors_ends_matched(tmp_path: Path) -> None:
    # Given a Stripe that enforces its limits and refuses some more requests, and a setting of higher limits
    with town(tmp_path, seconds=2, rate="200/200") as place:
        place.stripe("limit_rates", per_endpoint=5, overall=12)
        place.stripe("add_fault", name="429", probability=0.1)
        place.stack.serve()
        bills = [place.invoiced() for _ in range(6)]
        place.until_paid(*bills)
        place.stripe("clear_faults")
        # Then no verdict was ever drawn from a refusal
        with place.store() as store:
            assert [Links.of(store, bill).verdicts() for bill in bills] == [["matched"]] * len(bills)
        assert place.charged() == {bill.invoice_id: 1 for bill in bills}
        assert sum(entry["status"] == 429 for entry in place.stripe.log()) > 0


def test_the_sweep_finds_invoices_when_every_webhook_is_lost(tmp_path: Path) -> None:
    with town(tmp_path, seconds=6, sweep="1s") as place:
        place.stripe("configure", webhook_gate=False)
        place.stripe("set_webhook", lost_types=HANDLED)
        place.stack.serve()
        matched, drifted, undone, void = (place.invoiced(recorded=recorded) for recorded in ("100", "90", "90", "90"))
        # invoice.created
        place.until_paid(matched)
        place.until_verdict("drifted", drifted, undone, void)
        # invoice.updated: a person undoes a hold
        place.stripe("set_auto_advance_by_person", invoice=undone.invoice_id, auto_advance=True)
        place.until_held(undone)
        # invoice.finalized, invoice.voided: a person finalizes and voids the invoice
        by_person(place, void, "finalize", auto_advance="false")
        by_person(place, void, "void")
        place.until_verdict("ended", void)
        # a change in the ledger, about which Stripe sends no event
        place.record(drifted.customer, "10")
        place.until_paid(drifted)
        assert place.charged() == {matched.invoice_id: 1, drifted.invoice_id: 1}
        assert place.log().count("outcome=queued") == 0


def by_person(place: Town, bill: Bill, act: str, **params: str) -> None:
    """Change an invoice as a person does in Stripe's dashboard."""
    url = f"{place.stripe.url}/v1/invoices/{bill.invoice_id}/{act}"
    key = {"Authorization": f"Bearer {place.stack.environment['STRIPE_API_KEY']}"}
    httpx.post(url, data=params, headers=key, timeout=30, trust_env=False).raise_for_status()


# -- what it does under other orders ------------------------------------------------------------------------------


def test_observing_reaches_the_same_verdicts_and_writes_nothing(tmp_path: Path) -> None:
    with town(tmp_path, mode="observe") as place:
        place.stack.serve()
        matched, drifted = place.invoiced(), place.invoiced(recorded="90")
        place.until_verdict("matched", matched)
        place.until_verdict("drifted", drifted)
        place.until_paid(matched, drifted)
        place.until_logged("alert=drifted:OVERBILLED")
        assert place.all_writes() == []


def test_a_new_policy_wakes_what_the_old_one_held(tmp_path: Path) -> None:
    with town(tmp_path, seconds=600, fail="open", retry="10m", sweep="10m") as place:
        # Given a draft with a backstop, which Stripe finalizes by its own clock
        serving = place.stack.serve()
        bill = place.invoiced()
        wait_for("the backstop", lambda: place.writes(bill.invoice_id) == ["backstop"], seconds=PATIENCE)
        ended(serving)
        # When the policy is closed, it is held
        place.stack.environment["PACSPACE_STRIPE_FAIL"] = "closed"
        serving = place.stack.serve()
        place.until_held(bill)
        ended(serving)
        # When the mode is observe, the hold of the earlier process is reported, and stays
        place.stack.environment["PACSPACE_STRIPE_MODE"] = "observe"
        serving = place.stack.serve()
        place.until_verdict("matched", bill)
        assert place.writes(bill.invoice_id) == ["backstop", "hold"]
        assert bill.invoice_id in place.listed("--status", "held")
        ended(serving)


def test_two_processes_on_one_database_share_the_work(tmp_path: Path, postgresql_url: str) -> None:
    with town(tmp_path, database_url=postgresql_url, seconds=12) as place:
        place.stripe("add_fault", name="slow", endpoint="GET /v1/invoices/{id}", seconds=0.2)
        # Given two processes that start at once, on an empty database
        second = free_port()
        with ThreadPoolExecutor() as starts:
            list(starts.map(place.stack.serve, (None, second)))
        bills = [place.invoiced() for _ in range(16)]
        place.until_paid(*bills)
        assert "step='stamp metadata" in place.log()
        assert "step='stamp metadata" in place.log(f"serve-{second}")
        for bill in bills:
            assert place.writes(bill.invoice_id) == ["hold", "stamp", "finalize", "release"]


# -- how it starts and ends ---------------------------------------------------------------------------------------


def ended(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    assert process.wait(timeout=SECONDS_TO_STOP) == 0


def test_serve_stops_in_the_middle_of_its_work(tmp_path: Path) -> None:
    with town(tmp_path, seconds=600, lease="15s") as place:
        place.stripe("add_fault", name="slow", endpoint="GET /v1/invoices/{id}", seconds=7)
        process = place.stack.serve()
        bills = [place.invoiced() for _ in range(3)]
        place.until_checking(*bills)
        ended(process)
        # Then the next process finishes the work.
        place.stripe("clear_faults")
        place.stack.serve()
        place.until_held(*bills)


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"PACSPACE_STRIPE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, 1, "the database does not answer"),
        ({"PACSPACE_STRIPE_DATABASE_URL": "sqlite:///simulators.env"}, 1, "the database does not answer"),
        ({"STRIPE_WEBHOOK_SECRET": ""}, 2, "STRIPE_WEBHOOK_SECRET: is set, but empty"),
        ({"STRIPE_API_KEY": "sk_live_1"}, 2, "both must be of the same mode"),
        ({"PACSPACE_STRIPE_MODE": "strict", "PACSPACE_STRIPE_SWEEP": "often"}, 2, "PACSPACE_STRIPE_SWEEP: "),
    ],
    ids=["no database", "no database file", "empty secret", "mixed modes", "two mistakes"],
)
def test_an_error_at_the_start_is_a_line_and_a_hint(
    endpoint: Town, changes: dict[str, str], code: int, said: str
) -> None:
    right = dict(endpoint.stack.environment)
    endpoint.stack.environment.update(changes)
    try:
        done = endpoint.stack.run("serve", "--port", str(free_port()))
    finally:
        endpoint.stack.environment.clear()
        endpoint.stack.environment.update(right)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("pacspace-stripe: ")
    assert done.stderr.splitlines()[-1].startswith("  ")


def test_a_port_in_use_is_an_error(endpoint: Town) -> None:
    done = endpoint.stack.run("serve", "--port", str(endpoint.stack.port))
    assert done.returncode == 2
    [said, hint] = done.stderr.splitlines()
    assert said.endswith(f"cannot listen on 127.0.0.1 port {endpoint.stack.port}: Address already in use")
    assert hint == "  Choose another port, or stop what listens there."
