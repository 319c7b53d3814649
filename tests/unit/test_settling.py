"""A difference that has to settle: what it awaits, what the operator reads, and when the next check is."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.comparison.rules.reconcile import (
    Settling,
    compare_figures,
    confirm_difference,
    lacking,
    reads_apart,
    unsettled_parts,
    with_retry_time,
)
from pacspace_stripe.comparison.rules.verdicts import (
    Finding,
    MeterRead,
    MeterTotals,
    Reason,
    Verdict,
    WindowResult,
    summarize,
)
from pacspace_stripe.gate.rules import decide, timing
from pacspace_stripe.gate.rules.actions import Hold, Wait
from pacspace_stripe.gate.rules.state import KeptBack
from pacspace_stripe.gate.rules.transitions import awaiting, first_reads, reads_of, with_finding
from pacspace_stripe.vocabulary.ledger import Unsettled, UsageSign
from pacspace_stripe.vocabulary.policy import FailPolicy, Policy
from tests.support.examples import (
    BACKSTOPPED,
    HELD,
    NOTHING_UNSETTLED,
    PLANNED,
    SEEN,
    SETTLED,
    balance,
    held_draft,
    invoice,
    left,
    result,
    usage,
)

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
NONE = Decimal(0)
quantities = st.decimals(min_value=0, max_value=10**9, allow_nan=False, places=3)


def read(says: str, *, ago: timedelta = HOUR, outer: str | None = None) -> MeterRead:
    return MeterRead(at=SETTLED - ago, inner=Decimal(says), outer=Decimal(outer or says))


def at(now: datetime = SETTLED, earlier: MeterRead | None = None, wait: timedelta = MINUTE) -> Settling:
    return Settling(now=now, apart=wait, earlier=earlier)


def different(billed: str = "90", recorded: str = "100") -> WindowResult:
    return compare_figures(usage(quantity=Decimal(billed)), balance(f"-{recorded}"), UsageSign.NEGATIVE, NONE)


def judged(
    settling: Settling | None,
    *,
    meter: str | None = "90",
    outer: str | None = None,
    unsettled: Unsettled = NOTHING_UNSETTLED,
    strict: bool = True,
) -> WindowResult:
    now = None if meter is None else MeterTotals(inner=Decimal(meter), outer=Decimal(outer or meter))
    return confirm_difference(different(), unsettled, now, strict=strict, settling=settling)


# -- how far apart ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settle", "wait"),
    [(timedelta(0), timedelta(0)), (20 * SECOND, 20 * SECOND), (MINUTE, MINUTE), (10 * MINUTE, MINUTE), (HOUR, MINUTE)],
)
def test_two_reads_are_a_settle_interval_apart_and_never_more_than_a_minute(settle: timedelta, wait: timedelta) -> None:
    assert reads_apart(settle) == wait


@pytest.mark.parametrize(
    ("settling", "meter", "reason"),
    [
        pytest.param(None, None, Reason.UNDERBILLED, id="final lines: nothing settles any more"),
        pytest.param(at(), "90", Reason.NOT_SETTLED, id="without an earlier read"),
        pytest.param(at(wait=timedelta(0)), "90", Reason.UNDERBILLED, id="no wait for usage to settle, none here"),
        pytest.param(at(earlier=read("90")), "90", Reason.UNDERBILLED, id="it showed so an hour ago"),
        pytest.param(at(earlier=read("90", ago=MINUTE)), "90", Reason.UNDERBILLED, id="just long enough ago"),
        pytest.param(at(earlier=read("90", ago=59 * SECOND)), "90", Reason.NOT_SETTLED, id="a second too early"),
        pytest.param(at(earlier=read("90")), "91", Reason.NOT_SETTLED, id="it moved, the line did not"),
        pytest.param(at(earlier=read("89")), "90", Reason.NOT_SETTLED, id="it moved to what the line says"),
        pytest.param(at(earlier=read("90.000000000000001")), "90", Reason.UNDERBILLED, id="in fifteen digits"),
        pytest.param(at(earlier=read("89")), "100", Reason.EXACT, id="it moved to what the ledger says: no drift"),
        pytest.param(at(earlier=read("90")), None, Reason.UNDERBILLED, id="it cannot be asked: the line showed so"),
        pytest.param(at(earlier=read("80")), None, Reason.NOT_SETTLED, id="it cannot be asked and the line moved"),
        pytest.param(at(), None, Reason.NOT_SETTLED, id="it cannot be asked, without an earlier check of the line"),
    ],
)
def test_a_difference_counts_once_stripe_returned_the_same_figure_twice(
    settling: Settling | None, meter: str | None, reason: Reason
) -> None:
    assert judged(settling, meter=meter).reason is reason


@pytest.mark.parametrize(
    ("earlier", "reason"),
    [
        pytest.param(read("85", outer="95"), Reason.UNDERBILLED, id="the same minutes say the same"),
        pytest.param(read("90"), Reason.NOT_SETTLED, id="a line between them is no read of them"),
        pytest.param(read("85", outer="94"), Reason.NOT_SETTLED, id="usage came in the last minute"),
    ],
)
def test_with_seconds_in_the_bounds_both_reads_have_to_be_equal(earlier: MeterRead, reason: Reason) -> None:
    assert judged(at(earlier=earlier), meter="85", outer="95").reason is reason


def test_a_line_that_lags_its_meter_awaits_no_second_read() -> None:
    seen = judged(at(), meter="100", strict=False)
    assert (seen.reason, seen.second_read_at) == (Reason.NOT_SETTLED, None)
    assert "the draft's line lags behind its meter" in seen.detail


def test_a_second_read_is_due_an_interval_after_the_first() -> None:
    first = judged(at())
    assert first.second_read_at == SETTLED + MINUTE
    assert first.meter_read == read("90", ago=timedelta(0))
    second = judged(at(SETTLED + MINUTE, earlier=first.meter_read))
    assert (second.reason, second.second_read_at, second.meter_read) == (Reason.UNDERBILLED, None, first.meter_read)


def test_unverified_records_follow_the_retry_ladder_and_the_meter_is_read_meanwhile() -> None:
    seen = judged(at(), unsettled=Unsettled(unverified=1, gaps=0))
    assert (seen.reason, seen.second_read_at) == (Reason.NOT_SETTLED, None)
    assert judged(at(SETTLED + HOUR, earlier=seen.meter_read)).reason is Reason.UNDERBILLED


@given(st.lists(st.tuples(st.integers(0, 90), quantities), min_size=1, max_size=12))
def test_no_drift_counts_before_two_equal_reads_an_interval_apart(looks: list[tuple[int, Decimal]]) -> None:
    now, known, said = SETTLED, None, []
    for seconds, meter in looks:
        now += seconds * SECOND
        said.append((now, meter))
        seen = judged(at(now, earlier=known), meter=str(meter))
        known = seen.meter_read
        same = [when for when, figure in _last_alike(said)]
        if seen.reason.verdict is Verdict.DRIFTED:
            assert now - min(same) >= MINUTE
        elif seen.reason is Reason.NOT_SETTLED:
            assert now - min(same) < MINUTE
            assert seen.second_read_at is not None
            assert now < seen.second_read_at <= now + MINUTE


def _last_alike(said: list[tuple[datetime, Decimal]]) -> list[tuple[datetime, Decimal]]:
    """Return the newest reads without another figure between them."""
    alike: list[tuple[datetime, Decimal]] = []
    for when, figure in reversed(said):
        if figure != said[-1][1]:
            break
        alike.append((when, figure))
    return alike


# -- what a person reads ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unsettled", "settling", "said"),
    [
        pytest.param(
            NOTHING_UNSETTLED,
            at(),
            "a second meter read that says the same (90 since 2026-11-01T00:10:00Z)",
            id="one read",
        ),
        pytest.param(
            NOTHING_UNSETTLED,
            at(earlier=read("80")),
            "a second meter read that says the same (90 since 2026-11-01T00:10:00Z, 80 at 2026-10-31T23:10:00Z)",
            id="a meter that moved",
        ),
        pytest.param(
            Unsettled(unverified=2, gaps=0, records=("rec_1", "rec_2")),
            at(earlier=read("90")),
            "2 ledger records not verified yet (rec_1, rec_2)",
            id="records",
        ),
        pytest.param(
            Unsettled(unverified=0, gaps=2, sequences=("4", "6 to 9")),
            at(earlier=read("90")),
            "2 gaps in the ledger's sequence (4, 6 to 9)",
            id="gaps",
        ),
        pytest.param(
            Unsettled(unverified=1, gaps=1),
            at(),
            "1 ledger record not verified yet, 1 gap in the ledger's sequence, "
            "a second meter read that says the same (90 since 2026-11-01T00:10:00Z)",
            id="everything at once",
        ),
    ],
)
def test_a_detail_lists_exactly_what_is_missing(unsettled: Unsettled, settling: Settling, said: str) -> None:
    detail = judged(settling, unsettled=unsettled).detail
    assert detail == f"billed 90, recorded 100: differs by -10; missing: {said}"


def test_nothing_missing_adds_no_detail() -> None:
    assert list(unsettled_parts(NOTHING_UNSETTLED)) == []


def test_the_retry_time_is_named_once() -> None:
    once = with_retry_time(lacking("differs", ["a record"]), SETTLED)
    assert once == "differs; missing: a record; checked again by 2026-11-01T00:10:00Z"
    assert with_retry_time(once, PLANNED) == "differs; missing: a record; checked again by 2026-11-01T01:00:00Z"


def test_the_retry_time_of_an_earlier_version_is_replaced() -> None:
    stored = "differs; missing: a record; looked at again by 2026-11-01T00:10:00Z"
    assert with_retry_time(stored, PLANNED) == "differs; missing: a record; checked again by 2026-11-01T01:00:00Z"


def test_every_window_that_is_not_settled_is_named() -> None:
    one = result(Reason.NOT_SETTLED, meter="a", detail="missing: this")
    other = result(Reason.NOT_SETTLED, meter="b", detail="missing: that")
    assert summarize((one,)).detail == "missing: this"
    said = "2 of 3 windows are unproven: a: missing: this; b: missing: that"
    assert summarize((one, result(), other)).detail == said


@pytest.mark.parametrize("kept", [None, "still", "over"])
def test_held_and_report_show_the_retry_time(kept: str | None) -> None:
    unsettled = finding(Reason.NOT_SETTLED)
    back = KeptBack(since=PLANNED, verdict=Verdict.UNPROVEN, reason=Reason.NOT_SETTLED, detail="missing: a record")
    memory = with_finding(HELD, unsettled, Policy(), SETTLED)
    memory = replace(memory, detail="missing: a record", kept_back=back if kept else None)
    if kept == "over":
        memory = replace(memory, kept_back=replace(back, until=SETTLED))
    said = awaiting(memory, PLANNED)
    assert said.detail == "missing: a record; checked again by 2026-11-01T01:00:00Z"
    if said.kept_back is not None:
        assert (said.kept_back.detail == said.detail) is (kept == "still")


@pytest.mark.parametrize("reason", [Reason.OVERBILLED, Reason.UNMAPPED, Reason.EXACT])
def test_only_an_unsettled_invoice_shows_a_retry_time(reason: Reason) -> None:
    memory = with_finding(HELD, finding(reason), Policy(), SETTLED)
    assert awaiting(memory, PLANNED) == memory


def test_a_waived_invoice_shows_no_retry_time() -> None:
    waived = replace(finding(Reason.NOT_SETTLED), verdict=Verdict.WAIVED)
    memory = with_finding(HELD, waived, Policy(), SETTLED)
    assert awaiting(memory, PLANNED) == memory


# -- what is remembered ----------------------------------------------------------------------------------------------


def finding(reason: Reason, **changes: object) -> Finding:
    return summarize((replace(result(reason), **changes),))  # type: ignore[arg-type]  # by name


def awaited(again_at: datetime = SETTLED + MINUTE) -> Finding:
    return finding(Reason.NOT_SETTLED, second_read_at=again_at, meter_read=read("90", ago=timedelta(0)))


def test_the_lines_at_first_sight_are_a_first_read() -> None:
    usages = (usage(), usage(meter="b", quantity=None), usage(meter="c", problem=Reason.UNKNOWN_SHAPE))
    assert first_reads(usages, SETTLED) == {
        usage().key: MeterRead(at=SETTLED, inner=Decimal(100), outer=Decimal(100)),
    }


def test_a_meter_read_is_kept_and_a_match_loses_none() -> None:
    key = result().key
    read_now = replace(HELD, reads=reads_of(HELD, awaited()))
    assert read_now.reads == {key: read("90", ago=timedelta(0))}
    assert reads_of(read_now, finding(Reason.EXACT)) == read_now.reads
    assert reads_of(read_now, finding(Reason.EXACT, meter="other")) == {}
    nothing = Finding(verdict=Verdict.UNPROVEN, reason=Reason.STRIPE_UNAVAILABLE, detail="", windows=())
    assert reads_of(read_now, nothing) == read_now.reads


# -- when it is checked again ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "attempts", "wait"),
    [
        pytest.param(awaited(), 0, MINUTE, id="a new difference: as soon as a second read counts"),
        pytest.param(awaited(SETTLED + 5 * SECOND), 0, 5 * SECOND, id="sooner when its first read is older"),
        pytest.param(awaited(), 1, 5 * MINUTE, id="a meter that keeps moving climbs the ladder"),
        pytest.param(awaited(), 9, HOUR, id="to its end"),
        pytest.param(finding(Reason.NOT_SETTLED), 0, MINUTE, id="unverified records: the ladder"),
        pytest.param(finding(Reason.OVERBILLED), 2, 15 * MINUTE, id="a drift: the ladder"),
    ],
)
def test_the_next_check_comes_in_time(found: Finding, attempts: int, wait: timedelta) -> None:
    memory = replace(HELD, attempts=attempts)
    assert timing.next_check_at(memory, Policy(), SETTLED, found) == SETTLED + wait


def test_an_invoice_stays_held_while_a_second_read_is_awaited() -> None:
    actions = decide.after_comparison(held_draft(), HELD, Policy(), SETTLED, awaited())
    assert actions == (Wait(until=SETTLED + MINUTE),)


@pytest.mark.parametrize(
    ("planned", "holds"),
    [
        pytest.param(SETTLED + 24 * HOUR, False, id="the backstop is far"),
        pytest.param(SETTLED + MINUTE + SECOND, False, id="a second after the second read"),
        pytest.param(SETTLED + MINUTE, True, id="Stripe finalizes it at that very moment"),
        pytest.param(SETTLED + SECOND, True, id="before there can be a second read"),
        pytest.param(None, False, id="Stripe does not advance it by itself"),
    ],
)
def test_failing_open_holds_a_difference_that_would_leave_before_the_second_read(
    planned: datetime | None,
    holds: bool,  # noqa: FBT001  # a column of the table
) -> None:
    draft = invoice(automatically_finalizes_at=planned)
    actions = decide.after_comparison(draft, BACKSTOPPED, Policy(fail=FailPolicy.OPEN), SETTLED, awaited())
    assert (Hold() in actions) is holds


def test_an_invoice_that_left_is_judged_by_its_final_lines() -> None:
    actions = decide.after_comparison(left(), SEEN, Policy(), PLANNED, finding(Reason.OVERBILLED))
    assert Hold() in actions
