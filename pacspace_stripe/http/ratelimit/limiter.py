"""Rate limits of one vendor: requests in any second, per endpoint and in all, shared by threads and by a fleet."""

import itertools
import threading
from bisect import bisect_right, insort
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import itemgetter

from pacspace_stripe.errors import RateLimited
from pacspace_stripe.http.ratelimit.backoff import ExceededLimit, RateRefusal
from pacspace_stripe.http.ratelimit.priority import Waiter, in_background
from pacspace_stripe.http.ratelimit.rules.fleet_shares import TOTAL, Demand
from pacspace_stripe.http.ratelimit.rules.rate import NO_KNOWN_RATE, SPAN, Rate, ReducedRate, reduced, reserved
from pacspace_stripe.http.ratelimit.shares import Fleet, FleetShares

_ENDPOINTS_KEPT = 256
_NAP = timedelta(seconds=0.25)
"""The longest sleep where other threads or processes may change what is waited for."""
_POLL = timedelta(seconds=0.05)
"""Sleep where it is not known when there will be room."""
_AHEAD = timedelta(seconds=0.1)
"""Time by which a turn is given early: the lease is renewed and a connection made meanwhile, and no moment is lost."""


@dataclass(slots=True)
class RequestWindow:
    """One limit: the requests of the last second to one endpoint, or in all, and the calls that wait for room.

    The lock of its owner guards it.
    """

    limit: int
    share: int | None = None
    """This process's part of the limit in a fleet; None: all of it."""
    sent: list[tuple[datetime, bool]] = field(default_factory=list)
    """Time (past or planned) of each request, and True for background work; in the order of time."""
    queue: set[Waiter] = field(default_factory=set)
    running: int = 0
    """Requests without an answer yet."""
    rate: ReducedRate | None = None
    """Requests per second after a 429."""
    crowd: ReducedRate | None = None
    """Requests that may run at once; no limit until the vendor refused one for it."""
    urgent: int = 0
    background: int = 0
    """Recent need of urgent calls and of background work: the most in a second, the whole limit if one had to wait."""
    wanting: bool = False
    """True if a call waited since this process last renewed its shares."""

    def allowed(self, now: datetime) -> int:
        """Return the requests that may be sent in any second."""
        most = self.limit if self.share is None else min(self.limit, self.share)
        return min(most, self.rate.allowed(self.limit, now)) if self.rate else most

    def slot(self, waiter: Waiter, now: datetime) -> datetime | None:
        """Return when a waiter's request may be sent, ``now`` or later, as far as is known; None if unknown."""
        self._forget(now)
        if self.crowd and self.running >= self.crowd.allowed(NO_KNOWN_RATE.total, now):
            return None
        return self._room(self._ahead_of(waiter, now), now)

    def room_again(self, now: datetime) -> datetime:
        """Return a moment for a ready request that missed its own by more than a second: others used its room."""
        self._forget(now)
        return self._room(0, now) or now

    def _forget(self, now: datetime) -> None:
        del self.sent[: bisect_right(self.sent, now - SPAN, key=itemgetter(0))]

    def _room(self, ahead: int, now: datetime) -> datetime | None:
        over = len(self.sent) + ahead - self.allowed(now)
        if over >= len(self.sent):
            return None
        return max(now, self.sent[over][0] + SPAN) if over >= 0 else now

    def _ahead_of(self, waiter: Waiter, now: datetime) -> int:
        """Return how many waiters come first: in the order they came, background work behind all others.

        Background work that did not have its reserve in this second comes before all others, up to the reserve.
        """
        reserve = max(0, reserved(self.allowed(now)) - self._sent(background=True))
        background = [other.background for other in self.queue].count(True)
        earlier = sum(other.background is waiter.background and other.ticket < waiter.ticket for other in self.queue)
        if not waiter.background:
            return earlier + min(reserve, background)
        return earlier if earlier < reserve else earlier + len(self.queue) - background

    def _sent(self, *, background: bool) -> int:
        return [kind for _, kind in self.sent].count(background)

    def join(self, waiter: Waiter) -> None:
        """Queue a waiter that would not wait if there were more room."""
        self.queue.add(waiter)
        self.wanting = True
        self._need(self.limit, background=waiter.background)

    def leave(self, waiter: Waiter) -> None:
        self.queue.discard(waiter)

    def begin(self, waiter: Waiter, at: datetime) -> None:
        """Count a waiter's request, which is sent at ``at``."""
        self.queue.discard(waiter)
        insort(self.sent, (at, waiter.background))
        self.running += 1
        self._need(self._sent(background=waiter.background), background=waiter.background)

    def _need(self, count: int, *, background: bool) -> None:
        if background:
            self.background = max(self.background, count)
        else:
            self.urgent = max(self.urgent, count)

    def move(self, planned: datetime, now: datetime, *, background: bool) -> None:
        """Count a request from ``now`` on instead of the planned moment: the vendor's second begins here."""
        if (planned, background) in self.sent:
            self.sent.remove((planned, background))
        insort(self.sent, (now, background))

    def end(self) -> None:
        """Note that a request has its answer, or will get none."""
        self.running -= 1

    def demand(self) -> Demand:
        """Return what this process needs; earlier needs count less each time they are asked, twice a second."""
        demand = Demand(urgent=self.urgent, background=self.background)
        self.urgent, self.background, self.wanting = self.urgent * 3 // 4, self.background * 3 // 4, False
        return demand

    def slow(self, *, asked_at: datetime, now: datetime) -> None:
        """Reduce the rate after a 429; where the vendor's limit is unknown, to less than what was sent."""
        allowed = self.allowed(now)
        if self.limit >= NO_KNOWN_RATE.endpoint:
            allowed = min(allowed, len(self.sent))
        self.rate = self.rate.after(allowed, asked_at=asked_at, now=now) if self.rate else reduced(allowed, now)

    def thin(self, *, asked_at: datetime, now: datetime) -> None:
        """Let fewer requests run at once, after a 429 for that."""
        running = self.running
        self.crowd = self.crowd.after(running, asked_at=asked_at, now=now) if self.crowd else reduced(running, now)

    def idle(self, now: datetime) -> bool:
        """Return True if forgetting this window changes nothing."""
        if self.queue or self.running or (self.sent and self.sent[-1][0] + SPAN > now):
            return False
        limits = ((self.rate, self.limit), (self.crowd, NO_KNOWN_RATE.total))
        return not any(lowered and lowered.allowed(limit, now) < limit for lowered, limit in limits)


