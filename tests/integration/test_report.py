"""The report over real databases: observe mode reports what enforce mode does, and neither vendor is asked."""

import csv
import io
import json
import random
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pacspace_stripe.cli import cli
from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.gate.rules.state import Waiver
from pacspace_stripe.report.report import make_report
from pacspace_stripe.report.rules.lines import Holding, InvoiceLine
from pacspace_stripe.simulator.clock import ManualClock
from tests.support.report_rows import line_of, reported, street
from tests.support.worlds import ENVIRONMENT, MIDDLE, PERIOD_END, World, world

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
HELD = {"cus_over", "cus_late", "cus_yen", "cus_one", "cus_two"}


# -- observe and enforce -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["observe", "enforce"])
def test_both_modes_hold_the_same_invoices_and_amounts(tmp_path: Path, mode: str, database_url: str) -> None:
    with street(tmp_path, database_url=database_url, mode=mode) as made:
        found = reported(made)
        assert {line.customer_id for line in found.held} == HELD
        assert [str(money) for money in found.at_stake] == ["280.00 EUR", "3,500 JPY", "0.06 USD"]
        assert {line.kept.since for line in found.held if line.kept} == {MIDDLE.replace(month=11, day=1, hour=1)}
        assert line_of(found, "cus_match").holding is Holding.NO
        assert line_of(found, "cus_late").holding is Holding.A_WHILE
        assert line_of(found, "cus_over").holding is (Holding.TO_THE_END if mode == "observe" else Holding.NOW)
        assert (made.writes() == []) is (mode == "observe")


@pytest.mark.parametrize("fail", ["closed", "open"])
@pytest.mark.parametrize("seed", range(4))
def test_observe_mode_reports_what_enforce_mode_does(tmp_path: Path, seed: int, fail: str) -> None:
    found = {}
    for mode in ("observe", "enforce"):
        folder = tmp_path / mode
        folder.mkdir()
        settings = {"PACSPACE_STRIPE_MODE": mode, "PACSPACE_STRIPE_FAIL": fail, "PACSPACE_STRIPE_RETRY": "12h"}
        made = World(folder, settings, validated=False)
        with closing(made.app):
            live(made, random.Random(seed))
            found[mode] = {line.customer_id: said(line) for line in reported(made).lines}
    assert found["observe"] == found["enforce"]


def said(line: InvoiceLine) -> object:
    """Return the part that is equal in both modes: the hold and its time, the figures, the amount."""
    figures = [(row.meter, row.billed, row.recorded) for row in line.rows]
    return line.holding is not Holding.NO, line.kept.since if line.kept else None, figures, line.money


def live(made: World, chance: random.Random) -> None:
    """Make customers whose usage is right, wrong, late, or folded in at the last moment."""
    lives = ["right", "over", "under", "unrecorded", "unverified", "late at Stripe", "nothing", "never sent by Stripe"]
    customers = {f"cus_{number}": chance.choice(lives) for number in range(5)}
    for customer, how in customers.items():
        found = made.subscribe(customer)
        billed = Decimal(chance.randint(1, 10**6)).scaleb(-chance.randint(0, 4))
        if how != "nothing":
            made.bill(str(billed), customer=customer)
        recorded = {"over": billed / 2, "under": billed * 2, "unrecorded": None, "nothing": None}.get(how, billed)
        if recorded is not None:
            made.record(str(recorded), account=customer, verified=how != "unverified")
        if how == "never sent by Stripe":
            pause(made, found)
    made.run(HOUR + 30 * MINUTE)
    for customer, how in customers.items():
        if how == "late at Stripe":
            made.bill("7", customer=customer)
    made.run(2 * DAY)


def pause(made: World, subscription: str) -> None:
    made.stripe.account.subscriptions[subscription].pause_behavior = "keep_as_draft"


def test_a_draft_corrected_before_stripe_sends_it_would_not_have_been_held(tmp_path: Path) -> None:
    with world(tmp_path, mode="observe") as made:
        made.subscribe()
        made.bill("100")
        made.record("90")
        made.run(HOUR + 20 * MINUTE)
        assert made.memory().verdict is Verdict.DRIFTED
        made.record("10")
        made.run(3 * DAY)
        (line,) = reported(made).lines
        assert (line.state.verdict, line.holding) == (Verdict.MATCHED, Holding.NO)


