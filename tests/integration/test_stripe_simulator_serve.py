"""A simulator on a loopback socket, steered by another process."""

import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from pacspace_stripe.simulator.clock import WallClock
from pacspace_stripe.simulator.http import require_loopback
from pacspace_stripe.simulator.serve import ServedSimulator, serve
from pacspace_stripe.simulator.stripe import StripeSimulator

KEY = {"Authorization": "Bearer sk_test_simulator"}


@pytest.fixture
def simulator() -> Iterator[StripeSimulator]:
    with StripeSimulator(WallClock()) as one:
        yield one


@pytest.fixture
def served(simulator: StripeSimulator) -> Iterator[ServedSimulator]:
    with serve(simulator) as one:
        yield one


@pytest.fixture
def http(served: ServedSimulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, headers=KEY, trust_env=False) as client:
        yield client


def call(http: httpx.Client, method: str, **args: object) -> object:
    response = http.post("/_simulator/call", json={"method": method, "args": args})
    assert response.status_code == 200, response.text
    return response.json()["result"]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com", ""])  # noqa: S104 - it is refused
def test_only_loopback_is_served(host: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        serve(lambda _: httpx.Response(200), host=host)


@pytest.mark.parametrize("host", ["localhost", "::1"])
def test_loopback_has_other_names(host: str) -> None:
    require_loopback(host)


def test_a_webhook_goes_to_loopback_only(simulator: StripeSimulator) -> None:
    with pytest.raises(ValueError, match="loopback"):
        simulator.set_webhook("https://example.com/hook")


def test_another_name_for_this_machine_is_not_answered(http: httpx.Client) -> None:
    assert http.get("/v1/invoices", headers={"Host": "attacker.example"}).status_code == 421


def test_a_world_is_built_and_seen_from_another_process(http: httpx.Client) -> None:
    now = datetime.now(UTC)
    customer = call(http, "add_customer", metadata={"tier": "gold"})
    meter = call(http, "add_meter", event_name="api_calls")
    price = call(http, "add_price", meter=meter, unit_amount="0.25")
    subscription = call(
        http,
        "add_subscription",
        customer=customer,
        prices=[price],
        period_start=(now - timedelta(days=30)).isoformat(),
        period_end=(now + timedelta(days=1)).isoformat(),
    )
    call(http, "record_usage", customer=customer, event_name="api_calls", value="12.50", at=now.isoformat())
    call(http, "configure", finalization_delay=2, payment_delay=0)
    time.sleep(1.1)  # usage of this second belongs to the period only once the second is over
    invoice_id = call(http, "renew_now", subscription=subscription)
    invoice = http.get(f"/v1/invoices/{invoice_id}").json()
    assert invoice["lines"]["data"][0]["quantity_decimal"] == "12.5"
    assert call(http, "invoice", invoice=invoice_id)["id"] == invoice_id  # type: ignore[index]
    until = time.monotonic() + 10
    while http.get(f"/v1/invoices/{invoice_id}").json()["status"] != "paid":
        assert time.monotonic() < until, "the clock thread does not run"
        time.sleep(0.05)
    seen = call(http, "snapshot")
    assert seen["charges"][0]["invoice"] == invoice_id  # type: ignore[index]
    log = http.get("/_simulator/log").json()["log"]
    assert {entry["endpoint"] for entry in log} == {"GET /v1/invoices/{id}"}
    assert datetime.fromisoformat(log[0]["at"]).tzinfo is not None


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"[]",
        b'{"method": "close"}',
        b'{"method": "add_customer", "args": {"colour": "red"}}',
        b'{"method": "record_usage", "args": {"customer": "c", "event_name": "e", "value": "ten"}}',
        b'{"method": "renew_now", "args": {"subscription": "sub_none"}}',
    ],
)
def test_bad_control_calls_are_refused(http: httpx.Client, body: bytes) -> None:
    response = http.post("/_simulator/call", content=body)
    assert response.status_code == 400
    assert response.json()["error"]


def test_other_control_paths_do_not_exist(http: httpx.Client) -> None:
    assert http.get("/_simulator/secrets").status_code == 404


def test_a_simulator_without_controls_has_no_control_endpoint() -> None:
    with serve(lambda request: httpx.Response(200, text=request.url.path)) as served:
        response = httpx.get(f"{served.url}/_simulator/log", trust_env=False)
    assert response.text == "/_simulator/log"


def test_connections_are_kept_alive_and_bodies_are_bounded(served: ServedSimulator) -> None:
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.settimeout(5)
        for _ in range(2):
            connection.sendall(b"GET /v1/invoices HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 401")
        connection.sendall(b"POST /v1/invoices HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(("fault", "customers"), [("lost_reply", 1), ("timeout", 0), ("connection_error", 0)])
def test_a_fault_closes_the_connection(
    http: httpx.Client, simulator: StripeSimulator, fault: str, customers: int
) -> None:
    call(http, "add_fault", name=fault, endpoint="POST /v1/customers", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        http.post("/v1/customers", data={"name": "Ada"})
    assert len(simulator.account.customers) == customers


def test_a_handler_that_breaks_answers_500(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError

    with serve(broken) as served:
        assert httpx.get(served.url, trust_env=False).status_code == 500
    assert "ZeroDivisionError" in caplog.text


def test_a_tick_that_breaks_does_not_stop_the_clock(caplog: pytest.LogCaptureFixture) -> None:
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(1)
        if len(ticks) == 1:
            raise ZeroDivisionError

    with serve(lambda _: httpx.Response(200), tick=tick, tick_seconds=0.01):
        until = time.monotonic() + 5
        while len(ticks) < 3 and time.monotonic() < until:
            time.sleep(0.01)
    assert len(ticks) >= 3
    assert "ZeroDivisionError" in caplog.text


def test_closing_twice_is_fine_and_frees_the_port(simulator: StripeSimulator) -> None:
    served = serve(simulator)
    served.close()
    served.close()
    with serve(simulator, port=served.port) as again:
        assert again.port == served.port


def test_a_request_whose_sender_is_gone_in_the_middle_is_not_done(
    http: httpx.Client, served: ServedSimulator, simulator: StripeSimulator
) -> None:
    address = httpx.URL(served.url)
    head = f"POST /v1/customers HTTP/1.1\r\nHost: {address.host}\r\nAuthorization: {KEY['Authorization']}\r\n"
    with socket.create_connection((address.host, address.port or 80)) as sender:
        sender.sendall(f"{head}Content-Length: 20\r\n\r\nname=".encode())
        sender.shutdown(socket.SHUT_WR)
        assert sender.recv(100) == b""
    assert simulator.log == []
    assert http.get("/v1/invoices").status_code == 200
