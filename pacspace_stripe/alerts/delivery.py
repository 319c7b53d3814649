"""Delivery of alerts: one sender per channel signs and posts the messages that are due, one after the other.

Owns how a message travels and what becomes of it; the rows with due times and leases are ``store.alerts``, and the loop
that finds them is ``worker``. Neither a key nor a cookie of the vendors goes along, redirects are not followed, and
the HTTP client does not retry: a failed message is due again by its row. A receiver may be on this machine or in a
private network, and its address is a secret.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import assert_never
from urllib.parse import parse_qsl, unquote, urlsplit

from standardwebhooks import Webhook

from pacspace_stripe.alerts.rules.alert import (
    Alert,
    Channel,
    Delivered,
    DeliveryOutcome,
    GivenUp,
    RetryAt,
    SwitchedOff,
    delivery_outcome,
    is_too_old,
)
from pacspace_stripe.alerts.rules.messages import AlertLinks, DriftCause, slack_body, webhook_body
from pacspace_stripe.errors import PacspaceStripeError, RemoteError
from pacspace_stripe.http.calls import Answer, Call
from pacspace_stripe.http.client import Transport
from pacspace_stripe.http.retries import Timeouts
from pacspace_stripe.store import LeasedDelivery, Store
from pacspace_stripe.vocabulary.canonical_json import digest
from pacspace_stripe.vocabulary.text import printable

_SLACK_INTERVAL = 1.0
"""Seconds between two messages: Slack accepts one a second per address, https://docs.slack.dev/apis/web-api/rate-limits."""
_LONGEST_REST = 60.0
"""Seconds that a channel rests after failures in a row, beside the retry schedule of each message."""
_LARGEST_ANSWER = 64 * 1024
_LONGEST_REPLY = 200
_SHORTEST_SECRET = 8
"""Characters: a shorter part of an address is an ordinary word, and hiding it would garble messages."""
_SUCCESS = range(200, 300)
_TOO_OLD = "older than four days"

_log = logging.getLogger("pacspace_stripe.alerts")


