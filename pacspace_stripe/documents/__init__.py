"""The documents people read: the invoice footer's text (Jinja2) and the usage statement (Typst, PDF/A-3b).

Owns finding templates and turning plain values into text and PDF, the same bytes for the same values. Does not own what
is said (the caller fills the views), nor where in an invoice's footer the text goes (``domain.footer``).
"""

import json
import logging
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING

from jinja2 import FileSystemLoader, StrictUndefined, TemplateNotFound, TemplateSyntaxError, select_autoescape
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pacspace_stripe.domain import quantities
from pacspace_stripe.errors import RenderError

if TYPE_CHECKING:
    import typst

FOOTER_TEMPLATE = "invoice_footer.txt.jinja"
STATEMENT_TEMPLATE = "statement.typ"

_PACKAGE = Path(__file__).parent.parent
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FooterWindow:
    """One ledger account's record of one window, as the footer names it."""

    meter: str
    start: datetime
    end: datetime
    usage: Decimal | None
    """Recorded usage, in the meter's unit; like ``count`` None when the ledger could not say."""
    count: int | None
    proof_root: str | None
    """None when there is no record to prove."""
    verify_url: str | None
    record_key: str | None = None
    """With the settlement ledger, the record that is the proof itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FooterView:
    """All that the footer template sees."""

    windows: tuple[FooterWindow, ...]
    evidence_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementWindow:
    """One row of the statement. A figure is None when its side could not say."""

    account: str
    meter: str
    start: datetime
    end: datetime
    billed: Decimal | None
    """In the meter's unit, like ``recorded``."""
    recorded: Decimal | None
    count: int | None
    proof_root: str | None
    verify_url: str | None
    record_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementView:
    """All that the statement template sees."""

    invoice_id: str
    number: str | None
    customer: str
    vendor: str | None = None
    verdict: str
    reason: str
    """A reason code, or for a waiver what the person wrote."""
    windows: tuple[StatementWindow, ...]
    evidence_sha256: str
    footer: str
    """The text that every page ends with, as ``render_footer`` made it."""
    issued_at: datetime


class Templates:
    """Finds templates: those in ``override_dir`` first, then ours. ``override_dir / "fonts"`` may hold more fonts."""

    def __init__(self, override_dir: Path | None = None) -> None:
        if override_dir is not None and not override_dir.is_dir():
            message = f"the template folder {override_dir} does not exist"
            raise RenderError(message, hint="Create it, or leave the setting out to use the built-in templates.")
        self.folders = (*([override_dir.resolve()] if override_dir else []), _built_in())
        self.font_folders = tuple(fonts for folder in self.folders if (fonts := folder / "fonts").is_dir())
        self._environment = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(self.folders),
            undefined=StrictUndefined,
            autoescape=select_autoescape(("html", "html.jinja")),
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def path(self, name: str) -> Path:
        """Where the template ``name`` is; RenderError when no folder has it."""
        for folder in self.folders:
            if (path := folder / name).is_file():
                return path
        message = f"{name}: no such template in {', '.join(map(str, self.folders))}"
        raise RenderError(message)

    def render(self, name: str, values: Mapping[str, object]) -> str:
        """The Jinja2 template ``name`` filled with ``values``; RenderError names template, line and problem."""
        path = self.path(name)
        try:
            return self._environment.get_template(name).render(values)
        except Exception as error:  # a template of the user's may raise anything
            raise self._jinja_failure(error, path) from error

    def _jinja_failure(self, error: Exception, path: Path) -> RenderError:
        """Jinja2 puts its templates' own lines into tracebacks; the innermost one is where it went wrong."""
        line = None
        for frame, number in walk_tb(error.__traceback__):
            if any(folder in Path(frame.f_code.co_filename).parents for folder in self.folders):
                path, line = Path(frame.f_code.co_filename), number
        if isinstance(error, TemplateSyntaxError):
            path, line = Path(error.filename or path), error.lineno
        problem = f"no template {error.name}" if isinstance(error, TemplateNotFound) else str(error)
        return _failure(path, line, problem)


class Documents:
    """Renders views. Safe to use from several threads at once."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates

    def render_footer(self, view: FooterView) -> str:
        """What the footer says about the record, without marker lines; RenderError names what is wrong."""
        return self._templates.render(FOOTER_TEMPLATE, _footer_values(view)).strip()

    def render_statement(self, view: StatementView) -> bytes:
        """The statement as PDF/A-3b, byte-identical for an equal view; RenderError names what is wrong."""
        import typst  # noqa: PLC0415 - 7 MB that only a statement needs

        path = self._templates.path(STATEMENT_TEMPLATE)
        data = json.dumps(_statement_values(view), ensure_ascii=False)
        try:
            return self._compile(path, data, view.issued_at)
        except typst.TypstError as error:
            missing = _missing_glyphs(error)
            if not missing:
                raise _typst_failure(error, path) from error
        _log.warning("statement: no font has %s invoice=%s", sorted(missing), view.invoice_id)
        try:
            return self._compile(path, data.translate(dict.fromkeys(map(ord, missing), "\ufffd")), view.issued_at)
        except typst.TypstError as error:
            raise _typst_failure(error, path) from error

    @cached_property
    def _fonts(self) -> "typst.Fonts":
        """Typst's own fonts and the user's, never the machine's: the same bytes everywhere."""
        import typst  # noqa: PLC0415 - as above

        return typst.Fonts(include_system_fonts=False, font_paths=list(self._templates.font_folders))

    def _compile(self, path: Path, data: str, issued_at: datetime) -> bytes:
        import typst  # noqa: PLC0415 - as above

        # A compiler cannot be shared between threads and costs 0.2 ms; the fonts can and cost 30 ms.
        compiler = typst.Compiler(path, root=path.parent, font_paths=self._fonts, ignore_system_fonts=True)
        timestamp = _utc(issued_at).replace(microsecond=0)
        pdf = compiler.compile(sys_inputs={"data": data}, pdf_standards=["a-3b"], timestamp=timestamp)
        assert isinstance(pdf, bytes)  # noqa: S101  # one document and no output path
        return pdf


