"""Which records a request is about (4): one scope at a time, never a mix that PacSpace would refuse."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Self

from pacspace_stripe.errors import InvalidInput
from pacspace_stripe.vocabulary.windows import Window, iso

_DECEMBER, _LAST_YEAR = 12, 9999


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Month:
    """A calendar month in UTC."""

    year: int
    month: int

    def __post_init__(self) -> None:
        if not 1 <= self.month <= _DECEMBER or not 1 <= self.year <= _LAST_YEAR:
            message = f"{self.year}-{self.month} is no month"
            raise InvalidInput(message)

    @classmethod
    def of(cls, at: datetime) -> Self:
        """The month that holds ``at``, an aware time."""
        if at.tzinfo is None:
            message = "a time without a zone names no month in UTC"
            raise InvalidInput(message)
        utc = at.astimezone(UTC)
        return cls(year=utc.year, month=utc.month)

    @classmethod
    def parse(cls, written: str) -> Self:
        """``2026-04``."""
        try:
            return cls.of(datetime.strptime(f"{written}-01+0000", "%Y-%m-%d%z"))
        except ValueError:
            message = f"{written!r} is no month; write it like 2026-04"
            raise InvalidInput(message) from None

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentMonth:
    """The UTC month that it is at PacSpace when it answers: also what PacSpace takes when no scope is named."""


class CheckpointName(StrEnum):
    """By what a checkpoint is named."""

    PROOF_ROOT = "proofRoot"
    RECORD_ID = "recordId"
    ITEMS_ROOT = "itemsRoot"
    """The older word for a proof root."""
    ANCHOR_ID = "anchorId"
    """The older word for a record's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """All that was recorded after a checkpoint, on top of what it covers."""

    checkpoint: str
    """A proof root, or a record's id."""
    named_by: CheckpointName | None = CheckpointName.PROOF_ROOT
    """None leaves it to PacSpace to tell."""

    def __post_init__(self) -> None:
        if not self.checkpoint:
            message = "a checkpoint's proof root or record id is needed"
            raise InvalidInput(message)


Span = Month | CurrentMonth | Window
"""A span of time."""
Scope = Span | Since


class Granularity(StrEnum):
    """How a balance is broken down."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def scope_fields(scope: Scope | None) -> dict[str, str]:
    """A scope as PacSpace is asked for it; None leaves it to PacSpace: the current month in UTC."""
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
            message = "a scope is a Month, CurrentMonth(), a Window or Since"
            raise InvalidInput(message)


def span_fields(span: Span | None) -> dict[str, str]:
    """The same where PacSpace takes spans of time only."""
    if isinstance(span, Since):
        message = "this is asked of a span of time, not of what came after a checkpoint"
        raise InvalidInput(message)
    return scope_fields(span)
