"""The recorded conversations of both adapters: their requests, their recording, their replay.

``python -m tests.support.recordings`` (``make record``) records them again: with STRIPE_API_KEY or PACSPACE_API_KEY in
the environment against that vendor's test mode, otherwise against our simulators over a loopback socket. Live keys are
refused. See ``tests/data/cassettes/README.md``.
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import vcr
from vcr.cassette import Cassette
from vcr.request import Request

from pacspace_stripe.errors import NotEditable, NotFound
from pacspace_stripe.http.client import Transport
from pacspace_stripe.pacspace_api import PacSpace, ReconciliationApi
from pacspace_stripe.simulator.clock import WallClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator
from pacspace_stripe.simulator.serve import serve
from pacspace_stripe.simulator.stripe import StripeSimulator
from pacspace_stripe.stripe_api import StripeApi, key_livemode
from pacspace_stripe.vocabulary.invoices import InvoiceStatus, UsageType
from pacspace_stripe.vocabulary.windows import Window, iso

CASSETTES = Path(__file__).parents[1] / "data" / "cassettes"
SIMULATOR, TEST_MODE = "simulator", "test-mode"
STRIPE, PACSPACE = "https://stripe.recorded", "https://pacspace.recorded"
"""Address in every recording: the real one is private, and ports change."""
NOBODY = "pacspace-stripe-nobody"
_KEPT_REQUEST_HEADERS = {"content-type", "stripe-version", "accept"}
_KEPT_RESPONSE_HEADERS = {"content-type", "request-id", "retry-after", "stripe-version", "stripe-should-retry"}
_PRIVATE = "accessHint|customer_email|customer_phone|account_name|hosted_invoice_url|invoice_pdf|client_secret|email"
_PRIVATE_FIELD = re.compile(rf'("(?:{_PRIVATE})"\s*:\s*)"[^"]*"'.encode())


# What is said


def talk_to_stripe(api: StripeApi) -> None:
    """Make every request of the gate to Stripe for one draft with metered usage, which ends up finalized."""
    listed = next(found for found in api.list_invoices(status="draft") if found.subscription_id)
    draft = api.read_invoice(listed.invoice_id)
    assert draft.status is InvoiceStatus.DRAFT
    metered = [line for line in draft.line_items if api.price(line.price_id or "").usage_type is UsageType.METERED]
    assert metered, "a draft with metered usage is needed"
    for line in metered:
        meter = api.meter(api.price(line.price_id or "").meter_id or "")
        assert meter.event_name
        assert line.window is not None
        assert api.meter_usage(meter.meter_id, draft.customer_id, line.window.outer_minutes) >= 0
    assert api.read_subscription(draft.subscription_id or "").customer_id == draft.customer_id

    api.update_invoice(draft.invoice_id, auto_advance=False)
    assert not api.read_invoice(draft.invoice_id).auto_advance
    api.update_invoice(draft.invoice_id, metadata={"pacspace_verdict": "matched"}, footer="Recorded\nfooter, ünïcode")
    stamped = api.read_invoice(draft.invoice_id)
    assert stamped.metadata["pacspace_verdict"] == "matched"
    assert stamped.footer == "Recorded\nfooter, ünïcode"

    api.finalize_invoice(draft.invoice_id)
    finalized = api.read_invoice(draft.invoice_id)
    assert finalized.status in {InvoiceStatus.OPEN, InvoiceStatus.PAID}
    assert (finalized.auto_advance, finalized.footer) == (False, stamped.footer)
    assert finalized.number
    _is_refused(NotEditable, lambda: api.update_invoice(draft.invoice_id, footer="too late"))
    _is_refused(NotEditable, lambda: api.finalize_invoice(draft.invoice_id))
    api.update_invoice(draft.invoice_id, metadata={"pacspace_verdict": ""})
    assert "pacspace_verdict" not in api.read_invoice(draft.invoice_id).metadata

    _is_refused(NotFound, lambda: api.read_invoice("in_1Nobody"))
    since = api.list_invoices(created_since=draft.created_at, customer=draft.customer_id)
    assert draft.invoice_id in {found.invoice_id for found in since}


def talk_to_pacspace(api: ReconciliationApi, account: str, window: Window, sleep: Callable[[float], object]) -> None:
    """Make every request of the gate to PacSpace for one account with verified usage."""
    assert not api.derive(NOBODY, window).known
    balance = api.derive(account, window)
    assert balance.count > 0
    compared = api.compare(account, window, yours=balance.net, theirs=balance.net + Decimal("0.5"))
    assert compared.neutral_balance in {None, balance.net}

    made = api.checkpoint(account, window, idempotency_key=f"recording:{account}:{window}")
    for _ in range(120):
        if made.proof_root:
            break
        sleep(1)
        made = api.find_checkpoint(account, window, made.checkpoint_id) or made
    root = made.proof_root
    assert root, "the checkpoint was not committed in time"
    assert api.find_checkpoint(account, window, made.checkpoint_id) == made

    proof = api.invoice_proof(account, window)
    assert proof.proof_root in {None, root}
    verified = api.verify(root)
    assert verified.record_count in {None, balance.count}
    assert verified.net_change in {None, balance.net}
    assert not api.verify(f"0x{0:064}").verified
    assert not api.unsettled(account, window).any


def _is_refused(kind: type[Exception], ask: Callable[[], object]) -> None:
    try:
        ask()
    except kind:
        return
    message = f"{kind.__name__} was expected"
    raise AssertionError(message)


# How it is recorded and replayed


@dataclass(frozen=True, kw_only=True)
class PacSpaceWorld:
    """Subject of a conversation with PacSpace, kept beside its cassette."""

    account: str
    window: Window

    def write(self, path: Path) -> None:
        about = {"account": self.account, "start": iso(self.window.start), "end": iso(self.window.end)}
        path.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "PacSpaceWorld":
        about = json.loads(path.read_text(encoding="utf-8"))
        start, end = (datetime.fromisoformat(about[name]) for name in ("start", "end"))
        return cls(account=about["account"], window=Window(start=start, end=end))


def _filtered(request: Request) -> Request:
    url = httpx.URL(request.uri)
    host = httpx.URL(PACSPACE if url.path.startswith("/api/") else STRIPE).host
    headers = {name: value for name, value in request.headers.items() if name.lower() in _KEPT_REQUEST_HEADERS}
    return Request(request.method, str(url.copy_with(scheme="https", host=host, port=None)), request.body, headers)


def _filtered_answer(answer: dict[str, Any]) -> dict[str, Any]:
    headers = {name: value for name, value in answer["headers"].items() if name.lower() in _KEPT_RESPONSE_HEADERS}
    body = _PRIVATE_FIELD.sub(rb'\1"redacted"', answer["body"]["string"])
    return {**answer, "headers": headers, "body": {"string": body}}


@contextmanager
def cassette(path: Path, *, record: bool) -> Iterator[Cassette]:
    """Record HTTP inside into a new cassette, or play it from one and from nothing else."""
    if record:
        path.unlink(missing_ok=True)
    recorder = vcr.VCR(
        record_mode="all" if record else "none",
        match_on=("method", "scheme", "host", "path", "query", "body"),
        before_record_request=_filtered,
        before_record_response=_filtered_answer,
        decode_compressed_response=True,
        record_on_exception=False,
    )
    with recorder.use_cassette(str(path)) as tape:
        yield tape


@contextmanager
def served_stripe() -> Iterator[tuple[str, str]]:
    """Serve a simulator with one fresh draft; yield its address and key."""
    simulator = StripeSimulator(WallClock(), seed=1)
    now = datetime.now(UTC).replace(microsecond=0)
    start, end = now - timedelta(days=30), now - timedelta(minutes=5)
    customer, meter = simulator.add_customer(name="Recorded"), simulator.add_meter("api_calls")
    simulator.record_usage(customer, "api_calls", "1250.5", start + timedelta(days=3))
    simulator.add_subscription(customer, [simulator.add_price(meter)], period_start=start, period_end=end)
    with serve(simulator) as server:
        yield server.url, simulator.api_key


@contextmanager
def served_pacspace() -> Iterator[tuple[str, str, PacSpaceWorld]]:
    """Serve a simulator with a month of usage; yield its address, its key and the subject."""
    simulator = PacSpaceSimulator(WallClock(), seed=1, base_url=PACSPACE, checkpoint_delay=timedelta(seconds=0.5))
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    world = PacSpaceWorld(account="cus_1:api_calls", window=Window(start=today - timedelta(days=40), end=today))
    simulator.emit_daily_usage(world.account, world.window.start, world.window.end, "1250.5")
    with serve(simulator) as server:
        yield server.url, simulator.api_key, world


def _pacspace_test_mode(base_url: str, api_key: str) -> PacSpaceWorld:
    """Record a little usage for a new account and wait until it is verified."""
    now = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    world = PacSpaceWorld(
        account=f"pacspace-stripe-recording:{uuid4().hex[:12]}", window=Window(start=now, end=now + timedelta(days=1))
    )
    body = {"customerId": world.account, "delta": -12.5, "reason": "usage", "referenceId": f"recording:{world.account}"}
    headers = {"X-Api-Key": api_key, "Idempotency-Key": f"recording:{world.account}"}
    httpx.post(f"{base_url}/api/v1/balance/delta", json=body, headers=headers, timeout=30).raise_for_status()
    with connected() as transport:
        api = PacSpace(api_key, base_url=base_url, transport=transport).reconciliation
        for _ in range(120):
            if api.derive(world.account, world.window).count:
                return world
            time.sleep(1)
    message = "PacSpace did not verify the recorded usage within two minutes"
    raise SystemExit(message)


@contextmanager
def connected() -> Iterator[Transport]:
    """Return a transport that a cassette can stand in for: vcrpy replaces httpx's own transport only."""
    transport = Transport(httpx_transport=httpx.HTTPTransport())
    yield transport
    transport.close()


