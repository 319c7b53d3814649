"""Several invoices of one period: what thresholds billed counts, and what earlier invoices leave open."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from pacspace_stripe.comparison.rules.verdicts import (
    EarlierBilling,
    Reason,
)
from pacspace_stripe.usage.rules import (
    THRESHOLD,
    judge_threshold,
    open_question,
    thresholds_of_period,
)
from pacspace_stripe.vocabulary.invoices import (
    BillingReason,
    InvoiceStatus,
)
from pacspace_stripe.vocabulary.windows import Window
from tests.support.billed_lines import FIRST, MIDDLE, PLAIN, SECOND, SUPPORT, bills, one, threshold
from tests.support.examples import OCTOBER, Change, invoice, result

# -- thresholds -------------------------------------------------------------------------------------------------------


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


def test_a_threshold_that_does_not_adjoin_belongs_to_another_time() -> None:
    gap = Window(start=FIRST.start, end=FIRST.end - timedelta(seconds=1))
    assert one(bills(9, "2", window=SECOND), earlier=(threshold(1, "40", gap),)).billed_earlier == ()


def test_usage_that_another_price_billed_before_does_not_count() -> None:
    other = threshold(1, "40", FIRST, line_items=(bills(1, "40", window=FIRST, price_id="price_2"),))
    only = one(bills(9, "2", window=SECOND), prices=(PLAIN, SUPPORT), earlier=(other,))
    assert (only.window, only.billed_earlier) == (SECOND, ())


@pytest.mark.parametrize(
    ("reason", "end", "cut"),
    [(THRESHOLD, MIDDLE, True), ("subscription_cycle", OCTOBER.end, False)],
)
def test_the_window_of_a_threshold_ends_when_it_was_made(reason: str, end: datetime, cut: bool) -> None:  # noqa: FBT001  # a column
    only = one(bills(), billing_reason=reason, created_at=MIDDLE)
    assert (only.window, only.ends_early) == (Window(start=OCTOBER.start, end=end), cut)


def test_a_difference_of_a_threshold_is_unproven() -> None:
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
def test_earlier_invoices_may_leave_a_question_open(changes: dict[str, Change], question: Reason | None) -> None:
    found = open_question([threshold(1, "40", FIRST, **changes)])
    assert (found[0] if found else None) is question
