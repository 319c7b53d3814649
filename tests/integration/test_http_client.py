"""The HTTP client repeats calls, obeys rate limits, runs guards before it writes, and maps every error."""

import gzip
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
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
from pacspace_stripe.http.calls import Answer, Call
from pacspace_stripe.http.client import HTTPX_ERRORS, Transport
from pacspace_stripe.http.ratelimit.rules.rate import NO_KNOWN_RATE, SPAN, Rate
from pacspace_stripe.http.retries import Timeouts, pause
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.simulator.serve import serve
from pacspace_stripe.stripe_api import stripe_failure
from pacspace_stripe.stripe_api.calls import StripeHttp

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
OK = httpx.Response(200, json={"ok": True})
KEY = {"Idempotency-Key": "key-1", "X-Api-Key": "pk_test_public.topsecret"}


@dataclass
class Replies:
    """Answers requests with what is planned, in order, the last one for ever; and remembers them."""

    planned: list[httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]]
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        next_one = self.planned[min(len(self.requests), len(self.planned) - 1)]
        self.requests.append(request)
        if isinstance(next_one, Exception):
            raise next_one
        if isinstance(next_one, httpx.Response):
            return httpx.Response(next_one.status_code, headers=next_one.headers, content=next_one.content)
        return next_one(request)


@dataclass
class Bench:
    """A transport in compressed time over planned replies."""

    replies: Replies
    clock: ManualClock
    transport: Transport
    slept: list[float]

    def send(self, method: str = "GET", *, service: str = "PacSpace", content: bytes | None = None) -> Answer:
        """One call."""
        return self.transport.send(call(method, service=service, content=content))

    @property
    def tries(self) -> int:
        return len(self.replies.requests)


def call(method: str = "GET", *, service: str = "PacSpace", content: bytes | None = None) -> Call:
    return Call(
        service=service,
        method=method,
        url="https://vendor.test/v1/things/thing_1?private=1",
        endpoint=f"{method} /v1/things/{{id}}",
        headers=KEY,
        content=content if method == "GET" else content or b"amount=5",
    )


def bench(
    *planned: httpx.Response | Exception | Callable[[httpx.Request], httpx.Response],
    limits: Mapping[str, Rate] | None = None,
    timeouts: Timeouts | None = None,
) -> Bench:
    clock, slept, replies = ManualClock(START), [], Replies(list(planned))

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(seconds)

    transport = Transport(
        httpx_transport=httpx.MockTransport(replies),
        clock=clock.now,
        sleep=sleep,
        random=lambda: 1.0,
        limits=limits,
        timeouts=timeouts,
    )
    return Bench(replies, clock, transport, slept)


def status(code: int, **headers: str) -> httpx.Response:
    return httpx.Response(code, headers={name.replace("_", "-"): value for name, value in headers.items()})


# Trying again


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("closed"),
        httpx.ReadError("reset"),
        status(500),
        status(503),
        status(409),
        status(408),
        status(429),
        status(400, Stripe_Should_Retry="true"),
    ],
    ids=repr,
)
def test_a_passing_failure_is_tried_three_times(trouble: httpx.Response | Exception) -> None:
    world = bench(trouble, trouble, OK)
    assert world.send("POST").status == 200
    assert world.tries == 3
    assert world.slept == [0.5, 1.0]


def test_every_try_sends_the_same_bytes_under_the_same_key() -> None:
    world = bench(status(500), httpx.ReadTimeout("lost"), OK)
    world.send("POST")
    sent = {
        (request.content, request.headers["Idempotency-Key"], str(request.url)) for request in world.replies.requests
    }
    assert sent == {(b"amount=5", "key-1", "https://vendor.test/v1/things/thing_1?private=1")}


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (status(500), RemoteUnavailable),
        (status(502), RemoteUnavailable),
        (httpx.ConnectError("refused"), RemoteUnavailable),
        (httpx.ReadTimeout("slow"), RemoteUnavailable),
        (status(429), RateLimited),
    ],
    ids=repr,
)
def test_a_lasting_failure_is_an_error_that_may_be_retried_later(
    trouble: httpx.Response | Exception, error: type[RemoteError]
) -> None:
    world = bench(trouble)
    with pytest.raises(error) as refused:
        world.send()
    assert type(refused.value) is error
    assert world.tries == 3


