"""Invoice items that bill usage of another system, and items that the setting does not cover."""

from decimal import Decimal

import pytest

from pacspace_stripe.comparison.rules.verdicts import Reason
from pacspace_stripe.usage.rules import BilledUsage, billed_usage
from pacspace_stripe.vocabulary.invoices import LineItem, LineParent, UsageType
from pacspace_stripe.vocabulary.policy import UsageItems
from pacspace_stripe.vocabulary.windows import Window
from tests.support.examples import NOVEMBER, OCTOBER, Change, invoice, line, meter, price

ONCE = price(price_id="price_once", usage_type=UsageType.NONE, meter_id=None)
NAMED = UsageItems(metadata_keys=("meter",))
METRONOME = {"metronome_invoice_id": "8deed800"}
ACROSS = Window(start=OCTOBER.end - (OCTOBER.end - OCTOBER.start) / 2, end=NOVEMBER.end)


def item(number: int = 1, named: str | None = "tokens", **changes: Change) -> LineItem:
    ordinary: dict[str, Change] = {
        "price_id": None,
        "subscription_id": None,
        "parent": LineParent.INVOICE_ITEM,
        "metadata": {} if named is None else {"meter": named},
    }
    return line(number, **ordinary | changes)


def billed(*lines: LineItem, items: UsageItems = NAMED, **changes: Change) -> tuple[BilledUsage, ...]:
    prices = {"price_1": price(), "price_once": ONCE}
    made = invoice(line_items=lines, subscription_id=None, **changes)
    return billed_usage(made, prices, {"mtr_1": meter()}, "{customer}:{meter}", items=items)


@pytest.mark.parametrize(
    ("bills", "items"),
    [
        (item(), NAMED),
        (item(named=None, price_id="price_once"), UsageItems(prices={"price_once": "tokens"})),
        (item(named=None, product_id="prod_1", price_id="price_once"), UsageItems(products={"prod_1": "tokens"})),
        (item(price_id="price_once"), UsageItems(metadata_keys=("meter",), prices={"price_once": "tokens"})),
    ],
    ids=["metadata", "price", "product", "both"],
)
@pytest.mark.parametrize("metadata", [{}, METRONOME], ids=["any system", "Metronome"])
def test_an_item_bills_the_meter_that_the_setting_names(
    bills: LineItem, items: UsageItems, metadata: dict[str, str]
) -> None:
    (only,) = billed(bills, items=items, metadata=metadata)
    assert (only.meter, only.window, only.account) == ("tokens", OCTOBER, "cus_1:tokens")
    assert (only.quantity, only.problem, only.meter_id, only.needs_meter) == (Decimal(100), None, None, False)


def test_items_of_one_meter_and_period_add_up() -> None:
    tokens, images, later = billed(
        item(1), item(2, quantity=Decimal("0.125")), item(3, "images"), item(4, window=NOVEMBER)
    )
    assert (tokens.quantity, images.quantity, later.quantity) == (Decimal("100.125"), Decimal(100), Decimal(100))
    assert [each.problem for each in (tokens, images, later)] == [None] * 3


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([item(window=None)], "without a period"),
        ([item(quantity=None)], "without a quantity"),
        ([item(1), item(2, quantity=None)], "without a quantity"),
        ([item(quantity=Decimal(-1))], "negative quantity"),
        ([item(amount=-5)], "credits money"),
        ([item(1), item(2, window=ACROSS)], "times that overlap"),
    ],
)
def test_an_item_that_names_its_meter_but_not_its_usage_is_never_guessed(lines: list[LineItem], why: str) -> None:
    for usage in billed(*lines):
        assert (usage.meter, usage.problem) == ("tokens", Reason.UNKNOWN_SHAPE)
        assert why in usage.detail


