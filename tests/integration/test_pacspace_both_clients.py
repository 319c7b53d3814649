"""Every call of the official SDK and ours, over one socket each, to one simulator: the same answers, ours exact."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from inspect import getmembers, isfunction
from typing import Any

import httpx
import pacspace_sdk
import pytest
from pacspace_sdk import errors as sdk_errors
from pacspace_sdk.balance import BalanceResource
from pacspace_sdk.customers import CustomersResource
from pacspace_sdk.webhooks import Webhooks

from pacspace_stripe import errors
from pacspace_stripe.http.client import Transport
from pacspace_stripe.http.retries import Timeouts
from pacspace_stripe.pacspace_api import CurrentMonth, Month, NewDelta, PacSpace, Since, Source, Write
from pacspace_stripe.simulator.clock import WallClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator, Rules
from pacspace_stripe.simulator.serve import serve
from pacspace_stripe.vocabulary.windows import Window

CUSTOMER = "cust:1"
AMOUNTS = ("-0.1", "-0.2", "-123456789.123456789012", "100")
SUBMISSION = {"maxRequestsPerMinute": 6_000, "autoStart": False, "autoFlushOnShutdown": False}
SECRETS = ("whsec_new", "whsec_old")
MONTH = Month.of(datetime.now(UTC))


@dataclass
class Receiver:
    """A webhook endpoint that keeps what it was sent."""

    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200)

    def wait(self) -> httpx.Request:
        until = time.monotonic() + 5
        while not self.requests:
            assert time.monotonic() < until, "no webhook came"
            time.sleep(0.01)
        return self.requests[0]


@dataclass
class Both:
    """One simulator and both clients of it."""

    simulator: PacSpaceSimulator
    theirs: pacspace_sdk.PacSpace
    ours: PacSpace
    receiver: Receiver
    record_id: str = ""
    root: str = ""

    def summary(self, customer_id: str = "c1") -> dict[str, Any]:
        window = {"windowStart": "2026-03-17T00:00:00Z", "windowEnd": "2026-03-18T00:00:00Z"}
        return {"customerId": customer_id, "delta": -3.0, **window}


@pytest.fixture(scope="module")
def module_both() -> Iterator[Both]:
    with started() as made:
        yield made


@pytest.fixture
def both() -> Iterator[Both]:
    with started() as made:
        yield made


@contextlib.contextmanager
def started(**rules: object) -> Iterator[Both]:
    everything = {"verify_delay": 0.02, "verify_records": True, "shared_record": True}
    simulator = PacSpaceSimulator(WallClock(), rules=Rules().changed({**everything, **rules}))
    receiver = Receiver()
    transport = Transport(timeouts=Timeouts(tries=1))
    # The simulator's clock thread sends webhooks: it stops before the client that they go through is closed.
    with contextlib.closing(simulator), serve(receiver) as hook, serve(simulator) as at, contextlib.closing(transport):
        simulator.base_url = at.url
        simulator.set_webhook(f"{hook.url}/hook", secrets=list(SECRETS), lost_types=["customer.created"])
        theirs = pacspace_sdk.PacSpace.init(
            simulator.api_key, base_url=at.url, max_retries=0, submission=SUBMISSION, webhook_secret=SECRETS[0]
        )
        made = Both(simulator, theirs, PacSpace(simulator.api_key, base_url=at.url, transport=transport), receiver)
        for amount in AMOUNTS:
            made.record_id = simulator.record(CUSTOMER, amount, metadata={"region": "eu"}, reference_id=f"r{amount}")
            simulator.inject_gap(CUSTOMER, 2)
        made.root = made.ours.balance.checkpoint(CUSTOMER).proof_root or ""
        yield made
        theirs.close()


# Every public call of the SDK


def flushed(both: Both) -> object:
    both.theirs.balance.queue_summary(both.summary())
    return both.theirs.balance.flush_summaries()["submitted"] >= 1


def webhook(both: Both) -> tuple[Webhooks, httpx.Request]:
    return both.theirs.webhooks, both.receiver.wait()


def verified_by_hand(both: Both) -> object:
    webhooks, request = webhook(both)
    signature, at = request.headers["X-PacSpace-Signature"], request.headers["X-PacSpace-Timestamp"]
    return webhooks.verify(signature, at, request.content.decode())["event"]


def verified_from_headers(both: Both) -> object:
    webhooks, request = webhook(both)
    return webhooks.verify_from_headers(dict(request.headers), request.content.decode())["data"]


def retried(both: Both) -> object:
    event_id = both.receiver.wait().headers["X-Event-ID"]
    return both.theirs.balance.retry_webhook(event_id)["eventId"] == event_id


def created(both: Both) -> object:
    options = {"dashboardToken": both.simulator.dashboard_token()}
    return both.theirs.customers.create(display_name="New", unit_label="calls", options=options)["customerId"]


WAIT = {"timeout": 5_000, "pollInterval": 10}
SDK_CALLS: Mapping[str, Callable[[Both], object]] = {
    "PacSpace.init": lambda both: both.theirs.init("pk_test_a.b"),
    "PacSpace.close": lambda both: both.theirs.init("pk_test_a.b").close() is None,
    "PacSpace.shutdown": lambda both: both.theirs.init("pk_test_a.b").shutdown() is None,
    "PacSpace.verify": lambda both: both.theirs.verify(both.root, "chain")["verified"],
    "balance.emit": lambda both: both.theirs.balance.emit("new", -1, "usage", {"idempotencyKey": "k"})["recordId"],
    "balance.emit_and_wait": lambda both: both.theirs.balance.emit_and_wait("new", -1, "usage", WAIT)["recordId"],
    "balance.delta_status": lambda both: both.theirs.balance.delta_status(both.record_id)["status"],
    "balance.get_record_status": lambda both: both.theirs.balance.get_record_status(both.record_id)["status"],
    "balance.wait_for_verified": lambda both: both.theirs.balance.wait_for_verified(both.record_id, WAIT)["status"],
    "balance.derive": lambda both: both.theirs.balance.derive(CUSTOMER, {"period": str(MONTH)})["deltasCount"],
    "balance.derive_current_month": lambda both: both.theirs.balance.derive_current_month(CUSTOMER)["deltasCount"],
    "balance.derive_for_period": lambda both: both.theirs.balance.derive_for_period(CUSTOMER, str(MONTH))[
        "deltasCount"
    ],
    "balance.derive_months_back": lambda both: both.theirs.balance.derive_months_back(CUSTOMER, 3)["deltasCount"],
    "balance.compare": lambda both: "matchesYours" in both.theirs.balance.compare(CUSTOMER, {"yours": 1, "theirs": 2}),
    "balance.checkpoint": lambda both: both.theirs.balance.checkpoint(CUSTOMER)["proofRoot"],
    "balance.list_checkpoints": lambda both: both.theirs.balance.list_checkpoints()["checkpoints"],
    "balance.receipt": lambda both: both.theirs.balance.receipt(CUSTOMER)["proofRoot"],
    "balance.invoice_proof": lambda both: both.theirs.balance.invoice_proof(CUSTOMER)["proofRoot"],
    "balance.customers": lambda both: both.theirs.balance.customers({"search": "cust"})["customers"],
    "balance.customer": lambda both: both.theirs.balance.customer(CUSTOMER, {"deltaLimit": 1})["totalDeltas"],
    "balance.usage": lambda both: both.theirs.balance.usage()["allowed"],
    "balance.gaps": lambda both: both.theirs.balance.gaps(CUSTOMER, {"limit": 5})["customerId"],
    "balance.list_webhook_deliveries": lambda both: both.theirs.balance.list_webhook_deliveries({"limit": 5}),
    "balance.retry_webhook": retried,
    "balance.queue_summary": lambda both: both.theirs.balance.queue_summary(both.summary("q1")),
    "balance.queue_summaries": lambda both: both.theirs.balance.queue_summaries([both.summary("q2")]),
    "balance.flush_summaries": flushed,
    "balance.get_summary_queue_state": lambda both: both.theirs.balance.get_summary_queue_state(),
    "balance.start_summary_scheduler": lambda both: both.theirs.balance.start_summary_scheduler() is None,
    "balance.stop_summary_scheduler": lambda both: both.theirs.balance.stop_summary_scheduler() is None,
    "balance.shutdown_summary_scheduler": lambda both: both.theirs.balance.shutdown_summary_scheduler() is None,
    "customers.create": created,
    "webhooks.verify": verified_by_hand,
    "webhooks.verify_from_headers": verified_from_headers,
}


def public_calls() -> set[str]:
    """Return every public call of the SDK but those of its records, which are another product."""
    resources = {
        "PacSpace": pacspace_sdk.PacSpace,
        "balance": BalanceResource,
        "customers": CustomersResource,
        "webhooks": Webhooks,
    }
    named = {f"{name}.{method}" for name, each in resources.items() for method, _ in getmembers(each, isfunction)}
    return {"PacSpace.init"} | {name for name in named if not name.partition(".")[2].startswith("_")}


def test_every_public_call_of_the_sdk_is_compared() -> None:
    assert set(SDK_CALLS) == public_calls()


@pytest.mark.parametrize("name", SDK_CALLS)
def test_the_sdk_can_make_every_call(module_both: Both, name: str) -> None:
    assert SDK_CALLS[name](module_both)


# The same question, the same answer


def months_back(count: int) -> Window:
    """Return the SDK's window of some months: the current one and those before."""
    first = MONTH.year * 12 + MONTH.month - count
    start, end = (datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in (first, first + count))
    return Window(start=start, end=end)


