"""Typst templates as PDF/A-3b and pictures: one function for every document, the same bytes for the same values.

A template reads its values from ``sys.inputs.data``, one JSON document. Attachments are put into the file around the
template, so that a template of the user's cannot leave them out. Nothing is ever downloaded.
"""

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pacspace_stripe.documents.plain_text import utc
from pacspace_stripe.documents.templates import Templates, built_in, template_error
from pacspace_stripe.errors import RenderError

if TYPE_CHECKING:
    import typst

_WITH_ATTACHMENTS = """\
#for each in json(bytes(sys.inputs.attachments)) {
  pdf.attach(
    each.name, bytes(each.content), relationship: "data", mime-type: each.mime_type, description: each.description,
  )
}
#include "/NAME"
"""
_ALONE = '#include "/NAME"'
_PICTURE = '#image(bytes(json(bytes(sys.inputs.picture))), format: "FORMAT")'
_PPI = 200.0
"""Resolution of PNG pictures: sharp on today's screens, and small enough to be mailed."""
_STANDARD: "list[typst.PDFStandard]" = ["a-3b"]


class PictureKind(StrEnum):
    """A picture's file format."""

    PNG = "png"
    SVG = "svg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file inside a PDF, listed in its catalog as an associated file that holds the document's data."""

    name: str
    content: bytes
    """UTF-8, since Typst takes text; ValueError for anything else."""
    mime_type: str
    description: str


