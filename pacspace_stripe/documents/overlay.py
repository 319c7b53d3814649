"""The stamp on any invoice PDF: the footer on every page, the evidence attached, its hash and roots among the keywords.

Each page grows by a strip at what is shown as its bottom, and the footer is set into that strip. Looking for free room
on the page instead would need to know what is drawn there, and where stationery, frames or page numbers are; a page
that grew is never covered, whatever is on it. The price is that pages are somewhat higher than the paper they were
made for, and printers scale them to fit.

Owns the strip and the file; ``overlay_pages`` owns the page. Does not own what the footer says, nor where an invoice's
PDF comes from (``stamped_pdf``).
"""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO

import pikepdf
from pikepdf import Array, AttachedFileSpec, Dictionary, Name, Pdf

from pacspace_stripe.documents.overlay_pages import Strip, pdf_date, put_strip, take_strip_off, visible_page
from pacspace_stripe.documents.plain_text import one_line
from pacspace_stripe.documents.renderer import EVIDENCE_FILE
from pacspace_stripe.documents.statement_values import keywords
from pacspace_stripe.documents.templates import template_error
from pacspace_stripe.documents.typesetting import Typesetter, by_name
from pacspace_stripe.errors import RenderError

OVERLAY_TEMPLATE = "overlay.typ"
LARGEST_PDF = 20 * 1024 * 1024
"""Bytes."""

