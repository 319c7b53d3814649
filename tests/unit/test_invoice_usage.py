"""From an invoice's lines to usage per meter and window, with its ledger account and its figures."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.comparison.rules.verdicts import BilledLine, Reason
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
from pacspace_stripe.vocabulary.quantities import text
from pacspace_stripe.vocabulary.windows import Window
from tests.support.examples import (
    METER,
    NOVEMBER,
    OCTOBER,
    Change,
    invoice,
    line,
    meter,
    price,
    usage,
)

quantities = st.decimals(min_value=0, max_value=10**12, allow_nan=False, places=6)

PRICES = {"price_1": price()}
METERS = {"mtr_1": meter()}
TEMPLATE = "{customer}"
NO_PRICE: dict[str, Change] = {"price_id": None, "subscription_id": None, "parent": LineParent.INVOICE_ITEM}


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
def test_a_line_is_compared_if_it_is_metered_or_may_be(
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


def test_every_window_is_a_usage_of_its_own() -> None:
    first, second = billed(line(1), line(2, window=NOVEMBER, quantity=Decimal(7)))
    assert (first.window, first.quantity) == (OCTOBER, Decimal(100))
    assert (second.window, second.quantity) == (NOVEMBER, Decimal(7))


def test_every_meter_is_a_usage_of_its_own() -> None:
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


# -- shapes that are not compared -------------------------------------------------------------------------------------


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
def test_a_line_that_the_rules_do_not_cover_has_an_unknown_shape(
    lines: tuple[LineItem, ...], prices: dict[str, Price], meters: dict[str, Meter], request: pytest.FixtureRequest
) -> None:
    (only,) = billed(*lines, prices=prices, meters=meters)
    assert only.problem is Reason.UNKNOWN_SHAPE
    assert request.node.callspec.id in only.detail


def test_a_sum_with_a_missing_part_is_unknown() -> None:
    (only,) = billed(line(), line(2, quantity=None))
    assert only.quantity is None
    assert list(billed_figures([only]).values()) == ["unknown"]


def test_an_unknown_line_does_not_hide_a_known_one() -> None:
    usages = billed(line(1), line(2, price_id="price_unread"))
    assert [one.problem for one in usages] == [Reason.UNMAPPED, Reason.UNKNOWN_SHAPE]


# -- the ledger account -----------------------------------------------------------------------------------------------


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
def test_usage_is_mapped_to_one_ledger_account(
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


def test_one_meter_in_several_windows_does_not_share_its_account() -> None:
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


# -- figures ----------------------------------------------------------------------------------------------------------


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
def test_figures_agree_if_each_one_does(
    left: dict[str, str],
    right: dict[str, str],
    same: bool,  # noqa: FBT001  # a column of the table
) -> None:
    assert same_figures(left, right) is same


@given(st.dictionaries(st.text(max_size=5), quantities.map(text), max_size=4))
def test_figures_agree_with_themselves(figures: dict[str, str]) -> None:
    assert same_figures(figures, dict(figures))


@given(quantities, st.sampled_from([OCTOBER, NOVEMBER]))
def test_figures_of_an_invoice_that_is_read_twice_agree(quantity: Decimal, window: Window) -> None:
    def read() -> dict[str, str]:
        return billed_figures(billed(line(quantity=quantity, window=window)))

    assert same_figures(read(), read())


def test_a_shifted_window_is_another_figure() -> None:
    later = replace(OCTOBER, end=OCTOBER.end + timedelta(seconds=1))
    assert not same_figures(billed_figures(billed(line())), billed_figures(billed(line(window=later))))


def read_of(made: Invoice) -> tuple[BilledUsage, ...]:
    return billed_usage(made, PRICES, METERS, TEMPLATE)


def test_usage_names_the_lines_that_it_sums_in_a_fixed_order() -> None:
    one, other = read_of(invoice(line_items=(line(1), line(2)))), read_of(invoice(line_items=(line(2), line(1))))
    assert ids_of(one[0].result(Reason.EXACT).lines) == ids_of(other[0].result(Reason.EXACT).lines) == ["il_1", "il_2"]
