"""The backfill as a process: killed at every page, stopped by Ctrl-C, and beside other processes."""

import csv
import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pacspace_stripe.cli.processes import Remote, Stack, kill, wait_for
from tests.support.office import Terminal
from tests.support.town import FAST, METER, PATIENCE, assert_logs_hide_secrets

PAGES, PER_PAGE, METERED_PER_PAGE = 3, 100, 4
HOUR = timedelta(hours=1)
BEGUN = datetime(2026, 3, 1, tzinfo=UTC)
COMMAND = ("backfill", "--since", "2026-01-01", "--apply", "--csv", "report.csv")


@dataclass(slots=True, kw_only=True)
class Archive:
    """Make pages of old invoices, one an hour, some of them with usage."""

    stack: Stack
    metered: list[str] = field(default_factory=list)
    all: list[str] = field(default_factory=list)

    @property
    def stripe(self) -> Remote:
        return self.stack.stripe

    def fill(self) -> None:
        prices = {"cus_fixed": self.stripe("add_price")}
        prices["cus_metered"] = self.stripe("add_price", meter=self.stripe("add_meter", event_name=METER))
        now = datetime.now(UTC)
        around = {"period_start": (now - timedelta(days=9)).isoformat(), "period_end": (now + 99 * HOUR).isoformat()}
        subscriptions = {}
        for customer, price in prices.items():
            self.stripe("add_customer", id=customer, name="Acme")
            subscriptions[customer] = self.stripe("add_subscription", customer=customer, prices=[price], **around)
        for number in range(PAGES * PER_PAGE):
            metered = number % (PER_PAGE // METERED_PER_PAGE) == 7
            customer, start = "cus_metered" if metered else "cus_fixed", BEGUN + number * HOUR
            if metered:
                at = (start + HOUR / 2).isoformat()
                self.stripe("record_usage", customer=customer, event_name=METER, value=str(number), at=at)
                self.stack.pacspace("record", account=customer, delta=f"-{number}", at=at)
            period = {"period_start": start.isoformat(), "period_end": (start + HOUR).isoformat()}
            self.all.append(self.stripe("add_past_invoice", subscription=subscriptions[customer], **period))
            self.metered += self.all[-1:] if metered else []

    def stamps(self) -> Counter[str]:
        """Return how often each invoice was written to."""
        wrote = [entry for entry in self.stripe.log() if entry["method"] == "POST"]
        assert all("pacspace_verdict" in entry["params"]["metadata"] for entry in wrote)
        return Counter(entry["path"].rpartition("/")[2] for entry in wrote)

    def lists(self, after: int) -> list[dict[str, Any]]:
        """Return the pages that were requested."""
        return [entry for entry in self.stripe.log(after=after) if entry["endpoint"] == "GET /v1/invoices"]

    def until_stamped(self, number: int) -> None:
        wait_for("stamps", lambda: self.stamps().total() >= number, seconds=PATIENCE, every=0.01)

    def rows(self) -> list[dict[str, str]]:
        with (self.stack.folder / "report.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    def assert_done_once(self) -> None:
        assert self.stamps() == dict.fromkeys(self.metered, 1)
        for invoice_id in self.metered:
            metadata = self.stripe("invoice", invoice=invoice_id)["metadata"]
            assert metadata["pacspace_verdict"] == "matched"
            assert metadata["pacspace_proof_root"]


@contextmanager
def archive(folder: Path, database_url: str | None = None) -> Iterator[Archive]:
    settings = FAST | {"PACSPACE_STRIPE_RATE": "1000/1000", "PACSPACE_STRIPE_LEASE": "20s"}
    with Stack(folder=folder, settings=settings, database_url=database_url) as stack:
        made = Archive(stack=stack)
        made.fill()
        yield made
        assert_logs_hide_secrets(stack)


def inherited() -> dict[str, str]:
    names = ("PATH", "HOME", "LANG", "COVERAGE_PROCESS_CONFIG")
    return {name: os.environ[name] for name in names if name in os.environ}


def test_a_backfill_killed_at_every_page_loses_nothing_and_writes_nothing_twice(
    tmp_path: Path, database_url: str
) -> None:
    with archive(tmp_path, database_url) as made:
        # Given a Stripe that is slow to stamp, so that a kill comes in the middle of it
        made.stripe("add_fault", name="slow", endpoint="POST /v1/invoices/{id}", seconds=0.25)
        # When it dies on every page, before or after what it sends has had its effect
        for page in range(PAGES):
            options = ("--resume",) if page else ()
            process = made.stack.launch(tmp_path / "killed.log", *COMMAND, "--jobs", "2", *options)
            made.until_stamped(page * METERED_PER_PAGE + 2)
            time.sleep(0.05 * page)
            kill(process)
        before = len(made.stripe.log())
        done = made.stack.run(*COMMAND, "--resume", "--json")
        # Then the last run did the rest, at most one page again, and each was stamped once and reported once
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)["summary"]
        assert (summary["invoices"], summary["outcomes"]["matched"]) == (len(made.all), len(made.metered))
        assert summary["finished"]
        assert len(made.lists(after=before)) == 1
        made.assert_done_once()
        assert [row["invoice"] for row in made.rows()] == made.all[::-1]


def test_ctrl_c_finishes_what_is_in_flight_and_two_at_once_beside_serve_do_the_rest(tmp_path: Path) -> None:
    with archive(tmp_path) as made:
        made.stack.serve()
        made.stripe("add_fault", name="slow", endpoint="POST /v1/invoices/{id}", seconds=0.4)
        environment = {**inherited(), **made.stack.environment}
        # When a person at a terminal presses Ctrl-C after the first page
        with Terminal.start((*COMMAND, "--jobs", "1"), tmp_path, environment) as terminal:
            terminal.until(" of 200 invoices listed")
            terminal.interrupt()
            code = terminal.end()
        # Then nothing was left in the middle
        assert code == 130, terminal.shown
        assert "stopping after what is in flight" in terminal.shown
        assert "the same command with --resume continues" in terminal.shown
        assert "Traceback" not in terminal.shown
        # and the invoices that it counts as stamped are stamped at Stripe
        [stamped] = re.findall(r"([0-9]+) stamped in their metadata", terminal.shown)
        assert int(stamped) == made.stamps().total() > 0, terminal.shown
        # and two backfills that continue at once do each other no harm
        logs = [tmp_path / "one.log", tmp_path / "two.log"]
        both = [made.stack.launch(log, *COMMAND[:4], "--resume") for log in logs]
        codes = [process.wait(timeout=PATIENCE) for process in both]
        said = [log.read_text() for log in logs]
        assert codes == [0, 0], said
        for one in said:
            assert "invoices done before" in one
            assert "Applied: 300 invoices\n" in one
        made.assert_done_once()
