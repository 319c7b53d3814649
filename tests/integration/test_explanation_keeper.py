"""A drift is explained once, after it was acted on, and nothing that was decided depends on it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pacspace_stripe.comparison.rules.verdicts import Finding, Verdict
from pacspace_stripe.errors import LeaseLost, StoreUnavailable
from pacspace_stripe.explain.explainer import ExplanationKeeper
from pacspace_stripe.explain.meter_account import BillingScope
from pacspace_stripe.explain.rules.explanation import Cause, Explanation
from pacspace_stripe.explain.rules.explanation_text import sentence
from pacspace_stripe.gate.case import BackfillRequest
from pacspace_stripe.gate.early_warning import upcoming_job_id
from pacspace_stripe.report.forms import as_json
from pacspace_stripe.report.report import make_report
from pacspace_stripe.store.explanations import Explained
from tests.support.explanations import TWICE
from tests.support.worlds import MIDDLE, PERIOD_END, World

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@contextmanager
def world(folder: Path, database_url: str | None = None, **settings: str) -> Iterator[World]:
    """Nothing is held to Stripe's OpenAPI here: it is about our own side."""
    named = {f"PACSPACE_STRIPE_{name.upper()}": value for name, value in ({"sweep": "6h"} | settings).items()}
    made = World(folder, named, database_url=database_url, validated=False)
    try:
        yield made
        made.vouch()
    finally:
        made.app.close()


def overbilled(made: World, *, extra: str = "7") -> World:
    """Ordinary usage, of which Stripe has one event more."""
    made.subscribe()
    made.use("100")
    made.bill(extra, at=MIDDLE + 5 * DAY)
    return made


def explained(made: World) -> Explained | None:
    return made.app.store.explanations.find(made.invoice_id)


class PlannedExplainer:
    """An explainer with one fixed explanation, which remembers the findings that it was asked about."""

    def __init__(self, *, failing: Exception | None = None) -> None:
        self.asked: list[Finding] = []
        self.known: list[bool] = []
        self.failing = failing
        self.made: World | None = None

    def explain_all(self, scope: BillingScope, finding: Finding) -> tuple[Explanation, ...]:
        self.asked.append(finding)
        if self.made is not None:
            stripes = self.made.invoice(scope.job_id)
            job = self.made.app.store.jobs.find(scope.job_id)
            self.known.append(not stripes["auto_advance"] and bool(job and job.state.alerted))
        if self.failing:
            raise self.failing
        return (TWICE,)


def explained_by(made: World, explainer: PlannedExplainer) -> None:
    """From here on, this one explains."""
    services = made.app.checker.services
    explaining = ExplanationKeeper(explain=explainer.explain_all, store=made.app.store)
    made.app = replace(made.app, checker=replace(made.app.checker, services=replace(services, explaining=explaining)))


def test_a_drift_is_explained_with_its_place_and_cause(tmp_path: Path, database_url: str) -> None:
    with world(tmp_path, database_url) as made:
        overbilled(made).run()
        found = explained(made)
        assert found is not None
        (explanation,) = found.explanations
        assert (explanation.cause, explanation.billed, explanation.recorded) == (
            Cause.NOT_IN_LEDGER,
            Decimal(107),
            Decimal(100),
        )
        (part,) = explanation.located
        assert part.window.start <= MIDDLE + 5 * DAY < part.window.end <= part.window.start + HOUR
        assert explanation.calls <= 60


def test_a_matched_invoice_costs_no_query_for_explanations(tmp_path: Path, database_url: str) -> None:
    with world(tmp_path, database_url) as made:
        explainer, statements = PlannedExplainer(), list[str]()
        explained_by(made, explainer)
        made.subscribe()
        made.use("100")

        @sa.event.listens_for(made.app.store.engine, "before_cursor_execute")
        def _(_: object, __: object, statement: str, *___: object) -> None:
            statements.append(statement)

        made.run()
        assert made.memory().verdict is Verdict.MATCHED
        assert explainer.asked == []
        assert statements
        assert not [statement for statement in statements if "pacspace_explanations" in statement]


