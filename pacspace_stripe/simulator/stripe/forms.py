"""Form-encoded parameters as Stripe reads them: nested by brackets, and typed access with Stripe's error messages."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl

import httpx

from pacspace_stripe.simulator.stripe.errors import refuse

METADATA_KEYS, METADATA_KEY_LENGTH, METADATA_VALUE_LENGTH = 50, 40, 500


def nested(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Return ``a[b][0]=1`` as ``{"a": {"b": {"0": "1"}}}``; ``a[]`` counts upwards."""
    tree: dict[str, Any] = {}
    for name, value in pairs:
        head, *rest = re.findall(r"[^\[\]]+|(?<=\[)(?=\])", name) or [name]
        at, key = tree, head
        for part in rest:
            inner = at.setdefault(key, {})
            if not isinstance(inner, dict):
                inner = at[key] = {}
            at, key = inner, part or str(len(inner))
        at[key] = value
    return tree


def read_form(request: httpx.Request) -> dict[str, Any]:
    """Return the parameters of a request: its query, and its body if that is a form."""
    pairs = parse_qsl(request.url.query.decode("ascii"), keep_blank_values=True)
    if request.method == "POST" and request.content:
        pairs += parse_qsl(request.content.decode("utf-8"), keep_blank_values=True)
    return nested(pairs)


def decimal_of(text: str) -> Decimal | None:
    """Return the finite decimal that a text writes, or None."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


class Params(Mapping[str, Any]):
    """One level of parameters; every reader refuses with Stripe's message."""

    def __init__(self, tree: dict[str, Any], path: str = "") -> None:
        self._tree = tree
        self._path = path

    def __getitem__(self, key: str) -> Any:
        return self._tree[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tree)

    def __len__(self) -> int:
        return len(self._tree)

    def name(self, key: str) -> str:
        """Return the full parameter name, such as ``recurring[meter]``."""
        return f"{self._path}[{key}]" if self._path else key

    def only(self, *names: str) -> None:
        """Refuse every parameter that is not in ``names``: a typing mistake must not pass silently."""
        for key in self._tree:
            if key not in names:
                shown = self.name(key)
                refuse(f"Received unknown parameter: {shown}", shown, "parameter_unknown")

    def text(self, key: str, default: str | None = None, *, longest: int = 5000) -> str | None:
        """Return a string, or ``default`` if it was not sent."""
        if key not in self._tree:
            return default
        value = self._tree[key]
        if not isinstance(value, str):
            refuse(f"Invalid string: {value!r}", self.name(key), "parameter_invalid_string")
        if len(value) > longest:
            refuse(
                f"Invalid string: {value[:20]}...; must be at most {longest} characters",
                self.name(key),
                "string_too_long",
            )
        return value

    def required(self, key: str, *, longest: int = 5000) -> str:
        """Return a string that must be present and not empty."""
        value = self.text(key, longest=longest)
        if value is None:
            refuse(f"Missing required param: {self.name(key)}.", self.name(key), "parameter_missing")
        if not value:
            shown = self.name(key)
            refuse(f"You passed an empty string for '{shown}'.", shown, "parameter_invalid_empty")
        return value

    def integer(self, key: str, default: int | None = None) -> int | None:
        """Return a whole number."""
        value = self.text(key)
        if value is None:
            return default
        if not re.fullmatch(r"-?\d+", value):
            refuse(f"Invalid integer: {value}", self.name(key), "parameter_invalid_integer")
        return int(value)

    def decimal(self, key: str) -> Decimal | None:
        """Return a decimal string, exactly as written."""
        value = self.text(key)
        if value is None:
            return None
        number = decimal_of(value)
        if number is None:
            refuse(f"Invalid decimal: {value}", self.name(key), "parameter_invalid_decimal")
        return number

    def boolean(self, key: str) -> bool | None:
        """Return ``true`` or ``false`` as a bool."""
        value = self.text(key)
        if value not in {None, "true", "false"}:
            refuse(f"Invalid boolean: {value}", self.name(key))
        return None if value is None else value == "true"

    def moment(self, key: str) -> datetime | None:
        """Return a Unix time in whole seconds."""
        value = self.integer(key)
        return None if value is None else datetime.fromtimestamp(value, UTC)

    def choice(self, key: str, *allowed: str, default: str | None = None) -> str | None:
        """Return one of a few words."""
        value = self.text(key, default)
        if value is not None and value not in allowed:
            refuse(f"Invalid {self.name(key)}: must be one of {', '.join(allowed)}", self.name(key))
        return value

    def within(self, key: str) -> "Params":
        """Return the parameters nested under ``key``; empty if it was not sent."""
        value = self._tree.get(key, {})
        if not isinstance(value, dict):
            refuse("Invalid object", self.name(key))
        return Params(value, self.name(key))

    def each(self, key: str) -> "list[Params]":
        """Return the objects of an array such as ``items``."""
        inside = self.within(key)
        return [inside.within(index) for index in inside]

    def words(self, key: str) -> list[str]:
        """Return the strings of an array such as ``expand``."""
        inside = self.within(key)
        return [inside.required(index) for index in inside]

    def metadata(self, current: Mapping[str, str]) -> dict[str, str]:
        """Return ``current`` with the sent metadata merged in.

        An empty value deletes a key, an empty string all of them.
        """
        sent = self._tree.get("metadata")
        if sent is None:
            return dict(current)
        if sent == "":
            return {}
        merged = dict(current)
        given = self.within("metadata")
        for key in given:
            value = given.text(key, longest=METADATA_VALUE_LENGTH) or ""
            _check_metadata_key(key, given.name(key))
            merged[key] = value
        merged = {key: value for key, value in merged.items() if value}
        if len(merged) > METADATA_KEYS:
            refuse(f"You can have at most {METADATA_KEYS} metadata keys", "metadata")
        return merged


def _check_metadata_key(key: str, shown: str) -> None:
    if len(key) > METADATA_KEY_LENGTH:
        refuse(f"Metadata keys can be at most {METADATA_KEY_LENGTH} characters long", shown)
