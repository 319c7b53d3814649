"""Views → documents."""

from collections.abc import Iterable
from dataclasses import asdict

from pacspace_stripe.documents.charts import CHART_TEMPLATE, chart_values
from pacspace_stripe.documents.failures import failure
from pacspace_stripe.documents.footers import FOOTER_TEMPLATE, footer_values
from pacspace_stripe.documents.pictures import logo_svg
from pacspace_stripe.documents.rules.letterhead import Letterhead, Logo
from pacspace_stripe.documents.statement_values import STATEMENT_TEMPLATE, statement_values
from pacspace_stripe.documents.summary import SUMMARY_TEMPLATE, summary_values
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.documents.texts import texts_of
from pacspace_stripe.documents.typesetting import Attachment, PictureKind, Typesetter, by_name
from pacspace_stripe.documents.views import FooterView, StatementView, SummaryView
from pacspace_stripe.errors import ConfigurationError
from pacspace_stripe.explain.rules.explanation import Explanation
from pacspace_stripe.gate.rules.footer import TooLong, find_block, insert_block

EVIDENCE_NAME = "evidence.json"
"""What the evidence is called inside a PDF."""
_KINDS = {"image/png": "png", "image/jpeg": "jpg", "image/svg+xml": "svg"}


class Documents:
    """Renders views. Safe to use from several threads at once."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates
        self.typesetter = Typesetter(templates)
        self._checked: dict[Logo, str] = {}

    def render_footer(self, view: FooterView) -> str:
        """Return the footer's text about the record, without marker lines. Raises RenderError with what is wrong.

        A template that yields no text is wrong, too: an invoice would leave with an empty block.
        """
        text = self._templates.render(FOOTER_TEMPLATE, asdict(footer_values(view))).strip()
        block = insert_block(None, text)
        if not isinstance(block, TooLong) and not find_block(block):
            raise failure(self._templates.path(FOOTER_TEMPLATE), None, "it yields no text")
        return text

    def render_statement(self, view: StatementView) -> bytes:
        """The statement as PDF/A-3b with the evidence inside, byte-identical for an equal view.

        RenderError names what is wrong, ConfigurationError the variable of a logo that cannot be shown.
        """
        values = statement_values(
            view,
            texts=texts_of(self._templates, view.letterhead.language),
            fonts=self.typesetter.families,
            logo=self._head(view.letterhead),
        )
        return self.typesetter.pdf(
            STATEMENT_TEMPLATE, by_name(values), issued_at=view.issued_at, attachments=(evidence_file(view.evidence),)
        )

    def render_summary(self, view: SummaryView) -> bytes:
        """The page for a dispute's reviewer as PDF/A-3b, equal bytes for an equal view; fails like the statement."""
        values = summary_values(view, fonts=self.typesetter.families, logo=self._head(view.letterhead))
        return self.typesetter.pdf(SUMMARY_TEMPLATE, by_name(values), issued_at=view.decided_at)

    def render_chart(self, invoice_id: str, explanations: Iterable[Explanation], kind: PictureKind) -> bytes | None:
        """Both sides day by day; None when no explanation has days. RenderError names what is wrong."""
        values = chart_values(invoice_id, explanations, fonts=self.typesetter.families)
        return self.typesetter.picture(CHART_TEMPLATE, by_name(values), kind) if values.windows else None

    def _head(self, letterhead: Letterhead) -> str | None:
        return None if letterhead.logo is None else self.logo(letterhead.logo)

    def logo(self, logo: Logo) -> str:
        """The logo as SVG, looked at once. Raises ConfigurationError for one that cannot be shown."""
        if logo not in self._checked:
            try:
                self.typesetter.check_picture(logo.content, _KINDS[logo.media_type])
                self._checked[logo] = logo_svg(logo)
            except ValueError as error:
                variable = "PACSPACE_STRIPE_LOGO"
                hint = "Save the picture anew, as a plain PNG, JPEG or SVG."
                raise ConfigurationError(variable, f"cannot be shown: {error}", hint=hint) from error
        return self._checked[logo]


def evidence_file(evidence: bytes) -> Attachment:
    """The evidence's canonical bytes as the file that a PDF carries."""
    return Attachment(
        name=EVIDENCE_NAME,
        content=evidence,
        mime_type="application/json",
        description="What was compared, how, and with what result",
    )
