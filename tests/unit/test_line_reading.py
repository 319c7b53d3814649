"""Lines read together with their meter: tiers, packages, lagging drafts, several prices, aggregations, below zero."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.comparison.rules.verdicts import (
    BilledAs,
    MeterTotals,
    Reason,
    WindowResult,
)
from pacspace_stripe.usage.rules import (
    apply_meter,
    billed_figures,
    billed_usage,
    judge_below_zero,
    judge_by_formula,
    judge_lagging_lines,
    may_be_below_zero,
)
from pacspace_stripe.vocabulary.invoices import (
    Formula,
    LineItem,
    Package,
    Price,
)
from pacspace_stripe.vocabulary.quantities import equal
from tests.support.billed_lines import (
    FIRST,
    PLAIN,
    SECOND,
    SUPPORT,
    TIERED,
    TIERS,
    billed,
    bills,
    one,
)
from tests.support.examples import invoice, line, meter, price, result, usage

HUNDREDS = Package(size=Decimal(100), round_up=True)
PACKED = price(package=HUNDREDS)
quantities = st.decimals(min_value=0, max_value=10**12, allow_nan=False, places=6)


def totals(inner: str, outer: str | None = None) -> MeterTotals:
    return MeterTotals(inner=Decimal(inner), outer=Decimal(outer or inner))


# -- who has to ask the meter -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prices", "asks"), [((PLAIN,), False), ((TIERED,), True), ((PACKED,), True), ((price(tiered=True),), True)]
)
def test_only_tiers_and_packages_need_the_meter(prices: tuple[Price, ...], asks: bool) -> None:  # noqa: FBT001  # a column
    assert one(bills(), prices=prices).needs_meter is asks


def test_usage_with_a_problem_needs_no_meter() -> None:
    assert not one(bills(quantity=None), prices=(TIERED,)).needs_meter


# -- tiers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "summed", "kinds"),
    [
        pytest.param([("100", 300), ("34", 17)], "134", "uu", id="a line for each tier"),
        pytest.param([("100", 1200), ("34", 17)], "134", "uu", id="a fee inside its tier"),
        pytest.param([("100", 300), ("34", 17), ("1", 900)], "134", "uuf", id="a fee of its own"),
        pytest.param([("100", 300), ("34", 17), ("0", 900)], "134", "uuf", id="a fee of quantity 0"),
        pytest.param([("100", 300), ("34", 17), (None, 900)], "134", "uuf", id="a fee without a quantity"),
        pytest.param([("100", 300), ("1", 1)], "101", "uu", id="one unit in a tier"),
        pytest.param([("2", 900)], "2", "u", id="two units that cost as much as the fee"),
        pytest.param([("134", None)], "134", "u", id="no amount"),
    ],
)
def test_the_lines_of_tiers_add_up_without_their_fees(
    lines: list[tuple[str | None, int | None]], summed: str, kinds: str
) -> None:
    made = [bills(at, quantity, amount=amount) for at, (quantity, amount) in enumerate(lines)]
    only = one(*made, prices=(TIERED,))
    assert (only.quantity, only.problem) == (Decimal(summed), None)
    assert "".join(each.kind.value[0] for each in only.lines) == kinds


@pytest.mark.parametrize(
    ("meter_totals", "figure", "problem"),
    [
        pytest.param(totals("134"), "134", None, id="the same"),
        pytest.param(totals("130", "140"), "134", None, id="between whole minutes"),
        pytest.param(totals("134.0000000000001"), "134", None, id="the same double"),
        pytest.param(totals("133"), "134", Reason.UNKNOWN_SHAPE, id="less"),
        pytest.param(totals("135", "140"), "134", Reason.UNKNOWN_SHAPE, id="outside both"),
        pytest.param(None, "134", Reason.UNKNOWN_SHAPE, id="no whole minute in its period"),
    ],
)
def test_final_tiers_agree_with_their_meter_or_are_unknown(
    meter_totals: MeterTotals | None, figure: str, problem: Reason | None
) -> None:
    asked = apply_meter(one(bills(1, "100"), bills(2, "34"), prices=(TIERED,)), meter_totals, draft=False)
    assert (asked.quantity, asked.problem, asked.billed_as) == (Decimal(figure), problem, BilledAs.SUM)


def test_a_fee_that_costs_as_much_as_a_unit_is_not_guessed() -> None:
    tiers = (replace(TIERS[0], flat_amount=Decimal(3)), TIERS[1])
    unclear = one(bills(1, "99"), bills(2, "1", amount=3), prices=(price(tiered=True, tiers=tiers),))
    for meter_totals in (totals("100"), totals("99")):
        asked = apply_meter(unclear, meter_totals, draft=True)
        assert (asked.problem, asked.lags) == (Reason.UNKNOWN_SHAPE, False)
        assert "flat fee or one unit" in asked.detail


# -- packages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_line", "meter_totals", "figure", "billed_as"),
    [
        pytest.param("1234", totals("1234"), "1234", BilledAs.SUM, id="raw usage"),
        pytest.param("13", totals("1234"), "1234", BilledAs.METER, id="packages"),
        pytest.param("0", totals("0"), "0", BilledAs.SUM, id="nothing"),
        pytest.param("1", totals("1"), "1", BilledAs.SUM, id="both"),
        pytest.param("1234", totals("1230", "1240"), "1234", BilledAs.SUM, id="raw usage between whole minutes"),
        pytest.param("13", totals("1230", "1240"), None, None, id="packages between whole minutes"),
        pytest.param("12", totals("1234"), None, None, id="neither"),
        pytest.param("13.5", totals("1234"), None, None, id="a part of a package"),
    ],
)
def test_a_package_line_counts_usage_or_packages_as_its_meter_says(
    on_line: str, meter_totals: MeterTotals, figure: str | None, billed_as: BilledAs | None
) -> None:
    asked = apply_meter(one(bills(1, on_line), prices=(PACKED,)), meter_totals, draft=False)
    if figure is None:
        assert asked.problem is Reason.UNKNOWN_SHAPE
    else:
        assert (asked.quantity, asked.problem, asked.billed_as) == (Decimal(figure), None, billed_as)


def test_packages_may_be_rounded_down() -> None:
    down = price(package=replace(HUNDREDS, round_up=False))
    assert apply_meter(one(bills(1, "12"), prices=(down,)), totals("1234"), draft=False).quantity == Decimal(1234)


@given(quantities)
def test_a_package_line_gives_the_meters_figure_however_it_counts(used: Decimal) -> None:
    for on_line in (used, HUNDREDS.count(used)):
        asked = apply_meter(
            one(line(quantity=on_line), prices=(PACKED,)), MeterTotals(inner=used, outer=used), draft=False
        )
        assert (asked.quantity, asked.problem) == (used, None)


# -- drafts whose lines lag -------------------------------------------------------------------------------------------


def behind(
    meter_totals: MeterTotals,
    reason: Reason,
    recorded: str,
    *,
    strict: bool,
    on_line: str = "100",
    made: Price = TIERED,
) -> WindowResult:
    """Return the result of a draft of 100 whose meter has more."""
    asked = apply_meter(one(bills(1, on_line), prices=(made,)), meter_totals, draft=True)
    assert (asked.lags, asked.problem) == (True, None)
    return judge_lagging_lines(asked.result(reason, "", recorded=Decimal(recorded), count=1), asked, strict=strict)


def test_a_lagging_draft_takes_its_meters_figure_if_the_final_lines_are_read_again() -> None:
    seen = behind(totals("107"), Reason.EXACT, "107", strict=True)
    assert (seen.reason, seen.billed, seen.from_meter, seen.billed_as) == (
        Reason.EXACT,
        Decimal(107),
        True,
        BilledAs.METER,
    )


@pytest.mark.parametrize(
    ("meter_totals", "recorded", "strict", "found"),
    [
        pytest.param(totals("107"), "107", False, Reason.NOT_SETTLED, id="the final lines are not read again"),
        pytest.param(totals("107"), "100", True, Reason.NOT_SETTLED, id="the ledger has what the lines say"),
        pytest.param(totals("107"), "90", True, Reason.OVERBILLED, id="the ledger has neither"),
        pytest.param(totals("105", "110"), "90", True, Reason.OVERBILLED, id="by whole minutes"),
    ],
)
def test_a_lagging_draft_is_not_settled_otherwise(
    meter_totals: MeterTotals,
    recorded: str,
    strict: bool,  # noqa: FBT001  # a column of the table
    found: Reason,
) -> None:
    first = Reason.EXACT if recorded == "107" else Reason.OVERBILLED
    assert behind(meter_totals, first, recorded, strict=strict).reason is found


def test_lines_that_agree_with_the_ledger_but_not_with_the_meter_prove_nothing() -> None:
    seen = behind(totals("105", "110"), Reason.EXACT, "100", strict=True)
    assert (seen.reason, seen.from_meter) == (Reason.NOT_SETTLED, False)


def test_a_lagging_package_without_exact_minutes_is_unknown() -> None:
    asked = apply_meter(one(bills(1, "13"), prices=(PACKED,)), totals("1401", "1450"), draft=True)
    assert (asked.problem, asked.lags) == (Reason.UNKNOWN_SHAPE, False)


@given(quantities, quantities, st.booleans(), st.booleans())
def test_tiers_never_match_a_ledger_that_their_meter_contradicts(
    on_line: Decimal,
    on_meter: Decimal,
    draft: bool,  # noqa: FBT001  # drawn
    strict: bool,  # noqa: FBT001  # drawn
) -> None:
    asked = apply_meter(
        one(line(quantity=on_line), prices=(TIERED,)), MeterTotals(inner=on_meter, outer=on_meter), draft=draft
    )
    agrees = equal(on_line, on_meter)
    assert agrees == (asked.problem is None and not asked.lags)
    if asked.problem is None:
        seen = judge_lagging_lines(asked.result(Reason.EXACT, recorded=asked.quantity, count=1), asked, strict=strict)
        assert (seen.reason is Reason.EXACT) == (agrees or strict)


# -- several prices on one meter --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "prices", "figure"),
    [
        pytest.param([bills(1), bills(2, price_id="price_2")], (PLAIN, SUPPORT), "100", id="two prices"),
        pytest.param([bills(1, item_id="si_1"), bills(2, item_id="si_2")], (PLAIN,), "100", id="one price, two items"),
        pytest.param([bills(1), bills(2, "60", price_id="price_2")], (PLAIN, SUPPORT), None, id="unequal"),
        pytest.param(
            [bills(1, "60"), bills(2, "40"), bills(3, price_id="price_2")],
            (PLAIN, SUPPORT),
            "100",
            id="two lines of one",
        ),
    ],
)
def test_each_price_on_a_meter_bills_all_of_its_usage(
    lines: list[LineItem], prices: tuple[Price, ...], figure: str | None
) -> None:
    only = one(*lines, prices=prices)
    assert only.billed_as is BilledAs.EACH
    assert (only.quantity, only.problem) == (
        (None, Reason.UNKNOWN_SHAPE) if figure is None else (Decimal(figure), None)
    )
    assert len({each.price for each in only.lines}) == 2


@pytest.mark.parametrize(
    ("on_plain", "on_packed", "meter_totals", "problem"),
    [
        ("250", "3", totals("250"), None),
        ("250", "250", totals("250"), None),
        ("250", "4", totals("250"), Reason.UNKNOWN_SHAPE),
        ("249", "3", totals("250"), Reason.UNKNOWN_SHAPE),
        ("250", "260", totals("240", "270"), Reason.UNKNOWN_SHAPE),
    ],
)
def test_a_meter_decides_what_two_prices_count(
    on_plain: str, on_packed: str, meter_totals: MeterTotals, problem: Reason | None
) -> None:
    packed = price(price_id="price_2", package=HUNDREDS)
    both = one(bills(1, on_plain), bills(2, on_packed, price_id="price_2"), prices=(PLAIN, packed))
    assert apply_meter(both, meter_totals, draft=False).problem is problem


def test_two_prices_with_different_windows_are_two_results() -> None:
    first, second = billed(
        bills(1, "10", window=FIRST), bills(2, "20", price_id="price_2", window=SECOND), prices=(PLAIN, SUPPORT)
    )
    assert [(each.window, each.quantity, each.billed_as) for each in (first, second)] == [
        (FIRST, Decimal(10), BilledAs.SUM),
        (SECOND, Decimal(20), BilledAs.SUM),
    ]


# -- aggregations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "readings", "problem"),
    [
        (Formula.SUM, (), ""),
        (Formula.COUNT, (), ""),
        (Formula.LAST, (), "PACSPACE_STRIPE_READINGS if each record carries a reading"),
        (Formula.UNKNOWN, (), "aggregation"),
        (Formula.LAST, ("api_calls",), ""),
        (Formula.LAST, ("storage",), "PACSPACE_STRIPE_READINGS"),
        (Formula.SUM, ("api_calls",), "its meter bills a sum"),
        (Formula.UNKNOWN, ("api_calls",), "aggregation"),
    ],
)
def test_an_aggregation_is_compared_only_if_the_ledger_can_agree_with_it(
    formula: Formula, readings: tuple[str, ...], problem: str
) -> None:
    meters = {"mtr_1": meter(formula=formula)}
    (only,) = billed_usage(invoice(), {"price_1": PLAIN}, meters, "{customer}", readings=readings)
    assert (only.problem is Reason.UNKNOWN_SHAPE) == bool(problem)
    assert problem in only.detail


def test_seats_without_a_reading_in_the_period_are_unknown() -> None:
    missing = result(Reason.LEDGER_MISSING, recorded=Decimal(0), count=0)
    assert judge_by_formula(missing, usage(formula=Formula.LAST)).reason is Reason.UNKNOWN_SHAPE
    assert judge_by_formula(missing, usage()) == missing


# -- below zero, and meters that count --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recorded", "meter_totals", "reason", "figure"),
    [
        pytest.param("-5", totals("-5"), Reason.EXACT, "-5", id="the same"),
        pytest.param("-5", totals("-6", "-4"), Reason.EXACT, "-5", id="between whole minutes"),
        pytest.param("-5", totals("-4"), Reason.OVERBILLED, "0", id="another figure"),
        pytest.param("-5", totals("-6", "1"), Reason.OVERBILLED, "0", id="perhaps not below zero"),
        pytest.param("-5", totals("0"), Reason.OVERBILLED, "0", id="a meter at zero"),
        pytest.param("-5", None, Reason.OVERBILLED, "0", id="no answer"),
    ],
)
def test_a_meter_below_zero_bills_nothing(
    recorded: str, meter_totals: MeterTotals | None, reason: Reason, figure: str
) -> None:
    first = result(Reason.OVERBILLED, billed=Decimal(0), recorded=Decimal(recorded))
    assert may_be_below_zero(first)
    seen = judge_below_zero(first, meter_totals)
    assert (seen.reason, seen.billed) == (reason, Decimal(figure))
    assert (seen.billed_as is BilledAs.METER) == (reason is Reason.EXACT)


@pytest.mark.parametrize(("on_line", "recorded"), [("5", "-5"), ("0", "5"), ("0", "0")])
def test_only_a_meter_that_agrees_with_the_ledger_is_below_zero(on_line: str, recorded: str) -> None:
    assert not may_be_below_zero(result(billed=Decimal(on_line), recorded=Decimal(recorded)))


def test_a_figure_below_zero_names_what_is_billed() -> None:
    assert billed_figures([usage(quantity=Decimal(-5))]) == billed_figures([usage(quantity=Decimal(0))])


@pytest.mark.parametrize(
    ("formula", "count", "reason", "named"),
    [
        (Formula.COUNT, 100, Reason.UNDERBILLED, True),
        (Formula.COUNT, 99, Reason.UNDERBILLED, False),
        (Formula.SUM, 100, Reason.UNDERBILLED, False),
        (Formula.COUNT, 100, Reason.EXACT, False),
    ],
)
def test_a_count_of_reports_is_told_from_a_ledger_that_sums(
    formula: Formula,
    count: int,
    reason: Reason,
    named: bool,  # noqa: FBT001  # a column of the table
) -> None:
    seen = judge_by_formula(result(reason, count=count), usage(formula=formula))
    assert ("counts reports" in seen.detail) is named