def alert_timeouts() -> Timeouts:
    """Return short timeouts: a receiver that takes longer gets the message again, and knows it by its id."""
    return Timeouts(connect=3.0, read=6.0, total=8.0, tries=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertReceiver:
    """The address of a channel, and the secrets that sign its messages; none for Slack, whose address is the secret."""

    channel: Channel
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def fingerprint(self) -> str:
        """Hash that identifies this address without revealing it."""
        return digest(self.url.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAttempt:
    """The result of one POST: its HTTP status, None for no answer, and the ``Retry-After`` of the receiver."""

    status: int | None
    problem: str | None = None
    retry_after: timedelta | None = None


@dataclass(slots=True, kw_only=True)
class AlertSender:
    """Sender of one channel's messages. Several processes may run one each: a lease belongs to one of them."""

    store: Store
    transport: Transport
    receiver: AlertReceiver
    links: AlertLinks
    now: Callable[[], datetime]
    chance: Callable[[], float]
    """Random number from 0 to 1, for the jitter."""
    cause: Callable[[Alert], DriftCause | None]
    """Return the stored explanation of the drift that an alert reports."""
    monotonic: Callable[[], float] = time.monotonic
    """Clock in seconds that is never set back, for the rests of the channel."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _failures: int = 0
    _rests_until: float = 0.0

    # -- started by the worker's loop -----------------------------------------------------------------------------

    def start_if_due(self) -> None:
        """Start a thread that delivers what is due. Raises StoreUnavailable.

        Do nothing while the thread of an earlier call runs, while the channel rests after failures, and when nothing is
        due.
        """
        running = self._thread is not None and self._thread.is_alive()
        if running or self._stop.is_set() or self.monotonic() < self._rests_until:
            return
        if not self.store.alerts.any_due(self.receiver.channel) or self.switched_off:
            # Rests grow only while messages wait: a message that fails on its own schedule delays no other one.
            self._failures = 0
            return
        name = f"pacspace-alerts-{self.receiver.channel}"
        self._thread = threading.Thread(target=self._deliver_due, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Begin no more deliveries. One under way ends, or its message is due again when its lease expires."""
        self._stop.set()

    def close(self, seconds: float = 0) -> None:
        """Wait at most so many seconds for the delivery under way, and close the connections."""
        if self._thread is not None:
            self._thread.join(timeout=seconds)
        if self._thread is None or not self._thread.is_alive():
            self.transport.close()

    def _deliver_due(self) -> None:
        """Deliver one message after the other until none is due or one fails; then the channel rests."""
        pause = _SLACK_INTERVAL if self.receiver.channel is Channel.SLACK else 0
        try:
            while (outcome := self.deliver()) is not None:
                if not isinstance(outcome, Delivered):
                    self._failures += 1
                    self._rests_until = self.monotonic() + min(_LONGEST_REST, 2 ** min(self._failures, 6))
                    return
                self._failures = 0
                if self._stop.wait(pause):
                    return
        except PacspaceStripeError as error:
            _log.warning("alerts to %s wait: %s", self.receiver.channel, error)
        except Exception:  # noqa: BLE001 - logged with its traceback; the message is due again
            if not self._stop.is_set():
                _log.exception("alerts to %s wait and are retried", self.receiver.channel)

    # -- one message ----------------------------------------------------------------------------------------------

    def deliver(self) -> DeliveryOutcome | None:
        """Deliver the message that is due first; None when none is. Raises StoreUnavailable."""
        alerts, channel = self.store.alerts, self.receiver.channel
        while not self.switched_off and alerts.any_due(channel) and (leased := alerts.lease_due(channel)):
            if is_too_old(leased.alert, self.now()):
                alerts.settle(leased, GivenUp(), _TOO_OLD)
                continue
            attempt = self.post(leased.alert)
            outcome = self._outcome(attempt, leased.attempts)
            alerts.settle(leased, outcome, attempt.problem)
            self._log_outcome(leased, outcome, attempt)
            if isinstance(outcome, SwitchedOff):
                self.store.journal.remember_fact(self._off_fact, self.receiver.fingerprint)
            return outcome
        return None

    def test(self, alert: Alert) -> DeliveryAttempt:
        """Send a message that is not stored. If it arrives, an address that had answered 410 is in use again."""
        attempt = self.post(alert)
        if isinstance(self._outcome(attempt, 1), Delivered) and self.switched_off:
            self.store.journal.forget_fact(self._off_fact)
        return attempt

    @property
    def switched_off(self) -> bool:
        """True once this address answered 410 Gone; a new address is in use at once."""
        return self.store.journal.fact(self._off_fact) == self.receiver.fingerprint

    @property
    def _off_fact(self) -> str:
        return f"alerts_off:{self.receiver.channel}"

    def _outcome(self, attempt: DeliveryAttempt, attempts: int) -> DeliveryOutcome:
        return delivery_outcome(attempt.status, attempts, self.now(), self.chance(), retry_after=attempt.retry_after)

    def post(self, alert: Alert) -> DeliveryAttempt:
        """Post a message once and return the result, which is written nowhere."""
        cause, receiver = self.cause(alert), self.receiver
        headers = {"content-type": "application/json", "user-agent": "pacspace-stripe"}
        if receiver.channel is Channel.SLACK:
            body = slack_body(alert, self.links, cause)
        else:
            body = webhook_body(alert, self.links, cause)
            headers |= _signature_headers(alert.alert_id, self.now(), body, receiver.secrets)
        call = Call(
            service=f"alerts to {receiver.channel}",
            method="POST",
            url=receiver.url,
            endpoint="POST",
            headers=headers,
            content=body,
            repeatable=False,
            secrets=tuple(_secret_parts(receiver.url)),
            largest_body=_LARGEST_ANSWER,
        )
        try:
            answer = self.transport.send(call)
        except RemoteError as error:
            # A success whose body is too large to read has arrived all the same.
            problem = None if error.status in _SUCCESS else str(error)
            return DeliveryAttempt(status=error.status, problem=problem, retry_after=error.retry_after)
        problem = None if answer.status in _SUCCESS else f"HTTP {answer.status}{_reply(answer)}"
        return DeliveryAttempt(status=answer.status, problem=problem)

    @staticmethod
    def _log_outcome(leased: LeasedDelivery, outcome: DeliveryOutcome, attempt: DeliveryAttempt) -> None:
        which = (leased.alert.alert_id, leased.channel, leased.attempts)
        match outcome:
            case Delivered():
                _log.info("message=%s channel=%s attempt=%d delivered", *which)
            case RetryAt(at=at):
                at_second = f"{at:%Y-%m-%dT%H:%M:%SZ}"
                _log.warning(
                    "message=%s channel=%s attempt=%d failed, next attempt at %s: %s",
                    *which,
                    at_second,
                    attempt.problem,
                )
            case GivenUp():
                _log.error("message=%s channel=%s attempt=%d failed for good: %s", *which, attempt.problem)
            case SwitchedOff():
                _log.error(
                    "message=%s channel=%s attempt=%d: 410 Gone, this address gets no more alerts; set another one, or"
                    " run `pacspace-stripe alerts --test` once it accepts messages again",
                    *which,
                )
            case _:
                assert_never(outcome)


def _signature_headers(message_id: str, at: datetime, body: bytes, secrets: tuple[str, ...]) -> dict[str, str]:
    """Return the headers of Standard Webhooks, with one signature per secret so that a secret can be rolled."""
    signatures = (Webhook(secret).sign(message_id, at, body.decode()) for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _reply(answer: Answer) -> str:
    """Return a receiver's reason for a refusal as ``, REASON``, from JSON or a word such as Slack's ``no_service``."""
    if answer.error.suffix:
        return answer.error.suffix
    text = answer.hide(answer.body.decode(errors="replace"))
    short = printable(" ".join(text.split()))
    return f", {short}" if short and len(short) <= _LONGEST_REPLY and "<" not in short else ""


def _secret_parts(url: str) -> Iterator[str]:
    """Yield the address and every part that reveals it, both as written and decoded, as a receiver may repeat it."""
    parts = urlsplit(url)
    yield url
    login = f"{parts.username}:{parts.password}" if parts.password else ""
    values = (value for _, value in parse_qsl(parts.query))
    for part in (*parts.path.split("/"), parts.query, *values, parts.username, parts.password, login, parts.path):
        if part and len(part) >= _SHORTEST_SECRET:
            yield from (part, unquote(part))