@pytest.mark.parametrize("code", [200, 202, 301, 400, 401, 403, 404, 422])
def test_every_other_status_is_an_answer_at_once(code: int) -> None:
    world = bench(status(code))
    assert (world.send().status, world.tries) == (code, 1)


def test_a_conflict_that_stays_is_an_answer_for_the_adapter() -> None:
    world = bench(status(409))
    assert (world.send("POST").status, world.tries) == (409, 3)


@pytest.mark.parametrize("code", [409, 429, 500])
def test_stripes_should_retry_header_stops_retries(code: int) -> None:
    world = bench(status(code, Stripe_Should_Retry="false"))
    if code == 409:
        world.send()
    else:
        with pytest.raises(RemoteUnavailable):
            world.send()
    assert world.tries == 1


def test_a_short_retry_after_is_waited_for() -> None:
    world = bench(status(429, Retry_After="3"), OK)
    world.send()
    assert world.slept == [3.0]


def test_a_long_retry_after_is_left_to_the_caller() -> None:
    body = {"error": {"code": "CADENCE_LIMIT", "message": "Submission cadence limit reached", "retryAfterSeconds": 120}}
    world = bench(httpx.Response(429, json=body, headers={"Retry-After": "7"}))
    with pytest.raises(RateLimited, match="Submission cadence limit reached") as refused:
        world.send("POST")
    assert refused.value.retry_after == timedelta(seconds=120)
    assert (refused.value.code, refused.value.status, world.tries) == ("CADENCE_LIMIT", 429, 1)


