"""The client of PacSpace: every call against the simulator, idempotency keys, waiting, limits and typed refusals."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import httpx
import pytest

from pacspace_stripe.errors import (
    CadenceLimited,
    Conflict,
    DeltaFailed,
    HostMismatch,
    InvalidInput,
    KeyRefused,
    NotFound,
    NotProvisioned,
    PlanLimitReached,
    RateLimited,
    RemoteError,
    RemoteUnavailable,
    ScopeRefused,
    StillInFlight,
    UnexpectedAnswer,
)
from pacspace_stripe.pacspace_api import (
    CurrentMonth,
    DeliveryStatus,
    DeltaState,
    Gap,
    Granularity,
    Month,
    PacSpace,
    PublicPacSpace,
    Since,
    Source,
    Write,
)
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.vocabulary.ledger import Comparison
from tests.support.pacspace_calls import (
    ADDRESS,
    APRIL,
    CALLS,
    CUSTOMER,
    NOW,
    WINDOW,
    World,
    client,
    delta,
    populated,
    transport,
)

BALANCE = "/api/v1/balance"


def over(*planned: tuple[int, Any], clock: ManualClock | None = None) -> tuple[PacSpace, list[httpx.Request]]:
    """Return a client that gets these answers, the last one repeatedly, and its requests."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        status, body = planned[min(len(requests), len(planned) - 1)]
        requests.append(request)
        return httpx.Response(status, content=json.dumps(body).encode())

    return client(transport(answer, clock or ManualClock(NOW))), requests


def good(**data: object) -> dict[str, object]:
    return {"success": True, "data": data}


def deep(levels: int) -> dict[str, object]:
    nested: dict[str, object] = {}
    for _ in range(levels):
        nested = {"a": nested}
    return nested


# Every call has an answer


@pytest.mark.parametrize("name", CALLS)
def test_every_call_has_its_answer(name: str) -> None:
    world, names = populated(verify_delay=0)
    assert CALLS[name](world.pac, names)


def test_the_quick_start_runs_to_its_public_proof() -> None:
    world = World({"verify_delay": 3})
    emitted = world.pac.balance.emit_and_wait(delta("100.00", reason="initial-deposit", reference_id="txn-1"))
    derived = world.pac.balance.derive(CUSTOMER)
    compared = world.pac.balance.compare(CUSTOMER, yours=Decimal("100.00"), theirs=99)
    made = world.pac.balance.checkpoint(CUSTOMER)
    shown = world.pac.verify(made.proof_root or "")

    assert (emitted.status, emitted.amount, emitted.customer_id) == (DeltaState.VERIFIED, Decimal(100), CUSTOMER)
    assert emitted.verified_at == NOW + timedelta(seconds=3)
    assert (derived.balance, derived.count, derived.latest_receipt_id) == (Decimal(100), 1, emitted.receipt_id)
    assert compared == Comparison(
        your_balance=Decimal("100.00"),
        their_balance=Decimal(99),
        neutral_balance=Decimal(100),
        matches_yours=True,
        matches_theirs=False,
    )
    assert (made.count, made.net, made.status) == (1, Decimal(100), DeltaState.VERIFIED)
    assert (shown.verified, shown.record_count, shown.net_change) == (True, 1, Decimal(100))
    assert world.pac.verify(emitted.receipt_id or "", Source.CHAIN).verified


def test_basic_settlement_adds_up_and_is_verified() -> None:
    world = World({"verify_delay": 3})
    for bits in (100, 250, 150):
        written = world.pac.settlement.write([Write(key="settlement-2025-06", account_id="customer-acme", bits=bits)])
        assert written.status is DeltaState.QUEUED
    before = world.pac.settlement.bucket("settlement-2025-06")
    world.clock.advance(3)
    after = world.pac.settlement.bucket("settlement-2025-06")
    assert (before.current_bits, before.total_writes, before.verified) == (Decimal(500), 3, False)
    assert (after.current_bits, after.total_writes, after.verified, after.account_id) == (
        Decimal(500),
        3,
        True,
        "customer-acme",
    )
    with pytest.raises(NotFound, match="No record found for key"):
        world.pac.settlement.bucket("another")


