"""Strict reading of foreign JSON: exact numbers, every field checked, every surprise an UnexpectedAnswer that names it.

Answers are read through :class:`Fields`, and signed webhook bodies through :func:`json_object`: only their ids count.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import NoReturn

from pacspace_stripe.errors import UnexpectedAnswer

_HINT = "Nothing was concluded from it. Check the base URL and the API version; if both are right, please report it."
_NUMBER = re.compile(r"-?\d{1,60}(\.\d{1,60})?([eE][+-]?\d{1,3})?", re.ASCII)
_MOST_DIGITS = 120
"""Digits of one number: a double has 17, an exact sum of doubles a few more."""
_LARGEST_EXPONENT = 30
"""Usage has 15 significant digits; 10³⁰ is far outside, and keeps ``1e999999999`` from being written out."""
_LARGEST_INTEGER = 2**53
"""JSON's whole numbers are exact below it; evidence (RFC 8785) takes no others."""
_LAST_SECOND = 253402300799
"""The end of the year 9999, where ``datetime`` ends."""


def _no_constant(name: str) -> NoReturn:
    message = f"{name} is not JSON"
    raise ValueError(message)


def exact_json(text: bytes | str) -> object:
    """Parse JSON, every fraction as the Decimal that was written.

    Raises ValueError for everything else: no JSON, NaN and Infinity, a name that occurs twice in one object.
    """
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=unique)
    except (ValueError, ArithmeticError, RecursionError) as error:
        problem = type(error).__name__
    # Raised out here: json's own error holds all of what it read, and would stay attached as context.
    raise ValueError(problem)


