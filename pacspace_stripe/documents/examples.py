"""Views made up for trying templates: every verdict, every language, both ledgers, nothing known, and a lot of it."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from pacspace_stripe.documents.charts import days_of
from pacspace_stripe.documents.rules.letterhead import Language, Letterhead, Paper
from pacspace_stripe.documents.views import (
    Day,
    FooterView,
    FooterWindow,
    StatementView,
    StatementWindow,
    SummaryView,
    SummaryWindow,
)
from pacspace_stripe.explain.rules.explanation import Cause, DayFigures, Explanation, LocatedPart
from pacspace_stripe.explain.rules.explanation_text import sentence
from pacspace_stripe.vocabulary.windows import Window

_START, _END = datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)
_TWICE = 16
"""Which of the days was counted twice."""
_EVIDENCE = b'{"example":"of an evidence document"}'
_FOOTER = "Metered usage as recorded in PacSpace, an independent ledger\nEvidence SHA-256: {sha256}"


def footers() -> Iterator[tuple[str, FooterView]]:
    """Name and view of each example."""
    record = replace(footer_window(0), proof_root=None, verify_url=None, record_key="usage-cus_1-2026-09")
    unknown = replace(footer_window(0), usage=None, count=None, proof_root=None, verify_url=None)
    windows: dict[str, tuple[FooterWindow, ...]] = {
        "nothing metered": (),
        "one window": (footer_window(0),),
        "nothing known": (unknown,),
        "settlement ledger": (record,),
        "twenty windows": tuple(map(footer_window, range(20))),
    }
    for name, each in windows.items():
        yield name, FooterView(windows=each, evidence_sha256=hashlib.sha256(_EVIDENCE).hexdigest())


def statements() -> Iterator[tuple[str, StatementView]]:
    """Name and view of each example."""
    plain = statement()
    drifted = replace(statement_window(0), recorded=Decimal("1248.25"))
    unknown = replace(statement_window(0), recorded=None, count=None, proof_root=None, verify_url=None, days=())
    record = replace(statement_window(0), record_key="usage-cus_1-2026-09", proof_root=None, verify_url=None, days=())
    many = tuple(replace(statement_window(number), days=()) for number in range(20))
    yield "matched", plain
    yield "drifted", replace(plain, verdict="drifted", reason="OVERBILLED", windows=(drifted,))
    yield "unproven", replace(plain, verdict="unproven", reason="LEDGER_UNAVAILABLE", windows=(unknown,), number=None)
    yield "waived", replace(plain, verdict="waived", reason="Agreed with the customer by phone", windows=(drifted,))
    yield "settlement ledger", replace(plain, windows=(record,))
    yield "twenty windows", replace(plain, windows=many)
    yield "nothing metered", replace(plain, windows=(), reason="ZERO")
    for language in Language:
        letterhead = Letterhead(vendor="Northwind Data", paper=Paper.LETTER, language=language)
        yield f"{language.value}, on letter paper", replace(plain, letterhead=letterhead)


def statement() -> StatementView:
    """A matched one with all that there can be."""
    return StatementView(
        invoice_id="in_1QXb2LkdIwHu7ix8",
        number="NW-2026-0042",
        customer="Globex Corporation",
        verdict="matched",
        reason="EXACT",
        windows=(statement_window(0),),
        evidence=_EVIDENCE,
        confirmed_at=_END + timedelta(hours=5),
        footer=_FOOTER.format(sha256=hashlib.sha256(_EVIDENCE).hexdigest()),
        issued_at=_END + timedelta(hours=3, minutes=14, seconds=15),
        letterhead=Letterhead(vendor="Northwind Data"),
    )


def strips() -> Iterator[tuple[str, list[str], float]]:
    """Name of each example, the lines of its footer and how wide its page is, in points."""
    lines = _FOOTER.format(sha256=hashlib.sha256(_EVIDENCE).hexdigest()).splitlines()
    yield "A4", lines, 595.28
    yield "a narrow receipt", lines, 200
    yield "a wide drawing", lines, 1000
    yield "twenty windows", [*(f"Proof root: {root(number)}" for number in range(20)), *lines], 595.28
    yield "nothing to say", [], 595.28


def summaries() -> Iterator[tuple[str, SummaryView]]:
    """Name and view of each example."""
    plain, window = summary(), _summary_window(0)
    differing = replace(window, recorded=Decimal("1248.25"))
    unknown = replace(window, start=None, end=None, recorded=None, count=None, proof_root=None, verify_url=None)
    record = replace(window, record_key="usage-cus_1-2026-09", proof_root=None, verify_url=None)
    many = tuple(map(_summary_window, range(20)))
    yield "matched", plain
    yield "drifted", replace(plain, verdict="drifted", reason="OVERBILLED", windows=(differing,), stamped=False)
    explained = replace(differing, sentence=sentence(drift()), days=days_of(drift()))
    yield "drifted and explained", replace(plain, verdict="drifted", reason="OVERBILLED", windows=(explained,))
    yield "unproven", replace(plain, verdict="unproven", reason="LEDGER_UNAVAILABLE", windows=(unknown,), number=None)
    yield "waived", replace(plain, verdict="waived", windows=(differing,), waiver="Agreed with the customer by phone")
    yield "settlement ledger", replace(plain, windows=(record,))
    yield "twenty windows", replace(plain, windows=many)
    yield "nothing metered", replace(plain, windows=(), reason="ZERO", customer=None, confirmed_at=None)
    yield "on letter paper", replace(plain, letterhead=Letterhead(vendor="Northwind Data", paper=Paper.LETTER))


def summary() -> SummaryView:
    """A matched one with all that there can be."""
    return SummaryView(
        invoice_id="in_1QXb2LkdIwHu7ix8",
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
        windows=(_summary_window(0),),
        evidence_sha256=hashlib.sha256(_EVIDENCE).hexdigest(),
        stamped=True,
        letterhead=Letterhead(vendor="Northwind Data"),
    )


def drifts() -> Iterator[tuple[str, tuple[Explanation, ...]]]:
    """Name of each example, and what it draws."""
    plain = drift()
    year = (date(2026, 1, 1) + timedelta(days=number) for number in range(365))
    long = tuple(DayFigures(on=on, billed=Decimal(on.day), recorded=Decimal(on.day % 31)) for on in year)
    back = tuple(replace(day, recorded=-day.recorded) for day in plain.days)
    yield "a month", (plain,)
    yield "a year and a day", (replace(plain, days=long), replace(plain, days=plain.days[:1]))
    yield "usage below zero", (replace(plain, days=back),)


def drift() -> Explanation:
    """One day's usage counted twice."""
    days = [replace(_day(number), billed=Decimal(60)) if number == _TWICE else _day(number) for number in range(30)]
    figures = tuple(
        DayFigures(on=day.on, billed=day.billed or Decimal(0), recorded=day.recorded or Decimal(0)) for day in days
    )
    on = datetime(2026, 9, 1 + _TWICE, tzinfo=UTC)
    located = LocatedPart(
        window=Window(start=on, end=on + timedelta(days=1)),
        meter="api_calls",
        billed=figures[_TWICE].billed,
        recorded=figures[_TWICE].recorded,
    )
    billed, recorded = Decimal("1250.5"), Decimal("1250.5") - located.billed + located.recorded
    window = Window(start=_START, end=_END)
    return Explanation(
        account="cus_1:api_calls",
        meter="api_calls",
        window=window,
        billed=billed,
        recorded=recorded,
        cause=Cause.TWICE_IN_STRIPE,
        located=(located,),
        days=figures,
    )


