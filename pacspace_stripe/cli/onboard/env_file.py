"""The environment file: its lines are kept, its values filled in, and only its owner can read it.

A comment line stores how far the onboarding came; it holds nothing secret. The file is written to be loaded by a shell
(``set -a; . ./.env``), so its values are quoted and read as a shell does, with ``shlex``. python-dotenv reads
``'it'"'"'s'`` and a quoted value that ends in a backslash otherwise than a shell does, and writes a quote inside a
value in a way that no shell can read.
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
_QUOTES = ("'", '"')
_HEADER = "# Load it with your shell or process manager; pacspace-stripe itself reads the environment only.\n"
_ENCODING = {"encoding": "utf-8", "errors": "surrogateescape"}
"""Keeps bytes of the operator's file that are no text as they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of an onboarding: what was sent to PacSpace, and whether there is an account."""

    dashboard: str
    email: str
    name: str = ""
    organization: str = ""
    use_case: str = ""
    registered: bool = False

    @classmethod
    def read(cls, line: str) -> Self | None:
        """Return the progress that a line stores; None for any other line, or one that was changed beyond reading."""
        try:
            noted = json.loads(line.removeprefix(_NOTE)) if line.startswith(_NOTE) else None
        except (ValueError, RecursionError):
            return None
        kinds = {each.name: bool if each.name == "registered" else str for each in fields(cls)}
        if not isinstance(noted, dict) or not {"dashboard", "email"} <= noted.keys() <= kinds.keys():
            return None
        return cls(**noted) if all(isinstance(value, kinds[name]) for name, value in noted.items()) else None

    def line(self) -> str:
        """Return the line that stores this progress."""
        return f"{_NOTE}{json.dumps(asdict(self))}"

    def with_account(self) -> Self:
        """Return this progress with an account."""
        return replace(self, registered=True)


def values_of(text: str) -> dict[str, str]:
    """Return the variables of an environment file; of several with one name, the last counts, as in a shell."""
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
    """Split a file into lines, where a quoted value over several lines is one. An unclosed quote is no quote."""
    physical, found = _LINE.findall(text), []
    while physical:
        count = next((count for count in range(1, len(physical) + 1) if _is_whole("".join(physical[:count]))), 1)
        found.append("".join(physical[:count]))
        physical = physical[count:]
    return found


def _is_whole(lines: str) -> bool:
    """Return whether every quote of a variable's value is closed; anything else than a quoted value is whole."""
    variable = _VARIABLE.match(lines)
    if variable is None or variable["value"].lstrip(" \t")[:1] not in _QUOTES:
        return True
    try:
        shlex.split(variable["value"], comments=True)
    except ValueError:
        return False
    return True


def with_values(text: str, changes: Mapping[str, str]) -> str:
    """Return the text with values set: where a name is set now, else below a comment that names it, else at the end."""
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
    """Return the text with this, and no other, line of progress."""
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


class EnvFile:
    """One environment file: read again before each change, replaced in one move, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def values(self) -> dict[str, str]:
        """Return the variables that the file sets; none when there is no file yet. Raises click.FileError."""
        return values_of(self._text())

    def progress(self) -> Progress | None:
        """Return the stored progress; None if none is stored. Raises click.FileError."""
        noted = (Progress.read(line) for line in _lines(self._text()))
        return next((progress for progress in noted if progress is not None), None)

    def fill(self, changes: Mapping[str, str]) -> None:
        """Set variables; a new file starts as ``.env.example``. Raises click.FileError."""
        self._write(with_values(self._text() or _new_text(), changes))

    def note(self, progress: Progress) -> None:
        """Store the progress. Raises click.FileError."""
        self._write(with_progress(self._text() or _new_text(), progress))

    def _text(self) -> str:
        try:
            return self.path.read_bytes().decode(**_ENCODING)
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise self._failure(error) from error

    def _write(self, text: str) -> None:
        """Write beside the file and move it there: at every moment, the old or the new file is there as a whole."""
        target = self.path.resolve()
        try:
            handle, beside = tempfile.mkstemp(prefix=f"{target.name}.", dir=target.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    os.fchmod(file.fileno(), _PRIVATE)
                    file.write(text.encode(**_ENCODING))
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


def _new_text() -> str:
    return _HEADER + env_example().partition("\n")[2]
