"""The policy: the operator's decisions about holding, comparing and releasing invoices."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from pacspace_stripe.vocabulary.ledger import LedgerProtocol, UsageSign

BY_ACCOUNT = "account"


class Mode(StrEnum):
    """The gate acts, or only reports what it would do (``PACSPACE_STRIPE_MODE``)."""

    ENFORCE = "enforce"
    OBSERVE = "observe"


class FailPolicy(StrEnum):
    """The end of an invoice that stays unproven (``PACSPACE_STRIPE_FAIL``)."""

    CLOSED = "closed"
    """The invoice stays held."""
    OPEN = "open"
    """The invoice goes out at the backstop, marked unproven."""


class FinalizePolicy(StrEnum):
    """The order of finalizing and reading the final lines (``PACSPACE_STRIPE_FINALIZE``)."""

    STRICT = "strict"
    """Finalize without advancing, read all lines again, then release (FACTS 2.2.2)."""
    FAST = "fast"
    """Release with the stamp, and confirm when Stripe reports the finalization."""


class Attribution(StrEnum):
    """The clock that places a delta in a window (``PACSPACE_STRIPE_ATTRIBUTION``): see ``ledger.rules.attribution``."""

    AUTO = "auto"
    """The usage time that a delta summarizes, if it names one; otherwise its acceptance."""
    ACCEPTED = "accepted"
    """The time at which PacSpace accepted the delta: the clock of PacSpace's own windows."""
    USAGE_TIME = "usage_time"
    """Any time that the delta itself names, however far from its acceptance; without one, its acceptance."""


NO_USAGE = "-"
"""Meter name of an invoice item that bills no usage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageItems:
    """The invoice items that bill usage which another system counted, and their meters.

    The setting is ``PACSPACE_STRIPE_USAGE_ITEMS``; the meter name ``-`` marks an item that bills no usage.
    """

    metadata_keys: tuple[str, ...] = ()
    """Keys of an item's metadata whose value is the meter's name."""
    products: Mapping[str, str] = field(default_factory=dict)
    """Meter names by product id."""
    prices: Mapping[str, str] = field(default_factory=dict)
    """Meter names by price id."""
    amounts: str | None = None
    """Meter of items without a price and of quantity 1: plain amounts."""

    def __bool__(self) -> bool:
        return bool(self.described)

    @property
    def meters(self) -> frozenset[str]:
        """Meters that the setting itself names; those that items name in their metadata are not among them."""
        named = {*self.products.values(), *self.prices.values()}
        return frozenset(named) - {NO_USAGE}

    @property
    def described(self) -> tuple[str, ...]:
        """Parts of the setting as they are written in it, in a fixed order."""
        named = [f"metadata.{key}" for key in self.metadata_keys]
        named += [f"product.{product_id}={meter}" for product_id, meter in self.products.items()]
        named += [f"price.{price_id}={meter}" for price_id, meter in self.prices.items()]
        named += [f"amount={self.amounts}"] if self.amounts is not None else []
        return tuple(sorted(named))


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Every decision of the operator that a check has to know."""

    mode: Mode = Mode.ENFORCE
    fail: FailPolicy = FailPolicy.CLOSED
    finalize: FinalizePolicy = FinalizePolicy.STRICT
    backstop: timedelta = timedelta(hours=24)
    """Time after the invoice's creation; with fail open, the invoice goes out then even if unproven."""
    settle: timedelta = timedelta(minutes=10)
    """Time that late usage may take to arrive before a difference means anything."""
    tolerance: Decimal = Decimal(0)
    """Largest difference that still matches, in the meter's unit, per window."""
    usage_sign: UsageSign = UsageSign.NEGATIVE
    ledger_account: str = "{customer}"
    """A template of ``{customer}`` and ``{meter}``."""
    ledger: LedgerProtocol = LedgerProtocol.BALANCE
    record_key: str = "usage-{customer}-{month}"
    """Template of the settlement ledger's keys; ``usage.rules.accounts.record_key`` lists the placeholders."""
    retry: tuple[timedelta, ...] = (
        timedelta(minutes=1),
        timedelta(minutes=5),
        timedelta(minutes=15),
        timedelta(hours=1),
    )
    """Waits between checks of an unproven invoice; the last one repeats."""
    cadence: timedelta = timedelta(days=1)
    """Time between two records of the ledger: the early warning compares up to the last full one."""
    meter_from: str = BY_ACCOUNT
    """Source of a delta's meter: ``account``, ``reason`` or ``metadata.KEY``."""
    exclude_reasons: frozenset[str] = frozenset()
    """Reasons of deltas that are no usage, such as deposits: they stay in the account's balance."""
    attribution: Attribution = Attribution.AUTO
    units: Mapping[str, Decimal] = field(default_factory=dict)
    """Number of the ledger's units in one of Stripe's, by meter; 1 if a meter is not named."""
    readings: frozenset[str] = frozenset()
    """Meters whose deltas each carry a reading, the last of which Stripe bills: they are not added up."""
    totals: frozenset[str] = frozenset()
    """Meters that are sent a running total, the last of which Stripe bills: the deltas of the window add up to it."""
    usage_items: UsageItems = UsageItems()
    edge_slack: timedelta = timedelta(minutes=5)
    """Distance from a window's edge within which the sides may place the same usage differently (``PERIOD_EDGE``)."""

    @property
    def splits_accounts(self) -> bool:
        """True if the records of one ledger account name their meter."""
        return self.meter_from != BY_ACCOUNT

    @property
    def described(self) -> str:
        """The policy as one text, the same in every process: the order of a set is not."""
        sets = (sorted(self.exclude_reasons), sorted(self.readings), sorted(self.totals))
        rest = replace(self, exclude_reasons=frozenset(), readings=frozenset(), totals=frozenset())
        return f"{rest!r} {' '.join(map(str, sets))}"
