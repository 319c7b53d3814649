"""The contents of each document as typed values, read straight from an evidence document.

A view says what a document shows; the values that a template sees are texts made of it (``footer_text``,
``statement_values``, ``dispute_summary``). All documents share one shape of a window, ``UsageWindow``. Evidence is
read as plain JSON, because a statement of evidence that an earlier version wrote has to come out, too.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.documents.rules.letterhead import Letterhead
from pacspace_stripe.explain.rules.explanation import Explanation, explanation_of
from pacspace_stripe.explain.rules.explanation_text import sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """Both sides' usage on one UTC day of a window. A figure is None when its side could not say."""

    on: date
    billed: Decimal | None
    """In the meter's unit, like ``recorded``."""
    recorded: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageWindow:
    """One meter and period of an invoice with both sides' figures. A figure is None when its side could not say."""

    account: str | None
    """The ledger account; None when it is not known."""
    meter: str
    """The meter's event name."""
    start: datetime | None
    """Aware; None when the period is not known."""
    end: datetime | None
    billed: Decimal | None
    """In the meter's unit, like ``recorded``."""
    recorded: Decimal | None
    count: int | None
    """Number of ledger records, or of writes to the settlement record."""
    proof_root: str | None = None
    """None when there is no record to prove."""
    verify_url: str | None = None
    covered: int | None = None
    """Number of records that the root covers; like ``net`` None unless PacSpace's public answer named it."""
    net: Decimal | None = None
    """Net change of those records, raw and signed, as PacSpace's page shows it."""
    stale: bool = False
    """The root covers other records than were compared."""
    record_key: str | None = None
    """Key of the record that is the proof itself, with the settlement ledger."""
    record_verified: bool = True
    """False for a settlement record that PacSpace has not verified: it proves nothing, so no footer names it."""
    sentence: str | None = None
    """Place and likely cause of the difference, in English, without naming another customer."""
    days: tuple[Day, ...] = ()
    """In order; empty when daily figures are not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FooterView:
    """The contents of an invoice's footer."""

    windows: tuple[UsageWindow, ...]
    evidence_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementView:
    """The contents of a usage statement."""

    invoice_id: str
    number: str | None
    customer: str
    verdict: str
    reason: str
    """A reason code; for a waiver, the reason that the person wrote."""
    windows: tuple[UsageWindow, ...]
    evidence: bytes
    """Canonical bytes of the decision, which are embedded in the PDF."""
    confirmed_at: datetime | None = None
    """Time at which the finalized invoice was found to bill what the decision names."""
    footer: str
    """The text at the end of every page, as ``render_footer`` made it. One that is longer than an invoice's footer
    can be is replaced by a short one."""
    issued_at: datetime
    letterhead: Letterhead = field(default_factory=Letterhead)

    @property
    def evidence_sha256(self) -> str:
        """SHA-256 of the evidence in lower-case hex."""
        return hashlib.sha256(self.evidence).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryView:
    """The contents of the one-page summary for the reviewer of a card dispute."""

    invoice_id: str
    number: str | None
    customer_id: str
    customer: str | None
    livemode: bool
    verdict: str
    reason: str
    tolerance: Decimal
    """The difference that the policy accepts, in the meter's unit."""
    waiver: str | None
    """The reason that a person wrote for releasing the invoice."""
    of_draft: bool
    """True when the decision was made before the invoice was finalized."""
    decided_at: datetime
    confirmed_at: datetime | None
    """Time at which the finalized invoice was found to bill the same."""
    windows: tuple[UsageWindow, ...]
    evidence_sha256: str
    stamped: bool
    """True when the invoice names this hash at Stripe now."""
    letterhead: Letterhead = field(default_factory=Letterhead)


def footer_view(document: Mapping[str, Any], evidence_sha256: str) -> FooterView:
    """Return the contents of a footer: every window of the evidence."""
    return FooterView(windows=tuple(map(_window, document["windows"])), evidence_sha256=evidence_sha256)


def statement_windows(
    document: Mapping[str, Any], days: Mapping[str, tuple[Day, ...]] | None = None
) -> tuple[UsageWindow, ...]:
    """Return the rows of a statement: every window, with its daily figures where ``days`` has them by window key."""
    known = days or {}
    return tuple(_window(window, days=known.get(window_key(window), ())) for window in document["windows"])


def window_key(window: Mapping[str, Any]) -> str:
    """Return the text that identifies a window among those of its evidence document."""
    return "|".join(str(window[name]) for name in ("account", "meter", "start", "end"))


def summary_windows(document: Mapping[str, Any], explanations: Iterable[Explanation] = ()) -> tuple[UsageWindow, ...]:
    """Return the rows of a dispute summary: every window.

    A drifted decision also gets the cause of each difference and its days. A waived one does not: the words of the
    person who released it explain it.
    """
    known = tuple(explanations) if document["decision"]["verdict"] == Verdict.DRIFTED else ()
    rows = []
    for window in document["windows"]:
        explained = explanation_of(window, known)
        if explained is None:
            rows.append(_window(window))
        else:
            rows.append(_window(window, days=days_of(explained), cause=sentence(explained, naming=False)))
    return tuple(rows)


def days_of(explanation: Explanation) -> tuple[Day, ...]:
    """Return both sides' figures day by day; empty when they are not known."""
    return tuple(Day(on=day.on, billed=day.billed, recorded=day.recorded) for day in explanation.days)


def proof_roots(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return every proof root of the evidence once, in the order of the windows."""
    roots = ((window["proof"] or {}).get("proof_root") for window in document["windows"])
    return tuple(dict.fromkeys(root for root in roots if root))


def decided_at(document: Mapping[str, Any]) -> datetime:
    """Return when the decision was made."""
    return datetime.fromisoformat(document["decided_at"])


def is_about(footer: str, document: Mapping[str, Any], evidence_sha256: str) -> bool:
    """Return whether a footer names this evidence and its proof roots.

    Stripe freezes footers at finalization, so a finalized invoice's footer may name an earlier decision.
    """
    names = (evidence_sha256, *proof_roots(document))
    return all(re.search(rf"(?<![0-9a-fA-F]){re.escape(name)}(?![0-9a-fA-F])", footer) for name in names)


def _window(window: Mapping[str, Any], *, days: tuple[Day, ...] = (), cause: str | None = None) -> UsageWindow:
    proof, record = window["proof"] or {}, window.get("record") or {}
    # What a root covers is shown only where PacSpace's public answer named it.
    stated = proof if proof.get("cross_checked") else {}
    return UsageWindow(
        account=window["account"],
        meter=window["meter"],
        start=datetime.fromisoformat(window["start"]) if window["start"] else None,
        end=datetime.fromisoformat(window["end"]) if window["end"] else None,
        billed=_quantity(window["billed"]),
        recorded=_quantity(window["recorded"]),
        count=window["count"],
        proof_root=proof.get("proof_root"),
        verify_url=proof.get("verify_url"),
        covered=stated.get("record_count"),
        net=_quantity(stated.get("net_change")),
        stale=proof.get("stale", False),
        record_key=record.get("key"),
        record_verified=bool(record["verified"]) if record else True,
        sentence=cause,
        days=days,
    )


def _quantity(written: str | None) -> Decimal | None:
    return None if written is None else Decimal(written)
