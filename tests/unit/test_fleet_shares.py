"""The processes of a fleet never hold more than the limit together, and each gets its fair share."""

from collections import deque
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from pacspace_stripe.http.ratelimit.rules.fleet_shares import (
    LASTS,
    SETTLES,
    TOTAL,
    Demand,
    FleetHolding,
    LimitShare,
    divide,
    filled,
    free,
)
from pacspace_stripe.http.ratelimit.rules.rate import SPAN, Rate, reserved

START = datetime(2026, 11, 1, tzinfo=UTC)
RATE = Rate(endpoint=25, total=25)
READ = "GET /v1/invoices/{id}"
ALL_URGENT, ALL_PATIENT = Demand(urgent=25), Demand(background=25)


class Fleet:
    """Processes that renew when a test says so."""

    def __init__(self, rate: Rate = RATE) -> None:
        self.rate, self.now = rate, START
        self.holdings: dict[str, FleetHolding] = {}

    def demands(self, name: str, demand: Demand, endpoint: str = READ) -> int:
        """A process renews with one demand; what it holds then."""
        self.holdings[name] = divide(self.rate, name, {endpoint: demand}, self.holdings, self.now)
        share = self.holdings[name].shares.get(endpoint)
        return share.held if share else 0

    def settled(self, demands: dict[str, Demand]) -> dict[str, int]:
        """Let all processes demand the same for some seconds; return what each holds."""
        held: dict[str, int] = {}
        for _ in range(10):
            held = {name: self.demands(name, demand) for name, demand in demands.items()}
            self.later(0.5)
        return held

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def test_a_busy_process_alone_gets_the_whole_limit() -> None:
    assert Fleet().settled({"a": ALL_URGENT}) == {"a": 25}


def test_an_idle_process_alone_leaves_room_for_a_newcomer() -> None:
    fleet = Fleet()
    assert fleet.settled({"a": Demand(urgent=3)}) == {"a": 14}
    assert fleet.demands("b", Demand(urgent=1)) >= 1


def test_two_busy_processes_get_half_each() -> None:
    held = Fleet().settled({"a": ALL_URGENT, "b": ALL_URGENT})
    assert sorted(held.values()) == [12, 13]


def test_a_newcomer_gets_its_half_within_two_seconds() -> None:
    fleet = Fleet()
    fleet.settled({"a": ALL_URGENT})
    assert fleet.demands("b", ALL_URGENT) == 0
    fleet.demands("a", ALL_URGENT)
    fleet.later(SETTLES.total_seconds())
    assert fleet.demands("b", ALL_URGENT) >= 12


def test_background_work_leaves_all_but_its_reserve_to_others() -> None:
    assert Fleet().settled({"backfill": ALL_PATIENT, "serve": ALL_URGENT}) == {"backfill": 2, "serve": 23}


def test_background_work_gets_the_part_that_others_do_not_need() -> None:
    assert Fleet().settled({"backfill": ALL_PATIENT, "serve": Demand(urgent=5)}) == {"backfill": 20, "serve": 5}


def test_a_dead_processs_share_is_free_when_its_last_requests_are_a_second_old() -> None:
    fleet = Fleet()
    fleet.demands("dead", ALL_URGENT)
    fleet.later((LASTS + SETTLES).total_seconds() - 0.01)
    assert fleet.demands("a", ALL_URGENT) == 0
    fleet.later(0.01)
    assert fleet.demands("a", ALL_URGENT) == 25


def test_a_process_whose_share_expired_takes_nothing_from_its_new_holder() -> None:
    fleet = Fleet()
    fleet.demands("idle", ALL_URGENT)
    fleet.later((LASTS + SETTLES).total_seconds())
    assert fleet.demands("a", ALL_URGENT) == 25
    fleet.demands("idle", Demand())
    assert fleet.demands("a", ALL_URGENT) == 25


def test_a_share_that_was_given_up_counts_until_the_vendors_second_is_over() -> None:
    fleet = Fleet()
    fleet.demands("a", ALL_URGENT)
    fleet.demands("a", Demand(urgent=5))
    assert free(RATE, fleet.holdings, READ, fleet.now) == 0
    fleet.later(SETTLES.total_seconds())
    assert free(RATE, fleet.holdings, READ, fleet.now) == 10


