"""The HTTP client maps every error of httpx and of Stripe's SDK, and no error or log shows what a call carries."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import stripe
import stripe.oauth_error  # defines more errors

from pacspace_stripe.errors import (
    LeaseLost,
    PacspaceStripeError,
    RateLimited,
    RemoteError,
    RemoteRefused,
    RemoteUnavailable,
    UnexpectedAnswer,
)
from pacspace_stripe.http.calls import Call
from pacspace_stripe.http.client import HTTPX_ERRORS, Transport
from pacspace_stripe.http.retries import Timeouts
from pacspace_stripe.simulator.serve import serve
from pacspace_stripe.stripe_api import stripe_failure
from pacspace_stripe.stripe_api.calls import StripeHttp
from tests.support.http_bench import OK, Bench, Lease, bench, call, status

# Errors


def sdk_errors(kind: type[stripe.StripeError] = stripe.StripeError) -> list[type[stripe.StripeError]]:
    found = {kind, *(error for below in kind.__subclasses__() for error in sdk_errors(below))}
    return sorted(found, key=lambda each: (each.__module__, each.__qualname__))


def made(kind: type[Any]) -> Exception:
    """An instance of any of httpx's exceptions."""
    request = httpx.Request("GET", "https://vendor.test")
    for arguments in (("trouble",), ()):
        try:
            error: Exception = kind(*arguments)
        except TypeError:
            continue
        return error
    found: Exception = kind("trouble", request=request, response=httpx.Response(500, request=request))
    return found


def httpx_errors() -> list[type[Exception]]:
    named = {each for each in vars(httpx).values() if isinstance(each, type) and issubclass(each, Exception)}
    return sorted(named, key=lambda each: each.__name__)


@pytest.mark.parametrize("kind", httpx_errors())
def test_every_error_of_httpx_is_one_of_ours(kind: type[Exception]) -> None:
    assert issubclass(kind, HTTPX_ERRORS)
    world = bench(made(kind))
    with pytest.raises(RemoteError) as mapped:
        world.send()
    assert mapped.value.service == "PacSpace"
    assert type(mapped.value) in {RemoteUnavailable, RemoteRefused, UnexpectedAnswer}
    assert isinstance(mapped.value, RemoteUnavailable) is (world.tries == 3)


@pytest.mark.parametrize("kind", sdk_errors())
@pytest.mark.parametrize("code", [None, 400, 404, 409, 429, 500])
def test_every_error_of_the_stripe_sdk_is_one_of_ours(kind: type[stripe.StripeError], code: int | None) -> None:
    error = kind.__new__(kind)
    stripe.StripeError.__init__(error, "trouble", http_status=code)
    mapped = stripe_failure(error)
    assert isinstance(mapped, PacspaceStripeError)
    assert type(mapped).__module__ == "pacspace_stripe.errors"
    if kind is not stripe.SignatureVerificationError:
        assert isinstance(mapped, RateLimited) is (code == 429 or kind is stripe.RateLimitError)


@pytest.mark.parametrize(
    "url", ["ftp://vendor.test/", "vendor.test/x", "https://[::1", "https://vendor.test/\x00", "http://"]
)
def test_a_malformed_address_is_refused_at_once(url: str) -> None:
    with over_sockets() as transport, pytest.raises(RemoteRefused) as refused:
        transport.send(Call(service="PacSpace", method="GET", url=url, endpoint="GET /"))
    assert "base URL" in refused.value.hint


@pytest.mark.parametrize("secret", ["sk_test_ünïcödé", "sk_test_secret\n"])
def test_a_key_that_cannot_be_sent_is_not_repeated(secret: str) -> None:
    with serve(lambda _: httpx.Response(200)) as server, over_sockets() as transport:
        bad = Call(
            service="Stripe",
            method="GET",
            url=server.url,
            endpoint="GET /",
            headers={"Authorization": f"Bearer {secret}"},
        )
        with pytest.raises(RemoteRefused) as refused:
            transport.send(bad)
    assert "sk_test" not in str(refused.value)
    assert (refused.value.__cause__, refused.value.__context__) == (None, None)


@contextmanager
def over_sockets(timeouts: Timeouts | None = None) -> Iterator[Transport]:
    """A transport over real sockets."""
    transport = Transport(timeouts=timeouts, random=lambda: 0.0)
    yield transport
    transport.close()