def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return the object of ``pairs``. Raises ValueError for a repeated name: two readers could see two answers."""
    if len(found := dict(pairs)) != len(pairs):
        message = "a name occurs twice"
        raise ValueError(message)
    return found


def json_answer(service: str, what: str, text: bytes | str) -> object:
    """Parse an answer by :func:`exact_json`. Raises UnexpectedAnswer when it is not JSON."""
    with suppress(ValueError):
        return exact_json(text)
    raise UnexpectedAnswer(service, f"{what}: the answer is not JSON", hint=_HINT)


def json_object(body: bytes) -> Mapping[str, object] | None:
    """Parse a signed body by :func:`exact_json`, as UTF-8 only; None unless it is one object."""
    try:
        data = exact_json(body.decode("utf-8"))
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


def mapping(value: object) -> Mapping[str, object]:
    """Return an object as it is, and an empty one in the place of anything else."""
    return value if isinstance(value, dict) else {}


def matching(form: re.Pattern[str], value: object) -> str | None:
    """Return a text of this form; None for anything else."""
    return value if isinstance(value, str) and form.fullmatch(value) else None


def decimal_of(value: object) -> Decimal | None:
    """Return the exact number of a JSON number or a numeric text; None for anything else or beyond any usage."""
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
        """Return the object as it came."""
        return self._data

    def __contains__(self, name: str) -> bool:
        return name in self._data

    def reject(self, name: str, problem: str) -> NoReturn:
        """Raise UnexpectedAnswer for a field."""
        raise UnexpectedAnswer(self.service, f"{self.where}: {name} {problem}", hint=_HINT)

    def _misses(self, name: str, wanted: str) -> NoReturn:
        self.reject(name, f"is {_kind(self._data[name])}, not {wanted}" if name in self._data else "is missing")

    def raw(self, name: str) -> object:
        """Return any value; the field itself must be there."""
        if name not in self._data:
            self.reject(name, "is missing")
        return self._data[name]

    def optional_text(self, name: str) -> str | None:
        """Return a text that can be stored and printed anywhere (no NUL, no half of a surrogate pair), or None."""
        value = self._data.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self._misses(name, "text")
        if "\x00" in value or (not value.isascii() and value.encode(errors="replace").decode() != value):
            self.reject(name, "has characters that are not text")
        return value

    def text(self, name: str) -> str:
        """Return a text that is not empty."""
        value = self.optional_text(name)
        if value is None:
            self._misses(name, "text")
        return value or self.reject(name, "is empty")

    def flag(self, name: str) -> bool:
        value = self.optional_flag(name)
        if value is None:
            self._misses(name, "true or false")
        return value

    def optional_flag(self, name: str) -> bool | None:
        value = self._data.get(name)
        if value is not None and not isinstance(value, bool):
            self._misses(name, "true or false")
        return value

    def optional_integer(self, name: str) -> int | None:
        """Return a whole number that a double keeps, or None."""
        value = self._data.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self._misses(name, "a whole number")
        if abs(value) >= _LARGEST_INTEGER:
            self.reject(name, "is out of range")
        return value

    def integer(self, name: str) -> int:
        """Return a whole number that a double keeps."""
        value = self.optional_integer(name)
        if value is None:
            self._misses(name, "a whole number")
        return value

    def optional_number(self, name: str) -> Decimal | None:
        """Return an exact number, sent as a JSON number or as text, or None."""
        value = self._data.get(name)
        if value is None:
            return None
        number = decimal_of(value)
        if number is None:
            self.reject(name, f"is {_kind(value)} that is no usable number")
        return number

    def number(self, name: str) -> Decimal:
        value = self.optional_number(name)
        if value is None:
            self._misses(name, "a number")
        return value

    def optional_at(self, name: str) -> datetime | None:
        """Return a Unix time in seconds as aware UTC, or None."""
        seconds = self.optional_integer(name)
        if seconds is None:
            return None
        if not 0 <= seconds <= _LAST_SECOND:
            self.reject(name, "is not a time")
        return datetime.fromtimestamp(seconds, UTC)

    def at(self, name: str) -> datetime:
        """Return a Unix time in seconds as aware UTC."""
        value = self.optional_at(name)
        if value is None:
            self._misses(name, "a time")
        return value

    def optional_written_at(self, name: str) -> datetime | None:
        """Return an ISO 8601 time as aware UTC (UTC where it names no zone), or None."""
        written = self.optional_text(name)
        if written is None:
            return None
        try:
            at = datetime.fromisoformat(written)
            return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            self.reject(name, "is not an ISO 8601 time")

    def optional_fields(self, name: str) -> "Fields | None":
        value = self._data.get(name)
        return None if value is None else Fields(self.service, f"{self.where}.{name}", value)

    def nullable_text(self, name: str) -> str | None:
        self.raw(name)
        return self.optional_text(name)

    def nullable_id(self, name: str) -> str | None:
        self.raw(name)
        return self.optional_id(name)

    def nullable_fields(self, name: str) -> "Fields | None":
        self.raw(name)
        return self.optional_fields(name)

    def fields(self, name: str) -> "Fields":
        return Fields(self.service, f"{self.where}.{name}", self.raw(name))

    def items(self, name: str) -> "list[Fields]":
        value = self.raw(name)
        if not isinstance(value, list):
            self._misses(name, "a list")
        return [Fields(self.service, f"{self.where}.{name}[{number}]", item) for number, item in enumerate(value)]

    def length(self, name: str) -> int:
        """Return the length of a list of anything."""
        value = self.raw(name)
        if not isinstance(value, list):
            self._misses(name, "a list")
        return len(value)

    def optional_id(self, name: str) -> str | None:
        """Return an id, also that of the object that Stripe expanded in its place; or None."""
        return self.fields(name).text("id") if isinstance(self._data.get(name), Mapping) else self.optional_text(name)

    def texts(self, name: str) -> dict[str, str]:
        """Return an object of texts, such as metadata; null is an empty one."""
        inner = self.optional_fields(name)
        return {} if inner is None else {key: inner.optional_text(key) or "" for key in inner.data}


def _kind(value: object) -> str:
    """Return the name of a value's JSON type."""
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
