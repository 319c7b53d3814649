"""Text for people: foreign text that is safe to show on a terminal, in a log or in an error, and numbers."""

import re
from unicodedata import category

_NUMBER = re.compile(r"(-?)([0-9]{1,200})((?:\.[0-9]+)?(?:\s.*)?)", re.DOTALL)


def printable(text: str) -> str:
    r"""Return a text with everything but visible characters and spaces written out, as ``\x1b`` or ``\u202e``.

    Escape sequences, line breaks and characters that turn the reading direction could make a screen show anything.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable() or category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode("ascii")


def group_thousands(text: str) -> str:
    """Separate the thousands of the plain number that a text begins with: ``1,234.50 EUR``; else return it as it is."""
    match = _NUMBER.fullmatch(text)
    return f"{match[1]}{int(match[2]):,}{match[3]}" if match else text


def plural(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 window``, ``2 windows``, ``1,200 windows``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
