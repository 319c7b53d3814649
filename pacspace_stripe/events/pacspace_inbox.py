"""The inbox for PacSpace's events: what is new in a ledger account wakes the invoices that bill it.

A ledger verifies deltas by the thousand, and what one of them changes the next look sees anyway. So an event brings the
next look forward, and is recorded only if it does: a burst is one row and one look, a stream is a look now and then.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import SecretStr

from pacspace_stripe.errors import SignatureError, UnreadableEvent
from pacspace_stripe.events.reception import Reception
from pacspace_stripe.events.signatures import verify_pacspace_signature
from pacspace_stripe.pacspace_api.events import LedgerEvent, LedgerEventType, ledger_event_from_pacspace
from pacspace_stripe.store import Store
from pacspace_stripe.stripe_api.events import Outcome, Receipt
from pacspace_stripe.vocabulary.ledger import LedgerProtocol

SETTLE = timedelta(seconds=5)
"""From the first event of a burst to the look at what it changed."""
APART = timedelta(seconds=30)
"""Between two such looks at one invoice: usage of the next period never ceases on an account."""
_PREFIX = "pacspace:"
"""Before the ids of these events: both vendors' begin with ``evt_``."""
_LAST_UNREADABLE = "unreadable_ledger_event"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerInbox:
    """The receiver behind PacSpace's address."""

    store: Store
    secrets: tuple[SecretStr, ...]
    tolerance: timedelta
    ledger: LedgerProtocol
    now: Callable[[], datetime]
    reception: Reception

    def receive(
        self, body: bytes, *, signature: str | None, timestamp: str | None, event_id: str | None = None
    ) -> Receipt:
        """The three headers beside the body. Raises SignatureError, UnreadableEvent, StoreUnavailable as the other."""
        secrets = [secret.get_secret_value() for secret in self.secrets]
        try:
            verify_pacspace_signature(body, signature, timestamp, secrets, now=self.now(), tolerance=self.tolerance)
        except SignatureError as error:
            self.reception.refused(error)
            raise
        self.reception.accepted()
        try:
            event = ledger_event_from_pacspace(body, event_id)
        except UnreadableEvent as error:
            self._note(error.with_hint)
            raise
        return self._woken(event)

    def _woken(self, event: LedgerEvent) -> Receipt:
        account = self._account(event)
        woken = 0
        if event.type is not LedgerEventType.OTHER and account is not None:
            event_id = _PREFIX + event.event_id
            woken = self.store.triggers.wake_account(event_id, event.type.value, account, soon=SETTLE, apart=APART)
        outcome = Outcome.QUEUED if woken else Outcome.RECORDED
        return Receipt(outcome=outcome, event_id=event.event_id, account=account)

    def _account(self, event: LedgerEvent) -> str | None:
        """What invoices claim in this ledger: an account's deltas, or a record."""
        return event.record_key if self.ledger is LedgerProtocol.SETTLEMENT else event.account

    def _note(self, problem: str) -> None:
        """In the audit trail once: whatever PacSpace now sends in another form, it sends by the thousand."""
        if self.store.journal.remember_fact(_LAST_UNREADABLE, problem) != problem:
            _log.warning("unreadable event of PacSpace: %s", problem)
            self.store.journal.note("unreadable_event", "pacspace", problem)
