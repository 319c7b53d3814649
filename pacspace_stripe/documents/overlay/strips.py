"""The strip itself: the footer's text as a small PDF of one page, by Typst, one for each width of page."""

import json
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING

import pikepdf

from pacspace_stripe.documents import Templates
from pacspace_stripe.errors import RenderError

if TYPE_CHECKING:
    import typst

TEMPLATE = "overlay.typ"

_NARROWEST, _WIDEST = 200.0, 1000.0
"""Points: on a narrower page the text is set for the one, on a wider page for the other, and scaled."""
_MISSING = re.compile(r'the text `"(.*?)"` could not be displayed')
_ESCAPED = re.compile(r"\\u\{([0-9a-f]+)\}")
_LINE = re.compile(r"─ \S*?:(\d+):\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """A drawing to put below a page."""

    drawing: pikepdf.Object
    """A form XObject of the strip's own file, its lower left corner at 0, 0."""
    height: float
    """As shown below the page, in points."""
    scale: float


class Strips:
    """Draws strips. Safe to use from several threads at once."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates
        self._own = threading.local()

    @cached_property
    def _fonts(self) -> "typst.Fonts":
        """Typst's own fonts and the user's, never the machine's: the same bytes everywhere."""
        import typst  # noqa: PLC0415 - 7 MB that only rendering needs

        return typst.Fonts(include_system_fonts=False, font_paths=list(self._templates.font_folders))

    def draw(self, lines: Sequence[str], width: float, into: pikepdf.Pdf) -> Strip:
        """The lines as a strip for a page that is shown ``width`` points wide, copied into a file.

        Raises RenderError: the template is wrong, or no font has a character.
        """
        set_for = round(min(max(width, _NARROWEST), _WIDEST), 2)
        scale = width / set_for
        # Left open: what is copied from it is read when the other file is saved.
        source = pikepdf.open(BytesIO(self._render(lines, set_for)))
        if len(source.pages) != 1:
            message = f"{TEMPLATE}: gives {len(source.pages)} pages, not one"
            raise RenderError(message, hint=f"Correct {self._templates.path(TEMPLATE)}.")
        page = source.pages[0]
        drawing = into.copy_foreign(page.as_form_xobject())
        height = float(page.mediabox[3]) - float(page.mediabox[1])
        return Strip(drawing=drawing, height=height * scale, scale=scale)

    def _render(self, lines: Sequence[str], width: float) -> bytes:
        """As PDF/A: it has no boxes for characters that no font has, so Typst names them as errors."""
        import typst  # noqa: PLC0415 - as above

        data = json.dumps({"width": width, "footer": list(lines)}, ensure_ascii=False)
        try:
            pdf = self._compiler().compile(
                sys_inputs={"data": data}, pdf_standards=["a-3b"], timestamp=datetime(2000, 1, 1, tzinfo=UTC)
            )
        except typst.TypstError as error:
            raise self._failure(error) from error
        assert isinstance(pdf, bytes)  # noqa: S101  # one document and no output path
        return pdf

    def _compiler(self) -> "typst.Compiler":
        """One for each thread: they cannot be shared between threads, and a new one costs a third of a strip."""
        import typst  # noqa: PLC0415 - as above

        if not hasattr(self._own, "compiler"):
            path = self._templates.path(TEMPLATE)
            self._own.compiler = typst.Compiler(
                path, root=path.parent, font_paths=self._fonts, ignore_system_fonts=True
            )
        compiler: typst.Compiler = self._own.compiler
        return compiler

    def _failure(self, error: "typst.TypstError") -> RenderError:
        path = self._templates.path(TEMPLATE)
        runs = _MISSING.findall(error.diagnostic)
        if runs:
            text = "".join(_ESCAPED.sub(lambda escape: chr(int(escape[1], 16)), run) for run in runs)
            named = ", ".join(f"{char} (U+{ord(char):04X})" for char in dict.fromkeys(text) if not char.isascii())
            message = f"the footer: no font has {named or text}"
            return RenderError(message, hint="Put a font that has it into the folder fonts beside your own templates.")
        line = _LINE.search(error.diagnostic)
        where = f"{path.name} line {line[1]}" if line else path.name
        return RenderError(f"{where}: {error.message}", hint=" ".join([f"Correct {path}.", *error.hints]))
