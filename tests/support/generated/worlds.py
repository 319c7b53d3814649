"""``draw(seed)``: one plan of a world, from plain random numbers so that a seed means the same everywhere."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from tests.support.generated.plans import (
    Act,
    Crash,
    Delivery,
    Other,
    Outage,
    Person,
    Plan,
    Restart,
    Stall,
    Subscription,
    Usage,
)
from tests.support.worlds import START

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
COUNTED, TIERED, LEVEL = "jobs", "tiered", "level"
METERS = ("api_calls", "storage", COUNTED)
LOSABLE = (
    "invoice.created",
    "invoice.updated",
    "invoice.finalized",
    "invoice.paid",
    "invoice.voided",
    "invoice.finalization_failed",
)
STRIPE_FAULTS = ("500", "429", "timeout", "lost_reply", "lock_timeout", "connection_error", "502", "slow")
LEDGER_FAULTS = (
    "500",
    "503",
    "429",
    "timeout",
    "lost_reply",
    "html",
    "wrong_shape",
    "idempotency_pending",
    "chain_unavailable",
    "connection_error",
    "402",
    "slow",
)
STRIPE_ENDPOINTS = (None, "GET *", "POST *", "POST */finalize", "GET /v1/invoices/{id}", "GET */event_summaries")
LEDGER_ENDPOINTS = (
    None,
    "POST */checkpoint",
    "POST */compare",
    "GET */derive/*",
    "GET */verify/*",
    "GET */customers/*",
)
CRASHES = ("POST /v1/invoices", "POST", "GET", "POST /api/v1/balance/checkpoint", "", "BEGIN", "BEGIN")
STAMP_EDITS = ("unstamp", "unstamp unheard", "edit stamp", "edit stamp unheard", "unfooter", "unfooter unheard")
PEOPLE = (
    *("on", "off", "finalize", "pay", "void", "waive", "footer", "metadata", "uncollectible", "mapping"),
    *STAMP_EDITS,
)
CALM_PEOPLE = ("on", "void", "waive", "footer", "metadata", "off", "unstamp", "edit stamp unheard")
FLAVOURS = (
    "ledger misses",
    "stripe misses",
    "ledger doubles",
    "stripe doubles",
    "last digit",
    "never verified",
    "late verified",
    "failed",
    "gap",
    "deposit",
    "late on both",
    "late on stripe",
    "late on ledger",
    "after finalization",
)
CALM_FLAVOURS = FLAVOURS[:10]


def draw(seed: int) -> Plan:
    """Return the plan of this seed's world."""
    return _Drawing(random.Random(seed), seed).plan()


