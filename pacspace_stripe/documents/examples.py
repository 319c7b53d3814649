"""Made-up views of every kind, and every template filled with them, so that errors show before an invoice needs it.

The examples cover every verdict and language, both ledgers, figures that are not known, and very many windows.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from io import BytesIO

import pikepdf

from pacspace_stripe.documents.charts import CHART_TEMPLATE
from pacspace_stripe.documents.dispute_summary import SUMMARY_TEMPLATE
from pacspace_stripe.documents.footer_text import FOOTER_TEMPLATE
from pacspace_stripe.documents.overlay import OVERLAY_TEMPLATE, draw_strip
from pacspace_stripe.documents.renderer import Documents
from pacspace_stripe.documents.rules.letterhead import Language, Letterhead, Paper
from pacspace_stripe.documents.statement_values import STATEMENT_TEMPLATE
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.documents.typesetting import PictureKind, Typesetter
from pacspace_stripe.documents.views import Day, FooterView, StatementView, SummaryView, UsageWindow, days_of
from pacspace_stripe.errors import PacspaceStripeError
from pacspace_stripe.explain.rules.explanation import Cause, DayFigures, Explanation, LocatedPart
from pacspace_stripe.explain.rules.explanation_text import sentence
from pacspace_stripe.gate.rules.footer import TooLong, insert_block
from pacspace_stripe.vocabulary.windows import Window

_START, _END = datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)
_COUNTED_TWICE = 16
"""Index of the day whose usage was counted twice."""
_INVOICE = "in_1QXb2LkdIwHu7ix8"
_EVIDENCE = b'{"example":"of an evidence document"}'
_SHA256 = hashlib.sha256(_EVIDENCE).hexdigest()
_FOOTER = f"Metered usage as recorded in PacSpace, an independent ledger\nEvidence SHA-256: {_SHA256}"
_VENDOR = Letterhead(vendor="Northwind Data")


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateTrial:
    """One template filled with one example."""

    template: str
    example: str
    problem: PacspaceStripeError | None
    """None when the template could be filled."""
    note: str = ""


def try_templates(templates: Templates, letterhead: Letterhead) -> Iterator[TemplateTrial]:
    """Fill every template with every example; statement and summary also with the vendor's own ``letterhead``."""
    for problem in templates.unused():
        yield TemplateTrial(template=str(problem).partition(":")[0], example="name", problem=problem)
    documents, own = Documents(templates), "your letterhead"
    for name, footer in footers():
        yield try_template(FOOTER_TEMPLATE, name, partial(_try_footer, documents, footer))
    for name, view in ((own, replace(statement(), letterhead=letterhead)), *statements()):
        yield try_template(STATEMENT_TEMPLATE, name, partial(_try_statement, documents, view))
    for name, lines, width in strips():
        yield try_template(OVERLAY_TEMPLATE, name, partial(_try_strip, documents.typesetter, lines, width))
    for name, page in ((own, replace(summary(), letterhead=letterhead)), *summaries()):
        yield try_template(SUMMARY_TEMPLATE, name, partial(_try_summary, documents, page))
    for name, explanations in drifts():
        yield try_template(CHART_TEMPLATE, name, partial(_try_chart, documents, explanations))


def try_template(template: str, example: str, fill: Callable[[], str]) -> TemplateTrial:
    """Fill one template with one example; ``fill`` returns a note about what came of it."""
    try:
        return TemplateTrial(template=template, example=example, problem=None, note=fill())
    except PacspaceStripeError as error:
        return TemplateTrial(template=template, example=example, problem=error)


def _try_footer(documents: Documents, view: FooterView) -> str:
    block = insert_block(None, documents.render_footer(view))
    if isinstance(block, TooLong):
        return f"{block.length} characters: too long for Stripe"
    return f"{len(block)} characters"


def _try_statement(documents: Documents, view: StatementView) -> str:
    return f"{len(documents.render_statement(view)):,} bytes"


def _try_summary(documents: Documents, view: SummaryView) -> str:
    pdf = documents.render_summary(view)
    with pikepdf.open(BytesIO(pdf)) as file:
        pages = len(file.pages)
    return f"{len(pdf):,} bytes" if pages == 1 else f"{pages} pages: many reviewers take one"


