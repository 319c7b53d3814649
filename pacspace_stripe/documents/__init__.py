"""The documents people read: the footer's text (Jinja2), statement and dispute summary (Typst), the picture of a drift.

Owns finding templates and turning plain values into text and PDF, the same bytes for the same values. Does not own what
is said (the caller fills the views), nor where in an invoice's footer the text goes (``domain.footer``).
"""

from pacspace_stripe.documents.charts import CHART_TEMPLATE
from pacspace_stripe.documents.footers import FOOTER_TEMPLATE
from pacspace_stripe.documents.rendering import EVIDENCE_NAME, Documents, evidence_file
from pacspace_stripe.documents.statements import STATEMENT_TEMPLATE, keywords
from pacspace_stripe.documents.summary import SUMMARY_TEMPLATE
from pacspace_stripe.documents.templates import Templates, built_in
from pacspace_stripe.documents.texts import STATEMENT_TEXTS, texts_of
from pacspace_stripe.documents.typesetting import Attachment, PictureKind, Typesetter
from pacspace_stripe.documents.views import (
    Day,
    FooterView,
    FooterWindow,
    StatementView,
    StatementWindow,
    SummaryView,
    SummaryWindow,
)

__all__ = [
    "CHART_TEMPLATE",
    "EVIDENCE_NAME",
    "FOOTER_TEMPLATE",
    "STATEMENT_TEMPLATE",
    "STATEMENT_TEXTS",
    "SUMMARY_TEMPLATE",
    "Attachment",
    "Day",
    "Documents",
    "FooterView",
    "FooterWindow",
    "PictureKind",
    "StatementView",
    "StatementWindow",
    "SummaryView",
    "SummaryWindow",
    "Templates",
    "Typesetter",
    "built_in",
    "evidence_file",
    "keywords",
    "texts_of",
]
