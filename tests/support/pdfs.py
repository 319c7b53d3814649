"""PDFs read and written: the text of their pages, and their contents."""

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pikepdf
import pypdfium2
from pikepdf import Pdf


def pages(pdf: bytes) -> list[str]:
    """Return the text of each page, line by line."""
    with pypdfium2.PdfDocument(pdf) as document:
        return [page.get_textpage().get_text_range() for page in document]


def dense(text: str) -> str:
    """Return text without white space, because line breaks on a page are not part of its text."""
    return "".join(text.split())


def texts(pdf: bytes) -> list[str]:
    """Return the text of each page, without white space."""
    return [dense(page) for page in pages(pdf)]


def right_edges(pdf: bytes) -> Iterator[float]:
    """Yield the right edge of each piece of text, in points from the left."""
    with pypdfium2.PdfDocument(pdf) as document:
        for page in document:
            text = page.get_textpage()
            for number in range(text.count_rects()):
                yield text.get_rect(number)[2]


def reopened(pdf: bytes) -> Pdf:
    """Open a PDF to read or change its objects."""
    return pikepdf.open(BytesIO(pdf))


def written(pdf: Pdf, **options: Any) -> bytes:  # noqa: ANN401 - pikepdf's own
    """Return a PDF's bytes, the same each time unless it is encrypted."""
    to = BytesIO()
    pdf.save(to, **({"deterministic_id": "encryption" not in options} | options))
    return to.getvalue()


def retouched(pdf: bytes, change: Callable[[Pdf], None], **options: Any) -> bytes:  # noqa: ANN401 - pikepdf's own
    """Return a PDF after a change to it."""
    with reopened(pdf) as document:
        change(document)
        return written(document, **options)
