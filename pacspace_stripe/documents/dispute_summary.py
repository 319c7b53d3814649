"""The one-page summary for the reviewer of a card dispute: what its template sees.

Its readers know neither the vendor nor a ledger, and most card networks take one page only. Long names are therefore
shortened here, and the template shows as many windows as fit.
"""

from dataclasses import dataclass
from datetime import datetime

from pacspace_stripe.documents.charts import DayValues, bars
from pacspace_stripe.documents.plain_text import figure, one_line, optional, parts, shortened, utc
from pacspace_stripe.documents.statement_values import keywords
from pacspace_stripe.documents.views import SummaryView, UsageWindow
from pacspace_stripe.vocabulary import quantities

SUMMARY_TEMPLATE = "dispute_summary.typ"
_LONGEST_NAME, _LONGEST_METER, _LONGEST_REASON, _LONGEST_SENTENCE = 120, 60, 300, 500
_MOST_WINDOWS = 8
"""Number of windows that the template gets; more never fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryWindowValues:
    """One entry of `windows`."""

    meter: str
    """The meter's event name, cut if it is very long."""
    start: str | None
    """Start of the period in UTC, like `1 November 2026, 01:00`; at midnight the day alone; none when not known."""
    end: str | None
    """End of the period, which is not part of it; none when it is not known."""
    billed: str | None
    """Usage billed, in the meter's unit, its exact digits; none when the billing system could not say."""
    recorded: str | None
    """Usage recorded, in the meter's unit, its exact digits; none when the ledger could not say."""
    count: str | None
    """Number of records, or of writes with `record_key`; none when the ledger could not say."""
    proof_root: str | None
    """PacSpace's root of the records; none when there is nothing to prove."""
    covered: str | None
    """Number of records that the root covers; none unless PacSpace's public answer named it."""
    net: str | None
    """Net change of those records with its sign, as PacSpace's page shows it; none like `covered`."""
    stale: bool
    """True when the root covers other records than those that were compared."""
    verify_url: str | None
    """The address where a person can check the root; none without one."""
    record_key: str | None
    """The key of the record that is the proof itself, with the settlement ledger, which has no roots."""
    sentence: str | None
    """Place and likely cause of the difference, naming no other customer; empty when the cause is not known."""
    days: list[DayValues]
    """Both sides day by day, where they differ; empty when daily figures are not known."""
    days_zero: int
    """Position of 0 in the bars, in thousandths from the bottom; above 0 only when a day's usage is negative."""
    days_most: str
    """The largest figure of any day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryValues:
    """The page in a dispute bundle for the reviewer of the dispute: the keys of `data`. It has to stay one page."""

    invoice_id: str
    """Stripe's id of the invoice."""
    invoice: str
    """The number, or the id in its place."""
    number: str | None
    """The invoice's number; none before it is finalized, or when Stripe did not answer."""
    customer: str | None
    """The customer's name; none when Stripe did not answer."""
    customer_id: str
    """Stripe's id of the customer."""
    vendor: str | None
    """`PACSPACE_STRIPE_VENDOR`."""
    logo: str | None
    """`PACSPACE_STRIPE_LOGO` as SVG, whatever kind of picture it was."""
    paper: str
    """`a4` or `letter`."""
    fonts: list[str]
    """Names of the font families in `PACSPACE_STRIPE_FONTS`, in order."""
    livemode: bool
    """True when the invoice is of Stripe's live mode, about real money."""
    verdict: str
    """`matched`, `drifted`, `unproven` or `waived`."""
    reason: str
    """A reason code."""
    tolerance: str
    """The difference that the policy accepts, in the meter's unit."""
    waiver: str | None
    """The reason that a person wrote for releasing the invoice; none without a waiver."""
    of_draft: bool
    """True when the decision was made before the invoice was finalized."""
    decided: str
    """Time of the decision in UTC, like `1 November 2026, 01:00`."""
    confirmed: str | None
    """Time in UTC when the finalized invoice was found to bill the same; none before that."""
    windows: list[SummaryWindowValues]
    """One for each meter and period, at most eight."""
    total: int
    """Number of all windows, also of those that are not among `windows`."""
    links: list[str]
    """Every different `verify_url`, of all windows."""
    evidence_sha256: str
    """SHA-256 of the evidence document, in lower-case hex."""
    stamped: bool
    """True when the invoice names this hash at Stripe now."""
    keywords: list[str]
    """Keywords for the PDF's metadata, which `pacspace-stripe verify` reads."""
    date: dict[str, int]
    """Time of the decision in parts, from `year` to `second`."""


def summary_values(view: SummaryView, *, fonts: list[str], logo: str | None = None) -> SummaryValues:
    """Return the view's values as text, each on one line: dates in words, figures with their exact digits."""
    shown = view.windows[:_MOST_WINDOWS]
    return SummaryValues(
        invoice_id=one_line(view.invoice_id),
        invoice=shortened(view.number or view.invoice_id, _LONGEST_METER),
        number=shortened(view.number, _LONGEST_METER) if view.number else None,
        customer=shortened(view.customer, _LONGEST_NAME) if view.customer else None,
        customer_id=shortened(view.customer_id, _LONGEST_NAME),
        vendor=shortened(view.letterhead.vendor, _LONGEST_NAME) if view.letterhead.vendor else None,
        logo=logo,
        paper=view.letterhead.paper.value,
        fonts=fonts,
        livemode=view.livemode,
        verdict=one_line(view.verdict),
        reason=one_line(view.reason),
        tolerance=quantities.text(view.tolerance),
        waiver=shortened(view.waiver, _LONGEST_REASON) if view.waiver else None,
        of_draft=view.of_draft,
        decided=_in_words(view.decided_at),
        confirmed=_in_words(view.confirmed_at) if view.confirmed_at else None,
        windows=[_row(window) for window in shown],
        total=len(view.windows),
        links=list(dict.fromkeys(one_line(each.verify_url) for each in view.windows if each.verify_url)),
        evidence_sha256=one_line(view.evidence_sha256),
        stamped=view.stamped,
        keywords=keywords(view.evidence_sha256, *(window.proof_root for window in shown)),
        date=parts(view.decided_at),
    )


def _row(window: UsageWindow) -> SummaryWindowValues:
    daily = bars(window.days)
    return SummaryWindowValues(
        meter=shortened(window.meter, _LONGEST_METER),
        start=_in_words(window.start) if window.start else None,
        end=_in_words(window.end) if window.end else None,
        billed=figure(window.billed),
        recorded=figure(window.recorded),
        count=None if window.count is None else str(window.count),
        proof_root=optional(window.proof_root),
        covered=None if window.covered is None else str(window.covered),
        net=figure(window.net),
        stale=window.stale,
        verify_url=optional(window.verify_url),
        record_key=optional(window.record_key),
        sentence=shortened(window.sentence, _LONGEST_SENTENCE) if window.sentence else None,
        days=daily.days,
        days_zero=daily.zero,
        days_most=daily.most,
    )


def _in_words(at: datetime) -> str:
    """Return a time in UTC as ``1 November 2026, 01:00``; at midnight the day alone."""
    at = utc(at)
    day = f"{at.day} {_MONTHS[at.month - 1]} {at.year}"
    return day if (at.hour, at.minute, at.second) == (0, 0, 0) else f"{day}, {at:%H:%M}"


_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
