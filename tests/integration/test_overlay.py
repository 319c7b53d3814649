"""The overlay: the footer below every page of any PDF, and the evidence inside the file."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from shutil import copytree

import pikepdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pikepdf import Array, Dictionary, Encryption, Name, Pdf
from PIL.Image import Image

from pacspace_stripe.documents.overlay import LARGEST_PDF, Overlay, PdfStamp
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.documents.typesetting import Typesetter
from pacspace_stripe.errors import RenderError
from tests.support.invoice_pdfs import (
    ROOT,
    WRITING,
    Page,
    attach,
    built,
    darkest,
    difference,
    page,
    parts,
    pdf_of,
    shown,
    stamp,
)
from tests.support.pdfs import dense, reopened, texts, written

STEPS = 2
"""Levels of 256 by which a pixel may differ where a viewer cuts a drawing at another edge of its picture."""

PAGES = {
    "plain": page(),
    "letter": page((0, 0, 612, 792)),
    "turned right": page(rotate=90),
    "upside down": page(rotate=180),
    "turned left": page(rotate=270),
    "turned left by a negative angle": page(rotate=-90),
    "turned by an angle that no viewer obeys": page(rotate=45),
    "cropped": page(crop=(50, 40, 545, 800)),
    "cropped and turned right": page(crop=(50, 40, 545, 800), rotate=90),
    "cropped and upside down": page(crop=(50, 40, 545, 800), rotate=180),
    "cropped and turned left": page(crop=(50, 40, 545, 800), rotate=270),
    "cropped beyond the paper": page(crop=(-50, -50, 400, 1000)),
    "another origin": page((-200, -100, 395, 742)),
    "another origin, turned": page((100, 300, 695, 1142), rotate=90),
    "corners the other way round": page((595, 842, 0, 0)),
    "large units": page((0, 0, 300, 400), unit=2),
    "large units, turned": page((0, 0, 300, 400), unit=2, rotate=270),
    "a unit of nothing": page(unit=0),
    "narrow as a receipt": page((0, 0, 120, 400)),
    "small as a stamp": page((0, 0, 30, 20)),
    "a banner": page((0, 0, 3000, 900)),
    "trimmed": page(trim=(20, 20, 575, 822), bleed=(10, 10, 585, 832), art=(30, 30, 560, 800)),
    "states left open": page(content=f"q q 0.5 0 0 0.5 100 100 cm {WRITING}"),
    "states closed too often": page(content=f"Q Q EMC ET 0.5 0 0 0.5 100 100 cm {WRITING}"),
    "text left open": page(content=f"{WRITING} BT /F1 5 Tf 3 Tr"),
    "ends inside a string": page(content=f"{WRITING} BT (abc"),
    "hidden to its end": page(content=f"/OC /Layer BDC {WRITING}"),
    "clipped to a corner": page(content=f"0 0 10 10 re W n {WRITING}"),
    "content in pieces": page(content=["q 1 0 0 1", f" 20 20 cm {WRITING}"]),
    "nothing on it": page(content=None),
}


@pytest.fixture(scope="module")
def overlay() -> Overlay:
    return Overlay(Typesetter(Templates()))


def upright_strip(overlay: Overlay, width: int, stamped: PdfStamp) -> Image:
    plain = pdf_of(page((0, 0, width, 100)))
    return parts(shown(plain)[0], shown(overlay.stamp(plain, stamped).pdf)[0])[1]


# -- pages --------------------------------------------------------------------------------------------------------


def assert_stamped(overlay: Overlay, one: Page) -> None:
    """Check that the page's picture is untouched, and that the strip stands below it, upright and readable."""
    bare, stamped = pdf_of(one), stamp()
    made = overlay.stamp(bare, stamped)
    before, after = shown(bare)[0], shown(made.pdf)[0]
    kept, strip = parts(before, after)
    assert difference(kept, before) <= STEPS
    if one.unit in {None, 0}:  # PDFium shows a page in its units, not in points
        assert difference(strip, upright_strip(overlay, before.width, stamped)) <= STEPS
    assert darkest(strip) < 240
    assert strip.getpixel((0, strip.height - 1)) == (255, 255, 255)
    said = texts(made.pdf)[0]
    assert all(dense(line) in said for line in stamped.footer.splitlines())


