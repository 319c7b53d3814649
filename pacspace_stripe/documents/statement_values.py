"""The usage statement of one invoice: what its template sees, and its texts in each language."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pacspace_stripe.documents.charts import DayValues, bars
from pacspace_stripe.documents.pictures import qr_code
from pacspace_stripe.documents.plain_text import figure, moment, one_line, optional, parts, utc
from pacspace_stripe.documents.rules.letterhead import Language
from pacspace_stripe.documents.templates import Templates, built_in, template_error
from pacspace_stripe.documents.views import StatementView, UsageWindow
from pacspace_stripe.gate.rules.footer import FOOTER_LIMIT, ROOTS_IN_TABLE
from pacspace_stripe.vocabulary import quantities

STATEMENT_TEMPLATE = "statement.typ"
STATEMENT_TEXTS = "statement_texts.json"
MOST_CODES = 6
"""Number of different links that a statement shows as QR codes: with more, a reader would not scan each."""

Texts: TypeAlias = "dict[str, str | Texts]"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementWindowValues:
    """One entry of `windows`."""

    account: str
    """The ledger account; with the settlement ledger, the record's key."""
    meter: str
    """The meter's event name."""
    start: str
    """Start of the period in UTC, like `2026-09-01 00:00`."""
    end: str
    """End of the period, which is not part of it."""
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
    """The address where a person can check the root; none without one."""
    qr: str | None
    """A QR code of `verify_url` as SVG; each link has one, unless there are more than six."""
    record_key: str | None
    """The key of the record that is the proof itself, with the settlement ledger, which has no roots."""
    days: list[DayValues]
    """Both sides day by day; empty when daily figures are not known."""
    days_zero: int
    """Position of 0 in the bars, in thousandths from the bottom; above 0 only when a day's usage is negative."""
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
    """A reason code; for a waiver, the reason that the person wrote."""
    windows: list[StatementWindowValues]
    """One for each meter and period."""
    evidence_sha256: str
    """SHA-256 of the evidence document, which is inside the PDF as `evidence.json`."""
    confirmed_at: str | None
    """Time in UTC when the finalized invoice was found to bill what the evidence names; none before that."""
    footer: list[str]
    """The lines at the end of every page: the invoice's own footer block, or a short one if it is too long."""
    keywords: list[str]
    """Keywords for the PDF's metadata, which `pacspace-stripe verify` reads."""
    issued_at: str
    """Time of the decision, in UTC."""
    date: dict[str, int]
    """Time of the decision in parts, from `year` to `second`."""


def statement_values(
    view: StatementView, *, texts: Texts, fonts: list[str], logo: str | None = None
) -> StatementValues:
    """Return the view's values as text, each on one line. Windows without a period have no row."""
    issued_at = utc(view.issued_at)
    letterhead = view.letterhead
    # The first row with a link shows its QR code; the other rows with the same link do without.
    links = dict.fromkeys(one_line(window.verify_url) for window in view.windows if window.verify_url)
    codes = {link: qr_code(link) for link in links} if len(links) <= MOST_CODES else {}
    footer = view.footer
    # Such a footer never fits on an invoice. `verify` knows this sentence and looks for the roots in the table.
    if len(footer) > FOOTER_LIMIT:
        heading = "Metered usage as recorded in PacSpace, an independent ledger"
        footer = f"{heading}\n{ROOTS_IN_TABLE}\nEvidence SHA-256: {view.evidence_sha256}"
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
        windows=list(_rows(view.windows, codes)),
        evidence_sha256=view.evidence_sha256,
        confirmed_at=None if view.confirmed_at is None else moment(view.confirmed_at.replace(microsecond=0)),
        footer=[one_line(line) for line in footer.splitlines()],
        keywords=keywords(view.evidence_sha256, *(window.proof_root for window in view.windows)),
        issued_at=moment(issued_at.replace(microsecond=0)),
        date=parts(issued_at),
    )


def keywords(evidence_sha256: str, *proof_roots: str | None) -> list[str]:
    """Return the keywords of a PDF about this evidence: the hash, and each proof root once."""
    roots = dict.fromkeys(root for root in proof_roots if root)
    return [one_line(f"evidence-sha256:{evidence_sha256}"), *(one_line(f"proof-root:{root}") for root in roots)]


def _rows(windows: tuple[UsageWindow, ...], codes: dict[str, str | None]) -> Iterator[StatementWindowValues]:
    for window in windows:
        if window.start is None or window.end is None:
            continue
        billed, recorded = window.billed, window.recorded
        difference = None if billed is None or recorded is None else quantities.subtract(billed, recorded)
        verify_url = optional(window.verify_url)
        daily = bars(window.days)
        yield StatementWindowValues(
            account=one_line(window.account or "-"),
            meter=one_line(window.meter),
            start=moment(window.start),
            end=moment(window.end),
            billed=figure(billed),
            recorded=figure(recorded),
            difference=figure(difference),
            count=None if window.count is None else str(window.count),
            proof_root=optional(window.proof_root),
            verify_url=verify_url,
            qr=codes.pop(verify_url, None) if verify_url else None,
            record_key=optional(window.record_key),
            days=daily.days,
            days_zero=daily.zero,
            days_most=daily.most,
        )


def texts_of(templates: Templates, language: Language) -> Texts:
    """Return every text of the statement in ``language``: ours, replaced by the user's where their file has them.

    RenderError names the file and what is wrong with it: not JSON, a text that we do not have, or a value that is not
    a text.
    """
    ours = _read(built_in() / STATEMENT_TEXTS)[language]
    assert isinstance(ours, dict)  # noqa: S101  # our own file, under test
    path = templates.path(STATEMENT_TEXTS)
    theirs = _read(path)
    for name in theirs:
        if name not in set(Language):
            raise template_error(path, None, f"no such language: {name}")
    return _merged(ours, theirs.get(language, {}), path, language)


def _read(path: Path) -> Texts:
    try:
        texts: Texts = json.loads(path.read_bytes())
    except ValueError as error:
        raise template_error(path, getattr(error, "lineno", None), f"is not JSON: {error}") from error
    if not isinstance(texts, dict):
        raise template_error(path, None, "is not an object of languages")
    return texts


def _merged(ours: "Texts", theirs: object, path: Path, where: str) -> Texts:
    if not isinstance(theirs, dict):
        raise template_error(path, None, f"{where} is not an object")
    for name in theirs:
        if name not in ours:
            raise template_error(path, None, f"no such text: {where}.{name}")
    merged: Texts = {}
    for name, text in ours.items():
        chosen = theirs.get(name, text)
        if isinstance(text, dict):
            chosen = _merged(text, chosen, path, f"{where}.{name}")
        elif not isinstance(chosen, str):
            raise template_error(path, None, f"{where}.{name} is not a text")
        merged[name] = chosen
    return merged
