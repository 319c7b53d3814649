"""Typed values as the words of a document: on one line, without control characters, times in UTC."""

import unicodedata
from datetime import UTC, datetime
from decimal import Decimal

from pacspace_stripe.vocabulary import quantities

_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Direction overrides: with them one text can be made to look like another."""


def one_line(words: str) -> str:
    """Return words on one line, without control characters, so that a value cannot add lines to a document."""
    line = " ".join(words.split())
    return "".join(char for char in line if unicodedata.category(char) not in ("Cc", "Cs") and char not in _DIRECTIONS)


def optional(words: str | None) -> str | None:
    """Return words on one line, or None for nothing."""
    return one_line(words) if words else None


def shortened(words: str, longest: int) -> str:
    """Return words on one line of at most ``longest`` characters, with an ellipsis where they were cut."""
    line = one_line(words)
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def right_to_left(words: str) -> bool:
    """Return whether a screen would reorder digits that follow these words on their line."""
    return any(unicodedata.bidirectional(char) in ("R", "AL", "AN") for char in words)


def figure(quantity: Decimal | None) -> str | None:
    """Return a quantity's exact digits."""
    return None if quantity is None else quantities.text(quantity)


def utc(at: datetime) -> datetime:
    """Return the same time in UTC. Raises ValueError for a time without a zone."""
    if at.tzinfo is None:
        message = "a document's times must have a time zone"
        raise ValueError(message)
    return at.astimezone(UTC)


def moment(at: datetime) -> str:
    """Return a time in UTC as ``2026-09-01 00:00``, with seconds when there are any."""
    at = utc(at).replace(tzinfo=None)
    return at.isoformat(sep=" ", timespec="auto" if at.second or at.microsecond else "minutes")


def parts(at: datetime) -> dict[str, int]:
    """Return a time in UTC in the parts that Typst takes."""
    at = utc(at)
    return {part: getattr(at, part) for part in ("year", "month", "day", "hour", "minute", "second")}
