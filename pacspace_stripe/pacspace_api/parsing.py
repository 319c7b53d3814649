"""The reading of PacSpace's answers: field types, spellings, and errors that name a field and repeat no value.

Undocumented fields are ignored. A missing or ill-typed field, and two spellings of one field that contradict
each other, raise UnexpectedAnswer: neither value is believed. Pure.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, NoReturn, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from pacspace_stripe.http.answers import Fields, decimal_of
from pacspace_stripe.pacspace_api.failures import PACSPACE

_SAFE_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
"""Roots and checkpoint ids go into metadata and footers, so other characters are refused; none was ever seen."""
_LARGEST = 2**53
"""JSON's whole numbers are exact below it."""
_LONGEST_SEQUENCE = 18
_WANTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "tuple_type": "a list",
    "list_type": "a list",
    "model_type": "an object",
    "mapping_type": "an object",
    "datetime_type": "a time",
    "decimal_type": "a number",
}
_PROBLEMS = {
    "missing": "is missing",
    "string_too_short": "is empty",
    "greater_than_equal": "is negative",
    "greater_than": "is out of range",
    "less_than": "is out of range",
}


def refuse(words: str) -> NoReturn:
    """Refuse a field, from within its validator, in words that follow its name."""
    kind = "pacspace"
    raise PydanticCustomError(kind, words)


def _printable(value: str) -> str:
    if "\x00" in value or (not value.isascii() and value.encode(errors="replace").decode() != value):
        refuse("has characters that are not text")
    return value


def _safe_name(value: str) -> str:
    if not _SAFE_NAME.fullmatch(value):
        refuse("has characters or a length that no such name has")
    return value


def _web_address(value: str) -> str:
    try:
        scheme = urlsplit(value).scheme
    except ValueError:
        scheme = ""
    if not (value.isascii() and value.isprintable()) or " " in value or scheme not in {"http", "https"}:
        refuse("is not a web address")
    return value


def _number(value: object) -> object:
    """Return the exact number of a JSON number or of numeric text; both vendors' balances come as either."""
    if value is None:
        return None
    found = decimal_of(value)
    if found is None:
        refuse("is no usable number")
    return found


def _sequence(value: object) -> object:
    """Return a sequence number, which PacSpace sends as text (CONTRACT 1.9)."""
    is_text = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _LONGEST_SEQUENCE
    if is_text or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST):
        return int(str(value))
    refuse("is no sequence number")


def _moment(value: object) -> object:
    """Return an ISO 8601 time as aware UTC; without a zone it is UTC."""
    if isinstance(value, datetime):
        return value
    try:
        at = datetime.fromisoformat(value)  # type: ignore[arg-type]  # its TypeError is caught
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    refuse("is not an ISO 8601 time")


