"""The values that PacSpace takes, checked before anything is sent: deltas, writes, scopes (CONTRACT 1.9, CONTRACT 4).

Whatever PacSpace would refuse raises InvalidInput. The checks take ``object``, so that a caller without a type checker
also gets a message instead of a failure further on. Pure.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NoReturn, Self, TypeVar

from pacspace_stripe.errors import InvalidInput
from pacspace_stripe.settings import parsers
from pacspace_stripe.vocabulary.windows import Window, iso

DEFAULT_ADDRESS = "https://app.pacspace.io"
"""PacSpace's address for both environments; the key decides which one answers (CONTRACT 1.1)."""
Choice = TypeVar("Choice", bound=StrEnum)
_CUSTOMER_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_HEADER_VALUE = re.compile(r"[!-~]{1,255}")
_TOKEN = re.compile(r"[!-~]{1,8000}")
_API_KEY = re.compile(r"pk_(test|live)_[!-~]{1,500}")
_LONGEST_REASON, _LONGEST_TEXT = 500, 10_000
_LARGEST_DELTA = Decimal(1_000_000_000)
_LARGEST_BITS = 2**53
"""A double keeps every whole number up to this one."""
_LARGEST_EXPONENT, _SMALLEST_EXPONENT = 30, -30
"""Digits before and after the point that we read back; a double keeps fewer."""
_DECEMBER, _LAST_YEAR = 12, 9999


# -- checks ------------------------------------------------------------------------------------------------------------


def customer_id(given: object) -> str:
    """Return a customer's id of at most 128 letters, digits and ``_ - . :``."""
    if not isinstance(given, str) or not _CUSTOMER_ID.fullmatch(given):
        _refuse("customer_id must be 1 to 128 letters, digits, or any of _ - . :")
    return given


def number(name: str, given: object) -> Decimal:
    """Return an exact number. A float is refused: it has other digits than it shows."""
    if isinstance(given, bool) or not isinstance(given, Decimal | int):
        _refuse(f"{name} must be a Decimal or an int, not a {type(given).__name__}")
    if isinstance(given, int) and abs(given) >= 10**_LARGEST_EXPONENT:
        _refuse(f"{name} is beyond any balance")
    amount = Decimal(given)
    if not amount.is_finite():
        _refuse(f"{name} must be finite")
    exponent = amount.as_tuple().exponent
    if amount and (int(exponent) < _SMALLEST_EXPONENT or amount.adjusted() > _LARGEST_EXPONENT):
        _refuse(f"{name} has more digits than any balance")
    return amount


def text(name: str, given: object, *, longest: int = _LONGEST_TEXT) -> str:
    """Return text that is neither empty nor too long and can be stored and printed anywhere."""
    if not isinstance(given, str) or not 1 <= len(given) <= longest:
        _refuse(f"{name} must be text of 1 to {longest} characters")
    if "\x00" in given or (not given.isascii() and given.encode(errors="replace").decode() != given):
        _refuse(f"{name} has characters that are not text")
    return given


def mapping(name: str, given: object) -> Mapping[str, object]:
    """Return keys and values; an empty mapping for None."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        _refuse(f"{name} must be a mapping with text for keys")
    return given


def choice(kind: type[Choice], name: str, given: object) -> Choice:
    """Return the member of ``kind`` that ``given`` names."""
    try:
        return kind(str(given))
    except ValueError:
        message = f"{name} must be one of: {', '.join(kind)}"
        raise InvalidInput(message) from None


def whole(name: str, given: object, *, least: int, most: int) -> str:
    """Return a whole number within bounds, as a query writes it."""
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
        _refuse(f"{name} must be a whole number from {least} to {most}")
    return str(given)


def idempotency_key(given: object) -> str:
    """Return a key of printable ASCII without spaces: it travels in a header."""
    if not isinstance(given, str) or not _HEADER_VALUE.fullmatch(given):
        _refuse("an idempotency key must be 1 to 255 printable ASCII characters without spaces")
    return given


def token(given: object) -> str:
    """Return the token of a dashboard session. The message never repeats it."""
    if not isinstance(given, str) or not _TOKEN.fullmatch(given):
        _refuse("a dashboard token must be printable ASCII without spaces")
    return given


def api_key(given: object) -> str:
    """Return ``pk_test_PUBLIC.SECRET`` or ``pk_live_PUBLIC.SECRET``. The message never repeats it."""
    if not isinstance(given, str) or not _API_KEY.fullmatch(given):
        message = "the API key must be pk_test_… or pk_live_…"
        raise InvalidInput(message, hint="Create one in PacSpace's dashboard; it is shown once.")
    return given


def address(key: str, base_url: str | None, sandbox_url: str | None) -> str:
    """Return ``base_url`` if given, else for test keys ``sandbox_url`` if given, else PacSpace's own address."""
    chosen = base_url or (sandbox_url if key.startswith("pk_test_") else None) or DEFAULT_ADDRESS
    try:
        return parsers.address(chosen)
    except ValueError as error:
        message = f"the base URL {error}"
        raise InvalidInput(message) from None


def _refuse(message: str) -> NoReturn:
    raise InvalidInput(message)


