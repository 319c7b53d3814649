"""The daily chart of a drift: as a picture, and in the dispute summary."""

import re
import struct
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from pacspace_stripe.documents.charts import CHART_TEMPLATE, chart_values
from pacspace_stripe.documents.examples import drifts
from pacspace_stripe.documents.renderer import Documents
from pacspace_stripe.documents.rules.letterhead import Letterhead
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.documents.typesetting import PictureKind
from pacspace_stripe.documents.views import days_of
from pacspace_stripe.errors import RenderError
from pacspace_stripe.evidence.dispute_bundle import summary_view
from pacspace_stripe.explain.rules.explanation import Cause, Explanation
from pacspace_stripe.explain.rules.explanation_text import sentence
from pacspace_stripe.gate.rules.state import Waiver
from tests.integration.test_dispute_summary import VIEW, WINDOW, page
from tests.support.bundles import Opened
from tests.support.document_views import HOSTILE
from tests.support.explanations import TWICE
from tests.support.worlds import MIDDLE, World

INVOICE = "in_1QXb2LkdIwHu7ix8"
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def documents() -> Documents:
    return Documents(Templates())


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def shapes(svg: bytes) -> int:
    """Return the number of shapes that a picture draws."""
    return len(ET.fromstring(svg).findall(".//{http://www.w3.org/2000/svg}path"))  # noqa: S314 - our own


# -- the picture ------------------------------------------------------------------------------------------------------


def test_a_drift_is_drawn_as_dots_and_as_lines(documents: Documents) -> None:
    png = documents.render_chart(INVOICE, [TWICE], PictureKind.PNG)
    svg = documents.render_chart(INVOICE, [TWICE], PictureKind.SVG)
    assert png is not None
    assert svg is not None
    width, height = size(png)
    assert 1000 < width < 3000
    assert height < width
    assert shapes(svg) > 5
    assert png == Documents(Templates()).render_chart(INVOICE, [TWICE], PictureKind.PNG)
    assert svg == Documents(Templates()).render_chart(INVOICE, [TWICE], PictureKind.SVG)


def test_each_window_whose_days_are_known_has_a_panel(documents: Documents) -> None:
    one = documents.render_chart(INVOICE, [TWICE], PictureKind.PNG)
    three = documents.render_chart(INVOICE, [TWICE, replace(TWICE, days=()), TWICE, TWICE], PictureKind.PNG)
    assert one is not None
    assert three is not None
    assert size(three)[1] > 2.5 * size(one)[1]
    assert documents.render_chart(INVOICE, [replace(TWICE, days=())], PictureKind.PNG) is None
    assert documents.render_chart(INVOICE, [], PictureKind.SVG) is None


@pytest.mark.parametrize(("name", "explanations"), list(drifts()))
def test_every_shape_of_days_can_be_drawn(
    documents: Documents, name: str, explanations: tuple[Explanation, ...]
) -> None:
    assert documents.render_chart(name, explanations, PictureKind.PNG)


def test_a_picture_sees_exact_figures_and_one_scale() -> None:
    (window,) = chart_values(INVOICE, [TWICE], fonts=[]).windows
    assert (window.days_most, window.days_zero) == ("47,400", 0)
    assert [day.date for day in window.days if day.differs] == ["2026-10-17"]
    assert (window.days[16].billed, window.days[16].recorded) == ("47400", "16000")
    assert window.sentence == sentence(TWICE)


def test_nothing_in_a_picture_is_read_as_markup(documents: Documents) -> None:
    hostile = replace(TWICE, meter=HOSTILE, located=())
    assert documents.render_chart(HOSTILE, [hostile], PictureKind.SVG)


