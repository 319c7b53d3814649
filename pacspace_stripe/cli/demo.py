"""``pacspace-stripe demo``: every scenario over real HTTP between separate processes, read back from Stripe."""

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import click
import httpx

from pacspace_stripe.cli.processes import Stack
from pacspace_stripe.cli.simulated_commands import Player, send_late_usage
from pacspace_stripe.simulator.scenarios import CLOSED, DISORDER, KILLED, UPCOMING, Scenario, ScenarioBuilder

SETTINGS = {
    "PACSPACE_STRIPE_SETTLE": "1s",
    "PACSPACE_STRIPE_RETRY": "1s",
    "PACSPACE_STRIPE_LEASE": "15s",
    "PACSPACE_STRIPE_SWEEP": "5s",
}
"""Seconds instead of minutes: the simulators run on wall time."""
FINALIZATION_SECONDS = 4
ENDS_IN = timedelta(seconds=2)
MARK = "demo.txt"
"""In the output's folder: it is ours to empty."""
SCENARIOS = (*CLOSED, DISORDER, UPCOMING, KILLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Scenarios that share a stack: its folder's name, its settings, and how they are played."""

    name: str
    settings: Mapping[str, str]
    scenarios: tuple[Scenario, ...]
    play: Callable[[Player], list[bool]]
    told: list[str] = field(default_factory=list)

    def perform(self, output: Path, patience: float, only: frozenset[str]) -> list[bool]:
        """Start the processes and play; whether each scenario ended as expected."""
        try:
            with Stack(folder=output / self.name, settings=SETTINGS | dict(self.settings)) as stack:
                stack.stripe("configure", finalization_delay=FINALIZATION_SECONDS, payment_delay=1)
                stack.serve()
                stage = ScenarioBuilder(stripe=stack.stripe, pacspace=stack.pacspace)
                player = Player(stack=stack, stage=stage, output=output, patience=patience, only=only, told=self.told)
                return self.play(player)
        except (TimeoutError, RuntimeError, httpx.TransportError) as error:
            self.told.append(click.style(f"\n{self.name}: {error}", fg="red"))
            return [False]


def _closed(player: Player) -> list[bool]:
    """The default policy; the worlds run side by side, the stories are told one after the other."""
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
    help="Folder for invoices, PDF, logs and databases; emptied first.",
)
@click.option(
    "--only", type=click.Choice([one.name for one in SCENARIOS]), multiple=True, help="Play this scenario; repeatable."
)
@click.option(
    "--patience", default=45.0, show_default=True, type=click.FloatRange(min=1), help="Seconds to wait for each state."
)
def demo(output: Path, only: tuple[str, ...], patience: float) -> None:
    """Play every scenario on this machine and show what became of each invoice.

    Simulated Stripe and PacSpace in one process, `serve` in another, real HTTP between them. Exits 1 when any end state
    is not the expected one.
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
        played = [(act, stages.submit(act.perform, output, patience, chosen)) for act in acts]
        results = [result for act, future in played for result in _heard(act, future)]
    click.echo(f"\n{sum(results)} of {len(results)} scenarios ended as expected; everything is in {output.name}/")
    sys.exit(0 if all(results) else 1)


def _heard(act: Act, future: Future[list[bool]]) -> list[bool]:
    """Pass on what an act tells, as it is told; its results."""
    heard = 0
    while True:
        over = future.done()
        for line in act.told[heard:]:
            click.echo(line)
            heard += 1
        if over:
            return future.result()
        time.sleep(0.1)
