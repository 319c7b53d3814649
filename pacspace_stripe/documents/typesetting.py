"""Typst templates → PDF/A-3b and pictures: one function for every document, the same bytes for the same values.

A template reads its values from ``sys.inputs.data``, one JSON document. What is attached is no business of the
template's: it is put into the file around it, so that one the user wrote cannot leave it out.
"""

import json
import threading
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pacspace_stripe.documents.failures import failure
from pacspace_stripe.documents.packages import refuse_downloads
from pacspace_stripe.documents.templates import Templates, built_in
from pacspace_stripe.documents.typst_failures import typst_failure
from pacspace_stripe.documents.wording import utc

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
_ALONE = '#include "/NAME"'
_PICTURE = '#image(bytes(json(bytes(sys.inputs.picture))), format: "FORMAT")'
_PPI = 200.0
"""Of a picture made of dots: sharp on a screen of today, and two of them fit into a mail."""
_STANDARD: "list[typst.PDFStandard]" = ["a-3b"]


class PictureKind(StrEnum):
    """What a picture is written as."""

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


class Values(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


class Typesetter:
    """Compiles Typst templates. Safe to use from several threads at once."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates
        self._own = threading.local()

    def path(self, template: str) -> Path:
        """Where a template is: the file to correct when something is wrong with it."""
        return self._templates.path(template)

    def pdf(
        self,
        template: str,
        data: Mapping[str, object],
        *,
        issued_at: datetime,
        attachments: tuple[Attachment, ...] = (),
    ) -> bytes:
        """The template, filled with ``data``, as PDF/A-3b with ``attachments``; byte-identical for equal arguments.

        Dataclasses inside ``data`` count as objects, and ``data.fonts`` names the user's font families unless it says
        otherwise. ``issued_at`` is when the file says it was made, whole seconds. RenderError names template, line and
        problem.
        """
        inputs = {"attachments": json.dumps([_as_text(each) for each in attachments], ensure_ascii=False)}
        timestamp = utc(issued_at).replace(microsecond=0)
        return self._compiled(template, data, _AROUND, inputs, pdf_standards=_STANDARD, timestamp=timestamp)

    def picture(self, template: str, data: Mapping[str, object], kind: PictureKind) -> bytes:
        """The template, which is one page, filled with ``data``, as a picture; byte-identical for equal arguments.

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
            refuse_downloads(path, root)
        said = json.dumps({"fonts": self.families, **data}, ensure_ascii=False, default=by_name)
        source = around.replace("NAME", template).encode()
        try:
            made = self._compiler.compile(source, root=root, sys_inputs={"data": said, **inputs}, **options)
        except typst.TypstError as error:
            raise typst_failure(error, path) from error
        if not isinstance(made, bytes):
            raise failure(path, None, "is more than one page: a picture has one", "Set its page to `height: auto`.")
        return made

    @property
    def _compiler(self) -> "typst.Compiler":
        """One for each thread: threads cannot share one, and a new one costs as much as a few lines of text."""
        import typst  # noqa: PLC0415 - as above

        if not hasattr(self._own, "compiler"):
            self._own.compiler = typst.Compiler(
                font_paths=self._fonts, ignore_system_fonts=True, package_path=built_in() / "typst"
            )
        compiler: typst.Compiler = self._own.compiler
        return compiler

    @cached_property
    def families(self) -> list[str]:
        """The user's font families, in an order that no file system decides."""
        import typst  # noqa: PLC0415 - as above

        folders = list(self._templates.font_folders)
        return sorted(set(typst.Fonts(False, False, folders).families())) if folders else []  # noqa: FBT003

    def check_picture(self, content: bytes, kind: str) -> None:
        """Raise ValueError for a picture that Typst cannot read. ``kind``: ``png``, ``jpg`` or ``svg``.

        Inside SVG, what cannot be read would just not be there.
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


def by_name(values: Values) -> dict[str, object]:
    """A dataclass as what JSON calls an object, what is inside it as it is: ``asdict`` would copy all of it."""
    return {field.name: getattr(values, field.name) for field in fields(values)}


def _as_text(attachment: Attachment) -> dict[str, str]:
    return {
        "name": attachment.name,
        "content": attachment.content.decode(),
        "mime_type": attachment.mime_type,
        "description": attachment.description,
    }
