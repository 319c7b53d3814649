"""Quantities: exact decimals, equal as far as a double keeps them."""

from decimal import Decimal, getcontext, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.vocabulary.quantities import equal, round_to_source, subtract, text, total

usages = st.decimals(min_value=0, max_value=10**15, allow_nan=False, places=6)
signed = st.decimals(min_value=-(10**18), max_value=10**18, allow_nan=False, places=12)
tolerances = st.decimals(min_value=0, max_value=1000, allow_nan=False, places=3)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("1250", "1250.000"),
        ("0", "-0"),
        ("0", "0E+5"),
        ("1E+3", "1000"),
        ("0.3", "0.30000000000000004"),
        ("100.1", "100.099999999999994"),
        ("123456789012345", "123456789012345.4"),
        ("123456789012345678", "123456789012345700"),
    ],
)
def test_quantities_that_one_double_holds_are_equal(left: str, right: str) -> None:
    assert equal(Decimal(left), Decimal(right))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("1250", "1251"),
        ("0", "0.000000000001"),
        ("0", "1E-30"),
        ("100", "-100"),
        ("123456789012345", "123456789012346"),
        ("0.123456789012345", "0.123456789012346"),
        ("1000000000000.01", "1000000000000.02"),
    ],
)
def test_fifteen_digits_count(left: str, right: str) -> None:
    assert not equal(Decimal(left), Decimal(right))


@pytest.mark.parametrize(
    ("left", "right", "tolerance", "agree"),
    [
        pytest.param("100", "101", "1", True, id="a difference of the tolerance itself"),
        pytest.param("101", "100", "1", True, id="the other way round"),
        pytest.param("100", "101.000001", "1", False, id="a little more"),
        pytest.param("0", "0.5", "0.5", True, id="nothing on one side"),
        pytest.param("0.2", "0.30000000000000004", "0.1", True, id="a double's last bit is no difference"),
        pytest.param("0.3", "0.20000000000000001", "0.1", True, id="on either side"),
        pytest.param("1", "2", "0", False, id="no tolerance"),
        pytest.param("123456789012345", "123456789012346", "1", True, id="at the fifteenth digit"),
    ],
)
def test_a_tolerance_is_the_largest_difference_that_is_accepted(
    left: str,
    right: str,
    tolerance: str,
    agree: bool,  # noqa: FBT001  # a column of the table
) -> None:
    assert equal(Decimal(left), Decimal(right), tolerance=Decimal(tolerance)) is agree


@given(signed, signed, tolerances)
def test_agreement_is_symmetric(left: Decimal, right: Decimal, tolerance: Decimal) -> None:
    assert equal(left, right, tolerance=tolerance) == equal(right, left, tolerance=tolerance)


@given(signed, tolerances)
def test_a_quantity_agrees_with_itself(quantity: Decimal, tolerance: Decimal) -> None:
    assert equal(quantity, quantity, tolerance=tolerance)


@given(usages, usages, tolerances, tolerances)
def test_a_wider_tolerance_accepts_everything_that_a_narrower_one_accepts(
    left: Decimal, right: Decimal, one: Decimal, other: Decimal
) -> None:
    narrow, wide = sorted([one, other])
    assert equal(left, right, tolerance=wide) or not equal(left, right, tolerance=narrow)


@given(st.floats(min_value=-1e15, max_value=1e15, allow_nan=False))
def test_a_double_and_its_fifteen_digits_are_one_quantity(kept: float) -> None:
    assert equal(Decimal(kept), Decimal(f"{kept:.15g}"))


@given(signed)
def test_rounding_twice_is_rounding_once(quantity: Decimal) -> None:
    assert round_to_source(round_to_source(quantity)) == round_to_source(quantity)


@given(st.lists(usages, max_size=50))
def test_a_sum_is_exact(quantities: list[Decimal]) -> None:
    millionths = sum(int(quantity.scaleb(6)) for quantity in quantities)
    assert total(quantities).scaleb(6) == millionths


def test_a_sum_of_nothing_is_zero() -> None:
    assert total([]) == 0


def test_a_great_and_a_tiny_quantity_are_summed_without_loss() -> None:
    assert text(total([Decimal("1E+15"), Decimal("1E-12")])) == "1000000000000000.000000000001"


@given(signed, signed)
def test_a_subtracted_quantity_can_be_added_again(left: Decimal, right: Decimal) -> None:
    assert total([subtract(left, right), right]) == left


def test_the_callers_decimal_precision_does_not_matter() -> None:
    with localcontext() as context:
        context.prec = 3
        assert text(total([Decimal("1234.5"), Decimal("0.25")])) == "1234.75"
        assert text(subtract(Decimal("1234.5"), Decimal("0.25"))) == "1234.25"
        assert not equal(Decimal(1234), Decimal(1235))
        assert not equal(Decimal("1234.5"), Decimal("1233.25"), tolerance=Decimal("1.2"))
    assert getcontext().prec == 28


@pytest.mark.parametrize(
    ("quantity", "written"),
    [
        ("1250", "1250"),
        ("1250.00", "1250"),
        ("1E+3", "1000"),
        ("0", "0"),
        ("-0.00", "0"),
        ("0E-9", "0"),
        ("0.10", "0.1"),
        ("1E-12", "0.000000000001"),
        ("-42.50", "-42.5"),
        ("100", "100"),
    ],
)
def test_a_quantity_is_written_in_plain_digits(quantity: str, written: str) -> None:
    assert text(Decimal(quantity)) == written


@given(signed)
def test_a_written_quantity_reads_back_exactly(quantity: Decimal) -> None:
    written = text(quantity)
    assert Decimal(written) == quantity
    assert "E" not in written


@given(signed, st.integers(min_value=0, max_value=5))
def test_equal_quantities_are_written_alike(quantity: Decimal, zeros: int) -> None:
    assert text(quantity) == text(Decimal(f"{quantity:f}{'0' * zeros}"))