@pytest.mark.parametrize(("named", "expected"), [("batchId", "batch_1"), ("requestId", "req_1")])
def test_writes_are_named_by_batch_or_request(named: str, expected: str) -> None:
    pac, _ = over((202, {"statusCode": 202, "data": {named: expected, "itemCount": 1, "status": "queued"}}))
    assert pac.settlement.write([Write(key="k", account_id="a", bits=1)]).batch_id == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"currentBits": None},
        {"totalWrites": -1},
        {"totalWrites": None},
        {"verified": "yes"},
        {"verified": None},
        {"key": "x"},
    ],
)
def test_a_bucket_without_its_figures_is_refused(changes: dict[str, object]) -> None:
    data = {"key": "k", "accountId": "a", "currentBits": 1, "totalWrites": 1, "verified": True, **changes}
    pac, _ = over((200, {"statusCode": 200, "data": data}))
    with pytest.raises(UnexpectedAnswer):
        pac.settlement.bucket("k")


def test_facts_are_named_by_their_content() -> None:
    world = World({"verify_delay": 3})
    posted = world.pac.settlement.post_fact({"price": Decimal("0.10")}, metadata={"a": 1})
    again = world.pac.settlement.post_fact({"price": Decimal("0.10")})
    world.clock.advance(3)
    found = world.pac.settlement.fact(posted.content_hash)
    assert posted.content_hash == again.content_hash
    assert (found.content, found.verified, found.metadata) == ({"price": Decimal("0.10")}, True, {"a": 1})
    assert world.pac.settlement.verify_fact(posted.content_hash).verified_at == NOW + timedelta(seconds=3)
    with pytest.raises(NotFound):
        world.pac.settlement.fact("sha256_none")


def test_derive_takes_every_kind_of_scope() -> None:
    world = World({"verify_delay": 0})
    derive = world.pac.balance.derive
    world.ledger.record(CUSTOMER, "-10", datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC))
    world.ledger.record(CUSTOMER, "-2.5", WINDOW.start)
    root = world.pac.balance.checkpoint(CUSTOMER, APRIL).proof_root or ""
    world.clock.advance(60)
    world.ledger.record(CUSTOMER, "-0.1", NOW + timedelta(seconds=30))
    assert derive(CUSTOMER).balance == derive(CUSTOMER, CurrentMonth()).balance == Decimal("-2.6")
    assert derive(CUSTOMER, Month(year=2026, month=3), starting_balance=100).balance == 90
    assert derive(CUSTOMER, WINDOW).count == 2
    resumed = derive(CUSTOMER, Since(checkpoint=root))
    assert (resumed.starting_balance, resumed.balance, resumed.count) == (Decimal("-12.5"), Decimal("-12.6"), 1)
    days = derive(CUSTOMER, APRIL, granularity=Granularity.DAY).summaries
    assert [(day.period, day.net, day.count) for day in days] == [
        ("2026-04-01", Decimal("-2.5"), 1),
        ("2026-04-20", Decimal("-0.1"), 1),
    ]


def test_every_delta_is_listed_over_many_pages() -> None:
    world = World()
    for _ in range(2005):
        world.ledger.record(CUSTOMER, "-0.1", NOW)
    whole = world.pac.balance.derive_all(CUSTOMER, APRIL)
    assert (len(whole.deltas), whole.count, whole.balance) == (2005, 2005, Decimal("-200.5"))
    assert sum(each.amount or 0 for each in whole.deltas) == whole.balance
    assert [request.url.params["offset"] for request in world.seen] == ["0", "1000", "2000"]


