"""``pacspace-stripe demo``: every scenario over real HTTP between separate processes, read back from Stripe."""

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from pacspace_stripe.cli.processes import Stack, kill, wait_for
from pacspace_stripe.simulator.scenarios import CLOSED, DISORDER, KILLED, UPCOMING, Scenario, Stage

SETTINGS = {
    "PACSPACE_STRIPE_SETTLE": "1s",
    "PACSPACE_STRIPE_RETRY": "1s",
    "PACSPACE_STRIPE_LEASE": "6s",
    "PACSPACE_STRIPE_SWEEP": "5s",
}
"""Seconds instead of minutes: the simulators run on wall time."""
FINALIZATION_SECONDS = 4
ENDS_IN = timedelta(seconds=2)
PATIENCE = 45.0


@dataclass(slots=True)
class Player:
    """Plays scenarios in one stack and checks their ends."""

    stack: Stack
    stage: Stage
    output: Path

    def invoice(self, scenario: Scenario) -> dict[str, Any] | None:
        """The customer's invoice as Stripe has it now."""
        found = self.stack.stripe("invoices", customer=scenario.customer)
        return self.stack.stripe("invoice", invoice=found[0]) if found else None

    def play(self, scenario: Scenario, subscription: str) -> bool:
        """What happens later, then the end state; whether it is the expected one."""
        click.secho(f"\n{scenario.name}", bold=True)
        click.echo(f"  {scenario.story}")
        try:
            for step in scenario.steps:
                STEPS[step](self, scenario, subscription)
            as_expected = self._reached(scenario)
        except (TimeoutError, RuntimeError) as error:
            click.secho(f"  {error}", fg="red")
            as_expected = False
        self._show(scenario)
        click.secho("  as expected" if as_expected else "  NOT AS EXPECTED", fg="green" if as_expected else "red")
        return as_expected

    def _reached(self, scenario: Scenario) -> bool:
        expected = scenario.expected
        if expected.left or expected.verdict:
            wait_for("the end state", lambda: self.is_so(scenario), seconds=PATIENCE)
        else:
            self.wait_verdict(scenario, "drifted")
            time.sleep(1)
        return self.is_so(scenario)

    def is_so(self, scenario: Scenario) -> bool:
        invoice, expected = self.invoice(scenario), scenario.expected
        if invoice is None:
            return False
        charged = sum(1 for charge in self.stack.stripe("snapshot")["charges"] if charge["invoice"] == invoice["id"])
        return (
            invoice["status"] == expected.status
            and invoice["metadata"].get("pacspace_verdict") == expected.verdict
            and charged == int(expected.left)
            and (expected.left or not invoice["auto_advance"])
        )

    def wait_verdict(self, scenario: Scenario, verdict: str) -> None:
        """Wait until our side says so, as `pacspace-stripe invoices` shows it."""

        def said() -> bool:
            invoice = self.invoice(scenario)
            listed = json.loads(self.stack.run("invoices", "--json").stdout or "[]")
            return invoice is not None and any(
                one["invoice"] == invoice["id"] and one["verdict"] == verdict for one in listed
            )

        wait_for(f"the verdict {verdict}", said, seconds=PATIENCE, every=0.3)

    def _show(self, scenario: Scenario) -> None:
        invoice = self.invoice(scenario)
        if invoice is None:
            return
        name = scenario.name.replace(" ", "-")
        (self.output / f"{name}.json").write_text(json.dumps(invoice, indent=2) + "\n")
        stamped = invoice["metadata"].get("pacspace_verdict", "not stamped")
        root = invoice["metadata"].get("pacspace_proof_root", "none")
        click.echo(f"  Stripe now: {invoice['id']} {invoice['status']}, auto_advance={invoice['auto_advance']}")
        click.echo(f"  verdict {stamped}, proof root {root}")


def _statement(player: Player, scenario: Scenario, _: str) -> None:
    invoice = wait_for(
        "a released invoice", lambda: player.invoice(scenario) if player.is_so(scenario) else None, seconds=PATIENCE
    )
    target = player.output / "statement.pdf"
    done = player.stack.run("statement", invoice["id"], "-o", str(target))
    if done.returncode:
        raise RuntimeError(done.stderr)
    click.echo(f"  {target.name} written")


def _verify(player: Player, scenario: Scenario, _: str) -> None:
    player.stack.pacspace("verify_all", account=scenario.customer)
    click.echo("  the ledger verifies the record")


def _send_late_usage(player: Player) -> None:
    """After the drafts were made, before they are finalized: too early or too late, and there is no story."""
    for scenario in (one for one in CLOSED if one.late_usage):
        wait_for("the draft", lambda: player.invoice(scenario), seconds=PATIENCE)  # noqa: B023 - called at once
        player.stage.bill(scenario, scenario.late_usage)


