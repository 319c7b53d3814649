"""Playing one scenario of the demo: what happens later in its story, and whether it ended as expected."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import httpx

from pacspace_stripe.cli.processes import Found, Stack, kill, wait_for
from pacspace_stripe.simulator.scenarios import CLOSED, Scenario, ScenarioBuilder

PAPERS = {
    "statement.pdf": ("statement", "-o"),
    "invoice.pdf": ("stamp-pdf", "-o"),
    "bundle.zip": ("evidence", "--bundle"),
}
"""What is written of a released invoice: file → the command that writes it, and the option that names the file."""


@dataclass(slots=True, kw_only=True)
class Player:
    """Plays scenarios in one stack and checks their ends. What there is to tell waits in ``told``."""

    stack: Stack
    stage: ScenarioBuilder
    output: Path
    patience: float
    only: frozenset[str]
    told: list[str] = field(default_factory=list)

    def say(self, line: str, **style: Any) -> None:  # noqa: ANN401 - as click.style takes it
        """One line of the story."""
        self.told.append(click.style(line, **style))

    def wait(self, what: str, ready: Callable[[], Found | None], *, every: float = 0.05) -> Found:
        """Wait until it is so. Raises TimeoutError."""
        return wait_for(what, ready, seconds=self.patience, every=every)

    def chosen(self, *scenarios: Scenario) -> list[Scenario]:
        """Those of them that are to be played."""
        return [scenario for scenario in scenarios if scenario.name in self.only]

    def invoice(self, scenario: Scenario) -> dict[str, Any] | None:
        """The customer's invoice as Stripe has it now."""
        found = self.stack.stripe("invoices", customer=scenario.customer)
        return self.stack.stripe("invoice", invoice=found[0]) if found else None

    def play(self, scenario: Scenario, subscription: str) -> bool:
        """What happens later, then the end state; whether it is the expected one."""
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
            self.wait("the end state", lambda: self.is_so(scenario))
        else:
            self.wait_verdict(scenario, expected.held_as)
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

    def wait_verdict(self, scenario: Scenario, verdict: str) -> dict[str, Any]:
        """Wait until our side says so, as `pacspace-stripe invoices` shows it; all that it says."""

        def said() -> dict[str, Any] | None:
            invoice = self.invoice(scenario)
            listed = json.loads(self.stack.run("invoices", "--json").stdout or "[]")
            ours = (one for one in listed if invoice and one["invoice"] == invoice["id"])
            return next((one for one in ours if one["verdict"] == verdict), None)

        return self.wait(f"the verdict {verdict}", said, every=0.3)

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


def _statement(player: Player, scenario: Scenario, _: str) -> None:
    invoice = player.wait("a released invoice", lambda: player.invoice(scenario) if player.is_so(scenario) else None)
    for name, (command, option) in PAPERS.items():
        done = player.stack.run(command, invoice["id"], option, str(player.output / name))
        if done.returncode:
            raise RuntimeError(done.stderr)
        player.say(f"  {name} written")


def _say_why(player: Player, scenario: Scenario, _: str) -> None:
    said = player.wait_verdict(scenario, scenario.expected.held_as)
    player.say(f"  {said['verdict']} {said['reason']}: {said['detail']}")


def _verify(player: Player, scenario: Scenario, _: str) -> None:
    player.stack.pacspace("verify_all", account=scenario.customer)
    player.say("  the ledger verifies the record")


def send_late_usage(player: Player) -> None:
    """After the drafts were made, before they are finalized: too early or too late, and there is no story."""
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
    line = player.wait("the alert", lambda: _line(log, "alert=upcoming_blocked"))
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
    player.say("  held at birth")
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


def _wait_for(verdict: str) -> Callable[[Player, Scenario, str], None]:
    def wait(player: Player, scenario: Scenario, _: str) -> None:
        player.wait_verdict(scenario, verdict)

    return wait


STEPS: dict[str, Callable[[Player, Scenario, str], None]] = {
    "statement": _statement,
    "wait unproven": _wait_for("unproven"),
    "wait drifted": _wait_for("drifted"),
    "say why": _say_why,
    "verify": _verify,
    "waive": _waive,
    "upcoming": _upcoming,
    "wait held": _wait_held,
    "record the missing 10": _record_missing,
    "kill": _kill,
}


def _line(log: Path, wanted: str) -> str | None:
    return next((line for line in log.read_text().splitlines() if wanted in line), None)
