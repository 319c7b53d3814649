"""Processes on one database keep one limit together, over real databases and sockets."""

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count

import httpx
import pytest
import sqlalchemy as sa

from pacspace_stripe.errors import StoreUnavailable
from pacspace_stripe.http.calls import Call
from pacspace_stripe.http.client import Transport
from pacspace_stripe.http.ratelimit.limiter import RateLimiter
from pacspace_stripe.http.ratelimit.priority import Waiter, background
from pacspace_stripe.http.ratelimit.rules.fleet_shares import (
    LASTS,
    RENEW,
    SETTLES,
    Demand,
    FleetHolding,
    LimitShare,
    divide,
)
from pacspace_stripe.http.ratelimit.rules.rate import SPAN, Rate
from pacspace_stripe.http.ratelimit.shares import ASSUMED_PROCESSES, Fleet, FleetShares
from pacspace_stripe.simulator.clock import ManualClock, WallClock
from pacspace_stripe.simulator.serve import serve
from pacspace_stripe.simulator.stripe import StripeSimulator
from pacspace_stripe.store import JobKind, Store
from pacspace_stripe.store.database import one_at_a_time
from pacspace_stripe.store.tables import jobs
from tests.support import senders
from tests.support.databases import OwnServer
from tests.support.worlds import ENVIRONMENT

RATE = Rate(endpoint=25, total=25)
READ = "GET /v1/invoices/{id}"
BUSY = {"": Demand(urgent=25), READ: Demand(urgent=25)}


def wall_clock() -> datetime:
    return datetime.now(UTC)


@contextmanager
def opened(url: str) -> Iterator[Store]:
    url = url.replace("postgresql://", "postgresql+psycopg://")
    store = Store(url, now=wall_clock, lost_after=timedelta(seconds=35))
    store.migrate()
    try:
        yield store
    finally:
        store.close()


def renewed(store: Store, process: str, demands: Mapping[str, Demand], service: str = "Stripe test") -> dict[str, int]:
    """Renew a process's shares; return what it holds by endpoint."""
    held: dict[str, int] = {}

    def taken(name: str, holdings: Mapping[str, FleetHolding], now: datetime) -> FleetHolding:
        holding = divide(RATE, name, demands, holdings, now)
        held.update({endpoint: share.held for endpoint, share in holding.shares.items()})
        return holding

    store.rate_shares(service, process=process).renew(taken)
    return held


# The table


def test_processes_see_the_shares_of_others(database_url: str) -> None:
    with opened(database_url) as one, opened(database_url) as other:
        assert renewed(one, "one", BUSY) == {"": 25, READ: 25}
        assert renewed(other, "other", BUSY) == {"": 0, READ: 0}
        assert renewed(one, "one", BUSY)[READ] in {12, 13}
        time.sleep(SETTLES.total_seconds())
        assert renewed(other, "other", BUSY)[READ] in {12, 13}


def test_a_holding_is_read_as_it_was_written(database_url: str) -> None:
    share = LimitShare(
        held=3, demand=Demand(urgent=1, background=2), given_up=((7, datetime(2026, 11, 1, 0, 0, 1, 500000, UTC)),)
    )
    holding = FleetHolding(shares={"": share, READ: share}, until=datetime.now(UTC) + timedelta(seconds=2))
    seen: list[Mapping[str, FleetHolding]] = []

    def look(_: str, holdings: Mapping[str, FleetHolding], __: datetime) -> FleetHolding:
        seen.append(holdings)
        return holding

    with opened(database_url) as store:
        store.rate_shares("Stripe test", process="a").renew(look)
        store.rate_shares("Stripe test", process="b").renew(look)
    assert seen == [{}, {"a": holding}]


def test_test_and_live_mode_have_limits_of_their_own(database_url: str) -> None:
    with opened(database_url) as store:
        renewed(store, "one", BUSY, "Stripe test")
        assert renewed(store, "other", BUSY, "Stripe live")[READ] == 25


