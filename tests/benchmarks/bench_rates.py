"""Used share of Stripe's limits, against a simulator that enforces them: ratios, printed and not asserted.

The gate runs on compressed time, where only the limits cost any; the processes run on wall time, over sockets.
"""

import json
import os
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pacspace_stripe.capacity.rules.forecast import SECOND_CHECK
from pacspace_stripe.cli.processes import COMMAND
from pacspace_stripe.http.ratelimit.rules.rate import STRIPE_LIVE
from pacspace_stripe.simulator.clock import WallClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator
from pacspace_stripe.simulator.serve import serve
from pacspace_stripe.simulator.stripe import StripeSimulator
from pacspace_stripe.simulator.stripe.admission import RateLimits
from pacspace_stripe.vocabulary.policy import FailPolicy
from tests.integration.test_fleet import BUSY, environment, opened, renewed, stripe
from tests.support import senders
from tests.support.worlds import METER, World

INVOICES = 150
SECONDS = 12
PAST_INVOICES = 500
"""Twenty seconds' worth at 25 writes a second."""
AUGUST = datetime(2026, 8, 1, tzinfo=UTC)


def test_the_gate_uses_what_the_limits_allow(tmp_path: Path) -> None:
    made = World(tmp_path, {"PACSPACE_STRIPE_RATE": str(STRIPE_LIVE)}, validated=False)
    made.stripe.rate_limits = RateLimits(STRIPE_LIVE.endpoint, STRIPE_LIVE.total)
    made.stripe.enforce_rate_limits = True
    for number in range(INVOICES):
        made.subscribe(f"cus_{number}")
        made.use("10", customer=f"cus_{number}")
    ends = made.clock.now() + timedelta(hours=1)
    made.run(timedelta(hours=2))
    made.app.close()
    late = [entry for entry in made.stripe.log if entry.at >= ends + timedelta(hours=1)]
    took = (late[-1].at - late[0].at).total_seconds()
    allowed = STRIPE_LIVE.endpoint / max(SECOND_CHECK[FailPolicy.CLOSED].values())
    refused = sum(entry.status == 429 for entry in made.stripe.log)
    print(f"\n{INVOICES} invoices judged and released in {took:.1f} s: {INVOICES / took / allowed:.1%} of the limits;")
    print(f"{len(made.stripe.log)} calls of Stripe, {refused} refused")


def fleet(processes: int, threads: int, database_url: str) -> None:
    with stripe() as (simulator, invoice, url):
        running = [
            senders.start(environment(url, database_url), invoice, SECONDS, threads, background=number > 0)
            for number in range(processes)
        ]
        answered = [senders.counts_of(process)["answered"] for process in running]
    # The first seconds, while processes start and agree, are left out.
    begins = simulator.log[0].at + timedelta(seconds=4)
    ends = min(begins + timedelta(seconds=6), simulator.log[-1].at)
    seen = [entry for entry in simulator.log if begins <= entry.at < ends]
    good = sum(entry.status == 200 for entry in seen)
    refused = sum(entry.status == 429 for entry in simulator.log)
    rate = good / (ends - begins).total_seconds()
    print(
        f"\n{processes} processes: {rate:.1f} of 25 requests a second ({rate / 25:.1%}), {refused} refused, {answered}"
    )


def test_one_process_uses_what_the_limits_allow(sqlite_url: str) -> None:
    fleet(1, 6, sqlite_url)


def test_a_fleet_uses_what_the_limits_allow(postgresql_url: str) -> None:
    fleet(3, 4, postgresql_url)


def test_a_backfill_uses_what_the_limits_allow(database_url: str) -> None:
    clock = WallClock()
    stripe, pacspace = StripeSimulator(clock, enforce_rate_limits=True), PacSpaceSimulator(clock)
    stripe.rate_limits = RateLimits(STRIPE_LIVE.endpoint, STRIPE_LIVE.total)
    pacspace.configure(fast_roots=True)
    add_paid_invoices(stripe, pacspace)
    with serve(stripe) as at_stripe, serve(pacspace) as ledger:
        pacspace.base_url = ledger.url
        addresses = {"PACSPACE_API_BASE_URL": ledger.url, "PACSPACE_API_KEY": pacspace.api_key}
        settings = environment(at_stripe.url, database_url, **addresses, PACSPACE_STRIPE_RATE=str(STRIPE_LIVE))
        command = [*COMMAND, "backfill", "--since", "2026-01-01", "--apply", "--json"]
        done = subprocess.run(command, env=inherited() | settings, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["summary"]["stamped"] == PAST_INVOICES
    stamps = [entry.at for entry in stripe.log if entry.method == "POST" and entry.status == 200]
    refused = sum(entry.status == 429 for entry in stripe.log)
    begins, ends = stamps[0] + timedelta(seconds=3), stamps[-1] - timedelta(seconds=1)
    settled = sum(begins <= at < ends for at in stamps) / (ends - begins).total_seconds()
    whole = (PAST_INVOICES - 1) / (stamps[-1] - stamps[0]).total_seconds()
    allowed, store = STRIPE_LIVE.endpoint, database_url.partition(":")[0]
    print(
        f"\nbackfill of {PAST_INVOICES} invoices, {store}: {settled:.1f} of {allowed} writes a second"
        f" ({settled / allowed:.1%}) once at pace, {whole / allowed:.1%} from first to last; {refused} refused"
    )


def add_paid_invoices(stripe: StripeSimulator, pacspace: PacSpaceSimulator) -> None:
    """Each of its own customer, used and recorded in August, paid since."""
    price, now = stripe.add_price(stripe.add_meter(METER)), datetime.now(UTC)
    for number in range(PAST_INVOICES):
        customer = f"cus_{number}"
        stripe.add_customer(customer)
        begun, ends = now - timedelta(days=9), now + timedelta(days=9)
        subscription = stripe.add_subscription(customer, [price], period_start=begun, period_end=ends)
        stripe.record_usage(customer, METER, number + 1, AUGUST + timedelta(days=3))
        pacspace.record(customer, f"-{number + 1}", AUGUST + timedelta(days=3))
        stripe.add_past_invoice(subscription, AUGUST, AUGUST + timedelta(days=31))


def inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


def test_agreeing_costs_little(postgresql_url: str) -> None:
    with opened(postgresql_url) as store:
        renewed(store, "one", BUSY)
        began = time.perf_counter()
        for _ in range(200):
            renewed(store, "one", BUSY)
        took = (time.perf_counter() - began) / 200 * 1000
    print(f"\nagreeing on shares takes {took:.1f} ms, twice a second in each process that sends")
