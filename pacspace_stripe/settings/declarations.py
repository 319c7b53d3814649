"""How one setting is declared: its variable, its default as a person would write it, how it is read."""

from collections.abc import Callable
from typing import Any

from pydantic import BeforeValidator, Field


def setting(variable: str, meaning: str, *, default: str | None = None, hint: str | None = None) -> Any:  # noqa: ANN401  # like pydantic's Field
    """A setting with a default, written as a person would; ``None``: unset unless somebody sets it."""
    return Field(default=default, alias=variable, description=meaning, json_schema_extra={"hint": hint})


def credential(variable: str, meaning: str, *, hint: str) -> Any:  # noqa: ANN401  # like pydantic's Field
    """A setting that only its owner knows."""
    return Field(alias=variable, description=meaning, json_schema_extra={"hint": hint})


def read_by(reader: Callable[[str], object]) -> BeforeValidator:
    """Text by ``reader``, which raises ValueError with what is wrong; never an empty one."""

    def check(value: object) -> object:
        if not isinstance(value, str):
            return value
        if not value.strip():
            message = "is set, but empty"
            raise ValueError(message)
        return reader(value)

    return BeforeValidator(check)
