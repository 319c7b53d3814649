"""Example views for tests of documents."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

from pacspace_stripe.documents import examples
from pacspace_stripe.documents.examples import window
from pacspace_stripe.documents.rules.letterhead import Letterhead
from pacspace_stripe.documents.views import FooterView, StatementView, UsageWindow

SEPTEMBER = datetime(2026, 9, 1, tzinfo=UTC)
OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)
EVIDENCE = b'{"evidence":"of an invoice"}'
SHA256 = hashlib.sha256(EVIDENCE).hexdigest()
HOSTILE = """#panic("x") *b* ] [ {{ 7*7 }} {% raw %} $x$ \\ "q" 'a' `r` <l> @r // /* _u_ ~ = - + </p> &amp; \\u{41}"""
A4 = (595, 842)


def root(number: int) -> str:
    return examples.root(number)


def named(number: int = 0) -> UsageWindow:
    return window(number)


def row(number: int = 0) -> UsageWindow:
    return window(number)


def footer(*windows: UsageWindow) -> FooterView:
    return FooterView(windows=windows, evidence_sha256=SHA256)


def statement(*windows: UsageWindow) -> StatementView:
    return replace(
        examples.statement(),
        letterhead=Letterhead(vendor="Northwind Data GmbH"),
        windows=windows or (row(),),
        evidence=EVIDENCE,
        confirmed_at=None,
        footer=f"Metered usage as recorded in PacSpace\nProof root: {root(0)}\nEvidence SHA-256: {SHA256}",
    )
