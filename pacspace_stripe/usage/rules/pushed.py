"""Usage that another system counted and put on a Stripe invoice as invoice items. Pure.

Stripe has no meter of it: an item's own quantity is what is billed, and its own period is the window. Which items bill
usage, and of which meter, is what ``PACSPACE_STRIPE_USAGE_ITEMS`` says. Metronome names itself in the metadata of its
invoices (FACTS 12.2), so each item of such an invoice must be said to bill a meter or no usage; what is not said
is unproven, and never "nothing metered". Items of other invoices are usage only where the setting names their meter.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pacspace_stripe.comparison.rules.verdicts import BilledAs, BilledLine, LineKind, Reason
from pacspace_stripe.usage.rules.accounts import (
    ACCOUNT_METADATA_KEY,
    NO_ACCOUNT,
    NO_SUBSCRIPTION,
    ledger_account,
    metadata_of,
    other_subscription,
)
from pacspace_stripe.usage.rules.lines import unknown_kinds
from pacspace_stripe.usage.rules.prorations import Cover
from pacspace_stripe.usage.rules.usage import BilledUsage
from pacspace_stripe.vocabulary.invoices import Invoice, LineItem
from pacspace_stripe.vocabulary.policy import NO_USAGE, UsageItems
from pacspace_stripe.vocabulary.quantities import total

if TYPE_CHECKING:
    from pacspace_stripe.vocabulary.windows import Window

UNNAMED = "unnamed usage"
"""In the place of a meter's name, where an item does not name one."""
_METRONOME = "metronome_"
"""Starts the metadata keys that Metronome writes."""
_BILLED_TWICE = "a metered price and an invoice item bill one meter for the same time"


def pushed_usage(
    invoice: Invoice,
    metered: Collection[LineItem],
    items: UsageItems,
    account_template: str,
    subscriptions: Mapping[str, Mapping[str, str]],
) -> list[BilledUsage]:
    """Return what an invoice's items bill of another system's usage, per meter, window and subscription.

    ``metered``: its lines of metered prices, whose usage Stripe counted itself.
    ``subscriptions``: metadata of those that lines name and that are not the invoice's own.
    """
    metronome = _metronome(invoice.metadata)
    unnamed: list[LineItem] = []
    groups: dict[tuple[str, Window | None, str | None], list[LineItem]] = {}
    for line in invoice.line_items:
        if line.item_id is not None or unknown_kinds(line, invoice) or line in metered:
            continue
        match _meter(line, items):
            case None if metronome or _metronome(line.metadata):
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
        _usage(invoice, meter, lines, account_template, metadata_of(of, invoice, subscriptions))
        for (meter, _, of), lines in groups.items()
    ]
    return [*found, *_unnamed(invoice, unnamed, items, metronome=metronome)]


def names_metronome(invoice: Invoice) -> bool:
    """Return whether an invoice or one of its items names the system that counted its usage."""
    return _metronome(invoice.metadata) or any(_metronome(line.metadata) for line in invoice.line_items)


def bills_usage(line: LineItem, items: UsageItems) -> bool:
    """Return whether the setting says that an item bills a meter."""
    return _meter(line, items) not in (None, "", NO_USAGE)


def together(metered: list[BilledUsage], pushed: list[BilledUsage]) -> list[BilledUsage]:
    """Return both; usage of a meter that its price and an invoice item bill for one time is not compared."""
    found = list(metered)
    for usage in pushed:
        twice = [place for place, other in enumerate(metered) if _bill_one_use(usage, other)]
        same = next((place for place in twice if found[place].key == usage.key), None)
        if same is not None:
            lines = (*found[same].lines, *usage.lines)
            doubted = replace(found[same], problem=Reason.UNKNOWN_SHAPE, detail=_BILLED_TWICE)
            found[same] = replace(doubted, lines=lines, quantity=None, billed_as=BilledAs.EACH)
        elif twice:
            found.append(replace(usage, problem=Reason.UNKNOWN_SHAPE, detail=_BILLED_TWICE))
        else:
            found.append(usage)
    return found


def _bill_one_use(pushed: BilledUsage, metered: BilledUsage) -> bool:
    if pushed.meter != metered.meter or pushed.window is None or metered.window is None:
        return False
    return Cover.of(pushed.window, [metered.window]) is not Cover.NONE


