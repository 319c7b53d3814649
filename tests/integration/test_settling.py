"""Differences that settle, and drifts at an edge, through the real gate, beyond the tables of scenarios."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pacspace_stripe.gate.early_warning import upcoming_job_id
from pacspace_stripe.gate.rules.state import Waiver
from pacspace_stripe.simulator.clock import ManualClock
from tests.support.worlds import PERIOD_END, World, world

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
YEAR_AGO = datetime(2025, 11, 1, tzinfo=UTC)
SUMMARIES = "GET /v1/billing/meters/{id}/event_summaries"
COMPARE = "POST /api/v1/balance/compare"
DERIVE = "GET /api/v1/balance/derive/{customerId}"


def verdict(made: World) -> tuple[str | None, str | None]:
    memory = made.memory()
    return memory.verdict, memory.reason


@pytest.mark.parametrize(("attribution", "derived"), [("accepted", 1), ("auto", 2)])
def test_a_match_reads_no_meter_and_each_time_of_the_ledger_once(
    tmp_path: Path, attribution: str, derived: int
) -> None:
    with world(tmp_path, attribution=attribution) as made:
        made.subscribe()
        made.use("10")
        made.run(DAY)
        assert verdict(made) == ("matched", "EXACT")
        assert SUMMARIES not in made.stripe_calls()
        assert made.ledger_calls().count(DERIVE) == derived


def test_a_drift_lists_each_side_of_each_edge_once_per_check(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("10")
        made.bill("1")
        made.run(timedelta(hours=2, seconds=5))
        assert verdict(made) == ("drifted", "OVERBILLED")
        calls = made.ledger_calls()
        judging = calls[: calls.index(COMPARE)]
        assert judging.count(DERIVE) == 2 + 4


def test_a_drift_whose_edges_cannot_be_read_is_a_drift(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("10")
        made.bill("1")
        made.ledger.add_fault("500", endpoint=DERIVE, skip=2)
        made.run(timedelta(hours=2, seconds=30))
        assert verdict(made) == ("drifted", "OVERBILLED")
        assert "the records at its edges could not be read" in made.memory().detail


@pytest.mark.parametrize("late", [False, True])
def test_the_lines_of_a_draft_that_was_never_checked_count_as_a_read(tmp_path: Path, late: bool) -> None:  # noqa: FBT001  # drawn
    with world(tmp_path) as made:
        made.subscribe()
        made.use("10")
        made.bill("1")
        made.clock.advance_to(PERIOD_END)
        made.stripe.run_due()
        made.queue.clear()
        made.clock.advance(600)
        if late:
            made.bill("2")
        read = made.app.stripe.read_invoice(made.invoice_id)
        found = made.app.checker.compared(read)
        assert found.finding.verdict == ("unproven" if late else "drifted")
        assert ("missing: a second meter read" in found.result.detail) is late
        assert made.app.checker.compared(read) == found


def test_a_block_stays_while_a_second_read_is_awaited(tmp_path: Path) -> None:
    clock = ManualClock(PERIOD_END - 6 * DAY)
    made = World(tmp_path, clock=clock)
    subscription = made.subscribe()
    made.use("10")
    made.bill("1")
    made.stripe.send_upcoming(subscription)
    made.run(HOUR)
    warning = upcoming_job_id(subscription, PERIOD_END)
    assert made.memory(warning).verdict == "drifted"
    made.bill("2", at=PERIOD_END - 8 * DAY)
    made.app.early_warning.check(warning)
    assert made.memory(warning).verdict == "drifted"
    assert "missing: a second meter read" in made.memory(warning).detail
    made.run(HOUR)
    assert made.memory(warning).detail == "billed 13, recorded 10: differs by 3"
    made.app.close()


def test_an_operator_releases_a_period_that_no_single_checkpoint_proves(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.ledger.configure(max_scope_months=3)
        made.stripe.add_customer("cus_acme", name="Acme")
        made.stripe.add_subscription("cus_acme", [made.price], period_start=YEAR_AGO, period_end=PERIOD_END)
        made.use("10")
        made.run(3 * HOUR)
        assert verdict(made) == ("unproven", "UNKNOWN_SHAPE")
        waiver = Waiver(reason="a year, read in parts", by="billing", at=made.clock.now(), figures={})
        made.app.checker.check(made.invoice_id, waiver=waiver)
        made.run(DAY)
        assert verdict(made) == ("waived", "UNKNOWN_SHAPE")
        assert made.invoice()["status"] == "paid"
