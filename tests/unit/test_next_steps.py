"""The next step: one for every reason that keeps an invoice back, and none that bypasses the gate."""

import pytest

from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.explain.rules.next_steps import next_step


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_that_keeps_an_invoice_back_has_a_next_step(reason: Reason) -> None:
    step = next_step(reason, "in_1")
    assert bool(step) is (reason.verdict is not Verdict.MATCHED)
    assert "{" not in step


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("bypass", ["auto_advance", "inalize it", "inalise it", "observe", "FAIL=open", "dashboard"])
def test_no_next_step_bypasses_the_gate(reason: Reason, bypass: str) -> None:
    assert bypass not in next_step(reason, "in_1")


def test_an_invoice_without_a_reason_needs_no_step() -> None:
    assert next_step(None, "in_1") == ""
