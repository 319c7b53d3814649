"""How commands show what they found: JSON, or aligned columns."""

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from types import MappingProxyType

import click

from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.text import group_thousands, printable

JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="JSON instead of text for people.")


@dataclass(slots=True)
class Output:
    """State of standard output: once a JSON document was begun there, an error goes elsewhere."""

    begun: bool = False


def begin_json() -> None:
    """Note that this command's JSON document begins on standard output."""
    context = click.get_current_context(silent=True)
    if context is not None and isinstance(context.obj, Output):
        context.obj.begun = True


def echo_json(document: Json) -> None:
    """Indented JSON on standard output, one text of it as harmless to a terminal as any line."""
    begin_json()
    _echo_json(document)


def echo_json_error(document: Json, output: Output) -> None:
    """Print an error as JSON on standard output, or on standard error behind a document that was begun."""
    _echo_json(document, err=output.begun)


def _echo_json(document: Json, *, err: bool = False) -> None:
    written = json.dumps(document, indent=2, ensure_ascii=False)
    click.echo("\n".join(map(_json_printable, written.split("\n"))), err=err)


def echo_line(line: str, *, err: bool = False, bold: bool = False, fg: str | None = None) -> None:
    """One line, whatever is in it: no control character of it reaches the terminal."""
    shown = printable(line)
    click.echo(click.style(shown, bold=bold or None, fg=fg) if bold or fg else shown, err=err)


def _json_printable(line: str) -> str:
    """What JSON lets stand as it is and a terminal would obey, in JSON's own escapes."""
    if line.isprintable():
        return line
    return "".join(each if printable(each) == each else json.dumps(each)[1:-1] for each in line)


def room(most: int) -> int:
    """Return how wide text for people may be: ``most``, or less on a narrower terminal."""
    return min(most, shutil.get_terminal_size().columns) if sys.stdout.isatty() else most


def echo_table(
    names: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    *,
    right: frozenset[str] = frozenset(),
    prose: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """Aligned columns; nothing when there are no rows.

    ``prose`` are the columns that may be folded, and their greatest width. On a terminal that is too narrow they are
    folded further, and where that is not enough, each row is a block of lines: ids are never broken.
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
    if not _fit(names, widths, {name: max(_NARROWEST, longest[name]) for name in prose}, most):
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
            first, *more = textwrap.wrap(
                cell, max(most - margin, 1), break_long_words=False, break_on_hyphens=False
            ) or [""]
            click.echo(f"  {name.ljust(margin - 4)}  {first}".rstrip())
            for line in more:
                click.echo(" " * margin + line)


_NARROWEST = 24
"""Columns that prose needs to be readable."""


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


def echo_windows(windows: Iterable[Mapping[str, object]]) -> None:
    """Both figures of each window, in the shape that evidence and commands give them."""
    echo_table(
        ("account", "meter", "from (UTC)", "to", "billed", "recorded", "records", "reason"),
        [
            (
                *(str("-" if window[name] is None else window[name]) for name in ("account", "meter")),
                *(moment(window[name]) for name in ("start", "end")),
                *(quantity(window[name]) for name in ("billed", "recorded", "count")),
                str("-" if window["reason"] is None else window["reason"]),
            )
            for window in windows
        ],
        right=frozenset({"billed", "recorded", "records"}),
    )
