"""The ledger account of each line, and two invoices or subscriptions that bill the same account."""

from decimal import Decimal

import pytest

from pacspace_stripe.comparison.rules.verdicts import (
    Reason,
)
from pacspace_stripe.usage.rules import (
    SHARED_ACCOUNT,
    BilledUsage,
    billed_figures,
    billed_usage,
    open_question,
    other_subscriptions,
    overlap_detail,
    thresholds_of_period,
)
from pacspace_stripe.vocabulary.invoices import (
    BillingReason,
    LineItem,
)
from pacspace_stripe.vocabulary.policy import UsageItems
from tests.support.billed_lines import FIRST, PLAIN, PLAIN_AMOUNT, bills, threshold
from tests.support.examples import NOVEMBER, Change, invoice, meter, price

# -- who else bills it ------------------------------------------------------------------------------------------------


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
def test_an_overlapping_invoice_is_named_with_what_to_do(
    customer: str | None,
    subscription: str | None,
    by_record: bool,  # noqa: FBT001  # a column of the table
    said: str,
) -> None:
    detail = overlap_detail(invoice(), "in_9", customer_id=customer, subscription_id=subscription, by_record=by_record)
    assert detail.startswith("invoice in_9 bills")
    assert said in detail


def test_meters_may_share_an_account_if_its_records_name_their_meter() -> None:
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


def test_two_subscriptions_that_bill_one_account_at_one_time_prove_nothing() -> None:
    usages = mapped(bills(1, **ONE), bills(2, **TWO), sub_one={}, sub_two={})
    assert [each.problem for each in usages] == [Reason.UNMAPPED] * 2
    apart = mapped(bills(1, **ONE), bills(2, **TWO, window=NOVEMBER), sub_one={}, sub_two={})
    assert [each.problem for each in apart] == [None, None]


def test_only_subscriptions_that_usage_lines_name_are_read() -> None:
    made = invoice(line_items=(bills(1), bills(2, **ONE), bills(3, **PLAIN_AMOUNT, subscription_id="sub_three")))
    assert other_subscriptions(made, {"price_1": PLAIN}, UsageItems()) == {"sub_one"}


def test_an_earlier_invoice_of_an_unknown_reason_leaves_a_question_open() -> None:
    other = threshold(1, "40", FIRST, billing_reason=BillingReason.UNKNOWN)
    assert list(thresholds_of_period(invoice(), [other])) == [other]
    assert open_question([other]) == (
        Reason.UNKNOWN_SHAPE,
        "invoice in_t1 of the same time has an unknown billing_reason",
    )
