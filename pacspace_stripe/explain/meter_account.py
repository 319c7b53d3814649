"""One meter of one customer, and where the ledger keeps it: both sides' figures of any time."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from pacspace_stripe.errors import ScopeRefused
from pacspace_stripe.explain.rules.drift_location import DAY, HOUR, Entry
from pacspace_stripe.ledger.rules.attribution import LATEST_ACCEPTANCE, placement, usage_window
from pacspace_stripe.ledger.rules.attribution import Placement as Where
from pacspace_stripe.ledger.rules.selection import Selection, UnclearRecords, named_meters, select
from pacspace_stripe.pacspace_api import PacSpaceApi
from pacspace_stripe.pacspace_api.balance import LARGEST_PAGE
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.vocabulary.ledger import LedgerDelta
from pacspace_stripe.vocabulary.policy import Attribution
from pacspace_stripe.vocabulary.windows import Window, floor_to

_MOST_PAGES = 5
"""Answers, of 1,000 records each, that one look at a time lists at most."""
_ROWS = 100


class Unlisted(Exception):
    """Why the records of a time are not listed, for a person."""


class TooMany(Unlisted):
    """There are more of them than one look lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Reads only; raises RemoteError's children."""

    stripe: StripeApi
    ledger: PacSpaceApi
    meter: str
    meter_id: str
    customer_id: str
    account: str
    selection: Selection

    # -- Stripe ---------------------------------------------------------------------------------------------------

    def counted(self, window: Window) -> Decimal:
        """What Stripe counted in the whole minutes inside a window."""
        minutes = window.inner_minutes
        return self.stripe.meter_usage(self.meter_id, self.customer_id, minutes) if minutes else Decimal(0)

    def counted_by_day(self, window: Window) -> dict[datetime, Decimal]:
        """By the start of each UTC day, or of the part of one at an edge: a call for 100 days, and one an edge."""
        found: dict[datetime, Decimal] = {}
        for piece in _pieces(window, DAY):
            if piece.end - piece.start < DAY:
                found[piece.start] = self.counted(piece)
            else:
                by_day = self.stripe.meter_usage_by_day(self.meter_id, self.customer_id, piece)
                found |= {datetime(on.year, on.month, on.day, tzinfo=piece.start.tzinfo): by_day[on] for on in by_day}
        return found

    def counted_by_hour(self, window: Window) -> dict[datetime, Decimal]:
        """By the start of each hour, or of the part of one at an edge."""
        found: dict[datetime, Decimal] = {}
        for piece in _pieces(window, HOUR):
            if piece.end - piece.start < HOUR:
                found[piece.start] = self.counted(piece)
            else:
                found |= self.stripe.meter_usage_by_hour(self.meter_id, self.customer_id, piece)
        return found

    # -- the ledger -----------------------------------------------------------------------------------------------

    def net(self, window: Window) -> tuple[Decimal, int]:
        """Usage and number of all records of a time, where all of them count."""
        balance = self.ledger.derive(self.account, window)
        return self.selection.usage(balance.net), balance.count

    def entries(self, window: Window) -> tuple[Entry, ...]:
        """The records that count. Raises Unlisted."""
        deltas = self._deltas_used_in(window)
        others = self.selection.others | named_meters(deltas, self.selection)
        counted = select(deltas, window, replace(self.selection, others=others))
        if isinstance(counted, UnclearRecords):
            raise Unlisted(counted.detail)
        return tuple(self._entry(delta) for delta in counted.deltas)

    def _deltas_used_in(self, window: Window) -> list[LedgerDelta]:
        """By usage time, of a longer time: usage may be accepted after it happened."""
        attribution = self.selection.attribution
        if attribution is Attribution.ACCEPTED:
            return self._deltas(window)
        wide = self._deltas(Window(start=window.start, end=window.end + LATEST_ACCEPTANCE))
        return [delta for delta in wide if placement(delta, window, attribution) is Where.INSIDE]

    def _entry(self, delta: LedgerDelta) -> Entry:
        return Entry(
            quantity=self.selection.usage(delta.amount),
            accepted_at=delta.accepted_at,
            record_id=delta.record_id,
            reference_id=delta.reference_id,
            used=usage_window(delta),
        )

    def _deltas(self, window: Window) -> list[LedgerDelta]:
        """All of a time; in halves where it is wider than PacSpace looks at in one request."""
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
                raise TooMany(message)
            found += page
            if len(found) >= count or not page:
                break
        return found


def _pieces(window: Window, step: timedelta) -> Iterator[Window]:
    """The window, cut where its first whole step begins and its last one ends; whole steps at most 100 at a time."""
    first = floor_to(window.start, step)
    first = first if first == window.start else first + step
    last = floor_to(window.end, step)
    if last <= first:
        cuts = [window.start, *([first] if window.start < first < window.end else []), window.end]
    else:
        whole = [first + step * place for place in range(0, (last - first) // step, _ROWS)]
        cuts = sorted({window.start, *whole, last, window.end})
    for start, end in pairwise(cuts):
        yield Window(start=start, end=end)
