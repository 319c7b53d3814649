"""Money is whole minor units, and different currencies never add up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.vocabulary.money import Money, decimals, join_amounts, totals


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (123450, "eur", "1,234.50 EUR"),
        (5, "usd", "0.05 USD"),
        (0, "usd", "0.00 USD"),
        (-5, "usd", "-0.05 USD"),
        (-100, "usd", "-1.00 USD"),
        (500, "jpy", "500 JPY"),
        (-3, "krw", "-3 KRW"),
        (5120, "kwd", "5.120 KWD"),
        (500, "isk", "5.00 ISK"),
        (500, "ugx", "5.00 UGX"),
        (9_007_199_254_740_993, "usd", "90,071,992,547,409.93 USD"),
    ],
)
def test_money_is_written_with_the_currencys_own_decimals(amount: int, currency: str, shown: str) -> None:
    assert str(Money(amount=amount, currency=currency)) == shown


def test_totals_are_per_currency_and_in_a_fixed_order() -> None:
    found = totals(
        [Money(amount=1, currency="usd"), None, Money(amount=7, currency="jpy"), Money(amount=2, currency="usd")]
    )
    assert found == (Money(amount=7, currency="jpy"), Money(amount=3, currency="usd"))
    assert join_amounts(found) == "7 JPY + 0.03 USD"
    assert join_amounts(()) == "-"


@given(st.lists(st.integers(-(10**18), 10**18)), st.sampled_from(["usd", "jpy", "bhd"]))
def test_no_minor_unit_is_ever_lost(amounts: list[int], currency: str) -> None:
    (total,) = totals(Money(amount=amount, currency=currency) for amount in amounts) or (
        Money(amount=0, currency=currency),
    )
    assert total.amount == sum(amounts)
    shown, _, code = total.plain.partition(" ")
    assert code == currency.upper()
    assert int(shown.replace(".", "")) == total.amount
    assert len(shown.partition(".")[2]) == decimals(currency)
    assert str(total).replace(",", "") == total.plain
