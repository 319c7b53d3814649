"""The arithmetic of a backfill: its lists, its progress, and the requests that applying it takes."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from pacspace_stripe.backfill.progress import rough_duration
from pacspace_stripe.backfill.rules.tally import (
    STATUSES,
    BackfillOutcome,
    BackfillSelection,
    CallCounts,
    Listing,
    ListPosition,
    Tally,
    calls_for,
    selection_json,
)
from pacspace_stripe.http.ratelimit.rules.rate import STRIPE_LIVE, STRIPE_TEST
from pacspace_stripe.vocabulary.invoices import InvoiceStatus
from pacspace_stripe.vocabulary.policy import FailPolicy, Policy

JULY, OCTOBER = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)
QUARTER = BackfillSelection(since=JULY, until=OCTOBER)
DRAFT, OPEN, PAID = STATUSES


@pytest.mark.parametrize(
    ("statuses", "asked"),
    [
        ((DRAFT, OPEN, PAID), [None]),
        ((OPEN, PAID), [None]),
        ((PAID,), [PAID]),
        ((OPEN, DRAFT), [DRAFT, OPEN]),
    ],
)
def test_one_list_of_all_is_used_when_paid_invoices_are_among_the_selected(
    statuses: tuple[InvoiceStatus, ...], asked: list[InvoiceStatus | None]
) -> None:
    selection = BackfillSelection(since=JULY, until=OCTOBER, statuses=statuses)
    assert [listing.status for listing in selection.listings()] == asked


def test_every_customer_has_a_list() -> None:
    selection = BackfillSelection(since=JULY, until=OCTOBER, customers=("cus_a", "cus_b"))
    assert selection.listings() == (Listing(customer="cus_a", status=None), Listing(customer="cus_b", status=None))


@pytest.mark.parametrize(
    ("place", "share"),
    [
        (ListPosition(), 0.0),
        (ListPosition(after="in_1", created_at=OCTOBER), 0.0),
        (ListPosition(after="in_1", created_at=JULY + (OCTOBER - JULY) / 4), 0.75),
        (ListPosition(after="in_1", created_at=JULY), 1.0),
    ],
)
def test_the_done_share_is_a_share_of_the_time(place: ListPosition, share: float) -> None:
    assert place.share(QUARTER) == pytest.approx(share)


def test_the_second_of_two_lists_begins_at_half() -> None:
    two = BackfillSelection(since=JULY, until=OCTOBER, customers=("cus_a", "cus_b"))
    assert ListPosition(listing=1).share(two) == 0.5


@pytest.mark.parametrize(
    ("calls", "live", "test"),
    [
        (CallCounts(reads=250, updates=250), 10, 20),
        (CallCounts(lists=10, reads=1000, updates=1000), 40, 80.4),
        (CallCounts(reads=50, updates=50, finalizations=50), 2, 6),
        (CallCounts(ledger=1000), 0, 0),
    ],
)
def test_the_busiest_endpoint_or_the_total_limit_sets_the_time(calls: CallCounts, live: float, test: float) -> None:
    assert calls.at_least(STRIPE_LIVE) == timedelta(seconds=live)
    assert calls.at_least(STRIPE_TEST) == timedelta(seconds=test)


@pytest.mark.parametrize(
    ("outcome", "status", "calls"),
    [
        (BackfillOutcome.NOT_METERED, PAID, CallCounts()),
        (BackfillOutcome.MATCHED, PAID, CallCounts(reads=1, updates=1, ledger=10)),
        (BackfillOutcome.DRIFTED, OPEN, CallCounts(reads=2, updates=1, ledger=8)),
        (BackfillOutcome.MATCHED, DRAFT, CallCounts(reads=3, updates=3, finalizations=1, ledger=10)),
    ],
)
def test_the_calls_of_an_invoice(outcome: BackfillOutcome, status: InvoiceStatus, calls: CallCounts) -> None:
    assert calls_for(outcome, status, windows=2, stamps=True, policy=Policy()) == calls


def test_a_draft_takes_fewer_calls_where_stripe_finalizes_it() -> None:
    taken = calls_for(BackfillOutcome.MATCHED, DRAFT, windows=1, stamps=True, policy=Policy(fail=FailPolicy.OPEN))
    assert (taken.stripe_reads, taken.stripe_writes) == (3, 2)


def test_a_tally_is_good_while_no_invoice_is_bad() -> None:
    tally = Tally()
    tally.count(BackfillOutcome.MATCHED, "EXACT", PAID, stamped=True)
    tally.count(BackfillOutcome.NOT_METERED, None, PAID, stamped=False)
    assert tally.good
    tally.count(BackfillOutcome.DRIFTED, "OVERBILLED", OPEN, stamped=False)
    assert not tally.good
    assert (tally.invoices, tally.stamped, tally.unchanged) == (3, 1, 1)
    assert tally.reasons == {"drifted OVERBILLED": 1}


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.6, "1m 00s"), (200, "3m 20s"), (3600, "1h 00m"), (400_000, "111h 06m")]
)
def test_a_duration_is_written_for_people(seconds: float, text: str) -> None:
    assert rough_duration(timedelta(seconds=seconds)) == text


def test_a_selection_is_shown_in_json() -> None:
    assert json.loads(json.dumps(selection_json(QUARTER))) == {
        "since": "2026-07-01T00:00:00Z",
        "until": "2026-10-01T00:00:00Z",
        "customers": [],
        "statuses": ["draft", "open", "paid"],
    }
