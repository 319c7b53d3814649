"""One page of an invoice PDF: a strip put below what is shown of it, and taken off again.

A page's boxes are in its user space; ``/Rotate`` turns it clockwise for showing, and ``/UserUnit`` says how many points
a unit is (PDF 32000-1, 7.7.3.3 and 14.11.2). What we did to a page is written into its ``/PieceInfo`` (14.5, made for
this), with the boxes that it had.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil
from typing import TypeAlias

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf

from pacspace_stripe.errors import RenderError

Matrix: TypeAlias = tuple[float, float, float, float, float, float]

_QUARTER, _TURN = 90, 360
_FAR = 15_000.0
"""Units; farther than any page reaches, by the PDF format's own limit."""
_APPLICATION = Name("/PacSpaceStripe")
_MARK = Name("/PacSpaceStripeFooter")
"""Our mark in the stream that draws the strip, and, with a number if need be, its name among the page's XObjects."""
_BOXES = (Name.MediaBox, Name.CropBox, Name.BleedBox, Name.TrimBox)
"""The boxes that have to reach around the strip. An ArtBox says where the author's own content is: it stays."""
_CORNERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """A drawing to put below a page."""

    drawing: pikepdf.Object
    """A form XObject in the page's file, its lower left corner at 0, 0."""
    height: float
    """Height below the page, as shown, in points."""
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle of a page, in its units."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.top - self.bottom

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """The four numbers in the order of the PDF format."""
        return (self.left, self.bottom, self.right, self.top)

    def within(self, other: "Box") -> "Box | None":
        """Return what both boxes have in common, if that has an area."""
        common = Box(
            left=max(self.left, other.left),
            bottom=max(self.bottom, other.bottom),
            right=min(self.right, other.right),
            top=min(self.top, other.top),
        )
        return common if common.width > 0 and common.height > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class VisiblePage:
    """The box of a page that viewers show, turned clockwise by ``turn`` degrees; ``unit`` points a unit."""

    box: Box
    turn: int
    unit: float

    @property
    def width(self) -> float:
        """Width as shown, in points."""
        return self.unit * (self.box.width if self.turn in {0, 180} else self.box.height)

    def reaching(self, box: Box, height: float) -> Box:
        """Return another box of the page, made to reach the far edge of a strip of ``height`` points.

        Points become whole units, so that nothing that a page shows moves by a part of a pixel.
        """
        more = ceil(round(height / self.unit, 3))
        match self.turn:
            case 90:
                return replace(box, right=max(box.right, self.box.right + more))
            case 180:
                return replace(box, top=max(box.top, self.box.top + more))
            case 270:
                return replace(box, left=min(box.left, self.box.left - more))
            case _:
                return replace(box, bottom=min(box.bottom, self.box.bottom - more))

    def matrix(self, height: float, scale: float) -> Matrix:
        """Return the matrix that puts a drawing upright into the strip's lower left corner, scaled by ``scale``."""
        grown, size = self.reaching(self.box, height), scale / self.unit
        match self.turn:
            case 90:
                return (0, size, -size, 0, grown.right, grown.bottom)
            case 180:
                return (-size, 0, 0, -size, grown.right, grown.top)
            case 270:
                return (0, -size, size, 0, grown.left, grown.top)
            case _:
                return (size, 0, 0, size, grown.left, grown.bottom)

    @property
    def content(self) -> Box:
        """The box and everything around it, but nothing beyond the edge that the strip is put to."""
        box = self.box
        around = Box(left=box.left - _FAR, bottom=box.bottom - _FAR, right=box.right + _FAR, top=box.top + _FAR)
        match self.turn:
            case 90:
                return replace(around, right=box.right)
            case 180:
                return replace(around, top=box.top)
            case 270:
                return replace(around, left=box.left)
            case _:
                return replace(around, bottom=box.bottom)


def pdf_date(at: datetime) -> str:
    """Return a time in UTC in the form of the PDF format."""
    return at.strftime("D:%Y%m%d%H%M%SZ")


def visible_page(page: Dictionary) -> VisiblePage:
    """Return what viewers show of a page. Raises RenderError when its boxes are not readable.

    A rotation that is no multiple of 90 and a unit that is not positive are ignored, as viewers do.
    """
    media = _box(page, Name.MediaBox)
    if media is None or not media.within(media):
        message = "a page has no size"
        raise RenderError(message, hint="The PDF is damaged: get it again.")
    crop = _box(page, Name.CropBox)
    rotate, unit = _number(_inherited(page, Name.Rotate), 0), _number(page.get(Name.UserUnit), 1)
    return VisiblePage(
        box=(media.within(crop) if crop else None) or media,
        turn=int(rotate) % _TURN if rotate % _QUARTER == 0 else 0,
        unit=unit if unit > 0 else 1.0,
    )