def test_a_users_own_template_draws_in_its_place_on_one_page(tmp_path: Path) -> None:
    own = Documents(Templates(tmp_path))
    template = tmp_path / CHART_TEMPLATE
    template.write_text("#let data = json(bytes(sys.inputs.data))\n#set page(width: 50mm, height: 20mm)\n#data.invoice")
    drawn = own.render_chart(INVOICE, [TWICE], PictureKind.PNG)
    assert drawn is not None
    assert size(drawn) == (394, 157)
    template.write_text("One #pagebreak() two")
    with pytest.raises(RenderError, match=f"^{CHART_TEMPLATE}: is more than one page"):
        own.render_chart(INVOICE, [TWICE], PictureKind.PNG)
    template.write_text("#nobody")
    with pytest.raises(RenderError, match=f"^{CHART_TEMPLATE} line 1: unknown variable: nobody"):
        own.render_chart(INVOICE, [TWICE], PictureKind.SVG)


# -- the page for a dispute's reviewer --------------------------------------------------------------------------------


def test_the_reviewer_reads_where_and_why_and_sees_the_days(documents: Documents) -> None:
    drifted = replace(VIEW, verdict="drifted", reason="OVERBILLED")
    explained = replace(WINDOW, sentence=sentence(TWICE, naming=False), days=days_of(TWICE))
    said = page(documents, replace(drifted, windows=(explained,)))
    assert "Stripe counted 31,400 more than the ledger recorded; these 3 records were most likely sent to" in said
    assert "by day (UTC), at most 47400" in said
    assert "by day" not in page(documents, replace(drifted, windows=(replace(explained, days=()),)))


@pytest.mark.parametrize("count", [1, 2, 8, 250])
def test_a_summary_with_charts_is_still_one_page(documents: Documents, count: int) -> None:
    longest = replace(WINDOW, meter="W" * 300, sentence="word " * 200, days=days_of(TWICE))
    said = page(documents, replace(VIEW, verdict="drifted", windows=(longest,) * count))
    left_out = re.search(r"… and (\d+) more", said)
    assert said.count("by day (UTC)") == count - (int(left_out[1]) if left_out else 0) >= 1


def drifted(folder: Path, database_url: str) -> World:
    """Yield a world with an invoice of which Stripe counted more than the ledger has."""
    made = World(folder, {"PACSPACE_STRIPE_SWEEP": "6h"}, database_url=database_url, validated=False)
    made.subscribe()
    made.use("100")
    made.bill("12", at=MIDDLE + 2 * DAY)
    return made.run()


def test_a_bundle_names_the_cause_of_its_drift_and_no_other_customer(tmp_path: Path, database_url: str) -> None:
    made = drifted(tmp_path, database_url)
    try:
        known = made.app.store.explanations.find(made.invoice_id)
        assert known is not None
        (explanation,) = known.explanations
        elsewhere = replace(explanation, cause=Cause.WRONG_CUSTOMER, counterpart="cus_other")
        made.app.store.explanations.put(made.invoice_id, known.fingerprint, (elsewhere,))
        bundle = made.app.dispute_bundles.of_invoice(made.invoice_id, made_at=made.clock.now())
        (said,) = Opened.of(bundle.content).text("summary.pdf")
        assert sentence(elsewhere, naming=False) in said
        assert "cus_other" not in said
        again = made.app.dispute_bundles.of_invoice(made.invoice_id, made_at=made.clock.now())
        assert again.content == bundle.content
    finally:
        made.app.close()


def test_a_waived_drift_is_explained_by_the_reason_of_the_waiver_alone(tmp_path: Path) -> None:
    made = drifted(tmp_path, f"sqlite:///{tmp_path / 'ours.db'}")
    try:
        known = made.app.store.explanations.find(made.invoice_id)
        assert known is not None
        waiver = Waiver(reason="agreed by phone", by="jane", at=made.clock.now(), figures={})
        made.app.checker.check(made.invoice_id, waiver=waiver)
        decision = made.app.store.chains.decision_of(made.invoice_id)
        view = summary_view(decision, None, None, Letterhead(), known.explanations)
        assert view.verdict == "waived"
        assert [window.sentence for window in view.windows] == [None]
    finally:
        made.app.close()
