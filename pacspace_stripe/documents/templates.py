"""Templates, ours and the user's: where they are, and how those in Jinja2 are filled, in a sandbox and strictly."""

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

from pacspace_stripe.errors import RenderError
from pacspace_stripe.vocabulary.text import group_thousands

_SUFFIXES = (".jinja", ".jinja2", ".j2", ".typ", ".json", ".html", ".txt")
"""Endings of the names of templates, and of the files that may lie beside them."""
BUILT_IN = "builtin"
"""The prefix with which a user's template names ours: ``builtin/…`` in Jinja2, ``@builtin/…`` in Typst."""
_PACKAGE = Path(__file__).parent.parent


def built_in() -> Path:
    """Return the folder of our templates: inside the package in a wheel, beside it in a checkout."""
    shipped = _PACKAGE / "templates"
    return shipped if shipped.is_dir() else _PACKAGE.parent / "templates"


def template_error(path: Path, line: int | None, problem: str, *hints: str) -> RenderError:
    """Return the error about the template at ``path``; its hint names the file to correct."""
    where = path.name if line is None else f"{path.name} line {line}"
    return RenderError(f"{where}: {problem}", hint=" ".join([f"Correct {path}.", *hints]))


class Templates:
    """The folders of templates: first ``override_dir``, then ours, which ``builtin/…`` always names.

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
            # A name that does not exist is an error, never an empty place on a customer's invoice.
            undefined=StrictUndefined,
            autoescape=select_autoescape(("html", "html.jinja")),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters["grouped"] = lambda written: group_thousands(str(written))

    def path(self, name: str) -> Path:
        """Return the path of the template ``name``. Raises RenderError when no folder has it."""
        for folder in self.folders:
            if (path := folder / name).is_file():
                return path
        message = f"{name}: no such template in {', '.join(map(str, self.folders))}"
        raise RenderError(message, hint="Install pacspace-stripe again: its own templates are incomplete.")

    def unused(self) -> Iterator[RenderError]:
        """Yield an error for each template in the user's folder that neither a document nor another file there uses.

        Its author believes that it replaces a built-in template.
        """
        own, *theirs = self.folders
        if not theirs:
            return
        names = sorted(path.name for path in built_in().iterdir() if path.is_file())
        texts = {path.name: path for path in sorted(own.iterdir()) if path.is_file() and path.name.endswith(_SUFFIXES)}
        for name in texts:
            others = (path.read_text(errors="replace") for other, path in texts.items() if other != name)
            if name in names or any(name in text for text in others):
                continue
            close = get_close_matches(name, names, n=1)
            problem = f"no template has this name{f'; did you mean {close[0]}?' if close else ''}"
            yield RenderError(f"{name}: {problem}", hint=f"Rename {own / name}, or move it to another folder.")

    def render(self, name: str, values: Mapping[str, object]) -> str:
        """Return the Jinja2 template ``name`` filled with ``values``. RenderError names template, line and problem."""
        path, line = self.path(name), None
        try:
            return self._environment.get_template(name).render(values)
        except Exception as error:  # a template of the user's may raise anything
            # Jinja2 puts its templates' own lines into tracebacks: the innermost one is where it went wrong.
            for frame, number in walk_tb(error.__traceback__):
                file = Path(frame.f_code.co_filename)
                if any(folder in file.parents for folder in self.folders):
                    path, line = file, number
            if isinstance(error, TemplateSyntaxError):
                path, line = Path(error.filename or path), error.lineno
            problem = f"no template {error.name}" if isinstance(error, TemplateNotFound) else str(error)
            raise template_error(path, line, problem) from error
