"""PacSpace's objects: deltas, balances, comparisons, checkpoints, proofs, records. Values only.

Balances are raw and signed as PacSpace keeps them; ``UsageSign.recorded_usage`` turns one into usage.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from pacspace_stripe.vocabulary.quantities import divide, multiply, subtract, total
from pacspace_stripe.vocabulary.windows import Window


class UsageSign(StrEnum):
    """The sign of usage in the ledger (``PACSPACE_STRIPE_USAGE_SIGN``)."""

    NEGATIVE = "negative"
    POSITIVE = "positive"

    def recorded_usage(self, balance: Decimal) -> Decimal:
        """Return the usage of a raw net balance, in the ledger's unit."""
        return balance if self is UsageSign.POSITIVE or balance == 0 else balance.copy_negate()

    def raw_balance(self, usage: Decimal) -> Decimal:
        """Return the raw net balance that a usage should have in the ledger."""
        return self.recorded_usage(usage)

    def in_meter_units(self, net: Decimal, unit: Decimal) -> Decimal:
        """Return the usage of a raw net in the meter's unit; ``unit`` of the ledger's units are one of the meter's."""
        usage = self.recorded_usage(net)
        return usage if unit == 1 else divide(usage, unit)

    def in_ledger_units(self, usage: Decimal, unit: Decimal) -> Decimal:
        """Return the raw net that a usage, in the meter's unit, should have in the ledger."""
        return self.raw_balance(usage if unit == 1 else multiply(usage, unit))


