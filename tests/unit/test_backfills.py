"""The arithmetic of a backfill: what Stripe is asked for, how far it is, what applying it takes."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from pacspace_stripe.backfill.progress import rough_duration
from pacspace_stripe.backfill.rules.tally import (
    STATUSES,
    Calls,
    Listing,
    Outcome,
    Place,
    Selection,
    Tally,
    calls_for,
    shown,
)
from pacspace_stripe.http.ratelimit.rules.rate import STRIPE_LIVE, STRIPE_TEST
from pacspace_stripe.vocabulary.invoices import InvoiceStatus
from pacspace_stripe.vocabulary.policy import FailPolicy, Policy

JULY, OCTOBER = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)
QUARTER = Selection(since=JULY, until=OCTOBER)
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
def test_most_are_paid_so_one_list_is_cheapest_when_these_are_among_them(
    statuses: tuple[InvoiceStatus, ...], asked: list[InvoiceStatus | None]
) -> None:
    selection = Selection(since=JULY, until=OCTOBER, statuses=statuses)
    assert [listing.status for listing in selection.listings()] == asked


def test_every_customer_is_a_list_of_its_own() -> None:
    selection = Selection(since=JULY, until=OCTOBER, customers=("cus_a", "cus_b"))
    assert selection.listings() == (Listing(customer="cus_a", status=None), Listing(customer="cus_b", status=None))


@pytest.mark.parametrize(
    ("place", "share"),
    [
        (Place(), 0.0),
        (Place(after="in_1", created_at=OCTOBER), 0.0),
        (Place(after="in_1", created_at=JULY + (OCTOBER - JULY) / 4), 0.75),
        (Place(after="in_1", created_at=JULY), 1.0),
    ],
)
def test_how_far_it_is_goes_by_time(place: Place, share: float) -> None:
    assert place.share(QUARTER) == pytest.approx(share)


def test_of_two_lists_the_second_begins_at_half() -> None:
    two = Selection(since=JULY, until=OCTOBER, customers=("cus_a", "cus_b"))
    assert Place(listing=1).share(two) == 0.5


@pytest.mark.parametrize(
    ("calls", "live", "test"),
    [
        (Calls(reads=250, updates=250), 10, 20),
        (Calls(lists=10, reads=1000, updates=1000), 40, 80.4),
        (Calls(reads=50, updates=50, finalizations=50), 2, 6),
        (Calls(ledger=1000), 0, 0),
    ],
)
def test_the_busiest_endpoint_and_all_together_say_how_long_it_takes(calls: Calls, live: float, test: float) -> None:
    assert calls.at_least(STRIPE_LIVE) == timedelta(seconds=live)
    assert calls.at_least(STRIPE_TEST) == timedelta(seconds=test)


@pytest.mark.parametrize(
    ("outcome", "status", "calls"),
    [
        (Outcome.NOT_METERED, PAID, Calls()),
        (Outcome.MATCHED, PAID, Calls(reads=1, updates=1, ledger=10)),
        (Outcome.DRIFTED, OPEN, Calls(reads=2, updates=1, ledger=8)),
        (Outcome.MATCHED, DRAFT, Calls(reads=3, updates=3, finalizations=1, ledger=10)),
    ],
)
def test_what_an_invoice_takes(outcome: Outcome, status: InvoiceStatus, calls: Calls) -> None:
    assert calls_for(outcome, status, windows=2, stamps=True, policy=Policy()) == calls


def test_a_draft_takes_less_where_stripe_finalizes_it() -> None:
    taken = calls_for(Outcome.MATCHED, DRAFT, windows=1, stamps=True, policy=Policy(fail=FailPolicy.OPEN))
    assert (taken.stripe_reads, taken.stripe_writes) == (3, 2)


def test_a_tally_is_good_until_one_is_not() -> None:
    tally = Tally()
    tally.count(Outcome.MATCHED, "EXACT", PAID, stamped=True)
    tally.count(Outcome.NOT_METERED, None, PAID, stamped=False)
    assert tally.good
    tally.count(Outcome.DRIFTED, "OVERBILLED", OPEN, stamped=False)
    assert not tally.good
    assert (tally.invoices, tally.stamped, tally.unchanged) == (3, 1, 1)
    assert tally.reasons == {"drifted OVERBILLED": 1}


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.6, "1m 00s"), (200, "3m 20s"), (3600, "1h 00m"), (400_000, "111h 06m")]
)
def test_a_duration_is_written_for_people(seconds: float, text: str) -> None:
    assert rough_duration(timedelta(seconds=seconds)) == text


def test_a_selection_is_shown_in_json() -> None:
    assert json.loads(json.dumps(shown(QUARTER))) == {
        "since": "2026-07-01T00:00:00Z",
        "until": "2026-10-01T00:00:00Z",
        "customers": [],
        "statuses": ["draft", "open", "paid"],
    }
