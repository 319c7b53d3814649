"""One page: the strip put below it, and taken off again.

What we did to a page is written into its ``/PieceInfo`` (PDF 32000-1, 14.5, made for this), with the boxes it had.
"""

from datetime import datetime

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf

from pacspace_stripe.documents.overlay.geometry import Box, Sight
from pacspace_stripe.documents.overlay.strips import Strip
from pacspace_stripe.errors import RenderError

_APPLICATION = Name("/PacSpaceStripe")
_MARK = Name("/PacSpaceStripeFooter")
"""In the stream that draws the strip, and with a number if need be its name among the page's XObjects."""
_BOXES = (Name.MediaBox, Name.CropBox, Name.BleedBox, Name.TrimBox)
"""Those that have to reach around the strip. An ArtBox says where the author's own content is: it stays."""
_CORNERS = 4


def pdf_date(at: datetime) -> str:
    """An aware time as PDF writes it."""
    return at.strftime("D:%Y%m%d%H%M%SZ")


def sight_of(page: Dictionary) -> Sight:
    """What viewers show of a page. Raises RenderError when its boxes are not readable."""
    media = _box(page, Name.MediaBox)
    if media is None or not media.within(media):
        message = "a page has no size"
        raise RenderError(message, hint="The PDF is damaged: get it anew.")
    crop = _box(page, Name.CropBox)
    shown = (media.within(crop) if crop else None) or media
    return Sight.of(shown, rotate=_number(_inherited(page, Name.Rotate), 0), unit=_number(page.get(Name.UserUnit), 1))


def put_strip(pdf: Pdf, page: Dictionary, sight: Sight, strip: Strip, at: datetime) -> None:
    """Add the strip below what is shown of the page.

    It is drawn first, from the state every page starts in, so whatever state the page's own content leaves behind
    cannot reach it. What the page draws beyond the edge that was shown stays out of sight.
    """
    before = _grow(page, sight, strip.height)
    name = _own_resources(page, strip)
    matrix = " ".join(map(_written, sight.matrix(strip.height, strip.scale)))
    left, bottom, *_ = sight.content.corners
    kept = " ".join(map(_written, (left, bottom, sight.content.width, sight.content.height)))
    ours = pdf.make_stream(f"q {matrix} cm {name} Do Q {kept} re W n\n".encode(), {str(_MARK): True})
    page.Contents = Array([ours, *_contents(page)])
    moment = pikepdf.String(pdf_date(at))
    page.LastModified = moment
    pieces = _copied(page.get(Name.PieceInfo))
    pieces[_APPLICATION] = Dictionary(LastModified=moment, Private=Dictionary(Boxes=before, Name=Name(name)))
    page.PieceInfo = pieces


def take_strip_off(page: Dictionary) -> bool:
    """Undo ``put_strip``; says whether there was one. Raises RenderError when the page was changed since."""
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


def _grow(page: Dictionary, sight: Sight, height: float) -> Dictionary:
    """Let the boxes reach around the strip; answers with those that the page had."""
    before = Dictionary()
    for name in _BOXES:
        box = _box(page, name)
        if box is not None:
            before[name] = _array(box)
            page[name] = _array(sight.grown(height) if name == Name.CropBox else sight.reaching(box, height))
    return before


def _own_resources(page: Dictionary, strip: Strip) -> str:
    """The strip among the page's own resources, which may have been its neighbours' too; answers with its name."""
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
    """A copy of a dictionary, perhaps without one entry; empty if it is none. Pages may share what they refer to."""
    entries = found.items() if isinstance(found, Dictionary) else ()
    return Dictionary({name: value for name, value in entries if name != but})


def _inherited(page: Dictionary, name: Name) -> pikepdf.Object | None:
    """An attribute of the page, or of the nearest node above it."""
    node: pikepdf.Object | None = page
    seen: set[tuple[int, int]] = set()
    while isinstance(node, Dictionary) and node.objgen not in seen:
        if name in node:
            return node[name]
        seen.add(node.objgen)
        node = node.get(Name.Parent)
    return None


def _box(page: Dictionary, name: Name) -> Box | None:
    inherits = name in {Name.MediaBox, Name.CropBox}
    found = _inherited(page, name) if inherits else page.get(name)
    if not isinstance(found, Array) or len(found) != _CORNERS:
        return None
    return Box.spanned([float(corner) for corner in found])


def _number(value: object, otherwise: float) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # whatever it is
    except (TypeError, ValueError):
        return otherwise


def _array(box: Box) -> Array:
    return Array([pikepdf.Object.parse(_written(corner).encode()) for corner in box.corners])


def _written(number: float) -> str:
    """A number as PDF writes it: no exponent, no more digits than anybody sees."""
    return f"{number:.5f}".rstrip("0").rstrip(".") or "0"
