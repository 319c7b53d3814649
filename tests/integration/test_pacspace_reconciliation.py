"""The gate's part of the client: each request as PacSpace documents it, each answer read exactly or refused."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from pacspace_stripe.errors import (
    CadenceLimited,
    LeaseLost,
    NotFound,
    NotProvisioned,
    PlanLimitReached,
    RateLimited,
    RemoteError,
    RemoteRefused,
    RemoteUnavailable,
    UnexpectedAnswer,
)
from pacspace_stripe.http.client import Transport
from pacspace_stripe.pacspace_api import CheckpointRoot, PacSpace, ProofLinks, ReconciliationApi
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator, Rules
from pacspace_stripe.vocabulary.ledger import Balance, Comparison, ProofSummary, Unsettled
from pacspace_stripe.vocabulary.windows import Window

WINDOW = Window(start=datetime(2026, 11, 1, 8, 30, 15, tzinfo=UTC), end=datetime(2026, 12, 1, 8, 30, 15, tzinfo=UTC))
BALANCE = "/api/v1/balance"
KEY = "pk_test_public.secret"


class World:
    """A simulated ledger, some time after the window's end."""

    def __init__(self, **rules: Any) -> None:  # noqa: ANN401  # the simulator's switches
        self.clock = ManualClock(WINDOW.end + timedelta(hours=2))
        self.ledger = PacSpaceSimulator(self.clock, rules=Rules().changed(rules))
        self.seen: list[httpx.Request] = []

        def watched(request: httpx.Request) -> httpx.Response:
            self.seen.append(request)
            return self.ledger(request)

        self.transport = transport(watched, self.clock)
        self.api = PacSpace(
            self.ledger.api_key, base_url="https://pacspace.test", transport=self.transport
        ).reconciliation

    def use(self, account: str = "acme", total: str = "1250.5") -> None:
        self.ledger.emit_daily_usage(account, WINDOW.start, WINDOW.end, total)

    def asked(self) -> list[str]:
        return [f"{request.method} {request.url.raw_path.decode().partition('?')[0]}" for request in self.seen]


def transport(handler: Callable[[httpx.Request], httpx.Response], clock: ManualClock | None = None) -> Transport:
    clock = clock or ManualClock(WINDOW.end)
    return Transport(
        httpx_transport=httpx.MockTransport(handler), clock=clock.now, sleep=clock.advance, random=lambda: 1.0
    )


@dataclass
class Replies:
    """A handler that gives the planned answers in order, the last one repeatedly."""

    planned: list[tuple[int, Any]]
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        status, body = self.planned[min(len(self.requests), len(self.planned) - 1)]
        self.requests.append(request)
        return httpx.Response(status, content=body if isinstance(body, bytes) else json.dumps(body).encode())


def api_over(*planned: tuple[int, Any], clock: ManualClock | None = None) -> tuple[ReconciliationApi, Replies]:
    replies = Replies(list(planned))
    return PacSpace(KEY, base_url="https://pacspace.test/", transport=transport(replies, clock)).reconciliation, replies


def good(**data: object) -> dict[str, object]:
    return {"success": True, "data": data}


# derive


def test_a_balance_is_derived_over_exactly_the_window() -> None:
    world = World()
    world.use()
    world.ledger.record("acme", -7, WINDOW.end)
    assert world.api.derive("acme", WINDOW) == Balance(
        account="acme", window=WINDOW, net=Decimal("-1250.5"), count=30, known=True
    )
    (request,) = world.seen
    assert dict(request.url.params) == {
        "timePreset": "custom",
        "startDate": "2026-11-01T08:30:15Z",
        "endDate": "2026-12-01T08:30:15Z",
        "limit": "1",
    }
    assert request.headers["X-Api-Key"] == world.ledger.api_key
    assert request.headers["User-Agent"].startswith("pacspace-stripe/")


@pytest.mark.parametrize("deltas", [["-0.1", "-0.2"], ["-123456789.012345", "-0.000001"], ["5", "-5"]])
def test_balances_are_exact(deltas: list[str]) -> None:
    world = World()
    for delta in deltas:
        world.ledger.record("acme", delta, WINDOW.start)
    assert world.api.derive("acme", WINDOW).net == sum(map(Decimal, deltas))


def test_an_unknown_account_has_a_balance_of_zero() -> None:
    assert World().api.derive("nobody", WINDOW) == Balance(
        account="nobody", window=WINDOW, net=Decimal(0), count=0, known=False
    )


