"""The table of what each event of Stripe and PacSpace wakes, for the webhook addresses and for the sweep's replay.

An event never decides anything: it is recorded once, under its own id, and plans a check of what it is about. The
event's row, the invoice's counter and the queued check are written in one transaction, so that no wake-up is lost and
none is doubled.

A ledger verifies deltas by the thousand, and any check reads all of them. So an event of PacSpace only brings the next
check forward, and is recorded only if it does: a burst leads to one row and one check, a stream to a check every
``LEDGER_APART``.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from threading import Lock

from pacspace_stripe.errors import StoreUnavailable
from pacspace_stripe.gate.early_warning import upcoming_job_id
from pacspace_stripe.pacspace_api.events import LedgerEvent, LedgerEventType
from pacspace_stripe.store import Enqueue, JobKind, ReceivedEvent, Store
from pacspace_stripe.stripe_api import OUR_KEY_PREFIX
from pacspace_stripe.stripe_api.events import Event
from pacspace_stripe.vocabulary.ledger import LedgerProtocol
from pacspace_stripe.vocabulary.webhooks import (
    FOUND_BY_SWEEP,
    INVOICE_SENT_ARRIVES,
    STRIPE_SENDER,
    SUBSCRIPTION_TYPES,
    EventType,
    Ignored,
    ignored_fact,
)

SWEEP_ID = "sweep"
"""Id of the sweep among the jobs of checks."""
LEFT_TO_THE_SWEEP = "left to the sweep"
"""Outcome of an ``invoice.upcoming`` that names no subscription or no period; thin ones never do (FACTS 12.6)."""
UPCOMING_WITHOUT_PERIOD = "sweep:upcoming_without_period"
"""Fact: this endpoint's ``invoice.upcoming`` events name no period, so the sweep begins the early warnings."""
REJECTIONS_WANTED = "sweep:rejections_wanted"
"""Fact: an event reported rejected meter events since the sweep last read the reports."""
SUBSCRIPTION_SOON, SUBSCRIPTION_APART = timedelta(seconds=5), timedelta(seconds=30)
"""Delay from a subscription's event to the check of its held invoices, and least time between two such checks."""
LEDGER_SOON = timedelta(seconds=5)
"""Delay from the first ledger event of a burst to the check of the invoices that bill the account."""
LEDGER_APART = timedelta(seconds=30)
"""Least time between two such checks of one invoice: usage of the next period never ceases on an account."""
_OWN_ACCOUNT = "webhooks:stripe:own"
"""Fact: the account that this account's own events name, if they name any."""
_PACSPACE_PREFIX = "pacspace:"
"""Prefix of PacSpace's event ids in our table: the ids of both vendors begin with ``evt_``."""
_MOST_NAMED = 10
"""Number of other accounts that are logged by name; a platform may have thousands."""

_log = logging.getLogger(__name__)