def record_stripe(folder: Path, base_url: str | None, api_key: str) -> None:
    """Record the conversation with Stripe at ``base_url`` in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with connected() as transport, cassette(folder / "stripe.yaml", record=True):
        talk_to_stripe(StripeApi(transport, api_key, base_url))


def record_pacspace(folder: Path, base_url: str, api_key: str, world: PacSpaceWorld) -> None:
    """Record the conversation with PacSpace at ``base_url`` in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with connected() as transport, cassette(folder / "pacspace.yaml", record=True):
        talk_to_pacspace(
            PacSpace(api_key, base_url=base_url, transport=transport).reconciliation,
            world.account,
            world.window,
            time.sleep,
        )
    world.write(folder / "pacspace.world.json")


def replay_stripe(folder: Path) -> Cassette:
    """Replay the conversation from the recording; a request that is not in it raises."""
    with connected() as transport, cassette(folder / "stripe.yaml", record=False) as tape:
        talk_to_stripe(StripeApi(transport, "sk_test_replayed", STRIPE))
    return tape


def replay_pacspace(folder: Path) -> Cassette:
    """Replay the conversation from the recording; a request that is not in it raises."""
    world = PacSpaceWorld.read(folder / "pacspace.world.json")
    with connected() as transport, cassette(folder / "pacspace.yaml", record=False) as tape:
        api = PacSpace("pk_test_replayed", base_url=PACSPACE, transport=transport).reconciliation
        talk_to_pacspace(api, world.account, world.window, lambda _: None)
    return tape