def test_a_wrong_address_is_not_an_unknown_account() -> None:
    for body in (b"<html>404</html>", {"statusCode": 404, "error": "Not Found", "message": "Cannot GET /x"}, b""):
        api, _ = api_over((404, body))
        with pytest.raises(UnexpectedAnswer) as refused:
            api.derive("acme", WINDOW)
        assert "PACSPACE_API_BASE_URL" in refused.value.hint


@pytest.mark.parametrize("account", ["cus_1:api_calls", "a/b", "a b?c#d", "ünï", "a%2Fb"])
def test_an_account_is_one_path_segment_whatever_it_contains(account: str) -> None:
    api, replies = api_over((200, good(computedBalance=-5, deltasCount=1)))
    api.derive(account, WINDOW)
    raw = replies.requests[0].url.raw_path.decode().partition("?")[0]
    assert raw.count("/") == 5
    assert httpx.URL(raw.rpartition("/")[2]).path == account
    assert set(raw.rpartition("/")[2]) <= set("abcdefghijklmnopqrstuvwxyz_0123456789%ABCDEFGHIJKLMNOPQRSTUVWXYZ")


@pytest.mark.parametrize("account", ["", ".", ".."])
def test_an_account_that_would_change_the_path_is_refused(account: str) -> None:
    api, replies = api_over((200, good()))
    with pytest.raises(ValueError, match="an id is needed"):
        api.derive(account, WINDOW)
    assert replies.requests == []


@pytest.mark.parametrize(
    "body",
    [
        {"success": False, "data": {"computedBalance": 0, "deltasCount": 0}},
        {"success": True, "data": {}},
        {"success": True, "data": {"computedBalance": None, "deltasCount": None}},
        {"computedBalance": -5, "deltasCount": 1},
        b'{"success": true, "data": {"computedBalance": NaN, "deltasCount": 1}}',
        b'{"success": true, "data": {"computedBalance": 1e999999999, "deltasCount": 1}}',
        b"<!doctype html><title>Welcome</title>",
        b"",
        b"[]",
    ],
    ids=repr,
)
def test_a_200_that_is_no_balance_is_refused(body: object) -> None:
    api, _ = api_over((200, body))
    with pytest.raises(UnexpectedAnswer):
        api.derive("acme", WINDOW)


# compare


def test_compare_is_asked_with_the_exact_figures() -> None:
    world = World()
    world.use()
    yours, theirs = Decimal("-1250.500"), Decimal("-1250.4")
    assert world.api.compare("acme", WINDOW, yours=yours, theirs=theirs) == Comparison(
        your_balance=yours,
        their_balance=theirs,
        neutral_balance=Decimal("-1250.5"),
        matches_yours=True,
        matches_theirs=False,
    )
    assert json.loads(world.seen[0].content) == {
        "customerId": "acme",
        "yourBalance": -1250.5,
        "theirBalance": -1250.4,
        "startingBalance": 0,
        "timePreset": "custom",
        "startDate": "2026-11-01T08:30:15Z",
        "endDate": "2026-12-01T08:30:15Z",
    }


@pytest.mark.parametrize(
    ("figure", "written"),
    [
        ("0.1", "0.1"),
        ("-123456789012345.678", "-123456789012345.678"),
        ("1E+3", "1000"),
        ("0E-9", "0"),
        ("1E-9", "0.000000001"),
    ],
)
def test_balances_are_sent_with_exactly_their_digits(figure: str, written: str) -> None:
    api, replies = api_over((201, good(matchesYours=True)))
    api.compare("acme", WINDOW, yours=Decimal(figure), theirs=Decimal(0))
    assert f'"yourBalance":{written},' in replies.requests[0].content.decode()


def test_quotes_in_an_account_stay_inside_their_string() -> None:
    api, replies = api_over((201, good(matchesYours=True)))
    api.compare('a"b\\cü', WINDOW, yours=Decimal(1), theirs=Decimal(1))
    assert json.loads(replies.requests[0].content)["customerId"] == 'a"b\\cü'


# checkpoint, find_checkpoint, invoice_proof, verify


def test_a_checkpoint_leads_to_its_public_proof() -> None:
    world = World()
    world.use()
    made = world.api.checkpoint("acme", WINDOW, idempotency_key="key-1")
    assert made.proof_root is not None
    assert world.seen[0].headers["Idempotency-Key"] == "key-1"
    assert world.api.find_checkpoint("acme", WINDOW, made.checkpoint_id) == made
    assert world.api.verify(made.proof_root) == ProofSummary(
        proof_root=made.proof_root, verified=True, record_count=30, net_change=Decimal("-1250.5")
    )
    proof = world.api.invoice_proof("acme", WINDOW)
    assert proof.proof_root == made.proof_root
    assert (proof.verify_url or "").endswith(made.proof_root)


