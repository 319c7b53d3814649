"""Rate limits: so many requests in any second, per endpoint and in all, shared by all threads."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pacspace_stripe.domain.rates import Rate
from pacspace_stripe.errors import RateLimited

_SPAN = timedelta(seconds=1.02)
"""A second, and what a request's way to the vendor may vary: without it a 26th could arrive in their second."""
_RECOVERY = timedelta(seconds=1)
_ENDPOINTS_KEPT = 256


@dataclass(slots=True)
class _Window:
    """The requests sent in the last second, and how many may be."""

    limit: int
    sent: deque[datetime] = field(default_factory=deque)
    lowered_to: int | None = None
    lowered_at: datetime | None = None

    def allowed(self, now: datetime) -> int:
        """The limit, or less for a while after a 429: one more per second until it is back."""
        if self.lowered_to is None or self.lowered_at is None:
            return self.limit
        return min(self.limit, self.lowered_to + (now - self.lowered_at) // _RECOVERY)

    def wait(self, now: datetime) -> timedelta:
        """How long until one more may be sent; zero when it may be now."""
        while self.sent and self.sent[0] + _SPAN <= now:
            self.sent.popleft()
        over = len(self.sent) - self.allowed(now)
        return self.sent[over] + _SPAN - now if over >= 0 else timedelta(0)

    def idle(self, now: datetime) -> bool:
        """Whether forgetting it changes nothing."""
        return not self.wait(now) and not self.sent and self.allowed(now) == self.limit

    def lower(self, now: datetime) -> None:
        self.lowered_to, self.lowered_at = max(1, self.allowed(now) // 2), now


class RateLimiter:
    """Sliding windows for one vendor. Waits instead of sending too much; gives up at a deadline."""

    def __init__(
        self, service: str, rate: Rate, *, clock: Callable[[], datetime], sleep: Callable[[float], object]
    ) -> None:
        self._service = service
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._total = _Window(rate.total)
        self._endpoints: dict[str, _Window] = {}

    def wait(self, endpoint: str, *, until: datetime) -> None:
        """Return when one request to ``endpoint`` may be sent; it then counts as sent.

        Raises RateLimited when that would be after ``until``.
        """
        while True:
            now = self._clock()
            wait = self._take(endpoint, now)
            if not wait:
                return
            if now + wait > until:
                message = f"{endpoint} waits for its turn: {self._rate.endpoint}/s here, {self._rate.total}/s in all"
                raise RateLimited(self._service, message, retry_after=wait)
            self._sleep(wait.total_seconds())

    def _take(self, endpoint: str, now: datetime) -> timedelta:
        with self._lock:
            windows = (self._total, self._window(endpoint, now))
            wait = max(window.wait(now) for window in windows)
            if not wait:
                for window in windows:
                    window.sent.append(now)
            return wait

    def _window(self, endpoint: str, now: datetime) -> _Window:
        if endpoint not in self._endpoints and len(self._endpoints) >= _ENDPOINTS_KEPT:
            self._endpoints = {name: each for name, each in self._endpoints.items() if not each.idle(now)}
        return self._endpoints.setdefault(endpoint, _Window(self._rate.endpoint))

    def refused(self, endpoint: str, *, everywhere: bool) -> None:
        """The vendor answered 429: send half as much to this endpoint (or in all) for a while."""
        with self._lock:
            now = self._clock()
            window = self._total if everywhere else self._window(endpoint, now)
            window.lower(now)
