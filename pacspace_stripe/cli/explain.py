"""``explain``: where exactly the two sides of an invoice differ, what that most likely comes from, what can be done."""

import sys
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import click

from pacspace_stripe.app import App
from pacspace_stripe.cli.check import INVOICE
from pacspace_stripe.cli.files import write_whole
from pacspace_stripe.cli.output import JSON_OPTION, echo_json, echo_line, echo_table, room
from pacspace_stripe.cli.wiring import echo_result, exit_code, parts
from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.documents.typesetting import PictureKind
from pacspace_stripe.explain.rules.corrections import Correction, plan
from pacspace_stripe.explain.rules.explanation import Explanation, LocatedRecord, explanation_of, fingerprint
from pacspace_stripe.explain.rules.explanation_text import CAUSES, paragraphs, sentence, window_in_words
from pacspace_stripe.explain.rules.next_steps import next_step
from pacspace_stripe.gate.rules.result import CheckResult, shown_windows
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.invoices import Formula, Invoice
from pacspace_stripe.vocabulary.quantities import subtract, text
from pacspace_stripe.vocabulary.text import group_thousands
from pacspace_stripe.vocabulary.windows import iso

_WIDE = 100
_KINDS = (".png", ".svg")
_EPILOG = "\n\n".join(
    ("What a drift comes from, the `cause` in --json:", *(f"{cause.value}: {said}" for cause, said in CAUSES.items()))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is known of one invoice's drift."""

    invoice: Invoice
    result: CheckResult
    explanations: tuple[Explanation, ...]
    made_at: datetime
    plans: tuple[tuple[Correction, ...], ...]
    """What can be done about each explanation."""


def _a_picture(_: click.Context, __: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and value.suffix.lower() not in _KINDS:
        message = f"a chart is written as {' or '.join(_KINDS)}"
        raise click.BadParameter(message)
    return value


@click.command(epilog=_EPILOG)
@INVOICE
@click.option("--fresh", is_flag=True, help="Ask Stripe and PacSpace again, whatever was found out before.")
@click.option(
    "--chart",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_a_picture,
    help="Draw both sides day by day into a .png or .svg file.",
)
@JSON_OPTION
def explain(invoice: str, chart: Path | None, *, fresh: bool, as_json: bool) -> None:
    """Say where exactly billed and recorded usage differ, what that most likely comes from, and what can be done.

    Shows what was found out at the last look; where there was none, it checks the invoice and asks both sides for more,
    60 requests at most. Nothing is written to Stripe or PacSpace: the commands it prints are for you to run.
    """
    with parts() as app:
        told = _told(app, invoice, fresh=fresh)
        drawn = _drawn(app, told, chart) if chart else None
    if chart and drawn:
        write_whole(chart, drawn)
    if as_json:
        echo_json(_json(told))
    else:
        _echo(told)
    if chart:
        kept = f"{chart}: {len(drawn):,} bytes" if drawn else f"no chart: {_NO_DAYS}"
        echo_line(kept, err=True)
    sys.exit(exit_code([told.result]))


_NO_DAYS = "no window differs whose days are known on both sides"


def _told(app: App, invoice_id: str, *, fresh: bool) -> Told:
    read = app.stripe.read_invoice(invoice_id)
    return (None if fresh else _remembered(app, read)) or _found_out(app, read)


def _remembered(app: App, invoice: Invoice) -> Told | None:
    """What was found out before, if it is about the very figures of the last look; of no drift, there is nothing."""
    job = app.store.jobs.find(invoice.invoice_id)
    known = app.store.explanations.find(invoice.invoice_id)
    if job is None or known is None or known.fingerprint != fingerprint(job.memory.windows):
        return None
    result = replace(app.remembered(job), status=invoice.status.value)
    return _with_plans(app, invoice, result, known.explanations, known.made_at)


def _found_out(app: App, read: Invoice) -> Told:
    """Both sides compared and, where they differ, looked into. Kept when it is an invoice that we look after.

    That takes no lease: it decides nothing, and whose figures it explains is kept beside it.
    """
    compared = app.checker.compared(read)
    explanations = app.explainer.explain_all(compared.invoice, compared.finding)
    if explanations and app.store.jobs.find(read.invoice_id):
        figures = fingerprint(shown_windows(compared.finding))
        app.store.explanations.put(read.invoice_id, figures, explanations)
    return _with_plans(app, compared.invoice, compared.result, explanations, app.now())


def _with_plans(
    app: App, invoice: Invoice, result: CheckResult, explanations: tuple[Explanation, ...], made_at: datetime
) -> Told:
    formulas = app.checker.parts.comparer.formulas(invoice) if explanations else {}
    plans = tuple(
        plan(
            each,
            invoice=invoice,
            now=app.now(),
            policy=app.settings.policy,
            formula=formulas.get(each.meter, Formula.UNKNOWN),
        )
        for each in explanations
    )
    result = result.explained(explanations)
    return Told(invoice=invoice, result=result, explanations=explanations, made_at=made_at, plans=plans)


def _drawn(app: App, told: Told, chart: Path) -> bytes | None:
    kind = PictureKind(chart.suffix.lower()[1:])
    return app.documents.render_chart(told.invoice.invoice_id, told.explanations, kind)


def _json(told: Told) -> dict[str, Json]:
    """The shape of ``check``, each window with what explains it."""
    windows: list[Json] = [_window(told, dict(window)) for window in told.result.windows]
    steps = _next_steps(told)
    return {**told.result.as_json(), "windows": windows, "next_steps": list(steps), "made_at": iso(told.made_at)}


def _next_steps(told: Told) -> tuple[str, ...]:
    """Return what a person does next about what no correction plan covers: each unproven reason, once."""
    if told.result.good:
        return ()
    written = [told.result.reason, *(window.get("reason") for window in told.result.windows)]
    reasons = dict.fromkeys(Reason(str(one)) for one in written if one is not None)
    open_ones = [one for one in reasons if one.verdict is Verdict.UNPROVEN or one is Reason.CHANGED_AT_FINALIZATION]
    return tuple(next_step(one, told.result.invoice_id) for one in open_ones)


def _window(told: Told, window: dict[str, str | int | None]) -> Json:
    found = explanation_of(window, told.explanations)
    if found is None:
        return {**window, "cause": None}
    corrections = told.plans[told.explanations.index(found)]
    return {**window, **found.as_json(), "corrections": [_correction(each) for each in corrections]}


def _correction(each: Correction) -> Json:
    until = iso(each.until) if each.until else None
    return {"kind": each.kind.value, "command": each.command, "until": until, "why": each.why}


def _echo(told: Told) -> None:
    plain = tuple({name: window[name] for name in window if name != "sentence"} for window in told.result.windows)
    echo_result(replace(told.result, windows=plain, steps=(), next_check_at=None), planned=True)
    for step in _next_steps(told):
        click.echo()
        click.secho("  What to do", bold=True)
        _echo_folded(step)
    for explanation, corrections in zip(told.explanations, told.plans, strict=True):
        click.echo()
        _echo_explanation(explanation)
        _echo_plan(corrections)
    if told.explanations:
        calls = sum(explanation.calls for explanation in told.explanations)
        click.echo()
        echo_line(f"Found out on {told.made_at:%Y-%m-%d %H:%M:%S} UTC with {calls} requests; --fresh asks again.")


def _echo_explanation(explanation: Explanation) -> None:
    echo_line(sentence(explanation), bold=True)
    for paragraph in paragraphs(explanation):
        _echo_folded(paragraph)
    click.echo()
    echo_table(
        ("where", "meter", "Stripe counted", "ledger recorded", "difference", "cause"),
        [
            (
                window_in_words(part.window),
                part.meter,
                group_thousands(text(part.billed)),
                group_thousands(text(part.recorded)),
                group_thousands(text(subtract(part.billed, part.recorded))),
                (part.cause or explanation.cause).value,
            )
            for part in explanation.located
        ],
        right=frozenset({"Stripe counted", "ledger recorded", "difference"}),
    )
    echo_table(
        ("record", "side", "reference", "accepted", "quantity"),
        [_record(record) for part in explanation.located for record in part.records],
        right=frozenset({"quantity"}),
    )


def _record(record: LocatedRecord) -> tuple[str, ...]:
    at = f"{record.at:%Y-%m-%d %H:%M:%S} UTC" if record.at else "-"
    return (
        record.record_id or "-",
        record.side.value,
        record.reference_id or "-",
        at,
        group_thousands(text(record.quantity)),
    )


def _echo_plan(corrections: Iterable[Correction]) -> None:
    """Ready to be run, and never run by us: a command is not folded, or copying it would break it."""
    click.echo()
    click.secho("  What can be done now", bold=True)
    for number, each in enumerate(corrections, start=1):
        until = f", until {each.until:%Y-%m-%d %H:%M:%S} UTC" if each.until else ""
        echo_line(f"  {number}. {each.kind.value.replace('_', ' ')}{until}")
        _echo_folded(each.why, indent=5)
        for line in each.command.splitlines():
            echo_line(f"     {line}")


def _echo_folded(paragraph: str, *, indent: int = 2) -> None:
    for line in textwrap.wrap(paragraph, room(_WIDE) - indent):
        echo_line(" " * indent + line)
