"""A world in one process: both simulators, the product and one clock. Tests say what happens, then read the state."""

import atexit
import contextlib
import hmac
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from pacspace_stripe.app import App, build
from pacspace_stripe.errors import LeaseBusy, SignatureError, StoreUnavailable, UnreadableEvent
from pacspace_stripe.evidence.reader import read_evidence
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.settings import load_settings
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator
from pacspace_stripe.simulator.stripe import StripeSimulator
from pacspace_stripe.store import JobKind, Store
from pacspace_stripe.verify import StepOutcome
from pacspace_stripe.verify.consistency import place, problems
from pacspace_stripe.wakeups import Receipt
from tests.support.openapi import Checked
from webhooks.inboxes import open_inboxes

START = datetime(2026, 10, 31, 23, 0, tzinfo=UTC)
PERIOD_START, PERIOD_END = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
MIDDLE = datetime(2026, 10, 15, 12, 0, tzinfo=UTC)
METER = "api_calls"
ENVIRONMENT = {
    "STRIPE_API_KEY": "sk_test_simulator",
    "STRIPE_WEBHOOK_SECRET": "whsec_simulator",
    "STRIPE_API_BASE_URL": "http://127.0.0.1:1",
    "PACSPACE_API_KEY": "pk_test_simulator.secret",
    "PACSPACE_WEBHOOK_SECRET": "whsec_ledger",
    "PACSPACE_API_BASE_URL": "http://127.0.0.1:2",
}
STRIPE_PORT = 1


@cache
def _empty_database() -> Path:
    """Return an SQLite database with our tables and nothing in them, made once per process."""
    path = Path(tempfile.mkdtemp()) / "empty.db"
    atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
    store = Store(f"sqlite:///{path}", now=lambda: START, lost_after=timedelta(seconds=35))
    store.migrate()
    store.close()
    return path


