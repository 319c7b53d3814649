"""The sweep: webhooks are lost in practice, so Stripe is asked for what it has that we do not know.

What runs at each sweep, one request each when there is nothing to find:

* drafts of any age that we do not know, or that move again though we, or somebody else, kept them back;
* drafts, and below freshly finalized invoices, whose stamp somebody changed;
* events of the types we handle that an endpoint did not take: each goes through the inbox as if it had come now.

What runs when ``serve`` starts, each hour and at ``pacspace-stripe sweep``:

* finalized invoices of the last three days that we do not know or never could read: nothing can be held back any more,
  and a webhook that failed has told us already;
* reports of Stripe's on meter events that it rejected after it had accepted them, also whenever one of its events tells
  of such a report: they explain drifts;
* subscriptions whose period ends soon and that no ``invoice.upcoming`` came for. An early warning compares full days.

What is overdue needs no sweep: ``serve`` looks for it each second, and the command after its sweep. A sweep writes
nothing anywhere but triggers; each find goes through the same check as any event.
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
from pacspace_stripe.gate.rules.carried_stamp import changed_stamp
from pacspace_stripe.store import JobKind, JobLease, Store
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.usage.rules import is_metered
from pacspace_stripe.vocabulary.invoices import CollectionMethod, Invoice, InvoiceStatus, Subscription
from pacspace_stripe.vocabulary.webhooks import FOUND_BY_SWEEP, SUBSCRIBED
from pacspace_stripe.vocabulary.windows import iso
from pacspace_stripe.wakeups import REJECTIONS_WANTED, SWEEP_ID, UPCOMING_WITHOUT_PERIOD, Wakeups

FRESH = timedelta(days=3)
"""How far back events and finalized invoices are looked for: as long as Stripe repeats a webhook."""
WIDELY = timedelta(hours=1)
"""How often a sweep looks for what cannot be held back anyway."""
OVERLAP = timedelta(minutes=10)
"""How far a list goes back behind the list before: Stripe's lists lag by up to a minute (FACTS 5)."""
LAST_CALL = timedelta(days=1)
"""How long before the end of a period its ``invoice.upcoming`` counts as lost: Stripe sends it days before."""
SHORTEST_LEASE = timedelta(minutes=5)
_CHUNK = 100
_INVOICE = "in_"
_HANDLED = tuple(sorted(type_.value for type_ in SUBSCRIBED))
_EVENTS, _FINALIZED, _WIDE = "sweep:events", "sweep:finalized", "sweep:widely"
_REJECTIONS = "sweep:rejections"
"""Facts: up to when each list was read to its end."""
REJECTIONS_REFUSED = "sweep:rejections_refused"
"""Fact: why they could not be read."""
REMEMBERED = timedelta(days=30)
"""Time for which Stripe lists events."""

