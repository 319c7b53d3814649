"""``check``: one invoice compared with the ledger, beside a running ``serve`` or without one."""

import re
from dataclasses import replace

import click

from pacspace_stripe.app import App
from pacspace_stripe.cli.arguments import INVOICE_ID
from pacspace_stripe.cli.output import JSON_OPTION
from pacspace_stripe.cli.results import report_results
from pacspace_stripe.cli.session import parts, refuse_when_observing, when_free, with_causes
from pacspace_stripe.gate.early_warning import upcoming_job_id
from pacspace_stripe.gate.rules.result import CheckResult
from pacspace_stripe.vocabulary.invoices import Invoice

_SUBSCRIPTION_ID = re.compile(r"sub_[A-Za-z0-9_]+")


def _invoice_or_subscription_id(_: click.Context, __: click.Parameter, value: str) -> str:
    if not INVOICE_ID.fullmatch(value) and not _SUBSCRIPTION_ID.fullmatch(value):
        message = "an invoice's id starts with in_, a subscription's with sub_"
        raise click.BadParameter(message)
    return value


@click.command()
@click.argument("invoice", callback=_invoice_or_subscription_id)
@click.option("--apply", "act", is_flag=True, help="Act on the invoice: hold, stamp, finalize, release.")
@JSON_OPTION
def check(invoice: str, *, act: bool, as_json: bool) -> None:
    """Compare one invoice with the ledger: verdict, both figures, the reason, and what would be done.

    With the id of a subscription (sub_…): show what the early warning found for its coming invoice, with proof roots.
    """
    with parts() as app:
        if act:
            refuse_when_observing(app, "check --apply")
        if _SUBSCRIPTION_ID.fullmatch(invoice):
            result = _early_warning(app, invoice, act=act)
        else:
            # Reading first raises NotFound for a typo, which must not become a row of our database.
            read = app.stripe.read_invoice(invoice)
            result = when_free(app, lambda: app.checker.check(invoice)) if act else _preview(app, read)
            result = replace(result, early_warning=early_warning_of(app, read))
        (result,) = with_causes(app, result)
    report_results(result, as_json=as_json, planned=not act)


def _preview(app: App, read: Invoice) -> CheckResult:
    """Return what a check would do and, where it would only wait, both figures as they are now."""
    result = app.checker.preview_of(read)
    waits = result.verdict is None and result.next_check_at is not None
    return replace(result, so_far=app.checker.compared(read).result) if waits else result


def _early_warning(app: App, subscription_id: str, *, act: bool) -> CheckResult:
    """Return the newest early warning of a subscription; with ``act``, compare again first."""
    warnings = app.store.jobs.early_warnings(subscription_id)
    if not warnings:
        message = (
            f"no early warning is known of {subscription_id}: Stripe sends invoice.upcoming days before a renewal; "
            "`pacspace-stripe sweep` looks for warnings that are due"
        )
        raise click.ClickException(message)
    if act and not warnings[0].state.ended:
        return when_free(app, lambda: app.early_warning.check(warnings[0].job_id))
    return app.last_result(warnings[0])


def early_warning_of(app: App, invoice: Invoice) -> CheckResult | None:
    """Return the verdict of the early warning about the invoice's period; None if there was none."""
    ends = {line.window.end for line in invoice.line_items if line.window}
    if invoice.subscription_id is None:
        return None
    found = (app.store.jobs.find(upcoming_job_id(invoice.subscription_id, end)) for end in sorted(ends))
    return next((app.last_result(one) for one in found if one and one.state.verdict), None)
