"""The pictures of a document as SVG: a logo of any kind, and QR codes."""

import base64
import struct
from functools import lru_cache
from io import BytesIO

import segno

from pacspace_stripe.documents.rules.letterhead import Logo

_LONGEST_LINK = 500
"""Characters. With more, a code of 20 mm has modules that a telephone cannot tell apart."""
_MASK = 2
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of the segments that name a JPEG's width and height."""


@lru_cache(maxsize=256)
def qr_code(url: str) -> str | None:
    """Return a QR code of a web address; None for other text, and for an address too long to be read from paper."""
    if not url.startswith(("https://", "http://")) or len(url) > _LONGEST_LINK:
        return None
    drawn = BytesIO()
    # One fixed mask: the search for the best of eight takes longer than the rest of the page.
    segno.make_qr(url, error="m", boost_error=False, mask=_MASK).save(
        drawn, kind="svg", border=0, xmldecl=False, svgclass=None, lineclass=None
    )
    return drawn.getvalue().decode()


@lru_cache(maxsize=8)
def logo_svg(logo: Logo) -> str:
    """Return the logo as SVG. Raises ValueError for a picture whose size cannot be read.

    Typst takes text only, and needs fifty milliseconds for a picture that is a list of its bytes.
    """
    if logo.media_type == "image/svg+xml":
        return logo.content.decode().removeprefix("\ufeff")
    width, height = _png_size(logo.content) if logo.media_type == "image/png" else _jpeg_size(logo.content)
    if not width or not height:
        message = "a picture without width or height"
        raise ValueError(message)
    data = base64.b64encode(logo.content).decode()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
        f'<image width="{width}" height="{height}" href="data:{logo.media_type};base64,{data}"/></svg>'
    )


def _png_size(content: bytes) -> tuple[int, int]:
    if content[12:16] != b"IHDR" or len(content) < 24:  # noqa: PLR2004  # signature, length, name, width and height
        message = "not a complete PNG"
        raise ValueError(message)
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def _jpeg_size(content: bytes) -> tuple[int, int]:
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:  # noqa: PLR2004  # every segment begins so
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4])
        if marker in _JPEG_SIZES:
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return width, height
        at += 2 + length
    message = "not a complete JPEG"
    raise ValueError(message)
