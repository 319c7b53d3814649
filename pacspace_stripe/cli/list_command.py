"""``invoices``, ``statement`` and ``settings``: reading what is known."""

import os
import sys
from pathlib import Path

import click

from pacspace_stripe.cli.files import is_stdout, write_whole
from pacspace_stripe.cli.output import JSON_OPTION, echo_json, echo_line, echo_table
from pacspace_stripe.cli.wiring import exit_code, parts, with_causes
from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.documents.statement import statement_of
from pacspace_stripe.errors import ConfigurationError
from pacspace_stripe.gate.rules.state import Stage
from pacspace_stripe.settings import describe, load_settings

_STATUSES = [*(verdict.value for verdict in Verdict), *(stage.value for stage in Stage)]


@click.command()
@click.option("--status", type=click.Choice(_STATUSES), help="Only those with this verdict, or at this stage.")
@JSON_OPTION
def invoices(status: str | None, *, as_json: bool) -> None:
    """List the invoices we look after, newest change first."""
    with parts() as app:
        found = app.store.jobs.invoices(status=status)
        results = with_causes(app, *map(app.remembered, found))
    if as_json:
        echo_json([result.as_json() for result in results])
    else:
        echo_table(
            ("invoice", "stage", "verdict", "reason", "detail"),
            [
                (
                    result.invoice_id,
                    result.status,
                    result.verdict.value if result.verdict else "-",
                    result.reason.value if result.reason else "-",
                    result.detail,
                )
                for result in results
            ],
            prose={"detail": sys.maxsize},
        )
    sys.exit(exit_code(results))


@click.command()
@click.argument("invoice")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The PDF to write; - for standard output.",
)
def statement(invoice: str, output: Path) -> None:
    """Write the usage statement of an invoice as a PDF, with the invoice's footer on every page."""
    with parts() as app:
        made = statement_of(app, invoice)
    write_whole(output, made.pdf)
    err = is_stdout(output)
    echo_line(f"{output}: {len(made.pdf):,} bytes", err=err)
    for said in made.left_out:
        echo_line(f"  {said}", err=err)


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
