"""``audit``: the audit log, from our database alone."""

import json
from datetime import UTC, datetime

import click

from pacspace_stripe.cli.output import JSON_OPTION, echo_json, echo_line, echo_table, moment
from pacspace_stripe.cli.wiring import database
from pacspace_stripe.vocabulary.windows import iso

_WIDEST = 72
"""Characters of a detail in one line of the table."""


@click.command()
@click.argument("invoice", required=False)
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), metavar="DATE", help="Only from then on (UTC)."
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Show this many at most, the newest ones.",
)
@JSON_OPTION
def audit(*, invoice: str | None, since: datetime | None, limit: int, as_json: bool) -> None:
    """Show what was done to invoices, who released one and why, and what people were told; newest last.

    From our database alone: neither vendor is asked, and no key of theirs is needed.
    """
    with database() as store:
        lines = store.journal.audit_log(job_id=invoice, since=since.replace(tzinfo=UTC) if since else None, limit=limit)
    if as_json:
        echo_json(
            [{"at": iso(line.at), "about": line.job_id, "kind": line.kind, "detail": line.detail} for line in lines]
        )
    elif lines:
        rows: list[tuple[str, ...]] = [
            (moment(iso(line.at)), line.job_id, line.kind, _words(line.detail)) for line in lines
        ]
        echo_table(("at (UTC)", "about", "what", "detail"), rows, prose={"detail": _WIDEST})
    else:
        echo_line("nothing is in the audit log" + (f" about {invoice}" if invoice else ""))


def _words(detail: str) -> str:
    """Return a detail for people: the fields of a document in words, without what is nested in it."""
    try:
        document = json.loads(detail)
    except ValueError:
        return detail
    if not isinstance(document, dict):
        return detail
    fields = [f"{name} {_value(value)}" for name, value in document.items() if value not in (None, [], {})]
    return "; ".join(fields) or "-"


def _value(value: object) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return "(see --json)" if isinstance(value, dict | list) else str(value)