Row = TypeVar("Row")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Finds what no webhook told us of. ``warning``: how long before a period's end; zero looks for none.

    ``replay`` takes an event as the webhook endpoint does; the id of what it woke, if anything.
    """

    stripe: StripeApi
    store: Store
    wakeups: Wakeups
    interval: timedelta
    warning: timedelta
    lease: timedelta
    now: Callable[[], datetime]

    def plan(self) -> None:
        """Sweep soon, widely and for three days back: ``serve`` does at every start. Each sweep plans the next one."""
        self._forget()
        self.store.triggers.request(JobKind.SWEEP, SWEEP_ID)

    def run(self, *, widely: bool = False) -> list[str]:
        """One sweep, now: what it found, each once. Raises LeaseBusy when another process sweeps.

        ``widely``: everything, for three days back, as at the start of ``serve``.
        A list that Stripe does not give hides no other one: RemoteError is raised when everything else was looked at.
        """
        leased = self.store.jobs.acquire(JobKind.SWEEP, SWEEP_ID, max(self.lease, SHORTEST_LEASE))
        if leased is None:
            message = "another process is sweeping"
            raise LeaseBusy(message)
        found: dict[str, None] = {}
        try:
            if widely:
                self._forget()
            failures = self._search(leased, found)
        finally:
            _log.info("sweep found=%d", len(found))
            leased.give_back(None, self.now() + self.interval)
        if failures:
            raise failures[0]
        return list(found)

    def _search(self, leased: JobLease, found: dict[str, None]) -> list[RemoteError]:
        began, failures, last = self.now(), list[RemoteError](), self._mark(_WIDE)
        wide = last is None or last + WIDELY <= began
        always = (self._drafts, self._undelivered)
        told = (self._rejections,) if wide or self.store.journal.fact(REJECTIONS_WANTED) else ()
        for look in (*always, *told, *((self._finalized, self._unwarned) if wide else ())):
            try:
                for job in look(leased, began):
                    found[job] = None
            except RemoteError as error:
                found |= dict.fromkeys(self._unread(error))
                _log.warning("sweep, %s: %s", look.__name__.strip("_"), error)
                failures.append(error)
        if wide and not failures:
            self._reached(_WIDE, began)
        return failures

    # -- what is looked for -----------------------------------------------------------------------------------------

    def _drafts(self, leased: JobLease, _: datetime) -> Iterator[str]:
        for chunk in _chunks(self.stripe.list_invoices(status=InvoiceStatus.DRAFT.value), leased):
            yield from self._unknown(chunk)
            kept_back = self.store.jobs.kept_back([draft.invoice_id for draft in chunk if draft.auto_advance])
            yield from self._requested(JobKind.INVOICE, kept_back)
            yield from self._changed(chunk)

    def _undelivered(self, leased: JobLease, began: datetime) -> Iterator[str]:
        listed = self.stripe.list_undelivered_events(_HANDLED, created_since=self._since(_EVENTS, began))
        for chunk in _chunks(listed, leased):
            received = self.store.triggers.received([event.event_id for event in chunk])
            for event in chunk:
                woken = None if event.event_id in received else self.wakeups.take(event, FOUND_BY_SWEEP).woken
                if woken is not None:
                    yield woken
        self._reached(_EVENTS, began)

    def _finalized(self, leased: JobLease, began: datetime) -> Iterator[str]:
        recent = self.stripe.list_invoices(created_since=self._since(_FINALIZED, began))
        finalized = (InvoiceStatus.OPEN, InvoiceStatus.PAID, InvoiceStatus.UNKNOWN)
        for chunk in _chunks(recent, leased):
            left = [invoice for invoice in chunk if invoice.status in finalized]
            yield from self._unknown(left)
            yield from self._changed(left)
        self._reached(_FINALIZED, began)

    def _rejections(self, leased: JobLease, began: datetime) -> Iterator[str]:
        """Keep what Stripe rejected. What cannot be read of it is told once, and is no failure of the sweep."""
        since = max(began - REMEMBERED, (self._mark(_REJECTIONS) or began - REMEMBERED) - OVERLAP)
        journal = self.store.journal
        try:
            for chunk in _chunks(self.stripe.list_rejections(created_since=since), leased):
                self.store.rejections.put([one for report in chunk for one in self._named(report)])
        except (RemoteRefused, UnexpectedAnswer) as error:
            if journal.remember_fact(REJECTIONS_REFUSED, str(error)) != str(error):
                _log.warning("meter events that Stripe rejected cannot be read: %s %s", error, error.hint)
        else:
            journal.forget_fact(REJECTIONS_REFUSED)
            self._reached(_REJECTIONS, began)
        journal.forget_fact(REJECTIONS_WANTED)
        yield from ()

    def _named(self, report: RejectionReport) -> Iterator[Rejection]:
        """A meter that cannot be read keeps its id for a name: nothing is said about any other meter."""
        meter = report.meter_id
        if meter is not None:
            with suppress(RemoteRefused, UnexpectedAnswer):
                meter = self.stripe.meter(meter).event_name
        return (replace(one, meter=meter) for one in report.rejections)

    def _unwarned(self, leased: JobLease, began: datetime) -> Iterator[str]:
        if not self.warning:
            return
        soon = self.stripe.list_subscriptions(ends_after=began, ends_before=began + self.warning)
        for chunk in _chunks(soon, leased):
            due = [job for subscription in chunk for job in self._warnings_due(subscription, began)]
            known = self.store.jobs.known(due)
            yield from self._requested(JobKind.UPCOMING, (job for job in due if job not in known))

    def _warnings_due(self, subscription: Subscription, now: datetime) -> Iterator[str]:
        """The early warnings that should have begun: now where no event names the period, else where it is late."""
        mailed = subscription.collection_method is not CollectionMethod.CHARGE_AUTOMATICALLY
        silent = mailed or subscription.paused or self.store.journal.fact(UPCOMING_WITHOUT_PERIOD)
        lead = self.warning if silent else min(LAST_CALL, self.warning)
        ends = {item.window.end for item in subscription.items if item.window and is_metered(item.price)}
        return (upcoming_job_id(subscription.subscription_id, end) for end in sorted(ends) if now < end < now + lead)

    # -- what is found ----------------------------------------------------------------------------------------------

    def _unknown(self, invoices: list[Invoice]) -> Iterator[str]:
        """Those that we have no row of, or gave up without ever reading them."""
        yield from self._unheard([invoice.invoice_id for invoice in invoices])

    def _unheard(self, listed: list[str]) -> Iterator[str]:
        known, given_up = self.store.jobs.known(listed), self.store.jobs.given_up(listed)
        missing = (invoice_id for invoice_id in listed if invoice_id not in known or invoice_id in given_up)
        yield from self._requested(JobKind.INVOICE, missing)

    def _unread(self, error: RemoteError) -> Iterator[str]:
        """Invoices in a list that could not be read: the check of each one says what is wrong with it."""
        if isinstance(error, UnexpectedAnswer):
            yield from self._unheard([row_id for row_id in error.unread if row_id.startswith(_INVOICE)])

    def _changed(self, invoices: list[Invoice]) -> Iterator[str]:
        """Return the invoices whose stamp somebody changed, as the list shows it."""
        listed = {invoice.invoice_id: invoice for invoice in invoices}
        stamped = self.store.jobs.stamped(list(listed))
        changed = [memory.invoice_id for memory in stamped if changed_stamp(listed[memory.invoice_id], memory)]
        yield from self._requested(JobKind.INVOICE, changed)

    def _requested(self, kind: JobKind, job_ids: Iterable[str]) -> Iterator[str]:
        for job in job_ids:
            self.store.triggers.request(kind, job)
            yield job

    # -- how far the lists were read --------------------------------------------------------------------------------

    def _since(self, mark: str, now: datetime) -> datetime:
        reached = self._mark(mark)
        return now - FRESH if reached is None else max(now - FRESH, reached - OVERLAP)

    def _mark(self, name: str) -> datetime | None:
        said = self.store.journal.fact(name)
        return datetime.fromisoformat(said) if said else None

    def _forget(self) -> None:
        for mark in (_EVENTS, _FINALIZED, _WIDE):
            self.store.journal.remember_fact(mark, "")

    def _reached(self, mark: str, at: datetime) -> None:
        self.store.journal.remember_fact(mark, iso(at))


def _chunks(rows: Iterable[Row], leased: JobLease) -> Iterator[list[Row]]:
    """In pieces, each under the lease; what was read before Stripe's list broke off is handed on first."""
    chunk: list[Row] = []
    try:
        for row in rows:
            chunk.append(row)
            if len(chunk) == _CHUNK:
                leased.keep()
                yield chunk
                chunk = []
    except RemoteError:
        yield chunk
        raise
    if chunk:
        yield chunk
