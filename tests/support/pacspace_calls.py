"""Every call of our client of PacSpace by name, and a world in which each call has an answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

import httpx

from pacspace_stripe.http.client import Transport
from pacspace_stripe.pacspace_api import Month, NewDelta, PacSpace, ReconciliationApi, Source, Write
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator, Rules
from pacspace_stripe.vocabulary.windows import Window

NOW = datetime(2026, 4, 20, 12, tzinfo=UTC)
APRIL = Month(year=2026, month=4)
WINDOW = Window(start=datetime(2026, 4, 1, tzinfo=UTC), end=datetime(2026, 5, 1, tzinfo=UTC))
ADDRESS = "https://pacspace.test"
CUSTOMER = "cust:1"


@dataclass(kw_only=True)
class Names:
    """The ids in the calls, as PacSpace made them."""

    record: str = "rec_1"
    root: str = "0xab"
    checkpoint: str = "chk_1"
    event: str = "evt_1"
    token: str = "session_1"
    fact: str = "sha256_ab"


def delta(amount: str | int = "-42.50", **more: object) -> NewDelta:
    """Return a delta to record."""
    given = {"customer_id": CUSTOMER, "delta": Decimal(amount), "reason": "usage", **more}
    return NewDelta(**given)  # type: ignore[arg-type]  # what a test wants to send


CALLS: Mapping[str, Callable[[PacSpace, Names], object]] = {
    "balance.emit": lambda pac, _: pac.balance.emit(delta()),
    "balance.emit_and_wait": lambda pac, _: pac.balance.emit_and_wait(delta()),
    "balance.emit_batch": lambda pac, _: pac.balance.emit_batch([delta(), delta(5)]),
    "balance.delta": lambda pac, names: pac.balance.delta(names.record),
    "balance.wait_for_verified": lambda pac, names: pac.balance.wait_for_verified(names.record),
    "balance.derive": lambda pac, _: pac.balance.derive(CUSTOMER, APRIL),
    "balance.derive_all": lambda pac, _: pac.balance.derive_all(CUSTOMER, WINDOW),
    "balance.compare": lambda pac, _: pac.balance.compare(CUSTOMER, yours=-42, theirs=Decimal("-42.5"), scope=APRIL),
    "balance.checkpoint": lambda pac, _: pac.balance.checkpoint(CUSTOMER, APRIL),
    "balance.checkpoints": lambda pac, _: pac.balance.checkpoints(CUSTOMER),
    "proofs.receipt": lambda pac, _: pac.proofs.receipt(CUSTOMER, APRIL),
    "proofs.invoice_proof": lambda pac, _: pac.proofs.invoice_proof(CUSTOMER, APRIL),
    "proofs.receipts": lambda pac, _: pac.proofs.receipts(CUSTOMER),
    "proofs.document": lambda pac, names: pac.proofs.document(names.checkpoint, locale="de"),
    "proofs.public_document": lambda pac, names: pac.proofs.public_document(names.checkpoint),
    "proofs.pdf": lambda pac, names: pac.proofs.pdf(names.checkpoint),
    "proofs.verify": lambda pac, names: pac.proofs.verify(names.root, Source.BOTH),
    "customers.list": lambda pac, _: pac.customers.list(),
    "customers.summary": lambda pac, _: pac.customers.summary(),
    "customers.get": lambda pac, _: pac.customers.get(CUSTOMER),
    "customers.create": lambda pac, names: pac.customers.create("New", dashboard_token=names.token),
    "tenant.usage": lambda pac, _: pac.tenant.usage(),
    "tenant.limits": lambda pac, _: pac.tenant.limits(),
    "tenant.gaps": lambda pac, _: pac.tenant.gaps(CUSTOMER),
    "tenant.webhook_deliveries": lambda pac, _: pac.tenant.webhook_deliveries(),
    "tenant.retry_webhook": lambda pac, names: pac.tenant.retry_webhook(names.event),
    "settlement.write": lambda pac, _: pac.settlement.write([Write(key="settlement-1", account_id="acme", bits=100)]),
    "settlement.bucket": lambda pac, _: pac.settlement.bucket("settlement-1"),
    "settlement.post_fact": lambda pac, _: pac.settlement.post_fact({"price": Decimal("0.10")}),
    "settlement.fact": lambda pac, names: pac.settlement.fact(names.fact),
    "settlement.verify_fact": lambda pac, names: pac.settlement.verify_fact(names.fact),
}
GATE_CALLS: Mapping[str, Callable[[ReconciliationApi, Names], object]] = {
    "derive": lambda api, _: api.derive(CUSTOMER, WINDOW),
    "compare": lambda api, _: api.compare(CUSTOMER, WINDOW, yours=Decimal("-42.50"), theirs=Decimal(-42)),
    "checkpoint": lambda api, _: api.checkpoint(CUSTOMER, WINDOW, idempotency_key="key-1"),
    "find_checkpoint": lambda api, names: api.find_checkpoint(CUSTOMER, WINDOW, names.checkpoint),
    "invoice_proof": lambda api, _: api.invoice_proof(CUSTOMER, WINDOW),
    "verify": lambda api, names: api.verify(names.root),
    "unsettled": lambda api, _: api.unsettled(CUSTOMER, WINDOW),
}


@dataclass
class World:
    """A simulated PacSpace whose clock the test moves, and our clients of it."""

    rules: dict[str, object] = field(default_factory=dict)
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))

    def __post_init__(self) -> None:
        self.ledger = PacSpaceSimulator(self.clock, rules=Rules().changed(self.rules), deliver=self._deliver)
        self.received: list[httpx.Request] = []
        self.seen: list[httpx.Request] = []
        self.answered: list[httpx.Response] = []
        self.accepts = True
        self.transport = transport(self._watched, self.clock)
        self.pac = client(self.transport, self.ledger.api_key)

    def _deliver(self, request: httpx.Request) -> httpx.Response:
        self.received.append(request)
        return httpx.Response(204 if self.accepts else 503)

    def _watched(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        response = self.ledger(request)
        self.answered.append(response)
        return response

    def keys(self) -> list[str | None]:
        """Return the idempotency keys that were sent, one per request."""
        return [request.headers.get("Idempotency-Key") for request in self.seen]


def transport(handler: Callable[[httpx.Request], httpx.Response], clock: ManualClock) -> Transport:
    """Return our transport over a handler, in compressed time."""
    over = httpx.MockTransport(handler)
    return Transport(httpx_transport=over, clock=clock.now, sleep=clock.advance, random=lambda: 1.0)


def client(over: Transport, api_key: str = "pk_test_public.secret") -> PacSpace:
    """Return our client with numbered idempotency keys."""
    numbers = count(1)
    return PacSpace(api_key, base_url=ADDRESS, transport=over, new_key=lambda: f"new-{next(numbers)}")


def populated(**rules: object) -> tuple[World, Names]:
    """Return a world in which every call has an answer, and the ids in it."""
    world = World(rules)
    world.ledger.record(CUSTOMER, "-42.50", NOW - timedelta(hours=2), reference_id="r1", metadata={"region": "eu"})
    record = world.ledger.record(CUSTOMER, "-1", NOW - timedelta(hours=1))
    world.ledger.inject_gap(CUSTOMER, 2)
    world.ledger.write("settlement-1", 100, account="acme")
    made = world.pac.balance.checkpoint(CUSTOMER, APRIL)
    fact = world.pac.settlement.post_fact({"price": Decimal("0.10")})
    world.ledger.run_due()
    names = Names(
        record=record,
        root=made.proof_root or "",
        checkpoint=made.checkpoint_id,
        event=world.ledger.events()[0]["id"],
        token=world.ledger.dashboard_token("owner@example.com"),
        fact=fact.content_hash,
    )
    world.seen.clear()
    return world, names
