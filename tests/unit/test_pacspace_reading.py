"""PacSpace's answers → our values, in every documented spelling; and what is never believed."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from pacspace_stripe.errors import (
    Conflict,
    HostMismatch,
    KeyRefused,
    NotFound,
    NotProvisioned,
    PlanLimitReached,
    RemoteError,
    RemoteRefused,
    RemoteUnavailable,
    ScopeRefused,
    UnexpectedAnswer,
)
from pacspace_stripe.http.calls import Answer
from pacspace_stripe.pacspace_api.balance import comparison_of
from pacspace_stripe.pacspace_api.failures import pacspace_failure
from pacspace_stripe.pacspace_api.http import data_of, is_pending
from pacspace_stripe.pacspace_api.models import DeltaFigures, GapFigures
from pacspace_stripe.pacspace_api.parsing import read, total_of
from pacspace_stripe.pacspace_api.proofs import summary_of
from pacspace_stripe.pacspace_api.reconciliation import balance_of, checkpoint_of, links_of
from pacspace_stripe.vocabulary.ledger import Balance, Checkpoint, InvoiceProof, ProofSummary
from pacspace_stripe.vocabulary.windows import Window

WINDOW = Window(start=datetime(2026, 11, 1, tzinfo=UTC), end=datetime(2026, 12, 1, tzinfo=UTC))
YOURS, THEIRS = Decimal(-5), Decimal(-6)


def answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status=status, headers=httpx.Headers(headers or {}), body=content)


@pytest.mark.parametrize(
    "body",
    [
        {"success": True, "data": {"a": 1}},
        {"success": True, "data": {"a": 1}, "message": "ok"},
        {"statusCode": 200, "data": {"a": 1}},
        {"statusCode": 201, "data": {"a": 1}},
    ],
)
def test_both_envelopes_are_opened(body: object) -> None:
    assert data_of("derive", answer(body)) == {"a": 1}


def test_only_where_documented_there_may_be_no_envelope() -> None:
    assert data_of("verify", answer({"verified": True}), bare=True) == {"verified": True}
    with pytest.raises(UnexpectedAnswer, match="derive: success is missing"):
        data_of("derive", answer({"computedBalance": -5, "deltasCount": 1}))


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize(
    "body",
    [
        {"success": False, "data": {"verified": True, "computedBalance": 0, "deltasCount": 0}},
        {"success": False, "error": {"code": "SCOPE_TOO_WIDE", "message": "too wide"}},
        {"success": None, "data": {}},
        {"success": "true", "data": {}},
        {"success": True},
        {"success": True, "data": None},
        {"success": True, "data": []},
        {"statusCode": 500, "data": {}},
        {"statusCode": "200", "data": {}},
        {"statusCode": 200},
        {"data": {"verified": True}},
        [],
        None,
        "ok",
        b"<html>hello</html>",
        b"",
        b'{"success": true, "data": {"a": NaN}}',
    ],
)
def test_no_other_200_is_agreement(body: object, bare: bool) -> None:  # noqa: FBT001
    with pytest.raises(UnexpectedAnswer):
        data_of("verify", answer(body), bare=bare)


def test_a_200_without_success_keeps_the_code() -> None:
    body = {"success": False, "error": {"code": "SCOPE_TOO_WIDE", "message": "too wide"}}
    with pytest.raises(UnexpectedAnswer, match="success=false, SCOPE_TOO_WIDE, too wide") as refused:
        data_of("derive", answer(body, headers={"x-request-id": "req_7"}))
    assert (refused.value.code, refused.value.request_id, refused.value.status) == ("SCOPE_TOO_WIDE", "req_7", 200)


@pytest.mark.parametrize(
    ("data", "net", "count"),
    [
        ({"computedBalance": -575, "deltasCount": 5}, Decimal(-575), 5),
        ({"computedBalance": Decimal("-0.1"), "deltaCount": 1}, Decimal("-0.1"), 1),
        ({"computedBalance": 0, "deltaCount": 0, "deltasCount": 0, "deltas": []}, Decimal(0), 0),
        ({"computedBalance": "-12.5", "deltasCount": 2, "customerId": "acme"}, Decimal("-12.5"), 2),
    ],
)
def test_balances_in_every_spelling(data: Mapping[str, object], net: Decimal, count: int) -> None:
    assert balance_of(data, "acme", WINDOW) == Balance(account="acme", window=WINDOW, net=net, count=count)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({}, "deltasCount is missing"),
        ({"computedBalance": -5}, "deltasCount is missing"),
        ({"deltasCount": 5}, "computedBalance is missing"),
        ({"computedBalance": None, "deltasCount": 5}, "computedBalance is null"),
        ({"computedBalance": True, "deltasCount": 5}, "computedBalance"),
        ({"computedBalance": Decimal("1e999999"), "deltasCount": 5}, "computedBalance"),
        ({"computedBalance": [], "deltasCount": 5}, "computedBalance"),
        ({"computedBalance": -5, "deltasCount": "5"}, "deltasCount"),
        ({"computedBalance": -5, "deltasCount": Decimal("5.0")}, "deltasCount"),
        ({"computedBalance": -5, "deltasCount": -1}, "deltasCount is negative"),
        ({"computedBalance": -5, "deltasCount": 5, "deltaCount": 6}, "deltasCount/deltaCount contradict"),
        ({"computedBalance": -5, "deltasCount": 5, "customerId": "other"}, "customerId is not the one"),
    ],
)
def test_no_other_balance_is_believed(data: Mapping[str, object], named: str) -> None:
    with pytest.raises(UnexpectedAnswer, match=named):
        balance_of(data, "acme", WINDOW)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"matchesYours": True, "matchesTheirs": False, "neutralBalance": -5}, (Decimal(-5), True, False)),
        ({"matchesYours": True, "matchesTheirs": True}, (None, True, True)),
        ({"neutralBalance": Decimal("-5.25"), "discrepancy": 1}, (Decimal("-5.25"), None, None)),
    ],
)
def test_comparisons_are_kept_as_given(data: Mapping[str, object], expected: tuple[object, ...]) -> None:
    found = comparison_of(data, yours=YOURS, theirs=THEIRS)
    assert (found.neutral_balance, found.matches_yours, found.matches_theirs) == expected
    assert (found.your_balance, found.their_balance) == (Decimal(-5), Decimal(-6))


@pytest.mark.parametrize(
    "data", [{}, {"matchesYours": None}, {"matchesYours": "true"}, {"matchesYours": 1}, {"neutralBalance": "five"}]
)
def test_no_other_comparison_is_believed(data: Mapping[str, object]) -> None:
    with pytest.raises(UnexpectedAnswer):
        comparison_of(data, yours=YOURS, theirs=THEIRS)


@pytest.mark.parametrize(
    ("data", "root"),
    [
        ({"status": "QUEUED"}, None),
        ({"proofRoot": None}, None),
        ({"proofRoot": "0xab"}, "0xab"),
        ({"merkleRoot": "0xab"}, "0xab"),
        ({"itemsRoot": "0xab"}, "0xab"),
        ({"proofRoot": "0xab", "merkleRoot": "0xab", "status": "VERIFIED"}, "0xab"),
    ],
)
def test_checkpoints_in_every_spelling(data: dict[str, object], root: str | None) -> None:
    found = checkpoint_of({"checkpointId": "chk_1", **data}, "acme")
    assert found == Checkpoint(checkpoint_id="chk_1", proof_root=root)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"checkpointId": None},
        {"checkpointId": 5},
        {"checkpointId": "chk 1"},
        {"checkpointId": "chk_1", "proofRoot": ""},
        {"checkpointId": "chk_1", "proofRoot": 5},
        {"checkpointId": "chk_1", "proofRoot": "0xab\nVerified by us"},
        {"checkpointId": "chk_1", "proofRoot": "0x" + "a" * 500},
        {"checkpointId": "chk_1", "proofRoot": "0xab", "merkleRoot": "0xcd"},
        {"checkpointId": "chk_1", "customerId": "other"},
    ],
)
def test_no_other_checkpoint_is_believed(data: Mapping[str, object]) -> None:
    with pytest.raises(UnexpectedAnswer):
        checkpoint_of(data, "acme")


def test_an_invoice_proof_is_read_without_its_access_hint() -> None:
    data = {
        "customerId": "cust_1",
        "period": "2026-04",
        "proofRoot": "0xproof",
        "verificationApiUrl": "https://app.pacspace.io/api/v1/verify/0xproof",
        "verifyUrl": "https://customer-links.pacspace.io/c/cus_abc123",
        "accessHint": "A1B2C3",
        "customerLinkUrl": "https://customer-links.pacspace.io/c/cus_abc123",
    }
    found = links_of(data, "cust_1")
    assert found == InvoiceProof(
        proof_root="0xproof",
        verify_url="https://customer-links.pacspace.io/c/cus_abc123",
        verification_api_url="https://app.pacspace.io/api/v1/verify/0xproof",
    )
    assert "A1B2C3" not in repr(found)


def test_all_but_the_root_may_be_absent() -> None:
    assert links_of({"proofRoot": "0xab"}, "acme") == InvoiceProof(
        proof_root="0xab", verify_url=None, verification_api_url=None
    )


def test_a_proof_of_nothing_is_not_believed() -> None:
    with pytest.raises(UnexpectedAnswer, match="proofRoot is missing"):
        links_of({"verifyUrl": "https://app.pacspace.io/x"}, "acme")


@pytest.mark.parametrize(
    "url",
    ["", "javascript:alert(1)", "app.pacspace.io/x", "https://a b", "https://ü", "https://a/\n", 5],
)
def test_what_is_no_web_address_is_not_passed_on(url: object) -> None:
    with pytest.raises(UnexpectedAnswer, match="verifyUrl"):
        links_of({"proofRoot": "0xab", "verifyUrl": url}, "acme")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"verified": True, "proofRoot": "0xAB", "message": "ok"}, (True, None, None)),
        ({"verified": False, "proofRoot": "0xab", "message": "chain unavailable"}, (False, None, None)),
        ({"verified": True, "summary": {"recordCount": 42, "netChange": -6300}}, (True, 42, Decimal(-6300))),
        ({"verified": True, "summary": {}}, (True, None, None)),
        ({"verified": True, "summary": None}, (True, None, None)),
    ],
)
def test_public_verify_in_every_spelling(
    data: Mapping[str, object], expected: tuple[bool, int | None, Decimal | None]
) -> None:
    verified, count, net = expected
    assert summary_of(data, "0xab") == ProofSummary(
        proof_root="0xab", verified=verified, record_count=count, net_change=net
    )


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"verified": None},
        {"verified": "true"},
        {"verified": 1},
        {"status": "verified"},
        {"verified": True, "proofRoot": "0xcd"},
        {"verified": True, "summary": {"recordCount": "42"}},
        {"verified": True, "summary": {"netChange": "much"}},
        {"verified": True, "summary": 5},
    ],
)
def test_nothing_else_counts_as_verified(data: Mapping[str, object]) -> None:
    with pytest.raises(UnexpectedAnswer):
        summary_of(data, "0xab")


@pytest.mark.parametrize(
    ("item", "unsettled"),
    [
        ({"status": "verified", "time": "2026-11-02T00:00:00Z"}, False),
        ({"status": "VERIFIED", "time": None}, False),
        ({"status": "failed", "time": "2026-11-02T00:00:00Z"}, False),
        ({"status": "queued", "time": "2026-11-02T00:00:00.000Z"}, True),
        ({"status": "PROCESSING", "time": "2026-11-30T23:59:59.999Z"}, True),
        ({"status": "something new", "time": "2026-11-02T00:00:00Z"}, True),
        ({"status": "queued", "time": "2026-10-02T00:00:00Z"}, False),
        ({"status": "queued", "time": "2026-12-01T00:00:00Z"}, False),
        ({"status": "queued", "time": "2026-12-01T01:00:00+02:00"}, True),
        ({"status": "queued", "time": "2026-11-30T23:00:00"}, True),
        ({"status": "queued"}, True),
    ],
)
def test_what_may_still_change_a_balance(item: object, unsettled: bool) -> None:  # noqa: FBT001
    assert read(DeltaFigures, "row", item).may_still_count(WINDOW.start, WINDOW.end) is unsettled


@pytest.mark.parametrize("item", [{}, {"status": None}, {"status": "queued", "time": "yesterday"}, {"status": 5}])
def test_activity_that_cannot_be_read_is_unexpected(item: object) -> None:
    with pytest.raises(UnexpectedAnswer):
        read(DeltaFigures, "row", item).may_still_count(WINDOW.start, WINDOW.end)


@pytest.mark.parametrize(
    ("data", "gaps"),
    [
        ({"gaps": []}, 0),
        ({"gaps": [{"fromSequence": "3", "toSequence": "4"}]}, 1),
        ({"totalGaps": 2, "gaps": [{}]}, 2),
        ({"missing": ["3", "4"]}, 2),
        ({"missingSequences": []}, 0),
    ],
)
def test_gaps_in_the_shapes_we_know(data: Mapping[str, object], gaps: int) -> None:
    assert read(GapFigures, "gaps", data).count == gaps


@pytest.mark.parametrize(
    "data",
    [
        *({}, {"complete": True}, {"gaps": None}, {"gaps": 3}, {"totalGaps": "2"}),
        *({"totalGaps": 0, "gaps": [{}]}, {"missingCount": 0, "missing": [3]}, {"totalGaps": 0, "hasGaps": True}),
    ],
)
def test_gaps_in_another_shape_are_unexpected(data: Mapping[str, object]) -> None:
    with pytest.raises(UnexpectedAnswer):
        read(GapFigures, "gaps", data)


@pytest.mark.parametrize(
    ("listing", "total"), [({"pagination": {"total": 7}}, 7), ({"total": 8}, 8), ({"pagination": {}}, 5), ({}, 5)]
)
def test_how_many_rows_there_are_in_all(listing: object, total: int) -> None:
    assert total_of(listing, unnamed=5) == total


@pytest.mark.parametrize(
    ("body", "pending"),
    [
        ({"code": "IDEMPOTENCY_PENDING", "retryAfterSeconds": 1, "message": "m"}, True),
        ({"error": {"code": "IDEMPOTENCY_PENDING"}}, True),
        ({"success": True, "data": {"checkpointId": "chk_1"}}, False),
    ],
)
def test_pending_in_both_spellings(body: object, pending: bool) -> None:  # noqa: FBT001
    assert is_pending(answer(body, 202)) is pending


@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "hint"),
    [
        (400, {"error": {"code": "SCOPE_TOO_WIDE", "message": "m"}}, ScopeRefused, "SCOPE_TOO_WIDE", "one scope"),
        (400, {"message": ["a", "b"]}, RemoteRefused, "API_ERROR", ""),
        (400, b"<html>", UnexpectedAnswer, "API_ERROR", "PACSPACE_API_BASE_URL"),
        (401, {"message": "Unauthorized"}, KeyRefused, "INVALID_API_KEY", "PACSPACE_API_KEY"),
        (401, b"", KeyRefused, "INVALID_API_KEY", "PACSPACE_API_KEY"),
        (
            402,
            {"error": {"code": "INSUFFICIENT_CREDITS"}},
            PlanLimitReached,
            "INSUFFICIENT_CREDITS",
            "PACSPACE_API_KEY",
        ),
        (
            403,
            {"error": {"code": "API_KEY_ENVIRONMENT_HOST_MISMATCH", "message": "m"}},
            HostMismatch,
            "API_KEY_ENVIRONMENT_HOST_MISMATCH",
            "PACSPACE_API_BASE_URL",
        ),
        (404, {"error": {"code": "CUSTOMER_NOT_FOUND", "message": "m"}}, NotFound, "CUSTOMER_NOT_FOUND", ""),
        (404, {"statusCode": 404, "error": "Not Found", "message": "No record found"}, NotFound, "API_ERROR", ""),
        (
            404,
            {"statusCode": 404, "error": "Not Found", "message": "Cannot GET /api/v1/balance/derive/x"},
            UnexpectedAnswer,
            "API_ERROR",
            "PACSPACE_API_BASE_URL",
        ),
        (
            404,
            {"error": {"code": "TENANT_SUSPENDED", "message": "m"}},
            UnexpectedAnswer,
            "TENANT_SUSPENDED",
            "PACSPACE",
        ),
        (404, b"<html>404</html>", UnexpectedAnswer, "API_ERROR", "PACSPACE_API_BASE_URL"),
        (404, b"", UnexpectedAnswer, "API_ERROR", "PACSPACE_API_BASE_URL"),
        (404, {}, UnexpectedAnswer, "API_ERROR", "PACSPACE_API_BASE_URL"),
        (408, b"", RemoteUnavailable, "API_ERROR", ""),
        (409, {"error": {"code": "IDEMPOTENCY_CONFLICT", "message": "m"}}, Conflict, "IDEMPOTENCY_CONFLICT", "new"),
        (403, {"message": "no"}, RemoteRefused, "API_ERROR", "PACSPACE_API_BASE_URL"),
        (412, {"message": "No contract deployed."}, NotProvisioned, "CONTRACT_NOT_DEPLOYED", "provisioned"),
        (422, {"message": "m", "code": "X"}, RemoteRefused, "X", ""),
        (302, b"", UnexpectedAnswer, "API_ERROR", "PACSPACE_API_BASE_URL"),
    ],
)
def test_what_an_error_answer_means(status: int, body: object, kind: type[RemoteError], code: str, hint: str) -> None:
    error = pacspace_failure("GET /x", answer(body, status, {"X-Request-Id": "req_9"}))
    assert type(error) is kind
    assert (error.service, error.status, error.code, error.request_id) == ("PacSpace", status, code, "req_9")
    assert hint in error.hint


@pytest.mark.parametrize(("asked", "seconds"), [(None, None), (120, 120), ("7.5", 7.5), (10**9, 86_400), (-1, None)])
def test_a_refusal_says_how_long_to_wait_if_pacspace_does(asked: object, seconds: float | None) -> None:
    error = pacspace_failure("GET /x", answer({"error": {"message": "m", "retryAfterSeconds": asked}}, 402))
    assert error.retry_after == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize("count", [0, 2**53, 2**63 - 1])
def test_a_balance_of_no_records_or_of_more_than_anybody_can_count_is_refused(count: int) -> None:
    with pytest.raises(UnexpectedAnswer):
        balance_of({"computedBalance": Decimal(-100), "deltasCount": count}, "acme", WINDOW)


def test_an_answer_that_says_two_things_is_none() -> None:
    body = b'{"success":true,"data":{"verified":true,"verified":false}}'
    with pytest.raises(UnexpectedAnswer, match="not JSON"):
        data_of("verify", answer(body))
