"""From an invoice to the usage that it bills, per meter, window and ledger account. Pure.

1. tell the metered lines from the others, and their prorations from usage          ``lines``
2. group them by meter and window, with what earlier invoices of the period billed   ``thresholds``
3. map each group to its ledger account                                              ``accounts``
4. name corrections of money beside the usage of their meter
5. add the usage that another system's invoice items bill                            ``invoice_items``
6. report usage that is billed twice, and everything of an unknown kind

Every line is recognised first. What is not recognised is a problem of its own, and never a guess.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING

from pacspace_stripe.comparison.rules.verdicts import BilledAs, BilledLine, LineKind, Reason
from pacspace_stripe.usage.rules.accounts import (
    ONE_USE_TWICE,
    SHARED_ACCOUNT,
    on_account,
    other_subscription,
    shared_accounts,
)
from pacspace_stripe.usage.rules.billed_usage import BilledUsage, PriceLines, usage_quantities
from pacspace_stripe.usage.rules.invoice_items import bills_meter, item_usage
from pacspace_stripe.usage.rules.lines import (
    Cover,
    MeteredLines,
    lines_of_unknown_kinds,
    meter_of,
    metered_lines,
    split_prorations,
)
from pacspace_stripe.usage.rules.thresholds import ends_early, with_earlier_billing
from pacspace_stripe.vocabulary.invoices import BillingReason, Formula, Invoice, LineItem, Meter, Price, UsageType
from pacspace_stripe.vocabulary.policy import UsageItems
from pacspace_stripe.vocabulary.quantities import equal, text, total

if TYPE_CHECKING:
    from pacspace_stripe.vocabulary.windows import Window

_OVERLAP = "lines of the invoice bill this meter for times that overlap: what is used in both is billed twice"
_BILLED_TWICE = "a metered price and an invoice item bill one meter for the same time"
_LAST = (
    "its meter bills the last value reported, and a ledger account adds its records up: name it in "
    "PACSPACE_STRIPE_READINGS if each record carries a reading, as METER:total if Stripe is sent a running total, "
    "else bill it by a meter that sums"
)
_COMPARED = (Formula.SUM, Formula.COUNT)
"""Aggregations that a ledger's sum of records can agree with."""
_NO_ITEMS = UsageItems()
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
    items: UsageItems = _NO_ITEMS,
    subscriptions: Mapping[str, Mapping[str, str]] = _NO_OTHERS,
) -> tuple[BilledUsage, ...]:
    """Return what an invoice bills per meter and window, each with its ledger account or its problem.

    ``split``: the records of one ledger account name their meter, so several meters may share it.
    ``readings``: meters of the aggregation ``last`` whose records are readings, or parts of a running total.
    ``earlier``: invoices of the same period whose usage counts as billed already.
    ``items``: which invoice items bill usage that another system counted.
    ``subscriptions``: metadata of the ``other_subscriptions``, as read from Stripe.
    """
    # 1. and 2.: one group per meter, window and subscription
    metered = metered_lines(invoice, prices)
    split_lines = split_prorations(invoice, metered, prices)
    groups: dict[tuple[str, Window | None, str | None], list[PriceLines]] = {}
    for lines in _by_price(split_lines, prices, invoice):
        running = with_earlier_billing(lines, invoice, earlier)
        groups.setdefault((_meter_name(lines, meters), running.window, lines.subscription_id), []).append(running)
    # 3.
    usages = [
        on_account(_usage(invoice, tuple(group), meters, readings), invoice, account_template, subscriptions)
        for group in groups.values()
    ]
    # 4.: a correction counts for nothing
    for line in split_lines.corrections:
        meter_id = meter_of(line, prices)
        at = next((at for at, usage in enumerate(usages) if usage.meter_id == meter_id), None)
        if at is not None:
            named = BilledLine(line_id=line.line_id, quantity=line.quantity, kind=LineKind.PRORATION)
            usages[at] = replace(usages[at], lines=(*usages[at].lines, named))
    # 5. and 6.
    usages = _with_items(usages, item_usage(invoice, metered, items, account_template, subscriptions))
    usages = [*(_unless_billed_twice(usage, usages) for usage in usages), *_of_unknown_kinds(invoice)]
    if split:
        return tuple(replace(usage, split_for=invoice.customer_id) for usage in usages)
    # Several meters on one ledger account cannot be separated if its records do not name their meter.
    shared = shared_accounts((usage.account, usage.meter) for usage in usages)
    return tuple(
        replace(usage, problem=Reason.UNMAPPED, detail=SHARED_ACCOUNT)
        if usage.problem is None and usage.account in shared
        else usage
        for usage in usages
    )


