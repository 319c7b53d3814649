"""Quantities: exact decimals in a meter's own unit, compared as their sources keep them.

Both vendors keep doubles, of which 15 significant digits are exact (FACTS 4.3.1). So two quantities are equal if they
agree on these digits; a ``float`` never touches a quantity here.
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, localcontext

SIGNIFICANT_DIGITS = 15
_SOURCE = Context(prec=SIGNIFICANT_DIGITS, rounding=ROUND_HALF_EVEN)
_WIDE = 60
"""Digits of intermediate results: no sum of the usage on one invoice can lose one."""


def round_to_source(quantity: Decimal) -> Decimal:
    """Round a quantity to the significant digits that both sources keep."""
    return _SOURCE.plus(quantity)


def equal(left: Decimal, right: Decimal, *, tolerance: Decimal = Decimal(0)) -> bool:
    """Return whether two quantities agree on 15 significant digits, or differ there by no more than ``tolerance``.

    Two quantities that are closer than half of the last digit also agree if rounding would part them.
    """
    one, other = round_to_source(left), round_to_source(right)
    if one == other or (tolerance > 0 and subtract(one, other).copy_abs() <= tolerance):
        return True
    return subtract(left, right).copy_abs() <= max(_half_a_digit(one), _half_a_digit(other))


def _half_a_digit(quantity: Decimal) -> Decimal:
    """Return half of the value of a quantity's last significant digit."""
    return Decimal(5).scaleb(quantity.adjusted() - SIGNIFICANT_DIGITS) if quantity else Decimal(0)


def total(quantities: Iterable[Decimal]) -> Decimal:
    """Return the exact sum."""
    with localcontext() as context:
        context.prec = _WIDE
        return sum(quantities, Decimal(0))


def subtract(left: Decimal, right: Decimal) -> Decimal:
    """Return the exact difference."""
    with localcontext() as context:
        context.prec = _WIDE
        return left - right


def multiply(left: Decimal, right: Decimal) -> Decimal:
    """Return the exact product."""
    with localcontext() as context:
        context.prec = _WIDE
        return left * right


def divide(quantity: Decimal, unit: Decimal) -> Decimal:
    """Return the exact quotient; if there is none, the quotient rounded to the digits that both sources keep."""
    with localcontext() as context:
        context.prec = _WIDE
        context.clear_flags()
        quotient = quantity / unit
        if context.flags[Inexact]:
            return round_to_source(quotient)
        return quotient


def text(quantity: Decimal) -> str:
    """Return plain digits without an exponent and trailing zeros: ``1250``, ``0.1``."""
    if quantity == 0:
        return "0"
    with localcontext() as context:
        context.prec = _WIDE
        plain = format(quantity, "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain
