"""The endpoint on a real socket: deliveries of Stripe, and requests of unknown senders."""

import contextlib
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import httpx
import pytest
import uvicorn

from pacspace_stripe.errors import SignatureError, StoreUnavailable, UnreadableEvent
from pacspace_stripe.wakeups import Receipt, ReceiptOutcome
from webhooks.app import create_app
from webhooks.server import server_config

SIGNED = {"Stripe-Signature": "signed"}
LIMIT = 1024 * 1024
BODY_SECONDS = 0.5
RECEIPT = Receipt(outcome=ReceiptOutcome.QUEUED, event_id="evt_1", invoice_id="in_1")


@dataclass
class Inbox:
    """A receiver that keeps what is signed "signed", and fails when told to."""

    fails_with: Exception | None = None
    kept: list[bytes] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)

    def receive(self, body: bytes, signature_header: str | None) -> Receipt:
        self.threads.add(threading.get_ident())
        if signature_header != "signed":
            message = "tellnobody: not signed"
            raise SignatureError(message)
        self._fail()
        self.kept.append(body)
        return RECEIPT

    def ready(self) -> Mapping[str, str]:
        self._fail()
        return {"database": "sqlite"}

    def _fail(self) -> None:
        if self.fails_with is not None:
            raise self.fails_with


