"""InvoiceState to JSON and back."""

from typing import Any, cast

from pydantic import TypeAdapter

from pacspace_stripe.gate.rules.state import InvoiceState

_ADAPTER: TypeAdapter[InvoiceState] = TypeAdapter(InvoiceState)


def to_json(memory: InvoiceState) -> dict[str, Any]:
    """JSON-ready, datetimes as ISO strings."""
    return cast("dict[str, Any]", _ADAPTER.dump_python(memory, mode="json"))


def from_json(data: dict[str, Any]) -> InvoiceState:
    """The memory as it was saved; fields that a newer version added get their defaults."""
    return _ADAPTER.validate_python(data)
