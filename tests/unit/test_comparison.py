"""The comparison of both figures, a confirmed difference, and PacSpace's own answers."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.comparison.rules.reconcile import after_compare, after_verify, compare_figures, confirm_difference
from pacspace_stripe.comparison.rules.verdicts import MeterTotals, Reason, Verdict, WindowResult
from pacspace_stripe.vocabulary.ledger import Comparison, ProofSummary, Unsettled, UsageSign
from tests.support.examples import (
    NOTHING_UNSETTLED,
    ROOT,
    balance,
    proof,
    result,
    usage,
)

quantities = st.decimals(min_value=0, max_value=10**12, allow_nan=False, places=6)

NONE = Decimal(0)
signs = st.sampled_from(UsageSign)


# -- the first read ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_invoice", "in_ledger", "count", "tolerance", "reason"),
    [
        pytest.param("100", "-100", 4, "0", Reason.EXACT, id="the same"),
        pytest.param("0.3", "-0.30000000000000004", 3, "0", Reason.EXACT, id="the same double"),
        pytest.param("0", "0", 0, "0", Reason.ZERO, id="nothing of nothing"),
        pytest.param("0", "-0", 0, "0", Reason.ZERO, id="a negative zero"),
        pytest.param("0", "0", 2, "0", Reason.EXACT, id="records that cancel"),
        pytest.param("100", "-99", 4, "1", Reason.WITHIN_TOLERANCE, id="tolerated"),
        pytest.param("100", "-98.999", 4, "1", Reason.OVERBILLED, id="not tolerated"),
        pytest.param("100", "-99", 4, "0", Reason.OVERBILLED, id="too much billed"),
        pytest.param("99", "-100", 4, "0", Reason.UNDERBILLED, id="too little billed"),
        pytest.param("0", "-100", 4, "0", Reason.STRIPE_MISSING, id="nothing billed"),
        pytest.param("100", "0", 0, "0", Reason.LEDGER_MISSING, id="nothing recorded"),
        pytest.param("100", "0", 2, "0", Reason.LEDGER_MISSING, id="nothing recorded in sum"),
        pytest.param("100", "100", 4, "0", Reason.OVERBILLED, id="the other sign"),
        pytest.param("0.000000000001", "0", 0, "0", Reason.LEDGER_MISSING, id="the smallest usage"),
        pytest.param("123456789012345", "-123456789012346", 9, "0", Reason.UNDERBILLED, id="the fifteenth digit"),
    ],
)
def test_a_line_agrees_with_the_ledger_or_differs(
    on_invoice: str, in_ledger: str, count: int, tolerance: str, reason: Reason
) -> None:
    seen = compare_figures(
        usage(quantity=Decimal(on_invoice)), balance(in_ledger, count), UsageSign.NEGATIVE, Decimal(tolerance)
    )
    assert (seen.reason, seen.billed, seen.count) == (reason, Decimal(on_invoice), count)
    assert seen.recorded == -Decimal(in_ledger)
    assert bool(seen.detail) == (reason not in (Reason.EXACT, Reason.ZERO))


def test_a_positive_ledger_is_compared_as_it_is() -> None:
    assert compare_figures(usage(), balance("100"), UsageSign.POSITIVE, NONE).reason is Reason.EXACT


def test_a_difference_names_both_figures_and_its_size() -> None:
    detail = compare_figures(usage(), balance("-98.5"), UsageSign.NEGATIVE, NONE).detail
    assert detail == "billed 100, recorded 98.5: differs by 1.5"


def test_a_ledger_of_the_other_sign_is_reported() -> None:
    assert "PACSPACE_STRIPE_USAGE_SIGN" in compare_figures(usage(), balance("100"), UsageSign.NEGATIVE, NONE).detail


def test_a_tolerance_that_was_used_is_reported() -> None:
    detail = compare_figures(usage(), balance("-99"), UsageSign.NEGATIVE, Decimal("1.50")).detail
    assert detail == "differs by 1, tolerated up to 1.5"


def test_usage_with_a_problem_is_never_compared() -> None:
    with pytest.raises(ValueError, match="never compared"):
        compare_figures(usage(quantity=None, problem=Reason.UNKNOWN_SHAPE), balance(), UsageSign.NEGATIVE, NONE)


@given(quantities, quantities, signs)
def test_a_match_means_equal_figures_and_equal_figures_match(
    on_line: Decimal, on_ledger: Decimal, sign: UsageSign
) -> None:
    seen = compare_figures(usage(quantity=on_line), balance(sign.raw_balance(on_ledger)), sign, NONE)
    assert (seen.reason.verdict is Verdict.MATCHED) == (
        f"{on_line:.15g}" == f"{on_ledger:.15g}" or on_line == on_ledger
    )


@given(quantities, quantities, quantities, signs)
def test_a_tolerance_turns_a_drift_into_a_match_and_never_the_reverse(
    on_line: Decimal, on_ledger: Decimal, tolerance: Decimal, sign: UsageSign
) -> None:
    ledger = balance(sign.raw_balance(on_ledger))
    exact, tolerant = (compare_figures(usage(quantity=on_line), ledger, sign, limit) for limit in (NONE, tolerance))
    if exact.reason.verdict is Verdict.MATCHED:
        assert tolerant == exact
    elif tolerant.reason.verdict is Verdict.MATCHED:
        assert tolerant.reason is Reason.WITHIN_TOLERANCE
        assert abs(on_line - on_ledger) <= tolerance + Decimal("0.001")


# -- the second read --------------------------------------------------------------------------------------------------


def different(on_line: str = "90", on_ledger: str = "100") -> WindowResult:
    return compare_figures(usage(quantity=Decimal(on_line)), balance(f"-{on_ledger}"), UsageSign.NEGATIVE, NONE)


def totals(inner: str, outer: str | None = None) -> MeterTotals:
    return MeterTotals(inner=Decimal(inner), outer=Decimal(outer or inner))


@pytest.mark.parametrize("unsettled", [Unsettled(unverified=1, gaps=0), Unsettled(unverified=0, gaps=1)])
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("meter_now", [None, totals("100"), totals("90")])
def test_a_difference_while_the_ledger_settles_is_no_drift(
    unsettled: Unsettled,
    meter_now: MeterTotals | None,
    strict: bool,  # noqa: FBT001  # a column of the table
) -> None:
    seen = confirm_difference(different(), unsettled, meter_now, strict=strict)
    assert seen.reason is Reason.NOT_SETTLED
    assert str(max(unsettled.unverified, unsettled.gaps)) in seen.detail


@pytest.mark.parametrize(
    ("meter_now", "tolerance", "reason", "figure"),
    [
        pytest.param(None, "0", Reason.UNDERBILLED, "90", id="the lines are final"),
        pytest.param(totals("90"), "0", Reason.UNDERBILLED, "90", id="the meter says what the line says"),
        pytest.param(totals("100"), "0", Reason.EXACT, "100", id="the meter has what the ledger has"),
        pytest.param(totals("99.9999999999999991"), "0", Reason.EXACT, "100", id="in fifteen digits"),
        pytest.param(totals("99", "101"), "0", Reason.EXACT, "100", id="between its whole minutes"),
        pytest.param(totals("101", "99"), "0", Reason.EXACT, "100", id="in any order"),
        pytest.param(totals("90", "99"), "0", Reason.UNDERBILLED, "90", id="outside both"),
        pytest.param(totals("101", "110"), "0", Reason.UNDERBILLED, "90", id="outside both, above"),
        pytest.param(totals("99"), "1", Reason.WITHIN_TOLERANCE, "99", id="the meter within the tolerance"),
        pytest.param(totals("101"), "1", Reason.WITHIN_TOLERANCE, "101", id="the meter above within the tolerance"),
        pytest.param(totals("98"), "1", Reason.UNDERBILLED, "90", id="the meter outside the tolerance"),
        pytest.param(totals("90", "99"), "1", Reason.WITHIN_TOLERANCE, "99", id="the nearer of its minutes"),
        pytest.param(totals("100"), "1", Reason.EXACT, "100", id="a tolerance that was not needed"),
    ],
)
def test_a_draft_line_may_lag_behind_its_meter(
    meter_now: MeterTotals | None, tolerance: str, reason: Reason, figure: str
) -> None:
    seen = confirm_difference(different(), NOTHING_UNSETTLED, meter_now, strict=True, tolerance=Decimal(tolerance))
    assert (seen.reason, seen.billed) == (reason, Decimal(figure))
    assert seen.from_meter == (reason.verdict is Verdict.MATCHED)
    assert seen.recorded == Decimal(100)


def test_a_figure_taken_from_the_meter_is_named() -> None:
    assert confirm_difference(different(), NOTHING_UNSETTLED, totals("100"), strict=True).detail == (
        "the draft's line says 90, its meter 100"
    )
    tolerant = confirm_difference(different(), NOTHING_UNSETTLED, totals("99"), strict=True, tolerance=Decimal(1))
    assert tolerant.detail == "the draft's line says 90, its meter 99, the ledger 100"


def test_a_lagging_line_is_not_settled_if_the_final_lines_are_not_read() -> None:
    assert confirm_difference(different(), NOTHING_UNSETTLED, totals("100"), strict=False).reason is Reason.NOT_SETTLED


def test_an_up_to_date_line_drifts_if_the_final_lines_are_not_read() -> None:
    assert confirm_difference(different(), NOTHING_UNSETTLED, totals("85", "100"), strict=False) == different()


def test_a_real_difference_stays_what_it_was() -> None:
    assert confirm_difference(different(), NOTHING_UNSETTLED, totals("90"), strict=True) == different()


@given(quantities, quantities, quantities, st.booleans())
def test_a_confirmed_difference_never_matches_against_the_ledger(
    on_ledger: Decimal,
    inner: Decimal,
    outer: Decimal,
    strict: bool,  # noqa: FBT001  # drawn
) -> None:
    first = replace(different(), recorded=on_ledger)
    seen = confirm_difference(first, NOTHING_UNSETTLED, MeterTotals(inner=inner, outer=outer), strict=strict)
    between = min(inner, outer) <= on_ledger <= max(inner, outer)
    alike = {f"{one:.15g}" for one in (inner, outer)} & {f"{on_ledger:.15g}"}
    current = not strict and min(inner, outer) <= Decimal(90) <= max(inner, outer)
    assert (seen.reason is first.reason) == (current or (not between and not alike))
    if seen.reason is Reason.EXACT:
        assert strict
        assert seen.billed == on_ledger


# -- PacSpace's own compare -------------------------------------------------------------------------------------------


def answer(neutral: str | None, *, agrees: bool | None = True) -> Comparison:
    return Comparison(
        your_balance=Decimal(-100),
        their_balance=Decimal(-100),
        neutral_balance=None if neutral is None else Decimal(neutral),
        matches_yours=agrees,
        matches_theirs=agrees,
    )


@pytest.mark.parametrize(
    ("neutral", "reason"),
    [
        ("-100", Reason.EXACT),
        ("-100.00", Reason.EXACT),
        ("-99.99999999999999999", Reason.EXACT),
        (None, Reason.EXACT),
        ("-99", Reason.LEDGER_INCONSISTENT),
        ("100", Reason.LEDGER_INCONSISTENT),
        ("0", Reason.LEDGER_INCONSISTENT),
    ],
)
def test_a_neutral_balance_that_contradicts_derive_proves_nothing(neutral: str | None, reason: Reason) -> None:
    compared = after_compare(result(), balance(), answer(neutral))
    assert (compared.reason, compared.comparison) == (reason, answer(neutral))


@pytest.mark.parametrize("agrees", [True, False, None])
@pytest.mark.parametrize("reason", [Reason.EXACT, Reason.OVERBILLED])
def test_the_booleans_of_compare_are_stored_and_not_judged(
    agrees: bool | None,  # noqa: FBT001  # a column of the table
    reason: Reason,
) -> None:
    compared = after_compare(result(reason), balance(), answer("-100", agrees=agrees))
    assert compared.reason is reason
    assert compared.comparison is not None
    assert compared.comparison.matches_yours is agrees


# -- the cross-check of a root ----------------------------------------------------------------------------------------


def summary(*, verified: bool = True, count: int | None = 4, net: str | None = "-100") -> ProofSummary:
    return ProofSummary(
        proof_root=ROOT,
        verified=verified,
        record_count=count,
        net_change=None if net is None else Decimal(net),
    )


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        pytest.param(summary(), Reason.EXACT, id="the same records"),
        pytest.param(summary(net="-100.0"), Reason.EXACT, id="written otherwise"),
        pytest.param(summary(verified=False), Reason.NOT_SETTLED, id="not verified yet"),
        pytest.param(summary(verified=False, count=None, net=None), Reason.NOT_SETTLED, id="nothing confirmed at all"),
        pytest.param(summary(count=3), Reason.ROOT_STALE, id="another number of records"),
        pytest.param(summary(net="-99"), Reason.ROOT_STALE, id="another net"),
        pytest.param(summary(net="100"), Reason.ROOT_STALE, id="the other sign"),
        pytest.param(summary(count=None, net="-99"), Reason.ROOT_STALE, id="another net, no count"),
        pytest.param(summary(count=5, net=None), Reason.ROOT_STALE, id="another count, no net"),
        pytest.param(summary(count=0, net="0"), Reason.ROOT_STALE, id="no records"),
    ],
)
def test_a_root_vouches_for_the_records_that_were_derived(said: ProofSummary, reason: Reason) -> None:
    verified = after_verify(result(), proof(cross_checked=False), said)
    assert verified.reason is reason
    assert verified.proof is not None
    assert verified.proof.cross_checked == (reason is Reason.EXACT)
    assert verified.proof.stale == (reason is Reason.ROOT_STALE)


@pytest.mark.parametrize(("count", "net"), [(None, None), (4, None), (None, "-100")])
def test_a_root_without_a_full_summary_was_not_cross_checked(count: int | None, net: str | None) -> None:
    verified = after_verify(result(), proof(cross_checked=False), summary(count=count, net=net))
    assert verified.reason is Reason.EXACT
    assert verified.proof == proof(cross_checked=False)


def test_a_stale_root_names_what_it_covers_and_what_the_ledger_has() -> None:
    detail = after_verify(result(), proof(), summary(count=3, net="-90")).detail
    assert detail == "the proof root covers 3 records netting -90, the ledger has 4 netting -100"
    assert "netting unknown" in after_verify(result(), proof(), summary(count=3, net=None)).detail
