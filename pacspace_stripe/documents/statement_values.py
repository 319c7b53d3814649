"""The statement's view → the values that its template sees."""

from dataclasses import dataclass

from pacspace_stripe.documents.days import DayValues, bars
from pacspace_stripe.documents.pictures import qr_code
from pacspace_stripe.documents.texts import Texts
from pacspace_stripe.documents.views import StatementView, StatementWindow
from pacspace_stripe.documents.wording import figure, moment, one_line, optional, parts, utc
from pacspace_stripe.gate.rules.footer import FOOTER_LIMIT, ROOTS_IN_TABLE
from pacspace_stripe.vocabulary import quantities

STATEMENT_TEMPLATE = "statement.typ"
MOST_CODES = 6
"""How many different links a statement shows as QR codes: of more, nobody would scan each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementWindowValues:
    """One entry of `windows`."""

    account: str
    """The ledger account, or of the settlement ledger the record's key."""
    meter: str
    """The meter's event name."""
    start: str
    """In UTC, like `2026-09-01 00:00`."""
    end: str
    """The same; not part of the window."""
    billed: str | None
    """Usage billed, in the meter's unit, its exact digits; none when the billing system could not say."""
    recorded: str | None
    """Usage recorded, in the meter's unit, its exact digits; none when the ledger could not say."""
    difference: str | None
    """Billed less recorded; none unless both are known."""
    count: str | None
    """Number of records, or of writes with `record_key`; none when the ledger could not say."""
    proof_root: str | None
    """PacSpace's root of the records; none when there is nothing to prove."""
    verify_url: str | None
    """Where a person can check the root; none like it."""
    qr: str | None
    """A QR code of `verify_url` as SVG; each link has one, unless there are more than six."""
    record_key: str | None
    """Of the settlement ledger, which has no roots: the record that is the proof itself."""
    days: list[DayValues]
    """Both sides day by day; empty when daily figures are not known."""
    days_zero: int
    """Where 0 is in the bars, in thousandths from the bottom; above 0 only when a day's usage is negative."""
    days_most: str
    """The largest figure of any day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementValues:
    """The usage statement of one invoice: the keys of `data`."""

    invoice_id: str
    """Stripe's id of the invoice."""
    number: str | None
    """The invoice's number; none before it is finalized."""
    invoice: str
    """The number, or the id in its place."""
    customer: str
    """The customer's name, or its id."""
    vendor: str | None
    """`PACSPACE_STRIPE_VENDOR`."""
    logo: str | None
    """`PACSPACE_STRIPE_LOGO` as SVG, whatever kind of picture it was."""
    paper: str
    """`a4` or `letter`."""
    language: str
    """`en`, `de`, `fr` or `es`."""
    texts: Texts
    """The statement's own texts in that language: those of `statement_texts.json`, by name."""
    fonts: list[str]
    """Names of the font families in `PACSPACE_STRIPE_FONTS`, in order."""
    verdict: str
    """`matched`, `drifted`, `unproven` or `waived`."""
    reason: str
    """A reason code, or for a waiver what the person wrote."""
    windows: list[StatementWindowValues]
    """One for each meter and period."""
    evidence_sha256: str
    """SHA-256 of the evidence document, which is inside the PDF as `evidence.json`."""
    confirmed_at: str | None
    """In UTC, when the finalized invoice was found to bill what the evidence names."""
    footer: list[str]
    """The lines that every page ends with: the invoice's own footer block, or a short one if it is too long."""
    keywords: list[str]
    """For the PDF's metadata, which `pacspace-stripe verify` reads."""
    issued_at: str
    """In UTC, when it was decided."""
    date: dict[str, int]
    """The same in parts, from `year` to `second`."""


def statement_values(
    view: StatementView, *, texts: Texts, fonts: list[str], logo: str | None = None
) -> StatementValues:
    """The view's values as text, each on one line."""
    issued_at = utc(view.issued_at)
    letterhead = view.letterhead
    codes = _codes(view.windows)
    return StatementValues(
        invoice_id=one_line(view.invoice_id),
        number=optional(view.number),
        invoice=one_line(view.number or view.invoice_id),
        customer=one_line(view.customer),
        vendor=optional(letterhead.vendor),
        logo=logo,
        paper=letterhead.paper.value,
        language=letterhead.language.value,
        texts=texts,
        fonts=fonts,
        verdict=one_line(view.verdict),
        reason=one_line(view.reason),
        windows=[_row(window, codes.pop(optional(window.verify_url), None)) for window in view.windows],
        evidence_sha256=view.evidence_sha256,
        confirmed_at=None if view.confirmed_at is None else moment(view.confirmed_at.replace(microsecond=0)),
        footer=[one_line(line) for line in _footer(view).splitlines()],
        keywords=keywords(view.evidence_sha256, *(window.proof_root for window in view.windows)),
        issued_at=moment(issued_at.replace(microsecond=0)),
        date=parts(issued_at),
    )


def _footer(view: StatementView) -> str:
    """The footer, unless it is longer than any invoice's: then where the roots are, and the evidence."""
    if len(view.footer) <= FOOTER_LIMIT:
        return view.footer
    heading = "Metered usage as recorded in PacSpace, an independent ledger"
    return f"{heading}\n{ROOTS_IN_TABLE}\nEvidence SHA-256: {view.evidence_sha256}"


def keywords(evidence_sha256: str, *proof_roots: str | None) -> list[str]:
    """What a PDF's metadata carries of its evidence: the hash, and each root once."""
    roots = dict.fromkeys(root for root in proof_roots if root)
    return [one_line(f"evidence-sha256:{evidence_sha256}"), *(one_line(f"proof-root:{root}") for root in roots)]


def _codes(windows: tuple[StatementWindow, ...]) -> dict[str | None, str | None]:
    """A QR code for each link, once; none when there are too many."""
    links = dict.fromkeys(one_line(window.verify_url) for window in windows if window.verify_url)
    return {link: qr_code(link) for link in links} if len(links) <= MOST_CODES else {}


def _row(window: StatementWindow, qr: str | None) -> StatementWindowValues:
    billed, recorded = window.billed, window.recorded
    difference = None if billed is None or recorded is None else quantities.subtract(billed, recorded)
    shown = bars(window.days)
    return StatementWindowValues(
        account=one_line(window.account),
        meter=one_line(window.meter),
        start=moment(window.start),
        end=moment(window.end),
        billed=figure(billed),
        recorded=figure(recorded),
        difference=figure(difference),
        count=None if window.count is None else str(window.count),
        proof_root=optional(window.proof_root),
        verify_url=optional(window.verify_url),
        qr=qr,
        record_key=optional(window.record_key),
        days=shown.days,
        days_zero=shown.zero,
        days_most=shown.most,
    )
