"""`pacspace-stripe verify` as a receiver runs it: no settings, no database, one clear answer and its exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pacspace_stripe.cli import cli
from pacspace_stripe.simulator.serve import serve
from tests.support.received_documents import ReceivedDocuments, attached, received_documents
from tests.support.worlds import world

COMMAND = [sys.executable, "-c", "from pacspace_stripe.cli import main; main()", "verify"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceivedDocuments]:
    with world(tmp_path_factory.mktemp("world"), vendor="Northwind") as town:
        town.subscribe()
        town.use("1250.5")
        yield received_documents(town.run())


def run(folder: Path, data: bytes, *options: str) -> Any:  # noqa: ANN401 - click's result
    path = folder / "document.pdf"
    path.write_bytes(data)
    return CliRunner(env={"STRIPE_API_KEY": None}).invoke(cli, ["verify", str(path), *options])


def test_a_receiver_verifies_with_an_empty_environment(tmp_path: Path, made: ReceivedDocuments) -> None:
    path = tmp_path / "statement.pdf"
    path.write_bytes(made.statement)
    bare = {"PATH": os.environ["PATH"]}
    done = subprocess.run([*COMMAND, str(path), "--offline"], env=bare, cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Every step that was run holds." in done.stdout
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_receiver_verifies_online_over_real_sockets(tmp_path: Path) -> None:
    with world(tmp_path) as town:
        town.subscribe()
        town.use("100")
        found = received_documents(town.run())
        path = tmp_path / "statement.pdf"
        path.write_bytes(found.statement)
        with serve(town.ledger) as ledger, serve(town.stripe) as stripe:
            payer = {"PATH": os.environ["PATH"], "PACSPACE_API_BASE_URL": ledger.url}
            vendor = payer | {"STRIPE_API_KEY": "sk_test_simulator", "STRIPE_API_BASE_URL": stripe.url}
            asked = [
                subprocess.run([*COMMAND, target], env=env, capture_output=True, text=True, check=False)
                for target, env in [
                    (str(path), payer),
                    (str(path), vendor),
                    (found.invoice, vendor),
                    (found.root, payer),
                ]
            ]
    assert [(done.returncode, done.stderr) for done in asked] == [(0, "")] * 4, [done.stdout for done in asked]
    assert ["skipped" in done.stdout for done in asked] == [True, False, False, False]
    statement, known, by_id, root = (" ".join(done.stdout.split()) for done in asked)
    assert "number ACME-0001 (at Stripe) titled" not in statement
    assert "number ACME-0001 (at Stripe) titled" in known
    assert "vendor Simulator (at Stripe) customer cus_acme named Acme (at Stripe) verdict matched" in known
    assert "number ACME-0001 (at Stripe) vendor Simulator (at Stripe) customer cus_acme named Acme (at Stripe)" in by_id
    assert "- - 2026-10-01 00:00 2026-11-01 00:00 100 - 1 Steps" in by_id
    assert "What was verified covers 1 record, net change -100 Steps" in root
    assert f"the public chain (chain) about {found.root}: confirms it, 1 record, net change -100" in root


def test_verify_imports_neither_the_store_nor_the_worker() -> None:
    script = (
        "import sys, pacspace_stripe.cli.verify\n"
        "assert not {'sqlalchemy', 'dbos', 'typst', 'pacspace_stripe.app', 'pacspace_stripe.store'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_each_step_is_a_numbered_line_with_its_result(tmp_path: Path, made: ReceivedDocuments) -> None:
    said = run(tmp_path, made.statement, "--offline").output
    assert "  1. evidence can be read in one way only and is canonical: holds" in said
    assert "  7. PacSpace's public verify agrees on proof root, record count and net change: skipped" in said
    assert "Not proven:" in said


def test_a_payer_reads_first_what_was_verified_and_last_what_was_not(tmp_path: Path, made: ReceivedDocuments) -> None:
    lines = [" ".join(line.split()) for line in run(tmp_path, made.statement, "--offline").output.splitlines()]
    told = [
        "What was verified",
        f"invoice {made.invoice}",
        "titled Usage statement for invoice ACME-0001",
        "vendor Northwind (as the document says)",
        "customer cus_acme",
        "verdict matched (EXACT)",
        "meter account from (UTC) to billed recorded records",
        "api_calls cus_acme 2026-10-01 00:00 2026-11-01 00:00 1,250.5 1,250.5 1",
        "Steps",
        "1. evidence can be read in one way only and is canonical: holds",
        "Compare these figures with the page in front of you: it must show the same.",
        "Not proven:",
    ]
    assert [line for line in lines if line in told] == told


def test_figures_that_are_refuted_are_not_called_verified(tmp_path: Path, made: ReceivedDocuments) -> None:
    said = run(tmp_path, attached(made.plain, made.evidence.replace(b'"1250.5"', b'"1251"')), "--offline").output
    assert "What the document claims, which is refuted below" in said
    assert "What was verified" not in said


def test_json_output_has_the_same_figures_without_grouping(tmp_path: Path, made: ReceivedDocuments) -> None:
    figures = json.loads(run(tmp_path, made.statement, "--offline", "--json").output)["figures"]
    (window,) = figures.pop("windows")
    assert figures == {
        "invoice": made.invoice,
        "number": None,
        "title": "Usage statement for invoice ACME-0001",
        "vendor": "Northwind",
        "vendor_said": "as the document says",
        "customer": "cus_acme",
        "customer_name": None,
        "more_windows": 0,
    }
    assert window == {
        "meter": "api_calls",
        "account": "cus_acme",
        "start": "2026-10-01T00:00:00Z",
        "end": "2026-11-01T00:00:00Z",
        "billed": "1250.5",
        "recorded": "1250.5",
        "records": "1",
    }


@pytest.mark.parametrize(
    ("document", "expected", "said"),
    [
        ("genuine", 0, "Every step that was run holds."),
        ("tampered", 1, "Refuted: do not rely on it."),
        ("unreadable", 2, "Cannot tell."),
    ],
)
def test_the_exit_code_and_the_last_line_say_the_same(
    tmp_path: Path, made: ReceivedDocuments, document: str, expected: int, said: str
) -> None:
    data = {
        "genuine": made.statement,
        "tampered": attached(made.plain, made.evidence.replace(b'"1250.5"', b'"1251"')),
        "unreadable": b"%PDF-1.7",
    }[document]
    result = run(tmp_path, data, "--offline")
    assert result.exit_code == expected
    assert said in result.output


def test_json_output_is_one_object(tmp_path: Path, made: ReceivedDocuments) -> None:
    result = run(tmp_path, made.statement, "--offline", "--json")
    report = json.loads(result.output)
    assert (result.exit_code, report["result"], report["invoice"]) == (0, "holds", made.invoice)
    assert [step["number"] for step in report["steps"]] == list(range(1, 8))
    assert {step["result"] for step in report["steps"]} == {"holds", "skipped"}


def test_a_proof_that_holds_about_a_drifted_invoice_names_the_drift(tmp_path: Path) -> None:
    with world(tmp_path) as town:
        town.subscribe()
        town.bill("100")
        town.record("90")
        found = received_documents(town.run())
    result = run(tmp_path, found.statement, "--offline")
    assert result.exit_code == 0
    assert "What it shows is that the invoice was drifted (OVERBILLED)." in result.output


def test_a_documents_texts_reach_the_terminal_without_control_characters(
    tmp_path: Path, made: ReceivedDocuments
) -> None:
    document = made.document
    document["invoice"] = "in_1\x1b[2J\u202e"
    document["windows"][0]["meter"] = "\x07\x9b"
    document["windows"][0]["billed"] = "101"
    path = tmp_path / "evidence.json"
    path.write_text(json.dumps(document, ensure_ascii=True))
    for options in ([], ["--json"]):
        result = CliRunner().invoke(cli, ["verify", str(path), "--offline", *options])
        assert set(result.output) - {"\n"} <= {char for char in result.output if char.isprintable()}


def test_an_invalid_variable_is_an_error_only_when_it_is_needed(tmp_path: Path, made: ReceivedDocuments) -> None:
    path = tmp_path / "statement.pdf"
    path.write_bytes(made.statement)
    wrong = {"PATH": os.environ["PATH"], "PACSPACE_API_BASE_URL": "http://elsewhere.example"}
    online, offline = (
        subprocess.run([*COMMAND, str(path), *options], env=wrong, cwd=tmp_path, capture_output=True, check=False)
        for options in ([], ["--offline"])
    )
    assert (online.returncode, offline.returncode) == (2, 0)
    assert b"PACSPACE_API_BASE_URL" in online.stderr
