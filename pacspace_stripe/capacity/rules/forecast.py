"""How long the gate takes for so many renewals, from the vendor's limits and the calls each invoice costs. Pure.

Two things happen to every invoice. A first look at its birth holds it (closed) or moves its finalization (open): that
must be done before Stripe finalizes the draft. A second look, when the usage has settled, compares, stamps and, closed,
finalizes and releases: it delays the invoice, but nothing wrong leaves meanwhile.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from pacspace_stripe.gate.rules.timing import SOONEST_FINALIZATION
from pacspace_stripe.http.ratelimit.rules.rate import SPAN, STRIPE_LIVE, Rate
from pacspace_stripe.vocabulary.policy import FailPolicy

READ, WRITE, FINALIZE = "GET /v1/invoices/{id}", "POST /v1/invoices/{id}", "POST /v1/invoices/{id}/finalize"
Calls = Mapping[str, int]
"""Calls of Stripe by endpoint."""
FIRST_LOOK: Calls = {READ: 1, WRITE: 1}
SECOND_LOOK: Mapping[FailPolicy, Calls] = {
    FailPolicy.CLOSED: {READ: 2, WRITE: 2, FINALIZE: 1},
    FailPolicy.OPEN: {READ: 1, WRITE: 1},
}
"""Of a matched invoice, caches warm; a test holds the gate to it."""
CONFIRMING: Mapping[FailPolicy, Calls] = {FailPolicy.CLOSED: {}, FailPolicy.OPEN: {READ: 1}}
LEDGER_CALLS = 6
"""Calls of PacSpace in a second look."""
WORKERS = 6
"""Looks at once in one process, of each kind (``engine``)."""
LONGEST_GRACE = timedelta(hours=72)
"""The longest finalization grace period that Stripe takes (FACTS 2.1)."""
MONTH = timedelta(days=30)
_MARGIN = 1.1
"""On top of what is advised: retries, and whatever else asks Stripe meanwhile."""


class Anchor(StrEnum):
    """When the subscriptions renew."""

    SPREAD = "spread"
    """Evenly over the month."""
    FIRST_OF_MONTH = "first-of-month"
    """All at one moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is to be gated, and where."""

    invoices: int
    anchor: Anchor
    rate: Rate = STRIPE_LIVE
    grace: timedelta = timedelta(hours=1)
    """Stripe's wait before it finalizes a draft; an hour unless the merchant made it longer."""
    settle: timedelta = timedelta(minutes=10)
    backstop: timedelta = timedelta(hours=24)
    stripe_latency: timedelta = timedelta(seconds=0.3)
    """From request to answer, one call."""
    ledger_latency: timedelta = timedelta(seconds=0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What becomes of a load under one policy. Times count from the moment the first draft is made."""

    policy: FailPolicy
    calls: int
    """Of Stripe, per invoice."""
    bottleneck: str
    """The limit that is reached first."""
    per_second: float
    """Invoices that the limits let through, both looks together."""
    secured_after: timedelta
    """When the last draft is held, or has its backstop."""
    judged_after: timedelta
    """When the last matched invoice is released (closed) or stamped (open)."""
    leaves_after: timedelta
    """When the last matched invoice goes out; stamped ones (open) do on Stripe's clock."""
    window: timedelta
    """When Stripe finalizes what is not secured."""
    missed: int
    """Invoices that Stripe finalizes before they are secured."""
    processes: int
    """As many as can use the limits; more change nothing."""
    fits: bool
    advice: tuple[str, ...]
    """What to change; nothing when it fits."""


def seconds_each(calls: Calls, rate: Rate) -> float:
    """What the limits allow: seconds per invoice that costs these calls."""
    if not calls:
        return 0.0
    slowest = max(max(calls.values()) / rate.endpoint, sum(calls.values()) / rate.total)
    return slowest * SPAN.total_seconds()


def together(*many: Calls) -> Calls:
    """All calls of several looks."""
    endpoints = sorted({endpoint for calls in many for endpoint in calls})
    return {endpoint: sum(calls.get(endpoint, 0) for calls in many) for endpoint in endpoints}


def forecast(load: Load, policy: FailPolicy) -> Forecast:
    """What the limits make of a load under one policy."""
    calls = together(FIRST_LOOK, SECOND_LOOK[policy], CONFIRMING[policy])
    secured, judged = _spread(load, policy) if load.anchor is Anchor.SPREAD else _at_once(load, policy)
    missed = _missed(load, policy) if load.anchor is Anchor.FIRST_OF_MONTH else 0
    advice = tuple(_advice(load, policy, missed, judged))
    return Forecast(
        policy=policy,
        calls=sum(calls.values()),
        bottleneck=_bottleneck(calls, load.rate),
        per_second=1 / seconds_each(calls, load.rate),
        secured_after=secured,
        judged_after=judged,
        leaves_after=judged if policy is FailPolicy.CLOSED else max(load.grace, judged + SOONEST_FINALIZATION),
        window=load.grace,
        missed=missed,
        processes=_processes(load, policy),
        fits=not advice,
        advice=advice,
    )


def _bottleneck(calls: Calls, rate: Rate) -> str:
    busiest = max(calls, key=lambda endpoint: calls[endpoint])
    if sum(calls.values()) / rate.total > calls[busiest] / rate.endpoint:
        return f"{rate.total}/s in all"
    names = [endpoint for endpoint in calls if calls[endpoint] == calls[busiest]]
    return f"{rate.endpoint}/s to {' and to '.join(names)}"


def _at_once(load: Load, policy: FailPolicy) -> tuple[timedelta, timedelta]:
    """All drafts at one moment: first looks fill the limits, then second looks do."""
    first = load.invoices * seconds_each(FIRST_LOOK, load.rate)
    second = load.invoices * seconds_each(SECOND_LOOK[policy], load.rate)
    ready, settle = _ready(load, policy), load.settle.total_seconds()
    if first <= ready:
        return timedelta(seconds=first), timedelta(seconds=max(ready + second, first + settle))
    # Those that were first are ready while others still wait for their first look: both kinds share the limits.
    both = load.invoices * seconds_each(together(FIRST_LOOK, SECOND_LOOK[policy]), load.rate)
    secured = first + min(second, first - ready)
    return timedelta(seconds=secured), timedelta(seconds=max(both, ready + second, secured + settle))


def _ready(load: Load, policy: FailPolicy) -> float:
    """Seconds until the first second look: when we finalize, not before Stripe would."""
    waits = max(load.settle, load.grace) if policy is FailPolicy.CLOSED else load.settle
    return waits.total_seconds()


def _spread(load: Load, policy: FailPolicy) -> tuple[timedelta, timedelta]:
    """Evenly over the month: each invoice by itself, while the limits are not used up."""
    first = len(FIRST_LOOK) * load.stripe_latency
    return first, timedelta(seconds=_ready(load, policy)) + _look_time(load, policy)


def _utilisation(load: Load, policy: FailPolicy) -> float:
    """How much of the limits a month of such renewals uses."""
    calls = together(FIRST_LOOK, SECOND_LOOK[policy], CONFIRMING[policy])
    return load.invoices * seconds_each(calls, load.rate) / MONTH.total_seconds()


def _missed(load: Load, policy: FailPolicy) -> int:
    """Drafts not secured when Stripe finalizes: first looks have the limits to themselves, then half of them."""
    each, ready, grace = seconds_each(FIRST_LOOK, load.rate), _ready(load, policy), load.grace.total_seconds()
    secured = min(grace, ready) / each + max(0.0, grace - ready) / each / 2
    return max(0, load.invoices - int(secured))


def _look_time(load: Load, policy: FailPolicy) -> timedelta:
    return sum(SECOND_LOOK[policy].values()) * load.stripe_latency + LEDGER_CALLS * load.ledger_latency


def _processes(load: Load, policy: FailPolicy) -> int:
    """So many that waiting for answers does not slow the limits down."""
    first = sum(FIRST_LOOK.values()) * load.stripe_latency
    wanted = [(first, FIRST_LOOK), (_look_time(load, policy), SECOND_LOOK[policy])]
    arriving = load.invoices / MONTH.total_seconds() if load.anchor is Anchor.SPREAD else math.inf
    return max(
        1,
        *(
            math.ceil(time.total_seconds() * min(arriving, 1 / seconds_each(calls, load.rate)) / WORKERS)
            for time, calls in wanted
        ),
    )


def _advice(load: Load, policy: FailPolicy, missed: int, judged: timedelta) -> Iterator[str]:
    """What to change, if anything."""
    if _utilisation(load, policy) >= 1:
        yield f"a month is too short for so many calls: {_ASK_STRIPE}"
        return
    if missed:
        grace = next((hours for hours in range(1, 73) if not _missed(_larger(load, hours), policy)), None)
        if grace:
            yield f"set Stripe's invoice finalization grace period to {grace} h (Settings, Billing, Invoices)"
        else:
            yield "no finalization grace period is long enough: 72 h is Stripe's longest"
        days = next(days for days in range(2, 10**6) if not _missed(_part(load, days), policy))
        yield f"or spread the billing anchors over {days} days" if days <= MONTH.days else f"or {_ASK_STRIPE}"
    if policy is FailPolicy.OPEN and judged > load.backstop:
        hours = math.ceil(judged / timedelta(hours=1) * _MARGIN)
        yield f"set PACSPACE_STRIPE_BACKSTOP to {hours}h: the last ones would go out unproven"


_ASK_STRIPE = "ask Stripe for higher limits and set PACSPACE_STRIPE_RATE"


def _larger(load: Load, hours: int) -> Load:
    """The same with another grace period, and a little more to do."""
    return replace(load, grace=timedelta(hours=hours), invoices=math.ceil(load.invoices * _MARGIN))


def _part(load: Load, days: int) -> Load:
    return replace(load, invoices=math.ceil(load.invoices * _MARGIN / days))
