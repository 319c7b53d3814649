"""Meter events that Stripe accepted and rejected later, as its reports tell: values, and what they explain. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pacspace_stripe.explain.rules.explanation import Cause, Explanation, Rejection
from pacspace_stripe.vocabulary.windows import Window

AFTERWARDS = timedelta(days=1)
"""Time after a period in which Stripe may still check its events: a day's usage is often sent after that day."""
_EXPLAINED = (Cause.NOT_IN_STRIPE, Cause.UNEXPLAINED, Cause.REJECTED_BY_STRIPE)
"""Causes that a rejection makes more precise; any other one was seen in the figures themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionReport:
    """One event of Stripe about rejected meter events. ``meter_id`` is None where Stripe found no meter."""

    event_id: str
    at: datetime
    meter_id: str | None
    rejections: tuple[Rejection, ...]
    """One per error code; their meter is not named yet."""


def checked_while(window: Window) -> Window:
    """Return when Stripe checked the meter events of a period, as far as that can be said."""
    return Window(start=window.start, end=window.end + AFTERWARDS)


def with_rejections(explanation: Explanation, known: Iterable[Rejection]) -> Explanation:
    """Return the explanation with what Stripe rejected of its meter and time, where Stripe has less than the ledger."""
    if explanation.billed >= explanation.recorded:
        return explanation
    checked = checked_while(explanation.window)
    found = tuple(
        one
        for one in known
        if one.meter in (None, explanation.meter) and one.start < checked.end and checked.start < one.end
    )
    if not found:
        return explanation
    cause = Cause.REJECTED_BY_STRIPE if explanation.cause in _EXPLAINED else explanation.cause
    return replace(explanation, cause=cause, rejections=found)
