"""The report for machines: quantities as strings, money as whole minor units beside its written form."""

from datetime import datetime

from pacspace_stripe.comparison.rules.reconcile import without_retry_time
from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.explain.rules.explanation_text import rejection_sentence, sentence
from pacspace_stripe.gate.rules.state import KeptBack
from pacspace_stripe.report.report import Report
from pacspace_stripe.report.rules.checklist import CheckPoint
from pacspace_stripe.report.rules.lines import InvoiceLine, Row
from pacspace_stripe.report.rules.trend import Month
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.money import Money
from pacspace_stripe.vocabulary.quantities import text
from pacspace_stripe.vocabulary.windows import iso

FORMAT = "pacspace-stripe/report/1"


def as_json(report: Report) -> dict[str, Json]:
    """Everything in the report; the page is made from it too."""
    return {
        "format": FORMAT,
        "made_at": iso(report.made_at),
        "since": _moment(report.since),
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
        "trend": [_month(month) for month in report.trend],
        "checklist": [_point(point) for point in report.checklist],
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
        "subscription": line.memory.subscription_id,
        "held": line.holding.value,
        "since": _moment(kept.since if kept else None),
        "until": _moment(kept.until if kept else None),
        "verdict": kept.verdict.value if kept else None,
        "reason": kept.reason.value if kept else None,
        "detail": _detail(kept) if kept else None,
        "amount_due": _money(line.money) if line.money else None,
    }


def _row(line: InvoiceLine, row: Row) -> dict[str, Json]:
    return {
        "customer": line.customer_id,
        "invoice": line.invoice_id,
        "account": row.account,
        "meter": row.meter,
        "start": _moment(row.start),
        "end": _moment(row.end),
        "billed": None if row.billed is None else text(row.billed),
        "recorded": None if row.recorded is None else text(row.recorded),
        "drift": None if row.drift is None else text(row.drift),
        "verdict": row.verdict.value,
        "reason": row.reason.value,
        "cause": row.explanation.cause.value if row.explanation else None,
        "sentence": sentence(row.explanation) if row.explanation else None,
        "held": line.holding.value,
    }


def _month(month: Month) -> dict[str, Json]:
    return {
        "month": month.month,
        "invoices": month.invoices,
        **_verdicts(month.verdicts),
        "waiting": month.waiting,
        "matched_share": month.matched_share,
        "held": month.held,
        "at_stake": [_money(one) for one in month.at_stake],
    }


def _point(point: CheckPoint) -> dict[str, Json]:
    return {
        "name": point.name,
        "standing": point.standing.value,
        "says": point.says,
        "about": list(point.about),
    }


def _moment(at: datetime | None) -> str | None:
    return iso(at) if at else None


def _detail(kept: KeptBack) -> str:
    """Return why it was kept back; when it would be looked at again is over with it."""
    return without_retry_time(kept.detail) if kept.until else kept.detail
