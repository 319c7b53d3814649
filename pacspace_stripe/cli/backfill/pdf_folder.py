"""``--pdf-dir``: a folder with the stamped PDF of every finalized invoice that is matched or waived.

A file that carries the same evidence is kept, without asking Stripe; a file that is not ours is never replaced.
"""

import json
import re
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from pacspace_stripe.app import App
from pacspace_stripe.backfill.results import BackfillRow, PdfFile, PdfState
from pacspace_stripe.backfill.retries import RetryPolicy
from pacspace_stripe.backfill.rules.tally import BackfillOutcome
from pacspace_stripe.cli.output import write_whole
from pacspace_stripe.documents.overlay import LARGEST_PDF
from pacspace_stripe.documents.stamped_pdf import StampedInvoice
from pacspace_stripe.errors import PacspaceStripeError, StoreUnavailable, UnreadableDocument
from pacspace_stripe.verify.pdf import read_pdf
from pacspace_stripe.vocabulary.canonical_json import digest
from pacspace_stripe.vocabulary.invoices import InvoiceStatus, ListedInvoice

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Invoice numbers that may be file names: numbers are merchants' text, and others could be paths or hidden files."""
_PROVEN = (BackfillOutcome.MATCHED, BackfillOutcome.WAIVED)
_FINALIZED = (InvoiceStatus.OPEN, InvoiceStatus.PAID)


@dataclass(frozen=True, slots=True, kw_only=True)
class PdfFolder:
    """The maker of the PDFs, called from several threads. Without ``act`` it only counts them."""

    app: App
    folder: Path
    retries: RetryPolicy
    act: bool
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def add(self, listed: ListedInvoice, row: BackfillRow) -> BackfillRow:
        """Make the invoice's PDF, and return the row with its state.

        Raises StoreUnavailable and Stopped. Any other failure is kept in the row, since it must not end the backfill.
        """
        if row.outcome not in _PROVEN or row.status not in _FINALIZED:
            return row
        number = listed.invoice.number if listed.invoice else None
        there = self._there(row.invoice_id, number)
        if there is not None:
            return replace(row, pdf=PdfFile(state=PdfState.THERE, name=there.name))
        if not self.act:
            return replace(row, pdf=PdfFile(state=PdfState.MISSING, name=self._names(row.invoice_id, number)[0].name))
        try:
            made = self.retries.read(lambda: self.app.invoice_stamper.stamp(row.invoice_id))
            written = self._write(row.invoice_id, made)
        except StoreUnavailable:
            raise
        except PacspaceStripeError as error:
            return replace(row, pdf=PdfFile(state=PdfState.FAILED, name="", problem=error.with_hint))
        except click.FileError as error:
            return replace(
                row, pdf=PdfFile(state=PdfState.FAILED, name="", problem=f"{error.filename}: {error.message}")
            )
        return replace(row, pdf=PdfFile(state=PdfState.WRITTEN, name=written.name))

    def _names(self, invoice_id: str, number: str | None) -> tuple[Path, ...]:
        """Return possible names: by number, by number and id if another file has that name, or else by id."""
        if number is None or not _SAFE.fullmatch(number):
            return (self.folder / f"{invoice_id}.pdf",)
        return self.folder / f"{number}.pdf", self.folder / f"{number}-{invoice_id}.pdf"

    def _there(self, invoice_id: str, number: str | None) -> Path | None:
        """Return the file that carries the evidence of the invoice's stamp; None if there is none."""
        job = self.app.store.jobs.find(invoice_id)
        stamp = job.state.stamp if job else None
        if stamp is None:
            return None
        about = (invoice_id, stamp.evidence_sha256)
        return next((path for path in self._names(invoice_id, number) if _stamped_with(path) == about), None)

    def _write(self, invoice_id: str, made: StampedInvoice) -> Path:
        """Write one file at a time: the numbers of two invoices may be one name to this file system."""
        with self._turn:
            path = next((path for path in self._names(invoice_id, made.number) if _may_hold(path, invoice_id)), None)
            if path is None:
                name = self._names(invoice_id, made.number)[-1].name
                raise click.FileError(name, hint="another file has this name")
            write_whole(path, made.pdf)
            return path


def _may_hold(path: Path, invoice_id: str) -> bool:
    if not path.exists() and not path.is_symlink():
        return True
    found = _stamped_with(path)
    return found is not None and found[0] == invoice_id


def _stamped_with(path: Path) -> tuple[str, str] | None:
    """Return the invoice and the SHA-256 of the evidence in a PDF of ours; None for any other file."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            evidence = read_pdf(file.read(LARGEST_PDF + 1)).evidence
        return str(json.loads(evidence)["invoice"]), digest(evidence)
    except (OSError, UnreadableDocument, ValueError, KeyError, TypeError):
        return None
