"""The environment file: its lines are kept, its values filled in, and nobody else can read it.

A line of its own, a comment, remembers how far somebody came. It holds nothing secret.
"""

import json
import os
import re
import shlex
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Self

import click

from pacspace_stripe.settings import describe, env_example

_PRIVATE = 0o600
_VARIABLE = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)", re.DOTALL)
_NOTE = "# pacspace-stripe onboard: "
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_QUOTES = frozenset("'\"")
_HEADER = "# Load it with your shell or process manager; pacspace-stripe itself reads the environment only.\n"
_AS_THEY_ARE = {"encoding": "utf-8", "errors": "surrogateescape"}
"""Bytes of somebody's file that are no text come back as they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far somebody came: what PacSpace was told of them, and whether there is an account."""

    dashboard: str
    email: str
    name: str = ""
    organization: str = ""
    use_case: str = ""
    registered: bool = False

    @classmethod
    def read(cls, line: str) -> Self | None:
        """A noted line; None for any other, or one that somebody changed beyond reading."""
        try:
            noted = json.loads(line.removeprefix(_NOTE)) if line.startswith(_NOTE) else None
        except (ValueError, RecursionError):
            return None
        kinds = {each.name: bool if each.name == "registered" else str for each in fields(cls)}
        if not isinstance(noted, dict) or not {"dashboard", "email"} <= noted.keys() <= kinds.keys():
            return None
        return cls(**noted) if all(isinstance(value, kinds[name]) for name, value in noted.items()) else None

    def line(self) -> str:
        """As it is noted."""
        return f"{_NOTE}{json.dumps(asdict(self))}"

    def with_account(self) -> Self:
        """The same, from now on with an account."""
        return replace(self, registered=True)


def values_of(text: str) -> dict[str, str]:
    """The variables of an environment file, the last of one name counting, as a shell would."""
    found = map(_VARIABLE.match, _lines(text))
    return {match["name"]: _unquoted(match["value"]) for match in found if match}


def _unquoted(value: str) -> str:
    value = value.strip()
    if value[:1] not in _QUOTES:
        return f" {value}".partition(" #")[0].strip()
    with suppress(ValueError):
        return shlex.split(value, comments=True)[0]
    return value[1:].partition(value[0])[0]


def _lines(text: str) -> list[str]:
    """The lines; a quoted value that goes on over several is one. A quote that is never closed is no quote."""
    physical, found = _LINE.findall(text), []
    while physical:
        count = _extent(physical)
        found.append("".join(physical[:count]))
        physical = physical[count:]
    return found


def _extent(physical: list[str]) -> int:
    """How many of the lines the first one goes on over."""
    setting = _VARIABLE.match(physical[0])
    if setting is None or setting["value"].lstrip(" \t")[:1] not in _QUOTES:
        return 1
    quote = _quote_after(setting["value"], "")
    for count, line in enumerate(physical[1:], start=2):
        if not quote:
            return count - 1
        quote = _quote_after(line, quote)
    return 1 if quote else len(physical)


def _quote_after(text: str, quote: str) -> str:
    """The quote that is open behind a text, as a shell reads it, given the one that is before; empty for none."""
    escaped, before = False, ""
    for each in text:
        if escaped:
            escaped = False
        elif each == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if each == quote else quote
        elif each in _QUOTES:
            quote = each
        elif each == "#" and before.isspace():
            return ""
        before = each
    return quote


def with_values(text: str, changes: Mapping[str, str]) -> str:
    """The text with values set: where a name is set now, else below a line that only mentions it, else at the end."""
    lines = _lines(text)
    for name, value in changes.items():
        _set(lines, name, shlex.quote(value) if value else "")
    return "".join(lines)


def _set(lines: list[str], name: str, value: str) -> None:
    setting = [place for place, line in enumerate(lines) if (match := _VARIABLE.match(line)) and match["name"] == name]
    if setting:
        line = lines[setting[-1]]
        lines[setting[-1]] = line[: line.index("=") + 1] + value + _ending(line)
        return
    mentioned = [place for place, line in enumerate(lines) if line.startswith(f"# {name}=")]
    if not mentioned:
        meaning = next((row.meaning for row in describe(None) if row.name == name), name)
        _insert(lines, len(lines), f"# {meaning}")
    _insert(lines, mentioned[-1] + 1 if mentioned else len(lines), f"{name}={value}")


def with_progress(text: str, progress: Progress) -> str:
    """The text with this, and no other, line of progress."""
    lines = _lines(text)
    noted = [place for place, line in enumerate(lines) if line.startswith(_NOTE)]
    for place in reversed(noted[1:]):
        del lines[place]
    if noted:
        lines[noted[0]] = progress.line() + _ending(lines[noted[0]])
    else:
        _insert(lines, len(lines), progress.line())
    return "".join(lines)


def _insert(lines: list[str], place: int, line: str) -> None:
    ending = _ending(lines[0]) if lines else "\n"
    if place and not _ending(lines[place - 1]):
        lines[place - 1] += ending or "\n"
    lines.insert(place, line + (ending or "\n"))


def _ending(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]


def _new_file() -> str:
    return _HEADER + env_example().partition("\n")[2]


class EnvFile:
    """One environment file. Read anew before each change, replaced in one move, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def values(self) -> dict[str, str]:
        """What it sets; empty when there is none yet."""
        return values_of(self._text())

    def progress(self) -> Progress | None:
        """What it remembers."""
        noted = (Progress.read(line) for line in _lines(self._text()))
        return next((progress for progress in noted if progress is not None), None)

    def fill(self, changes: Mapping[str, str]) -> None:
        """Set variables; a new file starts as ``.env.example``."""
        self._write(with_values(self._text() or _new_file(), changes))

    def note(self, progress: Progress) -> None:
        """Remember it."""
        self._write(with_progress(self._text() or _new_file(), progress))

    def _text(self) -> str:
        try:
            return self.path.read_bytes().decode(**_AS_THEY_ARE)
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise self._failure(error) from error

    def _write(self, text: str) -> None:
        """Beside it first: whoever looks sees the old file or the new one, and both are whole."""
        target = self.path.resolve()
        try:
            handle, beside = tempfile.mkstemp(prefix=f"{target.name}.", dir=target.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    os.fchmod(file.fileno(), _PRIVATE)
                    file.write(text.encode(**_AS_THEY_ARE))
                    file.flush()
                    os.fsync(file.fileno())
                Path(beside).replace(target)
            except BaseException:
                with suppress(OSError):
                    Path(beside).unlink()
                raise
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> click.FileError:
        return click.FileError(str(self.path), hint=error.strerror or str(error))
