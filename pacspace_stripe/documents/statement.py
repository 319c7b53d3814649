"""The usage statement of one invoice: its last decision as a document, with the very footer that it was stamped with.

All figures are the evidence's. The invoice's number, customer's name, footer and daily figures come from Stripe and
PacSpace and are stored, so that a later statement is the same to the byte even when neither vendor answers.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from pacspace_stripe.documents.daily_usage import NoDailyFigures, daily_figures
from pacspace_stripe.documents.renderer import Documents
from pacspace_stripe.documents.rules.letterhead import Letterhead
from pacspace_stripe.documents.views import (
    Day,
    StatementView,
    decided_at,
    footer_view,
    is_about,
    statement_windows,
    window_key,
)
from pacspace_stripe.errors import NotFound, RemoteUnavailable
from pacspace_stripe.evidence.rules.document import confirmation_of
from pacspace_stripe.gate.rules.footer import find_block
from pacspace_stripe.pacspace_api import ReconciliationApi
from pacspace_stripe.store import Store, evidence_elsewhere
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.vocabulary.invoices import Invoice
from pacspace_stripe.vocabulary.quantities import text

_MOST_WINDOWS = 6
"""Daily figures of one window take a few requests, so no more windows get them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement, and for a person what it had to leave out, and why."""

    pdf: bytes
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceDetails:
    """The contents of one invoice's statement that the evidence does not have. None or empty: not known."""

    number: str | None = None
    customer: str | None = None
    """The customer's name."""
    footer: str | None = None
    """Our block in the invoice's footer."""
    days: Mapping[str, tuple[Day, ...]] | None = None
    """Daily figures by window; None until both sides gave them once."""
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """Maker of usage statements from our evidence and the vendors' answers. It writes to neither vendor."""

    store: Store
    stripe: StripeApi
    ledger: ReconciliationApi
    documents: Documents
    letterhead: Letterhead

    def of_invoice(self, invoice_id: str, *, daily: bool = True) -> Statement:
        """Return the invoice's statement; the same bytes for the same evidence.

        Without ``daily``, no figures by day are asked for; those of an earlier statement are shown. Raises NotFound
        for an invoice that was never compared, or that carries the stamp of evidence which is not in this database.
        """
        # The invoice names evidence of a lost database: a statement of other evidence would contradict its stamp.
        if self.store.stamped_elsewhere(invoice_id) is not None:
            raise evidence_elsewhere(invoice_id)
        chains = self.store.chains
        evidence = chains.decision_of(invoice_id)
        confirmed = confirmation_of(chains.of_job(invoice_id), evidence.sha256)
        document: dict[str, Any] = json.loads(evidence.document)
        details = self._details(evidence.sha256, document, daily=daily)
        footer, waiver = details.footer, document["waiver"]
        # The footer that the invoice carries is repeated word for word, unless it froze with an earlier decision.
        if footer is None or not is_about(footer, document, evidence.sha256):
            footer = self.documents.render_footer(footer_view(document, evidence.sha256))
        view = StatementView(
            invoice_id=document["invoice"],
            number=details.number,
            customer=details.customer or document["customer"],
            verdict=document["decision"]["verdict"],
            reason=waiver["reason"] if waiver else document["decision"]["reason"],
            windows=statement_windows(document, details.days),
            evidence=evidence.document,
            confirmed_at=decided_at(json.loads(confirmed.document)) if confirmed else None,
            footer=footer,
            issued_at=decided_at(document),
            letterhead=self.letterhead,
        )
        return Statement(pdf=self.documents.render_statement(view), left_out=details.left_out)

    def _details(self, evidence_sha256: str, document: dict[str, Any], *, daily: bool) -> InvoiceDetails:
        """Return the vendors' answers of now; where they do not answer, those for the last statement."""
        name = f"statement:{evidence_sha256[:50]}"
        known = _parsed(self.store.journal.fact(name))
        try:
            invoice = self.stripe.read_invoice(document["invoice"])
        except (RemoteUnavailable, NotFound) as error:
            problem = f"the invoice's number, customer and footer are as last read: {error}"
            return replace(known, left_out=(problem,))
        details = InvoiceDetails(
            number=invoice.number,
            customer=invoice.customer_name,
            footer=find_block(invoice.footer),
            days=known.days,
        )
        if daily and details.days is None:
            details = self._with_days(details, invoice, document)
        # Kept although daily figures may be missing: number, name and footer are known, and the days are tried again.
        self.store.journal.remember_fact(name, _serialized(details))
        return details

    def _with_days(self, details: InvoiceDetails, invoice: Invoice, document: dict[str, Any]) -> InvoiceDetails:
        windows = document["windows"]
        if len(windows) > _MOST_WINDOWS:
            return replace(details, left_out=(f"no daily figures: more than {_MOST_WINDOWS} windows",))
        try:
            days = {
                window_key(window): daily_figures(self.stripe, self.ledger, invoice, window, document["policy"])
                for window in windows
            }
        except NoDailyFigures as reason:
            return replace(details, left_out=(f"no daily figures: {reason}",))
        return replace(details, days=days)


def _parsed(fact: str | None) -> InvoiceDetails:
    """Return the details as an earlier statement stored them, without what it left out."""
    if fact is None:
        return InvoiceDetails()
    stored = json.loads(fact)
    days = None
    if stored["days"] is not None:
        days = {
            key: tuple(
                Day(on=date.fromisoformat(on), billed=Decimal(billed), recorded=Decimal(recorded))
                for on, billed, recorded in rows
            )
            for key, rows in stored["days"].items()
        }
    return InvoiceDetails(number=stored["number"], customer=stored["customer"], footer=stored["footer"], days=days)


def _serialized(details: InvoiceDetails) -> str:
    days: dict[str, list[list[str]]] | None = None
    if details.days is not None:
        days = {
            key: [
                [day.on.isoformat(), text(day.billed or Decimal(0)), text(day.recorded or Decimal(0))] for day in rows
            ]
            for key, rows in details.days.items()
        }
    stored = {"number": details.number, "customer": details.customer, "footer": details.footer, "days": days}
    return json.dumps(stored, ensure_ascii=False)
