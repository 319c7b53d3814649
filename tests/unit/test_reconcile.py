"""The comparison: what is compared with what, and what a difference means."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.comparison.rules.reconcile import after_compare, after_verify, compare_figures, confirm_difference
from pacspace_stripe.comparison.rules.verdicts import BilledLine, MeterTotals, Reason, Verdict, WindowResult
from pacspace_stripe.usage.rules import (
    BilledUsage,
    billed_figures,
    billed_usage,
    ledger_account,
    metered_lines,
    same_figures,
    shared_accounts,
)
from pacspace_stripe.vocabulary.invoices import Formula, Invoice, LineItem, LineParent, Meter, Price, UsageType
from pacspace_stripe.vocabulary.ledger import Comparison, ProofSummary, Unsettled, UsageSign
from pacspace_stripe.vocabulary.quantities import text
from pacspace_stripe.vocabulary.windows import Window
from tests.support.examples import (
    METER,
    NOTHING_UNSETTLED,
    NOVEMBER,
    OCTOBER,
    ROOT,
    Change,
    balance,
    invoice,
    line,
    meter,
    price,
    proof,
    result,
    usage,
)

PRICES = {"price_1": price()}
METERS = {"mtr_1": meter()}
TEMPLATE = "{customer}"
NONE = Decimal(0)

NO_PRICE: dict[str, Change] = {"price_id": None, "subscription_id": None, "parent": LineParent.INVOICE_ITEM}

quantities = st.decimals(min_value=0, max_value=10**12, allow_nan=False, places=6)
signs = st.sampled_from(UsageSign)


def billed(
    *lines: LineItem,
    prices: dict[str, Price] | None = None,
    meters: dict[str, Meter] | None = None,
    template: str = TEMPLATE,
    **changes: dict[str, str],
) -> tuple[BilledUsage, ...]:
    made = invoice(line_items=lines, **changes)
    return billed_usage(made, prices or PRICES, METERS if meters is None else meters, template)


# -- which lines ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prices", "changes", "ours"),
    [
        pytest.param({"price_1": price()}, {}, True, id="metered"),
        pytest.param({"price_1": price(usage_type=UsageType.LICENSED, meter_id=None)}, {}, False, id="licensed"),
        pytest.param({"price_1": price(usage_type=UsageType.NONE, meter_id=None)}, {}, False, id="one-off"),
        pytest.param({"price_1": price(usage_type=UsageType.UNKNOWN)}, {}, True, id="of a kind we do not know"),
        pytest.param({}, {}, True, id="of a price that cannot be read"),
        pytest.param({}, NO_PRICE | {"parent": LineParent.SUBSCRIPTION_ITEM}, True, id="of an item, without a price"),
        pytest.param({}, NO_PRICE, False, id="a plain amount"),
    ],
)
def test_a_line_is_ours_when_it_is_metered_or_might_be(
    prices: dict[str, Price],
    changes: dict[str, Change],
    ours: bool,  # noqa: FBT001  # a column of the table
) -> None:
    only = line(**changes)
    assert metered_lines(invoice(line_items=(only,)), prices) == ((only,) if ours else ())


def test_an_invoice_without_metered_lines_bills_no_usage() -> None:
    assert billed(line(**NO_PRICE), line(2, **NO_PRICE)) == ()


def test_a_line_bills_its_quantity_in_its_own_period() -> None:
    (only,) = billed(line())
    assert replace(only, price_lines=()) == usage()


def ids_of(lines: tuple[BilledLine, ...]) -> list[str]:
    return [line.line_id for line in lines]


def test_lines_of_one_meter_and_window_are_summed_exactly() -> None:
    (only,) = billed(line(1, quantity=Decimal("0.1")), line(2, quantity=Decimal("0.2")))
    assert (only.quantity, ids_of(only.lines), only.problem) == (Decimal("0.3"), ["il_1", "il_2"], None)


def test_every_window_stands_alone() -> None:
    first, second = billed(line(1), line(2, window=NOVEMBER, quantity=Decimal(7)))
    assert (first.window, first.quantity) == (OCTOBER, Decimal(100))
    assert (second.window, second.quantity) == (NOVEMBER, Decimal(7))


def test_every_meter_stands_alone() -> None:
    usages = billed(
        line(1),
        line(2, price_id="price_2", quantity=Decimal(7)),
        prices=PRICES | {"price_2": price(price_id="price_2", meter_id="mtr_2")},
        meters=METERS | {"mtr_2": meter(meter_id="mtr_2", event_name="storage")},
        template="{customer}:{meter}",
    )
    assert [(one.account, one.quantity, one.problem) for one in usages] == [
        ("cus_1:api_calls", Decimal(100), None),
        ("cus_1:storage", Decimal(7), None),
    ]


@given(st.lists(quantities, min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_the_order_of_lines_changes_no_figure(amounts: list[Decimal], random: object) -> None:
    lines = [line(number, quantity=amount) for number, amount in enumerate(amounts)]
    shuffled = list(lines)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis' own Random
    assert billed_figures(billed(*lines)) == billed_figures(billed(*shuffled))


# -- shapes that are not compared ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "prices", "meters"),
    [
        pytest.param((line(),), {"price_2": price()}, METERS, id="its price could not be read"),
        pytest.param((line(),), {"price_1": price(usage_type=UsageType.UNKNOWN)}, METERS, id="usage type is not known"),
        pytest.param((line(),), {"price_1": price(meter_id=None)}, METERS, id="without a meter"),
        pytest.param((line(),), PRICES, {"mtr_2": meter()}, id="its meter could not be read"),
        pytest.param((line(),), PRICES, {"mtr_1": meter(formula=Formula.UNKNOWN)}, id="aggregation"),
        pytest.param((line(proration=True, amount=-1),), PRICES, METERS, id="credit proration"),
        pytest.param((line(),), PRICES, {"mtr_1": meter(formula=Formula.LAST)}, id="the last value reported"),
        pytest.param((line(quantity=None),), PRICES, METERS, id="without a quantity"),
        pytest.param((line(), line(2, quantity=None)), PRICES, METERS, id="a line without a quantity"),
        pytest.param((line(quantity=Decimal(-1)),), PRICES, METERS, id="negative"),
        pytest.param((line(), line(2, quantity=Decimal(-1))), PRICES, METERS, id="a negative quantity"),
        pytest.param((line(window=None),), PRICES, METERS, id="without a period"),
        pytest.param(
            (line(), line(2, price_id="price_2", quantity=Decimal(60))),
            PRICES | {"price_2": price(price_id="price_2")},
            METERS,
            id="not the same usage for the same time: price_1 100, price_2 60",
        ),
    ],
)
def test_what_the_rules_do_not_cover_is_an_unknown_shape(
    lines: tuple[LineItem, ...], prices: dict[str, Price], meters: dict[str, Meter], request: pytest.FixtureRequest
) -> None:
    (only,) = billed(*lines, prices=prices, meters=meters)
    assert only.problem is Reason.UNKNOWN_SHAPE
    assert request.node.callspec.id in only.detail


def test_a_figure_with_a_part_missing_is_no_figure() -> None:
    (only,) = billed(line(), line(2, quantity=None))
    assert only.quantity is None
    assert list(billed_figures([only]).values()) == ["unknown"]


def test_an_unknown_line_does_not_hide_a_known_one() -> None:
    usages = billed(line(1), line(2, price_id="price_unread"))
    assert [one.problem for one in usages] == [Reason.UNMAPPED, Reason.UNKNOWN_SHAPE]


# -- the ledger account ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "metadata", "name", "account"),
    [
        pytest.param("{customer}", {}, METER, "cus_1", id="the customer by default"),
        pytest.param("{customer}:{meter}", {}, METER, "cus_1:api_calls", id="the meter's event name"),
        pytest.param("eu-{customer}", {}, METER, "eu-cus_1", id="with a prefix"),
        pytest.param("fixed", {}, METER, "fixed", id="one for all"),
        pytest.param("{customer}", {"pacspace_customer_id": "acme"}, METER, "acme", id="the subscription's own first"),
        pytest.param("{customer}", {"pacspace_customer_id": ""}, METER, "cus_1", id="an empty one is none"),
        pytest.param("{customer}", {"other": "acme"}, METER, "cus_1", id="other metadata does not matter"),
        pytest.param("{customer}", {"pacspace_customer_id": "a b"}, METER, None, id="one that PacSpace would refuse"),
        pytest.param("{customer}", {"pacspace_customer_id": " "}, METER, None, id="a blank is not nothing"),
        pytest.param("{customer}", {"pacspace_customer_id": "x" * 129}, METER, None, id="one that is too long"),
        pytest.param("{customer}", {"pacspace_customer_id": "a\n"}, METER, None, id="one with a line end"),
        pytest.param("{customer}:{meter}", {}, "api calls", None, id="a meter with a space in its name"),
        pytest.param("{customer}:{meter}", {}, None, None, id="a meter that is not known"),
        pytest.param("{customer}", {}, None, "cus_1", id="no meter asked for"),
        pytest.param("{meter}", {}, "{customer}", None, id="a name is not a template"),
    ],
)
def test_usage_is_looked_for_on_one_ledger_account(
    template: str, metadata: dict[str, str], name: str | None, account: str | None
) -> None:
    assert ledger_account(template, customer_id="cus_1", meter=name, metadata=metadata) == account


def test_usage_without_a_ledger_account_is_unmapped() -> None:
    (only,) = billed(line(), subscription_metadata={"pacspace_customer_id": "not legal"})
    assert (only.problem, only.account) == (Reason.UNMAPPED, None)
    assert "metadata" in only.detail


def test_several_meters_on_one_account_are_unmapped() -> None:
    usages = billed(
        line(1),
        line(2, price_id="price_2"),
        line(3, window=NOVEMBER),
        prices=PRICES | {"price_2": price(price_id="price_2", meter_id="mtr_2")},
        meters=METERS | {"mtr_2": meter(meter_id="mtr_2", event_name="storage")},
    )
    assert [one.problem for one in usages] == [Reason.UNMAPPED] * 3


def test_one_meter_in_several_windows_has_its_account_to_itself() -> None:
    assert [one.problem for one in billed(line(1), line(2, window=NOVEMBER))] == [None, None]


@pytest.mark.parametrize(
    ("uses", "shared"),
    [
        ([], set()),
        ([("a", "one"), ("a", "one")], set()),
        ([("a", "one"), ("a", "two"), ("b", "one")], {"a"}),
        ([(None, "one"), (None, "two")], set()),
    ],
)
def test_an_account_is_shared_by_two_meters_or_more(uses: list[tuple[str | None, str]], shared: set[str]) -> None:
    assert shared_accounts(uses) == shared


# -- the first look --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_invoice", "in_ledger", "count", "tolerance", "reason"),
    [
        pytest.param("100", "-100", 4, "0", Reason.EXACT, id="the same"),
        pytest.param("0.3", "-0.30000000000000004", 3, "0", Reason.EXACT, id="the same double"),
        pytest.param("0", "0", 0, "0", Reason.ZERO, id="nothing of nothing"),
        pytest.param("0", "-0", 0, "0", Reason.ZERO, id="a negative zero"),
        pytest.param("0", "0", 2, "0", Reason.EXACT, id="records that cancel"),
        pytest.param("100", "-99", 4, "1", Reason.WITHIN_TOLERANCE, id="tolerated"),
        pytest.param("100", "-98.999", 4, "1", Reason.OVERBILLED, id="not tolerated"),
        pytest.param("100", "-99", 4, "0", Reason.OVERBILLED, id="too much billed"),
        pytest.param("99", "-100", 4, "0", Reason.UNDERBILLED, id="too little billed"),
        pytest.param("0", "-100", 4, "0", Reason.STRIPE_MISSING, id="nothing billed"),
        pytest.param("100", "0", 0, "0", Reason.LEDGER_MISSING, id="nothing recorded"),
        pytest.param("100", "0", 2, "0", Reason.LEDGER_MISSING, id="nothing recorded in sum"),
        pytest.param("100", "100", 4, "0", Reason.OVERBILLED, id="the other sign"),
        pytest.param("0.000000000001", "0", 0, "0", Reason.LEDGER_MISSING, id="the smallest usage"),
        pytest.param("123456789012345", "-123456789012346", 9, "0", Reason.UNDERBILLED, id="the fifteenth digit"),
    ],
)
def test_a_line_agrees_with_the_ledger_or_differs(
    on_invoice: str, in_ledger: str, count: int, tolerance: str, reason: Reason
) -> None:
    seen = compare_figures(
        usage(quantity=Decimal(on_invoice)), balance(in_ledger, count), UsageSign.NEGATIVE, Decimal(tolerance)
    )
    assert (seen.reason, seen.billed, seen.count) == (reason, Decimal(on_invoice), count)
    assert seen.recorded == -Decimal(in_ledger)
    assert bool(seen.detail) == (reason not in (Reason.EXACT, Reason.ZERO))


def test_a_positive_ledger_is_compared_as_it_is() -> None:
    assert compare_figures(usage(), balance("100"), UsageSign.POSITIVE, NONE).reason is Reason.EXACT


def test_a_difference_says_how_much_and_where() -> None:
    detail = compare_figures(usage(), balance("-98.5"), UsageSign.NEGATIVE, NONE).detail
    assert detail == "billed 100, recorded 98.5: differs by 1.5"


def test_a_ledger_of_the_other_sign_is_told() -> None:
    assert "PACSPACE_STRIPE_USAGE_SIGN" in compare_figures(usage(), balance("100"), UsageSign.NEGATIVE, NONE).detail


def test_a_tolerance_that_was_used_is_told() -> None:
    detail = compare_figures(usage(), balance("-99"), UsageSign.NEGATIVE, Decimal("1.50")).detail
    assert detail == "differs by 1, tolerated up to 1.5"


def test_usage_with_a_problem_is_never_compared() -> None:
    with pytest.raises(ValueError, match="never compared"):
        compare_figures(usage(quantity=None, problem=Reason.UNKNOWN_SHAPE), balance(), UsageSign.NEGATIVE, NONE)


@given(quantities, quantities, signs)
def test_a_match_means_equal_figures_and_equal_figures_match(
    on_line: Decimal, on_ledger: Decimal, sign: UsageSign
) -> None:
    seen = compare_figures(usage(quantity=on_line), balance(sign.raw_balance(on_ledger)), sign, NONE)
    assert (seen.reason.verdict is Verdict.MATCHED) == (
        f"{on_line:.15g}" == f"{on_ledger:.15g}" or on_line == on_ledger
    )


@given(quantities, quantities, quantities, signs)
def test_a_tolerance_turns_a_drift_into_a_match_and_never_the_reverse(
    on_line: Decimal, on_ledger: Decimal, tolerance: Decimal, sign: UsageSign
) -> None:
    ledger = balance(sign.raw_balance(on_ledger))
    exact, tolerant = (compare_figures(usage(quantity=on_line), ledger, sign, limit) for limit in (NONE, tolerance))
    if exact.reason.verdict is Verdict.MATCHED:
        assert tolerant == exact
    elif tolerant.reason.verdict is Verdict.MATCHED:
        assert tolerant.reason is Reason.WITHIN_TOLERANCE
        assert abs(on_line - on_ledger) <= tolerance + Decimal("0.001")


# -- the second look -------------------------------------------------------------------------------------------------


def different(on_line: str = "90", on_ledger: str = "100") -> WindowResult:
    return compare_figures(usage(quantity=Decimal(on_line)), balance(f"-{on_ledger}"), UsageSign.NEGATIVE, NONE)


def totals(inner: str, outer: str | None = None) -> MeterTotals:
    return MeterTotals(inner=Decimal(inner), outer=Decimal(outer or inner))


@pytest.mark.parametrize("unsettled", [Unsettled(unverified=1, gaps=0), Unsettled(unverified=0, gaps=1)])
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("meter_now", [None, totals("100"), totals("90")])
def test_a_difference_while_the_ledger_settles_is_no_drift(
    unsettled: Unsettled,
    meter_now: MeterTotals | None,
    strict: bool,  # noqa: FBT001  # a column of the table
) -> None:
    seen = confirm_difference(different(), unsettled, meter_now, strict=strict)
    assert seen.reason is Reason.NOT_SETTLED
    assert str(max(unsettled.unverified, unsettled.gaps)) in seen.detail


@pytest.mark.parametrize(
    ("meter_now", "tolerance", "reason", "figure"),
    [
        pytest.param(None, "0", Reason.UNDERBILLED, "90", id="the lines are final"),
        pytest.param(totals("90"), "0", Reason.UNDERBILLED, "90", id="the meter says what the line says"),
        pytest.param(totals("100"), "0", Reason.EXACT, "100", id="the meter has what the ledger has"),
        pytest.param(totals("99.9999999999999991"), "0", Reason.EXACT, "100", id="in fifteen digits"),
        pytest.param(totals("99", "101"), "0", Reason.EXACT, "100", id="between its whole minutes"),
        pytest.param(totals("101", "99"), "0", Reason.EXACT, "100", id="in any order"),
        pytest.param(totals("90", "99"), "0", Reason.UNDERBILLED, "90", id="outside both"),
        pytest.param(totals("101", "110"), "0", Reason.UNDERBILLED, "90", id="outside both, above"),
        pytest.param(totals("99"), "1", Reason.WITHIN_TOLERANCE, "99", id="the meter within the tolerance"),
        pytest.param(totals("101"), "1", Reason.WITHIN_TOLERANCE, "101", id="the meter above within the tolerance"),
        pytest.param(totals("98"), "1", Reason.UNDERBILLED, "90", id="the meter outside the tolerance"),
        pytest.param(totals("90", "99"), "1", Reason.WITHIN_TOLERANCE, "99", id="the nearer of its minutes"),
        pytest.param(totals("100"), "1", Reason.EXACT, "100", id="a tolerance that was not needed"),
    ],
)
def test_a_draft_line_may_lag_behind_its_meter(
    meter_now: MeterTotals | None, tolerance: str, reason: Reason, figure: str
) -> None:
    seen = confirm_difference(different(), NOTHING_UNSETTLED, meter_now, strict=True, tolerance=Decimal(tolerance))
    assert (seen.reason, seen.billed) == (reason, Decimal(figure))
    assert seen.from_meter == (reason.verdict is Verdict.MATCHED)
    assert seen.recorded == Decimal(100)


def test_a_figure_of_the_meter_says_so() -> None:
    assert confirm_difference(different(), NOTHING_UNSETTLED, totals("100"), strict=True).detail == (
        "the draft's line says 90, its meter 100"
    )
    tolerant = confirm_difference(different(), NOTHING_UNSETTLED, totals("99"), strict=True, tolerance=Decimal(1))
    assert tolerant.detail == "the draft's line says 90, its meter 99, the ledger 100"


def test_where_nobody_reads_the_final_lines_a_lagging_line_is_not_settled() -> None:
    assert confirm_difference(different(), NOTHING_UNSETTLED, totals("100"), strict=False).reason is Reason.NOT_SETTLED


def test_where_nobody_reads_the_final_lines_a_line_that_is_up_to_date_drifted() -> None:
    assert confirm_difference(different(), NOTHING_UNSETTLED, totals("85", "100"), strict=False) == different()


def test_a_real_difference_stays_what_it_was() -> None:
    assert confirm_difference(different(), NOTHING_UNSETTLED, totals("90"), strict=True) == different()


@given(quantities, quantities, quantities, st.booleans())
def test_no_second_look_matches_against_the_ledger(
    on_ledger: Decimal,
    inner: Decimal,
    outer: Decimal,
    strict: bool,  # noqa: FBT001  # drawn
) -> None:
    first = replace(different(), recorded=on_ledger)
    seen = confirm_difference(first, NOTHING_UNSETTLED, MeterTotals(inner=inner, outer=outer), strict=strict)
    between = min(inner, outer) <= on_ledger <= max(inner, outer)
    alike = {f"{one:.15g}" for one in (inner, outer)} & {f"{on_ledger:.15g}"}
    current = not strict and min(inner, outer) <= Decimal(90) <= max(inner, outer)
    assert (seen.reason is first.reason) == (current or (not between and not alike))
    if seen.reason is Reason.EXACT:
        assert strict
        assert seen.billed == on_ledger


# -- PacSpace's own compare ------------------------------------------------------------------------------------------


def answer(neutral: str | None, *, agrees: bool | None = True) -> Comparison:
    return Comparison(
        your_balance=Decimal(-100),
        their_balance=Decimal(-100),
        neutral_balance=None if neutral is None else Decimal(neutral),
        matches_yours=agrees,
        matches_theirs=agrees,
    )


@pytest.mark.parametrize(
    ("neutral", "reason"),
    [
        ("-100", Reason.EXACT),
        ("-100.00", Reason.EXACT),
        ("-99.99999999999999999", Reason.EXACT),
        (None, Reason.EXACT),
        ("-99", Reason.LEDGER_INCONSISTENT),
        ("100", Reason.LEDGER_INCONSISTENT),
        ("0", Reason.LEDGER_INCONSISTENT),
    ],
)
def test_a_neutral_balance_that_contradicts_derive_proves_nothing(neutral: str | None, reason: Reason) -> None:
    compared = after_compare(result(), balance(), answer(neutral))
    assert (compared.reason, compared.comparison) == (reason, answer(neutral))


@pytest.mark.parametrize("agrees", [True, False, None])
@pytest.mark.parametrize("reason", [Reason.EXACT, Reason.OVERBILLED])
def test_its_booleans_are_stored_and_not_judged(
    agrees: bool | None,  # noqa: FBT001  # a column of the table
    reason: Reason,
) -> None:
    compared = after_compare(result(reason), balance(), answer("-100", agrees=agrees))
    assert compared.reason is reason
    assert compared.comparison is not None
    assert compared.comparison.matches_yours is agrees


# -- the cross-check of a root ---------------------------------------------------------------------------------------


def summary(*, verified: bool = True, count: int | None = 4, net: str | None = "-100") -> ProofSummary:
    return ProofSummary(
        proof_root=ROOT,
        verified=verified,
        record_count=count,
        net_change=None if net is None else Decimal(net),
    )


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        pytest.param(summary(), Reason.EXACT, id="the same records"),
        pytest.param(summary(net="-100.0"), Reason.EXACT, id="written otherwise"),
        pytest.param(summary(verified=False), Reason.NOT_SETTLED, id="not verified yet"),
        pytest.param(summary(verified=False, count=None, net=None), Reason.NOT_SETTLED, id="nothing said at all"),
        pytest.param(summary(count=3), Reason.ROOT_STALE, id="another number of records"),
        pytest.param(summary(net="-99"), Reason.ROOT_STALE, id="another net"),
        pytest.param(summary(net="100"), Reason.ROOT_STALE, id="the other sign"),
        pytest.param(summary(count=None, net="-99"), Reason.ROOT_STALE, id="another net, no count"),
        pytest.param(summary(count=5, net=None), Reason.ROOT_STALE, id="another count, no net"),
        pytest.param(summary(count=0, net="0"), Reason.ROOT_STALE, id="no records"),
    ],
)
def test_a_root_vouches_for_the_records_that_were_derived(said: ProofSummary, reason: Reason) -> None:
    verified = after_verify(result(), proof(cross_checked=False), said)
    assert verified.reason is reason
    assert verified.proof is not None
    assert verified.proof.cross_checked == (reason is Reason.EXACT)
    assert verified.proof.stale == (reason is Reason.ROOT_STALE)


@pytest.mark.parametrize(("count", "net"), [(None, None), (4, None), (None, "-100")])
def test_a_root_without_a_full_summary_was_not_cross_checked(count: int | None, net: str | None) -> None:
    verified = after_verify(result(), proof(cross_checked=False), summary(count=count, net=net))
    assert verified.reason is Reason.EXACT
    assert verified.proof == proof(cross_checked=False)


def test_a_stale_root_says_what_it_covers_and_what_the_ledger_has() -> None:
    detail = after_verify(result(), proof(), summary(count=3, net="-90")).detail
    assert detail == "the proof root covers 3 records netting -90, the ledger has 4 netting -100"
    assert "netting unknown" in after_verify(result(), proof(), summary(count=3, net=None)).detail


# -- figures ---------------------------------------------------------------------------------------------------------


def test_figures_name_meter_window_and_exact_quantity() -> None:
    assert billed_figures([usage(quantity=Decimal("100.50")), usage(window=None, quantity=None)]) == {
        f"{METER}|{OCTOBER}": "100.5",
        f"{METER}|-": "unknown",
    }


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ({}, {}, True),
        ({"a": "1"}, {"a": "1"}, True),
        ({"a": "0.3"}, {"a": "0.30000000000000004"}, True),
        ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}, True),
        ({"a": "unknown"}, {"a": "unknown"}, True),
        ({"a": "1"}, {"a": "2"}, False),
        ({"a": "1"}, {"b": "1"}, False),
        ({"a": "1"}, {}, False),
        ({}, {"a": "0"}, False),
        ({"a": "1"}, {"a": "1", "b": "0"}, False),
        ({"a": "unknown"}, {"a": "1"}, False),
        ({"a": "1"}, {"a": "unknown"}, False),
        ({"a": "1", "b": "2"}, {"a": "2", "b": "1"}, False),
    ],
)
def test_figures_are_the_same_when_each_one_is(
    left: dict[str, str],
    right: dict[str, str],
    same: bool,  # noqa: FBT001  # a column of the table
) -> None:
    assert same_figures(left, right) is same


@given(st.dictionaries(st.text(max_size=5), quantities.map(text), max_size=4))
def test_figures_are_the_same_as_themselves(figures: dict[str, str]) -> None:
    assert same_figures(figures, dict(figures))


@given(quantities, st.sampled_from([OCTOBER, NOVEMBER]))
def test_figures_of_an_invoice_read_twice_are_the_same(quantity: Decimal, window: Window) -> None:
    def read() -> dict[str, str]:
        return billed_figures(billed(line(quantity=quantity, window=window)))

    assert same_figures(read(), read())


def test_a_shifted_window_is_another_figure() -> None:
    later = replace(OCTOBER, end=OCTOBER.end + timedelta(seconds=1))
    assert not same_figures(billed_figures(billed(line())), billed_figures(billed(line(window=later))))


def read_of(made: Invoice) -> tuple[BilledUsage, ...]:
    return billed_usage(made, PRICES, METERS, TEMPLATE)


def test_what_is_billed_says_which_lines_it_sums_in_a_fixed_order() -> None:
    one, other = read_of(invoice(line_items=(line(1), line(2)))), read_of(invoice(line_items=(line(2), line(1))))
    assert ids_of(one[0].result(Reason.EXACT).lines) == ids_of(other[0].result(Reason.EXACT).lines) == ["il_1", "il_2"]
