"""Page after page in portions, several invoices at a time."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from pacspace_stripe.backfill.rows import DonePortion, Look, Row, deleted, not_metered, unread
from pacspace_stripe.backfill.rules.tally import STATUSES, Place, Selection
from pacspace_stripe.backfill.waiting import Patience, Stopped
from pacspace_stripe.comparison.comparer import error_reason
from pacspace_stripe.comparison.rules.verdicts import Reason
from pacspace_stripe.errors import LeaseBusy, NotFound, RemoteError, RemoteRefused
from pacspace_stripe.gate.checker import Checker
from pacspace_stripe.gate.rules.result import CheckResult
from pacspace_stripe.gate.rules.stamp import HOLD_KEY
from pacspace_stripe.http.ratelimit.priority import background
from pacspace_stripe.store import Store
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.vocabulary.invoices import Invoice, InvoicePage, InvoiceStatus, ListedInvoice

_PORTION = 50
_AT_ONCE = 2
"""Portions that are looked at while nothing behind them counts as done: together as many as a page of Stripe's."""
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Portion:
    """A part of a page, and the places before and behind it."""

    rows: Sequence[ListedInvoice]
    here: Place
    behind: Place | None
    chosen: Sequence[ListedInvoice] = ()
    looks: Sequence[Future[Row]] = ()
    """Progress over the chosen invoices, once they have begun."""
    lists: int = 0

    def done(self) -> DonePortion:
        """Wait for all of it. Raises Stopped when any of it is not finished."""
        rows = tuple(look.result() for look in self.looks)
        if not all(row.finished for row in rows):
            raise Stopped
        return DonePortion(rows=rows, next=self.behind, lists=self.lists)


