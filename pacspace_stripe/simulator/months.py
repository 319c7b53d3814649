"""Ordinary months as data: customers, meters, and usage that both sides have alike.

A vendor reports each usage twice when it happens: to Stripe with its own time, and to the ledger, which accepts it a
moment later. So single records lie on different sides of an hour's end. None lies at a period's edge unless it is
planted there.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator
from pacspace_stripe.simulator.stripe import StripeSimulator

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
METERS = ("requests", "storage_gb", "tokens")
BEFORE, AFTER = 36 * HOUR, 60 * HOUR
"""Time before and after a period in which there is usage, too."""
QUIET = 10 * MINUTE
"""Time around a period's edges in which nothing happens unless it is planted."""
_DAYS_OF_EVERY_MONTH = 28
_AWAKE = range(6, 21)
"""Hours of the day in which an hourly subscriber has usage."""
_EVENTS = {"often": (80, 300), "seldom": (30, 80)}
_LATENCY = (50, 4000)
"""Milliseconds until the ledger has accepted a usage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """One meter event."""

    customer: str
    meter: str
    at: datetime
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One delta, as positive usage: the sign is the month's."""

    customer: str
    meter: str
    at: datetime
    """Time at which the ledger accepts it."""
    quantity: Decimal
    reference: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoSidedUsage:
    """One usage as both sides should have it."""

    billed: Billed
    recorded: Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """A customer and the period that is billed."""

    customer: str
    start: datetime
    end: datetime
    cadence: str
    """``hourly``, ``daily``, or at any time: ``often`` or ``seldom``."""

    def has(self, at: datetime) -> bool:
        return self.start <= at < self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoSidedMonth:
    """Two to four customers with their usage on both sides. Accounts are ``{customer}:{meter}``."""

    subscribers: tuple[Subscriber, ...]
    meters: tuple[str, ...]
    positive: bool
    """Sign of usage in the ledger."""
    final: bool
    """True if the invoices are finalized when they are explained, False if they are still drafts."""
    billed: tuple[Billed, ...]
    recorded: tuple[Recorded, ...]

    @property
    def now(self) -> datetime:
        """Return a time at which the whole month is past."""
        return max(one.end for one in self.subscribers) + AFTER + 12 * HOUR

    def play(self, stripe: StripeSimulator, pacspace: PacSpaceSimulator, clock: ManualClock) -> dict[str, str]:
        """Fill both simulators and return each customer's invoice.

        The clock must stand before the month, and is moved.
        """
        prices = [stripe.add_price(stripe.add_meter(meter)) for meter in self.meters]
        stripe.configure(finalization_delay=HOUR if self.final else 30 * DAY)
        for one in self.subscribers:
            stripe.add_customer(one.customer, name=one.customer)
        for number, event in enumerate(self.billed):
            stripe.record_usage(event.customer, event.meter, event.quantity, event.at, identifier=f"mevt_{number}")
        clock.advance_to(self.now)
        for delta in self.recorded:
            account, amount = f"{delta.customer}:{delta.meter}", delta.quantity if self.positive else -delta.quantity
            pacspace.record(account, amount, delta.at, reference_id=delta.reference)
        for one in self.subscribers:
            stripe.add_subscription(one.customer, prices, period_start=one.start, period_end=one.end)
        stripe.run_due()
        return {one.customer: stripe.invoices(customer=one.customer)[0] for one in self.subscribers}


def chance(dice: random.Random, share: float) -> bool:
    """Return True in this share of the months."""
    return dice.random() < share


def usages_of(dice: random.Random, subscribers: tuple[Subscriber, ...], meters: tuple[str, ...]) -> list[TwoSidedUsage]:
    """Return all usage of all customers; meters beyond the first one are used seldom."""
    return [
        usage
        for one in subscribers
        for place, meter in enumerate(meters)
        for usage in _of_one(dice, replace(one, cadence="seldom") if place else one, meter)
    ]


def subscribers_of(dice: random.Random) -> tuple[Subscriber, ...]:
    """Return customers whose first one starts its period at midnight, or at any second in mid-month."""
    first = _anchor(dice)
    starts = [first if chance(dice, 0.5) else _near(dice, first) for _ in range(dice.randint(1, 3))]
    return tuple(
        Subscriber(
            customer=f"cus_{name}",
            start=start,
            end=_month_later(start),
            cadence=dice.choice(("hourly", "often", "daily") if name == "ada" else ("seldom", "daily")),
        )
        for name, start in zip(("ada", "bob", "cyd", "dee"), (first, *starts), strict=False)
    )


def _anchor(dice: random.Random) -> datetime:
    month, day = datetime(2026, dice.randint(1, 10), 1, tzinfo=UTC), dice.randrange(_DAYS_OF_EVERY_MONTH)
    at_noon = timedelta(hours=dice.randint(0, 23), minutes=dice.randint(0, 59))
    match dice.choice(("first", "midnight", "minute", "second")):
        case "first":
            return month
        case "midnight":
            return month + day * DAY
        case "minute":
            return month + day * DAY + at_noon
        case _:
            return month + day * DAY + at_noon + dice.randint(1, 59) * SECOND


def _near(dice: random.Random, start: datetime) -> datetime:
    moved = start + dice.randint(-14 * 86400, 14 * 86400) * SECOND
    return moved if moved.day <= _DAYS_OF_EVERY_MONTH else moved - 3 * DAY


def _month_later(start: datetime) -> datetime:
    return start.replace(month=start.month % 12 + 1, year=start.year + start.month // 12)


def _of_one(dice: random.Random, one: Subscriber, meter: str) -> Iterator[TwoSidedUsage]:
    exponent, step = dice.choice((0, 0, 2, 3)), dice.choice((1, 1, 1, 10))
    named = chance(dice, 0.8)
    for number, at in enumerate(_moments(dice, one)):
        if min(abs(at - one.start), abs(at - one.end)) <= QUIET:
            continue
        largest = 20 if chance(dice, 0.1) else 99_999
        quantity = Decimal(dice.randint(1, largest) * step).scaleb(-exponent)
        reference = f"usage:{one.customer}:{meter}:{number:04}" if named else None
        accepted = at + dice.randint(*_LATENCY) * timedelta(milliseconds=1)
        yield TwoSidedUsage(
            billed=Billed(customer=one.customer, meter=meter, at=at, quantity=quantity),
            recorded=Recorded(customer=one.customer, meter=meter, at=accepted, quantity=quantity, reference=reference),
        )


def _moments(dice: random.Random, one: Subscriber) -> Iterator[datetime]:
    """Yield the times of one customer's usage, in whole seconds and in order."""
    first, last = one.start - BEFORE, one.end + AFTER
    match one.cadence:
        case "hourly":
            at, step, jitter = first.replace(minute=dice.randint(0, 58), second=0), HOUR, 90
        case "daily":
            at, step, jitter = first.replace(hour=dice.randint(0, 23), minute=dice.randint(0, 58), second=0), DAY, 90
        case _:
            seconds = int((last - first).total_seconds())
            yield from (
                first + SECOND * second for second in sorted(dice.sample(range(seconds), dice.randint(80, 300)))
            )
            return
    while at < last:
        if step is DAY or at.hour in _AWAKE:
            yield at + SECOND * dice.randint(0, jitter)
        at += step
