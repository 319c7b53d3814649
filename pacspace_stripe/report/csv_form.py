"""The report for spreadsheets: one line per window (RFC 4180), safe to open."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import datetime

from pacspace_stripe.explain.rules.explanation_text import sentence
from pacspace_stripe.report.report import Report
from pacspace_stripe.report.rules.lines import InvoiceLine, Row
from pacspace_stripe.vocabulary.quantities import text
from pacspace_stripe.vocabulary.windows import iso_to_second

COLUMNS = (
    "customer",
    "subscription",
    "invoice",
    "account",
    "meter",
    "start",
    "end",
    "billed",
    "recorded",
    "drift",
    "verdict",
    "reason",
    "cause",
    "sentence",
    "invoice_verdict",
    "invoice_reason",
    "held",
    "held_since",
    "held_until",
    "amount_due_minor",
    "currency",
    "amount_due",
)
"""The last three stand in an invoice's first line only, so that a column's sum is right."""
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What spreadsheets begin a formula with, perhaps after blanks; the last four, wide ones, in East Asian settings."""


def as_csv(report: Report) -> str:
    """Every invoice's windows, by customer; an invoice whose windows are not known has one line without figures."""
    out = io.StringIO(newline="")
    lines = csv.writer(out)
    lines.writerow(COLUMNS)
    for line in report.lines:
        lines.writerows(_cells(line))
    return out.getvalue()


def _cells(line: InvoiceLine) -> Iterator[list[str]]:
    kept = line.kept
    held = [line.holding.value, _moment(kept.since if kept else None), _moment(kept.until if kept else None)]
    amount = ["", "", ""]
    if line.money is not None:
        amount = [str(line.money.amount), line.money.currency, line.money.plain.split()[0]]
    for row in line.rows or (None,):
        yield [_safe(cell) for cell in (*_named(line, row), *_figures(row), *_invoice(line), *held, *amount)]
        amount = ["", "", ""]


def _named(line: InvoiceLine, row: Row | None) -> list[str]:
    account, meter = (row.account or "", row.meter) if row else ("", "")
    return [line.customer_id, line.memory.subscription_id or "", line.invoice_id, account, meter]


def _figures(row: Row | None) -> list[str]:
    if row is None:
        return [""] * 9
    numbers = ["" if one is None else text(one) for one in (row.billed, row.recorded, row.drift)]
    why = [row.explanation.cause.value, sentence(row.explanation)] if row.explanation else ["", ""]
    return [_moment(row.start), _moment(row.end), *numbers, row.verdict.value, row.reason.value, *why]


def _invoice(line: InvoiceLine) -> list[str]:
    verdict, reason = line.memory.verdict, line.memory.reason
    return [verdict.value if verdict else "", reason.value if reason else ""]


def _moment(at: datetime | None) -> str:
    return iso_to_second(at) if at else ""


def _safe(cell: str) -> str:
    """A name that a spreadsheet would run as a formula is shown as text; a number stays one."""
    risky = cell.lstrip().startswith(_FORMULA) or cell[:1] in ("\t", "\r", "\n")
    return f"'{cell}" if risky and not _NUMBER.fullmatch(cell) else cell