def test_a_waived_invoice_was_held_until_a_person_released_it(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.bill("100")
        made.run(5 * HOUR)
        made.app.checker.check(
            made.invoice_id, waiver=Waiver(reason="agreed", by="me", at=made.clock.now(), figures={})
        )
        made.run(DAY)
        (line,) = reported(made).lines
        assert (line.state.verdict, line.holding) == (Verdict.WAIVED, Holding.A_WHILE)
        assert line.waited == 3 * HOUR


def test_amounts_are_those_of_the_final_lines(tmp_path: Path) -> None:
    """A draft's lines may lag behind the meter; what is released asks for more than the draft did."""
    with world(tmp_path) as made:
        made.subscribe()
        made.use("100")
        made.run(HOUR + 30 * MINUTE)
        made.use("7")
        made.run(DAY)
        (line,) = reported(made).lines
        assert made.invoice()["status"] == "paid"
        assert line.money is not None
        assert line.money.amount == made.invoice()["amount_due"]


def test_a_coming_invoice_with_drift_is_reported(tmp_path: Path) -> None:
    made = World(
        tmp_path, {"PACSPACE_STRIPE_MODE": "observe"}, clock=ManualClock(PERIOD_END - 3 * DAY), validated=False
    )
    with closing(made.app):
        made.stripe.send_upcoming(made.subscribe())
        made.bill("100")
        made.record("90")
        made.run(HOUR)
        point = next(point for point in reported(made).checklist if point.name == "coming")
        assert point.sentence.startswith("1 invoice that Stripe will make soon would be held")


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with street(tmp_path_factory.mktemp("street"), mode="observe") as made:
        yield made


def run(made: World, *arguments: str) -> Result:
    """Run the command on the world's database, with addresses at which neither vendor answers."""
    url = f"sqlite:///{made.folder / 'world.db'}"
    environment = ENVIRONMENT | {"PACSPACE_STRIPE_DATABASE_URL": url} | made.settings
    return CliRunner().invoke(cli, ["report", *arguments], env=environment)


def test_the_text_names_held_invoices_and_reasons(observed: World) -> None:
    done = run(observed)
    assert done.exit_code == 1  # some are drifted or unproven
    assert "Would have been held: 5 invoices, 280.00 EUR + 3,500 JPY + 0.06 USD at stake" in done.output
    assert "billed 100, recorded 90: differs by 10" in done.output
    assert "Before you enforce" in done.output
    assert all(len(line) < 200 for line in done.output.splitlines())


def test_text_json_and_csv_agree(observed: World) -> None:
    document = json.loads(run(observed, "--json").output)
    assert json.loads(run(observed, "--format", "json").output)["usage"] == document["usage"]
    rows = list(csv.DictReader(io.StringIO(run(observed, "--format", "csv").output, newline="")))
    assert [(row["customer"], row["billed"], row["recorded"] or None) for row in rows] == [
        (one["customer"], one["billed"], one["recorded"]) for one in document["usage"]
    ]
    assert sum(int(row["amount_due_minor"]) for row in rows if row["currency"] == "eur") == 340_625
    page = run(observed, "--format", "html").output
    assert page.startswith("<!doctype html>")
    assert all(one["invoice"] in page for one in document["usage"])


def test_since_leaves_out_earlier_usage(observed: World) -> None:
    assert json.loads(run(observed, "--json", "--since", "2026-10-31").output)["invoices"]["count"] == 6
    later = json.loads(run(observed, "--json", "--since", "2026-11-01").output)
    assert (later["invoices"]["count"], later["held"]["count"], later["trend"]) == (0, 0, [])


@pytest.mark.parametrize("wrong", [("--since", "yesterday"), ("--format", "pdf"), ("in_1",)])
def test_a_wrong_argument_is_a_usage_error(observed: World, wrong: tuple[str, ...]) -> None:
    assert run(observed, *wrong).exit_code == 2


def test_the_report_makes_no_request(observed: World) -> None:
    before = len(observed.stripe.log), len(observed.ledger.log)
    make_report(observed.app.store, observed.app.settings, now=observed.clock.now())
    assert (len(observed.stripe.log), len(observed.ledger.log)) == before


def test_an_empty_database_has_an_empty_report(tmp_path: Path) -> None:
    with world(tmp_path, mode="observe") as made:
        done = run(made)
        assert done.exit_code == 0
        assert "Would have been held: nothing" in done.output
        assert "observe one billing period at least" in done.output
