"""Reading foreign JSON: numbers exactly, every field checked, every surprise an UnexpectedAnswer that names it."""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from re import ASCII
from re import compile as pattern
from typing import NoReturn

from pacspace_stripe.errors import UnexpectedAnswer

_HINT = "Nothing was concluded from it. Check the base URL and the API version; if both are right, please report it."
_NUMBER = pattern(r"-?\d{1,60}(\.\d{1,60})?([eE][+-]?\d{1,3})?", ASCII)
_MOST_DIGITS = 120
"""Of one number: a double has 17, an exact sum of them a few more."""
_LARGEST_EXPONENT = 30
"""Usage has 15 significant digits; 10³⁰ is far outside, and keeps ``1e999999999`` from being written out."""
_LARGEST_INTEGER = 2**53
"""JSON's whole numbers are exact below it; evidence (RFC 8785) takes no others."""
_LAST_SECOND = 253402300799


def _no_constant(name: str) -> NoReturn:
    message = f"{name} is not JSON"
    raise ValueError(message)


def exact_json(text: bytes | str) -> object:
    """JSON with every fraction as the Decimal that was written. Raises ValueError, without the text, for all else."""
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=unique)
    except (ValueError, ArithmeticError, RecursionError) as error:
        problem = type(error).__name__
    # Raised out here: json's own error holds all of what it read, and would stay attached as context.
    raise ValueError(problem)


