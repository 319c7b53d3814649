"""The vendor's fonts and logo, QR codes and daily bars."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import pikepdf
import pypdfium2
import pytest
from PIL import Image

from pacspace_stripe.documents.charts import bars
from pacspace_stripe.documents.pictures import qr_code
from pacspace_stripe.documents.renderer import Documents
from pacspace_stripe.documents.rules.letterhead import Letterhead, Logo
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.documents.views import Day, StatementView
from pacspace_stripe.errors import ConfigurationError, RenderError
from tests.support.document_views import row, statement
from tests.support.pdfs import pages

THAI = "บริษัท ตัวอย่าง จำกัด"
SEPTEMBER = date(2026, 9, 1)
RED = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 3"><rect width="9" height="3" fill="#c81e1e"/></svg>'


@pytest.fixture(scope="module")
def documents() -> Documents:
    return Documents(Templates())


def picture(pdf: bytes) -> Image.Image:
    with pypdfium2.PdfDocument(pdf) as opened:
        image: Image.Image = opened[0].render(scale=2).to_pil()
    return image


def colours(pdf: bytes) -> set[tuple[int, ...]]:
    """Return the colours of more than a few pixels."""
    counted = picture(pdf).convert("RGB").getcolors(1 << 24) or []
    return {colour for count, colour in counted if count > 200 and isinstance(colour, tuple)}


# -- fonts --------------------------------------------------------------------------------------------------------


def test_a_name_that_no_built_in_font_has_is_printed_with_the_vendors(documents: Documents) -> None:
    view = replace(statement(), customer=THAI)
    with pytest.raises(RenderError, match=r"no font has .*\(U\+0E1A\)"):
        documents.render_statement(view)
    fonts = Path(str(files("fontpkg_noto_sans_thai"))) / "files"
    mine = Documents(Templates(fonts=fonts))
    pdf = mine.render_statement(view)
    assert "บริ" in pages(pdf)[0]
    assert mine.typesetter.families == ["Noto Sans Thai"]
    with pikepdf.open(BytesIO(pdf)) as opened:
        named = {str(each.BaseFont) for each in opened.objects if "/BaseFont" in getattr(each, "keys", tuple)()}
    assert any("NotoSansThai" in name for name in named)
    assert Documents(Templates(fonts=fonts)).render_statement(view) == pdf


def test_the_vendors_fonts_change_nothing_that_ours_can_print(documents: Documents) -> None:
    fonts = Path(str(files("fontpkg_noto_sans_thai"))) / "files"
    mine = pages(Documents(Templates(fonts=fonts)).render_statement(statement()))
    assert mine == pages(documents.render_statement(statement()))


@pytest.mark.parametrize(
    "view",
    [
        replace(statement(), customer="株"),
        replace(statement(), number="株"),
        replace(statement(), invoice_id="株"),
        replace(statement(), footer="株"),
        replace(statement(), verdict="waived", reason="株"),
        replace(statement(), letterhead=Letterhead(vendor="株")),
        statement(replace(row(), meter="株")),
        statement(replace(row(), account="株")),
        statement(replace(row(), verify_url="https://x.example/株")),
    ],
)
def test_a_character_without_a_glyph_is_named_wherever_it_stands(documents: Documents, view: StatementView) -> None:
    with pytest.raises(RenderError, match=r"株 \(U\+682A\)"):
        documents.render_statement(view)


# -- the logo -----------------------------------------------------------------------------------------------------


def drawn(kind: str, size: tuple[int, int] = (300, 100)) -> Logo:
    if kind == "SVG":
        content = RED
    else:
        file = BytesIO()
        Image.new("RGB", size, (200, 30, 30)).save(file, kind)
        content = file.getvalue()
    types = {"PNG": "image/png", "JPEG": "image/jpeg", "SVG": "image/svg+xml"}
    return Logo(file=f"logo.{kind}", media_type=types[kind], content=content)


def with_logo(logo: Logo) -> StatementView:
    return replace(statement(), letterhead=Letterhead(logo=logo))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "SVG"])
def test_the_logo_is_on_the_page(documents: Documents, kind: str) -> None:
    def reds(pdf: bytes) -> int:
        return len([colour for colour in colours(pdf) if colour[0] > 180 and max(colour[1:]) < 60])

    assert reds(documents.render_statement(with_logo(drawn(kind)))) >= 1
    assert reds(documents.render_statement(statement())) == 0


@pytest.mark.parametrize("size", [(2000, 10), (10, 2000), (1, 1)])
def test_a_logo_of_any_shape_stays_on_the_page(documents: Documents, size: tuple[int, int]) -> None:
    (page, *more) = pages(documents.render_statement(with_logo(drawn("PNG", size))))
    assert "Page 1 of 1" in page
    assert not more


@pytest.mark.parametrize(
    "logo",
    [
        replace(drawn("PNG"), content=drawn("PNG").content[:60]),
        replace(drawn("PNG"), content=drawn("PNG").content[:9]),
        replace(drawn("JPEG"), content=drawn("JPEG").content[:30]),
        replace(drawn("SVG"), content=b"<svg <"),
        replace(drawn("SVG"), content=b"<html>no <svg</html>"),
    ],
)
def test_a_broken_logo_is_a_wrong_setting(documents: Documents, logo: Logo) -> None:
    with pytest.raises(ConfigurationError, match=r"^PACSPACE_STRIPE_LOGO: cannot be shown: ") as caught:
        documents.render_statement(with_logo(logo))
    assert caught.value.hint


# -- QR codes -----------------------------------------------------------------------------------------------------


def codes(documents: Documents, view: StatementView) -> int:
    with pikepdf.open(BytesIO(documents.render_statement(view))) as opened:
        return sum(1 for each in opened.objects if "/Alt" in getattr(each, "keys", tuple)())


def test_each_link_has_one_qr_code_and_too_many_links_have_none(documents: Documents) -> None:
    shared = replace(row(1), verify_url=row().verify_url)
    assert codes(documents, statement()) == 1
    assert codes(documents, statement(row(), shared)) == 1
    assert codes(documents, statement(*map(row, range(6)))) == 6
    assert codes(documents, statement(*map(row, range(7)))) == 0


@pytest.mark.parametrize("url", ["javascript:alert(1)", "file:///etc/passwd", "", "https://x.example/" + "v" * 483])
def test_other_text_and_addresses_too_long_for_paper_have_no_qr_code(url: str) -> None:
    assert qr_code(url) is None


def test_a_qr_code_is_the_same_whenever_it_is_drawn() -> None:
    url = "https://app.pacspace.io/verify/0x" + "ab" * 32
    first = qr_code(url)
    qr_code.cache_clear()
    assert first is not None
    assert first.startswith("<svg")
    assert qr_code(url) == first


# -- daily bars ---------------------------------------------------------------------------------------------------


def days(*figures: tuple[str | None, str | None]) -> tuple[Day, ...]:
    return tuple(
        Day(
            on=SEPTEMBER + timedelta(days=number),
            billed=None if billed is None else Decimal(billed),
            recorded=None if recorded is None else Decimal(recorded),
        )
        for number, (billed, recorded) in enumerate(figures)
    )


@pytest.mark.parametrize(
    ("figures", "heights", "zero", "most"),
    [
        ([("10", "5"), ("0", "10")], [(1000, 500), (0, 1000)], 0, "10"),
        ([("0", "0")], [(0, 0)], 0, "0"),
        ([("3", None), (None, "1")], [(1000, None), (None, 333)], 0, "3"),
        ([("75", "75"), ("-25", "75")], [(750, 750), (-250, 750)], 250, "75"),
        ([("-1", "-2")], [(-500, -1000)], 1000, "-1"),
        ([], [], 0, "0"),
        ([("1E-30", "1E+30")], [(0, 1000)], 0, "1" + "0" * 30),
    ],
)
def test_heights_share_one_scale(
    figures: list[tuple[str | None, str | None]],
    heights: list[tuple[int | None, int | None]],
    zero: int,
    most: str,
) -> None:
    shown = bars(days(*figures))
    assert [(day.billed_height, day.recorded_height) for day in shown.days] == heights
    assert (shown.zero, shown.most) == (zero, most)


def test_a_day_differs_when_both_sides_are_known_and_not_equal() -> None:
    shown = bars(days(("1", "1"), ("1", "2"), ("1", None), ("0.1", "0.1000000000000000055")))
    assert [day.differs for day in shown.days] == [False, True, False, False]


def test_bars_are_drawn_where_daily_figures_are_known(documents: Documents) -> None:
    known = replace(row(), days=days(*[(str(number), str(number)) for number in range(1, 31)]))
    pdf = documents.render_statement(statement(known, row(1)))
    (page,) = pages(pdf)
    assert page.count("Most in a day: 30") == 1
    assert "2026-09-01 2026-09-30" in " ".join(page.split())
    assert (143, 168, 200) in colours(pdf)
    assert "day" not in pages(documents.render_statement(statement()))[0]


def test_a_day_that_differs_is_marked(documents: Documents) -> None:
    equal = replace(row(), days=days(*[("5", "5")] * 10))
    differing = replace(row(), days=days(*[("5", "5")] * 6, *[("5", "4")] * 4))
    marked = (156, 51, 38)
    assert marked in colours(documents.render_statement(statement(differing)))
    assert marked not in colours(documents.render_statement(statement(equal)))


@pytest.mark.parametrize("count", [1, 2, 31, 366])
def test_any_number_of_days_fits(documents: Documents, count: int) -> None:
    window = replace(row(), days=days(*[("7.5", "-7.5")] * count))
    assert len(pages(documents.render_statement(statement(window)))) == 1