@pytest.mark.parametrize(
    "pages",
    [
        [(3, ["a"]), (3, [])],
        [(2, ["a"]), (3, ["b"])],
        [(2, ["a"]), (2, ["a"])],
        [(1, ["a", "b"])],
    ],
)
def test_pages_that_do_not_add_up_are_refused(pages: list[tuple[int, list[str]]]) -> None:
    answers = [
        (200, good(computedBalance=1, deltasCount=count, deltas=[{"recordId": each, "delta": 1} for each in ids]))
        for count, ids in pages
    ]
    pac, _ = over(*answers, (200, good(computedBalance=1, deltasCount=3, deltas=[])))
    with pytest.raises(RemoteUnavailable, match="meanwhile"):
        pac.balance.derive_all(CUSTOMER)


def test_customers_are_listed_summed_up_and_read_with_their_deltas() -> None:
    world, _ = populated()
    world.ledger.record("other", 7)
    page, summary = world.pac.customers.list(search="cust"), world.pac.customers.summary()
    one = world.pac.customers.get(CUSTOMER, period=APRIL, delta_limit=1)
    assert ([each.customer_id for each in page.customers], page.total) == ([CUSTOMER], 1)
    assert (summary.customers, summary.deltas, summary.balance) == (2, 3, Decimal("-36.5"))
    assert (one.balance, one.total_deltas, one.recent_total, len(one.recent)) == (Decimal("-43.5"), 2, 2, 1)
    with pytest.raises(NotFound):
        world.pac.customers.get("nobody")


def test_a_customer_is_made_with_a_dashboards_token_and_only_once() -> None:
    world, names = populated()
    create = world.pac.customers.create
    made = create("Acme", customer_id="acme", dashboard_token=names.token, unit_label="calls")
    assert (made.customer_id, made.display_name) == ("acme", "Acme")
    with pytest.raises(Conflict) as taken:
        create("Acme", customer_id="acme", dashboard_token=names.token)
    assert taken.value.code == "CUSTOMER_EXISTS"
    with pytest.raises(KeyRefused):
        create("Acme", dashboard_token="another")


def test_usage_limits_and_gaps_are_read() -> None:
    world, _ = populated(plan_limit=5)
    usage, limits, gaps = world.pac.tenant.usage(), world.pac.tenant.limits(), world.pac.tenant.gaps(CUSTOMER)
    assert (usage.allowed, usage.remaining, usage.consumed, usage.limit) == (True, 3, 2, 5)
    assert (limits.scope_months, limits.last_days) == (24, 744)
    assert (gaps.count, gaps.gaps) == (1, (Gap(first=3, last=4, missing=2),))


def test_webhooks_sent_are_listed_and_sent_again() -> None:
    world, names = populated()
    page = world.pac.tenant.webhook_deliveries(limit=2)
    assert page.total == len(world.received) == len(world.ledger.events())
    assert {each.status for each in page.deliveries} == {DeliveryStatus.DELIVERED}
    assert world.pac.tenant.retry_webhook(names.event).status is DeliveryStatus.PENDING
    world.ledger.run_due()
    assert [request.headers["X-Event-ID"] for request in world.received].count(names.event) == 2
    with pytest.raises(NotFound):
        world.pac.tenant.retry_webhook("evt_none")


def test_receipts_proofs_and_documents_are_read() -> None:
    world, names = populated(shared_record=True)
    receipt, proof = world.pac.proofs.receipt(CUSTOMER, APRIL), world.pac.proofs.invoice_proof(CUSTOMER, APRIL)
    (listed,) = world.pac.proofs.receipts(CUSTOMER)
    document = world.pac.proofs.document(listed.receipt_id or "", customer_display_name=True, timezone="Europe/Berlin")
    assert (receipt.proof_root, receipt.count, receipt.final_balance) == (names.root, 2, Decimal("-43.5"))
    assert proof.proof_root == names.root
    assert proof.access_hint
    assert proof.access_hint not in repr(proof)
    assert (document.body["timezone"], document.body["customerDisplayName"]) == ("Europe/Berlin", CUSTOMER)
    assert world.pac.proofs.public_document(names.checkpoint).permalink == document.permalink
    assert world.pac.proofs.pdf(names.checkpoint).endswith(b"%%EOF\n")
    assert all(
        "X-Api-Key" not in request.headers for request in world.seen if request.url.path.startswith("/api/v1/receipt/")
    )


