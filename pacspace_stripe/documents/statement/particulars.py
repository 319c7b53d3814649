"""What a statement shows besides the evidence: asked now, and remembered for when nobody answers."""

import json
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from pacspace_stripe.app import App
from pacspace_stripe.documents.statement.daily import LeftOut, daily_figures
from pacspace_stripe.documents.views import Day
from pacspace_stripe.errors import NotFound, RemoteUnavailable
from pacspace_stripe.evidence.rules.document import Evidence
from pacspace_stripe.gate.rules.footer import find_block
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.invoices import Invoice
from pacspace_stripe.vocabulary.quantities import text

_MOST_WINDOWS = 6
"""Daily figures of each cost a few requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Particulars:
    """Of one invoice. None or empty: not known."""

    number: str | None = None
    customer: str | None = None
    """The customer's name."""
    footer: str | None = None
    """Our block in the invoice's footer."""
    days: dict[str, tuple[Day, ...]] | None = None
    """Daily figures by window; None until both sides gave them once."""
    left_out: tuple[str, ...] = ()

    def days_of(self, window: dict[str, Any]) -> tuple[Day, ...]:
        return (self.days or {}).get(window_key(window), ())


def window_key(window: dict[str, Any]) -> str:
    """What tells a window of an evidence document from its others."""
    return "|".join(str(window[name]) for name in ("account", "meter", "start", "end"))


def particulars_of(app: App, evidence: Evidence, document: dict[str, Any], *, daily: bool) -> Particulars:
    """What Stripe and PacSpace say now; where they don't answer, what they said for the last statement."""
    name = f"statement:{evidence.sha256[:50]}"
    known = _read(app.store.journal.fact(name))
    found, invoice = _asked(app, document["invoice"], known)
    if daily and found.days is None and invoice is not None:
        found = _with_days(app, found, invoice, document)
    if invoice is not None:
        app.store.journal.remember_fact(name, _written(found))
    return found


def _asked(app: App, invoice_id: str, known: Particulars) -> tuple[Particulars, Invoice | None]:
    try:
        invoice = app.stripe.read_invoice(invoice_id)
    except (RemoteUnavailable, NotFound) as error:
        said = f"the invoice's number, customer and footer are as last read: {error}"
        return replace(known, left_out=(said,)), None
    found = Particulars(
        number=invoice.number,
        customer=invoice.customer_name,
        footer=find_block(invoice.footer),
        days=known.days,
    )
    return found, invoice


def _with_days(app: App, found: Particulars, invoice: Invoice, document: dict[str, Any]) -> Particulars:
    if len(document["windows"]) > _MOST_WINDOWS:
        return replace(found, left_out=(*found.left_out, f"no daily figures: more than {_MOST_WINDOWS} windows"))
    try:
        days = {
            window_key(window): daily_figures(app, invoice, window, document["policy"])
            for window in document["windows"]
        }
    except LeftOut as why:
        return replace(found, left_out=(*found.left_out, f"no daily figures: {why}"))
    return replace(found, days=days)


def _read(fact: str | None) -> Particulars:
    if fact is None:
        return Particulars()
    said = json.loads(fact)
    days = said["days"]
    return Particulars(
        number=said["number"],
        customer=said["customer"],
        footer=said["footer"],
        days=None if days is None else {name: tuple(map(_day, rows)) for name, rows in days.items()},
    )


def _day(row: list[str]) -> Day:
    on, billed, recorded = row
    return Day(on=date.fromisoformat(on), billed=Decimal(billed), recorded=Decimal(recorded))


def _written(found: Particulars) -> str:
    days: dict[str, Json] | None = None
    if found.days is not None:
        days = {name: [_row(day) for day in rows] for name, rows in found.days.items()}
    said = {"number": found.number, "customer": found.customer, "footer": found.footer, "days": days}
    return json.dumps(said, ensure_ascii=False)


def _row(day: Day) -> Json:
    return [day.on.isoformat(), text(day.billed or Decimal(0)), text(day.recorded or Decimal(0))]