def _try_chart(documents: Documents, explanations: tuple[Explanation, ...]) -> str:
    charts = [documents.render_chart(_INVOICE, explanations, kind) or b"" for kind in PictureKind]
    return " and ".join(f"{len(chart):,} bytes" for chart in charts)


def _try_strip(typesetter: Typesetter, lines: list[str], width: float) -> str:
    with pikepdf.new() as file:
        return f"{draw_strip(typesetter, lines, width, into=file).height:.0f} points high"


def footers() -> Iterator[tuple[str, FooterView]]:
    """Yield name and view of each example."""
    record = replace(window(0), proof_root=None, verify_url=None, record_key="usage-cus_1-2026-09")
    unknown = replace(window(0), recorded=None, count=None, proof_root=None, verify_url=None)
    examples: dict[str, tuple[UsageWindow, ...]] = {
        "nothing metered": (),
        "one window": (window(0),),
        "nothing known": (unknown,),
        "settlement ledger": (record,),
        "twenty windows": tuple(map(window, range(20))),
    }
    for name, windows in examples.items():
        yield name, FooterView(windows=windows, evidence_sha256=_SHA256)


def statements() -> Iterator[tuple[str, StatementView]]:
    """Yield name and view of each example."""
    plain = statement()
    drifted = replace(window_with_days(0), recorded=Decimal("1248.25"))
    unknown = replace(window(0), recorded=None, count=None, proof_root=None, verify_url=None)
    record = replace(window(0), record_key="usage-cus_1-2026-09", proof_root=None, verify_url=None)
    yield "matched", plain
    yield "drifted", replace(plain, verdict="drifted", reason="OVERBILLED", windows=(drifted,))
    yield "unproven", replace(plain, verdict="unproven", reason="LEDGER_UNAVAILABLE", windows=(unknown,), number=None)
    yield "waived", replace(plain, verdict="waived", reason="Agreed with the customer by phone", windows=(drifted,))
    yield "settlement ledger", replace(plain, windows=(record,))
    yield "twenty windows", replace(plain, windows=tuple(map(window, range(20))))
    yield "nothing metered", replace(plain, windows=(), reason="ZERO")
    for language in Language:
        letterhead = replace(_VENDOR, paper=Paper.LETTER, language=language)
        yield f"{language.value}, on letter paper", replace(plain, letterhead=letterhead)


def statement() -> StatementView:
    """Return a matched statement that has everything a statement can have."""
    return StatementView(
        invoice_id=_INVOICE,
        number="NW-2026-0042",
        customer="Globex Corporation",
        verdict="matched",
        reason="EXACT",
        windows=(window_with_days(0),),
        evidence=_EVIDENCE,
        confirmed_at=_END + timedelta(hours=5),
        footer=_FOOTER,
        issued_at=_END + timedelta(hours=3, minutes=14, seconds=15),
        letterhead=_VENDOR,
    )


def strips() -> Iterator[tuple[str, list[str], float]]:
    """Yield each example's name, the lines of its footer and the width of its page in points."""
    lines = _FOOTER.splitlines()
    yield "A4", lines, 595.28
    yield "a narrow receipt", lines, 200
    yield "a wide drawing", lines, 1000
    yield "twenty windows", [*(f"Proof root: {root(number)}" for number in range(20)), *lines], 595.28
    yield "nothing to say", [], 595.28


def summaries() -> Iterator[tuple[str, SummaryView]]:
    """Yield name and view of each example."""
    plain, matched = summary(), _proven_window(0)
    drifted = replace(matched, recorded=Decimal("1248.25"))
    unknown = replace(matched, start=None, end=None, recorded=None, count=None, proof_root=None, verify_url=None)
    record = replace(matched, record_key="usage-cus_1-2026-09", proof_root=None, verify_url=None)
    yield "matched", plain
    yield "drifted", replace(plain, verdict="drifted", reason="OVERBILLED", windows=(drifted,), stamped=False)
    explained = replace(drifted, sentence=sentence(drift()), days=days_of(drift()))
    yield "drifted and explained", replace(plain, verdict="drifted", reason="OVERBILLED", windows=(explained,))
    yield "unproven", replace(plain, verdict="unproven", reason="LEDGER_UNAVAILABLE", windows=(unknown,), number=None)
    yield "waived", replace(plain, verdict="waived", windows=(drifted,), waiver="Agreed with the customer by phone")
    yield "settlement ledger", replace(plain, windows=(record,))
    yield "twenty windows", replace(plain, windows=tuple(map(_proven_window, range(20))))
    yield "nothing metered", replace(plain, windows=(), reason="ZERO", customer=None, confirmed_at=None)
    yield "on letter paper", replace(plain, letterhead=replace(_VENDOR, paper=Paper.LETTER))


