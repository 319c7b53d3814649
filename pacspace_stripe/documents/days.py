"""A window's days → bars: exact figures, and heights on one scale."""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from pacspace_stripe.documents.views import Day
from pacspace_stripe.documents.wording import figure
from pacspace_stripe.vocabulary.quantities import equal

_WHOLE = 1000
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayValues:
    """One entry of `days`."""

    date: str
    """Like `2026-09-01`, in UTC."""
    billed: str | None
    """Usage of the day in the meter's unit, its exact digits; none when the billing system could not say."""
    recorded: str | None
    """The same of the ledger."""
    billed_height: int | None
    """In thousandths of the room between the least and the most of all days, both sides, and 0; rounded."""
    recorded_height: int | None
    """The same of the ledger."""
    differs: bool
    """Whether both are known and not equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """All days of a window, and the scale that they share."""

    days: list[DayValues]
    zero: int
    """Where 0 is, in thousandths from the bottom: above 0 only when a day's usage is negative."""
    most: str
    """The largest figure of any day."""


def bars(days: tuple[Day, ...]) -> Bars:
    """Of no days, no bars."""
    known = [quantity for day in days for quantity in (day.billed, day.recorded) if quantity is not None]
    least, most = min([_NOTHING, *known]), max([_NOTHING, *known])
    room = most - least
    return Bars(
        days=[
            DayValues(
                date=day.on.isoformat(),
                billed=figure(day.billed),
                recorded=figure(day.recorded),
                billed_height=_height(day.billed, room),
                recorded_height=_height(day.recorded, room),
                differs=day.billed is not None and day.recorded is not None and not equal(day.billed, day.recorded),
            )
            for day in days
        ],
        zero=_height(-least, room) or 0,
        most=figure(max(known, default=_NOTHING)) or "0",
    )


def _height(quantity: Decimal | None, room: Decimal) -> int | None:
    if quantity is None:
        return None
    return int((quantity * _WHOLE / room).to_integral_value(ROUND_HALF_EVEN)) if room else 0
