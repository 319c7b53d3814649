"""The run of a backfill: page after page in portions, several invoices at a time, newest first.

A place is stored behind the last finished portion, and nothing else: whatever was done behind it before a crash is
found done. The run knows no database of its own; rows and bookmarks are ``results``, waiting is ``retries``.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from pacspace_stripe.backfill.results import BackfillRow, DonePortion, deleted, not_metered, unread
from pacspace_stripe.backfill.retries import RetryPolicy, Stopped
from pacspace_stripe.backfill.rules.tally import STATUSES, BackfillSelection, ListPosition
from pacspace_stripe.comparison.comparer import error_reason
from pacspace_stripe.comparison.rules.verdicts import Reason
from pacspace_stripe.errors import LeaseBusy, NotFound, RemoteError, RemoteRefused
from pacspace_stripe.gate.case import BackfillRequest
from pacspace_stripe.gate.checker import Checker
from pacspace_stripe.gate.rules.result import CheckResult
from pacspace_stripe.gate.rules.stamp import HOLD_KEY
from pacspace_stripe.http.ratelimit.priority import background
from pacspace_stripe.store import Store
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.vocabulary.invoices import Invoice, InvoicePage, InvoiceStatus, ListedInvoice

_PORTION = 50
_AT_ONCE = 2
"""Portions that are checked at the same time: together as many invoices as a page of Stripe's."""
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Portion:
    """A part of a page, and the positions before and behind it."""

    rows: Sequence[ListedInvoice]
    here: ListPosition
    behind: ListPosition | None
    chosen: Sequence[ListedInvoice] = ()
    checks: Sequence[Future[BackfillRow]] = ()
    """Results of the chosen invoices, once their checks have begun."""
    lists: int = 0

    def done(self) -> DonePortion:
        """Wait until the whole portion is done. Raises Stopped if any of it is not finished."""
        rows = tuple(check.result() for check in self.checks)
        if not all(row.finished for row in rows):
            raise Stopped
        return DonePortion(rows=rows, next=self.behind, lists=self.lists)


