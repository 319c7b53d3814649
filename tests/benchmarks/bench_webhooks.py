"""Cost of a webhook in ``serve``: verified, durable, answered; and the memory of ``serve``. Prints, asserts no time."""

import hashlib
import hmac
import http.client
import itertools
import json
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pacspace_stripe.cli.processes import wait_for
from tests.support.town import Town, town

EVENTS_A_SECOND, SECONDS = 100, 5
CONNECTIONS = 16
INVOICES = 150


def test_webhooks(tmp_path: Path, database_url: str) -> None:
    with town(tmp_path, database_url=database_url, seconds=10, rate="100/100") as place:
        place.quiet()
        serving = place.stack.serve()
        wait_for("the first sweep", lambda: "sweep found" in place.log())
        print(f"\n{database_url.partition(':')[0]}\nat rest: {megabytes(serving):.0f} MB")
        answered = rate(place, "GET", "/healthz", lambda: b"")
        committed = commits(place)
        # Echoes of our own writes are made durable and wake nothing: the webhook alone.
        taken = rate(place, "POST", "/webhooks/stripe", bodies("echo", ours=True))
        print(f"{taken:.0f} webhooks/s: {taken / answered:.2f} of the server's {answered:.0f} bare answers/s, ", end="")
        print(f"{taken / committed:.2f} of the {committed:.0f} commits/s of one writer")
        tell("idle", latencies(place, bodies("idle", ours=True)))
        bills = [place.invoiced(name="load") for _ in range(INVOICES)]
        weighed, ended = watch(serving)
        place.until_checking(bills[0])
        tell(f"while {INVOICES} invoices are held", latencies(place, bodies("gate", ours=True)))
        place.until_paid(*bills)
        # Each of these wakes a check of an invoice that is not there: a read of Stripe, and our own bookkeeping.
        tell("which wake as many checks", latencies(place, bodies("busy", ours=False)))
        ended.set()
        print(f"under load: {max(weighed):.0f} MB")


def tell(when: str, times: list[float]) -> None:
    median, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
    print(f"{EVENTS_A_SECOND} webhooks/s {when}: median {median:.1f} ms, p99 {p99:.1f} ms")


def bodies(name: str, *, ours: bool) -> Callable[[], bytes]:
    """A new event each time."""
    numbers = itertools.count()
    key = "pacspace-stripe-0" if ours else None

    def body() -> bytes:
        number = next(numbers)
        about = {"id": f"in_{name}{number}", "object": "invoice", "customer": "cus_1"}
        return json.dumps(
            {
                "id": f"evt_{name}{number}",
                "object": "event",
                "api_version": "2026-10-28.endive",
                "created": int(time.time()),
                "data": {"object": about},
                "livemode": False,
                "request": {"id": None, "idempotency_key": key},
                "type": "invoice.created",
            }
        ).encode()

    return body


def signed(place: Town, body: bytes) -> dict[str, str]:
    at = int(time.time())
    secret = place.stack.environment["STRIPE_WEBHOOK_SECRET"].encode()
    digest = hmac.new(secret, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={at},v1={digest}", "Content-Type": "application/json"}


def timed(place: Town, connection: http.client.HTTPConnection, method: str, path: str, body: bytes) -> float:
    """Milliseconds of one request on a kept connection."""
    headers = signed(place, body)
    began = time.perf_counter()
    connection.request(method, path, body=body, headers=headers)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    return (time.perf_counter() - began) * 1000


def rate(place: Town, method: str, path: str, body: Callable[[], bytes]) -> float:
    """Answers a second, as many connections asking as fast as they can."""
    done: list[int] = []
    until = time.perf_counter() + SECONDS

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", place.stack.port)
        count = 0
        while time.perf_counter() < until:
            timed(place, connection, method, path, body())
            count += 1
        connection.close()
        done.append(count)

    together(ask for _ in range(CONNECTIONS))
    return sum(done) / SECONDS


def commits(place: Town) -> float:
    """Durable transactions a second, one after the other: what this machine's disk allows a single writer."""
    with place.store() as store:
        began = time.perf_counter()
        for number in range(300):
            store.journal.note("bench", "-", str(number))
        return 300 / (time.perf_counter() - began)


def latencies(place: Town, body: Callable[[], bytes]) -> list[float]:
    """Milliseconds of each webhook when they come at a steady rate, whether the one before was answered or not."""
    took: list[float] = []
    begin = time.perf_counter() + 0.1
    turns = iter(range(EVENTS_A_SECOND * SECONDS))
    lock = threading.Lock()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", place.stack.port)
        while True:
            with lock:
                turn = next(turns, None)
            if turn is None:
                break
            due = begin + turn / EVENTS_A_SECOND
            time.sleep(max(0.0, due - time.perf_counter()))
            late = max(0.0, time.perf_counter() - due) * 1000
            took.append(late + timed(place, connection, "POST", "/webhooks/stripe", body()))
        connection.close()

    together(ask for _ in range(CONNECTIONS))
    return took


def together(acts: Iterator[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def megabytes(process: subprocess.Popen[bytes]) -> float:
    """Resident memory of a process."""
    command = [shutil.which("ps") or "ps", "-o", "rss=", "-p", str(process.pid)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(shown.stdout) / 1024


def watch(process: subprocess.Popen[bytes]) -> tuple[list[float], threading.Event]:
    """Its memory from now on, every half second, until the event is set."""
    seen, ended = [megabytes(process)], threading.Event()

    def look() -> None:
        while not ended.wait(0.5):
            seen.append(megabytes(process))

    threading.Thread(target=look, daemon=True).start()
    return seen, ended
