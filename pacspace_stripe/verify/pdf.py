"""The reader of a PDF of unknown origin: its embedded evidence, its keywords and the text of its pages.

Owns the limits: nothing is unpacked beyond them, and every error of the PDF libraries becomes UnreadableDocument.
A damaged PDF is refused, not repaired: two programs would repair it into two documents.
"""

import io
import json
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn
from xml.etree import ElementTree as ET

import pikepdf

from pacspace_stripe.errors import UnreadableDocument
from pacspace_stripe.evidence.reader import LARGEST
from pacspace_stripe.verify import page_texts, printed_text

ATTACHMENT = "evidence.json"
LARGEST_PDF = 64 * 1024 * 1024
_LARGEST_XMP = 1024 * 1024
_MOST_ATTACHMENTS = 1000
_MOST_SECONDS = 8
_MOST_UNPACKED = 256 * 1024 * 1024
_CHUNK = 64 * 1024
_MOST_LAYERS = 8
_STREAM = re.compile(rb"stream\r?\n(?=[\x08-\x78])")
_UNSEEN = {"/Link", "/FileAttachment"}
_KEYWORDS = "{http://ns.adobe.com/pdf/1.3/}Keywords"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pdf:
    """The parts of a PDF that are verified."""

    evidence: bytes
    """The exact bytes of the one embedded ``evidence.json``."""
    xmp_keywords: str | None
    info_keywords: str | None
    pages: tuple[str, ...]
    """The text of each page, as PDFium reads it."""
    overlaid: tuple[str, ...] = ()
    """A sentence for each annotation that can cover a page: a person sees it, and it is not in the text."""
    title: str | None = None
    author: str | None = None
    """Author in the document information. Like the title it is shown to a person, never verified."""

    @property
    def keywords(self) -> dict[str, str | None]:
        """The keywords by the place they are in; verification expects both to agree."""
        return {"XMP": self.xmp_keywords, "document information": self.info_keywords}


def read_pdf(data: bytes) -> Pdf:
    """Return all parts that are verified. Raises UnreadableDocument, and nothing else."""
    with _refusing(), _opened(data) as pdf:
        evidence = _evidence(pdf)
        if evidence is None:
            _refuse(f"it carries no {ATTACHMENT}{_what_else(_page_texts(data))}")
        return Pdf(
            evidence=evidence,
            xmp_keywords=_xmp_keywords(pdf),
            info_keywords=_info(pdf, "/Keywords"),
            pages=_page_texts(data),
            overlaid=tuple(_overlaid(pdf)),
            title=_info(pdf, "/Title"),
            author=_info(pdf, "/Author"),
        )


