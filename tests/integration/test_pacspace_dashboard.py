"""PacSpace's dashboard: the way to a key, what is sent, and a session that keeps its secrets."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from pacspace_stripe.errors import (
    InvalidInput,
    LoginRefused,
    RemoteError,
    RemoteRefused,
    RemoteUnavailable,
    StillInFlight,
    UnexpectedAnswer,
)
from pacspace_stripe.http.calls import Answer, Call
from pacspace_stripe.pacspace_api.dashboard import AccessRequest, Cookies, Dashboard, EnvironmentStatus
from tests.support.dashboards import (
    ADDRESS,
    COOKIE,
    EMAIL,
    JANE,
    PASSWORD,
    PRODUCTION,
    SANDBOX,
    START,
    STEPS,
    desk,
    logged_in,
    registered,
    replies,
    simulated,
)

# -- the way to a key ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [False, True], ids=["cookies", "a token too"])
@pytest.mark.parametrize("mfa", [False, True], ids=["no code", "a code"])
def test_from_a_request_to_a_key_that_works(token: bool, mfa: bool) -> None:  # noqa: FBT001  # a table
    with simulated(login_token=token, mfa=mfa) as (at, ledger):
        at.dashboard.request_access(JANE)
        registered(at, ledger)
        ticket = at.dashboard.log_in(EMAIL, PASSWORD)
        assert (ticket is not None) is mfa
        if ticket is not None:
            at.dashboard.verify_mfa(ticket, "123456")
        key = at.dashboard.create_key("mine", SANDBOX)
        assert key.kind == "test"
        assert [row.name for row in at.dashboard.listed_keys() if row.active] == ["mine"]
        assert at.dashboard.status(SANDBOX) is EnvironmentStatus.ACTIVE
        assert at.dashboard.status(PRODUCTION) is EnvironmentStatus.NONE
        assert at.dashboard.api_address(SANDBOX) == "https://sandbox.pacspace.test"
        assert at.dashboard.api_address(PRODUCTION) is None
        balance = httpx.Request("GET", f"{ADDRESS}/api/v1/balance/usage", headers={"X-Api-Key": key.full})
        assert ledger(balance).status_code == 200
        assert key.full not in repr(key)


def test_what_is_sent_is_what_the_quick_start_sends() -> None:
    with simulated() as (at, ledger):
        at.dashboard.request_access(JANE)
        registered(at, ledger)
        at.dashboard.log_in(EMAIL, PASSWORD)
        at.dashboard.create_key("quickstart-key", SANDBOX)
    access, register, login, key = (json.loads(request.content) for request in at.seen)
    assert at.sent()[0] == "POST /dashboard/auth/request-access"
    assert access == {
        "name": "Jane Doe",
        "email": EMAIL,
        "organization": "Acme Inc",
        "buyerMode": "DIRECT_INFERENCE_VENDOR",
        "useCase": "Record usage.",
    }
    assert register.items() >= access.items()
    assert register.keys() - access.keys() == {"password", "approvalToken"}
    assert login == {"email": EMAIL, "password": PASSWORD}
    assert key == {"name": "quickstart-key"}
    assert at.seen[3].headers["X-Pacspace-CSRF"] == "1"
    assert at.seen[3].headers["Cookie"].startswith("pacspace_session=")
    assert "Authorization" not in at.seen[3].headers


def test_a_live_key_is_asked_for_by_name() -> None:
    key = {"id": "key_1", "name": "mine", "environment": "live", "fullKey": "pk_live_abc.topsecret"}
    with desk(replies({"/login": logged_in(), "/api-keys": httpx.Response(201, json={"data": key})})) as at:
        at.dashboard.log_in(EMAIL, PASSWORD)
        assert at.dashboard.create_key("mine", PRODUCTION).kind == "live"
    assert json.loads(at.seen[-1].content) == {"name": "mine", "environment": "live"}


@pytest.mark.parametrize(("step", "times"), [("create_key", 1), ("register", 1), ("verify_mfa", 1), ("log_in", 3)])
def test_only_repeatable_requests_are_sent_again(step: str, times: int) -> None:
    with desk(lambda _: httpx.Response(503)) as at, pytest.raises(RemoteUnavailable):
        STEPS[step](at.dashboard)
    assert len(at.seen) == times


# -- the session --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cookie", "sent"),
    [
        ("a=b; Path=/", True),
        ("a=b", False),
        ("a=b; Path=/; HttpOnly; SameSite=Lax; Secure", True),
        ("a=b; Path=/dashboard", True),
        ("a=b; Path=/elsewhere", False),
        ("a=b; Path=/; Domain=pacspace.test", True),
        ("a=b; Path=/; Domain=elsewhere.test", False),
        ("a=b; Path=/; Max-Age=0", False),
        ("a=b; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", False),
        ("a=b; Path=/; Max-Age=99999999999999999999999", True),
    ],
)
def test_a_cookie_goes_where_it_belongs(cookie: str, sent: bool) -> None:  # noqa: FBT001  # a table
    answer = httpx.Response(200, json={"accessToken": "t1"}, headers={"Set-Cookie": cookie})
    with desk(replies({"/login": answer, "/api-keys": httpx.Response(200, json={"data": {"items": []}})})) as at:
        at.dashboard.log_in(EMAIL, PASSWORD)
        at.dashboard.listed_keys()
    assert at.seen[-1].headers.get("Cookie") == ("a=b" if sent else None)


@pytest.mark.parametrize(
    "elsewhere", ["https://pacspace.test:444/dashboard", "http://pacspace.test/dashboard", "https://a.pacspace.test/"]
)
def test_another_origin_neither_gets_nor_sets_a_cookie(elsewhere: str) -> None:
    cookies = Cookies(ADDRESS)
    setting = Answer(status=200, headers=httpx.Headers({"Set-Cookie": "a=b; Path=/"}), body=b"")
    call = Call(service="PacSpace", method="GET", url=elsewhere, endpoint="GET /")
    cookies.keep(call, setting)
    assert not cookies
    cookies.keep(replace(call, url=f"{ADDRESS}/dashboard"), setting)
    assert cookies.headers(f"{ADDRESS}/dashboard") == {"Cookie": "a=b"}
    assert cookies.headers(elsewhere) == {}


def test_two_sessions_on_one_transport_share_no_cookie() -> None:
    with simulated() as (at, ledger):
        registered(at, ledger)
        at.dashboard.log_in(EMAIL, PASSWORD)
        stranger = Dashboard(at.transport, ADDRESS)
        with pytest.raises(LoginRefused) as caught:
            stranger.listed_keys()
        assert caught.value.hint == "The session is over: run the same command again."
        assert "Cookie" not in at.seen[-1].headers
        assert at.dashboard.listed_keys() == ()


def test_a_redirect_takes_no_cookie_anywhere() -> None:
    away = httpx.Response(302, headers={"Location": "https://elsewhere.test/", "Set-Cookie": "a=b"})
    with desk(replies({"/login": logged_in(), "/api-keys": away})) as at:
        at.dashboard.log_in(EMAIL, PASSWORD)
        with pytest.raises(UnexpectedAnswer, match="HTTP 302"):
            at.dashboard.listed_keys()
    assert {request.url.host for request in at.seen} == {"pacspace.test"}


@pytest.mark.parametrize("name", ["accessToken", "token"])
@pytest.mark.parametrize("envelope", ["success", "status", "bare"])
def test_an_older_dashboards_token_is_sent_as_such(name: str, envelope: str) -> None:
    data: dict[str, Any] = {name: "jwt.1", "user": {}}
    bodies = {"success": {"success": True, "data": data}, "status": {"statusCode": 200, "data": data}, "bare": data}
    answer = httpx.Response(200, json=bodies[envelope])
    with desk(replies({"/login": answer, "/api-keys": httpx.Response(200, json={"items": []})})) as at:
        assert at.dashboard.log_in(EMAIL, PASSWORD) is None
        at.dashboard.listed_keys()
    assert at.seen[-1].headers["Authorization"] == "Bearer jwt.1"


@pytest.mark.parametrize(
    "data", [{}, {"accessToken": ""}, {"token": None}, {"token": "two words"}, {"requiresMfa": True}, {"token": 7}]
)
def test_a_login_that_begins_no_session_is_refused(data: dict[str, Any]) -> None:
    answer = httpx.Response(200, json={"success": True, "data": data})
    with desk(replies({"/login": answer})) as at, pytest.raises(UnexpectedAnswer):
        at.dashboard.log_in(EMAIL, PASSWORD)


@pytest.mark.parametrize("status", [200, 401, 429, 503])
def test_no_secret_is_in_an_error_or_a_log(status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def echoes(request: httpx.Request) -> httpx.Response:
        said = f"you sent {json.loads(request.content)['password']}"
        return httpx.Response(status, json={"success": False, "message": said}, headers={"Set-Cookie": COOKIE})

    with desk(echoes) as at, pytest.raises(RemoteError, match="you sent …") as caught:
        at.dashboard.log_in(EMAIL, PASSWORD)
    assert PASSWORD not in f"{caught.value!r} {caught.value.hint} {caplog.text}"
    assert "cookie-value" not in caplog.text
    assert caught.value.__cause__ is None


# -- environments -------------------------------------------------------------------------------------------------


def test_an_environment_is_provisioned_and_waited_for() -> None:
    with simulated(environment_ready=False, activation_delay=30) as (at, ledger):
        registered(at, ledger)
        at.dashboard.log_in(EMAIL, PASSWORD)
        assert at.dashboard.status(SANDBOX) is EnvironmentStatus.NONE
        at.dashboard.provision(SANDBOX)
        at.dashboard.provision(SANDBOX)
        said: list[EnvironmentStatus] = []
        with pytest.raises(StillInFlight, match="not active yet: activating"):
            at.dashboard.wait_until_active(SANDBOX, timedelta(seconds=10), waiting=said.append)
        assert said == [EnvironmentStatus.ACTIVATING]
        assert timedelta(seconds=6) < at.clock.now() - START <= timedelta(seconds=10)
        at.dashboard.wait_until_active(SANDBOX, timedelta(minutes=1))
        assert at.clock.now() - START < timedelta(seconds=34)


def test_an_environment_that_failed_is_not_waited_for() -> None:
    with desk(replies({"/environment-status": httpx.Response(200, json={"sandbox": {"status": "failed"}})})) as at:
        with pytest.raises(RemoteRefused, match="failed to come up"):
            at.dashboard.wait_until_active(SANDBOX, timedelta(minutes=1))
        assert at.clock.now() == START


# -- before anything is sent --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", ["", "pacspace.test", "http://pacspace.test", "https://a:b@pacspace.test", "ftp://a"]
)
def test_a_password_is_not_sent_to_an_invalid_address(address: str) -> None:
    with desk(replies({})) as at, pytest.raises(InvalidInput, match="the dashboard's address"):
        Dashboard(at.transport, address)


@pytest.mark.parametrize(
    "step",
    [
        lambda dashboard: dashboard.log_in("", PASSWORD),
        lambda dashboard: dashboard.log_in(EMAIL, ""),
        lambda dashboard: dashboard.log_in(EMAIL, "\ud800"),
        lambda dashboard: dashboard.verify_mfa("mfa_1", ""),
        lambda dashboard: dashboard.create_key("", SANDBOX),
        lambda dashboard: dashboard.register(JANE, password=PASSWORD, approval_token=""),
        lambda dashboard: dashboard.request_access(
            AccessRequest(email="jane", name="Jane", organization="Acme", use_case="usage")
        ),
    ],
)
def test_invalid_input_is_not_sent(step: Callable[[Dashboard], object]) -> None:
    with desk(replies({})) as at, pytest.raises(InvalidInput):
        step(at.dashboard)
    assert at.seen == []
