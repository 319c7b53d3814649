"""``templates``: the built-in templates exported to a folder, and all templates tried with examples."""

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import click

from pacspace_stripe.cli.output import JSON_OPTION, echo_json
from pacspace_stripe.cli.processes import COMMAND
from pacspace_stripe.documents.examples import footers, try_template, try_templates
from pacspace_stripe.documents.reference import REPORT_TEMPLATE
from pacspace_stripe.documents.renderer import Documents
from pacspace_stripe.documents.templates import Templates, built_in
from pacspace_stripe.errors import RenderError
from pacspace_stripe.report.examples import reports
from pacspace_stripe.report.forms import as_json
from pacspace_stripe.report.report import Report
from pacspace_stripe.settings import Settings, load_settings

_HINT = "`pacspace-stripe templates check` tries all templates."


@click.group()
def templates() -> None:
    """Export the templates of documents and pages, or try them."""


@templates.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
def export(folder: Path, *, force: bool) -> None:
    """Write the built-in templates into DIR: change them there, and set PACSPACE_STRIPE_TEMPLATES to DIR."""
    files = sorted(path for path in built_in().iterdir() if path.is_file())
    there = [path.name for path in files if (folder / path.name).exists()]
    if there and not force:
        message = f"{folder} has {', '.join(there)} already; --force overwrites"
        raise click.UsageError(message)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in files:
            shutil.copyfile(path, folder / path.name)
    except OSError as error:
        raise click.FileError(str(folder), hint=error.strerror or str(error)) from error
    for path in files:
        click.echo(folder / path.name)


@templates.command()
@JSON_OPTION
def check(*, as_json: bool) -> None:
    """Render every template with examples, yours before the built-in ones; exit code 1 when one fails."""
    settings = load_settings(os.environ, stripe=False, pacspace=False)
    documents = Templates(settings.templates, fonts=settings.fonts)
    trials = [*try_templates(documents, settings.letterhead)]
    # The report's page sees the report's JSON, which the documents do not know.
    trials += [try_template(REPORT_TEMPLATE, name, partial(_page, documents, made)) for name, made in reports()]
    if as_json:
        echo_json(
            [
                {
                    "template": trial.template,
                    "example": trial.example,
                    "problem": None if trial.problem is None else str(trial.problem),
                    "hint": None if trial.problem is None else trial.problem.hint,
                }
                for trial in trials
            ]
        )
    else:
        for trial in trials:
            outcome = f"ok ({trial.note})" if trial.problem is None else str(trial.problem)
            click.echo(f"{trial.template}, {trial.example}: {outcome}")
            if trial.problem is not None and trial.problem.hint:
                click.echo(f"  {trial.problem.hint}")
    sys.exit(1 if any(trial.problem for trial in trials) else 0)


def _page(documents: Templates, made: Report) -> str:
    return f"{len(documents.render(REPORT_TEMPLATE, as_json(made))):,} characters"


def refuse_broken(settings: Settings) -> None:
    """Raise RenderError before anything is served if a template cannot be rendered with examples.

    The built-in templates are tested with every release: without any of the operator's own, only the footer is tried.
    Rendering all of them takes a second and much memory, so a process of its own does it.
    """
    if settings.templates is None and settings.letterhead.logo is None and settings.fonts is None:
        Documents(Templates()).render_footer(next(view for _, view in footers()))
        return
    done = subprocess.run(  # noqa: S603 - our own command
        [*COMMAND, "templates", "check", "--json"], capture_output=True, check=False
    )
    try:
        results = json.loads(done.stdout)
    except ValueError as error:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        message = f"the templates could not be tried: {lines[-1] if lines else f'exit code {done.returncode}'}"
        raise RenderError(message, hint=_HINT) from error
    problems = [each for each in results if each["problem"]]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        message = f"{problems[0]['problem']}{more}"
        raise RenderError(message, hint=f"{problems[0]['hint']} {_HINT}".strip())
