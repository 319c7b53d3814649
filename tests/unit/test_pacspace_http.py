"""PacSpace's envelopes, lists and error answers, in every documented form; and 200s that count as no answer."""

import json
from collections.abc import Mapping
from datetime import timedelta

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
from pacspace_stripe.pacspace_api.failures import pacspace_failure
from pacspace_stripe.pacspace_api.http import data_of, is_pending, listing_of
from pacspace_stripe.pacspace_api.parsing import total_of


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


def test_an_answer_without_an_envelope_is_read_only_where_documented() -> None:
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
def test_any_other_200_is_refused(body: object, bare: bool) -> None:  # noqa: FBT001
    with pytest.raises(UnexpectedAnswer):
        data_of("verify", answer(body), bare=bare)


def test_a_200_without_success_keeps_the_code() -> None:
    body = {"success": False, "error": {"code": "SCOPE_TOO_WIDE", "message": "too wide"}}
    with pytest.raises(UnexpectedAnswer, match="success=false, SCOPE_TOO_WIDE, too wide") as refused:
        data_of("derive", answer(body, headers={"x-request-id": "req_7"}))
    assert (refused.value.code, refused.value.request_id, refused.value.status) == ("SCOPE_TOO_WIDE", "req_7", 200)


@pytest.mark.parametrize(
    ("listing", "total"), [({"pagination": {"total": 7}}, 7), ({"total": 8}, 8), ({"pagination": {}}, 5), ({}, 5)]
)
def test_the_total_of_a_list_is_read_in_every_spelling(listing: object, total: int) -> None:
    assert total_of(listing, unnamed=5) == total


@pytest.mark.parametrize(
    ("body", "pending"),
    [
        ({"code": "IDEMPOTENCY_PENDING", "retryAfterSeconds": 1, "message": "m"}, True),
        ({"error": {"code": "IDEMPOTENCY_PENDING"}}, True),
        ({"success": True, "data": {"checkpointId": "chk_1"}}, False),
    ],
)
def test_a_request_in_flight_is_recognised_in_both_spellings(body: object, pending: bool) -> None:  # noqa: FBT001
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
def test_each_error_answer_raises_its_error_with_code_and_hint(
    status: int, body: object, kind: type[RemoteError], code: str, hint: str
) -> None:
    error = pacspace_failure("GET /x", answer(body, status, {"X-Request-Id": "req_9"}))
    assert type(error) is kind
    assert (error.service, error.status, error.code, error.request_id) == ("PacSpace", status, code, "req_9")
    assert hint in error.hint


@pytest.mark.parametrize(("asked", "seconds"), [(None, None), (120, 120), ("7.5", 7.5), (10**9, 86_400), (-1, None)])
def test_a_refusal_says_how_long_to_wait_if_pacspace_does(asked: object, seconds: float | None) -> None:
    error = pacspace_failure("GET /x", answer({"error": {"message": "m", "retryAfterSeconds": asked}}, 402))
    assert error.retry_after == (None if seconds is None else timedelta(seconds=seconds))


def test_an_answer_with_a_repeated_name_is_refused() -> None:
    body = b'{"success":true,"data":{"verified":true,"verified":false}}'
    with pytest.raises(UnexpectedAnswer, match="not JSON"):
        data_of("verify", answer(body))


@pytest.mark.parametrize(
    "data", [[{"a": 1}], {"rows": [{"a": 1}]}, {"items": [{"a": 1}]}, {"rows": [{"a": 1}], "items": [], "total": 7}]
)
def test_a_list_is_found_under_its_names(data: object) -> None:
    found = listing_of("list", answer({"success": True, "data": data}), "rows", "items")
    assert found["rows"] == [{"a": 1}]


@pytest.mark.parametrize(
    "body", [{"success": True, "data": {"other": []}}, {"rows": []}, [], {"success": False, "data": []}]
)
def test_an_answer_without_its_list_is_refused_and_not_an_empty_list(body: object) -> None:
    with pytest.raises(UnexpectedAnswer):
        listing_of("list", answer(body), "rows", "items")
