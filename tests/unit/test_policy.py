"""The policy: its defaults are the documented, safe ones."""

from datetime import timedelta
from decimal import Decimal

from pacspace_stripe.vocabulary.ledger import UsageSign
from pacspace_stripe.vocabulary.policy import FailPolicy, FinalizePolicy, Mode, Policy


def test_the_gate_is_closed_and_strict_by_default() -> None:
    policy = Policy()
    assert (policy.mode, policy.fail, policy.finalize) == (Mode.ENFORCE, FailPolicy.CLOSED, FinalizePolicy.STRICT)


def test_the_comparison_is_exact_by_default() -> None:
    assert Policy().tolerance == Decimal(0)


def test_usage_is_negative_and_on_the_customers_own_account_by_default() -> None:
    assert (Policy().usage_sign, Policy().ledger_account) == (UsageSign.NEGATIVE, "{customer}")


def test_the_default_times_are_the_documented_ones() -> None:
    policy = Policy()
    assert (policy.backstop, policy.settle, policy.cadence) == (
        timedelta(hours=24),
        timedelta(minutes=10),
        timedelta(days=1),
    )
    assert policy.retry == tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60))


def test_equal_policies_are_written_alike() -> None:
    assert repr(Policy(tolerance=Decimal("0.5"))) == repr(Policy(tolerance=Decimal("0.5")))
    assert repr(Policy()) != repr(Policy(fail=FailPolicy.OPEN))
