"""Daily figures as bars, and the chart of an invoice's drift that ``explain --chart`` draws of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from pacspace_stripe.documents.plain_text import figure, moment, one_line
from pacspace_stripe.documents.views import Day, days_of
from pacspace_stripe.explain.rules import explanation_text
from pacspace_stripe.explain.rules.explanation import Explanation
from pacspace_stripe.explain.rules.explanation_text import sentence
from pacspace_stripe.vocabulary.quantities import equal

CHART_TEMPLATE = "drift_chart.typ"
_WHOLE = 1000
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayValues:
    """One entry of `days`."""

    date: str
    """The day in UTC, like `2026-09-01`."""
    billed: str | None
    """Usage billed that day, in the meter's unit, its exact digits; none when the billing system could not say."""
    recorded: str | None
    """Usage recorded that day, in the meter's unit, its exact digits; none when the ledger could not say."""
    billed_height: int | None
    """Height of the bar, in thousandths of the range from the least to the most of all days, both sides, and 0."""
    recorded_height: int | None
    """Height of the bar for the ledger, on the same scale; like `billed_height` none when the figure is."""
    differs: bool
    """True when both are known and not equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyBars:
    """All days of a window, and the scale that they share."""

    days: list[DayValues]
    zero: int
    """Position of 0, in thousandths from the bottom: above 0 only when a day's usage is negative."""
    most: str
    """The largest figure of any day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartWindowValues:
    """One entry of `windows`."""

    meter: str
    """The meter's event name."""
    start: str
    """Start of the period in UTC, like `2026-09-01 00:00`."""
    end: str
    """End of the period, which is not part of it."""
    sentence: str
    """Time, size and likely cause of the difference, in English."""
    days: list[DayValues]
    """Both sides day by day."""
    days_zero: int
    """Position of 0 in the bars, in thousandths from the bottom; above 0 only when a day's usage is negative."""
    days_most: str
    """The largest figure of any day, with thousands separated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartValues:
    """The picture of an invoice's drift, `explain --chart`: the keys of `data`. It has to stay one page."""

    invoice: str
    """Stripe's id of the invoice."""
    fonts: list[str]
    """Names of the font families in `PACSPACE_STRIPE_FONTS`, in order."""
    windows: list[ChartWindowValues]
    """One for each meter and period that drifted and whose days are known."""


def bars(days: tuple[Day, ...]) -> DailyBars:
    """Return exact figures and bar heights on one scale; no bars for no days."""
    # Both sides share one scale, which includes 0: a bar is never cut off at its foot.
    known = [quantity for day in days for quantity in (day.billed, day.recorded) if quantity is not None]
    least, most = min([_ZERO, *known]), max([_ZERO, *known])
    span = most - least
    return DailyBars(
        days=[
            DayValues(
                date=day.on.isoformat(),
                billed=figure(day.billed),
                recorded=figure(day.recorded),
                billed_height=None if day.billed is None else _height(day.billed, span),
                recorded_height=None if day.recorded is None else _height(day.recorded, span),
                differs=day.billed is not None and day.recorded is not None and not equal(day.billed, day.recorded),
            )
            for day in days
        ],
        zero=_height(-least, span),
        most=figure(max(known, default=_ZERO)) or "0",
    )


def _height(quantity: Decimal, span: Decimal) -> int:
    return int((quantity * _WHOLE / span).to_integral_value(ROUND_HALF_EVEN)) if span else 0


def chart_values(invoice_id: str, explanations: Iterable[Explanation], *, fonts: list[str]) -> ChartValues:
    """Return what the chart's template sees, each text on one line. Explanations without days are left out."""
    windows = []
    for explanation in explanations:
        if not explanation.days:
            continue
        daily = bars(days_of(explanation))
        window = ChartWindowValues(
            meter=one_line(explanation.meter),
            start=moment(explanation.window.start),
            end=moment(explanation.window.end),
            sentence=one_line(sentence(explanation)),
            days=daily.days,
            days_zero=daily.zero,
            days_most=explanation_text.figure(Decimal(daily.most)),
        )
        windows.append(window)
    return ChartValues(invoice=one_line(invoice_id), fonts=fonts, windows=windows)
