"""``audit``: the audit log, from our database alone."""

import json
from datetime import UTC, datetime

import click

from pacspace_stripe.cli.output import JSON_OPTION, echo_json, echo_line, echo_table, moment
from pacspace_stripe.cli.session import database
from pacspace_stripe.vocabulary.windows import iso

_WIDEST = 72
"""Columns that a detail takes in the table."""


@click.command()
@click.argument("invoice", required=False)
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), metavar="DATE", help="Only from then on (UTC)."
)
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Show this many at most, the newest."
)
@JSON_OPTION
def audit(*, invoice: str | None, since: datetime | None, limit: int, as_json: bool) -> None:
    """Show every write to an invoice, who released one and why, and every alert; newest last.

    Reads our database alone: neither vendor is asked, and no key of theirs is needed.
    """
    with database() as store:
        lines = store.journal.audit_log(job_id=invoice, since=since.replace(tzinfo=UTC) if since else None, limit=limit)
    if as_json:
        echo_json(
            [{"at": iso(line.at), "about": line.job_id, "kind": line.kind, "detail": line.detail} for line in lines]
        )
    elif lines:
        rows: list[tuple[str, ...]] = [
            (moment(iso(line.at)), line.job_id, line.kind, _in_words(line.detail)) for line in lines
        ]
        echo_table(("at (UTC)", "about", "what", "detail"), rows, prose={"detail": _WIDEST})
    else:
        echo_line("nothing is in the audit log" + (f" about {invoice}" if invoice else ""))


def _in_words(detail: str) -> str:
    """Return a detail for people: the fields of a JSON document as words, without what is nested in it."""
    try:
        document = json.loads(detail)
    except ValueError:
        return detail
    if not isinstance(document, dict):
        return detail
    fields = []
    for name, value in document.items():
        if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
            fields.append(f"{name} {', '.join(value)}")
        elif value not in (None, [], {}):
            fields.append(f"{name} {'(see --json)' if isinstance(value, dict | list) else value}")
    return "; ".join(fields) or "-"
