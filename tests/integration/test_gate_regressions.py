"""Bugs that generated worlds found, each as the smallest story that shows it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx

from tests.support.worlds import MIDDLE, PERIOD_END, World

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
STATE = "POST /v1/invoices/{id}"


class Died(BaseException):
    """The process is gone, in the middle of a request."""


@dataclass
class Mortal(World):
    """A world whose process can die at a request, before or after it arrives."""

    validated: bool = False

    dies_at: str | None = None
    """Part of the request: its method and path, a blank, its body."""
    arrives: bool = False

    def _answer(self, request: httpx.Request) -> httpx.Response:
        line = f"{request.method} {request.url.path} {request.content.decode()}"
        dies = self.dies_at is not None and self.dies_at in line
        if dies and not self.arrives:
            raise Died
        response = super()._answer(request)
        if dies:
            raise Died
        return response

    def run_to_death(self, how_long: timedelta) -> None:
        """Let time pass until the process dies; a new one has started, and the old one's lease is still there."""
        with contextlib.suppress(Died):
            self.run(how_long)
            message = "it never died"
            raise AssertionError(message)
        self.dies_at = None
        self.queue.clear()
        self.app.close()
        self.restart()


@contextlib.contextmanager
def world(folder: Path, **settings: str) -> Iterator[Mortal]:
    made = Mortal(folder, {f"PACSPACE_STRIPE_{name.upper()}": value for name, value in settings.items()})
    try:
        yield made
    finally:
        made.app.close()


def kinds(made: World) -> list[str]:
    """Return the acts in the audit log, in order."""
    return [kind for _, kind, _ in made.app.store.journal.audit_trail(made.invoice_id)]


def found(made: World) -> tuple[str | None, str | None]:
    memory = made.memory()
    return memory.verdict, memory.reason


# -- what we were about to do is remembered, whatever becomes of it ----------------------------------------------------


