"""``release``: a held invoice, or all of them, released on a person's decision."""

import getpass
import os
import sys
from collections.abc import Sequence

import click

from pacspace_stripe.app import App
from pacspace_stripe.cli.arguments import invoice_id
from pacspace_stripe.cli.output import JSON_OPTION, echo_json, echo_line, echo_table
from pacspace_stripe.cli.results import report_results
from pacspace_stripe.cli.session import parts, refuse_when_observing, when_free, with_causes
from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.gate.rules.result import CheckResult
from pacspace_stripe.gate.rules.stamp import LONGEST_VALUE
from pacspace_stripe.gate.rules.state import ANY_STOP, InvoiceState, Waiver
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.money import join_amounts, totals
from pacspace_stripe.vocabulary.text import plural

_LONGEST_NAME = 100


@click.command()
@click.argument("invoice", required=False, callback=invoice_id)
@click.option(
    "--reason", required=True, help="Why it may go although nothing proves it; kept and stamped on the invoice."
)
@click.option("--by", metavar="NAME", help="Who decides; by default the user of this system. Kept with the waiver.")
@click.option(
    "--all-held",
    is_flag=True,
    help="Release every invoice that is held as drifted or unproven; lists them and asks first.",
)
@click.option("--yes", is_flag=True, help="Do not ask before --all-held releases what it lists.")
@click.option("--dry-run", is_flag=True, help="Say what would be released, and change nothing.")
@JSON_OPTION
def release(
    *, invoice: str | None, reason: str, by: str | None, all_held: bool, yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Let a drifted or unproven invoice go on a person's decision; by name, also one that another person stopped.

    The waiver names exactly the quantities billed now and ends when they change. The invoice is stamped as waived, with
    the reason, and passes the same finalization as any other. Evidence and audit log keep the reason and who decided.
    """
    if (invoice is None) != all_held:
        message = "name one invoice, or --all-held"
        raise click.UsageError(message)
    reason, by = (
        _one_line("--reason", reason, LONGEST_VALUE),
        _one_line("--by", _system_user() if by is None else by, _LONGEST_NAME),
    )
    with parts() as app:
        if not dry_run:
            refuse_when_observing(app, "release")
        # An invoice that another person or tool stopped is released by name only, never with `--all-held`.
        despite = () if all_held else (ANY_STOP,)
        waiver = Waiver(reason=reason, by=by, at=app.now(), figures={}, despite=despite)
        if invoice is not None:
            # Reading first raises NotFound for a typo, which must not become a row of our database.
            read = app.stripe.read_invoice(invoice)
            done = app.checker.preview_of(read, waiver=waiver) if dry_run else _released(app, invoice, waiver)
            (done,) = with_causes(app, done)
            report_results(done, as_json=as_json, planned=dry_run)
        held = _held(app)
        if dry_run and as_json:
            echo_json(_as_json(held))
            return
        _echo(held, by, err=as_json)
        if dry_run:
            return
        if held and not yes and not _agreed(held):
            echo_line("nothing was released", err=True)
            sys.exit(1)
        results = with_causes(app, *(_released(app, one.invoice_id, waiver) for one in held))
    report_results(results, as_json=as_json)


def _one_line(option: str, text: str, longest: int) -> str:
    """Return a text that fits on one line of Stripe's metadata and of the audit log. Raises UsageError."""
    if not text.strip() or len(text) > longest or not text.isprintable():
        message = f"{option} is one line of 1 to {longest} printable characters"
        raise click.UsageError(message)
    return text.strip()


def _system_user() -> str:
    """Return the name of the system's user, or the number where there is no name, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"user {os.getuid()}"


def _held(app: App) -> list[InvoiceState]:
    wrong = (Verdict.DRIFTED, Verdict.UNPROVEN)
    return [one.state for one in app.store.jobs.invoices(held=True) if one.state.verdict in wrong]


def _released(app: App, invoice: str, waiver: Waiver) -> CheckResult:
    return when_free(app, lambda: app.checker.check(invoice, waiver=waiver))


def _agreed(held: Sequence[InvoiceState]) -> bool:
    """Ask the person at the terminal. Raises UsageError without a terminal, Abort on Ctrl-C."""
    if not sys.stdin.isatty():
        message = "--all-held asks before it releases: run it at a terminal, or add --yes; --dry-run only lists them"
        raise click.UsageError(message)
    return click.confirm(f"Release {_count_and_money(held)}?", err=True)


def _count_and_money(held: Sequence[InvoiceState]) -> str:
    return f"{plural(len(held), 'invoice')}, {join_amounts(totals(one.amount for one in held))}"


def _echo(held: Sequence[InvoiceState], by: str, *, err: bool) -> None:
    """List the invoices that would go, and the money; with ``err``, on standard error beside a JSON document."""
    if not held:
        echo_line("no invoice is held as drifted or unproven", err=err)
        return
    rows: list[tuple[str, ...]] = [
        (
            one.invoice_id,
            one.customer_id or "-",
            str(one.amount or "-"),
            one.verdict.value if one.verdict else "-",
            one.reason.value if one.reason else "-",
            one.detail,
        )
        for one in held
    ]
    if err:
        for row in rows:
            echo_line("  ".join(row), err=True)
    else:
        names = ("invoice", "customer", "amount", "verdict", "reason", "detail")
        echo_table(names, rows, right=frozenset({"amount"}), prose={"detail": 72})
    echo_line(f"{_count_and_money(held)}, to be released by {by}", err=err, bold=True)


def _as_json(held: Sequence[InvoiceState]) -> dict[str, Json]:
    invoices: list[Json] = [
        {
            "invoice": one.invoice_id,
            "customer": one.customer_id,
            "amount": one.amount.amount if one.amount else None,
            "currency": one.amount.currency if one.amount else None,
            "verdict": one.verdict.value if one.verdict else None,
            "reason": one.reason.value if one.reason else None,
            "detail": one.detail,
        }
        for one in held
    ]
    sums: dict[str, Json] = {money.currency: money.amount for money in totals(one.amount for one in held)}
    return {"would_release": invoices, "amounts": sums}
