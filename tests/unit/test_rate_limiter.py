"""The rate limiter: never more requests in any second than allowed, fewer after a 429, in a fair order."""

import json
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacspace_stripe.errors import RateLimited
from pacspace_stripe.http.calls import Answer
from pacspace_stripe.http.ratelimit.backoff import ExceededLimit, RateRefusal, rate_refusal
from pacspace_stripe.http.ratelimit.limiter import RateLimiter, RequestWindow
from pacspace_stripe.http.ratelimit.priority import Waiter, background, in_background
from pacspace_stripe.http.ratelimit.rules.rate import FORGOTTEN_AFTER, NO_KNOWN_RATE, SPAN, Rate, ReducedRate, reduced
from pacspace_stripe.simulator.clock import ManualClock

START = datetime(2026, 11, 1, tzinfo=UTC)
TOO_FAST = RateRefusal(exceeded=ExceededLimit.A_SECOND, everywhere=True)
TOO_FAST_HERE = RateRefusal(exceeded=ExceededLimit.A_SECOND, everywhere=False)
READ, WRITE = "GET /v1/invoices/{id}", "POST /v1/invoices/{id}"


def limiter(clock: ManualClock, endpoint: int = 25, total: int = 100) -> RateLimiter:
    return RateLimiter("Stripe", Rate(endpoint=endpoint, total=total), clock=clock.now, sleep=clock.advance)


def wait(rates: RateLimiter, clock: ManualClock, endpoint: str = READ) -> timedelta:
    """Send one request to an endpoint; return how long it waited."""
    before = clock.now()
    with rates.turn(endpoint, until=before + timedelta(minutes=1)) as turn:
        turn.sends()
        return clock.now() - before


@pytest.mark.parametrize("rate", [{"endpoint": 0, "total": 1}, {"endpoint": 1, "total": 0}])
def test_a_rate_allows_something(rate: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Rate(**rate)


def test_requests_within_the_limit_do_not_wait() -> None:
    clock = ManualClock(START)
    rates = limiter(clock)
    assert [wait(rates, clock) for _ in range(25)] == [timedelta(0)] * 25


def test_the_26th_request_to_one_endpoint_waits_a_second() -> None:
    clock = ManualClock(START)
    rates = limiter(clock)
    for _ in range(25):
        wait(rates, clock)
    assert wait(rates, clock, WRITE) == timedelta(0)
    assert timedelta(seconds=1) <= wait(rates, clock) < timedelta(seconds=1.1)


def test_all_endpoints_share_the_total() -> None:
    clock = ManualClock(START)
    rates = limiter(clock, endpoint=25, total=30)
    for number in range(30):
        assert wait(rates, clock, (READ, WRITE)[number % 2]) == timedelta(0)
    assert wait(rates, clock, "GET /v1/prices/{id}") >= timedelta(seconds=1)


def test_a_request_counts_from_the_moment_it_is_sent() -> None:
    clock = ManualClock(START)
    rates = limiter(clock, endpoint=2)
    for _ in range(2):
        with rates.turn(READ, until=START + timedelta(minutes=1)) as turn:
            clock.advance(0.4)
            turn.sends()
    # sent at 0.4 and 0.8: the third one may go when the first has left the vendor's second
    assert clock.now() - START + wait(rates, clock) == timedelta(seconds=0.4) + SPAN


def test_a_turn_is_given_a_little_early_and_then_waits_for_its_moment() -> None:
    clock = ManualClock(START)
    rates = limiter(clock, endpoint=1)
    wait(rates, clock)
    with rates.turn(READ, until=START + timedelta(minutes=1)) as turn:
        assert timedelta(seconds=0.9) <= clock.now() - START < SPAN
        turn.sends()
        assert clock.now() - START == SPAN


def test_a_request_that_may_have_been_under_way_counts_from_its_answer() -> None:
    clock = ManualClock(START)
    rates = limiter(clock, endpoint=1)
    with rates.turn(READ, until=START + timedelta(minutes=1)) as turn:
        turn.sends()
        clock.advance(0.4)
        turn.arrived()
    assert clock.now() - START + wait(rates, clock) == timedelta(seconds=0.4) + SPAN


def test_a_turn_that_missed_its_moment_waits_for_another_one() -> None:
    clock = ManualClock(START)
    rates = limiter(clock, endpoint=2)
    with rates.turn(READ, until=START + timedelta(minutes=1)) as late:
        clock.advance(1.5)  # a lease that had to be renewed
        for _ in range(2):
            assert wait(rates, clock) == timedelta(0)
        late.sends()
    assert clock.now() - START == timedelta(seconds=1.5) + SPAN


def test_a_turn_is_not_used_once_the_vendor_asked_for_silence() -> None:
    clock = ManualClock(START)
    rates = limiter(clock, endpoint=1)
    wait(rates, clock)
    wanted = RateRefusal(exceeded=ExceededLimit.A_SECOND, everywhere=True, rest=timedelta(seconds=5))
    with rates.turn(READ, until=START + timedelta(minutes=1)) as turn:
        rates.refused(WRITE, wanted, asked_at=START)
        with pytest.raises(RateLimited) as refused:
            turn.sends()
    assert refused.value.retry_after
    assert refused.value.retry_after > timedelta(seconds=4)


def test_a_turn_is_not_given_early_when_its_moment_comes_too_late() -> None:
    clock = ManualClock(START)
    rates = limiter(clock, endpoint=1)
    wait(rates, clock)
    clock.advance(0.95)
    with pytest.raises(RateLimited), rates.turn(READ, until=clock.now() + timedelta(seconds=0.05)):
        pass


def test_a_turn_that_comes_too_late_is_not_waited_for() -> None:
    clock = ManualClock(START)
    rates = limiter(clock, endpoint=1)
    wait(rates, clock)
    with pytest.raises(RateLimited) as refused, rates.turn(READ, until=START + timedelta(seconds=0.5)):
        pass
    assert refused.value.retry_after is not None
    assert clock.now() == START


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([READ, WRITE]), st.integers(0, 80)), max_size=120))
def test_no_second_holds_more_requests_than_the_limit(requests: list[tuple[str, int]]) -> None:
    clock = ManualClock(START)
    rates = limiter(clock, endpoint=5, total=8)
    sent: list[tuple[str, datetime]] = []
    for endpoint, pause in requests:
        clock.advance(timedelta(milliseconds=pause))
        wait(rates, clock, endpoint)
        sent.append((endpoint, clock.now()))
    for place, (_, at) in enumerate(sent):
        within = [name for name, then in sent[: place + 1] if then > at - timedelta(seconds=1)]
        assert len(within) <= 8
        assert max(within.count(READ), within.count(WRITE)) <= 5


