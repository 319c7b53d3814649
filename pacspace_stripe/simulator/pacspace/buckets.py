"""Writes of the settlement API, and the time at which each is verified."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketWrite:
    """One accepted write."""

    key: str
    account: str
    bits: Decimal
    metadata: Mapping[str, Any]
    accepted_at: datetime
    verifies_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedFact:
    """One posted fact."""

    content_hash: str
    content: Any
    metadata: Mapping[str, Any]
    created_at: datetime
    verifies_at: datetime


@dataclass(slots=True)
class Settlement:
    """All writes and facts, in order of arrival."""

    writes: dict[str, list[BucketWrite]] = field(default_factory=dict)
    facts: dict[str, PostedFact] = field(default_factory=dict)
    batches: int = 0

    def add(self, write: BucketWrite) -> None:
        self.writes.setdefault(write.key, []).append(write)

    def verify_all(self, now: datetime) -> None:
        """Verify every write that still waits."""
        for key, writes in self.writes.items():
            self.writes[key] = [replace(each, verifies_at=min(each.verifies_at or now, now)) for each in writes]