def test_the_same_key_gives_the_same_checkpoint() -> None:
    world = World()
    world.use()
    first = world.api.checkpoint("acme", WINDOW, idempotency_key="key-1")
    assert world.api.checkpoint("acme", WINDOW, idempotency_key="key-1") == first


def test_a_lost_answer_makes_no_second_checkpoint() -> None:
    world = World()
    world.use()
    world.ledger.add_fault("lost_reply", endpoint=f"POST {BALANCE}/checkpoint", times=1)
    world.api.checkpoint("acme", WINDOW, idempotency_key="key-1")
    assert len(world.seen) == 2
    assert len(world.ledger.checkpoints()) == 1


def test_a_root_may_come_later() -> None:
    world = World(checkpoint_delay=30)
    world.use()
    made = world.api.checkpoint("acme", WINDOW, idempotency_key="key-1")
    assert made.proof_root is None
    assert world.api.find_checkpoint("acme", WINDOW, made.checkpoint_id) == made
    assert world.api.invoice_proof("acme", WINDOW).proof_root is None
    world.clock.advance(31)
    found = world.api.find_checkpoint("acme", WINDOW, made.checkpoint_id)
    assert found is not None
    assert found.proof_root


def test_a_checkpoint_that_is_not_listed_is_none() -> None:
    world = World()
    world.use()
    assert world.api.find_checkpoint("acme", WINDOW, "chk_unknown") is None


def test_a_checkpoint_is_searched_for_on_every_page() -> None:
    rows = [{"checkpointId": f"chk_{number}", "proofRoot": "0xab"} for number in range(150)]
    api, replies = api_over(
        (200, good(checkpoints=rows[:100], pagination={"total": 150})),
        (200, good(checkpoints=rows[100:], pagination={"total": 150})),
    )
    assert api.find_checkpoint("acme", WINDOW, "chk_149") == CheckpointRoot(checkpoint_id="chk_149", proof_root="0xab")
    assert [request.url.params["offset"] for request in replies.requests] == ["0", "100"]
    api, _ = api_over(
        (200, good(checkpoints=rows[:100], pagination={"total": 150})),
        (200, good(checkpoints=rows[100:], pagination={"total": 150})),
    )
    assert api.find_checkpoint("acme", WINDOW, "chk_999") is None


def test_a_list_of_checkpoints_that_repeats_a_page_is_refused() -> None:
    api, replies = api_over((200, good(checkpoints=[{"checkpointId": "chk_0"}], total=10**6)))
    with pytest.raises(UnexpectedAnswer, match="page before"):
        api.find_checkpoint("acme", WINDOW, "chk_1")
    assert len(replies.requests) == 2


def test_a_pending_checkpoint_is_waited_for() -> None:
    world = World()
    world.use()
    world.ledger.add_fault("idempotency_pending", times=2, seconds=3)
    before = world.clock.now()
    assert world.api.checkpoint("acme", WINDOW, idempotency_key="key-1").proof_root
    assert {request.headers["Idempotency-Key"] for request in world.seen} == {"key-1"}
    assert world.clock.now() - before == timedelta(seconds=6)


@pytest.mark.parametrize("wish", [0, None, 3, 3600])
def test_the_wait_for_a_pending_checkpoint_is_bounded(wish: int | None) -> None:
    clock = ManualClock(WINDOW.end)
    pending = (202, {"code": "IDEMPOTENCY_PENDING", "retryAfterSeconds": wish, "message": "in progress"})
    api, replies = api_over(pending, clock=clock)
    with pytest.raises(RemoteUnavailable, match="still being made") as waiting:
        api.checkpoint("acme", WINDOW, idempotency_key="key-1")
    assert waiting.value.code == "IDEMPOTENCY_PENDING"
    assert clock.now() - WINDOW.end <= timedelta(seconds=20)
    assert len(replies.requests) <= 201


def test_a_checkpoint_that_pacspace_could_not_make_is_an_error() -> None:
    api, _ = api_over((201, good(checkpointId="chk_1", status="FAILED", proofRoot="0xab")))
    with pytest.raises(RemoteRefused) as refused:
        api.checkpoint("acme", WINDOW, idempotency_key="key-1")
    assert refused.value.code == "CHECKPOINT_FAILED"


