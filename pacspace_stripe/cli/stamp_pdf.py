"""``stamp-pdf``: the footer and the evidence put into the PDF of an invoice."""

from pathlib import Path

import click

from pacspace_stripe.cli.arguments import INVOICE_ID, PDF_OUTPUT
from pacspace_stripe.cli.output import is_stdout, write_whole
from pacspace_stripe.cli.session import parts
from pacspace_stripe.documents.overlay import LARGEST_PDF
from pacspace_stripe.errors import RemoteUnavailable
from pacspace_stripe.vocabulary.text import plural


@click.command("stamp-pdf")
@click.argument("what", metavar="INVOICE|IN.pdf")
@click.option("--invoice", metavar="INVOICE", help="The invoice that IN.pdf belongs to.")
@PDF_OUTPUT
@click.option("--break-signature", is_flag=True, help="Stamp a signed PDF too: its signature no longer holds then.")
def stamp_pdf(what: str, invoice: str | None, output: Path, *, break_signature: bool) -> None:
    """Put the footer on every page of an invoice's PDF, below what is there, and the evidence into the file.

    INVOICE fetches Stripe's own PDF; IN.pdf with --invoice takes a file. Nothing changes at Stripe.
    """
    invoice_id, file = (what, None) if invoice is None else (invoice, Path(what))
    if not INVOICE_ID.fullmatch(invoice_id):
        message = "an invoice's id starts with in_" + ("; for a file, add --invoice" if file is None else "")
        raise click.BadParameter(message, param_hint="INVOICE")
    pdf = None if file is None else _read(file)
    with parts() as app:
        try:
            made = app.invoice_stamper.stamp(invoice_id, pdf=pdf, break_signature=break_signature)
        except RemoteUnavailable as error:
            # The general hint promises a retry, which only `serve` makes.
            if error.hint == RemoteUnavailable.hint:
                error.hint = "Run it again when Stripe answers."
            raise
    write_whole(output, made.pdf)
    done = "stamped again" if made.again else "stamped"
    summary = f"{output}: {plural(made.pages, 'page')} {done}, evidence {made.evidence_sha256}, {len(made.pdf):,} bytes"
    click.echo(summary, err=is_stdout(output))


def _read(path: Path) -> bytes:
    """Read a file up to one byte more than a PDF may have, so that a larger one is refused, not loaded."""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_PDF + 1)
    except OSError as error:
        raise click.FileError(str(path), hint=error.strerror or str(error)) from error