Text = Annotated[str, Strict(), AfterValidator(_printable)]
FilledText = Annotated[str, Strict(), Field(min_length=1), AfterValidator(_printable)]
SafeName = Annotated[str, Strict(), AfterValidator(_safe_name)]
WebAddress = Annotated[str, Strict(), AfterValidator(_web_address)]
Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict(), Field(gt=-_LARGEST, lt=_LARGEST)]
Count = Annotated[int, Strict(), Field(ge=0, lt=_LARGEST)]
Number = Annotated[Decimal, BeforeValidator(_number)]
Sequence = Annotated[int, BeforeValidator(_sequence)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
Metadata = Annotated[Mapping[str, object], BeforeValidator(lambda value: {} if value is None else value)]
OptionalRows = BeforeValidator(lambda value: () if value is None else value)
"""Marks a list of rows that PacSpace may leave out or send as null."""


def spelled(*names: str, default: Any = None) -> Any:  # noqa: ANN401  # stands in for pydantic's Field
    """Declare a field that PacSpace spells in several ways; ``default`` ``...``: it must be there."""
    return Field(default, validation_alias=AliasChoices(*names))


class PacSpaceModel(BaseModel):
    """A part of an answer. Python code builds it by field names, ``read`` by PacSpace's spellings."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        validate_by_name=True,
        validate_by_alias=True,
        alias_generator=AliasGenerator(validation_alias=to_camel),
    )

    @model_validator(mode="before")
    @classmethod
    def _one_value_per_field(cls, data: object) -> object:
        """Keep the one value that all spellings of a field agree on; null counts as left out where another is there."""
        if not isinstance(data, Mapping):
            return data
        kept = dict(data)
        for names, comparable in _spellings(cls):
            values = [kept.pop(name) for name in names if name in kept]
            found = [value for value in values if value is not None]
            if any(comparable(value) != comparable(found[0]) for value in found):
                refuse(f"{'/'.join(names)} contradict each other")
            if values:
                kept[names[0]] = found[0] if found else None
        return kept


@cache
def _spellings(model: type[PacSpaceModel]) -> tuple[tuple[tuple[str, ...], Callable[[object], object]], ...]:
    """Return the names of each field that PacSpace spells in several ways, and how its values are compared."""
    fields = [
        (field.validation_alias.choices, field.annotation)
        for field in model.model_fields.values()
        if isinstance(field.validation_alias, AliasChoices)
    ]
    return tuple(
        (tuple(name for name in names if isinstance(name, str)), _as_number if _is_number(kind) else _as_sent)
        for names, kind in fields
    )


def _is_number(kind: object) -> bool:
    return kind is Decimal or any(map(_is_number, get_args(kind)))


def _as_number(value: object) -> object:
    """Return an exact number, which one spelling may have as text and the other one not."""
    number = decimal_of(value)
    return (isinstance(value, bool), value if number is None else number)


def _as_sent(value: object) -> object:
    """Return a value with its type: the text ``1`` is no count, and another id than ``1.0``."""
    return (type(value), value)


Model = TypeVar("Model", bound=PacSpaceModel)


def about(what: str, data: object, **asked: str) -> Mapping[str, object]:
    """Return the data of an answer. Raises UnexpectedAnswer when it names another id than the request did."""
    fields = Fields(PACSPACE, what, data)
    for name, value in asked.items():
        if fields.data.get(name) not in (None, value):
            fields.reject(name, "is not the one asked for")
    return fields.data


def read(model: type[Model], what: str, data: object, **asked: str) -> Model:
    """Return the data of an answer about ``what`` as a model. Raises UnexpectedAnswer, which repeats no value.

    ``asked`` are the ids that the request named. An answer about another one is refused; one that names none is about
    the one that was asked for.
    """
    found = about(what, data, **asked)
    given = {**found, **asked}
    if "body" in model.model_fields:
        given["body"] = dict(found)
    try:
        return model.model_validate(given, by_alias=True, by_name=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
    # Raised out here: pydantic's error holds the answer, secrets included, and would stay attached as context.
    words = first["msg"] if first["type"] == "pacspace" else _PROBLEMS.get(first["type"])
    if words is None:
        wanted = _WANTED.get(first["type"], "what is documented")
        words = f"is null, not {wanted}" if first["input"] is None else f"is not {wanted}"
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"])
    where, _, name = f"{what}{path}".rpartition(".")
    return Fields(PACSPACE, where or what, {}).reject(name if where else "", words)


def rows(model: type[Model], what: str, found: object, **asked: str) -> tuple[Model, ...]:
    """Return a list of rows as models. Raises UnexpectedAnswer."""
    if not isinstance(found, list):
        where, _, name = what.rpartition(".")
        Fields(PACSPACE, where, {}).reject(name, "is not a list")
    return tuple(read(model, f"{what}[{number}]", row, **asked) for number, row in enumerate(found))


def total_of(listing: object, *, unnamed: int) -> int:
    """Return the number of all rows of a list; ``unnamed`` where the list does not name it."""
    found = Fields(PACSPACE, "list", listing)
    page = found.optional_fields("pagination") or found
    total = page.optional_integer("total")
    return unnamed if total is None else total
