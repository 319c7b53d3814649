"""Advice: a next step for every reason that keeps an invoice back, and none that leads past the gate."""

import pytest

from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.explain.rules.next_steps import next_step


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_that_keeps_an_invoice_back_has_a_next_step(reason: Reason) -> None:
    step = next_step(reason, "in_1")
    assert bool(step) is (reason.verdict is not Verdict.MATCHED)
    assert "{" not in step


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize(
    "past_the_gate", ["auto_advance", "inalize it", "inalise it", "observe", "FAIL=open", "dashboard"]
)
def test_no_next_step_leads_past_the_gate(reason: Reason, past_the_gate: str) -> None:
    assert past_the_gate not in next_step(reason, "in_1")


def test_an_invoice_without_a_reason_needs_no_step() -> None:
    assert next_step(None, "in_1") == ""
