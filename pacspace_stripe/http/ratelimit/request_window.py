"""One limit: so many requests in any second, those who wait for one, and less for a while after a refusal."""

from bisect import bisect_right, insort
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter

from pacspace_stripe.http.ratelimit.priority import Waiter
from pacspace_stripe.http.ratelimit.rules.fleet_shares import Wish
from pacspace_stripe.http.ratelimit.rules.rate import NO_KNOWN_RATE, SPAN, Pace, reserved, slowed


@dataclass(slots=True)
class RequestWindow:
    """The requests of the last second to one endpoint, or in all. Its owner's lock guards it."""

    limit: int
    share: int | None = None
    """This process's part of the limit in a fleet; None: all of it."""
    sent: list[tuple[datetime, bool]] = field(default_factory=list)
    """When, or when it will be, and whether for background work; in the order of time."""
    queue: set[Waiter] = field(default_factory=set)
    """Who waits for this window."""
    running: int = 0
    """Requests without an answer yet."""
    pace: Pace | None = None
    crowd: Pace | None = None
    """The same for how many run at once; no limit until the vendor refused one."""
    urgent: int = 0
    patient: int = 0
    """What was needed of late, by what cannot wait and by background work: the most in a second, all if one waited."""
    wanting: bool = False
    """Whether something waited since the fleet was last asked for more."""

    def allowed(self, now: datetime) -> int:
        """How many may be sent in any second."""
        most = self.limit if self.share is None else min(self.limit, self.share)
        return min(most, self.pace.allowed(self.limit, now)) if self.pace else most

    def slot(self, waiter: Waiter, now: datetime) -> datetime | None:
        """When its request may be sent, as far as is known: ``now`` or later. None: nobody knows."""
        self._forget(now)
        if self.crowd and self.running >= self.crowd.allowed(NO_KNOWN_RATE.total, now):
            return None
        return self._room(self._ahead_of(waiter, now), now)

    def _room(self, ahead: int, now: datetime) -> datetime | None:
        over = len(self.sent) + ahead - self.allowed(now)
        if over >= len(self.sent):
            return None
        return max(now, self.sent[over][0] + SPAN) if over >= 0 else now

    def _forget(self, now: datetime) -> None:
        del self.sent[: bisect_right(self.sent, now - SPAN, key=itemgetter(0))]

    def _ahead_of(self, waiter: Waiter, now: datetime) -> int:
        """How many of those who wait come first: in the order they came, background work behind all others.

        Unless it did not have its reserve in this second: so much of it comes before all others.
        """
        reserve = max(0, reserved(self.allowed(now)) - self._sent(patient=True))
        patient = [other.patient for other in self.queue].count(True)
        earlier = sum(other.patient is waiter.patient and other.ticket < waiter.ticket for other in self.queue)
        if not waiter.patient:
            return earlier + min(reserve, patient)
        return earlier if earlier < reserve else earlier + len(self.queue) - patient

    def _sent(self, *, patient: bool) -> int:
        return [kind for _, kind in self.sent].count(patient)

    def join(self, waiter: Waiter) -> None:
        """It has to wait, and would not if there were more room."""
        self.queue.add(waiter)
        self.wanting = True
        self._need(self.limit, patient=waiter.patient)

    def _need(self, count: int, *, patient: bool) -> None:
        if patient:
            self.patient = max(self.patient, count)
        else:
            self.urgent = max(self.urgent, count)

    def leave(self, waiter: Waiter) -> None:
        self.queue.discard(waiter)

    def begin(self, waiter: Waiter, at: datetime) -> None:
        """Its request is sent then."""
        self.queue.discard(waiter)
        insort(self.sent, (at, waiter.patient))
        self.running += 1
        self._need(self._sent(patient=waiter.patient), patient=waiter.patient)

    def room_again(self, now: datetime) -> datetime:
        """For a request that missed its moment by more than a second, and is ready now: others have used its room."""
        self._forget(now)
        return self._room(0, now) or now

    def move(self, planned: datetime, now: datetime, *, patient: bool) -> None:
        """A request that was counted from another moment is sent only now: the vendor's second begins here."""
        if (planned, patient) in self.sent:
            self.sent.remove((planned, patient))
        insort(self.sent, (now, patient))

    def end(self) -> None:
        """A request has its answer, or never will."""
        self.running -= 1

    def wish(self) -> Wish:
        """What this process needs. What it needed before counts less each time it is asked, twice a second."""
        wish = Wish(urgent=self.urgent, patient=self.patient)
        self.urgent, self.patient, self.wanting = self.urgent * 3 // 4, self.patient * 3 // 4, False
        return wish

    def slow(self, *, asked_at: datetime, now: datetime) -> None:
        """The vendor refused a request for its rate: send less. Of a limit nobody knows: less than was sent."""
        allowed = self.allowed(now)
        if self.limit >= NO_KNOWN_RATE.endpoint:
            allowed = min(allowed, len(self.sent))
        self.pace = _lower(self.pace, allowed, asked_at, now)

    def thin(self, *, asked_at: datetime, now: datetime) -> None:
        """It refused one because too many ran at once: let fewer."""
        self.crowd = _lower(self.crowd, self.running, asked_at, now)

    def idle(self, now: datetime) -> bool:
        """Whether forgetting it changes nothing."""
        recent = bool(self.sent) and self.sent[-1][0] + SPAN > now
        lowered = _lowered(self.pace, self.limit, now)
        crowded = _lowered(self.crowd, NO_KNOWN_RATE.total, now)
        return not (recent or self.queue or self.running or lowered or crowded)


def _lowered(pace: Pace | None, limit: int, now: datetime) -> bool:
    return pace is not None and pace.allowed(limit, now) < limit


def _lower(pace: Pace | None, allowed: int, asked_at: datetime, now: datetime) -> Pace:
    return pace.after(allowed, asked_at=asked_at, now=now) if pace else slowed(allowed, now)
