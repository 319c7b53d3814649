"""``demo``: every scenario over real HTTP between separate processes; the end state is read back from Stripe."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import httpx

from pacspace_stripe.cli.processes import Found, Stack, kill, wait_for
from pacspace_stripe.simulator.scenarios import CLOSED, DISORDER, KILLED, UPCOMING, Scenario, ScenarioBuilder

SETTINGS = {
    "PACSPACE_STRIPE_SETTLE": "1s",
    "PACSPACE_STRIPE_RETRY": "1s",
    "PACSPACE_STRIPE_LEASE": "15s",
    "PACSPACE_STRIPE_SWEEP": "5s",
}
"""Seconds instead of minutes, because the simulators run on wall time."""
FINALIZATION_SECONDS = 4
ENDS_IN = timedelta(seconds=2)
MARK = "demo.txt"
"""A file that marks an output folder as the demo's own, which it may empty."""
SCENARIOS = (*CLOSED, DISORDER, UPCOMING, KILLED)
DOCUMENTS = {
    "statement.pdf": ("statement", "-o"),
    "invoice.pdf": ("stamp-pdf", "-o"),
    "bundle.zip": ("evidence", "--bundle"),
}
"""The documents of a released invoice: file → the command that writes it, and the option that names the file."""


@dataclass(slots=True, kw_only=True)
class Player:
    """The player of scenarios in one stack, which checks their end states and collects the lines to print."""

    stack: Stack
    stage: ScenarioBuilder
    output: Path
    patience: float
    """Seconds to wait for each state."""
    only: frozenset[str]
    lines: list[str] = field(default_factory=list)

    def say(self, line: str, **style: Any) -> None:  # noqa: ANN401 - as click.style takes it
        """Add a line to print."""
        self.lines.append(click.style(line, **style))

    def wait(self, what: str, ready: Callable[[], Found | None], *, every: float = 0.05) -> Found:
        """Wait for a state. Raises TimeoutError."""
        return wait_for(what, ready, seconds=self.patience, every=every)

    def chosen(self, *scenarios: Scenario) -> list[Scenario]:
        """Return which of the scenarios are to be played."""
        return [scenario for scenario in scenarios if scenario.name in self.only]

    def invoice(self, scenario: Scenario) -> dict[str, Any] | None:
        """Return the customer's invoice as Stripe has it now."""
        found = self.stack.stripe("invoices", customer=scenario.customer)
        return self.stack.stripe("invoice", invoice=found[0]) if found else None

    def play(self, scenario: Scenario, subscription: str) -> bool:
        """Play the later steps of a scenario; return whether its end state is the expected one."""
        self.say(f"\n{scenario.name}", bold=True)
        self.say(f"  {scenario.story}")
        try:
            for step in scenario.steps:
                STEPS[step](self, scenario, subscription)
            as_expected = self._reached(scenario)
            self._show(scenario)
        except (TimeoutError, RuntimeError, httpx.TransportError) as error:
            self.say(f"  {error}", fg="red")
            as_expected = False
        self.say("  as expected" if as_expected else "  NOT AS EXPECTED", fg="green" if as_expected else "red")
        return as_expected

    def _reached(self, scenario: Scenario) -> bool:
        expected = scenario.expected
        if expected.left or expected.verdict:
            self.wait("the end state", lambda: self.is_as_expected(scenario))
        else:
            self.wait_verdict(scenario, expected.held_as)
            time.sleep(1)
        return self.is_as_expected(scenario)

    def is_as_expected(self, scenario: Scenario) -> bool:
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

    def wait_verdict(self, scenario: Scenario, verdict: str) -> dict[str, Any]:
        """Wait until `pacspace-stripe invoices` shows the verdict, and return the invoice's entry."""

        def listed() -> dict[str, Any] | None:
            invoice = self.invoice(scenario)
            entries = json.loads(self.stack.run("invoices", "--json").stdout or "[]")
            ours = (one for one in entries if invoice and one["invoice"] == invoice["id"])
            return next((one for one in ours if one["verdict"] == verdict), None)

        return self.wait(f"the verdict {verdict}", listed, every=0.3)

    def _show(self, scenario: Scenario) -> None:
        invoice = self.invoice(scenario)
        if invoice is None:
            return
        name = scenario.name.replace(" ", "-")
        (self.output / f"{name}.json").write_text(json.dumps(invoice, indent=2) + "\n")
        stamped = invoice["metadata"].get("pacspace_verdict", "not stamped")
        root = invoice["metadata"].get("pacspace_proof_root", "none")
        self.say(f"  Stripe now: {invoice['id']} {invoice['status']}, auto_advance={invoice['auto_advance']}")
        self.say(f"  verdict {stamped}, proof root {root}")


