"""Deliveries of alerts to real receivers on loopback, from real databases."""

import base64
import hashlib
import hmac
import logging
import time
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from standardwebhooks import Webhook

from pacspace_stripe.alerts.rules.alert import (
    RETRY_SCHEDULE,
    Alert,
    Channel,
    Delivered,
    GivenUp,
    RetryAt,
    SwitchedOff,
)
from pacspace_stripe.alerts.rules.messages import DriftCause
from pacspace_stripe.gate.gate_alerts import Alerts
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.store import JobKind, Store
from pacspace_stripe.store.alerts import DeliveryState
from tests.support.alert_receivers import (
    BOTH,
    IMPATIENT,
    LEASE,
    NO_SERVICE,
    PATIENT,
    SECRET,
    Reply,
    delivery,
    drifted,
    receiving,
    sending,
    tell,
)
from tests.support.leaks import parts

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


# -- what arrives ---------------------------------------------------------------------------------------------------


def test_a_message_arrives_once_signed_as_the_official_library_reads_it(store: Store) -> None:
    tell(store, "in_1")
    with receiving() as receiver, sending(store, receiver) as sender:
        assert [sender.deliver() for _ in range(3)] == [Delivered(), None, None]
    (body,) = receiver.verified()
    assert (body["type"], body["invoice"], body["detail"]) == (
        *("invoice.drifted", "in_1"),
        "billed 100, recorded 90: differs by 10",
    )
    assert receiver.ids == [body["id"]]
    assert delivery(store) == (DeliveryState.DELIVERED, 1, None)
    assert delivery(store, Channel.SLACK) == (DeliveryState.WAITING, 0, None)


def test_the_signature_is_what_the_specification_says(sqlite_store: Store) -> None:
    tell(sqlite_store, "in_1")
    with receiving() as receiver, sending(sqlite_store, receiver) as sender:
        sender.deliver()
    (request,) = receiver.requests
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.content
    digest = hmac.digest(base64.b64decode(SECRET.removeprefix("whsec_")), signed, hashlib.sha256)
    assert request.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"


def test_both_secrets_sign_while_one_is_rolled(sqlite_store: Store) -> None:
    other = "whsec_" + base64.b64encode(b"x" * 32).decode()
    tell(sqlite_store, "in_1")
    with receiving() as receiver, sending(sqlite_store, receiver) as sender:
        sender.receiver = replace(sender.receiver, secrets=(other, SECRET))
        sender.deliver()
    (request,) = receiver.requests
    for secret in (SECRET, other):
        Webhook(secret).verify(request.content, dict(request.headers))


def test_slack_gets_its_own_form_and_no_signature(sqlite_store: Store) -> None:
    tell(sqlite_store, "in_1")
    with receiving() as receiver, sending(sqlite_store, receiver, Channel.SLACK) as sender:
        assert isinstance(sender.deliver(), Delivered)
    assert set(receiver.bodies[0]) == {"text", "blocks"}
    assert "webhook-signature" not in receiver.requests[0].headers


def test_a_message_carries_nothing_of_the_vendors(sqlite_store: Store) -> None:
    tell(sqlite_store, "in_1")
    with receiving() as receiver, sending(sqlite_store, receiver) as sender:
        sender.deliver()
    names = set(receiver.requests[0].headers)
    assert not names & {"authorization", "cookie", "x-api-key", "stripe-version", "idempotency-key"}
    assert receiver.requests[0].method == "POST"


def test_the_credentials_in_an_address_are_used(sqlite_store: Store) -> None:
    tell(sqlite_store, "in_1")
    with receiving() as receiver:
        url = receiver.url.replace("http://", "http://me:open-sesame@")
        with sending(sqlite_store, receiver, url=url) as sender:
            sender.deliver()
    expected = base64.b64encode(b"me:open-sesame").decode()
    assert receiver.requests[0].headers["authorization"] == f"Basic {expected}"


def test_a_message_carries_the_explanation_of_its_drift(sqlite_store: Store) -> None:
    tell(sqlite_store, "in_1")
    cause = DriftCause(sentence="10 were sent twice.", document=[{"cause": "twice_in_stripe"}])
    with receiving() as receiver, sending(sqlite_store, receiver, cause=cause) as sender:
        sender.deliver()
    assert receiver.bodies[0]["explanation"]["sentence"] == "10 were sent twice."


