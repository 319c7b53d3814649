"""Rate limits: so many requests in any second, per endpoint and in all, shared by all threads and by a fleet."""

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from pacspace_stripe.errors import RateLimited
from pacspace_stripe.http.ratelimit.backoff import ExceededLimit, RateRefusal
from pacspace_stripe.http.ratelimit.priority import Waiter, in_background
from pacspace_stripe.http.ratelimit.request_window import RequestWindow
from pacspace_stripe.http.ratelimit.rules.fleet_shares import TOTAL, Wish
from pacspace_stripe.http.ratelimit.rules.rate import SPAN, Rate
from pacspace_stripe.http.ratelimit.shares import Fleet, FleetShares

_ENDPOINTS_KEPT = 256
_NAP = timedelta(seconds=0.25)
"""The longest sleep where others may change what is waited for."""
_POLL = timedelta(seconds=0.05)
"""How soon to look again where nobody knows when there will be room."""
_AHEAD = timedelta(seconds=0.1)
"""How early a turn is given: a lease and a connection are looked after meanwhile, and no moment of a limit is lost."""


@dataclass(slots=True, kw_only=True)
class Turn:
    """One request that may be sent, now or very soon."""

    limiter: "RateLimiter"
    endpoint: str
    windows: tuple[RequestWindow, ...]
    at: datetime
    """When it may be sent; once it was, when that was."""
    given_at: datetime
    patient: bool

    def sends(self) -> None:
        """Called right before its first byte: waits for its moment, if it is early. May be said again."""
        self.at = self.limiter.begun(self)

    def arrived(self) -> None:
        """It may have been under way until now, as on a new connection: so the vendor's second may begin here."""
        self.at = self.limiter.moved(self)

    def refused(self, refusal: RateRefusal) -> None:
        """The vendor answered it with a 429."""
        self.limiter.refused(self.endpoint, refusal, asked_at=self.given_at)


class RateLimiter:
    """Sliding windows for one vendor. Waits instead of sending too much; gives up at a deadline.

    Who waits goes first come, first served, background work behind all others but for a tenth of each limit.
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
        self._shares = FleetShares(fleet, rate, clock) if fleet else None

    @contextmanager
    def turn(self, endpoint: str, *, until: datetime) -> Iterator[Turn]:
        """Inside, one request to ``endpoint`` may be sent, at the moment that :meth:`Turn.sends` waits for.

        It counts as sent. Raises RateLimited when its turn would come after ``until``.
        """
        windows, at = self._waited(endpoint, until)
        given_at = self._clock()
        try:
            yield Turn(
                limiter=self, endpoint=endpoint, windows=windows, at=at, given_at=given_at, patient=in_background()
            )
        finally:
            with self._lock:
                for window in windows:
                    window.end()

    def _waited(self, endpoint: str, until: datetime) -> tuple[tuple[RequestWindow, ...], datetime]:
        waiter = Waiter(ticket=next(self._tickets), patient=in_background())
        windows = self._windows(endpoint)
        try:
            while True:
                self._renew(endpoint, windows)
                now = self._clock()
                at, wait = self._taken(waiter, windows, now, until)
                if at is not None:
                    return windows, at
                if now + wait > until:
                    message = (
                        f"{endpoint} waits for its turn: {self._rate.endpoint}/s here, {self._rate.total}/s in all"
                    )
                    raise RateLimited(self._service, message, retry_after=wait)
                self._sleep((wait if self._alone(windows) else min(wait, _NAP)).total_seconds())
        finally:
            with self._lock:
                for window in windows:
                    window.leave(waiter)

    def begun(self, turn: Turn) -> datetime:
        """A turn's request counts from now on, its moment having come, and no longer from what was planned.

        Raises RateLimited when the vendor has asked for silence since.
        """
        now = self._clock()
        if now >= turn.at + SPAN:
            turn.at = self._again(turn, now)
        if turn.at > now:
            self._sleep((turn.at - now).total_seconds())
            now = self._clock()
        if self._resting_until and now < self._resting_until:
            message = f"{turn.endpoint} waits: silence is wanted"
            raise RateLimited(self._service, message, retry_after=self._resting_until - now)
        return self.moved(turn)

    def _again(self, turn: Turn, now: datetime) -> datetime:
        """Another moment for one that was missed by so much that others used its room."""
        with self._lock:
            at = max(window.room_again(now) for window in turn.windows)
            for window in turn.windows:
                window.move(turn.at, at, patient=turn.patient)
            return at

    def moved(self, turn: Turn) -> datetime:
        """It counts from now on."""
        now = self._clock()
        with self._lock:
            for window in turn.windows:
                window.move(turn.at, now, patient=turn.patient)
        return now

    def _alone(self, windows: tuple[RequestWindow, ...]) -> bool:
        return self._shares is None and all(len(window.queue) <= 1 for window in windows)

    def _taken(
        self, waiter: Waiter, windows: tuple[RequestWindow, ...], now: datetime, until: datetime
    ) -> tuple[datetime | None, timedelta]:
        """The moment of its turn, when that was given; and else how long to sleep before asking again."""
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

    def _windows(self, endpoint: str) -> tuple[RequestWindow, RequestWindow]:
        with self._lock:
            if endpoint not in self._endpoints and len(self._endpoints) >= _ENDPOINTS_KEPT:
                now = self._clock()
                self._endpoints = {name: each for name, each in self._endpoints.items() if not each.idle(now)}
            return self._total, self._endpoints.setdefault(endpoint, RequestWindow(self._rate.endpoint))

    def _renew(self, endpoint: str, windows: tuple[RequestWindow, RequestWindow]) -> None:
        """FleetShares are renewed by whoever sends: who sends nothing needs none."""
        if self._shares is None:
            return
        total, here = windows
        wanting = total.wanting or here.wanting
        if self._shares.due(endpoint, self._clock(), wanting=wanting):
            self._shares.renew(lambda: self._wishes(endpoint))
        now = self._clock()
        with self._lock:
            total.share = self._shares.of(TOTAL, self._rate.total, now)
            here.share = self._shares.of(endpoint, self._rate.endpoint, now)

    def _wishes(self, endpoint: str) -> Mapping[str, Wish]:
        one = Wish(patient=1) if in_background() else Wish(urgent=1)
        with self._lock:
            named = {TOTAL: self._total, **self._endpoints}
            wishes = {name: wish for name, window in named.items() if (wish := window.wish())}
        return {TOTAL: one, endpoint: one} | wishes

    def refused(self, endpoint: str, refusal: RateRefusal, *, asked_at: datetime) -> None:
        """The vendor answered 429: send less for a while, as far as the refusal says of what."""
        total, here = self._windows(endpoint)
        now = self._clock()
        with self._lock:
            window = total if refusal.everywhere else here
            match refusal.too_many:
                case ExceededLimit.A_SECOND:
                    window.slow(asked_at=asked_at, now=now)
                case ExceededLimit.AT_ONCE:
                    window.thin(asked_at=asked_at, now=now)
            if refusal.rest:
                self._resting_until = max(self._resting_until or now, now + refusal.rest)

    def close(self) -> None:
        """Leave the limits to others."""
        if self._shares:
            self._shares.leave()
