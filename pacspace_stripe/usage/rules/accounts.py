"""The ledger account that a usage is recorded on, and who else bills it. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from pacspace_stripe.comparison.rules.verdicts import Reason
from pacspace_stripe.usage.rules.usage import BilledUsage
from pacspace_stripe.vocabulary.invoices import Invoice, LineItem
from pacspace_stripe.vocabulary.windows import Window

ACCOUNT_METADATA_KEY = "pacspace_customer_id"
_ACCOUNT = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
"""PacSpace's rule for a ``customerId`` (CONTRACT 1.9)."""
NO_ACCOUNT = "no ledger account: check the template and the subscription's metadata"
NO_SUBSCRIPTION = "no ledger account: Stripe does not know the subscription that its line names"
ONE_USE_TWICE = (
    "two subscriptions bill this ledger account for the same time: a meter counts per customer, so both bill all of "
    "the use; name an account of its own in the metadata of each, or waive if both are meant"
)
SHARED_ACCOUNT = "several meters share this ledger account"


def ledger_account(template: str, *, customer_id: str, meter: str | None, metadata: Mapping[str, str]) -> str | None:
    """The PacSpace ``customerId``: the subscription's own metadata first, else the template; None when not legal."""
    account = metadata.get(ACCOUNT_METADATA_KEY)
    if not account:
        if "{meter}" in template and meter is None:
            return None
        account = template.replace("{customer}", customer_id).replace("{meter}", meter or "")
    return account if _ACCOUNT.fullmatch(account) else None


def other_subscription(line: LineItem, invoice: Invoice) -> str | None:
    """Return the subscription that a line names, where that is not the invoice's own."""
    return None if line.subscription_id in (None, invoice.subscription_id) else line.subscription_id


def metadata_of(
    subscription_id: str | None, invoice: Invoice, others: Mapping[str, Mapping[str, str]]
) -> Mapping[str, str] | None:
    """Return the metadata of a line's subscription: an invoice carries that of its own one only.

    ``subscription_id``: another one, whose metadata is in ``others``, as read from Stripe; None when it is not.
    """
    return invoice.subscription_metadata if subscription_id is None else others.get(subscription_id)


def shared_accounts(uses: Iterable[tuple[str | None, str]]) -> frozenset[str]:
    """The ledger accounts that more than one meter uses, of pairs ``(account, meter)``."""
    meters_of: dict[str, set[str]] = {}
    for account, meter in uses:
        if account is not None:
            meters_of.setdefault(account, set()).add(meter)
    return frozenset(account for account, meters in meters_of.items() if len(meters) > 1)


def rival_detail(
    invoice: Invoice, rival: str, *, customer_id: str | None, subscription_id: str | None, by_record: bool
) -> str:
    """Why an invoice that bills the same as another proves nothing, and what a person can do.

    A meter counts per customer (FACTS 4.1): each of two subscriptions with a price on it bills all of the use.
    That may be meant, or be one use charged twice; the records, which name it once, cannot tell.
    """
    if by_record:
        return f"invoice {rival} bills this very record"
    said = f"invoice {rival} bills this ledger account for the same time"
    if customer_id not in (None, invoice.customer_id):
        return f"{said}, for customer {customer_id}: give each customer an account of its own"
    if subscription_id in (None, invoice.subscription_id):
        return said
    return (
        f"{said}, by subscription {subscription_id}: a meter counts per customer, so both bill all of the use; "
        "void one of the two if it is charged twice, or waive both if that is meant"
    )


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


class CoveredPart(NamedTuple):
    """A part of the ledger that vouches for one invoice: an account for a time, or one meter's records in it."""

    account: str
    window: Window
    meter: str = ""
    """Empty: all records of the account."""
    customer_id: str = ""
    """Stripe's, with a meter: the account still is one customer's."""


def covered_part(usage: BilledUsage) -> CoveredPart | None:
    """What this usage needs of the ledger for itself; of a record, all of it."""
    if usage.account is None or usage.window is None:
        return None
    if usage.split_for is not None:
        return CoveredPart(account=usage.account, window=usage.window, meter=usage.meter, customer_id=usage.split_for)
    return CoveredPart(account=usage.account, window=_ALL_TIME if usage.by_record else usage.window)