# -- the later steps of the scenarios -------------------------------------------------------------------------------


def _write_documents(player: Player, scenario: Scenario, _: str) -> None:
    def released() -> dict[str, Any] | None:
        return player.invoice(scenario) if player.is_as_expected(scenario) else None

    invoice = player.wait("a released invoice", released)
    for name, (command, option) in DOCUMENTS.items():
        done = player.stack.run(command, invoice["id"], option, str(player.output / name))
        if done.returncode:
            raise RuntimeError(done.stderr)
        player.say(f"  {name} written")


def _show_reason(player: Player, scenario: Scenario, _: str) -> None:
    listed = player.wait_verdict(scenario, scenario.expected.held_as)
    player.say(f"  {listed['verdict']} {listed['reason']}: {listed['detail']}")


def _verify(player: Player, scenario: Scenario, _: str) -> None:
    player.stack.pacspace("verify_all", account=scenario.customer)
    player.say("  the ledger verifies the record")


def send_late_usage(player: Player) -> None:
    """Send late usage after the drafts were made and before they are finalized: only then is it late usage."""
    for scenario in (one for one in player.chosen(*CLOSED) if one.late_usage):
        player.wait("the draft", lambda: player.invoice(scenario))  # noqa: B023 - called at once
        player.stage.bill(scenario, scenario.late_usage)


def _waive(player: Player, scenario: Scenario, _: str) -> None:
    invoice = player.invoice(scenario)
    reason = "agreed with the customer by phone"
    done = player.stack.run("release", invoice["id"] if invoice else "", "--reason", reason)
    player.say(f"  pacspace-stripe release --reason {reason!r}: exit {done.returncode}")


def _upcoming(player: Player, _scenario: Scenario, subscription: str) -> None:
    player.stack.stripe("send_upcoming", subscription=subscription)
    log = player.stack.folder / "serve.log"

    def alert() -> str | None:
        return next((line for line in log.read_text().splitlines() if "alert=upcoming_blocked" in line), None)

    line = player.wait("the alert", alert)
    player.say(f"  {line[line.index('alert=') :]}")
    (window,) = json.loads(player.stack.run("check", subscription, "--json").stdout)["windows"]
    if not window["proof_root"]:
        message = "the early warning has no checkpoint"
        raise RuntimeError(message)
    player.say(
        f"  checkpointed: {window['recorded']} recorded up to {window['end']}, proof root {window['proof_root']}"
    )
    player.stack.stripe("renew_now", subscription=subscription)


def _wait_held(player: Player, scenario: Scenario, _: str) -> None:
    player.wait("the hold", lambda: (player.invoice(scenario) or {}).get("auto_advance") is False)
    player.say("  held as soon as it was made")
    player.wait_verdict(scenario, "drifted")


def _record_missing(player: Player, scenario: Scenario, _: str) -> None:
    player.stage.record(scenario, "10")
    player.say("  the missing 10 recorded in the ledger")


def _kill(player: Player, scenario: Scenario, _: str) -> None:
    endpoint = "POST /v1/invoices/{id}/finalize"

    def finalizing() -> bool:
        return any(entry["endpoint"] == endpoint for entry in player.stack.stripe.log()) or (
            (player.invoice(scenario) or {}).get("status") == "open"
        )

    player.wait("finalization to begin", finalizing, every=0.02)
    kill(player.stack.serving[-1])
    player.say("  killed while it finalized; starting it again")
    player.stack.serve()


STEPS: dict[str, Callable[[Player, Scenario, str], object]] = {
    "statement": _write_documents,
    "wait unproven": lambda player, scenario, _: player.wait_verdict(scenario, "unproven"),
    "wait drifted": lambda player, scenario, _: player.wait_verdict(scenario, "drifted"),
    "say why": _show_reason,
    "verify": _verify,
    "waive": _waive,
    "upcoming": _upcoming,
    "wait held": _wait_held,
    "record the missing 10": _record_missing,
    "kill": _kill,
}


