"""Our marked block inside an invoice's footer: inserted, found again, removed.

The footer belongs to the merchant and is often legal text, so everything outside our two marker lines is kept to the
letter. A block reaches from the last opening line before a closing line to that closing line; a marker line without
its partner is text like any other. What stands between the two is ours, even if a person wrote it.

A block is still ours where the vendor or a person changed white space alone: line ends, empty lines, and spaces of any
kind and number at the ends of lines or within a marker. Where even line breaks were taken out, so that a marker shares
its line with other text, the two are ours only if a root or hash stands between them: a sentence that quotes them
stays. The white space that parted such a marker from its neighbours, at most two characters, goes with it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

FOOTER_LIMIT = 5000
"""Characters Stripe takes in ``invoice.footer`` (maxLength in its OpenAPI)."""

ROOTS_IN_TABLE = "Proof roots: in the table of this document"
"""Text of a footer in place of the roots, where those are too many. Statements out there have it: never change it."""

OPENING = "— Usage record (PacSpace) —"
CLOSING = "— end of usage record —"
"""The marker lines. They print on the customer's invoice, and invoices out there carry them: never change them."""

_SEPARATOR = "\n\n"
_FLAT_SEPARATOR = re.compile(r"[^\S\r\n]{1,2}\Z")
"""Rest of the separator where line breaks became spaces."""
_LINE_END = re.compile(r"\r\n|\n|\r")


def _spaced(marker: str) -> str:
    """Return the pattern of a marker with any white space within its line."""
    return r"[^\S\r\n]+".join(map(re.escape, marker.split()))


_MARKER = re.compile(rf"(?<!\S)(?:(?P<opening>{_spaced(OPENING)})|{_spaced(CLOSING)})(?!\S)")
_DIGEST = re.compile(r"(?<![0-9A-Za-z])(?:0x)?[0-9a-fA-F]{64}(?![0-9A-Za-z])")
"""Pattern of a proof root, or of the hash of evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TooLong:
    """Footer of ``length`` characters, more than FOOTER_LIMIT: nothing is to be written."""

    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Marker:
    """Place of a marker in a footer: with the white space of its line when it has a line of its own."""

    start: int
    end: int
    opens: bool
    alone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """Place of a block in a footer, with its markers and without the line end after it."""

    opening: _Marker
    closing: _Marker
    body: str


def insert_block(existing: str | None, block: str) -> str | TooLong:
    """Return ``existing`` with ``block`` between our marker lines, at the place of an earlier block or at the end.

    Markers inside ``block`` are left out. A footer that differs in white space only comes back unchanged, to the
    letter: where a vendor changes white space, every check would otherwise write again.
    """
    footer = _inserted(existing or "", _body(block))
    return footer if len(footer) <= FOOTER_LIMIT else TooLong(length=len(footer))


def remove_block(existing: str | None) -> str:
    """Return the merchant's own text, without our blocks and the empty line that ``insert_block`` put before each.

    Halves of blocks that come to stand around the merchant's text that way stay, and so does the text.
    """
    text, kept = existing or "", ""
    while span := _first_span(text):
        kept += _before(text, span)
        text = text[span.closing.end :]
    return kept + text


def find_block(existing: str | None) -> str | None:
    """Return the text of our first block, without its marker lines; None when there is none."""
    span = _first_span(existing or "")
    return span.body if span else None


def _inserted(text: str, body: str) -> str:
    lines = [OPENING, body, CLOSING] if body else [OPENING, CLOSING]
    ours = "\n".join(lines)
    span = _first_span(text)
    if span is None:
        return f"{text}{_SEPARATOR}{ours}" if text else ours
    after = remove_block(text[span.closing.end :])
    if span.body.split() == body.split():
        return text[: span.closing.end] + after
    before = text[: span.opening.start] if span.opening.alone else _parted(_before(text, span), after=_SEPARATOR)
    # The white space after a marker in the middle of a line becomes the line end.
    return before + ours + (after if span.closing.alone else _parted(after[1:], before="\n"))


def _parted(text: str, *, before: str = "", after: str = "") -> str:
    """Return a text with its separators; an empty text needs none."""
    return f"{before}{text}{after}" if text else ""


def _first_span(text: str) -> _Block | None:
    openings: list[_Marker] = []
    for marker in _markers(text):
        if marker.opens:
            openings.append(marker)
            continue
        for opening in reversed(openings):
            between = text[opening.end : marker.start]
            if _is_block(opening, marker, between):
                body = _body(between if opening.alone else between.lstrip())
                return _Block(opening=opening, closing=marker, body=body)
    return None


def _is_block(opening: _Marker, closing: _Marker, between: str) -> bool:
    return (opening.alone and closing.alone) or _DIGEST.search(between) is not None


def _markers(text: str) -> Iterator[_Marker]:
    found = _MARKER.finditer(text)
    marker = next(found, None)
    for start, end in _lines(text):
        while marker and marker.start() < end:
            alone = not text[start : marker.start()].strip() and not text[marker.end() : end].strip()
            place = (start, end) if alone else marker.span()
            yield _Marker(start=place[0], end=place[1], opens=marker["opening"] is not None, alone=alone)
            marker = next(found, None)


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each line. ``splitlines`` also splits at characters that a sentence may contain."""
    start = 0
    for line_end in _LINE_END.finditer(text):
        yield start, line_end.start()
        start = line_end.end()
    yield start, len(text)


def _before(text: str, span: _Block) -> str:
    """Return the text before a block, without the separator between the two."""
    head = text[: span.opening.start]
    for separator in (_SEPARATOR, "\r\n\r\n"):
        if head.endswith(separator):
            return head.removesuffix(separator)
    return head if span.opening.alone else _FLAT_SEPARATOR.sub("", head)


def _body(block: str) -> str:
    """Return the lines without markers and trailing white space, and without empty lines at either end."""
    lines = [block[start:end].rstrip() for start, end in _lines(block)]
    kept = [line for line in map(_unmarked, lines) if line is not None]
    return "\n".join(kept).strip("\n")


def _unmarked(line: str) -> str | None:
    """Return a line without markers; None when it was nothing else."""
    if _MARKER.search(line) is None:
        return line
    while _MARKER.search(line):
        line = " ".join(_MARKER.sub("", line).split())
    return line or None