@dataclass(slots=True, kw_only=True)
class Turn:
    """Permission to send one request, now or very soon."""

    limiter: "RateLimiter"
    endpoint: str
    windows: tuple[RequestWindow, ...]
    at: datetime
    """Time when it may be sent, and once it was sent, that time."""
    given_at: datetime
    background: bool

    def sends(self) -> None:
        """Wait for the turn's moment, if it is early; called right before the first byte, and may be called again."""
        self.limiter.begin(self)

    def arrived(self) -> None:
        """Count the request from now on: it may have been under way until now, as on a new connection."""
        self.limiter.move(self)

    def refused(self, refusal: RateRefusal) -> None:
        """Note that the vendor answered the request with a 429."""
        self.limiter.refused(self.endpoint, refusal, asked_at=self.given_at)


class RateLimiter:
    """Sliding windows for one vendor. A call waits rather than exceed a limit, and gives up at its deadline.

    Waiting calls go first come, first served, background work behind all others except for a tenth of each limit.
    """

    def __init__(
        self,
        service: str,
        rate: Rate,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], object],
        fleet: Fleet | None = None,
    ) -> None:
        self._service = service
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._total = RequestWindow(rate.total)
        self._endpoints: dict[str, RequestWindow] = {}
        self._tickets = itertools.count()
        self._resting_until: datetime | None = None
        """Time until which the vendor wants no request at all."""
        self._shares = FleetShares(fleet, rate, clock) if fleet else None

    @contextmanager
    def turn(self, endpoint: str, *, until: datetime) -> Iterator[Turn]:
        """Wait for the permission to send one request to ``endpoint``, at the moment that :meth:`Turn.sends` waits for.

        The request counts as sent. Raises RateLimited when its turn would come after ``until``.
        """
        waiter = Waiter(ticket=next(self._tickets), background=in_background())
        windows = self._windows(endpoint)
        try:
            at = self._wait(waiter, endpoint, windows, until)
        finally:
            with self._lock:
                for window in windows:
                    window.leave(waiter)
        given_at = self._clock()
        try:
            yield Turn(
                limiter=self, endpoint=endpoint, windows=windows, at=at, given_at=given_at, background=waiter.background
            )
        finally:
            with self._lock:
                for window in windows:
                    window.end()

    def _wait(
        self, waiter: Waiter, endpoint: str, windows: tuple[RequestWindow, RequestWindow], until: datetime
    ) -> datetime:
        """Sleep until a waiter's turn is given; return its moment, at most ``_AHEAD`` from now."""
        while True:
            self._renew(endpoint, windows)
            now = self._clock()
            at, wait = self._take(waiter, windows, now, until)
            if at is not None:
                return at
            if now + wait > until:
                limits = f"{self._rate.endpoint}/s here, {self._rate.total}/s in all"
                raise RateLimited(self._service, f"{endpoint} waits for its turn: {limits}", retry_after=wait)
            alone = self._shares is None and all(len(window.queue) <= 1 for window in windows)
            self._sleep((wait if alone else min(wait, _NAP)).total_seconds())

    def _take(
        self, waiter: Waiter, windows: tuple[RequestWindow, ...], now: datetime, until: datetime
    ) -> tuple[datetime | None, timedelta]:
        """Return the moment of a waiter's turn if that is given now, and else how long to sleep before asking again."""
        with self._lock:
            if self._resting_until and now < self._resting_until:
                return None, self._resting_until - now
            slots = [window.slot(waiter, now) for window in windows]
            for window, slot in zip(windows, slots, strict=True):
                if slot is None or slot > now:
                    window.join(waiter)
                else:
                    window.leave(waiter)
            known = [slot for slot in slots if slot is not None]
            latest = max(known, default=now)
            if len(known) < len(slots):
                return None, max(latest - now, _POLL)
            if latest > max(now, until):
                return None, latest - now
            if latest > now + _AHEAD:
                return None, latest - _AHEAD - now
            for window in windows:
                window.begin(waiter, latest)
            return latest, latest - now

    def begin(self, turn: Turn) -> None:
        """Wait for a turn's moment, and count its request from then on instead of the planned moment.

        Raises RateLimited when the vendor has asked for silence since.
        """
        now = self._clock()
        if now >= turn.at + SPAN:
            # Others used the room of a turn that missed its moment by so much: it needs another one.
            with self._lock:
                at = max(window.room_again(now) for window in turn.windows)
                for window in turn.windows:
                    window.move(turn.at, at, background=turn.background)
                turn.at = at
        if turn.at > now:
            self._sleep((turn.at - now).total_seconds())
            now = self._clock()
        if self._resting_until and now < self._resting_until:
            message = f"{turn.endpoint} waits: the vendor asked for no requests"
            raise RateLimited(self._service, message, retry_after=self._resting_until - now)
        self.move(turn)

    def move(self, turn: Turn) -> None:
        """Count a turn's request from now on."""
        now = self._clock()
        with self._lock:
            for window in turn.windows:
                window.move(turn.at, now, background=turn.background)
        turn.at = now

    def refused(self, endpoint: str, refusal: RateRefusal, *, asked_at: datetime) -> None:
        """Send less for a while after a vendor's 429; ``asked_at`` is when the refused turn was given."""
        total, here = self._windows(endpoint)
        now = self._clock()
        with self._lock:
            window = total if refusal.everywhere else here
            match refusal.exceeded:
                case ExceededLimit.A_SECOND:
                    window.slow(asked_at=asked_at, now=now)
                case ExceededLimit.AT_ONCE:
                    window.thin(asked_at=asked_at, now=now)
            if refusal.rest:
                self._resting_until = max(self._resting_until or now, now + refusal.rest)

    def _windows(self, endpoint: str) -> tuple[RequestWindow, RequestWindow]:
        with self._lock:
            if endpoint not in self._endpoints and len(self._endpoints) >= _ENDPOINTS_KEPT:
                now = self._clock()
                self._endpoints = {name: each for name, each in self._endpoints.items() if not each.idle(now)}
            return self._total, self._endpoints.setdefault(endpoint, RequestWindow(self._rate.endpoint))

    def _renew(self, endpoint: str, windows: tuple[RequestWindow, RequestWindow]) -> None:
        """Renew this process's shares, if it is time; a process that sends nothing needs none."""
        if self._shares is None:
            return
        total, here = windows
        wanting = total.wanting or here.wanting
        if self._shares.due(endpoint, self._clock(), wanting=wanting):
            self._shares.renew(lambda: self._demands(endpoint))
        now = self._clock()
        with self._lock:
            total.share = self._shares.of(TOTAL, self._rate.total, now)
            here.share = self._shares.of(endpoint, self._rate.endpoint, now)

    def _demands(self, endpoint: str) -> Mapping[str, Demand]:
        one = Demand(background=1) if in_background() else Demand(urgent=1)
        with self._lock:
            named = {TOTAL: self._total, **self._endpoints}
            demands = {name: demand for name, window in named.items() if (demand := window.demand())}
        return {TOTAL: one, endpoint: one} | demands

    def close(self) -> None:
        """Leave the limits to other processes."""
        if self._shares:
            self._shares.leave()