# Over real sockets


def test_a_refused_connection_is_unavailable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    with over_sockets() as transport, pytest.raises(RemoteUnavailable, match="ConnectError"):
        transport.send(Call(service="PacSpace", method="GET", url=url, endpoint="GET /"))


def test_a_silent_server_costs_no_more_than_the_time_of_one_call() -> None:
    answered = threading.Event()

    def silent(_: httpx.Request) -> httpx.Response:
        answered.wait(5)
        return httpx.Response(200)

    started = datetime.now(UTC)
    with serve(silent) as server:
        timeouts = Timeouts(connect=0.2, read=0.3, total=1.0)
        with over_sockets(timeouts=timeouts) as transport, pytest.raises(RemoteUnavailable, match="in time"):
            transport.send(Call(service="PacSpace", method="GET", url=server.url, endpoint="GET /"))
        assert datetime.now(UTC) - started < timedelta(seconds=1.5)
        answered.set()


def test_redirects_are_not_followed_and_cookies_not_kept() -> None:
    seen: list[httpx.Request] = []

    def sends_away(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(302, headers={"Location": "/elsewhere", "Set-Cookie": "a=b"})

    with serve(sends_away) as server, over_sockets() as transport:
        for _ in range(2):
            answer = transport.send(Call(service="PacSpace", method="GET", url=server.url, endpoint="GET /"))
            assert answer.status == 302
    assert len(seen) == 2
    assert all("cookie" not in request.headers for request in seen)


# What is written down


def test_the_log_has_no_body_no_header_and_no_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world = bench(
        httpx.ConnectError("refused"), httpx.Response(200, headers={"Request-Id": "req_1"}, text="a private body")
    )
    world.send("POST", content=b"private=2")
    assert "PacSpace POST /v1/things/{id}: ConnectError" in caplog.text
    assert "PacSpace POST /v1/things/{id}: 200 in 0.000s request=req_1" in caplog.text
    for secret in ("private", "topsecret", "key-1", "vendor.test", "thing_1"):
        assert secret not in caplog.text


def test_the_representations_of_call_and_answer_hide_their_content() -> None:
    world = bench(httpx.Response(200, text="private"))
    shown = f"{call('POST')!r}{world.transport.send(call('POST'))!r}"
    assert "amount" not in shown
    assert "topsecret" not in shown
    assert "text='private'" not in shown


# Stripe's SDK


def sdk(world: Bench, max_network_retries: int = 0) -> stripe.StripeClient:
    return stripe.StripeClient(
        "sk_test_1", http_client=StripeHttp(world.transport), max_network_retries=max_network_retries
    )


def test_the_stripe_sdk_goes_through_the_same_client() -> None:
    world = bench(status(500), httpx.Response(200, json={"id": "in_1", "object": "invoice"}))
    invoice = sdk(world).v1.invoices.update("in_1", {"footer": "a\nb"}, {"idempotency_key": "key-9"})
    assert invoice.id == "in_1"
    first, second = world.replies.requests
    assert first.content == second.content == b"footer=a%0Ab"
    assert [request.headers["Idempotency-Key"] for request in (first, second)] == ["key-9", "key-9-2"]
    for request in (first, second):
        assert request.headers["Stripe-Version"] == "2026-10-28.endive"
        assert request.headers["Authorization"] == "Bearer sk_test_1"
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_the_stripe_sdk_still_raises_its_own_refusals() -> None:
    refusal = {"error": {"type": "invalid_request_error", "code": "resource_missing", "message": "No such invoice"}}
    world = bench(httpx.Response(404, json=refusal, headers={"Request-Id": "req_2"}))
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sdk(world).v1.invoices.retrieve("in_1")
    assert (refused.value.code, refused.value.request_id, world.tries) == ("resource_missing", "req_2", 1)


def test_the_stripe_sdk_adds_no_retries() -> None:
    world = bench(httpx.ConnectError("refused"))
    with pytest.raises(RemoteUnavailable):
        sdk(world, max_network_retries=5).v1.invoices.retrieve("in_1")
    assert world.tries == 3


def test_the_guard_stops_the_stripe_sdk_too() -> None:
    world, lease = bench(OK), Lease(lasts=0)
    with world.transport.guarded(lease.check), pytest.raises(LeaseLost):
        sdk(world).v1.invoices.finalize_invoice("in_1")
    assert world.tries == 0
