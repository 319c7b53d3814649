"""``check`` and ``sweep``: looking at invoices by hand, beside a running ``serve`` or without one."""

import re
import sys
from dataclasses import replace

import click

from pacspace_stripe.app import App
from pacspace_stripe.cli.output import JSON_OPTION, echo_json
from pacspace_stripe.cli.wiring import echo_result, exit_code, parts, patiently, refuse_when_observing, with_causes
from pacspace_stripe.errors import RemoteError
from pacspace_stripe.gate.early_warning import upcoming_job_id
from pacspace_stripe.gate.rules.result import CheckResult
from pacspace_stripe.store import Kind
from pacspace_stripe.vocabulary.invoices import Invoice
from pacspace_stripe.vocabulary.text import plural

_INVOICE_ID = re.compile(r"in_[A-Za-z0-9_]+")
_SUBSCRIPTION_ID = re.compile(r"sub_[A-Za-z0-9_]+")


def an_invoice_id(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Return an argument that names an invoice. Raises BadParameter."""
    if value is not None and not _INVOICE_ID.fullmatch(value):
        message = "an invoice's id starts with in_"
        raise click.BadParameter(message)
    return value


INVOICE = click.argument("invoice", callback=an_invoice_id)


def _an_invoice_or_subscription_id(_: click.Context, __: click.Parameter, value: str) -> str:
    if not _INVOICE_ID.fullmatch(value) and not _SUBSCRIPTION_ID.fullmatch(value):
        message = "an invoice's id starts with in_, a subscription's with sub_"
        raise click.BadParameter(message)
    return value


@click.command()
@click.argument("invoice", callback=_an_invoice_or_subscription_id)
@click.option("--apply", "act", is_flag=True, help="Act on it: hold, stamp, finalize, release.")
@JSON_OPTION
def check(invoice: str, *, act: bool, as_json: bool) -> None:
    """Compare one invoice with the ledger: verdict, both figures, the reason, and what would be done.

    With the id of a subscription (sub_…): what the early warning said of its coming invoice, with the proof roots.
    """
    with parts() as app:
        if act:
            refuse_when_observing(app, "check --apply")
        if _SUBSCRIPTION_ID.fullmatch(invoice):
            result = _early_warning(app, invoice, act=act)
        else:
            # Raises NotFound: nobody should look after a typo.
            read = app.stripe.read_invoice(invoice)
            result = patiently(app, lambda: app.checker.check(invoice)) if act else _previewed(app, read)
            result = replace(result, early_warning=warning_before(app, read))
        (result,) = with_causes(app, result)
    report_results(result, as_json=as_json, planned=not act)


def _previewed(app: App, read: Invoice) -> CheckResult:
    """Return what a check would do, and where it would only wait, both figures as they are now."""
    result = app.checker.preview_of(read)
    waits = result.verdict is None and result.next_check_at is not None
    return replace(result, so_far=app.checker.compared(read).result) if waits else result


def _early_warning(app: App, subscription_id: str, *, act: bool) -> CheckResult:
    """Return what the newest early warning of a subscription says; with ``act``, after another look."""
    warnings = app.store.jobs.early_warnings(subscription_id)
    if not warnings:
        message = f"no early warning is known of {subscription_id}: Stripe sends invoice.upcoming days before a renewal"
        raise click.ClickException(message)
    if act and not warnings[0].memory.ended:
        return patiently(app, lambda: app.early_warning.check(warnings[0].job_id))
    return app.remembered(warnings[0])


def warning_before(app: App, invoice: Invoice) -> CheckResult | None:
    """Return what the early warning of the invoice's period said, if there was one."""
    ends = {line.window.end for line in invoice.line_items if line.window}
    if invoice.subscription_id is None:
        return None
    found = (app.store.jobs.find(upcoming_job_id(invoice.subscription_id, end)) for end in sorted(ends))
    return next((app.remembered(one) for one in found if one and one.memory.verdict), None)


@click.command()
@JSON_OPTION
def sweep(*, as_json: bool) -> None:
    """Look once, now: drafts, fresh invoices and events that no webhook told us of, and everything overdue."""
    with parts() as app:
        found, failure = _swept(app)
        due = [job for job, kind in app.store.triggers.due_ids() if kind is Kind.INVOICE]
        app.drain()
        jobs = [app.store.jobs.find(job) for job in due]
        results = with_causes(app, *(app.remembered(job) for job in jobs if job))
    if not as_json:
        click.echo(f"{len(found):,} found that no webhook told us of, {plural(len(results), 'invoice')} looked at")
    report_results(results, as_json=as_json, failure=failure)


def _swept(app: App) -> tuple[list[str], RemoteError | None]:
    """What a sweep found. A list that Stripe did not give is told at the end: what is due is looked at anyway."""
    try:
        return patiently(app, lambda: app.sweep.run(widely=True)), None
    except RemoteError as error:
        return [], error


def report_results(
    found: CheckResult | list[CheckResult],
    *,
    as_json: bool,
    planned: bool = False,
    failure: RemoteError | None = None,
) -> None:
    """One invoice as one JSON object; several, however many there are, as a list. Raises ``failure`` at the end."""
    results = found if isinstance(found, list) else [found]
    if as_json:
        echo_json([result.as_json() for result in found] if isinstance(found, list) else found.as_json())
    else:
        for result in results:
            echo_result(result, planned=planned)
    if failure is not None:
        raise failure
    sys.exit(exit_code(results))
