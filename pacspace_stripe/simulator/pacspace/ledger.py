"""The records: each accepted delta, its customer, its order and its status."""

import hashlib
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any


class DeltaStatus(StrEnum):
    """Status of a delta (CONTRACT 1.10)."""

    QUEUED = "QUEUED"
    PROCESSING = "PROCESSING"
    VERIFIED = "VERIFIED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A delta as it was sent."""

    account: str
    delta: Decimal
    reason: str
    reference_id: str | None = None
    metadata: Mapping[str, Any] | None = None
    adjusts: Mapping[str, Any] | None = None

    def item(self) -> dict[str, Any]:
        """Return the fields of a proof's leaf (CONTRACT 6.3, 15)."""
        item: dict[str, Any] = {
            "customerId": self.account,
            "delta": self.delta,
            "reason": self.reason,
            "referenceId": self.reference_id,
        }
        return item if self.metadata is None else {**item, "metadata": self.metadata}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaRecord:
    """An accepted delta."""

    draft: Draft
    number: int
    sequence: int
    record_id: str
    receipt_id: str
    accepted_at: datetime
    verifies_at: datetime | None
    """Time at which verification completes; None while nothing is planned."""
    failed_at: datetime | None = None
    failure: str | None = None

    @property
    def account(self) -> str:
        return self.draft.account

    @property
    def delta(self) -> Decimal:
        return self.draft.delta

    @property
    def order(self) -> tuple[datetime, int]:
        return self.accepted_at, self.number

    @property
    def final_at(self) -> datetime | None:
        """Return the time at which it fails or is verified; None while neither is planned."""
        return self.failed_at or self.verifies_at

    def is_final(self, now: datetime) -> bool:
        return self.status(now) in {DeltaStatus.FAILED, DeltaStatus.VERIFIED}

    def status(self, now: datetime) -> DeltaStatus:
        """Return its status: queued for the first half of the verification delay, in processing for the second."""
        if self.failed_at is not None:
            return DeltaStatus.FAILED
        if self.verifies_at is None:
            return DeltaStatus.QUEUED
        if now >= self.verifies_at:
            return DeltaStatus.VERIFIED
        started_at = self.accepted_at + (self.verifies_at - self.accepted_at) / 2
        return DeltaStatus.PROCESSING if now >= started_at else DeltaStatus.QUEUED


def made_id(seed: int, *parts: object) -> str:
    """Return 64 hex digits that depend on nothing but the seed and the parts."""
    return hashlib.sha256(":".join(map(str, (seed, *parts))).encode()).hexdigest()


class DeltaLedger:
    """All records, in memory. Not thread-safe: the simulator's lock protects it."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._by_account: dict[str, list[DeltaRecord]] = {}
        self._by_id: dict[str, DeltaRecord] = {}
        self._by_receipt: dict[str, str] = {}
        self._by_reference: dict[tuple[str, str], str] = {}
        self._next_sequence: dict[str, int] = {}
        self._missing: dict[str, list[int]] = {}

    def accept(self, draft: Draft, accepted_at: datetime, verifies_at: datetime | None) -> DeltaRecord:
        """Accept a delta; the first one of a customer creates the customer."""
        number = len(self._by_id) + 1
        sequence = self._next_sequence.get(draft.account, 1)
        record = DeltaRecord(
            draft=draft,
            number=number,
            sequence=sequence,
            record_id=f"rec_{made_id(self._seed, 'record', number)[:20]}",
            receipt_id=f"0x{made_id(self._seed, 'receipt', number)}",
            accepted_at=accepted_at,
            verifies_at=verifies_at,
        )
        self._next_sequence[draft.account] = sequence + 1
        insort(self._by_account.setdefault(draft.account, []), record, key=lambda each: each.order)
        self._by_id[record.record_id] = record
        self._by_receipt[record.receipt_id] = record.record_id
        if draft.reference_id is not None:
            self._by_reference[draft.account, draft.reference_id] = record.record_id
        return record

    def get(self, record_id: str) -> DeltaRecord | None:
        return self._by_id.get(record_id)

    def by_receipt(self, receipt_id: str) -> DeltaRecord | None:
        return self._by_id.get(self._by_receipt.get(receipt_id, ""))

    def by_reference(self, account: str, reference_id: str | None) -> DeltaRecord | None:
        """Return the latest record with this reference."""
        return None if reference_id is None else self._by_id.get(self._by_reference.get((account, reference_id), ""))

    def accounts(self) -> list[str]:
        return sorted(self._by_account)

    def knows(self, account: str) -> bool:
        return account in self._by_account

    def records(self, account: str | None) -> list[DeltaRecord]:
        """Return one customer's records, or all customers', in order of acceptance."""
        if account is not None:
            return list(self._by_account.get(account, ()))
        return sorted(self._by_id.values(), key=lambda record: record.order)

    def change(self, record: DeltaRecord, **changes: Any) -> DeltaRecord:
        """Replace a record by its changed copy."""
        changed = replace(record, **changes)
        records = self._by_account[record.account]
        records[bisect_left(records, record.order, key=lambda each: each.order)] = changed
        self._by_id[record.record_id] = changed
        return changed

    def lose_sequences(self, account: str, count: int) -> range:
        """Leave the next ``count`` sequence numbers of a customer without a record."""
        first = self._next_sequence.get(account, 1)
        lost = range(first, first + count)
        self._next_sequence[account] = lost.stop
        self._missing.setdefault(account, []).extend(lost)
        return lost

    def find_sequences(self, account: str) -> None:
        """Account for the lost numbers, so that there is no gap any more."""
        self._missing.pop(account, None)

    def last_sequence(self, account: str) -> int:
        return self._next_sequence.get(account, 1) - 1

    def gaps(self, account: str, first: int, last: int) -> list[range]:
        """Return the runs of missing sequence numbers in ``[first, last]``."""
        return list(_runs(number for number in self._missing.get(account, ()) if first <= number <= last))


def _runs(numbers: Iterable[int]) -> Iterable[range]:
    run: range | None = None
    for number in numbers:
        if run is not None and number == run.stop:
            run = range(run.start, number + 1)
            continue
        if run is not None:
            yield run
        run = range(number, number + 1)
    if run is not None:
        yield run
