"""Foreign text as it may be shown: on a terminal, in a log, in an error. Pure."""

from unicodedata import category


def printable(text: str) -> str:
    r"""The text with everything that is no visible character or space written out, as ``\x1b`` or ``\u202e``.

    Escape sequences, line breaks and characters that turn the reading direction could make a screen say anything.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable() or category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode("ascii")
