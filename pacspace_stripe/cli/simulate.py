"""``simulate``: both simulators on loopback, to try the gate without any account."""

import threading

import click

from pacspace_stripe.cli.session import exit_on_sigterm
from pacspace_stripe.simulator.clock import WallClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator
from pacspace_stripe.simulator.serve import ServedSimulator
from pacspace_stripe.simulator.serve import serve as serve_simulator
from pacspace_stripe.simulator.stripe import StripeSimulator

PORT = click.IntRange(0, 65535)


@click.command()
@click.option("--stripe-port", default=12111, show_default=True, type=PORT, help="0 takes a free one.")
@click.option("--pacspace-port", default=12112, show_default=True, type=PORT, help="0 takes a free one.")
@click.option(
    "--webhook-url",
    default="http://127.0.0.1:8000/webhooks/stripe",
    show_default=True,
    help="Where the simulated Stripe sends its events.",
)
@click.option("--thin", is_flag=True, help="Send thin events, as Stripe recommends for new endpoints.")
@click.option(
    "--pacspace-webhook-url",
    default="http://127.0.0.1:8000/webhooks/pacspace",
    show_default=True,
    help="Where the simulated PacSpace sends its events.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    help="A fault to simulate: stripe:NAME or pacspace:NAME, optionally with @PROBABILITY; repeatable.",
)
@click.option("--rate-limits", is_flag=True, help="Enforce Stripe's rate limits for test keys.")
def simulate(
    stripe_port: int,
    pacspace_port: int,
    webhook_url: str,
    pacspace_webhook_url: str,
    faults: tuple[str, ...],
    *,
    thin: bool,
    rate_limits: bool,
) -> None:
    """Serve a simulated Stripe and a simulated PacSpace on loopback until Ctrl-C.

    Prints the environment to export. POST /_simulator/call controls both simulators, as the demo does.
    """
    exit_on_sigterm()
    clock = WallClock()
    stripe = StripeSimulator(clock, enforce_rate_limits=rate_limits)
    pacspace = PacSpaceSimulator(clock)
    _plan_faults(stripe, pacspace, faults)
    stripe.set_webhook(style="thin" if thin else "snapshot")
    _send_webhooks(stripe, webhook_url, "--webhook-url")
    _send_webhooks(pacspace, pacspace_webhook_url, "--pacspace-webhook-url")
    with (
        _served(stripe, stripe_port, "--stripe-port") as at_stripe,
        _served(pacspace, pacspace_port, "--pacspace-port") as ledger,
    ):
        stripe.pages_url, pacspace.base_url = at_stripe.url, ledger.url
        click.echo(f"STRIPE_API_KEY={stripe.api_key}")
        click.echo(f"STRIPE_WEBHOOK_SECRET={stripe.webhook.secrets[0]}")
        click.echo(f"STRIPE_API_BASE_URL={at_stripe.url}")
        click.echo(f"PACSPACE_API_KEY={pacspace.api_key}")
        click.echo(f"PACSPACE_API_BASE_URL={ledger.url}")
        click.echo(f"PACSPACE_WEBHOOK_SECRET={pacspace.webhook.secrets[0]}")
        threading.Event().wait()


def _send_webhooks(simulator: StripeSimulator | PacSpaceSimulator, url: str, option: str) -> None:
    try:
        simulator.set_webhook(url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error


def _served(simulator: StripeSimulator | PacSpaceSimulator, port: int, option: str) -> ServedSimulator:
    try:
        return serve_simulator(simulator, port=port)
    except OSError as error:
        message = f"cannot listen on port {port}: {error.strerror}"
        raise click.BadParameter(message, param_hint=option) from error


def _plan_faults(stripe: StripeSimulator, pacspace: PacSpaceSimulator, faults: tuple[str, ...]) -> None:
    services = {"stripe": stripe.add_fault, "pacspace": pacspace.add_fault}
    for fault in faults:
        service, _, rest = fault.partition(":")
        name, _, probability = rest.partition("@")
        if service not in services:
            message = f"{fault!r}: write stripe:NAME or pacspace:NAME"
            raise click.BadParameter(message, param_hint="--fault")
        try:
            services[service](name, probability=float(probability or 1))
        except ValueError as error:
            message = f"{fault!r}: {error}"
            raise click.BadParameter(message, param_hint="--fault") from error
