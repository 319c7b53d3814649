"""The options and the output of ``backfill``, in this process over real sockets."""

import csv
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pacspace_stripe.backfill import progress
from pacspace_stripe.backfill.results import BackfillRow
from pacspace_stripe.backfill.rules.tally import BackfillOutcome, BackfillSelection, ListPosition
from pacspace_stripe.cli import cli
from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.errors import ConfigurationError, PacspaceStripeError
from pacspace_stripe.gate.rules.result import CheckResult
from pacspace_stripe.simulator.clock import WallClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator
from pacspace_stripe.simulator.serve import serve
from pacspace_stripe.simulator.stripe import StripeSimulator
from pacspace_stripe.vocabulary.invoices import ListedInvoice
from tests.support.examples import invoice
from tests.support.worlds import ENVIRONMENT, METER

AUGUST, SEPTEMBER = datetime(2026, 8, 1, tzinfo=UTC), datetime(2026, 9, 1, tzinfo=UTC)
SINCE = ("--since", "2026-01-01")


@dataclass(slots=True, kw_only=True)
class Desk:
    """A person who types commands beside both simulators."""

    folder: Path
    stripe: StripeSimulator
    pacspace: PacSpaceSimulator
    environment: dict[str, str]

    def run(self, *arguments: str, **settings: str) -> Result:
        return CliRunner().invoke(cli, ["backfill", *arguments], env=self.environment | settings)

    def billed(self, customer: str, billed: str, recorded: str) -> str:
        """Make usage of August with its invoice, which was paid since."""
        at = AUGUST + timedelta(days=3)
        self.stripe.add_customer(customer)
        self.stripe.record_usage(customer, METER, billed, at)
        self.pacspace.record(customer, f"-{recorded}", at)
        now = datetime.now(UTC)
        subscription = self.stripe.add_subscription(
            customer,
            [self.price],
            period_start=now - timedelta(days=9),
            period_end=now + timedelta(days=9),
        )
        return self.stripe.add_past_invoice(subscription, AUGUST, SEPTEMBER)

    @property
    def price(self) -> str:
        prices = [price.id for price in self.stripe.account.prices]
        return prices[0] if prices else self.stripe.add_price(self.stripe.add_meter(METER))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    clock = WallClock()
    stripe, pacspace = StripeSimulator(clock), PacSpaceSimulator(clock)
    with serve(stripe) as at_stripe, serve(pacspace) as ledger:
        pacspace.base_url, stripe.pages_url = ledger.url, at_stripe.url
        urls = {"STRIPE_API_BASE_URL": at_stripe.url, "PACSPACE_API_BASE_URL": ledger.url}
        database = {"PACSPACE_STRIPE_DATABASE_URL": f"sqlite:///{tmp_path / 'ours.db'}"}
        keys = {"PACSPACE_API_KEY": pacspace.api_key}
        yield Desk(folder=tmp_path, stripe=stripe, pacspace=pacspace, environment=ENVIRONMENT | urls | database | keys)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "--since"),
        (("--since", "soon"), "write a date as 2026-07-01"),
        (("--since", "2026-07-01T00:00:00"), "needs its zone"),
        (("--since", "2026-07-01T00:00:00.5Z"), "whole seconds"),
        (("--since", "2026-07-01", "--until", "2026-07-01"), "is not after --since"),
        ((*SINCE, "--customer", "in_1"), "a customer's id starts with cus_"),
        ((*SINCE, "--customer", "cus_1/../x"), "a customer's id starts with cus_"),
        ((*SINCE, "--status", "void"), "none of paid, open and draft"),
        ((*SINCE, "--resume"), "--resume goes with --apply"),
        ((*SINCE, "--jobs", "0"), "--jobs"),
        ((*SINCE, "--csv", "/nowhere/at/all.csv"), "/nowhere/at/all.csv"),
    ],
)
def test_a_wrong_option_is_named(desk: Desk, arguments: tuple[str, ...], complaint: str) -> None:
    done = desk.run(*arguments)
    assert done.exit_code == 2
    assert complaint in done.stderr
    assert desk.stripe.log == []


def test_observe_mode_refuses_apply(desk: Desk) -> None:
    done = desk.run(*SINCE, "--apply", PACSPACE_STRIPE_MODE="observe")
    assert isinstance(done.exception, ConfigurationError)
    assert desk.stripe.log == []


