"""The early warning checkpoints what the ledger has, whatever its verdict, and names each missing proof."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pacspace_stripe.alerts.rules.messages import AlertLinks, slack_body, webhook_body
from pacspace_stripe.cli import cli
from pacspace_stripe.cli.check import early_warning_of
from pacspace_stripe.gate.early_warning import upcoming_job_id
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.simulator.clock import ManualClock
from tests.support.worlds import ENVIRONMENT, PERIOD_END, World

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
AS_OF = "2026-10-26T00:00:00Z"
CHECKPOINT = "POST /api/v1/balance/checkpoint"


class Warned(World):
    """A world with one subscription."""

    subscription: str = ""


@contextmanager
def warned(folder: Path, *, billed: str, recorded: str, **settings: str) -> Iterator[Warned]:
    """A world in which ``invoice.upcoming`` is about to come, six days before the period ends."""
    variables = {f"PACSPACE_STRIPE_{name.upper()}": value for name, value in settings.items()}
    made = Warned(folder, variables, clock=ManualClock(PERIOD_END - 6 * DAY + HOUR))
    made.subscription = made.subscribe()
    if billed:
        made.bill(billed)
    if recorded:
        made.record(recorded)
    try:
        yield made
    finally:
        made.app.close()


def upcoming(made: Warned) -> InvoiceState:
    made.stripe.send_upcoming(made.subscription)
    made.settle()
    # A second meter read that says the same makes it a drift.
    made.run(timedelta(minutes=2))
    return row(made)


def row(made: Warned) -> InvoiceState:
    return made.memory(upcoming_job_id(made.subscription, PERIOD_END))


def audited(made: Warned) -> list[dict[str, Any]]:
    trail = made.app.store.journal.audit_trail(upcoming_job_id(made.subscription, PERIOD_END))
    return [json.loads(detail) for _, kind, detail in trail if kind == "early_warning"]


def test_a_drift_is_checkpointed_and_shown_in_row_audit_log_and_alert(tmp_path: Path) -> None:
    with warned(tmp_path, billed="100", recorded="90") as made:
        memory = upcoming(made)
        [checkpoint] = made.ledger.checkpoints()
        root = checkpoint["proofRoot"]
        assert (memory.verdict, memory.reason) == ("drifted", "OVERBILLED")
        [window] = memory.windows
        assert (window["end"], window["proof_root"]) == (AS_OF, root)
        entry = audited(made)[-1]
        assert entry["decision"]["verdict"] == "drifted"
        assert entry["windows"][0]["proof"]["proof_root"] == root
        [alert] = [one.alert for one in made.app.store.alerts.sent()]
        assert f"the ledger up to {AS_OF} has proof root {root}" in alert.detail
        place = AlertLinks(livemode=False)
        assert json.loads(webhook_body(alert, place))["windows"][0]["proof_root"] == root
        assert root in json.loads(slack_body(alert, place))["text"]


def test_an_unproven_warning_is_checkpointed_as_well(tmp_path: Path) -> None:
    with warned(tmp_path, billed="100", recorded="90") as made:
        made.record("10", verified=False)
        memory = upcoming(made)
        assert (memory.verdict, memory.reason) == ("unproven", "NOT_SETTLED")
        [checkpoint] = made.ledger.checkpoints()
        assert memory.windows[0]["proof_root"] == checkpoint["proofRoot"]
        assert memory.windows[0].get("proof_missing") is None


def test_records_whose_meter_is_unknown_are_checkpointed_as_they_were_read(tmp_path: Path) -> None:
    with warned(tmp_path, billed="100", recorded="90", meter_from="metadata.meter") as made:
        memory = upcoming(made)
        assert (memory.verdict, memory.reason) == ("unproven", "UNMAPPED")
        [checkpoint] = made.ledger.checkpoints()
        assert memory.windows[0]["proof_root"] == checkpoint["proofRoot"]


def test_an_empty_ledger_has_nothing_to_checkpoint(tmp_path: Path) -> None:
    with warned(tmp_path, billed="100", recorded="") as made:
        memory = upcoming(made)
        assert (memory.verdict, memory.reason) == ("drifted", "LEDGER_MISSING")
        assert (made.ledger.checkpoints(), memory.windows[0]["proof_root"]) == ([], None)
        assert "proof" not in memory.detail


def test_observe_mode_checkpoints_nothing(tmp_path: Path) -> None:
    with warned(tmp_path, billed="100", recorded="90", mode="observe") as made:
        memory = upcoming(made)
        assert memory.verdict == "drifted"
        assert CHECKPOINT not in made.ledger_calls()


@pytest.mark.parametrize("recorded", ["90", "100"])
@pytest.mark.parametrize("fault", ["cadence_limit", "402", "503", "429", "500"])
def test_a_missing_checkpoint_leaves_the_verdict_and_is_retried(tmp_path: Path, fault: str, recorded: str) -> None:
    with warned(tmp_path, billed="100", recorded=recorded) as made:
        made.ledger.add_fault(fault, endpoint=CHECKPOINT, times=1000)
        memory = upcoming(made)
        assert memory.verdict == ("matched" if recorded == "100" else "drifted")
        assert memory.windows[0]["proof_root"] is None
        assert memory.windows[0]["proof_missing"]
        assert "the ledger's proof is missing and is tried again" in memory.detail
        made.ledger.clear_faults()
        made.run(2 * HOUR)
        [checkpoint] = made.ledger.checkpoints()
        memory = row(made)
        assert memory.windows[0]["proof_root"] == checkpoint["proofRoot"]
        assert "missing" not in memory.detail
        first, *_, last = audited(made)
        assert (first["windows"][0]["proof"], first["proof_missing"] != {}) == (None, True)
        assert last["windows"][0]["proof"]["proof_root"] == checkpoint["proofRoot"]


def test_a_root_that_was_given_is_not_lost_to_silence(tmp_path: Path) -> None:
    with warned(tmp_path, billed="100", recorded="90") as made:
        root = upcoming(made).windows[0]["proof_root"]
        known = audited(made)
        made.ledger.add_fault("503", endpoint=CHECKPOINT, times=1000)
        made.run(2 * HOUR)
        memory = row(made)
        assert (memory.windows[0]["proof_root"], memory.detail) == (root, "billed 100, recorded 90: differs by 10")
        assert audited(made) == known


def test_the_warnings_root_freezes_nothing_of_the_final_one(tmp_path: Path) -> None:
    with warned(tmp_path, billed="100", recorded="90") as made:
        upcoming(made)
        made.record("10")
        made.run(7 * DAY)
        assert made.left == {made.invoice_id}
        assert made.invoice()["metadata"]["pacspace_verdict"] == "matched"
        assert made.invoice()["metadata"]["pacspace_delta_count"] == "2"


def test_check_shows_the_warnings_root_before_and_after_the_invoice_is_made(tmp_path: Path) -> None:
    with warned(tmp_path, billed="100", recorded="90") as made:
        upcoming(made)
        [checkpoint] = made.ledger.checkpoints()
        [coming] = made.app.store.jobs.early_warnings(made.subscription)
        assert made.app.last_result(coming).windows[0]["proof_root"] == checkpoint["proofRoot"]
        made.run(6 * DAY)
        warning = early_warning_of(made.app, made.app.stripe.read_invoice(made.invoice_id))
        assert warning is not None
        assert (warning.verdict, warning.windows[0]["proof_root"] is not None) == ("drifted", True)
        result = replace(made.app.last_result(coming), early_warning=warning)
        assert result.as_json()["early_warning"] == warning.as_json()


def test_the_command_shows_a_subscriptions_warning_without_asking_a_vendor(tmp_path: Path) -> None:
    with warned(tmp_path, billed="100", recorded="90") as made:
        root = str(upcoming(made).windows[0]["proof_root"])
        environment = ENVIRONMENT | {"PACSPACE_STRIPE_DATABASE_URL": f"sqlite:///{tmp_path / 'world.db'}"}
        shown = CliRunner().invoke(cli, ["check", made.subscription], env=environment)
        assert (shown.exit_code, f"api_calls up to {AS_OF}: proof root {root}" in shown.stdout) == (1, True)
        listed = CliRunner().invoke(cli, ["check", made.subscription, "--json"], env=environment)
        assert json.loads(listed.stdout)["windows"][0]["proof_root"] == root
        unknown = CliRunner().invoke(cli, ["check", "sub_other"], env=environment)
        assert (unknown.exit_code, "no early warning is known of sub_other" in unknown.output) == (1, True)
