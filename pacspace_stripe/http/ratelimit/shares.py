"""One process's shares of a vendor's limits: renewed while it sends, estimated while the database does not answer."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from pacspace_stripe.errors import PacspaceStripeError
from pacspace_stripe.http.ratelimit.rules.fleet_shares import LASTS, RENEW, TOTAL, Demand, FleetHolding, divide, free
from pacspace_stripe.http.ratelimit.rules.rate import Rate

_GROW = timedelta(seconds=0.05)
"""Time between two renewals while a call waits and other processes left room."""
_BEG = timedelta(seconds=0.2)
"""Time between two renewals while there is no share at all."""
_TRY_AGAIN = timedelta(seconds=1)
_LONGEST_WAIT = 0.5
"""Seconds that a call waits for another call that renews."""
ASSUMED_PROCESSES = 4
"""Number of processes that a process assumes if it has never reached the database."""

_log = logging.getLogger(__name__)
Divide = Callable[[str, Mapping[str, FleetHolding], datetime], FleetHolding]


class Fleet(Protocol):
    """Table in which the processes that share one account's limits agree on their shares."""

    def renew(self, divide: Divide) -> None:
        """Replace this process's holding by ``divide(its name, all holdings, now)``, in a transaction of its own.

        Raises StoreUnavailable.
        """
        ...


@dataclass(slots=True)
class FleetShares:
    """The shares that this process holds; an equal part among those seen last while the database does not answer.

    The equal part is safe as long as no process joins meanwhile: the parts then add up to no more than the limit. If
    the others still reach the database, they divide what this process does not renew, and together exceed the limit by
    at most its part.
    """

    fleet: Fleet
    rate: Rate
    clock: Callable[[], datetime]
    _held: Mapping[str, int] = field(default_factory=dict)
    _room: Mapping[str, int] = field(default_factory=dict)
    """The part of each limit that no process held at the last renewal."""
    _asked_at: datetime | None = None
    _failed_at: datetime | None = None
    _processes: int = ASSUMED_PROCESSES
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def of(self, endpoint: str, limit: int, now: datetime) -> int:
        """Return the requests that this process may send to an endpoint in any second."""
        if self._valid(now):
            return self._held.get(endpoint, 0)
        return max(1, limit // self._processes)

    def _valid(self, now: datetime) -> bool:
        return self._asked_at is not None and now < self._asked_at + LASTS

    def due(self, endpoint: str, now: datetime, *, wanting: bool) -> bool:
        """Return True if the shares must be renewed before the next request."""
        if self._failed_at is not None and now < self._failed_at + _TRY_AGAIN:
            return False
        if self._asked_at is None:
            return True
        # Another thread may replace it meanwhile.
        held, both = self._held, (endpoint, TOTAL)
        if any(name not in held for name in both):
            return True
        if wanting and any(self._room.get(name) for name in both):
            return now >= self._asked_at + _GROW
        return now >= self._asked_at + (RENEW if all(held[name] for name in both) else _BEG)

    def renew(self, demands: Callable[[], Mapping[str, Demand]]) -> None:
        """Ask for shares that meet the demands, one call at a time; others go on with the shares that still hold."""
        longest_wait = 0.0 if self._valid(self.clock()) else _LONGEST_WAIT
        if not self._turn.acquire(timeout=longest_wait):
            return
        try:
            self._ask(demands())
        except PacspaceStripeError as error:
            if self._failed_at is None:
                _log.warning("rate limits cannot be agreed on with other processes: %s", error)
            self._failed_at = self.clock()
        finally:
            self._turn.release()

    def _ask(self, demands: Mapping[str, Demand]) -> None:
        asked_at = self.clock()

        agreed: list[tuple[FleetHolding, dict[str, FleetHolding], datetime]] = []

        def divided(name: str, holdings: Mapping[str, FleetHolding], now: datetime) -> FleetHolding:
            holding = divide(self.rate, name, demands, holdings, now)
            agreed.append((holding, {**holdings, name: holding}, now))
            # Give up a part before the commit: that may take long, and others may use the part as soon as they see it.
            parts = {each: share.held for each, share in holding.shares.items()}
            self._held = {held: min(count, parts.get(held, 0)) for held, count in self._held.items()}
            return holding

        self.fleet.renew(divided)
        mine, holdings, now = agreed[-1]
        self._room = {endpoint: free(self.rate, holdings, endpoint, now) for endpoint in mine.shares}
        self._held = {endpoint: share.held for endpoint, share in mine.shares.items() if share.demand}
        self._processes = sum(now < held.until for held in holdings.values())
        self._asked_at, self._failed_at = asked_at, None

    def leave(self) -> None:
        """Give up all shares: this process sends no more."""
        if self._asked_at is not None:
            self.renew(dict)
