"""``sweep``: one sweep now, and a check of everything that is due."""

import click

from pacspace_stripe.cli.output import JSON_OPTION
from pacspace_stripe.cli.results import report_results
from pacspace_stripe.cli.session import parts, when_free, with_causes
from pacspace_stripe.errors import RemoteError
from pacspace_stripe.store import JobKind
from pacspace_stripe.vocabulary.text import plural


@click.command()
@JSON_OPTION
def sweep(*, as_json: bool) -> None:
    """Ask Stripe once, now, for drafts, fresh invoices and events that no webhook reported, and check what is due."""
    failure: RemoteError | None = None
    with parts() as app:
        try:
            found = when_free(app, lambda: app.sweep.run(widely=True))
        except RemoteError as error:
            # A list that Stripe did not give is reported at the end: what is due is checked anyway.
            found, failure = [], error
        due = [job for job, kind in app.store.triggers.due_ids() if kind is JobKind.INVOICE]
        app.drain()
        jobs = [app.store.jobs.find(job) for job in due]
        results = with_causes(app, *(app.last_result(job) for job in jobs if job))
    if not as_json:
        click.echo(f"{len(found):,} found that no webhook reported, {plural(len(results), 'invoice')} checked")
    report_results(results, as_json=as_json, failure=failure)