def test_a_killed_processs_share_on_this_host_is_free_when_its_requests_are_a_second_old(database_url: str) -> None:
    with subprocess.Popen(["true"]) as ended:  # noqa: S607  # any process will do
        ended.wait()
    killed, elsewhere = f"{socket.gethostname()}/{ended.pid}/aa", f"another.host/{ended.pid}/aa"
    with opened(database_url) as store:
        renewed(store, killed, BUSY)
        assert renewed(store, "one", BUSY)[READ] == 0
        time.sleep((RENEW + SPAN).total_seconds())
        assert renewed(store, "one", BUSY)[READ] == 25
    with opened(database_url) as store:
        renewed(store, elsewhere, {"other": Demand(urgent=25)})
        time.sleep((RENEW + SPAN).total_seconds())
        assert renewed(store, "two", {"other": Demand(urgent=25)})["other"] == 0


def test_a_clock_that_was_set_back_does_not_prolong_a_dead_processs_share(sqlite_url: str) -> None:
    now = [datetime(2026, 11, 1, 12, tzinfo=UTC)]
    store = Store(sqlite_url, now=lambda: now[0], lost_after=timedelta(seconds=35))
    store.migrate()
    renewed(store, "dead", BUSY)
    renewed(store, "dead", {"": Demand(urgent=5), READ: Demand(urgent=5)})
    now[0] -= timedelta(hours=1)
    assert renewed(store, "one", BUSY)[READ] == 0
    now[0] += LASTS + SETTLES
    assert renewed(store, "one", BUSY)[READ] == 25
    store.close()


def test_a_process_that_stops_while_renewing_blocks_no_other(postgresql_url: str) -> None:
    vendor = Vendor()
    with opened(postgresql_url) as store, transport(vendor, store, "one") as one:
        with store.engine.begin() as stopped:
            one_at_a_time(stopped, "pacspace-rates:Stripe test")
            for _ in range(3):
                one.send(call())
        assert len(vendor.asked_at) == 3


def test_rows_of_processes_long_gone_are_swept(sqlite_url: str) -> None:
    now = [datetime(2026, 11, 1, tzinfo=UTC)]
    store = Store(sqlite_url, now=lambda: now[0], lost_after=timedelta(seconds=35))
    store.migrate()
    for number in range(5):
        renewed(store, f"process {number}", BUSY)
        now[0] += timedelta(minutes=2)
    with store.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM pacspace_rates")).scalar() == 1
    store.close()


def test_renewing_waits_for_no_transaction_of_the_store(postgresql_url: str) -> None:
    with opened(postgresql_url) as store:
        store.triggers.request(JobKind.INVOICE, "in_1")
        with store.engine.begin() as connection:
            connection.execute(sa.update(jobs).values(requested=jobs.c.requested + 1))
            assert renewed(store, "one", BUSY)[READ] == 25


def test_renewing_beside_busy_transactions_never_deadlocks(database_url: str) -> None:
    ends = time.monotonic() + 1.5
    with opened(database_url) as store, ThreadPoolExecutor(6) as pool:

        def repeat(act: Callable[[], object]) -> int:
            count = 0
            while time.monotonic() < ends:
                act()
                count += 1
            return count

        renewing = [pool.submit(repeat, partial(renewed, store, name, BUSY)) for name in "abc"]
        storing = [pool.submit(repeat, lambda: store.triggers.request(JobKind.INVOICE, "in_1")) for _ in range(3)]
        assert all(each.result() for each in (*renewing, *storing))


# One process


@dataclass
class Vendor:
    """A vendor that answers every request, and remembers the times of the requests."""

    asked_at: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, _: httpx.Request) -> httpx.Response:
        with self.lock:
            self.asked_at.append(time.monotonic())
        return httpx.Response(200)

    def most_in_a_second(self) -> int:
        times = sorted(self.asked_at)
        return max(sum(at - 1 < other <= at for other in times) for at in times)


def call() -> Call:
    return Call(service="Stripe", method="GET", url="https://vendor.test/", endpoint=READ)


@contextmanager
def transport(vendor: Vendor, store: Store, process: str, rate: Rate = RATE) -> Iterator[Transport]:
    fleets = {"Stripe": store.rate_shares("Stripe test", process=process)}
    made = Transport(httpx_transport=httpx.MockTransport(vendor), limits={"Stripe": rate}, fleets=fleets)
    try:
        yield made
    finally:
        made.close()


def test_a_process_alone_soon_reaches_the_limit_and_never_exceeds_it(database_url: str) -> None:
    vendor = Vendor()
    with opened(database_url) as store, transport(vendor, store, "one") as one, ThreadPoolExecutor(4) as pool:
        began = time.monotonic()
        list(pool.map(lambda _: one.send(call()), range(75)))
        assert time.monotonic() - began < 6
    assert vendor.most_in_a_second() <= 25


