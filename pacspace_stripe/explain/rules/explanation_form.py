"""An explanation in the forms in which it travels: JSON for machines and our database, words for people. Pure."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.explain.rules.explanation import (
    Cause,
    DayFigures,
    Explanation,
    Located,
    LocatedRecord,
    RejectedSample,
    Rejection,
    Side,
)
from pacspace_stripe.explain.rules.explanation_words import CAUSES, sentence, words
from pacspace_stripe.vocabulary.canonical_json import Json, canonical, digest
from pacspace_stripe.vocabulary.quantities import text
from pacspace_stripe.vocabulary.windows import Window, iso

__all__ = ["CAUSES", "about", "as_json", "drifted", "fingerprint", "from_json", "sentence", "words"]

_KEY = ("account", "meter", "start", "end", "billed", "recorded")
"""What a window of a check and its explanation have in common: the very figures that were explained."""


def as_json(explanation: Explanation) -> dict[str, Json]:
    """The shape of one window of ``check``, then what explains it; decimals as strings."""
    return {
        "account": explanation.account,
        "meter": explanation.meter,
        "start": iso(explanation.window.start),
        "end": iso(explanation.window.end),
        "billed": text(explanation.billed),
        "recorded": text(explanation.recorded),
        "cause": explanation.cause.value,
        "counterpart": explanation.counterpart,
        "factor": None if explanation.factor is None else text(explanation.factor),
        "located": [_located(each) for each in explanation.located],
        "days": [
            {"on": day.on.isoformat(), "billed": text(day.billed), "recorded": text(day.recorded)}
            for day in explanation.days
        ],
        "calls": explanation.calls,
        "notes": list(explanation.notes),
        **({"rejections": [rejection_json(one) for one in explanation.rejections]} if explanation.rejections else {}),
    }


def rejection_json(rejection: Rejection) -> dict[str, Json]:
    """One error code of one of Stripe's reports on rejected meter events."""
    return {
        "event": rejection.event_id,
        "at": iso(rejection.at),
        "meter": rejection.meter,
        "start": iso(rejection.start),
        "end": iso(rejection.end),
        "code": rejection.code,
        "count": rejection.count,
        "samples": [{"identifier": each.identifier, "message": each.message} for each in rejection.samples],
    }


def rejection_from(data: Mapping[str, Any]) -> Rejection:
    """Return what ``rejection_json`` wrote."""
    return Rejection(
        event_id=data["event"],
        at=datetime.fromisoformat(data["at"]),
        meter=data["meter"],
        start=datetime.fromisoformat(data["start"]),
        end=datetime.fromisoformat(data["end"]),
        code=data["code"],
        count=data["count"],
        samples=tuple(RejectedSample(identifier=one["identifier"], message=one["message"]) for one in data["samples"]),
    )


def _located(located: Located) -> Json:
    return {
        "start": iso(located.window.start),
        "end": iso(located.window.end),
        "meter": located.meter,
        "billed": text(located.billed),
        "recorded": text(located.recorded),
        "records": [_record(record) for record in located.records],
        **({"cause": located.cause.value} if located.cause else {}),
    }


def _record(record: LocatedRecord) -> Json:
    return {
        "side": record.side.value,
        "record_id": record.record_id,
        "reference_id": record.reference_id,
        "at": None if record.at is None else iso(record.at),
        "quantity": text(record.quantity),
    }


def from_json(data: Mapping[str, Any]) -> Explanation:
    """What ``as_json`` wrote; a cause that only a newer version knows is unexplained to this one."""
    return Explanation(
        account=data["account"],
        meter=data["meter"],
        window=_window(data),
        billed=Decimal(data["billed"]),
        recorded=Decimal(data["recorded"]),
        cause=_cause(data["cause"]),
        located=tuple(_located_from(each) for each in data["located"]),
        counterpart=data["counterpart"],
        factor=None if data["factor"] is None else Decimal(data["factor"]),
        days=tuple(_day_from(day) for day in data["days"]),
        calls=data["calls"],
        notes=tuple(data["notes"]),
        rejections=tuple(map(rejection_from, data.get("rejections", ()))),
    )


def _cause(named: str) -> Cause:
    return Cause(named) if named in frozenset(Cause) else Cause.UNEXPLAINED


def _window(data: Mapping[str, Any]) -> Window:
    return Window(start=datetime.fromisoformat(data["start"]), end=datetime.fromisoformat(data["end"]))


def _located_from(data: Mapping[str, Any]) -> Located:
    return Located(
        window=_window(data),
        meter=data["meter"],
        billed=Decimal(data["billed"]),
        recorded=Decimal(data["recorded"]),
        records=tuple(_record_from(each) for each in data["records"]),
        cause=_cause(data["cause"]) if "cause" in data else None,
    )


def _record_from(data: Mapping[str, Any]) -> LocatedRecord:
    return LocatedRecord(
        side=Side(data["side"]),
        quantity=Decimal(data["quantity"]),
        at=None if data["at"] is None else datetime.fromisoformat(data["at"]),
        record_id=data["record_id"],
        reference_id=data["reference_id"],
    )


def _day_from(data: Mapping[str, Any]) -> DayFigures:
    on, billed, recorded = date.fromisoformat(data["on"]), Decimal(data["billed"]), Decimal(data["recorded"])
    return DayFigures(on=on, billed=billed, recorded=recorded)


def about(window: Mapping[str, object], explanations: Iterable[Explanation]) -> Explanation | None:
    """The explanation of a window as commands print it; None when there is none of these very figures."""
    for explanation in explanations:
        told = as_json(explanation)
        if all(window[name] == told[name] for name in _KEY):
            return explanation
    return None


def fingerprint(windows: Iterable[Mapping[str, str | int | None]]) -> str:
    """SHA-256 of the figures that differ, of windows as commands print them: the same while they stay the same."""
    figures: list[Json] = [{name: window[name] for name in _KEY} for window in windows if drifted(window)]
    return digest(canonical({"figures": figures}))


def drifted(window: Mapping[str, object]) -> bool:
    """Whether a window's figures differ, a person's waiver or not."""
    return Reason(str(window["reason"])).verdict is Verdict.DRIFTED
