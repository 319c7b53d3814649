"""``ledger write``, ``bucket`` and ``settle``: the older settlement API."""

import sys
from decimal import Decimal

import click

from pacspace_stripe.cli.ledger.arguments import NEGATIVE, NUMBER
from pacspace_stripe.cli.ledger.group import client, ledger
from pacspace_stripe.cli.ledger.output import say
from pacspace_stripe.cli.output import JSON_OPTION
from pacspace_stripe.errors import RemoteUnavailable, UnexpectedAnswer
from pacspace_stripe.pacspace_api import Write
from pacspace_stripe.vocabulary.quantities import text


@ledger.command(context_settings=NEGATIVE)
@click.argument("record")
@click.argument("bits", type=int)
@click.option("--account", required=True, help="Whose usage it is.")
@click.option("--description", help="What it is for; kept with it.")
@JSON_OPTION
def write(record: str, bits: int, *, account: str, description: str | None, as_json: bool) -> None:
    """Add a whole amount to a RECORD of the settlement API."""
    metadata = {"description": description} if description else {}
    with client() as pacspace:
        item = Write(key=record, account_id=account, bits=bits, metadata=metadata)
        try:
            made = pacspace.settlement.write([item])
        except (RemoteUnavailable, UnexpectedAnswer) as error:
            error.hint = f"It may have been recorded: see `ledger bucket {record}` before you send it again."
            raise
    say(made, f"Recorded: {bits} for {record} → batch {made.batch_id}", as_json=as_json)


@ledger.command()
@click.argument("record")
@JSON_OPTION
def bucket(record: str, *, as_json: bool) -> None:
    """Read what the writes of the RECORD add up to."""
    with client() as pacspace:
        found = pacspace.settlement.bucket(record)
    total = text(found.current_bits)
    said = f"Balance for {record}: {total} ({found.total_writes} writes)"
    say(found, said, f"Total usage recorded: {total}", as_json=as_json)


@ledger.command(context_settings=NEGATIVE)
@click.argument("record")
@click.argument("expected", type=NUMBER)
@JSON_OPTION
def settle(record: str, expected: Decimal, *, as_json: bool) -> None:
    """Verify that both parties agree on the RECORD: exit code 0 when it may be invoiced, 1 when it is blocked."""
    with client() as pacspace:
        found = pacspace.settlement.bucket(record)
    total, wanted = text(found.current_bits), text(expected)
    lines = [f"Balance for {record}: {total} ({found.total_writes} writes)"]
    agreed = found.verified and found.current_bits == expected
    if not found.verified:
        lines += ["Record not yet verified. Waiting for confirmation...", "Settlement blocked: pending_verification"]
    elif agreed:
        lines += [
            f"Agreement confirmed: both parties agree on {wanted}",
            f"Settlement complete. Generating invoice for {wanted}",
        ]
    else:
        lines += [f"Discrepancy: PacSpace says {total}, expected {wanted}", "Settlement blocked: mismatch"]
    say(found, *lines, as_json=as_json, agreed=agreed)
    sys.exit(0 if agreed else 1)
