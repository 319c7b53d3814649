"""A vendor that does not answer is named, wherever it was asked."""

from datetime import timedelta
from pathlib import Path

import pytest

from pacspace_stripe.comparison.comparer import error_reason
from pacspace_stripe.comparison.rules.verdicts import Reason
from pacspace_stripe.errors import RemoteError, RemoteUnavailable, ScopeRefused
from pacspace_stripe.gate.early_warning import upcoming_job_id
from tests.support.worlds import PERIOD_END, World, world

SUMMARIES = "GET /v1/billing/meters/{id}/event_summaries"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RemoteUnavailable("Stripe", "no answer"), Reason.STRIPE_UNAVAILABLE),
        (RemoteUnavailable("PacSpace", "no answer"), Reason.LEDGER_UNAVAILABLE),
        (ScopeRefused("PacSpace", "too wide"), Reason.UNKNOWN_SHAPE),
    ],
)
def test_a_reason_names_the_vendor_that_gave_no_answer(error: RemoteError, reason: Reason) -> None:
    assert error_reason(error)[0] is reason


def warned(made: World) -> tuple[str | None, str]:
    """Return the early warning of an agreeing subscription."""
    subscription = made.subscribe()
    made.use("5")
    made.stripe.send_upcoming(subscription)
    made.settle()
    memory = made.memory(upcoming_job_id(subscription, PERIOD_END))
    return memory.reason, memory.detail


def test_an_early_warning_without_stripes_summaries_names_stripe(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.stripe.add_fault("500", endpoint=SUMMARIES, times=1000)
        reason, detail = warned(made)
        assert reason == "STRIPE_UNAVAILABLE"
        assert detail.startswith("Stripe:")


def test_an_early_warning_without_the_ledger_names_pacspace(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.ledger.add_fault("503", times=1000)
        reason, detail = warned(made)
        assert reason == "LEDGER_UNAVAILABLE"
        assert detail.startswith("PacSpace:")


def test_an_early_warning_that_cannot_read_its_subscription_names_the_cause(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.stripe.add_fault("500", endpoint="GET /v1/subscriptions/{id}", times=1000)
        assert warned(made)[1].startswith("Stripe:")


def test_a_check_names_the_vendor_whose_answer_ended_it(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("5")
        made.stripe.add_fault("500", endpoint="GET /v1/prices/{id}", times=1000)
        made.run(timedelta(hours=1, minutes=5))
        assert made.app.checker.check(made.invoice_id).steps == ("Stripe unavailable",)
        assert made.memory().reason == "STRIPE_UNAVAILABLE"