def test_a_message_waits_for_the_end_of_a_check_that_may_still_explain_it(store: Store, clock: ManualClock) -> None:
    leased = store.jobs.acquire(JobKind.INVOICE, "in_1", LEASE)
    assert leased is not None
    memory = Alerts(store=store, channels=BOTH).give(leased, drifted("in_1"), "drifted:OVERBILLED", "")
    with receiving() as receiver, sending(store, receiver) as sender:
        assert sender.deliver() is None
        leased.give_back(memory, None)
        assert isinstance(sender.deliver(), Delivered)
        assert store.jobs.acquire(JobKind.INVOICE, "in_2", LEASE) is not None
        tell(store, "in_3")
        assert isinstance(sender.deliver(), Delivered)
        clock.advance(LEASE)
        assert sender.deliver() is None


# -- what goes wrong ------------------------------------------------------------------------------------------------


def slowly(_: httpx.Request) -> httpx.Response:
    time.sleep(1.0)
    return httpx.Response(200)


ELSEWHERE = httpx.Response(302, headers={"location": "http://127.0.0.1:9/elsewhere"})
PAGE = httpx.Response(502, text="<html>Bad gateway</html>", headers={"content-type": "text/html"})


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (500, "alerts to webhook: POST: HTTP 500"),
        (PAGE, "alerts to webhook: POST: HTTP 502"),
        (httpx.Response(400, json={"error": "what is this?"}), "HTTP 400, what is this?"),
        (NO_SERVICE, "HTTP 404, no_service"),
        (ELSEWHERE, "HTTP 302"),
        (slowly, "alerts to webhook: no answer in time"),
    ],
    ids=["500", "a page", "400", "Slack's word", "a redirect", "too slow"],
)
def test_a_failed_delivery_is_retried_on_schedule_until_it_arrives(
    sqlite_store: Store, clock: ManualClock, reply: int | httpx.Response | Reply, problem: str
) -> None:
    tell(sqlite_store, "in_1")
    timeouts = IMPATIENT if callable(reply) else PATIENT
    with receiving(reply, reply, 204) as receiver, sending(sqlite_store, receiver, timeouts=timeouts) as sender:
        assert isinstance(sender.deliver(), RetryAt)
        state, attempts, said = delivery(sqlite_store)
        assert (state, attempts) == (DeliveryState.WAITING, 1)
        assert (said or "").startswith(problem)
        assert sender.deliver() is None
        clock.advance(RETRY_SCHEDULE[0])
        assert isinstance(sender.deliver(), RetryAt)
        clock.advance(RETRY_SCHEDULE[1] - SECOND)
        assert sender.deliver() is None
        clock.advance(SECOND)
        with sending(sqlite_store, receiver) as patient:
            assert isinstance(patient.deliver(), Delivered)
    assert len(set(receiver.ids)) == 1
    assert len(receiver.requests) == 3
    assert len({request.headers["webhook-timestamp"] for request in receiver.requests}) == 3
    assert delivery(sqlite_store) == (DeliveryState.DELIVERED, 3, None)


def test_a_refused_connection_is_a_failed_delivery(sqlite_store: Store) -> None:
    tell(sqlite_store, "in_1")
    with receiving() as receiver:
        pass
    with sending(sqlite_store, receiver) as sender:
        assert isinstance(sender.deliver(), RetryAt)
    assert delivery(sqlite_store) == (DeliveryState.WAITING, 1, "alerts to webhook: no connection (ConnectError)")


def test_retry_after_postpones_the_next_attempt(sqlite_store: Store, clock: ManualClock) -> None:
    tell(sqlite_store, "in_1")
    asks = httpx.Response(429, headers={"retry-after": "3600"})
    with receiving(asks, 200) as receiver, sending(sqlite_store, receiver) as sender:
        assert isinstance(sender.deliver(), RetryAt)
        clock.advance(HOUR - SECOND)
        assert sender.deliver() is None
        clock.advance(SECOND)
        assert isinstance(sender.deliver(), Delivered)


