"""PacSpace's webhooks, from the socket to the invoice that goes out."""

import contextlib
import hashlib
import hmac
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
import uvicorn
from pydantic import SecretStr

from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.errors import StoreUnavailable, UnreadableEvent
from pacspace_stripe.gate.early_warning import upcoming_job_id
from pacspace_stripe.gate.rules.state import Held, InvoiceState
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.store import JobKind, Store
from pacspace_stripe.store.tables import coverage
from pacspace_stripe.vocabulary.ledger import LedgerProtocol
from pacspace_stripe.vocabulary.windows import Window
from pacspace_stripe.wakeups import LEDGER_APART, LEDGER_SOON, Receipt, ReceiptOutcome, Wakeups
from tests.support.worlds import PERIOD_END, PERIOD_START, START, World, world
from webhooks.app import PacSpaceReceiver, create_app
from webhooks.inboxes import PacSpaceInbox, open_inboxes
from webhooks.server import server_config

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
READ = "GET /v1/invoices/{id}"


def checks(made: World) -> int:
    """Count the checks of invoices: every check begins by reading its invoice."""
    return made.stripe_calls().count(READ)


@contextlib.contextmanager
def held(folder: Path, database_url: str | None = None, **settings: str) -> Iterator[World]:
    """An invoice that is held: billed 100, recorded 90, and the next check an hour away."""
    with world(folder, **settings) as made:
        if database_url is not None:
            made.app.close()
            made.database_url = database_url
            made.restart()
        made.subscribe()
        made.bill("100")
        made.record("90")
        made.run(DAY)
        assert made.memory().verdict == "drifted"
        yield made


# -- what an event does -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["delta.verified", "delta.failed", "checkpoint.verified"])
def test_an_event_of_its_ledger_account_wakes_a_held_invoice_within_seconds(tmp_path: Path, event: str) -> None:
    with held(tmp_path) as made:
        made.record("10")
        assert made.hear(event).outcome is ReceiptOutcome.QUEUED
        made.run(LEDGER_SOON + MINUTE)
        assert made.memory().verdict == "matched"
        assert made.left == {made.invoice_id}


def test_the_nested_payload_of_pacspaces_documents_wakes_it_too(tmp_path: Path) -> None:
    with held(tmp_path) as made:
        made.record("10")
        made.hear(status="verified", delta={"customerId": "cus_acme", "amount": -10})
        made.run(LEDGER_SOON + MINUTE)
        assert made.left == {made.invoice_id}


def test_an_event_of_a_subscriptions_own_account_wakes_its_invoice(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe(metadata={"pacspace_customer_id": "acme:prod"})
        made.bill("5")
        made.run(DAY)
        before = checks(made)
        made.record("5", account="acme:prod")
        made.hear(customerId="cus_acme")
        made.run(LEDGER_SOON)
        assert checks(made) == before
        made.hear(customerId="acme:prod")
        made.run(LEDGER_SOON + MINUTE)
        assert made.left == {made.invoice_id}


def test_an_event_of_a_record_wakes_the_invoice_that_bills_it(tmp_path: Path) -> None:
    with world(tmp_path, ledger="settlement") as made:
        made.subscribe()
        made.bill("5")
        made.run(DAY)
        made.write("5")
        assert made.hear(customerId="cus_acme").outcome is ReceiptOutcome.RECORDED
        assert made.hear(key="usage-cus_acme-2026-10").outcome is ReceiptOutcome.QUEUED
        made.run(LEDGER_SOON + MINUTE)
        assert made.left == {made.invoice_id}


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("delta.stored", {"customerId": "cus_acme"}),
        ("customer.created", {"customerId": "cus_acme"}),
        ("delta.verified", {"customerId": "cus_other"}),
        ("delta.verified", {"recordId": "rec_1"}),
        ("checkpoint.verified", {"checkpointId": "chk_1"}),
    ],
)
def test_an_event_about_no_account_of_ours_wakes_nothing_and_leaves_no_row(
    tmp_path: Path, event: str, data: dict[str, str]
) -> None:
    with held(tmp_path) as made:
        before, rows = checks(made), len(made.app.store.journal.event_outcomes())
        assert made.hear(event, event_id=None, **data).outcome is ReceiptOutcome.RECORDED
        made.run(LEDGER_SOON)
        assert checks(made) == before
        assert len(made.app.store.journal.event_outcomes()) == rows