def test_a_dry_run_shows_the_verdicts_and_the_requests_it_would_take(desk: Desk) -> None:
    desk.billed("cus_a", "100", "100")
    drifted = desk.billed("cus_b", "100", "90")
    done = desk.run(*SINCE)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "Dry run, nothing was written: 2 invoices"
    assert "          1  matched" in lines
    assert "          1  drifted: OVERBILLED 1" in lines
    assert f"  {drifted}  cus_b  paid  OVERBILLED  billed 100, recorded 90: differs by 10" in lines
    assert "  2 stamped in their metadata, 0 carry their stamp already" in lines
    assert "about 4 reads and 2 writes at Stripe" in done.stdout
    assert "0.0% of the 10,000 reads a month" in done.stdout
    begun, ended = done.stderr.splitlines()
    assert begun == "backfill: 0 of 2 invoices listed  0.0/s  time left unknown"
    assert ended.startswith("backfill: 2 invoices  ")
    assert all(entry.method == "GET" for entry in desk.stripe.log)


def test_json_is_one_document_of_every_invoice_and_the_summary(desk: Desk) -> None:
    matched = desk.billed("cus_a", "100", "100")
    done = desk.run(*SINCE, "--json")
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    [invoice] = said["invoices"]
    assert (invoice["invoice"], invoice["verdict"], invoice["customer"]) == (matched, "matched", "cus_a")
    assert invoice["windows"][0]["billed"] == "100"
    assert said["summary"]["outcomes"]["matched"] == 1
    assert said["summary"]["plan"]["stripe_reads"] == 2
    assert json.loads(desk.run(*SINCE, "--json", "--customer", "cus_zzz").stdout)["invoices"] == []


def test_csv_has_a_row_for_every_window(desk: Desk) -> None:
    matched, drifted = desk.billed("cus_a", "100", "100"), desk.billed("cus_b", "100", "90")
    report = desk.folder / "report.csv"
    desk.run(*SINCE, "--apply", "--csv", str(report))
    with report.open(newline="") as file:
        rows = {row["invoice"]: row for row in csv.DictReader(file)}
    assert rows.keys() == {matched, drifted}
    assert (rows[drifted]["billed"], rows[drifted]["recorded"], rows[drifted]["reason"]) == ("100", "90", "OVERBILLED")
    assert (rows[matched]["stamped"], rows[matched]["created"]) == ("yes", "2026-09-01T00:00:00Z")


def test_a_list_that_stripe_does_not_give_is_an_error_that_says_how_to_continue(desk: Desk) -> None:
    desk.stripe.forbid("GET /v1/invoices")
    done = desk.run(*SINCE, "--apply", "--json")
    assert isinstance(done.exception, PacspaceStripeError)
    assert "the same command with --resume continues" in done.stderr
    assert json.loads(done.stdout)["summary"]["finished"] is False


def test_no_secret_is_printed(desk: Desk) -> None:
    desk.billed("cus_a", "100", "90")
    done = desk.run(*SINCE, "--apply")
    for name in ("STRIPE_API_KEY", "PACSPACE_API_KEY", "STRIPE_WEBHOOK_SECRET"):
        assert desk.environment[name] not in done.output


def test_progress_shows_rate_remaining_time_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = iter(range(1000))
    line = progress.ProgressLine(
        selection=BackfillSelection(since=AUGUST, until=SEPTEMBER),
        before={BackfillOutcome.DRIFTED: 2},
        plain_every=0.0,
        clock=lambda: float(next(seconds)),
    )
    line.listed(listed_on(31) * 2, ListPosition(), last=False)
    line.done(MATCHED_ROW)
    line.listed(listed_on(16), ListPosition(), last=True)
    line.done(MATCHED_ROW)
    line.done(MATCHED_ROW)
    line.end(finished=True)
    assert capsys.readouterr().err.splitlines() == [
        "backfill: 2 of 4 invoices listed  0.0/s  time left unknown  drifted 2",
        "backfill: 3 of 4 invoices listed  0.5/s  time left unknown  matched 1  drifted 2",
        "backfill: 3 of 5 invoices listed  0.3/s  about 6s left  matched 1  drifted 2",
        "backfill: 4 of 5 invoices listed  0.5/s  about 2s left  matched 2  drifted 2",
        "backfill: 5 of 5 invoices listed  0.6/s  about 0s left  matched 3  drifted 2",
        "backfill: 5 invoices  0.5/s  done in 6s  matched 3  drifted 2",
    ]


