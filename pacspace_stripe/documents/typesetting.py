"""Typst templates → PDF/A-3b: one function for every document, the same bytes for the same values.

A template reads its values from ``sys.inputs.data``, one JSON document. What is attached is no business of the
template's: it is put into the file around it, so that one the user wrote cannot leave it out.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pacspace_stripe.documents.failures import failure
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.documents.wording import utc
from pacspace_stripe.errors import RenderError

if TYPE_CHECKING:
    import typst

_AROUND = """\
#for each in json(bytes(sys.inputs.attachments)) {
  pdf.attach(
    each.name, bytes(each.content), relationship: "data", mime-type: each.mime_type, description: each.description,
  )
}
#include "/NAME"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file inside a PDF, listed in its catalog as an associated file that holds the document's data."""

    name: str
    content: bytes
    """UTF-8: Typst takes text. ValueError for anything else."""
    mime_type: str
    description: str


class Typesetter:
    """Compiles Typst templates. Safe to use from several threads at once."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates

    def pdf(
        self,
        template: str,
        data: Mapping[str, object],
        *,
        issued_at: datetime,
        attachments: tuple[Attachment, ...] = (),
    ) -> bytes:
        """The template, filled with ``data``, as PDF/A-3b with ``attachments``; byte-identical for equal arguments.

        ``issued_at`` is when the file says it was made, whole seconds. RenderError names template, line and problem.
        """
        import typst  # noqa: PLC0415 - 7 MB that only a PDF needs

        path = self._templates.path(template)
        inputs = {
            "data": json.dumps(data, ensure_ascii=False),
            "attachments": json.dumps([_as_text(each) for each in attachments], ensure_ascii=False),
        }
        # A compiler cannot be shared between threads and costs 0.2 ms; the fonts can and cost 30 ms.
        compiler = typst.Compiler(
            _AROUND.replace("NAME", template).encode(),
            root=path.parent,
            font_paths=self._fonts,
            ignore_system_fonts=True,
        )
        timestamp = utc(issued_at).replace(microsecond=0)
        try:
            pdf = compiler.compile(sys_inputs=inputs, pdf_standards=["a-3b"], timestamp=timestamp)
        except typst.TypstError as error:
            raise _failure(error, path) from error
        assert isinstance(pdf, bytes)  # noqa: S101  # one document and no output path
        return pdf

    @cached_property
    def _fonts(self) -> "typst.Fonts":
        """Typst's own fonts and the user's, never the machine's: the same bytes everywhere."""
        import typst  # noqa: PLC0415 - as above

        return typst.Fonts(include_system_fonts=False, font_paths=list(self._templates.font_folders))


def _as_text(attachment: Attachment) -> dict[str, str]:
    return {
        "name": attachment.name,
        "content": attachment.content.decode(),
        "mime_type": attachment.mime_type,
        "description": attachment.description,
    }


_LINE = re.compile(r"─ \S*?:(\d+):\d+")
_MISSING = re.compile(r'the text `"(.*?)"` could not be displayed')
_RUST_ESCAPE = re.compile(r"\\u\{([0-9a-f]+)\}")


def _failure(error: "typst.TypstError", path: Path) -> RenderError:
    if missing := _missing_glyphs(error):
        return _no_glyph(path, missing)
    line = _LINE.search(error.diagnostic)
    return failure(path, int(line[1]) if line else None, error.message, *error.hints)


def _missing_glyphs(error: "typst.TypstError") -> list[str]:
    """The characters that no font has. PDF/A allows no empty box in their place, so Typst names them as errors."""
    runs = _MISSING.findall(error.diagnostic)
    named = "".join(_RUST_ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), run) for run in runs)
    return sorted({char for char in named if not char.isascii()})


def _no_glyph(path: Path, missing: list[str]) -> RenderError:
    shown = ", ".join(f"{char} (U+{ord(char):04X})" for char in missing)
    message = f"{path.name}: no font has {shown}"
    return RenderError(message, hint="Put a font that has it into the folder named by PACSPACE_STRIPE_FONTS.")
