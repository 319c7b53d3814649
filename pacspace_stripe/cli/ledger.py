"""``pacspace-stripe ledger``: what PacSpace's own pages do with curl, as commands. Our database is not touched."""

import functools
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from pacspace_stripe.cli.logs import configure_logging
from pacspace_stripe.cli.output import JSON_OPTION, echo_json, echo_line, echo_table, is_stdout, write_whole
from pacspace_stripe.errors import (
    CadenceLimited,
    InvalidInput,
    RemoteUnavailable,
    StillInFlight,
    UnexpectedAnswer,
)
from pacspace_stripe.http.answers import exact_json
from pacspace_stripe.pacspace_api import (
    CustomerReceipt,
    DeltaState,
    Granularity,
    Month,
    NewDelta,
    PacSpace,
    PublicPacSpace,
    Since,
    Source,
    Verification,
    Write,
    inputs,
)
from pacspace_stripe.pacspace_api.failures import PACSPACE, checkpoint_failed
from pacspace_stripe.settings import load_settings
from pacspace_stripe.vocabulary.canonical_json import Json, digest
from pacspace_stripe.vocabulary.quantities import equal, subtract, text
from pacspace_stripe.vocabulary.text import printable
from pacspace_stripe.vocabulary.windows import Window, iso

_NEGATIVE = {"ignore_unknown_options": True}
"""Context settings with which ``-42.5`` is a number and no option."""
_CENTS = -2
"""PacSpace's pages write ``100.00``; so do we, and never fewer digits than there are."""


@click.group()
def ledger() -> None:
    """Record, read and prove usage in PacSpace, by hand.

    Needs PACSPACE_API_KEY (`verify` alone does not), and PACSPACE_API_BASE_URL where PacSpace shows another address
    than its own.
    """


# -- arguments ---------------------------------------------------------------------------------------------------------


class _Number(click.ParamType[Any]):
    """An exact decimal."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:  # noqa: ANN401 - click's
        try:
            return inputs.number("it", Decimal(value))
        except (InvalidOperation, InvalidInput):
            self.fail(f"{value!r} is not a number that a balance could be", param, ctx)


class _Moment(click.ParamType[Any]):
    """An ISO 8601 time; without a zone it is UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:  # noqa: ANN401 - click's
        try:
            at = datetime.fromisoformat(value)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time: write 2026-10-01 or 2026-10-01T12:00:00Z", param, ctx)


class _Metadata(click.ParamType[Any]):
    """A JSON object, its numbers exact."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Mapping[str, object]:  # noqa: ANN401 - click's
        try:
            found = exact_json(value)
        except ValueError:
            found = None
        return found if isinstance(found, dict) else self.fail("write a JSON object", param, ctx)


_NUMBER = _Number()
_KEY_OPTION = click.option(
    "--key", help="The idempotency key that a command without an answer named: to send it again."
)


def _scoped(command: Callable[..., object]) -> Callable[..., object]:
    """Add the options that select a span of time and pass them as ``scope``; without them it is this month, in UTC."""

    @functools.wraps(command)
    def with_scope(
        *args: object, period: str | None, start: datetime | None, end: datetime | None, **options: object
    ) -> object:
        if (start is None) != (end is None) or (period and start):
            message = "name a --period, or --from and --to"
            raise click.UsageError(message)
        if start and end and end <= start:
            message = "--to is after --from"
            raise click.UsageError(message)
        month = Month.parse(period) if period else None
        scope = Window(start=start, end=end) if start and end else month
        return command(*args, scope=scope, **options)

    found: Callable[..., object] = with_scope
    for option in (
        click.option("--to", "end", type=_Moment(), help="End of the span, itself not included."),
        click.option("--from", "start", type=_Moment(), help="Start of a span of time, itself included; with --to."),
        click.option("--period", help="A month, like 2026-10. Without any of these: this month, in UTC."),
    ):
        found = option(found)
    return found


# -- clients -----------------------------------------------------------------------------------------------------------


@contextmanager
def _client() -> Iterator[PacSpace]:
    """Open PacSpace by the two variables that name it; Stripe's are not needed."""
    settings = load_settings(os.environ, stripe=False)
    configure_logging(settings.log_format, level=30)
    key, address = settings.pacspace_api_key.get_secret_value(), settings.pacspace_api_base_url
    with PacSpace(key, base_url=address) as pacspace, _retried_by_hand():
        yield pacspace