def test_a_replayed_event_wakes_nothing_again(tmp_path: Path) -> None:
    with held(tmp_path) as made:
        made.hear(event_id="evt_same")
        made.run(2 * LEDGER_SOON)
        before = checks(made)
        assert made.hear(event_id="evt_same").outcome is ReceiptOutcome.RECORDED
        made.run(2 * LEDGER_SOON)
        assert checks(made) == before


def test_pacspaces_event_ids_never_collide_with_stripes(tmp_path: Path) -> None:
    with held(tmp_path) as made:
        (stripes, *_) = made.app.store.journal.event_outcomes()
        assert made.hear(event_id=stripes).outcome is ReceiptOutcome.QUEUED


def test_an_ended_invoice_is_not_woken(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("5")
        made.run(DAY)
        assert made.memory().ended
        before = checks(made)
        assert made.hear().outcome is ReceiptOutcome.RECORDED
        made.run(MINUTE)
        assert checks(made) == before


def test_our_own_checkpoint_does_not_wake_the_invoice_that_it_proves(tmp_path: Path) -> None:
    with world(tmp_path, fail="open") as made:
        made.subscribe()
        made.use("5")
        made.run(timedelta(hours=1, minutes=30))
        assert made.memory().verdict == "matched"
        assert not made.memory().ended
        assert made.hear("checkpoint.verified").outcome is ReceiptOutcome.RECORDED
        assert made.hear("delta.verified").outcome is ReceiptOutcome.RECORDED


def test_events_of_a_busy_account_cost_nothing_and_do_not_advance_the_retries(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("5")
        made.record("5", verified=False)
        made.run(timedelta(hours=1, minutes=5))
        reads = len(made.stripe_calls())
        for _ in range(20):
            made.hear()
            made.run(MINUTE)
        assert len(made.stripe_calls()) == reads
        made.run(timedelta(minutes=40))
        assert made.memory().verdict == "unproven"
        attempts = made.memory().attempts
        for _ in range(8):
            made.hear()
            made.run(timedelta(seconds=40))
        assert made.memory().attempts <= attempts + 1


def test_an_early_warning_is_withdrawn_as_soon_as_the_ledger_agrees(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe()
        made.bill("50")
        made.stripe.send_upcoming(subscription)
        made.run(MINUTE)
        warning = upcoming_job_id(subscription, PERIOD_END)
        assert made.memory(warning).verdict == "drifted"
        made.run(timedelta(minutes=40))
        made.record("50")
        made.hear()
        made.run(2 * LEDGER_SOON)
        assert made.memory(warning).verdict == "matched"
        assert made.hear().outcome is ReceiptOutcome.RECORDED


def test_an_early_warning_is_woken_until_it_ends(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe()
        made.bill("50")
        made.stripe.send_upcoming(subscription)
        made.run(MINUTE)
        warning = upcoming_job_id(subscription, PERIOD_END)
        listening = sa.select(coverage.c.account).where(coverage.c.invoice_id == warning)
        with made.app.store.engine.connect() as connection:
            assert connection.execute(listening).scalars().all() == ["cus_acme"]
        made.record("50")
        made.run(DAY + timedelta(hours=2))
        assert made.memory(warning).ended
        with made.app.store.engine.connect() as connection:
            assert connection.execute(listening).scalars().all() == []


# -- a burst ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("burst", [1_000, pytest.param(10_000, marks=pytest.mark.soak)])
def test_a_burst_of_deltas_is_one_check_and_one_row(tmp_path: Path, database_url: str, burst: int) -> None:
    with held(tmp_path, database_url) as made:
        made.record("10")
        before, rows = checks(made), len(made.app.store.journal.event_outcomes())
        outcomes = [made.hear().outcome for _ in range(burst)]
        assert outcomes.count(ReceiptOutcome.QUEUED) == 1
        assert len(made.app.store.journal.event_outcomes()) == rows + 1
        made.run(LEDGER_SOON - timedelta(seconds=1))
        assert checks(made) == before
        made.run(MINUTE)
        # One check that matches reads the invoice twice: before the stamp, and again when it is finalized.
        assert checks(made) == before + 2
        assert made.left == {made.invoice_id}


def test_deltas_over_twenty_seconds_are_a_handful_of_checks(tmp_path: Path, database_url: str) -> None:
    with held(tmp_path, database_url) as made:
        before, rows = checks(made), len(made.app.store.journal.event_outcomes())
        for _ in range(200):
            for _ in range(5):
                made.hear()
            made.run(timedelta(milliseconds=100))
        made.run(LEDGER_APART)
        assert checks(made) - before == 2
        assert len(made.app.store.journal.event_outcomes()) - rows == 2


def test_the_last_delta_of_a_burst_counts_too(tmp_path: Path) -> None:
    with held(tmp_path) as made:
        for _ in range(10):
            made.record("1")
            made.hear()
            made.run(timedelta(seconds=1))
        made.run(LEDGER_APART)
        assert made.left == {made.invoice_id}


# -- what cannot be read ----------------------------------------------------------------------------------------------


def test_an_unreadable_event_is_recorded_once_however_often_it_is_sent(tmp_path: Path) -> None:
    with held(tmp_path) as made:
        for _ in range(20):
            with pytest.raises(UnreadableEvent):
                made.hear(customerId="tellnobody", delta={"customerId": "b"})
        ((_, kind, detail),) = made.app.store.journal.audit_trail("pacspace")
        assert kind == "unreadable_event"
        assert "two values for customerId" in detail
        assert "tellnobody" not in detail


# -- the address ------------------------------------------------------------------------------------------------------

SECRET = "whsec_tellnobody"
NOW = START
STAMP = str(int(NOW.timestamp()))
BODY = json.dumps({"event": "delta.verified", "data": {"customerId": "cus_acme", "note": "tellnobody"}}).encode()


def signature(body: bytes = BODY, *, secret: str = SECRET, stamp: str = STAMP) -> str:
    return "v1=" + hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()


def headers(body: bytes = BODY, **more: str) -> dict[str, str]:
    return {
        "X-PacSpace-Signature": signature(body),
        "X-PacSpace-Timestamp": STAMP,
        "X-Webhook-Event": "delta.verified",
        "X-Event-ID": "evt_1",
    } | {name.replace("_", "-"): value for name, value in more.items()}


@dataclass
class Nobody:
    """Stripe's receiver, which these tests do not use."""

    def receive(self, body: bytes, signature_header: str | None) -> Receipt:
        raise NotImplementedError

    def ready(self) -> Mapping[str, str]:
        raise NotImplementedError


@dataclass
class Unavailable:
    """A receiver whose database is gone."""

    def receive(self, body: bytes, **_: str | None) -> Receipt:
        message = f"no room for {len(body)} bytes"
        raise StoreUnavailable(message)


@dataclass
class Place:
    port: int
    store: Store

    def post(self, body: bytes | Iterator[bytes] = BODY, sent: Mapping[str, str] | None = None) -> httpx.Response:
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", trust_env=False) as client:
            return client.post("/webhooks/pacspace", content=body, headers=headers() if sent is None else sent)


@contextlib.contextmanager
def served(store: Store, pacspace: PacSpaceReceiver | None) -> Iterator[Place]:
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(Nobody(), pacspace=pacspace, body_seconds=0.5)
    server = uvicorn.Server(server_config(app, host="127.0.0.1", port=0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield Place(listener.getsockname()[1], store)
    server.should_exit = True
    thread.join(timeout=10)
    listener.close()


@pytest.fixture
def place(sqlite_url: str) -> Iterator[Place]:
    """The endpoint in front of a held invoice."""
    clock = ManualClock(NOW - DAY)
    store = Store(sqlite_url, now=clock.now, lost_after=MINUTE)
    store.migrate()
    store.coverage.put("in_1", [("cus_acme", Window(start=PERIOD_START, end=PERIOD_END))])
    lease = store.jobs.acquire(JobKind.INVOICE, "in_1", MINUTE)
    assert lease is not None
    lease.give_back(InvoiceState(invoice_id="in_1", position=Held(), verdict=Verdict.UNPROVEN), NOW + DAY)
    clock.advance_to(NOW)
    secrets = (SecretStr("whsec_next"), SecretStr(SECRET))
    wakeups = Wakeups(store=store, livemode=False, ledger=LedgerProtocol.BALANCE)
    inbox = PacSpaceInbox(wakeups, secrets=secrets, tolerance=5 * MINUTE, now=clock.now)
    with served(store, inbox) as one:
        yield one
    store.close()


def events(place: Place) -> list[str]:
    return [name for name in place.store.journal.event_outcomes() if name.startswith("pacspace:")]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def wait_for_log(log: pytest.LogCaptureFixture, text: str) -> None:
    """The line comes just after the answer."""
    deadline = time.monotonic() + 5
    while text not in log.text:
        assert time.monotonic() < deadline, f"no {text} in the log"
        time.sleep(0.01)


def test_a_signed_webhook_is_received_and_logged_by_its_ids(place: Place, log: pytest.LogCaptureFixture) -> None:
    answer = place.post()
    assert (answer.status_code, answer.json()) == (200, {"received": True})
    assert events(place) == ["pacspace:evt_1"]
    wait_for_log(log, "outcome=")
    (line,) = [record.getMessage() for record in log.records if record.name == "pacspace_stripe.webhooks"]
    assert line.endswith("event=evt_1 account=cus_acme outcome=queued")
    assert "tellnobody" not in log.text


def test_during_a_rotation_either_signature_is_enough(place: Place) -> None:
    both = f"{signature(secret='whsec_unknown')},{signature()}"
    assert place.post(sent=headers(X_PacSpace_Signature=both)).status_code == 200
    assert events(place) == ["pacspace:evt_1"]


def test_a_timestamp_in_milliseconds_is_signed_as_it_was_sent(place: Place) -> None:
    stamp = f"{STAMP}123"
    sent = headers(X_PacSpace_Timestamp=stamp, X_PacSpace_Signature=signature(stamp=stamp))
    assert place.post(sent=sent).status_code == 200
    assert events(place) == ["pacspace:evt_1"]


@pytest.mark.parametrize(
    "sent",
    [
        {},
        headers(X_PacSpace_Signature="v1=" + "0" * 64),
        headers(X_PacSpace_Signature=signature(secret="whsec_other")),
        headers(X_PacSpace_Signature=signature(BODY + b" ")),
        headers(X_PacSpace_Timestamp=str(int(STAMP) + 1)),
        headers(X_PacSpace_Timestamp=""),
        headers(
            X_PacSpace_Timestamp=str(int(STAMP) - 301), X_PacSpace_Signature=signature(stamp=str(int(STAMP) - 301))
        ),
        {"Stripe-Signature": f"t={STAMP},{signature()}"},
    ],
)
def test_a_webhook_that_pacspace_did_not_sign_now_is_refused_and_leaves_nothing(
    place: Place, sent: dict[str, str], log: pytest.LogCaptureFixture
) -> None:
    answer = place.post(sent=sent)
    assert (answer.status_code, answer.json()) == (400, {"error": "signature"})
    assert events(place) == []
    assert place.store.journal.audit_trail("pacspace") == []
    wait_for_log(log, "outcome=unsigned")
    assert "tellnobody" not in log.text


@pytest.mark.parametrize("body", [b"tellnobody", b"{}", b'{"event":"delta.verified","data":7}'])
def test_a_signed_but_unreadable_body_is_accepted_and_noted(
    place: Place, body: bytes, log: pytest.LogCaptureFixture
) -> None:
    assert place.post(body, headers(body)).status_code == 200
    assert len(place.store.journal.audit_trail("pacspace")) == 1
    wait_for_log(log, "outcome=unreadable")
    assert "tellnobody" not in log.text


@pytest.mark.parametrize("name", ["delta.stored", "fact.verified", "customer.created", "a.surprise"])
def test_events_of_other_types_are_accepted(place: Place, name: str) -> None:
    body = json.dumps({"event": name}).encode()
    assert place.post(body, headers(body)).status_code == 200
    assert events(place) == []


def test_a_body_too_large_is_refused_unread(place: Place) -> None:
    assert place.post(b"x" * (1024 * 1024 + 1)).status_code == 413
    assert events(place) == []


def test_a_body_too_slow_is_refused(place: Place) -> None:
    def slow() -> Iterator[bytes]:
        yield BODY[:10]
        time.sleep(1)
        yield BODY[10:]

    assert place.post(slow()).status_code == 408
    assert events(place) == []


def test_pacspace_is_asked_to_retry_while_the_database_is_gone(place: Place) -> None:
    with served(place.store, Unavailable()) as gone:
        answer = gone.post()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_the_address_does_not_exist_without_a_secret(place: Place) -> None:
    with served(place.store, None) as without:
        assert without.post().status_code == 404
    assert events(place) == []


def test_the_address_accepts_only_post(place: Place) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{place.port}", trust_env=False) as client:
        assert client.get("/webhooks/pacspace").status_code == 405


def test_without_pacspaces_secret_there_is_no_inbox(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        without = made.app.settings.model_copy(update={"pacspace_webhook_secrets": None})
        _, pacspace = open_inboxes(replace(made.app, settings=without), lambda *_: None)
        assert pacspace is None