def test_an_invoice_is_held_and_alerted_before_it_is_explained(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        explainer = PlannedExplainer()
        explainer.made = made
        explained_by(made, explainer)
        overbilled(made).run()
        assert explainer.known == [True]


def test_the_same_drift_is_explained_once_and_another_again(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        explainer = PlannedExplainer()
        explained_by(made, explainer)
        overbilled(made).run(DAY)
        first = explained(made)
        assert len(explainer.asked) == 1
        made.record("3", at=MIDDLE + DAY)
        made.hear()
        made.run(HOUR)
        assert [finding.windows[0].recorded for finding in explainer.asked] == [100, 103]
        second = explained(made)
        assert first is not None
        assert second is not None
        assert first.fingerprint != second.fingerprint


def test_observe_mode_explains_too(tmp_path: Path) -> None:
    with world(tmp_path, mode="observe") as made:
        overbilled(made).run()
        found = explained(made)
        assert found is not None
        assert found.explanations[0].cause is Cause.NOT_IN_LEDGER
        assert made.writes() == []


@pytest.mark.parametrize("failing", [RuntimeError("a bug"), StoreUnavailable("gone")])
def test_an_explanation_that_fails_changes_nothing_but_that_there_is_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, failing: Exception
) -> None:
    def outcome(folder: Path, explainer: PlannedExplainer) -> tuple[object, ...]:
        folder.mkdir()
        with world(folder) as made:
            explained_by(made, explainer)
            overbilled(made).run()
            job = made.app.store.jobs.find(made.invoice_id)
            assert job is not None
            return made.invoice()["auto_advance"], job.state, job.next_check_at, explained(made) is not None

    with caplog.at_level(logging.ERROR):
        *without, kept = outcome(tmp_path / "failing", PlannedExplainer(failing=failing))
    assert "its drift was not explained" in caplog.text
    assert not kept
    *with_it, kept = outcome(tmp_path / "fine", PlannedExplainer())
    assert kept
    assert without == with_it


def test_a_failed_explanation_is_retried_at_the_next_check(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        explainer = PlannedExplainer(failing=RuntimeError("a bug"))
        explained_by(made, explainer)
        overbilled(made).run()
        explainer.failing = None
        made.run(3 * HOUR)
        assert explained(made) is not None


def test_nothing_is_kept_without_the_lease(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        overbilled(made)
        explained_by(made, PlannedExplainer(failing=LeaseLost("somebody else has it")))
        with pytest.raises(LeaseLost):
            made.run()
        assert explained(made) is None


def test_an_early_warning_is_explained_days_before_the_invoice(tmp_path: Path, database_url: str) -> None:
    with world(tmp_path, database_url) as made:
        subscription = made.subscribe()
        made.use("100")
        made.bill("7", at=MIDDLE + 5 * DAY)
        made.stripe.send_upcoming(subscription)
        made.run(timedelta(minutes=10))
        found = made.app.store.explanations.find(upcoming_job_id(subscription, PERIOD_END))
        assert found is not None
        (explanation,) = found.explanations
        assert explanation.cause is Cause.NOT_IN_LEDGER
        assert [part.window.start.date() for part in explanation.located] == [(MIDDLE + 5 * DAY).date()]


def test_a_preview_explains_and_keeps_nothing(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        explainer = PlannedExplainer()
        explained_by(made, explainer)
        overbilled(made)
        made.clock.advance(2 * HOUR)
        made.stripe.run_due()
        assert made.app.checker.preview(made.invoice_id).verdict is Verdict.DRIFTED
        assert explainer.asked == []
        assert explained(made) is None


def test_a_backfill_does_not_explain_what_drifted(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        explainer = PlannedExplainer()
        explained_by(made, explainer)
        overbilled(made)
        made.clock.advance(2 * HOUR)
        made.stripe.run_due()
        assert (
            made.app.checker.check(made.invoice_id, backfill=BackfillRequest(patient=False)).verdict is Verdict.DRIFTED
        )
        assert explainer.asked == []


def test_a_check_and_the_report_show_the_cause(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        overbilled(made).run()
        found = explained(made)
        assert found is not None
        job = made.app.store.jobs.find(made.invoice_id)
        assert job is not None
        (window,) = made.app.last_result(job).explained(found.explanations).windows
        said = sentence(found.explanations[0])
        assert (window["cause"], window["sentence"]) == ("not_in_ledger", said)
        report = make_report(made.app.store, made.app.settings, now=made.clock.now())
        rows: Any = as_json(report)["usage"]
        assert [(row["cause"], row["sentence"]) for row in rows] == [("not_in_ledger", said)]
