"""Verdicts: the reason of each, and the window that decides for an invoice."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict, WindowResult, summarize
from pacspace_stripe.vocabulary.windows import Window, iso
from tests.support.examples import METER, OCTOBER, result

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
def test_the_worst_window_decides(reasons: list[Reason], speaks: Reason) -> None:
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
def test_another_window_never_improves_the_verdict(windows: tuple[WindowResult, ...], more: WindowResult) -> None:
    order = [Verdict.DRIFTED, Verdict.UNPROVEN, Verdict.MATCHED]
    before, after = summarize(windows).verdict, summarize((*windows, more)).verdict
    assert order.index(after) <= order.index(before)


def test_an_invoice_with_nothing_metered_is_matched() -> None:
    found = summarize(())
    assert (found.verdict, found.reason, found.windows) == (Verdict.MATCHED, Reason.ZERO, ())


def drifting(meter: str, billed: str, recorded: str | None) -> WindowResult:
    known = Decimal(recorded) if recorded is not None else None
    detail = f"billed {billed}, recorded {recorded}"
    return result(Reason.OVERBILLED, meter=meter, billed=Decimal(billed), recorded=known, detail=detail)


NOVEMBER = Window(start=OCTOBER.end, end=OCTOBER.end + timedelta(days=30))
SMALL, LARGE, UNREAD = drifting("small", "2", "1"), drifting("large", "1", "90"), drifting("unread", "500", None)
OPEN, OTHER = (result(Reason.UNMAPPED, meter=meter, detail=f"{meter} has none") for meter in ("open", "other"))


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        pytest.param((SMALL,), "billed 2, recorded 1", id="alone"),
        pytest.param((result(), SMALL), "1 of 2 windows differs: small: billed 2, recorded 1", id="one differs"),
        pytest.param(
            (SMALL, result(), LARGE, UNREAD),
            "3 of 4 windows differ, the largest: large: billed 1, recorded 90",
            id="the largest",
        ),
        pytest.param(
            (result(), SMALL, OPEN),
            "1 of 3 windows differs and 1 is unproven: small: billed 2, recorded 1",
            id="beside an open question",
        ),
        pytest.param(
            (SMALL, LARGE, OPEN, OTHER),
            "2 of 4 windows differ and 2 are unproven, the largest: large: billed 1, recorded 90",
            id="beside two open questions",
        ),
        pytest.param((OPEN, result()), "1 of 2 windows is unproven: open: open has none", id="one unproven"),
        pytest.param(
            (OPEN, OTHER),
            "2 of 2 windows are unproven: open: open has none; other: other has none",
            id="all unproven",
        ),
        pytest.param(
            (replace(OPEN, detail="shared"), replace(OTHER, detail="shared")),
            "2 of 2 windows are unproven: open, other: shared",
            id="unproven for one reason",
        ),
        pytest.param(
            (SMALL, replace(LARGE, meter="small", window=NOVEMBER)),
            f"2 of 2 windows differ, the largest: small from {iso(NOVEMBER.start)} to {iso(NOVEMBER.end)}:"
            " billed 1, recorded 90",
            id="two windows of one meter",
        ),
        pytest.param(
            (result(), replace(SMALL, subscription_id="sub_2")),
            "1 of 2 windows differs: small of sub_2: billed 2, recorded 1",
            id="of another subscription",
        ),
    ],
)
def test_the_number_of_wrong_windows_and_the_largest_are_named(windows: tuple[WindowResult, ...], said: str) -> None:
    assert summarize(windows).detail == said


def test_five_of_very_many_unproven_windows_are_named() -> None:
    assert summarize((OPEN,) * 9).detail.endswith("; 4 more")


def test_a_result_is_about_its_meter_and_window() -> None:
    assert result().key == f"{METER}|{OCTOBER}"
    assert result(window=None).key == f"{METER}|-"
