"""The part of the ledger that a usage is recorded in: its ledger account, or its settlement record. Pure.

A ledger account is a PacSpace ``customerId``; its records have times, so it vouches per window. A settlement record has
no window: whatever was written to its key counts. So a record vouches as a whole, for one window of one invoice, and
for nothing else ever.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from pacspace_stripe.comparison.rules.verdicts import Reason
from pacspace_stripe.usage.rules.billed_usage import BilledUsage
from pacspace_stripe.usage.rules.thresholds import bills_later
from pacspace_stripe.vocabulary.invoices import GIVEN_UP, Invoice, LineItem
from pacspace_stripe.vocabulary.windows import Window

ACCOUNT_METADATA_KEY = "pacspace_customer_id"
NO_ACCOUNT = "no ledger account: check the template and the subscription's metadata"
NO_SUBSCRIPTION = "no ledger account: Stripe does not know the subscription that its line names"
ONE_USE_TWICE = (
    "two subscriptions bill this ledger account for the same time: a meter counts per customer, so both bill all of "
    "the use; name an account of its own in the metadata of each, or waive if both are meant"
)
SHARED_ACCOUNT = (
    "several meters share this ledger account: name the source of their records' meter in PACSPACE_STRIPE_METER_FROM, "
    "or give each meter an account of its own"
)
SHARED_RECORD = (
    "this one record would vouch for several meters or windows of the invoice: name {meter} and {month}, or {start} "
    "and {end}, in PACSPACE_STRIPE_RECORD_KEY"
)
_NO_RECORD_KEY = "no legal record key: check PACSPACE_STRIPE_RECORD_KEY and the subscription's metadata"
_LEGAL = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
"""PacSpace's rule for a ``customerId`` (CONTRACT 1.9). It documents no rule for keys, so they follow this one."""
_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
_ALL_TIME = Window(start=datetime(1970, 1, 1, tzinfo=UTC), end=datetime(9999, 1, 1, tzinfo=UTC))
"""Years that every database can write in every time zone."""


# -- ledger accounts -----------------------------------------------------------------------------------------------


def ledger_account(template: str, *, customer_id: str, meter: str | None, metadata: Mapping[str, str]) -> str | None:
    """Return the PacSpace ``customerId``: the subscription's metadata first, else the template; None if not legal."""
    account = metadata.get(ACCOUNT_METADATA_KEY)
    if not account:
        if "{meter}" in template and meter is None:
            return None
        account = template.replace("{customer}", customer_id).replace("{meter}", meter or "")
    return account if _LEGAL.fullmatch(account) else None


def other_subscription(line: LineItem, invoice: Invoice) -> str | None:
    """Return the subscription that a line names, if that is not the invoice's own."""
    return None if line.subscription_id in (None, invoice.subscription_id) else line.subscription_id


def on_account(
    usage: BilledUsage, invoice: Invoice, template: str, subscriptions: Mapping[str, Mapping[str, str]]
) -> BilledUsage:
    """Return a usage with the ledger account of the subscription that its lines name.

    An invoice carries the metadata of its own subscription only; ``subscriptions`` has that of others, as far as Stripe
    knows them. A problem that the usage has already stays.
    """
    other = usage.subscription_id
    metadata = invoice.subscription_metadata if other is None else subscriptions.get(other)
    if metadata is None:
        found = replace(usage, account=None, named_account=None)
        return found if usage.problem else replace(found, problem=Reason.UNMAPPED, detail=NO_SUBSCRIPTION)
    meter = usage.meter if usage.meter_id or usage.external else None
    account = ledger_account(template, customer_id=invoice.customer_id, meter=meter, metadata=metadata)
    found = replace(usage, account=account, named_account=metadata.get(ACCOUNT_METADATA_KEY))
    if usage.problem is None and account is None:
        return replace(found, problem=Reason.UNMAPPED, detail=NO_ACCOUNT)
    return found