_ANEW = "Get the file again, or print it to a new PDF."
_MOST_PAGES = 2000
_MOST_FIELDS = 20_000
_NARROWEST, _WIDEST = 200.0, 1000.0
"""Points. On a narrower or wider page the text is set for this width, and scaled."""
_STRIP_MADE_AT = datetime(2000, 1, 1, tzinfo=UTC)
"""A fixed date for the drawing's own file, of which only the drawing is kept."""
_SIGNATURES_EXIST = 1
"""Bit of ``/SigFlags`` that is set in a signed file (PDF 32000-1, 12.7.2)."""
_OUR_KEYWORD = re.compile(r"(?:^|,)\s*(?:evidence-sha256|proof-root):[^,]*")
_NO_ATTACHMENTS = {"1", "2"}
"""Parts of PDF/A that forbid an attachment like ours: the file no longer claims to conform to one of them."""
_INFO = ("/Title", "/Author", "/Subject", "/Keywords", "/Creator", "/Producer")
"""Entries that a new XMP packet takes over, so that readers who prefer XMP lose nothing. Dates are left out, because
they may be unreadable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayValues:
    """The strip below each page of a stamped invoice: the keys of `data`."""

    width: float
    """Width of the strip in points."""
    footer: list[str]
    """The lines of the footer."""
    fonts: list[str]
    """Names of the font families in `PACSPACE_STRIPE_FONTS`, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PdfStamp:
    """The texts and files that stamping puts on the pages and into the file."""

    footer: str
    """The text that ``Documents.render_footer`` made, without marker lines."""
    evidence: bytes
    """The decision's canonical document."""
    evidence_sha256: str
    proof_roots: tuple[str, ...]
    decided_at: datetime
    """Aware. The date of the attachment: nothing in the file says when it was stamped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StampedPdf:
    """A stamped file."""

    pdf: bytes
    pages: int
    again: bool
    """True when it replaces an earlier stamp."""


class Overlay:
    """Stamper of PDFs. Thread-safe."""

    def __init__(self, typesetter: Typesetter) -> None:
        self._typesetter = typesetter
        logger = logging.getLogger("pikepdf")
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL)  # our error already says what is wrong with a file

    def stamp(self, pdf: bytes, stamp: PdfStamp, *, break_signature: bool = False) -> StampedPdf:
        """Return the stamped file; the same bytes for the same PDF and stamp. An earlier stamp is replaced.

        Raises RenderError: damaged, too large, encrypted with a password, an XFA form, or signed (unless the signature
        may break); a template that is wrong; a character that no font has.
        """
        date = pdf_date(stamp.decided_at.astimezone(UTC))
        lines = [one_line(line) for line in stamp.footer.splitlines()]
        strips: dict[float, Strip] = {}
        again = False
        try:
            with _opened(pdf) as file:
                _refuse_unfit(file, break_signature=break_signature)
                for page in (page.obj for page in file.pages):
                    again |= take_strip_off(page)
                    visible = visible_page(page)
                    width = round(visible.width, 2)
                    # Pages of one width share one drawing, which keeps a long invoice small.
                    if width not in strips:
                        strips[width] = draw_strip(self._typesetter, lines, width, into=file)
                    put_strip(file, page, visible, strips[width], date)
                _attach(file, stamp.evidence, date)
                _set_keywords(file, keywords(stamp.evidence_sha256, *stamp.proof_roots))
                return StampedPdf(pdf=_saved(file), pages=len(file.pages), again=again)
        except RenderError:
            raise
        except Exception as error:  # a PDF can be wrong in any of its objects
            message = f"the PDF is damaged: {type(error).__name__}"
            raise RenderError(message, hint=_ANEW) from error


def draw_strip(typesetter: Typesetter, lines: Sequence[str], width: float, *, into: Pdf) -> Strip:
    """Return the lines as a strip for a page that is shown ``width`` points wide, copied into a file.

    Raises RenderError: the template is wrong, or no font has a character.
    """
    set_for = round(min(max(width, _NARROWEST), _WIDEST), 2)
    scale = width / set_for
    values = OverlayValues(width=set_for, footer=list(lines), fonts=typesetter.families)
    # Left open: what is copied from it is read when the other file is saved.
    source = pikepdf.open(BytesIO(typesetter.pdf(OVERLAY_TEMPLATE, by_name(values), issued_at=_STRIP_MADE_AT)))
    if len(source.pages) != 1:
        raise template_error(typesetter.path(OVERLAY_TEMPLATE), None, f"gives {len(source.pages)} pages, not one")
    page = source.pages[0]
    drawing = into.copy_foreign(page.as_form_xobject())
    height = float(page.mediabox[3]) - float(page.mediabox[1])
    return Strip(drawing=drawing, height=height * scale, scale=scale)


@contextmanager
def _opened(data: bytes) -> Iterator[Pdf]:
    """Open a PDF as it is, decrypted if an empty password does that. Raises RenderError for a damaged file."""
    if len(data) > LARGEST_PDF:
        message = f"the PDF has {len(data):,} bytes: more than {LARGEST_PDF:,} are not read"
        raise RenderError(message, hint="Save it with smaller pictures, or stamp a PDF of the invoice alone.")
    try:
        # A file that needs repair may come out of it with less on its pages.
        pdf = pikepdf.open(BytesIO(data), attempt_recovery=False, inherit_page_attributes=False)
    except pikepdf.PasswordError:
        message = "the PDF is encrypted with a password"
        raise RenderError(message, hint="Save it without a password first.") from None
    except pikepdf.PdfError as error:
        message = "not a PDF, or a damaged one"
        raise RenderError(message, hint=_ANEW) from error
    with pdf:
        # `/Count` is read first: qpdf leaves out what is no page, and corrects the count.
        if pdf.Root.Pages.get(Name.Count) != len(pdf.pages):
            message = "the PDF is damaged: a page is missing"
            raise RenderError(message, hint=_ANEW)
        yield pdf


def _refuse_unfit(pdf: Pdf, *, break_signature: bool) -> None:
    """Raise RenderError for a file whose pages cannot be stamped, or whose signature would break."""
    if not 0 < len(pdf.pages) <= _MOST_PAGES:
        message = f"the PDF has {len(pdf.pages):,} pages: from 1 to {_MOST_PAGES:,} are stamped"
        raise RenderError(message, hint="Stamp a PDF of the invoice alone.")
    form = pdf.Root.get(Name.AcroForm)
    if isinstance(form, Dictionary) and Name.XFA in form:
        message = "the PDF is an XFA form: what it shows is not on its pages"
        raise RenderError(message, hint="Print it to a new PDF and stamp that.")
    if not break_signature and _is_signed(pdf, form):
        message = "the PDF is signed, and stamping it would break the signature"
        raise RenderError(message, hint="Stamp it before it is signed, or let the signature go with --break-signature.")


def _is_signed(pdf: Pdf, form: pikepdf.Object | None) -> bool:
    """Return whether a file is certified, says that it has signatures, or has a signed field."""
    if Name.Perms in pdf.Root:
        return True
    if not isinstance(form, Dictionary):
        return False
    flags = form.get(Name.SigFlags, 0)
    if isinstance(flags, int) and flags & _SIGNATURES_EXIST:
        return True
    # A field may have its type from the one above it.
    todo: list[tuple[pikepdf.Object, object]] = [(field, None) for field in form.get(Name.Fields, Array())]
    for _ in range(_MOST_FIELDS):
        if not todo:
            return False
        field, inherited = todo.pop()
        if isinstance(field, Dictionary):
            kind = field.get(Name.FT, inherited)
            if kind == Name.Sig and Name.V in field:
                return True
            todo += [(kid, kind) for kid in field.get(Name.Kids, Array())]
    message = "the PDF's form has too many fields"
    raise RenderError(message, hint="Print it to a new PDF and stamp that.")


def _attach(pdf: Pdf, data: bytes, date: str) -> None:
    """Attach the evidence in the place of what we attached before; every other attachment stays."""
    there = pdf.attachments.get(EVIDENCE_FILE)
    if there is not None and not _is_evidence(there.obj):
        message = f"the PDF has an attachment {EVIDENCE_FILE} of its own"
        raise RenderError(message, hint="Rename or remove it first.")
    associated = [file for file in pdf.Root.get(Name.AF, Array()) if there is None or not _same(file, there.obj)]
    pdf.attachments[EVIDENCE_FILE] = AttachedFileSpec(
        pdf,
        data,
        filename=EVIDENCE_FILE,
        description="What was compared, with what result",
        mime_type="application/json",
        creation_date=date,
        mod_date=date,
    )
    attached = pdf.attachments[EVIDENCE_FILE].obj
    attached.AFRelationship = Name.Data
    pdf.Root.AF = Array([*associated, attached])


def _is_evidence(file: Dictionary) -> bool:
    """Return whether an attachment is evidence, put there by a stamp or by a statement."""
    try:
        return b'"format":"pacspace-stripe/evidence/' in file.EF.F.read_bytes()
    except (AttributeError, KeyError, pikepdf.PdfError):
        return False


def _same(one: pikepdf.Object, other: pikepdf.Object) -> bool:
    return bool(one.objgen == other.objgen if one.is_indirect else one == other)


def _set_keywords(pdf: Pdf, keywords: Sequence[str]) -> None:
    """Put our keywords into XMP and Info in the place of earlier ones of ours; every other keyword stays."""
    info = pdf.docinfo
    in_info = info.get(Name.Keywords)
    had_xmp = Name.Metadata in pdf.Root
    with pdf.open_metadata(set_pikepdf_as_editor=False, update_docinfo=False, strict=False) as xmp:
        if not had_xmp:
            xmp.load_from_docinfo({name: info[name] for name in _INFO if name in info})
        others = ("" if in_info is None else str(in_info)) or str(xmp.get("pdf:Keywords") or "")
        kept = _OUR_KEYWORD.sub("", others).strip(" ,")
        text = ", ".join(filter(None, [kept, *keywords]))
        xmp["pdf:Keywords"] = text
        if xmp.get("pdfaid:part") in _NO_ATTACHMENTS:
            del xmp["pdfaid:part"], xmp["pdfaid:conformance"]
    info[Name.Keywords] = pikepdf.String(text)


def _saved(pdf: Pdf) -> bytes:
    """Return the file's bytes, unencrypted: the same for the same content. Associated files need PDF 1.7."""
    to = BytesIO()
    pdf.save(to, deterministic_id=True, min_version="1.7", fix_metadata_version=False, encryption=False)
    return to.getvalue()
