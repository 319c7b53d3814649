"""Reading a PDF of unknown origin: its embedded evidence, its keywords and the text of its pages.

Owns the limits: nothing is unpacked beyond them, and whatever goes wrong in the PDF libraries is UnreadableDocument.
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
from pacspace_stripe.verify import page_texts
from pacspace_stripe.verify import printed_text as printed

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
    """What of a PDF is verified."""

    evidence: bytes
    """The one embedded ``evidence.json``, its very bytes."""
    xmp_keywords: str | None
    info_keywords: str | None
    pages: tuple[str, ...]
    """The text of each page, as a program reads it."""
    overlaid: tuple[str, ...] = ()
    """What a person sees and that text is not: notes and drawings laid over pages, each in words."""
    title: str | None = None
    author: str | None = None
    """Author in the document information, like the title: shown to a person, never verified."""

    @property
    def keywords(self) -> dict[str, str | None]:
        """Where keywords are → what they say."""
        return {"XMP": self.xmp_keywords, "document information": self.info_keywords}


def read_pdf(data: bytes) -> Pdf:
    """Everything at once. Raises UnreadableDocument, and nothing else."""
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
    """The text of every page of a PDF that carries no evidence. Raises UnreadableDocument, and nothing else."""
    with _refusing(), _opened(data):
        return _page_texts(data)


@contextmanager
def _refusing() -> Iterator[None]:
    """Whatever the PDF libraries raise becomes UnreadableDocument."""
    try:
        yield
    except UnreadableDocument:
        raise
    except pikepdf.PasswordError:
        _refuse("it is encrypted")
    except Exception as error:  # noqa: BLE001 - what these libraries raise on hostile files is written nowhere
        _refuse(f"it is damaged ({type(error).__name__})")


def _opened(data: bytes) -> pikepdf.Pdf:
    """Within our limits, and not repaired."""
    if len(data) > LARGEST_PDF:
        _refuse(f"it is larger than {LARGEST_PDF} bytes")
    _measure(data)
    return pikepdf.open(io.BytesIO(data), attempt_recovery=False, suppress_warnings=True)


def _measure(data: bytes) -> None:
    """Refuse what unpacks to far more than a document holds, before a library tries to: neither has a limit."""
    left = _MOST_UNPACKED
    for start in _STREAM.finditer(data):
        for size in _unpacked_sizes(data, start.end()):
            left -= size
            if left < 0:
                _refuse(f"it unpacks to more than {_MOST_UNPACKED} bytes")


def _unpacked_sizes(data: bytes, start: int) -> Iterator[int]:
    """Of what looks like a packed stream, piece by piece; it ends where it is none."""
    layer, view = _Layer(depth=1), memoryview(data)
    for at in range(start, len(data), _CHUNK):
        yield from layer.sizes(view[at : at + _CHUNK])
        if layer.over:
            return


class _Layer:
    """One packing of a stream; what comes out may be packed again."""

    def __init__(self, *, depth: int) -> None:
        self._inflater, self._depth = zlib.decompressobj(), depth
        self._inner: _Layer | None = None
        self.over = False

    def sizes(self, packed: bytes | memoryview) -> Iterator[int]:
        """Of what comes out when this goes in, and of what comes out of that."""
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
    """As another process reads them: what is on a page can take any amount of time and memory."""
    program = [sys.executable, "-P", page_texts.__file__]
    try:
        ran = subprocess.run(program, input=data, capture_output=True, timeout=_MOST_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        _refuse(f"its pages take more than {_MOST_SECONDS} seconds to read")
    if ran.returncode != 0:
        _refuse("its pages take more time or memory to read than a document does")
    said = json.loads(ran.stdout)
    return tuple(said["texts"]) if "texts" in said else _refuse(said["refused"])


def _what_else(pages: Sequence[str]) -> str:
    """What can be done with a PDF that names a proof root and carries no evidence of it."""
    roots = printed.roots_in("\n".join(pages))
    if not roots:
        return ""
    ask = f"`pacspace-stripe verify {roots[0]}` asks PacSpace about the proof root on it"
    return f"; {ask}, and the usage statement carries the evidence: ask the vendor for that"


def _evidence(pdf: pikepdf.Pdf) -> bytes | None:
    """The bytes of the one attachment of that name, wherever it is listed. Two would be two stories."""
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
    """Every file of the catalog's name tree, its list of associated files and the pages' notes, some of them twice."""
    names = pdf.Root.get("/Names", pikepdf.Dictionary()).get("/EmbeddedFiles")
    todo, seen = ([] if names is None else [names]), 0
    while todo:
        node, seen = todo.pop(), seen + 1
        if seen > _MOST_ATTACHMENTS:
            _refuse(f"it has more than {_MOST_ATTACHMENTS} attachments")
        todo += list(node.get("/Kids", []))
        pairs = list(node.get("/Names", []))
        seen += len(pairs)
        # A viewer shows the name of the tree or that of the file: either counts.
        for name, file in zip(pairs[::2], pairs[1::2], strict=True):
            yield pikepdf.Dictionary({"/F": name, "/EF": file.get("/EF", pikepdf.Dictionary())})
            yield file
    yield from pdf.Root.get("/AF", [])
    for page in pdf.pages:
        yield from (note["/FS"] for note in page.get("/Annots", []) if note.get("/Subtype") == "/FileAttachment")


def _overlaid(pdf: pikepdf.Pdf) -> Iterator[str]:
    """Annotations that can cover what is printed: all that have a look of their own, and all but links and files."""
    for number, page in enumerate(pdf.pages, start=1):
        for note in page.get("/Annots", []):
            kind = str(note.get("/Subtype", "/unknown"))
            if kind not in _UNSEEN or "/AP" in note:
                yield f"page {number} has an annotation ({kind.removeprefix('/')}), which can cover what is printed"


def _unpacked(stream: Any, most: int) -> bytes:  # noqa: ANN401 - pikepdf's objects have no static kinds
    """A stream's bytes, never more than ``most``: a few bytes can unpack to gigabytes."""
    data = bytes(stream.read_raw_bytes())
    filters = stream.get("/Filter", [])
    for name in [filters] if isinstance(filters, pikepdf.Name) else list(filters):
        if name != "/FlateDecode" or "/DecodeParms" in stream:
            _refuse("its evidence or metadata are packed in a way that is not read here")
        data = _inflated(data, most)
    if len(data) > most:
        _refuse(f"its evidence or metadata are larger than {most} bytes")
    return data


def _inflated(data: bytes, most: int) -> bytes:
    if not data:
        return data
    inflater = zlib.decompressobj()
    unpacked = inflater.decompress(data, most + 1)
    if not inflater.eof and len(unpacked) <= most:
        _refuse("its evidence or metadata are cut off")
    return unpacked


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
    said = None if info is None else info.get(name)
    return None if said is None else str(said)


def _refuse(problem: str) -> NoReturn:
    message = f"the PDF cannot be verified: {problem}"
    raise UnreadableDocument(message) from None
