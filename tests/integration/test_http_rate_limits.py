"""The HTTP client obeys rate limits, and sends less for a while after a 429."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import httpx
import pytest

from pacspace_stripe.errors import (
    RateLimited,
)
from pacspace_stripe.http.client import Transport
from pacspace_stripe.http.ratelimit.rules.rate import NO_KNOWN_RATE, SPAN, Rate
from pacspace_stripe.http.retries import Timeouts, pause
from tests.support.http_bench import OK, START, Bench, bench, call, status

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
