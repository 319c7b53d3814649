"""Figures that a verification is about, in the payer's words: whose invoice, which meter and period, how much. Pure.

Nothing here is verified by itself: the steps say whether it holds.
"""

from dataclasses import dataclass

from pacspace_stripe.evidence.models import EvidenceDocument, WindowModel
from pacspace_stripe.verify.invoice import Stamp
from pacspace_stripe.verify.report import printable
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.invoices import Invoice
from pacspace_stripe.vocabulary.ledger import ProofSummary
from pacspace_stripe.vocabulary.quantities import text

_COMPARE = "Compare these figures with the page in front of you: it must show the same."
_COMPARE_ROOT = (
    "Compare with the page that names this proof root: it must show as many records, and as recorded usage the net "
    "change, whose sign the vendor chose."
)
_AT_STRIPE, _ON_DOCUMENT = "at Stripe", "as the document says"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedName:
    """A name, and who says it: evidence has ids only."""

    name: str
    said: str

    def __str__(self) -> str:
        return f"{self.name} ({self.said})"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedWindow:
    """Both figures of one meter and period, as they are written; None where they are not known."""

    meter: str | None
    account: str | None
    period: str | None
    billed: str | None
    recorded: str | None
    records: str | None
    net_change: str | None = None
    """Net change that a proof root alone covers, in the ledger's sign: the vendor chose the sign of usage."""

    def as_json(self) -> dict[str, Json]:
        """Return the window for machines, quantities as strings."""
        start, _, end = (self.period or "").partition("/")
        return {
            "meter": self.meter,
            "account": self.account,
            "start": start or None,
            "end": end or None,
            "billed": self.billed,
            "recorded": self.recorded,
            "records": self.records,
            **({"net_change": self.net_change} if self.net_change is not None else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedFigures:
    """Owner of an invoice and the usage it bills, as far as the target says so."""

    invoice: str | None
    customer: str | None
    title: str | None = None
    """Title of the document, which names the invoice's number."""
    number: VerifiedName | None = None
    vendor: VerifiedName | None = None
    customer_name: VerifiedName | None = None
    windows: tuple[VerifiedWindow, ...] = ()
    more_windows: int = 0
    """Windows that the stamp counts and does not name."""

    @property
    def compare(self) -> str:
        """Return the sentence that says what to compare with the page; empty where there is no figure."""
        if not self.windows:
            return ""
        return _COMPARE_ROOT if any(window.net_change for window in self.windows) else _COMPARE

    def as_json(self) -> dict[str, Json]:
        """Return the same for machines."""
        return {
            "invoice": self.invoice,
            "number": self.number.name if self.number else None,
            "title": self.title,
            "vendor": self.vendor.name if self.vendor else None,
            "vendor_said": self.vendor.said if self.vendor else None,
            "customer": self.customer,
            "customer_name": self.customer_name.name if self.customer_name else None,
            "windows": [window.as_json() for window in self.windows],
            "more_windows": self.more_windows,
        }


def of_evidence(
    document: EvidenceDocument, at_stripe: Invoice | None, *, title: str | None = None, author: str | None = None
) -> VerifiedFigures:
    """Return what evidence is about, with the names that Stripe or the document around it gives."""
    known = at_stripe if at_stripe and at_stripe.customer_id == document.customer else None
    vendor = _named(known.account_name if known else None, _AT_STRIPE) or _named(author, _ON_DOCUMENT)
    return VerifiedFigures(
        invoice=printable(document.invoice),
        customer=printable(document.customer),
        title=printable(title) if title else None,
        number=_named(known.number if known else None, _AT_STRIPE),
        vendor=vendor,
        customer_name=_named(known.customer_name if known else None, _AT_STRIPE),
        windows=tuple(map(_window, document.windows)),
    )


def of_stamp(invoice: Invoice) -> VerifiedFigures:
    """Return what the stamp on an invoice at Stripe says: it names no meter, and no more than four windows."""
    windows, number = _stamped(invoice), invoice.metadata.get("pacspace_windows", "")
    counted = int(number) if number.isascii() and number.isdigit() and len(number) < _DIGITS else 0
    return VerifiedFigures(
        invoice=printable(invoice.invoice_id),
        customer=printable(invoice.customer_id),
        number=_named(invoice.number, _AT_STRIPE),
        vendor=_named(invoice.account_name, _AT_STRIPE),
        customer_name=_named(invoice.customer_name, _AT_STRIPE),
        windows=windows,
        more_windows=max(0, counted - len(windows)),
    )


_DIGITS = 6


def of_root(summary: ProofSummary) -> VerifiedFigures:
    """Return what PacSpace says a root covers: one net change, which no meter or invoice belongs to."""
    window = VerifiedWindow(
        meter=None,
        account=None,
        period=None,
        billed=None,
        recorded=None,
        records=str(summary.record_count) if summary.record_count is not None else None,
        net_change=text(summary.net_change) if summary.net_change is not None else None,
    )
    return VerifiedFigures(invoice=None, customer=None, windows=(window,))


def _named(name: str | None, said: str) -> VerifiedName | None:
    shown = printable(name) if name else ""
    return VerifiedName(name=shown, said=said) if shown else None


def _window(window: WindowModel) -> VerifiedWindow:
    period = window.window
    return VerifiedWindow(
        meter=printable(window.meter),
        account=printable(window.account) if window.account is not None else None,
        period=str(period) if period else None,
        billed=text(window.billed) if window.billed is not None else None,
        recorded=text(window.recorded) if window.recorded is not None else None,
        records=str(window.count) if window.count is not None else None,
    )


def _stamped(invoice: Invoice) -> tuple[VerifiedWindow, ...]:
    stamp = Stamp(metadata=invoice.metadata, footer=invoice.footer)
    return tuple(
        VerifiedWindow(
            meter=None,
            account=None,
            period=printable(keys["window"]) if "window" in keys else None,
            billed=printable(keys["usage"]) if "usage" in keys else None,
            recorded=None,
            records=printable(keys["delta_count"]) if "delta_count" in keys else None,
        )
        for keys in stamp.figures
    )