Ask = Callable[[Both], object]
QUESTIONS: Mapping[str, tuple[Ask, Ask, Mapping[str, str]]] = {
    "derive": (
        lambda both: both.theirs.balance.derive(CUSTOMER),
        lambda both: both.ours.balance.derive(CUSTOMER),
        {
            "balance": "computedBalance",
            "count": "deltasCount",
            "starting_balance": "startingBalance",
            "latest_receipt_id": "latestReceiptId",
            "deltas": "deltas",
        },
    ),
    "derive a month": (
        lambda both: both.theirs.balance.derive_for_period(CUSTOMER, str(MONTH)),
        lambda both: both.ours.balance.derive(CUSTOMER, MONTH),
        {"balance": "computedBalance", "count": "deltaCount"},
    ),
    "derive the current month": (
        lambda both: both.theirs.balance.derive_current_month(CUSTOMER, {"startingBalance": 100}),
        lambda both: both.ours.balance.derive(CUSTOMER, CurrentMonth(), starting_balance=100),
        {"balance": "computedBalance", "starting_balance": "startingBalance"},
    ),
    "derive months back": (
        lambda both: both.theirs.balance.derive_months_back(CUSTOMER, 3),
        lambda both: both.ours.balance.derive(CUSTOMER, months_back(3)),
        {"balance": "computedBalance", "count": "deltasCount"},
    ),
    "derive since a checkpoint": (
        lambda both: both.theirs.balance.derive(
            CUSTOMER, {"startingCheckpoint": both.root, "startingCheckpointType": "proofRoot"}
        ),
        lambda both: both.ours.balance.derive(CUSTOMER, Since(checkpoint=both.root)),
        {"balance": "computedBalance", "count": "deltasCount", "starting_balance": "startingBalance"},
    ),
    "compare": (
        lambda both: both.theirs.balance.compare(CUSTOMER, {"yours": -0.3, "theirs": 7}),
        lambda both: both.ours.balance.compare(CUSTOMER, yours=Decimal("-0.3"), theirs=7),
        {"neutral_balance": "neutralBalance", "matches_yours": "matchesYours", "matches_theirs": "matchesTheirs"},
    ),
    "checkpoint": (
        lambda both: both.theirs.balance.checkpoint(CUSTOMER, {"period": str(MONTH)}),
        lambda both: both.ours.balance.checkpoint(CUSTOMER, MONTH),
        {
            "checkpoint_id": "checkpointId",
            "proof_root": "proofRoot",
            "status": "status",
            "customer_id": "customerId",
            "count": "deltasCount",
            "net": "netChange",
            "start_at": "startDate",
            "end_at": "endDate",
            "created_at": "createdAt",
            "verification_reference": "verificationReference",
        },
    ),
    "checkpoints": (
        lambda both: both.theirs.balance.list_checkpoints({"customerId": CUSTOMER}),
        lambda both: both.ours.balance.checkpoints(CUSTOMER),
        {"checkpoints": "checkpoints", "total": "total"},
    ),
    "delta": (
        lambda both: both.theirs.balance.delta_status(both.record_id),
        lambda both: both.ours.balance.delta(both.record_id),
        {
            "record_id": "recordId",
            "receipt_id": "receiptId",
            "status": "status",
            "customer_id": "customerId",
            "amount": "delta",
            "reason": "reason",
            "reference_id": "referenceId",
            "metadata": "metadata",
            "recorded_at": "createdAt",
            "verified_at": "verifiedAt",
            "sequence_number": "sequenceNumber",
            "verification_reference": "verificationReference",
        },
    ),
    "receipt": (
        lambda both: both.theirs.balance.receipt(CUSTOMER),
        lambda both: both.ours.proofs.receipt(CUSTOMER),
        {
            "customer_id": "customerId",
            "proof_root": "proofRoot",
            "count": "deltasCount",
            "starting_balance": "startingBalance",
            "final_balance": "finalBalance",
            "deltas": "deltas",
            "latest_checkpoint": "latestCheckpoint",
            "verify_url": "verifyUrl",
            "verification_api_url": "verificationApiUrl",
            "summaries": "windowSummaries",
        },
    ),
    "invoice proof": (
        lambda both: both.theirs.balance.invoice_proof(CUSTOMER, {"period": str(MONTH)}),
        lambda both: both.ours.proofs.invoice_proof(CUSTOMER, MONTH),
        {
            "customer_id": "customerId",
            "period": "period",
            "proof_root": "proofRoot",
            "verify_url": "verifyUrl",
            "verification_api_url": "verificationApiUrl",
            "access_hint": "accessHint",
            "customer_link_url": "customerLinkUrl",
            "customer_link_host": "customerLinkHost",
        },
    ),
    "a scoped receipt": (
        lambda both: both.theirs.balance.receipt(CUSTOMER, {"period": str(MONTH)}),
        lambda both: both.ours.proofs.invoice_proof(CUSTOMER, MONTH),
        {"proof_root": "proofRoot", "verify_url": "verifyUrl"},
    ),
    "customers": (
        lambda both: both.theirs.balance.customers({"search": "cust"}),
        lambda both: both.ours.customers.list(search="cust"),
        {"customers": "customers", "total": "total"},
    ),
    "customer": (
        lambda both: both.theirs.balance.customer(CUSTOMER),
        lambda both: both.ours.customers.get(CUSTOMER),
        {
            "customer_id": "customerId",
            "balance": "computedBalance",
            "total_deltas": "totalDeltas",
            "reference": "customerReference",
            "partition": "customerPartition",
            "latest_checkpoint": "latestCheckpoint",
            "recent": "recentActivity.items",
            "recent_total": "recentActivity.pagination.total",
        },
    ),
    "a page of a customer's month": (
        lambda both: both.theirs.balance.customer(CUSTOMER, {"deltaPage": 2, "deltaLimit": 3, "period": str(MONTH)}),
        lambda both: both.ours.customers.get(CUSTOMER, delta_page=2, delta_limit=3, period=MONTH),
        {"recent": "recentActivity.items", "recent_total": "recentActivity.pagination.total"},
    ),
    "usage": (
        lambda both: both.theirs.balance.usage(),
        lambda both: both.ours.tenant.usage(),
        {"allowed": "allowed", "remaining": "remaining", "consumed": "consumed", "limit": "limit"},
    ),
    "gaps": (
        lambda both: both.theirs.balance.gaps(CUSTOMER),
        lambda both: both.ours.tenant.gaps(CUSTOMER),
        {"count": "totalGaps", "gaps": "gaps"},
    ),
    "some gaps": (
        lambda both: both.theirs.balance.gaps(CUSTOMER, {"fromSequence": 3, "toSequence": 6, "limit": 1}),
        lambda both: both.ours.tenant.gaps(CUSTOMER, first=3, last=6, limit=1),
        {"count": "totalGaps", "gaps": "gaps"},
    ),
    "verify": (
        lambda both: both.theirs.verify(both.root, "both"),
        lambda both: both.ours.verify(both.root, Source.BOTH),
        {
            "verified": "verified",
            "proof_root": "proofRoot",
            "message": "message",
            "recorded_at": "recordedAt",
            "record_count": "summary.recordCount",
            "net_change": "summary.netChange",
            "starting_balance": "summary.startingBalance",
            "ending_balance": "summary.endingBalance",
            "records": "records",
            "reference": "verification.reference",
            "url": "verification.publicLedgerUrl",
        },
    ),
    "verify one record": (
        lambda both: both.theirs.verify(both.theirs.balance.delta_status(both.record_id)["receiptId"]),
        lambda both: both.ours.verify(both.ours.balance.delta(both.record_id).receipt_id or ""),
        {
            "proof_root": "proofRoot",
            "record_count": "summary.recordCount",
            "net_change": "summary.netChange",
            "records": "records",
            "reference": "verification.verificationReference",
        },
    ),
}
ROWS: Mapping[str, Mapping[str, str]] = {
    "deltas": QUESTIONS["delta"][2],
    "checkpoints": QUESTIONS["checkpoint"][2],
    "customers": {our: their for our, their in QUESTIONS["customer"][2].items() if not our.startswith("recent")},
    "recent": {
        "record_id": "recordId",
        "receipt_id": "receiptId",
        "amount": "delta",
        "reason": "reason",
        "reference_id": "referenceId",
        "metadata": "metadata",
        "status": "status",
        "recorded_at": "time",
        "sequence_number": "sequenceNumber",
        "verification_reference": "verificationReference",
    },
    "records": {
        "amount": "amount",
        "reason": "reason",
        "reference_id": "referenceId",
        "status": "status",
        "recorded_at": "time",
    },
    "gaps": {"first": "fromSequence", "last": "toSequence", "missing": "missingCount"},
    "summaries": {
        "period": "period",
        "credits": "totalCredits",
        "debits": "totalDebits",
        "net": "netChange",
        "count": "deltasCount",
    },
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_both_clients_get_the_same_answer(both: Both, name: str) -> None:
    ask_theirs, ask_ours, names = QUESTIONS[name]
    agree(ask_ours(both), ask_theirs(both), names)


def agree(ours: object, theirs: Any, names: Mapping[str, str]) -> None:  # noqa: ANN401  # any JSON
    """Require the same value in every field, and a value in each: two empty answers would always agree."""
    for our_name, their_name in names.items():
        mine, other = getattr(ours, our_name), named(theirs, their_name)
        assert other not in (None, [], {}), their_name
        if our_name in ROWS:
            assert len(mine) == len(other)
            for each, row in zip(mine, other, strict=True):
                agree(each, row, ROWS[our_name])
            continue
        assert as_the_sdk_has_it(mine, other) == other, (our_name, mine, other)


def named(theirs: Any, path: str) -> Any:  # noqa: ANN401  # any JSON
    """Return ``summary.netChange``."""
    for name in path.split("."):
        theirs = theirs.get(name)
    return theirs


def as_the_sdk_has_it(value: object, other: object) -> object:
    """Return a value in the SDK's types: numbers as floats, times and numbers as the text they came as."""
    match value:
        case Decimal():
            return float(value)
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
        case StrEnum():  # public verify's words are the only ones that the SDK leaves as they came
            return value.lower() if str(other).islower() else value.value
        case int() if isinstance(other, str):
            return str(value)
        case _:
            return value


def test_our_client_is_exact_where_the_sdk_rounds(both: Both) -> None:
    exact = sum(map(Decimal, AMOUNTS))
    ours, theirs = both.ours.balance.derive(CUSTOMER), both.theirs.balance.derive(CUSTOMER)
    assert ours.balance == exact == Decimal("-123456689.423456789012")
    assert Decimal(theirs["computedBalance"]) != exact
    assert [each.amount for each in ours.deltas] == list(map(Decimal, AMOUNTS))
    assert [Decimal(row["delta"]) for row in theirs["deltas"]] != list(map(Decimal, AMOUNTS))
    proof, shown = both.ours.verify(both.root), both.theirs.verify(both.root)
    assert (proof.net_change, proof.ending_balance) == (exact, exact)
    assert Decimal(shown["summary"]["netChange"]) != exact
    assert [each.amount for each in proof.records] == list(map(Decimal, AMOUNTS))
    assert [each.amount for each in both.ours.customers.get(CUSTOMER).recent] == list(map(Decimal, reversed(AMOUNTS)))


def test_what_one_client_writes_the_other_reads(both: Both) -> None:
    written = both.ours.balance.emit(
        NewDelta(customer_id="new", delta=Decimal("-42.50"), reason="usage"), idempotency_key="same"
    )
    options = {"idempotencyKey": "same"}
    replayed = both.theirs.balance.emit("new", -42.5, "usage", options)
    wait = {"timeout": timedelta(seconds=5), "poll": timedelta(seconds=0.01)}
    done = both.ours.balance.wait_for_verified(replayed["recordId"], **wait)
    assert written.record_id == replayed["recordId"] == done.record_id
    assert both.theirs.balance.customer("new")["totalDeltas"] == 1


REFUSALS: tuple[tuple[str, type[Exception], type[errors.RemoteError]], ...] = (
    ("402", sdk_errors.InsufficientCreditsError, errors.PlanLimitReached),
    ("412", sdk_errors.ContractNotDeployedError, errors.NotProvisioned),
    ("429", sdk_errors.RateLimitError, errors.RateLimited),
    ("cadence_limit", sdk_errors.CadenceLimitError, errors.CadenceLimited),
    ("503", sdk_errors.ServiceUnavailableError, errors.RemoteUnavailable),
    ("500", sdk_errors.PacSpaceError, errors.RemoteUnavailable),
    ("timeout", sdk_errors.PacSpaceError, errors.RemoteUnavailable),
)


@pytest.mark.parametrize(("fault", "theirs", "ours"), REFUSALS)
def test_both_clients_are_refused_for_the_same_reason(
    module_both: Both, fault: str, theirs: type[Exception], ours: type[errors.RemoteError]
) -> None:
    module_both.simulator.add_fault(fault, endpoint="POST /api/v1/balance/delta", times=2, seconds=7)
    with pytest.raises(theirs) as refused:
        module_both.theirs.balance.emit("refused", -1, "usage", {"idempotencyKey": fault})
    with pytest.raises(ours) as told:
        module_both.ours.balance.emit(NewDelta(customer_id="refused", delta=-1, reason="usage"), idempotency_key=fault)
    assert type(told.value) is ours
    if getattr(refused.value, "retry_after", None) is not None:
        assert told.value.retry_after == timedelta(seconds=refused.value.retry_after)  # type: ignore[attr-defined]


def test_only_our_client_has_the_settlement_api(module_both: Both) -> None:
    settlement = module_both.ours.settlement
    for bits in (100, 250, 150):
        settlement.write([Write(key="settlement-2025-06", account_id="customer-acme", bits=bits)])
    until = time.monotonic() + 5
    while not settlement.bucket("settlement-2025-06").verified:
        assert time.monotonic() < until
        time.sleep(0.01)
    bucket = settlement.bucket("settlement-2025-06")
    assert (bucket.current_bits, bucket.total_writes) == (Decimal(500), 3)
