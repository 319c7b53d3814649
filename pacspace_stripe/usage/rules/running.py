"""Several invoices of one period: a threshold bills before the period is over. Pure.

Usage that is invoiced already counts as billed (FACTS 4.4), so what has to agree with the ledger is the
period's running total: this invoice with those before it, from the period's start to this line's end. What periods
Stripe writes on the lines is not documented: parts that follow each other, or the whole period on each. The sum is
right for both.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pacspace_stripe.comparison.rules.verdicts import EarlierBilling, Reason, Verdict, WindowResult
from pacspace_stripe.usage.rules.line_reading import Share, usage_quantities
from pacspace_stripe.usage.rules.usage import BilledUsage
from pacspace_stripe.vocabulary.invoices import BillingReason, Invoice, InvoiceStatus, LineItem
from pacspace_stripe.vocabulary.quantities import total
from pacspace_stripe.vocabulary.windows import Window

THRESHOLD = BillingReason.SUBSCRIPTION_THRESHOLD
_ENDS_A_PERIOD = (
    BillingReason.SUBSCRIPTION_CYCLE,
    BillingReason.SUBSCRIPTION_CREATE,
    BillingReason.SUBSCRIPTION,
)


def earlier_of_period(invoice: Invoice, newest_first: Iterable[Invoice]) -> Iterator[Invoice]:
    """Yield the thresholds among a subscription's invoices since its last renewal, up to this invoice.

    One whose billing reason is not known may be of the kind: ``open_question`` is asked about it.
    """
    for other in newest_first:
        if other.invoice_id == invoice.invoice_id or other.created_at > invoice.created_at:
            continue
        if other.billing_reason in _ENDS_A_PERIOD:
            return
        if other.billing_reason in (THRESHOLD, BillingReason.UNKNOWN):
            yield other


def counted(share: Share, invoice: Invoice, earlier: tuple[Invoice, ...]) -> Share:
    """The share with what was billed before it, over the window that both together are about."""
    if share.window is None:
        return share
    of_share = [(other, _lines_of(share, other)) for other in earlier]
    start = _reached(share.window, [line.window for _, lines in of_share for line in lines if line.window])
    end = min(share.window.end, invoice.created_at) if _is_ahead(share.window, invoice) else share.window.end
    found = [
        EarlierBilling(invoice_id=other.invoice_id, quantity=total(usage_quantities(lines, share.price) or ()))
        for other, lines in of_share
        if any(line.window and line.window.start >= start.start for line in lines)
    ]
    return replace(share, window=Window(start=start.start, end=end), earlier=tuple(found))


def _lines_of(share: Share, other: Invoice) -> list[LineItem]:
    return [
        line
        for line in other.line_items
        if (line.price_id, line.item_id) == (share.price_id, share.item_id) and not line.proration
    ]


def _reached(window: Window, others: list[Window]) -> Window:
    """The window with all that overlap or adjoin it, and those that adjoin these."""
    while True:
        near = [one for one in others if one.start < window.start and one.end >= window.start]
        if not near:
            return window
        window = replace(window, start=min(one.start for one in near))


def ends_early(line: LineItem, invoice: Invoice) -> bool:
    """Whether a threshold's line names a period that was not over when it was billed."""
    return line.window is not None and _is_ahead(line.window, invoice)


def _is_ahead(window: Window, invoice: Invoice) -> bool:
    return invoice.billing_reason == THRESHOLD and window.start < invoice.created_at < window.end


def bills_later(usage: BilledUsage, invoice: Invoice) -> bool:
    """Return whether an invoice bills 0 of a period that was not over when it was made, and is no threshold's."""
    ahead = usage.window is not None and usage.window.end > invoice.created_at
    return usage.quantity == 0 and ahead and invoice.billing_reason is not THRESHOLD


def cut_short(result: WindowResult) -> WindowResult:
    """A threshold's line that differs: up to which moment it counts is not documented, so it proves nothing."""
    if result.reason.verdict is not Verdict.DRIFTED:
        return result
    detail = f"{result.detail}; up to which moment a threshold's line counts usage is not known"
    return replace(result, reason=Reason.UNKNOWN_SHAPE, detail=detail)


def lacks_some(result: WindowResult) -> bool:
    """Whether lines say less than the ledger or the meter: a draft's lines may lag, or an earlier invoice has the rest.

    Taken for a lag, the rest would be stamped as billed, and finalization never adds it.
    """
    if result.billed_earlier:
        return False
    verdict, billed, recorded = result.reason.verdict, result.billed, result.recorded
    less = verdict is not Verdict.MATCHED and billed is not None and recorded is not None and billed < recorded
    return less or result.from_meter or (verdict is Verdict.UNPROVEN and result.meter_totals is not None)


def open_question(invoices: Iterable[Invoice]) -> tuple[Reason, str] | None:
    """What earlier invoices of the period leave open: what a draft bills may change, what was voided may come again."""
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
