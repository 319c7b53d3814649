"""The statement's PDF: every value is printed exactly, nothing is markup, and the same view gives the same bytes."""

import hashlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import pikepdf
import pytest

from pacspace_stripe.documents.renderer import Documents
from pacspace_stripe.documents.rules.letterhead import Letterhead
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.documents.typesetting import Attachment
from pacspace_stripe.documents.views import StatementView
from pacspace_stripe.errors import RenderError
from tests.support.document_views import A4, HOSTILE, OCTOBER, SHA256, footer, named, root, row, statement
from tests.support.pdfs import dense, pages, right_edges


@pytest.fixture(scope="module")
def documents() -> Documents:
    return Documents(Templates())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_the_statement_of_a_settlement_record_names_it_and_claims_no_root(documents: Documents) -> None:
    record = replace(row(), account="usage-cus_1-2026-09", record_key="usage-cus_1-2026-09", proof_root=None)
    view = replace(statement(replace(record, verify_url=None)), footer="the footer")
    (text,) = pages(documents.render_statement(view))
    assert "usage-cus_1-2026-09" in text
    assert "Writes" in text
    assert "root" not in text.lower()


def test_the_statement_shows_every_figure_and_name(documents: Documents) -> None:
    (page,) = pages(documents.render_statement(statement()))
    for said in (
        "Usage statement", "Northwind Data GmbH", "Globex Corporation", "NW-2026-0042", "in_1QXb2LkdIwHu7ix8",
        "2026-10-01 03:14:15 UTC", SHA256, "Matched", "EXACT", "Both are equal in every window.", "api_calls",
        "2026-09-01 00:00 to 2026-10-01 00:00", "1250.5", "42", "cus_0:api_calls", root(0), "Page 1 of 1",
    ):  # fmt: skip
        assert said in page
    assert dense(page).count(f"https://app.pacspace.io/verify/{root(0)}") == 1


@pytest.mark.parametrize("count", [1, 4, 22])
def test_the_same_footer_is_on_every_page(documents: Documents, count: int) -> None:
    text = documents.render_footer(footer(*map(named, range(count))))
    pdf = documents.render_statement(replace(statement(*map(row, range(count))), footer=text))
    shown = pages(pdf)
    assert len(shown) > count // 10
    for number, page in enumerate(shown, start=1):
        assert dense(text) in dense(page)
        assert f"Page {number} of {len(shown)}" in page
        assert "Billed" in page
        assert "Recorded" in page


def test_many_windows_flow_over_pages_and_none_is_lost(documents: Documents) -> None:
    text = "".join(pages(documents.render_statement(statement(*map(row, range(50))))))
    for number in range(50):
        assert f"cus_{number}:api_calls" in text
        assert f"\n{root(number)}" in text.replace("\r", "").replace("Proof root ", "\n")


def test_the_same_view_gives_the_same_bytes(documents: Documents) -> None:
    first = documents.render_statement(statement())
    assert documents.render_statement(statement()) == first
    assert Documents(Templates()).render_statement(statement()) == first


