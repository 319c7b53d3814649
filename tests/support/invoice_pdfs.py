"""Invoice PDFs of every kind for stamping, built by hand, and pictures of them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pikepdf
import pypdfium2
from pikepdf import Array, Dictionary, Name, Pdf
from PIL import Image, ImageChops

from pacspace_stripe.documents.overlay import PdfStamp
from tests.support.pdfs import written

A4 = (0, 0, 595, 842)
ROOT = "0x" + hashlib.sha256(b"root").hexdigest()
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
WRITING = """
0.86 0.93 1 rg -3000 -3000 9000 9000 re f 0.3 w 0.2 0.4 0.7 RG
-900 -900 m 2900 2900 l -900 1000 m 1900 -1800 l S
0 g BT /F1 18 Tf 60 500 Td (Invoice NW-0042) Tj ET BT /F1 9 Tf 60 60 Td (1 250.5 calls) Tj ET
"""
"""Content far beyond any box: what a box cuts off must not show up in the strip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The description of a page to build."""

    boxes: dict[str, Sequence[float]]
    rotate: int | None = None
    unit: float | None = None
    content: str | list[str] | None = WRITING


def page(media: Sequence[float] = A4, **options: Any) -> Page:  # noqa: ANN401 - any field of it
    """Return a page by its MediaBox; ``crop``, ``trim`` and ``bleed`` are its other boxes."""
    names = {"crop": "CropBox", "trim": "TrimBox", "bleed": "BleedBox", "art": "ArtBox"}
    boxes = {names[name]: options.pop(name) for name in list(options) if name in names}
    return Page(boxes={"MediaBox": media} | boxes, **options)


def built(*pages: Page) -> Pdf:
    """Return an open PDF, to be changed further."""
    pdf = Pdf.new()
    helvetica = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
    fonts = pdf.make_indirect(Dictionary(Font=Dictionary(F1=pdf.make_indirect(helvetica))))
    for one in pages or (page(), page()):
        pdf.add_blank_page(page_size=(100, 100))
        made = pdf.pages[-1].obj
        made.Resources = fonts
        for name, box in one.boxes.items():
            made[f"/{name}"] = Array(list(box))
        if one.rotate is not None:
            made.Rotate = one.rotate
        if one.unit is not None:
            made.UserUnit = one.unit
        _fill(pdf, made, one.content)
    return pdf


def _fill(pdf: Pdf, made: Dictionary, content: str | list[str] | None) -> None:
    match content:
        case None:
            del made["/Contents"]
        case str():
            made.Contents = pdf.make_stream(content.encode())
        case list():
            made.Contents = Array([pdf.make_stream(piece.encode()) for piece in content])


def pdf_of(*pages: Page) -> bytes:
    """Return the bytes of a PDF with these pages."""
    return written(built(*pages))


def shown(pdf: bytes, scale: float = 1) -> list[Image.Image]:
    """Return the pages as a viewer shows them."""
    with pypdfium2.PdfDocument(pdf) as document:
        return [one.render(scale=scale).to_pil().convert("RGB") for one in document]


def difference(one: Image.Image, other: Image.Image) -> int:
    """Return the largest difference of any pixel, 0 to 255."""
    assert one.size == other.size
    return max(_levels(ImageChops.difference(one, other)))


def darkest(picture: Image.Image) -> int:
    """Return the darkest level of any colour, 0 to 255."""
    return min(_levels(picture))


def _levels(picture: Image.Image) -> set[int]:
    return {place % 256 for place, count in enumerate(picture.histogram()) if count}


def parts(before: Image.Image, after: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Return a stamped page cut into the original page and the strip below it."""
    assert after.width == before.width
    assert after.height > before.height
    return (
        after.crop((0, 0, after.width, before.height)),
        after.crop((0, before.height, after.width, after.height)),
    )


def attach(pdf: Pdf, name: str, data: bytes) -> pikepdf.Object:
    """Attach a file as another program does, and return its file specification."""
    kind = {"description": "", "filename": name, "mime_type": "text/plain", "creation_date": "", "mod_date": ""}
    pdf.attachments[name] = pikepdf.AttachedFileSpec(pdf, data, **kind)
    return pdf.attachments[name].obj


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return the pictures side by side, for a person to compare."""
    whole = Image.new("RGB", (sum(one.width + 10 for one in pictures), max(one.height for one in pictures)), "grey")
    left = 0
    for one in pictures:
        whole.paste(one, (left, 0))
        left += one.width + 10
    return whole


def stamp(number: int = 1, footer: str | None = None) -> PdfStamp:
    """Return a stamp with the usual footer, or another one."""
    evidence = json.dumps({"format": "pacspace-stripe/evidence/1", "number": number}, separators=(",", ":")).encode()
    sha256 = hashlib.sha256(evidence).hexdigest()
    usual = (
        "Metered usage as recorded in PacSpace, an independent ledger\n2026-10-01 00:00 to 2026-11-01 00:00 UTC\n"
        f"api_calls: 1250.5 in 42 records\nProof root: {ROOT}\nVerify: https://app.pacspace.io/verify/{ROOT}\n"
        f"Evidence SHA-256: {sha256}"
    )
    return PdfStamp(
        footer=footer or usual,
        evidence=evidence,
        evidence_sha256=sha256,
        proof_roots=(ROOT,),
        decided_at=NOVEMBER,
    )
