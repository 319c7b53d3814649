"""What the command takes and says, in this process over real sockets."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pacspace_stripe.cli import cli
from pacspace_stripe.cli.backfilling import progress
from pacspace_stripe.domain.backfills import Outcome, Place, Selection, Tally
from pacspace_stripe.errors import ConfigurationError, PacspaceStripeError
from pacspace_stripe.simulator.clock import WallClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator
from pacspace_stripe.simulator.serve import serve
from pacspace_stripe.simulator.stripe import StripeSimulator
from tests.worlds import ENVIRONMENT, METER

AUGUST, SEPTEMBER = datetime(2026, 8, 1, tzinfo=UTC), datetime(2026, 9, 1, tzinfo=UTC)
SINCE = ("--since", "2026-01-01")


@dataclass(slots=True, kw_only=True)
class Desk:
    """Somebody who types commands beside both simulators."""

    folder: Path
    stripe: StripeSimulator
    pacspace: PacSpaceSimulator
    environment: dict[str, str]

    def run(self, *arguments: str, **settings: str) -> Result:
        return CliRunner().invoke(cli, ["backfill", *arguments], env=self.environment | settings)

    def billed(self, customer: str, billed: str, recorded: str) -> str:
        """Usage of August, and its invoice, paid since."""
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
        ((*SINCE, "--customer", "in_1"), "no customer's id"),
        ((*SINCE, "--customer", "cus_1/../x"), "no customer's id"),
        ((*SINCE, "--status", "void"), "none of paid, open and draft"),
        ((*SINCE, "--resume"), "--resume goes with --apply"),
        ((*SINCE, "--jobs", "0"), "--jobs"),
        ((*SINCE, "--csv", "/nowhere/at/all.csv"), "/nowhere/at/all.csv"),
    ],
)
def test_what_it_does_not_take_is_named(desk: Desk, arguments: tuple[str, ...], complaint: str) -> None:
    done = desk.run(*arguments)
    assert done.exit_code == 2
    assert complaint in done.stderr
    assert desk.stripe.log == []


def test_in_observe_mode_there_is_nothing_to_apply(desk: Desk) -> None:
    done = desk.run(*SINCE, "--apply", PACSPACE_STRIPE_MODE="observe")
    assert isinstance(done.exception, ConfigurationError)
    assert desk.stripe.log == []


def test_a_dry_run_says_what_is_and_what_it_would_take(desk: Desk) -> None:
    desk.billed("cus_a", "100", "100")
    drifted = desk.billed("cus_b", "100", "90")
    done = desk.run(*SINCE)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "Dry run, nothing was written: 2 invoices"
    assert "          1  matched" in lines
    assert "          1  drifted: OVERBILLED 1" in lines
    assert f"  {drifted}  cus_b  paid  OVERBILLED  billed 100, recorded 90: differs by 10" in lines
    assert "  2 stamped in their metadata, 0 say so already" in lines
    assert "about 4 reads and 2 writes at Stripe" in done.stdout
    assert "0.0% of the 10,000 reads a month" in done.stdout
    assert done.stderr.startswith("backfill: 2 invoices  ")
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


def test_what_cannot_be_listed_is_an_error_that_says_how_to_go_on(desk: Desk) -> None:
    desk.stripe.forbid("GET /v1/invoices")
    done = desk.run(*SINCE, "--apply", "--json")
    assert isinstance(done.exception, PacspaceStripeError)
    assert "the same command with --resume goes on" in done.stderr
    assert json.loads(done.stdout)["summary"]["finished"] is False


def test_no_secret_is_said(desk: Desk) -> None:
    desk.billed("cus_a", "100", "90")
    done = desk.run(*SINCE, "--apply")
    for name in ("STRIPE_API_KEY", "PACSPACE_API_KEY", "STRIPE_WEBHOOK_SECRET"):
        assert desk.environment[name] not in done.output


def test_progress_says_rate_remaining_time_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    selection, tally = Selection(since=AUGUST, until=SEPTEMBER), Tally()
    line = progress.ProgressLine(selection=selection, tally=tally)
    for day in (31, 30, 1):
        tally.outcomes[Outcome.MATCHED] += 100
        line.show(Place(after="in_1", created_at=datetime(2026, 8, day, tzinfo=UTC)))
        line.plain_every = 0.0
    line.show(None)
    first, *_, last, end = capsys.readouterr().err.splitlines()
    assert first.startswith("backfill: 100 invoices  ")
    assert "time left unknown" in first
    assert last.startswith("backfill: 300 invoices  ")
    assert last.endswith("left  matched 300")
    assert "about 0s left" in last
    assert "done in " in end
