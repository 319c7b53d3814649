"""``settings``: every setting with its meaning and current value."""

import os

import click

from pacspace_stripe.cli.output import JSON_OPTION, echo_json, echo_line
from pacspace_stripe.errors import ConfigurationError
from pacspace_stripe.settings import describe, load_settings


@click.command()
@JSON_OPTION
def settings(*, as_json: bool) -> None:
    """Show every setting with its meaning and its current value; secrets stay hidden."""
    problem: ConfigurationError | None = None
    loaded = None
    try:
        loaded = load_settings(os.environ)
    except ConfigurationError as error:
        problem = error
    rows = describe(loaded)
    if as_json:
        echo_json(
            [{"name": row.name, "meaning": row.meaning, "default": row.default, "current": row.current} for row in rows]
        )
    else:
        for row in rows:
            shown = row.current or row.default or ("(required)" if row.required else "(unset)")
            echo_line(f"{row.name}={shown}", bold=True)
            click.echo(f"    {row.meaning}")
    if problem is not None:
        raise problem
