"""The clock that places a delta in a window: the usage time that the delta names itself, or its acceptance. Pure.

PacSpace knows acceptance only (CONTRACT 4). Its metering example records each day after that day has ended, and names
the day in the record (CONTRACT 1.8). With ``Attribution.AUTO`` such a summary is placed by the time that it names:

* ``summaryWindowStart`` and ``summaryWindowEnd`` in its metadata are its usage time. A summary that was sent before its
  window ended covers the part up to its acceptance.
* A date in its ``referenceId``, else in its ``reason``, is its usage day if PacSpace accepted it after that day ended.
  A record accepted on that day (or, for local dates, on the day before) is no summary of it: acceptance places it.
* A date that is more than ``LATEST_ACCEPTANCE`` before acceptance, or a time more than a day after it, contradicts
  acceptance. If the two then disagree about a window, the record's place is unknown.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from pacspace_stripe.vocabulary.ledger import LedgerDelta
from pacspace_stripe.vocabulary.policy import Attribution
from pacspace_stripe.vocabulary.windows import Window

LATEST_ACCEPTANCE = timedelta(days=35)
"""Longest time between usage and its record's acceptance: Stripe takes meter events that old (FACTS 4.5)."""
_DATE = re.compile(r"(?<![0-9-])[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9-])")
_DAY = timedelta(days=1)


class Placement(StrEnum):
    """The position of a delta's usage relative to a window."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    ACROSS = "across"
    """The usage time crosses a bound: an unknown part of the usage is inside."""
    CONTRADICTED = "contradicted"
    """The record's own time and its acceptance lie far apart and disagree about this window (auto only)."""


def placement(delta: LedgerDelta, window: Window, attribution: Attribution, *, listed: bool | None = None) -> Placement:
    """Return where the clock of ``attribution`` puts a delta.

    ``listed``: whether PacSpace itself places the delta in the window; None: judge by ``accepted_at``.
    """
    accepted = window.start <= delta.accepted_at < window.end if listed is None else listed
    by_acceptance = Placement.INSIDE if accepted else Placement.OUTSIDE
    span = usage_time(delta, attribution)
    if span is None:
        return by_acceptance
    if window.start <= span.start and span.end <= window.end:
        by_usage = Placement.INSIDE
    elif span.end <= window.start or window.end <= span.start:
        by_usage = Placement.OUTSIDE
    else:
        by_usage = Placement.ACROSS
    contradicted = attribution is Attribution.AUTO and by_usage is not by_acceptance and _contradicts(delta)
    return Placement.CONTRADICTED if contradicted else by_usage


def usage_time(delta: LedgerDelta, attribution: Attribution) -> Window | None:
    """Return the usage time that places a delta under ``attribution``; None if its acceptance places it."""
    match attribution:
        case Attribution.ACCEPTED:
            return None
        case Attribution.USAGE_TIME:
            return usage_window(delta)
        case Attribution.AUTO:
            at, stated = delta.accepted_at, _summary_window(delta.metadata)
            if stated is not None:
                return Window(start=stated.start, end=at) if stated.start < at < stated.end else stated
            day = _named_day(delta)
            return None if day is None or day.start - _DAY <= at < day.end else day


def _contradicts(delta: LedgerDelta) -> bool:
    """Return whether the time that a delta names is too far from its acceptance to be its usage time."""
    stated = _summary_window(delta.metadata)
    span = stated or _named_day(delta)
    if span is None:
        return False
    too_late = stated is None and delta.accepted_at - span.end > LATEST_ACCEPTANCE
    return too_late or span.start - delta.accepted_at > _DAY


def usage_window(delta: LedgerDelta) -> Window | None:
    """Return when the usage of a delta happened, as the delta itself names it; None if it names no time.

    That is ``metadata.summaryWindowStart`` and ``…End`` (CONTRACT 3.2), else the one UTC day that the ``referenceId``
    names, else the ``reason``. PacSpace recommends ``usage:{customerId}:{YYYY-MM-DD}`` (CONTRACT 1.7). Malformed values
    count as absent.
    """
    return _summary_window(delta.metadata) or _named_day(delta)


def _summary_window(metadata: Mapping[str, object]) -> Window | None:
    start, end = _moment(metadata.get("summaryWindowStart")), _moment(metadata.get("summaryWindowEnd"))
    return Window(start=start, end=end) if start is not None and end is not None and start < end else None


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
        return at.astimezone(UTC) if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _named_day(delta: LedgerDelta) -> Window | None:
    return _day_in(delta.reference_id or "") or _day_in(delta.reason or "")


def _day_in(value: str) -> Window | None:
    """Return the UTC day that a text names; None if it names none, or several different ones."""
    days: set[date] = set()
    for found in _DATE.findall(value):
        try:
            days.add(date.fromisoformat(found))
        except ValueError:
            continue
    # The first and the last day of the calendar have no neighbours to compare with.
    days -= {date.min, date.max}
    if len(days) != 1:
        return None
    day = days.pop()
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Window(start=start, end=start + _DAY)
