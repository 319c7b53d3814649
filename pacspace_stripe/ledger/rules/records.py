"""Records: the settlement ledger's keys, and what a record vouches for.

A record has no window: whatever was written to its key counts. So it vouches as a whole, for one window of one
invoice, and for nothing else ever.
"""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from pacspace_stripe.comparison.rules.verdicts import Reason
from pacspace_stripe.usage.rules import BilledUsage
from pacspace_stripe.vocabulary.invoices import Invoice
from pacspace_stripe.vocabulary.windows import Window

SHARED_RECORD = "this one record would vouch for several meters or windows of the invoice"
_ALL_TIME = Window(start=datetime(1970, 1, 1, tzinfo=UTC), end=datetime(9999, 1, 1, tzinfo=UTC))
"""Years that every database can write in every time zone."""
_KEY = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
"""What PacSpace allows in a ``customerId`` (CONTRACT 1.9); of keys it says nothing."""
_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")


def record_key(template: str, *, customer: str, meter: str | None, window: Window) -> str | None:
    """The key that a window's usage is written to; None when there is no legal one."""
    if "{meter}" in template and meter is None:
        return None
    values = {
        "customer": customer,
        "meter": meter or "",
        "month": f"{window.start:%Y-%m}",
        "start": f"{window.start:%Y-%m-%d}",
        "end": f"{window.end:%Y-%m-%d}",
    }
    # In one pass: a value that looks like a placeholder stays what it is.
    key = _PLACEHOLDER.sub(lambda placeholder: values[placeholder[1]], template)
    return key if _KEY.fullmatch(key) else None


def on_records(invoice: Invoice, usages: tuple[BilledUsage, ...], template: str) -> tuple[BilledUsage, ...]:
    """The usages with their records' keys in the place of ledger accounts, each with its problem if it has one."""
    mapped = [_on_record(invoice, usage, template) for usage in usages]
    keys = [usage.account for usage in mapped]
    return tuple(
        replace(usage, problem=Reason.UNMAPPED, detail=SHARED_RECORD)
        if usage.problem is None and keys.count(usage.account) > 1
        else usage
        for usage in mapped
    )


def _on_record(invoice: Invoice, usage: BilledUsage, template: str) -> BilledUsage:
    customer = usage.named_account or invoice.customer_id
    meter = usage.meter if usage.meter_id or usage.pushed else None
    key = record_key(template, customer=customer, meter=meter, window=usage.window) if usage.window else None
    on_record = replace(usage, account=key, by_record=True)
    if usage.problem not in (None, Reason.UNMAPPED):
        return on_record
    if key is None:
        detail = "no legal record key: check PACSPACE_STRIPE_RECORD_KEY and the subscription's metadata"
        return replace(on_record, problem=Reason.UNMAPPED, detail=detail)
    return replace(on_record, problem=None, detail="")


class Claim(NamedTuple):
    """A part of the ledger that vouches for one invoice: an account for a time, or one meter's records in it."""

    account: str
    window: Window
    meter: str = ""
    """Empty: all records of the account."""
    customer_id: str = ""
    """Stripe's, with a meter: the account still is one customer's."""


def claim_of(usage: BilledUsage) -> Claim | None:
    """What this usage needs of the ledger for itself; of a record, all of it."""
    if usage.account is None or usage.window is None:
        return None
    if usage.split_for is not None:
        return Claim(account=usage.account, window=usage.window, meter=usage.meter, customer_id=usage.split_for)
    return Claim(account=usage.account, window=_ALL_TIME if usage.by_record else usage.window)