# -- deltas and writes -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelta:
    """A delta to be recorded (CONTRACT 3.1). The constructor checks it and raises InvalidInput."""

    customer_id: str
    """Letters, digits and ``_ - . :``, at most 128; the first delta creates the customer."""
    delta: Decimal | int
    """Signed, not zero, within ±1,000,000,000, in the unit you record in. Usage and charges are negative."""
    reason: str
    """1 to 500 characters."""
    reference_id: str | None = None
    """Your own name for the delta; in a batch PacSpace recognises a repeated one."""
    metadata: Mapping[str, object] = field(default_factory=dict)
    adjusts_record: str | None = None
    """Record id of the committed delta that this one adjusts."""
    adjusts_reference: str | None = None
    """Reference id of the committed delta that this one adjusts."""

    def __post_init__(self) -> None:
        customer_id(self.customer_id)
        amount = number("delta", self.delta)
        if amount == 0 or abs(amount) > _LARGEST_DELTA:
            _refuse("delta must not be zero, and be between -1,000,000,000 and 1,000,000,000")
        text("reason", self.reason, longest=_LONGEST_REASON)
        mapping("metadata", self.metadata)
        for name in ("reference_id", "adjusts_record", "adjusts_reference"):
            if getattr(self, name) is not None:
                text(name, getattr(self, name))
        if self.adjusts_record is not None and self.adjusts_reference is not None:
            _refuse("a delta adjusts one record: name it by its id or by its reference")

    def body(self) -> dict[str, object]:
        """Return the body that PacSpace takes."""
        adjusts = {"recordId": self.adjusts_record, "referenceId": self.adjusts_reference}
        adjusts = {name: value for name, value in adjusts.items() if value is not None}
        optional = {"referenceId": self.reference_id, "metadata": self.metadata, "adjusts": adjusts}
        given = {name: value for name, value in optional.items() if value}
        return {"customerId": self.customer_id, "delta": Decimal(self.delta), "reason": self.reason, **given}


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """An amount to be added to a settlement record (CONTRACT 7). The constructor checks it and raises InvalidInput."""

    key: str
    """The record it counts towards, such as ``settlement-2025-06``."""
    account_id: str
    bits: int
    """Signed, whole, not zero, in the unit you settle in."""
    metadata: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        text("key", self.key)
        text("account_id", self.account_id)
        bits: object = self.bits
        if isinstance(bits, bool) or not isinstance(bits, int) or not 0 < abs(bits) <= _LARGEST_BITS:
            _refuse(f"bits must be a whole number that is not zero, between ±{_LARGEST_BITS}")
        mapping("metadata", self.metadata)

    def body(self) -> dict[str, object]:
        """Return the body that PacSpace takes."""
        metadata = {"metadata": self.metadata} if self.metadata else {}
        return {"key": self.key, "accountId": self.account_id, "bits": self.bits, **metadata}


# -- scopes ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Month:
    """A calendar month in UTC."""

    year: int
    month: int

    def __post_init__(self) -> None:
        if not 1 <= self.month <= _DECEMBER or not 1 <= self.year <= _LAST_YEAR:
            _refuse(f"{self.year}-{self.month} is no month")

    @classmethod
    def of(cls, at: datetime) -> Self:
        """Return the month that holds ``at``, an aware time."""
        if at.tzinfo is None:
            _refuse("a time without a zone names no month in UTC")
        utc = at.astimezone(UTC)
        return cls(year=utc.year, month=utc.month)

    @classmethod
    def parse(cls, written: str) -> Self:
        """Return the month that is written like ``2026-04``."""
        try:
            return cls.of(datetime.strptime(f"{written}-01+0000", "%Y-%m-%d%z"))
        except ValueError:
            message = f"{written!r} is no month; write it like 2026-04"
            raise InvalidInput(message) from None

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentMonth:
    """The current UTC month by PacSpace's clock: also PacSpace's own choice when no scope is named."""


class CheckpointName(StrEnum):
    """The kind of name that a checkpoint is given by."""

    PROOF_ROOT = "proofRoot"
    RECORD_ID = "recordId"
    ITEMS_ROOT = "itemsRoot"
    """Older word for a proof root."""
    ANCHOR_ID = "anchorId"
    """Older word for a record id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """All deltas that were recorded after a checkpoint, on top of the balance that it covers."""

    checkpoint: str
    """A proof root, or a record id."""
    named_by: CheckpointName | None = CheckpointName.PROOF_ROOT
    """None leaves it to PacSpace to find out."""

    def __post_init__(self) -> None:
        if not self.checkpoint:
            _refuse("a checkpoint's proof root or record id is needed")


Span = Month | CurrentMonth | Window
"""A span of time."""
Scope = Span | Since


class Granularity(StrEnum):
    """The length of the parts that a balance is broken down into."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Source(StrEnum):
    """The place in which public verify looks a proof root up (CONTRACT 3.13)."""

    DB = "db"
    CHAIN = "chain"
    BOTH = "both"


def scope_fields(scope: Scope | None) -> dict[str, str]:
    """Return the query of one scope, never a mix that PacSpace refuses (CONTRACT 4). None: PacSpace's current month."""
    match scope:
        case None:
            return {}
        case Month():
            return {"period": str(scope)}
        case CurrentMonth():
            return {"timePreset": "current_month"}
        case Window(start=start, end=end):
            return {"timePreset": "custom", "startDate": iso(start), "endDate": iso(end)}
        case Since(checkpoint=checkpoint, named_by=named_by):
            kind = {} if named_by is None else {"startingCheckpointType": named_by.value}
            return {"startingCheckpoint": checkpoint, **kind}
        case _:
            _refuse("a scope is a Month, CurrentMonth(), a Window or Since")


def span_fields(span: Span | None) -> dict[str, str]:
    """Return the query of a scope for requests that take spans of time only."""
    if isinstance(span, Since):
        _refuse("this request takes a span of time: a Month, CurrentMonth() or a Window, not Since")
    return scope_fields(span)
