"""``release`` and ``audit`` in this process over real sockets: what is released, who decided, where that is kept."""

import json
import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pacspace_stripe.app import App, build
from pacspace_stripe.cli import cli
from pacspace_stripe.settings import load_settings
from pacspace_stripe.simulator.clock import WallClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator
from pacspace_stripe.simulator.serve import serve
from pacspace_stripe.simulator.stripe import StripeSimulator
from pacspace_stripe.store import JobKind
from tests.support.documents import is_cut_from, part
from tests.support.worlds import ENVIRONMENT, METER

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
REASON = "agreed with the customer by phone"


@dataclass(slots=True, kw_only=True)
class Desk:
    """A person who runs commands beside both simulators and two held invoices."""

    stripe: StripeSimulator
    app: App
    environment: dict[str, str]

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, list(arguments), env=self.environment)

    def held(self) -> list[str]:
        return sorted(one.job_id for one in self.app.store.jobs.invoices(held=True))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    clock = WallClock()
    stripe, pacspace = StripeSimulator(clock), PacSpaceSimulator(clock)
    stripe.account.delivers = False
    with serve(stripe) as first, serve(pacspace) as second:
        environment = ENVIRONMENT | {
            "STRIPE_API_BASE_URL": first.url,
            "PACSPACE_API_BASE_URL": second.url,
            "PACSPACE_STRIPE_DATABASE_URL": f"sqlite:///{tmp_path / 'desk.db'}",
            "PACSPACE_STRIPE_SETTLE": "0",
        }
        now = datetime.now(UTC)
        price = stripe.add_price(stripe.add_meter(METER))
        app = build(load_settings(environment))
        made = Desk(stripe=stripe, app=app, environment=environment)
        for number, customer in enumerate(("cus_a", "cus_b"), start=1):
            stripe.add_customer(customer, name=customer)
            stripe.record_usage(customer, METER, str(number * 1000), now - 15 * DAY)
            pacspace.record(customer, -Decimal(number * 900), now - 15 * DAY)
        ends = datetime.now(UTC) + timedelta(seconds=2)
        for customer in ("cus_a", "cus_b"):
            stripe.add_subscription(customer, [price], period_start=ends - 30 * DAY, period_end=ends)
        while stripe.next_due_at() is not None and len(stripe.invoices()) < 2:
            time.sleep(0.1)
            stripe.run_due()
        for invoice_id in stripe.invoices():
            app.checker.check(invoice_id)
        yield made
        app.close()


def compare(desk: Desk) -> None:
    """Compare each held draft, as if the time had come at which Stripe had planned to finalize it."""
    for invoice_id in desk.stripe.invoices():
        leased = desk.app.store.jobs.acquire(JobKind.INVOICE, invoice_id, HOUR)
        assert leased is not None
        assert leased.saved.first is not None
        planned = replace(leased.saved.first, finalizes_at=datetime.now(UTC) - HOUR)
        leased.give_back(replace(leased.saved, first=planned), None)
        desk.run("check", invoice_id, "--apply")


def test_a_dry_run_lists_held_invoices_with_the_money_and_releases_none(desk: Desk) -> None:
    compare(desk)
    held, done = desk.held(), desk.run("release", "--all-held", "--reason", REASON, "--dry-run", "--by", "Jane Doe")
    assert done.exit_code == 0, done.output
    assert all(invoice_id in done.stdout for invoice_id in held)
    total = sum(desk.stripe.invoice(invoice_id)["amount_due"] for invoice_id in held)
    assert re.search(rf"2 invoices, {total // 100}\.\d\d USD, to be released by Jane Doe", done.stdout), done.stdout
    assert desk.held() == held
    told = json.loads(desk.run("release", "--all-held", "--reason", REASON, "--dry-run", "--json").stdout)
    assert sorted(one["invoice"] for one in told["would_release"]) == held
    assert told["amounts"] == {"usd": total}


VARIES = re.compile(r"in_\w+|\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?|\d\d? [A-Z][a-z]{2} \d{4}, \d\d:\d\d.\d\d:\d\d")
"""Parts of an output that differ from run to run: ids and times."""


def alike(printed: str) -> str:
    """Return an output without what differs from run to run: ids, times and the widths of their columns."""
    return re.sub(r" {2,}", "  ", VARIES.sub("~", printed))