# -- scenarios that share processes ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Scenarios that share one stack, its folder's name and settings, and the function that plays them."""

    name: str
    settings: Mapping[str, str]
    scenarios: tuple[Scenario, ...]
    play: Callable[[Player], list[bool]]
    lines: list[str] = field(default_factory=list)

    def perform(self, output: Path, patience: float, only: frozenset[str]) -> list[bool]:
        """Start the processes and play; return for each scenario whether it ended as expected."""
        try:
            with Stack(folder=output / self.name, settings=SETTINGS | dict(self.settings)) as stack:
                stack.stripe("configure", finalization_delay=FINALIZATION_SECONDS, payment_delay=1)
                stack.serve()
                stage = ScenarioBuilder(stripe=stack.stripe, pacspace=stack.pacspace)
                player = Player(stack=stack, stage=stage, output=output, patience=patience, only=only, lines=self.lines)
                return self.play(player)
        except (TimeoutError, RuntimeError, httpx.TransportError) as error:
            self.lines.append(click.style(f"\n{self.name}: {error}", fg="red"))
            return [False]


def _closed(player: Player) -> list[bool]:
    """Play the scenarios of the default policy: their worlds run side by side, their ends are printed in order."""
    scenarios = player.chosen(*CLOSED)
    subscriptions = [player.stage.set(scenario, ends_in=ENDS_IN) for scenario in scenarios]
    send_late_usage(player)
    results = [player.play(*each) for each in zip(scenarios, subscriptions, strict=True)]
    player.stack.stripe("set_webhook", copies=5, shuffled=True)
    later = player.chosen(DISORDER)
    return [*results, *(player.play(one, player.stage.set(one, ends_in=ENDS_IN)) for one in later)]


def _open(player: Player) -> list[bool]:
    return [player.play(UPCOMING, player.stage.set(UPCOMING, ends_in=timedelta(days=2)))]


def _killed(player: Player) -> list[bool]:
    player.stack.stripe("add_fault", name="slow", endpoint="POST /v1/invoices/{id}/finalize", times=1, seconds=1.5)
    return [player.play(KILLED, player.stage.set(KILLED, ends_in=ENDS_IN))]


def _acts() -> tuple[Act, ...]:
    return (
        Act(name="closed", settings={}, scenarios=(*CLOSED, DISORDER), play=_closed),
        Act(name="open", settings={"PACSPACE_STRIPE_FAIL": "open"}, scenarios=(UPCOMING,), play=_open),
        Act(name="killed", settings={}, scenarios=(KILLED,), play=_killed),
    )


@click.command()
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="Folder for invoices, documents, logs and databases; emptied first.",
)
@click.option(
    "--only", type=click.Choice([one.name for one in SCENARIOS]), multiple=True, help="Play this scenario; repeatable."
)
@click.option(
    "--patience", default=45.0, show_default=True, type=click.FloatRange(min=1), help="Seconds to wait for each state."
)
def demo(output: Path, only: tuple[str, ...], patience: float) -> None:
    """Play every scenario on this machine and show what became of each invoice.

    Runs a simulated Stripe and PacSpace in one process and `serve` in another, with real HTTP between them. Exit code
    1: an end state is not the expected one.
    """
    output = output.resolve()
    if output.exists() and any(output.iterdir()) and not (output / MARK).is_file():
        message = f"{output} is not empty and not of an earlier demo"
        raise click.UsageError(message)
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    (output / MARK).write_text("Made by `pacspace-stripe demo`, which empties this folder when it runs again.\n")
    chosen = frozenset(only) or frozenset(one.name for one in SCENARIOS)
    acts = [act for act in _acts() if any(one.name in chosen for one in act.scenarios)]
    with ThreadPoolExecutor(len(acts)) as stages:
        playing = [(act, stages.submit(act.perform, output, patience, chosen)) for act in acts]
        results = [result for act, future in playing for result in _print_until_done(act, future)]
    click.echo(f"\n{sum(results)} of {len(results)} scenarios ended as expected; everything is in {output.name}/")
    sys.exit(0 if all(results) else 1)


def _print_until_done(act: Act, future: Future[list[bool]]) -> list[bool]:
    """Print the lines of an act as they come, and return its results."""
    printed = 0
    while True:
        done = future.done()
        for line in act.lines[printed:]:
            click.echo(line)
            printed += 1
        if done:
            return future.result()
        time.sleep(0.1)
