"""``ledger record`` to ``ledger usage``: the Balance API."""

import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import click

from pacspace_stripe.cli.ledger.arguments import METADATA, NEGATIVE, NUMBER, scoped
from pacspace_stripe.cli.ledger.group import KEY_OPTION, client, ledger, once, public_client
from pacspace_stripe.cli.ledger.output import amount, coverage, records, say
from pacspace_stripe.cli.output import JSON_OPTION, echo_table, is_stdout, write_whole
from pacspace_stripe.errors import RemoteRefused, StillInFlight
from pacspace_stripe.pacspace_api import DeltaStatus, Granularity, Month, NewDelta, Since, Source
from pacspace_stripe.pacspace_api.failures import PACSPACE
from pacspace_stripe.vocabulary.canonical_json import digest
from pacspace_stripe.vocabulary.quantities import equal, subtract
from pacspace_stripe.vocabulary.windows import Window


@ledger.command(context_settings=NEGATIVE)
@click.argument("customer")
@click.argument("delta", type=NUMBER)
@click.option("--reason", required=True, help="What it is for, such as api_calls.")
@click.option("--reference", help="Your own name for it: the same one again is recorded once.")
@click.option("--metadata", type=METADATA, default="{}", help="A JSON object that is kept with it.")
@click.option("--adjusts-record", help="The record that it corrects, by its id.")
@click.option("--adjusts-reference", help="The same, by your own name for it.")
@click.option("--wait/--no-wait", help="Return once PacSpace has verified it.")
@KEY_OPTION
@JSON_OPTION
def record(
    customer: str,
    delta: Decimal,
    *,
    reason: str,
    reference: str | None,
    metadata: Mapping[str, object],
    adjusts_record: str | None,
    adjusts_reference: str | None,
    key: str | None,
    wait: bool,
    as_json: bool,
) -> None:
    """Record a delta: usage negative, deposits positive, in the unit you record in."""
    new = NewDelta(
        customer_id=customer,
        delta=delta,
        reason=reason,
        reference_id=reference,
        metadata=metadata,
        adjusts_record=adjusts_record,
        adjusts_reference=adjusts_reference,
    )
    # The customer is part of the key: one vendor's references may repeat from customer to customer.
    named = digest(f"{customer}\n{reference}".encode()) if reference else None
    with client() as pacspace, once(key, named=named) as chosen:
        emit = pacspace.balance.emit_and_wait if wait else pacspace.balance.emit
        made = emit(new, idempotency_key=chosen)
    line = f"Recorded {amount(delta)} for {customer} ({reason}): {made.status.value}"
    say(made, line, f"  record {made.record_id}", f"  receipt {made.receipt_id}", as_json=as_json)


@ledger.command()
@click.argument("customer")
@scoped
@click.option("--since", help="All after a checkpoint, named by its proof root, on top of --starting.")
@click.option("--starting", type=NUMBER, default="0", help="The balance before the first record.")
@click.option("--by", type=click.Choice([each.value for each in Granularity]), help="Break it down.")
@click.option("--records", "listed", is_flag=True, help="List every record, too.")
@JSON_OPTION
def balance(
    customer: str,
    *,
    scope: Month | Window | Since | None,
    since: str | None,
    starting: Decimal,
    by: str | None,
    listed: bool,
    as_json: bool,
) -> None:
    """Derive the balance over all verified records."""
    if since:
        if scope:
            message = "--since goes with no other span of time"
            raise click.UsageError(message)
        scope = Since(checkpoint=since)
    if listed and by:
        message = "--records or --by, not both"
        raise click.UsageError(message)
    with client() as pacspace:
        if listed:
            found = pacspace.balance.derive_all(customer, scope, starting_balance=starting)
        else:
            granularity = Granularity(by) if by else None
            found = pacspace.balance.derive(customer, scope, starting_balance=starting, granularity=granularity)
    say(found, f"Balance of {customer}: {amount(found.balance)} ({records(found.count)})", as_json=as_json)
    if as_json:
        return
    echo_table(
        ("period", "in", "out", "net", "records"),
        [
            (each.period, amount(each.credits), amount(each.debits), amount(each.net), str(each.count))
            for each in found.summaries
        ],
        right=frozenset({"in", "out", "net", "records"}),
    )
    if listed:
        echo_table(
            ("record", "delta", "reason", "reference", "status"),
            [
                (
                    each.record_id or "-",
                    amount(each.amount),
                    each.reason or "-",
                    each.reference_id or "-",
                    each.status.value,
                )
                for each in found.deltas
            ],
            right=frozenset({"delta"}),
        )