def test_a_key_used_for_another_window_is_refused() -> None:
    world = World()
    world.use()
    world.api.checkpoint("acme", WINDOW, idempotency_key="key-1")
    with pytest.raises(RemoteRefused) as refused:
        world.api.checkpoint(
            "acme", Window(start=WINDOW.start, end=WINDOW.start + timedelta(days=1)), idempotency_key="key-1"
        )
    assert refused.value.code == "IDEMPOTENCY_CONFLICT"


def test_the_verify_link_is_the_shared_record_where_there_is_one_and_its_access_hint_is_left_alone() -> None:
    world = World(shared_record=True)
    world.use()
    world.api.checkpoint("acme", WINDOW, idempotency_key="key-1")
    proof = world.api.invoice_proof("acme", WINDOW)
    assert "/c/cus_" in (proof.verify_url or "")
    assert set(ProofLinks.model_fields) == {"proof_root", "verify_url", "verification_api_url"}


@pytest.mark.parametrize("account", ["nobody", "acme"])
def test_without_a_checkpoint_there_is_no_proof(account: str) -> None:
    world = World()
    world.use()
    assert world.api.invoice_proof(account, WINDOW) == ProofLinks()


def test_public_verify_needs_and_sends_no_key() -> None:
    world = World()
    world.api.verify("0xab")
    assert "X-Api-Key" not in world.seen[0].headers
    assert world.ledger.api_key not in str(world.seen[0].headers)


def test_the_public_address_of_a_root_is_where_it_is_asked_about() -> None:
    api, replies = api_over((200, {"verified": True}))
    api.verify("0xab/c")
    assert (
        api.verify_address("0xab/c") == str(replies.requests[0].url) == "https://pacspace.test/api/v1/verify/0xab%2Fc"
    )


@pytest.mark.parametrize("answer", ["unverified", "not_found"])
def test_an_unknown_root_is_not_verified(answer: str) -> None:
    found = World(unknown_root=answer).api.verify("0xab")
    assert found == ProofSummary(
        proof_root="0xab", verified=False, record_count=None, net_change=None, unknown=answer == "not_found"
    )
    assert found.denied is (answer == "not_found")


def test_verify_may_come_without_envelope_and_summary() -> None:
    world = World(verify_summary=False)
    world.use()
    root = world.api.checkpoint("acme", WINDOW, idempotency_key="key-1").proof_root or ""
    assert world.api.verify(root) == ProofSummary(proof_root=root, verified=True, record_count=None, net_change=None)


@pytest.mark.parametrize(
    "body",
    [{"success": False, "verified": True}, {"verified": "yes"}, {}, {"verified": True, "proofRoot": "0xcd"}, b"<html>"],
)
def test_any_other_answer_does_not_count_as_verified(body: object) -> None:
    api, _ = api_over((200, body))
    with pytest.raises(UnexpectedAnswer):
        api.verify("0xab")


# unsettled


def test_deltas_that_are_not_verified_yet_are_unsettled() -> None:
    world = World()
    world.use()
    assert world.api.unsettled("acme", WINDOW) == Unsettled(unverified=0, gaps=0)
    world.ledger.record("acme", -1, WINDOW.end - timedelta(seconds=1), verified=False)
    world.ledger.record("acme", -1, WINDOW.end, verified=False)
    failed = world.ledger.record("acme", -1, WINDOW.start, verified=False)
    world.ledger.fail(failed)
    assert world.api.unsettled("acme", WINDOW) == Unsettled(unverified=1, gaps=0)
    world.ledger.verify_all("acme")
    assert world.api.unsettled("acme", WINDOW) == Unsettled(unverified=0, gaps=0)


def test_gaps_are_unsettled() -> None:
    world = World()
    world.use()
    world.ledger.inject_gap("acme", 3)
    world.ledger.record("acme", -1, WINDOW.end)
    assert world.api.unsettled("acme", WINDOW) == Unsettled(unverified=0, gaps=1)


def test_every_page_of_recent_activity_is_read() -> None:
    world = World()
    for _ in range(250):
        world.ledger.record("acme", -1, WINDOW.start, verified=False)
    assert world.api.unsettled("acme", WINDOW).unverified == 250
    assert world.asked() == [f"GET {BALANCE}/customers/acme"] * 3 + [f"GET {BALANCE}/gaps/acme"]


