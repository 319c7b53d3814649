"""The HTTP client repeats calls, keeps to deadlines, and runs guards and counters before each try."""

import gzip
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import httpx
import pytest

from pacspace_stripe.errors import (
    LeaseLost,
    RateLimited,
    RemoteError,
    RemoteUnavailable,
    UnexpectedAnswer,
)
from pacspace_stripe.http.calls import Call
from pacspace_stripe.http.ratelimit.rules.rate import Rate
from pacspace_stripe.simulator.clock import ManualClock
from tests.support.http_bench import OK, START, Lease, bench, call, status

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
