"""Stamps any invoice PDF: the footer on every page, the evidence attached, its hash and roots among the keywords.

Each page grows by a strip at what is shown as its bottom, and the footer is set into that strip. Looking for free room
on the page instead would have to know what is drawn there, and where somebody's stationery, frame or page number is;
a page that grew is never covered, whatever is on it. What is seen for it: pages are somewhat higher than the paper
they were made for, and printers scale them to fit.

Owns the pages and the file. Does not own what the footer says, nor where an invoice's PDF comes from (``stamping``).
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

import pikepdf

from pacspace_stripe.documents.overlay import files
from pacspace_stripe.documents.overlay.files import ATTACHMENT, LARGEST_PDF
from pacspace_stripe.documents.overlay.pages import pdf_date, put_strip, sight_of, take_strip_off
from pacspace_stripe.documents.overlay.strips import Strip, Strips
from pacspace_stripe.documents.statement_values import keywords
from pacspace_stripe.documents.typesetting import Typesetter
from pacspace_stripe.documents.wording import one_line
from pacspace_stripe.errors import RenderError

__all__ = ["ATTACHMENT", "LARGEST_PDF", "Overlay", "Stamp", "Stamped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What is put on the pages and into the file."""

    footer: str
    """As ``Documents.render_footer`` made it, without marker lines."""
    evidence: bytes
    """The decision's canonical document."""
    evidence_sha256: str
    proof_roots: tuple[str, ...]
    decided_at: datetime
    """Aware. The date of the attachment: nothing in the file says when it was stamped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamped:
    """A stamped file."""

    pdf: bytes
    pages: int
    again: bool
    """Whether it replaces a stamp that was there."""


class Overlay:
    """Puts stamps on. Safe to use from several threads at once."""

    def __init__(self, typesetter: Typesetter) -> None:
        self._strips = Strips(typesetter)
        logger = logging.getLogger("pikepdf")
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL)  # what is wrong with a file is in the error

    def stamp(self, pdf: bytes, stamp: Stamp, *, break_signature: bool = False) -> Stamped:
        """The stamped file; the same bytes for the same PDF and stamp. A stamp that is there is replaced.

        Raises RenderError: damaged, too large, encrypted with a password, an XFA form, or signed (unless the signature
        may break); a template that is wrong; a character that no font has.
        """
        try:
            with files.opened(pdf) as file:
                files.refuse_unfit(file, break_signature=break_signature)
                again = self._stamp_pages(file, stamp)
                files.attach(file, stamp.evidence, pdf_date(stamp.decided_at.astimezone(UTC)))
                files.set_keywords(file, keywords(stamp.evidence_sha256, *stamp.proof_roots))
                return Stamped(pdf=files.saved(file), pages=len(file.pages), again=again)
        except RenderError:
            raise
        except Exception as error:  # a PDF can be wrong in any of its objects
            message = f"the PDF is damaged: {type(error).__name__}"
            raise RenderError(message, hint="Get the file anew, or print it to a new PDF.") from error

    def _stamp_pages(self, file: pikepdf.Pdf, stamp: Stamp) -> bool:
        lines = [one_line(line) for line in stamp.footer.splitlines()]
        strips: dict[float, Strip] = {}
        again = False
        for page in (page.obj for page in file.pages):
            again |= take_strip_off(page)
            sight = sight_of(page)
            width = round(sight.width, 2)
            if width not in strips:
                strips[width] = self._strips.draw(lines, width, into=file)
            put_strip(file, page, sight, strips[width], stamp.decided_at.astimezone(UTC))
        return again
