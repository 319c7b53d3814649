"""What was found, put before a person: billed and recorded usage, and what was or would have been held.

Owns the figures of ``pacspace-stripe report`` and their machine-readable forms. Reads the database alone:
neither vendor is asked anything. Does not own how a terminal or a page shows them.
"""

from pacspace_stripe.reports.checklist import CheckPoint, Standing
from pacspace_stripe.reports.csv_form import as_csv
from pacspace_stripe.reports.json_form import as_json
from pacspace_stripe.reports.lines import Holding, InvoiceLine, Row
from pacspace_stripe.reports.report import Report, make_report
from pacspace_stripe.reports.trend import Month

__all__ = [
    "CheckPoint",
    "Holding",
    "InvoiceLine",
    "Month",
    "Report",
    "Row",
    "Standing",
    "as_csv",
    "as_json",
    "make_report",
]