@pytest.mark.parametrize("one", PAGES.values(), ids=PAGES.keys())
def test_every_page_grows_by_an_upright_strip_and_keeps_what_it_shows(overlay: Overlay, one: Page) -> None:
    assert_stamped(overlay, one)


sizes = st.integers(20, 1200)
places = st.integers(-900, 900)


@st.composite
def any_page(draw: st.DrawFn) -> Page:
    """Generate pages with boxes of any size and place, cropped or not, in any order of corners and any rotation."""
    left, bottom, width, height = draw(places), draw(places), draw(sizes), draw(sizes)
    box = [left, bottom, left + width, bottom + height]
    options: dict[str, object] = {"rotate": draw(st.sampled_from([None, 0, 90, 180, 270, 360, -90, 450]))}
    if draw(st.booleans()):
        inset = [draw(st.integers(0, width // 3)), draw(st.integers(0, height // 3))]
        outset = [draw(st.integers(-width // 3, 50)), draw(st.integers(-height // 3, 50))]
        options["crop"] = [box[0] + inset[0], box[1] + inset[1], box[2] + outset[0], box[3] + outset[1]]
    turned = draw(st.sampled_from([(0, 1, 2, 3), (2, 1, 0, 3), (0, 3, 2, 1), (2, 3, 0, 1)]))
    return page([box[place] for place in turned], **options)


@settings(max_examples=40)
@given(one=any_page())
def test_a_page_with_any_boxes_and_rotation_gets_an_upright_strip(overlay: Overlay, one: Page) -> None:
    assert_stamped(overlay, one)


def test_every_page_has_its_strip(overlay: Overlay) -> None:
    made = overlay.stamp(pdf_of(*PAGES.values()), stamp())
    assert made.pages == len(PAGES)
    assert all(dense(f"Evidence SHA-256: {stamp().evidence_sha256}") in said for said in texts(made.pdf))


def test_the_stamped_file_is_sound(overlay: Overlay) -> None:
    sound = [one for name, one in PAGES.items() if name != "ends inside a string"]
    assert reopened(overlay.stamp(pdf_of(*sound), stamp()).pdf).check_pdf_syntax() == []


def test_pages_of_one_width_share_one_drawing(overlay: Overlay) -> None:
    made = reopened(overlay.stamp(pdf_of(page(), page(rotate=180), page((0, 0, 842, 595), rotate=90)), stamp()).pdf)
    assert len({one.Resources.XObject.PacSpaceStripeFooter.objgen for one in made.pages}) == 1


def test_boxes_reach_around_the_strip_but_for_the_authors_own(overlay: Overlay) -> None:
    bare = page(crop=(10, 10, 585, 832), trim=(20, 20, 575, 822), art=(30, 30, 560, 800))
    file = reopened(overlay.stamp(pdf_of(bare), stamp()).pdf)
    made = file.pages[0].obj
    bottom = made.CropBox[1]
    assert bottom < 0
    assert [list(box) for box in (made.MediaBox, made.CropBox, made.TrimBox, made.ArtBox)] == [
        [0, bottom, 595, 842],
        [10, bottom, 585, 832],
        [20, bottom, 575, 822],
        [30, 30, 560, 800],
    ]


def test_a_crop_that_shows_nothing_is_ignored(overlay: Overlay) -> None:
    made = overlay.stamp(pdf_of(page(crop=(700, 900, 800, 1000))), stamp())
    assert difference(parts(shown(pdf_of(page()))[0], shown(made.pdf)[0])[0], shown(pdf_of(page()))[0]) == 0


def inheriting() -> Pdf:
    """Return a PDF whose pages inherit boxes, rotation and resources and share their content; one has an XObject."""
    pdf = built(page(), page())
    tree, pages = pdf.Root.Pages, [one.obj for one in pdf.pages]
    tree.MediaBox, tree.CropBox = Array([0, 0, 595, 842]), Array([0, 20, 595, 842])
    tree.Rotate, tree.Resources = 90, pages[0].Resources
    shared = pdf.make_indirect(Array([pages[0].Contents]))
    for one in pages:
        for name in ("/MediaBox", "/Resources"):
            del one[name]
        one.Contents = shared
    return pdf


def test_resources_that_pages_share_or_inherit_are_their_own_afterwards(overlay: Overlay) -> None:
    bare = written(inheriting())
    made = overlay.stamp(bare, stamp()).pdf
    for before, after in zip(shown(bare), shown(made), strict=True):
        assert difference(parts(before, after)[0], before) <= STEPS
    file = reopened(made)
    assert "/XObject" not in file.Root.Pages.get("/Resources", {})
    assert [len(one.Contents) for one in file.pages] == [2, 2]


def test_links_stay_where_they_were(overlay: Overlay) -> None:
    pdf = built(page())
    link = Dictionary(Type=Name.Annot, Subtype=Name.Link, Rect=Array([10, 20, 100, 40]), Border=Array([0, 0, 0]))
    pdf.pages[0].obj.Annots = Array([pdf.make_indirect(link)])
    made = reopened(overlay.stamp(written(pdf), stamp()).pdf)
    assert list(made.pages[0].Annots[0].Rect) == [10, 20, 100, 40]


def test_a_drawing_of_the_same_name_is_kept(overlay: Overlay) -> None:
    pdf = built(page(content=f"{WRITING} /PacSpaceStripeFooter Do"))
    theirs = pdf.make_stream(
        b"1 0 0 rg 0 0 50 50 re f", Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 50, 50])
    )
    pdf.pages[0].obj.Resources.XObject = Dictionary(PacSpaceStripeFooter=theirs)
    bare = written(pdf)
    made = overlay.stamp(bare, stamp()).pdf
    assert difference(parts(shown(bare)[0], shown(made)[0])[0], shown(bare)[0]) <= STEPS


# -- what the footer says -----------------------------------------------------------------------------------------


def test_a_long_footer_takes_a_higher_strip(overlay: Overlay) -> None:
    lines = [f"meter_{number}: {number} in 42 records, {ROOT}" for number in range(48)]
    made = overlay.stamp(pdf_of(), stamp(footer="\n".join(lines))).pdf
    assert all(dense(line) in texts(made)[1] for line in lines)
    assert 917 < shown(made)[0].height < 842 * 1.5


def test_other_scripts_are_set(overlay: Overlay) -> None:
    made = overlay.stamp(pdf_of(), stamp(footer="Ωμέγα: 5 in 1 record\nДнём: 6 in 1 record")).pdf
    assert "Ωμέγα:5" in texts(made)[0]
    assert "Днём:6" in texts(made)[0]


def test_a_character_that_no_font_has_is_named(overlay: Overlay) -> None:
    with pytest.raises(RenderError, match=r"no font has 用 \(U\+7528\), 量 \(U\+91CF\)$") as refused:
        overlay.stamp(pdf_of(), stamp(footer="用量: 5 in 1 record"))
    assert "PACSPACE_STRIPE_FONTS" in refused.value.hint


def test_control_characters_are_left_out(overlay: Overlay) -> None:
    made = overlay.stamp(pdf_of(), stamp(footer="api\u202e_calls:\t5\x07 in 1 record")).pdf
    assert "api_calls:5in1record" in texts(made)[0]


def test_nothing_in_a_footer_is_markup(overlay: Overlay) -> None:
    hostile = """#panic("x") *b* ] [ {{ 7*7 }} $x$ \\ "q" 'a' `r` <l> @r // /* _u_ ~ = - +"""
    assert dense(hostile) in texts(overlay.stamp(pdf_of(), stamp(footer=hostile)).pdf)[0]


@pytest.mark.parametrize(
    ("template", "problem"),
    [("#nothing", "overlay.typ line 1: unknown variable"), ("a #pagebreak() b", "overlay.typ: gives 2 pages, not one")],
)
def test_a_users_wrong_template_is_named(tmp_path: Path, template: str, problem: str) -> None:
    (tmp_path / "overlay.typ").write_text(template)
    with pytest.raises(RenderError, match=problem):
        Overlay(Typesetter(Templates(tmp_path))).stamp(pdf_of(), stamp())


def test_a_users_template_is_used(tmp_path: Path) -> None:
    (tmp_path / "overlay.typ").write_text("#set page(width: 300pt, height: auto)\nWe say so.")
    assert "Wesayso." in texts(Overlay(Typesetter(Templates(tmp_path))).stamp(pdf_of(), stamp()).pdf)[0]


# -- the file -----------------------------------------------------------------------------------------------------


def test_the_evidence_is_attached_to_the_letter(overlay: Overlay) -> None:
    file = reopened(overlay.stamp(pdf_of(), stamp()).pdf)
    [attached] = file.Root.AF
    assert file.attachments["evidence.json"].get_file().read_bytes() == stamp().evidence
    said = [str(one) for one in (attached.AFRelationship, attached.UF, attached.EF.F.Subtype)]
    assert said == ["/Data", "evidence.json", "/application/json"]
    assert attached.objgen == file.attachments["evidence.json"].obj.objgen


def test_keywords_name_the_hash_and_each_root_once(overlay: Overlay) -> None:
    file = reopened(overlay.stamp(pdf_of(), replace(stamp(), proof_roots=(ROOT, "0xb", ROOT))).pdf)
    expected = f"evidence-sha256:{stamp().evidence_sha256}, proof-root:{ROOT}, proof-root:0xb"
    assert file.docinfo.Keywords == expected
    assert file.open_metadata()["pdf:Keywords"] == expected


def with_metadata(*, xmp: bool) -> bytes:
    pdf = built()
    pdf.docinfo.Title, pdf.docinfo.Producer, pdf.docinfo.Custom = "Invoice 42", "Somebody", "kept"
    pdf.docinfo.Keywords, pdf.docinfo.CreationDate = "billing, 2026; Ünïcode", "D:nonsense"
    if xmp:
        with pdf.open_metadata(set_pikepdf_as_editor=False, update_docinfo=False) as metadata:
            metadata["dc:title"], metadata["pdf:Keywords"] = "Invoice 42", "billing, 2026; Ünïcode"
            metadata["xmp:CreatorTool"] = "Tool"
    return written(pdf)


@pytest.mark.parametrize("xmp", [False, True])
def test_other_metadata_of_the_file_stays(overlay: Overlay, xmp: bool) -> None:  # noqa: FBT001 - a parameter
    once = overlay.stamp(with_metadata(xmp=xmp), stamp()).pdf
    file = reopened(overlay.stamp(once, stamp(2)).pdf)
    expected = f"billing, 2026; Ünïcode, evidence-sha256:{stamp(2).evidence_sha256}, proof-root:{ROOT}"
    metadata = file.open_metadata()
    info = {str(name): str(value) for name, value in file.docinfo.items()}
    assert (info["/Title"], info["/Custom"], info["/CreationDate"]) == ("Invoice 42", "kept", "D:nonsense")
    assert info["/Keywords"] == metadata["pdf:Keywords"] == expected
    assert metadata["dc:title"] == "Invoice 42"
    assert metadata.get("xmp:CreatorTool") == ("Tool" if xmp else None)


def test_metadata_that_is_no_xml_is_replaced(overlay: Overlay) -> None:
    pdf = built()
    pdf.Root.Metadata = pdf.make_stream(b"<broken", Type=Name.Metadata, Subtype=Name.XML)
    file = reopened(overlay.stamp(written(pdf), stamp()).pdf)
    assert "evidence-sha256:" in file.open_metadata()["pdf:Keywords"]


@pytest.mark.parametrize(("part", "kept"), [("1", None), ("2", None), ("3", "3")])
def test_an_archival_format_is_claimed_only_where_it_takes_attachments(
    overlay: Overlay, part: str, kept: str | None
) -> None:
    pdf = built()
    with pdf.open_metadata(set_pikepdf_as_editor=False) as metadata:
        metadata["pdfaid:part"], metadata["pdfaid:conformance"] = part, "B"
    file = reopened(overlay.stamp(written(pdf), stamp()).pdf)
    assert file.open_metadata().get("pdfaid:part") == kept


def test_other_attachments_stay(overlay: Overlay) -> None:
    pdf = built()
    pdf.Root.AF = Array([attach(pdf, "factur-x.xml", b"<xml/>")])
    file = reopened(overlay.stamp(overlay.stamp(written(pdf), stamp()).pdf, stamp(2)).pdf)
    assert file.attachments["factur-x.xml"].get_file().read_bytes() == b"<xml/>"
    assert file.attachments["evidence.json"].get_file().read_bytes() == stamp(2).evidence
    assert [str(one.UF) for one in file.Root.AF] == ["factur-x.xml", "evidence.json"]


def test_an_attachment_of_the_same_name_that_is_not_evidence_is_not_replaced(overlay: Overlay) -> None:
    pdf = built()
    attach(pdf, "evidence.json", b'{"of": "a crime"}')
    with pytest.raises(RenderError, match=r"has an attachment evidence\.json of its own"):
        overlay.stamp(written(pdf), stamp())


def test_the_same_pdf_and_stamp_give_the_same_bytes(overlay: Overlay) -> None:
    bare = pdf_of(*PAGES.values())
    assert overlay.stamp(bare, stamp()).pdf == Overlay(Typesetter(Templates())).stamp(bare, stamp()).pdf


@pytest.mark.parametrize("bare", [pdf_of(*PAGES.values()), written(inheriting())], ids=["every make", "inheriting"])
def test_a_stamp_is_replaced_not_repeated(overlay: Overlay, bare: bytes) -> None:
    first = overlay.stamp(bare, stamp(1, "a\nmuch\nhigher\nfooter\nthan\nthe\nother\none\nhas"))
    second = overlay.stamp(first.pdf, stamp(2))
    assert (first.again, second.again) == (False, True)
    fresh = overlay.stamp(bare, stamp(2)).pdf
    assert texts(second.pdf) == texts(fresh)
    for one, other in zip(shown(second.pdf), shown(fresh), strict=True):
        assert difference(one, other) <= STEPS
    assert len(reopened(second.pdf).attachments) == 1
    assert abs(len(second.pdf) - len(fresh)) < 400


def test_a_stamp_that_another_program_rewrote_is_not_stamped_twice(overlay: Overlay) -> None:
    file = reopened(overlay.stamp(pdf_of(), stamp()).pdf)
    file.pages[0].contents_coalesce()
    with pytest.raises(RenderError, match="stamped before") as refused:
        overlay.stamp(written(file), stamp(2))
    assert "original" in refused.value.hint


def test_threads_may_share_an_overlay(overlay: Overlay) -> None:
    bare, numbers = pdf_of(), range(12)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda number: overlay.stamp(bare, stamp(number)).pdf, numbers))
    assert made == [overlay.stamp(bare, stamp(number)).pdf for number in numbers]


# -- files that need care, or are refused -------------------------------------------------------------------------


def test_an_empty_password_is_no_obstacle(overlay: Overlay) -> None:
    bare = written(built(), encryption=Encryption(owner="theirs", user=""))
    made = reopened(overlay.stamp(bare, stamp()).pdf)
    assert not made.is_encrypted
    assert made.attachments["evidence.json"].get_file().read_bytes() == stamp().evidence


def signed(*, flags: int = 0, inherited: bool = False, value: bool = True, perms: bool = False) -> bytes:
    pdf = built()
    field = Dictionary(T=pikepdf.String("Signature"))
    if value:
        field.V = pdf.make_indirect(Dictionary(Type=Name.Sig, Contents=pikepdf.String(b"\0" * 8)))
    if inherited:
        field = Dictionary(FT=Name.Sig, Kids=Array([pdf.make_indirect(field)]))
    else:
        field.FT = Name.Sig
    pdf.Root.AcroForm = Dictionary(Fields=Array([pdf.make_indirect(field)]), SigFlags=flags)
    if perms:
        pdf.Root.Perms = Dictionary()
    return written(pdf)


@pytest.mark.parametrize(
    "bare",
    [signed(), signed(inherited=True), signed(flags=3, value=False), signed(value=False, perms=True)],
    ids=["a value", "a value below", "flags", "permissions"],
)
def test_a_signature_is_broken_only_on_request(overlay: Overlay, bare: bytes) -> None:
    with pytest.raises(RenderError, match="signed, and stamping it would break the signature") as refused:
        overlay.stamp(bare, stamp())
    assert "--break-signature" in refused.value.hint
    assert overlay.stamp(bare, stamp(), break_signature=True).pages == 2


def test_a_form_with_endlessly_many_fields_is_refused(overlay: Overlay) -> None:
    pdf = built()
    field = pdf.make_indirect(Dictionary(T=pikepdf.String("again")))
    field.Kids = Array([field])
    pdf.Root.AcroForm = Dictionary(Fields=Array([field]))
    with pytest.raises(RenderError, match="form has too many fields"):
        overlay.stamp(written(pdf), stamp())


def test_an_empty_signature_field_is_no_signature(overlay: Overlay) -> None:
    assert overlay.stamp(signed(value=False, flags=2), stamp()).pages == 2


def xfa() -> bytes:
    pdf = built()
    pdf.Root.AcroForm = Dictionary(XFA=pdf.make_stream(b"<xdp/>"), Fields=Array())
    return written(pdf)


def without_pages() -> bytes:
    return written(Pdf.new())


@pytest.mark.parametrize(
    ("bare", "problem"),
    [
        (b"", "not a PDF"),
        (b"<html>", "not a PDF"),
        (pdf_of()[:-300], "not a PDF, or a damaged one"),
        (pdf_of().replace(b"[ 3 0 R 4 0 R ]", b"[ 3 0 R 4 5 R ]"), "damaged: a page is missing"),
        (written(built(), encryption=Encryption(owner="a", user="b")), "encrypted with a password"),
        (xfa(), "XFA form"),
        (without_pages(), "has 0 pages"),
        (pdf_of(page((0, 0, 0, 842))), "a page has no size"),
        (b"%PDF-1.7\n" + b" " * LARGEST_PDF, "more than 20,971,520 are not read"),
    ],
    ids=["empty", "HTML", "cut off", "a page lost", "password", "XFA", "no pages", "no width", "huge"],
)
def test_a_file_that_cannot_be_stamped_is_refused_with_the_reason_and_what_to_do(
    overlay: Overlay, bare: bytes, problem: str
) -> None:
    with pytest.raises(RenderError, match=problem) as refused:
        overlay.stamp(bare, stamp())
    assert refused.value.hint


@settings(max_examples=60)
@given(place=st.integers(0, 100_000), with_=st.binary(min_size=1, max_size=12))
def test_a_damaged_file_is_either_refused_or_stamped(overlay: Overlay, place: int, with_: bytes) -> None:
    bare = pdf_of(page(crop=(10, 10, 500, 500), rotate=90), page())
    place %= len(bare)
    try:
        made = overlay.stamp(bare[:place] + with_ + bare[place + len(with_) :], stamp())
    except RenderError:
        return
    file = reopened(made.pdf)
    assert file.attachments["evidence.json"].get_file().read_bytes() == stamp().evidence


@pytest.mark.parametrize("beside", [True, False], ids=["beside the templates", "in the settings"])
def test_the_vendors_fonts_are_used(tmp_path: Path, overlay: Overlay, *, beside: bool) -> None:
    fonts = Path(str(files("fontpkg_noto_sans_thai"))) / "files"
    if beside:
        copytree(fonts, tmp_path / "fonts")
    templates = Templates(tmp_path) if beside else Templates(fonts=fonts)
    thai = stamp(footer="การใช้งาน: 5 in 1 record")
    assert "ใช้งาน" in texts(Overlay(Typesetter(templates)).stamp(pdf_of(), thai).pdf)[0]
    with pytest.raises(RenderError, match=r"no font has .*ก \(U\+0E01\)"):
        overlay.stamp(pdf_of(), thai)
