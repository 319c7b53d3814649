"""``invoices``: the list of the invoices in our database."""

import sys

import click

from pacspace_stripe.cli.output import JSON_OPTION, echo_json, echo_table
from pacspace_stripe.cli.results import exit_code
from pacspace_stripe.cli.session import parts, with_causes
from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.gate.rules.state import Stage

_STATUSES = [*(verdict.value for verdict in Verdict), *(stage.value for stage in Stage)]


@click.command()
@click.option("--status", type=click.Choice(_STATUSES), help="List only invoices with this verdict or at this stage.")
@JSON_OPTION
def invoices(status: str | None, *, as_json: bool) -> None:
    """List the invoices that the gate checks, newest change first."""
    with parts() as app:
        results = with_causes(app, *map(app.last_result, app.store.jobs.invoices(status=status)))
    if as_json:
        echo_json([result.as_json() for result in results])
    else:
        echo_table(
            ("invoice", "stage", "verdict", "reason", "detail"),
            [
                (
                    result.invoice_id,
                    result.status,
                    result.verdict.value if result.verdict else "-",
                    result.reason.value if result.reason else "-",
                    result.detail,
                )
                for result in results
            ],
            prose={"detail": sys.maxsize},
        )
    sys.exit(exit_code(results))
