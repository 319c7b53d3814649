"""Money as Stripe keeps it: whole minor units of a currency, never a float.

Stripe has its own table of minor units (docs.stripe.com/currencies), which departs from ISO 4217: ISK and UGX have no
minor unit, and Stripe still counts them in hundredths.
"""

from collections.abc import Iterable
from dataclasses import dataclass

_NO_DECIMALS = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"}
)
_THREE_DECIMALS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """``amount`` in minor units of ``currency``, Stripe's three letters in lower case."""

    amount: int
    currency: str

    def __str__(self) -> str:
        """Return the amount for people: ``1,234.50 EUR``, ``500 JPY``."""
        number, _, code = self.plain.partition(" ")
        whole, point, part = number.partition(".")
        sign = "-" if whole.startswith("-") else ""
        return f"{sign}{int(whole.removeprefix('-')):,}{point}{part} {code}"

    @property
    def plain(self) -> str:
        """The amount for machines, without separated thousands: ``1234.50 EUR``, ``500 JPY``."""
        code = self.currency.upper()
        digits = decimals(code)
        if digits == 0:
            return f"{self.amount} {code}"
        whole, part = divmod(abs(self.amount), 10**digits)
        return f"{'-' if self.amount < 0 else ''}{whole}.{part:0{digits}} {code}"


def decimals(currency: str) -> int:
    """Return the number of decimals of Stripe's minor unit of a currency."""
    code = currency.upper()
    if code in _NO_DECIMALS:
        return 0
    return 3 if code in _THREE_DECIMALS else 2


def totals(amounts: Iterable[Money | None]) -> tuple[Money, ...]:
    """Return the exact sum per currency, in alphabetical order: different currencies never add up."""
    sums: dict[str, int] = {}
    for money in amounts:
        if money is not None:
            sums[money.currency] = sums.get(money.currency, 0) + money.amount
    return tuple(Money(amount=sums[currency], currency=currency) for currency in sorted(sums))


def join_amounts(amounts: Iterable[Money]) -> str:
    """Return amounts of several currencies side by side: ``120.00 EUR + 500 JPY``; ``-`` for none."""
    return " + ".join(map(str, amounts)) or "-"
