"""The older settlement API (7): writes that add up under a key, the reading of that sum, and facts.

Not the Balance API's ledger: what is written to one is not seen in the other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from pacspace_stripe.errors import InvalidInput
from pacspace_stripe.http.answers import Fields
from pacspace_stripe.pacspace_api import inputs
from pacspace_stripe.pacspace_api.calls import Calls
from pacspace_stripe.pacspace_api.envelope import check_same, count_of, text_of
from pacspace_stripe.pacspace_api.parsing import bucket_figures
from pacspace_stripe.pacspace_api.records import plain, status_of
from pacspace_stripe.pacspace_api.results import Status

_MOST_ITEMS = 100
"""In one request of ours; PacSpace names no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One amount to be added to a record. Making one checks it; raises InvalidInput."""

    key: str
    """The record it counts towards, such as ``settlement-2025-06``."""
    account_id: str
    bits: int
    """Signed, whole, not zero, in the unit you settle in."""
    metadata: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        inputs.text("key", self.key)
        inputs.text("account_id", self.account_id)
        inputs.bits(self.bits)
        inputs.mapping("metadata", self.metadata)

    def body(self) -> dict[str, object]:
        """As PacSpace takes it."""
        metadata = {"metadata": self.metadata} if self.metadata else {}
        return {"key": self.key, "accountId": self.account_id, "bits": self.bits, **metadata}


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of writes: queued, and verified a little later."""

    batch_id: str
    """``batchId`` or ``requestId``, whichever PacSpace names."""
    status: Status
    item_count: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A record: what all writes under its key add up to."""

    key: str
    account_id: str | None
    current_bits: Decimal
    """Exact and signed, in the unit of the writes."""
    total_writes: int
    verified: bool
    """False while a write of it is not verified yet: the sum may still change."""
    last_write_at: datetime | None
    metadata: Mapping[str, object] = field(default_factory=dict)
    """The latest write's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something written down once, named by its content's hash."""

    content_hash: str
    status: Status
    content: object
    """As it was posted; None where PacSpace does not repeat it."""
    verified: bool | None
    verified_at: datetime | None
    created_at: datetime | None
    metadata: Mapping[str, object] = field(default_factory=dict)


class SettlementApi:
    """``PacSpace.settlement``. Thread-safe.

    Raises InvalidInput before anything is sent, RemoteError's children after.
    """

    def __init__(self, calls: Calls, new_key: Callable[[], str]) -> None:
        self._calls = calls
        self._new_key = new_key

    def write(self, items: Sequence[Write], *, idempotency_key: str | None = None) -> Written:
        """Add 1 to 100 amounts to their records.

        Sent once: no page says that a key counts here (CONTRACT 1.7). After RemoteUnavailable, look at ``total_writes`` of the
        record before you send it again.
        """
        if not 1 <= len(items) <= _MOST_ITEMS:
            message = f"1 to {_MOST_ITEMS} writes go at once"
            raise InvalidInput(message)
        data = self._calls.write([item.body() for item in items], key=self._key(idempotency_key))
        named = data.optional_text("batchId") or data.optional_text("requestId")
        return Written(
            batch_id=named or data.reject("batchId", "is missing"),
            status=status_of(data),
            item_count=count_of(data, "itemCount"),
        )

    def bucket(self, key: str) -> Bucket:
        """What a record's writes add up to. NotFound for a key nothing was written under."""
        data = self._calls.bucket(inputs.text("key", key))
        bits, writes, verified = bucket_figures(data, key)
        metadata = data.optional_fields("metadata")
        return Bucket(
            key=key,
            account_id=data.optional_text("accountId"),
            current_bits=bits,
            total_writes=writes,
            verified=verified,
            last_write_at=data.optional_written_at("lastWriteAt"),
            metadata=plain(metadata) if metadata else {},
        )

    def post_fact(
        self, content: object, *, metadata: Mapping[str, object] | None = None, idempotency_key: str | None = None
    ) -> Fact:
        """Write a fact down: text, or whatever JSON can hold (Decimals exactly)."""
        data = self._calls.post_fact(content, inputs.mapping("metadata", metadata), key=self._key(idempotency_key))
        return _fact(data, None)

    def fact(self, content_hash: str) -> Fact:
        """A fact by its hash. NotFound for one nobody posted."""
        return _fact(self._calls.fact(inputs.text("content_hash", content_hash)), content_hash)

    def verify_fact(self, content_hash: str) -> Fact:
        """Whether PacSpace vouches for a fact: ``verified``."""
        data = self._calls.verify_fact(inputs.text("content_hash", content_hash))
        data.flag("verified")
        return _fact(data, content_hash)

    def _key(self, given: str | None) -> str:
        return self._new_key() if given is None else inputs.idempotency_key(given)


def _fact(data: Fields, asked: str | None) -> Fact:
    if asked is not None:
        check_same(data, "contentHash", asked)
    metadata = data.optional_fields("metadata")
    return Fact(
        content_hash=text_of(data, "contentHash") or asked or data.reject("contentHash", "is missing"),
        status=status_of(data),
        content=data.data.get("content"),
        verified=data.optional_flag("verified"),
        verified_at=data.optional_written_at("verifiedAt"),
        created_at=data.optional_written_at("createdAt"),
        metadata=plain(metadata) if metadata else {},
    )
