"""Forecast of how long the gate takes for a number of renewals, from Stripe's rate limits and the calls per invoice.

Every invoice is checked twice. The first check, when the draft is made, holds it (fail closed) or postpones its
finalization (fail open), and has to be done before Stripe finalizes the draft. The second check, when the usage has
settled, compares, stamps and, with fail closed, finalizes and releases. It delays the invoice, but nothing wrong leaves
meanwhile.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from pacspace_stripe.gate.rules.timing import SOONEST_FINALIZATION
from pacspace_stripe.http.ratelimit.rules.rate import SPAN, STRIPE_LIVE, Rate
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.policy import FailPolicy

READ, WRITE, FINALIZE = "GET /v1/invoices/{id}", "POST /v1/invoices/{id}", "POST /v1/invoices/{id}/finalize"
EndpointCalls = Mapping[str, int]
"""Numbers of Stripe calls, by endpoint."""
FIRST_CHECK: EndpointCalls = {READ: 1, WRITE: 1}
SECOND_CHECK: Mapping[FailPolicy, EndpointCalls] = {
    FailPolicy.CLOSED: {READ: 2, WRITE: 2, FINALIZE: 1},
    FailPolicy.OPEN: {READ: 1, WRITE: 1},
}
"""Calls for a matched invoice with warm caches; a test holds the gate to it."""
CONFIRMING: Mapping[FailPolicy, EndpointCalls] = {FailPolicy.CLOSED: {}, FailPolicy.OPEN: {READ: 1}}
LEDGER_CALLS = 6
"""Calls of PacSpace in a second check."""
WORKERS = 6
"""Checks that one process makes at the same time, of each kind (see ``worker``)."""
LONGEST_GRACE = timedelta(hours=72)
"""Longest finalization grace period that Stripe accepts (FACTS 2.1)."""
MONTH = timedelta(days=30)
_MARGIN = 1.1
"""Margin of an advice, for retries and other requests at the same time."""


class Anchor(StrEnum):
    """Distribution of the renewals over the month."""

    SPREAD = "spread"
    """Renewals evenly over the month."""
    FIRST_OF_MONTH = "first-of-month"
    """All renewals at one moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The renewals to be gated, and the conditions."""

    invoices: int
    anchor: Anchor
    rate: Rate = STRIPE_LIVE
    grace: timedelta = timedelta(hours=1)
    """Stripe's wait before it finalizes a draft: an hour, unless the merchant made it longer."""
    settle: timedelta = timedelta(minutes=10)
    backstop: timedelta = timedelta(hours=24)
    stripe_latency: timedelta = timedelta(seconds=0.3)
    """Time from a request to its answer."""
    ledger_latency: timedelta = timedelta(seconds=0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The forecast of a load under one policy. Times count from the creation of the first draft."""

    policy: FailPolicy
    calls: int
    """Stripe calls per invoice."""
    bottleneck: str
    """The rate limit that is reached first."""
    per_second: float
    """Invoices that the rate limits allow, both checks together."""
    secured_after: timedelta
    """Time until the last draft is held, or has its backstop."""
    judged_after: timedelta
    """Time until the last matched invoice is released (closed) or stamped (open)."""
    leaves_after: timedelta
    """Time until the last matched invoice leaves; with fail open, on Stripe's clock."""
    window: timedelta
    """Time until Stripe finalizes a draft that is not secured."""
    missed: int
    """Number of invoices that Stripe finalizes before they are secured."""
    processes: int
    """Number of processes that use up the rate limits; more change nothing."""
    fits: bool
    advice: tuple[str, ...]
    """Changes that make it fit; none if it fits."""

    def as_json(self) -> dict[str, Json]:
        """Return the figures for machines, in whole seconds."""
        return {
            "fits": self.fits,
            "calls_per_invoice": self.calls,
            "invoices_per_hour": round(self.per_second * 3600),
            "bottleneck": self.bottleneck,
            "secured_after_seconds": round(self.secured_after.total_seconds()),
            "judged_after_seconds": round(self.judged_after.total_seconds()),
            "leaves_after_seconds": round(self.leaves_after.total_seconds()),
            "missed": self.missed,
            "processes": self.processes,
            "advice": list(self.advice),
        }


def seconds_each(calls: EndpointCalls, rate: Rate) -> float:
    """Return the seconds per invoice that the rate limits need for these calls."""
    if not calls:
        return 0.0
    slowest = max(max(calls.values()) / rate.endpoint, sum(calls.values()) / rate.total)
    return slowest * SPAN.total_seconds()


def together(*many: EndpointCalls) -> EndpointCalls:
    """Return the calls of several checks together."""
    endpoints = sorted({endpoint for calls in many for endpoint in calls})
    return {endpoint: sum(calls.get(endpoint, 0) for calls in many) for endpoint in endpoints}


def forecast(load: Load, policy: FailPolicy) -> Forecast:
    """Return the forecast of a load under one policy."""
    calls = together(FIRST_CHECK, SECOND_CHECK[policy], CONFIRMING[policy])
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


def _bottleneck(calls: EndpointCalls, rate: Rate) -> str:
    busiest = max(calls, key=lambda endpoint: calls[endpoint])
    if sum(calls.values()) / rate.total > calls[busiest] / rate.endpoint:
        return f"{rate.total}/s in all"
    names = [endpoint for endpoint in calls if calls[endpoint] == calls[busiest]]
    return f"{rate.endpoint}/s to {' and to '.join(names)}"


def _at_once(load: Load, policy: FailPolicy) -> tuple[timedelta, timedelta]:
    """Return when the last draft is secured and judged, if all are made at once and checks fill the rate limits."""
    first = load.invoices * seconds_each(FIRST_CHECK, load.rate)
    second = load.invoices * seconds_each(SECOND_CHECK[policy], load.rate)
    ready, settle = _ready(load, policy), load.settle.total_seconds()
    if first <= ready:
        return timedelta(seconds=first), timedelta(seconds=max(ready + second, first + settle))
    # The first drafts are ready for their second check while others wait for their first: both share the rate limits.
    both = load.invoices * seconds_each(together(FIRST_CHECK, SECOND_CHECK[policy]), load.rate)
    secured = first + min(second, first - ready)
    return timedelta(seconds=secured), timedelta(seconds=max(both, ready + second, secured + settle))


def _ready(load: Load, policy: FailPolicy) -> float:
    """Return the seconds until the first second check, which never finalizes before Stripe would."""
    waits = max(load.settle, load.grace) if policy is FailPolicy.CLOSED else load.settle
    return waits.total_seconds()


def _spread(load: Load, policy: FailPolicy) -> tuple[timedelta, timedelta]:
    """Return when a draft is secured and judged, if each is checked by itself and the rate limits are not used up."""
    first = len(FIRST_CHECK) * load.stripe_latency
    return first, timedelta(seconds=_ready(load, policy)) + _check_time(load, policy)


def _utilisation(load: Load, policy: FailPolicy) -> float:
    """Return the share of the rate limits that a month of such renewals uses."""
    calls = together(FIRST_CHECK, SECOND_CHECK[policy], CONFIRMING[policy])
    return load.invoices * seconds_each(calls, load.rate) / MONTH.total_seconds()


def _missed(load: Load, policy: FailPolicy) -> int:
    """Return the drafts not secured when Stripe finalizes: first checks have all of the rate limits, later half."""
    each, ready, grace = seconds_each(FIRST_CHECK, load.rate), _ready(load, policy), load.grace.total_seconds()
    secured = min(grace, ready) / each + max(0.0, grace - ready) / each / 2
    return max(0, load.invoices - int(secured))


def _check_time(load: Load, policy: FailPolicy) -> timedelta:
    return sum(SECOND_CHECK[policy].values()) * load.stripe_latency + LEDGER_CALLS * load.ledger_latency


def _processes(load: Load, policy: FailPolicy) -> int:
    """Return the number of processes with which waiting for answers does not leave rate limits unused."""
    first = sum(FIRST_CHECK.values()) * load.stripe_latency
    kinds = [(first, FIRST_CHECK), (_check_time(load, policy), SECOND_CHECK[policy])]
    arriving = load.invoices / MONTH.total_seconds() if load.anchor is Anchor.SPREAD else math.inf
    return max(
        1,
        *(
            math.ceil(time.total_seconds() * min(arriving, 1 / seconds_each(calls, load.rate)) / WORKERS)
            for time, calls in kinds
        ),
    )


def _advice(load: Load, policy: FailPolicy, missed: int, judged: timedelta) -> Iterator[str]:
    """Yield the changes that make the load fit."""
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
    """Return the load with another grace period and a margin of invoices."""
    return replace(load, grace=timedelta(hours=hours), invoices=math.ceil(load.invoices * _MARGIN))


def _part(load: Load, days: int) -> Load:
    return replace(load, invoices=math.ceil(load.invoices * _MARGIN / days))
