"""Requests at a webhook address that change nothing: refused signatures, other accounts, the other mode.

Each is answered and forgotten, so a wrong secret or a wrong endpoint looks like silence. What is said of them is logged
once and kept in the database, where ``report`` finds it from another process.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from pacspace_stripe.errors import SignatureError, StoreUnavailable, Unsigned
from pacspace_stripe.store import Store
from pacspace_stripe.vocabulary.windows import iso

STRIPE, PACSPACE = "stripe", "pacspace"
MANY = 5
"""Refused requests in a row that make a wrong setting likely: anybody on the internet may send one."""
_WRITTEN_APART = timedelta(seconds=10)
"""Between two writes of the count, so that refused requests cannot keep the database busy."""
_NAMED = 10
"""Other accounts that are named; a platform may have thousands."""
_SECRETS = {STRIPE: "STRIPE_WEBHOOK_SECRET", PACSPACE: "PACSPACE_WEBHOOK_SECRET"}
_OWNERS = {STRIPE: "Stripe", PACSPACE: "PacSpace"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Requests refused since the last accepted one, by cause. ``last_at``: the newest one that was counted."""

    sender: str
    counts: Mapping[Unsigned, int]
    last_at: datetime

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    @property
    def cause(self) -> Unsigned:
        """Return the most frequent cause; anybody's requests without a signature hide none that signed ones show."""
        signed = [cause for cause in (Unsigned.SIGNER, Unsigned.CLOCK) if self.counts.get(cause, 0) >= MANY]
        return max(signed or self.counts, key=lambda cause: self.counts[cause])

    @property
    def advice(self) -> str:
        """Say which setting is likely wrong, and what to do."""
        owner, secret = _OWNERS[self.sender], _SECRETS[self.sender]
        match self.cause:
            case Unsigned.SIGNER:
                return (
                    f"no secret in {secret} made their signatures. Set {secret} to the signing secret that {owner} "
                    "shows for this webhook endpoint."
                )
            case Unsigned.CLOCK:
                return (
                    "their signing time is too far from this machine's clock. Set the clock, or raise "
                    "PACSPACE_STRIPE_EVENT_TOLERANCE."
                )
            case Unsigned.HEADER:
                return (
                    f"their signature header is missing or malformed. If {owner} sent them, a proxy in front of this "
                    "address removes or changes headers."
                )


@dataclass(slots=True, kw_only=True)
class Reception:
    """Counts and tells, for one address. Thread-safe; never raises for a database that does not answer."""

    store: Store
    sender: str
    now: Callable[[], datetime]
    _in_a_row: Counter[Unsigned] = field(default_factory=Counter)
    _unwritten: Counter[Unsigned] = field(default_factory=Counter)
    _written_at: datetime | None = None
    _clean: bool = False
    """True once the database is known to hold no refused requests."""
    _said: set[str] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def refused(self, error: SignatureError) -> None:
        """Count a refused request; when many come and none is accepted, name the likely setting once per cause."""
        with self._lock:
            self._in_a_row[error.cause] += 1
            self._unwritten[error.cause] += 1
            due = self._written_at is None or self.now() >= self._written_at + _WRITTEN_APART
            if self._in_a_row[error.cause] > MANY and not due:
                return
            self._clean, self._written_at = False, self.now()
            refused = self._write()
            if refused is not None and self._in_a_row[error.cause] == MANY:
                self._say(refused)

    def accepted(self) -> None:
        """Forget refused requests: one was accepted since."""
        if self._clean:
            return
        with self._lock:
            self._in_a_row.clear()
            self._unwritten.clear()
            try:
                if read_refused(self.store, self.sender) is not None:
                    self.store.journal.forget_fact(_refused(self.sender))
                self._clean = True
            except StoreUnavailable:
                _log.debug("refused requests could not be forgotten")

    def ignored(self, whose: str, why: str) -> None:
        """Say once that events of another account or mode are answered and ignored."""
        with self._lock:
            if whose in self._said or len(self._said) > _NAMED:
                return
            self._said.add(whose)
            _log.warning("%s events of %s are answered and ignored: %s", _OWNERS[self.sender], whose, why)
            try:
                self.store.journal.change_fact(_ignored(self.sender), lambda before: _with(before, whose))
            except StoreUnavailable:
                self._said.discard(whose)

    def _write(self) -> Refused | None:
        def added(before: str | None) -> str:
            known = _read(self.sender, before)
            counts = Counter(known.counts if known else {}) + self._unwritten
            return json.dumps({"counts": counts, "last_at": iso(self.now())})

        try:
            after = self.store.journal.change_fact(_refused(self.sender), added)
        except StoreUnavailable:
            return Refused(sender=self.sender, counts=dict(self._unwritten), last_at=self.now())
        self._unwritten.clear()
        return _read(self.sender, after)

    def _say(self, refused: Refused) -> None:
        _log.warning(
            "%d webhooks in a row were refused and none was accepted: %s", max(MANY, refused.count), refused.advice
        )


def read_refused(store: Store, sender: str) -> Refused | None:
    """Requests refused since the last accepted one; None when there are none."""
    return _read(sender, store.journal.fact(_refused(sender)))


def read_ignored(store: Store, sender: str) -> tuple[str, ...]:
    """Return the accounts whose events are answered and ignored, as ``Reception.ignored`` noted them."""
    said = store.journal.fact(_ignored(sender))
    return tuple(json.loads(said)) if said else ()


def _refused(sender: str) -> str:
    return f"webhooks:{sender}:refused"


def _ignored(sender: str) -> str:
    return f"webhooks:{sender}:ignored"


def _with(before: str | None, whose: str) -> str:
    known = json.loads(before) if before else []
    return before or "[]" if whose in known or len(known) >= _NAMED else json.dumps([*known, whose])


def _read(sender: str, said: str | None) -> Refused | None:
    if not said:
        return None
    data = json.loads(said)
    counts = {Unsigned(cause): count for cause, count in data["counts"].items()}
    return Refused(sender=sender, counts=counts, last_at=datetime.fromisoformat(data["last_at"])) if counts else None
