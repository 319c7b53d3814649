"""PacSpace's answers, one strict and frozen model each (CONTRACT 3).

Balances and deltas are exact Decimals, raw and signed as PacSpace keeps them. The models named ``…Figures``, ``…Root``
and ``…Links`` read no more than the gate judges by, because a surprise in anything else must not hold an invoice. The
larger results inherit from them. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, Strict, model_validator

from pacspace_stripe.http.answers import Fields
from pacspace_stripe.pacspace_api.failures import PACSPACE
from pacspace_stripe.pacspace_api.parsing import (
    Count,
    FilledText,
    Flag,
    Metadata,
    Moment,
    Number,
    OptionalRows,
    PacSpaceModel,
    SafeName,
    Sequence,
    Text,
    WebAddress,
    Whole,
    read,
    refuse,
    spelled,
)
from pacspace_stripe.vocabulary.quantities import subtract

ROOTS = ("proofRoot", "merkleRoot", "itemsRoot")
COUNTS = ("deltasCount", "deltaCount")
RECORD_IDS = ("recordId", "anchorId")
_REFERENCES = ("verificationReference", "reference", "verificationId")
_RECORDED_AT, _VERIFIED_AT = ("createdAt", "time", "submittedAt"), ("verifiedAt", "blockTimestamp")


class _OpenStatus(StrEnum):
    """Words in any case (CONTRACT 1.10); an undocumented one, and none, is UNKNOWN."""

    @classmethod
    def _missing_(cls, value: object) -> "StrEnum":
        word = value.upper() if isinstance(value, str) else ""
        return next((each for each in cls if each.value == word), cls["UNKNOWN"])


class DeltaState(_OpenStatus):
    """The state of a delta or a checkpoint (CONTRACT 1.10). VERIFIED and FAILED are final."""

    QUEUED = "QUEUED"
    PROCESSING = "PROCESSING"
    VERIFIED = "VERIFIED"
    COMMITTED = "COMMITTED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"

    @property
    def final(self) -> bool:
        return self in {DeltaState.VERIFIED, DeltaState.FAILED}


class DeliveryStatus(_OpenStatus):
    """The state of a webhook's delivery; PacSpace documents ``delivered`` only."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


def _word(value: object) -> object:
    if value is not None and not isinstance(value, str):
        refuse("is not text")
    return value


State = Annotated[DeltaState, BeforeValidator(lambda value: DeltaState(_word(value)))]
Delivery = Annotated[DeliveryStatus, BeforeValidator(lambda value: DeliveryStatus(_word(value)))]


# -- deltas and balances -----------------------------------------------------------------------------------------------


class Delta(PacSpaceModel):
    """One delta (CONTRACT 3.1, CONTRACT 3.3), as far as the answer describes it; what the answer leaves out is None."""

    status: State = DeltaState.UNKNOWN
    record_id: Text | None = spelled(*RECORD_IDS)
    receipt_id: Text | None = None
    """Proof root of this one delta: public verify takes it."""
    customer_id: Text | None = None
    amount: Number | None = spelled("delta", "amount")
    """Signed, in the unit the vendor records in: usage and charges negative, deposits positive."""
    reason: Text | None = None
    reference_id: Text | None = None
    metadata: Metadata = Field(default_factory=dict)
    sequence_number: Sequence | None = None
    """Counts the customer's deltas; PacSpace sends it as text."""
    recorded_at: Moment | None = Field(default=None, validation_alias=_RECORDED_AT[0])
    """Time at which PacSpace accepted it."""
    verified_at: Moment | None = None
    verification_reference: Text | None = spelled(*_REFERENCES)
    error: Text | None = None
    """Reason of its failure."""

    @model_validator(mode="before")
    @classmethod
    def _first_time(cls, data: object) -> object:
        """Take the first of the documented times: unlike other spellings, they may differ by milliseconds."""
        if not isinstance(data, Mapping):
            return data
        times = {
            names[0]: next((data[name] for name in names if data.get(name) is not None), None)
            for names in (_RECORDED_AT, _VERIFIED_AT)
        }
        return {**data, **{name: time for name, time in times.items() if time is not None}}


