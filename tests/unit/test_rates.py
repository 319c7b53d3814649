"""So many requests in any second, and no more."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacspace_stripe.domain.rates import Rate
from pacspace_stripe.errors import RateLimited
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.transport.rates import RateLimiter
from pacspace_stripe.transport.refusals import Refusal, TooMany

START = datetime(2026, 11, 1, tzinfo=UTC)
TOO_FAST = Refusal(too_many=TooMany.A_SECOND, everywhere=True)
TOO_FAST_HERE = Refusal(too_many=TooMany.A_SECOND, everywhere=False)
READ, WRITE = "GET /v1/invoices/{id}", "POST /v1/invoices/{id}"


def limiter(clock: ManualClock, endpoint: int = 25, total: int = 100) -> RateLimiter:
    return RateLimiter("Stripe", Rate(endpoint=endpoint, total=total), clock=clock.now, sleep=clock.advance)


def wait(rates: RateLimiter, clock: ManualClock, endpoint: str = READ) -> timedelta:
    """How long one request to an endpoint waited."""
    before = clock.now()
    with rates.turn(endpoint, until=before + timedelta(minutes=1)):
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
def test_no_second_ever_holds_more_than_the_limit(requests: list[tuple[str, int]]) -> None:
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


def test_after_a_429_half_as_much_is_sent_and_slowly_more_again() -> None:
    clock = ManualClock(START)
    rates = limiter(clock, endpoint=8)
    rates.refused(READ, TOO_FAST_HERE, asked_at=clock.now())
    per_second = []
    for _ in range(8):
        ends, count = clock.now() + timedelta(seconds=1.02), 0
        while clock.now() < ends:
            count += 1
            wait(rates, clock)
        per_second.append(count)
    assert per_second[0] <= 6
    assert per_second[-1] == 8
    assert wait(limiter(clock), clock, WRITE) == timedelta(0)


def test_a_429_for_the_whole_account_slows_every_endpoint() -> None:
    clock = ManualClock(START)
    rates = limiter(clock, endpoint=2, total=2)
    rates.refused(READ, TOO_FAST, asked_at=clock.now())
    assert wait(rates, clock, READ) == timedelta(0)
    assert wait(rates, clock, WRITE) > timedelta(0)


def test_endpoints_nobody_uses_any_more_are_forgotten() -> None:
    clock = ManualClock(START)
    rates = limiter(clock, total=100_000)
    for number in range(2000):
        wait(rates, clock, f"GET /v1/{number}")
        clock.advance(0.01)
    assert len(rates._endpoints) <= 400  # noqa: SLF001  # what it holds is the point
