"""The head of the vendor's documents: name, logo, paper and language."""

from dataclasses import dataclass
from enum import StrEnum


class Paper(StrEnum):
    """Paper size, ``PACSPACE_STRIPE_PAPER``."""

    A4 = "a4"
    LETTER = "letter"


class Language(StrEnum):
    """Language of the statement's own texts, ``PACSPACE_STRIPE_LANGUAGE``."""

    ENGLISH = "en"
    GERMAN = "de"
    FRENCH = "fr"
    SPANISH = "es"


@dataclass(frozen=True, slots=True, kw_only=True)
class Logo:
    """A picture for the head of a document. Its text form is the name of the file that it was read from."""

    file: str
    media_type: str
    """``image/svg+xml``, ``image/png`` or ``image/jpeg``."""
    content: bytes

    def __str__(self) -> str:
        return self.file


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """The vendor's choices for the head of its documents, their paper and their language."""

    vendor: str | None = None
    """The vendor's name; with None, no name is shown."""
    logo: Logo | None = None
    paper: Paper = Paper.A4
    language: Language = Language.ENGLISH
