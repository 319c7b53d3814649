"""The documents match the code: generated parts are up to date, and everything that they name exists.

``make docs`` runs this file with ``--write-docs``, which writes the generated parts instead of comparing them.
"""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import pacspace_stripe
from pacspace_stripe.cli import COMMANDS, cli
from pacspace_stripe.cli.ledger import ledger
from pacspace_stripe.cli.onboard.prompts import SECRETS
from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.documents.reference import MODELS, meaning_of, reference, variables
from pacspace_stripe.evidence.reader import SCHEMA_NAME, json_schema
from pacspace_stripe.explain.rules.explanation_text import CAUSES
from pacspace_stripe.settings import describe, env_example, markdown_table
from pacspace_stripe.vocabulary.webhooks import SUBSCRIBED
from tests.support.documents import DOCUMENTS, README, ROOT, part, relative_name, split


def compare_or_write(request: pytest.FixtureRequest, name: str, generated: str) -> None:
    document, before, there, after = split(name)
    if request.config.getoption("--write-docs"):
        document.write_text(before + generated + after)
        there = generated
    assert there == generated, "run `make docs`"


def test_the_settings_table_is_up_to_date(request: pytest.FixtureRequest) -> None:
    compare_or_write(request, "settings", markdown_table())


def test_the_list_of_events_is_up_to_date(request: pytest.FixtureRequest) -> None:
    compare_or_write(request, "events", "".join(f"- `{kind.value}`\n" for kind in SUBSCRIBED))


def test_the_list_of_causes_is_up_to_date(request: pytest.FixtureRequest) -> None:
    compare_or_write(request, "causes", "".join(f"- `{cause}`: {said}\n" for cause, said in CAUSES.items()))


def test_the_help_of_explain_documents_every_cause() -> None:
    said = " ".join(CliRunner().invoke(cli, ["explain", "--help"]).output.split())
    for cause, meaning in CAUSES.items():
        assert f"{cause}: {meaning}" in said


def test_the_example_environment_is_up_to_date(request: pytest.FixtureRequest) -> None:
    example = ROOT / ".env.example"
    if request.config.getoption("--write-docs"):
        example.write_text(env_example())
    assert example.read_text() == env_example(), "run `make docs`"


def test_the_reference_of_the_templates_is_up_to_date(request: pytest.FixtureRequest) -> None:
    compare_or_write(request, "reference", reference())


@pytest.mark.parametrize("model", [model for models in MODELS.values() for model in models])
def test_every_variable_of_a_template_says_what_it_is(model: type) -> None:
    assert meaning_of(model)
    for name, kind, meaning in variables(model):
        assert re.fullmatch(r"[A-Z`].+\.", meaning), name
        assert kind


def test_the_shipped_schema_of_evidence_is_up_to_date(request: pytest.FixtureRequest) -> None:
    schema = Path(pacspace_stripe.__file__).parent / "evidence" / SCHEMA_NAME
    written = json.dumps(json_schema(), indent=2) + "\n"
    if request.config.getoption("--write-docs"):
        schema.write_text(written)
    assert schema.read_text() == written, "run `make docs`"


def test_every_setting_has_a_meaning_of_one_sentence() -> None:
    for row in describe(None):
        assert re.fullmatch(r"[A-Z`].{10,}\.", row.meaning), row.name


def test_the_code_map_names_every_module_and_nothing_else() -> None:
    named = set(re.findall(r"`(pacspace_stripe/[a-z_]+(?:\.py|/))`", part("code map")))
    package = Path(pacspace_stripe.__file__).parent
    there = {f"pacspace_stripe/{path.name}" for path in package.glob("[a-z]*.py")}
    there |= {f"pacspace_stripe/{path.parent.name}/" for path in package.glob("[a-z]*/__init__.py")}
    assert named == there
    for folder in re.findall(r"^\| `([a-z_]+/)`", part("code map"), re.MULTILINE):
        assert (ROOT / folder).is_dir()


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative_name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text()):
        assert target.startswith("https://") or (document.parent / target).exists(), target


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len(README.read_bytes()) <= 10 * 1024


def test_every_document_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [README]
    while waiting:
        document = waiting.pop()
        reached.add(document)
        targets = re.findall(r"\]\(([^)#]+\.md)\)", document.read_text())
        linked = {(document.parent / target).resolve() for target in targets if not target.startswith("https://")}
        waiting += [each for each in linked - reached if each.exists()]
    assert set(DOCUMENTS) - reached == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative_name)
def test_every_path_that_a_document_names_exists(document: Path) -> None:
    for path in re.findall(r"`((?:pacspace_stripe|webhooks|templates|tests)/[A-Za-z0-9_./-]+)`", document.read_text()):
        assert (ROOT / path).exists(), path


def test_every_command_in_its_readme_exists_and_every_command_is_in_it() -> None:
    table = (ROOT / "pacspace_stripe/cli/README.md").read_text()
    assert re.findall(r"^\| `pacspace-stripe ([a-z-]+)", table, re.MULTILINE) == list(COMMANDS)


LEDGER = sorted(ledger.commands)


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative_name)
def test_every_command_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text()
    named = set(re.findall(r"(?:`|^\$ |^)pacspace-stripe ([a-z]+(?:-[a-z]+)*)", text, re.MULTILINE))
    parts = set(re.findall(r"(?:`|^\$ )(?:pacspace-stripe )?ledger ([a-z]+)", text, re.MULTILINE))
    assert named - set(COMMANDS) == set()
    assert parts - set(LEDGER) == set()


def test_every_command_of_the_ledger_is_named_where_it_does_the_step() -> None:
    tables = part("pages") + part("sdk")
    assert sorted(set(re.findall(r"`pacspace-stripe ledger ([a-z]+)`", tables))) == LEDGER
    assert set(re.findall(r"`pacspace-stripe ([a-z]+)", part("pages"))) == {"onboard", "ledger"}


@pytest.mark.parametrize("name", LEDGER)
def test_every_command_of_the_ledger_explains_itself(name: str) -> None:
    result = CliRunner().invoke(cli, ["ledger", name, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: cli ledger {name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: cli {name}")


def test_every_variable_in_the_documents_exists() -> None:
    known = {row.name for row in describe(None)} | set(SECRETS)
    for document in DOCUMENTS:
        named = set(re.findall(r"\b(?:PACSPACE|STRIPE)_[A-Z_]+[A-Z]\b", document.read_text()))
        assert named <= known, document.name


def test_every_make_target_in_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        text = document.read_text()
        named = re.findall(r"`make ([a-z]+)", text) + re.findall(r"^make (?:PYTHON=\S+ )?([a-z]+)", text, re.MULTILINE)
        assert set(named) <= targets, document.name


def test_the_words_explain_every_verdict() -> None:
    for verdict in Verdict:
        assert f"*{verdict}*" in (ROOT / "pacspace_stripe/README.md").read_text()
