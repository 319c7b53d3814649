"""How the vendor's documents look: name, logo, paper and language."""

from dataclasses import dataclass
from enum import StrEnum


class Paper(StrEnum):
    """``PACSPACE_STRIPE_PAPER``."""

    A4 = "a4"
    LETTER = "letter"


class Language(StrEnum):
    """``PACSPACE_STRIPE_LANGUAGE``: the language of the statement's own texts."""

    ENGLISH = "en"
    GERMAN = "de"
    FRENCH = "fr"
    SPANISH = "es"


@dataclass(frozen=True, slots=True, kw_only=True)
class Logo:
    """A picture for the head of a document; as text, the file that it was read from."""

    file: str
    media_type: str
    """``image/svg+xml``, ``image/png`` or ``image/jpeg``."""
    content: bytes

    def __str__(self) -> str:
        return self.file


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """What the vendor chose for the head of its documents, their paper and their language."""

    vendor: str | None = None
    """The vendor's name; None: none is shown."""
    logo: Logo | None = None
    paper: Paper = Paper.A4
    language: Language = Language.ENGLISH