def _waive(player: Player, scenario: Scenario, _: str) -> None:
    invoice = player.invoice(scenario)
    reason = "agreed with the customer by phone"
    done = player.stack.run("release", invoice["id"] if invoice else "", "--reason", reason)
    click.echo(f"  pacspace-stripe release --reason {reason!r}: exit {done.returncode}")


def _upcoming(player: Player, _scenario: Scenario, subscription: str) -> None:
    player.stack.stripe("send_upcoming", subscription=subscription)
    log = player.stack.folder / "serve.log"
    line = wait_for("the alert", lambda: _line(log, "alert=upcoming_blocked"), seconds=PATIENCE)
    click.echo(f"  {line[line.index('alert=') :]}")
    player.stack.stripe("renew_now", subscription=subscription)


def _wait_held(player: Player, scenario: Scenario, _: str) -> None:
    wait_for("the hold", lambda: (player.invoice(scenario) or {}).get("auto_advance") is False, seconds=PATIENCE)
    click.echo("  held at birth")
    player.wait_verdict(scenario, "drifted")


def _record_missing(player: Player, scenario: Scenario, _: str) -> None:
    player.stage.record(scenario, "10")
    click.echo("  the missing 10 recorded in the ledger")


def _kill(player: Player, scenario: Scenario, _: str) -> None:
    endpoint = "POST /v1/invoices/{id}/finalize"

    def finalizing() -> bool:
        return any(entry["endpoint"] == endpoint for entry in player.stack.stripe.log()) or (
            (player.invoice(scenario) or {}).get("status") == "open"
        )

    wait_for("finalization to begin", finalizing, seconds=PATIENCE, every=0.02)
    kill(player.stack.serving[-1])
    click.echo("  killed while it finalized; starting it again")
    player.stack.serve()


STEPS: dict[str, Callable[[Player, Scenario, str], None]] = {
    "statement": _statement,
    "wait unproven": lambda player, scenario, _: player.wait_verdict(scenario, "unproven"),
    "wait drifted": lambda player, scenario, _: player.wait_verdict(scenario, "drifted"),
    "verify": _verify,
    "waive": _waive,
    "upcoming": _upcoming,
    "wait held": _wait_held,
    "record the missing 10": _record_missing,
    "kill": _kill,
}


def _line(log: Path, wanted: str) -> str | None:
    return next((line for line in log.read_text().splitlines() if wanted in line), None)


@click.command()
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="Folder for invoices, PDF, logs and databases; emptied first.",
)
def demo(output: Path) -> None:
    """Play every scenario on this machine and show what became of each invoice.

    Simulated Stripe and PacSpace in one process, `serve` in another, real HTTP between them. Exits 1 when any end state
    is not the expected one.
    """
    output = output.resolve()
    if output.exists() and any(output.iterdir()) and not (output / "closed").is_dir():
        message = f"{output} is not empty and not of an earlier demo"
        raise click.UsageError(message)
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    results = [*_closed(output), *_open(output), *_killed(output)]
    click.echo(f"\n{sum(results)} of {len(results)} scenarios ended as expected; everything is in {output.name}/")
    sys.exit(0 if all(results) else 1)


def _player(stack: Stack, output: Path) -> Player:
    stack.stripe("configure", finalization_delay=FINALIZATION_SECONDS, payment_delay=1)
    stack.serve()
    return Player(stack=stack, stage=Stage(stripe=stack.stripe, pacspace=stack.pacspace), output=output)


def _closed(output: Path) -> list[bool]:
    """The default policy; the worlds run side by side, the stories are told one after the other."""
    with Stack(folder=output / "closed", settings=SETTINGS) as stack:
        player = _player(stack, output)
        subscriptions = [player.stage.set(scenario, ends_in=ENDS_IN) for scenario in CLOSED]
        _send_late_usage(player)
        results = _told(player, subscriptions)
        stack.stripe("set_webhook", copies=5, shuffled=True)
        return [*results, player.play(DISORDER, player.stage.set(DISORDER, ends_in=ENDS_IN))]


def _told(player: Player, subscriptions: list[str]) -> list[bool]:
    return [player.play(scenario, subscription) for scenario, subscription in zip(CLOSED, subscriptions, strict=True)]


def _open(output: Path) -> list[bool]:
    with Stack(folder=output / "open", settings={**SETTINGS, "PACSPACE_STRIPE_FAIL": "open"}) as stack:
        player = _player(stack, output)
        subscription = player.stage.set(UPCOMING, ends_in=timedelta(days=2))
        return [player.play(UPCOMING, subscription)]


def _killed(output: Path) -> list[bool]:
    with Stack(folder=output / "killed", settings=SETTINGS) as stack:
        player = _player(stack, output)
        stack.stripe("add_fault", name="slow", endpoint="POST /v1/invoices/{id}/finalize", times=1, seconds=1.5)
        return [player.play(KILLED, player.stage.set(KILLED, ends_in=ENDS_IN))]
