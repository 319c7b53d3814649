"""Views for tests of documents."""

import hashlib
from datetime import UTC, datetime
from decimal import Decimal

from pacspace_stripe.documents import FooterView, FooterWindow, StatementView, StatementWindow
from pacspace_stripe.domain.letterhead import Letterhead

SEPTEMBER = datetime(2026, 9, 1, tzinfo=UTC)
OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)
EVIDENCE = b'{"evidence":"of an invoice"}'
SHA256 = hashlib.sha256(EVIDENCE).hexdigest()
HOSTILE = """#panic("x") *b* ] [ {{ 7*7 }} {% raw %} $x$ \\ "q" 'a' `r` <l> @r // /* _u_ ~ = - + </p> &amp; \\u{41}"""
A4 = (595, 842)


def root(number: int) -> str:
    return "0x" + hashlib.sha256(str(number).encode()).hexdigest()


def named(number: int = 0) -> FooterWindow:
    return FooterWindow(
        meter="api_calls",
        start=SEPTEMBER,
        end=OCTOBER,
        usage=Decimal("1250.5"),
        count=42,
        proof_root=root(number),
        verify_url=f"https://app.pacspace.io/verify/{root(number)}",
    )


def row(number: int = 0) -> StatementWindow:
    return StatementWindow(
        account=f"cus_{number}:api_calls",
        meter="api_calls",
        start=SEPTEMBER,
        end=OCTOBER,
        billed=Decimal("1250.5"),
        recorded=Decimal("1250.5"),
        count=42,
        proof_root=root(number),
        verify_url=f"https://app.pacspace.io/verify/{root(number)}",
    )


def footer(*windows: FooterWindow) -> FooterView:
    return FooterView(windows=windows, evidence_sha256=SHA256)


def statement(*windows: StatementWindow) -> StatementView:
    return StatementView(
        invoice_id="in_1QXb2LkdIwHu7ix8",
        number="NW-2026-0042",
        customer="Globex Corporation",
        letterhead=Letterhead(vendor="Northwind Data GmbH"),
        verdict="matched",
        reason="EXACT",
        windows=windows or (row(),),
        evidence=EVIDENCE,
        footer=f"Metered usage as recorded in PacSpace\nProof root: {root(0)}\nEvidence SHA-256: {SHA256}",
        issued_at=datetime(2026, 10, 1, 3, 14, 15, tzinfo=UTC),
    )
