"""Invoice states as JSON and back."""

from typing import Any, cast

from pydantic import TypeAdapter

from pacspace_stripe.gate.rules.state import Cleared, Ended, Free, Held, InvoiceState, Position, Released, Stamped
from pacspace_stripe.store.migrations.invoice_states import is_old, upgraded

_STATE: TypeAdapter[InvoiceState] = TypeAdapter(InvoiceState)
_NAMES: dict[type[Position], str] = {
    Free: "free",
    Held: "held",
    Stamped: "stamped",
    Released: "released",
    Cleared: "cleared",
    Ended: "ended",
}
"""Stored names of the positions: rows have them, so a class may be renamed and its name here may not."""
_POSITIONS: dict[str, TypeAdapter[Position]] = {name: TypeAdapter(of) for of, name in _NAMES.items()}


def to_json(state: InvoiceState) -> dict[str, Any]:
    """Return a state as it is stored: datetimes as ISO strings, its position as the object ``stage``.

    ``stage`` was a word up to revision 0007: a process of that version fails on such a row, and writes nothing.
    """
    row = cast("dict[str, Any]", _STATE.dump_python(state, mode="json"))
    return row | {"stage": {"is": _NAMES[type(state.position)], **row.pop("position")}}


def from_json(row: dict[str, Any]) -> InvoiceState:
    """Return the state as it was stored; fields that a newer version added get their defaults."""
    current = upgraded(row) if is_old(row) else row
    where = current["stage"]
    position = _POSITIONS[where["is"]].validate_python({name: each for name, each in where.items() if name != "is"})
    return _STATE.validate_python({**current, "position": position})
