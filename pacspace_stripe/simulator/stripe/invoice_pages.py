"""The PDF of a finalized invoice: plain pages like those that Stripe serves, in one of PDF's own fonts.

The lines come first, then a page with the total and the footer, so that there are always two pages at least.
"""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pikepdf
from pikepdf import Dictionary, Name

from pacspace_stripe.simulator.stripe.shapes import Json

_SIZES = {"a4": (595, 842), "letter": (612, 792)}
_LINES_PER_PAGE, _LETTERS_PER_LINE = 24, 100
_MARGIN, _LEADING = 48, 14


def invoice_pdf(invoice: Json) -> bytes:
    """Return the pages of an invoice as the API shows it, with all of its lines: always equal bytes."""
    rendering: dict[str, str] = (invoice["rendering"] or {}).get("pdf") or {}
    width, height = _SIZES.get(rendering.get("page_size", ""), _SIZES["letter"])
    pdf = pikepdf.Pdf.new()
    font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica, Encoding=Name.WinAnsiEncoding)
    shared = pdf.make_indirect(Dictionary(Font=Dictionary(F1=pdf.make_indirect(font))))
    pages = list(_pages(invoice))
    for number, page in enumerate(pages, 1):
        pdf.add_blank_page(page_size=(width, height))
        pdf.pages[-1].Resources = shared
        pdf.pages[-1].Contents = pdf.make_stream(_drawn(page, height, f"Page {number} of {len(pages)}"))
    pdf.docinfo[Name.Title] = f"Invoice {invoice['number']}"
    to = BytesIO()
    pdf.save(to, deterministic_id=True)
    return to.getvalue()


def _pages(invoice: Json) -> Iterator[list[str]]:
    billed = [
        f"{line['description']}   {line['quantity_decimal'] or ''}   {_money(line['amount'], invoice)}"
        for line in invoice["lines"]["data"]
    ]
    head = [f"Invoice {invoice['number']}", invoice["account_name"], f"Bill to {invoice['customer_name'] or '-'}", ""]
    for some in _chunks(billed, _LINES_PER_PAGE):
        yield head + some
    footer = [piece for line in (invoice["footer"] or "").splitlines() for piece in _wrapped(line)]
    for some in _chunks(footer, 2 * _LINES_PER_PAGE):
        yield [f"Amount due {_money(invoice['amount_due'], invoice)}", "", *some]


def _chunks(lines: list[str], size: int) -> list[list[str]]:
    """Return at least one chunk, perhaps empty."""
    return [lines[start : start + size] for start in range(0, max(len(lines), 1), size)]


def _wrapped(line: str) -> list[str]:
    starts = range(0, max(len(line), 1), _LETTERS_PER_LINE)
    return [line[start : start + _LETTERS_PER_LINE] for start in starts]


def _money(amount: int, invoice: Json) -> str:
    return f"{amount / 100:.2f} {invoice['currency'].upper()}"


def _drawn(lines: list[str], height: int, page: str) -> bytes:
    """Return a page's content. Letters that the font lacks become question marks, since nothing depends on them."""
    shown = b" T*\n".join(_written(line) + b" Tj" for line in lines)
    start = f"BT /F1 10 Tf {_LEADING} TL {_MARGIN} {height - _MARGIN} Td\n".encode()
    return start + shown + f"\nET BT /F1 8 Tf {_MARGIN} 24 Td ".encode() + _written(page) + b" Tj ET"


def _written(text: Any) -> bytes:
    letters = str(text).encode("cp1252", errors="replace")
    return b"(" + letters.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)") + b")"
