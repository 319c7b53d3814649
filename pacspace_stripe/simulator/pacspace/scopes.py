"""Time span of a request (CONTRACT 4): exclusive modes, half-open windows, UTC."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pacspace_stripe.simulator.pacspace.refusals import PacSpaceRefusal, invalid, scope_conflict

SCOPE_FIELDS = ("period", "timePreset", "startDate", "endDate")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeWindow:
    """A half-open span ``[start, end)``."""

    start: datetime
    end: datetime

    @property
    def period(self) -> str | None:
        """Return ``YYYY-MM`` if the span is one calendar month."""
        whole = self.start == months_after(self.start, 0) and self.end == months_after(self.start, 1)
        return f"{self.start:%Y-%m}" if whole else None

    def covers(self, at: datetime) -> bool:
        return self.start <= at < self.end

    def within(self, other: "ScopeWindow") -> bool:
        return other.start <= self.start and self.end <= other.end


def month_of(at: datetime) -> ScopeWindow:
    """Return the UTC month that holds ``at``."""
    start = datetime(at.year, at.month, 1, tzinfo=UTC)
    return ScopeWindow(start=start, end=months_after(start, 1))


def months_after(at: datetime, months: int) -> datetime:
    """Return the first instant of the month that lies ``months`` after the month of ``at``."""
    year, month = divmod(at.year * 12 + at.month - 1 + months, 12)
    return datetime(year, month + 1, 1, tzinfo=UTC)


def instant(text: Any, name: str) -> datetime:
    """Return the time that an ISO 8601 date or time says; without an offset it is UTC."""
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        message = f"{name} must be a valid ISO 8601 date string"
        raise invalid(message) from None


def asked_window(asked: Mapping[str, Any], now: datetime, max_months: int) -> ScopeWindow | None:
    """Return the window that a request names; None when it names none."""
    period, preset, start, end = (asked.get(name) for name in SCOPE_FIELDS)
    if asked.get("startingCheckpoint") is not None and any((period, preset, start, end)):
        message = "Choose either a checkpoint or a time scope for this request."
        raise scope_conflict(message)
    if period is not None:
        return _month_asked(period, alone=preset is start is end is None)
    if preset == "current_month":
        return _current_month(now, alone=start is end is None)
    if preset not in {None, "custom"}:
        message = "timePreset must be one of: current_month, custom"
        raise invalid(message)
    if preset is start is end is None:
        return None
    return _custom(start, end, max_months)


def resolved_window(asked: Mapping[str, Any], now: datetime, max_months: int) -> ScopeWindow:
    """Return the window that a request names, or the current UTC month."""
    return asked_window(asked, now, max_months) or month_of(now)


def _month_asked(period: Any, *, alone: bool) -> ScopeWindow:
    if not alone:
        message = "period cannot be combined with timePreset, startDate, or endDate."
        raise scope_conflict(message)
    if not isinstance(period, str) or not re.fullmatch(r"[12]\d{3}-(0[1-9]|1[0-2])", period):
        message = "period must be in YYYY-MM format"
        raise invalid(message)
    return month_of(datetime(int(period[:4]), int(period[5:]), 1, tzinfo=UTC))


def _current_month(now: datetime, *, alone: bool) -> ScopeWindow:
    if not alone:
        message = "startDate/endDate can only be used when timePreset is 'custom' or omitted."
        raise scope_conflict(message)
    return month_of(now)


def _custom(start: Any, end: Any, max_months: int) -> ScopeWindow:
    if start is None or end is None:
        message = "startDate and endDate must be provided together."
        raise scope_conflict(message)
    window = ScopeWindow(start=instant(start, "startDate"), end=instant(end, "endDate"))
    if window.end <= window.start:
        message = "endDate must be after startDate"
        raise invalid(message)
    months = (window.end.year - window.start.year) * 12 + window.end.month - window.start.month
    if (months, window.end.replace(year=2000, month=1)) > (max_months, window.start.replace(year=2000, month=1)):
        message = f"Scope window is too wide for a single request (at most {max_months} months)."
        raise PacSpaceRefusal(400, message, "SCOPE_TOO_WIDE")
    return window