@contextmanager
def _public_client() -> Iterator[PublicPacSpace]:
    """Open PacSpace for public requests: no key is read, and none is sent."""
    settings = load_settings(os.environ, stripe=False, pacspace=False)
    configure_logging(settings.log_format, level=30)
    with PublicPacSpace(base_url=settings.pacspace_api_base_url) as pacspace, _retried_by_hand():
        yield pacspace


@contextmanager
def _retried_by_hand() -> Iterator[None]:
    """Replace the hint that a retry follows by itself: nothing retries a command."""
    try:
        yield
    except RemoteUnavailable as error:
        if error.hint == RemoteUnavailable.hint:
            error.hint = "Run the same command again."
        raise


@contextmanager
def _written_once(key: str | None, *, named: str | None) -> Iterator[str]:
    """Yield an idempotency key for one write: ``key``, else ``named``, else a new one. A lost answer names it."""
    chosen = key or named or f"pacspace-stripe-{uuid.uuid4().hex}"
    repeat = f"It may have been recorded. Run it again with --key {chosen}: nothing is recorded twice."
    try:
        yield chosen
    except CadenceLimited:  # PacSpace recorded nothing, and the error's own hint says when to send it again
        raise
    except (RemoteUnavailable, UnexpectedAnswer) as error:
        error.hint = repeat
        raise
    except KeyboardInterrupt:
        click.echo(printable(repeat), err=True)
        raise


# -- output ------------------------------------------------------------------------------------------------------------


def _show(result: object, *lines: str, as_json: bool, err: bool = False, **conclusions: object) -> None:
    """Print the lines for people, or the whole result as JSON together with what the command concluded from it.

    ``err``: standard output carries a document, so the lines go to standard error.
    """
    if as_json:
        found = _document(result)
        assert isinstance(found, dict)  # noqa: S101  # every result is an object
        echo_json({**found, **{name: _document(each) for name, each in conclusions.items()}})
        return
    for line in lines:
        echo_line(line, err=err)


def _document(value: object) -> Json:  # noqa: PLR0911  # one return per kind of value
    """Return a result as JSON: decimals as strings, times in UTC.

    Leaves out the fields that repr hides: raw bodies, and the access hint, which opens a customer's record.
    """
    match value:
        case None | bool() | int():
            return value
        case BaseModel():
            shown = [name for name, field in type(value).model_fields.items() if field.repr]
            return {name: _document(getattr(value, name)) for name in shown}
        case Mapping():
            return {str(name): _document(each) for name, each in value.items()}
        case tuple() | list():
            return [_document(each) for each in value]
        case Decimal():
            return text(value)
        case datetime():
            return iso(value)
        case _ if is_dataclass(value):
            return {field.name: _document(getattr(value, field.name)) for field in fields(value) if field.repr}
        case _:
            return str(value)


def _amount(number: Decimal | None) -> str:
    """Return every digit there is, and at least two after the point."""
    if number is None:
        return "unknown"
    plain = Decimal(text(number))
    return f"{plain:.2f}" if int(plain.as_tuple().exponent) > _CENTS else f"{plain:f}"


def _records(count: int | None) -> str:
    return f"{'an unknown number of' if count is None else count} record{'' if count == 1 else 's'}"


# -- the Balance API ---------------------------------------------------------------------------------------------------


@ledger.command(context_settings=_NEGATIVE)
@click.argument("customer")
@click.argument("delta", type=_NUMBER)
@click.option("--reason", required=True, help="What it is for, such as api_calls.")
@click.option("--reference", help="Your own name for it: the same one again is recorded once.")
@click.option("--metadata", type=_Metadata(), default="{}", help="A JSON object that is kept with it.")
@click.option("--adjusts-record", help="The record that it corrects, by its id.")
@click.option("--adjusts-reference", help="The same, by your own name for it.")
@click.option("--wait/--no-wait", help="Return once PacSpace has verified it.")
@_KEY_OPTION
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
    with _client() as pacspace, _written_once(key, named=named) as chosen:
        emit = pacspace.balance.emit_and_wait if wait else pacspace.balance.emit
        emitted = emit(new, idempotency_key=chosen)
    line = f"Recorded {_amount(delta)} for {customer} ({reason}): {emitted.status.value}"
    _show(emitted, line, f"  record {emitted.record_id}", f"  receipt {emitted.receipt_id}", as_json=as_json)