def test_a_first_call_waits_for_nothing_but_one_short_transaction(database_url: str) -> None:
    vendor = Vendor()
    with opened(database_url) as store, transport(vendor, store, "one") as one:
        one.send(call())
        began = time.monotonic()
        for _ in range(10):
            one.send(call())
        assert time.monotonic() - began < 0.5


def test_a_leaving_process_makes_room_for_the_next_one(database_url: str) -> None:
    vendor = Vendor()
    with opened(database_url) as store:
        with transport(vendor, store, "one") as one, ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: one.send(call()), range(30)))
        time.sleep(SETTLES.total_seconds())
        assert renewed(store, "other", BUSY)[READ] == 25


def test_a_database_outage_stops_no_process() -> None:
    vendor = Vendor()
    with OwnServer() as server, opened(server.url) as store, transport(vendor, store, "one") as one:
        one.send(call())
        server.stop()
        time.sleep(2.1)
        for _ in range(30):
            one.send(call())
        server.start()
        time.sleep(1.1)
        one.send(call())
        assert renewed(store, "other", BUSY)[READ] < 25
    assert len(vendor.asked_at) == 32
    assert vendor.most_in_a_second() <= 25


def test_a_share_that_is_given_up_is_not_used_while_the_database_commits(sqlite_url: str) -> None:
    with opened(sqlite_url) as store:
        shares = FleetShares(Slow(store.rate_shares("Stripe test", process="one")), RATE, wall_clock)
        shares.renew(lambda: BUSY)
        assert shares.of(READ, 25, wall_clock()) == 25
        renewed(store, "other", BUSY)
        with pytest.raises(ValueError, match="in the middle"):
            shares.renew(lambda: BUSY)
        assert shares.of(READ, 25, wall_clock()) in {12, 13}


@dataclass
class Slow:
    """A fleet whose database does not come back from its second commit."""

    fleet: Fleet
    asked: int = 0

    def renew(self, divide: Callable[[str, Mapping[str, FleetHolding], datetime], FleetHolding]) -> None:
        self.asked += 1
        self.fleet.renew(divide)
        if self.asked > 1:
            message = "in the middle of it"
            raise ValueError(message)


class Away:
    """A fleet whose database does not answer."""

    def renew(self, _: object) -> None:
        message = "the database does not answer"
        raise StoreUnavailable(message)


def test_a_process_that_never_reached_the_database_takes_a_cautious_part() -> None:
    shares = FleetShares(Away(), RATE, wall_clock)
    shares.renew(dict)
    assert shares.of(READ, 25, wall_clock()) == 25 // ASSUMED_PROCESSES
    assert not shares.due(READ, wall_clock(), wanting=True)


# Several processes, over sockets


@contextmanager
def stripe() -> Iterator[tuple[StripeSimulator, str, str]]:
    """A simulator that enforces its limits, an invoice, and its address."""
    with StripeSimulator(WallClock(), enforce_rate_limits=True) as simulator, serve(simulator) as server:
        simulator.add_customer("cus_1")
        price = simulator.add_price(simulator.add_meter("api_calls"))
        start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=31)
        simulator.add_subscription("cus_1", [price], period_start=start, period_end=start + timedelta(days=30))
        simulator.run_due()
        yield simulator, simulator.invoices()[-1], server.url


def environment(url: str, database_url: str, **settings: str) -> dict[str, str]:
    return {**ENVIRONMENT, "STRIPE_API_BASE_URL": url, "PACSPACE_STRIPE_DATABASE_URL": database_url, **settings}


SECONDS = 6


def test_two_processes_keep_one_limit_together(database_url: str) -> None:
    with opened(database_url), stripe() as (simulator, invoice, url):
        running = [senders.start(environment(url, database_url), invoice, SECONDS, 4) for _ in range(2)]
        counts = [senders.counts_of(process)["answered"] for process in running]
    refused = sum(entry.status == 429 for entry in simulator.log)
    took = (simulator.log[-1].at - simulator.log[0].at).total_seconds()
    assert len(simulator.log) <= 25 * (took + 1)
    assert refused <= len(simulator.log) / 20
    assert min(counts) > 0


