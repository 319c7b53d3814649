"""Errors under ``--json`` are one object in the words that people get, and documents go to standard output."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pacspace_stripe.simulator.serve import serve
from tests.support.worlds import ENVIRONMENT, World, world

COMMAND = [sys.executable, "-c", "from pacspace_stripe.cli import main; main()"]
Done = subprocess.CompletedProcess[bytes]


def run(*arguments: str, **settings: str) -> Done:
    environment = {"PATH": os.environ["PATH"], **ENVIRONMENT, **settings}
    return subprocess.run([*COMMAND, *arguments], env=environment, capture_output=True, check=False)


def error(done: Done) -> Any:  # noqa: ANN401 - JSON
    assert b"Traceback" not in done.stderr
    found = json.loads(done.stdout)["error"]
    assert found["exit_code"] == done.returncode != 0
    return found


def test_a_wrong_setting_is_an_error_in_json(tmp_path: Path) -> None:
    done = run("invoices", "--json", PACSPACE_STRIPE_MODE="sometimes", HOME=str(tmp_path))
    found = error(done)
    assert (found["type"], found["variable"], done.returncode) == ("ConfigurationError", "PACSPACE_STRIPE_MODE", 2)
    assert found["hint"]
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("check", "nonsense", "--json"), "an invoice's id starts with in_"),
        (("check", "--json"), "INVOICE"),
        (("report", "--format", "json", "--since", "soon"), "soon"),
        (("report", "--format=json", "--since", "soon"), "soon"),
    ],
)
def test_a_wrong_argument_is_an_error_in_json(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert said in error(done)["message"]
    assert done.returncode == 2


def test_an_error_of_a_vendor_names_it(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'ours.db'}"
    found = error(run("check", "in_1", "--json", PACSPACE_STRIPE_DATABASE_URL=database))
    assert (found["type"], found["service"]) == ("RemoteUnavailable", "Stripe")
    assert found["message"].startswith("Stripe: ")


def test_an_error_of_the_database_has_its_hint() -> None:
    database = "postgresql://someone:tellnobody@127.0.0.1:1/none"
    done = run("invoices", "--json", PACSPACE_STRIPE_DATABASE_URL=database)
    found = error(done)
    assert found["message"].endswith("nothing accepts connections at that address (ECONNREFUSED)")
    assert found["hint"].startswith("Start PostgreSQL")
    assert b"tellnobody" not in done.stdout + done.stderr


def test_an_error_after_a_begun_document_goes_to_standard_error() -> None:
    done = run("settings", "--json", PACSPACE_STRIPE_MODE="sometimes")
    assert isinstance(json.loads(done.stdout), list)
    assert json.loads(done.stderr)["error"]["variable"] == "PACSPACE_STRIPE_MODE"


def test_an_error_without_json_is_a_line_and_a_hint() -> None:
    done = run("check", "nonsense")
    assert done.stdout == b""
    assert b"an invoice's id starts with in_" in done.stderr


# -- documents on standard output ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, dict[str, str]]]:
    """A matched invoice, behind real sockets."""
    folder = tmp_path_factory.mktemp("world")
    with world(folder) as town:
        town.subscribe()
        town.use("1250.5")
        town.run()
        with serve(town.stripe, tick=lambda: None) as stripe, serve(town.ledger, tick=lambda: None) as ledger:
            town.stripe.pages_url = stripe.url
            yield (
                town,
                {
                    "STRIPE_API_BASE_URL": stripe.url,
                    "PACSPACE_API_BASE_URL": ledger.url,
                    "PACSPACE_STRIPE_DATABASE_URL": f"sqlite:///{folder / 'world.db'}",
                },
            )


@pytest.mark.parametrize(
    ("command", "begins"),
    [
        (("statement", "{}", "-o", "-"), b"%PDF-"),
        (("stamp-pdf", "{}", "-o", "-"), b"%PDF-"),
        (("evidence", "{}", "--bundle", "-"), b"PK"),
    ],
)
def test_a_dash_writes_the_document_to_standard_output_and_words_to_standard_error(
    made: tuple[World, dict[str, str]], command: tuple[str, ...], begins: bytes
) -> None:
    town, settings = made
    done = run(*(part.format(town.invoice_id) for part in command), **settings)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(begins)
    assert b"-: " in done.stderr
    assert not Path("-").exists()


def test_one_standard_output_has_room_for_one_document(made: tuple[World, dict[str, str]]) -> None:
    town, settings = made
    done = run("evidence", town.invoice_id, "--bundle", "-", "--json", **settings)
    assert "both write to standard output" in error(done)["message"]


def test_an_invoice_without_metered_lines_is_described_and_has_no_statement(
    made: tuple[World, dict[str, str]],
) -> None:
    town, settings = made
    town.subscribe("cus_fixed", prices=[town.stripe.add_price()])
    town.run()
    plain = town.invoice_id
    said = run("check", plain, **settings)
    assert said.returncode == 0, said.stderr
    assert said.stdout.decode().split("\n")[:2] == [
        f"{plain}  paid  nothing metered",
        "  Nothing on it bills usage: it is not held, and Stripe goes on with it as planned.",
    ]
    for command in (("statement", plain, "-o", "-"), ("evidence", plain), ("stamp-pdf", plain, "-o", "-")):
        refused = run(*command, **settings)
        assert refused.returncode == 2
        assert b"nothing on it is metered" in refused.stderr
        assert b"Run `" not in refused.stderr
