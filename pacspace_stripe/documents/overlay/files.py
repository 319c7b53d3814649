"""The file around the pages: whether it may be changed, the evidence attached to it, and its keywords."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO

import pikepdf
from pikepdf import Array, AttachedFileSpec, Dictionary, Name, Pdf

from pacspace_stripe.errors import RenderError

ATTACHMENT = "evidence.json"
LARGEST_PDF = 20 * 1024 * 1024
"""Bytes."""

_ANEW = "Get the file anew, or print it to a new PDF."
_MOST_PAGES = 2000
_MOST_FIELDS = 20_000
_SIGNATURES_EXIST = 1
_OUR_KEYWORD = re.compile(r"(?:^|,)\s*(?:evidence-sha256|proof-root):[^,]*")
_NO_ATTACHMENTS = {"1", "2"}
"""Services of PDF/A that take no attachment like ours: the file no longer claims to be one of them."""
_INFO = ("/Title", "/Author", "/Job", "/Keywords", "/Creator", "/Producer")
"""What a new XMP packet takes over, so that readers who prefer XMP lose nothing. Dates may be unreadable: left out."""


@contextmanager
def opened(data: bytes) -> Iterator[Pdf]:
    """A PDF as it is, decrypted if an empty password does that. Raises RenderError for what is no sound PDF."""
    if len(data) > LARGEST_PDF:
        message = f"the PDF has {len(data):,} bytes: more than {LARGEST_PDF:,} are not read"
        raise RenderError(message)
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
        # Counted first: qpdf leaves out what is no page and corrects the count.
        if pdf.Root.Pages.get(Name.Count) != len(pdf.pages):
            message = "the PDF is damaged: a page is missing"
            raise RenderError(message, hint=_ANEW)
        yield pdf


def refuse_unfit(pdf: Pdf, *, break_signature: bool) -> None:
    """Raise RenderError for a file whose pages cannot be stamped, or whose signature that would break."""
    if not 0 < len(pdf.pages) <= _MOST_PAGES:
        message = f"the PDF has {len(pdf.pages):,} pages: from 1 to {_MOST_PAGES:,} are stamped"
        raise RenderError(message)
    form = pdf.Root.get(Name.AcroForm)
    if isinstance(form, Dictionary) and Name.XFA in form:
        message = "the PDF is an XFA form: what it shows is not on its pages"
        raise RenderError(message, hint="Print it to a new PDF and stamp that.")
    if not break_signature and _is_signed(pdf, form):
        message = "the PDF is signed, and stamping it would break the signature"
        raise RenderError(message, hint="Stamp it before it is signed, or let the signature go with --break-signature.")


def _is_signed(pdf: Pdf, form: pikepdf.Object | None) -> bool:
    if Name.Perms in pdf.Root:
        return True
    if not isinstance(form, Dictionary):
        return False
    flags = form.get(Name.SigFlags, 0)
    return bool(isinstance(flags, int) and flags & _SIGNATURES_EXIST) or any(
        kind == Name.Sig and Name.V in field for field, kind in _fields(form)
    )


def _fields(form: Dictionary) -> Iterator[tuple[Dictionary, object]]:
    """Every field with its type, which it may have from the one above it."""
    todo: list[tuple[pikepdf.Object, object]] = [(field, None) for field in form.get(Name.Fields, Array())]
    for _ in range(_MOST_FIELDS):
        if not todo:
            return
        field, inherited = todo.pop()
        if isinstance(field, Dictionary):
            kind = field.get(Name.FT, inherited)
            yield field, kind
            todo += [(kid, kind) for kid in field.get(Name.Kids, Array())]
    message = "the PDF's form has too many fields"
    raise RenderError(message)


def attach(pdf: Pdf, data: bytes, date: str) -> None:
    """Attach the evidence, in the place of what we attached before; every other attachment stays."""
    there = pdf.attachments.get(ATTACHMENT)
    if there is not None and not _ours(there.obj):
        message = f"the PDF has an attachment {ATTACHMENT} of its own"
        raise RenderError(message, hint="Rename or remove it first.")
    associated = [file for file in pdf.Root.get(Name.AF, Array()) if there is None or not _same(file, there.obj)]
    pdf.attachments[ATTACHMENT] = AttachedFileSpec(
        pdf,
        data,
        filename=ATTACHMENT,
        description="What was compared, with what result",
        mime_type="application/json",
        creation_date=date,
        mod_date=date,
    )
    attached = pdf.attachments[ATTACHMENT].obj
    attached.AFRelationship = Name.Data
    pdf.Root.AF = Array([*associated, attached])


def _ours(file: Dictionary) -> bool:
    """Whether an attachment is evidence, ours or a statement's."""
    try:
        return b'"format":"pacspace-stripe/evidence/' in file.EF.F.read_bytes()
    except (AttributeError, KeyError, pikepdf.PdfError):
        return False


def _same(one: pikepdf.Object, other: pikepdf.Object) -> bool:
    return bool(one.objgen == other.objgen if one.is_indirect else one == other)


def set_keywords(pdf: Pdf, keywords: Sequence[str]) -> None:
    """Put ours into XMP and Info, in the place of earlier ones of ours; every other one stays."""
    info = pdf.docinfo
    said = info.get(Name.Keywords)
    others = "" if said is None else str(said)
    had_xmp = Name.Metadata in pdf.Root
    with pdf.open_metadata(set_pikepdf_as_editor=False, update_docinfo=False, strict=False) as xmp:
        if not had_xmp:
            xmp.load_from_docinfo({name: info[name] for name in _INFO if name in info})
        found = others or xmp.get("pdf:Keywords") or ""
        text = ", ".join([kept] if (kept := _OUR_KEYWORD.sub("", str(found)).strip(" ,")) else [])
        text = ", ".join(filter(None, [text, *keywords]))
        xmp["pdf:Keywords"] = text
        if xmp.get("pdfaid:part") in _NO_ATTACHMENTS:
            del xmp["pdfaid:part"], xmp["pdfaid:conformance"]
    info[Name.Keywords] = pikepdf.String(text)


def saved(pdf: Pdf) -> bytes:
    """The file's bytes, unencrypted: the same for the same content. Associated files need PDF 1.7."""
    to = BytesIO()
    pdf.save(to, deterministic_id=True, min_version="1.7", fix_metadata_version=False, encryption=False)
    return to.getvalue()
