"""Which alerts are told, which are left out because an invoice goes back and forth, when a delivery is tried again.

An alert's ``kind`` is a word and, mostly, what is behind it: ``drifted:OVERBILLED``, ``hold_undone``.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.vocabulary.money import Money

QUIET_FOR = timedelta(hours=1)
"""How long after an alert the same kind with the same figures is nothing new."""
DAY = timedelta(days=1)
REMEMBERED_FOR = timedelta(days=7)
"""How far back what was told, and left out, matters to what is told next."""
MOST_A_DAY = 5
"""Alerts of one kind about one invoice in 24 hours, whatever its figures do."""
SCHEDULE = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""Waits after each failed delivery, as Standard Webhooks has them: ten attempts over three days."""
JITTER = 0.2
"""The share of a wait that chance adds, so that what failed together does not come back together."""
LONGEST_WISH = DAY
"""What a receiver may ask for in ``Retry-After``; beyond it, we come back anyway."""
DELIVERED_WITHIN = timedelta(days=4)
"""An alert that is older is not sent any more: it would be taken for news."""
_GONE = 410
_SUCCESS = range(200, 300)


class Type(StrEnum):
    """What a message is about: the ``type`` of its body."""

    DRIFTED = "invoice.drifted"
    BLOCKED = "invoice.blocked"
    """The early warning found drift: the coming draft will be held."""
    UNPROVEN = "invoice.unproven"
    WENT_OUT_UNPROVEN = "invoice.went_out_unproven"
    """Fail open: the backstop passed without a proof."""
    RECOVERED = "invoice.recovered"
    """Alerted before, and now matched or waived."""
    ATTENTION = "invoice.attention"
    """Something else that a person should look at; ``kind`` says what."""
    TEST = "alert.test"


_TYPES = {
    "drifted": Type.DRIFTED,
    "upcoming_blocked": Type.BLOCKED,
    "unproven": Type.UNPROVEN,
    "went_out_unproven": Type.WENT_OUT_UNPROVEN,
    "recovered": Type.RECOVERED,
    "upcoming_recovered": Type.RECOVERED,
    "test": Type.TEST,
}
_BAD_NEWS = frozenset({"drifted", "upcoming_blocked", "unproven", "went_out_unproven"})
_OVER_WHEN_GOOD = _BAD_NEWS | {"held_but_gone", "held_unread", "stripe_refused", "unanswered", "waiver_ended"}
"""What may be told anew, once both sides have agreed in between. Everything else is told once per invoice."""


class Channel(StrEnum):
    """Where alerts are delivered. The log and the audit trail get them at once."""

    WEBHOOK = "webhook"
    SLACK = "slack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One thing that people are told about one invoice, or about a coming one."""

    alert_id: str
    """The receiver's idempotency key: the same at every delivery."""
    job_id: str
    kind: str
    at: datetime
    customer_id: str | None = None
    subscription_id: str | None = None
    verdict: Verdict | None = None
    reason: Reason | None = None
    detail: str = ""
    amount: Money | None = None
    """What Stripe asked for at the last look (``amount_due``)."""
    windows: tuple[Mapping[str, str | int | None], ...] = field(default_factory=tuple)
    """Both figures of each window, in the shape that commands print."""
    left_out: int = 0
    """How many of its kind were left out since the last one that was told."""

    @property
    def type(self) -> Type:
        return _TYPES.get(head(self.kind), Type.ATTENTION)

    @property
    def invoice_id(self) -> str | None:
        """None before there is an invoice."""
        return self.job_id if self.job_id.startswith("in_") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """An alert of the last week about the same invoice. ``told``: or left out."""

    kind: str
    figures: str
    at: datetime
    told: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """Tell it, and how many like it were not told since the last one."""

    left_out: int


@dataclass(frozen=True, slots=True)
class LeaveOut:
    """Not now: it is told if it stays so."""


def head(kind: str) -> str:
    """The word before what is behind it."""
    return kind.partition(":")[0]


def fingerprint(windows: Iterable[Mapping[str, str | int | None]]) -> str:
    """The same for the same figures: SHA-256 over what each window bills and records."""
    names = ("account", "meter", "start", "end", "billed", "recorded")
    figures = [[window.get(name) for name in names] for window in windows]
    return hashlib.sha256(json.dumps(figures).encode()).hexdigest()


def weigh(kind: str, figures: str, now: datetime, past: Iterable[Past]) -> Tell | LeaveOut:
    """Whether to tell it, in the light of the last week. A recovery is always told: it ends what was."""
    alike = [one for one in past if head(one.kind) == head(kind)]
    told = [one for one in alike if one.told]
    repeated = any((one.kind, one.figures) == (kind, figures) and one.at > now - QUIET_FOR for one in told)
    enough = sum(one.at > now - DAY for one in told) >= MOST_A_DAY
    if _TYPES.get(head(kind)) is not Type.RECOVERED and (repeated or enough):
        return LeaveOut()
    since = max((one.at for one in told), default=now - REMEMBERED_FOR)
    return Tell(left_out=sum(not one.told and one.at >= since for one in alike))


def recovers(told: Iterable[str]) -> bool:
    """Whether what was told calls for the message that it is over."""
    return any(head(kind) in _BAD_NEWS for kind in told)


def once_good(told: Iterable[str]) -> tuple[str, ...]:
    """What stays told when both sides agree again: these kinds are not repeated for this invoice."""
    return tuple(kind for kind in told if head(kind) not in _OVER_WHEN_GOOD)


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Try again then."""

    at: datetime


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The last attempt failed, or it is too old to be news."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchedOff:
    """410: nobody wants messages at this address. What waits is sent once another address is set, until it is old."""

    at: datetime
    """When it is due, should the address be in use again."""


Outcome = Delivered | Again | GivenUp | SwitchedOff


def after_attempt(
    status: int | None, attempts: int, now: datetime, chance: float, *, asked: timedelta | None = None
) -> Outcome:
    """What an attempt means. ``status`` None: no answer; ``attempts`` counts it; ``chance`` is from 0 to 1.

    A redirect is a failure: the address is to be set right.
    """
    if status in _SUCCESS:
        return Delivered()
    wait = SCHEDULE[min(attempts, len(SCHEDULE)) - 1] * (1 + JITTER * chance)
    at = now + max(wait, min(asked or timedelta(0), LONGEST_WISH))
    if status == _GONE:
        return SwitchedOff(at=at)
    return GivenUp() if attempts > len(SCHEDULE) else Again(at=at)


def too_old(alert: Alert, now: datetime) -> bool:
    """Whether it is no news any more."""
    return now > alert.at + DELIVERED_WITHIN
