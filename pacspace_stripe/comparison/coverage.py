"""Other invoices that bill the same part of the ledger, and whether any record is billed by both.

The ledger's records of one account and time vouch for one invoice. Two that overlap in time bill the same only if the
overlap holds a record: a move to a new subscription often overlaps by seconds without any. So the ledger is asked about
the overlap alone, and about what it still has to verify there. A later record in the overlap holds the invoice of
the two that has not left yet.
"""

from collections.abc import Iterable

from pacspace_stripe.comparison.rules.reconcile import unsettled_parts
from pacspace_stripe.comparison.rules.verdicts import Reason
from pacspace_stripe.ledger.ledgers import Ledger
from pacspace_stripe.ledger.rules.selection import UnclearRecords
from pacspace_stripe.store import Job, Store
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.usage.rules import THRESHOLD, BilledUsage, CoveredPart, overlap_detail
from pacspace_stripe.vocabulary.invoices import GIVEN_UP, Invoice
from pacspace_stripe.vocabulary.windows import Window

Doubt = tuple[Reason, str]


def overlap_doubt(
    invoice: Invoice, usage: BilledUsage, part: CoveredPart, *, stripe: StripeApi, ledger: Ledger, store: Store
) -> Doubt | None:
    """Return why the ledger cannot vouch for a usage because of another invoice; None if it can.

    Raises RemoteError's children. It writes only that an invoice that was voided covers nothing any more.
    """
    # A record vouches for one invoice only; a running total includes the period's earlier invoices.
    passed = () if usage.by_record else tuple(each.invoice_id for each in usage.billed_earlier)
    while (other_id := store.coverage.overlapping_invoice(invoice.invoice_id, *part, ignoring=passed)) is not None:
        job = store.jobs.find(other_id)
        if invoice.billing_reason == THRESHOLD and not usage.by_record:
            # A later invoice of the period counts this one. A dry run knows only what the other one covers.
            known = job.state.subscription_id if job else stripe.read_invoice(other_id).subscription_id
            if known == invoice.subscription_id:
                passed = (*passed, other_id)
                continue
        if job is not None and job.state.ended and stripe.read_invoice(other_id).status in GIVEN_UP:
            # It may have been voided after the gate's last check of it, and without an event.
            store.coverage.put(other_id, ())
            continue
        doubt = _doubt(invoice, usage, part, other_id, job, stripe=stripe, ledger=ledger, store=store)
        if doubt is not None:
            return doubt
        passed = (*passed, other_id)
    return None


def _doubt(
    invoice: Invoice,
    usage: BilledUsage,
    part: CoveredPart,
    other_id: str,
    job: Job | None,
    *,
    stripe: StripeApi,
    ledger: Ledger,
    store: Store,
) -> Doubt | None:
    """Return why two invoices cannot both be proven.

    A settlement record has no time, and two customers must not share an account, whatever is recorded on it. Otherwise
    it depends on whether the overlap holds a record.
    """
    customer_id = job.state.customer_id if job else None
    detail = overlap_detail(
        invoice,
        other_id,
        customer_id=customer_id,
        subscription_id=job.state.subscription_id if job else None,
        by_record=usage.by_record,
    )
    if usage.by_record or (customer_id or stripe.read_invoice(other_id).customer_id) != invoice.customer_id:
        return Reason.UNMAPPED, detail
    for overlap in _joined(store.coverage.overlaps(other_id, *part)):
        balance = ledger.recorded(part.account, overlap, usage.meter)
        if isinstance(balance, UnclearRecords) or balance.counted:
            whole = overlap == usage.window
            return Reason.UNMAPPED, detail if whole else f"{detail}; both bill what is recorded in {overlap}"
        unsettled = ledger.unsettled(part.account, overlap, usage.meter)
        if unsettled.any:
            missing = ", ".join(unsettled_parts(unsettled))
            return Reason.NOT_SETTLED, f"{detail}; missing before it is known to bill nothing in {overlap}: {missing}"
    return None


def _joined(windows: Iterable[Window]) -> list[Window]:
    """Return as few windows as possible: those that overlap or adjoin become one."""
    joined: list[Window] = []
    for window in sorted(windows):
        if joined and window.start <= joined[-1].end:
            joined[-1] = Window(start=joined[-1].start, end=max(joined[-1].end, window.end))
        else:
            joined.append(window)
    return joined
