"""Memory to JSON and back."""

from typing import Any, cast

from pydantic import TypeAdapter

from pacspace_stripe.domain.memory import Memory

_ADAPTER: TypeAdapter[Memory] = TypeAdapter(Memory)


def to_json(memory: Memory) -> dict[str, Any]:
    """JSON-ready, datetimes as ISO strings."""
    return cast("dict[str, Any]", _ADAPTER.dump_python(memory, mode="json"))


def from_json(data: dict[str, Any]) -> Memory:
    """The memory as it was saved; fields that a newer version added get their defaults."""
    return _ADAPTER.validate_python(data)