class Watcher(Protocol):
    """An observer of listed and finished invoices, called from several threads and not in Stripe's order."""

    def listed(self, invoices: Sequence[ListedInvoice], place: ListPosition, *, last: bool) -> None:
        """Take note of chosen invoices of the listing at ``place``; with ``last``, no more will be listed."""
        ...

    def done(self, row: BackfillRow) -> None:
        """Take note of one invoice that is done."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """A check of every invoice of a selection, ``jobs`` at a time, with at most three pages in memory."""

    stripe: StripeApi
    store: Store
    checker: Checker
    retries: RetryPolicy
    apply: bool
    jobs: int
    then: Callable[[ListedInvoice, BackfillRow], BackfillRow] | None = None
    """Complete the row of an invoice after its check. May raise Stopped."""
    watcher: Watcher | None = None

    def portions(self, selection: BackfillSelection, place: ListPosition) -> Iterator[DonePortion]:
        """Yield every finished portion from a position on, in Stripe's order.

        After a stop, end with what is in flight: the last portion is then cut short. Raises RemoteError if a page
        cannot be read, and StoreUnavailable.
        """
        in_check: deque[_Portion] = deque()
        checks, reads = ThreadPoolExecutor(self.jobs, "backfill"), ThreadPoolExecutor(1, "backfill-pages")
        with checks, reads:  # waits for what has begun
            try:
                yield from self._done(checks, reads, selection, place, in_check)
            except Stopped:
                if in_check:
                    yield _cut_short(in_check)
            except BaseException:
                # The caller is gone: checks under way end, and none of them waits for a rate limit any more.
                self.retries.stop.set()
                raise
            finally:
                for pool in (reads, checks):
                    pool.shutdown(wait=False, cancel_futures=True)

    def _done(
        self,
        checks: ThreadPoolExecutor,
        reads: ThreadPoolExecutor,
        selection: BackfillSelection,
        place: ListPosition,
        in_check: deque[_Portion],
    ) -> Iterator[DonePortion]:
        here: ListPosition | None = place
        coming = reads.submit(self._read, selection, place)
        while here is not None:
            # Finished portions are yielded while the next page is read, even if it cannot be read.
            while in_check and not coming.done():
                yield _first(in_check)
            try:
                portions = tuple(_portions(coming.result(), here, selection))
            except (RemoteError, Stopped):
                while in_check:
                    yield _first(in_check)
                raise
            here = portions[-1].behind
            if here is not None:
                coming = reads.submit(self._read, selection, here)
            chosen = [[one for one in portion.rows if _is_chosen(one, selection)] for portion in portions]
            if self.watcher:
                self.watcher.listed([one for part in chosen for one in part], portions[0].here, last=here is None)
            for portion, part in zip(portions, chosen, strict=True):
                if len(in_check) == _AT_ONCE:
                    yield _first(in_check)
                begun = [checks.submit(self._row, listed) for listed in part]
                in_check.append(replace(portion, chosen=part, checks=begun))
        while in_check:
            yield _first(in_check)

    # -- one page -----------------------------------------------------------------------------------------------------

    def _read(self, selection: BackfillSelection, place: ListPosition) -> InvoicePage:
        """Read one page. A page that is rate limited or breaks off is read again, and never taken for an empty one."""
        with background():
            try:
                return self.retries.read(lambda: self._ask(selection, place))
            except RemoteRefused as error:
                if error.code != "resource_missing" or place.created_at is None:
                    raise
                # A deleted draft is no cursor any more: continue from the second in which it was created.
                rest = replace(selection, until=min(selection.until, place.created_at + _SECOND))
                return self.retries.read(lambda: self._ask(rest, replace(place, after=None)))

    def _ask(self, selection: BackfillSelection, place: ListPosition) -> InvoicePage:
        listing = selection.listings()[place.listing]
        return self.stripe.invoice_page(
            created_since=selection.since,
            created_before=selection.until,
            status=listing.status.value if listing.status else None,
            customer=listing.customer,
            after=place.after,
        )

    # -- one invoice --------------------------------------------------------------------------------------------------

    def _row(self, listed: ListedInvoice) -> BackfillRow:
        with background():
            row = BackfillRow.of(listed, self._from_the_list(listed) or self._checked(listed))
            if self.then:
                try:
                    row = self.then(listed, row)
                except Stopped:
                    row = replace(row, finished=False)
            if self.watcher and row.finished:
                self.watcher.done(row)
            return row

    def _from_the_list(self, listed: ListedInvoice) -> CheckResult | None:
        """Return the result that follows from the list alone: nothing metered, or stamped with these figures before."""
        invoice = listed.invoice if listed.complete else None
        if invoice is None:
            return None
        try:
            # This reads its prices and meters, unless an earlier invoice had them read.
            ours = self.retries.while_rate_limited(lambda: self._is_ours(invoice))
            if not ours:
                return not_metered(listed, invoice.status)
            return self.checker.settled(invoice)
        except RemoteError:
            return None

    def _is_ours(self, invoice: Invoice) -> bool:
        """Return whether anything on the invoice is metered, or the gate holds it."""
        if self.checker.services.comparer.usages(invoice) or HOLD_KEY in invoice.metadata:
            return True
        job = self.store.jobs.find(invoice.invoice_id)
        return job is not None and job.state.held

    def _checked(self, listed: ListedInvoice) -> CheckResult:
        def attempt(may_wait: bool) -> CheckResult:  # noqa: FBT001 - the signature of CheckAttempt
            if self.apply:
                return self.checker.check(listed.invoice_id, backfill=BackfillRequest(patient=may_wait))
            read = listed.invoice if listed.complete else None
            read = read or self.stripe.read_invoice(listed.invoice_id)
            return self.checker.preview_of(read, backfill=BackfillRequest(patient=may_wait))

        try:
            return self.retries.check(attempt)
        except NotFound:
            return deleted(listed)
        except LeaseBusy as error:
            return unread(listed, Reason.NOT_SETTLED, str(error))
        except RemoteError as error:
            return unread(listed, *error_reason(error))


def _first(in_check: deque[_Portion]) -> DonePortion:
    """Wait for the oldest portion and remove it. Raises Stopped, and then leaves it."""
    done = in_check[0].done()
    in_check.popleft()
    return done


def _cut_short(in_check: deque[_Portion]) -> DonePortion:
    """Wait for what is in flight after a stop. The position is behind the last invoice before which none is missing.

    The pool takes invoices in Stripe's order, so nearly all checks that had begun lie before that position.
    """
    for portion in in_check:
        for check in portion.checks:
            check.cancel()
    rows: list[BackfillRow] = []
    beyond: list[BackfillRow] = []
    place: ListPosition | None = in_check[0].here
    whole = True
    for portion in in_check:
        for listed, check in zip(portion.chosen, portion.checks, strict=True):
            row = None if check.cancelled() or check.exception() is not None else check.result()
            whole = whole and row is not None and row.finished
            if whole and row is not None:
                rows.append(row)
                place = _behind(listed, portion.here)
            elif row is not None:
                beyond.append(row)
        place = portion.behind if whole else place
    return DonePortion(rows=tuple(rows), next=place, lists=sum(one.lists for one in in_check), beyond=tuple(beyond))


def _is_chosen(listed: ListedInvoice, selection: BackfillSelection) -> bool:
    """Return whether an invoice is selected; one that cannot be read, or whose status is unknown, may be."""
    status = listed.invoice.status if listed.invoice else InvoiceStatus.UNKNOWN
    unknown = status is InvoiceStatus.UNKNOWN and len(selection.statuses) == len(STATUSES)
    return listed.invoice is None or unknown or status in selection.statuses


def _portions(page: InvoicePage, place: ListPosition, selection: BackfillSelection) -> Iterator[_Portion]:
    """Split a page into portions, at least one: an empty page has to be done too."""
    starts = range(0, max(len(page.rows), 1), _PORTION)
    for start in starts:
        rows = page.rows[start : start + _PORTION]
        here, place = place, _behind(rows[-1], place) if rows else place
        last = start == starts[-1] and not page.has_more
        behind = _next_listing(place, selection) if last else place
        yield _Portion(rows=rows, here=here, behind=behind, lists=int(start == 0))


def _behind(last: ListedInvoice, place: ListPosition) -> ListPosition:
    created_at = last.invoice.created_at if last.invoice else place.created_at
    return replace(place, after=last.invoice_id, created_at=created_at)


def _next_listing(place: ListPosition, selection: BackfillSelection) -> ListPosition | None:
    more = place.listing + 1 < len(selection.listings())
    return ListPosition(listing=place.listing + 1) if more else None
