"""Foreign text as it may be shown: on a terminal, in a log, in an error; and numbers for people. Pure."""

import re
from unicodedata import category

_NUMBER = re.compile(r"(-?)([0-9]{1,200})((?:\.[0-9]+)?(?:\s.*)?)", re.DOTALL)


def printable(text: str) -> str:
    r"""The text with everything that is no visible character or space written out, as ``\x1b`` or ``\u202e``.

    Escape sequences, line breaks and characters that turn the reading direction could make a screen say anything.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable() or category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode("ascii")


def group_thousands(written: str) -> str:
    """Return a text that begins with a plain number with its thousands separated, ``1,234.50 EUR``, or as it is."""
    match = _NUMBER.fullmatch(written)
    return f"{match[1]}{int(match[2]):,}{match[3]}" if match else written


def plural(number: int, noun: str) -> str:
    """``1 window``, ``2 windows``, ``1,200 windows``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
