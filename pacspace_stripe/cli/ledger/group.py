"""The group that the commands join, their client, and what they do when no answer came."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import click

from pacspace_stripe.cli.logs import configure_logging
from pacspace_stripe.errors import CadenceLimited, RemoteUnavailable, UnexpectedAnswer
from pacspace_stripe.pacspace_api import PacSpace, PublicPacSpace
from pacspace_stripe.settings import load_settings
from pacspace_stripe.vocabulary.text import printable


@click.group()
def ledger() -> None:
    """Record, read and prove usage in PacSpace, by hand.

    Needs PACSPACE_API_KEY (`verify` alone does not), and PACSPACE_API_BASE_URL where PacSpace shows another address
    than its own.
    """


@contextmanager
def client() -> Iterator[PacSpace]:
    """PacSpace, by the two variables that name it; Stripe's are not needed."""
    settings = load_settings(os.environ, stripe=False)
    configure_logging(settings.log_format, level=30)
    key, address = settings.pacspace_api_key.get_secret_value(), settings.pacspace_api_base_url
    with PacSpace(key, base_url=address) as pacspace, _asked_by_hand():
        yield pacspace


@contextmanager
def public_client() -> Iterator[PublicPacSpace]:
    """What anyone may ask: no key is read, and none is sent."""
    settings = load_settings(os.environ, stripe=False, pacspace=False)
    configure_logging(settings.log_format, level=30)
    with PublicPacSpace(base_url=settings.pacspace_api_base_url) as pacspace, _asked_by_hand():
        yield pacspace


@contextmanager
def _asked_by_hand() -> Iterator[None]:
    """Nobody looks again by himself: the hint says who."""
    try:
        yield
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
    except CadenceLimited:  # says itself when it may be sent, and that is under any key
        raise
    except (RemoteUnavailable, UnexpectedAnswer) as error:
        error.hint = f"It may have been recorded. Run it again with --key {chosen}: nothing is recorded twice."
        raise
    except KeyboardInterrupt:
        told = f"It may have been recorded. Run it again with --key {chosen}: nothing is recorded twice."
        click.echo(printable(told), err=True)
        raise
