"""One meter of one customer, and the ledger account that keeps it: both sides' figures of any time.

Owns which requests give the figures of a time. Does not own what the figures mean, nor when to stop asking.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Self

from pacspace_stripe.errors import ScopeRefused
from pacspace_stripe.explain.rules.drift_location.window_parts import DAY, HOUR, UsageEntry
from pacspace_stripe.ledger.rules.attribution import LATEST_ACCEPTANCE, Placement, placement, usage_window
from pacspace_stripe.ledger.rules.selection import Selection, UnclearRecords, named_meters, select
from pacspace_stripe.pacspace_api import ReconciliationApi
from pacspace_stripe.pacspace_api.balance import LARGEST_PAGE
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.vocabulary.invoices import Invoice, Subscription
from pacspace_stripe.vocabulary.ledger import LedgerDelta
from pacspace_stripe.vocabulary.policy import Attribution
from pacspace_stripe.vocabulary.windows import Window, floor_to

_MOST_PAGES = 5
"""Pages of 1,000 records each that are listed of one time at most."""
_SUMMARIES_PER_PAGE = 100
"""Days or hours in one answer of Stripe."""


class RecordsNotListed(Exception):
    """The records of a time cannot be listed; the message says why, for a person."""


class TooManyRecords(RecordsNotListed):
    """A time has more records than are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingScope:
    """The customer and prices that an invoice bills: of a real invoice, or of a subscription's coming one."""

    job_id: str
    """The invoice's id, or that of the early warning's job."""
    customer_id: str
    price_ids: frozenset[str]
    metadata: Mapping[str, str]
    """The subscription's, which may name the ledger account."""

    @classmethod
    def of_invoice(cls, invoice: Invoice) -> Self:
        return cls(
            job_id=invoice.invoice_id,
            customer_id=invoice.customer_id,
            price_ids=frozenset(line.price_id for line in invoice.line_items if line.price_id),
            metadata=invoice.subscription_metadata,
        )

    @classmethod
    def of_coming_invoice(cls, subscription: Subscription, job_id: str) -> Self:
        return cls(
            job_id=job_id,
            customer_id=subscription.customer_id,
            price_ids=frozenset(item.price.price_id for item in subscription.items),
            metadata=subscription.metadata,
        )

    def meter_ids(self, stripe: StripeApi) -> dict[str, str]:
        """Return the ids of the meters behind the prices, by event name. Raises RemoteError's children."""
        found: dict[str, str] = {}
        for price_id in sorted(self.price_ids):
            meter_id = stripe.price(price_id).meter_id
            if meter_id is not None:
                found[stripe.meter(meter_id).event_name] = meter_id
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterAccount:
    """Reader of both sides of one meter and customer. Every method raises RemoteError's children."""

    stripe: StripeApi
    ledger: ReconciliationApi
    meter: str
    meter_id: str
    customer_id: str
    account: str
    selection: Selection

    # -- Stripe ---------------------------------------------------------------------------------------------------

    def billed(self, window: Window) -> Decimal:
        """Return what Stripe counted in the whole minutes inside a window, the shortest times it takes (FACTS 4.3)."""
        minutes = window.inner_minutes
        return self.stripe.meter_usage(self.meter_id, self.customer_id, minutes) if minutes else Decimal(0)

    def billed_by_day(self, window: Window) -> dict[datetime, Decimal]:
        """Return billed usage by the start of each UTC day, or of a part of a day at an edge.

        Takes one request for 100 days, and one for each edge that cuts a day.
        """
        found: dict[datetime, Decimal] = {}
        for span in _spans(window, DAY):
            if span.end - span.start < DAY:
                found[span.start] = self.billed(span)
            else:
                by_day = self.stripe.meter_usage_by_day(self.meter_id, self.customer_id, span)
                found |= {datetime(on.year, on.month, on.day, tzinfo=span.start.tzinfo): by_day[on] for on in by_day}
        return found

    def billed_by_hour(self, window: Window) -> dict[datetime, Decimal]:
        """Return billed usage by the start of each hour, or of a part of an hour at an edge."""
        found: dict[datetime, Decimal] = {}
        for span in _spans(window, HOUR):
            if span.end - span.start < HOUR:
                found[span.start] = self.billed(span)
            else:
                found |= self.stripe.meter_usage_by_hour(self.meter_id, self.customer_id, span)
        return found

    # -- the ledger -----------------------------------------------------------------------------------------------

    def recorded(self, window: Window) -> tuple[Decimal, int]:
        """Return usage and number of all records of a window. Use it only for a selection that counts them all."""
        balance = self.ledger.derive(self.account, window)
        return self.selection.usage(balance.net), balance.count

    def entries(self, window: Window) -> tuple[UsageEntry, ...]:
        """Return the records that count. Raises RecordsNotListed."""
        deltas = self._deltas_used_in(window)
        others = self.selection.others | named_meters(deltas, self.selection)
        counted = select(deltas, window, replace(self.selection, others=others))
        if isinstance(counted, UnclearRecords):
            raise RecordsNotListed(counted.detail)
        return tuple(
            UsageEntry(
                quantity=self.selection.usage(delta.amount),
                accepted_at=delta.accepted_at,
                record_id=delta.record_id,
                reference_id=delta.reference_id,
                used=usage_window(delta),
            )
            for delta in counted.deltas
        )

    def _deltas_used_in(self, window: Window) -> list[LedgerDelta]:
        attribution = self.selection.attribution
        if attribution is Attribution.ACCEPTED:
            return self._deltas(window)
        # PacSpace selects by acceptance (CONTRACT 3.1), and usage may be accepted long after it happened.
        wide = self._deltas(Window(start=window.start, end=window.end + LATEST_ACCEPTANCE))
        return [delta for delta in wide if placement(delta, window, attribution) is Placement.INSIDE]

    def _deltas(self, window: Window) -> list[LedgerDelta]:
        """Return all records of a window, which is halved where PacSpace refuses so long a span."""
        try:
            return self._listed(window)
        except ScopeRefused:
            if window.halves is None:
                raise
        return [delta for half in window.halves for delta in self._deltas(half)]

    def _listed(self, window: Window) -> list[LedgerDelta]:
        found: list[LedgerDelta] = []
        for _ in range(_MOST_PAGES):
            count, page = self.ledger.page_of_deltas(self.account, window, offset=len(found))
            if count > _MOST_PAGES * LARGEST_PAGE:
                message = f"{count} records in {window}"
                raise TooManyRecords(message)
            found += page
            if len(found) >= count or not page:
                break
        return found


def _spans(window: Window, step: timedelta) -> Iterator[Window]:
    """Cut a window at the start of its first whole step, at the end of its last one, and every 100 steps between."""
    first = floor_to(window.start, step)
    first = first if first == window.start else first + step
    last = floor_to(window.end, step)
    if last <= first:
        cuts = [window.start, *([first] if window.start < first < window.end else []), window.end]
    else:
        whole = [first + step * place for place in range(0, (last - first) // step, _SUMMARIES_PER_PAGE)]
        cuts = sorted({window.start, *whole, last, window.end})
    for start, end in pairwise(cuts):
        yield Window(start=start, end=end)
