"""What a drift comes from, as far as both sides' figures tell: values only."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from pacspace_stripe.vocabulary.windows import Window


class Cause(StrEnum):
    """What most likely went wrong. Never a verdict: the figures decide, the cause explains."""

    NOT_IN_STRIPE = "not_in_stripe"
    """Recorded in the ledger, never counted by Stripe's meter."""
    REJECTED_BY_STRIPE = "rejected_by_stripe"
    """Recorded in the ledger; Stripe accepted its meter events and rejected them later: ``rejections`` say why."""
    NOT_IN_LEDGER = "not_in_ledger"
    """Counted by Stripe's meter, never recorded in the ledger."""
    TWICE_IN_STRIPE = "twice_in_stripe"
    TWICE_IN_LEDGER = "twice_in_ledger"
    WRONG_CUSTOMER = "wrong_customer"
    """One side has it under another customer: ``counterpart`` names that one's ledger account."""
    WRONG_METER = "wrong_meter"
    """One side has it under another meter: ``counterpart`` names that one."""
    WRONG_SIGN = "wrong_sign"
    UNIT_FACTOR = "unit_factor"
    """One side's figures are the other's times ``factor``."""
    RECORDED_LATE = "recorded_late"
    """The ledger accepted it after the window's end, beyond the slack at its edge."""
    PERIOD_EDGE = "period_edge"
    """The two sides place the same usage on different sides of the window's edge."""
    TRUNCATED_DECIMALS = "truncated_decimals"
    """One side dropped what comes after the point."""
    EVENT_TIME_WINDOW = "event_time_window"
    """Stripe's meter counts only the newest event of each hour or day, and the ledger has the others too."""
    UNEXPLAINED = "unexplained"
    """The figures differ there, and nothing they show tells why."""


class Side(StrEnum):
    """Whose record it is."""

    STRIPE = "stripe"
    LEDGER = "ledger"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocatedRecord:
    """One record that makes the difference. Stripe lists no single meter events, so its side names no ids."""

    side: Side
    """Where it is; the other side lacks it or has it differently."""
    quantity: Decimal
    """Usage in the meter's unit."""
    at: datetime | None
    """When the ledger accepted it; None on Stripe's side, where only the hour is known."""
    record_id: str | None = None
    reference_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A part of the window where the two sides differ."""

    window: Window
    meter: str
    billed: Decimal
    """Stripe's usage in that part, in the meter's unit."""
    recorded: Decimal
    """The ledger's usage in that part, same unit."""
    records: tuple[LocatedRecord, ...] = ()
    cause: Cause | None = None
    """Why it differs there, where that is not why most of it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayFigures:
    """Both sides on one UTC day."""

    on: date
    billed: Decimal
    recorded: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedSample:
    """One rejected meter event: the identifier it was sent with, and Stripe's words about it."""

    identifier: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Meter events that Stripe rejected with one error code, as one event of Stripe's tells."""

    event_id: str
    at: datetime
    """When Stripe told it."""
    meter: str | None
    """The meter's event name, or its id where that could not be read; None when Stripe found no meter."""
    start: datetime
    """Stripe checked the meter events from here on, …"""
    end: datetime
    """… until here; their usage may be older."""
    code: str
    """Stripe's, such as ``meter_event_customer_not_found``."""
    count: int
    """Number of meter events, not their usage."""
    samples: tuple[RejectedSample, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why one (ledger account, meter, window) drifted, where exactly, and what it took to find out."""

    account: str
    meter: str
    window: Window
    billed: Decimal
    recorded: Decimal
    cause: Cause
    located: tuple[Located, ...] = ()
    """In order of time; empty when the difference could not be placed."""
    counterpart: str | None = None
    factor: Decimal | None = None
    days: tuple[DayFigures, ...] = ()
    """Every day of the window where daily figures are known on both sides; else empty."""
    calls: int = 0
    """Requests to both vendors that it took."""
    notes: tuple[str, ...] = ()
    """For a person: what could not be read or looked at, and why."""
    rejections: tuple[Rejection, ...] = ()
    """Meter events that Stripe rejected at that time, where it has less than the ledger."""
