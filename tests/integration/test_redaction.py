"""No error and no log of any adapter repeats a key, a token, a cookie or a password, whatever the answer is."""

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial

import httpx
import pytest

from pacspace_stripe.errors import PacspaceStripeError, RemoteError
from pacspace_stripe.http.client import Transport
from pacspace_stripe.pacspace_api import NewDelta, PacSpace
from pacspace_stripe.pacspace_api.dashboard import AccessRequest, Dashboard, Environment
from pacspace_stripe.pacspace_api.http import PacSpaceHttp
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.stripe_api import StripeApi
from tests.support.leaks import ECHOES, assert_no_secret_in
from tests.support.pacspace_calls import CALLS, GATE_CALLS, Names

KEY = "pk_test_public-half.Zq8+/w7vR2kLm4"
STRIPE_KEY = "sk_test_51Abcdefghijklmnopqrstuv"
PASSWORD = "c0rrect horse/battery+staple"
TOKEN = "approval.token.0123456789"
COOKIE = "cookie0123456789abcdef"
SESSION = "bearer-token-0123456789"
ME = AccessRequest(email="me@example.com", name="Me", organization="Us", use_case="Bills")
Reply = Callable[[str], httpx.Response]


def nested(status: int) -> Reply:
    return lambda said: httpx.Response(
        status, json={"success": False, "error": {"code": said, "message": said, "customerId": said}}
    )


REPLIES: dict[str, Reply] = {
    **{f"{status}, nested": nested(status) for status in (200, 400, 401, 402, 403, 404, 409, 412, 422, 429, 500, 503)},
    "400, flat": lambda said: httpx.Response(400, json={"statusCode": 400, "message": [said, said], "error": said}),
    "200, not JSON": lambda said: httpx.Response(200, text=f"{{oops {said}"),
    "200, cut": lambda said: httpx.Response(200, text=json.dumps({"success": True, "data": {"x": said}})[:-2]),
    "200, something else": lambda said: httpx.Response(200, json={"success": True, "data": {"echo": said}}),
    "200, a list": lambda said: httpx.Response(200, json=[said]),
    "200, twice": lambda said: httpx.Response(200, text=f'{{"a": {json.dumps(said)}, "a": 1}}'),
    "200, not text": lambda said: httpx.Response(200, content=b"\xff\xfe" + said.encode()),
    "502, HTML": lambda said: httpx.Response(502, html=f"<p>{said}"),
    "302": lambda said: httpx.Response(302, headers={"Location": f"/?{said.encode('ascii', 'replace').decode()!r}"}),
}


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    loggers = [logging.getLogger(name) for name in ("httpx", "httpcore", "stripe")]
    yield
    for logger in loggers:
        logger.setLevel(logging.NOTSET)


def transport(reply: Reply, said: str) -> Transport:
    def answer(_: httpx.Request) -> httpx.Response:
        response = reply(said)
        if "set-cookie" not in response.headers:
            response.headers["x-request-id"] = (
                said.encode("ascii", "replace").decode().replace("\n", " ").replace("\r", "")
            )
        return response

    clock = ManualClock(at=datetime.now(UTC))
    return Transport(httpx_transport=httpx.MockTransport(answer), clock=clock.now, sleep=clock.advance)


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("echo", ECHOES)
def test_no_answer_makes_the_client_repeat_its_key(caplog: pytest.LogCaptureFixture, reply: str, echo: str) -> None:
    over = transport(REPLIES[reply], ECHOES[echo](KEY))
    pac = PacSpace(KEY, base_url="https://pacspace.test", transport=over)
    with pytest.raises(RemoteError) as failed:
        pac.balance.emit(NewDelta(customer_id="a", delta=-1, reason="usage"))
    assert_no_secret_in(failed.value, caplog, KEY)


@pytest.mark.parametrize("reply", REPLIES)
def test_no_call_repeats_a_key_or_a_token(caplog: pytest.LogCaptureFixture, reply: str) -> None:
    pac = PacSpace(KEY, base_url="https://pacspace.test", transport=transport(REPLIES[reply], KEY))
    gate = PacSpace(KEY, base_url="https://pacspace.test", transport=transport(REPLIES[reply], KEY)).reconciliation
    names = Names()
    asks = [partial(call, pac, names) for name, call in CALLS.items() if name not in PUBLIC]
    asks += [partial(call, gate, names) for name, call in GATE_CALLS.items() if name not in PUBLIC]
    for ask in asks:
        try:
            ask()
        except PacspaceStripeError as error:
            assert_no_secret_in(error, caplog, KEY)