@ledger.command(context_settings=NEGATIVE)
@click.argument("customer")
@click.argument("yours", type=NUMBER)
@click.argument("theirs", type=NUMBER)
@scoped
@click.option("--starting", type=NUMBER, default="0", help="The balance before the first record.")
@JSON_OPTION
def compare(
    customer: str,
    yours: Decimal,
    theirs: Decimal,
    *,
    scope: Month | Window | None,
    starting: Decimal,
    as_json: bool,
) -> None:
    """Compare your balance and theirs with PacSpace's: exit code 0 when both agree, 1 when not."""
    with client() as pacspace:
        found = pacspace.balance.compare(customer, yours=yours, theirs=theirs, starting_balance=starting, scope=scope)
    neutral = found.neutral_balance
    say(
        found,
        f"PacSpace says {amount(neutral)}",
        _agreement("yours", yours, neutral),
        _agreement("theirs", theirs, neutral),
        as_json=as_json,
    )
    agreed = neutral is not None and equal(yours, neutral) and equal(theirs, neutral)
    sys.exit(0 if agreed else 1)


def _agreement(whose: str, balance: Decimal, neutral: Decimal | None) -> str:
    if neutral is None:
        return f"  {whose} {amount(balance)}: cannot say"
    if equal(balance, neutral):
        return f"  {whose} {amount(balance)}: agrees"
    return f"  {whose} {amount(balance)}: differs by {amount(subtract(balance, neutral))}"


@ledger.command()
@click.argument("customer")
@scoped
@JSON_OPTION
def checkpoint(customer: str, *, scope: Month | Window | None, as_json: bool) -> None:
    """Lock a proof root over the verified records of a span of time.

    It freezes: records that come later may not be covered by it. Take a span that is over.
    """
    with client() as pacspace:
        made = pacspace.balance.checkpoint(customer, scope)
    if made.proof_root is not None and made.status is not DeltaStatus.FAILED:
        say(made, f"Checkpoint {made.checkpoint_id}", f"  proof root {made.proof_root}", as_json=as_json)
        return
    say(made, f"Checkpoint {made.checkpoint_id}: {made.status.value}", as_json=as_json)
    if made.status is DeltaStatus.FAILED:
        message = "PacSpace could not make this checkpoint"
        raise RemoteRefused(PACSPACE, message, code="CHECKPOINT_FAILED", hint="Ask PacSpace why; nothing was proven.")
    message = "its proof root is not there yet"
    raise StillInFlight(PACSPACE, message, hint="The same command again shows it once it is.")


@ledger.command()
@click.argument("proof_root")
@click.option("--source", type=click.Choice([each.value for each in Source]), default="db", show_default=True)
@JSON_OPTION
def verify(proof_root: str, source: str, *, as_json: bool) -> None:
    """Ask publicly, without any key, what PacSpace vouches for: exit code 0 when it does, 1 when not."""
    with public_client() as pacspace:
        found = pacspace.verify(proof_root, Source(source))
    said = "verified" if found.verified else f"not verified{f': {found.message}' if found.message else ''}"
    shown = f"  {records(found.record_count)}, net change {amount(found.net_change)}"
    say(found, f"Proof root {proof_root}: {said}", *([shown] if found.verified else []), as_json=as_json)
    sys.exit(0 if found.verified else 1)


@ledger.command()
@click.argument("customer")
@scoped
@click.option(
    "--pdf",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write its document there, as a PDF; - for standard output.",
)
@JSON_OPTION
def receipt(
    customer: str,
    *,
    scope: Month | Window | None,
    pdf: Path | None,
    as_json: bool,
) -> None:
    """Show the receipt of a span of time: its records, its balance, and where anyone may verify it."""
    with client() as pacspace:
        found = pacspace.proofs.receipt(customer, scope)
        proof = pacspace.verify(found.proof_root) if found.proof_root else None
        document = pacspace.proofs.pdf(found.proof_root) if pdf and found.proof_root else None
    say(
        found,
        f"Receipt of {customer}: {amount(found.final_balance)} ({records(found.count)})",
        f"  proof root {found.proof_root or 'none: there is no checkpoint yet'}",
        *([coverage(found, proof)] if proof else []),
        *([f"  verify {found.verify_url}"] if found.verify_url else []),
        as_json=as_json,
        err=pdf is not None and is_stdout(pdf),
        covered=None if proof is None else {"records": proof.record_count, "net_change": proof.net_change},
    )
    if pdf and document is None:
        message = "there is no document without a checkpoint"
        raise click.UsageError(message)
    if pdf and document is not None:
        write_whole(pdf, document)


@ledger.command()
@click.argument("customer")
@JSON_OPTION
def gaps(customer: str, *, as_json: bool) -> None:
    """Say whether records are missing in the customer's sequence: exit code 0 when none is, 1 when some are."""
    with client() as pacspace:
        found = pacspace.tenant.gaps(customer)
    holes = [f"  from {gap.first} to {gap.last}" for gap in found.gaps]
    say(found, f"Gaps of {customer}: {found.count or 'none'}", *holes, as_json=as_json)
    sys.exit(1 if found.count else 0)


@ledger.command()
@JSON_OPTION
def usage(*, as_json: bool) -> None:
    """Show how much of your PacSpace plan is left, in deltas."""
    with client() as pacspace:
        found = pacspace.tenant.usage()
    left = "unknown" if found.remaining is None else str(found.remaining)
    further = "" if found.allowed is None else f"; a further one is {'taken' if found.allowed else 'refused'}"
    say(found, f"Deltas left in the plan: {left}{further}", as_json=as_json)