def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Two values for one name: two readers could each see another answer."""
    if len(found := dict(pairs)) != len(pairs):
        message = "a name occurs twice"
        raise ValueError(message)
    return found


def json_answer(service: str, what: str, text: bytes | str) -> object:
    """The same, for an answer that should be JSON."""
    with suppress(ValueError):
        return exact_json(text)
    raise UnexpectedAnswer(service, f"{what}: the answer is not JSON", hint=_HINT)


def decimal_of(value: object) -> Decimal | None:
    """The exact number that a JSON number or a numeric string is; None for anything else or beyond any usage."""
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        return None
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return None
    number = Decimal(value)
    usable = number.is_finite() and abs(number.adjusted()) <= _LARGEST_EXPONENT
    return number if usable and len(number.as_tuple().digits) <= _MOST_DIGITS else None


class Fields:
    """One JSON object of a vendor's answer, read field by field.

    Readers named ``optional_…`` take null or a missing field for None, ``nullable_…`` null only; all others raise
    UnexpectedAnswer then, and all raise it for a wrong type.
    """

    def __init__(self, service: str, where: str, data: object) -> None:
        self.service = service
        self.where = where
        if not isinstance(data, Mapping):
            raise UnexpectedAnswer(service, f"{where} is {_kind(data)}, not an object", hint=_HINT)
        self._data = data

    @property
    def data(self) -> Mapping[str, object]:
        """The object as it came."""
        return self._data

    def __contains__(self, name: str) -> bool:
        return name in self._data

    def reject(self, name: str, problem: str) -> NoReturn:
        """Raise UnexpectedAnswer for a field."""
        raise UnexpectedAnswer(self.service, f"{self.where}: {name} {problem}", hint=_HINT)

    def _misses(self, name: str, wanted: str) -> NoReturn:
        self.reject(name, f"is {_kind(self._data[name])}, not {wanted}" if name in self._data else "is missing")

    def raw(self, name: str) -> object:
        """Whatever is there; the field itself must be."""
        if name not in self._data:
            self.reject(name, "is missing")
        return self._data[name]

    def optional_text(self, name: str) -> str | None:
        """A string that can be stored and printed anywhere: no NUL, no half of a surrogate pair."""
        value = self._data.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self._misses(name, "text")
        if "\x00" in value or (not value.isascii() and value.encode(errors="replace").decode() != value):
            self.reject(name, "has characters that are not text")
        return value

    def text(self, name: str) -> str:
        """A string with something in it."""
        value = self.optional_text(name)
        if value is None:
            self._misses(name, "text")
        return value or self.reject(name, "is empty")

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.optional_flag(name)
        if value is None:
            self._misses(name, "true or false")
        return value

    def optional_flag(self, name: str) -> bool | None:
        """True, false or None."""
        value = self._data.get(name)
        if value is not None and not isinstance(value, bool):
            self._misses(name, "true or false")
        return value

    def optional_integer(self, name: str) -> int | None:
        """A whole number that a double keeps, or None."""
        value = self._data.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self._misses(name, "a whole number")
        if abs(value) >= _LARGEST_INTEGER:
            self.reject(name, "is out of range")
        return value

    def integer(self, name: str) -> int:
        """A whole number that a double keeps."""
        value = self.optional_integer(name)
        if value is None:
            self._misses(name, "a whole number")
        return value

    def optional_number(self, name: str) -> Decimal | None:
        """An exact number, sent as a JSON number or as text, or None."""
        value = self._data.get(name)
        if value is None:
            return None
        number = decimal_of(value)
        if number is None:
            self.reject(name, f"is {_kind(value)} that is no usable number")
        return number

    def number(self, name: str) -> Decimal:
        """An exact number."""
        value = self.optional_number(name)
        if value is None:
            self._misses(name, "a number")
        return value

    def optional_at(self, name: str) -> datetime | None:
        """A Unix time in seconds as aware UTC, or None."""
        seconds = self.optional_integer(name)
        if seconds is None:
            return None
        if not 0 <= seconds <= _LAST_SECOND:
            self.reject(name, "is not a time")
        return datetime.fromtimestamp(seconds, UTC)

    def at(self, name: str) -> datetime:
        """A Unix time in seconds as aware UTC."""
        value = self.optional_at(name)
        if value is None:
            self._misses(name, "a time")
        return value

    def optional_written_at(self, name: str) -> datetime | None:
        """A time in ISO 8601 as aware UTC (without a zone it is UTC), or None."""
        written = self.optional_text(name)
        if written is None:
            return None
        try:
            at = datetime.fromisoformat(written)
            return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            self.reject(name, "is not an ISO 8601 time")

    def optional_fields(self, name: str) -> "Fields | None":
        """An object or None."""
        value = self._data.get(name)
        return None if value is None else Fields(self.service, f"{self.where}.{name}", value)

    def nullable_text(self, name: str) -> str | None:
        """A string or null; the field itself must be there."""
        self.raw(name)
        return self.optional_text(name)

    def nullable_id(self, name: str) -> str | None:
        """An id or expanded object or null; the field itself must be there."""
        self.raw(name)
        return self.optional_id(name)

    def nullable_fields(self, name: str) -> "Fields | None":
        """An object or null; the field itself must be there."""
        self.raw(name)
        return self.optional_fields(name)

    def fields(self, name: str) -> "Fields":
        """An object."""
        return Fields(self.service, f"{self.where}.{name}", self.raw(name))

    def items(self, name: str) -> "list[Fields]":
        """A list of objects."""
        value = self.raw(name)
        if not isinstance(value, list):
            self._misses(name, "a list")
        return [Fields(self.service, f"{self.where}.{name}[{number}]", item) for number, item in enumerate(value)]

    def length(self, name: str) -> int:
        """How long a list of anything is."""
        value = self.raw(name)
        if not isinstance(value, list):
            self._misses(name, "a list")
        return len(value)

    def optional_id(self, name: str) -> str | None:
        """An id: as it is, or of the object that was expanded in its place; or None."""
        return self.fields(name).text("id") if isinstance(self._data.get(name), Mapping) else self.optional_text(name)

    def texts(self, name: str) -> dict[str, str]:
        """An object of strings, such as metadata; null is an empty one."""
        inner = self.optional_fields(name)
        return {} if inner is None else {key: inner.optional_text(key) or "" for key in inner.data}


def _kind(value: object) -> str:
    """How JSON calls it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | Decimal():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "an object"
