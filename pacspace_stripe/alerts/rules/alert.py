"""Alerts: their types, the throttling of flapping invoices, and the retries of a failed delivery.

The ``kind`` of an alert is a word, mostly followed by details: ``drifted:OVERBILLED``, ``hold_undone``.
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
"""Time after an alert in which another one of the same kind with the same figures is throttled."""
DAY = timedelta(days=1)
MOST_A_DAY = 5
"""Alerts of one kind about one invoice in 24 hours, however often its figures change."""
HISTORY = timedelta(days=7)
"""Age up to which earlier alerts, sent and throttled, count for the next decision."""
RETRY_SCHEDULE = (
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
"""Waits after each failed attempt, as Standard Webhooks recommends them: ten attempts over three days."""
JITTER = 0.2
"""Largest share of a wait that is added at random, so that messages which failed together are not retried together."""
LONGEST_RETRY_AFTER = DAY
"""Longest wait that a receiver can ask for in ``Retry-After``."""
DELIVERED_WITHIN = timedelta(days=4)
"""Age beyond which a message is given up: a reader would take it for news."""
_GONE = 410
_SUCCESS = range(200, 300)


class AlertType(StrEnum):
    """Subject of a message: the ``type`` in its body."""

    DRIFTED = "invoice.drifted"
    BLOCKED = "invoice.blocked"
    """The early warning found drift: the coming draft will be held."""
    UNPROVEN = "invoice.unproven"
    WENT_OUT_UNPROVEN = "invoice.went_out_unproven"
    """Fail open: the backstop passed without a proof."""
    RECOVERED = "invoice.recovered"
    """An earlier alert is over: the invoice is now matched or waived."""
    ATTENTION = "invoice.attention"
    """Something else that needs a person; ``kind`` names it."""
    TEST = "alert.test"


_TYPES = {
    "drifted": AlertType.DRIFTED,
    "upcoming_blocked": AlertType.BLOCKED,
    "unproven": AlertType.UNPROVEN,
    "went_out_unproven": AlertType.WENT_OUT_UNPROVEN,
    "recovered": AlertType.RECOVERED,
    "upcoming_recovered": AlertType.RECOVERED,
    "test": AlertType.TEST,
}
_PROBLEMS = frozenset({"drifted", "upcoming_blocked", "unproven", "went_out_unproven"})
_OVER_WHEN_RECOVERED = _PROBLEMS | {"held_but_gone", "held_unread", "stripe_refused", "unanswered", "waiver_ended"}
"""Kinds that are sent again after both sides agreed in between. Every other kind is sent once per invoice."""


class Channel(StrEnum):
    """Destination of alerts, beside the log and the audit log, which get every alert at once."""

    WEBHOOK = "webhook"
    SLACK = "slack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One message about one invoice, or about a coming one."""

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
    """Amount due in Stripe at the last check (``amount_due``)."""
    windows: tuple[Mapping[str, str | int | None], ...] = field(default_factory=tuple)
    """Both figures of each window, in the shape that commands print."""
    left_out: int = 0
    """Alerts of this kind that were throttled since the last one that was sent."""

    @property
    def type(self) -> AlertType:
        return _TYPES.get(kind_word(self.kind), AlertType.ATTENTION)

    @property
    def invoice_id(self) -> str | None:
        """Id of the invoice; None for an early warning, before there is one."""
        return self.job_id if self.job_id.startswith("in_") else None


def kind_word(kind: str) -> str:
    """Return the word before the details of a kind."""
    return kind.partition(":")[0]


def fingerprint(windows: Iterable[Mapping[str, str | int | None]]) -> str:
    """Return a SHA-256 over the billed and recorded usage of each window: equal for equal figures."""
    names = ("account", "meter", "start", "end", "billed", "recorded")
    figures = [[window.get(name) for name in names] for window in windows]
    return hashlib.sha256(json.dumps(figures).encode()).hexdigest()


# -- throttling -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierAlert:
    """An alert of the last week about the same invoice, sent or throttled."""

    kind: str
    figures: str
    at: datetime
    sent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """The decision to send an alert, with the number of throttled ones since the last that was sent."""

    left_out: int


@dataclass(frozen=True, slots=True)
class Throttle:
    """The decision not to send an alert now. A later check sends it if the invoice stays in this state."""


def throttled(kind: str, figures: str, now: datetime, earlier: Iterable[EarlierAlert]) -> Send | Throttle:
    """Return whether an alert is sent, given those of the last week: flapping invoices are throttled.

    A recovery is always sent, because it ends an earlier alert.
    """
    alike = [one for one in earlier if kind_word(one.kind) == kind_word(kind)]
    sent = [one for one in alike if one.sent]
    repeated = any((one.kind, one.figures) == (kind, figures) and one.at > now - QUIET_FOR for one in sent)
    enough = sum(one.at > now - DAY for one in sent) >= MOST_A_DAY
    if _TYPES.get(kind_word(kind)) is not AlertType.RECOVERED and (repeated or enough):
        return Throttle()
    since = max((one.at for one in sent), default=now - HISTORY)
    return Send(left_out=sum(not one.sent and one.at >= since for one in alike))


def calls_for_recovery(alerted: Iterable[str]) -> bool:
    """Return whether any of the kinds that were alerted calls for a message once it is over."""
    return any(kind_word(kind) in _PROBLEMS for kind in alerted)


def alerted_after_recovery(alerted: Iterable[str]) -> tuple[str, ...]:
    """Return the alerted kinds that stay alerted when both sides agree again: this invoice does not repeat them."""
    return tuple(kind for kind in alerted if kind_word(kind) not in _OVER_WHEN_RECOVERED)


# -- deliveries -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Delivered:
    """A delivery that the receiver accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryAt:
    """A failed delivery that is attempted again at a time."""

    at: datetime


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A delivery whose last attempt failed, or whose message is too old to be news."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchedOff:
    """A delivery to an address that answered 410 Gone.

    The messages for it wait until another address is set, or a test message arrives, and are given up when too old.
    """

    at: datetime
    """Due time, should the address be in use again by then."""


DeliveryOutcome = Delivered | RetryAt | GivenUp | SwitchedOff


def delivery_outcome(
    status: int | None, attempts: int, now: datetime, chance: float, *, retry_after: timedelta | None = None
) -> DeliveryOutcome:
    """Return the outcome of an attempt that got this HTTP status, or None for no answer.

    ``attempts`` includes this one; ``chance``, from 0 to 1, sets the jitter. A redirect is a failure: the operator has
    to correct the address.
    """
    if status in _SUCCESS:
        return Delivered()
    wait = RETRY_SCHEDULE[min(attempts, len(RETRY_SCHEDULE)) - 1] * (1 + JITTER * chance)
    at = now + max(wait, min(retry_after or timedelta(0), LONGEST_RETRY_AFTER))
    if status == _GONE:
        return SwitchedOff(at=at)
    return GivenUp() if attempts > len(RETRY_SCHEDULE) else RetryAt(at=at)


def is_too_old(alert: Alert, now: datetime) -> bool:
    """Return whether an alert is too old to be delivered."""
    return now > alert.at + DELIVERED_WITHIN
