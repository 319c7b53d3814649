"""Lines of an invoice by what they bill: usage, a correction of money, nothing metered, or unknown. Pure.

A line is metered if its price is, or if its price could not be read: unknown is not none. Prorations of metered items
need more care. Flexible billing mode bills the usage of an item that is removed or replaced inside its period as an
invoice item. Stripe does not document whether that line says ``proration`` (FACTS 12.3), so every invoice item of a
metered price is treated as one. The time that a proration bills decides: usage that no line of usage covers is billed
by no other line, and is compared in a window of its own.

    no line of usage covers its window        usage
    lines of usage cover a part of it         unknown: held
    lines of usage cover all of it            a correction if it bills no quantity, or if a credit of the same quantity
                                              and window stands beside it; else held: it would bill usage twice
    a credit                                  a correction of money beside usage of its meter; held without any
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pacspace_stripe.usage.rules.billed_usage import is_flat_fee
from pacspace_stripe.vocabulary.invoices import BillingReason, Invoice, LineItem, LineParent, Price, UsageType
from pacspace_stripe.vocabulary.quantities import equal
from pacspace_stripe.vocabulary.windows import Window

CREDIT_ALONE = "a credit proration of a metered item, and no line of its usage"
IN_PART = "a proration of a time that other lines of its meter bill in part: what it bills is not known"
TWICE = "a proration bills usage of a time that other lines of its meter bill already"
AHEAD = "a proration of a metered item for a time that was not over when it was billed"


# -- metered or not ------------------------------------------------------------------------------------------------


def metered_lines(invoice: Invoice, prices: Mapping[str, Price]) -> tuple[LineItem, ...]:
    """Return the lines whose price is metered or could not be read: those that are compared."""
    lines = (line for line in invoice.line_items if _may_bill(line, invoice) and not unknown_kinds(line, invoice))
    price_of = ((line, prices.get(line.price_id or "")) for line in lines)
    return tuple(line for line, price in price_of if price is None or is_metered(price))


def is_metered(price: Price) -> bool:
    """Return whether a price bills usage, or may: an unknown usage type is not the absence of one."""
    return price.usage_type in (UsageType.METERED, UsageType.UNKNOWN)


def may_bill_usage(invoice: Invoice) -> bool:
    """Return whether an invoice may bill usage, as far as it shows without its prices."""
    return bool(invoice.unknown) or any(_may_bill(line, invoice) for line in invoice.line_items)


def _may_bill(line: LineItem, invoice: Invoice) -> bool:
    if unknown_kinds(line, invoice):
        return True
    priced = line.price_id is not None or line.parent is LineParent.SUBSCRIPTION_ITEM
    return priced and not _opens_a_period(line, invoice)


def _opens_a_period(line: LineItem, invoice: Invoice) -> bool:
    """Return whether a line of quantity 0 only opens a period that a later invoice bills.

    Classic billing mode puts one for each metered price on a subscription's first invoice, with the coming period or
    with an empty one (FACTS 12.4). If it were compared, it would cover the period, and the renewal that bills it would
    be held. Only the reason and the time of the invoice distinguish such a line from a real figure. A renewal that
    bills 0 for its own period, which is over, has to agree with the ledger like any other; so has a threshold's line,
    whose period is not over either. So a period that has begun counts as not billed yet on a first invoice only; on
    any other invoice the line's whole period has to lie ahead.
    """
    if line.quantity != 0 or line.amount not in (0, None) or line.proration:
        return False
    first = invoice.billing_reason is BillingReason.SUBSCRIPTION_CREATE
    if line.window is None:
        return first
    ahead = line.window.start >= invoice.created_at and invoice.billing_reason is not BillingReason.UNKNOWN
    return ahead or (first and line.window.end > invoice.created_at)


# -- unknown kinds -------------------------------------------------------------------------------------------------


def unknown_kinds(line: LineItem, invoice: Invoice) -> tuple[str, ...]:
    """Return what is unknown about a line: kinds that are not listed, or nothing that names what generated it.

    An invoice item without a price is a plain amount (FACTS 12.13). A line that has neither a parent nor a price is one
    only on an invoice that a person made. Stripe documents two parents, and does not say what a line that a rate card
    or a pricing plan generated is like at an API version that does not know them (FACTS 12.1).
    """
    if line.unknown or line.price_id or line.parent is not LineParent.NONE:
        return line.unknown
    return () if invoice.billing_reason is BillingReason.MANUAL else ("parent=null",)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownLines:
    """The lines of one unknown kind and period; no lines if the invoice itself is of an unknown kind."""

    kind: str
    """Stripe's word for it, such as ``rate_card_subscription_details``."""
    detail: str
    window: Window | None = None
    lines: tuple[LineItem, ...] = ()


