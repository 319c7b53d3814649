"""The usage statement of one invoice: its last evidence as a document, with the very footer it was stamped with."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from pacspace_stripe.app import App
from pacspace_stripe.documents import FooterView, FooterWindow, StatementView, StatementWindow
from pacspace_stripe.domain.evidence import Evidence
from pacspace_stripe.domain.footer import find_block
from pacspace_stripe.domain.invoices import Invoice
from pacspace_stripe.errors import NotFound

APPLICATION = "pacspace-stripe"


def statement_pdf(app: App, invoice_id: str) -> bytes:
    """The PDF; the same bytes for the same evidence. Raises NotFound for an invoice that was never compared."""
    invoice = app.stripe.read_invoice(invoice_id)
    links = app.store.chains.of_subject(invoice_id)
    decisions = [link for link in links if json.loads(link.document)["confirms"] is None]
    if not decisions:
        message = f"no evidence about {invoice_id}: it was not compared yet"
        raise NotFound(APPLICATION, message, hint=f"Run `pacspace-stripe check {invoice_id} --apply` first.")
    return app.documents.render_statement(_view(app, invoice, decisions[-1]))


def _view(app: App, invoice: Invoice, evidence: Evidence) -> StatementView:
    document = json.loads(evidence.document)
    windows = tuple(_window(window) for window in document["windows"] if window["start"])
    return StatementView(
        invoice_id=invoice.invoice_id,
        number=invoice.number,
        customer=invoice.customer_name or invoice.customer_id,
        verdict=document["decision"]["verdict"],
        reason=document["decision"]["reason"],
        windows=windows,
        evidence_sha256=evidence.sha256,
        footer=find_block(invoice.footer) or _footer(app, windows, evidence),
        issued_at=_moment(document["decided_at"]),
    )


def _window(window: dict[str, Any]) -> StatementWindow:
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
