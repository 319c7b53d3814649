"""One random fault in a random month, with the planted cause, to judge explanations by: ``plant(seed)``.

Nothing here knows how a drift is explained. A fault is an accident of a vendor: a request that was lost, a retry that
was counted again, a wrong id, an outage, a release that reports another unit.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from pacspace_stripe.simulator.months import (
    DAY,
    METERS,
    SECOND,
    Billed,
    Recorded,
    Subscriber,
    TwoSidedMonth,
    TwoSidedUsage,
    chance,
    subscribers_of,
    usages_of,
)

_LARGEST = Decimal(900_000_000)
"""Limit below 10⁹, since PacSpace accepts no larger delta."""
_TELLING = 3
"""Digits by which a quantity can be recognised: two events of 7 in one hour cannot be told apart."""


class PlantedKind(StrEnum):
    """Kinds of planted faults."""

    LOST = "lost"
    DOUBLED = "doubled"
    WRONG_CUSTOMER = "wrong_customer"
    LATE = "late"
    """The ledger accepts the usage hours after the period's end, or six minutes at least."""
    UNIT = "unit"
    SIGN = "sign"
    BOUNDARY = "boundary"
    """The two sides place it on different sides of the period's edge, within five minutes."""


class Extent(StrEnum):
    """Part of the month that has the fault."""

    ONE = "one"
    STRETCH = "stretch"
    """Several usages in a row, as in an outage."""
    SINCE = "since"
    """All usages from some moment on, as after a release."""
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """The one fault of a month."""

    kind: PlantedKind
    on: Literal["stripe", "ledger"]
    """The side that is wrong; for BOUNDARY, the side on which the usage is inside."""
    extent: Extent
    customer: str
    meter: str
    first: datetime
    """First time in the customer's period at which the two sides differ, by the side that shows it."""
    last: datetime
    quantity: Decimal
    """Right quantity of the affected usage."""
    counterpart: str | None = None
    """The customer who has the usage instead."""
    factor: Decimal | None = None
    """Factor of the wrong side's figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedMonth:
    """A month with its fault."""

    seed: int
    month: TwoSidedMonth
    planted: Planted

    @property
    def subscriber(self) -> Subscriber:
        """Return the customer whose invoice drifts."""
        return next(one for one in self.month.subscribers if one.customer == self.planted.customer)


def plant(seed: int, kind: PlantedKind | None = None) -> PlantedMonth:
    """Return the month of this seed, with a fault of ``kind`` instead of a random one if given."""
    return _Planter(random.Random(seed), seed, kind).planted()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """Usages that a fault replaces, and their replacement."""

    instead_of: Sequence[TwoSidedUsage]
    billed: Sequence[Billed]
    recorded: Sequence[Recorded]
    moments: Sequence[datetime]
    quantity: Decimal


class _Planter:
    """One draw of a month and its fault."""

    def __init__(self, dice: random.Random, seed: int, kind: PlantedKind | None) -> None:
        self.dice, self.seed = dice, seed
        self.kind = kind or dice.choice(list(PlantedKind))
        self.meters = tuple(dice.sample(METERS, dice.randint(1, 2)))
        self.subscribers = subscribers_of(dice)
        self.usages = usages_of(dice, self.subscribers, self.meters)
        self.whose, self.meter = self.subscribers[0], self.meters[0]
        self.in_stripe = chance(dice, 0.5)
        self.extent = Extent.ONE
        self.other: Subscriber | None = None
        self.factor: Decimal | None = None

    def planted(self) -> PlantedMonth:
        faults: dict[PlantedKind, Callable[[], _Fault]] = {
            PlantedKind.LOST: self.lost,
            PlantedKind.DOUBLED: self.doubled,
            PlantedKind.WRONG_CUSTOMER: self.wrong_customer,
            PlantedKind.LATE: self.late,
            PlantedKind.UNIT: self.unit,
            PlantedKind.SIGN: self.sign,
            PlantedKind.BOUNDARY: self.boundary,
        }
        fault = faults[self.kind]()
        wrong = {id(usage) for usage in fault.instead_of}
        untouched = [usage for usage in self.usages if id(usage) not in wrong]
        final = chance(self.dice, 0.3) or (self.kind is PlantedKind.BOUNDARY and self.whose.start.second > 0)
        month = TwoSidedMonth(
            subscribers=self.subscribers,
            meters=self.meters,
            positive=chance(self.dice, 0.3),
            final=final,
            billed=(*(usage.billed for usage in untouched), *fault.billed),
            recorded=(*(usage.recorded for usage in untouched), *fault.recorded),
        )
        return PlantedMonth(seed=self.seed, month=month, planted=self._told(fault))

    def _told(self, fault: _Fault) -> Planted:
        inside = [at for at in fault.moments if self.whose.has(at)]
        return Planted(
            kind=self.kind,
            on="stripe" if self.in_stripe else "ledger",
            extent=self.extent,
            customer=self.whose.customer,
            meter=self.meter,
            first=min(inside),
            last=max(inside),
            quantity=fault.quantity,
            counterpart=self.other.customer if self.other else None,
            factor=self.factor,
        )

    # -- which usages ---------------------------------------------------------------------------------------------

    def theirs(self) -> list[TwoSidedUsage]:
        """Return all of the customer's usage of the meter, before, in and after the period."""
        customer, meter = self.whose.customer, self.meter
        return [one for one in self.usages if one.billed.customer == customer and one.billed.meter == meter]

    def inside(self) -> list[TwoSidedUsage]:
        return [one for one in self.theirs() if self.whose.has(one.billed.at) and self.whose.has(one.recorded.at)]

    def one(self, among: Iterable[TwoSidedUsage] | None = None) -> TwoSidedUsage:
        """Return a usage that can be recognised by its quantity."""
        return self.dice.choice([one for one in among or self.inside() if _digits(one.billed.quantity) >= _TELLING])

    def stretch(self) -> list[TwoSidedUsage]:
        """Return one usage, or several in a row."""
        if chance(self.dice, 0.75):
            return [self.one()]
        self.extent = Extent.STRETCH
        among, length = self.inside(), self.dice.randint(2, 6)
        first = self.dice.randrange(len(among) - length)
        return among[first : first + length]

    def many(self) -> list[TwoSidedUsage]:
        """Return one usage, all since some moment, or all."""
        self.extent = self.dice.choice((Extent.ONE, Extent.ONE, Extent.SINCE, Extent.ALL))
        if self.extent is Extent.ONE:
            return [self.one()]
        length = (self.whose.end - self.whose.start) * self.dice.uniform(0.1, 0.9)
        since = self.whose.start + length if self.extent is Extent.SINCE else self.whose.start - DAY * 2
        return [one for one in self.theirs() if one.billed.at >= since]

    # -- what goes wrong ------------------------------------------------------------------------------------------

    def lost(self) -> _Fault:
        wrong = self.stretch()
        billed, recorded = [one.billed for one in wrong], [one.recorded for one in wrong]
        if self.in_stripe:
            return _fault(wrong, [], recorded, [one.at for one in recorded])
        return _fault(wrong, billed, [], [one.at for one in billed])

    def doubled(self) -> _Fault:
        one = self.one()
        if self.in_stripe:
            later = self.dice.choice((0, 0, self.dice.randint(1, 90)))
            again = replace(one.billed, at=one.billed.at + later * SECOND)
            return _fault([one], [one.billed, again], [one.recorded], [again.at])
        later = self.dice.randint(2_000, 300_000)
        reference = one.recorded.reference
        if reference is not None and chance(self.dice, 0.3):
            reference += ":again"
        twin = replace(one.recorded, at=one.recorded.at + timedelta(milliseconds=later), reference=reference)
        return _fault([one], [one.billed], [one.recorded, twin], [twin.at])

    def wrong_customer(self) -> _Fault:
        self.other = self.dice.choice(self.subscribers[1:])
        one = self.one(each for each in self.inside() if self.other.has(each.billed.at))
        name = self.other.customer
        if self.in_stripe:
            return _fault([one], [replace(one.billed, customer=name)], [one.recorded], [one.recorded.at])
        return _fault([one], [one.billed], [replace(one.recorded, customer=name)], [one.billed.at])

    def late(self) -> _Fault:
        self.in_stripe = False
        last = self.inside()[-9:]
        if chance(self.dice, 0.7):
            wrong = [self.one(last)]
        else:
            self.extent, wrong = Extent.STRETCH, last[-self.dice.randint(2, 4) :]
        accepted = self.whose.end + timedelta(milliseconds=self.dice.randint(360_000, 172_800_000))
        recorded = [replace(one.recorded, at=accepted + SECOND * place) for place, one in enumerate(wrong)]
        billed = [one.billed for one in wrong]
        return _fault(wrong, billed, recorded, [one.at for one in billed])

    def unit(self) -> _Fault:
        wrong = self.many()
        largest = max(one.billed.quantity for one in wrong)
        factors = [Decimal(each) for each in ("1000", "1024", "60", "100", "1000000", "0.001", "0.01", "0.000001")]
        self.factor = self.dice.choice([each for each in factors if each * largest <= _LARGEST])
        return self._scaled(wrong, self.factor)

    def sign(self) -> _Fault:
        wrong = [self.one()] if self.in_stripe else self.many()
        return self._scaled(wrong, Decimal(-1))

    def _scaled(self, wrong: Sequence[TwoSidedUsage], factor: Decimal) -> _Fault:
        billed, recorded = [one.billed for one in wrong], [one.recorded for one in wrong]
        moments = [one.at for one in billed]
        if self.in_stripe:
            return _fault(wrong, [replace(one, quantity=one.quantity * factor) for one in billed], recorded, moments)
        return _fault(wrong, billed, [replace(one, quantity=one.quantity * factor) for one in recorded], moments)

    def boundary(self) -> _Fault:
        """Plant a usage of its own, since nothing else is that near the edge."""
        like, at_end = self.one(), chance(self.dice, 0.5)
        edge = self.whose.end if at_end else self.whose.start
        early = edge - SECOND * self.dice.randint(1, 140)
        late = edge + SECOND * self.dice.randint(0, 140)
        in_stripe, in_ledger = (early, late) if at_end is self.in_stripe else (late, early)
        billed = replace(like.billed, at=in_stripe)
        reference = like.recorded.reference and f"{like.recorded.reference}:edge"
        recorded = replace(like.recorded, at=in_ledger, reference=reference)
        return _fault([], [billed], [recorded], [in_stripe, in_ledger])


def _fault(
    instead_of: Sequence[TwoSidedUsage],
    billed: Sequence[Billed],
    recorded: Sequence[Recorded],
    moments: Sequence[datetime],
) -> _Fault:
    quantity = sum((one.billed.quantity for one in instead_of), Decimal(0)) or billed[0].quantity
    return _Fault(instead_of=instead_of, billed=billed, recorded=recorded, moments=moments, quantity=quantity)


def _digits(quantity: Decimal) -> int:
    return len(quantity.normalize().as_tuple().digits)