def test_after_a_429_less_is_sent_and_slowly_more_again() -> None:
    clock = ManualClock(START)
    rates = limiter(clock, endpoint=8)
    rates.refused(READ, TOO_FAST_HERE, asked_at=clock.now())
    assert sum(wait(rates, clock) == timedelta(0) for _ in range(8)) == 7
    clock.advance(3)
    assert sum(wait(rates, clock) == timedelta(0) for _ in range(9)) == 8
    assert wait(limiter(clock), clock, WRITE) == timedelta(0)


def test_a_429_for_the_whole_account_slows_every_endpoint() -> None:
    clock = ManualClock(START)
    rates = limiter(clock, endpoint=2, total=2)
    rates.refused(READ, TOO_FAST, asked_at=clock.now())
    assert wait(rates, clock, READ) == timedelta(0)
    assert wait(rates, clock, WRITE) > timedelta(0)


def test_unused_endpoints_are_forgotten() -> None:
    clock = ManualClock(START)
    rates = limiter(clock, total=100_000)
    for number in range(2000):
        wait(rates, clock, f"GET /v1/{number}")
        clock.advance(0.01)
    assert len(rates._endpoints) <= 400  # noqa: SLF001  # what it holds is the point


# Giving way after a refusal


@given(st.integers(1, 200), st.lists(st.floats(0, 30), min_size=1, max_size=10))
def test_a_reduced_rate_only_grows_and_never_passes_the_limit(limit: int, pauses: list[float]) -> None:
    rate, now, before = reduced(limit, START), START, 0
    for pause in pauses:
        now += timedelta(seconds=pause)
        assert before <= rate.allowed(limit, now) <= limit
        before = rate.allowed(limit, now)