@pytest.mark.parametrize("reply", REPLIES)
def test_a_new_customer_repeats_neither_key_nor_token(caplog: pytest.LogCaptureFixture, reply: str) -> None:
    over = transport(REPLIES[reply], f"{KEY} {SESSION}")
    with pytest.raises(RemoteError) as failed:
        CALLS["customers.create"](PacSpace(KEY, base_url="https://a.test", transport=over), Names(token=SESSION))
    assert_no_secret_in(failed.value, caplog, KEY, SESSION)


PUBLIC = {"proofs.verify", "verify", "proofs.public_document", "proofs.pdf"}
"""Asked without a key: what they repeat is not ours."""


def test_a_delta_that_failed_says_why_without_the_key(caplog: pytest.LogCaptureFixture) -> None:
    failed = {"recordId": "rec_1", "status": "FAILED", "error": f"proxy \x1b[2J said {KEY}"}
    over = transport(lambda _: httpx.Response(200, json={"success": True, "data": failed}), "")
    with pytest.raises(RemoteError, match=r"proxy \\x1b\[2J said") as told:
        PacSpace(KEY, base_url="https://pacspace.test", transport=over).balance.wait_for_verified("rec_1")
    assert_no_secret_in(told.value, caplog, KEY)


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("echo", ECHOES)
def test_no_answer_makes_the_dashboard_repeat_a_password(
    caplog: pytest.LogCaptureFixture, reply: str, echo: str
) -> None:
    said = f"{ECHOES[echo](PASSWORD)} {ECHOES[echo](TOKEN)}"
    dashboard = Dashboard(transport(REPLIES[reply], said), "https://dashboard.test")
    for ask in (
        partial(dashboard.register, ME, password=PASSWORD, approval_token=TOKEN),
        partial(dashboard.log_in, ME.email, PASSWORD),
    ):
        try:
            ask()
        except PacspaceStripeError as error:
            assert_no_secret_in(error, caplog, PASSWORD, TOKEN)


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("echo", ECHOES)
def test_no_answer_makes_a_session_repeat_its_cookie_or_token(
    caplog: pytest.LogCaptureFixture, reply: str, echo: str
) -> None:
    answers = iter([logged_in()])
    said = f"{ECHOES[echo](COOKIE)} {ECHOES[echo](SESSION)} {ECHOES[echo](PASSWORD)}"
    over = transport(lambda text: next(answers, None) or REPLIES[reply](text), said)
    dashboard = Dashboard(over, "https://dashboard.test")
    dashboard.log_in(ME.email, PASSWORD)
    with pytest.raises(RemoteError) as failed:
        dashboard.create_key("name", Environment.SANDBOX)
    assert_no_secret_in(failed.value, caplog, COOKIE, SESSION, PASSWORD)


def logged_in() -> httpx.Response:
    headers = {"Set-Cookie": f"session={COOKIE}; Path=/; HttpOnly"}
    return httpx.Response(200, json={"success": True, "data": {"accessToken": SESSION}}, headers=headers)


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("echo", ECHOES)
def test_no_answer_makes_stripe_repeat_its_key(caplog: pytest.LogCaptureFixture, reply: str, echo: str) -> None:
    api = StripeApi(transport(REPLIES[reply], ECHOES[echo](STRIPE_KEY)), STRIPE_KEY)
    for ask in (lambda: api.read_invoice("in_1"), lambda: api.finalize_invoice("in_1")):
        with pytest.raises(RemoteError) as failed:
            ask()
        assert_no_secret_in(failed.value, caplog, STRIPE_KEY)


@pytest.mark.parametrize("key", ["pk_test_ünïcödé.0123456789", "sk_test_0123456789\nabc"])
def test_a_key_that_cannot_be_sent_is_in_no_error(caplog: pytest.LogCaptureFixture, key: str) -> None:
    over = Transport(sleep=lambda _: None)
    with pytest.raises(RemoteError) as failed:
        PacSpaceHttp(over, key, "http://127.0.0.1:9").get("derive", "/api/v1/balance/derive/{id}", "a")
    over.close()
    assert_no_secret_in(failed.value, caplog, key)
