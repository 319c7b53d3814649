"""Both sides' usage day by day: Stripe's meter summaries and PacSpace's records, if they add up to the evidence.

Daily figures explain and prove nothing, so nothing is written anywhere for them, and a few requests must be enough.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from pacspace_stripe.documents.views import Day
from pacspace_stripe.errors import RemoteError
from pacspace_stripe.evidence.rules import document as evidence
from pacspace_stripe.ledger.rules.attribution import usage_time
from pacspace_stripe.ledger.rules.selection import Selection, UnclearRecords, name_of, named_meters, select
from pacspace_stripe.pacspace_api import ReconciliationApi
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.vocabulary.invoices import Formula, Invoice, Meter
from pacspace_stripe.vocabulary.ledger import LedgerDelta
from pacspace_stripe.vocabulary.quantities import equal, total
from pacspace_stripe.vocabulary.windows import Window, floor_to

_DAY = timedelta(days=1)
_MOST_DAYS = 366
_MOST_RECORDS = 5000
_ZERO = Decimal(0)


class NoDailyFigures(Exception):
    """The reason why a statement has no daily figures, for a person."""


def daily_figures(
    stripe: StripeApi, ledger: ReconciliationApi, invoice: Invoice, window: dict[str, Any], policy: Mapping[str, str]
) -> tuple[Day, ...]:
    """Return the days of an evidence window in order, also those without usage; empty when one figure is not known.

    Raises NoDailyFigures when one side has no daily figures, or they do not add up to what was compared.
    """
    span = _comparable_span(window)
    if span is None:
        return ()
    try:
        billed = _billed(stripe, invoice, window["meter"], span)
        recorded = _recorded(ledger, window, span, Selection.of(evidence.choices(policy), window["meter"]))
    except RemoteError as error:
        raise NoDailyFigures(str(error)) from error
    for by_day, figure, source in ((billed, "billed", "Stripe's meter"), (recorded, "recorded", "PacSpace's records")):
        if not equal(total(by_day.values()), Decimal(window[figure])):
            message = f"{source} of {window['meter']} no longer add up to what was compared"
            raise NoDailyFigures(message)
    days, on = [], span.start.date()
    while datetime(on.year, on.month, on.day, tzinfo=UTC) < span.end:
        days.append(Day(on=on, billed=billed.get(on, _ZERO), recorded=recorded.get(on, _ZERO)))
        on += _DAY
    return tuple(days)


def _comparable_span(window: dict[str, Any]) -> Window | None:
    """Return the window's span; None unless both sides' figures are known and there are records."""
    unknown = any(window[name] is None for name in ("account", "start", "end", "billed", "recorded"))
    if unknown or not window["count"]:
        return None
    span = _span(window)
    for refused, message in (
        (window.get("record"), "records of the settlement ledger have none"),
        (window["count"] > _MOST_RECORDS, f"more than {_MOST_RECORDS} records"),
        (span.end - span.start > _MOST_DAYS * _DAY, f"more than {_MOST_DAYS} days"),
    ):
        if refused:
            raise NoDailyFigures(message)
    return span


def _span(bounds: Mapping[str, Any]) -> Window:
    return Window(start=datetime.fromisoformat(bounds["start"]), end=datetime.fromisoformat(bounds["end"]))


def _billed(stripe: StripeApi, invoice: Invoice, event_name: str, span: Window) -> dict[date, Decimal]:
    """Return the usage that Stripe's meter counted, by UTC day.

    Stripe sums whole UTC days in one request; the pieces before the first and after the last midnight take one each.
    """
    meter = _meter(stripe, invoice, event_name)
    span = span.outer_minutes
    last = floor_to(span.end, _DAY)
    first = floor_to(span.start - timedelta(microseconds=1), _DAY) + _DAY
    cuts = sorted({span.start, span.end} | {cut for cut in (first, last) if span.start < cut < span.end})
    found: dict[date, Decimal] = {}
    for start, end in pairwise(cuts):
        piece = Window(start=start, end=end)
        if end - start >= _DAY:
            found |= stripe.meter_usage_by_day(meter.meter_id, invoice.customer_id, piece)
        else:
            found[start.date()] = stripe.meter_usage(meter.meter_id, invoice.customer_id, piece)
    return found


def _meter(stripe: StripeApi, invoice: Invoice, event_name: str) -> Meter:
    """Return the meter behind the invoice's lines. Raises NoDailyFigures for a meter whose days do not add up."""
    prices = [stripe.price(price_id) for price_id in {line.price_id for line in invoice.line_items} if price_id]
    meters = [stripe.meter(meter_id) for meter_id in {price.meter_id for price in prices} if meter_id]
    for meter in meters:
        if meter.event_name == event_name and meter.formula in (Formula.SUM, Formula.COUNT):
            return meter
    message = f"{event_name} is no meter whose days add up"
    raise NoDailyFigures(message)


def _recorded(
    ledger: ReconciliationApi, window: dict[str, Any], span: Window, selection: Selection
) -> dict[date, Decimal]:
    """Return the usage of the records that count, by the UTC day of the clock that places them."""
    _, deltas = ledger.listed(window["account"], _span(window.get("selection") or window))
    within = [delta for delta in deltas if delta.accepted_at < span.end]
    later = [delta for delta in deltas if delta.accepted_at >= span.end]
    counted = select(within, span, replace(selection, others=named_meters(deltas, selection)), later=later)
    if isinstance(counted, UnclearRecords):
        raise NoDailyFigures(counted.detail)
    found: defaultdict[date, Decimal] = defaultdict(Decimal)
    for delta in counted.deltas:
        found[_day_of(delta, selection)] += selection.usage(delta.amount)
    return found


def _day_of(delta: LedgerDelta, selection: Selection) -> date:
    span = usage_time(delta, selection.attribution)
    if span is None:
        return delta.accepted_at.astimezone(UTC).date()
    if span.end > floor_to(span.start, _DAY) + _DAY:
        message = f"{name_of(delta)} is usage of more than one day"
        raise NoDailyFigures(message)
    return span.start.date()