def _built_in() -> Path:
    """The wheel carries our templates inside the package; a checkout has them beside it."""
    shipped = _PACKAGE / "templates"
    return shipped if shipped.is_dir() else _PACKAGE.parent / "templates"


def _footer_values(view: FooterView) -> dict[str, object]:
    return {
        "windows": [
            {
                "meter": _one_line(window.meter),
                "right_to_left": _right_to_left(window.meter),
                "start": _moment(window.start),
                "end": _moment(window.end),
                "usage": None if window.usage is None else quantities.text(window.usage),
                "count": window.count,
                "proof_root": _optional(window.proof_root),
                "verify_url": _optional(window.verify_url),
                "record_key": _optional(window.record_key),
            }
            for window in view.windows
        ],
        "evidence_sha256": _one_line(view.evidence_sha256),
    }


def _statement_values(view: StatementView) -> dict[str, object]:
    issued_at = _utc(view.issued_at)
    roots = dict.fromkeys(window.proof_root for window in view.windows if window.proof_root)
    return {
        "invoice_id": _one_line(view.invoice_id),
        "number": _optional(view.number),
        "invoice": _one_line(view.number or view.invoice_id),
        "customer": _one_line(view.customer),
        "vendor": _optional(view.vendor),
        "verdict": _one_line(view.verdict),
        "reason": _one_line(view.reason),
        "windows": [_statement_row(window) for window in view.windows],
        "evidence_sha256": _one_line(view.evidence_sha256),
        "footer": [_one_line(line) for line in view.footer.splitlines()],
        "keywords": [
            _one_line(f"evidence-sha256:{view.evidence_sha256}"),
            *(_one_line(f"proof-root:{root}") for root in roots),
        ],
        "issued_at": _moment(issued_at.replace(microsecond=0)),
        "date": {part: getattr(issued_at, part) for part in ("year", "month", "day", "hour", "minute", "second")},
    }


def _statement_row(window: StatementWindow) -> dict[str, object]:
    billed, recorded = window.billed, window.recorded
    difference = None if billed is None or recorded is None else quantities.subtract(billed, recorded)
    return {
        "account": _one_line(window.account),
        "meter": _one_line(window.meter),
        "start": _moment(window.start),
        "end": _moment(window.end),
        "billed": None if billed is None else quantities.text(billed),
        "recorded": None if recorded is None else quantities.text(recorded),
        "difference": None if difference is None else quantities.text(difference),
        "count": None if window.count is None else str(window.count),
        "proof_root": _optional(window.proof_root),
        "verify_url": _optional(window.verify_url),
        "record_key": _optional(window.record_key),
    }


def _right_to_left(words: str) -> bool:
    """Whether a reader's screen would reorder digits that follow these words on their line."""
    return any(unicodedata.bidirectional(char) in ("R", "AL", "AN") for char in words)


def _optional(words: str | None) -> str | None:
    return _one_line(words) if words else None


_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Direction overrides: with them one text can be made to look like another."""


def _one_line(words: str) -> str:
    """Words on one line, without control characters: what a value says cannot become lines of a document's own."""
    line = " ".join(words.split())
    return "".join(char for char in line if unicodedata.category(char) not in ("Cc", "Cs") and char not in _CONTROLS)


def _utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        message = "a document's times are aware"
        raise ValueError(message)
    return at.astimezone(UTC)


def _moment(at: datetime) -> str:
    """UTC for people: ``2026-09-01 00:00``, with seconds when there are any."""
    at = _utc(at).replace(tzinfo=None)
    return at.isoformat(sep=" ", timespec="auto" if at.second or at.microsecond else "minutes")


_TYPST_LINE = re.compile(r"─ \S*?:(\d+):\d+")
_TYPST_MISSING = re.compile(r'the text `"(.*?)"` could not be displayed')
_RUST_ESCAPE = re.compile(r"\\u\{([0-9a-f]+)\}")


def _missing_glyphs(error: "typst.TypstError") -> set[str]:
    """The characters that no font has. PDF/A allows no empty box in their place, so Typst names them as errors."""
    runs = _TYPST_MISSING.findall(error.diagnostic)
    named = "".join(_RUST_ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), run) for run in runs)
    return {char for char in named if not char.isascii()}


def _typst_failure(error: "typst.TypstError", path: Path) -> RenderError:
    line = _TYPST_LINE.search(error.diagnostic)
    return _failure(path, int(line[1]) if line else None, error.message, *error.hints)


def _failure(path: Path, line: int | None, problem: str, *hints: str) -> RenderError:
    where = path.name if line is None else f"{path.name} line {line}"
    return RenderError(f"{where}: {problem}", hint=" ".join([f"Correct {path}.", *hints]))