class _Drawing:
    """Draw of one plan. ``at`` is always a moment of the world, ``chance`` a share of worlds."""

    def __init__(self, dice: random.Random, seed: int) -> None:
        self.dice = dice
        self.seed = seed
        self.calm = dice.random() < 0.4

    def chance(self, share: float) -> bool:
        return self.dice.random() < share

    def between(self, first: timedelta, last: timedelta) -> timedelta:
        return timedelta(seconds=self.dice.randint(int(first.total_seconds()), int(last.total_seconds())))

    def plan(self) -> Plan:
        delivery = self.delivery()
        settings = self.settings(delivery)
        subscriptions = tuple(map(self.mistyped, self.subscriptions(dict(settings))))
        if "readings" in dict(settings):
            subscriptions = tuple(map(_with_readings, subscriptions))
        heals_at = START + self.between(8 * HOUR, 10 * HOUR)
        drawn = Plan(
            seed=self.seed,
            settings=settings,
            stripe=tuple(self.stripe(delivery)),
            ledger=tuple(self.ledger_of(settings)),
            delivery=delivery,
            subscriptions=subscriptions,
            heals_at=heals_at,
            heals=tuple(self.chance(0.75) for _ in subscriptions),
            calm=self.calm,
        )
        acts = sorted(self.acts(drawn), key=lambda act: act.at)
        return replace(drawn, acts=tuple(acts))

    # -- how things are set ---------------------------------------------------------------------------------------

    def settings(self, delivery: Delivery) -> tuple[tuple[str, str], ...]:
        choice = self.dice.choice
        drawn = {
            "retry": "5m,30m,4h",
            "sweep": "45m" if delivery.lost or self.chance(0.2) else "6h",
            "ledger_account": choice(("{customer}", "{customer}:{meter}", "{customer}:{meter}")),
        }
        if self.chance(0.3):
            drawn["fail"] = "open"
            drawn["backstop"] = choice(("3h", "12h", "24h"))
        if self.chance(0.3):
            drawn["finalize"] = "fast"
        if self.chance(0.4):
            drawn["settle"] = choice(("0", "1m", "45m")) if not self.calm else choice(("0", "1m"))
        if self.chance(0.07):
            drawn["mode"] = "observe"
        if self.chance(0.2):
            drawn["usage_sign"] = "positive"
        return self.further(drawn)

    def further(self, drawn: dict[str, str]) -> tuple[tuple[str, str], ...]:
        """Draw settings that change what counts, and which differences do."""
        more = random.Random(f"{self.seed} further")
        if more.random() < 0.2:
            drawn["tolerance"] = more.choice(("0.000001", "1", "2.5"))
        if more.random() < 0.25:
            drawn["exclude_reasons"] = more.choice(("deposit", "deposit,refund"))
        if more.random() < 0.15 and "{meter}" not in drawn["ledger_account"]:
            drawn["meter_from"] = more.choice(("reason", "metadata.meter"))
        if more.random() < 0.12:
            drawn["readings"] = more.choice((LEVEL, f"{LEVEL}:total"))
        if more.random() < 0.5:
            drawn["attribution"] = more.choice(("accepted", "usage_time", "auto"))
        return tuple(drawn.items())

    def stripe(self, delivery: Delivery) -> Iterator[tuple[str, object]]:
        if self.chance(0.3):
            yield "finalization_delay", self.dice.choice((HOUR, 2 * HOUR, 3 * HOUR))
        if not self.calm and self.chance(0.3):
            yield "aggregation_delay", self.dice.choice((MINUTE, 10 * MINUTE, 40 * MINUTE))
        for name in ("draft_lines_refresh", "webhook_gate", "upcoming_has_id"):
            waits = name == "webhook_gate" and delivery.lost == "invoice.created"  # for three days
            if self.chance(0.2) and not waits:
                yield name, True
        if self.chance(0.1):
            yield "payments_succeed", False
        if self.chance(0.2):
            yield "summaries_of_nothing", "zero"

    def ledger_of(self, settings: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, object]]:
        """Draw the ledger's rules, without doubles where records are added up one by one: they would lose digits."""
        selects = {"exclude_reasons", "meter_from"} & {name for name, _ in settings}
        yield from (each for each in self.ledger() if not (selects and each[0] == "doubles"))

    def ledger(self) -> Iterator[tuple[str, object]]:
        if self.chance(0.15):
            yield "late_deltas", "frozen"
        if self.chance(0.25):
            yield "doubles", True
        if self.chance(0.2):
            yield "unknown_customer", "zero"
        if self.chance(0.15):
            yield "verify_summary", False
        if self.chance(0.2):
            yield "checkpoint_delay", self.dice.choice((timedelta(seconds=2), 10 * MINUTE))
        if self.chance(0.2):
            yield "shared_record", True

    def delivery(self) -> Delivery:
        if self.chance(0.4):
            return Delivery()
        return Delivery(
            copies=self.dice.choice((1, 1, 2, 5)),
            shuffled=self.chance(0.5),
            delay=self.between(timedelta(0), 15 * MINUTE) if self.chance(0.4) else timedelta(0),
            lost=self.dice.choice(LOSABLE) if self.chance(0.4) else None,
        )

    # -- who pays for what ----------------------------------------------------------------------------------------

    def subscriptions(self, settings: dict[str, str]) -> Iterator[Subscription]:
        by_meter = "{meter}" in settings["ledger_account"]
        for number in range(self.dice.choice((1, 1, 1, 2, 2, 3))):
            customer = f"cus_{'abc'[number]}"
            meters = self.dice.sample(METERS, 2)
            if self.chance(0.3):
                first = tuple(meters) if by_meter or "meter_from" in settings or self.chance(0.2) else (meters[0],)
                yield self.subscription(customer, first)
                continue
            yield self.subscription(customer, (meters[0],))
            if self.chance(0.3):
                account = None if by_meter else f"{customer}.second"
                yield replace(self.subscription(customer, (meters[1],)), account=account)

    def subscription(self, customer: str, meters: tuple[str, ...]) -> Subscription:
        if self.chance(0.06):
            meters = () if self.chance(0.5) else (TIERED,)
        end = START + self.between(10 * MINUTE, 2 * HOUR)
        start = end - self.dice.choice((DAY, 30 * DAY, 30 * DAY + HOUR))
        if self.chance(0.6):
            start, end = start.replace(second=0), end.replace(second=0)
        return Subscription(
            customer=customer,
            meters=meters,
            start=start,
            end=end,
            account=f"acct.{customer}:prod" if len(meters) == 1 and self.chance(0.15) else None,
            split_at=start + self.between(HOUR, 20 * HOUR) if self.chance(0.15) else None,
            mailed=self.chance(0.15),
            licensed=not meters or self.chance(0.2),
            footer=self.dice.choice((None, None, "Acme Ltd.\r\nReg. 12 \n", "x" * 4900)),
            metadata=self.dice.choice((0, 0, 0, 1, 46)),
        )

    def mistyped(self, one: Subscription) -> Subscription:
        more = random.Random(f"{self.seed} {one.name} mistyped")
        return replace(one, mistyped=True) if len(one.meters) == 1 and more.random() < 0.08 else one

    # -- what happens ---------------------------------------------------------------------------------------------

    def acts(self, plan: Plan) -> Iterator[Act]:
        for place in range(len(plan.subscriptions)):
            yield from self.usage(plan, place)
            if self.chance(0.2):
                yield Other(at=START + self.between(MINUTE, 9 * MINUTE), subscription=place, what="upcoming")
        if self.chance(0.35):
            for _ in range(self.dice.randint(1, 3)):
                yield self.person(plan)
        yield from self.meddling(plan)
        if self.calm:
            return
        for _ in range(self.dice.choice((0, 0, 0, 1, 1, 2))):
            yield self.outage(plan)
        for _ in range(self.dice.choice((0, 0, 0, 1, 1, 3))):
            yield self.crash(plan)
        for _ in range(self.dice.choice((0, 0, 0, 1, 2))):
            yield self.restart()
        for _ in range(self.dice.choice((0, 0, 0, 0, 1, 2))):
            yield self.stall()
        if self.chance(0.1):
            place = self.dice.randrange(len(plan.subscriptions))
            what = self.dice.choice(("threshold", "first"))
            yield Other(at=START + self.between(timedelta(0), 9 * MINUTE), subscription=place, what=what)  # type: ignore[arg-type]  # one of the two

    def usage(self, plan: Plan, place: int) -> Iterator[Act]:
        subscription = plan.subscriptions[place]
        for meter in subscription.meters:
            for _ in range(self.dice.choice((0, 1, 1, 2, 3, 5))):
                yield self.use(subscription, place, meter)
            if self.chance(0.5):
                flavour = self.dice.choice(CALM_FLAVOURS if self.calm else FLAVOURS)
                if flavour != "deposit" or ("doubles", True) not in plan.ledger:  # doubles lose digits beside a deposit
                    yield from self.flavour(flavour, plan, place, meter)

    def use(self, subscription: Subscription, place: int, meter: str) -> Usage:
        used_at = self.used_at(subscription)
        return Usage(
            at=max(used_at, START), subscription=place, meter=meter, used_at=used_at, quantity=self.quantity(meter)
        )

    def used_at(self, subscription: Subscription) -> datetime:
        first, last = subscription.start, subscription.end - timedelta(seconds=1)
        if self.chance(0.2):
            return self.dice.choice(
                (first, last, max(first, last - timedelta(seconds=59)), first + timedelta(seconds=1))
            )
        return first + self.between(timedelta(0), last - first)

    def quantity(self, meter: str) -> Decimal:
        if meter == COUNTED:
            return Decimal(1)
        dice = self.dice
        match dice.randrange(6):
            case 0 | 1:
                return Decimal(dice.randint(1, 5000))
            case 2:
                return Decimal(dice.randint(1, 30)) / 10
            case 3:
                return Decimal(dice.randint(1, 10**15 - 1)).scaleb(-12)
            case 4:
                return Decimal(dice.randint(10**14, 9 * 10**14)).scaleb(-6)
            case _:
                return Decimal(dice.randint(1, 999)).scaleb(-12)

    def flavour(self, name: str, plan: Plan, place: int, meter: str) -> Iterator[Act]:
        subscription = plan.subscriptions[place]
        use = self.use(subscription, place, meter)
        after = subscription.end + self.between(MINUTE, 50 * MINUTE)
        match name:
            case "ledger misses" | "stripe doubles":
                yield replace(use, side="stripe")
            case "stripe misses" | "ledger doubles":
                yield replace(use, side="ledger")
            case "last digit":
                side: Literal["stripe", "ledger"] = self.dice.choice(("stripe", "ledger"))
                quantity = Decimal(1) if meter == COUNTED else Decimal(1).scaleb(self.dice.choice((-12, -6, 0)))
                yield replace(use, side=side, quantity=quantity)
            case "never verified":
                yield replace(use, state="never")
            case "late verified":
                yield replace(use, state="late", late_by=self.late_by(plan, use))
            case "failed":
                yield replace(use, state="failed")
            case "gap" | "deposit":
                yield Other(at=START, subscription=place, what=name)
            case "late on both":
                yield replace(use, at=after)
            case "late on stripe":
                yield replace(use, side="ledger")
                yield replace(use, side="stripe", at=after)
            case "late on ledger":
                yield replace(use, side="stripe")
                yield replace(use, side="ledger", at=START + self.between(2 * HOUR, 7 * HOUR))
            case "after finalization":
                yield replace(
                    use, side=self.dice.choice(("stripe", "both")), at=subscription.end + self.between(HOUR, 4 * HOUR)
                )

    def late_by(self, plan: Plan, use: Usage) -> timedelta:
        """Draw how late a record is verified, counted from its use, which may lie in the past."""
        told = max(use.at, START) - use.used_at
        return told + (self.between(6 * HOUR, 7 * HOUR) if self.calm else self.between(HOUR, 9 * HOUR))

    def person(self, plan: Plan) -> Person:
        place = self.dice.randrange(len(plan.subscriptions))
        if self.calm:
            at = plan.heals_at - self.between(70 * MINUTE, 2 * HOUR)
            return Person(at=at, subscription=place, does=self.dice.choice(CALM_PEOPLE))
        at = plan.subscriptions[place].end + self.between(
            timedelta(0), self.dice.choice((10 * MINUTE, 2 * HOUR, 8 * HOUR))
        )
        does, during = self.dice.choice(PEOPLE), self.dice.choice((None, 1, 2, 3, 5, 8))
        # Stripe has no conditional update: a change between our read and our write is lost, or overtaken.
        if does in {"footer", "finalize"}:
            during = None
        return Person(at=at, subscription=place, does=does, during=during)

    def meddling(self, plan: Plan) -> Iterator[Person]:
        """Draw people who touch what is ours, mostly where no event reports it."""
        more = random.Random(f"{self.seed} meddling")
        for place, one in enumerate(plan.subscriptions):
            if one.mistyped and more.random() < 0.7:
                yield Person(at=one.end + timedelta(hours=more.randint(0, 6)), subscription=place, does="mapping")
            if self.calm:
                continue
            if more.random() < 0.12:
                at = one.end + timedelta(minutes=more.choice((5, 30, 55, 90)))
                yield Person(at=at, subscription=place, does="cancel")
            if more.random() > 0.35:
                continue
            minutes, during = more.choice((5, 65, 125, 200, 400)), more.choice((None, 1, 2, 3, 4, 5))
            does = more.choice(STAMP_EDITS)
            at = one.end + timedelta(minutes=minutes)
            yield Person(at=at, subscription=place, does=does, during=None if "footer" in does else during)

    def outage(self, plan: Plan) -> Outage:
        vendor = self.dice.choice(("stripe", "ledger"))
        at = START + self.between(timedelta(0), 6 * HOUR)
        fault = self.dice.choice(STRIPE_FAULTS if vendor == "stripe" else LEDGER_FAULTS)
        hurries = fault in {"429", "lock_timeout"}  # checked again every few seconds
        lasts = 2 * MINUTE if hurries else self.dice.choice((5 * MINUTE, 30 * MINUTE, 3 * HOUR))
        return Outage(
            at=at,
            until=min(at + lasts, plan.heals_at),
            vendor=vendor,  # type: ignore[arg-type]  # one of the two
            fault=fault,
            endpoint=self.dice.choice(STRIPE_ENDPOINTS if vendor == "stripe" else LEDGER_ENDPOINTS),
            probability=self.dice.choice((1.0, 1.0, 0.5, 0.2)),
            seconds=self.dice.choice((1.0, 6.0, 9.0)),
        )

    def crash(self, plan: Plan) -> Crash:
        return Crash(
            at=START + self.between(timedelta(0), 6 * HOUR),
            request=self.dice.choice(CRASHES),
            skip=self.dice.choice((0, 0, 1, 2, 3, 5, 9, 20)),
            arrives=self.chance(0.5),
            down=self.dice.choice((timedelta(0), timedelta(seconds=20), 5 * MINUTE, 30 * MINUTE)),
            drifts=self.chance(0.25),
        )

    def stall(self) -> Stall:
        return Stall(at=START + self.between(timedelta(0), 5 * HOUR), skip=self.dice.choice((0, 1, 2, 3, 4, 6, 8)))

    def restart(self) -> Restart:
        changes: dict[str, str] = {}
        if self.chance(0.6):
            name, values = self.dice.choice(
                (
                    ("mode", ("observe", "enforce")),
                    ("fail", ("open", "closed")),
                    ("finalize", ("fast", "strict")),
                    ("settle", ("0", "30m")),
                    ("backstop", ("3h", "24h")),
                )
            )
            changes[name] = self.dice.choice(values)
        return Restart(at=START + self.between(timedelta(0), 8 * HOUR), settings=tuple(changes.items()))


def _with_readings(one: Subscription) -> Subscription:
    """Return meter readings or a running total instead of usage that sums up; they are of one whole period."""
    if "storage" not in one.meters:
        return one
    meters = tuple(LEVEL if meter == "storage" else meter for meter in one.meters)
    return replace(one, meters=meters, split_at=None)