@pytest.mark.parametrize(("limit", "seconds"), [(25, 3), (100, 3), (10, 1), (2, 1)])
def test_a_reduced_rate_recovers_within_seconds(limit: int, seconds: int) -> None:
    rate = reduced(limit, START)
    assert rate.allowed(limit, START) == limit * 9 // 10
    assert rate.allowed(limit, START + timedelta(seconds=seconds - 1)) < limit
    assert rate.allowed(limit, START + timedelta(seconds=seconds)) == limit


def test_a_first_429_reduces_the_rate_a_little_and_repeated_ones_a_lot() -> None:
    clock, window = ManualClock(START), RequestWindow(20)
    for seconds, allowed in ((0.01, 18), (0.01, 13), (0.01, 9), (9.9, 13)):
        clock.advance(seconds)
        window.slow(asked_at=clock.now(), now=clock.now())
        assert window.allowed(clock.now()) == allowed
    clock.advance(20)
    window.slow(asked_at=clock.now(), now=clock.now())
    assert window.allowed(clock.now()) == 18


def test_repeated_429s_go_on_reducing_a_small_limit_that_others_use_too() -> None:
    clock, window = ManualClock(START), RequestWindow(10)
    for allowed in (9, 7, 6):
        window.slow(asked_at=clock.now(), now=clock.now())
        assert window.allowed(clock.now()) == allowed
        clock.advance(2)


def test_the_429s_of_one_burst_reduce_the_rate_once() -> None:
    rate = reduced(24, START + timedelta(seconds=1))
    assert rate.after(12, asked_at=START, now=START + timedelta(seconds=2)) is rate
    again = rate.after(12, asked_at=START + timedelta(seconds=1.5), now=START + timedelta(seconds=2))
    assert again == ReducedRate(lowered_to=9, lowered_at=START + timedelta(seconds=2))


def test_the_rate_is_never_below_one_request_per_second() -> None:
    rate = reduced(25, START)
    for number in range(1, 20):
        now = START + timedelta(seconds=number / 10)
        rate = rate.after(rate.allowed(25, now), asked_at=now, now=now)
    assert rate.allowed(25, START + timedelta(seconds=2)) == 1


def test_for_an_unknown_limit_the_rate_falls_below_what_was_sent_and_is_forgotten_in_the_end() -> None:
    clock = ManualClock(START)
    rates = RateLimiter("PacSpace", NO_KNOWN_RATE, clock=clock.now, sleep=clock.advance)
    assert [wait(rates, clock) for _ in range(40)] == [timedelta(0)] * 40
    rates.refused(READ, TOO_FAST, asked_at=clock.now())
    clock.advance(0.5)
    assert wait(rates, clock) >= timedelta(seconds=0.5)
    clock.advance(FORGOTTEN_AFTER)
    assert [wait(rates, clock) for _ in range(1000)] == [timedelta(0)] * 1000


def test_a_vendor_that_asks_for_silence_gets_no_request_at_any_endpoint() -> None:
    clock = ManualClock(START)
    rates = RateLimiter("PacSpace", NO_KNOWN_RATE, clock=clock.now, sleep=clock.advance)
    wanted = RateRefusal(exceeded=ExceededLimit.A_SECOND, everywhere=True, rest=timedelta(seconds=5))
    rates.refused(READ, wanted, asked_at=clock.now())
    assert wait(rates, clock, WRITE) == timedelta(seconds=5)


def test_a_concurrency_429_lets_fewer_requests_run_at_once() -> None:
    clock = ManualClock(START)
    rates = limiter(clock)
    with ExitStack() as running:
        turns = [running.enter_context(rates.turn(READ, until=START + timedelta(minutes=1))) for _ in range(4)]
        clock.advance(0.01)
        turns[-1].refused(RateRefusal(exceeded=ExceededLimit.AT_ONCE, everywhere=False))
        assert wait(rates, clock, WRITE) == timedelta(0)
        assert timedelta(seconds=0.9) < wait(rates, clock) < timedelta(seconds=1.1)
    assert wait(rates, clock) == timedelta(0)


# What a 429 says


