"""The explanation of one drifted window: its cause, and the parts and records that make the difference.

An explanation travels as JSON: commands print it, alerts carry it and the database keeps it, so each value here knows
its own JSON form. ``explanation_text`` puts it in words.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Self

from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.explain.rules.rejections import Rejection, checked_while
from pacspace_stripe.vocabulary.canonical_json import Json, canonical, digest
from pacspace_stripe.vocabulary.quantities import text
from pacspace_stripe.vocabulary.windows import Window, iso


class Cause(StrEnum):
    """The likeliest cause of a drift. It never changes a verdict: the figures decide, the cause explains."""

    NOT_IN_STRIPE = "not_in_stripe"
    """Recorded in the ledger, never counted by Stripe's meter."""
    REJECTED_BY_STRIPE = "rejected_by_stripe"
    """Recorded in the ledger; Stripe accepted its meter events and rejected them later: ``rejections`` say why."""
    NOT_IN_LEDGER = "not_in_ledger"
    """Counted by Stripe's meter, never recorded in the ledger."""
    TWICE_IN_STRIPE = "twice_in_stripe"
    TWICE_IN_LEDGER = "twice_in_ledger"
    WRONG_CUSTOMER = "wrong_customer"
    """One side has the usage under another customer: ``counterpart`` is that customer's ledger account."""
    WRONG_METER = "wrong_meter"
    """One side has the usage under another meter: ``counterpart`` is that meter."""
    WRONG_SIGN = "wrong_sign"
    UNIT_FACTOR = "unit_factor"
    """One side's figures are the other's times ``factor``."""
    RECORDED_LATE = "recorded_late"
    """The ledger accepted the usage after the window's end, beyond the slack at its edge."""
    PERIOD_EDGE = "period_edge"
    """The two sides place the same usage on different sides of the window's edge."""
    TRUNCATED_DECIMALS = "truncated_decimals"
    """One side dropped the digits after the decimal point."""
    EVENT_TIME_WINDOW = "event_time_window"
    """Stripe's meter counts only the newest event of each hour or day, and the ledger has the others too."""
    UNEXPLAINED = "unexplained"
    """The figures differ there, and nothing in them shows why."""

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the cause of this name; UNEXPLAINED for one that only a newer version knows."""
        return cls(name) if name in frozenset(cls) else cls.UNEXPLAINED


class Side(StrEnum):
    """The side that has a record."""

    STRIPE = "stripe"
    LEDGER = "ledger"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocatedRecord:
    """One record that makes the difference. Stripe lists no single meter events, so on its side there are no ids."""

    side: Side
    """The side that has it; the other side lacks it or has it differently."""
    quantity: Decimal
    """Usage in the meter's unit."""
    at: datetime | None
    """Time at which the ledger accepted it; None on Stripe's side, where only the hour is known."""
    record_id: str | None = None
    reference_id: str | None = None

    def as_json(self) -> dict[str, Json]:
        return {
            "side": self.side.value,
            "record_id": self.record_id,
            "reference_id": self.reference_id,
            "at": None if self.at is None else iso(self.at),
            "quantity": text(self.quantity),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            side=Side(data["side"]),
            quantity=Decimal(data["quantity"]),
            at=None if data["at"] is None else datetime.fromisoformat(data["at"]),
            record_id=data["record_id"],
            reference_id=data["reference_id"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LocatedPart:
    """A part of the window where the two sides differ."""

    window: Window
    meter: str
    billed: Decimal
    """Stripe's usage in that part, in the meter's unit."""
    recorded: Decimal
    """The ledger's usage in that part, in the same unit."""
    records: tuple[LocatedRecord, ...] = ()
    cause: Cause | None = None
    """The cause of this part, where it is not the cause of the whole explanation."""

    def as_json(self) -> dict[str, Json]:
        return {
            "start": iso(self.window.start),
            "end": iso(self.window.end),
            "meter": self.meter,
            "billed": text(self.billed),
            "recorded": text(self.recorded),
            "records": [record.as_json() for record in self.records],
            **({"cause": self.cause.value} if self.cause else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            window=_window(data),
            meter=data["meter"],
            billed=Decimal(data["billed"]),
            recorded=Decimal(data["recorded"]),
            records=tuple(map(LocatedRecord.from_json, data["records"])),
            cause=Cause.named(data["cause"]) if "cause" in data else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DayFigures:
    """Both sides' usage on one UTC day, in the meter's unit."""

    on: date
    billed: Decimal
    recorded: Decimal

    def as_json(self) -> dict[str, Json]:
        return {"on": self.on.isoformat(), "billed": text(self.billed), "recorded": text(self.recorded)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        on, billed, recorded = date.fromisoformat(data["on"]), Decimal(data["billed"]), Decimal(data["recorded"])
        return cls(on=on, billed=billed, recorded=recorded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The cause of one drift (ledger account, meter, window), where exactly it is, and how many requests it took."""

    account: str
    meter: str
    window: Window
    billed: Decimal
    recorded: Decimal
    cause: Cause
    located: tuple[LocatedPart, ...] = ()
    """In order of time; empty when the difference could not be located."""
    counterpart: str | None = None
    factor: Decimal | None = None
    days: tuple[DayFigures, ...] = ()
    """Every day of the window where daily figures are known on both sides; else empty."""
    calls: int = 0
    """Requests to both vendors that it took."""
    notes: tuple[str, ...] = ()
    """For a person: what could not be read or searched, and why."""
    rejections: tuple[Rejection, ...] = ()
    """Meter events that Stripe rejected at that time, where it has less than the ledger."""

    def with_rejections(self, known: Iterable[Rejection]) -> "Explanation":
        """Add Stripe's rejections of this meter and time, if Stripe has less than the ledger."""
        if self.billed >= self.recorded:
            return self
        checked = checked_while(self.window)
        found = tuple(
            each
            for each in known
            if each.meter in (None, self.meter) and each.start < checked.end and checked.start < each.end
        )
        if not found:
            return self
        # A rejection makes only these causes more precise: any other one was seen in the figures themselves.
        precise = self.cause in (Cause.NOT_IN_STRIPE, Cause.UNEXPLAINED)
        return replace(self, cause=Cause.REJECTED_BY_STRIPE if precise else self.cause, rejections=found)

    def as_json(self) -> dict[str, Json]:
        """Return the window in the shape of ``check``, then what explains it; decimals are strings."""
        return {
            "account": self.account,
            "meter": self.meter,
            "start": iso(self.window.start),
            "end": iso(self.window.end),
            "billed": text(self.billed),
            "recorded": text(self.recorded),
            "cause": self.cause.value,
            "counterpart": self.counterpart,
            "factor": None if self.factor is None else text(self.factor),
            "located": [part.as_json() for part in self.located],
            "days": [day.as_json() for day in self.days],
            "calls": self.calls,
            "notes": list(self.notes),
            **({"rejections": [each.as_json() for each in self.rejections]} if self.rejections else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the explanation that ``as_json`` of this or an earlier version wrote."""
        return cls(
            account=data["account"],
            meter=data["meter"],
            window=_window(data),
            billed=Decimal(data["billed"]),
            recorded=Decimal(data["recorded"]),
            cause=Cause.named(data["cause"]),
            located=tuple(map(LocatedPart.from_json, data["located"])),
            counterpart=data["counterpart"],
            factor=None if data["factor"] is None else Decimal(data["factor"]),
            days=tuple(map(DayFigures.from_json, data["days"])),
            calls=data["calls"],
            notes=tuple(data["notes"]),
            rejections=tuple(map(Rejection.from_json, data.get("rejections", ()))),
        )


def _window(data: Mapping[str, Any]) -> Window:
    return Window(start=datetime.fromisoformat(data["start"]), end=datetime.fromisoformat(data["end"]))


# -- the windows of a check that an explanation is about ---------------------------------------------------------------

_FIGURES = ("account", "meter", "start", "end", "billed", "recorded")
"""Keys that a window of a check shares with its explanation: the very figures that were explained."""


def has_drifted(window: Mapping[str, object]) -> bool:
    """Return whether the figures of a window, as commands print it, differ; a waiver does not change that."""
    return Reason(str(window["reason"])).verdict is Verdict.DRIFTED


def explanation_of(window: Mapping[str, object], explanations: Iterable[Explanation]) -> Explanation | None:
    """Return the explanation of these very figures of a window, as commands print it; None if there is none."""
    for explanation in explanations:
        explained = explanation.as_json()
        if all(window[key] == explained[key] for key in _FIGURES):
            return explanation
    return None


def fingerprint(windows: Iterable[Mapping[str, str | int | None]]) -> str:
    """Return the SHA-256 of the figures that differ: it changes when, and only when, one of them changes."""
    figures: list[Json] = [{key: window[key] for key in _FIGURES} for window in windows if has_drifted(window)]
    return digest(canonical({"figures": figures}))