def other_subscriptions(invoice: Invoice, prices: Mapping[str, Price], items: UsageItems) -> frozenset[str]:
    """Return the subscriptions that lines of usage name and whose metadata the invoice does not carry."""
    from_items = (line for line in invoice.line_items if bills_meter(line, items))
    named = (other_subscription(line, invoice) for line in (*metered_lines(invoice, prices), *from_items))
    return frozenset(each for each in named if each is not None)


# -- metered lines -------------------------------------------------------------------------------------------------


def _by_price(split_lines: MeteredLines, prices: Mapping[str, Price], invoice: Invoice) -> Iterator[PriceLines]:
    groups: dict[tuple[str, str | None, str | None, Window | None], list[LineItem]] = {}
    for line in split_lines.usage:
        subscription_id = other_subscription(line, invoice)
        key = (line.price_id or line.line_id, line.item_id, subscription_id, line.window)
        groups.setdefault(key, []).append(line)
    for (_, item_id, subscription_id, window), lines in groups.items():
        price_id = lines[0].price_id
        yield PriceLines(
            price_id=price_id,
            item_id=item_id,
            price=prices.get(price_id or ""),
            window=window,
            lines=tuple(lines),
            doubt=next(
                (split_lines.doubts[each.line_id] for each in lines if each.line_id in split_lines.doubts), None
            ),
            subscription_id=subscription_id,
        )


def _meter(lines: PriceLines, meters: Mapping[str, Meter]) -> Meter | None:
    return meters.get(lines.price.meter_id or "") if lines.price else None


def _meter_name(lines: PriceLines, meters: Mapping[str, Meter]) -> str:
    meter = _meter(lines, meters)
    return meter.event_name if meter else lines.price_id or lines.lines[0].line_id


def _usage(
    invoice: Invoice, group: tuple[PriceLines, ...], meters: Mapping[str, Meter], readings: Container[str]
) -> BilledUsage:
    """Return the usage that one or several prices on a meter bill; each sees all of the customer's use (FACTS 4.1)."""
    meter, several = _meter(group[0], meters), len(group) > 1
    problem = _problem(group, meter, readings)
    if problem is None and invoice.billing_reason is BillingReason.UNKNOWN:
        # The reason decides whether other invoices bill parts of the same period.
        problem = "an invoice whose billing_reason is not known"
    return BilledUsage(
        meter=_meter_name(group[0], meters),
        meter_id=meter.meter_id if meter else None,
        window=group[0].window,
        account=None,
        quantity=_common_quantity(group),
        lines=tuple(
            BilledLine(
                line_id=line.line_id,
                quantity=line.quantity,
                kind=lines.kind(line),
                price=lines.name if several else None,
            )
            for lines in group
            for line in lines.lines
        ),
        problem=Reason.UNKNOWN_SHAPE if problem else None,
        detail=problem or "",
        formula=meter.formula if meter else Formula.UNKNOWN,
        price_lines=group,
        billed_as=BilledAs.EACH if several else BilledAs.SUM,
        billed_earlier=group[0].billed_earlier,
        subscription_id=group[0].subscription_id,
        ends_early=any(ends_early(line, invoice) for lines in group for line in lines.lines),
    )


def _common_quantity(group: tuple[PriceLines, ...]) -> Decimal | None:
    """Return the quantity that every price bills; None if they differ or if one is unknown."""
    first = group[0].quantity
    same = first is not None and all(lines.quantity is not None and equal(lines.quantity, first) for lines in group)
    return first if same else None


def _problem(  # noqa: PLR0911  # one return per problem, in the order in which they matter
    group: tuple[PriceLines, ...], meter: Meter | None, readings: Container[str]
) -> str | None:
    """Return why the lines of a group do not show usage that a ledger could agree with; None if they do."""
    if shape := next((problem for lines in group if (problem := _shape_problem(lines))), None):
        return shape
    if meter is None:
        return "its meter could not be read"
    if meter.unknown:
        return f"its meter is of a kind that is not known: {', '.join(meter.unknown)}"
    if formula := _formula_problem(meter, reads=meter.event_name in readings):
        return formula
    if not any(lines.needs_meter for lines in group) and _common_quantity(group) is None:
        each = ", ".join(f"{lines.name} {text(lines.quantity or Decimal(0))}" for lines in group)
        return f"two prices bill one meter, and not the same usage for the same time: {each}"
    if len({lines.billed_earlier for lines in group}) > 1:
        return "two prices bill one meter, and earlier invoices of the period billed unequal parts of it"
    return None