def test_a_batch_succeeds_in_parts() -> None:
    world = World({"verify_delay": 0, "cadence": 3600})
    world.ledger.record("busy", 1)
    batch = world.pac.balance.emit_batch(
        [delta(reference_id="r1"), delta(5, customer_id="busy"), delta(reference_id="r1")]
    )
    assert (batch.queued, batch.failed, batch.unanswered) == (2, 1, ())
    assert [(item.status, item.error, item.replayed) for item in batch.items] == [
        (DeltaState.QUEUED, None, False),
        (DeltaState.FAILED, "CADENCE_LIMIT", False),
        (DeltaState.QUEUED, None, True),
    ]


def test_deltas_that_a_batch_answer_leaves_out_are_named() -> None:
    pac, _ = over((200, good(totalQueued=1, totalFailed=0, results=[{"index": 1, "status": "QUEUED"}])))
    assert pac.balance.emit_batch([delta(), delta()]).unanswered == (0,)
    for results in ([{"index": 2}], [{"index": 0}, {"index": 0}], [{"index": -1}]):
        pac, _ = over((200, good(results=results)))
        with pytest.raises(UnexpectedAnswer):
            pac.balance.emit_batch([delta(), delta()])


@pytest.mark.parametrize(
    "data",
    [{"status": "QUEUED"}, {"recordId": "r", "customerId": "other"}, {"recordId": "r", "delta": 42.5}, {"recordId": 1}],
)
def test_an_answer_about_another_delta_is_refused(data: dict[str, object]) -> None:
    pac, _ = over((201, good(**data)))
    with pytest.raises(UnexpectedAnswer):
        pac.balance.emit(delta())


def test_the_state_of_another_delta_is_refused() -> None:
    pac, _ = over((200, good(recordId="rec_2", status="VERIFIED")))
    with pytest.raises(UnexpectedAnswer):
        pac.balance.wait_for_verified("rec_1")


def test_a_list_of_deltas_without_an_end_is_given_up() -> None:
    numbers = count()

    def answer(_: httpx.Request) -> httpx.Response:
        rows = [{"recordId": f"rec_{next(numbers)}", "delta": 1}]
        return httpx.Response(200, json=good(computedBalance=1, deltasCount=10**9, deltas=rows))

    with pytest.raises(RemoteUnavailable, match="one scope") as endless:
        client(transport(answer, ManualClock(NOW))).balance.derive_all(CUSTOMER)
    assert "shorter" in endless.value.hint


def test_the_address_of_a_proof_is_where_anyone_may_ask() -> None:
    world, names = populated()
    assert world.pac.proofs.verify_address(names.root) == f"{ADDRESS}/api/v1/verify/{names.root}"


def test_older_names_are_read_too() -> None:
    pac, _ = over((201, {"statusCode": 201, "data": {"anchorId": "a_1", "status": "queued", "receiptId": "rcpt_1"}}))
    emitted = pac.balance.emit(delta())
    assert (emitted.record_id, emitted.receipt_id, emitted.status) == ("a_1", "rcpt_1", DeltaState.QUEUED)
    pac, _ = over((200, good(recordId="a_1", status="something new")))
    assert pac.balance.delta("a_1").status is DeltaState.UNKNOWN


@pytest.mark.parametrize("data", [[{"checkpointId": "chk_1"}], {"items": [{"checkpointId": "chk_1"}]}])
def test_a_list_may_be_the_data_itself_or_have_another_name(data: object) -> None:
    pac, _ = over((200, {"success": True, "data": data}))
    assert [each.checkpoint_id for each in pac.balance.checkpoints().checkpoints] == ["chk_1"]


# Writes happen once