def test_background_work_of_one_process_gives_way_to_another(postgresql_url: str) -> None:
    with opened(postgresql_url), stripe() as (_, invoice, url):
        backfill = senders.start(environment(url, postgresql_url), invoice, SECONDS, 4, background=True)
        time.sleep(1)
        serving = senders.start(environment(url, postgresql_url), invoice, SECONDS - 1, 4)
        answered = senders.counts_of(backfill)["answered"], senders.counts_of(serving)["answered"]
    assert 0 < answered[0] < answered[1]


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [("429", 0), ("lock_timeout", 0), ("500", 0), ("slow", 0.3), ("connection_error", 0), ("lost_reply", 0)],
)
def test_calls_still_succeed_through_storms_of_faults(fault: str, seconds: float, sqlite_url: str) -> None:
    with opened(sqlite_url), stripe() as (simulator, invoice, url):
        simulator.faults.add(fault, probability=0.3, seconds=seconds)
        counts = senders.counts_of(senders.start(environment(url, sqlite_url), invoice, 3, 3))
    assert counts["answered"] >= 3


# Many processes, on compressed time


class Table:
    """A fleet's table in memory, by the clock that all its processes share."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.rows: dict[str, FleetHolding] = {}

    def fleet(self, name: str) -> "TableFleet":
        return TableFleet(self, name)


@dataclass
class TableFleet:
    """The access of one process to the table."""

    table: Table
    name: str

    def renew(self, divide: Callable[[str, Mapping[str, FleetHolding], datetime], FleetHolding]) -> None:
        self.table.rows[self.name] = divide(self.name, dict(self.table.rows), self.table.clock.now())


@dataclass
class Process:
    """Threads that send as soon as they may, and again when the answer is there."""

    limiter: RateLimiter
    threads: int
    background: bool
    sent: list[datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.windows = self.limiter._windows(READ)  # noqa: SLF001  # time stands still while all threads look
        self.next = [START] * self.threads
        self.waiting: list[Waiter | None] = [None] * self.threads

    def look(self, now: datetime) -> None:
        with background() if self.background else nullcontext():
            for number in range(self.threads):
                if self.next[number] <= now:
                    self.next[number] = now + self._sent_or_waits(number, now)

    def _sent_or_waits(self, number: int, now: datetime) -> timedelta:
        waiter = self.waiting[number] or Waiter(ticket=next(TICKETS), background=self.background)
        self.limiter._renew(READ, self.windows)  # noqa: SLF001  # as above
        at, wait = self.limiter._take(waiter, self.windows, now, now + timedelta(minutes=1))  # noqa: SLF001
        self.waiting[number] = waiter if at is None else None
        if at is None:
            return min(wait, timedelta(seconds=0.25))
        self.sent.append(at)
        for window in self.windows:
            window.end()
        return wait + timedelta(seconds=0.05)


START = datetime(2026, 11, 1, tzinfo=UTC)
TICKETS = count()


def played(*processes: tuple[int, bool], seconds: int = 20) -> list[Process]:
    """Processes with so many threads, at background work or not, side by side."""
    clock = ManualClock(START)
    table = Table(clock)
    made = [
        Process(
            RateLimiter("Stripe", RATE, clock=clock.now, sleep=clock.advance, fleet=table.fleet(str(number))), *process
        )
        for number, process in enumerate(processes)
    ]
    while clock.now() < START + timedelta(seconds=seconds):
        for process in made:
            process.look(clock.now())
        clock.advance(0.005)
    return made


@pytest.mark.parametrize(
    "processes",
    [
        [(6, False)],
        [(4, False), (4, False)],
        [(4, True), (4, True)],
        [(4, False), (4, True), (4, True)],
        [(3, False)] * 8,
    ],
    ids=str,
)
def test_a_fleet_uses_the_whole_limit_and_never_more(processes: list[tuple[int, bool]]) -> None:
    sent = sorted(at for process in played(*processes) for at in process.sent)
    settled = [at for at in sent if at >= START + timedelta(seconds=5)]
    assert len(settled) / 15 >= 0.95 * 25
    for place, at in enumerate(sent):
        assert at - sent[max(0, place - 25)] >= timedelta(seconds=1) or place < 25


def test_background_work_gives_way_in_a_fleet_except_for_a_tenth() -> None:
    serving, backfill = played((4, False), (4, True))
    late = START + timedelta(seconds=5)
    background_share = sum(at >= late for at in backfill.sent) / sum(at >= late for at in serving.sent + backfill.sent)
    assert 0.05 <= background_share <= 0.12
