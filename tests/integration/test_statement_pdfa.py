"""The statement as PDF/A-3b, clause by clause with pikepdf, and what it carries.

No validator comes from the package index: veraPDF is Java, and what is there only starts an installed one. So the
clauses of ISO 19005-3 that a generator gets wrong are checked here one by one. What that leaves out: the syntax of
streams and cross-references byte by byte (6.1.2 to 6.1.9), each operator of each content stream (6.2.2), the glyph
widths and encodings inside embedded fonts (6.2.11.5 and on), and the ICC profile's own structure. There we trust Typst,
which promises PDF/A-3b and refuses what it knows to break it.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import pikepdf
import pytest
from pikepdf import Name

from pacspace_stripe.documents import examples
from pacspace_stripe.documents.renderer import Documents
from pacspace_stripe.documents.rules.letterhead import Letterhead, Logo, Paper
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.documents.views import StatementView
from tests.support.document_views import A4, EVIDENCE, SHA256, root, row, statement
from tests.support.pdfs import pages

LETTER = (612, 792)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 4"><rect width="9" height="4" fill="red"/></svg>'
DRAWN = Logo(file="logo.svg", media_type="image/svg+xml", content=SVG)


def many() -> StatementView:
    return replace(statement(*map(row, range(60))), letterhead=Letterhead(paper=Paper.LETTER, logo=DRAWN))


VIEWS = {name: view for name, view in examples.statements()} | {"sixty windows and a logo": many()}  # noqa: C416  # as a dict


@pytest.fixture(scope="module")
def documents() -> Documents:
    return Documents(Templates())


@pytest.fixture(scope="module", params=VIEWS)
def pdf(request: pytest.FixtureRequest, documents: Documents) -> Iterator[pikepdf.Pdf]:
    with pikepdf.open(BytesIO(documents.render_statement(VIEWS[request.param]))) as opened:
        yield opened


def dictionaries(pdf: pikepdf.Pdf) -> Iterator[pikepdf.Object]:
    for each in pdf.objects:
        if isinstance(each, pikepdf.Dictionary | pikepdf.Stream):
            yield each


def test_6_1_3_the_trailer_has_an_id_and_nothing_is_encrypted(pdf: pikepdf.Pdf) -> None:
    assert len(pdf.trailer.ID) == 2
    assert "/Encrypt" not in pdf.trailer
    assert pdf.check_pdf_syntax() == []


def test_6_2_3_the_output_intent_is_one_embedded_srgb_profile(pdf: pikepdf.Pdf) -> None:
    (intent,) = pdf.Root.OutputIntents
    assert intent.S == Name.GTS_PDFA1
    assert str(intent.OutputConditionIdentifier)
    profile = intent.DestOutputProfile.read_bytes()
    assert intent.DestOutputProfile.N == 3
    assert profile[12:20] == b"mntrRGB "
    assert profile[36:40] == b"acsp"


def test_6_2_4_no_colour_depends_on_a_device_that_the_intent_does_not_describe(pdf: pikepdf.Pdf) -> None:
    for each in dictionaries(pdf):
        assert each.get("/ColorSpace") != Name.DeviceCMYK
        assert each.get("/CS") != Name.DeviceCMYK
    for page in pdf.pages:
        operators = {str(instruction.operator) for instruction in pikepdf.parse_content_stream(page)}
        assert not operators & {"k", "K"}


def test_6_2_11_every_font_is_embedded_and_maps_to_unicode(pdf: pikepdf.Pdf) -> None:
    fonts = [each for each in dictionaries(pdf) if each.get("/Type") == Name.Font]
    assert fonts
    for font in fonts:
        if font.Subtype == Name.Type0:
            assert "/ToUnicode" in font
        elif font.Subtype != Name.Type3:
            assert {"/FontFile", "/FontFile2", "/FontFile3"} & set(font.FontDescriptor.keys())


def test_6_3_annotations_are_links_that_print_and_have_no_other_look(pdf: pikepdf.Pdf) -> None:
    for page in pdf.pages:
        for note in page.get("/Annots", []):
            assert note.Subtype == Name.Link
            assert int(note.F) & 4
            assert not int(note.F) & (1 | 2 | 32)


def test_6_5_there_is_no_action_but_a_web_address(pdf: pikepdf.Pdf) -> None:
    assert "/OpenAction" not in pdf.Root
    assert "/AA" not in pdf.Root
    for each in dictionaries(pdf):
        assert each.get("/S") not in {Name.JavaScript, Name.Launch, Name.Movie, Name.Sound, Name.ImportData}
        assert "/JS" not in each
        if each.get("/S") == Name.URI:
            assert str(each.URI).startswith("https://")
    assert "/JavaScript" not in pdf.Root.get("/Names", {})
    assert "/AcroForm" not in pdf.Root


def test_6_6_xmp_says_pdf_a_3b_and_the_same_as_the_info_dictionary(pdf: pikepdf.Pdf) -> None:
    assert pdf.Root.Metadata.get("/Filter") is None
    with pdf.open_metadata() as xmp:
        assert (xmp["pdfaid:part"], xmp["pdfaid:conformance"]) == ("3", "B")
        assert xmp["dc:title"] == str(pdf.docinfo.Title)
        assert xmp["pdf:Keywords"] == str(pdf.docinfo.Keywords)
        assert xmp["xmp:CreatorTool"] == str(pdf.docinfo.Creator)
        assert xmp.get("dc:creator", [None])[0] == (str(pdf.docinfo.Author) if "/Author" in pdf.docinfo else None)
        for in_xmp, in_info in (("xmp:CreateDate", "/CreationDate"), ("xmp:ModifyDate", "/ModDate")):
            written = datetime.strptime(str(pdf.docinfo[in_info]), "D:%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
            assert datetime.fromisoformat(str(xmp[in_xmp])) == written


def test_6_8_every_embedded_file_is_associated_described_and_dated(pdf: pikepdf.Pdf) -> None:
    (listed,) = pdf.Root.AF
    specifications = [each for each in dictionaries(pdf) if each.get("/Type") == Name.Filespec]
    assert [each.objgen for each in specifications] == [listed.objgen]
    assert str(listed.F) == str(listed.UF) == "evidence.json"
    assert listed.AFRelationship == Name.Data
    assert str(listed.Desc)
    file = listed.EF.F
    assert (file.Type, file.Subtype) == (Name.EmbeddedFile, Name("/application/json"))
    assert file.Params.Size == len(file.read_bytes())
    assert re.fullmatch(r"D:20\d{12}Z", str(file.Params.ModDate))
    assert list(pdf.attachments) == ["evidence.json"]


def test_nothing_is_outside_the_file_or_hidden_in_it(pdf: pikepdf.Pdf) -> None:
    assert "/OCProperties" not in pdf.Root
    for each in dictionaries(pdf):
        if isinstance(each, pikepdf.Stream):
            assert not {"/F", "/FFilter", "/FDecodeParms"} & set(each.keys())
            assert each.get("/Filter") != Name.LZWDecode
        assert each.get("/Subtype") != Name.PS
        assert "/Ref" not in each


# -- what it carries ----------------------------------------------------------------------------------------------


def test_the_evidence_is_inside_to_the_byte_and_named_on_the_page(documents: Documents) -> None:
    evidence = '{"reason":"Zoë ☃ 株 \\u2028 \\"#panic()\\""}'.encode()
    made = documents.render_statement(replace(statement(), evidence=evidence))
    with pikepdf.open(BytesIO(made)) as opened:
        assert opened.attachments["evidence.json"].get_file().read_bytes() == evidence
    assert "evidence.json" in pages(made)[0]


def test_keywords_name_the_hash_and_each_root_once(documents: Documents) -> None:
    view = statement(row(0), row(1), row(0))
    with pikepdf.open(BytesIO(documents.render_statement(view))) as opened:
        wanted = f"evidence-sha256:{SHA256}, proof-root:{root(0)}, proof-root:{root(1)}"
        assert str(opened.docinfo.Keywords) == wanted
        with opened.open_metadata() as xmp:
            assert xmp["pdf:Keywords"] == wanted
    assert view.evidence == EVIDENCE


@pytest.mark.parametrize(("paper", "size"), [(Paper.A4, A4), (Paper.LETTER, LETTER)])
def test_every_page_has_the_paper_that_was_chosen(documents: Documents, paper: Paper, size: tuple[int, int]) -> None:
    view = replace(statement(*map(row, range(12))), letterhead=Letterhead(paper=paper))
    with pikepdf.open(BytesIO(documents.render_statement(view))) as opened:
        assert len(opened.pages) > 1
        boxes = {tuple(round(float(edge)) for edge in page.mediabox) for page in opened.pages}
    assert boxes == {(0, 0, *size)}


def test_two_renders_more_than_a_second_apart_are_the_same_bytes(documents: Documents) -> None:
    view = replace(statement(), letterhead=Letterhead(logo=DRAWN))
    first = documents.render_statement(view)
    time.sleep(1.1)
    assert documents.render_statement(view) == first
    assert Documents(Templates()).render_statement(view) == first


def test_250_windows_fill_pages_that_all_say_where_they_belong(documents: Documents) -> None:
    shown = pages(documents.render_statement(statement(*map(row, range(250)))))
    for number, page in enumerate(shown, start=1):
        assert f"Page {number} of {len(shown)}" in page
        assert "Recorded" in page
    whole = "".join(shown)
    assert all(f"cus_{number}:api_calls" in whole for number in range(250))


def test_a_confirmation_is_dated_and_everything_else_is_not(documents: Documents) -> None:
    confirmed = replace(statement(), confirmed_at=datetime(2026, 10, 1, 8, 30, tzinfo=UTC) + timedelta(microseconds=5))
    assert "Confirmed as finalized 2026-10-01 08:30 UTC" in pages(documents.render_statement(confirmed))[0]
    assert "Confirmed" not in pages(documents.render_statement(statement()))[0]


def test_figures_keep_every_digit_in_every_language(documents: Documents) -> None:
    for _, view in examples.statements():
        if view.windows and view.verdict == "matched":
            exact = replace(view.windows[0], billed=Decimal("1234567.000001"), recorded=Decimal("1234567.000001"))
            (page, *_) = pages(documents.render_statement(replace(view, windows=(exact,))))
            assert page.count("1234567.000001") == 2


def test_the_templates_folder_of_the_checkout_is_what_ships() -> None:
    assert {path.name for path in Templates().folders[0].iterdir()} >= {"statement.typ", "typst"}
    assert Path(Templates().folders[0] / "typst/builtin/statement/1.0.0/typst.toml").is_file()
