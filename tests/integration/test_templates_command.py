"""``templates``: the built-in templates exported, and a user's templates rendered with examples."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pacspace_stripe.cli import cli
from pacspace_stripe.documents.examples import summary
from pacspace_stripe.documents.overlay import Overlay
from pacspace_stripe.documents.reference import MODELS, REPORT_TEMPLATE
from pacspace_stripe.documents.renderer import Documents
from pacspace_stripe.documents.statement_values import STATEMENT_TEXTS
from pacspace_stripe.documents.templates import Templates, built_in
from pacspace_stripe.errors import ConfigurationError, RenderError
from tests.support.document_views import footer, named, statement
from tests.support.invoice_pdfs import pdf_of, stamp
from tests.support.worlds import ENVIRONMENT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def run(*arguments: str, **environ: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["templates", *arguments], env=environ)
    return done.exit_code, done.output


def test_exported_templates_are_ours_and_render_the_same(folder: Path) -> None:
    code, said = run("export", str(folder / "new"))
    assert code == 0
    names = {path.name for path in (folder / "new").iterdir()}
    assert names == {"README.md", STATEMENT_TEXTS, REPORT_TEMPLATE, *MODELS}
    assert all(name in said for name in names)
    mine, documents = Documents(Templates(folder / "new")), Documents(Templates())
    assert mine.render_statement(statement()) == documents.render_statement(statement())
    assert mine.render_footer(footer(named())) == documents.render_footer(footer(named()))
    assert mine.render_summary(summary()) == documents.render_summary(summary())
    stamped = [Overlay(each.typesetter).stamp(pdf_of(), stamp()).pdf for each in (mine, documents)]
    assert stamped[0] == stamped[1]


def test_export_overwrites_only_with_force(folder: Path) -> None:
    (folder / "statement.typ").write_text("mine")
    code, said = run("export", str(folder))
    assert code == 2
    assert "statement.typ already; --force overwrites" in " ".join(said.split())
    assert [path.name for path in folder.iterdir()] == ["statement.typ"]
    assert run("export", str(folder), "--force")[0] == 0
    assert (folder / "statement.typ").read_bytes() == (built_in() / "statement.typ").read_bytes()


def test_export_needs_a_folder_that_can_be_made(folder: Path) -> None:
    (folder / "file").write_text("")
    assert run("export", str(folder / "file" / "below"))[0] == 1
    assert run("export")[0] == 2


def test_check_renders_every_template_and_needs_no_key() -> None:
    code, said = run("check")
    assert code == 0
    assert "invoice_footer.txt.jinja, one window: ok" in said
    for example in ("drifted", "settlement ledger", "de, on letter paper", "your letterhead"):
        assert f"statement.typ, {example}: ok" in said
    assert {line.partition(", ")[0] for line in said.splitlines()} == {*MODELS, REPORT_TEMPLATE}
    assert said.count(": ok") == len(said.splitlines())


def test_check_names_each_template_that_cannot_be_rendered(folder: Path) -> None:
    (folder / "invoice_footer.txt.jinja").write_text("\n{{ proof }}")
    code, said = run("check", PACSPACE_STRIPE_TEMPLATES=str(folder))
    assert code == 1
    assert "invoice_footer.txt.jinja, one window: invoice_footer.txt.jinja line 2: 'proof' is undefined" in said
    assert f"Correct {folder / 'invoice_footer.txt.jinja'}." in said
    assert "statement.typ, matched: ok" in said


def test_check_finds_an_error_that_only_some_invoices_would_show(folder: Path) -> None:
    (folder / "statement.typ").write_text("#let data = json(bytes(sys.inputs.data))\n#data.windows.first().meter")
    code, said = run("check", "--json", PACSPACE_STRIPE_TEMPLATES=str(folder))
    assert code == 1
    problems = {each["example"]: each["problem"] for each in json.loads(said) if each["template"] == "statement.typ"}
    assert problems["matched"] is None
    assert "line 2" in problems["nothing metered"]


def test_check_finds_an_error_that_only_some_reports_would_show(folder: Path) -> None:
    (folder / REPORT_TEMPLATE).write_text("{{ mode }}\n{{ held.invoices[0].subscription }}")
    code, said = run("check", PACSPACE_STRIPE_TEMPLATES=str(folder))
    assert code == 1
    assert f"{REPORT_TEMPLATE}, observing: ok" in said
    assert f"{REPORT_TEMPLATE}, nothing yet: {REPORT_TEMPLATE} line 2" in said


@pytest.mark.parametrize(("template", "example"), [("overlay.typ", "A4"), ("dispute_summary.typ", "waived")])
def test_check_renders_templates_that_include_other_files(folder: Path, template: str, example: str) -> None:
    (folder / template).write_text("\n#data.nobody")
    code, said = run("check", PACSPACE_STRIPE_TEMPLATES=str(folder))
    assert code == 1
    assert f"{template}, {example}: {template} line 2: unknown variable: data" in said


def test_check_says_when_a_summary_is_longer_than_a_page(folder: Path) -> None:
    (folder / "dispute_summary.typ").write_text("One #pagebreak() two")
    assert "matched: ok (2 pages" in run("check", PACSPACE_STRIPE_TEMPLATES=str(folder))[1]


def test_check_says_when_a_footer_is_too_long(folder: Path) -> None:
    (folder / "invoice_footer.txt.jinja").write_text("{{ 'x' * 6000 }}")
    assert "too long for Stripe" in run("check", PACSPACE_STRIPE_TEMPLATES=str(folder))[1]


def test_check_reports_a_wrong_setting(folder: Path) -> None:
    done = CliRunner().invoke(cli, ["templates", "check"], env={"PACSPACE_STRIPE_TEMPLATES": str(folder / "nowhere")})
    assert isinstance(done.exception, ConfigurationError)


# -- what `serve` refuses to start with ------------------------------------------------------------------------------


def refused(folder: Path) -> RenderError:
    environment = {**ENVIRONMENT, "PACSPACE_STRIPE_DATABASE_URL": f"sqlite:///{folder / 'db'}"}
    done = CliRunner().invoke(cli, ["serve"], env={**environment, "PACSPACE_STRIPE_TEMPLATES": str(folder)})
    assert isinstance(done.exception, RenderError)
    return done.exception


@pytest.mark.parametrize(
    ("template", "text", "problem"),
    [
        ("invoice_footer.txt.jinja", "\n{{ proof }}", "invoice_footer.txt.jinja line 2: 'proof' is undefined"),
        ("invoice_footer.txt.jinja", "{# nothing #}\n  \n", "invoice_footer.txt.jinja: it yields no text"),
        ("invoice_footer.txt.jinja", "— Usage record (PacSpace) —", "invoice_footer.txt.jinja: it yields no text"),
        ("overlay.typ", "\n#data.nobody", "overlay.typ line 2: unknown variable: data"),
        (REPORT_TEMPLATE, "{{ nobody }}", f"{REPORT_TEMPLATE} line 1: 'nobody' is undefined"),
        (
            "invoice_footer.jinja",
            "",
            "invoice_footer.jinja: no template has this name; did you mean invoice_footer.txt",
        ),
    ],
)
def test_serve_refuses_a_template_that_cannot_be_rendered(folder: Path, template: str, text: str, problem: str) -> None:
    (folder / template).write_text(text)
    said = refused(folder)
    assert str(said).startswith(problem)
    assert str(folder / template) in said.hint
    assert "templates check" in said.hint


def test_a_file_that_nothing_uses_is_named_and_one_that_is_used_or_no_template_is_not(folder: Path) -> None:
    (folder / "invoice_footer.txt.jinja").write_text('{% include "legal.jinja" %} {{ evidence_sha256 }}')
    for name in ("legal.jinja", "logo.svg", "NOTES.md", "statement_texts.json.bak"):
        (folder / name).write_text("Acme Ltd.")
    (folder / "fonts").mkdir()
    assert list(Templates(folder).unused()) == []
    (folder / "statment.typ").write_text("")
    (problem,) = Templates(folder).unused()
    assert str(problem) == "statment.typ: no template has this name; did you mean statement.typ?"
    code, said = run("check", PACSPACE_STRIPE_TEMPLATES=str(folder))
    assert code == 1
    assert "statment.typ, name: statment.typ: no template has this name" in said


def test_exported_templates_have_names_of_ours(folder: Path) -> None:
    run("export", str(folder))
    assert list(Templates(folder).unused()) == []
