"""What an invoice bills per meter, window and ledger account. Pure."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING

from pacspace_stripe.comparison.rules.verdicts import BilledAs, BilledLine, LineKind, Reason
from pacspace_stripe.usage.rules.accounts import (
    ACCOUNT_METADATA_KEY,
    NO_ACCOUNT,
    NO_SUBSCRIPTION,
    ONE_USE_TWICE,
    SHARED_ACCOUNT,
    ledger_account,
    metadata_of,
    other_subscription,
    shared_accounts,
)
from pacspace_stripe.usage.rules.line_reading import Share, formula_problem, shape_problem
from pacspace_stripe.usage.rules.lines import metered_lines, of_unknown_kinds
from pacspace_stripe.usage.rules.prorations import Apart, meter_of, told_apart
from pacspace_stripe.usage.rules.pushed import bills_usage, pushed_usage, together
from pacspace_stripe.usage.rules.running import counted, ends_early
from pacspace_stripe.usage.rules.usage import BilledUsage
from pacspace_stripe.vocabulary.invoices import BillingReason, Formula, Invoice, LineItem, Meter, Price
from pacspace_stripe.vocabulary.policy import UsageItems
from pacspace_stripe.vocabulary.quantities import equal, text, total

if TYPE_CHECKING:
    from pacspace_stripe.vocabulary.windows import Window

_OVERLAP = "lines of the invoice bill this meter for times that overlap: what is used in both is billed twice"
_NONE_SAID = UsageItems()
_NO_OTHERS: Mapping[str, Mapping[str, str]] = MappingProxyType({})


def billed_usage(
    invoice: Invoice,
    prices: Mapping[str, Price],
    meters: Mapping[str, Meter],
    account_template: str,
    *,
    split: bool = False,
    readings: Container[str] = (),
    earlier: tuple[Invoice, ...] = (),
    items: UsageItems = _NONE_SAID,
    subscriptions: Mapping[str, Mapping[str, str]] = _NO_OTHERS,
) -> tuple[BilledUsage, ...]:
    """What the metered lines bill per meter and window, each with its ledger account or its problem.

    ``split``: the records of one ledger account tell their meter, so several meters may share it.
    ``readings``: meters of the aggregation ``last`` whose records are readings, or parts of a running total.
    ``earlier``: invoices of the same period whose usage counts as billed already.
    ``items``: which invoice items bill usage that another system counted.
    ``subscriptions``: metadata of the ``other_subscriptions``, as read from Stripe.
    """
    lines = metered_lines(invoice, prices)
    told = told_apart(invoice, lines, prices)
    groups: dict[tuple[str, Window | None, str | None], list[Share]] = {}
    for share in _shares(told, prices, invoice):
        running = counted(share, invoice, earlier)
        groups.setdefault((_meter_name(share, meters), running.window, share.subscription_id), []).append(running)
    usages = [
        _mapped(_billed(invoice, tuple(shares), meters, readings), invoice, account_template, subscriptions)
        for shares in groups.values()
    ]
    pushed = pushed_usage(invoice, lines, items, account_template, subscriptions)
    named = together(_with_corrections(usages, told.corrections, prices), pushed)
    named = [*_without_rivals(named), *_of_unknown_kinds(invoice)]
    if split:
        return tuple(replace(usage, split_for=invoice.customer_id) for usage in named)
    return _without_shared_accounts(named)


def _of_unknown_kinds(invoice: Invoice) -> Iterable[BilledUsage]:
    """Return what cannot be compared because nobody can say what it bills: on no ledger account, and never a match."""
    for unknown in of_unknown_kinds(invoice):
        quantities = [line.quantity for line in unknown.lines if line.quantity is not None]
        yield BilledUsage(
            meter=unknown.kind,
            meter_id=None,
            window=unknown.window,
            account=None,
            # A waiver names it: what the lines say, whatever that is.
            quantity=total(quantities) if unknown.lines and len(quantities) == len(unknown.lines) else None,
            lines=tuple(
                BilledLine(line_id=line.line_id, quantity=line.quantity, kind=LineKind.UNKNOWN)
                for line in unknown.lines
            ),
            problem=Reason.UNKNOWN_SHAPE,
            detail=unknown.detail,
            formula=Formula.UNKNOWN,
        )


def other_subscriptions(invoice: Invoice, prices: Mapping[str, Price], items: UsageItems) -> frozenset[str]:
    """Return the subscriptions that lines of usage name and whose metadata the invoice does not carry."""
    pushed = (line for line in invoice.line_items if bills_usage(line, items))
    named = (other_subscription(line, invoice) for line in (*metered_lines(invoice, prices), *pushed))
    return frozenset(each for each in named if each is not None)


def _mapped(
    usage: BilledUsage, invoice: Invoice, account_template: str, subscriptions: Mapping[str, Mapping[str, str]]
) -> BilledUsage:
    """Return the usage with the ledger account of the subscription that its lines name."""
    metadata = metadata_of(usage.subscription_id, invoice, subscriptions)
    account = ledger_account(
        account_template,
        customer_id=invoice.customer_id,
        meter=usage.meter if usage.meter_id else None,
        metadata=metadata or {},
    )
    mapped = replace(usage, account=account, named_account=(metadata or {}).get(ACCOUNT_METADATA_KEY))
    if metadata is None:
        unread = replace(mapped, account=None)
        return unread if usage.problem else replace(unread, problem=Reason.UNMAPPED, detail=NO_SUBSCRIPTION)
    if usage.problem is None and account is None:
        return replace(mapped, problem=Reason.UNMAPPED, detail=NO_ACCOUNT)
    return mapped


def _without_rivals(usages: list[BilledUsage]) -> list[BilledUsage]:
    """Hold usages of one meter on one ledger account whose times overlap: what is used in both is billed twice."""

    def apart(usage: BilledUsage) -> BilledUsage:
        rivals = [other for other in usages if other is not usage and _are_rivals(usage, other)]
        if usage.problem is not None or not rivals:
            return usage
        if any(other.subscription_id != usage.subscription_id for other in rivals):
            return replace(usage, problem=Reason.UNMAPPED, detail=ONE_USE_TWICE)
        return replace(usage, problem=Reason.UNKNOWN_SHAPE, detail=_OVERLAP)

    return [apart(usage) for usage in usages]


def _are_rivals(one: BilledUsage, other: BilledUsage) -> bool:
    """A line of quantity 0 bills nothing, and what is held for itself leaves the lines beside it as they are."""
    if (one.meter, one.account) != (other.meter, other.account) or one.window is None or other.window is None:
        return False
    overlap = one.window.start < other.window.end and other.window.start < one.window.end
    if one.subscription_id != other.subscription_id:
        return overlap
    return overlap and other.problem is None and 0 not in (one.quantity, other.quantity)


def _shares(told: Apart, prices: Mapping[str, Price], invoice: Invoice) -> list[Share]:
    groups: dict[tuple[str, str | None, str | None, Window | None], list[LineItem]] = {}
    for line in told.usage:
        of = other_subscription(line, invoice)
        groups.setdefault((line.price_id or line.line_id, line.item_id, of, line.window), []).append(line)
    return [
        Share(
            price_id=each[0].price_id,
            item_id=each[0].item_id,
            price=prices.get(each[0].price_id or ""),
            window=each[0].window,
            lines=tuple(each),
            doubt=next((told.doubts[line.line_id] for line in each if line.line_id in told.doubts), None),
            subscription_id=of,
        )
        for (_, _, of, _), each in groups.items()
    ]


def _meter_of(share: Share, meters: Mapping[str, Meter]) -> Meter | None:
    return meters.get(share.price.meter_id or "") if share.price else None


def _meter_name(share: Share, meters: Mapping[str, Meter]) -> str:
    meter = _meter_of(share, meters)
    return meter.event_name if meter else share.price_id or share.lines[0].line_id


def _billed(
    invoice: Invoice,
    shares: tuple[Share, ...],
    meters: Mapping[str, Meter],
    readings: Container[str],
) -> BilledUsage:
    meter = _meter_of(shares[0], meters)
    problem, detail = _problem(shares, meter, readings)
    if problem is None and invoice.billing_reason is BillingReason.UNKNOWN:
        # It decides whether other invoices bill parts of the same period.
        problem, detail = Reason.UNKNOWN_SHAPE, "an invoice whose billing_reason is not known"
    several = len(shares) > 1
    return BilledUsage(
        meter=_meter_name(shares[0], meters),
        meter_id=meter.meter_id if meter else None,
        window=shares[0].window,
        account=None,
        quantity=_whole(shares),
        lines=tuple(line for share in shares for line in _lines(share, named=several)),
        problem=problem,
        detail=detail,
        formula=meter.formula if meter else Formula.UNKNOWN,
        shares=shares,
        billed_as=BilledAs.EACH if several else BilledAs.SUM,
        billed_earlier=shares[0].earlier,
        subscription_id=shares[0].subscription_id,
        cut=any(ends_early(line, invoice) for share in shares for line in share.lines),
    )


def _lines(share: Share, *, named: bool) -> Iterable[BilledLine]:
    name = share.name if named else None
    return (
        BilledLine(line_id=line.line_id, quantity=line.quantity, kind=share.kind(line), price=name)
        for line in share.lines
    )


def _whole(shares: tuple[Share, ...]) -> Decimal | None:
    """What every price bills: each sees all of a customer's use of the meter (FACTS 4.1)."""
    first = shares[0].quantity
    return first if first is not None and all(_bills(share, first) for share in shares) else None


