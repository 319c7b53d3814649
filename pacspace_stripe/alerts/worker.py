"""What is due on one channel: claimed, sent, settled, again and again while ``serve`` runs."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from pacspace_stripe.alerts.rules import throttle as alerting
from pacspace_stripe.alerts.rules.throttle import Again, Alert, Channel, Delivered, GivenUp, Outcome, SwitchedOff
from pacspace_stripe.alerts.sender import Attempt, Receiver, Sender
from pacspace_stripe.errors import PacspaceStripeError
from pacspace_stripe.store import Claimed, Store

_LOOK_EVERY = 1.0
_SLACKS_PACE = 1.0
"""Slack takes a message a second at an address, and refuses more."""
_LONGEST_REST = 60.0
"""Seconds that a channel rests after failures in a row: each message has its own schedule beside that."""
_TOO_OLD = "older than four days"

_log = logging.getLogger("pacspace_stripe.alerts")


class Round(Enum):
    """What one look at the outbox came to."""

    NOTHING_DUE = "nothing due"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(slots=True, kw_only=True)
class AlertWorker:
    """One channel's messages, one after the other. Several processes may run one each: a claim is one's alone."""

    store: Store
    sender: Sender
    receiver: Receiver
    now: Callable[[], datetime]
    chance: Callable[[], float]
    """From 0 to 1, for the jitter."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Deliver from now on, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name=f"pacspace-alerts-{self.receiver.channel}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Begin no more. What is being sent comes to its end, or is sent again by whoever comes next."""
        self._stop.set()

    def close(self, seconds: float = 0) -> None:
        """Wait for that end, so long at most, and close the connections."""
        if self._thread is not None:
            self._thread.join(timeout=seconds)
        if self._thread is None or not self._thread.is_alive():
            self.sender.transport.close()

    def _run(self) -> None:
        failures = 0
        rest, next_one = _LOOK_EVERY, _SLACKS_PACE if self.receiver.channel is Channel.SLACK else 0
        while not self._stop.wait(rest):
            came = self._guarded()
            failures = failures + 1 if came is Round.FAILED else 0
            rest = next_one if came is Round.DELIVERED else min(_LONGEST_REST, _LOOK_EVERY * 2 ** min(failures, 6))

    def _guarded(self) -> Round:
        try:
            return self.deliver()
        except PacspaceStripeError as error:
            _log.warning("alerts to %s wait: %s", self.receiver.channel, error)
        except Exception:  # noqa: BLE001 - logged with its traceback; the message is due again
            if not self._stop.is_set():
                _log.exception("alerts to %s wait; trying again", self.receiver.channel)
        return Round.NOTHING_DUE

    def deliver(self) -> Round:
        """The message that is due first. Raises StoreUnavailable."""
        outbox, channel = self.store.outbox, self.receiver.channel
        if self.switched_off or not outbox.any_due(channel):
            return Round.NOTHING_DUE
        claimed = outbox.claim(channel)
        if claimed is None:
            return Round.NOTHING_DUE
        if alerting.too_old(claimed.alert, self.now()):
            outbox.settle(claimed, GivenUp(), _TOO_OLD)
            return Round.DELIVERED
        attempt = self.sender.send(claimed.alert, self.receiver)
        outcome = self._meant(attempt, claimed.attempts)
        outbox.settle(claimed, outcome, attempt.problem)
        self._say(claimed, outcome, attempt)
        if isinstance(outcome, SwitchedOff):
            self.store.journal.remember_fact(self._fact, self.receiver.fingerprint)
        return Round.DELIVERED if isinstance(outcome, Delivered) else Round.FAILED

    def test(self, alert: Alert) -> Attempt:
        """Send one beside the outbox. When it arrives, the address is in use again if it was not."""
        attempt = self.sender.send(alert, self.receiver)
        if isinstance(self._meant(attempt, 1), Delivered) and self.switched_off:
            self.store.journal.forget_fact(self._fact)
        return attempt

    @property
    def switched_off(self) -> bool:
        """Whether this very address answered 410: another one is another matter."""
        return self.store.journal.fact(self._fact) == self.receiver.fingerprint

    @property
    def _fact(self) -> str:
        return f"alerts_off:{self.receiver.channel}"

    def _meant(self, attempt: Attempt, attempts: int) -> Outcome:
        return alerting.after_attempt(attempt.status, attempts, self.now(), self.chance(), asked=attempt.asked)

    def _say(self, claimed: Claimed, outcome: Outcome, attempt: Attempt) -> None:
        what = (claimed.alert.alert_id, claimed.channel, claimed.attempts)
        match outcome:
            case Delivered():
                _log.info("message=%s channel=%s attempt=%d delivered", *what)
            case Again(at=at):
                wait = at - self.now()
                later = timedelta(seconds=round(wait.total_seconds()))
                _log.warning("message=%s channel=%s attempt=%d failed, again in %s: %s", *what, later, attempt.problem)
            case GivenUp():
                _log.error("message=%s channel=%s attempt=%d failed for good: %s", *what, attempt.problem)
            case SwitchedOff():
                _log.error("message=%s channel=%s attempt=%d: 410 Gone, this address gets no more alerts", *what)
