"""The ledger account that a usage is recorded on, and who else bills it. Pure."""

import re
from collections.abc import Iterable, Mapping

from pacspace_stripe.vocabulary.invoices import Invoice, LineItem

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