def read_pages(data: bytes) -> tuple[str, ...]:
    """Return the text of every page of a PDF that carries no evidence. Raises UnreadableDocument, and nothing else."""
    with _refusing(), _opened(data):
        return _page_texts(data)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn every error of the PDF libraries into UnreadableDocument."""
    try:
        yield
    except UnreadableDocument:
        raise
    except pikepdf.PasswordError:
        _refuse("it is encrypted")
    except Exception as error:  # noqa: BLE001 - these libraries do not document what they raise on hostile files
        _refuse(f"it is damaged ({type(error).__name__})")


def _opened(data: bytes) -> pikepdf.Pdf:
    """Open a PDF within our limits, without repairing it."""
    if len(data) > LARGEST_PDF:
        _refuse(f"it is larger than {LARGEST_PDF} bytes")
    _measure(data)
    return pikepdf.open(io.BytesIO(data), attempt_recovery=False, suppress_warnings=True)


def _measure(data: bytes) -> None:
    """Refuse what unpacks to far more than a document holds, before a library tries to: neither library has a limit."""
    left, view = _MOST_UNPACKED, memoryview(data)
    for start in _STREAM.finditer(data):
        # What looks like a packed stream is unpacked piece by piece, and left where it turns out to be none.
        layer = _Layer(depth=1)
        for at in range(start.end(), len(data), _CHUNK):
            for size in layer.sizes(view[at : at + _CHUNK]):
                left -= size
                if left < 0:
                    _refuse(f"it unpacks to more than {_MOST_UNPACKED} bytes")
            if layer.over:
                break


class _Layer:
    """One layer of compression of a stream; what comes out may be compressed again."""

    def __init__(self, *, depth: int) -> None:
        self._inflater, self._depth = zlib.decompressobj(), depth
        self._inner: _Layer | None = None
        self.over = False

    def sizes(self, packed: bytes | memoryview) -> Iterator[int]:
        """Yield the sizes of what unpacking yields, on this layer and on those within."""
        while packed and not self.over:
            try:
                found = self._inflater.decompress(packed, _CHUNK)
            except zlib.error:
                self.over = True
                return
            packed, self.over = self._inflater.unconsumed_tail, self._inflater.eof
            yield len(found)
            if found:
                yield from self._within().sizes(found)

    def _within(self) -> "_Layer":
        if self._inner is None:
            if self._depth == _MOST_LAYERS:
                _refuse(f"it is packed more than {_MOST_LAYERS} times over")
            self._inner = _Layer(depth=self._depth + 1)
        return self._inner


def _page_texts(data: bytes) -> tuple[str, ...]:
    """Return the text of each page as another process reads it: a page can take any amount of time and memory."""
    program = [sys.executable, "-P", page_texts.__file__]
    try:
        ran = subprocess.run(program, input=data, capture_output=True, timeout=_MOST_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        _refuse(f"its pages take more than {_MOST_SECONDS} seconds to read")
    if ran.returncode != 0:
        _refuse("its pages take more time or memory to read than a document does")
    answer = json.loads(ran.stdout)
    return tuple(answer["texts"]) if "texts" in answer else _refuse(answer["refused"])


def _what_else(pages: Sequence[str]) -> str:
    """Return what to do with a PDF that names a proof root and carries no evidence of it."""
    roots = printed_text.roots_in("\n".join(pages))
    if not roots:
        return ""
    ask = f"`pacspace-stripe verify {roots[0]}` asks PacSpace about the proof root on it"
    return f"; {ask}, and the usage statement carries the evidence: ask the vendor for that"


def _evidence(pdf: pikepdf.Pdf) -> bytes | None:
    """Return the bytes of the one attachment of that name, wherever it is listed. Two different ones are refused."""
    streams: dict[tuple[int, int], Any] = {}
    for file in _attached(pdf):
        if ATTACHMENT in (str(file.get("/UF", "")), str(file.get("/F", ""))):
            streams |= {stream.objgen: stream for stream in dict(file.get("/EF", {})).values()}
    if not streams:
        return None
    if len(streams) > 1:
        _refuse(f"it carries {len(streams)} files named {ATTACHMENT}")
    return _unpacked(next(iter(streams.values())), LARGEST)


def _attached(pdf: pikepdf.Pdf) -> Iterator[Any]:
    """Yield every file of the catalog's name tree, its list of associated files and the pages' annotations."""
    names = pdf.Root.get("/Names", pikepdf.Dictionary()).get("/EmbeddedFiles")
    todo, seen = ([] if names is None else [names]), 0
    while todo:
        node, seen = todo.pop(), seen + 1
        if seen > _MOST_ATTACHMENTS:
            _refuse(f"it has more than {_MOST_ATTACHMENTS} attachments")
        todo += list(node.get("/Kids", []))
        pairs = list(node.get("/Names", []))
        seen += len(pairs)
        # A viewer shows the name of the tree or the name of the file: either counts.
        for name, file in zip(pairs[::2], pairs[1::2], strict=True):
            yield pikepdf.Dictionary({"/F": name, "/EF": file.get("/EF", pikepdf.Dictionary())})
            yield file
    yield from pdf.Root.get("/AF", [])
    for page in pdf.pages:
        yield from (note["/FS"] for note in page.get("/Annots", []) if note.get("/Subtype") == "/FileAttachment")


def _overlaid(pdf: pikepdf.Pdf) -> Iterator[str]:
    """Yield a sentence for each annotation that can cover print: any with an appearance, all but links and files."""
    for number, page in enumerate(pdf.pages, start=1):
        for note in page.get("/Annots", []):
            kind = str(note.get("/Subtype", "/unknown"))
            if kind not in _UNSEEN or "/AP" in note:
                yield f"page {number} has an annotation ({kind.removeprefix('/')}), which can cover what is printed"


def _unpacked(stream: Any, most: int) -> bytes:  # noqa: ANN401 - pikepdf's objects have no static kinds
    """Return a stream's bytes, never more than ``most``: a few bytes can unpack to gigabytes."""
    data = bytes(stream.read_raw_bytes())
    filters = stream.get("/Filter", [])
    for name in [filters] if isinstance(filters, pikepdf.Name) else list(filters):
        if name != "/FlateDecode" or "/DecodeParms" in stream:
            _refuse("its evidence or metadata are packed in a way that is not read here")
        if not data:
            continue
        inflater = zlib.decompressobj()
        data = inflater.decompress(data, most + 1)
        if not inflater.eof and len(data) <= most:
            _refuse("its evidence or metadata are cut off")
    if len(data) > most:
        _refuse(f"its evidence or metadata are larger than {most} bytes")
    return data


def _xmp_keywords(pdf: pikepdf.Pdf) -> str | None:
    stream = pdf.Root.get("/Metadata")
    if stream is None:
        return None
    packet = _unpacked(stream, _LARGEST_XMP)
    # Without declarations of its own an XML document cannot grow while it is read; a NUL hides them in UTF-16.
    if b"<!DOCTYPE" in packet or b"\x00" in packet:
        _refuse("its metadata are not plain XMP")
    root = ET.fromstring(packet)  # noqa: S314 - see above
    found = [node.text or "" for node in root.iter(_KEYWORDS)]
    found += [node.attrib[_KEYWORDS] for node in root.iter() if _KEYWORDS in node.attrib]
    return ", ".join(found) if found else None


def _info(pdf: pikepdf.Pdf, name: str) -> str | None:
    info = pdf.trailer.get("/Info")
    value = None if info is None else info.get(name)
    return None if value is None else str(value)


def _refuse(problem: str) -> NoReturn:
    message = f"the PDF cannot be verified: {problem}"
    raise UnreadableDocument(message) from None