@pytest.mark.parametrize("name", ["balance.emit", "balance.emit_batch", "balance.checkpoint"])
def test_a_write_whose_answer_is_lost_happens_once(name: str) -> None:
    world, names = populated()
    before = len(world.ledger.checkpoints())
    world.ledger.add_fault("lost_reply", times=2)
    CALLS[name](world.pac, names)
    (key,) = set(world.keys())
    assert key is not None
    assert len(world.seen) == 3
    assert len({request.content for request in world.seen}) == 1
    assert world.pac.customers.get(CUSTOMER).total_deltas == {"balance.emit": 3, "balance.emit_batch": 4}.get(name, 2)
    assert len(world.ledger.checkpoints()) == before


@pytest.mark.parametrize("name", ["settlement.write", "settlement.post_fact"])
def test_a_settlement_write_whose_answer_is_lost_is_not_sent_again(name: str) -> None:
    world, names = populated()
    world.ledger.add_fault("lost_reply", times=2)
    with pytest.raises(RemoteUnavailable):
        CALLS[name](world.pac, names)
    assert len(world.seen) == 1


def test_a_new_call_takes_a_new_key_unless_one_is_given() -> None:
    world = World()
    for key in (None, None, "mine"):
        world.pac.balance.emit(delta(), idempotency_key=key)
    assert len(set(world.keys())) == 3
    assert world.keys()[2] == "mine"


def test_a_key_used_for_another_delta_is_a_conflict_at_once() -> None:
    world = World()
    world.pac.balance.emit(delta(), idempotency_key="mine")
    with pytest.raises(Conflict) as conflict:
        world.pac.balance.emit(delta(7), idempotency_key="mine")
    assert (conflict.value.code, conflict.value.status) == ("IDEMPOTENCY_CONFLICT", 409)
    assert len(world.seen) == 2


@pytest.mark.parametrize("status", [202, 409, 425, 429, 503])
def test_a_write_in_flight_is_waited_for_in_every_spelling(status: int) -> None:
    world = World({"in_flight": 4, "in_flight_status": status})
    assert world.pac.balance.emit(delta()).record_id
    assert len(set(world.keys())) == 1
    assert timedelta(seconds=4) <= world.clock.now() - NOW <= timedelta(seconds=8)
    assert world.pac.customers.get(CUSTOMER).total_deltas == 1


@pytest.mark.parametrize("status", [202, 409, 503])
def test_the_wait_for_a_write_in_flight_is_bounded(status: int) -> None:
    world = World({"in_flight": 3600, "in_flight_status": status})
    with pytest.raises(StillInFlight) as waiting:
        world.pac.balance.emit(delta())
    assert waiting.value.code == "IDEMPOTENCY_PENDING"
    assert waiting.value.retry_after == timedelta(hours=1)
    assert world.clock.now() - NOW <= timedelta(seconds=20)


# Waiting for verification


def test_verification_is_waited_for_up_to_a_limit() -> None:
    world = World({"verify_delay": 90})
    with pytest.raises(StillInFlight, match="PROCESSING"):
        world.pac.balance.emit_and_wait(delta(), timeout=timedelta(seconds=60))
    assert timedelta(seconds=55) < world.clock.now() - NOW <= timedelta(seconds=60)


def test_a_delta_that_failed_is_an_error_not_a_result() -> None:
    world = World({"verify_delay": 90})
    emitted = world.pac.balance.emit(delta())
    world.ledger.fail(emitted.record_id or "", "bad shape")
    with pytest.raises(DeltaFailed, match="bad shape"):
        world.pac.balance.wait_for_verified(emitted.record_id or "")
    assert world.pac.balance.delta(emitted.record_id or "").status is DeltaState.FAILED


# Refusals


