"""Lines that bill usage, that correct money, or whose kind is unknown."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from pacspace_stripe.comparison.rules.verdicts import (
    LineKind,
    Reason,
)
from pacspace_stripe.usage.rules import (
    THRESHOLD,
    billed_usage,
    covered_parts,
    may_bill_usage,
)
from pacspace_stripe.vocabulary.invoices import (
    BillingReason,
    LineItem,
    LineParent,
    Price,
    UsageType,
)
from pacspace_stripe.vocabulary.windows import Window
from tests.support.billed_lines import (
    FIRST,
    MIDDLE,
    PLAIN,
    PLAIN_AMOUNT,
    SECOND,
    SUPPORT,
    billed,
    bills,
    one,
)
from tests.support.examples import NOVEMBER, OCTOBER, Change, invoice, meter, price

# -- kinds that are not known -----------------------------------------------------------------------------------------


RATE_CARD: dict[str, Change] = {"price_id": None, "subscription_id": None, "parent": LineParent.UNKNOWN}
OF_RATE_CARD: dict[str, Change] = {**RATE_CARD, "unknown": ("parent.type=rate_card_subscription_details",)}
OF_PLAN: dict[str, Change] = {
    **RATE_CARD,
    "unknown": ("parent.type=pricing_plan_subscription_details", "pricing.type=license_fee_details"),
}
OF_CADENCE: dict[str, Change] = {"unknown": ("parent.type=billing_cadence_details",)}


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
def test_an_unknown_kind_never_matches_and_is_named(
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


def test_an_invoice_item_without_a_price_bills_no_usage() -> None:
    assert billed(bills(**PLAIN_AMOUNT)) == ()
    assert [each.meter for each in billed(bills(), bills(2, **PLAIN_AMOUNT))] == ["api_calls"]


def test_a_manual_invoice_may_have_lines_without_parent_and_price() -> None:
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
def test_a_line_of_zero_that_only_opens_a_period_bills_no_usage(
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
def test_a_line_of_zero_in_a_running_period_covers_nothing_of_it(
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
def test_lines_that_may_bill_usage_are_found_without_their_prices(made: LineItem, stops: bool) -> None:  # noqa: FBT001  # a column
    assert may_bill_usage(invoice(line_items=(made,))) is stops


def test_an_invoice_of_an_unknown_kind_may_bill_usage_whatever_its_lines_are() -> None:
    assert may_bill_usage(invoice(line_items=(bills(**PLAIN_AMOUNT),), unknown=("parent.type=x",)))


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


def test_a_removed_item_without_usage_is_compared_too() -> None:
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
def test_a_proration_that_no_rule_covers_is_never_guessed(
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
