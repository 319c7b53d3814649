"""What Typst says of a template → a RenderError that names the template, the line and the problem."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from pacspace_stripe.documents.failures import failure
from pacspace_stripe.errors import RenderError

if TYPE_CHECKING:
    import typst

_PLACE = re.compile(r"─ (.*?):(\d+):\d+$", re.MULTILINE)
_OURS = "@builtin/"
_MISSING = re.compile(r'the text `"(.*?)"` could not be displayed', re.DOTALL)
_RUST_ESCAPE = re.compile(r"\\u\{([0-9a-f]+)\}")
_FONT_HINT = "Put a font that has it into a folder and set PACSPACE_STRIPE_FONTS to that folder."


def typst_failure(error: "typst.TypstError", path: Path) -> RenderError:
    """For the template at ``path``, or a file beside it that it imports."""
    if missing := _missing_glyphs(error):
        return RenderError(f"{path.name}: no font has {', '.join(map(_named, missing))}", hint=_FONT_HINT)
    places: list[tuple[str, str]] = _PLACE.findall(error.diagnostic)
    # A mistake shows inside our package too, when a template hands it something wrong: the template's line helps more.
    ours_last = sorted(places, key=lambda place: place[0].startswith(_OURS))
    if not ours_last:
        return failure(path, None, error.message, *error.hints)
    file, line = ours_last[0]
    neighbour = path.parent / Path(file).name
    return failure(neighbour if neighbour.is_file() else path, int(line), error.message, *error.hints)


def _missing_glyphs(error: "typst.TypstError") -> list[str]:
    """The characters that no font has. PDF/A allows no empty box in their place, so Typst names them as errors."""
    runs = _MISSING.findall(error.diagnostic)
    named = "".join(_RUST_ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), run) for run in runs)
    return sorted({char for char in named if not char.isascii()})


def _named(char: str) -> str:
    return f"{char} (U+{ord(char):04X})"