class DeltaFigures(PacSpaceModel):
    """The state and the time of a row of recent activity (CONTRACT 3.11)."""

    status: FilledText
    time: Moment | None = None

    def may_still_count(self, since: datetime, before: datetime) -> bool:
        """Return whether the delta lies between two moments and may still change the balance."""
        if self.status.lower() in {"verified", "failed"}:
            return False
        return self.time is None or since <= self.time < before


class PeriodSummary(PacSpaceModel):
    """One part of a balance's breakdown (CONTRACT 3.8)."""

    period: FilledText
    """``2026-04`` for a month, a date for a day, its Monday for a week."""
    credits: Number | None = Field(default=None, validation_alias="totalCredits")
    debits: Number | None = Field(default=None, validation_alias="totalDebits")
    """Negative or zero."""
    net: Number | None = Field(default=None, validation_alias="netChange")
    count: Count | None = spelled(*COUNTS)


Deltas = Annotated[tuple[Delta, ...], OptionalRows]
Summaries = Annotated[tuple[PeriodSummary, ...], OptionalRows]


class BalanceFigures(PacSpaceModel):
    """The balance of a scope and the number of verified deltas behind it (CONTRACT 3.4)."""

    count: Count = spelled(*COUNTS, default=...)
    balance: Number = Field(validation_alias="computedBalance")
    """The starting balance plus all verified deltas of the scope."""


class ScopeBalance(BalanceFigures):
    """A balance computed from verified deltas, with one page of them (CONTRACT 3.4)."""

    customer_id: Text
    starting_balance: Number | None = None
    latest_receipt_id: Text | None = None
    deltas: Deltas = ()
    """The page that was asked for; the balance is always over all deltas."""
    summaries: Summaries = Field(default=(), validation_alias="windowSummaries")


class BatchItem(PacSpaceModel):
    """The outcome of one delta of a batch (CONTRACT 3.2)."""

    index: Whole
    """Its place in the batch, from 0."""
    status: State = DeltaState.UNKNOWN
    error: Text | None = None
    """PacSpace's code, such as CADENCE_LIMIT, when it failed."""
    replayed: Annotated[bool, BeforeValidator(lambda value: False if value is None else value), Strict()] = Field(
        default=False, validation_alias="idempotent"
    )
    """PacSpace had it already, under the same reference."""
    record_id: Text | None = spelled(*RECORD_IDS)
    receipt_id: Text | None = None


class BatchAnswer(PacSpaceModel):
    """The answer to a batch as it comes (CONTRACT 3.2)."""

    results: tuple[BatchItem, ...] = ()
    total_queued: Count | None = None
    total_failed: Count | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The outcome of a batch, which may succeed in parts."""

    queued: int
    failed: int
    items: tuple[BatchItem, ...]
    unanswered: tuple[int, ...]
    """Places that PacSpace left out: ask ``derive``, or send the batch again under the same key."""


class CompareAnswer(PacSpaceModel):
    """PacSpace's answer to a comparison (CONTRACT 3.5)."""

    neutral_balance: Number | None = None
    matches_yours: Flag | None = None
    matches_theirs: Flag | None = None


# -- checkpoints and proofs --------------------------------------------------------------------------------------------


class CheckpointRoot(PacSpaceModel):
    """A checkpoint and its root (CONTRACT 3.6)."""

    checkpoint_id: SafeName
    proof_root: SafeName | None = spelled(*ROOTS)
    """None until PacSpace has committed the checkpoint."""
    status: State = DeltaState.UNKNOWN


class CheckpointRecord(CheckpointRoot):
    """A checkpoint with all fields of its answer (CONTRACT 3.6, CONTRACT 3.7)."""

    customer_id: Text | None = None
    """None: of every active customer."""
    count: Count | None = spelled(*COUNTS)
    net: Number | None = Field(default=None, validation_alias="netChange")
    start_at: Moment | None = Field(default=None, validation_alias="startDate")
    end_at: Moment | None = Field(default=None, validation_alias="endDate")
    created_at: Moment | None = None
    verification_reference: Text | None = spelled(*_REFERENCES)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointPage:
    """One page of the list of checkpoints."""

    checkpoints: tuple[CheckpointRecord, ...]
    total: int
    """Number of checkpoints in all, as far as PacSpace names it."""


