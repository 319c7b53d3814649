"""How commands show what they found: JSON, or aligned columns."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

import click

from pacspace_stripe.domain.evidence import Json
from pacspace_stripe.domain.explanation_words import figure
from pacspace_stripe.domain.texts import printable

_PLAIN = re.compile(r"-?[0-9]{1,60}(\.[0-9]{1,60})?")

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


def grouped(quantity: object) -> str:
    """Return a plain decimal number with its thousands separated, anything else as it is; ``-`` for None."""
    if quantity is None:
        return "-"
    written = str(quantity)
    return figure(Decimal(written)) if _PLAIN.fullmatch(written) else written


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
                *(grouped(window[name]) for name in ("billed", "recorded", "count")),
                str("-" if window["reason"] is None else window["reason"]),
            )
            for window in windows
        ],
        right=frozenset({"billed", "recorded", "records"}),
    )
