"""A backfill over real sockets while everything on the way to Stripe breaks: it ends as if nothing had."""

import contextlib
import json
import re
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from pacspace_stripe.backfill.rules.tally import BackfillOutcome
from tests.integration.test_backfill_command import SINCE, Desk, desk

__all__ = ["desk"]
BRISK = {"PACSPACE_STRIPE_LEASE": "3s"}
"""One try then waits for an answer for a second: a stall need not last longer."""
LIST, READ, STAMP = "GET /v1/invoices", "GET /v1/invoices/{id}", "POST /v1/invoices/{id}"


def past(desk: Desk) -> dict[str, str]:
    """Invoices of the past, and the outcome of each."""
    found = {desk.billed(f"cus_{number}", "100", "100"): BackfillOutcome.MATCHED.value for number in range(3)}
    return {**found, desk.billed("cus_over", "100", "90"): BackfillOutcome.DRIFTED.value}


def assert_stamped_once_each(desk: Desk, said: str, expected: dict[str, str]) -> None:
    """Assert each verdict, also on the invoice, and one evidence of each."""
    document = json.loads(said)
    assert {one["invoice"]: one["outcome"] for one in document["invoices"]} == expected
    assert document["summary"]["finished"]
    for invoice_id, outcome in expected.items():
        assert desk.stripe.account.invoices[invoice_id].metadata["pacspace_verdict"] == outcome
    keys = [desk.stripe.account.invoices[one].metadata["pacspace_evidence_sha256"] for one in expected]
    assert len(set(keys)) == len(expected)


@pytest.mark.parametrize(
    ("fault", "endpoint", "times", "seconds"),
    [
        ("429", READ, 6, 0),
        ("lock_timeout", STAMP, 6, 0),
        ("500", READ, 4, 0),
        ("slow", STAMP, 2, 1.2),
        ("slow", LIST, 1, 1.2),
        ("connection_error", READ, 4, 0),
        ("lost_reply", STAMP, 3, 0),
        *(pytest.param(fault, None, 12, 0, marks=pytest.mark.soak) for fault in ("429", "lock_timeout")),
        *(pytest.param(fault, None, 6, 0, marks=pytest.mark.soak) for fault in ("500", "connection_error")),
    ],
)
def test_a_backfill_ends_the_same_whatever_breaks(
    desk: Desk, fault: str, endpoint: str | None, times: int, seconds: float
) -> None:
    expected = past(desk)
    planned = desk.stripe.faults.add(fault, endpoint=endpoint, times=times, seconds=seconds)
    done = desk.run(*SINCE, "--apply", "--jobs", "3", "--json", **BRISK)
    assert done.exit_code == 1, done.output
    assert planned.struck == times
    assert_stamped_once_each(desk, done.stdout, expected)


# -- connections that are reset in the middle of an answer ----------------------------------------------------------


@dataclass
class BadLine:
    """A proxy that breaks off a number of answers to such requests in the middle, by a reset."""

    server: tuple[str, int]
    request: bytes
    times: int
    broken: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def carry(self, client: socket.socket) -> None:
        with socket.create_connection(self.server) as server:
            while request := message(client):
                server.sendall(request)
                answer = message(server)
                if self.breaks(request):
                    client.sendall(answer[: len(answer) // 2])
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                client.sendall(answer)

    def breaks(self, request: bytes) -> bool:
        with self.lock:
            strikes = request.startswith(self.request) and self.broken < self.times
            self.broken += strikes
            return strikes


def message(sender: socket.socket) -> bytes:
    """Read one request or answer with its body; empty at the end of the stream."""
    found = b""
    while b"\r\n\r\n" not in found:
        if not (more := sender.recv(65_536)):
            return b""
        found += more
    head, _, body = found.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)^content-length: *(\d+)", head, re.MULTILINE)
    while length and len(body) < int(length[1]):
        body += sender.recv(65_536)
    return head + b"\r\n\r\n" + body


@contextmanager
def over(line: BadLine) -> Iterator[str]:
    """Return the address of the proxy."""

    class Carrier(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                line.carry(self.request)

        def finish(self) -> None:
            self.request.close()

    class Carriers(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
            """Close the connection by a reset, without an end of the stream before it."""

    with Carriers(("127.0.0.1", 0), Carrier) as carriers:
        thread = threading.Thread(target=carriers.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{carriers.server_address[1]}"
        finally:
            carriers.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("request_line", "times"),
    [(b"GET /v1/invoices?", 2), (b"GET /v1/invoices/in_", 3), (b"POST /v1/invoices/in_", 3)],
    ids=["a page", "an invoice", "a stamp"],
)
def test_an_answer_that_breaks_off_counts_as_no_answer(desk: Desk, request_line: bytes, times: int) -> None:
    expected = past(desk)
    at = urlsplit(desk.environment["STRIPE_API_BASE_URL"])
    line = BadLine(server=(at.hostname or "", at.port or 0), request=request_line, times=times)
    with over(line) as url:
        done = desk.run(*SINCE, "--apply", "--jobs", "3", "--json", STRIPE_API_BASE_URL=url)
    assert done.exit_code == 1, done.output
    assert line.broken == times
    assert_stamped_once_each(desk, done.stdout, expected)
