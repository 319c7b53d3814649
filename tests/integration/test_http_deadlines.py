"""A call over real sockets ends by its deadline, whatever the server does, and connections are kept."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from pacspace_stripe.errors import ConfigurationError, RemoteError, RemoteUnavailable
from pacspace_stripe.http.calls import Call
from pacspace_stripe.http.client import Transport
from pacspace_stripe.http.ratelimit.rules.rate import Rate
from pacspace_stripe.http.retries import Timeouts
from pacspace_stripe.simulator.serve import serve

PATIENCE = Timeouts(connect=0.4, read=0.5, total=1.0, tries=1)
SLACK = 0.4
"""Seconds that a busy machine may take on top."""
Play = Callable[[socket.socket], object]


@contextmanager
def server(play: Play) -> Iterator[str]:
    """Answers each connection by a play of its own; its address."""
    over = threading.Event()

    def accept(listening: socket.socket) -> None:
        while not over.is_set():
            with suppress(OSError):
                connection, _ = listening.accept()
                threading.Thread(target=played, args=(connection,), daemon=True).start()

    def played(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            play(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, args=(listening,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        over.set()
        listening.shutdown(socket.SHUT_RDWR)


@contextmanager
def full() -> Iterator[str]:
    """An address whose queue of connections is full: the operating system takes no further one."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)  # noqa: FBT003  # the standard library's
            each.connect_ex(listening.getsockname())
        time.sleep(0.05)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        for each in waiting:
            each.close()


def drip(connection: socket.socket, text: bytes) -> None:
    for place in range(len(text)):
        connection.sendall(text[place : place + 1])
        time.sleep(0.05)


def headers_in_drops(connection: socket.socket) -> None:
    connection.recv(65_536)
    drip(connection, b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200)


def headers_without_end(connection: socket.socket) -> None:
    connection.recv(65_536)
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.05)


def body_in_drops(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n")
    drip(connection, b"x" * 200)


def chunks_in_drops(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    drip(connection, b"1\r\nx\r\n" * 50)


def silence(connection: socket.socket) -> None:
    connection.recv(1)
    time.sleep(5)


def reads_in_drops(connection: socket.socket) -> None:
    while connection.recv(1000):
        time.sleep(0.05)


def call(url: str, content: bytes | None = None) -> Call:
    method = "GET" if content is None else "POST"
    return Call(service="PacSpace", method=method, url=url, endpoint=f"{method} /", content=content)


def seconds_until_given_up(asked: Call, timeouts: Timeouts = PATIENCE) -> float:
    transport, started = Transport(timeouts=timeouts, random=lambda: 0.0), time.monotonic()
    with pytest.raises(RemoteUnavailable, match="in time") as gave_up:
        transport.send(asked)
    took = time.monotonic() - started
    transport.close()
    assert chain(gave_up.value) == [gave_up.value]
    return took


def chain(error: BaseException | None) -> list[BaseException]:
    """The error, and all that it came from."""
    return [] if error is None else [error, *chain(error.__cause__), *chain(error.__context__)]


@pytest.mark.parametrize(
    "play", [headers_in_drops, headers_without_end, body_in_drops, chunks_in_drops, silence, reads_in_drops]
)
def test_no_way_of_answering_slowly_outlasts_the_deadline(play: Play) -> None:
    content = b"x" * 8_000_000 if play is reads_in_drops else None
    with server(play) as url:
        assert seconds_until_given_up(call(url, content)) < PATIENCE.total + SLACK


def test_the_first_request_on_a_connection_counts_until_it_is_answered() -> None:
    asked_at: list[float] = []

    def answers_late(connection: socket.socket) -> None:
        while connection.recv(65_536):
            asked_at.append(time.monotonic())
            time.sleep(0.5)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with server(answers_late) as url:
        transport = Transport(limits={"PacSpace": Rate(endpoint=1, total=1)})
        for _ in range(2):
            transport.send(call(url))
        transport.close()
    assert asked_at[1] - asked_at[0] >= 1.5


def test_three_tries_at_dropped_connections_have_one_deadline() -> None:
    with server(headers_in_drops) as url:
        assert seconds_until_given_up(call(url), Timeouts(connect=0.4, read=0.5, total=1.0)) < 1.0 + SLACK


def test_a_connection_that_is_never_made_ends_by_the_deadline() -> None:
    with full() as url:
        assert seconds_until_given_up(call(url)) < PATIENCE.connect + SLACK


def test_a_handshake_that_is_never_answered_ends_by_the_deadline() -> None:
    with server(silence) as url:
        assert seconds_until_given_up(call(url.replace("http:", "https:"))) < PATIENCE.total + SLACK


def test_all_addresses_of_a_host_share_the_time_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    with full() as url:
        port = httpx.URL(url).port
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{n}", port)) for n in (1, 1, 1)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert seconds_until_given_up(call(f"http://many.test:{port}/")) < PATIENCE.total + SLACK


def test_a_body_that_comes_in_time_in_many_pieces_is_whole() -> None:
    def piecewise(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        drip(connection, b"whole")

    with server(piecewise) as url:
        transport = Transport(timeouts=PATIENCE)
        assert transport.send(call(url)).body == b"whole"
        transport.close()


def test_a_connection_is_kept_for_the_next_call() -> None:
    made: list[int] = []

    def twice(connection: socket.socket) -> None:
        made.append(1)
        while connection.recv(65_536):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with server(twice) as url:
        transport = Transport(timeouts=PATIENCE)
        assert [transport.send(call(url)).body for _ in range(3)] == [b"ok"] * 3
        transport.close()
    assert made == [1]


# Proxies of the environment


@pytest.fixture
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme}_proxy".upper(), raising=False)


def names_the_target(connection: socket.socket) -> None:
    target = connection.recv(65_536).split(b" ")[1]
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), target))


@pytest.mark.usefixtures("_no_proxy")
@pytest.mark.parametrize("scheme", ["http", "all"])
def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    with server(names_the_target) as proxy:
        monkeypatch.setenv(f"{scheme}_proxy", proxy)
        transport = Transport(timeouts=PATIENCE)
        assert transport.send(call("http://vendor.test/here")).body == b"http://vendor.test/here"
        transport.close()


@pytest.mark.usefixtures("_no_proxy")
def test_addresses_without_a_proxy_are_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(silence) as proxy, serve(lambda _: httpx.Response(200, text="direct")) as at:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("NO_PROXY", "vendor.test,127.0.0.1")
        transport = Transport(timeouts=PATIENCE)
        assert transport.send(call(at.url)).body == b"direct"
        transport.close()


@pytest.mark.usefixtures("_no_proxy")
@pytest.mark.parametrize(
    "url", ["ftp://user:hunter2@proxy.test", "http://user:hunter2@proxy:notaport", "socks5://user:hunter2@x:1"]
)
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("https_proxy", url)
    with pytest.raises(ConfigurationError, match="https_proxy") as refused:
        Transport()
    assert not any("hunter2" in f"{each!s}{each!r}" for each in chain(refused.value))


@pytest.mark.usefixtures("_no_proxy")
def test_a_failing_proxy_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    with server(refuses) as proxy:
        monkeypatch.setenv("https_proxy", proxy)
        transport = Transport(timeouts=PATIENCE)
        with pytest.raises(RemoteError, match="proxy failed"):
            transport.send(call("https://vendor.test/"))
        transport.close()
