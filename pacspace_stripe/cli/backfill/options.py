"""What the command is asked for, as people write it."""

import re
from datetime import UTC, datetime

import click

from pacspace_stripe.backfill.rules.tally import STATUSES
from pacspace_stripe.vocabulary.invoices import InvoiceStatus

_CUSTOMER_ID = re.compile(r"cus_[A-Za-z0-9_]+")


def moment_read(_: click.Context, __: click.Parameter, value: str | None) -> datetime | None:
    """Midnight UTC of a date, or a moment with its zone."""
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        message = f"{value!r}: write a date as 2026-07-01, or a moment as 2026-07-01T00:00:00Z"
        raise click.BadParameter(message) from None
    if found.tzinfo is None and len(value) > len("2026-07-01"):
        message = f"{value!r}: a moment needs its zone, as in 2026-07-01T00:00:00Z"
        raise click.BadParameter(message)
    if found.microsecond:
        message = f"{value!r}: Stripe counts in whole seconds"
        raise click.BadParameter(message)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def customers_read(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Ids of customers, each once."""
    for one in value:
        if not _CUSTOMER_ID.fullmatch(one):
            message = f"{one!r} is no customer's id: these start with cus_"
            raise click.BadParameter(message)
    return tuple(dict.fromkeys(value))


def statuses_read(_: click.Context, __: click.Parameter, value: str) -> tuple[InvoiceStatus, ...]:
    """Some of those that a backfill can be about, in its order."""
    known = {status.value: status for status in STATUSES}
    named = [name.strip() for name in value.split(",")]
    wrong = next((name for name in named if name not in known), None)
    if wrong is not None:
        message = f"{wrong!r} is none of paid, open and draft"
        raise click.BadParameter(message)
    return tuple(status for status in STATUSES if status.value in named)