@pytest.mark.parametrize(
    ("reason", "code", "asked", "means"),
    [
        ("endpoint-rate", "rate_limit", None, TOO_FAST_HERE),
        ("global-rate", "rate_limit", None, TOO_FAST),
        ("endpoint-concurrency", "rate_limit", None, RateRefusal(exceeded=ExceededLimit.AT_ONCE, everywhere=False)),
        ("global-concurrency", "rate_limit", None, RateRefusal(exceeded=ExceededLimit.AT_ONCE, everywhere=True)),
        ("resource-specific", "rate_limit", None, None),
        ("something-new", "rate_limit", 3.0, None),
        (None, "lock_timeout", None, None),
        (None, "lock_timeout", 3.0, None),
        (None, "CADENCE_LIMIT", 120.0, None),
        (None, None, None, None),
        (None, "rate_limit", None, TOO_FAST),
        (None, "RATE_LIMITED", None, TOO_FAST),
        (
            None,
            "RATE_LIMITED",
            5.0,
            RateRefusal(exceeded=ExceededLimit.A_SECOND, everywhere=True, rest=timedelta(seconds=5)),
        ),
        (None, None, 9e9, RateRefusal(exceeded=ExceededLimit.A_SECOND, everywhere=True, rest=timedelta(minutes=1))),
    ],
)
def test_what_a_429_says_about_the_request_rate(
    reason: str | None, code: str | None, asked: float | None, means: RateRefusal | None
) -> None:
    headers = httpx.Headers({"stripe-rate-limited-reason": reason} if reason else {})
    answer = Answer(status=429, headers=headers, body=json.dumps({"error": {"code": code}}).encode())
    assert rate_refusal(answer, asked) == means
    assert rate_refusal(replace(answer, status=503), asked) is None


# Who goes first


def queue(window: RequestWindow, *waiters: Waiter) -> None:
    """They wait, in this order."""
    for waiter in waiters:
        window.join(waiter)


def served(window: RequestWindow, waiters: list[Waiter], clock: ManualClock, seconds: float) -> list[Waiter]:
    """Return the callers that got a turn within some seconds, when all of them ask all the time."""
    ends, order = clock.now() + timedelta(seconds=seconds), []
    while clock.now() < ends:
        for waiter in waiters:
            if waiter in window.queue and window.slot(waiter, clock.now()) == clock.now():
                window.begin(waiter, clock.now())
                order.append(waiter)
        clock.advance(0.01)
    return order


def waiters(background: int, urgent: int) -> tuple[list[Waiter], list[Waiter]]:
    """Background work that came first, then what cannot wait."""
    first = [Waiter(ticket=number, background=True) for number in range(background)]
    return first, [Waiter(ticket=background + number, background=False) for number in range(urgent)]


def test_waiting_calls_get_their_turns_in_order() -> None:
    clock, window = ManualClock(START), RequestWindow(5)
    _, urgent = waiters(0, 12)
    queue(window, *urgent)
    order = served(window, urgent[::-1], clock, 3)
    assert [set(order[place : place + 5]) for place in (0, 5, 10)] == [
        set(urgent[:5]),
        set(urgent[5:10]),
        set(urgent[10:]),
    ]


def test_background_work_goes_last_except_for_a_tenth() -> None:
    clock, window = ManualClock(START), RequestWindow(20)
    background, urgent = waiters(40, 60)
    queue(window, *background, *urgent)
    order = served(window, background + urgent, clock, 3)
    first_seconds = order[:60]
    assert sum(waiter.background for waiter in first_seconds) == 6
    assert [waiter for waiter in order if not waiter.background] == urgent[: len(order) - 6]


def test_background_work_gets_the_whole_limit_when_nothing_else_waits() -> None:
    clock, window = ManualClock(START), RequestWindow(20)
    background, _ = waiters(60, 0)
    queue(window, *background)
    assert len(served(window, background, clock, 3)) == 60


@given(st.integers(1, 30))
def test_background_work_never_waits_for_ever(limit: int) -> None:
    clock, window = ManualClock(START), RequestWindow(limit)
    background, urgent = waiters(1, 5 * limit)
    late = Waiter(ticket=10_000, background=True)
    queue(window, *background, *urgent, late)
    order = served(window, [*background, *urgent, late], clock, 4)
    assert background[0] in order
    assert late in order


def test_calls_inside_background_are_marked() -> None:
    assert not in_background()
    with background():
        assert in_background()
        with background():
            assert in_background()
        assert in_background()
    assert not in_background()
