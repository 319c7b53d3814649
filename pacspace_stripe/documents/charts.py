"""What drifted, as a picture: explanations → the values that its template sees."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from pacspace_stripe.documents.days import DayValues, bars
from pacspace_stripe.documents.views import Day
from pacspace_stripe.documents.wording import moment, one_line
from pacspace_stripe.explain.rules.explanation import Explanation
from pacspace_stripe.explain.rules.explanation_text import figure, sentence

CHART_TEMPLATE = "drift_chart.typ"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartWindowValues:
    """One entry of `windows`."""

    meter: str
    """The meter's event name."""
    start: str
    """In UTC, like `2026-09-01 00:00`."""
    end: str
    """The same; not part of the window."""
    sentence: str
    """When, by how much and most likely why they differ, in English."""
    days: list[DayValues]
    """Both sides day by day."""
    days_zero: int
    """Where 0 is in the bars, in thousandths from the bottom; above 0 only when a day's usage is negative."""
    days_most: str
    """The largest figure of any day, thousands separated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartValues:
    """The picture of an invoice's drift, `explain --chart`: the keys of `data`. It has to stay one page."""

    invoice: str
    """Stripe's id of the invoice."""
    fonts: list[str]
    """Names of the font families in `PACSPACE_STRIPE_FONTS`, in order."""
    windows: list[ChartWindowValues]
    """One for each meter and period that drifted and whose days are known."""


def chart_values(invoice_id: str, explanations: Iterable[Explanation], *, fonts: list[str]) -> ChartValues:
    """Each text on one line. An explanation without days has no place in it."""
    windows = [_window(explanation) for explanation in explanations if explanation.days]
    return ChartValues(invoice=one_line(invoice_id), fonts=fonts, windows=windows)


def days_of(explanation: Explanation) -> tuple[Day, ...]:
    """Both sides day by day; empty when they are not known."""
    return tuple(Day(on=day.on, billed=day.billed, recorded=day.recorded) for day in explanation.days)


def _window(explanation: Explanation) -> ChartWindowValues:
    shown = bars(days_of(explanation))
    return ChartWindowValues(
        meter=one_line(explanation.meter),
        start=moment(explanation.window.start),
        end=moment(explanation.window.end),
        sentence=one_line(sentence(explanation)),
        days=shown.days,
        days_zero=shown.zero,
        days_most=figure(Decimal(shown.most)),
    )
