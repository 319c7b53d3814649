"""The policy: what a billing engineer decided about holding, comparing and releasing."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from pacspace_stripe.domain.ledger import LedgerProtocol, UsageSign

BY_ACCOUNT = "account"


class Mode(StrEnum):
    """``PACSPACE_STRIPE_MODE``: whether the gate acts, or only reports what it would do."""

    ENFORCE = "enforce"
    OBSERVE = "observe"


class FailPolicy(StrEnum):
    """``PACSPACE_STRIPE_FAIL``: what happens to an invoice that stays unproven."""

    CLOSED = "closed"
    """It stays held."""
    OPEN = "open"
    """It goes out at the backstop, marked unproven."""


class FinalizePolicy(StrEnum):
    """``PACSPACE_STRIPE_FINALIZE``: whether the final lines are read before the invoice leaves."""

    STRICT = "strict"
    """Finalize without advancing, read all lines again, then release."""
    FAST = "fast"
    """Release with the stamp, confirm when Stripe says it is finalized."""


class Attribution(StrEnum):
    """``PACSPACE_STRIPE_ATTRIBUTION``: which clock places a delta in a window."""

    ACCEPTED = "accepted"
    """When PacSpace accepted it: its own windows."""
    USAGE_TIME = "usage_time"
    """When the usage happened, as the delta itself says; without that, when PacSpace accepted it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything a person decided that a check has to know."""

    mode: Mode = Mode.ENFORCE
    fail: FailPolicy = FailPolicy.CLOSED
    finalize: FinalizePolicy = FinalizePolicy.STRICT
    backstop: timedelta = timedelta(hours=24)
    """After the invoice's creation; with fail open, when it goes out even if unproven."""
    settle: timedelta = timedelta(minutes=10)
    """How long late usage may take to arrive before a difference means anything."""
    tolerance: Decimal = Decimal(0)
    """In the meter's unit, per window."""
    usage_sign: UsageSign = UsageSign.NEGATIVE
    ledger_account: str = "{customer}"
    """A template of ``{customer}`` and ``{meter}``."""
    ledger: LedgerProtocol = LedgerProtocol.BALANCE
    record_key: str = "usage-{customer}-{month}"
    """With the settlement ledger, a template of the placeholders in ``domain.records``."""
    retry: tuple[timedelta, ...] = (
        timedelta(minutes=1),
        timedelta(minutes=5),
        timedelta(minutes=15),
        timedelta(hours=1),
    )
    """Waits between looks at an unproven invoice; the last one repeats."""
    cadence: timedelta = timedelta(days=1)
    """How often the ledger gets its records: the early warning looks up to the last full one."""
    meter_from: str = BY_ACCOUNT
    """What tells a delta's meter: ``account``, ``reason`` or ``metadata.KEY``."""
    exclude_reasons: frozenset[str] = frozenset()
    """Reasons of deltas that are no usage, such as deposits: they stay in the account's balance."""
    attribution: Attribution = Attribution.ACCEPTED
    units: Mapping[str, Decimal] = field(default_factory=dict)
    """By meter: how many of the ledger's units are one of Stripe's; 1 when not named."""
    readings: frozenset[str] = frozenset()
    """Meters whose deltas each carry a reading, the last of which Stripe bills: they are not added up."""
    edge_slack: timedelta = timedelta(minutes=5)
    """How far from a window's edge the two sides may place the same usage differently (``PERIOD_EDGE``)."""

    @property
    def splits_accounts(self) -> bool:
        """The records of one ledger account tell their meter."""
        return self.meter_from != BY_ACCOUNT

    @property
    def described(self) -> str:
        """All of it as one text, the same in every process: a set's own order is not."""
        reasons, readings = sorted(self.exclude_reasons), sorted(self.readings)
        return f"{replace(self, exclude_reasons=frozenset(), readings=frozenset())!r} {reasons} {readings}"
