"""The dashboard's answers: every envelope and spelling, each refusal, and answers in no documented form."""

import contextlib
import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.errors import (
    Conflict,
    LoginRefused,
    NotApproved,
    NotProvisioned,
    PacspaceStripeError,
    PlanLimitReached,
    RateLimited,
    RemoteError,
    RemoteRefused,
    RemoteUnavailable,
    UnexpectedAnswer,
)
from pacspace_stripe.pacspace_api.dashboard import EnvironmentStatus
from tests.integration.test_pacspace_bad_answers import JUNK, RAW, STATUSES, TYPES
from tests.support.dashboards import EMAIL, KEY, PASSWORD, SANDBOX, STEPS, desk, replies

ROW = {"id": "key_1", "name": "mine", "active": True}


@pytest.mark.parametrize(
    "body",
    [
        {"success": True, "data": {**ROW, "fullKey": KEY}},
        {"statusCode": 201, "data": {**ROW, "publicKey": "pk_test_abc", "secretKey": "topsecret", "fullKey": KEY}},
        {**ROW, "fullKey": KEY},
        {"data": {"fullKey": KEY}},
        {"data": {"publicKey": "pk_test_abc", "secretKey": "topsecret"}},
    ],
)
def test_a_key_is_read_in_every_spelling(body: dict[str, Any]) -> None:
    with desk(replies({"/api-keys": httpx.Response(201, json=body)})) as at:
        assert at.dashboard.create_key("mine", SANDBOX).full == KEY


@pytest.mark.parametrize(
    "data",
    [{}, {"fullKey": "sk_test_topsecret"}, {"fullKey": "pk_test_topsecret and more"}, {"publicKey": "pk_test_abc"}, []],
)
def test_a_key_in_any_other_form_is_refused(data: object) -> None:
    answer = httpx.Response(201, json={"success": True, "data": data})
    with desk(replies({"/api-keys": answer})) as at, pytest.raises(UnexpectedAnswer) as caught:
        at.dashboard.create_key("mine", SANDBOX)
    assert "topsecret" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"sandbox": {"status": "active"}, "production": {"status": "none"}}, EnvironmentStatus.ACTIVE),
        ({"success": True, "data": {"sandbox": {"status": "activating"}}}, EnvironmentStatus.ACTIVATING),
        ({"statusCode": 200, "data": {"sandbox": {"status": "DEPLOYING"}}}, EnvironmentStatus.DEPLOYING),
        ({"sandbox": {"status": "failed"}}, EnvironmentStatus.FAILED),
        ({"sandbox": "none"}, EnvironmentStatus.NONE),
        ({"sandbox": {"status": "hibernating"}}, EnvironmentStatus.UNKNOWN),
    ],
)
def test_a_status_is_read_in_every_spelling(body: dict[str, Any], status: EnvironmentStatus) -> None:
    with desk(replies({"/environment-status": httpx.Response(200, json=body)})) as at:
        assert at.dashboard.status(SANDBOX) is status


PAGES: list[object] = [
    {"success": True, "data": {"environments": [{"environment": "sandbox", "status": "active", "baseUrl": "{}"}]}},
    {"statusCode": 200, "data": {"items": [{"name": "Sandbox", "status": "active", "apiUrl": "{}"}]}},
    {"data": [{"type": "production"}, {"type": "sandbox", "status": "active", "apiUrl": "{}"}]},
    {"sandbox": {"status": "active", "sandboxUrl": "{}"}},
]


@pytest.mark.parametrize("page", PAGES)
def test_the_list_of_environments_is_read_in_any_likely_shape(page: object) -> None:
    body = json.dumps(page).replace("{}", "https://sandbox.pacspace.test/")
    with desk(replies({"/dashboard/environments": httpx.Response(200, content=body)})) as at:
        assert at.dashboard.api_address(SANDBOX) == "https://sandbox.pacspace.test"
        assert at.dashboard.status(SANDBOX) is EnvironmentStatus.ACTIVE


@pytest.mark.parametrize("shown", ["http://elsewhere.test", "ftp://a", "https://user:pass@a.test", "x", None, 7])
def test_an_invalid_address_of_an_environment_is_ignored(shown: object) -> None:
    page = {"environments": [{"environment": "sandbox", "status": "active", "baseUrl": shown}]}
    with desk(replies({"/dashboard/environments": httpx.Response(200, json=page)})) as at:
        assert at.dashboard.api_address(SANDBOX) is None


