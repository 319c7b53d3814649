"""Stored explanations, on SQLite and on PostgreSQL, also after a migration."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from pacspace_stripe.explain.rules.explanation import Cause
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.store import JobKind, Store
from tests.support.explanations import TWICE
from tests.support.stores import revision

START, MINUTE = datetime(2026, 11, 1, tzinfo=UTC), timedelta(minutes=1)
NASTY = "\x00\x1b[2J\ud800 ü 日本語"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def store(database_url: str, clock: ManualClock) -> Iterator[Store]:
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    made = Store(url, now=clock.now, lost_after=MINUTE)
    made.migrate()
    yield made
    made.close()


def test_an_explanation_is_found_as_it_was_stored(store: Store, clock: ManualClock) -> None:
    clock.advance(60)
    store.explanations.put("in_1", "a" * 64, (TWICE, replace(TWICE, meter="tokens")))
    found = store.explanations.find("in_1")
    assert found is not None
    assert found.explanations == (TWICE, replace(TWICE, meter="tokens"))
    assert (found.fingerprint, found.made_at) == ("a" * 64, START + MINUTE)
    assert store.explanations.fingerprint_of("in_1") == "a" * 64


def test_a_drift_without_an_explanation_has_none(store: Store) -> None:
    assert store.explanations.find("in_1") is None
    assert store.explanations.fingerprint_of("in_1") is None
    assert store.explanations.of([]) == {}


def test_the_explanation_of_another_drift_replaces_the_one_before(store: Store) -> None:
    store.explanations.put("in_1", "a", (TWICE,))
    store.explanations.put("in_1", "b", (replace(TWICE, cause=Cause.UNEXPLAINED),))
    found = store.explanations.find("in_1")
    assert found is not None
    assert (found.fingerprint, [each.cause for each in found.explanations]) == ("b", [Cause.UNEXPLAINED])


def test_any_text_of_a_vendor_is_kept(store: Store) -> None:
    nasty = replace(TWICE, meter=NASTY, account=NASTY, counterpart=NASTY, notes=(NASTY,))
    store.explanations.put("in_1", "a", (nasty,))
    found = store.explanations.find("in_1")
    assert found is not None
    assert found.explanations == (nasty,)


def test_many_are_found_at_once(store: Store) -> None:
    for number in range(3):
        store.explanations.put(f"in_{number}", "a", (TWICE,))
    asked = [f"in_{number}" for number in range(2, 1500)]
    assert set(store.explanations.of(asked)) == {"in_2"}


def test_a_database_of_version_0003_keeps_its_jobs_and_gets_a_table_of_explanations(store: Store) -> None:
    revision(store, "downgrade", "0003")
    assert "pacspace_explanations" not in sa.inspect(store.engine).get_table_names()
    leased = store.jobs.acquire(JobKind.INVOICE, "in_1", MINUTE)
    assert leased is not None
    leased.give_back(InvoiceState(invoice_id="in_1", detail="kept"), START)
    store.migrate()
    found = store.jobs.find("in_1")
    assert found is not None
    assert found.state.detail == "kept"
    store.explanations.put("in_1", "a", (TWICE,))
    assert store.explanations.fingerprint_of("in_1") == "a"
