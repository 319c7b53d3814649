"""PDFs that ask for far more work than they have bytes are refused within seconds."""

import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, Object, Pdf

from pacspace_stripe.documents.renderer import Documents
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.verify import OnlineServices, StepOutcome, page_texts, verify
from pacspace_stripe.verify.pdf import read_pdf
from tests.support.document_views import row, statement
from tests.support.pdfs import reopened, retouched, written
from tests.support.received_documents import ReceivedDocuments, received_documents
from tests.support.worlds import world

SHEET = Array([0, 0, 600, 800])
TOO_MUCH = "its pages take more time or memory to read than a document does"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceivedDocuments]:
    with world(tmp_path_factory.mktemp("world")) as town:
        town.subscribe()
        town.use("100")
        yield received_documents(town.run())


def add_page(pdf: Pdf, content: Object, resources: Dictionary) -> None:
    page = Dictionary(Type=Name.Page, MediaBox=SHEET, Contents=content, Resources=resources)
    pdf.pages.append(pikepdf.Page(pdf.make_indirect(page)))


def fonts(pdf: Pdf) -> Dictionary:
    font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
    return Dictionary(Font=Dictionary(F=pdf.make_indirect(font)))


def pages_of_one_text(number: int) -> Callable[[Pdf], None]:
    """Return a PDF whose many pages share their content."""

    def change(pdf: Pdf) -> None:
        text = b"(" + b"a" * 100 + b") Tj 0 1 Td "
        shared = pdf.make_stream(b"BT /F 1 Tf 10 10 Td " + text * 9000 + b" ET")
        for _ in range(number):
            add_page(pdf, shared, fonts(pdf))

    return change


def form(pdf: Pdf, content: bytes, resources: Dictionary) -> Object:
    made = pdf.make_stream(content)
    made.Type, made.Subtype, made.BBox, made.Resources = Name.XObject, Name.Form, SHEET, resources
    return made


def forms_in_forms(pdf: Pdf) -> None:
    """Add forms that each draw the next one ten times."""
    drawn = form(pdf, b"BT /F 1 Tf 10 10 Td (aaaaaaaaaa) Tj ET", fonts(pdf))
    for _ in range(7):
        drawn = form(pdf, b"/X Do " * 10, Dictionary(XObject=Dictionary(X=drawn)))
    add_page(pdf, pdf.make_stream(b"/X Do"), Dictionary(XObject=Dictionary(X=drawn)))


def packed_twice(genuine: bytes) -> bytes:
    """Return a page that unpacks to a small packed stream, which unpacks to 1.5 gigabytes."""
    with reopened(genuine) as pdf:
        packer = zlib.compressobj(9)
        packed = b"".join(packer.compress(b" " * 10_000_000) for _ in range(150)) + packer.flush()
        stream = pdf.make_stream(b"")
        stream.write(zlib.compress(packed, 9), filter=Array([Name.FlateDecode, Name.FlateDecode]))
        add_page(pdf, stream, Dictionary())
        return written(pdf, compress_streams=False, stream_decode_level=pikepdf.StreamDecodeLevel.none)


def refusal(folder: Path, data: bytes) -> str:
    """Return why a PDF is refused, and check that this takes less than ten seconds."""
    path = folder / "hostile.pdf"
    path.write_bytes(data)
    began = time.monotonic()
    report = verify(str(path), OnlineServices())
    assert time.monotonic() - began < 10
    assert report.outcome is StepOutcome.CANNOT_TELL
    return report.steps[-1].result.detail


@pytest.mark.parametrize("number", [30, 900])
def test_pages_with_more_text_than_any_document_are_refused(
    tmp_path: Path, made: ReceivedDocuments, number: int
) -> None:
    hostile = retouched(made.statement, pages_of_one_text(number))
    assert f"more than {page_texts.MOST_TEXT} characters" in refusal(tmp_path, hostile)


def test_more_pages_than_any_document_has_are_refused(tmp_path: Path, made: ReceivedDocuments) -> None:
    def change(pdf: Pdf) -> None:
        for _ in range(page_texts.MOST_PAGES):
            pdf.pages.append(pdf.pages[0])

    assert f"more than {page_texts.MOST_PAGES} pages" in refusal(tmp_path, retouched(made.statement, change))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps to a limit of memory")
def test_drawings_that_multiply_are_refused(tmp_path: Path, made: ReceivedDocuments) -> None:
    assert TOO_MUCH in refusal(tmp_path, retouched(made.statement, forms_in_forms))


def test_a_stream_packed_over_and_over_is_refused(tmp_path: Path, made: ReceivedDocuments) -> None:
    assert "unpacks to more than" in refusal(tmp_path, packed_twice(made.statement))
    deep = b"deep"
    for _ in range(20):
        deep = zlib.compress(deep)
    layered = retouched(made.statement, lambda pdf: add_page(pdf, pdf.make_stream(deep), Dictionary()))
    assert "times over" in refusal(tmp_path, layered)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps to a limit of memory")
def test_the_process_that_reads_pages_has_little_memory_and_time() -> None:
    asked = (
        "import page_texts, resource as of; page_texts.limit(); "
        "print(*of.getrlimit(of.RLIMIT_AS), *of.getrlimit(of.RLIMIT_CPU))"
    )
    folder = Path(page_texts.__file__).parent
    ran = subprocess.run([sys.executable, "-c", asked], cwd=folder, capture_output=True, text=True, check=True)
    limits = [page_texts.MOST_MEMORY] * 2 + [page_texts.MOST_SECONDS] * 2
    assert [int(limit) for limit in ran.stdout.split()] == limits


def test_a_genuine_statement_of_many_pages_is_read_within_seconds() -> None:
    long = statement(*[replace(row(number), meter=f"meter_{number}") for number in range(400)])
    data = Documents(Templates()).render_statement(long)
    began = time.monotonic()
    pages = read_pdf(data).pages
    assert (len(pages) > 40, time.monotonic() - began < 3) == (True, True)