def lines_of_unknown_kinds(invoice: Invoice) -> Iterator[UnknownLines]:
    """Yield everything on an invoice that may bill usage in a way that is unknown here."""

    def word(unknown: str) -> str:
        # Stripe's own word, or the name of a field that is null and must not be.
        field, _, value = unknown.partition("=")
        return field if value in ("null", "unreadable") else value

    if invoice.unknown:
        detail = f"an invoice of a kind that is not known: {', '.join(invoice.unknown)}"
        yield UnknownLines(kind=word(invoice.unknown[0]), detail=detail)
    groups: dict[tuple[str, Window | None], list[LineItem]] = {}
    for line in invoice.line_items:
        if unknown := unknown_kinds(line, invoice):
            groups.setdefault((unknown[0], line.window), []).append(line)
    for (_, window), lines in groups.items():
        kinds = dict.fromkeys(kind for line in lines for kind in unknown_kinds(line, invoice))
        detail = f"a line of a kind that is not known: {', '.join(kinds)}; whether it bills usage is not known"
        yield UnknownLines(kind=word(next(iter(kinds))), detail=detail, window=window, lines=tuple(lines))


# -- prorations ----------------------------------------------------------------------------------------------------


class Cover(StrEnum):
    """The part of a window that other windows cover together."""

    NONE = "none"
    PART = "part"
    WHOLE = "whole"

    @classmethod
    def of(cls, window: Window, others: Iterable[Window]) -> "Cover":
        """Return how much of ``window`` the union of ``others`` covers."""
        near = sorted(other for other in others if other.start < window.end and window.start < other.end)
        if not near:
            return cls.NONE
        reached = window.start
        for other in near:
            if other.start > reached:
                return cls.PART
            reached = max(reached, other.end)
        return cls.WHOLE if reached >= window.end else cls.PART


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredLines:
    """An invoice's metered lines, grouped by what they bill."""

    usage: tuple[LineItem, ...]
    """Lines whose quantities are compared, and those that no rule covers."""
    corrections: tuple[LineItem, ...]
    """Prorations that only correct money: their quantities count for nothing."""
    doubts: Mapping[str, str]
    """By line id: why it is unknown what a line of ``usage`` bills."""


def meter_of(line: LineItem, prices: Mapping[str, Price]) -> str | None:
    """Return the id of the meter that the line's price bills, if it is known."""
    price = prices.get(line.price_id or "")
    return price.meter_id if price else None


def split_prorations(invoice: Invoice, lines: Iterable[LineItem], prices: Mapping[str, Price]) -> MeteredLines:
    """Divide an invoice's metered lines into usage and prorations."""
    lines = tuple(lines)
    credits_ = [line for line in lines if _is_credit(line)]
    used = {meter_of(line, prices) for line in lines if line not in credits_} - {None}
    corrections: list[LineItem] = []
    doubts: dict[str, str] = {}
    for line in lines:
        meter = meter_of(line, prices)
        if line in credits_:
            if meter in used:
                corrections.append(line)
            else:
                doubts[line.line_id] = CREDIT_ALONE
        elif _is_proration(line):
            same = [
                other for other in lines if meter is not None and meter_of(other, prices) == meter and other != line
            ]
            if doubt := _doubt(line, same, invoice):
                doubts[line.line_id] = doubt
            elif _corrects_money(line, same, prices):
                corrections.append(line)
    usage = tuple(line for line in lines if line not in corrections)
    return MeteredLines(usage=usage, corrections=tuple(corrections), doubts=doubts)


def _is_proration(line: LineItem) -> bool:
    return line.proration or line.parent is LineParent.INVOICE_ITEM


def _is_credit(line: LineItem) -> bool:
    negative = line.quantity is not None and line.quantity < 0
    return _is_proration(line) and (negative or (line.amount is not None and line.amount < 0))


def _cover(line: LineItem, same: Iterable[LineItem]) -> Cover:
    # A line of quantity 0 bills nothing, so it covers nothing.
    billed = (other.window for other in same if not _is_proration(other) and other.quantity != 0)
    return Cover.of(line.window, [window for window in billed if window]) if line.window else Cover.NONE


def _doubt(line: LineItem, same: list[LineItem], invoice: Invoice) -> str | None:
    """Return why it is unknown what a proration bills; None if it is usage, or a correction of money."""
    if line.window is None or line.quantity in (None, 0):
        return None
    match _cover(line, same):
        case Cover.WHOLE:
            # A credit that takes back exactly what the line bills leaves a change of the price only.
            offset = any(
                _is_credit(other)
                and other.quantity is not None
                and other.window == line.window
                and equal(other.quantity.copy_abs(), line.quantity)
                for other in same
            )
            return None if offset else TWICE
        case Cover.PART:
            return IN_PART
        case Cover.NONE:
            return AHEAD if line.window.end > invoice.created_at else None


def _corrects_money(line: LineItem, same: list[LineItem], prices: Mapping[str, Price]) -> bool:
    """Return whether a proration that is no credit and raises no doubt bills money for usage that other lines bill."""
    if line.window is None:
        return line.quantity == 0 and bool(same)
    if _cover(line, same) is not Cover.WHOLE:
        return False
    return line.quantity is not None or is_flat_fee(line, prices.get(line.price_id or ""))
