"""The inbox: a webhook body → verified → recorded once, with its wake-up, in one transaction.

Design 6 gives each event a workflow of its own. One transaction over our event row, the invoice's counter and
the queued check says the same with one durable write instead of two: the event's id is the row's key.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import SecretStr

from pacspace_stripe.errors import SignatureError, UnreadableEvent
from pacspace_stripe.events.reception import Reception
from pacspace_stripe.events.signatures import verify_stripe_signature
from pacspace_stripe.gate.early_warning import upcoming_job_id
from pacspace_stripe.store import Enqueue, Kind, ReceivedEvent, Store
from pacspace_stripe.stripe_api import OUR_KEY_PREFIX
from pacspace_stripe.stripe_api.events import (
    FOUND_BY_SWEEP,
    SENT_IS_HEARD,
    SUBSCRIPTION_TYPES,
    Event,
    EventType,
    Ignored,
    Outcome,
    Receipt,
    event_from_stripe,
)
from pacspace_stripe.sweep import REJECTIONS_WANTED, SWEEP_ID, UPCOMING_WITHOUT_PERIOD

LEFT_TO_THE_SWEEP = "left to the sweep"
"""Outcome of an ``invoice.upcoming`` that names no subscription or no period: thin ones never do."""
_OWN_ACCOUNT = "webhooks:stripe:own"
"""Fact: what this account's own events name as their account, if they name any."""
_SOON, _APART = timedelta(seconds=5), timedelta(seconds=30)
"""From a subscription's event to the look at what waits on it, and from one such look to the next."""

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
    reception: Reception

    def receive(self, body: bytes, signature_header: str | None) -> Receipt:
        """Raises SignatureError (nothing stored), UnreadableEvent (recorded), StoreUnavailable (try again)."""
        secrets = [secret.get_secret_value() for secret in self.secrets]
        try:
            verify_stripe_signature(body, signature_header, secrets, self.now(), self.tolerance)
        except SignatureError as error:
            self.reception.refused(error)
            raise
        self.reception.accepted()
        try:
            event = event_from_stripe(body)
        except UnreadableEvent as error:
            _log.warning("unreadable event of Stripe: %s", error)
            self.store.journal.note("unreadable_event", "-", error.with_hint)
            raise
        return self._recorded(event)

    def ready(self) -> Mapping[str, str]:
        """Whether an event could be made durable now."""
        self.store.journal.ping()
        return {"database": "answers"}

    def replay(self, event: Event) -> str | None:
        """Take an event that Stripe lists, as if it had come now; what it woke, None too when it was here before."""
        received, new = self._taken(event, FOUND_BY_SWEEP)
        return received.job_id if received is not None and new else None

    def _recorded(self, event: Event) -> Receipt:
        received, new = self._taken(event, "queued")
        if received is None:
            return Receipt(outcome=Outcome.RECORDED, event_id=event.event_id)
        outcome = Outcome.QUEUED if new and received.job_id is not None else Outcome.RECORDED
        return Receipt(outcome=outcome, event_id=event.event_id, invoice_id=event.invoice_id)

    def _taken(self, event: Event, said: str) -> tuple[ReceivedEvent | None, bool]:
        """Recorded once, with its wake-up; whether it is new. None for types we do not handle."""
        received = self._routed(event, said)
        if received is None:
            return None, False
        if event.type in SUBSCRIPTION_TYPES and received.outcome == said:
            return received, self.store.triggers.wake_subscription(received, soon=_SOON, apart=_APART)
        if event.type is EventType.INVOICE_UPDATED and event.by_request and self._held(received.job_id):
            # Before the event itself: a crash in between costs one more read, and loses nothing.
            self.store.journal.add_pending_update(str(received.job_id), event.created_at)
        new = self.store.triggers.receive(received, self.enqueue)
        if new:
            self._follow(event, received.outcome)
        return received, new

    def _follow(self, event: Event, outcome: str) -> None:
        """Do what an event says beyond which invoice to look at."""
        if outcome in frozenset(Ignored):
            return
        match event.type:
            case EventType.INVOICE_PAID | EventType.INVOICE_SENT if event.invoice_id:
                if event.type is EventType.INVOICE_SENT:
                    self.store.journal.remember_fact(SENT_IS_HEARD, "yes")
                self.store.jobs.finish_released(event.invoice_id)
            case EventType.INVOICE_UPCOMING if outcome == LEFT_TO_THE_SWEEP:
                self.store.journal.remember_fact(UPCOMING_WITHOUT_PERIOD, "yes")
            case EventType.METER_ERRORS | EventType.METER_NOT_FOUND:
                self.store.journal.remember_fact(REJECTIONS_WANTED, "yes")
            case _:
                pass

    def _routed(self, event: Event, said: str) -> ReceivedEvent | None:
        """What the event wakes. None for types we do not handle: they are not even recorded."""
        kind, wakes, nothing = Kind.INVOICE, True, "nothing to look at"
        match event.type:
            case EventType.OTHER:
                return None
            case EventType.INVOICE_UPCOMING:
                kind, job, nothing = Kind.UPCOMING, _upcoming(event), LEFT_TO_THE_SWEEP
            case EventType.INVOICE_CREATED | EventType.INVOICE_FINALIZATION_FAILED:
                job = event.invoice_id
            case EventType.INVOICE_VOIDED | EventType.INVOICE_DELETED:
                job = event.invoice_id
            case EventType.INVOICE_UPDATED if event.touches_stamp:
                job = event.invoice_id
            case EventType.INVOICE_SENT:
                job, wakes = event.invoice_id, self._held(event.invoice_id)
            case EventType.SUBSCRIPTION_UPDATED | EventType.SUBSCRIPTION_DELETED:
                job, nothing = None, said
            case EventType.METER_ERRORS | EventType.METER_NOT_FOUND:
                kind, job = Kind.SWEEP, SWEEP_ID
            case EventType.INVOICE_OTHER:
                job = self._unless_ended(event.invoice_id)
            case _:
                job = self._unless_cleared(event.invoice_id)
        ignored = self._ignored(event)
        # No webhook brought it, whatever it asks for: the report counts that.
        ours = ignored in (None, Ignored.ECHO)
        return ReceivedEvent(
            event_id=event.event_id,
            type=event.type.value,
            job_id=None if ignored else job,
            kind=kind,
            subscription_id=event.subscription_id,
            customer_id=event.customer_id,
            outcome=said if ours and said == FOUND_BY_SWEEP else ignored or (said if job else nothing),
            wakes=wakes,
        )

    def _unless_ended(self, invoice_id: str | None) -> str | None:
        """A type that we do not know may stop or free what we hold, and says nothing of what has ended."""
        known = self.store.jobs.find(invoice_id) if invoice_id else None
        return None if known is not None and (known.memory.ended or known.memory.cleared) else invoice_id

    def _held(self, invoice_id: str | None) -> bool:
        known = self.store.jobs.find(invoice_id) if invoice_id else None
        return known is not None and known.memory.held

    def _unless_cleared(self, invoice_id: str | None) -> str | None:
        """What was let go moves by itself: its payment ends it, and a release's effect is watched for anyway."""
        known = self.store.jobs.find(invoice_id) if invoice_id else None
        return None if known is not None and known.memory.cleared else invoice_id

    def _ignored(self, event: Event) -> Ignored | None:
        """Why an event is not acted on. Those of others are told once: their invoices are left to somebody else."""
        if event.account is not None and not self._is_own(event, event.account):
            self.reception.ignored(f"account {event.account}", "STRIPE_API_KEY is of another account")
            return Ignored.OTHER_ACCOUNT
        if event.livemode != self.livemode:
            mode = "live" if event.livemode else "test"
            self.reception.ignored(f"{mode} mode", f"STRIPE_API_KEY is of {'test' if event.livemode else 'live'} mode")
            return Ignored.OTHER_MODE
        # Mailing it may be the effect of our own release, and is what the release is watched for.
        ours = (event.idempotency_key or "").startswith(OUR_KEY_PREFIX)
        return Ignored.ECHO if ours and event.type is not EventType.INVOICE_SENT else None

    def _is_own(self, event: Event, account: str) -> bool:
        """Return whether an account that an event names is our key's own: our key can then read one of its invoices.

        Stripe documents an account on events of other accounts only; should it name ours too, the sweep finds the first
        invoice, and every event after that one is taken.
        """
        if self.store.journal.fact(_OWN_ACCOUNT) == account:
            return True
        known = self.store.jobs.find(event.invoice_id) if event.invoice_id else None
        if known is None or known.memory.first is None:
            return False
        self.store.journal.remember_fact(_OWN_ACCOUNT, account)
        return True


def _upcoming(event: Event) -> str | None:
    return upcoming_job_id(event.subscription_id, event.period_end) if event.subscription_id else None
