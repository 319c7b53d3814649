"""The forecast of renewals: the time that rate limits need, and what helps."""

import json
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.capacity.rules.forecast import (
    CONFIRMING,
    FIRST_CHECK,
    SECOND_CHECK,
    Anchor,
    Forecast,
    Load,
    forecast,
    seconds_each,
    together,
)
from pacspace_stripe.cli import cli
from pacspace_stripe.http.ratelimit.rules.rate import STRIPE_LIVE, STRIPE_TEST, Rate
from pacspace_stripe.vocabulary.policy import FailPolicy

CLOSED, OPEN = FailPolicy.CLOSED, FailPolicy.OPEN
HOUR = timedelta(hours=1)


def at_once(invoices: int, policy: FailPolicy = CLOSED, grace: timedelta = HOUR, rate: Rate = STRIPE_LIVE) -> Forecast:
    return forecast(Load(invoices=invoices, anchor=Anchor.FIRST_OF_MONTH, grace=grace, rate=rate), policy)


def test_a_matched_invoice_costs_seven_calls_closed_and_five_open() -> None:
    calls = {
        policy: sum(together(FIRST_CHECK, SECOND_CHECK[policy], CONFIRMING[policy]).values()) for policy in SECOND_CHECK
    }
    assert calls == {CLOSED: 7, OPEN: 5}


@pytest.mark.parametrize(
    ("rate", "bottleneck", "per_second"),
    [
        (STRIPE_LIVE, "25/s to GET /v1/invoices/{id} and to POST /v1/invoices/{id}", 25 / 3 / 1.02),
        (STRIPE_TEST, "25/s in all", 25 / 7 / 1.02),
    ],
)
def test_the_limit_that_is_reached_first(rate: Rate, bottleneck: str, per_second: float) -> None:
    found = at_once(1000, rate=rate)
    assert found.bottleneck == bottleneck
    assert found.per_second == pytest.approx(per_second)


def test_drafts_are_held_at_25_a_second_and_released_at_half_of_that_from_the_hour_on() -> None:
    found = at_once(25_000)
    assert found.secured_after == timedelta(seconds=1020)
    assert found.judged_after == found.leaves_after == HOUR + timedelta(seconds=2040)
    assert found.fits
    assert not found.advice


def test_open_invoices_go_out_on_stripes_clock() -> None:
    found = at_once(1000, OPEN)
    assert found.judged_after == timedelta(minutes=10, seconds=40.8)
    assert found.leaves_after == HOUR


def test_invoices_not_held_in_time_are_counted_and_a_grace_period_is_named() -> None:
    found = at_once(100_000)
    assert found.missed == 100_000 - 88_235
    assert not found.fits
    assert found.advice[0] == "set Stripe's invoice finalization grace period to 2 h (Settings, Billing, Invoices)"
    assert found.advice[1] == "or spread the billing anchors over 2 days"


def test_a_million_at_once_need_half_a_day() -> None:
    assert "to 13 h" in at_once(1_000_000).advice[0]
    assert at_once(1_000_000, grace=13 * HOUR).fits
    assert at_once(1_000_000, grace=12 * HOUR).missed == 0


def test_a_load_that_no_grace_period_helps_is_reported() -> None:
    found = at_once(10_000_000)
    assert found.advice == (
        "no finalization grace period is long enough: 72 h is Stripe's longest",
        "or ask Stripe for higher limits and set PACSPACE_STRIPE_RATE",
    )


def test_open_invoices_that_would_pass_their_backstop_ask_for_a_later_one() -> None:
    load = Load(invoices=200_000, anchor=Anchor.FIRST_OF_MONTH, grace=24 * HOUR, backstop=2 * HOUR)
    assert forecast(load, OPEN).advice == ("set PACSPACE_STRIPE_BACKSTOP to 5h: the last ones would go out unproven",)


def test_spread_over_a_month_a_million_is_little() -> None:
    found = forecast(Load(invoices=1_000_000, anchor=Anchor.SPREAD), CLOSED)
    assert found.fits
    assert found.processes == 1
    assert found.secured_after < timedelta(seconds=1)


def test_a_load_of_more_than_a_month_of_calls_never_fits() -> None:
    found = forecast(Load(invoices=30_000_000, anchor=Anchor.SPREAD), CLOSED)
    assert found.advice[0].startswith("a month is too short")


def test_slow_answers_need_more_processes() -> None:
    load = Load(invoices=10_000, anchor=Anchor.FIRST_OF_MONTH)
    slow = replace(load, stripe_latency=timedelta(seconds=1))
    assert forecast(load, CLOSED).processes == 6
    assert forecast(slow, CLOSED).processes > 10


loads = st.builds(
    Load,
    invoices=st.integers(1, 3_000_000),
    anchor=st.sampled_from(Anchor),
    rate=st.builds(Rate, endpoint=st.integers(5, 100), total=st.integers(5, 400)),
    grace=st.integers(1, 72).map(lambda hours: hours * HOUR),
)


@given(loads, st.sampled_from(FailPolicy))
def test_more_invoices_never_take_less_time(load: Load, policy: FailPolicy) -> None:
    more = [forecast(replace(load, invoices=load.invoices * factor), policy) for factor in (1, 2, 5)]
    for less, most in pairwise(more):
        assert less.secured_after <= most.secured_after
        assert less.judged_after <= most.judged_after
        assert less.missed <= most.missed


@given(loads, st.sampled_from(FailPolicy))
def test_a_forecast_fits_or_advises_what_to_do(load: Load, policy: FailPolicy) -> None:
    found = forecast(load, policy)
    assert found.fits is not bool(found.advice)
    assert 0 <= found.missed <= load.invoices
    assert (found.missed > 0) <= (found.secured_after > found.window - timedelta(seconds=1))
    assert found.secured_after <= found.judged_after <= found.leaves_after
    assert found.processes >= 1


@given(loads, st.sampled_from(FailPolicy))
def test_no_limit_is_passed(load: Load, policy: FailPolicy) -> None:
    for calls in (FIRST_CHECK, SECOND_CHECK[policy]):
        per_second = 1 / seconds_each(calls, load.rate)
        assert all(per_second * count <= load.rate.endpoint for count in calls.values())
        assert per_second * sum(calls.values()) <= load.rate.total


# The command


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["capacity", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_needs_no_settings_and_prints_its_assumptions() -> None:
    shown = run("--invoices", "1000000")
    assert "closed: NOT in time" in shown
    assert "-> set Stripe's invoice finalization grace period to 13 h" in shown
    assert "This assumes:" in shown


def test_the_command_says_for_each_policy_whether_it_is_in_time() -> None:
    shown = run("--invoices", "60000")
    assert "closed: in time" in shown
    assert "open: NOT in time" in shown


def test_the_command_prints_json() -> None:
    found = json.loads(run("--invoices", "1000", "--anchor", "spread", "--rate", "25/25", "--grace", "3h", "--json"))
    assert (found["rate"], found["anchor"], found["grace_seconds"]) == ("25/25", "spread", 10_800)
    assert found["policies"]["closed"]["fits"] is True
    assert found["policies"]["closed"]["calls_per_invoice"] == 7
    assert found["assumptions"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--invoices", "0"),
        ("--invoices", "5", "--grace", "73h"),
        ("--invoices", "5", "--grace", "soon"),
        ("--rate", "1"),
    ],
)
def test_an_impossible_option_is_refused(arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(cli, ["capacity", *arguments]).exit_code == 2
