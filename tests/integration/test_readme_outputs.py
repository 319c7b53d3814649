"""The outputs that documents show are what the commands print, except for times and rates."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from click.testing import CliRunner

from pacspace_stripe.cli import cli
from tests.integration.test_backfill_command import Desk, desk
from tests.support.documents import block, is_cut_from
from tests.support.report_rows import street
from tests.support.worlds import ENVIRONMENT, METER

__all__ = ["desk"]
MONTHS = [datetime(2026, month, 1, tzinfo=UTC) for month in (6, 7, 8)]
DONE = re.compile(r"invoices  [\d.,]+/s  done in \S+")


def test_capacity() -> None:
    command, *shown = block("$ pacspace-stripe capacity")
    printed = CliRunner().invoke(cli, command.split()[2:]).stdout
    assert is_cut_from(shown, printed), printed


def test_report(tmp_path: Path) -> None:
    shown = block("2026-11-02 05:00 UTC, observe mode")
    with street(tmp_path, mode="observe") as made:
        environment = ENVIRONMENT | {
            "PACSPACE_STRIPE_DATABASE_URL": made.database_url or f"sqlite:///{tmp_path / 'world.db'}",
            "PACSPACE_STRIPE_MODE": "observe",
        }
        _, _, printed = CliRunner().invoke(cli, ["report"], env=environment).stdout.partition("\n")
    assert is_cut_from(shown[1:], printed), printed


def a_past(desk: Desk) -> None:
    """Eighty customers and three months: one in five without usage, and three things went wrong."""
    used, fixed, now = desk.price, desk.stripe.add_price(), datetime.now(UTC)
    for number in range(80):
        customer, metered = f"cus_{number:03}", number % 5 != 4
        desk.stripe.add_customer(customer)
        subscription = desk.stripe.add_subscription(
            customer,
            [used if metered else fixed],
            period_start=now - timedelta(days=9),
            period_end=now + timedelta(days=9),
        )
        for month in MONTHS:
            end = (month + timedelta(days=31)).replace(day=1)
            at, usage = month + timedelta(days=10), 1000 + number
            wrong = (number, month.month)
            if metered:
                desk.stripe.record_usage(customer, METER, usage, at)
            if metered and wrong != (31, 8):
                short = 40 if wrong == (7, 8) else 0
                desk.pacspace.record(customer, f"-{usage - short}", at, verified=wrong != (43, 8))
            status = "open" if wrong == (7, 8) else "paid"
            desk.stripe.add_past_invoice(subscription, month, end, status=status)


def test_backfill(desk: Desk) -> None:
    command, progress, *shown = block("$ pacspace-stripe backfill --since")
    a_past(desk)
    done = desk.run(*command.split()[3:])
    assert done.stdout.splitlines() == shown, done.stdout
    assert DONE.sub("", progress) == DONE.sub("", done.stderr.splitlines()[-1])
