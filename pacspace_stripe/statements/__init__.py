"""The usage statement of one invoice: its last decision as a document, with the very footer it was stamped with.

The figures are the evidence's. What a statement shows besides them (number, customer's name, footer, daily figures) is
asked of Stripe and PacSpace, and remembered: so it comes out again to the byte, also when neither can be reached.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from pacspace_stripe.app import App
from pacspace_stripe.documents import FooterView, FooterWindow, StatementView, StatementWindow
from pacspace_stripe.domain.evidence import Evidence
from pacspace_stripe.errors import NotFound
from pacspace_stripe.statements.particulars import Particulars, particulars_of

APPLICATION = "pacspace-stripe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement, and for a person what it had to leave out, and why."""

    pdf: bytes
    left_out: tuple[str, ...]


def statement_pdf(app: App, invoice_id: str) -> bytes:
    """The PDF alone; see ``statement_of``."""
    return statement_of(app, invoice_id).pdf


def statement_of(app: App, invoice_id: str, *, daily: bool = True) -> Statement:
    """The statement; the same bytes for the same evidence. Raises NotFound for an invoice that was never compared.

    Without ``daily`` both sides' figures by day are not asked for; those of an earlier statement are shown.
    """
    links = [(link, json.loads(link.document)) for link in app.store.chains.of_subject(invoice_id)]
    decisions = [(link, document) for link, document in links if document["confirms"] is None]
    if not decisions:
        message = f"no evidence about {invoice_id}: it was not compared yet"
        raise NotFound(APPLICATION, message, hint=f"Run `pacspace-stripe check {invoice_id} --apply` first.")
    evidence, document = decisions[-1]
    confirmed = [said["decided_at"] for _, said in links if said["confirms"] == evidence.sha256]
    particulars = particulars_of(app, evidence, document, daily=daily)
    view = _view(app, evidence, document, particulars, confirmed[0] if confirmed else None)
    return Statement(pdf=app.documents.render_statement(view), left_out=particulars.left_out)


def _view(
    app: App, evidence: Evidence, document: dict[str, Any], particulars: Particulars, confirmed_at: str | None
) -> StatementView:
    windows = tuple(
        _window(window, particulars)
        for window in document["windows"]
        if window["start"]  # what could not be told apart has no period
    )
    return StatementView(
        invoice_id=document["invoice"],
        number=particulars.number,
        customer=particulars.customer or document["customer"],
        verdict=document["decision"]["verdict"],
        reason=_reason(document),
        windows=windows,
        evidence=evidence.document,
        confirmed_at=_moment(confirmed_at) if confirmed_at else None,
        footer=particulars.footer or _footer(app, windows, evidence),
        issued_at=_moment(document["decided_at"]),
        letterhead=app.settings.letterhead,
    )


def _reason(document: dict[str, Any]) -> str:
    waiver: dict[str, str] | None = document["waiver"]
    return waiver["reason"] if waiver else str(document["decision"]["reason"])


def _window(window: dict[str, Any], particulars: Particulars) -> StatementWindow:
    proof, record = window["proof"] or {}, window.get("record") or {}
    return StatementWindow(
        account=window["account"] or "-",
        meter=window["meter"],
        start=_moment(window["start"]),
        end=_moment(window["end"]),
        billed=None if window["billed"] is None else Decimal(window["billed"]),
        recorded=None if window["recorded"] is None else Decimal(window["recorded"]),
        count=window["count"],
        proof_root=proof.get("proof_root"),
        verify_url=proof.get("verify_url"),
        record_key=record.get("key"),
        days=particulars.days_of(window),
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _footer(app: App, windows: tuple[StatementWindow, ...], evidence: Evidence) -> str:
    """The footer's text for an invoice that does not carry it: held, or finalized before we saw it."""
    return app.documents.render_footer(
        FooterView(
            windows=tuple(
                FooterWindow(
                    meter=window.meter,
                    start=window.start,
                    end=window.end,
                    usage=window.recorded,
                    count=window.count,
                    proof_root=window.proof_root,
                    verify_url=window.verify_url,
                    record_key=window.record_key,
                )
                for window in windows
            ),
            evidence_sha256=evidence.sha256,
        )
    )
