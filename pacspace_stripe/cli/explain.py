"""``explain``: where exactly the two sides of an invoice differ, the most likely cause, and what can be done."""

import sys
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import click

from pacspace_stripe.app import App
from pacspace_stripe.cli.arguments import INVOICE
from pacspace_stripe.cli.output import JSON_OPTION, echo_json, echo_line, echo_paragraph, echo_table, write_whole
from pacspace_stripe.cli.results import echo_result, exit_code
from pacspace_stripe.cli.session import parts
from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.documents.typesetting import PictureKind
from pacspace_stripe.explain.meter_account import BillingScope
from pacspace_stripe.explain.rules.correction_plan import plan
from pacspace_stripe.explain.rules.corrections import Correction
from pacspace_stripe.explain.rules.explanation import Explanation, explanation_of, fingerprint
from pacspace_stripe.explain.rules.explanation_text import CAUSES, paragraphs, sentence, window_in_words
from pacspace_stripe.explain.rules.next_steps import next_step
from pacspace_stripe.gate.rules.result import CheckResult, shown_windows
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.invoices import Formula, Invoice
from pacspace_stripe.vocabulary.quantities import subtract, text
from pacspace_stripe.vocabulary.text import group_thousands
from pacspace_stripe.vocabulary.windows import iso

_SUFFIXES = (".png", ".svg")
_NO_DAYS = "no window differs whose days are known on both sides"
_EPILOG = "\n\n".join(
    (
        "The causes of a drift, `cause` in --json:",
        *(f"{cause.value}: {meaning}" for cause, meaning in CAUSES.items()),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedInvoice:
    """One invoice, the explanations of its drifts, and a plan of corrections for each explanation."""

    invoice: Invoice
    result: CheckResult
    explanations: tuple[Explanation, ...]
    made_at: datetime
    plans: tuple[tuple[Correction, ...], ...]


def _chart_file(_: click.Context, __: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and value.suffix.lower() not in _SUFFIXES:
        message = f"a chart is written as {' or '.join(_SUFFIXES)}"
        raise click.BadParameter(message)
    return value


@click.command(epilog=_EPILOG)
@INVOICE
@click.option("--fresh", is_flag=True, help="Ask Stripe and PacSpace again, even if an explanation is stored.")
@click.option(
    "--chart",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_chart_file,
    help="Draw both sides day by day into a .png or .svg file.",
)
@JSON_OPTION
def explain(invoice: str, chart: Path | None, *, fresh: bool, as_json: bool) -> None:
    """Show where exactly billed and recorded usage differ, the most likely cause, and what can be done.

    Shows the explanation that was stored at the last check; without one, it compares the invoice and makes at most 60
    requests to locate the difference. Nothing is written to Stripe or PacSpace: run the printed commands yourself.
    """
    with parts() as app:
        read = app.stripe.read_invoice(invoice)
        explained = (None if fresh else _stored(app, read)) or _explained_now(app, read)
        picture = None
        if chart:
            kind = PictureKind(chart.suffix.lower()[1:])
            picture = app.documents.render_chart(read.invoice_id, explained.explanations, kind)
    if chart and picture:
        write_whole(chart, picture)
    if as_json:
        echo_json(_as_json(explained))
    else:
        _echo(explained)
    if chart:
        echo_line(f"{chart}: {len(picture):,} bytes" if picture else f"no chart: {_NO_DAYS}", err=True)
    sys.exit(exit_code([explained.result]))


def _stored(app: App, invoice: Invoice) -> ExplainedInvoice | None:
    """Return the stored explanations, if they explain exactly the figures of the last check."""
    job = app.store.jobs.find(invoice.invoice_id)
    known = app.store.explanations.find(invoice.invoice_id)
    if job is None or known is None or known.fingerprint != fingerprint(job.state.windows):
        return None
    result = replace(app.last_result(job), status=invoice.status.value)
    return _with_plans(app, invoice, result, known.explanations, known.made_at)


def _explained_now(app: App, read: Invoice) -> ExplainedInvoice:
    """Compare both sides, explain each difference, and store the explanations of an invoice in our database.

    Takes no lease: nothing is decided, and the stored explanation names the figures that it explains.
    """
    compared = app.checker.compared(read)
    explanations = app.explainer.explain_all(BillingScope.of_invoice(compared.invoice), compared.finding)
    if explanations and app.store.jobs.find(read.invoice_id):
        figures = fingerprint(shown_windows(compared.finding))
        app.store.explanations.put(read.invoice_id, figures, explanations)
    return _with_plans(app, compared.invoice, compared.result, explanations, app.now())


def _with_plans(
    app: App, invoice: Invoice, result: CheckResult, explanations: tuple[Explanation, ...], made_at: datetime
) -> ExplainedInvoice:
    formulas = app.checker.services.comparer.billing.formulas(invoice) if explanations else {}
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
    return ExplainedInvoice(invoice=invoice, result=result, explanations=explanations, made_at=made_at, plans=plans)


def _next_steps(explained: ExplainedInvoice) -> tuple[str, ...]:
    """Return what a person does next about each reason, once, that no plan of corrections covers."""
    if explained.result.good:
        return ()
    names = [explained.result.reason, *(window.get("reason") for window in explained.result.windows)]
    reasons = dict.fromkeys(Reason(str(one)) for one in names if one is not None)
    uncovered = [one for one in reasons if one.verdict is Verdict.UNPROVEN or one is Reason.CHANGED_AT_FINALIZATION]
    return tuple(next_step(one, explained.result.invoice_id) for one in uncovered)


def _as_json(explained: ExplainedInvoice) -> dict[str, Json]:
    """Return the shape of ``check --json``, each window with its explanation and corrections."""
    windows: list[Json] = []
    for shown in explained.result.windows:
        window = dict(shown)
        found = explanation_of(window, explained.explanations)
        if found is None:
            windows.append({**window, "cause": None})
            continue
        corrections: list[Json] = [
            {
                "kind": each.kind.value,
                "command": each.command,
                "until": iso(each.until) if each.until else None,
                "why": each.why,
            }
            for each in explained.plans[explained.explanations.index(found)]
        ]
        windows.append({**window, **found.as_json(), "corrections": corrections})
    steps: list[Json] = list(_next_steps(explained))
    return {**explained.result.as_json(), "windows": windows, "next_steps": steps, "made_at": iso(explained.made_at)}


def _echo(explained: ExplainedInvoice) -> None:
    plain = tuple({name: window[name] for name in window if name != "sentence"} for window in explained.result.windows)
    echo_result(replace(explained.result, windows=plain, steps=(), next_check_at=None), planned=True)
    for step in _next_steps(explained):
        click.echo()
        click.secho("  What to do", bold=True)
        echo_paragraph(step)
    for explanation, corrections in zip(explained.explanations, explained.plans, strict=True):
        click.echo()
        _echo_explanation(explanation)
        _echo_plan(corrections)
    if explained.explanations:
        calls = sum(explanation.calls for explanation in explained.explanations)
        click.echo()
        echo_line(f"Found out on {explained.made_at:%Y-%m-%d %H:%M:%S} UTC with {calls} requests; --fresh asks again.")


def _echo_explanation(explanation: Explanation) -> None:
    echo_line(sentence(explanation), bold=True)
    for paragraph in paragraphs(explanation):
        echo_paragraph(paragraph)
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
        [
            (
                record.record_id or "-",
                record.side.value,
                record.reference_id or "-",
                f"{record.at:%Y-%m-%d %H:%M:%S} UTC" if record.at else "-",
                group_thousands(text(record.quantity)),
            )
            for part in explanation.located
            for record in part.records
        ],
        right=frozenset({"quantity"}),
    )


def _echo_plan(corrections: tuple[Correction, ...]) -> None:
    click.echo()
    click.secho("  What can be done now", bold=True)
    for number, each in enumerate(corrections, start=1):
        until = f", until {each.until:%Y-%m-%d %H:%M:%S} UTC" if each.until else ""
        echo_line(f"  {number}. {each.kind.value.replace('_', ' ')}{until}")
        echo_paragraph(each.why, indent=5)
        # A command is not folded: a copied line break would break it.
        for line in each.command.splitlines():
            echo_line(f"     {line}")
