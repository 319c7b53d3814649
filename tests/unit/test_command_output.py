"""Output for people: numbers grouped, times to the minute, and tables that fit the terminal."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from pacspace_stripe.cli.output import echo_table, moment, quantity, room
from pacspace_stripe.cli.results import echo_result
from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.gate.rules.result import CheckResult
from pacspace_stripe.vocabulary.text import group_thousands, plural

NAMES = ("invoice", "customer", "billed", "what was found")
ID = "in_BAGb92BtcFNqd2nbfczqjhvF"
FOUND = "billed 1250.5, recorded 0: differs by 1250.5; missing: a second meter read that says the same (1250.5)"
ROWS = [(ID, "cus_acme", "1,250.5", FOUND), (ID[::-1], "cus_b", "7", "short")]
PROSE = {"what was found": 200}

Terminal = Callable[[int], None]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """A terminal of that many columns."""

    def made(columns: int) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)

    capsys.readouterr()
    return made


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("columns", [50, 60, 80, 100, 120, 200])
def test_a_table_fits_the_terminal_and_breaks_no_id(
    terminal: Terminal, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    terminal(columns)
    echo_table(NAMES, ROWS, right=frozenset({"billed"}), prose=PROSE)
    lines = printed(capsys)
    assert max(map(len, lines)) <= columns
    assert sum(ID in line for line in lines) == 1
    assert " ".join(FOUND.split()[:3]) in " ".join(" ".join(lines).split())


@pytest.mark.parametrize("columns", [60, 80, 100, 120, 200])
def test_an_id_in_a_folded_column_is_not_broken(
    terminal: Terminal, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    terminal(columns)
    sha = "31dd81068abffb554d665add6367edc5c64cbbb5418f185791d435b0a22d1576"
    echo_table(("at", "about", "detail"), [("2026-11-30", ID, f"verdict waived; evidence {sha}")], prose={"detail": 50})
    assert sum(sha in line for line in printed(capsys)) == 1


def test_a_wide_terminal_has_one_line_a_row(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    terminal(200)
    echo_table(NAMES, ROWS, prose=PROSE)
    assert len(printed(capsys)) == 1 + len(ROWS)


def test_a_terminal_that_is_too_narrow_gets_a_block_for_each_row(
    terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(40)
    echo_table(NAMES, ROWS[1:], prose=PROSE)
    assert printed(capsys) == [
        f"  invoice         {ID[::-1]}",
        "  customer        cus_b",
        "  billed          7",
        "  what was found  short",
    ]


def test_piped_output_is_not_folded(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    echo_table(NAMES, ROWS, prose=PROSE)
    assert len(printed(capsys)) == 1 + len(ROWS)
    assert room(100) == 100


def test_a_folded_column_has_a_greatest_width(capsys: pytest.CaptureFixture[str]) -> None:
    echo_table(NAMES, ROWS, prose={"what was found": 40})
    assert max(len(line) for line in printed(capsys)) <= 100


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (None, "-"),
        ("1234567.89", "1,234,567.89"),
        ("-1250.5", "-1,250.5"),
        ("999", "999"),
        ("0.0000001", "0.0000001"),
        (12345, "12,345"),
        ("unknown", "unknown"),
    ],
)
def test_quantities_are_grouped(written: object, shown: str) -> None:
    assert quantity(written) == shown


@pytest.mark.parametrize("written", ["2026-10-01 00:00", "1234-5", "12345abc", "1e5000", "", "-"])
def test_a_text_that_is_no_plain_number_is_not_grouped(written: str) -> None:
    assert group_thousands(written) == written


def test_money_is_grouped() -> None:
    assert group_thousands("1234567.89 EUR") == "1,234,567.89 EUR"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (None, "-"),
        ("2026-10-01T00:00:00Z", "2026-10-01 00:00"),
        ("2026-10-01T01:02:03.456789Z", "2026-10-01 01:02:03"),
        ("2026-10-01T02:00:00+02:00", "2026-10-01 00:00"),
        ("soon", "soon"),
    ],
)
def test_times_are_shown_to_the_second_at_most(written: str | None, shown: str) -> None:
    assert moment(written) == shown


def test_a_noun_is_singular_for_one() -> None:
    assert [plural(number, "invoice") for number in (0, 1, 2, 1200)] == [
        "0 invoices",
        "1 invoice",
        "2 invoices",
        "1,200 invoices",
    ]


@pytest.mark.parametrize("planned", [True, False])
def test_a_result_names_one_time_for_its_next_check(capsys: pytest.CaptureFixture[str], *, planned: bool) -> None:
    result = CheckResult(
        invoice_id=ID,
        status="draft",
        verdict=Verdict.UNPROVEN,
        reason=Reason.NOT_SETTLED,
        detail="missing: 1 ledger record; checked again by 2026-11-01T01:00:00Z",
        windows=(),
        steps=(),
        next_check_at=datetime(2026, 11, 1, 0, 30, 0, 123456, tzinfo=UTC),
    )
    echo_result(result, planned=planned)
    headline, *said = printed(capsys)
    assert headline == f"{ID}  draft  unproven (NOT_SETTLED)"
    how = "would check again at" if planned else "next check"
    assert said == ["  missing: 1 ledger record", f"  {how} 2026-11-01 00:30:00 UTC"]
