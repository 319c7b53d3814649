"""Both sides day by day: Stripe's meter summaries and PacSpace's records, if they add up to the evidence's figures.

Nothing is written anywhere for it, and no more than a few requests are made: daily figures explain, they prove nothing.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from pacspace_stripe.app import App
from pacspace_stripe.documents.views import Day
from pacspace_stripe.errors import RemoteError
from pacspace_stripe.evidence.rules import document as evidence
from pacspace_stripe.ledger.rules.attribution import usage_time
from pacspace_stripe.ledger.rules.selection import Selection, UnclearRecords, name_of, named_meters, select
from pacspace_stripe.vocabulary.invoices import Formula, Invoice, Meter
from pacspace_stripe.vocabulary.ledger import LedgerDelta
from pacspace_stripe.vocabulary.quantities import equal, total
from pacspace_stripe.vocabulary.windows import Window, floor_to

_DAY = timedelta(days=1)
_MOST_DAYS = 366
_MOST_RECORDS = 5000
_NOTHING = Decimal(0)


class LeftOut(Exception):
    """Why a statement has no daily figures, for a person."""


def daily_figures(app: App, invoice: Invoice, window: dict[str, Any], policy: Mapping[str, str]) -> tuple[Day, ...]:
    """The window's days in order, those without usage too; none for a window that nothing was compared in.

    Raises LeftOut when one side has no daily figures, or they are not what was compared.
    """
    span = _comparable(window)
    if span is None:
        return ()
    meter = _meter(app, invoice, window["meter"])
    try:
        billed = _billed(app, invoice.customer_id, meter, span)
        recorded = _recorded(app, window, span, Selection.of(evidence.choices(policy), window["meter"]))
    except RemoteError as error:
        raise LeftOut(str(error)) from error
    for by_day, figure, whose in ((billed, "billed", "Stripe's meter"), (recorded, "recorded", "PacSpace's records")):
        if not equal(total(by_day.values()), Decimal(window[figure])):
            message = f"{whose} of {window['meter']} no longer add up to what was compared"
            raise LeftOut(message)
    return tuple(
        Day(on=on, billed=billed.get(on, _NOTHING), recorded=recorded.get(on, _NOTHING)) for on in _dates(span)
    )


def _comparable(window: dict[str, Any]) -> Window | None:
    """The window's span, if it has figures of both sides that can be split by day."""
    unknown = any(window[name] is None for name in ("account", "start", "end", "billed", "recorded"))
    if unknown or not window["count"]:
        return None
    if window.get("record"):
        message = "records of the settlement ledger have none"
        raise LeftOut(message)
    if window["count"] > _MOST_RECORDS:
        message = f"more than {_MOST_RECORDS} records"
        raise LeftOut(message)
    span = _span(window)
    if span.end - span.start > _MOST_DAYS * _DAY:
        message = f"more than {_MOST_DAYS} days"
        raise LeftOut(message)
    return span


def _span(bounds: Mapping[str, Any]) -> Window:
    return Window(start=datetime.fromisoformat(bounds["start"]), end=datetime.fromisoformat(bounds["end"]))


def _meter(app: App, invoice: Invoice, event_name: str) -> Meter:
    """The meter behind the invoice's lines."""
    try:
        prices = [app.stripe.price(price_id) for price_id in {line.price_id for line in invoice.line_items} if price_id]
        meters = [app.stripe.meter(meter_id) for meter_id in {price.meter_id for price in prices} if meter_id]
    except RemoteError as error:
        raise LeftOut(str(error)) from error
    for meter in meters:
        if meter.event_name == event_name and meter.formula in (Formula.SUM, Formula.COUNT):
            return meter
    message = f"{event_name} is no meter whose days add up"
    raise LeftOut(message)


def _billed(app: App, customer_id: str, meter: Meter, span: Window) -> dict[date, Decimal]:
    """Stripe sums whole UTC days; the pieces before the first and after the last are asked for one by one."""
    outer = span.outer_minutes
    found: dict[date, Decimal] = {}
    for piece in _pieces(outer):
        if piece.end - piece.start >= _DAY:
            found |= app.stripe.meter_usage_by_day(meter.meter_id, customer_id, piece)
        else:
            found[piece.start.date()] = app.stripe.meter_usage(meter.meter_id, customer_id, piece)
    return found


def _pieces(span: Window) -> Iterator[Window]:
    """The span, cut at its first and its last midnight."""
    last = floor_to(span.end, _DAY)
    first = floor_to(span.start - timedelta(microseconds=1), _DAY) + _DAY
    cuts = sorted({span.start, span.end} | {cut for cut in (first, last) if span.start < cut < span.end})
    for start, end in pairwise(cuts):
        yield Window(start=start, end=end)


def _recorded(app: App, window: dict[str, Any], span: Window, selection: Selection) -> dict[date, Decimal]:
    """PacSpace's records that count, by the UTC day of the clock that places them."""
    _, deltas = app.ledger.listed(window["account"], _span(window.get("selection") or window))
    within = [delta for delta in deltas if delta.accepted_at < span.end]
    later = [delta for delta in deltas if delta.accepted_at >= span.end]
    counted = select(within, span, replace(selection, others=named_meters(deltas, selection)), later=later)
    if isinstance(counted, UnclearRecords):
        raise LeftOut(counted.detail)
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
        raise LeftOut(message)
    return span.start.date()


def _dates(span: Window) -> Iterator[date]:
    on = span.start.date()
    while datetime(on.year, on.month, on.day, tzinfo=UTC) < span.end:
        yield on
        on += _DAY
