"""The strip itself: the footer's text as a small PDF of one page, by Typst, one for each width of page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO

import pikepdf

from pacspace_stripe.documents.failures import failure
from pacspace_stripe.documents.typesetting import Typesetter, by_name

OVERLAY_TEMPLATE = "overlay.typ"

_NARROWEST, _WIDEST = 200.0, 1000.0
"""Points: on a narrower page the text is set for the one, on a wider page for the other, and scaled."""
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
"""Of the drawing's own file, of which nothing but the drawing is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayValues:
    """The strip below each page of a stamped invoice: the keys of `data`."""

    width: float
    """How wide the strip is, in points."""
    footer: list[str]
    """The lines of the footer."""
    fonts: list[str]
    """Names of the font families in `PACSPACE_STRIPE_FONTS`, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """A drawing to put below a page."""

    drawing: pikepdf.Object
    """A form XObject of the strip's own file, its lower left corner at 0, 0."""
    height: float
    """As shown below the page, in points."""
    scale: float


@dataclass(frozen=True, slots=True)
class Strips:
    """Draws strips. Safe to use from several threads at once."""

    typesetter: Typesetter

    def draw(self, lines: Sequence[str], width: float, into: pikepdf.Pdf) -> Strip:
        """The lines as a strip for a page that is shown ``width`` points wide, copied into a file.

        Raises RenderError: the template is wrong, or no font has a character.
        """
        set_for = round(min(max(width, _NARROWEST), _WIDEST), 2)
        scale = width / set_for
        values = OverlayValues(width=set_for, footer=list(lines), fonts=self.typesetter.families)
        # Left open: what is copied from it is read when the other file is saved.
        source = pikepdf.open(BytesIO(self.typesetter.pdf(OVERLAY_TEMPLATE, by_name(values), issued_at=_LONG_AGO)))
        if len(source.pages) != 1:
            raise failure(self.typesetter.path(OVERLAY_TEMPLATE), None, f"gives {len(source.pages)} pages, not one")
        page = source.pages[0]
        drawing = into.copy_foreign(page.as_form_xobject())
        height = float(page.mediabox[3]) - float(page.mediabox[1])
        return Strip(drawing=drawing, height=height * scale, scale=scale)
