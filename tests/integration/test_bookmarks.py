"""Bookmarks of backfills, in both databases."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from pacspace_stripe.backfill.results import Bookmark, Bookmarks, RunWrites
from pacspace_stripe.backfill.rules.tally import BackfillOutcome, BackfillSelection, CallCounts, ListPosition, Tally
from pacspace_stripe.store import Store
from pacspace_stripe.store.tables import facts
from pacspace_stripe.vocabulary.invoices import InvoiceStatus

JULY, OCTOBER = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)
QUARTER = BackfillSelection(since=JULY, until=OCTOBER)


@pytest.fixture
def bookmarks(database_url: str) -> Iterator[Bookmarks]:
    store = Store(database_url, now=lambda: OCTOBER, lost_after=timedelta(seconds=1))
    store.migrate()
    yield Bookmarks(store=store)
    store.close()


def test_a_bookmark_comes_back_unchanged(bookmarks: Bookmarks) -> None:
    tally = Tally()
    tally.count(BackfillOutcome.DRIFTED, "OVERBILLED", InvoiceStatus.OPEN, stamped=True)
    tally.calls += CallCounts(lists=3)
    kept = Bookmark(
        until=OCTOBER, place=ListPosition(listing=1, after="in_7", created_at=JULY), tally=tally, report_bytes=4711
    )
    bookmarks.keep(QUARTER, kept, open_end=False)
    assert bookmarks.find(QUARTER, open_end=False) == kept
    bookmarks.forget(QUARTER, open_end=False)
    assert bookmarks.find(QUARTER, open_end=False) is None


def test_another_backfill_has_another_bookmark(bookmarks: Bookmarks) -> None:
    bookmarks.keep(QUARTER, Bookmark(until=OCTOBER), open_end=False)
    others = [
        BackfillSelection(since=JULY, until=OCTOBER + timedelta(seconds=1)),
        BackfillSelection(since=JULY, until=OCTOBER, customers=("cus_a",)),
        BackfillSelection(since=JULY, until=OCTOBER, statuses=(InvoiceStatus.PAID,)),
    ]
    assert [bookmarks.find(other, open_end=False) for other in others] == [None] * 3
    assert bookmarks.find(QUARTER, open_end=True) is None


def test_a_backfill_without_an_end_has_the_same_bookmark_tomorrow(bookmarks: Bookmarks) -> None:
    bookmarks.keep(QUARTER, Bookmark(until=OCTOBER), open_end=True)
    tomorrow = BackfillSelection(since=JULY, until=OCTOBER + timedelta(days=1))
    assert bookmarks.find(tomorrow, open_end=True) == Bookmark(until=OCTOBER)


def test_a_bookmark_of_the_previous_version_is_continued(bookmarks: Bookmarks) -> None:
    kept = Bookmark(until=OCTOBER, beyond={"in_7": RunWrites(stamped=True, pdf=False)})
    bookmarks.keep(QUARTER, kept, open_end=False)
    name = next(name for name in facts_of(bookmarks) if name.startswith("backfill:"))
    stored = json.loads(bookmarks.store.journal.fact(name) or "")
    assert stored["beyond"] == {"in_7": {"stamped": True, "paper": False}}
    assert bookmarks.find(QUARTER, open_end=False) == kept


def facts_of(bookmarks: Bookmarks) -> list[str]:
    with bookmarks.store.engine.connect() as connection:
        return list(connection.execute(sa.select(facts.c.name)).scalars())