REFUSALS: list[tuple[str, int, dict[str, Any], type[RemoteError], str]] = [
    ("log_in", 401, {"code": "INVALID_CREDENTIALS"}, LoginRefused, "--request-access"),
    ("log_in", 403, {}, NotApproved, "approved the account"),
    ("log_in", 401, {"code": "ACCOUNT_NOT_APPROVED"}, NotApproved, "approved the account"),
    ("verify_mfa", 401, {"code": "INVALID_MFA_CODE"}, LoginRefused, "authenticator"),
    ("register", 403, {"code": "REGISTRATION_REQUIRES_APPROVAL"}, NotApproved, "mail"),
    ("register", 409, {"code": "ACCOUNT_EXISTS"}, Conflict, "log in"),
    ("register", 400, {}, RemoteRefused, "Correct"),
    ("request_access", 400, {}, RemoteRefused, "says why"),
    ("create_key", 401, {}, LoginRefused, "session"),
    ("create_key", 402, {}, PlanLimitReached, "plan"),
    ("create_key", 403, {"code": "CSRF_REQUIRED"}, RemoteRefused, "says why"),
    ("create_key", 412, {}, NotProvisioned, "provision"),
    ("provision", 422, {}, RemoteRefused, "says why"),
    ("create_key", 404, {}, UnexpectedAnswer, "address"),
    ("create_key", 408, {}, RemoteUnavailable, ""),
    ("create_key", 429, {}, RateLimited, ""),
    ("create_key", 502, {}, RemoteUnavailable, ""),
]


@pytest.mark.parametrize("nested", [True, False], ids=["nested", "flat"])
@pytest.mark.parametrize(("step", "status", "said", "kind", "hint"), REFUSALS)
def test_each_refusal_has_its_error_and_hint(
    step: str, status: int, said: dict[str, Any], kind: type[RemoteError], hint: str, *, nested: bool
) -> None:
    body = {**said, "message": "No."}
    answer = httpx.Response(
        status, json={"success": False, "error": body} if nested else {"statusCode": status, **body}
    )
    with desk(lambda _: answer) as at, pytest.raises(RemoteError, match=r"No\.") as caught:
        STEPS[step](at.dashboard)
    assert type(caught.value) is kind
    assert hint in caught.value.hint


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("status", [200, 401, 404])
def test_a_page_for_people_is_not_the_dashboard(step: str, status: int) -> None:
    page = httpx.Response(status, html="<!doctype html><title>Welcome</title>")
    with desk(lambda _: page) as at, pytest.raises(UnexpectedAnswer) as caught:
        STEPS[step](at.dashboard)
    assert "address" in caught.value.hint


@given(st.sampled_from(list(STEPS)), STATUSES, TYPES, st.one_of(RAW, JUNK.map(json.dumps)), st.text(max_size=40))
def test_any_answer_ends_in_a_value_or_an_error_of_ours(
    step: str, status: int, kind: str, body: bytes | str, cookie: str
) -> None:
    content = body.encode() if isinstance(body, str) else body
    headers = [(b"Content-Type", kind.encode()), (b"Set-Cookie", cookie.encode(errors="replace"))]
    answer = httpx.Response(status, headers=headers, content=content)
    with desk(lambda _: answer) as at, contextlib.suppress(PacspaceStripeError):
        STEPS[step](at.dashboard)
        at.dashboard.listed_keys()


SHAPES = st.fixed_dictionaries(
    {},
    optional={
        name: st.one_of(JUNK, st.just(good))
        for name, good in {
            "success": True,
            "statusCode": 200,
            "data": {"requiresMfa": True, "mfaTicket": "mfa_1", "items": [ROW], "sandbox": {"status": "active"}},
            "fullKey": KEY,
            "accessToken": "t",
            "requiresMfa": True,
            "mfaTicket": "mfa_1",
            "items": [ROW],
            "sandbox": "active",
            "environments": [{"environment": "sandbox"}],
        }.items()
    },
)


@given(st.sampled_from(list(STEPS)), SHAPES)
def test_a_nearly_valid_answer_ends_in_a_value_or_an_error_of_ours(step: str, body: dict[str, Any]) -> None:
    with desk(lambda _: httpx.Response(200, content=json.dumps(body))) as at, contextlib.suppress(PacspaceStripeError):
        STEPS[step](at.dashboard)


@given(st.text(max_size=60))
def test_an_invalid_cookie_is_ignored(cookie: str) -> None:
    headers = [(b"Set-Cookie", each.encode(errors="replace")) for each in (cookie, f"{cookie}; Path=/", "a=b; Path=/")]

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=headers, json={"success": True, "data": {"items": []}})

    with desk(answer) as at:
        at.dashboard.log_in(EMAIL, PASSWORD)
        assert at.dashboard.listed_keys() == ()
    assert "a=b" in at.seen[-1].headers["Cookie"]