def test_the_same_view_gives_the_same_bytes_in_another_process_zone_and_language(documents: Documents) -> None:
    program = (
        "import hashlib; from tests.support import document_views as t;"
        "from pacspace_stripe.documents.renderer import Documents;"
        "from pacspace_stripe.documents.templates import Templates;"
        "print(hashlib.sha256(Documents(Templates()).render_statement(t.statement())).hexdigest())"
    )
    away = {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", program], env=away, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == hashlib.sha256(documents.render_statement(statement())).hexdigest()


def test_threads_may_render_at_once(documents: Documents) -> None:
    views = [replace(statement(), customer=f"Customer {number}") for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(documents.render_statement, views))
    assert together == [documents.render_statement(view) for view in views]


def test_the_statement_is_pdf_a_3b_and_carries_hash_and_root(documents: Documents) -> None:
    with pikepdf.open(BytesIO(documents.render_statement(statement()))) as pdf:
        assert pdf.check_pdf_syntax() == []
        with pdf.open_metadata() as xmp:
            assert (xmp["pdfaid:part"], xmp["pdfaid:conformance"]) == ("3", "B")
            assert xmp["dc:title"] == "Usage statement for invoice NW-2026-0042"
            assert xmp["xmp:CreateDate"].startswith("2026-10-01T03:14:15")
            assert f"evidence-sha256:{SHA256}" in str(xmp["pdf:Keywords"])
            assert f"proof-root:{root(0)}" in str(xmp["pdf:Keywords"])
        boxes = {tuple(round(float(edge)) for edge in page.mediabox) for page in pdf.pages}
        assert boxes == {(0, 0, *A4)}


@pytest.mark.parametrize(
    "view",
    [
        replace(statement(), customer=HOSTILE),
        replace(statement(), letterhead=Letterhead(vendor=HOSTILE)),
        replace(statement(), number=HOSTILE),
        replace(statement(), invoice_id=HOSTILE),
        replace(statement(), reason=HOSTILE),
        replace(statement(), verdict=HOSTILE),
        replace(statement(), footer=HOSTILE),
        statement(replace(row(), account=HOSTILE)),
        statement(replace(row(), meter=HOSTILE)),
        statement(replace(row(), proof_root=HOSTILE)),
        statement(replace(row(), verify_url=HOSTILE)),
    ],
)
def test_text_that_looks_like_markup_is_printed_as_it_is(documents: Documents, view: StatementView) -> None:
    assert dense(HOSTILE) in dense("".join(pages(documents.render_statement(view))))


@pytest.mark.parametrize("character", list("#*]$\\\"'_`<@~=-+/[{}|&%"))
def test_each_character_of_markup_alone_is_printed(documents: Documents, character: str) -> None:
    view = replace(statement(), customer=f"A{character}B {character}")
    assert f"A{character}B {character}" in pages(documents.render_statement(view))[0]


def test_only_web_addresses_become_links(documents: Documents) -> None:
    def links(url: str) -> int:
        with pikepdf.open(BytesIO(documents.render_statement(statement(replace(row(), verify_url=url))))) as pdf:
            return len(pdf.pages[0].get("/Annots", []))

    assert links("https://app.pacspace.io/verify/1") == 1
    assert links("javascript:alert(1)") == links("file:///etc/passwd") == 0


def test_a_drifted_statement_shows_the_exact_difference(documents: Documents) -> None:
    drifted = replace(row(), billed=Decimal("1500.25"), recorded=Decimal("1498.1250"))
    view = replace(statement(row(1), drifted), verdict="drifted", reason="OVERBILLED")
    (page,) = pages(documents.render_statement(view))
    assert "Drifted" in page
    assert "More was billed than recorded." in page
    assert page.count("Difference") == 1
    assert "2.125 (billed less recorded)" in page
    assert "1498.125\r\n" in page or "1498.125 " in page


def test_unknown_figures_are_printed_as_not_known(documents: Documents) -> None:
    unknown = replace(row(), recorded=None, count=None, proof_root=None, verify_url=None)
    view = replace(
        statement(unknown), verdict="unproven", reason="LEDGER_UNAVAILABLE", number=None, letterhead=Letterhead()
    )
    (page,) = pages(documents.render_statement(view))
    assert page.count("not known") == 2
    assert "The ledger could not be read." in page
    assert "Difference" not in page


def test_zero_usage_says_why_there_is_no_root(documents: Documents) -> None:
    zero = replace(row(), billed=Decimal(0), recorded=Decimal(0), count=0, proof_root=None, verify_url=None)
    (page,) = pages(documents.render_statement(replace(statement(zero), reason="ZERO")))
    assert "None: nothing was recorded" in page


def test_a_waiver_prints_its_reason_and_an_unknown_verdict_its_name(documents: Documents) -> None:
    waived = replace(statement(), verdict="waived", reason="Agreed with the customer by phone")
    assert "Reason: Agreed with the customer by phone" in pages(documents.render_statement(waived))[0]
    assert "postponed" in pages(documents.render_statement(replace(statement(), verdict="postponed", reason="")))[0]


@pytest.mark.parametrize(
    "view",
    [
        replace(
            statement(),
            customer="A" * 300,
            letterhead=Letterhead(vendor="V" * 200),
            number="N" * 26,
            invoice_id="in_" + "9" * 200,
        ),
        replace(statement(), customer="Very Long Name " * 30, reason="r" * 500, footer="f" * 2000),
        statement(replace(row(), account="a" * 255, meter="m" * 100, verify_url="https://x.example/" + "v" * 300)),
        statement(
            replace(row(), billed=Decimal("1234567890" * 5 + ".123456789"), recorded=Decimal("1E-40"), count=10**25)
        ),
    ],
)
def test_long_values_stay_on_the_page(documents: Documents, view: StatementView) -> None:
    margin = (A4[0] - 166 / 25.4 * 72) / 2
    pdf = documents.render_statement(view)
    assert max(right_edges(pdf)) <= A4[0] - margin + 1
    printed = dense("".join(pages(pdf)))
    for said in (
        view.customer,
        view.letterhead.vendor,
        view.invoice_id,
        view.reason,
        view.footer,
        view.windows[0].account,
    ):
        assert dense(said or "") in printed


def test_a_footer_that_no_page_can_hold_is_an_error(documents: Documents) -> None:
    with pytest.raises(RenderError, match="the footer does not fit on a page"):
        documents.render_statement(replace(statement(), footer="line\n" * 400))


@pytest.mark.parametrize("name", ["شركة المثال", "חברת דוגמה בע״מ", "Ελληνική", "Ромашка", "Đặng & Søn ğş ẞ"])
def test_many_scripts_are_printed(documents: Documents, name: str) -> None:
    documents.render_statement(replace(statement(), customer=name))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("株 Ltd", "株 (U+682A)"),
        ('A "한국" \\', "국 (U+AD6D), 한 (U+D55C)"),
        ("so happy 😀", "😀 (U+1F600)"),
        ("\U0010fffd", "\U0010fffd (U+10FFFD)"),
    ],
)
def test_a_character_that_no_font_has_is_named_and_never_a_box(documents: Documents, name: str, said: str) -> None:
    with pytest.raises(RenderError, match=rf"^statement.typ: no font has {re.escape(said)}$") as caught:
        documents.render_statement(replace(statement(), customer=name))
    assert "PACSPACE_STRIPE_FONTS" in caught.value.hint


