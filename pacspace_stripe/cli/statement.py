"""``statement``: the usage statement of one invoice, as a PDF."""

from pathlib import Path

import click

from pacspace_stripe.cli.arguments import PDF_OUTPUT
from pacspace_stripe.cli.output import echo_line, is_stdout, write_whole
from pacspace_stripe.cli.session import parts


@click.command()
@click.argument("invoice")
@PDF_OUTPUT
def statement(invoice: str, output: Path) -> None:
    """Write the usage statement of an invoice as a PDF, with the invoice's footer on every page."""
    with parts() as app:
        made = app.statements.of_invoice(invoice)
    write_whole(output, made.pdf)
    err = is_stdout(output)
    echo_line(f"{output}: {len(made.pdf):,} bytes", err=err)
    for note in made.left_out:
        echo_line(f"  {note}", err=err)