@pytest.mark.parametrize("months", [[1000] * 6, [300, 800, 1000, 200], [50, 5000, 100], [2000]])
def test_the_remaining_time_does_not_grow_while_the_rate_does_not_fall(
    months: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    first = datetime(2026, 8, 1, tzinfo=UTC)
    line = progress.ProgressLine(
        selection=BackfillSelection(since=first - timedelta(days=30 * len(months)), until=first + timedelta(days=20)),
        before={},
        plain_every=0.0,
        clock=lambda: now,
    )
    for month, count in enumerate(months):
        born = listed_at(first - timedelta(days=30 * month))
        for page in range(0, count, 50):
            size = min(50, count - page)
            line.listed([born] * size, ListPosition(), last=month + 1 == len(months) and page + size == count)
            for _ in range(size):
                now += 0.1
                line.done(MATCHED_ROW)
    lines = capsys.readouterr().err.splitlines()
    said = [re.search(r"about (\S+h)?\s?(\S+m)?\s?(\S+s)? left", one) for one in lines]
    left = [duration(*one.groups()) if one else None for one in said]
    # Once more are listed than were estimated, the line says that the time left is unknown, until the next estimate.
    for known, part in groupby(left, key=lambda seconds: seconds is not None):
        shown = list(part)
        assert not known or shown == sorted(shown, reverse=True, key=lambda seconds: seconds or 0)
    assert left[-1] == 0
    if len(set(months)) == 1 < len(months):
        assert None not in left[left.index(next(filter(None, left))) :]


def duration(hours: str | None, minutes: str | None, seconds: str | None) -> int:
    written = zip((3600, 60, 1), (hours, minutes, seconds), strict=True)
    return sum(unit * int(part[:-1]) for unit, part in written if part)


def listed_at(created_at: datetime) -> ListedInvoice:
    return ListedInvoice(invoice_id="in_1", invoice=invoice(created_at=created_at), complete=True)


def listed_on(day: int) -> list[ListedInvoice]:
    return [listed_at(datetime(2026, 8, day, tzinfo=UTC))]


MATCHED_ROW = BackfillRow.of(
    listed_at(AUGUST),
    CheckResult(
        invoice_id="in_1",
        status="paid",
        verdict=Verdict.MATCHED,
        reason=Reason.EXACT,
        detail="",
        windows=(),
        steps=(),
        next_check_at=None,
    ),
)


# -- Ctrl-C -------------------------------------------------------------------------------------------------------


def interrupted_after(desk: Desk, stamps: int, *arguments: str) -> Result:
    """Run the command, and stop it by Ctrl-C after a number of stamps was sent."""
    before = posts(desk)

    def interrupt() -> None:
        while posts(desk) < before + stamps:
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGINT)

    watching = threading.Thread(target=interrupt, daemon=True)
    watching.start()
    done = desk.run(*arguments)
    watching.join()
    return done


def posts(desk: Desk) -> int:
    return sum(entry.endpoint == "POST /v1/invoices/{id}" for entry in desk.stripe.log)


@pytest.mark.parametrize("jobs", ["1", "4"])
def test_ctrl_c_reports_the_real_writes_and_resume_counts_each_once(desk: Desk, jobs: str) -> None:
    ids = [desk.billed(f"cus_{number:02}", "100", "100") for number in range(12)]
    desk.stripe.add_fault("slow", endpoint="POST /v1/invoices/{id}", seconds=0.05)
    folder, report = desk.folder / "pdfs", desk.folder / "report.csv"
    command = (*SINCE, "--apply", "--jobs", jobs, "--pdf-dir", str(folder), "--csv", str(report))
    stopped = interrupted_after(desk, 5, *command)
    # Its figures are those of Stripe and of the folder.
    assert stopped.exit_code == 130, stopped.output
    said = " ".join(stopped.stdout.split())
    (stamped,) = re.findall(r"(\d+) stamped in their metadata", said)
    (pdfs,) = re.findall(r"(\d+) stamped PDFs? written", said)
    beyond = re.search(r"Beyond these, (\d+) more were stamped and (\d+) PDFs written", said)
    more = tuple(map(int, beyond.groups())) if beyond else (0, 0)
    assert 5 <= int(stamped) + more[0] == posts(desk) < len(ids)
    assert int(pdfs) + more[1] == len(list(folder.iterdir()))
    assert f"not finished, {stamped} invoices done" in stopped.stderr
    # The resumed run does the rest once, and counts each invoice once.
    done = desk.run(*command, "--resume")
    assert done.exit_code == 0, done.output
    assert "12 stamped in their metadata, 0 carried their stamp already" in done.stdout
    assert "12 stamped PDFs written, 0 there before" in done.stdout
    assert "Beyond" not in done.stdout
    assert posts(desk) == len(ids)
    with report.open(newline="") as file:
        rows = [(row["invoice"], row["stamped"]) for row in csv.DictReader(file)]
    assert sorted(rows) == sorted((invoice_id, "yes") for invoice_id in ids)
