"""``stamp-pdf``: the footer and the evidence put into the PDF of an invoice."""

import re
from pathlib import Path

import click

from pacspace_stripe.app import App
from pacspace_stripe.cli.files import is_stdout, write_whole
from pacspace_stripe.cli.wiring import parts
from pacspace_stripe.documents.overlay import LARGEST_PDF
from pacspace_stripe.documents.stamped_pdf import StampedInvoice, stamp_invoice
from pacspace_stripe.errors import RemoteUnavailable

_INVOICE_ID = re.compile(r"in_[A-Za-z0-9_]+")


@click.command("stamp-pdf")
@click.argument("what", metavar="INVOICE|IN.pdf")
@click.option("--invoice", metavar="INVOICE", help="Whose PDF IN.pdf is.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The PDF to write; - for standard output.",
)
@click.option("--break-signature", is_flag=True, help="Stamp a signed PDF too: its signature no longer holds then.")
def stamp_pdf(what: str, invoice: str | None, output: Path, *, break_signature: bool) -> None:
    """Put the footer on every page of an invoice's PDF, below what is there, and the evidence into the file.

    INVOICE fetches Stripe's own PDF; IN.pdf with --invoice takes a file. Nothing changes at Stripe.
    """
    invoice_id, file = (what, None) if invoice is None else (invoice, Path(what))
    if not _INVOICE_ID.fullmatch(invoice_id):
        message = "an invoice's id starts with in_" + ("; for a file, add --invoice" if file is None else "")
        raise click.BadParameter(message, param_hint="INVOICE")
    pdf = None if file is None else _read(file)
    with parts() as app:
        made = _stamped(app, invoice_id, pdf, break_signature=break_signature)
    write_whole(output, made.pdf)
    pages = f"{made.pages} page" if made.pages == 1 else f"{made.pages} pages"
    done = "stamped again" if made.again else "stamped"
    said = f"{output}: {pages} {done}, evidence {made.evidence_sha256}, {len(made.pdf):,} bytes"
    click.echo(said, err=is_stdout(output))


def _stamped(app: App, invoice_id: str, pdf: bytes | None, *, break_signature: bool) -> StampedInvoice:
    """Nothing comes back to a command by itself: who ran it tries again."""
    try:
        return stamp_invoice(app, invoice_id, pdf=pdf, break_signature=break_signature)
    except RemoteUnavailable as error:
        if error.hint == RemoteUnavailable.hint:
            error.hint = "Run it again when Stripe answers."
        raise


def _read(path: Path) -> bytes:
    """No more of it than a PDF may have, and one byte."""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_PDF + 1)
    except OSError as error:
        raise click.FileError(str(path), hint=error.strerror or str(error)) from error
