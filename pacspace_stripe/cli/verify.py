"""``verify``: the checks that the receiver of an invoice can make alone, without our database and settings."""

import os
import sys

import click

from pacspace_stripe.cli.output import JSON_OPTION, echo_json, echo_table, moment, quantity
from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.verify import OnlineServices, Step, StepOutcome, VerificationReport, online_services
from pacspace_stripe.verify import verify as verified
from pacspace_stripe.verify.report import VerifiedFigures, VerifiedWindow
from pacspace_stripe.vocabulary.text import plural

_EXIT = {StepOutcome.HOLDS: 0, StepOutcome.REFUTED: 1}
_CANNOT_TELL = 2
_COLOURS = {
    StepOutcome.HOLDS: "green",
    StepOutcome.REFUTED: "red",
    StepOutcome.CANNOT_TELL: "yellow",
    StepOutcome.SKIPPED: None,
}
_HEADINGS = {
    StepOutcome.HOLDS: "What was verified",
    StepOutcome.REFUTED: "What the document claims, which is refuted below",
    StepOutcome.CANNOT_TELL: "What the document claims, which could not be verified to the end",
}
_SOURCES = {
    "db": "PacSpace's database (db)",
    "both": "database and chain together (both)",
    "chain": "the public chain (chain)",
}
_CONCLUSIONS = {
    StepOutcome.HOLDS: "Every step that was run holds.",
    StepOutcome.REFUTED: "Refuted: do not rely on it.",
    StepOutcome.CANNOT_TELL: "Cannot tell.",
}


@click.command()
@click.argument("target")
@click.option("--offline", is_flag=True, help="Ask neither PacSpace nor Stripe: check only what the file itself shows.")
@JSON_OPTION
def verify(target: str, *, offline: bool, as_json: bool) -> None:
    """Verify a statement or stamped invoice (PDF), a bundle (ZIP), an invoice's id or a proof root (0x…).

    Asks PacSpace about each proof root, and Stripe about the invoice if STRIPE_API_KEY is set; no other host is ever
    contacted, whatever a document names. Exit code 0: every step that was run holds; 1: refuted; 2: unreadable or
    inconclusive.
    """
    if offline:
        report = verified(target, OnlineServices())
    else:
        with online_services(os.environ) as vendors:
            report = verified(target, vendors)
    echo_json(report.as_json()) if as_json else _echo(report)
    sys.exit(_EXIT.get(report.outcome, _CANNOT_TELL))


def _echo(report: VerificationReport) -> None:
    click.secho(f"{report.kind} {report.target}", bold=True)
    if report.figures:
        _echo_figures(report, report.figures)
    click.secho("Steps", bold=True)
    for step in report.steps:
        _echo_step(step)
    if report.figures and report.figures.compare:
        click.secho(report.figures.compare, bold=True)
    if report.not_proven:
        click.echo("Not proven:")
    for unproven in report.not_proven:
        click.echo(f"  - {unproven}")
    click.secho(_CONCLUSIONS[report.outcome], bold=True)
    if report.outcome is StepOutcome.HOLDS and report.verdict and not report.verdict.startswith(Verdict.MATCHED):
        click.echo(f"What it shows is that the invoice was {report.verdict}.")


def _echo_figures(report: VerificationReport, figures: VerifiedFigures) -> None:
    """Print whose invoice it is and what it bills, below a heading that says whether that was verified."""
    click.secho(_HEADINGS[report.outcome], bold=True, fg=_COLOURS[report.outcome])
    about = [
        ("invoice", figures.invoice),
        ("number", figures.number),
        ("titled", figures.title),
        ("vendor", figures.vendor),
        ("customer", figures.customer),
        ("named", figures.customer_name),
        ("verdict", report.verdict),
    ]
    for name, value in about:
        if value is not None:
            click.echo(f"  {name:<9} {value}")
    for window in figures.windows:
        if window.net_change is not None:
            click.echo(f"  covers    {_records(window)}net change {quantity(window.net_change)}")
    named = [window for window in figures.windows if window.net_change is None]
    names = ("meter", "account", "from (UTC)", "to", "billed", "recorded", "records")
    echo_table(names, list(map(_row, named)), right=frozenset(names[4:]))
    if figures.more_windows:
        click.echo(f"  and {plural(figures.more_windows, 'more window')}, which the stamp has no room for")


def _records(window: VerifiedWindow) -> str:
    return f"{plural(int(window.records), 'record')}, " if window.records is not None else ""


def _row(window: VerifiedWindow) -> tuple[str, ...]:
    start, _, end = (window.period or "").partition("/")
    times = moment(start or None), moment(end or None)
    amounts = map(quantity, (window.billed, window.recorded, window.records))
    return window.meter or "-", window.account or "-", *times, *amounts


def _echo_step(step: Step) -> None:
    outcome = step.result.outcome
    click.echo(f"{step.number:3}. {step.checked}: {click.style(outcome.value, fg=_COLOURS[outcome])}")
    if step.result.detail:
        click.echo(f"     {step.result.detail}")
    for answer in step.result.sources:
        click.echo(f"     {_SOURCES.get(answer.source, answer.source)} about {answer.proof_root}: {answer.said}")
