"""The sweep: webhooks are lost in practice, so Stripe is asked for what it has that we do not know.

Each sweep makes one request each for these, when there is nothing to find:

1. drafts of any age that we do not know, or that advance again although we, or a person, kept them back;
2. drafts whose stamp was changed by others, and below also finalized invoices;
3. events of the handled types that an endpoint did not take: each is taken as if a webhook had just delivered it.

A wide sweep (when ``serve`` starts, each hour, and at ``pacspace-stripe sweep``) adds these:

4. Stripe's reports on meter events that it rejected after it had accepted them, since they explain drifts; also in
   every sweep after an event that announced such a report;
5. finalized invoices of the last three days that we do not know or never could read: none of them can be held back any
   more, and step 3 finds a failed webhook sooner;
6. subscriptions whose period ends soon and for which no ``invoice.upcoming`` arrived: an early warning compares full
   days.

What is overdue needs no sweep: ``serve`` finds it each second, and the command after its sweep. A sweep writes nothing
but triggers; each find goes through the same check as any event.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from pacspace_stripe.errors import LeaseBusy, RemoteError, RemoteRefused, UnexpectedAnswer
from pacspace_stripe.explain.rules.rejections import Rejection, RejectionReport
from pacspace_stripe.gate.early_warning import upcoming_job_id
from pacspace_stripe.gate.rules.stamp import changed_stamp
from pacspace_stripe.store import JobKind, JobLease, Store
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.usage.rules import is_metered
from pacspace_stripe.vocabulary.invoices import CollectionMethod, Invoice, InvoiceStatus, Subscription
from pacspace_stripe.vocabulary.webhooks import FOUND_BY_SWEEP, SUBSCRIBED
from pacspace_stripe.vocabulary.windows import iso
from pacspace_stripe.wakeups import REJECTIONS_WANTED, SWEEP_ID, UPCOMING_WITHOUT_PERIOD, Wakeups

FRESH = timedelta(days=3)
"""Age up to which events and finalized invoices are searched: as long as Stripe repeats a webhook (FACTS 5.2)."""
WIDELY = timedelta(hours=1)
"""Time between two searches for what cannot be held back anyway."""
OVERLAP = timedelta(minutes=10)
"""Overlap of a list with the list before it: Stripe's lists lag by up to a minute (FACTS 5.3)."""
LAST_CALL = timedelta(days=1)
"""Time before a period's end at which its ``invoice.upcoming`` counts as lost; Stripe sends it earlier (FACTS 1.1)."""
SHORTEST_LEASE = timedelta(minutes=5)
LISTED_FOR = timedelta(days=30)
"""Time for which Stripe lists events (FACTS 5.3)."""
_CHUNK = 100
_INVOICE = "in_"
_HANDLED = tuple(sorted(type_.value for type_ in SUBSCRIBED))
_EVENTS, _FINALIZED, _WIDE = "sweep:events", "sweep:finalized", "sweep:widely"
_REJECTIONS = "sweep:rejections"
"""Facts: the time up to which each list was read to its end."""
REJECTIONS_REFUSED = "sweep:rejections_refused"
"""Fact: why the reports on rejected meter events could not be read."""

