"""PDFs, read and written: what their pages say, and what is inside."""

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pikepdf
import pypdfium2
from pikepdf import Pdf


def pages(pdf: bytes) -> list[str]:
    """What each page says, line by line."""
    with pypdfium2.PdfDocument(pdf) as document:
        return [page.get_textpage().get_text_range() for page in document]


def dense(text: str) -> str:
    """Without white space: where lines break on the page is not part of what it says."""
    return "".join(text.split())


def texts(pdf: bytes) -> list[str]:
    """What each page says, without white space."""
    return [dense(page) for page in pages(pdf)]


def right_edges(pdf: bytes) -> Iterator[float]:
    """Where each piece of text ends, in points from the left."""
    with pypdfium2.PdfDocument(pdf) as document:
        for page in document:
            text = page.get_textpage()
            for number in range(text.count_rects()):
                yield text.get_rect(number)[2]


def reopened(pdf: bytes) -> Pdf:
    """For looking inside."""
    return pikepdf.open(BytesIO(pdf))


def written(pdf: Pdf, **options: Any) -> bytes:  # noqa: ANN401 - pikepdf's own
    """Its bytes, the same each time unless it is encrypted."""
    to = BytesIO()
    pdf.save(to, **({"deterministic_id": "encryption" not in options} | options))
    return to.getvalue()


def retouched(pdf: bytes, change: Callable[[Pdf], None], **options: Any) -> bytes:  # noqa: ANN401 - pikepdf's own
    """The PDF after somebody's change to it."""
    with reopened(pdf) as document:
        change(document)
        return written(document, **options)
