"""Arguments and options that several commands share."""

import re
from collections.abc import Callable
from pathlib import Path

import click

INVOICE_ID = re.compile(r"in_[A-Za-z0-9_]+")


def invoice_id(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Return an argument that names an invoice. Raises BadParameter."""
    if value is not None and not INVOICE_ID.fullmatch(value):
        message = "an invoice's id starts with in_"
        raise click.BadParameter(message)
    return value


INVOICE = click.argument("invoice", callback=invoice_id)
PDF_OUTPUT = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The PDF to write; - for standard output.",
)


def setting_value(parse: Callable[[str], object]) -> Callable[[click.Context, click.Parameter, str], object]:
    """Return a callback for an option that is written as in the settings. Raises BadParameter."""

    def callback(_: click.Context, __: click.Parameter, written: str) -> object:
        try:
            return parse(written)
        except ValueError as error:
            message = f"{written!r} {error}"
            raise click.BadParameter(message) from None

    return callback