@ledger.command()
@click.argument("customer")
@_scoped
@click.option("--since", help="All after a checkpoint, named by its proof root, on top of --starting.")
@click.option("--starting", type=_NUMBER, default="0", help="The balance before the first record.")
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
    if since and scope:
        message = "--since goes with no other span of time"
        raise click.UsageError(message)
    if listed and by:
        message = "--records or --by, not both"
        raise click.UsageError(message)
    scope = Since(checkpoint=since) if since else scope
    with _client() as pacspace:
        if listed:
            found = pacspace.balance.derive_all(customer, scope, starting_balance=starting)
        else:
            granularity = Granularity(by) if by else None
            found = pacspace.balance.derive(customer, scope, starting_balance=starting, granularity=granularity)
    _show(found, f"Balance of {customer}: {_amount(found.balance)} ({_records(found.count)})", as_json=as_json)
    if as_json:
        return
    parts = [
        (each.period, _amount(each.credits), _amount(each.debits), _amount(each.net), str(each.count))
        for each in found.summaries
    ]
    numbers = frozenset({"in", "out", "net", "records"})
    echo_table(("period", "in", "out", "net", "records"), parts, right=numbers)
    if listed:
        rows = [
            (
                each.record_id or "-",
                _amount(each.amount),
                each.reason or "-",
                each.reference_id or "-",
                each.status.value,
            )
            for each in found.deltas
        ]
        echo_table(("record", "delta", "reason", "reference", "status"), rows, right=frozenset({"delta"}))


@ledger.command(context_settings=_NEGATIVE)
@click.argument("customer")
@click.argument("yours", type=_NUMBER)
@click.argument("theirs", type=_NUMBER)
@_scoped
@click.option("--starting", type=_NUMBER, default="0", help="The balance before the first record.")
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
    with _client() as pacspace:
        found = pacspace.balance.compare(customer, yours=yours, theirs=theirs, starting_balance=starting, scope=scope)
    neutral = found.neutral_balance
    lines = [f"PacSpace says {_amount(neutral)}"]
    for whose, stated in (("yours", yours), ("theirs", theirs)):
        if neutral is None:
            outcome = "cannot say"
        elif equal(stated, neutral):
            outcome = "agrees"
        else:
            outcome = f"differs by {_amount(subtract(stated, neutral))}"
        lines.append(f"  {whose} {_amount(stated)}: {outcome}")
    _show(found, *lines, as_json=as_json)
    sys.exit(0 if neutral is not None and equal(yours, neutral) and equal(theirs, neutral) else 1)


@ledger.command()
@click.argument("customer")
@_scoped
@JSON_OPTION
def checkpoint(customer: str, *, scope: Month | Window | None, as_json: bool) -> None:
    """Lock a proof root over the verified records of a span of time.

    It freezes: records that come later may not be covered by it. Take a span that is over.
    """
    with _client() as pacspace:
        made = pacspace.balance.checkpoint(customer, scope)
    if made.proof_root is not None and made.status is not DeltaState.FAILED:
        _show(made, f"Checkpoint {made.checkpoint_id}", f"  proof root {made.proof_root}", as_json=as_json)
        return
    _show(made, f"Checkpoint {made.checkpoint_id}: {made.status.value}", as_json=as_json)
    if made.status is DeltaState.FAILED:
        raise checkpoint_failed()
    message = "its proof root is not there yet"
    raise StillInFlight(PACSPACE, message, hint="The same command again shows it once it is.")


@ledger.command()
@click.argument("proof_root")
@click.option("--source", type=click.Choice([each.value for each in Source]), default="db", show_default=True)
@JSON_OPTION
def verify(proof_root: str, source: str, *, as_json: bool) -> None:
    """Ask publicly, without any key, what PacSpace vouches for: exit code 0 when it does, 1 when not."""
    with _public_client() as pacspace:
        found = pacspace.verify(proof_root, Source(source))
    outcome = "verified" if found.verified else f"not verified{f': {found.message}' if found.message else ''}"
    figures = f"  {_records(found.record_count)}, net change {_amount(found.net_change)}"
    _show(found, f"Proof root {proof_root}: {outcome}", *([figures] if found.verified else []), as_json=as_json)
    sys.exit(0 if found.verified else 1)