class LedgerProtocol(StrEnum):
    """The PacSpace protocol that usage is recorded with (``PACSPACE_STRIPE_LEDGER``)."""

    BALANCE = "balance"
    """Deltas of a customer, placed in time; it has checkpoints and proof roots."""
    SETTLEMENT = "settlement"
    """Records in which writes add up. It has no time and no checkpoint, so the record itself is the proof."""

    @property
    def usual_sign(self) -> "UsageSign":
        """Sign of usage in PacSpace's own examples (CONTRACT 3.1; the basic settlement example)."""
        return UsageSign.POSITIVE if self is LedgerProtocol.SETTLEMENT else UsageSign.NEGATIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """PacSpace's ``reads/bucket`` of one key (CONTRACT 7): all writes to it, added up."""

    key: str
    bits: Decimal
    """Raw and signed, like a balance."""
    writes: int
    """Number of writes that were added up."""
    verified: bool
    """False while a write is not confirmed: its figure may still change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerDelta:
    """One verified delta of a ledger account (CONTRACT 3.4)."""

    record_id: str
    amount: Decimal
    """Raw and signed, as PacSpace keeps it."""
    accepted_at: datetime
    """Time at which PacSpace accepted it: the clock of its own windows (CONTRACT 4)."""
    reason: str | None = None
    reference_id: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


class LeftOutBy(StrEnum):
    """The cause for which a delta of a scope is no usage of the meter and window that are compared."""

    METER = "meter"
    """The delta belongs to another meter."""
    REASON = "reason"
    """Its reason names no usage, such as a deposit (``PACSPACE_STRIPE_EXCLUDE_REASONS``)."""
    TIME = "time"
    """Its usage happened at another time than it was accepted."""
    READING = "reading"
    """A later reading of the meter takes its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Deltas of a scope that do not count for one cause, added up."""

    by: LeftOutBy
    name: str
    """The other meter's name, or the reason's; empty for another time or reading."""
    count: int
    net: Decimal
    """Raw and signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedScope:
    """A scope of the ledger, and the deltas in it that do not count.

    The balance, PacSpace's compare and the proof are about the whole scope; usage is about the rest.
    """

    scope: Window
    """The window itself, or longer: usage may be accepted later than it happened."""
    count: int
    net: Decimal
    """Raw and signed."""
    left_out: tuple[LeftOut, ...] = ()
    by_usage_time: int = 0
    """Number of the counted deltas that their own usage time places; acceptance places the others."""

    @property
    def counted(self) -> int:
        """Number of deltas that count."""
        return self.count - sum(each.count for each in self.left_out)

    @property
    def net_left_out(self) -> Decimal:
        """Raw net of the deltas that do not count."""
        return total(each.net for each in self.left_out)

    @property
    def net_counted(self) -> Decimal:
        """Raw net of those that do."""
        return subtract(self.net, self.net_left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """PacSpace's ``derive`` over one window, of verified deltas only (CONTRACT 3.4), or the sum of a whole record."""

    account: str
    window: Window
    net: Decimal
    """Raw and signed, over all deltas of the window."""
    count: int
    """Number of verified deltas, or of writes, that it was computed from."""
    known: bool = True
    """False if PacSpace does not know the account: zero of nothing."""
    record: Record | None = None
    """The settlement ledger's record that this is the sum of."""
    left_out: tuple[LeftOut, ...] | None = None
    """The deltas that do not count; None if the balance is usage as it stands."""
    unit: Decimal = Decimal(1)
    """Number of the ledger's units in one of the meter's."""
    by_usage_time: int = 0
    """Number of the counted deltas that their own usage time places; acceptance places the others."""
    awaited: Window | None = None
    """The end of the window whose summary the ledger does not have yet; None if nothing is awaited."""

    @property
    def selected(self) -> SelectedScope | None:
        """The scope that usage was chosen from; None if there was nothing to choose or to convert."""
        if self.left_out is None:
            return None
        own = self.by_usage_time
        return SelectedScope(
            scope=self.window, count=self.count, net=self.net, left_out=self.left_out, by_usage_time=own
        )

    @property
    def whole(self) -> SelectedScope:
        """All of the balance, if it is unknown what of it counts."""
        return SelectedScope(scope=self.window, count=self.count, net=self.net)

    @property
    def counted(self) -> int:
        """Number of deltas that are usage."""
        return self.selected.counted if self.selected else self.count

    def usage(self, sign: UsageSign) -> Decimal:
        """Return the usage that counts, in the meter's unit."""
        net = self.selected.net_counted if self.selected else self.net
        return sign.in_meter_units(net, self.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """PacSpace's ``compare`` answer (CONTRACT 3.5): stored as given; only ``neutral_balance`` has a consequence."""

    your_balance: Decimal
    their_balance: Decimal
    neutral_balance: Decimal | None
    matches_yours: bool | None
    matches_theirs: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofSummary:
    """PacSpace's public ``verify`` of a root (CONTRACT 3.13); count and net are None if it sends no summary."""

    proof_root: str
    verified: bool
    record_count: int | None
    net_change: Decimal | None
    unknown: bool = False
    """True if PacSpace says that there is no such root."""
    message: str | None = field(default=None, compare=False)
    """PacSpace's own text for a person."""

    @property
    def denied(self) -> bool:
        """True if PacSpace denies the root itself; without figures it may only be unable to look it up now."""
        return not self.verified and (self.unknown or self.record_count is not None or self.net_change is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A checkpoint whose root public verify confirmed, with the address where a person can check it."""

    account: str
    window: Window
    checkpoint_id: str
    proof_root: str
    count: int
    """All records the root covers."""
    net: Decimal
    """Raw net of all records the root covers."""
    verify_url: str
    """For people; opaque (CONTRACT 3.9)."""
    cross_checked: bool
    """False if public verify named no count and net to compare with: the evidence shows it."""
    stale: bool = False
    """True if the root covers other records than derive found; kept on a waived invoice only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """Records and gaps that a ledger account still has to settle before a difference means anything."""

    unverified: int
    gaps: int
    records: tuple[str, ...] = field(default=(), compare=False)
    """Ids of the first few records that are not verified, if PacSpace names them."""
    sequences: tuple[str, ...] = field(default=(), compare=False)
    """The first few gaps, ``4`` or ``4 to 7``, if PacSpace names them."""

    @property
    def any(self) -> bool:
        return self.unverified > 0 or self.gaps > 0
