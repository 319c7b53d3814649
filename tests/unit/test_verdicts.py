"""Verdicts: what a reason stands for, and which window speaks for an invoice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.domain.verdicts import Reason, Verdict, WindowResult, summarize
from tests.unit.examples import METER, OCTOBER, result

MATCHED = {Reason.EXACT, Reason.WITHIN_TOLERANCE, Reason.ZERO}
DRIFTED = {
    Reason.STRIPE_MISSING,
    Reason.LEDGER_MISSING,
    Reason.OVERBILLED,
    Reason.UNDERBILLED,
    Reason.PERIOD_EDGE,
    Reason.DUPLICATE,
    Reason.CHANGED_AT_FINALIZATION,
}

outcomes = st.sampled_from(Reason).map(result)
several = st.lists(outcomes, min_size=1, max_size=6).map(tuple)


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_stands_for_one_verdict_and_none_for_waived(reason: Reason) -> None:
    if reason in MATCHED:
        assert reason.verdict is Verdict.MATCHED
    elif reason in DRIFTED:
        assert reason.verdict is Verdict.DRIFTED
    else:
        assert reason.verdict is Verdict.UNPROVEN


@pytest.mark.parametrize(
    ("reasons", "speaks"),
    [
        pytest.param([Reason.EXACT], Reason.EXACT, id="one window speaks for itself"),
        pytest.param([Reason.OVERBILLED, Reason.UNDERBILLED], Reason.OVERBILLED, id="opposite errors never cancel"),
        pytest.param([Reason.EXACT, Reason.UNDERBILLED], Reason.UNDERBILLED, id="a drift beside a match"),
        pytest.param([Reason.NOT_SETTLED, Reason.OVERBILLED], Reason.OVERBILLED, id="a drift beside an open question"),
        pytest.param([Reason.EXACT, Reason.UNMAPPED], Reason.UNMAPPED, id="an open question beside a match"),
        pytest.param([Reason.ZERO, Reason.EXACT], Reason.EXACT, id="some usage beside none"),
        pytest.param([Reason.EXACT, Reason.WITHIN_TOLERANCE], Reason.WITHIN_TOLERANCE, id="a tolerance is told"),
        pytest.param([Reason.ZERO, Reason.ZERO], Reason.ZERO, id="none at all"),
    ],
)
def test_the_worst_window_speaks_for_all(reasons: list[Reason], speaks: Reason) -> None:
    found = summarize(tuple(map(result, reasons)))
    assert (found.verdict, found.reason) == (speaks.verdict, speaks)


@given(several)
def test_an_invoice_is_matched_only_when_every_window_is(windows: tuple[WindowResult, ...]) -> None:
    assert (summarize(windows).verdict is Verdict.MATCHED) == all(one.reason in MATCHED for one in windows)


@given(several)
def test_one_drift_makes_a_drift(windows: tuple[WindowResult, ...]) -> None:
    assert (summarize(windows).verdict is Verdict.DRIFTED) == any(one.reason in DRIFTED for one in windows)


@given(several)
def test_a_summary_keeps_every_window_in_order(windows: tuple[WindowResult, ...]) -> None:
    assert summarize(windows).windows == windows


@given(several, st.randoms(use_true_random=False))
def test_the_order_of_windows_decides_no_verdict(windows: tuple[WindowResult, ...], random: object) -> None:
    shuffled = list(windows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis' own Random
    assert summarize(tuple(shuffled)).verdict is summarize(windows).verdict


@given(several, outcomes)
def test_another_window_never_makes_it_better(windows: tuple[WindowResult, ...], more: WindowResult) -> None:
    order = [Verdict.DRIFTED, Verdict.UNPROVEN, Verdict.MATCHED]
    before, after = summarize(windows).verdict, summarize((*windows, more)).verdict
    assert order.index(after) <= order.index(before)


def test_where_nothing_is_metered_nothing_is_wrong() -> None:
    found = summarize(())
    assert (found.verdict, found.reason, found.windows) == (Verdict.MATCHED, Reason.ZERO, ())


def test_the_window_that_speaks_says_why() -> None:
    windows = (result(), result(Reason.OVERBILLED, detail="billed 2, recorded 1"), result(Reason.UNMAPPED))
    assert summarize(windows).detail == "billed 2, recorded 1"


def test_a_result_is_about_its_meter_and_window() -> None:
    assert result().key == f"{METER}|{OCTOBER}"
    assert result(window=None).key == f"{METER}|-"
