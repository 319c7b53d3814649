"""What the client answers with: values only. Balances and deltas are exact, raw and signed as PacSpace keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from pacspace_stripe.vocabulary.quantities import subtract

NOTHING: Mapping[str, object] = {}


class _Open(StrEnum):
    """Words in any case; a word nobody documented is UNKNOWN."""

    @classmethod
    def _missing_(cls, value: object) -> "StrEnum":
        return cls["UNKNOWN"]


class Status(_Open):
    """Where a delta or a checkpoint stands (CONTRACT 1.10). VERIFIED and FAILED are final."""

    QUEUED = "QUEUED"
    PROCESSING = "PROCESSING"
    VERIFIED = "VERIFIED"
    COMMITTED = "COMMITTED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"

    @property
    def final(self) -> bool:
        return self in {Status.VERIFIED, Status.FAILED}


class DeliveryStatus(_Open):
    """Where a webhook's delivery stands; PacSpace documents ``delivered`` only."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """One record (3.1, 3.3), as far as the answer it came in describes it; what it leaves out is None."""

    status: Status
    record_id: str | None = None
    receipt_id: str | None = None
    """The proof root of this one record: public verify takes it."""
    customer_id: str | None = None
    amount: Decimal | None = None
    """Signed, in the unit the vendor records in: usage and charges negative, deposits positive."""
    reason: str | None = None
    reference_id: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    sequence_number: int | None = None
    """Counts the customer's records; PacSpace sends it as text."""
    recorded_at: datetime | None = None
    """When PacSpace accepted it."""
    verified_at: datetime | None = None
    verification_reference: str | None = None
    error: str | None = None
    """Why it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchItem:
    """What became of one delta of a batch (CONTRACT 3.2)."""

    index: int
    """Its place in the batch, from 0."""
    status: Status
    error: str | None
    """PacSpace's code, such as CADENCE_LIMIT, when it failed."""
    replayed: bool
    """It was there already, under the same reference."""
    record_id: str | None
    receipt_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What became of a batch: it succeeds in parts."""

    queued: int
    failed: int
    items: tuple[BatchItem, ...]
    unanswered: tuple[int, ...]
    """Places that PacSpace said nothing about: ask ``derive``, or send the batch again under the same key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodSummary:
    """One part of a balance's breakdown (CONTRACT 3.8)."""

    period: str
    """``2026-04`` for a month, a date for a day, its Monday for a week."""
    credits: Decimal | None
    debits: Decimal | None
    """Negative or zero."""
    net: Decimal | None
    count: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """A balance computed from verified deltas (CONTRACT 3.4)."""

    customer_id: str
    balance: Decimal
    """The starting balance plus all verified deltas of the scope."""
    count: int
    """Number of those deltas."""
    starting_balance: Decimal | None
    latest_receipt_id: str | None
    deltas: tuple[Delta, ...]
    """The page that was asked for; the balance is always over all of them."""
    summaries: tuple[PeriodSummary, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRecord:
    """A checkpoint (3.6, 3.7). ``proof_root`` is None until it is committed."""

    checkpoint_id: str
    proof_root: str | None
    status: Status
    customer_id: str | None
    """None: of every active customer."""
    count: int | None
    net: Decimal | None
    start_at: datetime | None
    end_at: datetime | None
    created_at: datetime | None
    verification_reference: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointPage:
    """Some of the checkpoints there are."""

    checkpoints: tuple[CheckpointRecord, ...]
    total: int
    """How many there are in all, as far as PacSpace says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerReceipt:
    """The verified records of a scope and their proof (CONTRACT 3.8)."""

    customer_id: str
    proof_root: str | None
    """None: the scope has no checkpoint yet."""
    receipt_id: str | None
    """The same root under another name, or an older name of its own."""
    count: int | None
    starting_balance: Decimal | None
    final_balance: Decimal | None
    deltas: tuple[Delta, ...]
    summaries: tuple[PeriodSummary, ...]
    generated_at: datetime | None
    latest_checkpoint: str | None
    verify_url: str | None
    """For people; opaque."""
    verification_api_url: str | None
    """For machines."""

    @property
    def net(self) -> Decimal | None:
        """What the records add up to."""
        if self.final_balance is None:
            return None
        return subtract(self.final_balance, self.starting_balance or Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceProofRecord:
    """Where a scope's proof is shown (CONTRACT 3.9)."""

    customer_id: str
    period: str | None
    proof_root: str | None
    verify_url: str | None
    verification_api_url: str | None
    customer_link_url: str | None
    """The permanent link to the customer's shared record."""
    customer_link_host: str | None
    access_hint: str | None = field(repr=False)
    """Opens the shared record: a secret of the payer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptDocument:
    """A receipt as a document (CONTRACT 3.10). Its shape is not published: ``body`` is what came, numbers exact."""

    receipt_id: str | None
    permalink: str | None
    body: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What anyone may know of a proof root (CONTRACT 3.13)."""

    proof_root: str
    verified: bool
    message: str | None
    record_count: int | None
    net_change: Decimal | None
    starting_balance: Decimal | None
    ending_balance: Decimal | None
    records: tuple[Delta, ...]
    recorded_at: datetime | None
    reference: str | None
    url: str | None
    """For people."""


class Source(StrEnum):
    """Where public verify looks."""

    DB = "db"
    CHAIN = "chain"
    BOTH = "both"