@pytest.mark.parametrize("wish", ["soon", "-1", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT", ""])
def test_a_retry_after_that_is_no_number_of_seconds_is_ignored(wish: str) -> None:
    world = bench(status(503, Retry_After=wish), OK)
    world.send()
    assert world.slept == [0.5]


def test_an_error_repeats_the_vendors_code_and_message() -> None:
    body = {"error": {"code": "lock_timeout", "message": "Try again"}}
    world = bench(httpx.Response(429, json=body, headers={"Request-Id": "req_5"}))
    with pytest.raises(
        RateLimited, match=r"Stripe: GET /v1/things/\{id\}: HTTP 429, lock_timeout, Try again"
    ) as refused:
        world.send(service="Stripe")
    assert (refused.value.request_id, refused.value.service) == ("req_5", "Stripe")


# Time


def use_all_the_time(world_clock: ManualClock) -> Callable[[httpx.Request], httpx.Response]:
    """A vendor that lets every timeout run out."""

    def answer(request: httpx.Request) -> httpx.Response:
        granted = request.extensions["timeout"]
        world_clock.advance(granted["connect"] + granted["read"])
        message = "slow"
        raise httpx.ReadTimeout(message)

    return answer


def test_three_tries_fit_into_the_time_of_one_call() -> None:
    world = bench(OK)
    world.replies.planned = [use_all_the_time(world.clock)]
    with pytest.raises(RemoteUnavailable):
        world.send()
    assert world.tries == 3
    assert world.clock.now() - START <= timedelta(seconds=20)


def test_a_call_may_be_given_less_time() -> None:
    world = bench(status(500))
    with pytest.raises(RemoteUnavailable):
        world.transport.send(call(), until=START + timedelta(seconds=0.4))
    assert world.tries == 1
    assert world.clock.now() == START


def test_a_body_that_trickles_is_cut_off() -> None:
    world = bench(OK)

    def trickle() -> Iterator[bytes]:
        while True:
            world.clock.advance(1)
            yield b"x"

    world.replies.planned = [lambda _: httpx.Response(200, content=trickle())]
    with pytest.raises(RemoteUnavailable, match="no answer in time"):
        world.send()
    assert world.clock.now() - START <= timedelta(seconds=22)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_body_is_bounded_in_size(encoding: str) -> None:
    size = 11 * 1024 * 1024
    content = gzip.compress(bytes(size)) if encoding == "gzip" else bytes(size)
    world = bench(httpx.Response(200))
    world.replies.planned = [lambda _: httpx.Response(200, headers={"Content-Encoding": encoding}, content=content)]
    with pytest.raises(UnexpectedAnswer, match="more than 10485760 bytes"):
        world.send()


def test_a_call_may_allow_a_larger_body() -> None:
    world = bench(httpx.Response(200, content=bytes(11 * 1024 * 1024)))
    call = Call(service="Stripe", method="GET", url="https://a.example/x", endpoint="GET x", largest_body=12_000_000)
    assert len(world.transport.send(call).body) == 11 * 1024 * 1024


def test_a_broken_encoding_is_unexpected() -> None:
    world = bench(OK)
    world.replies.planned = [
        lambda _: httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=iter([b"not gzip"]))
    ]
    with pytest.raises(UnexpectedAnswer, match="DecodingError"):
        world.send()


# The guard


@dataclass
class Lease:
    """Counts how often it was asked for, and is lost after so many times."""

    lasts: int = 10**6
    asked: int = 0

    def check(self) -> None:
        self.asked += 1
        if self.asked > self.lasts:
            message = "the lease is gone"
            raise LeaseLost(message)


def test_the_guard_runs_right_before_every_try_of_a_write() -> None:
    world, lease = bench(status(500), status(500), OK), Lease()
    with world.transport.guarded(lease.check):
        world.send("POST")
    assert (lease.asked, world.tries) == (3, 3)


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH"])
def test_no_write_leaves_without_the_lease(method: str) -> None:
    world, lease = bench(OK), Lease(lasts=0)
    with world.transport.guarded(lease.check), pytest.raises(LeaseLost):
        world.send(method)
    assert world.tries == 0


def test_a_lease_lost_between_two_tries_stops_the_second() -> None:
    world, lease = bench(httpx.ReadTimeout("lost"), OK), Lease(lasts=1)
    with world.transport.guarded(lease.check), pytest.raises(LeaseLost):
        world.send("POST")
    assert world.tries == 1


def test_the_guard_runs_when_the_turn_has_come() -> None:
    world = bench(OK, limits={"PacSpace": Rate(endpoint=1, total=1)})
    asked_at: list[datetime] = []
    with world.transport.guarded(lambda: asked_at.append(world.clock.now())):
        world.send("POST")
        world.send("POST")
    assert asked_at[1] - asked_at[0] >= timedelta(seconds=0.9)


def test_reads_need_no_lease() -> None:
    world, lease = bench(OK), Lease(lasts=0)
    with world.transport.guarded(lease.check):
        world.send("GET")
    assert (lease.asked, world.tries) == (0, 1)


def test_the_guard_ends_with_its_block_and_holds_for_its_thread_only() -> None:
    world, outer, inner = bench(OK), Lease(), Lease()
    with world.transport.guarded(outer.check):
        with world.transport.guarded(inner.check):
            world.send("POST")
        with ThreadPoolExecutor(1) as pool:
            pool.submit(world.send, "POST").result()
        world.send("POST")
    world.send("POST")
    assert (outer.asked, inner.asked) == (1, 1)


# Counting


def test_every_try_of_every_request_is_counted_beside_the_guard() -> None:
    world, lease, counted = bench(status(500), OK), Lease(), Lease()
    with world.transport.guarded(lease.check), world.transport.counted(counted.check):
        world.send("POST")
        world.send("GET")
    world.send("POST")
    assert (lease.asked, counted.asked, world.tries) == (2, 3, 4)


def test_an_exception_of_a_counter_stops_the_request() -> None:
    world, counted = bench(OK), Lease(lasts=1)
    with world.transport.counted(counted.check), world.transport.counted(lambda: None):
        world.send("GET")
        with pytest.raises(LeaseLost):
            world.send("GET")
    assert world.tries == 1


# Rates


def test_calls_wait_their_turn() -> None:
    world = bench(OK, limits={"PacSpace": Rate(endpoint=5, total=100)})
    for _ in range(11):
        world.send()
    assert timedelta(seconds=2) < world.clock.now() - START < timedelta(seconds=2.2)


def test_the_first_limit_of_a_service_stays() -> None:
    world = bench(OK, limits={"PacSpace": Rate(endpoint=1, total=1)})
    world.transport.limit("PacSpace", Rate(endpoint=100, total=100))
    world.send()
    world.send()
    assert world.clock.now() - START > timedelta(seconds=1)


def test_a_turn_beyond_the_deadline_is_not_waited_for() -> None:
    world = bench(OK, limits={"PacSpace": Rate(endpoint=1, total=1)}, timeouts=Timeouts(total=3.5))
    world.send()
    with pytest.raises(RateLimited, match="waits for its turn"):
        world.send()
    assert (world.tries, world.clock.now()) == (1, START)


@pytest.mark.parametrize(
    ("reason", "waits"), [("endpoint-rate", True), ("global-rate", True), ("endpoint-concurrency", False), ("", False)]
)
def test_after_a_429_for_the_rate_less_is_sent(reason: str, waits: bool) -> None:  # noqa: FBT001
    world = bench(
        status(429, Stripe_Rate_Limited_Reason=reason, Stripe_Should_Retry="false"),
        OK,
        limits={"PacSpace": Rate(endpoint=4, total=4)},
    )
    with pytest.raises(RateLimited):
        world.send()
    for _ in range(3):
        world.send()
    assert (world.clock.now() > START) is waits


def limited(*planned: httpx.Response | Exception) -> Bench:
    return bench(*planned, limits={"Stripe": Rate(endpoint=4, total=8)})


def test_a_lock_timeout_is_repeated_and_reduces_no_rate() -> None:
    busy = httpx.Response(
        429, json={"error": {"code": "lock_timeout"}}, headers={"Stripe-Should-Retry": "true", "Retry-After": "1"}
    )
    world = limited(busy, OK)
    assert world.send("POST", service="Stripe").status == 200
    assert world.slept == [1.0]
    for _ in range(2):
        world.send("POST", service="Stripe")
    assert world.slept == [1.0]


def test_a_storm_of_429s_reduces_the_rate_to_about_one_a_second_and_it_recovers_soon() -> None:
    storm = status(429, Stripe_Rate_Limited_Reason="global-rate")
    world = limited(*[storm] * 30, OK)
    for _ in range(5):
        with pytest.raises(RateLimited):
            world.send("GET", service="Stripe")
    slowed_at = world.clock.now()
    for _ in range(5):
        with pytest.raises(RateLimited):
            world.send("GET", service="Stripe")
    assert world.clock.now() - slowed_at >= timedelta(seconds=10)
    world.clock.advance(10)
    began = world.clock.now()
    for method in ("GET", "POST") * 4:
        world.send(method, service="Stripe")
    assert world.clock.now() == began


def test_a_vendor_that_asks_for_silence_gets_no_request() -> None:
    too_many = httpx.Response(429, json={"message": "Too many requests"}, headers={"Retry-After": "5"})
    world = bench(too_many, OK, limits={"PacSpace": NO_KNOWN_RATE})
    with pytest.raises(RateLimited):
        world.transport.send(call("POST"), until=START + timedelta(seconds=4))
    world.send("GET")
    assert world.clock.now() - START == timedelta(seconds=5)


def test_a_cadence_limit_of_one_account_stops_no_other() -> None:
    too_often = httpx.Response(429, json={"error": {"code": "CADENCE_LIMIT", "retryAfterSeconds": 120}})
    world = bench(too_often, OK, limits={"PacSpace": NO_KNOWN_RATE})
    with pytest.raises(RateLimited):
        world.send("POST")
    world.send("GET")
    assert world.clock.now() == START


def test_after_a_500_stripe_is_asked_under_another_key_and_after_a_lost_answer_under_the_same() -> None:
    world = bench(status(500), httpx.ReadTimeout("lost"), OK)
    world.transport.send(replace(call("POST", service="Stripe"), key_header="Idempotency-Key"))
    assert [request.headers["Idempotency-Key"] for request in world.replies.requests] == ["key-1", "key-1-2", "key-1-2"]


def test_all_the_pauses_of_many_callers_are_spread() -> None:
    pauses = sorted(pause(3, number / 100, asked=None) or 0 for number in range(100))
    assert (pauses[0], pauses[-1]) == (0, 1.98)
    assert all(later - earlier < 0.03 for earlier, later in pairwise(pauses))


def test_background_calls_are_made_all_the_same() -> None:
    world = limited(OK)
    with world.transport.background():
        for _ in range(5):
            world.send("GET", service="Stripe")
    assert world.clock.now() - START == SPAN


def test_threads_share_one_limit_and_lose_nothing() -> None:
    sent: list[datetime] = []
    lock = threading.Lock()

    def answer(_: httpx.Request) -> httpx.Response:
        with lock:
            sent.append(datetime.now(UTC))
        return httpx.Response(200)

    transport = Transport(httpx_transport=httpx.MockTransport(answer), limits={"PacSpace": Rate(endpoint=20, total=20)})
    with ThreadPoolExecutor(8) as pool:
        assert {answer.status for answer in pool.map(lambda _: transport.send(call()), range(45))} == {200}
    transport.close()
    sent.sort()
    assert len(sent) == 45
    assert all(later - earlier > timedelta(seconds=0.99) for earlier, later in zip(sent, sent[20:], strict=False))


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
