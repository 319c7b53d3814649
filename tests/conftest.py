"""Fixtures of all tests: real databases, and no network but loopback."""

import signal
import socket
import time
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.databases import Databases, Engine

# Machines are noisy, so no example has a deadline; and what CI sees is what everybody sees.
settings.register_profile("house", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

_started_at = time.monotonic()

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C, and so would every command that a test starts and interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that the Makefile passes on."""
    parser.addoption("--write-docs", action="store_true", help="write the generated parts of the documents")
    parser.addoption("--stop-after", type=float, metavar="MINUTES", help="skip what has not begun by then")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file on one worker, and all tests with processes of their own on another."""
    for item in items:
        group = "acceptance" if "acceptance" in item.path.parts else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """End a long run in time, with its closing line, instead of letting it be killed."""
    minutes: float | None = item.config.getoption("--stop-after")
    if minutes is not None and time.monotonic() - _started_at > minutes * 60:
        pytest.skip(f"not begun within {minutes:g} minutes")


def _loopback_only(sock: socket.socket, address: Any) -> None:  # noqa: ANN401 - whatever a socket takes
    """Replace ``connect``: a test that reaches for the network fails at once, on any machine.

    It is no audit hook: that would let threads be switched while coverage sets its tracing, which Python refuses.
    """
    if isinstance(address, tuple) and address[0] != "localhost" and not ip_address(address[0]).is_loopback:
        message = f"tests reach loopback only, not {address[0]}"
        raise RuntimeError(message)
    _connect(sock, address)


_connect = socket.socket.connect
socket.socket.connect = _loopback_only  # type: ignore[assignment,method-assign]


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """Make databases on request; the PostgreSQL is a real server of this run's own."""
    with Databases() as made:
        yield made


@pytest.fixture(params=list(Engine))
def database_url(request: pytest.FixtureRequest, databases: Databases) -> Iterator[str]:
    """Make an empty database for one test, which runs on SQLite and on PostgreSQL."""
    yield from _database(databases, request.param)


@pytest.fixture(scope="module", params=list(Engine))
def module_database_url(request: pytest.FixtureRequest, databases: Databases) -> Iterator[str]:
    """Make an empty database for all tests of a module, which run on SQLite and then on PostgreSQL."""
    yield from _database(databases, request.param)


@pytest.fixture
def sqlite_url(databases: Databases) -> Iterator[str]:
    """Make an empty SQLite database for one test."""
    yield from _database(databases, Engine.SQLITE)


@pytest.fixture
def postgresql_url(databases: Databases) -> Iterator[str]:
    """Make an empty PostgreSQL database for one test."""
    yield from _database(databases, Engine.POSTGRESQL)


def _database(databases: Databases, engine: Engine) -> Iterator[str]:
    url = databases.new(engine)
    yield url
    databases.drop(url)