class TemplateValues(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


class Typesetter:
    """Compiler of Typst templates. Thread-safe."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates
        self._own = threading.local()

    def path(self, template: str) -> Path:
        """Return the path of a template: the file to correct when something is wrong with it."""
        return self._templates.path(template)

    def pdf(
        self,
        template: str,
        data: Mapping[str, object],
        *,
        issued_at: datetime,
        attachments: tuple[Attachment, ...] = (),
    ) -> bytes:
        """Return the template, filled with ``data``, as PDF/A-3b with ``attachments``; equal bytes for equal arguments.

        Dataclasses inside ``data`` count as objects, and ``data.fonts`` names the user's font families unless it says
        otherwise. ``issued_at`` is when the file says it was made, in whole seconds. RenderError names template, line
        and problem.
        """
        # Attachments go around the template, so that a template of the user's cannot leave the evidence out.
        listed = [by_name(each) | {"content": each.content.decode()} for each in attachments]
        inputs = {"attachments": json.dumps(listed, ensure_ascii=False)}
        timestamp = utc(issued_at).replace(microsecond=0)
        return self._compiled(template, data, _WITH_ATTACHMENTS, inputs, pdf_standards=_STANDARD, timestamp=timestamp)

    def picture(self, template: str, data: Mapping[str, object], kind: PictureKind) -> bytes:
        """Return the template, which is one page, filled with ``data``, as a picture; equal bytes for equal arguments.

        RenderError names template, line and problem, or says that it is more than one page.
        """
        return self._compiled(template, data, _ALONE, {}, format=kind.value, ppi=_PPI)

    def _compiled(
        self,
        template: str,
        data: Mapping[str, object],
        around: str,
        inputs: dict[str, str],
        **options: Any,  # noqa: ANN401 - the compiler's own
    ) -> bytes:
        import typst  # noqa: PLC0415 - 7 MB that only a document needs

        path = self.path(template)
        root = path.parents[template.count("/")]
        if root != built_in():
            _refuse_downloads(path, root)
        values = json.dumps({"fonts": self.families, **data}, ensure_ascii=False, default=by_name)
        source = around.replace("NAME", template).encode()
        try:
            made = self._compiler.compile(source, root=root, sys_inputs={"data": values, **inputs}, **options)
        except typst.TypstError as error:
            raise _typst_error(error, path) from error
        if not isinstance(made, bytes):
            problem = "is more than one page: a picture has one"
            raise template_error(path, None, problem, "Set its page to `height: auto`.")
        return made

    @property
    def _compiler(self) -> "typst.Compiler":
        """Compiler of this thread: threads cannot share one, and a new one costs as much as a few lines of text."""
        import typst  # noqa: PLC0415 - as above

        if not hasattr(self._own, "compiler"):
            self._own.compiler = typst.Compiler(
                font_paths=self._fonts, ignore_system_fonts=True, package_path=built_in() / "typst"
            )
        compiler: typst.Compiler = self._own.compiler
        return compiler

    @cached_property
    def families(self) -> list[str]:
        """Font families of the user, sorted, so that the order does not depend on the file system."""
        import typst  # noqa: PLC0415 - as above

        folders = list(self._templates.font_folders)
        return sorted(set(typst.Fonts(False, False, folders).families())) if folders else []  # noqa: FBT003

    def check_picture(self, content: bytes, kind: str) -> None:
        """Raise ValueError for a picture that Typst cannot read. ``kind``: ``png``, ``jpg`` or ``svg``.

        Inside SVG, a picture that cannot be read would silently be left out.
        """
        import typst  # noqa: PLC0415 - as above

        source = _PICTURE.replace("FORMAT", kind).encode()
        compiler = typst.Compiler(source, font_paths=self._fonts, ignore_system_fonts=True)
        try:
            compiler.compile(sys_inputs={"picture": json.dumps(list(content))}, pdf_standards=_STANDARD)
        except typst.TypstError as error:
            raise ValueError(error.message) from error

    @cached_property
    def _fonts(self) -> "typst.Fonts":
        """Typst's own fonts and the user's, never the machine's: the same bytes everywhere."""
        import typst  # noqa: PLC0415 - as above

        return typst.Fonts(include_system_fonts=False, font_paths=list(self._templates.font_folders))


def by_name(values: TemplateValues) -> dict[str, object]:
    """Return a dataclass as what JSON calls an object, without converting its values: ``asdict`` would copy them."""
    return {field.name: getattr(values, field.name) for field in fields(values)}


_STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_REGISTRY = "@preview/"


def _refuse_downloads(path: Path, root: Path) -> None:
    """Raise RenderError when the template at ``path``, or a file below ``root`` that it names, imports a package.

    Typst would download a package from its registry, has no switch against that and opens sockets of its own, so the
    files are read before Typst sees them. A name that a template puts together while it runs is not found this way:
    the templates are the vendor's own, and they only must not need a network.
    """
    todo, seen = [path], {path}
    while todo:
        file = todo.pop()
        for number, line in enumerate(file.read_bytes().decode(errors="replace").splitlines(), start=1):
            if line.lstrip().startswith("//"):
                continue
            for name in _STRING.findall(line):
                if name.startswith(_REGISTRY):
                    problem = f"imports {name}: packages are not downloaded"
                    raise template_error(file, number, problem, "Copy the package's files beside it and import those.")
                if not name.endswith(".typ"):
                    continue
                # A Typst file that a string names, as Typst finds it: from the root, or from the file it stands in.
                other = (root / name.lstrip("/") if name.startswith("/") else file.parent / name).resolve()
                if root in other.parents and other.is_file() and other not in seen:
                    seen.add(other)
                    todo.append(other)


_PLACE = re.compile(r"─ (.*?):(\d+):\d+$", re.MULTILINE)
_OURS = "@builtin/"
_MISSING = re.compile(r'the text `"(.*?)"` could not be displayed', re.DOTALL)
_RUST_ESCAPE = re.compile(r"\\u\{([0-9a-f]+)\}")
_FONT_HINT = "Put a font that has it into a folder and set PACSPACE_STRIPE_FONTS to that folder."


def _typst_error(error: "typst.TypstError", path: Path) -> RenderError:
    """Return Typst's error about the template at ``path``, or about a file beside it that it imports, as ours."""
    # PDF/A allows no empty box in the place of a character that no font has, so Typst names these as errors.
    runs = _MISSING.findall(error.diagnostic)
    named = "".join(_RUST_ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), run) for run in runs)
    if missing := sorted({char for char in named if not char.isascii()}):
        characters = ", ".join(f"{char} (U+{ord(char):04X})" for char in missing)
        return RenderError(f"{path.name}: no font has {characters}", hint=_FONT_HINT)
    places: list[tuple[str, str]] = _PLACE.findall(error.diagnostic)
    if not places:
        return template_error(path, None, error.message, *error.hints)
    # A mistake shows inside our package too, when a template hands it a wrong value: the template's line helps more.
    file, line = min(places, key=lambda place: place[0].startswith(_OURS))
    neighbour = path.parent / Path(file).name
    return template_error(neighbour if neighbour.is_file() else path, int(line), error.message, *error.hints)
