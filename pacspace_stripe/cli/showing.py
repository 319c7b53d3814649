"""How commands show what they found: JSON, or aligned columns."""

import json
from collections.abc import Iterable, Mapping

import click

from pacspace_stripe.domain.evidence import Json
from pacspace_stripe.domain.texts import printable

JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="JSON instead of text for people.")


def echo_json(document: Json) -> None:
    """Indented JSON on standard output, one text of it as harmless to a terminal as any line."""
    written = json.dumps(document, indent=2, ensure_ascii=False)
    click.echo("\n".join(map(_json_printable, written.split("\n"))))


def echo_line(line: str, *, err: bool = False, bold: bool = False, fg: str | None = None) -> None:
    """One line, whatever is in it: no control character of it reaches the terminal."""
    shown = printable(line)
    click.echo(click.style(shown, bold=bold or None, fg=fg) if bold or fg else shown, err=err)


def _json_printable(line: str) -> str:
    """What JSON lets stand as it is and a terminal would obey, in JSON's own escapes."""
    if line.isprintable():
        return line
    return "".join(each if printable(each) == each else json.dumps(each)[1:-1] for each in line)


def echo_table(names: tuple[str, ...], rows: list[tuple[str, ...]], *, right: frozenset[str] = frozenset()) -> None:
    """Aligned columns; nothing when there are no rows."""
    if not rows:
        return
    rows = [tuple(map(printable, row)) for row in rows]
    widths = [max(len(row[place]) for row in (names, *rows)) for place in range(len(names))]
    for row in (names, *rows):
        cells = (
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(names, row, widths, strict=True)
        )
        click.echo(f"  {'  '.join(cells)}".rstrip())


def echo_windows(windows: Iterable[Mapping[str, object]]) -> None:
    """Both figures of each window, in the shape that evidence and commands give them."""
    echo_table(
        ("account", "meter", "from", "to", "billed", "recorded", "records", "reason"),
        [
            tuple(
                str("-" if window[name] is None else window[name])
                for name in ("account", "meter", "start", "end", "billed", "recorded", "count", "reason")
            )
            for window in windows
        ],
        right=frozenset({"billed", "recorded", "records"}),
    )