@ledger.command()
@click.argument("customer")
@_scoped
@click.option(
    "--pdf",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write its document there, as a PDF; - for standard output.",
)
@JSON_OPTION
def receipt(customer: str, *, scope: Month | Window | None, pdf: Path | None, as_json: bool) -> None:
    """Show the receipt of a span of time: its records, its balance, and where anyone may verify it."""
    with _client() as pacspace:
        found = pacspace.proofs.receipt(customer, scope)
        proof = pacspace.verify(found.proof_root) if found.proof_root else None
        document = pacspace.proofs.pdf(found.proof_root) if pdf and found.proof_root else None
    _show(
        found,
        f"Receipt of {customer}: {_amount(found.final_balance)} ({_records(found.count)})",
        f"  proof root {found.proof_root or 'none: there is no checkpoint yet'}",
        *([_coverage(found, proof)] if proof else []),
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


def _coverage(receipt: CustomerReceipt, proof: Verification) -> str:
    """Return how much of a receipt its proof root covers: the root may be older than the last record."""
    if not proof.verified:
        return "  the root is not verified yet"
    if proof.record_count is None or receipt.count is None:
        return "  how many records the root covers is not known"
    if (proof.record_count, proof.net_change) == (receipt.count, receipt.net):
        return "  the root covers all of it"
    covered = f"the root covers {proof.record_count} of {_records(receipt.count)}"
    return f"  {covered}, net change {_amount(proof.net_change)}: a new checkpoint covers what came since"


@ledger.command()
@click.argument("customer")
@JSON_OPTION
def gaps(customer: str, *, as_json: bool) -> None:
    """Say whether records are missing in the customer's sequence: exit code 0 when none is, 1 when some are."""
    with _client() as pacspace:
        found = pacspace.tenant.gaps(customer)
    lines = [f"  from {gap.first} to {gap.last}" for gap in found.gaps]
    _show(found, f"Gaps of {customer}: {found.count or 'none'}", *lines, as_json=as_json)
    sys.exit(1 if found.count else 0)


@ledger.command()
@JSON_OPTION
def usage(*, as_json: bool) -> None:
    """Show how much of your PacSpace plan is left, in deltas."""
    with _client() as pacspace:
        found = pacspace.tenant.usage()
    left = "unknown" if found.remaining is None else str(found.remaining)
    further = "" if found.allowed is None else f"; a further one is {'taken' if found.allowed else 'refused'}"
    _show(found, f"Deltas left in the plan: {left}{further}", as_json=as_json)


# -- the settlement API ------------------------------------------------------------------------------------------------


@ledger.command(context_settings=_NEGATIVE)
@click.argument("record")
@click.argument("bits", type=int)
@click.option("--account", required=True, help="Whose usage it is.")
@click.option("--description", help="What it is for; kept with it.")
@JSON_OPTION
def write(record: str, bits: int, *, account: str, description: str | None, as_json: bool) -> None:
    """Add a whole amount to a RECORD of the settlement API."""
    metadata = {"description": description} if description else {}
    with _client() as pacspace:
        item = Write(key=record, account_id=account, bits=bits, metadata=metadata)
        try:
            accepted = pacspace.settlement.write([item])
        except (RemoteUnavailable, UnexpectedAnswer) as error:
            error.hint = f"It may have been recorded: see `ledger bucket {record}` before you send it again."
            raise
    _show(accepted, f"Recorded: {bits} for {record} → batch {accepted.batch_id}", as_json=as_json)


@ledger.command()
@click.argument("record")
@JSON_OPTION
def bucket(record: str, *, as_json: bool) -> None:
    """Read what the writes of the RECORD add up to."""
    with _client() as pacspace:
        found = pacspace.settlement.bucket(record)
    total = text(found.current_bits)
    line = f"Balance for {record}: {total} ({found.total_writes} writes)"
    _show(found, line, f"Total usage recorded: {total}", as_json=as_json)


@ledger.command(context_settings=_NEGATIVE)
@click.argument("record")
@click.argument("expected", type=_NUMBER)
@JSON_OPTION
def settle(record: str, expected: Decimal, *, as_json: bool) -> None:
    """Verify that both parties agree on the RECORD: exit code 0 when it may be invoiced, 1 when it is blocked."""
    with _client() as pacspace:
        found = pacspace.settlement.bucket(record)
    total, agreed = text(found.current_bits), found.verified and found.current_bits == expected
    lines = [f"Balance for {record}: {total} ({found.total_writes} writes)"]
    if not found.verified:
        lines += ["Record not yet verified. Waiting for confirmation...", "Settlement blocked: pending_verification"]
    elif agreed:
        lines += [
            f"Agreement confirmed: both parties agree on {text(expected)}",
            f"Settlement complete. Generating invoice for {text(expected)}",
        ]
    else:
        lines += [f"Discrepancy: PacSpace says {total}, expected {text(expected)}", "Settlement blocked: mismatch"]
    _show(found, *lines, as_json=as_json, agreed=agreed)
    sys.exit(0 if agreed else 1)
