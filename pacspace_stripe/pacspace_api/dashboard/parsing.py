"""The dashboard's answers → our values, in every documented spelling. Pure; surprises are UnexpectedAnswer."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pacspace_stripe.http.answers import Fields
from pacspace_stripe.http.calls import Answer
from pacspace_stripe.pacspace_api.failures import PACSPACE
from pacspace_stripe.pacspace_api.http import success_of
from pacspace_stripe.settings import parsers as written

_NO_CONTENT = 204
_TOKEN = re.compile(r"[!-~]{1,8000}")
_KEY = re.compile(r"pk_(test|live)_[!-~]{1,500}")
_NAMES, _ADDRESSES = ("environment", "name", "type"), ("baseUrl", "apiBaseUrl", "apiUrl", "sandboxUrl")
"""What a row of the environments page may call itself and its address: its shape is not published."""


class Environment(StrEnum):
    """Where a key is good for; ``pk_test_`` keys are of the sandbox, ``pk_live_`` ones of production."""

    SANDBOX = "sandbox"
    PRODUCTION = "production"

    @property
    def of_keys(self) -> str:
        """How keys call it."""
        return "test" if self is Environment.SANDBOX else "live"


class EnvironmentStatus(StrEnum):
    """How far an environment is. ``UNKNOWN`` is any other word: not active, at least."""

    ACTIVE = "active"
    ACTIVATING = "activating"
    DEPLOYING = "deploying"
    FAILED = "failed"
    NONE = "none"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> "EnvironmentStatus":
        known = value.strip().lower() if isinstance(value, str) else ""
        return next((status for status in cls if status.value == known), cls.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key, at the one time that it is shown."""

    key_id: str | None
    name: str | None
    full: str = field(repr=False)

    @property
    def kind(self) -> str:
        """``test`` or ``live``."""
        return self.full.split("_", 2)[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """A key as it is listed: without its secret."""

    key_id: str | None
    name: str | None
    public_key: str | None
    active: bool


def opened(what: str, answer: Answer) -> object:
    """What is in the envelope, whichever it is (CONTRACT 1.4), or the body itself where there is none."""
    if answer.status == _NO_CONTENT:
        return {}
    body = success_of(what, answer).data
    data = body.get("data")
    return body if data is None else data


def fields(what: str, data: object) -> Fields:
    """The same as fields to read."""
    return Fields(PACSPACE, what, data)


def token_of(data: Fields) -> str | None:
    """The token of older dashboards, under either of its names."""
    token = data.optional_text("accessToken") or data.optional_text("token")
    if token is not None and not _TOKEN.fullmatch(token):
        data.reject("accessToken", "has characters that no token has")
    return token


def ticket_of(data: Fields) -> str | None:
    """The ticket that a code must follow, when one must."""
    return data.text("mfaTicket") if data.optional_flag("requiresMfa") else None


def new_key_of(data: Fields) -> NewKey:
    """A created key. Its text is checked, never repeated."""
    full = data.optional_text("fullKey") or f"{data.text('publicKey')}.{data.text('secretKey')}"
    if not _KEY.fullmatch(full):
        data.reject("fullKey", "is not pk_test_… or pk_live_…")
    return NewKey(key_id=data.optional_text("id"), name=data.optional_text("name"), full=full)


def keys_of(data: Fields) -> tuple[KeyRow, ...]:
    """A page of keys."""
    return tuple(
        KeyRow(
            key_id=row.optional_text("id"),
            name=row.optional_text("name"),
            public_key=row.optional_text("publicKey"),
            active=row.optional_flag("active") is not False,
        )
        for row in data.items("items")
    )


def status_of(data: Fields, environment: Environment) -> EnvironmentStatus:
    """One environment of the status page: ``{"sandbox": {"status": "active"}, …}``, or the word alone."""
    there = data.raw(environment.value)
    return (
        EnvironmentStatus(there)
        if isinstance(there, str)
        else EnvironmentStatus(data.fields(environment.value).text("status"))
    )


def listed_status(data: object, environment: Environment) -> EnvironmentStatus | None:
    """The same from the environments page; None when it does not say."""
    named = (row.get("status") for row in _rows(data, environment))
    return next((EnvironmentStatus(status) for status in named if isinstance(status, str)), None)


def listed_address(data: object, environment: Environment) -> str | None:
    """The address of an environment's API, from the environments page; None when it shows none that is one."""
    for row in _rows(data, environment):
        for name in _ADDRESSES:
            shown = row.get(name)
            if isinstance(shown, str):
                try:
                    return written.address(shown)
                except ValueError:
                    continue
    return None


def _rows(data: object, environment: Environment) -> Iterator[Mapping[str, object]]:
    """What the page says of one environment, in a list or by name."""
    if isinstance(data, Mapping):
        inside = next((data[name] for name in ("environments", "items") if name in data), data)
        if isinstance(inside, Mapping):
            by_name = inside.get(environment.value)
            yield from [by_name] if isinstance(by_name, Mapping) else []
            return
        data = inside
    for row in data if isinstance(data, list) else []:
        if isinstance(row, Mapping) and any(_is(row.get(name), environment) for name in _NAMES):
            yield row


def _is(name: object, environment: Environment) -> bool:
    return isinstance(name, str) and name.strip().lower() == environment.value