def summary() -> SummaryView:
    """Return a matched summary that has everything a summary can have."""
    return SummaryView(
        invoice_id=_INVOICE,
        number="NW-2026-0042",
        customer_id="cus_1",
        customer="Globex Corporation",
        livemode=True,
        verdict="matched",
        reason="EXACT",
        tolerance=Decimal(0),
        waiver=None,
        of_draft=True,
        decided_at=_END + timedelta(hours=3, minutes=14, seconds=15),
        confirmed_at=_END + timedelta(hours=5),
        windows=(_proven_window(0),),
        evidence_sha256=_SHA256,
        stamped=True,
        letterhead=_VENDOR,
    )


def drifts() -> Iterator[tuple[str, tuple[Explanation, ...]]]:
    """Yield each example's name and what it draws."""
    plain = drift()
    year = (date(2026, 1, 1) + timedelta(days=number) for number in range(365))
    long = tuple(DayFigures(on=on, billed=Decimal(on.day), recorded=Decimal(on.day % 31)) for on in year)
    back = tuple(replace(day, recorded=-day.recorded) for day in plain.days)
    yield "a month", (plain,)
    yield "a year and a day", (replace(plain, days=long), replace(plain, days=plain.days[:1]))
    yield "usage below zero", (replace(plain, days=back),)


def drift() -> Explanation:
    """Return the explanation of one day's usage that was counted twice."""
    days = [
        replace(_day(number), billed=Decimal(60)) if number == _COUNTED_TWICE else _day(number) for number in range(30)
    ]
    figures = tuple(
        DayFigures(on=day.on, billed=day.billed or Decimal(0), recorded=day.recorded or Decimal(0)) for day in days
    )
    on = datetime(2026, 9, 1 + _COUNTED_TWICE, tzinfo=UTC)
    located = LocatedPart(
        window=Window(start=on, end=on + timedelta(days=1)),
        meter="api_calls",
        billed=figures[_COUNTED_TWICE].billed,
        recorded=figures[_COUNTED_TWICE].recorded,
    )
    billed, recorded = Decimal("1250.5"), Decimal("1250.5") - located.billed + located.recorded
    return Explanation(
        account="cus_1:api_calls",
        meter="api_calls",
        window=Window(start=_START, end=_END),
        billed=billed,
        recorded=recorded,
        cause=Cause.TWICE_IN_STRIPE,
        located=(located,),
        days=figures,
    )


def window(number: int) -> UsageWindow:
    """Return a matched window whose account, root and link are its own."""
    return UsageWindow(
        account=f"cus_{number}:api_calls",
        meter="api_calls",
        start=_START,
        end=_END,
        billed=Decimal("1250.5"),
        recorded=Decimal("1250.5"),
        count=42,
        proof_root=root(number),
        verify_url=f"https://app.pacspace.io/verify/{root(number)}",
    )


def window_with_days(number: int) -> UsageWindow:
    """Return the same window with its daily figures."""
    return replace(window(number), days=tuple(map(_day, range(30))))


def _proven_window(number: int) -> UsageWindow:
    return replace(window(number), covered=42, net=Decimal("-1250.5"))


def _day(number: int) -> Day:
    usage = Decimal(30 + number * 7 % 23)
    return Day(on=date(2026, 9, 1) + timedelta(days=number), billed=usage, recorded=usage)


def root(number: int) -> str:
    """Return a text in the form of a proof root, another one for each number."""
    return "0x" + hashlib.sha256(str(number).encode()).hexdigest()
