"""Logos as SVG: where their sizes are read from, and pictures without a size."""

import struct

import pytest

from pacspace_stripe.documents.pictures import logo_svg
from pacspace_stripe.documents.rules.letterhead import Logo

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 300, 100)
JPEG = b"\xff\xd8" + b"\xff\xe0" + struct.pack(">H", 6) + b"JFIF" + b"\xff\xc0" + struct.pack(">HBHH", 11, 8, 100, 300)


def logo(kind: str, content: bytes) -> Logo:
    return Logo(file="logo", media_type=f"image/{kind}", content=content)


@pytest.mark.parametrize("picture", [logo("png", PNG), logo("jpeg", JPEG)], ids=["png", "jpeg"])
def test_a_picture_is_framed_in_its_own_size(picture: Logo) -> None:
    svg = logo_svg(picture)
    assert svg.count('width="300" height="100"') == 2
    assert f'href="data:{picture.media_type};base64,' in svg


def test_svg_stays_as_it_is_but_for_a_byte_order_mark() -> None:
    assert logo_svg(logo("svg+xml", b"\xef\xbb\xbf<svg/>")) == "<svg/>"


@pytest.mark.parametrize(
    "picture",
    [
        logo("png", PNG[:20]),
        logo("png", PNG.replace(b"IHDR", b"IDAT")),
        logo("png", PNG[:-4] + b"\0\0\0\0"),
        logo("jpeg", JPEG[:-3]),
        logo("jpeg", JPEG[:4]),
        logo("jpeg", b"\xff\xd8nothing of the kind"),
    ],
)
def test_a_picture_without_a_size_is_refused(picture: Logo) -> None:
    with pytest.raises(ValueError, match=r"not a complete|without width or height"):
        logo_svg(picture)
