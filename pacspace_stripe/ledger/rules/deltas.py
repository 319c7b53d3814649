"""Single records of the ledger, as the comparison in depth needs them. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerDelta:
    """One verified delta of a ledger account (CONTRACT 3.4)."""

    record_id: str
    amount: Decimal
    """Raw and signed, as PacSpace keeps it."""
    accepted_at: datetime
    """When PacSpace accepted it: the clock of its own windows (CONTRACT 4)."""
    reason: str | None = None
    reference_id: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
