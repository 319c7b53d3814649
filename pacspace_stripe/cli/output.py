"""Output of the commands: text and tables for people, JSON for machines, and whole files."""

import json
import os
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType

import click

from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.text import group_thousands, printable

JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text for people.")
PARAGRAPH = 100
"""Columns that a paragraph takes at most; longer lines are hard to read."""
_NARROWEST_PROSE = 24
"""Columns that a folded column needs to stay readable."""
_STDOUT = Path("-")
_NEW_FILE_MODE = 0o644


# -- lines and JSON -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Output:
    """The state of standard output: an error goes elsewhere once a JSON document has begun there."""

    begun: bool = False


def begin_json() -> None:
    """Note that this command's JSON document begins on standard output."""
    context = click.get_current_context(silent=True)
    if context is not None and isinstance(context.obj, Output):
        context.obj.begun = True


def echo_json(document: Json) -> None:
    """Print indented JSON on standard output, without control characters that a terminal would obey."""
    begin_json()
    _echo_json(document)


def echo_json_error(document: Json, output: Output) -> None:
    """Print an error as JSON on standard output, or on standard error if a document has begun on standard output."""
    _echo_json(document, err=output.begun)


def _echo_json(document: Json, *, err: bool = False) -> None:
    written = json.dumps(document, indent=2, ensure_ascii=False)
    click.echo("\n".join(map(_json_printable, written.split("\n"))), err=err)


def _json_printable(line: str) -> str:
    """Escape what JSON allows in a string and a terminal would obey."""
    if line.isprintable():
        return line
    return "".join(each if printable(each) == each else json.dumps(each)[1:-1] for each in line)


def echo_line(line: str, *, err: bool = False, bold: bool = False, fg: str | None = None) -> None:
    """Print one line of any text: none of its control characters reaches the terminal."""
    shown = printable(line)
    click.echo(click.style(shown, bold=bold or None, fg=fg) if bold or fg else shown, err=err)


def echo_paragraph(text: str, *, indent: int = 2) -> None:
    """Print a text folded to a readable width."""
    for line in textwrap.wrap(text, room(PARAGRAPH) - indent):
        echo_line(" " * indent + line)


def room(most: int) -> int:
    """Return how wide text for people may be: ``most`` columns, or fewer on a narrower terminal."""
    return min(most, shutil.get_terminal_size().columns) if sys.stdout.isatty() else most


def quantity(written: object) -> str:
    """Return a quantity for people, thousands separated; ``-`` for None."""
    return "-" if written is None else group_thousands(str(written))


def moment(written: object) -> str:
    """Return an ISO 8601 time for people, in UTC to the minute, or to the second if it has one; ``-`` for None."""
    if written is None:
        return "-"
    try:
        at = datetime.fromisoformat(str(written)).astimezone(UTC)
    except ValueError:
        return str(written)
    return f"{at:%Y-%m-%d %H:%M:%S}" if at.second else f"{at:%Y-%m-%d %H:%M}"


# -- tables ---------------------------------------------------------------------------------------------------------


def echo_table(
    names: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    *,
    right: frozenset[str] = frozenset(),
    prose: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """Print aligned columns; print nothing when there are no rows.

    ``prose`` names the columns that may be folded, with their greatest width. They are folded further on a terminal
    that is too narrow, and where that does not suffice, each row becomes a block of lines. Ids are never broken.
    """
    if not rows:
        return
    rows = [tuple(map(printable, row)) for row in rows]
    columns = [[row[place] for row in (names, *rows)] for place in range(len(names))]
    longest = {name: max(map(_longest_word, cells)) for name, cells in zip(names, columns, strict=True)}
    widths = [
        min(max(map(len, cells)), max(prose.get(name, sys.maxsize), longest[name]))
        for name, cells in zip(names, columns, strict=True)
    ]
    most = room(sys.maxsize)
    if not _fit(names, widths, {name: max(_NARROWEST_PROSE, longest[name]) for name in prose}, most):
        _echo_blocks(names, rows, most)
        return
    for row in (names, *rows):
        folded = [_folded(cell, width) for cell, width in zip(row, widths, strict=True)]
        for line in zip_longest(*folded, fillvalue=""):
            cells = (
                cell.rjust(width) if name in right else cell.ljust(width)
                for name, cell, width in zip(names, line, widths, strict=True)
            )
            click.echo(f"  {'  '.join(cells)}".rstrip())


def _longest_word(cell: str) -> int:
    return max(map(len, cell.split()), default=0)


def _fit(names: tuple[str, ...], widths: list[int], least: Mapping[str, int], most: int) -> bool:
    """Narrow the columns that have a least width until the table fits; return whether it does."""
    over = 2 * len(widths) + sum(widths) - most
    for place, name in enumerate(names):
        if over > 0 and name in least:
            taken = min(over, max(widths[place] - least[name], 0))
            widths[place] -= taken
            over -= taken
    return over <= 0


def _folded(cell: str, width: int) -> list[str]:
    if len(cell) <= width:
        return [cell]
    return textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False) or [""]


def _echo_blocks(names: tuple[str, ...], rows: Sequence[tuple[str, ...]], most: int) -> None:
    """Print one line per cell, and an empty line between rows."""
    margin = max(map(len, names)) + 4
    for number, row in enumerate(rows):
        if number:
            click.echo()
        for name, cell in zip(names, row, strict=True):
            first, *more = _folded(cell, max(most - margin, 1))
            click.echo(f"  {name.ljust(margin - 4)}  {first}".rstrip())
            for line in more:
                click.echo(" " * margin + line)


# -- files ----------------------------------------------------------------------------------------------------------


def is_stdout(target: Path) -> bool:
    """Return whether ``-`` was named: messages about the file then belong on standard error."""
    return target == _STDOUT


def write_whole(target: Path, content: bytes) -> None:
    """Write a file whole or not at all: it is written beside its place and moved there; ``-`` is standard output.

    Raises click.FileError, and then keeps the file that was there; click.UsageError for a terminal.
    """
    if is_stdout(target):
        if sys.stdout.isatty():
            message = "standard output is a terminal: name a file, or pipe the output on"
            raise click.UsageError(message)
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    beside = None
    try:
        number, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.absolute().parent)
        beside = Path(name)
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(target.stat().st_mode & 0o777 if target.exists() else _NEW_FILE_MODE & ~_umask())
        beside.replace(target)
    except OSError as error:
        if beside is not None:
            beside.unlink(missing_ok=True)
        raise click.FileError(str(target), hint=error.strerror or str(error)) from error


def _umask() -> int:
    """Return this process's umask; the only way to read it is to set it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