class ProofLinks(PacSpaceModel):
    """The addresses at which a scope's proof is shown (CONTRACT 3.9). All None: there is no checkpoint yet."""

    proof_root: SafeName | None = spelled(*ROOTS)
    verify_url: WebAddress | None = None
    """For people; opaque."""
    verification_api_url: WebAddress | None = None
    """For machines."""


class ReceiptFigures(PacSpaceModel):
    """The root and the count that a receipt names, as far as a kept one is judged (CONTRACT 3.8)."""

    proof_root: SafeName | None = spelled(*ROOTS)
    count: Count | None = spelled(*COUNTS)


class CustomerReceipt(ProofLinks):
    """The verified deltas of a scope and their proof (CONTRACT 3.8)."""

    customer_id: Text
    receipt_id: Text | None = None
    """The root under another name, or an older name of the receipt."""
    count: Count | None = spelled(*COUNTS)
    starting_balance: Number | None = None
    final_balance: Number | None = None
    deltas: Deltas = ()
    summaries: Summaries = Field(default=(), validation_alias="windowSummaries")
    generated_at: Moment | None = None
    latest_checkpoint: Text | None = None

    @property
    def net(self) -> Decimal | None:
        """Sum of the deltas."""
        if self.final_balance is None:
            return None
        return subtract(self.final_balance, self.starting_balance or Decimal(0))


class InvoiceProofRecord(ProofLinks):
    """The addresses of a scope's proof with the customer's Shared Record (CONTRACT 3.9)."""

    customer_id: Text
    period: Text | None = None
    customer_link_url: WebAddress | None = None
    """The permanent link to the customer's Shared Record."""
    customer_link_host: Text | None = None
    access_hint: Text | None = Field(default=None, repr=False)
    """Opens the Shared Record: a secret of the payer."""


Links = TypeVar("Links", bound=ProofLinks)


def read_links(model: type[Links], what: str, data: Mapping[str, object], customer_id: str) -> Links:
    """Return an answer that links to a proof; one that names neither a customer nor a root is refused."""
    if not any(name in data for name in ("customerId", *ROOTS)):
        Fields(PACSPACE, what, data).reject("proofRoot", "is missing")
    return read(model, what, data, customerId=customer_id)


class _DocumentLinks(PacSpaceModel):
    permalink: WebAddress | None = None


class ReceiptDocument(PacSpaceModel):
    """A receipt as a document (CONTRACT 3.10), whose shape PacSpace does not publish."""

    receipt_id: Text | None = None
    links: _DocumentLinks | None = Field(default=None, repr=False)
    body: Mapping[str, object] = Field(default_factory=dict, repr=False)
    """The whole answer, numbers exact."""

    @property
    def permalink(self) -> str | None:
        return self.links.permalink if self.links else None


class RootSummary(PacSpaceModel):
    """The figures that public verify gives of a root."""

    record_count: Whole | None = None
    net_change: Number | None = None


class RootFigures(PacSpaceModel):
    """Public verify of a root, as far as it is judged (CONTRACT 3.13)."""

    verified: Flag
    proof_root: Text | None = None
    message: Text | None = None
    summary: RootSummary | None = None


class FullSummary(RootSummary):
    """The figures of a root with its balances."""

    starting_balance: Number | None = None
    ending_balance: Number | None = None


class LedgerReference(PacSpaceModel):
    """The place of a root in the public ledger."""

    reference: Text | None = spelled(*_REFERENCES)
    public_ledger_url: WebAddress | None = None
    verification_explorer_url: WebAddress | None = None


