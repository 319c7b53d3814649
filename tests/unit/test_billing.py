"""What lines bill: plain, in tiers, in packages, by several prices, over several invoices, beside their meter."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.comparison.rules.verdicts import (
    BilledAs,
    EarlierBilling,
    LineKind,
    MeterTotals,
    Reason,
    WindowResult,
)
from pacspace_stripe.usage.rules import (
    SHARED_ACCOUNT,
    THRESHOLD,
    BilledUsage,
    apply_meter,
    billed_figures,
    billed_usage,
    covered_parts,
    judge_below_zero,
    judge_by_formula,
    judge_lagging_lines,
    judge_threshold,
    may_be_below_zero,
    may_bill_usage,
    open_question,
    other_subscriptions,
    overlap_detail,
    thresholds_of_period,
)
from pacspace_stripe.vocabulary.invoices import (
    BillingReason,
    Formula,
    Invoice,
    InvoiceStatus,
    LineItem,
    LineParent,
    Package,
    Price,
    Tier,
    UsageType,
)
from pacspace_stripe.vocabulary.policy import UsageItems
from pacspace_stripe.vocabulary.quantities import equal
from pacspace_stripe.vocabulary.windows import Window
from tests.support.examples import NOVEMBER, OCTOBER, Change, invoice, line, meter, price, result, usage

HUNDREDS = Package(size=Decimal(100), round_up=True)
TIERS = (
    Tier(up_to=Decimal(100), unit_amount=Decimal(3), flat_amount=Decimal(900)),
    Tier(up_to=None, unit_amount=Decimal("0.5"), flat_amount=Decimal(0)),
)
PLAIN, TIERED = price(), price(tiered=True, tiers=TIERS)
PACKED = price(package=HUNDREDS)
SUPPORT = price(price_id="price_2")
MIDDLE = datetime(2026, 10, 15, 12, 34, 56, tzinfo=UTC)
FIRST, SECOND = Window(start=OCTOBER.start, end=MIDDLE), Window(start=MIDDLE, end=OCTOBER.end)
quantities = st.decimals(min_value=0, max_value=10**12, allow_nan=False, places=6)


def says(inner: str, outer: str | None = None) -> MeterTotals:
    return MeterTotals(inner=Decimal(inner), outer=Decimal(outer or inner))


def bills(number: int = 1, quantity: str | None = "100", **changes: Change) -> LineItem:
    return line(number, quantity=None if quantity is None else Decimal(quantity), **changes)


def billed(
    *lines: LineItem, prices: tuple[Price, ...] = (PLAIN,), earlier: tuple[Invoice, ...] = (), **changes: Change
) -> tuple[BilledUsage, ...]:
    known = {each.price_id: each for each in prices}
    return billed_usage(invoice(line_items=lines, **changes), known, {"mtr_1": meter()}, "{customer}", earlier=earlier)


def one(*lines: LineItem, prices: tuple[Price, ...] = (PLAIN,), **changes: Change) -> BilledUsage:
    (only,) = billed(*lines, prices=prices, **changes)
    return only


# -- who has to ask the meter -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prices", "asks"), [((PLAIN,), False), ((TIERED,), True), ((PACKED,), True), ((price(tiered=True),), True)]
)
def test_only_where_quantities_may_be_something_else_is_the_meter_asked(prices: tuple[Price, ...], asks: bool) -> None:  # noqa: FBT001  # a column
    assert one(bills(), prices=prices).needs_meter is asks


def test_what_has_a_problem_asks_nothing() -> None:
    assert not one(bills(quantity=None), prices=(TIERED,)).needs_meter


# -- kinds that are not known -----------------------------------------------------------------------------------------

RATE_CARD: dict[str, Change] = {"price_id": None, "subscription_id": None, "parent": LineParent.UNKNOWN}
OF_RATE_CARD: dict[str, Change] = {**RATE_CARD, "unknown": ("parent.type=rate_card_subscription_details",)}
OF_PLAN: dict[str, Change] = {
    **RATE_CARD,
    "unknown": ("parent.type=pricing_plan_subscription_details", "pricing.type=license_fee_details"),
}
OF_CADENCE: dict[str, Change] = {"unknown": ("parent.type=billing_cadence_details",)}
PLAIN_AMOUNT: dict[str, Change] = {"price_id": None, "parent": LineParent.INVOICE_ITEM, "quantity": "1"}


@pytest.mark.parametrize(
    ("lines", "changes", "kind", "quantity"),
    [
        pytest.param([bills(**OF_RATE_CARD)], {}, "rate_card_subscription_details", 100, id="a rate card"),
        pytest.param([bills(**OF_PLAN)], {}, "pricing_plan_subscription_details", 100, id="a pricing plan"),
        pytest.param(
            [bills(1, "5", **OF_RATE_CARD), bills(2, "7", **OF_RATE_CARD)], {}, "rate_card_subscription_details", 12,
            id="two lines of one kind",
        ),
        pytest.param([bills(1, None, **OF_PLAN)], {}, "pricing_plan_subscription_details", None, id="no quantity"),
        pytest.param([bills(price_id=None)], {}, "parent", 100, id="neither a parent nor a price"),
        pytest.param(
            [bills(price_id=None, unknown=("pricing.price_details=null",))], {}, "pricing.price_details", 100,
            id="a price without its details",
        ),
        pytest.param([], OF_CADENCE, "billing_cadence_details", None, id="an invoice"),
        pytest.param(
            [bills(**PLAIN_AMOUNT)], OF_CADENCE, "billing_cadence_details", None,
            id="an invoice with a plain amount",
        ),
    ],
)  # fmt: skip
def test_an_unknown_kind_is_no_match_and_is_named(
    lines: list[LineItem], changes: dict[str, Change], kind: str, quantity: int | None
) -> None:
    only = one(*lines, **changes)
    assert (only.meter, only.account, only.problem) == (kind, None, Reason.UNKNOWN_SHAPE)
    assert only.quantity == quantity
    assert kind in only.detail
    assert {each.kind for each in only.lines} <= {LineKind.UNKNOWN}


def test_an_unknown_line_beside_a_matched_one_is_a_result_of_its_own() -> None:
    plain, unknown = billed(bills(), bills(2, "30", **OF_RATE_CARD))
    assert (plain.meter, plain.quantity, plain.problem) == ("api_calls", Decimal(100), None)
    assert (unknown.meter, unknown.problem) == ("rate_card_subscription_details", Reason.UNKNOWN_SHAPE)


@pytest.mark.parametrize(
    ("made", "stripe_says"),
    [
        (price(unknown=("billing_scheme=sloped",)), "billing_scheme=sloped"),
        (
            price(usage_type=UsageType.UNKNOWN, unknown=("recurring.usage_type=guessed",)),
            "recurring.usage_type=guessed",
        ),
    ],
)
def test_a_price_of_an_unknown_kind_is_not_compared(made: Price, stripe_says: str) -> None:
    only = one(bills(), prices=(made,))
    assert only.problem is Reason.UNKNOWN_SHAPE
    assert stripe_says in only.detail


def test_a_meter_of_an_unknown_kind_is_not_compared() -> None:
    odd = meter(unknown=("event_time_window=week",))
    (only,) = billed_usage(invoice(), {"price_1": PLAIN}, {"mtr_1": odd}, "{customer}")
    assert only.problem is Reason.UNKNOWN_SHAPE
    assert "event_time_window=week" in only.detail


def test_an_invoice_made_for_an_unknown_reason_is_not_compared() -> None:
    only = one(bills(), billing_reason=BillingReason.UNKNOWN)
    assert (only.problem, "billing_reason" in only.detail) == (Reason.UNKNOWN_SHAPE, True)


# -- plain amounts ----------------------------------------------------------------------------------------------------


def test_an_invoice_item_without_a_price_is_no_usage() -> None:
    assert billed(bills(**PLAIN_AMOUNT)) == ()
    assert [each.meter for each in billed(bills(), bills(2, **PLAIN_AMOUNT))] == ["api_calls"]


def test_on_an_invoice_that_a_person_made_a_line_may_have_nothing() -> None:
    assert billed(bills(price_id=None, subscription_id=None), billing_reason=BillingReason.MANUAL) == ()


FIRST_OF_ALL, UPDATE = BillingReason.SUBSCRIPTION_CREATE, BillingReason.SUBSCRIPTION_UPDATE
RENEWAL = BillingReason.SUBSCRIPTION_CYCLE
SECONDS = timedelta(seconds=5)


@pytest.mark.parametrize(
    ("why", "created_at", "changes", "is_usage"),
    [
        pytest.param(FIRST_OF_ALL, NOVEMBER.start, {"window": NOVEMBER}, False, id="the coming period"),
        pytest.param(FIRST_OF_ALL, NOVEMBER.start + SECONDS, {"window": NOVEMBER}, False, id="just begun"),
        pytest.param(FIRST_OF_ALL, NOVEMBER.start, {"window": None}, False, id="an empty period"),
        pytest.param(FIRST_OF_ALL, NOVEMBER.start, {"window": OCTOBER}, True, id="a period that is over"),
        pytest.param(FIRST_OF_ALL, NOVEMBER.start, {"window": NOVEMBER, "quantity": "1"}, True, id="usage"),
        pytest.param(FIRST_OF_ALL, NOVEMBER.start, {"window": NOVEMBER, "quantity": None}, True, id="no quantity"),
        pytest.param(FIRST_OF_ALL, NOVEMBER.start, {"window": NOVEMBER, "amount": 5}, True, id="money"),
        pytest.param(UPDATE, NOVEMBER.start, {"window": NOVEMBER}, False, id="an update, the coming period"),
        pytest.param(UPDATE, MIDDLE, {"window": OCTOBER}, True, id="an update, inside the period"),
        pytest.param(RENEWAL, NOVEMBER.start, {"window": OCTOBER}, True, id="a renewal"),
        pytest.param(RENEWAL, NOVEMBER.start, {"window": None}, True, id="a renewal, an empty period"),
        pytest.param(THRESHOLD, MIDDLE, {"window": OCTOBER}, True, id="a threshold"),
        pytest.param(BillingReason.UNKNOWN, NOVEMBER.start, {"window": NOVEMBER}, True, id="an unknown reason"),
    ],
)
def test_a_line_of_0_that_only_opens_a_period_is_no_usage(
    why: BillingReason,
    created_at: datetime,
    changes: dict[str, Change],
    is_usage: bool,  # noqa: FBT001  # a column
) -> None:
    zero = bills(**{"quantity": "0", "amount": 0, **changes})
    assert bool(billed(zero, billing_reason=why, created_at=created_at)) is is_usage


@pytest.mark.parametrize(
    ("why", "created_at", "quantity", "claims"),
    [
        pytest.param(UPDATE, MIDDLE, "0", False, id="nothing of a period that goes on"),
        pytest.param(UPDATE, MIDDLE, "1", True, id="usage of a period that goes on"),
        pytest.param(UPDATE, OCTOBER.end, "0", True, id="nothing of a period that is over"),
        pytest.param(RENEWAL, OCTOBER.end, "0", True, id="a renewal"),
        pytest.param(THRESHOLD, MIDDLE, "0", True, id="a threshold"),
    ],
)
def test_what_bills_nothing_of_a_period_that_goes_on_claims_nothing_of_it(
    why: BillingReason,
    created_at: datetime,
    quantity: str,
    claims: bool,  # noqa: FBT001  # a column
) -> None:
    made = invoice(line_items=(bills(1, quantity),), billing_reason=why, created_at=created_at)
    usages = billed_usage(made, {"price_1": PLAIN}, {"mtr_1": meter()}, "{customer}")
    assert bool([*covered_parts(made, usages)]) is claims


@pytest.mark.parametrize(
    ("made", "stops"),
    [
        (bills(), True),
        (bills(price_id=None, parent=LineParent.SUBSCRIPTION_ITEM), True),
        (bills(**OF_RATE_CARD), True),
        (bills(price_id=None), True),
        (bills(**PLAIN_AMOUNT), False),
    ],
)
def test_what_may_bill_usage_is_stopped_while_its_prices_cannot_be_read(made: LineItem, stops: bool) -> None:  # noqa: FBT001  # a column
    assert may_bill_usage(invoice(line_items=(made,))) is stops


def test_an_invoice_of_an_unknown_kind_is_stopped_whatever_its_lines_are() -> None:
    assert may_bill_usage(invoice(line_items=(bills(**PLAIN_AMOUNT),), unknown=("parent.type=x",)))


# -- tiers ----------------------------------------------------------------------------------------------------------


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
    ("meter_says", "figure", "problem"),
    [
        pytest.param(says("134"), "134", None, id="the same"),
        pytest.param(says("130", "140"), "134", None, id="between whole minutes"),
        pytest.param(says("134.0000000000001"), "134", None, id="the same double"),
        pytest.param(says("133"), "134", Reason.UNKNOWN_SHAPE, id="less"),
        pytest.param(says("135", "140"), "134", Reason.UNKNOWN_SHAPE, id="outside both"),
        pytest.param(None, "134", Reason.UNKNOWN_SHAPE, id="no whole minute in its period"),
    ],
)
def test_final_tiers_go_together_with_their_meter_or_are_not_known(
    meter_says: MeterTotals | None, figure: str, problem: Reason | None
) -> None:
    asked = apply_meter(one(bills(1, "100"), bills(2, "34"), prices=(TIERED,)), meter_says, draft=False)
    assert (asked.quantity, asked.problem, asked.billed_as) == (Decimal(figure), problem, BilledAs.SUM)


def test_a_fee_that_costs_what_a_unit_costs_is_not_guessed() -> None:
    tiers = (replace(TIERS[0], flat_amount=Decimal(3)), TIERS[1])
    unclear = one(bills(1, "99"), bills(2, "1", amount=3), prices=(price(tiered=True, tiers=tiers),))
    for meter_says in (says("100"), says("99")):
        asked = apply_meter(unclear, meter_says, draft=True)
        assert (asked.problem, asked.lags) == (Reason.UNKNOWN_SHAPE, False)
        assert "flat fee or one unit" in asked.detail


# -- packages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_line", "meter_says", "figure", "billed_as"),
    [
        pytest.param("1234", says("1234"), "1234", BilledAs.SUM, id="raw usage"),
        pytest.param("13", says("1234"), "1234", BilledAs.METER, id="packages"),
        pytest.param("0", says("0"), "0", BilledAs.SUM, id="nothing"),
        pytest.param("1", says("1"), "1", BilledAs.SUM, id="both"),
        pytest.param("1234", says("1230", "1240"), "1234", BilledAs.SUM, id="raw usage between whole minutes"),
        pytest.param("13", says("1230", "1240"), None, None, id="packages between whole minutes"),
        pytest.param("12", says("1234"), None, None, id="neither"),
        pytest.param("13.5", says("1234"), None, None, id="a part of a package"),
    ],
)
def test_a_package_line_counts_usage_or_packages_as_its_meter_says(
    on_line: str, meter_says: MeterTotals, figure: str | None, billed_as: BilledAs | None
) -> None:
    asked = apply_meter(one(bills(1, on_line), prices=(PACKED,)), meter_says, draft=False)
    if figure is None:
        assert asked.problem is Reason.UNKNOWN_SHAPE
    else:
        assert (asked.quantity, asked.problem, asked.billed_as) == (Decimal(figure), None, billed_as)


def test_packages_may_be_rounded_down() -> None:
    down = price(package=replace(HUNDREDS, round_up=False))
    assert apply_meter(one(bills(1, "12"), prices=(down,)), says("1234"), draft=False).quantity == Decimal(1234)


@given(quantities)
def test_however_a_package_line_counts_the_figure_is_the_meters(used: Decimal) -> None:
    for on_line in (used, HUNDREDS.count(used)):
        asked = apply_meter(
            one(line(quantity=on_line), prices=(PACKED,)), MeterTotals(inner=used, outer=used), draft=False
        )
        assert (asked.quantity, asked.problem) == (used, None)


# -- drafts whose lines lag -------------------------------------------------------------------------------------------


def behind(
    meter_says: MeterTotals, reason: Reason, recorded: str, *, strict: bool, on_line: str = "100", made: Price = TIERED
) -> WindowResult:
    """A draft of 100 whose meter says more, as the comparison found it."""
    asked = apply_meter(one(bills(1, on_line), prices=(made,)), meter_says, draft=True)
    assert (asked.lags, asked.problem) == (True, None)
    return judge_lagging_lines(asked.result(reason, "", recorded=Decimal(recorded), count=1), asked, strict=strict)


def test_a_lagging_draft_is_billed_by_its_meter_where_the_final_lines_are_read_again() -> None:
    seen = behind(says("107"), Reason.EXACT, "107", strict=True)
    assert (seen.reason, seen.billed, seen.from_meter, seen.billed_as) == (
        Reason.EXACT,
        Decimal(107),
        True,
        BilledAs.METER,
    )


@pytest.mark.parametrize(
    ("meter_says", "recorded", "strict", "found"),
    [
        pytest.param(says("107"), "107", False, Reason.NOT_SETTLED, id="nobody reads the final lines"),
        pytest.param(says("107"), "100", True, Reason.NOT_SETTLED, id="the ledger has what the lines say"),
        pytest.param(says("107"), "90", True, Reason.OVERBILLED, id="the ledger has neither"),
        pytest.param(says("105", "110"), "90", True, Reason.OVERBILLED, id="by whole minutes"),
    ],
)
def test_a_lagging_draft_goes_nowhere_otherwise(
    meter_says: MeterTotals,
    recorded: str,
    strict: bool,  # noqa: FBT001  # a column of the table
    found: Reason,
) -> None:
    first = Reason.EXACT if recorded == "107" else Reason.OVERBILLED
    assert behind(meter_says, first, recorded, strict=strict).reason is found


def test_lines_that_agree_with_the_ledger_and_not_with_the_meter_prove_nothing() -> None:
    seen = behind(says("105", "110"), Reason.EXACT, "100", strict=True)
    assert (seen.reason, seen.from_meter) == (Reason.NOT_SETTLED, False)


def test_a_lagging_package_without_exact_minutes_is_not_known() -> None:
    asked = apply_meter(one(bills(1, "13"), prices=(PACKED,)), says("1401", "1450"), draft=True)
    assert (asked.problem, asked.lags) == (Reason.UNKNOWN_SHAPE, False)


@given(quantities, quantities, st.booleans(), st.booleans())
def test_no_tiers_match_a_ledger_that_their_meter_contradicts(
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
def test_each_price_on_a_meter_bills_all_of_it(
    lines: list[LineItem], prices: tuple[Price, ...], figure: str | None
) -> None:
    only = one(*lines, prices=prices)
    assert only.billed_as is BilledAs.EACH
    assert (only.quantity, only.problem) == (
        (None, Reason.UNKNOWN_SHAPE) if figure is None else (Decimal(figure), None)
    )
    assert len({each.price for each in only.lines}) == 2


@pytest.mark.parametrize(
    ("on_plain", "on_packed", "meter_says", "problem"),
    [
        ("250", "3", says("250"), None),
        ("250", "250", says("250"), None),
        ("250", "4", says("250"), Reason.UNKNOWN_SHAPE),
        ("249", "3", says("250"), Reason.UNKNOWN_SHAPE),
        ("250", "260", says("240", "270"), Reason.UNKNOWN_SHAPE),
    ],
)
def test_a_meter_settles_what_two_prices_count(
    on_plain: str, on_packed: str, meter_says: MeterTotals, problem: Reason | None
) -> None:
    packed = price(price_id="price_2", package=HUNDREDS)
    both = one(bills(1, on_plain), bills(2, on_packed, price_id="price_2"), prices=(PLAIN, packed))
    assert apply_meter(both, meter_says, draft=False).problem is problem


def test_two_prices_in_different_windows_are_two_results() -> None:
    first, second = billed(
        bills(1, "10", window=FIRST), bills(2, "20", price_id="price_2", window=SECOND), prices=(PLAIN, SUPPORT)
    )
    assert [(each.window, each.quantity, each.billed_as) for each in (first, second)] == [
        (FIRST, Decimal(10), BilledAs.SUM),
        (SECOND, Decimal(20), BilledAs.SUM),
    ]


# -- prorations -------------------------------------------------------------------------------------------------------


DAY = timedelta(days=1)
EARLY, ACROSS = Window(start=OCTOBER.start, end=MIDDLE - DAY), Window(start=MIDDLE - DAY, end=MIDDLE + DAY)


def prorates(quantity: str | None, window: Window | None = FIRST, **changes: Change) -> LineItem:
    return bills(9, quantity, **{"proration": True} | changes, window=window)


ALIKE = pytest.mark.parametrize(
    "said",
    [{"proration": True}, {"proration": False, "parent": LineParent.INVOICE_ITEM}],
    ids=["a proration", "an invoice item"],
)
"""Stripe does not document ``proration`` on the usage of an item that was removed."""


@pytest.mark.parametrize(
    ("lines", "prorated"),
    [
        pytest.param([bills(1)], prorates("2.5", amount=-10), id="a credit of money"),
        pytest.param([bills(1)], prorates("-2.5"), id="a negative quantity"),
        pytest.param([bills(1)], prorates(None, amount=-10), id="a credit without a quantity"),
        pytest.param([bills(1, window=SECOND)], prorates("2.5", amount=-10), id="a credit of another time"),
        pytest.param([bills(1)], prorates("0"), id="no quantity, in part of the usage's time"),
        pytest.param([bills(1)], prorates("0", None), id="no quantity and no time"),
        pytest.param([bills(1, window=FIRST), bills(2, window=SECOND)], prorates("0", ACROSS), id="under two lines"),
    ],
)
@ALIKE
def test_a_proration_that_corrects_money_is_named_beside_the_usage_and_not_counted(
    lines: list[LineItem], prorated: LineItem, said: dict[str, Change]
) -> None:
    first, *others = billed(*lines, replace(prorated, **said))
    assert (first.quantity, first.problem) == (Decimal(100), None)
    assert [each.kind for each in first.lines] == [LineKind.USAGE, LineKind.PRORATION]
    assert all(other.problem is None for other in others)


def test_another_price_for_the_same_usage_is_a_correction() -> None:
    back, again = prorates("40", amount=-400, price_id="price_1"), prorates("40", amount=500, price_id="price_2")
    only = one(bills(1), back, replace(again, line_id="il_10"), prices=(PLAIN, SUPPORT))
    assert (only.quantity, only.problem) == (Decimal(100), None)
    assert [each.kind for each in only.lines] == [LineKind.USAGE, LineKind.PRORATION, LineKind.PRORATION]


@pytest.mark.parametrize(
    ("lines", "window"),
    [
        pytest.param([bills(1, window=SECOND)], FIRST, id="beside the rest of the period"),
        pytest.param([bills(1, "0", window=OCTOBER)], FIRST, id="under a line that bills nothing"),
        pytest.param([], FIRST, id="alone"),
    ],
)
@ALIKE
def test_usage_of_a_removed_item_is_compared_in_its_own_window(
    lines: list[LineItem], window: Window, said: dict[str, Change]
) -> None:
    removed = bills(9, "1000", window=window, price_id="price_2", **said)
    usages = billed(*lines, removed, prices=(PLAIN, SUPPORT))
    found = next(each for each in usages if "il_9" in {line.line_id for line in each.lines})
    assert (found.window, found.quantity, found.problem) == (window, Decimal(1000), None)
    assert [line.kind for line in found.lines] == [LineKind.USAGE]


def test_nothing_used_before_an_item_was_removed_is_compared_too() -> None:
    rest, removed = billed(bills(1, window=SECOND), prorates("0"))
    assert (removed.window, removed.quantity, removed.problem) == (FIRST, Decimal(0), None)
    assert rest.problem is None


@pytest.mark.parametrize(
    ("lines", "prorated", "why"),
    [
        pytest.param([bills(1)], prorates("40"), "bill already", id="usage of a time that is billed"),
        pytest.param([bills(1)], prorates("40", OCTOBER), "bill already", id="of the same time"),
        pytest.param(
            [bills(1, window=FIRST), bills(2, window=SECOND)], prorates("40", ACROSS), "bill already", id="of two"
        ),
        pytest.param([bills(1), prorates("39", amount=-1)], prorates("40"), "bill already", id="another credit"),
        pytest.param([bills(1, window=SECOND)], prorates("40", ACROSS), "in part", id="from before"),
        pytest.param([bills(1, window=EARLY)], prorates("40"), "in part", id="until after"),
        pytest.param([bills(1, window=ACROSS)], prorates("40", OCTOBER), "in part", id="around"),
        pytest.param([bills(1)], prorates("40", NOVEMBER), "not over", id="of the coming period"),
        pytest.param([], prorates("40", amount=-1), "no line of its usage", id="a credit alone"),
        pytest.param([], prorates("-40"), "no line of its usage", id="a negative quantity alone"),
        pytest.param([bills(1)], prorates("40", None), "without a period", id="without a period"),
        pytest.param([bills(1)], prorates(None), "without a quantity", id="without a quantity"),
        pytest.param([bills(1)], prorates("40", price_id="price_9"), "could not be read", id="of an unread price"),
    ],
)
@ALIKE
def test_what_a_proration_bills_is_never_guessed(
    lines: list[LineItem], prorated: LineItem, why: str, said: dict[str, Change]
) -> None:
    moved = [replace(each, line_id=f"il_{number}") for number, each in enumerate(lines)]
    usages = billed(*moved, replace(prorated, **said))
    found = next(each for each in usages if "il_9" in {line.line_id for line in each.lines})
    assert found.problem is Reason.UNKNOWN_SHAPE
    assert why in found.detail


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([prorates("60"), prorates("70", EARLY)], id="prorations"),
        pytest.param([bills(1, window=OCTOBER), bills(2, "60", item_id="si_2", window=FIRST)], id="items"),
    ],
)
def test_lines_of_one_meter_whose_times_overlap_are_held(lines: list[LineItem]) -> None:
    found = billed(*(replace(each, line_id=f"il_{number}") for number, each in enumerate(lines)))
    assert [each.problem for each in found] == [Reason.UNKNOWN_SHAPE] * 2
    assert all("times that overlap" in each.detail for each in found)


def test_a_line_that_bills_nothing_overlaps_nothing() -> None:
    usages = billed(bills(1, "60", window=FIRST), bills(2, "0", item_id="si_2", window=OCTOBER))
    assert [each.problem for each in usages] == [None, None]


# -- thresholds -------------------------------------------------------------------------------------------------------


def threshold(number: int, quantity: str, window: Window, **changes: Change) -> Invoice:
    made: dict[str, Change] = {
        "invoice_id": f"in_t{number}",
        "created_at": window.end,
        "billing_reason": THRESHOLD,
        "status": InvoiceStatus.PAID,
        "line_items": (bills(number, quantity, window=window),),
    }
    return invoice(**made | changes)


@pytest.mark.parametrize(
    ("windows", "last"),
    [
        pytest.param([FIRST], SECOND, id="parts that follow each other"),
        pytest.param([OCTOBER], OCTOBER, id="the whole period on each"),
        pytest.param([FIRST], OCTOBER, id="from the start on"),
        pytest.param([OCTOBER, OCTOBER], OCTOBER, id="several of the whole period"),
        pytest.param(
            [
                Window(start=FIRST.start, end=FIRST.end - timedelta(days=1)),
                Window(start=FIRST.end - timedelta(days=1), end=FIRST.end),
            ],
            SECOND,
            id="several parts",
        ),
    ],
)
def test_a_period_is_compared_as_a_running_total(windows: list[Window], last: Window) -> None:
    earlier = tuple(threshold(at, "40", window, created_at=MIDDLE) for at, window in enumerate(windows))
    only = one(bills(9, "2", window=last), earlier=earlier)
    assert (only.window, only.quantity) == (OCTOBER, Decimal(2 + 40 * len(windows)))
    assert only.billed_earlier == tuple(
        EarlierBilling(invoice_id=each.invoice_id, quantity=Decimal(40)) for each in earlier
    )
    assert [each.quantity for each in only.lines] == [Decimal(2)]


def test_what_does_not_adjoin_is_of_another_time() -> None:
    gap = Window(start=FIRST.start, end=FIRST.end - timedelta(seconds=1))
    assert one(bills(9, "2", window=SECOND), earlier=(threshold(1, "40", gap),)).billed_earlier == ()


def test_what_another_price_billed_before_is_not_counted() -> None:
    other = threshold(1, "40", FIRST, line_items=(bills(1, "40", window=FIRST, price_id="price_2"),))
    only = one(bills(9, "2", window=SECOND), prices=(PLAIN, SUPPORT), earlier=(other,))
    assert (only.window, only.billed_earlier) == (SECOND, ())


@pytest.mark.parametrize(
    ("reason", "end", "cut"),
    [(THRESHOLD, MIDDLE, True), ("subscription_cycle", OCTOBER.end, False)],
)
def test_a_threshold_ends_where_it_was_made(reason: str, end: datetime, cut: bool) -> None:  # noqa: FBT001  # a column
    only = one(bills(), billing_reason=reason, created_at=MIDDLE)
    assert (only.window, only.ends_early) == (Window(start=OCTOBER.start, end=end), cut)


def test_where_a_cut_period_differs_nobody_knows_why() -> None:
    assert judge_threshold(result(Reason.OVERBILLED)).reason is Reason.UNKNOWN_SHAPE
    assert judge_threshold(result()) == result()


def test_earlier_invoices_reach_back_to_the_last_renewal() -> None:
    now = invoice(created_at=OCTOBER.end)
    listed = [
        invoice(invoice_id="in_later", billing_reason=THRESHOLD, created_at=OCTOBER.end + timedelta(days=1)),
        now,
        threshold(2, "1", SECOND, created_at=MIDDLE + timedelta(days=1)),
        invoice(invoice_id="in_change", billing_reason=BillingReason.SUBSCRIPTION_UPDATE, created_at=MIDDLE),
        threshold(1, "1", FIRST),
        invoice(invoice_id="in_renewal", created_at=OCTOBER.start),
        threshold(0, "1", FIRST, created_at=OCTOBER.start - timedelta(days=9)),
    ]
    assert [each.invoice_id for each in thresholds_of_period(now, listed)] == ["in_t2", "in_t1"]


@pytest.mark.parametrize(
    ("changes", "question"),
    [
        ({}, None),
        ({"status": InvoiceStatus.OPEN}, None),
        ({"status": InvoiceStatus.UNCOLLECTIBLE}, None),
        ({"status": InvoiceStatus.DRAFT}, Reason.NOT_SETTLED),
        ({"status": InvoiceStatus.VOID}, Reason.UNKNOWN_SHAPE),
        ({"status": InvoiceStatus.UNKNOWN}, Reason.UNKNOWN_SHAPE),
        ({"line_items": (bills(quantity=None),)}, Reason.UNKNOWN_SHAPE),
    ],
)
def test_what_earlier_invoices_leave_open(changes: dict[str, Change], question: Reason | None) -> None:
    found = open_question([threshold(1, "40", FIRST, **changes)])
    assert (found[0] if found else None) is question


# -- aggregations --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "readings", "said"),
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
def test_an_aggregation_is_compared_as_the_ledger_can(formula: Formula, readings: tuple[str, ...], said: str) -> None:
    meters = {"mtr_1": meter(formula=formula)}
    (only,) = billed_usage(invoice(), {"price_1": PLAIN}, meters, "{customer}", readings=readings)
    assert (only.problem is Reason.UNKNOWN_SHAPE) == bool(said)
    assert said in only.detail


def test_seats_without_a_reading_in_the_period_are_not_known() -> None:
    missing = result(Reason.LEDGER_MISSING, recorded=Decimal(0), count=0)
    assert judge_by_formula(missing, usage(formula=Formula.LAST)).reason is Reason.UNKNOWN_SHAPE
    assert judge_by_formula(missing, usage()) == missing


# -- below zero, and meters that count --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recorded", "meter_says", "reason", "figure"),
    [
        pytest.param("-5", says("-5"), Reason.EXACT, "-5", id="the same"),
        pytest.param("-5", says("-6", "-4"), Reason.EXACT, "-5", id="between whole minutes"),
        pytest.param("-5", says("-4"), Reason.OVERBILLED, "0", id="another figure"),
        pytest.param("-5", says("-6", "1"), Reason.OVERBILLED, "0", id="perhaps not below zero"),
        pytest.param("-5", says("0"), Reason.OVERBILLED, "0", id="a meter at zero"),
        pytest.param("-5", None, Reason.OVERBILLED, "0", id="no answer"),
    ],
)
def test_a_meter_below_zero_bills_nothing(
    recorded: str, meter_says: MeterTotals | None, reason: Reason, figure: str
) -> None:
    first = result(Reason.OVERBILLED, billed=Decimal(0), recorded=Decimal(recorded))
    assert may_be_below_zero(first)
    seen = judge_below_zero(first, meter_says)
    assert (seen.reason, seen.billed) == (reason, Decimal(figure))
    assert (seen.billed_as is BilledAs.METER) == (reason is Reason.EXACT)


@pytest.mark.parametrize(("on_line", "recorded"), [("5", "-5"), ("0", "5"), ("0", "0")])
def test_nothing_else_is_below_zero(on_line: str, recorded: str) -> None:
    assert not may_be_below_zero(result(billed=Decimal(on_line), recorded=Decimal(recorded)))


def test_a_figure_below_zero_names_what_is_billed() -> None:
    assert billed_figures([usage(quantity=Decimal(-5))]) == billed_figures([usage(quantity=Decimal(0))])


@pytest.mark.parametrize(
    ("formula", "count", "reason", "told"),
    [
        (Formula.COUNT, 100, Reason.UNDERBILLED, True),
        (Formula.COUNT, 99, Reason.UNDERBILLED, False),
        (Formula.SUM, 100, Reason.UNDERBILLED, False),
        (Formula.COUNT, 100, Reason.EXACT, False),
    ],
)
def test_a_meter_that_by_formula_is_told_from_a_ledger_that_adds_them_up(
    formula: Formula,
    count: int,
    reason: Reason,
    told: bool,  # noqa: FBT001  # a column of the table
) -> None:
    seen = judge_by_formula(result(reason, count=count), usage(formula=formula))
    assert ("counts reports" in seen.detail) is told


# -- who else bills it ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("customer", "subscription", "by_record", "said"),
    [
        ("cus_1", "sub_2", False, "by subscription sub_2: a meter counts per customer"),
        ("cus_2", "sub_2", False, "for customer cus_2"),
        ("cus_1", "sub_1", False, "this ledger account for the same time"),
        (None, None, False, "this ledger account for the same time"),
        ("cus_1", "sub_2", True, "this very record"),
    ],
)
def test_a_rival_is_named_with_what_can_be_done(
    customer: str | None,
    subscription: str | None,
    by_record: bool,  # noqa: FBT001  # a column of the table
    said: str,
) -> None:
    detail = overlap_detail(invoice(), "in_9", customer_id=customer, subscription_id=subscription, by_record=by_record)
    assert detail.startswith("invoice in_9 bills")
    assert said in detail


def test_records_that_tell_their_meter_let_meters_share_an_account() -> None:
    lines = (bills(1), bills(2, price_id="price_2"))
    prices = {"price_1": PLAIN, "price_2": price(price_id="price_2", meter_id="mtr_2")}
    meters = {"mtr_1": meter(), "mtr_2": meter(meter_id="mtr_2", event_name="storage")}
    for split, problem, detail in ((True, None, ""), (False, Reason.UNMAPPED, SHARED_ACCOUNT)):
        found = billed_usage(invoice(line_items=lines), prices, meters, "{customer}", split=split)
        assert {(each.problem, each.detail) for each in found} == {(problem, detail)}


# -- lines of other subscriptions -------------------------------------------------------------------------------------

ONE: dict[str, Change] = {"subscription_id": "sub_one", "price_id": "price_1"}
TWO: dict[str, Change] = {"subscription_id": "sub_two", "price_id": "price_1"}


def mapped(*lines: LineItem, **subscriptions: dict[str, str]) -> tuple[BilledUsage, ...]:
    made = invoice(line_items=lines, subscription_id=None)
    return billed_usage(made, {"price_1": PLAIN}, {"mtr_1": meter()}, "{customer}", subscriptions=subscriptions)


def test_each_line_is_mapped_by_its_own_subscription() -> None:
    one, two, other = mapped(
        bills(1, "10", **ONE),
        bills(2, "20", **TWO),
        bills(3, "30", subscription_id=None, window=NOVEMBER),
        sub_one={"pacspace_customer_id": "acme:one"},
        sub_two={"pacspace_customer_id": "acme:two"},
    )
    assert [(each.account, each.quantity, each.problem) for each in (one, two, other)] == [
        ("acme:one", Decimal(10), None),
        ("acme:two", Decimal(20), None),
        ("cus_1", Decimal(30), None),
    ]
    assert len(billed_figures([one, two, other])) == 3


def test_a_line_whose_subscription_stripe_does_not_know_is_unmapped() -> None:
    (only,) = mapped(bills(**ONE))
    assert (only.problem, only.account) == (Reason.UNMAPPED, None)
    assert "subscription" in only.detail


def test_two_subscriptions_on_one_account_for_one_time_prove_nothing() -> None:
    usages = mapped(bills(1, **ONE), bills(2, **TWO), sub_one={}, sub_two={})
    assert [each.problem for each in usages] == [Reason.UNMAPPED] * 2
    apart = mapped(bills(1, **ONE), bills(2, **TWO, window=NOVEMBER), sub_one={}, sub_two={})
    assert [each.problem for each in apart] == [None, None]


def test_which_subscriptions_have_to_be_read() -> None:
    made = invoice(line_items=(bills(1), bills(2, **ONE), bills(3, **PLAIN_AMOUNT, subscription_id="sub_three")))
    assert other_subscriptions(made, {"price_1": PLAIN}, UsageItems()) == {"sub_one"}


def test_an_invoice_of_the_period_that_nobody_can_place_leaves_a_question() -> None:
    other = threshold(1, "40", FIRST, billing_reason=BillingReason.UNKNOWN)
    assert list(thresholds_of_period(invoice(), [other])) == [other]
    assert open_question([other]) == (
        Reason.UNKNOWN_SHAPE,
        "invoice in_t1 of the same time has an unknown billing_reason",
    )
