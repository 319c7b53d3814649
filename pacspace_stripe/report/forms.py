"""Machine-readable forms of the report: JSON, which the page is made from too, and CSV for spreadsheets."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import datetime

from pacspace_stripe.comparison.rules.reconcile import without_retry_time
from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.explain.rules.explanation_text import rejection_sentence, sentence
from pacspace_stripe.gate.rules.state import KeptBack
from pacspace_stripe.report.report import Report
from pacspace_stripe.report.rules.lines import InvoiceLine, ReportRow
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.money import Money
from pacspace_stripe.vocabulary.quantities import text
from pacspace_stripe.vocabulary.windows import iso, iso_to_second

FORMAT = "pacspace-stripe/report/1"


def as_json(report: Report) -> dict[str, Json]:
    """Return the report as JSON: quantities as strings, money as whole minor units beside its written form."""
    return {
        "format": FORMAT,
        "made_at": iso(report.made_at),
        "since": _time_or_none(report.since),
        "mode": report.policy.mode.value,
        "fail": report.policy.fail.value,
        "invoices": {
            "count": len(report.lines),
            **_verdicts(report.verdicts),
            "waiting": report.waiting,
            "amount_due": [_money(one) for one in report.asked_for],
        },
        "held": {
            "count": len(report.held),
            "at_stake": [_money(one) for one in report.at_stake],
            "invoices": [_held(line) for line in report.held],
        },
        "usage": [_row(line, row) for line in report.lines for row in line.rows],
        "rejected_by_stripe": [{**one.as_json(), "sentence": rejection_sentence(one)} for one in report.rejections],
        "trend": [
            {
                "month": month.month,
                "invoices": month.invoices,
                **_verdicts(month.verdicts),
                "waiting": month.waiting,
                "matched_share": month.matched_share,
                "held": month.held,
                "at_stake": [_money(one) for one in month.at_stake],
            }
            for month in report.trend
        ],
        "checklist": [
            {
                "name": point.name,
                "standing": point.standing.value,
                "says": point.sentence,
                "about": list(point.about),
            }
            for point in report.checklist
        ],
    }


def _verdicts(counts: dict[Verdict, int]) -> dict[str, Json]:
    return {verdict.value: counts[verdict] for verdict in Verdict}


def _money(money: Money) -> dict[str, Json]:
    return {"amount": money.amount, "currency": money.currency, "written": money.plain}


def _held(line: InvoiceLine) -> dict[str, Json]:
    kept = line.kept
    return {
        "invoice": line.invoice_id,
        "customer": line.customer_id,
        "subscription": line.state.subscription_id,
        "held": line.holding.value,
        "since": _time_or_none(kept.since if kept else None),
        "until": _time_or_none(kept.until if kept else None),
        "verdict": kept.verdict.value if kept else None,
        "reason": kept.reason.value if kept else None,
        "detail": _detail(kept) if kept else None,
        "amount_due": _money(line.money) if line.money else None,
    }


def _row(line: InvoiceLine, row: ReportRow) -> dict[str, Json]:
    return {
        "customer": line.customer_id,
        "invoice": line.invoice_id,
        "account": row.account,
        "meter": row.meter,
        "start": _time_or_none(row.start),
        "end": _time_or_none(row.end),
        "billed": None if row.billed is None else text(row.billed),
        "recorded": None if row.recorded is None else text(row.recorded),
        "drift": None if row.drift is None else text(row.drift),
        "verdict": row.verdict.value,
        "reason": row.reason.value,
        "cause": row.explanation.cause.value if row.explanation else None,
        "sentence": sentence(row.explanation) if row.explanation else None,
        "held": line.holding.value,
    }


def _time_or_none(at: datetime | None) -> str | None:
    return iso(at) if at else None


def _detail(kept: KeptBack) -> str:
    """Return the reason for the hold, without the time of a next check that is obsolete once the hold is over."""
    return without_retry_time(kept.detail) if kept.until else kept.detail


# -- CSV --------------------------------------------------------------------------------------------------------------

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
"""The last three are in the first line of an invoice only, so that the sum of a column is right."""
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Characters that begin a formula, also after blanks; the last four, fullwidth ones, in East Asian settings.

https://owasp.org/www-community/attacks/CSV_Injection
"""


def as_csv(report: Report) -> str:
    """Return one CSV line per window (RFC 4180), by customer; an invoice without windows has one without figures."""
    out = io.StringIO(newline="")
    lines = csv.writer(out)
    lines.writerow(COLUMNS)
    for line in report.lines:
        lines.writerows(_cells(line))
    return out.getvalue()


def _cells(line: InvoiceLine) -> Iterator[list[str]]:
    kept = line.kept
    held = [
        line.holding.value,
        _time_or_empty(kept.since if kept else None),
        _time_or_empty(kept.until if kept else None),
    ]
    amount = ["", "", ""]
    if line.money is not None:
        amount = [str(line.money.amount), line.money.currency, line.money.plain.split()[0]]
    for row in line.rows or (None,):
        yield [_safe(cell) for cell in (*_named(line, row), *_figures(row), *_invoice(line), *held, *amount)]
        amount = ["", "", ""]


def _named(line: InvoiceLine, row: ReportRow | None) -> list[str]:
    account, meter = (row.account or "", row.meter) if row else ("", "")
    return [line.customer_id, line.state.subscription_id or "", line.invoice_id, account, meter]


def _figures(row: ReportRow | None) -> list[str]:
    if row is None:
        return [""] * 9
    numbers = ["" if one is None else text(one) for one in (row.billed, row.recorded, row.drift)]
    why = [row.explanation.cause.value, sentence(row.explanation)] if row.explanation else ["", ""]
    return [_time_or_empty(row.start), _time_or_empty(row.end), *numbers, row.verdict.value, row.reason.value, *why]


def _invoice(line: InvoiceLine) -> list[str]:
    verdict, reason = line.state.verdict, line.state.reason
    return [verdict.value if verdict else "", reason.value if reason else ""]


def _time_or_empty(at: datetime | None) -> str:
    return iso_to_second(at) if at else ""


def _safe(cell: str) -> str:
    """Return a cell that no spreadsheet runs as a formula; a number stays a number."""
    risky = cell.lstrip().startswith(_FORMULA) or cell[:1] in ("\t", "\r", "\n")
    return f"'{cell}" if risky and not _NUMBER.fullmatch(cell) else cell
