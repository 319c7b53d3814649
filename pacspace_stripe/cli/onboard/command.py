"""The command: its options, the address that it speaks with, and the line that it ends with."""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from pacspace_stripe.cli.logs import configure_logging
from pacspace_stripe.cli.onboard.env_file import EnvFile
from pacspace_stripe.cli.onboard.prompts import STRIPE_KEY, STRIPE_SECRET, asking
from pacspace_stripe.cli.onboard.steps import Onboarding, Wishes
from pacspace_stripe.cli.output import echo_line
from pacspace_stripe.errors import RemoteUnavailable
from pacspace_stripe.http.client import Transport
from pacspace_stripe.pacspace_api.dashboard import Dashboard, Environment
from pacspace_stripe.pacspace_api.inputs import DEFAULT_ADDRESS
from pacspace_stripe.settings import LogFormat, duration

_LATER = "Run the same command again; --dashboard names the address."


class _Patience(click.ParamType[Any]):
    """A duration as settings write it."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:  # noqa: ANN401 - click's
        try:
            return duration(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)


@click.command()
@click.option("--email", help="Yours, as PacSpace knows or shall know it.")
@click.option("--name", help="Yours, for the request.")
@click.option("--organization", help="Yours, for the request.")
@click.option("--use-case", help="What you want PacSpace for, for the request.")
@click.option(
    "--request-access", is_flag=True, help="Request access, even if a password or an earlier request is there."
)
@click.option(
    "--environment",
    type=click.Choice([each.value for each in Environment]),
    default=Environment.SANDBOX.value,
    show_default=True,
    help="sandbox goes with Stripe's test keys, production with live ones.",
)
@click.option("--provision", is_flag=True, help="Have the environment made if there is none.")
@click.option("--wait", "patience", type=_Patience(), default="2m", show_default=True, help="For it to become active.")
@click.option("--key-name", default="pacspace-stripe", show_default=True, help="How PacSpace lists the key.")
@click.option("--show-key", is_flag=True, help="Print the new key, too.")
@click.option("--replace", is_flag=True, help="Make a new key even if the file has one, and forget that one.")
@click.option(
    "--env-file", type=click.Path(dir_okay=False, path_type=Path), default=".env", show_default=True, help="The file."
)
@click.option("--dashboard", default=DEFAULT_ADDRESS, show_default=True, help="Where PacSpace's dashboard is.")
@click.option("--no-input", is_flag=True, help="Ask nothing: fail when something is missing.")
@click.option(
    "--secrets-stdin", is_flag=True, help="Read secrets as NAME=value lines from standard input; ask nothing."
)
def onboard(
    *,
    dashboard: str,
    env_file: Path,
    environment: str,
    no_input: bool,
    secrets_stdin: bool,
    **wishes: Any,  # noqa: ANN401 - as Wishes declares them
) -> None:
    """Get a PacSpace API key into an environment file: access, account, login, key, environment.

    Run it again to go on where it ended, such as when PacSpace has approved you: exit code 0 means that all of it is
    done. It asks for what it needs. Secrets are typed unseen, or given as PACSPACE_DASHBOARD_PASSWORD, …_MFA_CODE,
    …_APPROVAL_TOKEN, STRIPE_API_KEY and STRIPE_WEBHOOK_SECRET, in the environment or with --secrets-stdin: never as
    arguments, which every user of the machine could read.
    """
    configure_logging(LogFormat.TEXT, level=30)
    answers = asking(os.environ, no_input=no_input, secrets_stdin=secrets_stdin)
    file = EnvFile(env_file)
    with _dashboard(dashboard) as pacspace:
        wanted = Wishes(environment=Environment(environment), **wishes)
        Onboarding(wishes=wanted, file=file, asking=answers, dashboard=pacspace, say=echo_line).run()
    _say_what_is_next(file)


@contextmanager
def _dashboard(address: str) -> Iterator[Dashboard]:
    transport = Transport()
    try:
        yield Dashboard(transport, address)
    except RemoteUnavailable as error:
        if error.hint == RemoteUnavailable.hint:
            error.hint = _LATER
        raise
    finally:
        transport.close()


def _say_what_is_next(file: EnvFile) -> None:
    missing = [name for name in (STRIPE_KEY, STRIPE_SECRET) if not file.values().get(name)]
    if missing:
        echo_line(f"Still empty in {file.path}, each below a line that says what it is: {', '.join(missing)}.")
    path = shlex.quote(str(file.path if file.path.is_absolute() else Path() / file.path))
    sourced = path if "/" in path else f"./{path}"
    first = "Fill them in, then" if missing else "Next"
    echo_line(f"{first}: set -a; . {sourced}; set +a; pacspace-stripe settings && pacspace-stripe serve")
