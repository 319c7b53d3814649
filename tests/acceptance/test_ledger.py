"""``pacspace-stripe ledger``: the flows of PacSpace's own pages, as the README prints them, and refusals."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import click
import pytest

from pacspace_stripe.cli import cli
from pacspace_stripe.cli.processes import Stack, wait_for
from pacspace_stripe.errors import InvalidInput, NotFound
from tests.support.documents import part

IDS = re.compile(r"0x[0-9a-f]{64}|(?:rec|chk|batch)_[0-9a-f]+")


@dataclass(slots=True)
class Desk:
    """A shell with PacSpace's two variables and no others."""

    stack: Stack

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.stack.run("ledger", *arguments)

    def said(self, *arguments: str, code: int = 0) -> str:
        done = self.run(*arguments)
        assert done.returncode == code, done.stderr
        return done.stdout

    def refused(self, *arguments: str, code: int = 1) -> str:
        done = self.run(*arguments)
        assert (done.returncode, done.stdout) == (code, ""), done.stdout
        return done.stderr


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with Stack(folder=tmp_path_factory.mktemp("desk")) as stack:
        stack.environment = {
            name: value for name, value in stack.environment.items() if name.startswith("PACSPACE_API_")
        }
        yield Desk(stack)


def steps(name: str) -> list[tuple[list[str], str]]:
    """Return the documented commands, each with its output."""
    console = part(name).removeprefix("```console\n").removesuffix("```\n")
    commands = re.split(r"^\$ pacspace-stripe ledger ", console, flags=re.MULTILINE)[1:]
    assert commands, name
    return [(shlex.split(line), said) for line, _, said in (command.partition("\n") for command in commands)]


def played(desk: Desk, name: str) -> None:
    """Run the documented commands, with our ids in place of the documented ones."""
    ours: dict[str, str] = {}
    for arguments, expected in steps(name):
        if arguments[0] == "bucket":
            until_verified(desk, arguments[1])
        done = desk.run(*(ours.get(argument, argument) for argument in arguments))
        assert IDS.sub("…", done.stdout) == IDS.sub("…", expected), done.stderr
        ours |= dict(zip(IDS.findall(expected), IDS.findall(done.stdout), strict=True))
        assert done.returncode == int("differs" in expected or "blocked" in expected)


def until_verified(desk: Desk, record: str) -> None:
    wait_for("verified writes", lambda: json.loads(desk.said("bucket", record, "--json"))["verified"])


@pytest.mark.parametrize("part", ["quick start", "basic settlement"])
def test_pacspaces_own_pages_run_as_the_readme_prints_them(desk: Desk, part: str) -> None:
    played(desk, part)


def test_usage_is_recorded_listed_broken_down_and_proven(desk: Desk, tmp_path: Path) -> None:
    for number, amount in enumerate(("-42.50", "-0.000000001", "500"), start=1):
        desk.said("record", "cus_1", amount, "--reason", "usage", "--reference", f"r{number}", "--wait")
    listed = desk.said("balance", "cus_1", "--records")
    assert "457.499999999 (3 records)" in listed
    assert re.search(r"-0\.000000001 +usage +r2 +VERIFIED", listed)
    assert re.search(
        r"\d{4}-\d\d +500\.00 +-42\.500000001 +457\.499999999 +3", desk.said("balance", "cus_1", "--by", "month")
    )
    span = ("--from", "2020-01-01", "--to", "2020-02-01")
    assert desk.said("balance", "cus_1", *span) == "Balance of cus_1: 0.00 (0 records)\n"
    root = json.loads(desk.said("checkpoint", "cus_1", "--json"))["proof_root"]
    assert desk.said("balance", "cus_1", "--since", root, "--starting", "1") != ""
    desk.said("receipt", "cus_1", "--pdf", str(tmp_path / "receipt.pdf"))
    assert (tmp_path / "receipt.pdf").read_bytes().startswith(b"%PDF-")
    assert desk.said("gaps", "cus_1") == "Gaps of cus_1: none\n"
    assert "Deltas left in the plan: " in desk.said("usage")


def test_json_is_exact_and_opens_nothing(desk: Desk) -> None:
    desk.stack.pacspace("configure", shared_record=True)
    desk.said("record", "cus_2", "-0.1", "--reason", "usage", "--metadata", '{"rate": 0.10}', "--wait")
    found = json.loads(desk.said("balance", "cus_2", "--json"))
    assert (Decimal(found["balance"]), found["count"], found["deltas"][0]["metadata"]) == (
        Decimal("-0.1"),
        1,
        {"rate": "0.1"},
    )
    desk.said("checkpoint", "cus_2")
    assert "access" not in desk.said("receipt", "cus_2", "--json")
    desk.stack.pacspace("configure", shared_record=False)


def test_the_same_reference_is_recorded_once(desk: Desk) -> None:
    once = ("record", "cus_3", "5", "--reason", "deposit", "--reference", "r1", "--wait")
    assert desk.said(*once) == desk.said(*once)
    assert "1 record" in desk.said("balance", "cus_3")
    other = ("record", "cus_3", "6", "--reason", "deposit", "--reference", "r1")
    assert "IDEMPOTENCY_CONFLICT" in desk.refused(*other)


def test_a_lost_answer_names_the_key_that_repeats_it_safely(desk: Desk) -> None:
    desk.stack.pacspace("add_fault", name="lost_reply", endpoint="POST /api/v1/balance/delta", times=3)
    said = desk.refused("record", "cus_4", "5", "--reason", "deposit")
    key = re.search(r"--key (\S+): nothing is recorded twice", said)
    assert key, said
    desk.said("record", "cus_4", "5", "--reason", "deposit", "--wait", "--key", key[1])
    assert "Balance of cus_4: 5.00 (1 record)" in desk.said("balance", "cus_4")


