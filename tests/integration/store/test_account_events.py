"""Events of a ledger account bring the checks of its invoices forward."""

from dataclasses import replace
from datetime import datetime

import pytest
import sqlalchemy as sa

from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.gate.rules.state import (
    Ended,
    Free,
    InvoiceState,
    Released,
)
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.store import JobKind, Store
from pacspace_stripe.store.tables import metadata
from tests.support.stores import (
    APART,
    DAY,
    HELD,
    LOST_AFTER,
    OCTOBER,
    SECOND,
    START,
    THREADS,
    TTL,
    at_once,
    leased,
    planned,
    saved,
    tell,
)

SOON = START + 5 * SECOND
WAITS = replace(HELD, verdict=Verdict.UNPROVEN)
WARNING = replace(HELD, invoice_id="upcoming:sub_1:7", position=Free())


def bills(
    store: Store, memory: InvoiceState, *, account: str = "acme", next_check_at: datetime | None = START + DAY
) -> None:
    """Write a job that bills an account, was checked long ago and is checked again later."""
    kind = JobKind.UPCOMING if memory.invoice_id.startswith("upcoming:") else JobKind.INVOICE
    store.coverage.put(memory.invoice_id, [(account, OCTOBER)])
    saved(store, memory, kind=kind, next_check_at=next_check_at)
    with store.engine.begin() as connection:
        connection.execute(sa.update(metadata.tables["pacspace_subjects"]).values(updated_at=START - DAY))


@pytest.mark.parametrize(
    ("memory", "woken"),
    [
        pytest.param(WAITS, True, id="a held invoice that is unproven"),
        pytest.param(replace(HELD, verdict=Verdict.DRIFTED), True, id="one that drifted"),
        pytest.param(replace(WAITS, position=Free()), True, id="one that waits for its backstop"),
        pytest.param(HELD, False, id="one whose usage settles: it is checked when that is over"),
        pytest.param(replace(HELD, verdict=Verdict.MATCHED), False, id="one that agreed before"),
        pytest.param(replace(HELD, position=Ended()), False, id="one that has ended"),
        pytest.param(replace(HELD, position=Released(at=START)), False, id="one that was let go"),
        pytest.param(replace(WARNING, verdict=Verdict.DRIFTED), True, id="an early warning"),
        pytest.param(replace(WARNING, verdict=Verdict.UNPROVEN), True, id="one that could not say"),
        pytest.param(replace(WARNING, verdict=Verdict.MATCHED), False, id="one that had nothing to warn of"),
        pytest.param(replace(WARNING, verdict=None), False, id="one that was not checked yet"),
    ],
)
def test_an_event_wakes_the_open_invoices_of_its_account(store: Store, memory: InvoiceState, woken: bool) -> None:  # noqa: FBT001 - a table
    bills(store, memory)
    bills(store, replace(HELD, invoice_id="in_other"), account="other")
    assert tell(store) == int(woken)
    assert planned(store, memory.invoice_id) == (SOON if woken else START + DAY)
    assert planned(store, "in_other") == START + DAY


def test_only_the_first_event_of_a_burst_is_recorded(store: Store, clock: ManualClock) -> None:
    bills(store, WAITS)
    for number in range(50):
        assert tell(store, f"evt_{number}") == int(number == 0)
        clock.advance(0.05)
    assert list(store.journal.event_outcomes()) == ["evt_0"]
    assert planned(store) == SOON


def test_a_burst_to_several_processes_is_one_row(store: Store) -> None:
    bills(store, WAITS)
    assert sum(at_once(lambda number: tell(store, f"evt_{number}"), 20 * THREADS)) == 1
    assert len(store.journal.event_outcomes()) == 1


def test_a_stream_of_events_wakes_an_invoice_at_intervals(store: Store, clock: ManualClock) -> None:
    bills(store, WAITS)
    saved(store, WAITS, next_check_at=START + DAY)
    clock.advance(1)
    assert tell(store) == 1
    assert planned(store) == START + APART


def test_an_event_about_an_unknown_account_leaves_no_trace(store: Store) -> None:
    bills(store, WAITS)
    assert tell(store, account="nobody") == 0
    assert store.journal.event_outcomes() == {}


def test_a_replayed_event_wakes_nothing(store: Store) -> None:
    bills(store, WAITS)
    tell(store)
    saved(store, WAITS, next_check_at=START + DAY)
    assert tell(store) == 0
    assert planned(store) == START + DAY


def test_an_event_postpones_no_check(store: Store) -> None:
    bills(store, HELD, next_check_at=START + SECOND)
    assert tell(store) == 0
    assert planned(store) == START + SECOND


def test_an_event_does_not_reopen_an_invoice_without_a_planned_check(store: Store) -> None:
    bills(store, HELD, next_check_at=None)
    assert tell(store) == 0
    assert planned(store) is None


@pytest.mark.parametrize(
    ("next_check_at", "then"), [(START + DAY, SOON), (START + SECOND, START + SECOND), (None, None)]
)
def test_an_event_during_a_check_is_not_lost(
    store: Store, next_check_at: datetime | None, then: datetime | None
) -> None:
    bills(store, WAITS)
    lease = leased(store)
    assert [tell(store, f"evt_{number}") for number in range(3)] == [1, 0, 0]
    lease.guard()
    lease.save(HELD)
    lease.give_back(HELD, next_check_at)
    assert planned(store) == then


def test_an_event_late_in_a_long_check_is_not_lost(store: Store, clock: ManualClock) -> None:
    bills(store, WAITS)
    lease = leased(store)
    for _ in range(6):
        clock.advance(20)
        lease.save(HELD)
    assert tell(store) == 1
    wanted = planned(store)
    lease.give_back(HELD, START + DAY)
    assert planned(store) == wanted == clock.now() + TTL


def test_an_event_about_an_invoice_that_a_dead_process_checked_is_not_lost(store: Store, clock: ManualClock) -> None:
    bills(store, WAITS)
    leased(store)
    clock.advance(TTL.total_seconds())
    assert tell(store) == 0
    clock.advance(5)
    assert store.triggers.due_ids() == [("in_1", JobKind.INVOICE)]


def test_a_check_without_events_plans_the_next_check_itself(store: Store) -> None:
    bills(store, WAITS)
    for days in (2, 1, 3):
        leased(store).give_back(HELD, START + days * DAY)
        assert planned(store) == START + days * DAY


def test_a_renewed_lease_moves_the_next_check_behind_its_end(store: Store, clock: ManualClock) -> None:
    lease = leased(store)
    clock.advance(20)
    lease.guard()
    assert planned(store) == clock.now() + LOST_AFTER
