"""Queries of jobs, and the changes that need no lease."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.errors import LeaseLost
from pacspace_stripe.gate.rules.state import (
    Cleared,
    Ended,
    FirstSight,
    Free,
    Held,
    HoldStep,
    InvoiceState,
    Position,
    Released,
    Stage,
    Stamped,
)
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.store import JobKind, Store
from tests.support.stores import DAY, HELD, START, Queue, event, fill, saved


def test_an_unknown_job_is_not_found(store: Store) -> None:
    assert store.jobs.find("in_1") is None
    assert store.jobs.known(["in_1"]) == set()
    assert store.jobs.known([]) == set()


def test_known_ids_are_returned_without_the_unknown(store: Store) -> None:
    fill(store, [f"in_{number}" for number in range(0, 500, 2)])
    asked = [f"in_{number}" for number in range(500)]
    assert store.jobs.known(asked) == {f"in_{number}" for number in range(0, 500, 2)}


def test_invoices_are_listed_by_verdict_stage_and_hold_newest_first(store: Store, clock: ManualClock) -> None:
    memories = [
        replace(HELD, invoice_id="in_held", verdict=Verdict.DRIFTED, reason=Reason.OVERBILLED),
        replace(HELD, invoice_id="in_stamped", position=Held(step=HoldStep.STAMPED), verdict=Verdict.MATCHED),
        replace(HELD, invoice_id="in_ended", position=Ended(), verdict=Verdict.DRIFTED),
        replace(HELD, invoice_id="in_free", position=Free(), verdict=None),
    ]
    for memory in memories:
        clock.advance(1)
        saved(store, memory)
    clock.advance(1)
    saved(store, InvoiceState(invoice_id="upcoming:sub_1:0", verdict=Verdict.DRIFTED), kind=JobKind.UPCOMING)
    saved(store, InvoiceState(invoice_id="upcoming:sub_2:0", verdict=Verdict.MATCHED), kind=JobKind.UPCOMING)

    def listed(*, status: str | None = None, held: bool | None = None) -> list[str]:
        return [found.job_id for found in store.jobs.invoices(status=status, held=held)]

    assert listed() == ["upcoming:sub_1:0", "in_free", "in_ended", "in_stamped", "in_held"]
    assert listed(status="drifted") == ["upcoming:sub_1:0", "in_ended", "in_held"]
    assert listed(status="stamped") == ["in_stamped"]
    assert listed(held=True) == ["in_stamped", "in_held"]
    assert listed(status="drifted", held=True) == ["in_held"]
    assert listed(held=False) == ["upcoming:sub_1:0", "in_free"]


def seen(*, auto_advance: bool) -> FirstSight:
    return FirstSight(at=START, auto_advance=auto_advance, finalizes_at=None)


@pytest.mark.parametrize(
    ("memory", "kept"),
    [
        pytest.param(replace(HELD, first=seen(auto_advance=True)), True, id="held by us"),
        pytest.param(replace(HELD, first=None), True, id="held by us, never read"),
        pytest.param(replace(HELD, position=Free(), first=seen(auto_advance=False)), True, id="held by another tool"),
        pytest.param(replace(HELD, position=Free(), first=seen(auto_advance=True)), False, id="not held"),
        pytest.param(replace(HELD, position=Free(), first=None), False, id="never read"),
        pytest.param(replace(HELD, position=Ended()), False, id="ended"),
    ],
)
def test_drafts_that_are_held_by_anybody_are_returned(
    store: Store,
    memory: InvoiceState,
    kept: bool,  # noqa: FBT001  # a column of the table
) -> None:
    saved(store, memory)
    saved(store, replace(HELD, invoice_id="in_2"))
    assert store.jobs.kept_back(["in_1", "in_9"]) == ({"in_1"} if kept else set())


BLOCK = InvoiceState(invoice_id="upcoming:sub_1:0", subscription_id="sub_1", verdict=Verdict.DRIFTED)


@pytest.mark.parametrize(
    ("memory", "kind", "blocks"),
    [
        pytest.param(BLOCK, JobKind.UPCOMING, True, id="a drift"),
        pytest.param(replace(BLOCK, verdict=Verdict.MATCHED), JobKind.UPCOMING, False, id="a match"),
        pytest.param(replace(BLOCK, verdict=Verdict.UNPROVEN), JobKind.UPCOMING, False, id="an open question"),
        pytest.param(replace(BLOCK, position=Ended()), JobKind.UPCOMING, False, id="one that has ended"),
        pytest.param(replace(BLOCK, subscription_id="sub_2"), JobKind.UPCOMING, False, id="another subscription's"),
        pytest.param(BLOCK, JobKind.INVOICE, False, id="an invoice is no early warning"),
    ],
)
def test_a_draft_is_blocked_by_a_drift_that_the_early_warning_found(
    store: Store,
    memory: InvoiceState,
    kind: JobKind,
    blocks: bool,  # noqa: FBT001  # a column of the table
) -> None:
    saved(store, memory, kind=kind)
    assert (store.jobs.block_on("sub_1") is not None) is blocks


def test_a_block_ends_when_the_draft_carries_it(store: Store, clock: ManualClock) -> None:
    saved(store, BLOCK, kind=JobKind.UPCOMING, next_check_at=START + DAY)
    store.jobs.end_block(BLOCK.invoice_id)
    assert store.jobs.block_on("sub_1") is None
    clock.advance(10**6)
    assert not store.triggers.any_due()


def test_a_check_of_an_early_warning_cannot_revive_its_ended_block(store: Store) -> None:
    saved(store, BLOCK, kind=JobKind.UPCOMING, next_check_at=START + DAY)
    leased = store.jobs.acquire(JobKind.UPCOMING, BLOCK.invoice_id, timedelta(seconds=30))
    assert leased is not None
    store.jobs.end_block(BLOCK.invoice_id)
    with pytest.raises(LeaseLost):
        leased.guard()
    with pytest.raises(LeaseLost):
        leased.give_back(BLOCK, START + DAY)
    found = store.jobs.find(BLOCK.invoice_id)
    assert found is not None
    assert (found.state.stage, found.next_check_at) == (Stage.ENDED, None)


def test_a_released_invoice_that_was_paid_has_ended(store: Store) -> None:
    saved(store, replace(HELD, position=Released(at=START)), next_check_at=START + DAY)
    assert store.jobs.finish_released("in_1")
    found = store.jobs.find("in_1")
    assert found is not None
    assert (found.state.stage, found.state.held, found.next_check_at) == (Stage.ENDED, False, None)


def test_an_invoice_that_is_held_again_does_not_end_by_being_paid(store: Store) -> None:
    saved(store, replace(HELD, position=Held(step=HoldStep.RELEASING)))
    assert not store.jobs.finish_released("in_1")


@pytest.mark.parametrize("position", [Free(), Held(), Held(step=HoldStep.FINALIZED), Stamped(), Cleared(), Ended()])
def test_no_other_invoice_ends_by_being_paid(store: Store, position: Position) -> None:
    saved(store, replace(HELD, position=position))
    before = store.jobs.find("in_1")
    assert not store.jobs.finish_released("in_1")
    assert not store.jobs.finish_released("in_2")
    assert store.jobs.find("in_1") == before


def test_a_changed_policy_wakes_every_open_job(store: Store) -> None:
    fill(store, ["in_1", "in_2"], next_check_at=START + DAY)
    saved(store, replace(HELD, invoice_id="in_3", position=Ended()))
    assert store.jobs.wake_all() == 2
    assert {job_id for job_id, _ in store.triggers.due_ids()} == {"in_1", "in_2"}


def test_only_unanswered_requests_are_woken(store: Store, clock: ManualClock) -> None:
    store.triggers.receive(event(), Queue())
    saved(store, replace(HELD, invoice_id="in_2"), next_check_at=START + DAY)
    saved(store, replace(HELD, invoice_id="in_3"))
    clock.advance(1)
    assert store.jobs.wake_unanswered() == 1
    assert store.triggers.due_ids() == [("in_1", JobKind.INVOICE)]