@pytest.mark.parametrize(
    ("fault", "kind", "tries"),
    [
        ("402", PlanLimitReached, 1),
        ("412", NotProvisioned, 1),
        ("429", RateLimited, 3),
        ("cadence_limit", CadenceLimited, 1),
        ("500", RemoteUnavailable, 3),
        ("503", RemoteUnavailable, 3),
        ("html", UnexpectedAnswer, 1),
        ("wrong_shape", UnexpectedAnswer, 1),
        ("timeout", RemoteUnavailable, 3),
        ("connection_error", RemoteUnavailable, 3),
    ],
)
def test_every_refusal_has_its_type_and_a_hint(fault: str, kind: type[RemoteError], tries: int) -> None:
    world = World()
    world.ledger.add_fault(fault, seconds=1)
    with pytest.raises(RemoteError) as refused:
        world.pac.balance.emit(delta())
    assert type(refused.value) is kind
    assert refused.value.hint or kind is RateLimited
    assert len(world.seen) == tries
    assert len(set(world.keys())) == 1


def test_a_rate_or_cadence_limit_names_the_time_to_wait() -> None:
    world = World({"cadence": 3600, "verify_delay": 0})
    world.pac.balance.emit(delta())
    with pytest.raises(CadenceLimited) as cadence:
        world.pac.balance.emit(delta())
    assert (cadence.value.customer_id, cadence.value.retry_after) == (CUSTOMER, timedelta(hours=1))
    world.ledger.configure(cadence=None)
    for fault in ("429", "503"):
        world.ledger.add_fault(fault, times=1, seconds=30)
        with pytest.raises(RemoteUnavailable) as limited:
            world.pac.balance.emit(delta())
        assert limited.value.retry_after == timedelta(seconds=30)


def test_a_full_plan_and_a_missing_environment_have_their_errors() -> None:
    world = World()
    world.ledger.add_fault("plan_full")
    with pytest.raises(PlanLimitReached):
        world.pac.balance.emit(delta())
    world.ledger.add_fault("environment_missing")
    with pytest.raises(NotProvisioned):
        world.pac.balance.emit(delta())


@pytest.mark.parametrize(
    ("key", "kind"), [("pk_test_other.secret", KeyRefused), ("pk_live_other.secret", HostMismatch)]
)
def test_a_key_of_another_environment_is_a_host_mismatch(key: str, kind: type[RemoteError]) -> None:
    world = World()
    with pytest.raises(kind) as refused:
        client(world.transport, key).tenant.usage()
    assert "PACSPACE_API_KEY" in refused.value.hint
    assert "secret" not in f"{refused.value}{refused.value.hint}"


def test_a_refused_scope_has_its_error() -> None:
    world, _ = populated(max_scope_months=1)
    with pytest.raises(ScopeRefused) as wide:
        world.pac.balance.derive(CUSTOMER, type(WINDOW)(start=datetime(2025, 1, 1, tzinfo=UTC), end=WINDOW.end))
    assert wide.value.code == "SCOPE_TOO_WIDE"
    since: Any = Since(checkpoint="0xab")
    spans = (world.pac.balance.checkpoint, world.pac.balance.checkpoints, world.pac.proofs.receipt)
    for ask in (*spans, world.pac.proofs.invoice_proof):
        with pytest.raises(InvalidInput, match="span of time"):
            ask(CUSTOMER, since)


@pytest.mark.parametrize("rules", [{"unknown_root": "unverified"}, {"unknown_root": "not_found"}])
def test_an_unknown_root_is_not_verified(rules: dict[str, object]) -> None:
    shown = World(rules).pac.verify("0xab")
    assert (shown.verified, shown.record_count, shown.proof_root) == (False, None, "0xab")
    assert shown.message