def put_strip(pdf: Pdf, page: Dictionary, visible: VisiblePage, strip: Strip, date: str) -> None:
    """Add the strip below what is shown of the page.

    The strip is drawn first, from the state that every page starts in, so that no state which the page's own content
    leaves behind can reach it. What the page draws beyond the edge that was shown stays out of sight.
    """
    before = Dictionary()
    for box_name in _BOXES:
        box = _box(page, box_name)
        if box is not None:
            before[box_name] = _array(box)
            shown = visible.box if box_name == Name.CropBox else box
            page[box_name] = _array(visible.reaching(shown, strip.height))
    name = _own_resources(page, strip)
    matrix = " ".join(map(_written, visible.matrix(strip.height, strip.scale)))
    content = visible.content
    kept = " ".join(map(_written, (content.left, content.bottom, content.width, content.height)))
    ours = pdf.make_stream(f"q {matrix} cm {name} Do Q {kept} re W n\n".encode(), {str(_MARK): True})
    page.Contents = Array([ours, *_contents(page)])
    moment = pikepdf.String(date)
    page.LastModified = moment
    pieces = _copied(page.get(Name.PieceInfo))
    pieces[_APPLICATION] = Dictionary(LastModified=moment, Private=Dictionary(Boxes=before, Name=Name(name)))
    page.PieceInfo = pieces


def take_strip_off(page: Dictionary) -> bool:
    """Undo ``put_strip`` and return whether there was a strip. Raises RenderError when the page was changed since."""
    pieces = page.get(Name.PieceInfo)
    if not isinstance(pieces, Dictionary) or _APPLICATION not in pieces:
        return False
    private = pieces[_APPLICATION].Private
    contents = _contents(page)
    if not contents or not isinstance(contents[0], pikepdf.Stream) or _MARK not in contents[0]:
        message = "the PDF was stamped before, and another program changed it since"
        raise RenderError(message, hint="Stamp the invoice's original PDF instead.")
    page.Contents = Array(contents[1:])
    for box, corners in private.Boxes.items():
        page[box] = corners
    page.Resources = _copied(page.Resources)
    page.Resources.XObject = _copied(page.Resources.get(Name.XObject), but=str(private.Name))
    page.PieceInfo = _copied(pieces, but=str(_APPLICATION))
    if not page.PieceInfo.keys():
        del page[Name.PieceInfo]
    return True


def _own_resources(page: Dictionary, strip: Strip) -> str:
    """Give the page resources of its own with the strip in them, and return the strip's name there.

    The page may have shared its resources with other pages.
    """
    resources = _copied(_inherited(page, Name.Resources))
    drawings = _copied(resources.get(Name.XObject))
    taken = set(drawings.keys())
    name = next(free for number in range(len(taken) + 1) if (free := f"{_MARK}{number or ''}") not in taken)
    drawings[Name(name)] = strip.drawing
    resources.XObject = drawings
    page.Resources = resources
    return name


def _contents(page: Dictionary) -> list[pikepdf.Object]:
    found = page.get(Name.Contents)
    if found is None:
        return []
    return list(found) if isinstance(found, Array) else [found]


def _copied(found: object, *, but: str | None = None) -> Dictionary:
    """Return a copy of a dictionary, perhaps without one entry; empty if it is none. Pages may share what they name."""
    entries = found.items() if isinstance(found, Dictionary) else ()
    return Dictionary({name: value for name, value in entries if name != but})


def _inherited(page: Dictionary, name: Name) -> pikepdf.Object | None:
    """Return an attribute of the page, or of the nearest node above it that has one."""
    node: pikepdf.Object | None = page
    seen: set[tuple[int, int]] = set()
    while isinstance(node, Dictionary) and node.objgen not in seen:
        if name in node:
            return node[name]
        seen.add(node.objgen)
        node = node.get(Name.Parent)
    return None


def _box(page: Dictionary, name: Name) -> Box | None:
    """Return a box of a page, from any two opposite corners as PDF allows; None when it is not readable."""
    found = _inherited(page, name) if name in {Name.MediaBox, Name.CropBox} else page.get(name)
    if not isinstance(found, Array) or len(found) != _CORNERS:
        return None
    x1, y1, x2, y2 = (float(corner) for corner in found)
    return Box(left=min(x1, x2), bottom=min(y1, y2), right=max(x1, x2), top=max(y1, y2))


def _number(value: object, otherwise: float) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # any object of the file
    except (TypeError, ValueError):
        return otherwise


def _array(box: Box) -> Array:
    return Array([pikepdf.Object.parse(_written(corner).encode()) for corner in box.corners])


def _written(number: float) -> str:
    """Return a number in the form of the PDF format: no exponent, no more digits than a reader sees."""
    return f"{number:.5f}".rstrip("0").rstrip(".") or "0"
