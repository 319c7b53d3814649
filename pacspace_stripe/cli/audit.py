"""``audit``: the audit log, from our database alone."""

from datetime import UTC, datetime

import click

from pacspace_stripe.cli.showing import JSON_OPTION, echo_json, echo_line, echo_table, moment
from pacspace_stripe.cli.wiring import database
from pacspace_stripe.domain.windows import iso

_WIDEST = 120
"""Characters of a detail in a table: early warnings keep whole documents there."""


@click.command()
@click.argument("invoice", required=False)
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), metavar="DATE", help="Only from then on (UTC)."
)
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most the newest so many.")
@JSON_OPTION
def audit(*, invoice: str | None, since: datetime | None, limit: int, as_json: bool) -> None:
    """Show what was done to invoices, who released one and why, and what people were told; newest last.

    From our database alone: neither vendor is asked, and no key of theirs is needed.
    """
    with database() as store:
        lines = store.journal.audit_log(
            subject_id=invoice, since=since.replace(tzinfo=UTC) if since else None, limit=limit
        )
    if as_json:
        echo_json(
            [{"at": iso(line.at), "about": line.subject_id, "kind": line.kind, "detail": line.detail} for line in lines]
        )
    elif lines:
        rows: list[tuple[str, ...]] = [
            (moment(iso(line.at)), line.subject_id, line.kind, _short(line.detail)) for line in lines
        ]
        echo_table(("at (UTC)", "about", "what", "detail"), rows)
    else:
        echo_line("nothing is in the audit log" + (f" about {invoice}" if invoice else ""))


def _short(detail: str) -> str:
    return detail if len(detail) <= _WIDEST else f"{detail[: _WIDEST - 1]}…"