def test_a_template_with_a_character_that_no_font_has_is_an_error(folder: Path) -> None:
    (folder / "statement.typ").write_text("\n株", encoding="utf-8")
    with pytest.raises(RenderError, match=r"^statement.typ: no font has 株 \(U\+682A\)"):
        Documents(Templates(folder)).render_statement(statement())


def test_attachments_are_in_the_file_to_the_byte_whatever_the_template_does(folder: Path) -> None:
    (folder / "plain.typ").write_text("Nothing about attachments.")
    content = '{"name":"Zoë ☃ 株","quote":"\\"#panic()\\""}\n'.encode()
    attachment = Attachment(name="evidence.json", content=content, mime_type="application/json", description="all")
    documents = Documents(Templates(folder))
    pdf = documents.typesetter.pdf("plain.typ", {}, issued_at=OCTOBER, attachments=(attachment,))
    with pikepdf.open(BytesIO(pdf)) as opened:
        assert opened.attachments["evidence.json"].get_file().read_bytes() == content


def test_control_characters_and_halves_of_characters_do_not_reach_the_page(documents: Documents) -> None:
    view = replace(statement(), customer="A\x00B\ud800C\u202eD\r\nE", footer="one\r\ntwo\x07")
    assert "ABCD E" in pages(documents.render_statement(view))[0]


def test_times_without_a_zone_are_refused(documents: Documents) -> None:
    with pytest.raises(ValueError, match="must have a time zone"):
        documents.render_statement(replace(statement(), issued_at=datetime(2026, 10, 1)))  # noqa: DTZ001  # the point
