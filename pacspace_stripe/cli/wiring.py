"""What every command needs: settings from the environment, parts, output."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from pacspace_stripe.app import App, build, wall_clock
from pacspace_stripe.cli.logs import set_up
from pacspace_stripe.cli.output import echo_line, echo_windows
from pacspace_stripe.comparison.rules.reconcile import without_retry_time
from pacspace_stripe.comparison.rules.verdicts import NOTHING_METERED
from pacspace_stripe.errors import ConfigurationError, LeaseBusy
from pacspace_stripe.gate.rules.result import CheckResult
from pacspace_stripe.settings import Settings, load_settings
from pacspace_stripe.store import Store
from pacspace_stripe.vocabulary.policy import Mode

Done = TypeVar("Done")


def environment_settings() -> Settings:
    """Settings of this process. Raises ConfigurationError."""
    return load_settings(os.environ)


@contextmanager
def parts(*, level: int = logging.WARNING) -> Iterator[App]:
    """The product, wired for one command; quiet but for what is of this level."""
    settings = environment_settings()
    set_up(settings.log_format, level=level)
    app = build(settings)
    try:
        yield app
    finally:
        app.close()


@contextmanager
def database() -> Iterator[Store]:
    """Our database alone, for commands that ask neither vendor: no key of theirs is needed."""
    settings = load_settings(os.environ, stripe=False, pacspace=False)
    set_up(settings.log_format, level=30)
    store = Store(settings.database_url.get_secret_value(), now=wall_clock, lost_after=settings.lease)
    try:
        store.migrate()
        yield store
    finally:
        store.close()


def patiently(app: App, act: Callable[[], Done]) -> Done:
    """Do it when the invoice is free: another process may be looking at it for a moment."""
    deadline = time.monotonic() + app.settings.lease.total_seconds() + 5
    while True:
        try:
            return act()
        except LeaseBusy:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def refuse_when_observing(app: App, command: str) -> None:
    """Raise ConfigurationError: what acts has nothing to do in observe mode."""
    if app.settings.mode is Mode.OBSERVE:
        variable = "PACSPACE_STRIPE_MODE"
        problem = f"observe writes nothing, so `{command}` has nothing to do"
        hint = f"Run it once as `PACSPACE_STRIPE_MODE=enforce pacspace-stripe {command} …` to act."
        raise ConfigurationError(variable, problem, hint=hint)


def with_causes(app: App, *results: CheckResult) -> list[CheckResult]:
    """With what their drifts come from, as far as that was found out; nothing is asked when nothing drifted."""
    known = app.store.explanations.of(result.invoice_id for result in results if result.drifted)
    return [
        result.explained(known[result.invoice_id].explanations) if result.invoice_id in known else result
        for result in results
    ]


def exit_code(results: list[CheckResult]) -> int:
    """0 all matched or nothing metered, 1 any drifted or unproven."""
    return 0 if all(result.good for result in results) else 1


def echo_result(result: CheckResult, *, planned: bool) -> None:
    """One result for people: the verdict first, then both figures per window, then what happens."""
    ours = result.verdict is not None or result.detail != NOTHING_METERED
    verdict = result.verdict.value if result.verdict else "not judged" if ours else NOTHING_METERED
    reason = f" ({result.reason.value})" if result.reason else ""
    echo_line(f"{result.invoice_id}  {result.status}  {verdict}{reason}", bold=True)
    if not ours:
        echo_line("  Nothing on it bills usage: it is not held, and Stripe goes on with it as planned.")
    elif result.detail:
        # When it is looked at again is said below, as it is now.
        echo_line(f"  {without_retry_time(result.detail)}")
    for window in result.windows:
        if "sentence" in window:
            echo_line(f"  {window['sentence']}")
    echo_windows(result.windows)
    _echo_beside(result)
    for step in result.steps:
        echo_line(f"  {'would ' if planned else 'did: '}{step}")
    if result.next_check_at:
        how = "would look again at" if planned else "next look"
        echo_line(f"  {how} {result.next_check_at:%Y-%m-%d %H:%M:%S} UTC")


def _echo_beside(result: CheckResult) -> None:
    """Show the proof roots of an early warning, and what was found apart from the result itself."""
    for window in result.windows:
        if window.get("proof_root"):
            echo_line(f"  {window['meter']} up to {window['end']}: proof root {window['proof_root']}")
    beside = {"The early warning said": result.early_warning, "Compared now, before the gate does": result.so_far}
    for title, other in beside.items():
        if other is not None:
            echo_line(f"  {title}:")
            echo_result(replace(other, next_check_at=None), planned=True)