class Watcher(Protocol):
    """Hears at once of what is listed and what is done, from several threads and not in Stripe's order."""

    def listed(self, invoices: Sequence[ListedInvoice], place: Place, *, last: bool) -> None:
        """Hear of chosen invoices of the listing at ``place``; ``last``: no more will be listed."""
        ...

    def done(self, row: Row) -> None:
        """Hear of one invoice."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """Looks at every invoice of a selection, ``jobs`` at a time. Holds three pages in memory, whatever their number."""

    stripe: StripeApi
    store: Store
    checker: Checker
    patience: Patience
    apply: bool
    jobs: int
    then: Callable[[ListedInvoice, Row], Row] | None = None
    """Called with every invoice after its check. May raise Stopped."""
    watcher: Watcher | None = None

    def portions(self, selection: Selection, place: Place) -> Iterator[DonePortion]:
        """Every finished portion from a place on, in Stripe's order.

        It ends early, after what is in flight, when somebody asks to stop: the last portion is then cut short.
        Raises RemoteError when a page cannot be had, StoreUnavailable.
        """
        looking: deque[_Portion] = deque()
        looks, reads = ThreadPoolExecutor(self.jobs, "backfill"), ThreadPoolExecutor(1, "backfill-pages")
        with looks, reads:  # what has begun is waited for
            try:
                yield from self._done(looks, reads, selection, place, looking)
            except Stopped:
                if looking:
                    yield _cut_short(looking)
            except BaseException:
                # Nobody hears of what is still waited for.
                self.patience.stop.set()
                raise
            finally:
                for pool in (reads, looks):
                    pool.shutdown(wait=False, cancel_futures=True)

    def _done(
        self,
        looks: ThreadPoolExecutor,
        reads: ThreadPoolExecutor,
        selection: Selection,
        place: Place,
        looking: deque[_Portion],
    ) -> Iterator[DonePortion]:
        here: Place | None = place
        coming = reads.submit(self._read, selection, place)
        while here is not None:
            # What is done is told while a page is waited for, and also when it cannot be had.
            while looking and not coming.done():
                yield _first(looking)
            try:
                portions = tuple(_portions(coming.result(), here, selection))
            except (RemoteError, Stopped):
                while looking:
                    yield _first(looking)
                raise
            here = portions[-1].behind
            if here is not None:
                coming = reads.submit(self._read, selection, here)
            chosen = [[one for one in portion.rows if _is_chosen(one, selection)] for portion in portions]
            if self.watcher:
                self.watcher.listed([one for part in chosen for one in part], portions[0].here, last=here is None)
            for portion, part in zip(portions, chosen, strict=True):
                if len(looking) == _AT_ONCE:
                    yield _first(looking)
                begun = [looks.submit(self._row, listed) for listed in part]
                looking.append(replace(portion, chosen=part, looks=begun))
        while looking:
            yield _first(looking)

    # -- one page -----------------------------------------------------------------------------------------------------

    def _read(self, selection: Selection, place: Place) -> InvoicePage:
        """One page: throttled or broken, it is asked for again, and never taken for a finished one."""
        with background():
            return self._page(selection, place)

    def _page(self, selection: Selection, place: Place) -> InvoicePage:
        try:
            return self.patience.read(lambda: self._ask(selection, place))
        except RemoteRefused as error:
            if error.code != "resource_missing" or place.created_at is None:
                raise
            # A draft that was deleted is no cursor any more: on from the second it was created in.
            rest = replace(selection, until=min(selection.until, place.created_at + _SECOND))
            return self.patience.read(lambda: self._ask(rest, replace(place, after=None)))

    def _ask(self, selection: Selection, place: Place) -> InvoicePage:
        listing = selection.listings()[place.listing]
        return self.stripe.invoice_page(
            created_since=selection.since,
            created_before=selection.until,
            status=listing.status.value if listing.status else None,
            customer=listing.customer,
            after=place.after,
        )

    # -- one invoice --------------------------------------------------------------------------------------------------

    def _row(self, listed: ListedInvoice) -> Row:
        with background():
            row = Row.of(listed, self._from_the_list(listed) or self._looked_at(listed))
            if self.then:
                try:
                    row = self.then(listed, row)
                except Stopped:
                    row = replace(row, finished=False)
            if self.watcher and row.finished:
                self.watcher.done(row)
            return row

    def _from_the_list(self, listed: ListedInvoice) -> CheckResult | None:
        """What the list alone says about it: nothing metered, or long since stamped with these very figures."""
        invoice = listed.invoice if listed.complete else None
        if invoice is None:
            return None
        try:
            # Its prices and meters are read for it, if no other invoice had them read before.
            ours = self.patience.through_storms(lambda: self._is_ours(invoice))
            if not ours:
                return not_metered(listed, invoice.status)
            return self.checker.settled(invoice)
        except RemoteError:
            return None

    def _is_ours(self, invoice: Invoice) -> bool:
        """Whether anything on it is metered, or held by us."""
        if self.checker.parts.comparer.usages(invoice) or HOLD_KEY in invoice.metadata:
            return True
        job = self.store.jobs.find(invoice.invoice_id)
        return job is not None and job.memory.held

    def _looked_at(self, listed: ListedInvoice) -> CheckResult:
        try:
            return self.patience.look(self._look_of(listed))
        except NotFound:
            return deleted(listed)
        except LeaseBusy as error:
            return unread(listed, Reason.NOT_SETTLED, str(error))
        except RemoteError as error:
            return unread(listed, *error_reason(error))

    def _look_of(self, listed: ListedInvoice) -> Look:
        if self.apply:
            return lambda patient: self.checker.look_back(listed.invoice_id, patient=patient)
        return lambda patient: self._preview(listed, patient=patient)

    def _preview(self, listed: ListedInvoice, *, patient: bool) -> CheckResult:
        read = listed.invoice if listed.complete else None
        return self.checker.preview_back(read or self.stripe.read_invoice(listed.invoice_id), patient=patient)


def _first(looking: deque[_Portion]) -> DonePortion:
    """Wait for the oldest portion and take it off. Raises Stopped, and then leaves it."""
    done = looking[0].done()
    looking.popleft()
    return done


def _cut_short(looking: deque[_Portion]) -> DonePortion:
    """Wait for what is in flight after a stop; the place is behind the last invoice before which none is missing.

    The pool takes invoices in Stripe's order, so nearly all that were begun lie before that place.
    """
    for portion in looking:
        for look in portion.looks:
            look.cancel()
    rows: list[Row] = []
    beyond: list[Row] = []
    place: Place | None = looking[0].here
    whole = True
    for portion in looking:
        for listed, look in zip(portion.chosen, portion.looks, strict=True):
            row = None if look.cancelled() or look.exception() is not None else look.result()
            whole = whole and row is not None and row.finished
            if whole and row is not None:
                rows.append(row)
                place = _behind(listed, portion.here)
            elif row is not None:
                beyond.append(row)
        place = portion.behind if whole else place
    return DonePortion(rows=tuple(rows), next=place, lists=sum(one.lists for one in looking), beyond=tuple(beyond))


def _is_chosen(listed: ListedInvoice, selection: Selection) -> bool:
    """What cannot be read may be one of them, as may one whose status we do not know."""
    status = listed.invoice.status if listed.invoice else InvoiceStatus.UNKNOWN
    unknown = status is InvoiceStatus.UNKNOWN and len(selection.statuses) == len(STATUSES)
    return listed.invoice is None or unknown or status in selection.statuses


def _portions(page: InvoicePage, place: Place, selection: Selection) -> Iterator[_Portion]:
    """One at least: an empty page is done, too."""
    starts = range(0, max(len(page.rows), 1), _PORTION)
    for start in starts:
        rows = page.rows[start : start + _PORTION]
        here, place = place, _behind(rows[-1], place) if rows else place
        last = start == starts[-1] and not page.has_more
        behind = _next_listing(place, selection) if last else place
        yield _Portion(rows=rows, here=here, behind=behind, lists=int(start == 0))


def _behind(last: ListedInvoice, place: Place) -> Place:
    created_at = last.invoice.created_at if last.invoice else place.created_at
    return replace(place, after=last.invoice_id, created_at=created_at)


def _next_listing(place: Place, selection: Selection) -> Place | None:
    more = place.listing + 1 < len(selection.listings())
    return Place(listing=place.listing + 1) if more else None