@dataclass
class Endpoint:
    inbox: Inbox
    port: int

    @property
    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", trust_env=False)

    def raw(self, *sent: bytes, pause: float = 0.0) -> bytes:
        """Send bytes on a new connection; return the answer until the endpoint closes it or sends nothing more."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=3) as connection:
            for part in sent:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(part)
                time.sleep(pause)
            return b"".join(iter(lambda: _received(connection), b""))


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except (ConnectionError, TimeoutError):
        return b""


@pytest.fixture(scope="module")
def server() -> Iterator[Endpoint]:
    inbox = Inbox()
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(inbox, body_seconds=BODY_SECONDS)
    server = uvicorn.Server(server_config(app, host="127.0.0.1", port=0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield Endpoint(inbox, listener.getsockname()[1])
    server.should_exit = True
    thread.join(timeout=10)
    listener.close()


@pytest.fixture
def endpoint(server: Endpoint) -> Endpoint:
    server.inbox.fails_with = None
    server.inbox.kept.clear()
    server.inbox.threads.clear()
    return server


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger="pacspace_stripe.webhooks")
    return caplog


def post(
    endpoint: Endpoint, content: bytes | Iterator[bytes] = b"{}", headers: Mapping[str, str] = SIGNED
) -> httpx.Response:
    with endpoint.client as client:
        return client.post("/webhooks/stripe", content=content, headers=headers)


def test_a_signed_webhook_is_received_byte_for_byte(endpoint: Endpoint) -> None:
    body = '{ "b":1,\r\n"ä" : 2.0 }'.encode()
    answer = post(endpoint, body)
    assert (answer.status_code, answer.json()) == (200, {"received": True})
    assert answer.headers["content-type"] == "application/json"
    assert endpoint.inbox.kept == [body]


def test_the_receiver_blocks_a_thread_of_its_own_not_the_server(endpoint: Endpoint) -> None:
    post(endpoint)
    assert threading.main_thread().ident not in endpoint.inbox.threads
    assert len(endpoint.inbox.threads) == 1


@pytest.mark.parametrize("signature", ["", "other"])
def test_an_unsigned_webhook_is_refused_and_not_kept(endpoint: Endpoint, signature: str) -> None:
    answer = post(endpoint, headers={"Stripe-Signature": signature})
    assert (answer.status_code, answer.json()) == (400, {"error": "signature"})
    assert endpoint.inbox.kept == []


def test_a_webhook_with_two_signature_headers_is_refused(endpoint: Endpoint) -> None:
    with endpoint.client as client:
        answer = client.post(
            "/webhooks/stripe", headers=[("Stripe-Signature", "signed"), ("Stripe-Signature", "signed")]
        )
    assert answer.status_code == 400


def test_a_signed_but_unreadable_webhook_is_accepted(endpoint: Endpoint) -> None:
    endpoint.inbox.fails_with = UnreadableEvent("tellnobody")
    answer = post(endpoint)
    assert (answer.status_code, answer.json()) == (200, {"received": True})


def test_stripe_is_asked_to_retry_while_the_database_is_down(endpoint: Endpoint) -> None:
    endpoint.inbox.fails_with = StoreUnavailable("tellnobody")
    answer = post(endpoint)
    assert (answer.status_code, answer.json()) == (503, {"error": "unavailable"})
    assert int(answer.headers["retry-after"]) > 0


def test_an_unexpected_error_shows_nothing(endpoint: Endpoint, log: pytest.LogCaptureFixture) -> None:
    endpoint.inbox.fails_with = RuntimeError("tellnobody")
    answer = post(endpoint, b'{"tellnobody": 1}')
    assert (answer.status_code, answer.json()) == (500, {"error": "internal"})
    assert "tellnobody" not in answer.text + str(answer.headers) + log.text
    assert "RuntimeError at" in log.text
    assert answer.headers["x-request-id"] in log.text


def test_every_answer_carries_an_id_that_the_log_knows(endpoint: Endpoint, log: pytest.LogCaptureFixture) -> None:
    headers = SIGNED | {"X-Request-Id": "chosen-by-a-stranger"}
    ids = [post(endpoint, headers=headers).headers["x-request-id"] for _ in range(2)]
    assert len({*ids, "chosen-by-a-stranger"}) == 3
    for one in ids:
        wait_for_log(log, f"request={one} ")
    lines = [record.getMessage() for record in log.records if record.name == "pacspace_stripe.webhooks"]
    ours = [line.split()[0] for line in lines if any(one in line for one in ids)]
    assert ours == [f"request={one}" for one in ids]
    assert "chosen-by-a-stranger" not in log.text
    assert lines[0].endswith("event=evt_1 invoice=in_1 outcome=queued")


def test_the_log_carries_no_bodies_headers_or_addresses(endpoint: Endpoint, log: pytest.LogCaptureFixture) -> None:
    with endpoint.client as client:
        client.post("/webhooks/stripe?tellnobody", content=b"tellnobody", headers={"Stripe-Signature": "tellnobody"})
        client.get("/tellnobody%0Atellnobody")
    assert "tellnobody" not in log.text
    assert "status=400" in log.text
    assert "status=404" in log.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/webhooks/stripe", 405),
        ("PUT", "/webhooks/stripe", 405),
        ("OPTIONS", "/webhooks/stripe", 405),
        ("POST", "/healthz", 405),
        ("POST", "/webhooks/stripe/", 404),
        ("POST", "/webhooks", 404),
        ("GET", "/", 404),
        ("GET", "/docs", 404),
    ],
)
def test_nothing_else_is_served(endpoint: Endpoint, method: str, path: str, status: int) -> None:
    with endpoint.client as client:
        answer = client.request(method, path, headers=SIGNED)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert "access-control-allow-origin" not in answer.headers
    assert endpoint.inbox.kept == []


def test_health_needs_no_database_and_readiness_does(endpoint: Endpoint) -> None:
    with endpoint.client as client:
        assert client.get("/readyz").json() == {"status": "ready", "database": "sqlite"}
        endpoint.inbox.fails_with = StoreUnavailable("tellnobody")
        ready, healthy = client.get("/readyz"), client.get("/healthz")
    assert (ready.status_code, ready.json()) == (503, {"status": "unavailable"})
    assert (healthy.status_code, healthy.json()) == (200, {"status": "running"})


def test_a_body_of_exactly_the_limit_is_received(endpoint: Endpoint) -> None:
    assert post(endpoint, b"x" * LIMIT).status_code == 200
    assert len(endpoint.inbox.kept[0]) == LIMIT


def head(*headers: str) -> bytes:
    lines = ["POST /webhooks/stripe HTTP/1.1", "Host: here", "Stripe-Signature: signed", *headers, "", ""]
    return "\r\n".join(lines).encode()


def test_a_body_that_declares_too_much_is_refused_before_it_is_sent(endpoint: Endpoint) -> None:
    answer = endpoint.raw(head(f"Content-Length: {LIMIT + 1}", "Expect: 100-continue"))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nconnection: close\r\n" in answer.lower()
    assert endpoint.inbox.kept == []


def test_a_chunked_body_is_counted_and_stopped_at_the_limit(endpoint: Endpoint) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    started_at = time.monotonic()
    answer = endpoint.raw(head("Transfer-Encoding: chunked"), *[chunk] * 17)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert time.monotonic() - started_at < BODY_SECONDS * 4
    assert endpoint.inbox.kept == []


def test_a_chunked_body_within_the_limit_is_received(endpoint: Endpoint) -> None:
    assert post(endpoint, iter([b"{", b"}"])).status_code == 200
    assert endpoint.inbox.kept == [b"{}"]


def test_a_body_that_trickles_is_refused_in_time(endpoint: Endpoint) -> None:
    answer = endpoint.raw(head("Content-Length: 100"), *[b"x"] * 8, pause=BODY_SECONDS / 4)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert endpoint.inbox.kept == []


def test_a_body_that_breaks_off_is_not_received(endpoint: Endpoint, log: pytest.LogCaptureFixture) -> None:
    with socket.create_connection(("127.0.0.1", endpoint.port)) as connection:
        connection.sendall(head("Content-Length: 100") + b"x")
    wait_for_log(log, "status=400")
    assert endpoint.inbox.kept == []
    assert post(endpoint).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9\r\n\r\n",
        head("Content-Length: -1"),
        head("Content-Length: 1", "Content-Length: 2"),
        head("Content-Length: 1e3"),
        head("X: " + "y" * 200_000),
    ],
)
def test_malformed_http_harms_nothing(endpoint: Endpoint, sent: bytes) -> None:
    answer = endpoint.raw(sent)
    assert not answer or answer.startswith(b"HTTP/1.1 400 ")
    assert endpoint.inbox.kept == []
    assert post(endpoint).status_code == 200


def test_many_webhooks_at_once_are_all_received(endpoint: Endpoint) -> None:
    bodies = [json.dumps({"id": number}).encode() for number in range(60)]
    senders = [threading.Thread(target=post, args=(endpoint, body)) for body in bodies]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert sorted(endpoint.inbox.kept) == sorted(bodies)


def wait_for_log(log: pytest.LogCaptureFixture, text: str) -> None:
    until = time.monotonic() + 5
    while text not in log.text:
        assert time.monotonic() < until, f"{text!r} was not logged"
        time.sleep(0.01)