def statement_window(number: int) -> StatementWindow:
    """One whose account, root and link are its own."""
    return StatementWindow(
        account=f"cus_{number}:api_calls",
        meter="api_calls",
        start=_START,
        end=_END,
        billed=Decimal("1250.5"),
        recorded=Decimal("1250.5"),
        count=42,
        proof_root=root(number),
        verify_url=_link(number),
        days=tuple(_day(number) for number in range(30)),
    )


def footer_window(number: int) -> FooterWindow:
    """One whose root and link are its own."""
    return FooterWindow(
        meter="api_calls",
        start=_START,
        end=_END,
        usage=Decimal("1250.5"),
        count=42,
        proof_root=root(number),
        verify_url=_link(number),
    )


def _summary_window(number: int) -> SummaryWindow:
    return SummaryWindow(
        meter="api_calls",
        start=_START,
        end=_END,
        billed=Decimal("1250.5"),
        recorded=Decimal("1250.5"),
        count=42,
        proof_root=root(number),
        covered=42,
        net=Decimal("-1250.5"),
        verify_url=_link(number),
    )


def _day(number: int) -> Day:
    usage = Decimal(30 + number * 7 % 23)
    return Day(on=date(2026, 9, 1) + timedelta(days=number), billed=usage, recorded=usage)


def root(number: int) -> str:
    """Looks like a proof root; another one for each number."""
    return "0x" + hashlib.sha256(str(number).encode()).hexdigest()


def _link(number: int) -> str:
    return f"https://app.pacspace.io/verify/{root(number)}"