class VerifyAnswer(RootFigures):
    """Public verify of a root with all fields of its answer (CONTRACT 3.13)."""

    summary: FullSummary | None = None
    records: Deltas = ()
    recorded_at: Moment | None = None
    verification: LedgerReference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The public knowledge about a proof root (CONTRACT 3.13)."""

    proof_root: str
    verified: bool
    message: str | None = None
    record_count: int | None = None
    net_change: Decimal | None = None
    starting_balance: Decimal | None = None
    ending_balance: Decimal | None = None
    records: tuple[Delta, ...] = ()
    recorded_at: datetime | None = None
    reference: str | None = None
    url: str | None = None
    """For people."""


def read_root(model: type["Root"], data: Mapping[str, object], proof_root: str) -> "Root":
    """Return public verify's answer about ``proof_root``; one about another root is refused."""
    found = read(model, "verify", data)
    if found.proof_root is not None and found.proof_root.lower() != proof_root.lower():
        Fields(PACSPACE, "verify", data).reject("proofRoot", "is not the one asked for")
    return found


Root = TypeVar("Root", bound=RootFigures)


# -- customers, the tenant, settlement ---------------------------------------------------------------------------------


class _Pagination(PacSpaceModel):
    total: Whole | None = None


class RecentActivity(PacSpaceModel):
    """One page of a customer's deltas, newest first, in any state."""

    items: Deltas = ()
    pagination: _Pagination | None = None
    total: Whole | None = None


class Customer(PacSpaceModel):
    """A customer: the all-time balance over verified deltas, and recent deltas (CONTRACT 3.11)."""

    customer_id: FilledText
    balance: Number | None = Field(default=None, validation_alias="computedBalance")
    """Raw and signed, over all verified deltas ever."""
    total_deltas: Count | None = None
    """In any state."""
    reference: Text | None = Field(default=None, validation_alias="customerReference")
    """20 bytes as ``0x…``."""
    partition: Text | None = Field(default=None, validation_alias="customerPartition")
    latest_checkpoint: Text | None = None
    recent_activity: RecentActivity | None = None
    """None in a list of customers."""

    @property
    def recent(self) -> tuple[Delta, ...]:
        """One page of deltas, newest first."""
        return self.recent_activity.items if self.recent_activity else ()

    @property
    def recent_total(self) -> int:
        """Number of deltas on all pages."""
        activity = self.recent_activity
        if activity is None:
            return 0
        total = activity.pagination.total if activity.pagination else activity.total
        return len(activity.items) if total is None else total


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerPage:
    """One page of the list of customers."""

    customers: tuple[Customer, ...]
    total: int


class CustomersSummary(PacSpaceModel):
    """All customers together, in a shape that PacSpace does not publish (CONTRACT 3.11)."""

    customers: Count | None = spelled("totalCustomers", "customerCount")
    balance: Number | None = Field(default=None, validation_alias="totalBalance")
    deltas: Count | None = Field(default=None, validation_alias="totalDeltas")
    body: Mapping[str, object] = Field(default_factory=dict, repr=False)
    """The whole answer, numbers exact."""


class NewCustomer(PacSpaceModel):
    """A customer that was made in the dashboard (CONTRACT 3.11)."""

    customer_id: FilledText
    display_name: Text | None = None
    body: Mapping[str, object] = Field(default_factory=dict, repr=False)
    """The whole answer, numbers exact."""


class PlanUsage(PacSpaceModel):
    """The rest of the plan, in deltas (CONTRACT 3.12)."""

    allowed: Flag | None = None
    """True: PacSpace would take a further delta."""
    remaining: Whole | None = None
    consumed: Whole | None = None
    limit: Whole | None = None
    body: Mapping[str, object] = Field(default_factory=dict, repr=False)
    """The whole answer, numbers exact."""


class Limits(PacSpaceModel):
    """The largest scope of one request (CONTRACT 3.12)."""

    scope_months: Whole | None = Field(default=None, validation_alias="maxScopeMonths")
    last_days: Whole | None = Field(default=None, validation_alias="maxLastNDays")
    retention_days: Whole | None = Field(default=None, validation_alias="maxRetentionDays")


class Gap(PacSpaceModel):
    """Sequence numbers without a delta, from ``first`` to ``last``."""

    first: Sequence | None = Field(default=None, validation_alias="fromSequence")
    last: Sequence | None = Field(default=None, validation_alias="toSequence")
    missing: Count | None = Field(default=None, validation_alias="missingCount")


def _no_null(value: object) -> object:
    return refuse("is null, not a list") if value is None else value


