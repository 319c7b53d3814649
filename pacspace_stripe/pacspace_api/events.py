"""PacSpace's events: the subject of a signed body, and nothing else (CONTRACT 5).

The figures of an event are not read: whatever decides is read again from PacSpace. The documentation and the SDK have
two envelopes and two payloads, and all are read here. No payload of ``checkpoint.verified`` is published: it is read
like the others.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Never

from pacspace_stripe.errors import UnreadableEvent
from pacspace_stripe.http.answers import json_object, mapping, matching

_EVENT_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_ACCOUNT = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_PLACES = ("delta", "checkpoint", "scope", "record")
"""Objects within ``data`` that may name the customer; the flat payload names it in ``data`` itself (CONTRACT 5.4)."""
_HINT = "It was recorded; compare the webhook's payload in PacSpace's dashboard with its documents."


class LedgerEventType(StrEnum):
    """The types of events that the gate acts on; every other one is OTHER (CONTRACT 5.3)."""

    DELTA_VERIFIED = "delta.verified"
    DELTA_FAILED = "delta.failed"
    CHECKPOINT_VERIFIED = "checkpoint.verified"
    OTHER = "other"

    @classmethod
    def _missing_(cls, value: object) -> "LedgerEventType":
        return cls.OTHER


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEvent:
    """The subject of one event. It decides nothing: it names the account whose figures may have changed."""

    event_id: str
    type: LedgerEventType
    account: str | None
    """The ``customerId``; None when it names none that PacSpace could have."""
    record_key: str | None
    """The settlement record's key, if it names one."""


def ledger_event_from_pacspace(body: bytes, event_id_header: str | None) -> LedgerEvent:
    """Return the event in a body whose signature was verified. Raises UnreadableEvent, and nothing else.

    Two deliveries of one event have one id: the header's, else the envelope's, else one made of the body. The header is
    not signed; all that a changed one achieves is one more check.
    """
    data = json_object(body)
    if data is None:
        _refuse("the body is not a JSON object")
    named = data.get("event")
    if not isinstance(named, str):
        _refuse("it has no event")
    kind = LedgerEventType(named)
    if kind is not LedgerEventType.OTHER and not isinstance(data.get("data"), dict):
        _refuse("it carries no data")
    about = mapping(data.get("data"))
    return LedgerEvent(
        event_id=matching(_EVENT_ID, event_id_header)
        or matching(_EVENT_ID, data.get("id"))
        or f"sha256:{hashlib.sha256(body).hexdigest()}",
        type=kind,
        account=_account(about),
        record_key=_record_key(about),
    )


def _account(about: Mapping[str, object]) -> str | None:
    """Return the customer. Two different ones make the event unreadable."""
    found = _texts(about, "customerId")
    return _refuse("it has two values for customerId") if len(found) > 1 else next(iter(found), None)


def _record_key(about: Mapping[str, object]) -> str | None:
    """Return a settlement record's key; no published payload has one, so two different keys are none."""
    found = _texts(about, "recordKey", "key")
    return next(iter(found)) if len(found) == 1 else None


def _texts(about: Mapping[str, object], *names: str) -> set[str]:
    """Return the texts under these names, in all places."""
    places = (about, *(mapping(about.get(place)) for place in _PLACES))
    return {text for place in places for name in names if (text := matching(_ACCOUNT, place.get(name)))}


def _refuse(problem: str) -> Never:
    message = f"not an event of PacSpace: {problem}"
    raise UnreadableEvent(message, hint=_HINT)
