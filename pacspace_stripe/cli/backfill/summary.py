"""The summary of a backfill, for people and for machines."""

from collections.abc import Sequence
from dataclasses import asdict

import click

from pacspace_stripe.app import App
from pacspace_stripe.backfill.progress import rough_duration
from pacspace_stripe.backfill.results import Bookmark, PdfState
from pacspace_stripe.backfill.rules.tally import READS_A_MONTH, BackfillOutcome, BackfillSelection, selection_json
from pacspace_stripe.cli.output import echo_line
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.text import plural


def summary_json(
    app: App, selection: BackfillSelection, bookmark: Bookmark, *, finished: bool, act: bool
) -> dict[str, Json]:
    """Return the counts and, for a dry run, the requests that ``--apply`` would take."""
    tally = bookmark.tally
    found: dict[str, Json] = {
        **{name: value if isinstance(value, str) else list(value) for name, value in selection_json(selection).items()},
        "applied": act,
        "finished": finished,
        "invoices": tally.invoices,
        "outcomes": {outcome.value: tally.outcomes[outcome] for outcome in BackfillOutcome},
        "reasons": dict(sorted(tally.reasons.items())),
        "stamped": tally.stamped,
        "unchanged": tally.unchanged,
        "drafts": tally.drafts,
    }
    if bookmark.beyond:
        found["beyond"] = {**_beyond(bookmark)}
    if tally.pdfs:
        found["pdfs"] = {state.value: tally.pdfs.get(state, 0) for state in PdfState}
    if act:
        return found
    rate = app.settings.request_rate
    plan: dict[str, Json] = {
        **{f"{name}_calls": count for name, count in asdict(tally.calls).items()},
        "stripe_reads": tally.calls.stripe_reads,
        "stripe_writes": tally.calls.stripe_writes,
        "seconds_at_least": round(tally.calls.at_least(rate).total_seconds()),
        "requests_a_second": str(rate),
        "stripe_reads_a_month": READS_A_MONTH,
    }
    return {**found, "plan": plan}


def _beyond(bookmark: Bookmark) -> dict[str, int]:
    """Count the writes for invoices that an interrupted run could not count."""
    wrote = bookmark.beyond.values()
    return {"stamped": sum(one.stamped for one in wrote), "pdfs": sum(one.pdf for one in wrote)}


def echo_summary(app: App, selection: BackfillSelection, bookmark: Bookmark, *, act: bool, finished: bool) -> None:
    """Print counts by outcome, the reasons of invoices that did not match, and what to do next."""
    tally = bookmark.tally
    about = selection_json(selection)
    end = "" if finished else ", as far as it got"
    title = "Applied" if act else "Dry run, nothing was written"
    statuses = ", ".join(about["statuses"])
    click.secho(f"{title}: {plural(tally.invoices, 'invoice')}{end}", bold=True)
    click.echo(f"  created from {about['since']} to {about['until']}, {statuses}")
    for outcome in BackfillOutcome:
        if tally.outcomes[outcome]:
            click.echo(f"  {tally.outcomes[outcome]:>9,}  {outcome.value}{_reasons(bookmark, outcome)}")
    not_matched = sum(tally.outcomes[one] for one in BackfillOutcome if not one.good)
    _echo_some("Not matched", tally.bad, not_matched, "--csv and --json name")
    _echo_some("Without their PDF", tally.without_pdf, tally.pdfs.get(PdfState.FAILED, 0), "--json names")
    if act:
        _echo_done(bookmark)
    else:
        _echo_plan(app, bookmark)


def _reasons(bookmark: Bookmark, outcome: BackfillOutcome) -> str:
    mine = [(name, count) for name, count in bookmark.tally.reasons.items() if name.startswith(f"{outcome.value} ")]
    said = ", ".join(f"{name.rpartition(' ')[2]} {count:,}" for name, count in sorted(mine))
    return f": {said}" if said else ""


def _echo_some(title: str, lines: Sequence[str], count: int, where: str) -> None:
    """Print the first lines of ``count``, and which option names all of them."""
    if lines:
        click.echo(title)
    for line in lines:
        echo_line(f"  {line}")
    if count > len(lines):
        click.echo(f"  and {count - len(lines):,} more: {where} them all")


def _echo_done(bookmark: Bookmark) -> None:
    tally = bookmark.tally
    click.echo(f"{tally.stamped:,} stamped in their metadata, {tally.unchanged:,} carried their stamp already")
    if tally.pdfs:
        written, there = tally.pdfs.get(PdfState.WRITTEN, 0), tally.pdfs.get(PdfState.THERE, 0)
        click.echo(f"{plural(written, 'stamped PDF')} written, {there:,} there before")
    if bookmark.beyond:
        beyond = _beyond(bookmark)
        click.echo(
            f"Beyond these, {beyond['stamped']:,} more were stamped and {plural(beyond['pdfs'], 'PDF')} written;"
            " --resume checks them again and counts them then"
        )
    if tally.drafts:
        click.echo(f"{plural(tally.drafts, 'draft')}: `pacspace-stripe serve` (or `sweep`) goes on from here")


def _echo_plan(app: App, bookmark: Bookmark) -> None:
    tally, calls, rate = bookmark.tally, bookmark.tally.calls, app.settings.request_rate
    click.echo("With --apply")
    drafts = f", {plural(tally.drafts, 'draft')} gated" if tally.drafts else ""
    click.echo(f"  {tally.stamped:,} stamped in their metadata, {tally.unchanged:,} carry their stamp already{drafts}")
    if tally.pdfs:
        missing, there = tally.pdfs.get(PdfState.MISSING, 0), tally.pdfs.get(PdfState.THERE, 0)
        click.echo(f"  {plural(missing, 'stamped PDF')} written, {there:,} there already")
    reads, writes = plural(calls.stripe_reads, "read"), plural(calls.stripe_writes, "write")
    click.echo(
        f"  about {reads} and {writes} at Stripe, {plural(calls.ledger, 'call')} of PacSpace:"
        f" {rough_duration(calls.at_least(rate))} at least, at {rate.endpoint} requests a second to one endpoint and"
        f" {rate.total} in all"
    )
    click.echo(
        f"  {calls.stripe_reads / READS_A_MONTH:.1%} of the {READS_A_MONTH:,} reads a month that Stripe allows every"
        " account (500 per transaction, where that is more)"
    )
