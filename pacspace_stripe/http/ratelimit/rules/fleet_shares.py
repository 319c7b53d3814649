"""Division of a vendor's limits among the processes of a fleet. Pure: the store keeps what is agreed.

Every process holds a share of each limit, so many requests in any second, and sends without asking any other. Twice a
second it writes what it needs and takes what is fair and free. Others take what it gives up only when the requests it
sent before have left the vendor's second: so the shares in use never add up to more than the limit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pacspace_stripe.http.ratelimit.rules.rate import SPAN, Rate, reserved

TOTAL = ""
"""Stands in the place of an endpoint for the limit on all of them together."""
LASTS = timedelta(seconds=2)
"""Time for which a share holds without being renewed."""
RENEW = timedelta(seconds=0.5)
"""Time between two renewals while requests are sent."""
SETTLES = SPAN + timedelta(seconds=0.5)
"""Time for which a share that was given up still counts: the vendor's second, and half of one for our own transaction
and for turns that were given early."""
_TURN = 5
"""Seconds until another process comes first, where there are more processes than requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Requests per second that a process would send: urgent ones, and those of background work."""

    urgent: int = 0
    background: int = 0

    def __bool__(self) -> bool:
        return bool(self.urgent or self.background)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitShare:
    """One process's part of one limit. ``given_up``: larger parts that it held before, and until when each counts."""

    held: int
    demand: Demand
    given_up: tuple[tuple[int, datetime], ...] = ()

    def counts(self, now: datetime) -> int:
        """Return the requests that all other processes must leave free for it."""
        return max(self.held, *(held for held, until in self.given_up if until > now), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetHolding:
    """One process's shares by endpoint, and until when they hold unless it renews them."""

    shares: Mapping[str, LimitShare]
    until: datetime

    def counts(self, endpoint: str, now: datetime) -> int:
        """Return the requests that all other processes must leave free for it at an endpoint."""
        share = self.shares.get(endpoint)
        return share.counts(now) if share and now < self.until + SETTLES else 0

    def demand(self, endpoint: str, now: datetime) -> Demand:
        """Return the process's demand at an endpoint; none once its shares have expired."""
        share = self.shares.get(endpoint)
        return share.demand if share and now < self.until else Demand()


def divide(
    rate: Rate, name: str, demands: Mapping[str, Demand], holdings: Mapping[str, FleetHolding], now: datetime
) -> FleetHolding:
    """Return what the process ``name`` holds from now on, given its demands and what all processes hold."""
    mine = holdings.get(name)
    before, used_until = (mine.shares, min(mine.until, now)) if mine else ({}, now)
    others = {other: held for other, held in holdings.items() if other != name}
    shares: dict[str, LimitShare] = {}
    for endpoint in sorted({*demands, *before}):
        limit = rate.total if endpoint == TOTAL else rate.endpoint
        demand = demands.get(endpoint, Demand())
        fair = _fair(
            limit, {name: demand, **{other: held.demand(endpoint, now) for other, held in others.items()}}, now
        )
        held = min(fair[name], free(rate, others, endpoint, now))
        given_up = tuple(_given_up(before.get(endpoint), held, used_until, now))
        share = LimitShare(held=held, demand=demand, given_up=given_up)
        if share.demand or share.counts(now):
            shares[endpoint] = share
    return FleetHolding(shares=shares, until=now + LASTS)


def free(rate: Rate, holdings: Mapping[str, FleetHolding], endpoint: str, now: datetime) -> int:
    """Return the part of a limit that no process holds."""
    limit = rate.total if endpoint == TOTAL else rate.endpoint
    return max(0, limit - sum(held.counts(endpoint, now) for held in holdings.values()))


def _given_up(
    before: LimitShare | None, held: int, used_until: datetime, now: datetime
) -> Iterator[tuple[int, datetime]]:
    """Yield larger parts than what is held now, while their requests may be in the vendor's second."""
    if before is None:
        return
    parts = (*before.given_up, (before.held, used_until + SETTLES))
    yield from ((count, until) for count, until in parts if until > now and count > held)


def _fair(limit: int, demands: Mapping[str, Demand], now: datetime) -> dict[str, int]:
    """Return each process's part: urgent needs first, except for a reserve of background work; spare room is shared.

    One equal part of the spare room stays free for a process that joins.
    """
    names = sorted(name for name, demand in demands.items() if demand)
    if len(names) > limit:
        first = int(now.timestamp()) // _TURN % len(names)
        names = names[first:] + names[:first]
    kept = min(reserved(limit), sum(demands[name].background for name in names))
    urgent = filled(limit - kept, [demands[name].urgent for name in names])
    background = filled(limit - sum(urgent), [demands[name].background for name in names])
    spare = limit - sum(urgent) - sum(background)
    each = spare // (len(names) + 1)
    parts = {name: urgent[place] + background[place] + each for place, name in enumerate(names)}
    return {name: parts.get(name, 0) for name in demands}


def filled(amount: int, demands: Sequence[int]) -> list[int]:
    """Divide an amount so that none gets more than its demand, and none gets less than another that demands more."""
    given = [0] * len(demands)
    left = len(demands)
    for place in sorted(range(len(demands)), key=lambda one: demands[one]):
        given[place] = min(demands[place], amount // left)
        amount -= given[place]
        left -= 1
    return given
