"""A database of the previous version: migration 0008 gives each invoice state its position, and the gate goes on."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from pacspace_stripe.gate.rules.state import Waiver
from pacspace_stripe.settings import load_settings
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.store import JobKind, Store
from tests.integration.test_gate import ask
from tests.support.old_states import JOBS, OLD_ROWS, old_row, revision, take_back_to_0007, write_old_rows
from tests.support.settings import CREDENTIALS
from tests.support.worlds import MIDDLE, World, world

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    settings = load_settings(CREDENTIALS | {"PACSPACE_STRIPE_DATABASE_URL": database_url})
    made = Store(settings.database_url.get_secret_value(), now=ManualClock(MIDDLE).now, lost_after=timedelta(minutes=5))
    yield made
    made.close()


def test_every_row_of_the_previous_version_is_migrated_and_can_be_taken_back(store: Store) -> None:
    revision(store, "upgrade", "0007")
    with store.engine.begin() as connection:
        for number, row in enumerate(OLD_ROWS):
            values = {"subject_id": f"in_{number:02}", "kind": "invoice", "stage": row["stage"], "held": row["held"]}
            counters = {"wanted": 1, "checked": 1, "updated_at": MIDDLE}
            connection.execute(sa.insert(JOBS).values(**values, **counters, memory=row))
    store.migrate()
    for number, row in enumerate(OLD_ROWS):
        found = store.jobs.find(f"in_{number:02}")
        assert found is not None
        assert (found.state.held, found.state.blocked) == (row["held"], row["blocked"])
        with store.engine.connect() as connection:
            stage = connection.execute(sa.select(JOBS.c.stage).where(JOBS.c.subject_id == found.job_id)).scalar_one()
        assert stage == found.state.stage
    held = {job.job_id for job in store.jobs.invoices(held=True)}
    assert held == {f"in_{number:02}" for number, row in enumerate(OLD_ROWS) if row["held"]}
    revision(store, "downgrade", "0007")
    with store.engine.connect() as connection:
        back = connection.execute(sa.select(JOBS.c.memory).order_by(JOBS.c.subject_id)).scalars().all()
    decided_by = ("held", "blocked", "past", "finalized_by_us", "updates_unread", "backstop_at", "stamped")
    for row, kept in zip(OLD_ROWS, back, strict=True):
        assert {name: kept[name] for name in decided_by} == {name: row[name] for name in decided_by}


def test_rows_that_the_previous_version_writes_after_the_migration_are_found(store: Store) -> None:
    store.migrate()
    stamped = [row for row in OLD_ROWS if row["stamped"]]
    for number, row in enumerate(stamped):
        store.triggers.request(JobKind.INVOICE, f"in_{number:02}")
        write_old_rows(store, {f"in_{number:02}": row})
    assert len(store.jobs.stamped([f"in_{number:02}" for number in range(len(stamped))])) == len(stamped) > 0


# -- the gate goes on -------------------------------------------------------------------------------------------------


def held(made: World) -> None:
    made.bill("100")
    made.run(HOUR)


def backstopped(made: World) -> None:
    made.restart(PACSPACE_STRIPE_FAIL="open")
    held(made)


def drifted(made: World) -> None:
    made.bill("100")
    made.record("90")
    made.run(DAY)


def precaution(made: World) -> None:
    made.stripe.add_fault("500", endpoint="GET /v1/prices/{id}", times=4)
    held(made)


def warned(made: World) -> None:
    made.restart(PACSPACE_STRIPE_FAIL="open")
    made.bill("100")
    made.record("90")
    made.stripe.run_due()
    made.run(timedelta(minutes=50))


def lost_hold(made: World) -> None:
    made.bill("100")
    made.stripe.add_fault("lost_reply", endpoint="POST /v1/invoices/{id}", times=3)
    made.run(HOUR)


def lost_finalization(made: World) -> None:
    made.bill("100")
    made.record("100")
    made.run(HOUR + timedelta(minutes=30))
    made.stripe.add_fault("lost_reply", endpoint="POST /v1/invoices/{id}/finalize", times=5)
    made.run(timedelta(minutes=40))


def released(made: World) -> None:
    made.bill("100")
    made.record("100")
    made.run(2 * HOUR + timedelta(minutes=30))


def observed(made: World) -> None:
    made.restart(PACSPACE_STRIPE_MODE="observe")
    drifted(made)


def recorded(made: World) -> None:
    made.record("100")


def nothing(_: World) -> None:
    """Do nothing: only time passes."""


def waived(made: World) -> None:
    waiver = Waiver(reason="agreed", by="jane", at=made.clock.now(), figures={})
    made.app.checker.check(made.invoice_id, waiver=waiver)


def stopped(made: World) -> None:
    ask(made, f"/v1/invoices/{made.invoice_id}", auto_advance="false")


def resumed(made: World) -> None:
    ask(made, f"/v1/invoices/{made.invoice_id}", auto_advance="true")


STORIES: dict[str, tuple[Callable[[World], None], Callable[[World], None]]] = {
    "held, then recorded": (held, recorded),
    "held, then nothing": (held, nothing),
    "held, then a person lets it advance": (held, resumed),
    "backstopped, then recorded": (backstopped, recorded),
    "backstopped, then a person stops it": (backstopped, stopped),
    "drifted, then recorded": (drifted, nothing),
    "drifted, then released with a reason": (drifted, waived),
    "held as a precaution, then recorded": (precaution, recorded),
    "warned early, then recorded": (warned, nothing),
    "a hold whose reply was lost": (lost_hold, recorded),
    "a finalization whose reply was lost": (lost_finalization, nothing),
    "released": (released, nothing),
    "observed": (observed, nothing),
}


RETRIED = {
    "held as a precaution, then recorded",
    "a hold whose reply was lost",
    "a finalization whose reply was lost",
}
"""Stories in which requests are retried, after waits of random length: their times differ by parts of a second."""


def outcome(made: World, *, exact: bool) -> tuple[object, ...]:
    """Return what the gate knows, what it wrote, what left and what a check would do now."""
    state, done = made.memory(), made.app.checker.preview(made.invoice_id).steps
    # The previous version kept neither which early warning blocked an invoice, nor when an update could not be read.
    known: object = replace(state, early_warning_id="known" if state.blocked else None, unread_updates=())
    if not exact:
        stamp = (state.stamp.verdict, state.stamp.figures) if state.stamp else None
        known = (state.position, state.verdict, state.reason, state.finalizer, state.alerted, state.status, stamp)
    return known, made.writes(), made.left, done


@pytest.mark.parametrize("story", STORIES)
def test_the_gate_goes_on_after_the_migration_as_without_it(tmp_path: Path, story: str) -> None:
    before, after = STORIES[story]
    ends = []
    for name, migrates in (("plain", False), ("migrated", True)):
        (tmp_path / name).mkdir()
        with world(tmp_path / name, sweep="12h") as made:
            made.subscribe()
            before(made)
            if migrates:
                take_back_to_0007(made.app.store)
            made.app.close()
            made.restart()
            after(made)
            made.app.sweep.run()
            made.run(2 * DAY)
            ends.append(outcome(made, exact=story not in RETRIED))
    assert ends[0] == ends[1]


def test_a_row_that_an_old_process_writes_after_the_migration_is_read(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        held(made)
        known = made.memory()
        write_old_rows(made.app.store, {made.invoice_id: old_row(known)})
        assert made.memory() == known
        made.record("100")
        made.run(DAY)
        assert made.left == {made.invoice_id}