def _shape_problem(lines: PriceLines) -> str | None:
    """Return what makes the quantities of lines something else than usage of one meter in one window."""
    price = lines.price
    problems = {
        "its price could not be read": price is None,
        f"its price is of a kind that is not known: {', '.join(price.unknown) if price else ''}": bool(
            price and price.unknown
        ),
        "the price's usage type is not known": price is not None and price.usage_type is not UsageType.METERED,
        "a metered price without a meter (legacy usage records)": price is not None and price.meter_id is None,
        lines.doubt or "": lines.doubt is not None,
        "a line without a quantity": usage_quantities(lines.lines, price) is None,
        "a negative quantity": any(line.quantity is not None and line.quantity < 0 for line in lines.lines),
        "a line without a period": lines.window is None,
    }
    return next((problem for problem, present in problems.items() if present), None)


def _formula_problem(meter: Meter, *, reads: bool) -> str | None:
    """Return why a ledger's records cannot be compared with how a meter adds up what it is sent."""
    if meter.formula is Formula.LAST:
        return None if reads else _LAST
    if meter.formula not in _COMPARED:
        return "the meter's aggregation is not compared yet"
    return f"PACSPACE_STRIPE_READINGS names it, and its meter bills a {meter.formula.value}" if reads else None


# -- billed twice, or of an unknown kind ---------------------------------------------------------------------------


def _with_items(metered: list[BilledUsage], items: list[BilledUsage]) -> list[BilledUsage]:
    """Join metered usage and the items' usage; neither is compared where both bill one meter for the same time."""
    found = list(metered)
    for usage in items:
        twice = [
            at
            for at, other in enumerate(metered)
            if usage.meter == other.meter
            and usage.window is not None
            and other.window is not None
            and Cover.of(usage.window, [other.window]) is not Cover.NONE
        ]
        same = next((at for at in twice if found[at].key == usage.key), None)
        if same is not None:
            found[same] = replace(
                found[same],
                problem=Reason.UNKNOWN_SHAPE,
                detail=_BILLED_TWICE,
                lines=(*found[same].lines, *usage.lines),
                quantity=None,
                billed_as=BilledAs.EACH,
            )
        else:
            found.append(replace(usage, problem=Reason.UNKNOWN_SHAPE, detail=_BILLED_TWICE) if twice else usage)
    return found


def _unless_billed_twice(usage: BilledUsage, usages: list[BilledUsage]) -> BilledUsage:
    """Return a usage, with its problem if another one bills the same meter and account for a time that overlaps."""

    def overlaps(other: BilledUsage) -> bool:
        if (usage.meter, usage.account) != (other.meter, other.account) or usage.window is None or other.window is None:
            return False
        overlap = usage.window.start < other.window.end and other.window.start < usage.window.end
        if usage.subscription_id != other.subscription_id:
            return overlap
        # A line of quantity 0 bills nothing, and usage that is held for itself leaves the lines beside it as they are.
        return overlap and other.problem is None and 0 not in (usage.quantity, other.quantity)

    others = [other for other in usages if other is not usage and overlaps(other)]
    if usage.problem is not None or not others:
        return usage
    if any(other.subscription_id != usage.subscription_id for other in others):
        return replace(usage, problem=Reason.UNMAPPED, detail=ONE_USE_TWICE)
    return replace(usage, problem=Reason.UNKNOWN_SHAPE, detail=_OVERLAP)


def _of_unknown_kinds(invoice: Invoice) -> Iterable[BilledUsage]:
    """Yield what cannot be compared because its kind is unknown: on no ledger account, and never a match."""
    for unknown in lines_of_unknown_kinds(invoice):
        quantities = [line.quantity for line in unknown.lines if line.quantity is not None]
        yield BilledUsage(
            meter=unknown.kind,
            meter_id=None,
            window=unknown.window,
            account=None,
            # A waiver names this quantity: what the lines show, whatever that is.
            quantity=total(quantities) if unknown.lines and len(quantities) == len(unknown.lines) else None,
            lines=tuple(
                BilledLine(line_id=line.line_id, quantity=line.quantity, kind=LineKind.UNKNOWN)
                for line in unknown.lines
            ),
            problem=Reason.UNKNOWN_SHAPE,
            detail=unknown.detail,
            formula=Formula.UNKNOWN,
        )