@dataclass
class World:
    """Both simulators and the product. ``settings`` are environment variables on top of the usual ones."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    clock: ManualClock = field(default_factory=lambda: ManualClock(START))
    seed: int = 0
    database_url: str | None = None
    validated: bool = True
    """Hold every request to Stripe, and every answer, to Stripe's OpenAPI."""

    heard: int = 0
    """Number of PacSpace's webhooks so far."""

    def __post_init__(self) -> None:
        self.stripe = StripeSimulator(self.clock, seed=self.seed, deliver=self._deliver)
        self.stripe.pages_url = ENVIRONMENT["STRIPE_API_BASE_URL"]
        self._at_stripe = Checked(self.stripe) if self.validated else self.stripe
        self.ledger = PacSpaceSimulator(self.clock, base_url=ENVIRONMENT["PACSPACE_API_BASE_URL"], seed=self.seed)
        self.queue: list[tuple[JobKind, str, int]] = []
        if self.database_url is None and not (self.folder / "world.db").exists():
            # Migrating an empty database takes as long as two checks; a copy of one takes none.
            shutil.copyfile(_empty_database(), self.folder / "world.db")
        self.app = self.restart()
        self.meter = self.stripe.add_meter(METER)
        self.price = self.stripe.add_price(self.meter)

    def restart(self, **settings: str) -> App:
        """Start a new process over the same database, perhaps under another policy."""
        self.settings |= settings
        url = self.database_url or f"sqlite:///{self.folder / 'world.db'}"
        environment = ENVIRONMENT | {"PACSPACE_STRIPE_DATABASE_URL": url} | self.settings
        loaded = load_settings(environment)
        self.app = build(
            loaded, now=self.clock.now, httpx_transport=httpx.MockTransport(self._answer), sleep=self._sleep
        )
        self.inbox, self.ledger_inbox = open_inboxes(self.app, self._enqueue)
        self.app.adopt_policy()
        return self.app

    def _sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        return self._at_stripe(request) if request.url.port == STRIPE_PORT else self.ledger(request)

    def _enqueue(self, _: sa.Connection, kind: JobKind, job_id: str, requested: int) -> None:
        self.queue.append((kind, job_id, requested))

    def _deliver(self, request: httpx.Request) -> httpx.Response:
        try:
            self.inbox.receive(request.content, request.headers.get("Stripe-Signature"))
        except SignatureError:
            return httpx.Response(400)
        except StoreUnavailable:
            return httpx.Response(503)
        except UnreadableEvent:
            pass
        return httpx.Response(200)

    # -- what happens ---------------------------------------------------------------------------------------------

    def subscribe(self, customer: str = "cus_acme", **options: Any) -> str:  # noqa: ANN401 - the simulator's own
        """Add a customer with a metered subscription whose period ends in an hour."""
        with contextlib.suppress(Exception):
            self.stripe.add_customer(customer, name="Acme", footer=options.pop("customer_footer", None))
        prices = options.pop("prices", [self.price])
        return self.stripe.add_subscription(
            customer, prices, period_start=PERIOD_START, period_end=PERIOD_END, **options
        )

    def use(self, quantity: str, *, customer: str = "cus_acme", at: datetime = MIDDLE, meter: str = METER) -> None:
        """Report usage to both sides, as the vendor does."""
        self.bill(quantity, customer=customer, at=at, meter=meter)
        self.record(quantity, account=customer, at=at)

    def bill(self, quantity: str, *, customer: str = "cus_acme", at: datetime = MIDDLE, meter: str = METER) -> None:
        """Report usage to Stripe alone."""
        self.stripe.record_usage(customer, meter, quantity, at)

    def record(self, quantity: str, *, account: str = "cus_acme", at: datetime = MIDDLE, verified: bool = True) -> str:
        """Record usage in the ledger alone."""
        return self.ledger.record(account, -Decimal(quantity), at, verified=verified)

    def write(self, bits: str, *, key: str = "usage-cus_acme-2026-10", verified: bool = True) -> None:
        """Write usage to a record of the settlement ledger."""
        self.ledger.write(key, bits, verified=verified)

    def hear(self, event: str = "delta.verified", *, event_id: str | None = None, **data: object) -> Receipt:
        """Receive a webhook of PacSpace about ``data``, by default about the usual customer; new unless it is named."""
        self.heard += 1
        stamp = str(int(self.clock.now().timestamp()))
        body = json.dumps({"event": event, "data": data or {"customerId": "cus_acme", "recordId": "rec_1"}}).encode()
        signed = hmac.digest(ENVIRONMENT["PACSPACE_WEBHOOK_SECRET"].encode(), f"{stamp}.".encode() + body, "sha256")
        assert self.ledger_inbox is not None
        return self.ledger_inbox.receive(
            body, signature=f"v1={signed.hex()}", timestamp=stamp, event_id=event_id or f"evt_{self.heard}"
        )

    def run(self, how_long: timedelta | float = timedelta(hours=4)) -> "World":
        """Let time pass, and do everything that falls due in order."""
        step = how_long if isinstance(how_long, timedelta) else timedelta(seconds=how_long)
        end = self.clock.now() + step
        while True:
            self.settle()
            upcoming = [at for at in (self.stripe.next_due_at(), self.app.store.triggers.next_due_at()) if at]
            later = [at for at in upcoming if at <= end]
            if not later:
                break
            self.clock.advance_to(max(min(later), self.clock.now() + timedelta(milliseconds=1)))
        self.clock.advance_to(end)
        return self

    def settle(self) -> None:
        """Do everything that is due now."""
        for _ in range(100):
            self.stripe.run_due()
            self.app.store.triggers.take_due(self._enqueue)
            todo, self.queue = self.queue, []
            if not todo:
                return
            for kind, job, requested in todo:
                with contextlib.suppress(LeaseBusy):
                    self.app.check(kind, job, requested)
        message = "it never settles"
        raise AssertionError(message)

    # -- what is so -----------------------------------------------------------------------------------------------

    @property
    def invoice_id(self) -> str:
        """Return the newest invoice's id."""
        return self.stripe.invoices()[-1]

    def invoice(self, invoice_id: str | None = None) -> dict[str, Any]:
        """Return the invoice as Stripe has it."""
        return self.stripe.invoice(invoice_id or self.invoice_id)

    def memory(self, invoice_id: str | None = None) -> InvoiceState:
        """Return the invoice state that the gate keeps."""
        job = self.app.store.jobs.find(invoice_id or self.invoice_id)
        assert job is not None
        return job.state

    def stripe_calls(self) -> list[str]:
        """Return the product's requests to Stripe, by endpoint."""
        return [request.endpoint for request in self.stripe.log]

    def ledger_calls(self) -> list[str]:
        """Return the product's requests to PacSpace, by endpoint."""
        return [request.endpoint for request in self.ledger.log]

    def writes(self) -> list[str]:
        """Return the product's requests that changed Stripe."""
        return [endpoint for endpoint in self.stripe_calls() if not endpoint.startswith("GET")]

    def vouch(self) -> None:
        """Assert that each piece of evidence reads back, adds up and has its place in its chain."""
        for invoice_id in self.stripe.invoices():
            for link in self.app.store.chains.of_job(invoice_id):
                evidence = read_evidence(link.document)
                assert evidence.canonical
                assert list(problems(evidence.document)) == []
                assert place(evidence.document).outcome is StepOutcome.HOLDS

    @property
    def left(self) -> set[str]:
        """Return the invoices that were charged or mailed."""
        return {charge.invoice for charge in self.stripe.charges} | {mail.invoice for mail in self.stripe.mail_sent}


@contextlib.contextmanager
def world(folder: Path, **settings: str) -> Iterator[World]:
    """Make a world with settings given by short name: ``fail="open"`` is PACSPACE_STRIPE_FAIL."""
    made = World(folder, {f"PACSPACE_STRIPE_{name.upper()}": value for name, value in settings.items()})
    try:
        yield made
        made.vouch()
    finally:
        made.app.close()