Row = TypeVar("Row")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Search for what no webhook delivered."""

    stripe: StripeApi
    store: Store
    wakeups: Wakeups
    interval: timedelta
    warning: timedelta
    """Time before a period's end from which early warnings are due; zero searches for none."""
    lease: timedelta
    now: Callable[[], datetime]

    def plan(self) -> None:
        """Request a wide sweep soon, as ``serve`` does at every start; each sweep plans the next one."""
        self._forget_marks()
        self.store.triggers.request(JobKind.SWEEP, SWEEP_ID)

    def run(self, *, widely: bool = False) -> list[str]:
        """Make one sweep now; return the ids of what it found, each once.

        ``widely`` searches everything, three days back, as at the start of ``serve``. Raises LeaseBusy when another
        process sweeps. A list that Stripe does not give hides no other one: RemoteError is raised after all others.
        """
        lease = self.store.jobs.acquire(JobKind.SWEEP, SWEEP_ID, max(self.lease, SHORTEST_LEASE))
        if lease is None:
            message = "another process is sweeping"
            raise LeaseBusy(message)
        found: dict[str, None] = {}
        try:
            if widely:
                self._forget_marks()
            failures = self._search(lease, found)
        finally:
            _log.info("sweep found=%d", len(found))
            lease.give_back(None, self.now() + self.interval)
        if failures:
            raise failures[0]
        return list(found)

    def _search(self, lease: JobLease, found: dict[str, None]) -> list[RemoteError]:
        began, failures, last = self.now(), list[RemoteError](), self._mark(_WIDE)
        wide = last is None or last + WIDELY <= began
        reports = (self._rejections,) if wide or self.store.journal.fact(REJECTIONS_WANTED) else ()
        searches = (self._drafts, self._undelivered, *reports, *((self._finalized, self._unwarned) if wide else ()))
        for search in searches:
            try:
                for job_id in search(lease, began):
                    found[job_id] = None
            except RemoteError as error:
                if isinstance(error, UnexpectedAnswer):
                    # The check of an unreadable invoice says what is wrong with it.
                    unread = [row_id for row_id in error.unread if row_id.startswith(_INVOICE)]
                    found |= dict.fromkeys(self._unknown(unread))
                _log.warning("sweep, %s: %s", search.__name__.strip("_"), error)
                failures.append(error)
        if wide and not failures:
            self._set_mark(_WIDE, began)
        return failures

    # -- the searches -----------------------------------------------------------------------------------------------

    def _drafts(self, lease: JobLease, _: datetime) -> Iterator[str]:
        for chunk in _chunks(self.stripe.list_invoices(status=InvoiceStatus.DRAFT.value), lease):
            yield from self._unknown([draft.invoice_id for draft in chunk])
            kept_back = self.store.jobs.kept_back([draft.invoice_id for draft in chunk if draft.auto_advance])
            yield from self._requested(JobKind.INVOICE, kept_back)
            yield from self._restamped(chunk)

    def _undelivered(self, lease: JobLease, began: datetime) -> Iterator[str]:
        listed = self.stripe.list_undelivered_events(_HANDLED, created_since=self._since(_EVENTS, began))
        for chunk in _chunks(listed, lease):
            received = self.store.triggers.received([event.event_id for event in chunk])
            for event in chunk:
                woken = None if event.event_id in received else self.wakeups.take(event, FOUND_BY_SWEEP).woken
                if woken is not None:
                    yield woken
        self._set_mark(_EVENTS, began)

    def _finalized(self, lease: JobLease, began: datetime) -> Iterator[str]:
        recent = self.stripe.list_invoices(created_since=self._since(_FINALIZED, began))
        finalized = (InvoiceStatus.OPEN, InvoiceStatus.PAID, InvoiceStatus.UNKNOWN)
        for chunk in _chunks(recent, lease):
            left = [invoice for invoice in chunk if invoice.status in finalized]
            yield from self._unknown([invoice.invoice_id for invoice in left])
            yield from self._restamped(left)
        self._set_mark(_FINALIZED, began)

    def _rejections(self, lease: JobLease, began: datetime) -> Iterator[str]:
        """Store Stripe's reports on rejected meter events; a refusal is logged once, and fails no sweep."""
        since = max(began - LISTED_FOR, (self._mark(_REJECTIONS) or began - LISTED_FOR) - OVERLAP)
        journal = self.store.journal
        try:
            for chunk in _chunks(self.stripe.list_rejections(created_since=since), lease):
                self.store.rejections.put([one for report in chunk for one in self._named(report)])
        except (RemoteRefused, UnexpectedAnswer) as error:
            if journal.remember_fact(REJECTIONS_REFUSED, str(error)) != str(error):
                _log.warning("meter events that Stripe rejected cannot be read: %s %s", error, error.hint)
        else:
            journal.forget_fact(REJECTIONS_REFUSED)
            self._set_mark(_REJECTIONS, began)
        journal.forget_fact(REJECTIONS_WANTED)
        yield from ()

    def _named(self, report: RejectionReport) -> list[Rejection]:
        """Return a report's rejections with their meter's name, or its id where the meter cannot be read."""
        meter = report.meter_id
        if meter is not None:
            with suppress(RemoteRefused, UnexpectedAnswer):
                meter = self.stripe.meter(meter).event_name
        return [replace(one, meter=meter) for one in report.rejections]

    def _unwarned(self, lease: JobLease, began: datetime) -> Iterator[str]:
        if not self.warning:
            return
        soon = self.stripe.list_subscriptions(ends_after=began, ends_before=began + self.warning)
        for chunk in _chunks(soon, lease):
            due = [job_id for subscription in chunk for job_id in self._warnings_due(subscription, began)]
            known = self.store.jobs.known(due)
            yield from self._requested(JobKind.UPCOMING, (job_id for job_id in due if job_id not in known))

    def _warnings_due(self, subscription: Subscription, now: datetime) -> Iterator[str]:
        """Yield the early warnings that should have begun by now.

        Where no ``invoice.upcoming`` names the period (FACTS 1.3, 12.6), that is as early as warnings are due at all;
        elsewhere only when the event is late.
        """
        mailed = subscription.collection_method is not CollectionMethod.CHARGE_AUTOMATICALLY
        silent = mailed or subscription.paused or self.store.journal.fact(UPCOMING_WITHOUT_PERIOD)
        lead = self.warning if silent else min(LAST_CALL, self.warning)
        ends = {item.window.end for item in subscription.items if item.window and is_metered(item.price)}
        return (upcoming_job_id(subscription.subscription_id, end) for end in sorted(ends) if now < end < now + lead)

    # -- what is found ----------------------------------------------------------------------------------------------

    def _unknown(self, invoice_ids: list[str]) -> Iterator[str]:
        """Request checks of the invoices that we have no row of, or gave up without ever reading them."""
        known, given_up = self.store.jobs.known(invoice_ids), self.store.jobs.given_up(invoice_ids)
        missing = (each for each in invoice_ids if each not in known or each in given_up)
        yield from self._requested(JobKind.INVOICE, missing)

    def _restamped(self, invoices: list[Invoice]) -> Iterator[str]:
        """Request checks of the invoices whose stamp was changed by others, as the list shows it."""
        listed = {invoice.invoice_id: invoice for invoice in invoices}
        stamped = self.store.jobs.stamped(list(listed))
        changed = [state.invoice_id for state in stamped if changed_stamp(listed[state.invoice_id], state)]
        yield from self._requested(JobKind.INVOICE, changed)

    def _requested(self, kind: JobKind, job_ids: Iterable[str]) -> Iterator[str]:
        for job_id in job_ids:
            self.store.triggers.request(kind, job_id)
            yield job_id

    # -- the time up to which each list was read --------------------------------------------------------------------

    def _since(self, name: str, now: datetime) -> datetime:
        mark = self._mark(name)
        return now - FRESH if mark is None else max(now - FRESH, mark - OVERLAP)

    def _mark(self, name: str) -> datetime | None:
        stored = self.store.journal.fact(name)
        return datetime.fromisoformat(stored) if stored else None

    def _set_mark(self, name: str, at: datetime) -> None:
        self.store.journal.remember_fact(name, iso(at))

    def _forget_marks(self) -> None:
        for name in (_EVENTS, _FINALIZED, _WIDE):
            self.store.journal.remember_fact(name, "")


def _chunks(rows: Iterable[Row], lease: JobLease) -> Iterator[list[Row]]:
    """Yield the rows in chunks, each under the lease; rows that were read before Stripe's list broke off come first."""
    chunk: list[Row] = []
    try:
        for row in rows:
            chunk.append(row)
            if len(chunk) == _CHUNK:
                lease.keep()
                yield chunk
                chunk = []
    except RemoteError:
        yield chunk
        raise
    if chunk:
        yield chunk
