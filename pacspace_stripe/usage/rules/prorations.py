"""Prorations of metered items: those that bill usage, those that only correct money, and those that nobody can tell.

Pure. Flexible billing mode bills the usage of an item that is removed or replaced inside its period as an invoice
item; whether that line says ``proration`` is not documented (FACTS 12.3), so an invoice item of a metered price
is taken for one whatever it says. A proration is judged by the time that it bills: usage that no line of usage covers
is billed by nobody else, and is compared in a window of its own.

    no line of usage covers its window        usage
    lines of usage cover a part of it         not known: held
    lines of usage cover all of it            a correction if it bills no quantity, or if a credit of the same quantity
                                              and window stands beside it; else held: it would bill usage twice
    a credit                                  a correction of money beside usage of its meter; held without any
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pacspace_stripe.usage.rules.line_reading import is_flat_fee
from pacspace_stripe.vocabulary.invoices import Invoice, LineItem, LineParent, Price
from pacspace_stripe.vocabulary.quantities import equal
from pacspace_stripe.vocabulary.windows import Window

CREDIT_ALONE = "a credit proration of a metered item, and no line of its usage"
IN_PART = "a proration of a time that other lines of its meter bill in part: what it bills is not known"
TWICE = "a proration bills usage of a time that other lines of its meter bill already"
AHEAD = "a proration of a metered item for a time that was not over when it was billed"


class Cover(StrEnum):
    """Return how much of a window other windows cover together."""

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
class Apart:
    """An invoice's metered lines, told apart by what they bill."""

    usage: tuple[LineItem, ...]
    """Lines whose quantities are compared, and those that no rule covers."""
    corrections: tuple[LineItem, ...]
    """Prorations that correct money only: their quantities count for nothing."""
    doubts: Mapping[str, str]
    """By line id: why what a line of ``usage`` bills is not known."""


def meter_of(line: LineItem, prices: Mapping[str, Price]) -> str | None:
    """Return the id of the meter that the line's price bills, if it is known."""
    price = prices.get(line.price_id or "")
    return price.meter_id if price else None


def told_apart(invoice: Invoice, lines: Iterable[LineItem], prices: Mapping[str, Price]) -> Apart:
    """Tell the prorations among an invoice's metered lines from its usage."""
    lines = tuple(lines)
    plain = [line for line in lines if not _is_proration(line)]
    prorations = [line for line in lines if _is_proration(line)]
    corrections: list[LineItem] = []
    doubts: dict[str, str] = {}
    for line in prorations:
        if _is_credit(line):
            continue
        meter = meter_of(line, prices)
        same = [other for other in lines if meter is not None and meter_of(other, prices) == meter and other != line]
        doubt = _doubt(line, same, invoice)
        if doubt:
            doubts[line.line_id] = doubt
        elif _corrects(line, same, prices):
            corrections.append(line)
    used = {meter_of(line, prices) for line in (*plain, *prorations) if not _is_credit(line)} - {None}
    for line in prorations:
        if _is_credit(line) and meter_of(line, prices) in used:
            corrections.append(line)
        elif _is_credit(line):
            doubts[line.line_id] = CREDIT_ALONE
    usage = tuple(line for line in lines if line not in corrections)
    return Apart(usage=usage, corrections=tuple(corrections), doubts=doubts)


def _is_proration(line: LineItem) -> bool:
    return line.proration or line.parent is LineParent.INVOICE_ITEM


def _is_credit(line: LineItem) -> bool:
    negative = line.quantity is not None and line.quantity < 0
    return _is_proration(line) and (negative or (line.amount is not None and line.amount < 0))


def _cover(line: LineItem, same: Iterable[LineItem]) -> Cover:
    """A line of quantity 0 bills nothing, so it covers nothing."""
    billed = (other.window for other in same if not _is_proration(other) and other.quantity != 0)
    return Cover.of(line.window, [window for window in billed if window]) if line.window else Cover.NONE


def _doubt(line: LineItem, same: list[LineItem], invoice: Invoice) -> str | None:
    if line.window is None or line.quantity in (None, 0):
        return None
    match _cover(line, same):
        case Cover.WHOLE:
            return None if any(_offsets(other, line) for other in same) else TWICE
        case Cover.PART:
            return IN_PART
        case Cover.NONE:
            return AHEAD if line.window.end > invoice.created_at else None


def _offsets(credit: LineItem, line: LineItem) -> bool:
    """Return whether a credit takes back exactly what the line bills, so that only the price changes."""
    if not _is_credit(credit) or credit.quantity is None or line.quantity is None:
        return False
    return credit.window == line.window and equal(credit.quantity.copy_abs(), line.quantity)


def _corrects(line: LineItem, same: list[LineItem], prices: Mapping[str, Price]) -> bool:
    """Return whether a proration that is no credit and raises no doubt bills money for usage that other lines bill."""
    if line.window is None:
        return line.quantity == 0 and bool(same)
    if _cover(line, same) is not Cover.WHOLE:
        return False
    return line.quantity is not None or is_flat_fee(line, prices.get(line.price_id or ""))
