"""``onboard``: from no account to a PacSpace key in an environment file. No secret is ever an argument."""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from pacspace_stripe.cli.arguments import setting_value
from pacspace_stripe.cli.logs import configure_logging
from pacspace_stripe.cli.onboard.account_flow import Onboarding, OnboardOptions
from pacspace_stripe.cli.onboard.env_file import EnvFile
from pacspace_stripe.cli.onboard.prompts import STRIPE_KEY, STRIPE_SECRET, prompts
from pacspace_stripe.cli.output import echo_line
from pacspace_stripe.errors import RemoteUnavailable
from pacspace_stripe.http.client import Transport
from pacspace_stripe.pacspace_api.dashboard import Dashboard, Environment
from pacspace_stripe.pacspace_api.inputs import DEFAULT_ADDRESS
from pacspace_stripe.settings import LogFormat, duration

_LATER = "Run the same command again; --dashboard names the address."


@click.command()
@click.option("--email", help="Your email address at PacSpace.")
@click.option("--name", help="Your name, for the request.")
@click.option("--organization", help="Your organization, for the request.")
@click.option("--use-case", help="What you need PacSpace for, for the request.")
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
@click.option("--provision", is_flag=True, help="Let PacSpace provision the environment if there is none.")
@click.option(
    "--wait",
    "patience",
    metavar="DURATION",
    default="2m",
    show_default=True,
    callback=setting_value(duration),
    help="How long to wait for the environment to become active.",
)
@click.option("--key-name", default="pacspace-stripe", show_default=True, help="The key's name in PacSpace's list.")
@click.option("--show-key", is_flag=True, help="Print the new key, too.")
@click.option("--replace", is_flag=True, help="Make a new key even if the file has one, which it replaces.")
@click.option(
    "--env-file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=".env",
    show_default=True,
    help="The environment file.",
)
@click.option("--dashboard", default=DEFAULT_ADDRESS, show_default=True, help="The address of PacSpace's dashboard.")
@click.option("--no-input", is_flag=True, help="Ask no question: fail if an answer is missing.")
@click.option(
    "--secrets-stdin", is_flag=True, help="Read secrets as NAME=value lines from standard input, and ask no question."
)
def onboard(
    *,
    dashboard: str,
    env_file: Path,
    environment: str,
    no_input: bool,
    secrets_stdin: bool,
    **options: Any,  # noqa: ANN401 - as OnboardOptions declares them
) -> None:
    """Get a PacSpace API key into an environment file: access, account, login, key, environment.

    Run it again to continue where it ended, such as when PacSpace has approved you: exit code 0 means that all of it is
    done. It asks for what it needs. Secrets are typed unseen, or given as PACSPACE_DASHBOARD_PASSWORD, …_MFA_CODE,
    …_APPROVAL_TOKEN, STRIPE_API_KEY and STRIPE_WEBHOOK_SECRET, in the environment or with --secrets-stdin: never as
    arguments, which every user of the machine could read.
    """
    configure_logging(LogFormat.TEXT, level=30)
    answers = prompts(os.environ, no_input=no_input, secrets_stdin=secrets_stdin)
    file = EnvFile(env_file)
    with _dashboard(dashboard) as pacspace:
        chosen = OnboardOptions(environment=Environment(environment), **options)
        Onboarding(options=chosen, file=file, prompts=answers, dashboard=pacspace, echo=echo_line).run()
    _echo_next_step(file)


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


def _echo_next_step(file: EnvFile) -> None:
    missing = [name for name in (STRIPE_KEY, STRIPE_SECRET) if not file.values().get(name)]
    if missing:
        echo_line(f"Still empty in {file.path}, each below a line that says what it is: {', '.join(missing)}.")
    path = shlex.quote(str(file.path if file.path.is_absolute() else Path() / file.path))
    sourced = path if "/" in path else f"./{path}"
    first = "Fill them in, then" if missing else "Next"
    echo_line(f"{first}: set -a; . {sourced}; set +a; pacspace-stripe settings && pacspace-stripe serve")
