"""The receivers behind both vendors' addresses: verify the signature, read the ids, make the event durable.

Nothing is decided here: :mod:`pacspace_stripe.wakeups` knows what an event wakes. A request that changes nothing is
answered and forgotten, so a wrong secret or a wrong endpoint would look like silence. Refused signatures are therefore
counted, logged once per cause, and kept in the database, where ``report`` finds them from another process.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from pydantic import SecretStr

from pacspace_stripe.app import App
from pacspace_stripe.errors import SignatureError, StoreUnavailable, UnreadableEvent
from pacspace_stripe.pacspace_api.events import ledger_event_from_pacspace
from pacspace_stripe.store import Enqueue, Store
from pacspace_stripe.stripe_api.events import event_from_stripe
from pacspace_stripe.vocabulary.webhooks import (
    PACSPACE_SENDER,
    REFUSALS_IN_A_ROW,
    STRIPE_SENDER,
    RefusedWebhooks,
    SignatureProblem,
    refused_fact,
)
from pacspace_stripe.wakeups import Receipt, Wakeups
from webhooks.signatures import verify_pacspace_signature, verify_stripe_signature

_WRITTEN_APART = timedelta(seconds=10)
"""Least time between two writes of the refusals, so that refused requests cannot keep the database busy."""
_LAST_UNREADABLE = "unreadable_ledger_event"
"""Fact: what was wrong with PacSpace's last unreadable event."""

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class RefusalCounter:
    """Counter of refused signatures at one address. Thread-safe; a database that does not answer changes nothing."""

    store: Store
    sender: str
    now: Callable[[], datetime]
    _in_a_row: Counter[SignatureProblem] = field(default_factory=Counter)
    _unwritten: Counter[SignatureProblem] = field(default_factory=Counter)
    _written_at: datetime | None = None
    _clean: bool = False
    """True once the database is known to hold no refused requests."""
    _lock: Lock = field(default_factory=Lock)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the request whose signature is verified inside, as refused when that raises SignatureError."""
        try:
            yield
        except SignatureError as error:
            self._refused(error.cause)
            raise
        self._accepted()

    def _refused(self, cause: SignatureProblem) -> None:
        """Count a refused request; log the likely setting once per cause when many come and none is accepted."""
        with self._lock:
            self._in_a_row[cause] += 1
            self._unwritten[cause] += 1
            due = self._written_at is None or self.now() >= self._written_at + _WRITTEN_APART
            if self._in_a_row[cause] > REFUSALS_IN_A_ROW and not due:
                return
            self._clean, self._written_at = False, self.now()
            refused = self._write()
            if refused is not None and self._in_a_row[cause] == REFUSALS_IN_A_ROW:
                count = max(REFUSALS_IN_A_ROW, refused.count)
                _log.warning("%d webhooks in a row were refused and none was accepted: %s", count, refused.advice)

    def _accepted(self) -> None:
        """Forget the refused requests: one was accepted since."""
        if self._clean:
            return
        with self._lock:
            self._in_a_row.clear()
            self._unwritten.clear()
            try:
                name = refused_fact(self.sender)
                if RefusedWebhooks.parse(self.sender, self.store.journal.fact(name)) is not None:
                    self.store.journal.forget_fact(name)
                self._clean = True
            except StoreUnavailable:
                _log.debug("refused requests could not be forgotten")

    def _write(self) -> RefusedWebhooks | None:
        def added(stored: str | None) -> str:
            return RefusedWebhooks.merged(self.sender, stored, self._unwritten, self.now())

        try:
            stored = self.store.journal.change_fact(refused_fact(self.sender), added)
        except StoreUnavailable:
            return RefusedWebhooks(sender=self.sender, counts=dict(self._unwritten), last_at=self.now())
        self._unwritten.clear()
        return RefusedWebhooks.parse(self.sender, stored)


class StripeInbox:
    """The receiver behind Stripe's address."""

    def __init__(
        self,
        wakeups: Wakeups,
        *,
        secrets: tuple[SecretStr, ...],
        tolerance: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self._wakeups = wakeups
        self._secrets = [secret.get_secret_value() for secret in secrets]
        self._tolerance = tolerance
        self._now = now
        self._refusals = RefusalCounter(store=wakeups.store, sender=STRIPE_SENDER, now=now)

    def receive(self, body: bytes, signature_header: str | None) -> Receipt:
        """Verify the raw body and make its event durable; a repeated delivery changes nothing.

        Raises SignatureError (nothing was stored), UnreadableEvent (it was recorded), StoreUnavailable (try again).
        """
        with self._refusals.counting():
            verify_stripe_signature(body, signature_header, self._secrets, self._now(), self._tolerance)
        try:
            event = event_from_stripe(body)
        except UnreadableEvent as error:
            _log.warning("unreadable event of Stripe: %s", error)
            self._wakeups.store.journal.note("unreadable_event", "-", error.with_hint)
            raise
        return self._wakeups.take(event)

    def ready(self) -> Mapping[str, str]:
        """Return details for a person if an event could be made durable now. Raises StoreUnavailable if not."""
        self._wakeups.store.journal.ping()
        return {"database": "answers"}


class PacSpaceInbox:
    """The receiver behind PacSpace's address."""

    def __init__(
        self,
        wakeups: Wakeups,
        *,
        secrets: tuple[SecretStr, ...],
        tolerance: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self._wakeups = wakeups
        self._secrets = [secret.get_secret_value() for secret in secrets]
        self._tolerance = tolerance
        self._now = now
        self._refusals = RefusalCounter(store=wakeups.store, sender=PACSPACE_SENDER, now=now)

    def receive(
        self, body: bytes, *, signature: str | None, timestamp: str | None, event_id: str | None = None
    ) -> Receipt:
        """Verify the raw body by the three headers beside it, and make what it changes durable.

        Raises SignatureError (nothing was stored), UnreadableEvent (it was recorded), StoreUnavailable (try again).
        """
        with self._refusals.counting():
            verify_pacspace_signature(
                body, signature, timestamp, self._secrets, now=self._now(), tolerance=self._tolerance
            )
        try:
            event = ledger_event_from_pacspace(body, event_id)
        except UnreadableEvent as error:
            # Noted once: when PacSpace changes a form, it sends that form by the thousand.
            journal, problem = self._wakeups.store.journal, error.with_hint
            if journal.remember_fact(_LAST_UNREADABLE, problem) != problem:
                _log.warning("unreadable event of PacSpace: %s", problem)
                journal.note("unreadable_event", "pacspace", problem)
            raise
        return self._wakeups.take_ledger_event(event)


def open_inboxes(app: App, enqueue: Enqueue) -> tuple[StripeInbox, PacSpaceInbox | None]:
    """Return the receivers of an app, with ``enqueue`` for immediate checks; no PacSpace inbox without its secret."""
    wakeups, settings, now = app.wakeups_through(enqueue), app.settings, app.now
    tolerance, pacspace = settings.event_tolerance, settings.pacspace_webhook_secrets
    return (
        StripeInbox(wakeups, secrets=settings.stripe_webhook_secrets, tolerance=tolerance, now=now),
        PacSpaceInbox(wakeups, secrets=pacspace, tolerance=tolerance, now=now) if pacspace else None,
    )