def test_the_readme_shows_a_held_invoice_and_how_it_is_released(desk: Desk) -> None:
    compare(desk)
    console = part("held").removeprefix("```console\n").removesuffix("```\n")
    commands = re.split(r"^\$ pacspace-stripe ", console, flags=re.MULTILINE)[1:]
    assert [command.split()[0] for command in commands] == ["check", "release"]
    for command in commands:
        line, _, shown = command.partition("\n")
        name, _, *options = shlex.split(line)
        done = desk.run(name, desk.stripe.invoices()[0], *options)
        assert is_cut_from(alike(shown).splitlines(), alike(done.stdout)), done.stdout


def test_no_invoice_is_released_without_a_terminal_and_without_yes(desk: Desk) -> None:
    compare(desk)
    held, done = desk.held(), desk.run("release", "--all-held", "--reason", REASON)
    assert done.exit_code == 2
    assert "add --yes; --dry-run only lists them" in done.stderr
    assert desk.held() == held


def test_evidence_audit_log_and_commands_name_the_person_who_decided(desk: Desk) -> None:
    compare(desk)
    (first, _), done = desk.held(), desk.run("release", "--all-held", "--reason", REASON, "--by", "Jane Doe", "--yes")
    assert done.exit_code == 0, done.output
    assert f"released by Jane Doe: {REASON}" in done.stdout
    assert json.loads(desk.run("evidence", first, "--json").stdout)["waiver"]["by"] == "Jane Doe"
    assert f"released by Jane Doe: {REASON}" in desk.run("invoices").stdout
    (waived,) = [line for line in json.loads(desk.run("audit", first, "--json").stdout) if line["kind"] == "waive"]
    assert waived["detail"].startswith(f"Jane Doe: {REASON}")


def test_a_second_release_changes_nothing_about_the_first(desk: Desk) -> None:
    compare(desk)
    first, _ = desk.held()
    desk.run("release", first, "--reason", REASON, "--by", "Jane Doe")
    again = desk.run("release", first, "--reason", "another reason", "--by", "Bob")
    assert again.exit_code == 0, again.output
    assert "not waived again: Jane Doe released it already" in again.stdout
    assert f"released by Jane Doe: {REASON}" in desk.run("invoices").stdout
    assert desk.stripe.invoice(first)["metadata"]["pacspace_waiver"] == REASON
    assert len([one for one in desk.app.store.journal.audit_log(job_id=first, limit=99) if one.kind == "waive"]) == 1


def test_a_dry_run_for_one_invoice_shows_what_the_release_would_do(desk: Desk) -> None:
    compare(desk)
    first, second = desk.held()
    done = desk.run("release", first, "--reason", REASON, "--dry-run")
    assert "would release (auto_advance=true)" in done.stdout
    assert desk.held() == [first, second]
    assert [line.kind for line in desk.app.store.journal.audit_log(limit=99) if line.kind == "waive"] == []


def test_the_audit_log_is_ordered_limited_and_safe_to_print(desk: Desk) -> None:
    first, _ = desk.held()
    desk.app.store.journal.note("waive", first, "red \x1b[31m\u202e text")
    everything = json.loads(desk.run("audit", "--json").stdout)
    assert [line["at"] for line in everything] == sorted(line["at"] for line in everything)
    newest = json.loads(desk.run("audit", "--limit", "1", "--json").stdout)
    assert newest == everything[-1:]
    shown = desk.run("audit", first).stdout
    assert "\\x1b[31m\\u202e text" in shown
    assert "\x1b" not in shown
    assert {line["about"] for line in json.loads(desk.run("audit", first, "--json").stdout)} == {first}
    assert json.loads(desk.run("audit", "--since", "2999-01-01", "--json").stdout) == []
    desk.app.store.journal.note(
        "stamp", first, '{"verdict": "matched", "fields": ["metadata", "footer"], "proof": {"a": 1}}'
    )
    shown = " ".join(desk.run("audit", first).stdout.split())
    assert "verdict matched; fields metadata, footer; proof (see --json)" in shown
    assert "{" not in shown
    assert "nothing is in the audit log about in_nobody" in desk.run("audit", "in_nobody").stdout


def test_a_check_of_a_draft_that_the_gate_does_not_compare_yet_shows_both_figures_now(desk: Desk) -> None:
    first, _ = desk.held()
    shown = desk.run("check", first)
    assert "not judged" in shown.stdout.splitlines()[0]
    assert "Compared now, before the gate does:" in shown.stdout
    found = json.loads(desk.run("check", first, "--json").stdout)
    assert (found["verdict"], found["so_far"]["verdict"], found["so_far"]["reason"]) == (None, "drifted", "OVERBILLED")
