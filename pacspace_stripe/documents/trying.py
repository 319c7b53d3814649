"""Every template filled with examples: what is wrong with one shows before a customer's invoice needs it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pacspace_stripe.documents import examples
from pacspace_stripe.documents.footers import FOOTER_TEMPLATE
from pacspace_stripe.documents.rendering import Documents
from pacspace_stripe.documents.statements import STATEMENT_TEMPLATE
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.documents.views import FooterView, StatementView
from pacspace_stripe.domain.footer import TooLong, insert_block
from pacspace_stripe.domain.letterhead import Letterhead
from pacspace_stripe.errors import PacspaceStripeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One template filled with one example. ``problem`` is None when it could be."""

    template: str
    example: str
    problem: PacspaceStripeError | None
    note: str = ""


def tried(templates: Templates, letterhead: Letterhead) -> Iterator[Tried]:
    """Every template with every example; the statement also with the vendor's own ``letterhead``."""
    documents = Documents(templates)
    for name, footer in examples.footers():
        yield _footer(documents, name, footer)
    own = ("your letterhead", replace(examples.statement(), letterhead=letterhead))
    for name, statement in (own, *examples.statements()):
        yield _statement(documents, name, statement)


def _footer(documents: Documents, example: str, view: FooterView) -> Tried:
    try:
        text = documents.render_footer(view)
    except PacspaceStripeError as error:
        return Tried(template=FOOTER_TEMPLATE, example=example, problem=error)
    block = insert_block(None, text)
    if isinstance(block, TooLong):
        note = f"{block.length} characters: too long for Stripe"
    else:
        note = f"{len(block)} characters"
    return Tried(template=FOOTER_TEMPLATE, example=example, problem=None, note=note)


def _statement(documents: Documents, example: str, view: StatementView) -> Tried:
    try:
        pdf = documents.render_statement(view)
    except PacspaceStripeError as error:
        return Tried(template=STATEMENT_TEMPLATE, example=example, problem=error)
    return Tried(template=STATEMENT_TEMPLATE, example=example, problem=None, note=f"{len(pdf):,} bytes")
