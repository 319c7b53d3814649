"""Explanations to put into words, forms and tables."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from pacspace_stripe.explain.rules.explanation import Cause, DayFigures, Explanation, LocatedPart, LocatedRecord, Side
from pacspace_stripe.vocabulary.windows import Window

OCTOBER = Window(start=datetime(2026, 10, 1, tzinfo=UTC), end=datetime(2026, 11, 1, tzinfo=UTC))
HOUR = Window(start=datetime(2026, 10, 17, 14, tzinfo=UTC), end=datetime(2026, 10, 17, 15, tzinfo=UTC))


def record(number: int, quantity: str = "100") -> LocatedRecord:
    return LocatedRecord(
        side=Side.LEDGER,
        quantity=Decimal(quantity),
        at=HOUR.start + timedelta(minutes=number),
        record_id=f"rec_{number}",
        reference_id=f"usage-2026-10-17-{number}",
    )


def part(
    window: Window = HOUR, *, billed: str, recorded: str, records: int = 0, meter: str = "api_calls"
) -> LocatedPart:
    return LocatedPart(
        window=window,
        meter=meter,
        billed=Decimal(billed),
        recorded=Decimal(recorded),
        records=tuple(record(number) for number in range(records)),
    )


TWICE = Explanation(
    account="cus_acme",
    meter="api_calls",
    window=OCTOBER,
    billed=Decimal(1031400),
    recorded=Decimal(1000000),
    cause=Cause.TWICE_IN_STRIPE,
    located=(part(billed="62800", recorded="31400", records=3),),
    days=tuple(
        DayFigures(
            on=date(2026, 10, 1 + number),
            billed=Decimal(number * 1000 + (31400 if number == 16 else 0)),
            recorded=Decimal(number * 1000),
        )
        for number in range(31)
    ),
    calls=17,
    notes=("PacSpace did not answer for 3 October",),
)
"""Three records of one hour, counted twice by Stripe."""


def explained(cause: Cause, *, billed: str = "110", recorded: str = "100", records: int = 0) -> Explanation:
    """Return an explanation of this cause, with all of the difference in one hour."""
    located = (part(billed=billed, recorded=recorded, records=records),)
    figures = replace(TWICE, billed=Decimal(billed), recorded=Decimal(recorded))
    return replace(figures, cause=cause, located=located, days=(), notes=())
