"""The policy: what a billing engineer decided about holding, comparing and releasing."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from pacspace_stripe.vocabulary.ledger import LedgerProtocol, UsageSign

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

    AUTO = "auto"
    """The usage time that a delta summarizes, where it names one; otherwise its acceptance (``domain.clocks``)."""
    ACCEPTED = "accepted"
    """When PacSpace accepted it: its own windows."""
    USAGE_TIME = "usage_time"
    """Any time that the delta itself names, however far from its acceptance; without one, its acceptance."""


NO_USAGE = "-"
"""In the place of a meter's name: the invoice item bills no usage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageItems:
    """``PACSPACE_STRIPE_USAGE_ITEMS``: which invoice items bill usage that another system counted, and of which meter.

    A meter that is named ``-`` says that an item bills no usage.
    """

    metadata_keys: tuple[str, ...] = ()
    """Keys of an item's metadata whose value names the meter."""
    products: Mapping[str, str] = field(default_factory=dict)
    """By product id: the meter's name."""
    prices: Mapping[str, str] = field(default_factory=dict)
    """By price id: the meter's name."""
    amounts: str | None = None
    """Meter that items without a price and of quantity 1 bill."""

    def __bool__(self) -> bool:
        return bool(self.described)

    @property
    def meters(self) -> frozenset[str]:
        """The meters that it names itself; those that items name in their metadata are not among them."""
        named = {*self.products.values(), *self.prices.values()}
        return frozenset(named) - {NO_USAGE}

    @property
    def described(self) -> tuple[str, ...]:
        """All of it as it is written in the setting, in a fixed order."""
        named = [f"metadata.{key}" for key in self.metadata_keys]
        named += [f"product.{product_id}={meter}" for product_id, meter in self.products.items()]
        named += [f"price.{price_id}={meter}" for price_id, meter in self.prices.items()]
        named += [f"amount={self.amounts}"] if self.amounts is not None else []
        return tuple(sorted(named))


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
    attribution: Attribution = Attribution.AUTO
    units: Mapping[str, Decimal] = field(default_factory=dict)
    """By meter: how many of the ledger's units are one of Stripe's; 1 when not named."""
    readings: frozenset[str] = frozenset()
    """Meters whose deltas each carry a reading, the last of which Stripe bills: they are not added up."""
    totals: frozenset[str] = frozenset()
    """Meters that are sent a running total, the last of which Stripe bills: the deltas of the window add up to it."""
    usage_items: UsageItems = UsageItems()
    edge_slack: timedelta = timedelta(minutes=5)
    """How far from a window's edge the two sides may place the same usage differently (``PERIOD_EDGE``)."""

    @property
    def splits_accounts(self) -> bool:
        """The records of one ledger account tell their meter."""
        return self.meter_from != BY_ACCOUNT

    @property
    def described(self) -> str:
        """All of it as one text, the same in every process: a set's own order is not."""
        sets = (sorted(self.exclude_reasons), sorted(self.readings), sorted(self.totals))
        rest = replace(self, exclude_reasons=frozenset(), readings=frozenset(), totals=frozenset())
        return f"{rest!r} {' '.join(map(str, sets))}"
