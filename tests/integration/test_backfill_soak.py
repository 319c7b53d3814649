"""A very long past, in flat memory: a backfill as a process, the simulators in this one.

``SOAK_INVOICES`` is how many invoices there are; one in ``SOAK_METERED_ONE_IN`` has
usage, and is judged, proven and stamped. Both simulators are Python on the same processor: they set the pace.
"""

import json
import os
import subprocess
import sys
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pacspace_stripe.cli.processes import COMMAND
from pacspace_stripe.simulator.clock import WallClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator
from pacspace_stripe.simulator.serve import serve
from pacspace_stripe.simulator.stripe import StripeSimulator
from tests.support.worlds import ENVIRONMENT, METER

INVOICES = int(os.environ.get("SOAK_INVOICES", "100000"))
METERED_ONE_IN = int(os.environ.get("SOAK_METERED_ONE_IN", "40"))
MOST_MEGABYTES = 200
HOUR = timedelta(hours=1)
FIRST = datetime(2020, 1, 1, tzinfo=UTC)
A_PART = 2000
"""Invoices of the small backfill that the long one's memory is held against."""


class Forgetful(deque):  # type: ignore[type-arg]  # whatever a simulator logs
    """A log that keeps only the newest entries: the simulators' memory is not what is measured."""

    def __init__(self) -> None:
        super().__init__(maxlen=1000)


def fill(stripe: StripeSimulator, pacspace: PacSpaceSimulator) -> None:
    """Make an invoice an hour, each of a customer with one subscription, the oldest first."""
    metered, fixed = stripe.add_price(stripe.add_meter(METER)), stripe.add_price()
    now = datetime.now(UTC)
    around: dict[str, Any] = {"period_start": now - timedelta(days=9), "period_end": now + timedelta(days=9)}
    stripe.add_customer("cus_fixed")
    plain = stripe.add_subscription("cus_fixed", [fixed], **around)
    for number in range(INVOICES):
        start, subscription = FIRST + (number % 50_000) * HOUR, plain
        if number % METERED_ONE_IN == 0:
            customer = f"cus_{number}"
            stripe.add_customer(customer)
            subscription = stripe.add_subscription(customer, [metered], **around)
            stripe.record_usage(customer, METER, number + 1, start + HOUR / 2)
            pacspace.record(customer, f"-{number + 1}", start + HOUR / 2)
        stripe.add_past_invoice(subscription, start, start + HOUR)


def backfilled(folder: Path, environment: dict[str, str], name: str, *options: str) -> tuple[dict[str, object], float]:
    """Run a backfill to its end, and return its summary and its peak memory in megabytes."""
    report = folder / f"{name}.csv"
    command = [*COMMAND, "backfill", "--since", "2019-01-01", "--csv", str(report), "--json", *options]
    inherited = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    highest = 0.0
    with (folder / f"{name}.json").open("w") as out, (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(command, env=inherited | environment, stdout=out, stderr=log)
        while process.poll() is None:
            highest = max(highest, _peak(process.pid))
            time.sleep(0.2)
    assert process.returncode == 0, (folder / f"{name}.log").read_text()
    with report.open() as lines:
        rows = sum(1 for _ in lines) - 1
    summary: dict[str, object] = json.loads((folder / f"{name}.json").read_text())["summary"]
    assert rows == summary["invoices"]
    return summary, highest


def _peak(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return max((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), default=0.0)


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="reads how much memory a process has from /proc")
def test_a_hundred_thousand_invoices_are_backfilled_in_flat_memory(tmp_path: Path) -> None:
    clock = WallClock()
    stripe, pacspace = StripeSimulator(clock), PacSpaceSimulator(clock)
    pacspace.configure(fast_roots=True)
    fill(stripe, pacspace)
    stripe.log, pacspace.log = Forgetful(), Forgetful()  # type: ignore[assignment]  # as far as logging goes
    with serve(stripe) as at_stripe, serve(pacspace) as ledger:
        pacspace.base_url = ledger.url
        environment = ENVIRONMENT | {
            "STRIPE_API_BASE_URL": at_stripe.url,
            "PACSPACE_API_BASE_URL": ledger.url,
            "PACSPACE_API_KEY": pacspace.api_key,
            "PACSPACE_STRIPE_DATABASE_URL": f"sqlite:///{tmp_path / 'ours.db'}",
            "PACSPACE_STRIPE_RATE": "100000/100000",
        }
        part = (FIRST + A_PART * HOUR).isoformat()
        _, small = backfilled(tmp_path, environment, "part", "--until", part)
        began = time.monotonic()
        summary, high = backfilled(tmp_path, environment, "whole", "--apply")
        took = time.monotonic() - began
        _, again = backfilled(tmp_path, environment, "again", "--apply")
    metered = -(-INVOICES // METERED_ONE_IN)
    print(f"\n{INVOICES:,} invoices, {metered:,} of them stamped, in {took:.0f} s: {INVOICES / took:.0f}/s;")  # noqa: T201
    print(f"memory {small:.0f} MB for {A_PART:,} read, {high:.0f} MB for all, {again:.0f} MB for all again")  # noqa: T201
    assert summary["invoices"] == INVOICES
    assert summary["stamped"] == metered
    assert summary["outcomes"] == {**_nothing(), "matched": metered, "nothing metered": INVOICES - metered}
    assert max(high, again) <= MOST_MEGABYTES
    assert max(high, again) <= small + 60


def _nothing() -> dict[str, int]:
    return dict.fromkeys(("matched", "waived", "drifted", "unproven", "not yet judged", "nothing metered"), 0)
