"""A correction, and what it is planned from: values only."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from pacspace_stripe.explain.rules.explanation import Explanation, LocatedPart, Side
from pacspace_stripe.vocabulary.invoices import Formula, Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.policy import Policy
from pacspace_stripe.vocabulary.quantities import equal, subtract, text, total
from pacspace_stripe.vocabulary.windows import Window, iso

_MOST_COMMANDS = 10
"""More single corrections than that are one of their sum: on the invoice it counts the same."""


class CorrectionKind(StrEnum):
    """What a correction is."""

    METER_EVENT = "meter_event"
    CANCEL_METER_EVENT = "cancel_meter_event"
    DRAFT_LINE_ITEM = "draft_line_item"
    CREDIT_NOTE = "credit_note"
    NEXT_INVOICE_ITEM = "next_invoice_item"
    """A one-off line on the customer's next invoice: a credit note can only take away."""
    LEDGER_RECORD = "ledger_record"
    LEDGER_ADJUSTMENT = "ledger_adjustment"
    """A delta that names the record which it corrects."""
    SETTING = "setting"
    WAIVE = "waive"
    NOTHING = "nothing"
    """Nothing is to be moved; ``why`` says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """One thing that a person may do now."""

    kind: CorrectionKind
    command: str
    """For a shell; empty where there is nothing to run."""
    until: datetime | None
    """Aware UTC: later it has no effect any more; None without a limit that is known."""
    why: str
    """What it does, what is likely wrong, and why nothing better is possible any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of the difference that one correction makes good."""

    missing: Decimal
    """Usage that Stripe lacks beside the ledger, in the meter's unit; negative where it has too much."""
    at: datetime
    within: Window
    """The part of the window that it is in."""
    record_id: str | None
    """The ledger's record that it is about, where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What a plan is made from."""

    explanation: Explanation
    invoice: Invoice
    now: datetime
    policy: Policy
    formula: Formula

    @property
    def missing(self) -> Decimal:
        """What Stripe lacks in the whole window, in the meter's unit."""
        return subtract(self.explanation.recorded, self.explanation.billed)

    @property
    def is_draft(self) -> bool:
        return self.invoice.status is InvoiceStatus.DRAFT

    @property
    def can_be_released(self) -> bool:
        """Whether money was not taken yet, nor given up."""
        return self.invoice.status in (InvoiceStatus.DRAFT, InvoiceStatus.OPEN)

    @property
    def name(self) -> str:
        """Of what a correction sends, the same whenever it is planned for the same figures."""
        found = self.explanation
        return f"correction-{self.invoice.invoice_id}-{found.meter}-{text(found.billed)}-{text(found.recorded)}"

    def pieces(self) -> tuple[Piece, ...]:
        """The difference, record by record where the records are known, else part by part, else as a whole."""
        found = self.explanation
        parts = tuple(piece for located in found.located for piece in _pieces(located))
        if 0 < len(parts) <= _MOST_COMMANDS and equal(total(part.missing for part in parts), self.missing):
            return parts
        within = found.located[0].window if len(found.located) == 1 else found.window
        return (Piece(missing=self.missing, at=within.start, within=within, record_id=None),)


def _pieces(located: LocatedPart) -> tuple[Piece, ...]:
    missing = subtract(located.recorded, located.billed)
    listed = [one for one in located.records if one.side is Side.LEDGER and one.record_id is not None]
    if missing == 0:
        return ()
    told = total(one.quantity for one in listed)
    each = [one for one in listed if one.quantity != 0]
    if each and equal(told, missing):
        return tuple(
            Piece(
                missing=one.quantity, at=one.at or located.window.start, within=located.window, record_id=one.record_id
            )
            for one in each
        )
    only = next((one for one in reversed(listed) if len(listed) == 1 or equal(one.quantity, missing)), None)
    at = (only.at if only else None) or located.window.start
    record_id = only.record_id if only else None
    return (Piece(missing=missing, at=at, within=located.window, record_id=record_id),)


def nothing(why: str) -> Correction:
    """Nothing to move."""
    return Correction(kind=CorrectionKind.NOTHING, command="", until=None, why=why)


def span(window: Window) -> str:
    """A window in words."""
    return f"{iso(window.start)} to {iso(window.end)}"
