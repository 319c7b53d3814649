"""Several invoices of one period: a billing threshold makes an invoice before the period is over. Pure.

Usage that is invoiced already counts as billed (FACTS 4.4.2). So the ledger has to agree with the period's running
total: this invoice with those before it, from the period's start to this line's end. Stripe does not document which
periods it writes on the lines: parts that follow each other, or the whole period on each. The sum is right for both.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pacspace_stripe.comparison.rules.verdicts import EarlierBilling, Reason, Verdict, WindowResult
from pacspace_stripe.usage.rules.billed_usage import BilledUsage, PriceLines, usage_quantities
from pacspace_stripe.vocabulary.invoices import BillingReason, Invoice, InvoiceStatus, LineItem
from pacspace_stripe.vocabulary.quantities import total
from pacspace_stripe.vocabulary.windows import Window

THRESHOLD = BillingReason.SUBSCRIPTION_THRESHOLD
_ENDS_A_PERIOD = (
    BillingReason.SUBSCRIPTION_CYCLE,
    BillingReason.SUBSCRIPTION_CREATE,
    BillingReason.SUBSCRIPTION,
)


def thresholds_of_period(invoice: Invoice, newest_first: Iterable[Invoice]) -> Iterator[Invoice]:
    """Yield the threshold invoices of a subscription since its last renewal, up to this invoice.

    An invoice whose billing reason is unknown may be one of them; ``open_question`` reports it.
    """
    for other in newest_first:
        if other.invoice_id == invoice.invoice_id or other.created_at > invoice.created_at:
            continue
        if other.billing_reason in _ENDS_A_PERIOD:
            return
        if other.billing_reason in (THRESHOLD, BillingReason.UNKNOWN):
            yield other


def with_earlier_billing(lines: PriceLines, invoice: Invoice, earlier: tuple[Invoice, ...]) -> PriceLines:
    """Return the lines with what was billed before them, over the window that both together are about."""
    if lines.window is None:
        return lines
    billed = [
        (
            other,
            [
                line
                for line in other.line_items
                if (line.price_id, line.item_id) == (lines.price_id, lines.item_id) and not line.proration
            ],
        )
        for other in earlier
    ]
    # The window reaches back over all that overlap or adjoin it, and over those that adjoin these.
    start, spans = lines.window.start, [line.window for _, each in billed for line in each if line.window]
    while near := [span.start for span in spans if span.start < start <= span.end]:
        start = min(near)
    end = min(lines.window.end, invoice.created_at) if _ends_later(lines.window, invoice) else lines.window.end
    found = [
        EarlierBilling(invoice_id=other.invoice_id, quantity=total(usage_quantities(each, lines.price) or ()))
        for other, each in billed
        if any(line.window and line.window.start >= start for line in each)
    ]
    return replace(lines, window=Window(start=start, end=end), billed_earlier=tuple(found))


def ends_early(line: LineItem, invoice: Invoice) -> bool:
    """Return whether a threshold's line names a period that was not over when it was billed."""
    return line.window is not None and _ends_later(line.window, invoice)


def _ends_later(window: Window, invoice: Invoice) -> bool:
    return invoice.billing_reason == THRESHOLD and window.start < invoice.created_at < window.end


def bills_later(usage: BilledUsage, invoice: Invoice) -> bool:
    """Return whether an invoice that no threshold made bills 0 of a period that was not over when it was made."""
    ahead = usage.window is not None and usage.window.end > invoice.created_at
    return usage.quantity == 0 and ahead and invoice.billing_reason is not THRESHOLD


def judge_threshold(result: WindowResult) -> WindowResult:
    """Return a differing threshold line as unproven: up to which moment it counts usage is not documented."""
    if result.reason.verdict is not Verdict.DRIFTED:
        return result
    detail = f"{result.detail}; up to which moment a threshold's line counts usage is not known"
    return replace(result, reason=Reason.UNKNOWN_SHAPE, detail=detail)


def bills_less(result: WindowResult) -> bool:
    """Return whether lines bill less than the ledger or the meter has: an earlier invoice may have billed the rest.

    A draft's lines may also lag. If an earlier threshold were taken for a lag, its part would be stamped as billed
    here, and finalization would never add it.
    """
    if result.billed_earlier:
        return False
    verdict, billed, recorded = result.reason.verdict, result.billed, result.recorded
    less = verdict is not Verdict.MATCHED and billed is not None and recorded is not None and billed < recorded
    return less or result.from_meter or (verdict is Verdict.UNPROVEN and result.meter_totals is not None)


def open_question(invoices: Iterable[Invoice]) -> tuple[Reason, str] | None:
    """Return why it is not known what earlier invoices of the period billed; None if it is known.

    What a draft bills may change, and what was voided may be billed again.
    """
    for other in invoices:
        if other.billing_reason is BillingReason.UNKNOWN:
            return Reason.UNKNOWN_SHAPE, f"invoice {other.invoice_id} of the same time has an unknown billing_reason"
        if other.status is InvoiceStatus.DRAFT:
            return Reason.NOT_SETTLED, f"invoice {other.invoice_id} of the same period is still a draft"
        if other.status not in (InvoiceStatus.OPEN, InvoiceStatus.PAID, InvoiceStatus.UNCOLLECTIBLE):
            detail = f"invoice {other.invoice_id} of the same period is {other.status.value}: whether its usage "
            return Reason.UNKNOWN_SHAPE, f"{detail}is billed again is not known"
        if any(line.price_id and line.quantity is None for line in other.line_items):
            return Reason.UNKNOWN_SHAPE, f"invoice {other.invoice_id} of the same period has a line without a quantity"
    return None
