"""Plain values → words of a document: on one line, without control characters, times in UTC."""

import unicodedata
from datetime import UTC, datetime
from decimal import Decimal

from pacspace_stripe.vocabulary import quantities

_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Direction overrides: with them one text can be made to look like another."""


def one_line(words: str) -> str:
    """Words on one line, without control characters: what a value says cannot become lines of a document's own."""
    line = " ".join(words.split())
    return "".join(char for char in line if unicodedata.category(char) not in ("Cc", "Cs") and char not in _DIRECTIONS)


def optional(words: str | None) -> str | None:
    """One line, or None for nothing."""
    return one_line(words) if words else None


def right_to_left(words: str) -> bool:
    """Whether a reader's screen would reorder digits that follow these words on their line."""
    return any(unicodedata.bidirectional(char) in ("R", "AL", "AN") for char in words)


def figure(quantity: Decimal | None) -> str | None:
    """A quantity's exact digits."""
    return None if quantity is None else quantities.text(quantity)


def utc(at: datetime) -> datetime:
    """The same time in UTC. Raises ValueError for a time without a zone."""
    if at.tzinfo is None:
        message = "a document's times are aware"
        raise ValueError(message)
    return at.astimezone(UTC)


def moment(at: datetime) -> str:
    """UTC for people: ``2026-09-01 00:00``, with seconds when there are any."""
    at = utc(at).replace(tzinfo=None)
    return at.isoformat(sep=" ", timespec="auto" if at.second or at.microsecond else "minutes")


def parts(at: datetime) -> dict[str, int]:
    """A time in UTC as Typst takes it."""
    at = utc(at)
    return {part: getattr(at, part) for part in ("year", "month", "day", "hour", "minute", "second")}
