"""The renderer of every document: views in, text and PDF out."""

from collections.abc import Iterable
from dataclasses import asdict

from pacspace_stripe.documents.charts import CHART_TEMPLATE, chart_values
from pacspace_stripe.documents.dispute_summary import SUMMARY_TEMPLATE, summary_values
from pacspace_stripe.documents.footer_text import FOOTER_TEMPLATE, footer_values
from pacspace_stripe.documents.pictures import logo_svg
from pacspace_stripe.documents.rules.letterhead import Letterhead, Logo
from pacspace_stripe.documents.statement_values import STATEMENT_TEMPLATE, statement_values, texts_of
from pacspace_stripe.documents.templates import Templates, template_error
from pacspace_stripe.documents.typesetting import Attachment, PictureKind, Typesetter, by_name
from pacspace_stripe.documents.views import FooterView, StatementView, SummaryView
from pacspace_stripe.errors import ConfigurationError
from pacspace_stripe.explain.rules.explanation import Explanation
from pacspace_stripe.gate.rules.footer import TooLong, find_block, insert_block

EVIDENCE_FILE = "evidence.json"
"""The name of the evidence inside a PDF."""
_KINDS = {"image/png": "png", "image/jpeg": "jpg", "image/svg+xml": "svg"}


class Documents:
    """Renderer of views with the templates of the settings. Thread-safe."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates
        self.typesetter = Typesetter(templates)
        self._logos: dict[Logo, str] = {}

    def render_footer(self, view: FooterView) -> str:
        """Return the footer's text about the record, without marker lines. Raises RenderError with what is wrong.

        A template that yields no text is wrong, too: an invoice would leave with an empty block.
        """
        text = self._templates.render(FOOTER_TEMPLATE, asdict(footer_values(view))).strip()
        block = insert_block(None, text)
        if not isinstance(block, TooLong) and not find_block(block):
            raise template_error(self._templates.path(FOOTER_TEMPLATE), None, "it yields no text")
        return text

    def render_statement(self, view: StatementView) -> bytes:
        """Return the statement as PDF/A-3b with the evidence inside, byte-identical for an equal view.

        RenderError names what is wrong, ConfigurationError the variable of a logo that cannot be shown.
        """
        values = statement_values(
            view,
            texts=texts_of(self._templates, view.letterhead.language),
            fonts=self.typesetter.families,
            logo=self._logo_of(view.letterhead),
        )
        evidence = Attachment(
            name=EVIDENCE_FILE,
            content=view.evidence,
            mime_type="application/json",
            description="What was compared, how, and with what result",
        )
        return self.typesetter.pdf(
            STATEMENT_TEMPLATE, by_name(values), issued_at=view.issued_at, attachments=(evidence,)
        )

    def render_summary(self, view: SummaryView) -> bytes:
        """Return the dispute summary as PDF/A-3b, equal bytes for an equal view. Raises like ``render_statement``."""
        values = summary_values(view, fonts=self.typesetter.families, logo=self._logo_of(view.letterhead))
        return self.typesetter.pdf(SUMMARY_TEMPLATE, by_name(values), issued_at=view.decided_at)

    def render_chart(self, invoice_id: str, explanations: Iterable[Explanation], kind: PictureKind) -> bytes | None:
        """Return both sides day by day; None when no explanation has days. RenderError names what is wrong."""
        values = chart_values(invoice_id, explanations, fonts=self.typesetter.families)
        return self.typesetter.picture(CHART_TEMPLATE, by_name(values), kind) if values.windows else None

    def _logo_of(self, letterhead: Letterhead) -> str | None:
        """Return the logo as SVG, checked once. Raises ConfigurationError for one that cannot be shown."""
        logo = letterhead.logo
        if logo is None:
            return None
        if logo not in self._logos:
            try:
                self.typesetter.check_picture(logo.content, _KINDS[logo.media_type])
                self._logos[logo] = logo_svg(logo)
            except ValueError as error:
                variable = "PACSPACE_STRIPE_LOGO"
                hint = "Save the picture again, as a plain PNG, JPEG or SVG."
                raise ConfigurationError(variable, f"cannot be shown: {error}", hint=hint) from error
        return self._logos[logo]
