"""The inbox: a webhook body → verified → recorded once, with its wake-up, in one transaction.

Design 6 gives each event a workflow of its own. One transaction over our event row, the invoice's counter and
the queued check says the same with one durable write instead of two: the event's id is the row's key.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import SecretStr

from pacspace_stripe.checks.upcoming import subject_id
from pacspace_stripe.errors import UnreadableEvent
from pacspace_stripe.events import Event, EventType, Outcome, Receipt, event_from_stripe
from pacspace_stripe.signatures import verify_stripe_signature
from pacspace_stripe.store import Enqueue, Kind, ReceivedEvent, Store
from pacspace_stripe.stripe_api import OUR_KEY_PREFIX

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """The receiver behind the endpoint. ``livemode``: of our key; events of the other mode are not ours."""

    store: Store
    enqueue: Enqueue | None
    """None: what is woken is found as due."""
    secrets: tuple[SecretStr, ...]
    tolerance: timedelta
    livemode: bool
    now: Callable[[], datetime]

    def receive(self, body: bytes, signature_header: str | None) -> Receipt:
        """Raises SignatureError (nothing stored), UnreadableEvent (recorded), StoreUnavailable (try again)."""
        secrets = [secret.get_secret_value() for secret in self.secrets]
        verify_stripe_signature(body, signature_header, secrets, self.now(), self.tolerance)
        try:
            event = event_from_stripe(body)
        except UnreadableEvent as error:
            self.store.journal.note("unreadable_event", "-", f"{error} {error.hint}".strip())
            raise
        return self._recorded(event)

    def ready(self) -> Mapping[str, str]:
        """Whether an event could be made durable now."""
        self.store.journal.ping()
        return {"database": "answers"}

    def replay(self, event: Event) -> str | None:
        """Take an event that Stripe lists, as if it had come now; what it woke, None too when it was here before."""
        received, new = self._taken(event, "found by the sweep")
        return received.subject_id if received is not None and new else None

    def _recorded(self, event: Event) -> Receipt:
        received, new = self._taken(event, "queued")
        if received is None:
            return Receipt(outcome=Outcome.RECORDED, event_id=event.event_id)
        outcome = Outcome.QUEUED if new and received.subject_id is not None else Outcome.RECORDED
        return Receipt(outcome=outcome, event_id=event.event_id, invoice_id=event.invoice_id)

    def _taken(self, event: Event, said: str) -> tuple[ReceivedEvent | None, bool]:
        """Recorded once, with its wake-up; whether it is new. None for types we do not handle."""
        received = self._routed(event, said)
        if received is None:
            return None, False
        new = self.store.triggers.receive(received, self.enqueue)
        ours = self._ignored(event) is None
        if new and ours and event.type is EventType.INVOICE_PAID and event.invoice_id:
            self.store.subjects.finish_released(event.invoice_id)
        return received, new

    def _routed(self, event: Event, said: str) -> ReceivedEvent | None:
        """What the event wakes. None for types we do not handle: they are not even recorded."""
        match event.type:
            case EventType.OTHER:
                return None
            case EventType.INVOICE_UPCOMING:
                kind, subject = Kind.UPCOMING, _upcoming(event)
            case EventType.INVOICE_UPDATED | EventType.INVOICE_FINALIZED | EventType.INVOICE_PAID:
                kind, subject = Kind.INVOICE, self._unless_cleared(event.invoice_id)
            case _:
                kind, subject = Kind.INVOICE, event.invoice_id
        ignored = self._ignored(event)
        return ReceivedEvent(
            event_id=event.event_id,
            type=event.type.value,
            subject_id=None if ignored else subject,
            kind=kind,
            subscription_id=event.subscription_id,
            customer_id=event.customer_id,
            outcome=ignored or (said if subject else "nothing to look at"),
        )

    def _unless_cleared(self, invoice_id: str | None) -> str | None:
        """What was let go moves by itself: its payment ends it, and a release's effect is watched for anyway."""
        known = self.store.subjects.find(invoice_id) if invoice_id else None
        return None if known is not None and known.memory.cleared else invoice_id

    def _ignored(self, event: Event) -> str | None:
        if event.account is not None:
            return "of another account"
        if event.livemode != self.livemode:
            return "of the other mode"
        if (event.idempotency_key or "").startswith(OUR_KEY_PREFIX):
            return "echo of our own write"
        return None


def _upcoming(event: Event) -> str | None:
    return subject_id(event.subscription_id, event.period_end) if event.subscription_id else None
