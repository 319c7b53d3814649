"""Amounts: exact decimals inside, and IEEE doubles on the wire if a world asks for them."""

from collections.abc import Iterable
from decimal import Context, Decimal, Inexact

MAX_MAGNITUDE = Decimal(1_000_000_000)
"""Largest magnitude (CONTRACT 1.9). PacSpace does not say if the bounds are inside; the simulator lets them in."""

MAX_DIGITS = 800
"""Largest number of digits, beyond that of any double, so that exact sums stay finite."""

_EXACT = Context(prec=4 * MAX_DIGITS, Emax=9_999, Emin=-9_999, traps=[Inexact])

_JAVASCRIPT_SWITCHES_TO_EXPONENTS = 1e21

Number = Decimal | float


def total(amounts: Iterable[Decimal], *, start: Decimal = Decimal(0)) -> Decimal:
    """Return the exact sum, never rounded."""
    result = start
    for amount in amounts:
        result = _EXACT.add(result, amount)
    return result


def total_of_doubles(amounts: Iterable[Decimal], *, start: Decimal = Decimal(0)) -> float:
    """Return the sum as a service of IEEE doubles makes it, one by one, rounding at each step."""
    result = float(start)
    for amount in amounts:
        result += float(amount)
    return result


def negated(amount: Decimal) -> Decimal:
    """Return exactly minus ``amount``."""
    return amount.copy_negate()


def refused_delta(amount: Decimal) -> str | None:
    """Return the reason for which PacSpace would refuse this delta, or None."""
    if not amount.is_finite():
        return "delta must be a finite number"
    if float(amount) == 0:
        return "delta must not be zero"
    if abs(amount) > MAX_MAGNITUDE:
        return "delta must be between -1000000000 and 1000000000"
    if len(amount.as_tuple().digits) > MAX_DIGITS:
        return f"delta must not have more than {MAX_DIGITS} digits"
    return None


def plain_digits(amount: Decimal) -> str:
    """Return the shortest plain spelling: ``-42.50`` and ``-4.25E1`` are both ``-42.5``."""
    text = f"{amount:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"-0", ""} else text


def double_as_json(value: float) -> Number:
    """Return a double as JavaScript writes it: whole numbers without a fraction."""
    return int(value) if value.is_integer() and abs(value) < _JAVASCRIPT_SWITCHES_TO_EXPONENTS else value
