"""Both sides' figures in parts of a window, and what can be said of such a part. Values only."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property

from pacspace_stripe.explain.rules.explanation import Cause, LocatedRecord, Side
from pacspace_stripe.vocabulary.quantities import SIGNIFICANT_DIGITS, subtract, total
from pacspace_stripe.vocabulary.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One record of the ledger, as usage."""

    quantity: Decimal
    """In the meter's unit; negative when the ledger's sign is the other one."""
    accepted_at: datetime
    record_id: str | None = None
    reference_id: str | None = None
    used: Window | None = None
    """When it was used, as the record itself says."""

    def located(self, *, in_ledger: bool = True) -> LocatedRecord:
        """As an explanation names it. Of what Stripe counted twice, the ledger's record is the pattern."""
        return LocatedRecord(
            side=Side.LEDGER if in_ledger else Side.STRIPE,
            quantity=self.quantity,
            at=self.accepted_at if in_ledger else None,
            record_id=self.record_id if in_ledger else None,
            reference_id=self.reference_id if in_ledger else None,
        )


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A part of a window: what both sides have there."""

    window: Window
    billed: Decimal
    recorded: Decimal
    entries: tuple[Entry, ...] = ()
    """Its records in order of time; none when there are too many to be listed."""

    @cached_property
    def excess(self) -> Decimal:
        """What Stripe has more than the ledger: negative when the ledger has more."""
        return subtract(self.billed, self.recorded)

    @cached_property
    def grain(self) -> Decimal:
        """The least difference that means anything between sums of this size: both sides keep 15 digits."""
        largest = max(self.billed.copy_abs(), self.recorded.copy_abs())
        return Decimal(1).scaleb(largest.adjusted() - SIGNIFICANT_DIGITS + 2) if largest else Decimal(0)

    @cached_property
    def differs(self) -> bool:
        return self.excess.copy_abs() > self.grain

    def close(self, left: Decimal, right: Decimal) -> bool:
        """Whether two figures from this bucket are the same."""
        return subtract(left, right).copy_abs() <= self.grain


def bucket(window: Window, billed: Decimal, entries: Iterable[Entry]) -> Bucket:
    """A part of which all records are listed."""
    listed = tuple(entries)
    return Bucket(window=window, billed=billed, recorded=total(each.quantity for each in listed), entries=listed)


def joined(buckets: Iterable[Bucket]) -> Bucket:
    """Several, in order of time, as one part."""
    parts = tuple(buckets)
    return Bucket(
        window=Window(start=parts[0].window.start, end=max(part.window.end for part in parts)),
        billed=total(part.billed for part in parts),
        recorded=total(part.recorded for part in parts),
        entries=tuple(entry for part in parts for entry in part.entries),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """Where usage of ours may have gone, or come from: another ledger account, or another meter of the customer."""

    name: str
    cause: Cause
    """WRONG_CUSTOMER or WRONG_METER."""
    buckets: tuple[Bucket, ...]
    """Its figures in the parts where ours differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Why one part differs."""

    bucket: Bucket
    cause: Cause
    records: tuple[LocatedRecord, ...] = ()
    factor: Decimal | None = None
    counterpart: str | None = None
    sure: bool = False
    """Neighbours could not say otherwise."""

    @property
    def kind(self) -> tuple[Cause, Decimal | None, str | None]:
        """What two places have in common that have the same fault."""
        return self.cause, self.factor, self.counterpart


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that was read of one window."""

    window: Window
    slack: timedelta
    """How far from an edge the two sides may place the same usage differently."""
    inside: tuple[Bucket, ...]
    """The parts of the window in order of time, without overlap; days whose figures agree may be whole."""
    before: tuple[Bucket, ...] = ()
    after: tuple[Bucket, ...] = ()
    """The parts that differ outside, as far as was looked."""
    neighbours: tuple[Neighbour, ...] = ()
    newest_of: timedelta | None = None
    """The meter's event time window: Stripe counts only the newest event of each (FACTS 12.10)."""
