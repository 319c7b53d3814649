"""One run of a command: its settings, the parts or the database it needs, and the wait for a busy invoice."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from pacspace_stripe.app import App, build, wall_clock
from pacspace_stripe.cli.logs import configure_logging
from pacspace_stripe.errors import ConfigurationError, LeaseBusy
from pacspace_stripe.gate.rules.result import CheckResult
from pacspace_stripe.settings import load_settings
from pacspace_stripe.store import Store
from pacspace_stripe.vocabulary.policy import Mode

Done = TypeVar("Done")


@contextmanager
def parts(*, level: int = logging.WARNING) -> Iterator[App]:
    """Build the product from the environment for one command, and log from ``level`` on. Raises ConfigurationError."""
    settings = load_settings(os.environ)
    configure_logging(settings.log_format, level=level)
    app = build(settings)
    try:
        yield app
    finally:
        app.close()


@contextmanager
def database() -> Iterator[Store]:
    """Open our database alone, for commands that ask neither vendor and so need no key of theirs."""
    settings = load_settings(os.environ, stripe=False, pacspace=False)
    configure_logging(settings.log_format, level=logging.WARNING)
    store = Store(settings.database_url.get_secret_value(), now=wall_clock, lost_after=settings.lease)
    try:
        store.migrate()
        yield store
    finally:
        store.close()


def when_free(app: App, act: Callable[[], Done]) -> Done:
    """Return what ``act`` returns, once no other process holds the invoice's lease. Raises LeaseBusy after a while."""
    deadline = time.monotonic() + app.settings.lease.total_seconds() + 5
    while True:
        try:
            return act()
        except LeaseBusy:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def refuse_when_observing(app: App, command: str) -> None:
    """Raise ConfigurationError in observe mode, where a command that acts has nothing to do."""
    if app.settings.mode is Mode.OBSERVE:
        variable = "PACSPACE_STRIPE_MODE"
        problem = f"observe writes nothing, so `{command}` has nothing to do"
        hint = f"Run it once as `PACSPACE_STRIPE_MODE=enforce pacspace-stripe {command} …` to act."
        raise ConfigurationError(variable, problem, hint=hint)


def with_causes(app: App, *results: CheckResult) -> list[CheckResult]:
    """Return the results with the stored explanations of their drifts. Asks neither vendor."""
    known = app.store.explanations.of(result.invoice_id for result in results if result.drifted)
    return [
        result.explained(known[result.invoice_id].explanations) if result.invoice_id in known else result
        for result in results
    ]


def exit_on_sigterm() -> None:
    """End this process on SIGTERM as ``sys.exit(0)`` does, so that open resources get closed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
