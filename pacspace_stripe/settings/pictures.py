"""Readers of what documents show of the vendor: its logo and its name."""

from pathlib import Path
from typing import Final

from pacspace_stripe.documents.rules.letterhead import Logo

MOST_BYTES: Final = 512 * 1024
LONGEST_NAME: Final = 200
_ALLOWED = "must be a PNG, JPEG or SVG file"


def logo(written: str) -> Logo:
    """A picture file, read once: what it holds later changes nothing."""
    path = Path(written.strip())
    if not path.is_file():
        message = f"{_ALLOWED} that exists"
        raise ValueError(message)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        message = f"{_ALLOWED} that we may read"
        raise ValueError(message) from error
    if len(content) > MOST_BYTES:
        message = f"must be no larger than {MOST_BYTES // 1024} KB"
        raise ValueError(message)
    return Logo(file=str(path), media_type=_media_type(content), content=content)


def _media_type(content: bytes) -> str:
    """By what the file holds, not by its name."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    markup = content.removeprefix(b"\xef\xbb\xbf").lstrip()
    if markup.startswith(b"<") and b"<svg" in markup and _is_text(content):
        return "image/svg+xml"
    raise ValueError(_ALLOWED)


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


def name(written: str) -> str:
    """A name for people, on one line."""
    text = " ".join(written.split())
    if len(text) > LONGEST_NAME:
        message = f"must have no more than {LONGEST_NAME} characters"
        raise ValueError(message)
    return text
