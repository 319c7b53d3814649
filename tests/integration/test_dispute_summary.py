"""The dispute summary: always one page, equal bytes for equal views, nothing read as markup."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import pikepdf
import pypdfium2
import pytest

from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.documents.dispute_summary import SUMMARY_TEMPLATE
from pacspace_stripe.documents.renderer import Documents
from pacspace_stripe.documents.rules.letterhead import Letterhead, Logo, Paper
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.documents.views import SummaryView, UsageWindow
from pacspace_stripe.errors import RenderError
from tests.support.document_views import A4, HOSTILE
from tests.support.pdfs import pages, reopened, texts

ROOT, SHA256 = "0x" + "ab" * 32, "12" * 32
WINDOW = UsageWindow(
    account="cus_1:api_calls",
    meter="api_calls",
    start=datetime(2026, 10, 1, tzinfo=UTC),
    end=datetime(2026, 11, 1, tzinfo=UTC),
    billed=Decimal("1250.5"),
    recorded=Decimal("1250.5"),
    count=42,
    proof_root=ROOT,
    covered=42,
    net=Decimal("-1250.5"),
    verify_url=f"https://app.pacspace.io/verify/{ROOT}",
)
VIEW = SummaryView(
    invoice_id="in_1QXb2LkdIwHu7ix8",
    number="NW-2026-0042",
    customer_id="cus_1",
    customer="Globex Corporation",
    livemode=True,
    verdict="matched",
    reason="EXACT",
    tolerance=Decimal("0.5"),
    waiver=None,
    of_draft=True,
    decided_at=datetime(2026, 11, 1, 1, 0, 7, tzinfo=UTC),
    confirmed_at=datetime(2026, 11, 1, 1, 5, tzinfo=UTC),
    windows=(WINDOW,),
    evidence_sha256=SHA256,
    stamped=True,
)


@pytest.fixture(scope="module")
def documents() -> Documents:
    return Documents(Templates())


def page(documents: Documents, view: SummaryView) -> str:
    """Return the text of its one page."""
    with pypdfium2.PdfDocument(documents.render_summary(view)) as document:
        assert len(document) == 1
        assert tuple(map(round, document[0].get_size())) == A4
        return " ".join(document[0].get_textpage().get_text_range().split())


def several(count: int, window: UsageWindow = WINDOW) -> tuple[UsageWindow, ...]:
    return tuple(
        replace(window, meter=f"{window.meter}{number}", verify_url=f"{window.verify_url}{number}")
        for number in range(count)
    )


@pytest.mark.parametrize("count", [0, 1, 2, 5, 8, 9, 250])
def test_a_summary_of_any_number_of_windows_is_one_page_and_counts_those_left_out(
    documents: Documents, count: int
) -> None:
    said = page(documents, replace(VIEW, windows=several(count)))
    shown = len(re.findall(r"api_calls\d", said))
    left_out = re.search(r"… and (\d+) more, see statement.pdf", said)
    assert shown + (int(left_out[1]) if left_out else 0) == count
    assert shown >= min(count, 5)
    assert SHA256 in said


def test_a_summary_with_the_longest_values_is_one_page(documents: Documents) -> None:
    longest = replace(
        WINDOW,
        meter="W" * 300,
        billed=Decimal("123456789012345.123456789012345"),
        recorded=Decimal("123456789012345.123456789012345"),
        count=10**9,
        verify_url="https://example.com/" + "y" * 480,
    )
    view = replace(
        VIEW,
        number="N" * 300,
        customer="Ö" * 300,
        customer_id="c" * 255,
        verdict="waived",
        reason="OVERBILLED",
        waiver="w" * 500,
        livemode=False,
        windows=several(30, longest),
    )
    said = page(documents, view)
    assert "… and 29 more" in said
    assert SHA256 in said
    assert "y" * 480 in said.replace(" ", "")
    assert "Ö" * 300 not in said.replace(" ", "")


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("reason", ["EXACT", "WITHIN_TOLERANCE", "ZERO", "OVERBILLED", "NOT_SETTLED"])
@pytest.mark.parametrize("confirmed", [True, False])
def test_a_summary_names_every_verdict_in_words(
    documents: Documents, verdict: Verdict, reason: str, *, confirmed: bool
) -> None:
    at = VIEW.confirmed_at if confirmed else None
    said = page(documents, replace(VIEW, verdict=verdict.value, reason=reason, waiver="agreed", confirmed_at=at))
    assert not [code for code in Reason if code.value in said]
    assert ("and again on 1 November 2026, 01:05 UTC" in said) is confirmed
    assert ("“agreed”" in said) is (verdict is Verdict.WAIVED)
    assert ("at most 0.5" in said) is (verdict is Verdict.MATCHED and reason == "WITHIN_TOLERANCE")
    assert ("exactly" in said) is (verdict is Verdict.MATCHED and reason in ("EXACT", "OVERBILLED", "NOT_SETTLED"))


def test_a_summary_claims_only_what_the_evidence_has(documents: Documents) -> None:
    bare = replace(WINDOW, proof_root=None, covered=None, net=None, verify_url=None)
    said = page(documents, replace(VIEW, windows=(bare,), of_draft=False, confirmed_at=None, stamped=False))
    assert "There is no fingerprint of these entries." in said
    assert "after the invoice was made final" in said
    assert "names the same value" not in said
    assert "Open" not in said
    proven = page(documents, VIEW)
    assert "was not calculated again" in proven
    assert "Test data" not in proven
    stale = page(documents, replace(VIEW, windows=(replace(WINDOW, stale=True),)))
    assert "This fingerprint covers other entries than those that were compared." in stale


def test_a_summary_prints_not_known_for_unknown_values(documents: Documents) -> None:
    blank = replace(WINDOW, start=None, end=None, billed=None, recorded=None, count=None)
    said = page(documents, replace(VIEW, windows=(blank,), customer=None, number=None))
    assert said.count("not known") == 4
    assert "Usage record for invoice in_1QXb2LkdIwHu7ix8" in said
    assert "cus_1" in said


def test_one_link_for_all_windows_is_shown_once(documents: Documents) -> None:
    said = page(documents, replace(VIEW, windows=(WINDOW, replace(WINDOW, meter="storage"))))
    assert said.count("https://") == 1


@pytest.mark.parametrize("name", ["Ακμή Акме", "אקמי בע״מ", "شركة أكمي", "Łódź ŐŰ"])
def test_names_in_other_scripts_are_printed(documents: Documents, name: str) -> None:
    said = page(documents, replace(VIEW, customer=name, windows=(replace(WINDOW, meter=name),)))
    assert "1250.5 1250.5 42" in said
    assert ROOT in said


def test_a_character_that_no_font_has_is_named(documents: Documents) -> None:
    with pytest.raises(RenderError, match=SUMMARY_TEMPLATE):
        documents.render_summary(replace(VIEW, customer="東京"))


def test_a_summary_has_the_vendors_letterhead(documents: Documents) -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="300" height="90"><rect width="300" height="90"/></svg>'
    logo = Logo(file="logo.svg", media_type="image/svg+xml", content=svg)
    bare = replace(VIEW, letterhead=Letterhead(vendor="Northwind Data GmbH", paper=Paper.LETTER))
    pdf = documents.render_summary(replace(bare, letterhead=replace(bare.letterhead, logo=logo)))
    with pypdfium2.PdfDocument(pdf) as document:
        assert len(document) == 1
        assert tuple(map(round, document[0].get_size())) == (612, 792)
    assert "SellerNorthwindDataGmbH" in texts(pdf)[0]
    with reopened(pdf) as drawn, reopened(documents.render_summary(bare)) as plain:
        assert len(drawn.pages[0].Contents.read_bytes()) != len(plain.pages[0].Contents.read_bytes())
    assert "Seller" not in texts(documents.render_summary(VIEW))[0]


@pytest.mark.parametrize("count", [8, 250])
def test_a_summary_on_letter_paper_is_one_page(documents: Documents, count: int) -> None:
    letter = Letterhead(vendor="V" * 300, paper=Paper.LETTER)
    pdf = documents.render_summary(replace(VIEW, windows=several(count), letterhead=letter))
    assert len(pages(pdf)) == 1


def test_the_fonts_of_the_settings_are_used(documents: Documents) -> None:
    fonts = Path(str(files("fontpkg_noto_sans_thai"))) / "files"
    thai = replace(VIEW, customer="บริษัท ตัวอย่าง จำกัด")
    assert "บริษัท" in pages(Documents(Templates(fonts=fonts)).render_summary(thai))[0]
    with pytest.raises(RenderError, match=r"no font has .*ก \(U\+0E01\)") as refused:
        documents.render_summary(thai)
    assert "PACSPACE_STRIPE_FONTS" in refused.value.hint


def test_nothing_in_a_summary_is_read_as_markup(documents: Documents) -> None:
    view = replace(
        VIEW, customer=HOSTILE, number=HOSTILE[:50], verdict="waived", waiver=HOSTILE, windows=several(1, WINDOW)
    )
    said = page(documents, view).replace(" ", "")
    assert said.count("{{7*7}}{%raw%}") >= 2
    assert '#panic("x")*b*][' in said


def test_a_link_of_another_kind_is_text(documents: Documents) -> None:
    view = replace(VIEW, windows=(replace(WINDOW, verify_url="javascript:alert(1)"),))
    with pikepdf.open(BytesIO(documents.render_summary(view))) as pdf:
        assert "/Annots" not in pdf.pages[0]
    with pikepdf.open(BytesIO(documents.render_summary(VIEW))) as pdf:
        links = {str(note.A.URI) for note in pdf.pages[0].Annots}
        assert links == {WINDOW.verify_url}


def test_equal_views_give_equal_bytes_with_keywords(documents: Documents) -> None:
    pdf = documents.render_summary(VIEW)
    assert pdf == Documents(Templates()).render_summary(VIEW)
    with pikepdf.open(BytesIO(pdf)) as document, document.open_metadata() as metadata:
        assert metadata.pdfa_status == "3B"
        assert metadata["pdf:Keywords"] == f"evidence-sha256:{SHA256}, proof-root:{ROOT}"


def test_a_users_own_template_takes_its_place(tmp_path: Path) -> None:
    (tmp_path / SUMMARY_TEMPLATE).write_text(
        "#let data = json(bytes(sys.inputs.data))\n#set document(title: data.invoice)\nOurs: #data.customer"
    )
    assert page(Documents(Templates(tmp_path)), VIEW) == "Ours: Globex Corporation"


def test_times_in_a_summary_are_in_utc(documents: Documents) -> None:
    somewhere = replace(VIEW, decided_at=VIEW.decided_at.astimezone(tz=None) + timedelta(0))
    assert documents.render_summary(somewhere) == documents.render_summary(VIEW)
