"""The audit log, facts, and times as they are stored."""

from datetime import timedelta, timezone

import pytest
import sqlalchemy as sa

from pacspace_stripe.gate.rules.state import (
    InvoiceState,
)
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.store import Store
from tests.support.stores import HELD, MICROSECOND, SECOND, START, saved


def test_the_audit_trail_is_in_order_of_time(store: Store) -> None:
    for number in range(12):
        store.journal.note("hold", "in_1", str(number))
    store.journal.note("hold", "in_2", "another")
    trail = store.journal.audit_trail("in_1")
    assert trail == [(START, "hold", str(number)) for number in range(12)]


def test_storing_a_fact_returns_the_value_before(store: Store) -> None:
    assert store.journal.fact("policy") is None
    assert [store.journal.remember_fact("policy", value) for value in ("a", "b", "b")] == [None, "a", "b"]
    assert store.journal.fact("policy") == "b"


def test_times_come_back_in_utc_with_their_microseconds(store: Store) -> None:
    at = START + 7 * MICROSECOND
    saved(store, HELD, next_check_at=at.astimezone(timezone(timedelta(hours=5, minutes=45))))
    found = store.jobs.find("in_1")
    assert found is not None
    assert (found.next_check_at, found.updated_at) == (at, START)
    assert [moment.utcoffset() for moment in (at, found.updated_at)] == [timedelta(0)] * 2
    assert store.triggers.next_due_at() == at


def test_times_are_ordered_by_their_microseconds(store: Store, clock: ManualClock) -> None:
    for number, at in enumerate([START + MICROSECOND, START, START + SECOND, START.replace(microsecond=0)]):
        saved(store, InvoiceState(invoice_id=f"in_{number}"), next_check_at=at)
    assert [one for one, _ in store.triggers.due_ids()] == ["in_3", "in_1"]
    clock.advance(1)
    assert [one for one, _ in store.triggers.due_ids()] == ["in_3", "in_1", "in_0", "in_2"]


def test_a_time_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(sa.exc.StatementError, match="without a zone"):
        saved(store, HELD, next_check_at=START.replace(tzinfo=None))
