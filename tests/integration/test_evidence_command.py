"""``pacspace-stripe evidence``: it needs the database and nothing else."""

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pacspace_stripe.cli import cli
from pacspace_stripe.errors import NotFound
from pacspace_stripe.evidence.rules.document import Evidence
from pacspace_stripe.gate.rules.state import Waiver
from tests.support.worlds import World

DAY = timedelta(days=1)


@pytest.fixture
def made(tmp_path: Path, database_url: str) -> Iterator[World]:
    """Yield a world whose vendors no command can reach, and whose keys no command is given."""
    there = World(tmp_path, database_url=database_url)
    there.subscribe()
    yield there
    there.app.close()


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch) -> "Run":
    for name in ("STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", "PACSPACE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PACSPACE_STRIPE_DATABASE_URL", database_url)
    return Run()


class Run:
    """Return what runs a command in this process."""

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, ["evidence", *arguments])


def links(made: World) -> list[Evidence]:
    return made.app.store.chains.of_job(made.invoice_id)


def test_json_is_the_evidence_to_the_byte(made: World, run: Run) -> None:
    made.use("1250.5")
    made.run()
    done = run(made.invoice_id, "--json")
    assert done.exit_code == 0
    assert done.stdout_bytes == links(made)[0].document
    stamped = made.invoice()["metadata"]["pacspace_evidence_sha256"]
    assert hashlib.sha256(done.stdout_bytes).hexdigest() == stamped


def test_people_see_verdict_figures_proof_chain_and_hash(made: World, run: Run) -> None:
    made.use("1250.5")
    made.run()
    done = run(made.invoice_id)
    assert done.exit_code == 0
    decision, confirmed = links(made)
    document = json.loads(decision.document)
    proof = document["windows"][0]["proof"]
    assert done.output.startswith(f"{made.invoice_id}  matched (EXACT)\n  customer   cus_acme, test mode\n")
    for said in (
        "  decided    2026-11-01 01:00:00 UTC, of the draft invoice\n",
        f"UTC, the {json.loads(confirmed.document)['invoice_status']} invoice bills the same\n",
        "  policy     enforce, fail closed, finalize strict, tolerance 0, balance ledger\n",
        "1,250.5   1,250.5        1  EXACT\n",
        f"  proof      {proof['proof_root']} (api_calls)\n",
        "             1 record, net -1250.5, cross-checked with public verify\n",
        f"             {proof['verify_url']}\n",
        f"  chain      {document['chain']['id']}, link 1 of 2\n",
        "  before it  none, it is the first\n",
        f"  SHA-256    {decision.sha256}\n",
    ):
        assert said in done.output, said


def test_all_prints_the_whole_history(made: World, run: Run) -> None:
    made.bill("100")
    made.record("90")
    made.run()
    made.record("10")
    made.run(DAY)
    done = run(made.invoice_id, "--all")
    assert done.exit_code == 0
    rows = [line.split() for line in done.output.splitlines()[1:]]
    assert [(row[0], row[-3], row[-2]) for row in rows] == [
        ("1", "drifted", "OVERBILLED"),
        ("2", "matched", "EXACT"),
        ("3", "confirmed", "EXACT"),
    ]
    assert [row[-1] for row in rows] == [link.sha256 for link in links(made)]
    lines = run(made.invoice_id, "--all", "--json").stdout_bytes.splitlines()
    assert lines == [link.document for link in links(made)]


def test_a_drifted_invoice_is_not_confirmed(made: World, run: Run) -> None:
    made.bill("100")
    made.record("90")
    made.run()
    done = run(made.invoice_id)
    assert done.exit_code == run(made.invoice_id, "--json").exit_code == 1
    assert f"{made.invoice_id}  drifted (OVERBILLED)" in done.output
    assert "  confirmed  not yet: its final lines were not compared with this decision\n" in done.output
    assert "proof" not in done.output


def test_an_unproven_invoice_says_why(made: World, run: Run) -> None:
    made.bill("100")
    made.record("100", verified=False)
    made.run()
    assert f"{made.invoice_id}  unproven (NOT_SETTLED)" in run(made.invoice_id).output


def test_a_waived_invoice_says_who_and_why(made: World, run: Run) -> None:
    made.bill("100")
    made.record("90")
    made.run()
    waiver = Waiver(reason="agreed by phone", by="ada", at=made.clock.now(), figures={})
    made.app.checker.check(made.invoice_id, waiver=waiver)
    made.run()
    said = run(made.invoice_id).output
    assert f"{made.invoice_id}  waived (OVERBILLED)" in said
    assert "UTC: agreed by phone\n" in said
    assert "  waived     by ada, 2026-11-01 03:00:00 UTC" in said
    assert "link 2 of 3" in said


def test_foreign_text_cannot_control_a_terminal(made: World, run: Run) -> None:
    made.bill("100")
    made.record("90")
    made.run()
    waiver = Waiver(
        reason="ok \x1b[31mred\x1b]0;title\x07 \u202eevil", by="me\x1b[2J\nproof", at=made.clock.now(), figures={}
    )
    made.app.checker.check(made.invoice_id, waiver=waiver)
    made.run()
    for options in ([], ["--all"]):
        said = run(made.invoice_id, *options).output
        assert all(line.isprintable() for line in said.split("\n")), said
    said = run(made.invoice_id).output
    assert "by me\\x1b[2J\\nproof, " in said
    assert "ok \\x1b[31mred" in said


def test_an_invoice_that_was_never_compared_is_not_found_and_the_message_says_what_to_do(run: Run) -> None:
    for arguments in ((), ("--json",), ("--all",)):
        done = run("in_unknown", *arguments)
        assert isinstance(done.exception, NotFound)
        assert "none about in_unknown: it was not compared yet" in str(done.exception)
        assert "pacspace-stripe check in_unknown --apply" in done.exception.hint


@pytest.mark.parametrize("arguments", [("nonsense",), ("in_1", "--all", "--bundle", "x.zip")])
def test_wrong_arguments_are_refused(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2