def _usage(
    invoice: Invoice, meter: str, lines: list[LineItem], account_template: str, metadata: Mapping[str, str] | None
) -> BilledUsage:
    account = (
        None
        if metadata is None
        else ledger_account(account_template, customer_id=invoice.customer_id, meter=meter, metadata=metadata or {})
    )
    doubt = _doubt(lines)
    problem, detail = (Reason.UNKNOWN_SHAPE, doubt) if doubt else (None, "")
    if problem is None and metadata is None:
        problem, detail = Reason.UNMAPPED, NO_SUBSCRIPTION
    if problem is None and account is None:
        problem, detail = Reason.UNMAPPED, NO_ACCOUNT
    known = [line.quantity for line in lines if line.quantity is not None]
    return BilledUsage(
        meter=meter,
        meter_id=None,
        window=lines[0].window,
        account=account,
        quantity=total(known) if len(known) == len(lines) else None,
        lines=tuple(BilledLine(line_id=line.line_id, quantity=line.quantity) for line in lines),
        problem=problem,
        detail=detail,
        named_account=(metadata or {}).get(ACCOUNT_METADATA_KEY),
        subscription_id=other_subscription(lines[0], invoice),
        pushed=True,
    )


def _unnamed(invoice: Invoice, lines: list[LineItem], items: UsageItems, *, metronome: bool) -> Iterator[BilledUsage]:
    """Return the items that name no meter as one usage, on no ledger account and never a match."""
    if lines or (metronome and not items):
        known = [line.quantity for line in lines if line.quantity is not None]
        yield BilledUsage(
            meter=UNNAMED,
            meter_id=None,
            window=None,
            account=None,
            # A waiver names it, whatever it is.
            quantity=total(known) if lines and len(known) == len(lines) else None,
            lines=tuple(
                BilledLine(line_id=line.line_id, quantity=line.quantity, kind=LineKind.UNKNOWN) for line in lines
            ),
            problem=Reason.UNKNOWN_SHAPE,
            detail=_not_said(invoice, lines, items),
            pushed=True,
        )


def _metronome(metadata: Mapping[str, str]) -> bool:
    return any(key.lower().startswith(_METRONOME) for key in metadata)


def _meter(line: LineItem, items: UsageItems) -> str | None:
    """Return the meter that the setting says the item bills; empty when it names two, or none where it should."""
    names = {line.metadata[key].strip() for key in items.metadata_keys if key in line.metadata}
    told = (items.products.get(line.product_id or ""), items.prices.get(line.price_id or ""))
    names |= {meter for meter in told if meter is not None}
    if not names and items.amounts is not None and _is_amount(line):
        return items.amounts
    if len(names) > 1:
        return ""
    return names.pop() if names else None


def _is_amount(line: LineItem) -> bool:
    """Return whether an item bills a plain amount: it has no price, and its quantity says nothing."""
    return line.price_id is None and line.product_id is None and line.quantity in (None, 1)


def _doubt(lines: list[LineItem]) -> str | None:
    problems = {
        "an invoice item without a period": any(line.window is None for line in lines),
        "an invoice item without a quantity": any(line.quantity is None for line in lines),
        "an invoice item of a negative quantity": any((line.quantity or 0) < 0 for line in lines),
        "an invoice item that gives money back: what it says of usage is not known": any(
            (line.amount or 0) < 0 for line in lines
        ),
    }
    return next((text for text, present in problems.items() if present), None)


def _not_said(invoice: Invoice, unnamed: list[LineItem], items: UsageItems) -> str:
    invoice_of = next(
        (f"{key} {value}" for key, value in invoice.metadata.items() if key.lower().startswith(_METRONOME)), None
    )
    whose = f"a Metronome invoice ({invoice_of})" if invoice_of else "invoice items that another system made"
    if not items:
        return f"{whose}: PACSPACE_STRIPE_USAGE_ITEMS does not say which items bill usage, and of which meter"
    named = ", ".join(line.line_id for line in unnamed)
    return f"{whose}: {named} names no meter, or several, where PACSPACE_STRIPE_USAGE_ITEMS looks for one"
