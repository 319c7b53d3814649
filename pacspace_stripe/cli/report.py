"""``report``: what was held and why or, in observe mode, what would have been."""

import sys
import textwrap
from datetime import UTC, datetime

import click

from pacspace_stripe.cli.output import PARAGRAPH, echo_json, echo_line, echo_table, room
from pacspace_stripe.cli.session import parts
from pacspace_stripe.comparison.rules.reconcile import without_retry_time
from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.documents.reference import REPORT_TEMPLATE
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.explain.rules.explanation_text import sentence
from pacspace_stripe.gate.rules.state import KeptBack
from pacspace_stripe.report.forms import as_csv, as_json
from pacspace_stripe.report.report import Report, make_report
from pacspace_stripe.report.rules.checklist import Standing
from pacspace_stripe.report.rules.lines import Holding, InvoiceLine, ReportRow
from pacspace_stripe.vocabulary.money import join_amounts
from pacspace_stripe.vocabulary.quantities import text
from pacspace_stripe.vocabulary.text import group_thousands, plural, printable

_WIDEST = 72
"""Columns that the last column of a table takes."""
_FORMATS = ("table", "csv", "json", "html")


@click.command()
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="Only usage of this day (UTC) and later."
)
@click.option("--format", "form", type=click.Choice(_FORMATS), default="table", show_default=True)
@click.option("--json", "as_machine", is_flag=True, help="Print JSON, as --format json does.")
def report(since: datetime | None, form: str, *, as_machine: bool) -> None:
    """Show what was billed, what was recorded, and what was held or would have been, with the money at stake.

    Reads our database alone: neither Stripe nor PacSpace is asked. In observe mode it shows what enforcing would have
    done.

    Exit code 0: every invoice that was compared is matched or waived; 1: any is drifted or unproven.
    """
    with parts() as app:
        from_day = since.replace(tzinfo=UTC) if since else None
        made = make_report(app.store, app.settings, now=app.now(), since=from_day)
        match "json" if as_machine else form:
            case "json":
                echo_json(as_json(made))
            case "csv":
                click.echo(as_csv(made), nl=False)
            case "html":
                click.echo(Templates(app.settings.templates).render(REPORT_TEMPLATE, as_json(made)), nl=False)
            case _:
                _echo(made)
    sys.exit(1 if made.verdicts[Verdict.DRIFTED] or made.verdicts[Verdict.UNPROVEN] else 0)


def _echo(made: Report) -> None:
    _echo_summary(made)
    _echo_held(made)
    _echo_usage(made)
    _echo_causes(made)
    _echo_rejections(made)
    _echo_trend(made)
    _echo_checklist(made)


def _echo_summary(made: Report) -> None:
    since = f" since {made.since:%Y-%m-%d}" if made.since else ""
    click.secho(f"{made.made_at:%Y-%m-%d %H:%M} UTC, {made.policy.mode.value} mode{since}", bold=True)
    counts = ", ".join(f"{made.verdicts[verdict]:,} {verdict.value}" for verdict in Verdict)
    waiting = f", {made.waiting:,} not compared yet" if made.waiting else ""
    click.echo(f"  {plural(len(made.lines), 'invoice')}, asking for {join_amounts(made.asked_for)}: {counts}{waiting}")


def _echo_held(made: Report) -> None:
    click.echo()
    title = "Would have been held" if made.observing else "Held"
    if not made.held:
        click.secho(f"{title}: nothing", bold=True)
        return
    click.secho(f"{title}: {plural(len(made.held), 'invoice')}, {join_amounts(made.at_stake)} at stake", bold=True)
    names = ("invoice", "customer", "at stake", "since", "until", "reason", "what was found")
    rows = [_held(line, line.kept, observing=made.observing) for line in made.held if line.kept]
    echo_table(names, rows, right=frozenset({"at stake"}), prose={"what was found": _WIDEST})


def _held(line: InvoiceLine, kept: KeptBack, *, observing: bool) -> tuple[str, ...]:
    open_end = {Holding.NOW: "now", Holding.TO_THE_END: "it left as it was" if observing else "a person ended it"}
    until = _day(kept.until) if kept.until else open_end.get(line.holding, "-")
    money = str(line.money) if line.money else "-"
    return (
        line.invoice_id,
        line.customer_id,
        money,
        _day(kept.since),
        until,
        kept.reason.value,
        without_retry_time(kept.detail) if kept.until else kept.detail,
    )


def _echo_usage(made: Report) -> None:
    rows = [_usage(line, row) for line in made.lines for row in line.rows]
    if rows:
        click.echo()
        click.secho("Usage by customer and meter", bold=True)
        names = ("customer", "meter", "from", "to", "billed", "recorded", "drift", "reason", "invoice")
        echo_table(names, rows, right=frozenset({"billed", "recorded", "drift"}))


def _usage(line: InvoiceLine, row: ReportRow) -> tuple[str, ...]:
    figures = ("-" if one is None else group_thousands(text(one)) for one in (row.billed, row.recorded, row.drift))
    return line.customer_id, row.meter, _day(row.start), _day(row.end), *figures, row.reason.value, line.invoice_id


def _echo_causes(made: Report) -> None:
    """Print where and why the two sides differ, for the drifts that were explained."""
    explained = [(line.invoice_id, row.explanation) for line in made.lines for row in line.rows if row.explanation]
    if explained:
        click.echo()
        click.secho("Where they differ, and why", bold=True)
    for invoice_id, explanation in explained:
        line = printable(f"{invoice_id}  {sentence(explanation)}")
        click.echo(textwrap.fill(line, room(PARAGRAPH), initial_indent="  ", subsequent_indent="      "))


def _echo_rejections(made: Report) -> None:
    """Print the meter events that Stripe accepted and rejected later."""
    if not made.rejections:
        return
    click.echo()
    click.secho("Rejected by Stripe after it had accepted them", bold=True)
    names = ("meter", "checked from", "to", "events", "Stripe's code", "for example")
    rows: list[tuple[str, ...]] = [
        (
            one.meter or "none found",
            _day(one.start),
            _day(one.end),
            f"{one.count:,}",
            one.code,
            f"{one.samples[0].identifier}: {one.samples[0].message}" if one.samples else "-",
        )
        for one in made.rejections
    ]
    echo_table(names, rows, right=frozenset({"events"}))


def _echo_trend(made: Report) -> None:
    if made.trend:
        click.echo()
        click.secho("Month by month", bold=True)
        held = "would be held" if made.observing else "held"
        names = ("month", "invoices", "matched", "drifted", "unproven", "waived", "agreed", held, "at stake")
        counts = [
            (
                month.month,
                f"{month.invoices:,}",
                *(f"{month.verdicts[verdict]:,}" for verdict in Verdict),
                month.matched_share,
                f"{month.held:,}",
                join_amounts(month.at_stake),
            )
            for month in made.trend
        ]
        echo_table(names, counts, right=frozenset(names[1:]))


def _echo_checklist(made: Report) -> None:
    click.echo()
    click.secho("Before you enforce" if made.observing else "While you enforce", bold=True)
    for point in made.checklist:
        mark = "ok" if point.standing is Standing.FINE else "look"
        click.echo(
            textwrap.fill(point.sentence, room(PARAGRAPH), initial_indent=f"  {mark:<6}", subsequent_indent=" " * 8)
        )
        for name in point.about:
            echo_line(f"          {name}")


def _day(at: datetime | None) -> str:
    """Return midnight as a day and any other time to the minute, in UTC."""
    if at is None:
        return "-"
    return f"{at:%Y-%m-%d}" if at.time() == at.time().min else f"{at:%Y-%m-%d %H:%M}"
