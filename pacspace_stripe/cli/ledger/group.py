"""The group that the commands join, their client, and what they do when no answer came."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import click

from pacspace_stripe.cli.logs import set_up
from pacspace_stripe.errors import RemoteUnavailable, UnexpectedAnswer
from pacspace_stripe.pacspace_api import PacSpace
from pacspace_stripe.settings import load_settings


@click.group()
def ledger() -> None:
    """Record, read and prove usage in PacSpace, by hand.

    Needs PACSPACE_API_KEY, and PACSPACE_API_BASE_URL where PacSpace shows another address than its own.
    """


@contextmanager
def client() -> Iterator[PacSpace]:
    """PacSpace, by the two variables that name it; Stripe's are not needed."""
    settings = load_settings(os.environ, stripe=False)
    set_up(settings.log_format, level=30)
    with PacSpace(settings.pacspace_api_key.get_secret_value(), base_url=settings.pacspace_api_base_url) as pacspace:
        try:
            yield pacspace
        except RemoteUnavailable as error:
            if error.hint == RemoteUnavailable.hint:
                error.hint = "Run the same command again."
            raise


KEY_OPTION = click.option("--key", help="The idempotency key that a command without an answer named: to send it again.")


@contextmanager
def once(key: str | None, *, named: str | None = None) -> Iterator[str]:
    """An idempotency key for one write: ``key``, else ``named``, else a new one, which a lost answer then tells."""
    chosen = key or named or f"pacspace-stripe-{uuid.uuid4().hex}"
    try:
        yield chosen
    except (RemoteUnavailable, UnexpectedAnswer) as error:
        error.hint = f"It may have been recorded. Run it again with --key {chosen}: nothing is recorded twice."
        raise
    except KeyboardInterrupt:
        click.echo(f"It may have been recorded. Run it again with --key {chosen}: nothing is recorded twice.", err=True)
        raise
