"""Coverage: which invoices bill the same usage."""

from dataclasses import replace

import pytest

from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.store import Store
from pacspace_stripe.usage.rules.accounts import CoveredPart
from pacspace_stripe.vocabulary.windows import Window
from tests.support.stores import DAY, HALF, HELD, NOVEMBER, OCTOBER, saved


def test_an_account_that_one_invoice_bills_overlaps_no_invoice(store: Store) -> None:
    for _ in range(2):
        store.coverage.put("in_1", [("acme", OCTOBER), ("acme", NOVEMBER)])
    assert store.coverage.overlapping_invoice("in_1", "acme", OCTOBER) is None


def test_two_invoices_for_one_time_overlap_each_other(store: Store) -> None:
    store.coverage.put("in_1", [("acme", OCTOBER)])
    store.coverage.put("in_2", [("acme", HALF)])
    assert store.coverage.overlapping_invoice("in_1", "acme", OCTOBER) == "in_2"
    assert store.coverage.overlapping_invoice("in_2", "acme", HALF) == "in_1"
    assert store.coverage.overlapping_invoice("in_2", "other", HALF) is None


def test_the_overlapping_part_of_two_windows_is_returned(store: Store) -> None:
    store.coverage.put(
        "in_1", [CoveredPart("acme", OCTOBER, "seats", "cus_1"), CoveredPart("acme", NOVEMBER, "api_calls", "cus_1")]
    )
    first, second = replace(HALF, end=OCTOBER.end), replace(HALF, start=NOVEMBER.start)
    assert sorted(store.coverage.overlaps("in_1", "acme", HALF)) == [first, second]
    assert store.coverage.overlaps("in_1", "acme", HALF, "seats", "cus_1") == [first]
    assert store.coverage.overlaps("in_1", "other", HALF) == store.coverage.overlaps("in_2", "acme", HALF) == []


def test_one_period_after_the_other_does_not_overlap(store: Store) -> None:
    store.coverage.put("in_1", [("acme", OCTOBER)])
    store.coverage.put("in_2", [("acme", NOVEMBER)])
    assert store.coverage.overlapping_invoice("in_2", "acme", NOVEMBER) is None


def test_of_windows_that_begin_together_the_longest_is_stored(store: Store) -> None:
    store.coverage.put("in_1", [("acme", OCTOBER), ("acme", replace(OCTOBER, end=OCTOBER.start + DAY))])
    assert store.coverage.overlapping_invoice("in_2", "acme", HALF) == "in_1"


def test_two_meters_of_one_customer_share_an_account(store: Store) -> None:
    store.coverage.put(
        "in_1", [CoveredPart("acme", OCTOBER, "api_calls", "cus_1"), CoveredPart("acme", OCTOBER, "seats", "cus_1")]
    )
    assert store.coverage.overlapping_invoice("in_2", "acme", HALF, "storage", "cus_1") is None
    assert store.coverage.overlapping_invoice("in_2", "acme", HALF, "seats", "cus_1") == "in_1"
    assert store.coverage.overlapping_invoice("in_2", "acme", HALF, "storage", "cus_2") == "in_1"
    assert store.coverage.overlapping_invoice("in_2", "acme", HALF) == "in_1"


def test_coverage_of_a_whole_account_covers_every_meter_in_it(store: Store) -> None:
    store.coverage.put("in_1", [("acme", OCTOBER)])
    assert store.coverage.overlapping_invoice("in_2", "acme", HALF, "storage", "cus_1") == "in_1"


def test_an_early_warning_overlaps_no_invoice_either(store: Store) -> None:
    store.coverage.put("upcoming:sub_1:7", [("acme", OCTOBER)])
    assert store.coverage.overlapping_invoice("in_1", "acme", OCTOBER) is None


@pytest.mark.parametrize(
    ("claimed", "verdict", "found"),
    [
        pytest.param(HALF, Verdict.DRIFTED, True, id="of a time that overlaps, drifted"),
        pytest.param(NOVEMBER, Verdict.DRIFTED, False, id="of another time"),
        pytest.param(OCTOBER, Verdict.MATCHED, False, id="matched"),
        pytest.param(OCTOBER, Verdict.UNPROVEN, False, id="not judged yet"),
    ],
)
def test_drifts_of_other_invoices_are_found_by_their_coverage(
    store: Store, claimed: Window, verdict: Verdict, *, found: bool
) -> None:
    store.coverage.put("in_2", [("beta", claimed)])
    memory = replace(HELD, invoice_id="in_2", verdict=verdict)
    saved(store, memory)
    assert store.coverage.drifting("in_1", OCTOBER, most=5) == ([memory] if found else [])
    assert store.coverage.drifting("in_2", OCTOBER, most=5) == []


def test_other_invoices_without_a_verdict_are_found_once(store: Store) -> None:
    store.coverage.put(
        "in_2", [CoveredPart("beta", OCTOBER, "api_calls", "cus_2"), CoveredPart("beta", OCTOBER, "seats", "cus_2")]
    )
    store.coverage.put("in_3", [("gamma", NOVEMBER)])
    store.coverage.put("in_4", [("delta", OCTOBER)])
    saved(store, replace(HELD, invoice_id="in_4", verdict=Verdict.MATCHED))
    assert store.coverage.unjudged("in_1", OCTOBER, most=5) == [("in_2", "beta")]


def test_a_corrected_mapping_frees_the_coverage_before_it(store: Store) -> None:
    store.coverage.put("in_1", [("acme", OCTOBER)])
    store.coverage.put("in_1", [("other", OCTOBER)])
    assert store.coverage.overlapping_invoice("in_2", "acme", OCTOBER) is None
    store.coverage.put("in_1", [])
    assert store.coverage.overlapping_invoice("in_2", "other", OCTOBER) is None