def test_an_unverified_record_is_found_behind_a_thousand_others() -> None:
    world = World()
    world.ledger.record("acme", -1, WINDOW.start, verified=False)
    for _ in range(1100):
        world.ledger.record("acme", -1, WINDOW.start + timedelta(seconds=1))
    assert world.api.unsettled("acme", WINDOW) == Unsettled(unverified=1, gaps=0)


def test_records_from_before_the_window_are_not_paged_through() -> None:
    world = World()
    for second in range(500):
        world.ledger.record("acme", -1, WINDOW.start - timedelta(days=2, seconds=second))
    world.ledger.record("acme", -1, WINDOW.start, verified=False)
    assert world.api.unsettled("acme", WINDOW).unverified == 1
    assert world.asked().count(f"GET {BALANCE}/customers/acme") == 2


def row(at: str, status: str = "verified") -> dict[str, str]:
    return {"status": status, "time": f"{at}T00:00:00.000Z"}


def test_rows_in_another_order_are_read_to_their_end() -> None:
    old, new = [row("2026-09-01")] * 100, [row("2026-11-30", "queued")]
    pages = [(200, good(recentActivity={"items": each, "pagination": {"total": 101}})) for each in (old, new)]
    api, _ = api_over(*pages, (200, good(gaps=[])))
    assert api.unsettled("acme", WINDOW).unverified == 1


def test_a_list_that_names_no_number_of_rows_is_read_to_a_page_that_is_not_full() -> None:
    full, rest = [row("2026-11-30")] * 100, [row("2026-11-29", "queued")]
    pages = [(200, good(recentActivity={"items": each})) for each in (full, rest)]
    api, _ = api_over(*pages, (200, good(gaps=[])))
    assert api.unsettled("acme", WINDOW).unverified == 1
    rows = [{"checkpointId": f"chk_{number}", "proofRoot": "0xab"} for number in range(150)]
    api, _ = api_over((200, good(checkpoints=rows[:100])), (200, good(checkpoints=rows[100:])))
    assert api.find_checkpoint("acme", WINDOW, "chk_149") is not None


def test_activity_that_repeats_a_page_is_refused_and_not_taken_for_settled() -> None:
    rows = [{"status": "verified", "time": "2026-11-02T00:00:00.000Z"}]
    activity = (200, good(recentActivity={"items": rows, "pagination": {"total": 10**6}}))
    api, replies = api_over(*[activity] * 10, (200, good(gaps=[])))
    with pytest.raises(UnexpectedAnswer, match="page before"):
        api.unsettled("acme", WINDOW)
    assert len(replies.requests) == 2


def test_an_unknown_account_has_nothing_to_settle() -> None:
    world = World()
    assert world.api.unsettled("nobody", WINDOW) == Unsettled(unverified=0, gaps=0)
    assert len(world.seen) == 1


@pytest.mark.parametrize(
    "data", [{}, {"recentActivity": None}, {"recentActivity": {"items": [{}]}}, {"recentActivity": {"items": None}}]
)
def test_activity_that_cannot_be_read_is_not_taken_for_settled(data: object) -> None:
    api, _ = api_over((200, {"success": True, "data": data}))
    with pytest.raises(UnexpectedAnswer):
        api.unsettled("acme", WINDOW)


# Trouble


def every_call(api: ReconciliationApi) -> list[Callable[[], object]]:
    return [
        lambda: api.derive("acme", WINDOW),
        lambda: api.compare("acme", WINDOW, yours=Decimal(1), theirs=Decimal(1)),
        lambda: api.checkpoint("acme", WINDOW, idempotency_key="key-1"),
        lambda: api.find_checkpoint("acme", WINDOW, "chk_1"),
        lambda: api.invoice_proof("acme", WINDOW),
        lambda: api.verify("0xab"),
        lambda: api.unsettled("acme", WINDOW),
    ]


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ("500", RemoteUnavailable, "INTERNAL_ERROR"),
        ("502", RemoteUnavailable, None),
        ("503", RemoteUnavailable, "SERVICE_UNAVAILABLE"),
        ("429", RateLimited, "RATE_LIMITED"),
        ("cadence_limit", CadenceLimited, "CADENCE_LIMIT"),
        ("402", PlanLimitReached, "INSUFFICIENT_CREDITS"),
        ("412", NotProvisioned, "CONTRACT_NOT_DEPLOYED"),
        ("timeout", RemoteUnavailable, None),
        ("connection_error", RemoteUnavailable, None),
        ("html", UnexpectedAnswer, None),
        ("wrong_shape", UnexpectedAnswer, None),
    ],
)
def test_every_call_raises_the_error_of_every_failure(fault: str, kind: type[RemoteError], code: str | None) -> None:
    world = World()
    world.use()
    world.ledger.add_fault(fault, endpoint="*")
    for ask in every_call(world.api):
        with pytest.raises(RemoteError) as trouble:
            ask()
        assert (type(trouble.value), trouble.value.code, trouble.value.service) == (kind, code, "PacSpace")


