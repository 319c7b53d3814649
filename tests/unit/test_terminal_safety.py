"""Foreign text never steers a terminal."""

import json
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.cli.output import echo_json, echo_line, echo_table
from pacspace_stripe.vocabulary.text import printable

NASTY = "\x1b[2J\r\n\x07\x9b31m\u202e\u2066\u2028\u200b\x7f\x00\t"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, Übergröße, 日本語, 5\N{NO-BREAK SPACE}€", "plain, Übergröße, 日本語, 5\N{NO-BREAK SPACE}€"),
        ("\x1b[2Jclean", r"\x1b[2Jclean"),
        ("one\ntwo", r"one\ntwo"),
        ("usd\u202egpj", r"usd\u202egpj"),
        ("\x9b31m", r"\x9b31m"),
        ("half \ud800", r"half \ud800"),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_nothing_but_visible_characters_and_spaces_is_left(text: str) -> None:
    shown = printable(text)
    assert all(each.isprintable() or each.isspace() for each in shown)
    assert not set(shown) & set("\x1b\n\r\t\u2028\u2029\x85")


def output(act: Callable[[], object]) -> str:
    """Return the output of a command that does this."""
    return CliRunner().invoke(click.command()(act), []).output


def test_a_line_stays_one_line() -> None:
    shown = output(lambda: echo_line(f"reason {NASTY}"))
    assert (shown.count("\n"), shown.strip().isprintable()) == (1, True)


def test_a_table_stays_a_table() -> None:
    shown = output(lambda: echo_table(("reason", "count"), [(NASTY, "1"), ("usage", "22")], right=frozenset({"count"})))
    lines = shown.splitlines()
    assert (len(lines), {len(line) for line in lines}) == (3, {len(lines[0])})
    assert all(line.isprintable() for line in lines)


def test_json_stays_the_same_document_without_controls() -> None:
    document = {"reason": NASTY, NASTY: ["日本語", "\U000e0041"]}
    shown = output(lambda: echo_json(document))  # type: ignore[arg-type]  # JSON
    assert json.loads(shown) == document
    assert all(line.isprintable() for line in shown.split("\n"))
    assert "日本語" in shown
