"""The page for whoever reviews a card dispute: its view, and the values that its template sees.

It is read by people who know neither the vendor nor a ledger, so it is one page whatever there is to say: names are cut
here, and the template shows as many windows as fit.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from pacspace_stripe.documents.statements import keywords
from pacspace_stripe.documents.wording import figure, one_line, optional, utc

SUMMARY_TEMPLATE = "dispute_summary.typ"
_LONGEST_NAME, _LONGEST_METER, _LONGEST_REASON = 120, 60, 300
_MOST_WINDOWS = 8
"""Handed to the template; more never fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryWindow:
    """One meter and period. A figure is None when its side could not say."""

    meter: str
    start: datetime | None
    end: datetime | None
    billed: Decimal | None
    """In the meter's unit, like ``recorded``."""
    recorded: Decimal | None
    count: int | None
    proof_root: str | None = None
    covered: int | None = None
    """Number of records that the root covers; like ``net`` None unless PacSpace's public answer named it."""
    net: Decimal | None = None
    """Raw and signed, over those records, as PacSpace's page shows it."""
    stale: bool = False
    """The root covers other records than were compared."""
    verify_url: str | None = None
    record_key: str | None = None
    """With the settlement ledger, the record that is the proof itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryView:
    """All that the template sees."""

    invoice_id: str
    number: str | None
    customer_id: str
    customer: str | None
    livemode: bool
    verdict: str
    reason: str
    tolerance: Decimal
    waiver: str | None
    """What the person wrote who let it go."""
    of_draft: bool
    """Whether it was decided before the invoice was final."""
    decided_at: datetime
    confirmed_at: datetime | None
    """When the final invoice was found to bill the same."""
    windows: tuple[SummaryWindow, ...]
    evidence_sha256: str
    stamped: bool
    """Whether the invoice names this hash now."""


def summary_values(view: SummaryView) -> dict[str, object]:
    """What the template sees: text and None, dates in words, figures as their exact digits."""
    decided_at = utc(view.decided_at)
    return {
        "invoice_id": one_line(view.invoice_id),
        "invoice": _short(view.number or view.invoice_id, _LONGEST_METER),
        "number": optional(view.number) and _short(view.number or "", _LONGEST_METER),
        "customer": _short(view.customer, _LONGEST_NAME) if view.customer else None,
        "customer_id": _short(view.customer_id, _LONGEST_NAME),
        "livemode": view.livemode,
        "verdict": one_line(view.verdict),
        "reason": one_line(view.reason),
        "tolerance": figure(view.tolerance),
        "waiver": _short(view.waiver, _LONGEST_REASON) if view.waiver else None,
        "of_draft": view.of_draft,
        "decided": _in_words(decided_at),
        "confirmed": _in_words(view.confirmed_at) if view.confirmed_at else None,
        "windows": [_row(window) for window in view.windows[:_MOST_WINDOWS]],
        "total": len(view.windows),
        "links": list(dict.fromkeys(one_line(each.verify_url) for each in view.windows if each.verify_url)),
        "evidence_sha256": one_line(view.evidence_sha256),
        "stamped": view.stamped,
        "keywords": keywords(view.evidence_sha256, *(window.proof_root for window in view.windows[:_MOST_WINDOWS])),
        "date": {part: getattr(decided_at, part) for part in ("year", "month", "day", "hour", "minute", "second")},
    }


def _row(window: SummaryWindow) -> dict[str, object]:
    return {
        "meter": _short(window.meter, _LONGEST_METER),
        "start": _in_words(window.start) if window.start else None,
        "end": _in_words(window.end) if window.end else None,
        "billed": figure(window.billed),
        "recorded": figure(window.recorded),
        "count": None if window.count is None else str(window.count),
        "proof_root": optional(window.proof_root),
        "covered": None if window.covered is None else str(window.covered),
        "net": figure(window.net),
        "stale": window.stale,
        "verify_url": optional(window.verify_url),
        "record_key": optional(window.record_key),
    }


def _short(words: str, longest: int) -> str:
    """Words on one line, cut where a page for them ends."""
    line = one_line(words)
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def _in_words(at: datetime) -> str:
    """``1 November 2026, 01:00``; at midnight the day alone. UTC."""
    at = utc(at)
    day = f"{at.day} {_MONTHS[at.month - 1]} {at.year}"
    return day if (at.hour, at.minute, at.second) == (0, 0, 0) else f"{day}, {at:%H:%M}"


_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