@pytest.mark.parametrize(
    ("bills", "items"),
    [
        (item(named=None), UsageItems()),
        (item(), UsageItems()),
        (item(named=None, price_id="price_once"), UsageItems()),
        (item(named=None), NAMED),
        (item(named=" "), NAMED),
        (item(named=None, quantity=Decimal(1)), NAMED),
        (item(named="tokens", price_id="price_once"), UsageItems(metadata_keys=("meter",), prices={"price_once": "-"})),
        (item(named=None, price_id="price_once", quantity=Decimal(1)), UsageItems(amounts="-")),
        (item(named=None, quantity=Decimal(2)), UsageItems(amounts="-")),
    ],
    ids=[
        "an undescribed item",
        "metadata that the setting does not name",
        "a price that the setting does not name",
        "no key",
        "an empty name",
        "an amount",
        "two answers",
        "a price is no plain amount",
        "two are no plain amount",
    ],
)
@pytest.mark.parametrize("on_line", [True, False], ids=["item", "invoice"])
def test_an_item_of_metronome_that_names_no_meter_is_unproven(
    bills: LineItem,
    items: UsageItems,
    on_line: bool,  # noqa: FBT001  # a column
) -> None:
    if on_line:
        marked = item(
            1,
            **{name: getattr(bills, name) for name in ("price_id", "quantity", "product_id")},
            metadata={**bills.metadata, "metronome_id": "li_1"},
        )
        (only,) = billed(marked, items=items)
    else:
        (only,) = billed(bills, items=items, metadata=METRONOME)
    assert (only.problem, only.account, only.window) == (Reason.UNKNOWN_SHAPE, None, None)
    assert "PACSPACE_STRIPE_USAGE_ITEMS" in only.detail
    assert [each.line_id for each in only.lines] == ["il_1"]


def test_a_metronome_invoice_is_recognised_whatever_the_case_of_its_key() -> None:
    (only,) = billed(item(named=None), items=UsageItems(), metadata={"Metronome_Invoice_ID": "8deed800"})
    assert (only.problem, "Metronome_Invoice_ID 8deed800" in only.detail) == (Reason.UNKNOWN_SHAPE, True)


def test_a_metronome_invoice_without_lines_is_unproven_until_the_setting_exists() -> None:
    (only,) = billed(items=UsageItems(), metadata=METRONOME)
    assert only.problem is Reason.UNKNOWN_SHAPE


@pytest.mark.parametrize("metadata", [{}, METRONOME], ids=["any system", "Metronome"])
@pytest.mark.parametrize(
    ("bills", "items"),
    [
        (item(named="-"), NAMED),
        (item(named=None, price_id="price_once"), UsageItems(prices={"price_once": "-"})),
        (item(named=None, quantity=Decimal(1)), UsageItems(amounts="-")),
        (item(named=None, quantity=None), UsageItems(amounts="-")),
    ],
    ids=["metadata", "price", "an amount", "an amount without a quantity"],
)
def test_an_item_that_the_setting_marks_as_no_usage_is_not_compared(
    bills: LineItem, items: UsageItems, metadata: dict[str, str]
) -> None:
    assert billed(bills, items=items, metadata=metadata) == ()


def test_an_ordinary_item_that_names_no_meter_bills_no_usage() -> None:
    assert billed(item(named=None)) == ()


def test_a_subscription_line_with_the_subscriptions_metadata_names_no_meter() -> None:
    plan = item(item_id="si_1", parent=LineParent.SUBSCRIPTION_ITEM, price_id="price_once")
    assert billed(plan) == ()


@pytest.mark.parametrize(("window", "number"), [(OCTOBER, 1), (ACROSS, 2)], ids=["the same time", "a part of it"])
def test_usage_that_both_a_price_and_an_item_bill_is_not_compared(window: Window, number: int) -> None:
    usages = billed(line(1, subscription_id=None), item(2, "api_calls", window=window))
    assert len(usages) == number
    assert usages[-1].problem is Reason.UNKNOWN_SHAPE
    assert "bill one meter for the same time" in usages[-1].detail


def test_usage_of_one_meter_in_following_times_is_compared() -> None:
    assert [
        usage.problem for usage in billed(line(1, subscription_id=None), item(2, "api_calls", window=NOVEMBER))
    ] == [None, None]