def test_a_record_that_is_not_verified_is_not_settled(desk: Desk) -> None:
    desk.stack.pacspace("configure", verify_delay=3600)
    desk.said("write", "usage-1", "500", "--account", "acme")
    said = desk.said("settle", "usage-1", "500", code=1)
    desk.stack.pacspace("configure", verify_delay=1)
    assert said.endswith("Settlement blocked: pending_verification\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("record", "cus_5", "0", "--reason", "x"), "delta must not be zero"),
        (("record", "cus_5", "NaN", "--reason", "x"), "'NaN' is not a number"),
        (("record", "cus/1", "5", "--reason", "x"), "customer_id must be"),
        (("record", "cus_5", "5", "--reason", "x", "--metadata", "[1]"), "write a JSON object"),
        (("balance", "cus_5", "--from", "2026-01-01"), "name a --period, or --from and --to"),
        (("balance", "cus_5", "--from", "soon", "--to", "2026-01-01"), "'soon' is not a time"),
        (("balance", "cus_5", "--from", "2026-02-01", "--to", "2026-01-01"), "--to is after --from"),
        (("balance", "cus_5", "--period", "2026-13"), "is no month"),
        (("balance", "cus_5", "--period", "2026-01", "--since", "0x1"), "--since goes with no other"),
        (("balance", "cus_5", "--records", "--by", "day"), "--records or --by"),
        (("balance", "nobody"), "CUSTOMER_NOT_FOUND"),
        (("bucket", "nothing"), "No record found"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], complaint: str
) -> None:
    for name, value in desk.stack.environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises((click.UsageError, InvalidInput, NotFound), match=complaint):
        cli.main(["ledger", *arguments], prog_name="pacspace-stripe", standalone_mode=False)


def test_a_missing_key_is_named(desk: Desk) -> None:
    key = desk.stack.environment.pop("PACSPACE_API_KEY")
    said = desk.refused("usage", code=2)
    desk.stack.environment["PACSPACE_API_KEY"] = key
    assert said.startswith("pacspace-stripe: PACSPACE_API_KEY: is not set")


def test_verify_needs_no_key(desk: Desk) -> None:
    desk.said("record", "cus_open", "-1", "--reason", "usage", "--wait")
    root = json.loads(desk.said("checkpoint", "cus_open", "--json"))["proof_root"]
    mine, desk.stack.environment = (
        desk.stack.environment,
        {"PACSPACE_API_BASE_URL": desk.stack.environment["PACSPACE_API_BASE_URL"]},
    )
    try:
        said = desk.said("verify", root)
        refused = desk.refused("balance", "cus_open", code=2)
    finally:
        desk.stack.environment = mine
    assert said == f"Proof root {root}: verified\n  1 record, net change -1.00\n"
    assert "PACSPACE_API_KEY: is not set" in refused


def test_a_receipt_says_what_its_root_covers(desk: Desk) -> None:
    desk.said("record", "cus_late", "-1", "--reason", "usage", "--wait")
    assert "proof root none" in desk.said("receipt", "cus_late")
    desk.said("checkpoint", "cus_late")
    assert "\n  the root covers all of it\n" in desk.said("receipt", "cus_late")
    desk.said("record", "cus_late", "-2.5", "--reason", "usage", "--wait")
    said, shown = desk.said("receipt", "cus_late"), json.loads(desk.said("receipt", "cus_late", "--json"))
    assert said.startswith("Receipt of cus_late: -3.50 (2 records)\n")
    assert "\n  the root covers 1 of 2 records, net change -1.00: a new checkpoint covers" in said
    assert (shown["count"], shown["covered"]) == (2, {"records": 1, "net_change": "-1"})


def test_settle_says_in_json_whether_both_agree(desk: Desk) -> None:
    desk.said("write", "settlement-json", "100", "--account", "acme")
    until_verified(desk, "settlement-json")
    agreed = json.loads(desk.said("settle", "settlement-json", "100", "--json"))
    blocked = json.loads(desk.said("settle", "settlement-json", "90", "--json", code=1))
    assert (agreed["agreed"], blocked["agreed"], blocked["current_bits"]) == (True, False, "100")


def test_text_of_others_does_not_control_the_terminal(desk: Desk) -> None:
    reason = "usage\x1b[2J\nBalance of cus_esc: 999.00\u202e"
    desk.said("record", "cus_esc", "-1", "--reason", reason, "--reference", "r\x9b1", "--wait")
    for arguments in (("balance", "cus_esc", "--records"), ("balance", "cus_esc", "--json")):
        shown = desk.said(*arguments)
        assert all(line.isprintable() for line in shown.split("\n"))
        assert "\nBalance of cus_esc: 999" not in shown


def test_a_checkpoint_without_its_root_is_no_success_in_json_either(desk: Desk) -> None:
    desk.said("record", "cus_slow", "-1", "--reason", "usage", "--wait")
    desk.stack.pacspace("configure", checkpoint_delay=60)
    shown = json.loads(desk.said("checkpoint", "cus_slow", "--json", code=1))
    desk.stack.pacspace("configure", checkpoint_delay=0)
    assert (shown["proof_root"], shown["status"]) == (None, "QUEUED")


def test_a_cadence_limit_names_the_time_to_wait_and_no_idempotency_key(desk: Desk) -> None:
    desk.stack.pacspace("add_fault", name="cadence_limit", times=1, seconds=120)
    said = desk.refused("record", "cus_cadence", "-1", "--reason", "usage")
    assert "Send one summary per day" in said
    assert "may have been recorded" not in said


def test_a_number_that_would_fill_the_memory_is_refused(desk: Desk) -> None:
    assert "not a number that a balance could be" in desk.refused("settle", "x", "1e999999999", code=2)
