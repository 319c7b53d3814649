"""What documents are filled with: plain values, named for the person who writes a template."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


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
    """All that the footer template sees."""

    windows: tuple[FooterWindow, ...]
    evidence_sha256: str


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


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementView:
    """All that the statement template sees."""

    invoice_id: str
    number: str | None
    customer: str
    vendor: str | None = None
    verdict: str
    reason: str
    """A reason code, or for a waiver what the person wrote."""
    windows: tuple[StatementWindow, ...]
    evidence_sha256: str
    footer: str
    """The text that every page ends with, as ``render_footer`` made it."""
    issued_at: datetime
