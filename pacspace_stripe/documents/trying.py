"""Every template filled with examples: what is wrong with one shows before a customer's invoice needs it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO

import pikepdf

from pacspace_stripe.documents import examples
from pacspace_stripe.documents.charts import CHART_TEMPLATE
from pacspace_stripe.documents.footers import FOOTER_TEMPLATE
from pacspace_stripe.documents.overlay.strips import OVERLAY_TEMPLATE, Strips
from pacspace_stripe.documents.rendering import Documents
from pacspace_stripe.documents.rules.letterhead import Letterhead
from pacspace_stripe.documents.statement_values import STATEMENT_TEMPLATE
from pacspace_stripe.documents.summary import SUMMARY_TEMPLATE
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.documents.typesetting import PictureKind
from pacspace_stripe.documents.views import FooterView, StatementView, SummaryView
from pacspace_stripe.errors import PacspaceStripeError
from pacspace_stripe.explain.rules.explanation import Explanation
from pacspace_stripe.gate.rules.footer import TooLong, insert_block

_OWN = "your letterhead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One template filled with one example. ``problem`` is None when it could be."""

    template: str
    example: str
    problem: PacspaceStripeError | None
    note: str = ""


def tried(templates: Templates, letterhead: Letterhead) -> Iterator[Tried]:
    """Every template with every example; statement and summary also with the vendor's own ``letterhead``."""
    for problem in templates.unused():
        yield Tried(template=str(problem).partition(":")[0], example="name", problem=problem)
    documents = Documents(templates)
    for name, footer in examples.footers():
        yield filled(FOOTER_TEMPLATE, name, partial(_footer, documents, footer))
    own = (_OWN, replace(examples.statement(), letterhead=letterhead))
    for name, statement in (own, *examples.statements()):
        yield filled(STATEMENT_TEMPLATE, name, partial(_statement, documents, statement))
    strips = Strips(documents.typesetter)
    for name, lines, width in examples.strips():
        yield filled(OVERLAY_TEMPLATE, name, partial(_strip, strips, lines, width))
    own_summary = (_OWN, replace(examples.summary(), letterhead=letterhead))
    for name, summary in (own_summary, *examples.summaries()):
        yield filled(SUMMARY_TEMPLATE, name, partial(_summary, documents, summary))
    for name, drifts in examples.drifts():
        yield filled(CHART_TEMPLATE, name, partial(_chart, documents, drifts))


def filled(template: str, example: str, fill: Callable[[], str]) -> Tried:
    """One of them; ``fill`` says something about what came of it."""
    try:
        return Tried(template=template, example=example, problem=None, note=fill())
    except PacspaceStripeError as error:
        return Tried(template=template, example=example, problem=error)


def _footer(documents: Documents, view: FooterView) -> str:
    block = insert_block(None, documents.render_footer(view))
    if isinstance(block, TooLong):
        return f"{block.length} characters: too long for Stripe"
    return f"{len(block)} characters"


def _statement(documents: Documents, view: StatementView) -> str:
    return f"{len(documents.render_statement(view)):,} bytes"


def _summary(documents: Documents, view: SummaryView) -> str:
    pdf = documents.render_summary(view)
    with pikepdf.open(BytesIO(pdf)) as file:
        pages = len(file.pages)
    return f"{len(pdf):,} bytes" if pages == 1 else f"{pages} pages: many reviewers take one"


def _chart(documents: Documents, drifts: tuple[Explanation, ...]) -> str:
    drawn = [documents.render_chart("in_1QXb2LkdIwHu7ix8", drifts, kind) or b"" for kind in PictureKind]
    return " and ".join(f"{len(each):,} bytes" for each in drawn)


def _strip(strips: Strips, lines: list[str], width: float) -> str:
    with pikepdf.new() as file:
        return f"{strips.draw(lines, width, into=file).height:.0f} points high"
