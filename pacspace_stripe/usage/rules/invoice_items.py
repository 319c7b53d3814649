"""Usage that another system counted and put on a Stripe invoice as invoice items. Pure.

Stripe has no meter of it: an item's own quantity is what is billed, and its own period is the window. The setting
``PACSPACE_STRIPE_USAGE_ITEMS`` names which items bill usage, and of which meter. Metronome names itself in the metadata
of its invoices (FACTS 12.2), so for each item of such an invoice the setting must name a meter, or that it bills no
usage; an item that it does not cover is unproven, and never "nothing metered". Items of other invoices are usage only
if the setting names their meter.
"""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from pacspace_stripe.comparison.rules.verdicts import BilledLine, LineKind, Reason
from pacspace_stripe.usage.rules.accounts import on_account, other_subscription
from pacspace_stripe.usage.rules.billed_usage import BilledUsage
from pacspace_stripe.usage.rules.lines import unknown_kinds
from pacspace_stripe.vocabulary.invoices import Invoice, LineItem
from pacspace_stripe.vocabulary.policy import NO_USAGE, UsageItems
from pacspace_stripe.vocabulary.quantities import total

if TYPE_CHECKING:
    from pacspace_stripe.vocabulary.windows import Window

UNNAMED = "unnamed usage"
"""Meter name of items that name no meter."""
_METRONOME = "metronome_"
"""Prefix of the metadata keys that Metronome writes."""


def item_usage(
    invoice: Invoice,
    metered: Collection[LineItem],
    items: UsageItems,
    account_template: str,
    subscriptions: Mapping[str, Mapping[str, str]],
) -> list[BilledUsage]:
    """Return the usage that an invoice's items bill for another system, per meter, window and subscription.

    ``metered``: the invoice's lines of metered prices, whose usage Stripe counted itself.
    ``subscriptions``: metadata of the subscriptions that lines name and that are not the invoice's own.
    """
    metronome = _names_metronome(invoice.metadata)
    unnamed: list[LineItem] = []
    groups: dict[tuple[str, Window | None, str | None], list[LineItem]] = {}
    for line in invoice.line_items:
        if line.item_id is not None or unknown_kinds(line, invoice) or line in metered:
            continue
        match _meter(line, items):
            case None if metronome or _names_metronome(line.metadata):
                unnamed.append(line)
            case None:
                pass
            case "":
                unnamed.append(line)
            case meter if meter == NO_USAGE:
                pass
            case meter:
                groups.setdefault((meter, line.window, other_subscription(line, invoice)), []).append(line)
    found = [
        on_account(_usage(meter, lines, subscription_id), invoice, account_template, subscriptions)
        for (meter, _, subscription_id), lines in groups.items()
    ]
    if unnamed or (metronome and not items):
        found.append(_unnamed_usage(invoice, unnamed, items))
    return found


def names_metronome(invoice: Invoice) -> bool:
    """Return whether an invoice or one of its items names Metronome as the system that counted its usage."""
    return _names_metronome(invoice.metadata) or any(_names_metronome(line.metadata) for line in invoice.line_items)


def _names_metronome(metadata: Mapping[str, str]) -> bool:
    return any(key.lower().startswith(_METRONOME) for key in metadata)


def bills_meter(line: LineItem, items: UsageItems) -> bool:
    """Return whether the setting names a meter for an item."""
    return _meter(line, items) not in (None, "", NO_USAGE)


def _meter(line: LineItem, items: UsageItems) -> str | None:
    """Return the meter that the setting names for an item.

    Empty if it names two, or if the item has the metadata key and no value; None if the setting does not cover it.
    """
    names = {line.metadata[key].strip() for key in items.metadata_keys if key in line.metadata}
    listed = (items.products.get(line.product_id or ""), items.prices.get(line.price_id or ""))
    names |= {meter for meter in listed if meter is not None}
    # A plain amount has no price, and its quantity means nothing.
    is_amount = line.price_id is None and line.product_id is None and line.quantity in (None, 1)
    if not names and items.amounts is not None and is_amount:
        return items.amounts
    if len(names) > 1:
        return ""
    return names.pop() if names else None


def _usage(meter: str, lines: list[LineItem], subscription_id: str | None) -> BilledUsage:
    problems = {
        "an invoice item without a period": any(line.window is None for line in lines),
        "an invoice item without a quantity": any(line.quantity is None for line in lines),
        "an invoice item of a negative quantity": any((line.quantity or 0) < 0 for line in lines),
        "an invoice item that credits money: what usage it bills is not known": any(
            (line.amount or 0) < 0 for line in lines
        ),
    }
    problem = next((text for text, present in problems.items() if present), None)
    return BilledUsage(
        meter=meter,
        meter_id=None,
        window=lines[0].window,
        account=None,
        quantity=_sum(lines),
        lines=tuple(BilledLine(line_id=line.line_id, quantity=line.quantity) for line in lines),
        problem=Reason.UNKNOWN_SHAPE if problem else None,
        detail=problem or "",
        subscription_id=subscription_id,
        external=True,
    )


def _unnamed_usage(invoice: Invoice, unnamed: list[LineItem], items: UsageItems) -> BilledUsage:
    """Return the items that name no meter as one usage, on no ledger account and never a match."""
    named_by = next(
        (f"{key} {value}" for key, value in invoice.metadata.items() if key.lower().startswith(_METRONOME)), None
    )
    detail = f"a Metronome invoice ({named_by})" if named_by else "invoice items that another system made"
    if not items:
        detail += ": PACSPACE_STRIPE_USAGE_ITEMS does not say which items bill usage, and of which meter"
    else:
        ids = ", ".join(line.line_id for line in unnamed)
        detail += f": {ids} names no meter, or several, where PACSPACE_STRIPE_USAGE_ITEMS looks for one"
    return BilledUsage(
        meter=UNNAMED,
        meter_id=None,
        window=None,
        account=None,
        # A waiver names this quantity, whatever it is.
        quantity=_sum(unnamed),
        lines=tuple(
            BilledLine(line_id=line.line_id, quantity=line.quantity, kind=LineKind.UNKNOWN) for line in unnamed
        ),
        problem=Reason.UNKNOWN_SHAPE,
        detail=detail,
        external=True,
    )


def _sum(lines: Collection[LineItem]) -> Decimal | None:
    known = [line.quantity for line in lines if line.quantity is not None]
    return total(known) if known and len(known) == len(lines) else None