def shared_accounts(uses: Iterable[tuple[str | None, str]]) -> frozenset[str]:
    """Return the ledger accounts that more than one meter uses, of pairs ``(account, meter)``."""
    meters_of: dict[str, set[str]] = {}
    for account, meter in uses:
        if account is not None:
            meters_of.setdefault(account, set()).add(meter)
    return frozenset(account for account, meters in meters_of.items() if len(meters) > 1)


# -- settlement records --------------------------------------------------------------------------------------------


def record_key(template: str, *, customer: str, meter: str | None, window: Window) -> str | None:
    """Return the key that a window's usage is written to; None if there is no legal one."""
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
    return key if _LEGAL.fullmatch(key) else None


def on_records(invoice: Invoice, usages: tuple[BilledUsage, ...], template: str) -> tuple[BilledUsage, ...]:
    """Return the usages with their records' keys in place of ledger accounts, each with its problem if it has one."""

    def on_record(usage: BilledUsage) -> BilledUsage:
        customer = usage.named_account or invoice.customer_id
        meter = usage.meter if usage.meter_id or usage.external else None
        key = record_key(template, customer=customer, meter=meter, window=usage.window) if usage.window else None
        recorded = replace(usage, account=key, by_record=True)
        if usage.problem not in (None, Reason.UNMAPPED):
            return recorded
        if key is None:
            return replace(recorded, problem=Reason.UNMAPPED, detail=_NO_RECORD_KEY)
        # A ledger account that could not be mapped does not matter to a record.
        return replace(recorded, problem=None, detail="")

    mapped = [on_record(usage) for usage in usages]
    keys = [usage.account for usage in mapped]
    return tuple(
        replace(usage, problem=Reason.UNMAPPED, detail=SHARED_RECORD)
        if usage.problem is None and keys.count(usage.account) > 1
        else usage
        for usage in mapped
    )


# -- what vouches for one invoice ----------------------------------------------------------------------------------


class CoveredPart(NamedTuple):
    """A part of the ledger that vouches for one invoice: an account for a time, or one meter's records in it."""

    account: str
    window: Window
    meter: str = ""
    """Empty: all records of the account."""
    customer_id: str = ""
    """Stripe's customer, together with a meter: the account still belongs to one customer."""


def covered_part(usage: BilledUsage) -> CoveredPart | None:
    """Return the part of the ledger that vouches for this usage alone; for a record, all of it."""
    if usage.account is None or usage.window is None:
        return None
    if usage.split_for is not None:
        return CoveredPart(usage.account, usage.window, meter=usage.meter, customer_id=usage.split_for)
    return CoveredPart(usage.account, _ALL_TIME if usage.by_record else usage.window)


def covered_parts(invoice: Invoice, usages: Iterable[BilledUsage]) -> Iterator[CoveredPart]:
    """Yield the parts of the ledger that vouch for an invoice.

    An invoice that was voided may be billed again, so it covers nothing. Neither does a line that bills nothing of a
    period that is not over: the invoice that ends the period bills its usage.
    """
    if invoice.status not in GIVEN_UP:
        for usage in usages:
            part = covered_part(usage)
            if part is not None and not bills_later(usage, invoice):
                yield part


def overlap_detail(
    invoice: Invoice, other_id: str, *, customer_id: str | None, subscription_id: str | None, by_record: bool
) -> str:
    """Return why an invoice that bills the same as another proves nothing, and what the operator can do.

    A meter counts per customer (FACTS 4.1), so each of two subscriptions with a price on it bills all of the use. That
    may be meant, or it may be one use charged twice. The records, which name the use once, cannot tell.
    """
    if by_record:
        return f"invoice {other_id} bills this very record"
    detail = f"invoice {other_id} bills this ledger account for the same time"
    if customer_id not in (None, invoice.customer_id):
        return f"{detail}, for customer {customer_id}: give each customer an account of its own"
    if subscription_id in (None, invoice.subscription_id):
        return detail
    return (
        f"{detail}, by subscription {subscription_id}: a meter counts per customer, so both bill all of the use; "
        "void one of the two if it is charged twice, or waive both if that is meant"
    )