def record(cassettes: Path, environment: Mapping[str, str]) -> list[Path]:
    """Record both conversations, each with the vendor's test mode if its key is set; return the folders written to."""
    stripe_key, pacspace_key = environment.get("STRIPE_API_KEY"), environment.get("PACSPACE_API_KEY")
    if (stripe_key and key_livemode(stripe_key)) or (pacspace_key and not pacspace_key.startswith("pk_test_")):
        message = "recordings are made in test mode only: sk_test_… and pk_test_…"
        raise SystemExit(message)
    return [_record_stripe(cassettes, environment), _record_pacspace(cassettes, environment)]


def _record_stripe(cassettes: Path, environment: Mapping[str, str]) -> Path:
    if key := environment.get("STRIPE_API_KEY"):
        record_stripe(cassettes / TEST_MODE, environment.get("STRIPE_API_BASE_URL"), key)
        return cassettes / TEST_MODE
    with served_stripe() as (url, key):
        record_stripe(cassettes / SIMULATOR, url, key)
    return cassettes / SIMULATOR


def _record_pacspace(cassettes: Path, environment: Mapping[str, str]) -> Path:
    if key := environment.get("PACSPACE_API_KEY"):
        url = environment.get("PACSPACE_API_BASE_URL", "https://app.pacspace.io").rstrip("/")
        record_pacspace(cassettes / TEST_MODE, url, key, _pacspace_test_mode(url, key))
        return cassettes / TEST_MODE
    with served_pacspace() as (url, key, world):
        record_pacspace(cassettes / SIMULATOR, url, key, world)
    return cassettes / SIMULATOR


if __name__ == "__main__":
    for written_to in record(CASSETTES, os.environ):
        sys.stdout.write(f"recorded: {written_to}\n")
