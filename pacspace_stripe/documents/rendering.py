"""Views → documents."""

from pacspace_stripe.documents.footers import FOOTER_TEMPLATE, footer_values
from pacspace_stripe.documents.statements import STATEMENT_TEMPLATE, statement_values
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.documents.typesetting import Typesetter
from pacspace_stripe.documents.views import FooterView, StatementView


class Documents:
    """Renders views. Safe to use from several threads at once."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates
        self.typesetter = Typesetter(templates)

    def render_footer(self, view: FooterView) -> str:
        """What the footer says about the record, without marker lines; RenderError names what is wrong."""
        return self._templates.render(FOOTER_TEMPLATE, footer_values(view)).strip()

    def render_statement(self, view: StatementView) -> bytes:
        """The statement as PDF/A-3b, byte-identical for an equal view; RenderError names what is wrong."""
        return self.typesetter.pdf(STATEMENT_TEMPLATE, statement_values(view), issued_at=view.issued_at)
