"""The ledger's sign: raw balances to usage and back."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.vocabulary.ledger import Unsettled, UsageSign
from pacspace_stripe.vocabulary.quantities import text

NEGATIVE, POSITIVE = UsageSign
balances = st.decimals(min_value=-(10**20), max_value=10**20, allow_nan=False, places=12)


@pytest.mark.parametrize(
    ("sign", "balance", "usage"),
    [
        (NEGATIVE, "-1250", "1250"),
        (NEGATIVE, "-42.50", "42.5"),
        (NEGATIVE, "3", "-3"),
        (NEGATIVE, "0", "0"),
        (NEGATIVE, "-0", "0"),
        (POSITIVE, "1250", "1250"),
        (POSITIVE, "-3", "-3"),
    ],
)
def test_usage_is_the_balance_with_its_sign(sign: UsageSign, balance: str, usage: str) -> None:
    assert text(sign.recorded_usage(Decimal(balance))) == usage


@pytest.mark.parametrize("sign", UsageSign)
@given(balance=balances)
def test_usage_turns_back_into_the_balance(sign: UsageSign, balance: Decimal) -> None:
    assert sign.raw_balance(sign.recorded_usage(balance)) == balance


@given(balances)
def test_the_two_signs_are_each_others_opposite(balance: Decimal) -> None:
    assert NEGATIVE.recorded_usage(balance) == POSITIVE.recorded_usage(balance).copy_negate()


def test_a_sign_loses_no_digit() -> None:
    long = Decimal("-1234567890123456789012345678901.5")
    with localcontext() as context:
        context.prec = 5
        assert text(NEGATIVE.recorded_usage(long)) == "1234567890123456789012345678901.5"


@pytest.mark.parametrize(("unverified", "gaps", "unsettled"), [(0, 0, False), (1, 0, True), (0, 1, True), (2, 3, True)])
def test_an_account_is_settled_when_nothing_waits_and_nothing_is_missing(
    unverified: int,
    gaps: int,
    unsettled: bool,  # noqa: FBT001  # a column of the table
) -> None:
    assert Unsettled(unverified=unverified, gaps=gaps).any is unsettled