def test_a_hold_whose_replies_were_lost_is_still_ours_to_release(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("5")
        made.stripe.add_fault("lost_reply", endpoint=STATE, times=3)
        made.run(DAY)
        assert made.left == {made.invoice_id}


def test_a_hold_that_arrived_before_the_crash_is_in_the_audit_trail(tmp_path: Path) -> None:
    with world(tmp_path, settle="0") as made:
        made.subscribe()
        made.use("5")
        made.dies_at, made.arrives = "auto_advance=false", True
        made.run_to_death(2 * HOUR)
        made.run(DAY)
        assert kinds(made) == ["hold", "stamp", "finalize", "release"]


def test_a_release_that_arrived_before_the_crash_is_in_the_audit_trail(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("5")
        made.dies_at, made.arrives = "auto_advance=true", True
        made.run_to_death(4 * HOUR)
        made.run(DAY)
        assert kinds(made) == ["hold", "stamp", "finalize", "release"]
        assert made.memory().ended


def test_stripes_own_plan_survives_a_crash_at_the_backstop(tmp_path: Path) -> None:
    with world(tmp_path, fail="open") as made:
        made.subscribe()
        made.use("5")
        made.dies_at, made.arrives = "automatically_finalizes_at", True
        made.run_to_death(2 * HOUR)
        made.run(3 * HOUR)
        assert made.left == {made.invoice_id}


def test_a_release_that_did_not_arrive_before_the_usage_changed_is_a_hold_like_any_other(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("5")
        made.dies_at = "auto_advance=true"
        made.run_to_death(4 * HOUR)
        made.record("1")
        made.run(HOUR)
        assert found(made) == ("drifted", "UNDERBILLED")
        made.stripe.set_auto_advance_by_person(made.invoice_id, auto_advance=True)
        made.run(DAY)
        assert made.left == set()
        assert "alert:hold_undone" in kinds(made)


def test_an_invoice_paid_by_hand_before_our_release_arrived_is_alerted(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("5")
        made.dies_at = "auto_advance=true"
        made.run_to_death(4 * HOUR)
        made.record("1")
        made.run(HOUR)
        made.stripe(_by_hand(made, "/pay"))
        made.run(DAY)
        assert made.invoice()["metadata"]["pacspace_verdict"] == "drifted"
        assert "alert:paid_under_hold:UNDERBILLED" in kinds(made)


def _by_hand(made: World, action: str = "", **form: str) -> httpx.Request:
    url = f"http://127.0.0.1:1/v1/invoices/{made.invoice_id}{action}"
    return httpx.Request("POST", url, data=form, headers={"Authorization": "Bearer sk_test_simulator"})


# -- stamps ------------------------------------------------------------------------------------------------------------


def test_a_stamp_that_never_arrived_is_written_after_the_invoice_left(tmp_path: Path) -> None:
    with world(tmp_path, fail="open") as made:
        made.subscribe()
        made.use("5")
        made.stripe.add_fault("500", endpoint=STATE, skip=1)
        made.run(26 * HOUR)
        assert made.left == {made.invoice_id}
        made.stripe.faults.clear()
        made.run(DAY)
        assert made.invoice()["metadata"]["pacspace_verdict"] == "matched"


def test_fast_finalizes_strictly_when_the_drafts_line_lags_behind_its_meter(tmp_path: Path) -> None:
    with world(tmp_path, finalize="fast") as made:
        made.subscribe()
        made.use("100")
        made.run(90 * MINUTE)
        made.use("7")
        made.run(DAY)
        assert found(made) == ("matched", "EXACT")
        assert made.invoice()["metadata"]["pacspace_usage"] == "107"
        assert made.left == {made.invoice_id}


def test_an_observed_invoice_that_was_paid_gets_no_new_evidence(tmp_path: Path) -> None:
    with world(tmp_path, mode="observe") as made:
        made.subscribe()
        made.use("5")
        made.run(3 * DAY)
        before = made.app.store.chains.of_job(made.invoice_id)
        made.app.checker.check(made.invoice_id)
        assert made.app.store.chains.of_job(made.invoice_id) == before


def test_footer_and_metadata_name_the_same_evidence_after_a_crash_between_finalize_and_release(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("5")
        made.dies_at, made.arrives = "/finalize", True
        made.run_to_death(4 * HOUR)
        made.run(DAY)
        assert made.left == {made.invoice_id}
        assert made.invoice()["metadata"]["pacspace_evidence_sha256"] in made.invoice()["footer"]


# -- other people's holds, and ours undone -----------------------------------------------------------------------------


def test_a_draft_whose_foreign_hold_is_lifted_is_finalized_as_strictly_as_any(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("3")
        made.clock.advance_to(PERIOD_END)
        made.stripe.run_due()
        made.queue.clear()
        made.stripe.set_auto_advance_by_person(made.invoice_id, auto_advance=False)
        made.run(DAY)
        assert found(made) == ("matched", "EXACT")
        made.stripe.set_auto_advance_by_person(made.invoice_id, auto_advance=True)
        made.run(30 * MINUTE)
        made.bill("4")
        made.run(DAY)
        assert found(made) == ("drifted", "CHANGED_AT_FINALIZATION")
        assert made.left == set()


def test_a_hold_undone_without_an_event_is_found_by_the_sweep(tmp_path: Path) -> None:
    with world(tmp_path, retry="6h", sweep="3h") as made:
        made.subscribe()
        made.bill("100")
        made.app.sweep.plan()
        made.run(3 * HOUR)
        made.stripe.set_webhook(lost_types=["invoice.updated"])
        made.stripe.set_auto_advance_by_person(made.invoice_id, auto_advance=True)
        made.run(DAY)
        assert made.invoice()["auto_advance"] is False
        assert made.left == set()


def test_a_foreign_hold_lifted_without_an_event_is_found_by_the_sweep(tmp_path: Path) -> None:
    with world(tmp_path, sweep="20m") as made:
        made.subscribe()
        made.use("3")
        made.clock.advance_to(PERIOD_END)
        made.stripe.run_due()
        made.queue.clear()
        made.stripe.set_auto_advance_by_person(made.invoice_id, auto_advance=False)
        made.app.sweep.plan()
        made.run(2 * HOUR)
        made.stripe.set_webhook(lost_types=["invoice.updated"])
        made.stripe.set_auto_advance_by_person(made.invoice_id, auto_advance=True)
        made.run(DAY)
        assert "hold" in kinds(made)
        assert made.left == {made.invoice_id}


def test_a_held_invoice_survives_a_week_of_observing(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("100")
        made.run(90 * MINUTE)
        made.bill("7")
        made.run(2 * HOUR)
        assert found(made) == ("drifted", "CHANGED_AT_FINALIZATION")
        made.restart(PACSPACE_STRIPE_MODE="observe")
        made.run(8 * DAY)
        made.record("7", at=MIDDLE)
        made.restart(PACSPACE_STRIPE_MODE="enforce")
        made.run(DAY)
        assert made.left == {made.invoice_id}


# -- the early warning -------------------------------------------------------------------------------------------------


def test_a_block_waits_for_the_draft_it_is_about(tmp_path: Path) -> None:
    with world(tmp_path, fail="open", retry="10m") as made:
        subscription = made.subscribe()
        made.bill("100")
        made.stripe.send_upcoming(subscription)
        made.stripe.set_webhook(lost_types=["invoice.created"])
        made.run(90 * MINUTE)
        made.app.sweep.run()
        made.run(MINUTE)
        assert made.memory().blocked
        assert made.invoice()["auto_advance"] is False


# -- vendors that are slow or gone -------------------------------------------------------------------------------------


def test_stripe_being_down_after_the_release_takes_nothing_back(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("5")
        made.stripe.set_webhook(lost_types=["invoice.paid", "invoice.updated"])
        made.run(2 * HOUR + MINUTE)
        made.stripe.add_fault("503", times=3)
        made.run(DAY)
        assert made.left == {made.invoice_id}
        assert found(made) == ("matched", "EXACT")


def test_a_ledger_too_slow_for_one_lease_is_still_a_finding(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        subscription = made.subscribe()
        made.stripe.split_period(subscription, MIDDLE)
        made.use("5")
        made.ledger.add_fault("slow", seconds=9.0)
        made.run(4 * HOUR)
        assert found(made) == ("unproven", "LEDGER_UNAVAILABLE")
        made.ledger.clear_faults()
        made.run(DAY)
        assert made.left == {made.invoice_id}