@pytest.mark.parametrize(
    "ask",
    [
        lambda pac: pac.balance.derive("a b"),
        lambda pac: pac.balance.derive("a", limit=1001),
        lambda pac: pac.balance.derive("a", offset=-1),
        lambda pac: pac.balance.derive("a", starting_balance=0.1),
        lambda pac: pac.balance.derive("a", "2026-04"),
        lambda pac: pac.balance.derive("a", granularity="hour"),
        lambda pac: pac.verify("0xab", "moon"),
        lambda pac: pac.balance.compare("a", yours=Decimal("NaN"), theirs=1),
        lambda pac: pac.balance.compare("a", yours=1, theirs=0.5),
        lambda pac: pac.balance.emit_batch([]),
        lambda pac: pac.balance.emit_batch([delta()] * 101),
        lambda pac: pac.balance.emit(delta(), idempotency_key="a b"),
        lambda pac: pac.balance.emit(delta(metadata={"a": float("nan")})),
        lambda pac: pac.balance.emit(delta(metadata=deep(5000))),
        lambda pac: pac.balance.delta(""),
        lambda pac: pac.balance.delta(".."),
        lambda pac: pac.balance.checkpoint("a", fingerprints=[""]),
        lambda pac: pac.balance.checkpoints("a", limit=101),
        lambda pac: pac.verify(""),
        lambda pac: pac.customers.list(page=0),
        lambda pac: pac.customers.create("", dashboard_token="t"),
        lambda pac: pac.settlement.write([]),
        lambda pac: pac.settlement.bucket(""),
        lambda pac: pac.proofs.receipts("a", limit=0),
        lambda pac: pac.tenant.gaps("a", first=-1),
    ],
)
def test_values_that_pacspace_would_refuse_are_not_sent(ask: Callable[[PacSpace], object]) -> None:
    world = World()
    with pytest.raises(InvalidInput):
        ask(world.pac)
    assert world.seen == []


# On the wire


def test_numbers_are_exact_both_ways() -> None:
    world = World({"verify_delay": 0})
    amounts = [Decimal("0.1"), Decimal("0.2"), Decimal("-123456789.123456789012345678")]
    for amount in amounts:
        world.pac.balance.emit(delta(str(amount), metadata={"price": Decimal("0.10")}))
    assert b'"price":0.1' in world.seen[0].content
    derived = world.pac.balance.derive(CUSTOMER)
    assert derived.balance == Decimal("-123456788.823456789012345678")
    assert [each.amount for each in derived.deltas] == amounts


def test_every_field_of_a_delta_arrives() -> None:
    world = World()
    world.pac.balance.emit(delta(reference_id="r2", metadata={"a": {"b": [1]}}, adjusts_reference="r1"))
    assert json.loads(world.seen[0].content) == {
        "customerId": CUSTOMER,
        "delta": -42.5,
        "reason": "usage",
        "referenceId": "r2",
        "metadata": {"a": {"b": [1]}},
        "adjusts": {"referenceId": "r1"},
    }


def test_the_contract_is_named_when_there_are_several() -> None:
    world = World()
    pac = PacSpace(world.ledger.api_key, base_url=ADDRESS, transport=world.transport, credit_pool_id="7")
    pac.tenant.usage()
    pac.verify("0xab")
    assert [request.headers.get("X-Credit-Pool-Id") for request in world.seen] == ["7", None]


def test_a_transport_that_is_shared_stays_open() -> None:
    world = World()
    with world.pac:
        pass
    assert world.pac.tenant.usage().allowed is True


def test_the_package_exports_the_client() -> None:
    import pacspace_stripe  # noqa: PLC0415  # what is tested

    assert pacspace_stripe.PacSpace is PacSpace
    assert all(hasattr(pacspace_stripe, name) for name in pacspace_stripe.__all__)
    with pytest.raises(AttributeError):
        pacspace_stripe.Nothing  # noqa: B018  # what is tested


def test_public_requests_carry_no_key() -> None:
    world, names = populated()
    with PublicPacSpace(base_url=ADDRESS, transport=world.transport) as public:
        assert public.verify(names.root, Source.BOTH) == world.pac.verify(names.root, Source.BOTH)
    assert ["x-api-key" in request.headers for request in world.seen] == [False, False]
    with pytest.raises(InvalidInput, match="base URL"):
        PublicPacSpace(base_url="ftp://pacspace.test")