_Listed = Annotated[list[Any] | None, BeforeValidator(_no_null)]
"""A list that may be left out. Null is refused, because it may stand for a list that PacSpace could not make."""


class GapFigures(PacSpaceModel):
    """The number of gaps in a customer's sequence (CONTRACT 3.12), whose answer PacSpace does not publish."""

    total_gaps: Whole | None = None
    gap_count: Whole | None = None
    missing_count: Whole | None = None
    gaps: _Listed = None
    missing: _Listed = None
    missing_sequences: _Listed = None
    has_gaps: object = None
    """Read only where the numbers are 0: it may contradict them. Anything but true and false is refused there."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "GapFigures":
        """Refuse an answer that names no number, or names gaps in one place and none in another."""
        if not self._named:
            refuse("gaps is missing")
        if not self.count and not isinstance(self.has_gaps, bool | None):
            refuse("hasGaps is not true or false")
        if not self.count and (any(self._named) or self.has_gaps):
            refuse("gaps contradict each other")
        return self

    @property
    def _named(self) -> list[int]:
        lists = (self.gaps, self.missing, self.missing_sequences)
        named = (
            self.total_gaps,
            self.gap_count,
            self.missing_count,
            *(None if one is None else len(one) for one in lists),
        )
        return [number for number in named if number is not None]

    @property
    def count(self) -> int:
        return self._named[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaps:
    """The gaps in a customer's sequence numbers. A count of 0: no delta is missing."""

    count: int
    gaps: tuple[Gap, ...]


class WebhookDelivery(PacSpaceModel):
    """The delivery of a webhook, in a shape that PacSpace does not publish (CONTRACT 3.12)."""

    event_id: Text | None = spelled("eventId", "id")
    event: Text | None = spelled("event", "eventType")
    """Such as ``delta.verified``."""
    status: Delivery = DeliveryStatus.UNKNOWN
    attempts: Count | None = spelled("attempts", "attemptCount")
    body: Mapping[str, object] = Field(default_factory=dict, repr=False)
    """The whole row, numbers exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPage:
    """One page of the list of deliveries."""

    deliveries: tuple[WebhookDelivery, ...]
    total: int


class AcceptedWrites(PacSpaceModel):
    """Writes that PacSpace has queued and verifies a little later (CONTRACT 7)."""

    batch_id: FilledText
    """``batchId`` or ``requestId``, whichever PacSpace names."""
    status: State = DeltaState.UNKNOWN
    item_count: Count | None = None

    @model_validator(mode="before")
    @classmethod
    def _either_name(cls, data: object) -> object:
        """Take ``requestId`` where there is no ``batchId``: they may differ where both are there."""
        if isinstance(data, Mapping) and not data.get("batchId") and data.get("requestId"):
            return {**data, "batchId": data["requestId"]}
        return data


class BucketFigures(PacSpaceModel):
    """The sum of a settlement record (CONTRACT 7)."""

    total_writes: Count
    current_bits: Number
    """Exact and signed, in the unit of the writes."""
    verified: Flag
    """False while one of its writes is not verified yet: the sum may still change."""

    @model_validator(mode="after")
    def _is_a_sum(self) -> "BucketFigures":
        if self.current_bits != self.current_bits.to_integral_value():
            refuse("currentBits is not a whole number")
        if self.current_bits and not self.total_writes:
            refuse("currentBits is made of no writes")
        return self


class Bucket(BucketFigures):
    """A settlement record: the sum of all writes under its key (CONTRACT 7)."""

    key: Text
    account_id: Text | None = None
    last_write_at: Moment | None = None
    metadata: Metadata = Field(default_factory=dict)
    """Metadata of the latest write."""


class FactRecord(PacSpaceModel):
    """Something written down once, named by its content's hash (CONTRACT 7)."""

    content_hash: FilledText
    status: State = DeltaState.UNKNOWN
    content: object = None
    """The content as posted; None where PacSpace does not repeat it."""
    verified: Flag | None = None
    verified_at: Moment | None = None
    created_at: Moment | None = None
    metadata: Metadata = Field(default_factory=dict)
