"""Finding templates, ours and the user's, and filling those in Jinja2: sandboxed, and strict about names."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from traceback import walk_tb

from jinja2 import (
    ChoiceLoader,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
    TemplateNotFound,
    TemplateSyntaxError,
    select_autoescape,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pacspace_stripe.documents.failures import failure
from pacspace_stripe.errors import RenderError
from pacspace_stripe.vocabulary.text import group_thousands

_KINDS = (".jinja", ".jinja2", ".j2", ".typ", ".json", ".html", ".txt")
"""Endings of the names of templates, and of the files that may lie beside them."""
BUILT_IN = "builtin"
"""What a user's template puts before a name to get ours: ``builtin/…`` in Jinja2, ``@builtin/…`` in Typst."""
_PACKAGE = Path(__file__).parent.parent


class Templates:
    """Finds templates: those in ``override_dir`` first, then ours, which ``builtin/…`` always names.

    ``fonts`` is a folder of more fonts, and so is ``override_dir / "fonts"``.
    """

    def __init__(self, override_dir: Path | None = None, *, fonts: Path | None = None) -> None:
        if override_dir is not None and not override_dir.is_dir():
            message = f"the template folder {override_dir} does not exist"
            raise RenderError(message, hint="Create it, or leave the setting out to use the built-in templates.")
        self.folders = (*([override_dir.resolve()] if override_dir else []), built_in())
        beside = override_dir.resolve() / "fonts" if override_dir else None
        self.font_folders = tuple(folder for folder in (fonts, beside) if folder is not None and folder.is_dir())
        self._environment = ImmutableSandboxedEnvironment(
            loader=ChoiceLoader(
                [PrefixLoader({BUILT_IN: FileSystemLoader(built_in())}), FileSystemLoader(self.folders)]
            ),
            undefined=StrictUndefined,
            autoescape=select_autoescape(("html", "html.jinja")),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters["grouped"] = lambda written: group_thousands(str(written))

    def path(self, name: str) -> Path:
        """Where the template ``name`` is; RenderError when no folder has it."""
        for folder in self.folders:
            if (path := folder / name).is_file():
                return path
        message = f"{name}: no such template in {', '.join(map(str, self.folders))}"
        raise RenderError(message)

    def unused(self) -> Iterator[RenderError]:
        """Name each file of the user's folder that looks like a template, and that no document and no other file uses.

        Its author believes that it takes the place of a built-in one.
        """
        own, *theirs = self.folders
        if not theirs:
            return
        names = sorted(path.name for path in built_in().iterdir() if path.is_file())
        texts = {path.name: path for path in sorted(own.iterdir()) if path.is_file() and path.name.endswith(_KINDS)}
        for name in texts:
            others = (path.read_text(errors="replace") for other, path in texts.items() if other != name)
            if name in names or any(name in text for text in others):
                continue
            close = get_close_matches(name, names, n=1)
            problem = f"no template has this name{f'; did you mean {close[0]}?' if close else ''}"
            yield RenderError(f"{name}: {problem}", hint=f"Rename {own / name}, or move it to another folder.")

    def render(self, name: str, values: Mapping[str, object]) -> str:
        """The Jinja2 template ``name`` filled with ``values``; RenderError names template, line and problem."""
        path = self.path(name)
        try:
            return self._environment.get_template(name).render(values)
        except Exception as error:  # a template of the user's may raise anything
            raise self._failure(error, path) from error

    def _failure(self, error: Exception, path: Path) -> RenderError:
        """Jinja2 puts its templates' own lines into tracebacks; the innermost one is where it went wrong."""
        line = None
        for frame, number in walk_tb(error.__traceback__):
            if any(folder in Path(frame.f_code.co_filename).parents for folder in self.folders):
                path, line = Path(frame.f_code.co_filename), number
        if isinstance(error, TemplateSyntaxError):
            path, line = Path(error.filename or path), error.lineno
        problem = f"no template {error.name}" if isinstance(error, TemplateNotFound) else str(error)
        return failure(path, line, problem)


def built_in() -> Path:
    """The wheel carries our templates inside the package; a checkout has them beside it."""
    shipped = _PACKAGE / "templates"
    return shipped if shipped.is_dir() else _PACKAGE.parent / "templates"
