"""Our marked block inside an invoice's footer: put in, found again, taken out.

The footer belongs to the merchant and is often legal text, so everything outside our two marker lines is kept to the
letter. A block reaches from the last opening line before a closing line to that closing line; a marker line without
its partner is text like any other. Where the vendor or a person changed line endings or white space at the ends of
lines, a block is still ours.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

FOOTER_LIMIT = 5000
"""Characters Stripe takes in ``invoice.footer`` (maxLength in its OpenAPI)."""

OPENING = "— Usage record (PacSpace) —"
CLOSING = "— end of usage record —"
"""The marker lines. They print on the customer's invoice, and invoices out there carry them: never change them."""

_SEPARATOR = "\n\n"
_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class TooLong:
    """The footer would have ``length`` characters, more than FOOTER_LIMIT; nothing is to be written."""

    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """A block's place in a footer, marker lines included, the line end after it not."""

    start: int
    end: int
    body: str


def insert_block(existing: str | None, block: str) -> str | TooLong:
    """``existing`` with ``block`` between our marker lines, at the place of an earlier block or at the end.

    Marker lines inside ``block`` are left out. A footer that already says the same comes back unchanged, to the letter.
    """
    footer = _inserted(existing or "", _body(block))
    return footer if len(footer) <= FOOTER_LIMIT else TooLong(length=len(footer))


def remove_block(existing: str | None) -> str:
    """The merchant's own text: every block of ours cut out, with the empty line that ``insert_block`` put before it."""
    text = existing or ""
    while span := _first_span(text):
        text = _before(text, span) + text[span.end :]
    return text


def find_block(existing: str | None) -> str | None:
    """What the first block of ours says, its lines without the marker lines; None when there is none."""
    span = _first_span(existing or "")
    return span.body if span else None


def _inserted(text: str, body: str) -> str:
    lines = [OPENING, body, CLOSING] if body else [OPENING, CLOSING]
    ours = "\n".join(lines)
    span = _first_span(text)
    if span is None:
        return f"{text}{_SEPARATOR}{ours}" if text else ours
    kept = text[span.start : span.end] if span.body == body else ours
    return text[: span.start] + kept + remove_block(text[span.end :])


def _first_span(text: str) -> _Span | None:
    opened: tuple[int, int] | None = None
    for start, end in _lines(text):
        line = text[start:end].strip()
        if line == OPENING:
            opened = (start, end)
        elif line == CLOSING and opened:
            return _Span(start=opened[0], end=end, body=_body(text[opened[1] : start]))
    return None


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Where each line starts and ends. Not ``splitlines``, which also splits at characters a sentence may hold."""
    start = 0
    for line_end in _LINE_END.finditer(text):
        yield start, line_end.start()
        start = line_end.end()
    yield start, len(text)


def _before(text: str, span: _Span) -> str:
    head = text[: span.start]
    for separator in (_SEPARATOR, "\r\n\r\n"):
        if head.endswith(separator):
            return head.removesuffix(separator)
    return head


def _body(block: str) -> str:
    """Lines without marker lines and trailing white space, without empty lines at either end."""
    lines = [block[start:end].rstrip() for start, end in _lines(block)]
    kept = [line for line in lines if line.strip() not in (OPENING, CLOSING)]
    return "\n".join(kept).strip("\n")