def test_a_process_without_demands_is_forgotten() -> None:
    fleet = Fleet()
    fleet.demands("a", ALL_URGENT)
    fleet.demands("a", Demand())
    fleet.later(SETTLES.total_seconds())
    fleet.demands("a", Demand())
    assert fleet.holdings["a"].shares == {}


def test_more_processes_than_requests_take_turns() -> None:
    fleet = Fleet(Rate(endpoint=2, total=2))
    served = set()
    for _ in range(120):
        for name in "abcde":
            if fleet.demands(name, Demand(urgent=2)):
                served.add(name)
        fleet.later(0.5)
    assert served == set("abcde")


def test_the_limit_on_all_endpoints_is_divided_too() -> None:
    holding = divide(Rate(endpoint=25, total=100), "a", {TOTAL: Demand(urgent=100), READ: ALL_URGENT}, {}, START)
    assert {name: share.held for name, share in holding.shares.items()} == {TOTAL: 100, READ: 25}


def test_an_old_given_up_share_does_not_outlive_its_second() -> None:
    fleet = Fleet()
    fleet.demands("a", ALL_URGENT)
    for urgent in (5, 4, 5, 4, 5, 4):
        fleet.later(0.5)
        fleet.demands("a", Demand(urgent=urgent))
    assert fleet.holdings["a"].shares[READ].counts(fleet.now) < 25


@given(st.integers(0, 50), st.lists(st.integers(0, 60), min_size=1, max_size=8))
def test_no_process_gets_more_than_its_demand_and_nothing_is_wasted(amount: int, demands: list[int]) -> None:
    given_out = filled(amount, demands)
    assert all(0 <= got <= wished for got, wished in zip(given_out, demands, strict=True))
    assert sum(given_out) == min(amount, sum(demands))
    unmet = [got for got, wished in zip(given_out, demands, strict=True) if got < wished]
    assert not unmet or max(given_out) - min(unmet) <= 1


step = st.tuples(st.sampled_from("abcd"), st.integers(0, 30), st.integers(0, 30), st.integers(0, 900))


@given(st.lists(step, max_size=60), st.integers(1, 30))
def test_all_shares_together_never_exceed_the_limit(steps: list[tuple[str, int, int, int]], limit: int) -> None:
    fleet = Fleet(Rate(endpoint=limit, total=limit))
    for name, urgent, background, pause in steps:
        fleet.demands(name, Demand(urgent=min(urgent, limit), background=min(background, limit)))
        assert sum(held.counts(READ, fleet.now) for held in fleet.holdings.values()) <= limit
        fleet.later(pause / 1000)


@settings(max_examples=60)
@given(st.lists(step, min_size=20, max_size=80))
def test_no_second_has_more_requests_than_the_limit_in_any_fleet(
    steps: list[tuple[str, int, int, int]],
) -> None:
    """Each process sends all that its share allows, at the worst moments: right before it gives some of it up."""
    fleet = Fleet()
    sent: list[datetime] = []
    by_process: dict[str, deque[datetime]] = {name: deque() for name in "abcd"}

    def send_all(name: str) -> None:
        holding, mine = fleet.holdings.get(name), by_process[name]
        if holding is None or fleet.now >= holding.until or READ not in holding.shares:
            return
        while mine and mine[0] + SPAN <= fleet.now:
            mine.popleft()
        while len(mine) < holding.shares[READ].held:
            mine.append(fleet.now)
            sent.append(fleet.now)

    for name, urgent, background, pause in steps:
        send_all(name)
        fleet.demands(name, Demand(urgent=urgent, background=background))
        for each in "abcd":
            send_all(each)
        fleet.later(pause / 1000)
    for place, at in enumerate(sent):
        assert sum(earlier > at - timedelta(seconds=1) for earlier in sent[: place + 1]) <= 25


def test_a_share_counts_at_least_its_held_part() -> None:
    share = LimitShare(held=3, demand=Demand(), given_up=((9, START), (7, START + timedelta(seconds=1))))
    assert share.counts(START) == 7
    assert share.counts(START + timedelta(seconds=1)) == 3


def test_a_tenth_is_reserved_and_at_least_one() -> None:
    assert [reserved(allowed) for allowed in (0, 1, 9, 25, 100)] == [0, 1, 1, 2, 10]
