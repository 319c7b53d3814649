"""A receiver of alerts on loopback, which answers as planned and verifies signatures with the official library.

``python -m tests.support.alert_receivers URL`` is a process that stores one alert after the other until it is killed.
"""

import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from standardwebhooks import Webhook

from pacspace_stripe.alerts.delivery import AlertReceiver, AlertSender
from pacspace_stripe.alerts.rules.alert import Channel
from pacspace_stripe.alerts.rules.messages import AlertLinks, DriftCause
from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.gate.gate_alerts import Alerts
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.http.client import Transport
from pacspace_stripe.http.retries import Timeouts
from pacspace_stripe.simulator.serve import serve
from pacspace_stripe.store import JobKind, Store
from pacspace_stripe.store.alerts import DeliveryState

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LEASE = timedelta(seconds=30)
BOTH = (Channel.SLACK, Channel.WEBHOOK)
IMPATIENT = Timeouts(connect=5.0, read=0.3, total=0.4, tries=1)
"""For receivers that do not answer in time."""
PATIENT = Timeouts(connect=10.0, read=20.0, total=30.0, tries=1)
"""For all others, on a machine that is busy."""

Reply = Callable[[httpx.Request], httpx.Response]
NO_SERVICE = httpx.Response(404, text="no_service")
"""Slack's answer at an address that no longer exists."""


@dataclass
class Receiver:
    """A server that gives the planned answers in order, the last one for ever, and keeps the requests."""

    planned: list[int | httpx.Response | Reply] = field(default_factory=lambda: [200])
    requests: list[httpx.Request] = field(default_factory=list)
    url: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            reply = self.planned[min(len(self.requests), len(self.planned) - 1)]
            self.requests.append(request)
        if isinstance(reply, int):
            return httpx.Response(reply)
        return reply if isinstance(reply, httpx.Response) else reply(request)

    @property
    def bodies(self) -> list[Any]:
        """Return the bodies of the requests."""
        return [json.loads(request.content) for request in self.requests]

    def verified(self) -> list[Any]:
        """Return the bodies, each signature verified by the official library."""
        return [Webhook(SECRET).verify(request.content, dict(request.headers)) for request in self.requests]

    @property
    def ids(self) -> list[str]:
        """Return the idempotency keys of the requests."""
        return [request.headers["webhook-id"] for request in self.requests]


@contextmanager
def receiving(*planned: int | httpx.Response | Reply) -> Iterator[Receiver]:
    """Serve a receiver at a URL."""
    receiver = Receiver(list(planned) or [200])
    with serve(receiver) as served:
        receiver.url = f"{served.url}/in/T0123456789"
        yield receiver


def drifted(invoice_id: str) -> InvoiceState:
    """Return the state of an invoice that has just drifted."""
    return InvoiceState(
        invoice_id=invoice_id,
        customer_id="cus_1",
        subscription_id="sub_1",
        verdict=Verdict.DRIFTED,
        reason=Reason.OVERBILLED,
        detail="billed 100, recorded 90: differs by 10",
        windows=({"account": "cus_1", "meter": "api_calls", "billed": "100", "recorded": "90"},),
    )


def tell(store: Store, invoice_id: str, kind: str = "drifted:OVERBILLED") -> InvoiceState:
    """Make a check that sends one alert on both channels."""
    leased = store.jobs.acquire(JobKind.INVOICE, invoice_id, LEASE)
    assert leased is not None
    known = drifted(invoice_id)
    memory = Alerts(store=store, channels=BOTH).give(leased, known, kind, known.detail)
    leased.give_back(memory, None)
    return memory


def wall_clock() -> datetime:
    """Return the current time, aware UTC."""
    return datetime.now(UTC)


def opened(url: str, now: Callable[[], datetime] = wall_clock) -> Store:
    """Open a store and migrate it."""
    store = Store(url.replace("postgresql://", "postgresql+psycopg://"), now=now, lost_after=timedelta(seconds=35))
    store.migrate()
    return store


def alert_sender(
    store: Store,
    receiver: Receiver,
    channel: Channel = Channel.WEBHOOK,
    *,
    timeouts: Timeouts = PATIENT,
    url: str | None = None,
    cause: DriftCause | None = None,
) -> AlertSender:
    """Return a sender of one channel, without jitter."""
    return AlertSender(
        store=store,
        transport=Transport(timeouts=timeouts),
        receiver=AlertReceiver(
            channel=channel, url=url or receiver.url, secrets=(SECRET,) if channel is Channel.WEBHOOK else ()
        ),
        links=AlertLinks(livemode=False),
        now=store.jobs.now,
        chance=lambda: 0.0,
        cause=lambda _: cause,
    )


@contextmanager
def sending(
    store: Store,
    receiver: Receiver,
    channel: Channel = Channel.WEBHOOK,
    *,
    timeouts: Timeouts = PATIENT,
    url: str | None = None,
    cause: DriftCause | None = None,
) -> Iterator[AlertSender]:
    """Open a sender of one channel, and close its connections at the end."""
    sender = alert_sender(store, receiver, channel, timeouts=timeouts, url=url, cause=cause)
    with closing(sender):
        yield sender


def delivery(store: Store, channel: Channel = Channel.WEBHOOK) -> tuple[DeliveryState, int, str | None]:
    """Return state, attempts and last problem of the newest alert on a channel."""
    (found,) = [one for one in store.alerts.sent()[0].deliveries if one.channel is channel]
    return found.state, found.attempts, found.problem


def teller(url: str) -> "subprocess.Popen[str]":
    """Start a process that stores one alert after the other, and prints the invoice of each."""
    command = [sys.executable, "-m", "tests.support.alert_receivers", url]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)


def main(url: str) -> None:
    """Store one alert after the other."""
    store = opened(url)
    for number in itertools.count():
        tell(store, f"in_{number}")
        print(f"in_{number}", flush=True)  # noqa: T201 - this is how it tells


if __name__ == "__main__":
    main(sys.argv[1])