class ReceiptOutcome(StrEnum):
    """Outcome of one delivered event."""

    QUEUED = "queued"
    RECORDED = "recorded"
    """Nothing is woken: the type, mode or account is not ours, or the event was here before, or is an echo."""
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Acknowledgement of one event that was made durable; the ids are for the log."""

    outcome: ReceiptOutcome
    event_id: str | None = None
    invoice_id: str | None = None
    account: str | None = None
    """Ledger account, of PacSpace's events."""
    woken: str | None = None
    """Job that this event woke, if it is new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wakeup:
    """Row of the table: what one event wakes."""

    job_id: str | None = None
    """Job to check; None when there is nothing to check."""
    kind: JobKind = JobKind.INVOICE
    checks: bool = True
    """False when the event is only recorded as one about its job."""
    idle_outcome: str = "nothing to look at"
    """Outcome that is stored when there is no job."""
    then: Callable[[], object] = lambda: None
    """Further change, made once, if the event is new and not ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wakeups:
    """Receiver of verified events of both vendors. Thread-safe. ``livemode`` is the mode of our Stripe key."""

    store: Store
    livemode: bool
    ledger: LedgerProtocol
    enqueue: Enqueue | None = None
    """Queue of immediate checks; without one, the worker finds what was woken as due."""
    _logged: set[str] = field(default_factory=set)
    """Accounts and modes that were logged as ignored."""
    _lock: Lock = field(default_factory=Lock)

    def take(self, event: Event, outcome: str = "queued") -> Receipt:
        """Record an event of Stripe once, with its wake-up. Raises StoreUnavailable.

        ``outcome`` is stored for an event that is acted on; FOUND_BY_SWEEP marks an event that no webhook delivered.
        """
        wakeup = self._wakeup_of(event, outcome)
        if wakeup is None:
            return Receipt(outcome=ReceiptOutcome.RECORDED, event_id=event.event_id)
        ignored = self._ignored(event)
        stored = str(ignored or (outcome if wakeup.job_id else wakeup.idle_outcome))
        if outcome == FOUND_BY_SWEEP and ignored in (None, Ignored.ECHO):
            stored = outcome  # The report counts the webhooks that failed, whatever their events ask for.
        received = ReceivedEvent(
            event_id=event.event_id,
            type=event.type.value,
            job_id=None if ignored else wakeup.job_id,
            kind=wakeup.kind,
            subscription_id=event.subscription_id,
            customer_id=event.customer_id,
            outcome=stored,
            wakes=wakeup.checks,
        )
        woken = received.job_id if self._write(event, received, wakeup, acted_on=stored == outcome) else None
        return Receipt(
            outcome=ReceiptOutcome.RECORDED if woken is None else ReceiptOutcome.QUEUED,
            event_id=event.event_id,
            invoice_id=event.invoice_id,
            woken=woken,
        )

    def take_ledger_event(self, event: LedgerEvent) -> Receipt:
        """Bring forward the checks of the invoices that bill an event's account. Raises StoreUnavailable."""
        account = event.record_key if self.ledger is LedgerProtocol.SETTLEMENT else event.account
        woken = 0
        if event.type is not LedgerEventType.OTHER and account is not None:
            event_id = _PACSPACE_PREFIX + event.event_id
            woken = self.store.triggers.wake_account(
                event_id, event.type.value, account, soon=LEDGER_SOON, apart=LEDGER_APART
            )
        outcome = ReceiptOutcome.QUEUED if woken else ReceiptOutcome.RECORDED
        return Receipt(outcome=outcome, event_id=event.event_id, account=account)

    def _wakeup_of(self, event: Event, outcome: str) -> Wakeup | None:  # noqa: C901, PLR0911  # one table
        """Return what an event wakes; None for types that are not even recorded."""
        journal, invoice_id = self.store.journal, event.invoice_id
        match event.type:
            case EventType.OTHER:
                return None
            case EventType.INVOICE_UPCOMING:
                named = upcoming_job_id(event.subscription_id, event.period_end) if event.subscription_id else None
                if named is not None:
                    return Wakeup(kind=JobKind.UPCOMING, job_id=named)
                if outcome == FOUND_BY_SWEEP:
                    # It was never delivered: it does not show what this endpoint's events name.
                    return Wakeup(kind=JobKind.UPCOMING, idle_outcome=LEFT_TO_THE_SWEEP)
                return Wakeup(
                    kind=JobKind.UPCOMING,
                    idle_outcome=LEFT_TO_THE_SWEEP,
                    then=lambda: journal.remember_fact(UPCOMING_WITHOUT_PERIOD, "yes"),
                )
            case (
                EventType.INVOICE_CREATED
                | EventType.INVOICE_FINALIZATION_FAILED
                | EventType.INVOICE_VOIDED
                | EventType.INVOICE_DELETED
            ):
                return Wakeup(job_id=invoice_id)
            case EventType.INVOICE_UPDATED if event.touches_stamp:
                return Wakeup(job_id=invoice_id)
            case EventType.INVOICE_SENT:
                # It may be the effect of our own release, so it wakes a held invoice only; see _ignored too.
                return Wakeup(job_id=invoice_id, checks=self._held(invoice_id), then=lambda: self._sent(invoice_id))
            case EventType.INVOICE_PAID:
                job = self._unless_cleared(invoice_id)
                return Wakeup(job_id=job, then=lambda: self._finished(invoice_id))
            case EventType.SUBSCRIPTION_UPDATED | EventType.SUBSCRIPTION_DELETED:
                return Wakeup(idle_outcome=outcome)  # _write wakes the held invoices of the subscription
            case EventType.METER_ERRORS | EventType.METER_NOT_FOUND:
                return Wakeup(
                    kind=JobKind.SWEEP, job_id=SWEEP_ID, then=lambda: journal.remember_fact(REJECTIONS_WANTED, "yes")
                )
            case EventType.INVOICE_OTHER:
                # An unknown type may stop or free what we hold, and says nothing about what has ended.
                return Wakeup(job_id=self._unless_ended(invoice_id))
            case EventType.INVOICE_UPDATED | EventType.INVOICE_FINALIZED | EventType.INVOICE_MARKED_UNCOLLECTIBLE:
                return Wakeup(job_id=self._unless_cleared(invoice_id))

    def _write(self, event: Event, received: ReceivedEvent, wakeup: Wakeup, *, acted_on: bool) -> bool:
        """Record an event with its wake-up in one transaction; return whether it is new."""
        if event.type in SUBSCRIPTION_TYPES and acted_on:
            return self.store.triggers.wake_subscription(received, soon=SUBSCRIPTION_SOON, apart=SUBSCRIPTION_APART)
        if event.type is EventType.INVOICE_UPDATED and event.by_request and self._held(received.job_id):
            # Before the event itself: a crash in between costs one more read, and loses nothing.
            self.store.journal.add_pending_update(str(received.job_id), event.created_at)
        new = self.store.triggers.receive(received, self.enqueue)
        if new and received.outcome not in frozenset(Ignored):
            wakeup.then()
        return new

    def _sent(self, invoice_id: str | None) -> None:
        if invoice_id:
            self.store.journal.remember_fact(INVOICE_SENT_ARRIVES, "yes")
            self._finished(invoice_id)

    def _finished(self, invoice_id: str | None) -> None:
        if invoice_id:
            self.store.jobs.finish_released(invoice_id)

    def _unless_ended(self, invoice_id: str | None) -> str | None:
        known = self.store.jobs.find(invoice_id) if invoice_id else None
        return None if known is not None and (known.state.ended or known.state.cleared) else invoice_id

    def _unless_cleared(self, invoice_id: str | None) -> str | None:
        """Return the id unless we released that invoice: its payment ends it, and a release is watched anyway."""
        known = self.store.jobs.find(invoice_id) if invoice_id else None
        return None if known is not None and known.state.cleared else invoice_id

    def _held(self, invoice_id: str | None) -> bool:
        known = self.store.jobs.find(invoice_id) if invoice_id else None
        return known is not None and known.state.held

    def _ignored(self, event: Event) -> Ignored | None:
        """Return why an event is not acted on, if it is not; log other accounts and modes once."""
        if event.account is not None and not self._is_own(event, event.account):
            self._log_ignored(f"account {event.account}", "STRIPE_API_KEY is of another account")
            return Ignored.OTHER_ACCOUNT
        if event.livemode != self.livemode:
            mode, ours = ("live", "test") if event.livemode else ("test", "live")
            self._log_ignored(f"{mode} mode", f"STRIPE_API_KEY is of {ours} mode")
            return Ignored.OTHER_MODE
        # invoice.sent may be the effect of our own release, which is watched for exactly this event.
        echo = (event.idempotency_key or "").startswith(OUR_KEY_PREFIX) and event.type is not EventType.INVOICE_SENT
        return Ignored.ECHO if echo else None

    def _is_own(self, event: Event, account: str) -> bool:
        """Return whether an account that an event names is our key's own: our key can then read one of its invoices.

        Stripe documents an account on events of other accounts only. Should Stripe name our own account too, the sweep
        finds the first invoice, and every event after that one is taken.
        """
        if self.store.journal.fact(_OWN_ACCOUNT) == account:
            return True
        known = self.store.jobs.find(event.invoice_id) if event.invoice_id else None
        if known is None or known.state.first is None:
            return False
        self.store.journal.remember_fact(_OWN_ACCOUNT, account)
        return True

    def _log_ignored(self, whose: str, why: str) -> None:
        """Log once that events of another account or mode are answered and ignored, and keep that for the report."""

        def added(stored: str | None) -> str:
            known = json.loads(stored) if stored else []
            return json.dumps(known if whose in known or len(known) >= _MOST_NAMED else [*known, whose])

        with self._lock:
            if whose in self._logged or len(self._logged) > _MOST_NAMED:
                return
            self._logged.add(whose)
            _log.warning("Stripe events of %s are answered and ignored: %s", whose, why)
            try:
                self.store.journal.change_fact(ignored_fact(STRIPE_SENDER), added)
            except StoreUnavailable:
                self._logged.discard(whose)  # written again with the next such event