def _bills(share: Share, quantity: Decimal) -> bool:
    return share.quantity is not None and equal(share.quantity, quantity)


def _problem(shares: tuple[Share, ...], meter: Meter | None, readings: Container[str]) -> tuple[Reason | None, str]:
    found = next((text for share in shares if (text := shape_problem(share))), None)
    if found is None and meter is None:
        found = "its meter could not be read"
    if found is None and meter is not None and meter.unknown:
        found = f"its meter is of a kind that is not known: {', '.join(meter.unknown)}"
    if found is None and meter is not None:
        found = formula_problem(meter, reads=meter.event_name in readings)
    if found is None and not any(share.asks_meter for share in shares) and _whole(shares) is None:
        found = _unequal(shares)
    if found is None and len({share.earlier for share in shares}) > 1:
        found = "two prices bill one meter, and earlier invoices of the period billed unequal parts of it"
    return (Reason.UNKNOWN_SHAPE, found) if found else (None, "")


def _unequal(shares: tuple[Share, ...]) -> str:
    each = ", ".join(f"{share.name} {text(share.quantity or Decimal(0))}" for share in shares)
    return f"two prices bill one meter, and not the same usage for the same time: {each}"


def _with_corrections(
    usages: list[BilledUsage], corrections: tuple[LineItem, ...], prices: Mapping[str, Price]
) -> list[BilledUsage]:
    """Name each correction of money beside the first usage of its meter, where it counts for nothing."""
    for line in corrections:
        meter_id = meter_of(line, prices)
        place = next((at for at, usage in enumerate(usages) if usage.meter_id == meter_id), None)
        if place is not None:
            named = BilledLine(line_id=line.line_id, quantity=line.quantity, kind=LineKind.PRORATION)
            usages[place] = replace(usages[place], lines=(*usages[place].lines, named))
    return usages


def _without_shared_accounts(usages: list[BilledUsage]) -> tuple[BilledUsage, ...]:
    """Several meters on one ledger account cannot be told apart where its records do not tell their meter."""
    shared = shared_accounts((usage.account, usage.meter) for usage in usages)
    return tuple(
        replace(usage, problem=Reason.UNMAPPED, detail=SHARED_ACCOUNT)
        if usage.problem is None and usage.account in shared
        else usage
        for usage in usages
    )