def test_a_delivery_fails_after_ten_attempts_over_three_days(
    sqlite_store: Store, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    tell(sqlite_store, "in_1")
    with receiving(500) as receiver, sending(sqlite_store, receiver) as sender:
        for wait in (*RETRY_SCHEDULE, 30 * DAY):
            assert isinstance(sender.deliver(), GivenUp if wait > DAY else RetryAt)
            clock.advance(wait)
        assert sender.deliver() is None
    assert len(receiver.requests) == 10
    assert delivery(sqlite_store) == (DeliveryState.FAILED, 10, "alerts to webhook: POST: HTTP 500")
    assert [one.alert.job_id for one in sqlite_store.alerts.sent(failed=True)] == ["in_1"]
    assert "failed for good" in caplog.text


def test_a_message_older_than_four_days_is_not_delivered(sqlite_store: Store, clock: ManualClock) -> None:
    tell(sqlite_store, "in_1")
    clock.advance(5 * DAY)
    with receiving() as receiver, sending(sqlite_store, receiver) as sender:
        sender.deliver()
    assert receiver.requests == []
    assert delivery(sqlite_store) == (DeliveryState.FAILED, 1, "older than four days")


def test_a_success_with_too_large_a_body_is_delivered(sqlite_store: Store) -> None:
    tell(sqlite_store, "in_1")
    with receiving(httpx.Response(200, text="x" * 1_000_000)) as receiver, sending(sqlite_store, receiver) as sender:
        assert isinstance(sender.deliver(), Delivered)
    assert len(receiver.requests) == 1


def test_410_gone_switches_an_address_off_until_another_one_is_set(store: Store, clock: ManualClock) -> None:
    for invoice_id in ("in_1", "in_2"):
        tell(store, invoice_id)
    with receiving(410, 200) as receiver, sending(store, receiver) as gone:
        assert isinstance(gone.deliver(), SwitchedOff)
        clock.advance(HOUR)
        assert gone.deliver() is None
        assert len(receiver.requests) == 1
        with sending(store, receiver, url=f"{receiver.url}/new") as other:
            assert [other.deliver() for _ in range(3)] == [Delivered(), Delivered(), None]


def test_a_delivered_test_message_switches_the_address_on_again(sqlite_store: Store, clock: ManualClock) -> None:
    tell(sqlite_store, "in_1")
    with receiving(410, 500, 200) as receiver, sending(sqlite_store, receiver) as sender:
        sender.deliver()
        clock.advance(HOUR)
        test = Alert(alert_id="msg_test", job_id="-", kind="test", at=clock.now())
        assert sender.test(test).status == 500
        assert sender.deliver() is None
        assert sender.test(test).status == 200
        assert isinstance(sender.deliver(), Delivered)


@pytest.mark.parametrize("reply", [500, 410, 302, slowly], ids=["500", "410", "302", "slow"])
def test_no_address_and_no_secret_is_logged_or_stored(
    sqlite_store: Store, reply: int | Reply, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tell(sqlite_store, "in_1")
    echo = httpx.Response(400, text="no such path /in/T0123456789/tellnobody-here")
    with receiving(reply, echo) as receiver:
        url = receiver.url.replace("http://", "http://me:tellnobody1@") + "/tellnobody-here?key=tellnobody2"
        with sending(sqlite_store, receiver, url=url, timeouts=IMPATIENT) as sender:
            sender.deliver()
            sender.test(Alert(alert_id="msg_test", job_id="-", kind="test", at=sqlite_store.jobs.now()))
            ours = [one.getMessage() for one in caplog.records if ".simulator" not in one.name]
            shown = f"{delivery(sqlite_store)} {sender!r} {sender.receiver!r}"
    said = " ".join([*ours, shown])
    assert "tellnobody" not in said
    assert [part for secret in (SECRET, "T0123456789") for part in parts(secret) if part in said] == []


def echoing(request: httpx.Request) -> httpx.Response:
    """Repeat each part of the address as the receiver reads it."""
    login = request.headers["authorization"]
    said = f"{request.url.params['token']} at {request.url.path} by {base64.b64decode(login[6:]).decode()}, {login}"
    return httpx.Response(403, json={"error": {"message": said}})


def test_no_part_of_an_address_is_logged_when_its_receiver_repeats_it(
    sqlite_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    tell(sqlite_store, "in_1")
    with receiving(echoing) as receiver:
        url = receiver.url.replace("http://", "http://me:tell%40nobody@") + "/tell%C3%A9nobody?v=1&token=tell-nobody"
        with sending(sqlite_store, receiver, url=url) as sender:
            sender.deliver()
    _, _, problem = delivery(sqlite_store)
    assert problem is not None
    assert problem.startswith("HTTP 403, ")
    encoded = base64.b64encode(b"me:tell@nobody").decode()[:12]
    for part in ("nobody", encoded):
        assert part not in problem
        assert part not in caplog.text