@pytest.mark.parametrize("fault", ["500", "503", "429", "timeout", "connection_error", "lost_reply"])
def test_a_failure_that_passes_is_retried(fault: str) -> None:
    world = World()
    world.use()
    world.ledger.add_fault(fault, times=2)
    assert world.api.checkpoint("acme", WINDOW, idempotency_key="key-1").proof_root
    assert len({(request.content, request.headers["Idempotency-Key"]) for request in world.seen}) == 1


@pytest.mark.parametrize(
    ("key", "code", "hint"),
    [
        ("pk_test_wrong.secret", "INVALID_API_KEY", "PACSPACE_API_KEY"),
        ("pk_live_public.secret", "API_KEY_ENVIRONMENT_HOST_MISMATCH", "PACSPACE_API_BASE_URL"),
    ],
)
def test_a_wrong_key_says_what_to_do(key: str, code: str, hint: str) -> None:
    world = World()
    with pytest.raises(RemoteRefused) as refused:
        PacSpace(key, base_url="https://pacspace.test", transport=world.transport).reconciliation.derive("acme", WINDOW)
    assert refused.value.code == code
    assert hint in refused.value.hint
    assert key not in f"{refused.value}{refused.value.hint}"


WIDE = Window(start=datetime(2026, 1, 1, tzinfo=UTC), end=WINDOW.end)


@pytest.mark.parametrize(
    "ask",
    [
        lambda api: api.compare("acme", WIDE, yours=Decimal(0), theirs=Decimal(0)),
        lambda api: api.checkpoint("acme", WIDE, idempotency_key="key-1"),
        lambda api: api.page_of_deltas("acme", WIDE),
    ],
)
def test_a_window_that_is_too_wide_is_refused_with_pacspaces_code(ask: Callable[[ReconciliationApi], object]) -> None:
    world = World(max_scope_months=1)
    with pytest.raises(RemoteRefused) as refused:
        ask(world.api)
    assert (refused.value.code, refused.value.status) == ("SCOPE_TOO_WIDE", 400)


@pytest.mark.parametrize("months", [1, 2, 5, 12])
def test_the_balance_of_a_window_that_is_too_wide_is_that_of_its_parts(months: int) -> None:
    year = Window(start=WINDOW.end - timedelta(days=365), end=WINDOW.end)
    whole, limited = World(), World(max_scope_months=months)
    for world in (whole, limited):
        for day in range(0, 365, 7):
            world.ledger.record("acme", -day - 1, year.start + timedelta(days=day))
    assert limited.api.derive("acme", year) == whole.api.derive("acme", year)
    assert limited.api.derive("nobody", year) == whole.api.derive("nobody", year)


def test_a_day_that_is_too_wide_is_refused_and_not_halved() -> None:
    world = World(max_scope_months=0)
    with pytest.raises(RemoteRefused):
        world.api.derive("acme", Window(start=WINDOW.start, end=WINDOW.start + timedelta(days=1)))


def test_an_unknown_account_can_be_neither_compared_nor_checkpointed() -> None:
    api = World().api
    with pytest.raises(NotFound):
        api.compare("nobody", WINDOW, yours=Decimal(0), theirs=Decimal(0))
    with pytest.raises(NotFound):
        api.checkpoint("nobody", WINDOW, idempotency_key="key-1")


def test_no_write_leaves_without_the_lease() -> None:
    world = World()
    world.use()

    def lost() -> None:
        message = "the lease is gone"
        raise LeaseLost(message)

    with world.transport.guarded(lost):
        world.api.derive("acme", WINDOW)
        with pytest.raises(LeaseLost):
            world.api.checkpoint("acme", WINDOW, idempotency_key="key-1")
    assert world.asked() == [f"GET {BALANCE}/derive/acme"]


def test_the_log_has_no_account_no_body_and_no_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world = World()
    world.use("private-account")
    for ask in (world.api.derive, world.api.unsettled, world.api.invoice_proof):
        ask("private-account", WINDOW)
    assert f"PacSpace GET {BALANCE}/derive/{{id}}: 200" in caplog.text
    for private in ("private-account", world.ledger.api_key, "1250"):
        assert private not in caplog.text
