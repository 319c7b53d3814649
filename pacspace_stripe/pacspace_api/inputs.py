"""What PacSpace takes (CONTRACT 1.9), checked before anything is sent. Everything else is InvalidInput. Pure.

Arguments are ``object``: callers without a type checker are told what is wrong, too.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from pacspace_stripe.errors import InvalidInput
from pacspace_stripe.settings import parsers as written

Choice = TypeVar("Choice", bound=StrEnum)
_CUSTOMER_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_KEY = re.compile(r"[!-~]{1,255}")
_TOKEN = re.compile(r"[!-~]{1,8000}")
_API_KEY = re.compile(r"pk_(test|live)_[!-~]{1,500}")
_LONGEST_REASON, _LONGEST_TEXT = 500, 10_000
_LARGEST_DELTA = Decimal(1_000_000_000)
_SMALLEST_EXPONENT = -30
"""Digits after the point that we read back; a double keeps fewer."""
_LARGEST_BITS = 2**53
_LARGEST_BALANCE = 30
DEFAULT_ADDRESS = "https://app.pacspace.io"
"""Serves both environments; the key picks (CONTRACT 1.1)."""


def customer_id(given: object) -> str:
    """Letters, digits and ``_ - . :``, at most 128."""
    if not isinstance(given, str) or not _CUSTOMER_ID.fullmatch(given):
        message = "customer_id must be 1 to 128 letters, digits, or any of _ - . :"
        raise InvalidInput(message)
    return given


def delta(given: object) -> Decimal:
    """Not zero, finite, between ±1,000,000,000."""
    amount = number("delta", given)
    if amount == 0 or abs(amount) > _LARGEST_DELTA:
        message = "delta must not be zero, and be between -1,000,000,000 and 1,000,000,000"
        raise InvalidInput(message)
    return amount


def number(name: str, given: object) -> Decimal:
    """An exact number: never a float, which has other digits than it shows."""
    if isinstance(given, bool) or not isinstance(given, Decimal | int):
        message = f"{name} must be a Decimal or an int, not a {type(given).__name__}"
        raise InvalidInput(message)
    if isinstance(given, int) and abs(given) >= 10**_LARGEST_BALANCE:
        message = f"{name} is beyond any balance"
        raise InvalidInput(message)
    amount = Decimal(given)
    if not amount.is_finite():
        message = f"{name} must be finite"
        raise InvalidInput(message)
    exponent = amount.as_tuple().exponent
    if amount and (int(exponent) < _SMALLEST_EXPONENT or amount.adjusted() > _LARGEST_BALANCE):
        message = f"{name} has more digits than any balance"
        raise InvalidInput(message)
    return amount


def reason(given: object) -> str:
    """1 to 500 characters."""
    return text("reason", given, longest=_LONGEST_REASON)


def text(name: str, given: object, *, longest: int = _LONGEST_TEXT) -> str:
    """Some text that is text."""
    if not isinstance(given, str) or not 1 <= len(given) <= longest:
        message = f"{name} must be text of 1 to {longest} characters"
        raise InvalidInput(message)
    if "\x00" in given or (not given.isascii() and given.encode(errors="replace").decode() != given):
        message = f"{name} has characters that are not text"
        raise InvalidInput(message)
    return given


def mapping(name: str, given: object) -> Mapping[str, object]:
    """Keys and values; None is none."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        message = f"{name} must be a mapping with text for keys"
        raise InvalidInput(message)
    return given


def choice(kind: type[Choice], name: str, given: object) -> Choice:
    """One of a few words."""
    try:
        return kind(str(given))
    except ValueError:
        message = f"{name} must be one of: {', '.join(kind)}"
        raise InvalidInput(message) from None


def whole(name: str, given: object, *, least: int, most: int) -> str:
    """A whole number within bounds, as a query writes it."""
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
        message = f"{name} must be a whole number from {least} to {most}"
        raise InvalidInput(message)
    return str(given)


def bits(given: object) -> int:
    """What a settlement record counts by: a whole number, not zero, that a double keeps."""
    if isinstance(given, bool) or not isinstance(given, int) or not 0 < abs(given) <= _LARGEST_BITS:
        message = f"bits must be a whole number that is not zero, between ±{_LARGEST_BITS}"
        raise InvalidInput(message)
    return given


def idempotency_key(given: object) -> str:
    """Printable ASCII without spaces: it travels in a header."""
    if not isinstance(given, str) or not _KEY.fullmatch(given):
        message = "an idempotency key must be 1 to 255 printable ASCII characters without spaces"
        raise InvalidInput(message)
    return given


def token(given: object) -> str:
    """A session's token; the message never repeats it."""
    if not isinstance(given, str) or not _TOKEN.fullmatch(given):
        message = "a dashboard token must be printable ASCII without spaces"
        raise InvalidInput(message)
    return given


def api_key(given: object) -> str:
    """``pk_test_PUBLIC.SECRET`` or ``pk_live_PUBLIC.SECRET``; the message never repeats it."""
    if not isinstance(given, str) or not _API_KEY.fullmatch(given):
        message = "the API key must be pk_test_… or pk_live_…"
        raise InvalidInput(message, hint="Create one in PacSpace's dashboard; it is shown once.")
    return given


def address(key: str, base_url: str | None, sandbox_url: str | None) -> str:
    """``base_url`` if given; else for test keys ``sandbox_url`` if given; else PacSpace's own, which serves both."""
    chosen = base_url or (sandbox_url if key.startswith("pk_test_") else None) or DEFAULT_ADDRESS
    try:
        return written.address(chosen)
    except ValueError as error:
        message = f"the base URL {error}"
        raise InvalidInput(message) from None
