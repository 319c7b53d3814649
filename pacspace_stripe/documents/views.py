"""What documents are filled with, as the rest of the program has it: plain values, quantities exact."""

import hashlib
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from pacspace_stripe.documents.rules.letterhead import Letterhead


@dataclass(frozen=True, slots=True, kw_only=True)
class FooterWindow:
    """One ledger account's record of one window, as the footer names it."""

    meter: str
    start: datetime
    end: datetime
    usage: Decimal | None
    """Recorded usage, in the meter's unit; like ``count`` None when the ledger could not say."""
    count: int | None
    proof_root: str | None
    """None when there is no record to prove."""
    verify_url: str | None
    record_key: str | None = None
    """With the settlement ledger, the record that is the proof itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FooterView:
    """All that a footer says."""

    windows: tuple[FooterWindow, ...]
    evidence_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One UTC day of a window, or what of it lies inside. A figure is None when its side could not say."""

    on: date
    billed: Decimal | None
    """In the meter's unit, like ``recorded``."""
    recorded: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementWindow:
    """One row of the statement. A figure is None when its side could not say."""

    account: str
    meter: str
    start: datetime
    end: datetime
    billed: Decimal | None
    """In the meter's unit, like ``recorded``."""
    recorded: Decimal | None
    count: int | None
    proof_root: str | None
    verify_url: str | None
    record_key: str | None = None
    days: tuple[Day, ...] = ()
    """In order; empty when daily figures are not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementView:
    """All that a statement says."""

    invoice_id: str
    number: str | None
    customer: str
    verdict: str
    reason: str
    """A reason code, or for a waiver what the person wrote."""
    windows: tuple[StatementWindow, ...]
    evidence: bytes
    """The canonical bytes of the decision, which the PDF carries inside."""
    confirmed_at: datetime | None = None
    """When the finalized invoice was found to bill what the decision names."""
    footer: str
    """The text that every page ends with, as ``render_footer`` made it; a short one is set in place of one that is
    longer than an invoice's footer can be."""
    issued_at: datetime
    letterhead: Letterhead = field(default_factory=Letterhead)

    @property
    def evidence_sha256(self) -> str:
        """In lower-case hex."""
        return hashlib.sha256(self.evidence).hexdigest()


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
    sentence: str | None = None
    """Where and most likely why the two figures differ, in English, naming no other customer."""
    days: tuple[Day, ...] = ()
    """In order; empty when daily figures are not known, or nothing differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryView:
    """All that the page for a dispute's reviewer says."""

    invoice_id: str
    number: str | None
    customer_id: str
    customer: str | None
    livemode: bool
    verdict: str
    reason: str
    tolerance: Decimal
    """What the policy lets figures differ by, in the meter's unit."""
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
    letterhead: Letterhead = field(default_factory=Letterhead)
