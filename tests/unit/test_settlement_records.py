"""Records of the settlement ledger: their keys, and that none vouches twice."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.comparison.rules.reconcile import compare_figures
from pacspace_stripe.comparison.rules.verdicts import Reason
from pacspace_stripe.usage.rules.accounts import CoveredPart, covered_part, on_records, record_key
from pacspace_stripe.vocabulary.ledger import Balance, Record, UsageSign
from pacspace_stripe.vocabulary.windows import Window
from tests.support.examples import NOVEMBER, OCTOBER, invoice, usage

DEFAULT = "usage-{customer}-{month}"
ANNIVERSARY = Window(start=datetime(2026, 10, 15, 8, tzinfo=UTC), end=datetime(2026, 11, 15, 8, tzinfo=UTC))


@pytest.mark.parametrize(
    ("template", "window", "key"),
    [
        (DEFAULT, OCTOBER, "usage-cus_1-2026-10"),
        (DEFAULT, ANNIVERSARY, "usage-cus_1-2026-10"),
        ("{customer}:{meter}:{month}", OCTOBER, "cus_1:api_calls:2026-10"),
        ("{customer}.{start}.{end}", ANNIVERSARY, "cus_1.2026-10-15.2026-11-15"),
        ("{customer}{month}" + "x" * 128, OCTOBER, None),
    ],
)
def test_a_key_is_made_of_customer_meter_and_time(template: str, window: Window, key: str | None) -> None:
    assert record_key(template, customer="cus_1", meter="api_calls", window=window) == key


@pytest.mark.parametrize("meter", [None, "api calls"])
def test_a_meter_that_cannot_be_named_has_no_key(meter: str | None) -> None:
    assert record_key("{customer}-{meter}-{month}", customer="cus_1", meter=meter, window=OCTOBER) is None


@given(st.text(), st.text())
def test_a_key_is_legal_or_missing_whatever_is_filled_in(customer: str, meter: str) -> None:
    key = record_key("{customer}-{meter}-{start}-{end}", customer=customer, meter=meter, window=OCTOBER)
    assert key is None or (set(key) <= set("-_.:") | set(filter(str.isalnum, key)) and len(key) <= 128)


def test_each_window_gets_its_record_and_covers_all_of_it() -> None:
    mapped = on_records(invoice(), (usage(), usage(window=NOVEMBER)), DEFAULT)
    assert [each.account for each in mapped] == ["usage-cus_1-2026-10", "usage-cus_1-2026-11"]
    assert [each.problem for each in mapped] == [None, None]
    one, other = (covered_part(each) for each in mapped)
    assert one is not None
    assert other is not None
    assert one.account != other.account
    assert one.window.start < OCTOBER.start - timedelta(days=9999)
    assert one.window.end > OCTOBER.end


def test_usage_without_a_record_covers_its_window_alone() -> None:
    assert covered_part(usage(account="acme")) == CoveredPart("acme", OCTOBER)
    assert covered_part(usage(account=None)) is None


def test_usage_covers_its_meters_part_if_records_name_their_meter() -> None:
    split = usage(account="acme", split_for="cus_1")
    assert covered_part(split) == CoveredPart("acme", OCTOBER, meter="api_calls", customer_id="cus_1")


def test_usages_that_share_a_record_are_unmapped_and_keep_their_own_problems() -> None:
    odd = usage(meter="odd", problem=Reason.UNKNOWN_SHAPE, detail="tiers")
    one, other, third = on_records(invoice(), (usage(), odd, usage(window=NOVEMBER)), DEFAULT)
    assert (one.problem, other.problem, third.problem) == (Reason.UNMAPPED, Reason.UNKNOWN_SHAPE, None)


def test_usages_that_share_a_ledger_account_may_have_records_of_their_own() -> None:
    shared = usage(problem=Reason.UNMAPPED, detail="several meters share this ledger account")
    (mapped,) = on_records(invoice(), (shared,), DEFAULT)
    assert (mapped.problem, mapped.detail) == (None, "")


def balance(bits: str, *, verified: bool = True) -> Balance:
    record = Record(key="k", bits=Decimal(bits), writes=2, verified=verified)
    return Balance(account="k", window=OCTOBER, net=record.bits, count=2, record=record)


@pytest.mark.parametrize(
    ("billed", "bits", "verified", "reason"),
    [
        ("100", "100", True, Reason.EXACT),
        ("100", "90", True, Reason.OVERBILLED),
        ("0", "0", True, Reason.EXACT),
        ("100", "-100", True, Reason.OVERBILLED),
        ("100", "100", False, Reason.NOT_SETTLED),
        ("0", "0", False, Reason.NOT_SETTLED),
    ],
)
def test_a_record_proves_only_once_it_is_verified(billed: str, bits: str, verified: bool, reason: Reason) -> None:  # noqa: FBT001 - a table
    read = balance(bits, verified=verified)
    found = compare_figures(replace(usage(), quantity=Decimal(billed)), read, UsageSign.POSITIVE, Decimal(0))
    assert (found.reason, found.record) == (reason, read.record)
