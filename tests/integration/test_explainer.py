"""The explainer over both simulators: whole months, what it asks, when it stops, what it cannot read."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.explain.meter_account import BillingScope, MeterAccount
from pacspace_stripe.explain.neighbours import NeighbourSearch
from pacspace_stripe.explain.rules.explanation import Cause, Explanation
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.ledger.rules.selection import Selection
from pacspace_stripe.store import JobKind
from pacspace_stripe.vocabulary.policy import Policy
from pacspace_stripe.vocabulary.windows import Window
from tests.support.examples import invoice
from tests.support.explained_drifts import DAY, HOUR, MINUTE, MONTH_END, MONTH_START, SECOND, THEM, US, Month, Use
from tests.support.worlds import METER

NOTHING = Decimal(0)


def explained(month: Month) -> Explanation:
    with month.played() as played:
        return played.explained()


def around(use: Use) -> Window:
    """Return the hour of a use."""
    start = use.at.replace(minute=0, second=0)
    return Window(start=start, end=start + HOUR)


def windows(explanation: Explanation) -> list[Window]:
    return [place.window for place in explanation.located]


# -- whole months -----------------------------------------------------------------------------------------------------


def test_a_lost_event_is_found_with_a_few_requests(tmp_path: Path) -> None:
    month = Month(tmp_path)
    month.fill()
    lost = month.inside()[60]
    lost.recorded = NOTHING
    found = explained(month)
    assert (found.cause, windows(found)) == (Cause.NOT_IN_LEDGER, [around(lost)])
    assert found.calls <= 10
    assert len(found.days) == 31
    assert sum(day.billed != day.recorded for day in found.days) == 1


def test_another_customers_record_is_found_by_the_opposite_drift(tmp_path: Path) -> None:
    month = Month(tmp_path)
    month.fill()
    month.fill(THEM)
    wrong = month.inside()[40]
    wrong.account = THEM
    found = explained(month)
    assert (found.cause, found.counterpart) == (Cause.WRONG_CUSTOMER, THEM)
    assert windows(found) == [around(wrong)]
    assert [record.reference_id for record in found.located[0].records] == [wrong.reference]


def test_a_matched_neighbour_is_not_read(tmp_path: Path) -> None:
    month = Month(tmp_path)
    month.fill()
    lost = month.inside()[40]
    lost.recorded = NOTHING
    alone = explained(month)
    month.fill(THEM)
    (folder := tmp_path / "with-them").mkdir()
    month.folder = folder
    assert explained(month).calls == alone.calls


def test_another_meter_of_the_customer_on_an_invoice_of_its_own_is_found(tmp_path: Path) -> None:
    month = Month(
        tmp_path, meters=(METER, "storage"), settings={"PACSPACE_STRIPE_LEDGER_ACCOUNT": "{customer}:{meter}"}
    )
    month.fill()
    month.fill(meter="storage")
    for use in month.uses:
        use.account = f"{US}:{use.meter}"
    wrong = month.inside()[40]
    wrong.account = f"{US}:storage"
    with month.played() as played:
        invoice = played.invoice()
        found = played.app.explainer.explain_all(BillingScope.of_invoice(invoice), played.finding(invoice))
    ours = next(each for each in found if each.meter == METER)
    assert (ours.cause, ours.counterpart) == (Cause.WRONG_METER, "storage")
    theirs = next(each for each in found if each.meter == "storage")
    assert (theirs.cause, theirs.counterpart) == (Cause.WRONG_METER, METER)
    assert windows(ours) == windows(theirs) == [around(wrong)]


def test_daily_summaries_locate_a_day(tmp_path: Path) -> None:
    month = Month(tmp_path)
    month.fill(a_day=6)
    month.uses = [use for use in month.uses if MONTH_START <= use.at < MONTH_END]
    for use in month.uses:
        use.recorded = NOTHING
    for number in range(31):
        on = MONTH_START + number * DAY
        quantity = sum((use.quantity for use in month.uses if on <= use.at < on + DAY), NOTHING)
        span = {"summaryWindowStart": on.isoformat(), "summaryWindowEnd": (on + DAY).isoformat()}
        wrong = Decimal(10) if number == 16 else NOTHING
        late = on + DAY + 20 * MINUTE if number < 30 else on + 23 * HOUR
        month.uses.append(
            Use(at=on, quantity=quantity, billed=NOTHING, recorded=quantity - wrong, recorded_at=late, metadata=span)
        )
    found = explained(month)
    seventeenth = MONTH_START + 16 * DAY
    assert windows(found) == [Window(start=seventeenth, end=seventeenth + DAY)]
    assert (found.located[0].billed - found.located[0].recorded) == 10


def test_a_daily_summary_after_midnight_is_not_in_its_month(tmp_path: Path) -> None:
    month = Month(tmp_path, settings={"PACSPACE_STRIPE_ATTRIBUTION": "accepted"})
    for number in range(31):
        on = MONTH_START + number * DAY
        span = {"summaryWindowStart": on.isoformat(), "summaryWindowEnd": (on + DAY).isoformat()}
        month.uses.append(
            Use(at=on + 9 * HOUR, quantity=Decimal(100 + number), recorded_at=on + DAY + 20 * MINUTE, metadata=span)
        )
    found = explained(month)
    nine = MONTH_END - DAY + 9 * HOUR
    assert found.cause is Cause.RECORDED_LATE
    assert windows(found) == [Window(start=nine, end=nine + HOUR)]
    assert found.located[0].records[0].at == MONTH_END + 20 * MINUTE


@pytest.mark.parametrize("attribution", ["accepted", "usage_time"])
def test_a_lost_day_is_found_under_either_attribution(tmp_path: Path, attribution: str) -> None:
    month = Month(tmp_path, settings={"PACSPACE_STRIPE_ATTRIBUTION": attribution})
    for number in range(31):
        on = MONTH_START + number * DAY
        span = {"summaryWindowStart": on.isoformat(), "summaryWindowEnd": (on + DAY).isoformat()}
        month.uses.append(
            Use(at=on + 9 * HOUR, quantity=Decimal(100 + number), recorded_at=on + 23 * HOUR, metadata=span)
        )
    month.uses[12].recorded = NOTHING
    found = explained(month)
    lost = MONTH_START + 12 * DAY
    assert found.cause is Cause.NOT_IN_LEDGER
    assert (found.located[0].window.start.date(), found.located[0].billed) == (lost.date(), Decimal(112))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        pytest.param(
            datetime(2026, 3, 5, 12, 34, 56, tzinfo=UTC), datetime(2026, 4, 5, 12, 34, 56, tzinfo=UTC), id="seconds"
        ),
        pytest.param(datetime(2026, 2, 28, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC), id="one day"),
        pytest.param(
            datetime(2028, 2, 29, 7, 30, tzinfo=UTC), datetime(2028, 3, 1, 7, 30, tzinfo=UTC), id="a leap day"
        ),
        pytest.param(datetime(2025, 10, 7, 5, tzinfo=UTC), datetime(2026, 10, 7, 5, tzinfo=UTC), id="a year"),
    ],
)
def test_a_record_is_located_to_the_hour_in_a_period_of_any_length(
    tmp_path: Path, start: datetime, end: datetime
) -> None:
    month = Month(tmp_path, start=start, end=end, now=end + 3 * DAY)
    month.fill(a_day=2 if end - start > 40 * DAY else 12)
    lost = month.inside()[len(month.inside()) // 2]
    lost.recorded = NOTHING
    found = explained(month)
    assert found.cause is Cause.NOT_IN_LEDGER
    assert len(found.located) == 1
    assert found.located[0].window.start <= lost.at < found.located[0].window.end
    assert found.located[0].window.end - found.located[0].window.start <= HOUR
    assert found.calls <= 25


def test_a_year_is_listed_in_parts_where_pacspace_refuses_so_long_a_time(tmp_path: Path) -> None:
    start = datetime(2025, 10, 7, 5, tzinfo=UTC)
    month = Month(tmp_path, start=start, end=start + 365 * DAY, now=start + 368 * DAY)
    month.fill(a_day=1)
    lost = month.inside()[200]
    lost.recorded = NOTHING
    with month.played() as played:
        played.ledger.configure(max_scope_months=4)
        found = played.explained()
    assert (found.cause, windows(found)) == (Cause.NOT_IN_LEDGER, [around(lost)])


def test_seconds_at_both_edges_hide_nothing(tmp_path: Path) -> None:
    start, end = datetime(2026, 3, 5, 12, 34, 56, tzinfo=UTC), datetime(2026, 4, 5, 12, 34, 56, tzinfo=UTC)
    month = Month(tmp_path, start=start, end=end, now=end + DAY)
    month.fill(a_day=2)
    beside = [start - SECOND, start + SECOND, end - SECOND, end + SECOND]
    month.uses += [Use(at=at, quantity=Decimal(101 + number)) for number, at in enumerate(beside)]
    month.uses.append(Use(at=end - 2 * SECOND, quantity=Decimal("55.5"), recorded_at=end + 3 * SECOND))
    found = explained(month)
    assert found.cause is Cause.PERIOD_EDGE
    assert [record.quantity for place in found.located for record in place.records] == [Decimal("55.5")]


def test_a_customer_without_a_verdict_yet_is_searched(tmp_path: Path) -> None:
    month = Month(tmp_path)
    month.fill()
    month.fill(THEM)
    wrong = month.inside()[40]
    wrong.account = THEM
    with month.played() as played:
        played.ledger.record(THEM, -1, MONTH_START + DAY, verified=False)
        found = played.explained()
    assert (found.cause, found.counterpart) == (Cause.WRONG_CUSTOMER, THEM)


def test_another_meter_of_the_customer_with_a_subscription_of_its_own_is_found(tmp_path: Path) -> None:
    month = Month(
        tmp_path, meters=(METER, "storage"), settings={"PACSPACE_STRIPE_LEDGER_ACCOUNT": "{customer}:{meter}"}
    )
    month.fill()
    month.fill(meter="storage")
    for use in month.uses:
        use.account = f"{US}:{use.meter}"
    month.inside()[40].account = f"{US}:storage"
    with month.played() as played:
        ours, theirs = (played.subscribe_apart(meter) for meter in month.meters)
        played.app.checker.check(played.invoice(subscription=theirs).invoice_id)
        invoice = played.invoice(subscription=ours)
        (found,) = played.app.explainer.explain_all(BillingScope.of_invoice(invoice), played.finding(invoice))
    assert (found.cause, found.counterpart) == (Cause.WRONG_METER, "storage")


# -- a ledger with too many records to be listed ----------------------------------------------------------------------


def test_one_lost_record_of_thousands_is_found_by_halves(tmp_path: Path) -> None:
    month = Month(tmp_path)
    month.fill(a_day=165)
    lost = month.inside()[2500]
    lost.recorded = NOTHING
    found = explained(month)
    assert (found.cause, windows(found)) == (Cause.NOT_IN_LEDGER, [around(lost)])
    assert found.days == ()
    assert found.calls <= 30


@pytest.mark.soak
def test_only_the_nearest_of_too_many_records_after_the_end_are_searched(tmp_path: Path) -> None:
    month = Month(tmp_path, now=MONTH_END + 34 * DAY)
    month.fill(a_day=200)
    edge = Use(at=MONTH_END - 30 * SECOND, quantity=Decimal("123.45"), recorded_at=MONTH_END + 20 * SECOND)
    month.uses.append(edge)
    found = explained(month)
    assert (found.cause, windows(found)) == (Cause.PERIOD_EDGE, [around(edge)])
    assert any(note.startswith("only 2026-11-01T00:00:00Z/2026-11-01T01:00:00Z was searched") for note in found.notes)


@pytest.mark.soak
def test_thousands_of_records_in_another_unit_are_one_place(tmp_path: Path) -> None:
    month = Month(tmp_path)
    month.fill(a_day=165)
    for use in month.uses:
        use.recorded = use.quantity * 1000
    found = explained(month)
    assert (found.cause, found.factor) == (Cause.UNIT_FACTOR, Decimal("0.001"))
    assert windows(found) == [Window(start=MONTH_START, end=MONTH_END)]
    assert found.calls <= 12


# -- the budget -------------------------------------------------------------------------------------------------------


def a_mess(folder: Path) -> Month:
    """In this world nothing agrees, and nothing shows why."""
    month = Month(folder)
    month.fill(a_day=3)
    for number, use in enumerate(month.uses):
        use.recorded = use.quantity + 1 + number % 17
    return month


def test_an_unexplained_drift_costs_no_more_than_the_budget(tmp_path: Path) -> None:
    month = a_mess(tmp_path)
    for number in range(6):
        month.fill(f"cus_{number}", a_day=1)
        month.inside(f"cus_{number}")[0].billed = Decimal(7)
    found = explained(month)
    assert found.calls <= 60
    assert found.located


@pytest.mark.parametrize("budget", [0, 1, 3, 8])
def test_a_budget_that_is_too_small_is_kept_and_noted(tmp_path: Path, budget: int) -> None:
    month = a_mess(tmp_path)
    with month.played() as played:
        invoice = played.invoice()
        (result,) = played.finding(invoice).windows
        before = played.requests
        found = played.app.explainer.explain(BillingScope.of_invoice(invoice), result, budget=budget)
        assert played.requests - before == found.calls == budget
    assert any(note.startswith(f"stopped after {budget} requests") for note in found.notes)


def test_a_budget_that_does_not_even_find_the_meter_is_noted(tmp_path: Path) -> None:
    month = a_mess(tmp_path)
    with month.played() as played:
        invoice = played.invoice()
        (result,) = played.finding(invoice).windows
    with month.played() as forgetful:
        found = forgetful.app.explainer.explain(BillingScope.of_invoice(invoice), result, budget=1)
    assert (found.cause, found.calls, found.notes) == (Cause.UNEXPLAINED, 1, ("stopped after 1 requests",))


def test_all_windows_of_an_invoice_share_one_budget(tmp_path: Path) -> None:
    month = Month(
        tmp_path, meters=(METER, "storage"), settings={"PACSPACE_STRIPE_LEDGER_ACCOUNT": "{customer}:{meter}"}
    )
    for meter in month.meters:
        month.fill(meter=meter, a_day=3)
    for number, use in enumerate(month.uses):
        use.account, use.recorded = f"{US}:{use.meter}", use.quantity + 1 + number % 17
    with month.played() as played:
        invoice = played.invoice()
        finding = played.finding(invoice)
        before = played.requests
        found = played.app.explainer.explain_all(BillingScope.of_invoice(invoice), finding, budget=20)
        assert played.requests - before == sum(each.calls for each in found) <= 20
    assert {each.meter for each in found} == set(month.meters)
    assert all(each.calls >= 8 for each in found)


def test_nothing_is_requested_when_nothing_drifted(tmp_path: Path) -> None:
    month = Month(tmp_path)
    month.fill()
    with month.played() as played:
        invoice = played.invoice()
        finding = played.finding(invoice)
        before = played.requests
        assert finding.verdict is Verdict.MATCHED
        assert played.app.explainer.explain_all(BillingScope.of_invoice(invoice), finding) == ()
        assert played.requests == before


def test_a_window_without_both_figures_is_left_out(tmp_path: Path) -> None:
    month = a_mess(tmp_path)
    with month.played() as played:
        invoice = played.invoice()
        finding = played.finding(invoice)
        unread = replace(finding, windows=tuple(replace(each, recorded=None) for each in finding.windows))
        assert played.app.explainer.explain_all(BillingScope.of_invoice(invoice), unread) == ()
        with pytest.raises(ValueError, match="without both figures"):
            played.app.explainer.explain(BillingScope.of_invoice(invoice), unread.windows[0])


# -- vendors that do not answer ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", ["stripe", "ledger"])
@pytest.mark.parametrize("fault", ["500", "429", "connection_error"])
@pytest.mark.parametrize("skip", [0, 2])
def test_a_vendor_that_does_not_answer_is_noted(tmp_path: Path, vendor: str, fault: str, skip: int) -> None:
    month = Month(tmp_path)
    month.fill(a_day=1)
    month.inside()[15].recorded = NOTHING
    with month.played() as played:
        invoice = played.invoice()
        (result,) = played.finding(invoice).windows
        getattr(played, vendor).add_fault(fault, skip=skip)
        found = played.app.explainer.explain(BillingScope.of_invoice(invoice), result)
    assert found.calls <= 60
    assert found.notes or found.cause is Cause.NOT_IN_LEDGER
    assert (found.billed, found.recorded) == (result.billed, result.recorded)


def test_figures_that_agree_by_now_are_noted(tmp_path: Path) -> None:
    month = Month(tmp_path)
    month.fill()
    lost = month.inside()[60]
    quantity, lost.recorded = lost.quantity, NOTHING
    with month.played() as played:
        invoice = played.invoice()
        (result,) = played.finding(invoice).windows
        played.ledger.record(US, -quantity, lost.at, reason=METER)
        found = played.app.explainer.explain(BillingScope.of_invoice(invoice), result)
    assert (found.cause, found.located) == (Cause.UNEXPLAINED, ())
    assert found.notes == ("both sides have the same figures in every part of the window now",)


def test_a_meter_that_counted_more_since_is_noted(tmp_path: Path) -> None:
    month = Month(tmp_path)
    month.fill()
    with month.played() as played:
        invoice = played.invoice()
        played.stripe.record_usage(US, METER, Decimal(5), MONTH_END - SECOND)
        played.ledger.record(US, Decimal(-5), MONTH_END - SECOND, reason=METER)
        (result,) = played.finding(invoice).windows
        found = played.app.explainer.explain(BillingScope.of_invoice(invoice), result)
    assert any("the meter counts" in note for note in found.notes)


def test_a_settlement_record_keeps_no_times(tmp_path: Path) -> None:
    month = Month(tmp_path, settings={"PACSPACE_STRIPE_LEDGER": "settlement"})
    month.fill()
    with month.played() as played:
        played.ledger.write(f"usage-{US}-2026-10", "5")
        invoice = played.invoice()
        before = played.requests
        (result,) = played.finding(invoice).windows
        before = played.requests
        found = played.app.explainer.explain(BillingScope.of_invoice(invoice), result)
        assert played.requests == before
    assert found.notes == ("the settlement ledger keeps no times: nothing can be located in it",)


# -- what was not searched is noted -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("others", "said"), [(6, []), (9, ["3 accounts that drifted the other way were not searched"])]
)
def test_accounts_that_are_left_out_are_noted(tmp_path: Path, others: int, said: list[str]) -> None:
    month = Month(tmp_path)
    with month.played() as played:
        store = played.app.store
        for number in range(others):
            leased = store.jobs.acquire(JobKind.INVOICE, f"in_{number}", HOUR)
            assert leased is not None
            shown = {"account": f"cus_{number}", "meter": METER, "billed": "5", "recorded": "9"}
            drifted = InvoiceState(
                invoice_id=f"in_{number}",
                customer_id=f"cus_{number}",
                verdict=Verdict.DRIFTED,
                reason=Reason.UNDERBILLED,
                windows=(shown,),
            )
            leased.save(drifted)
            store.coverage.put(f"in_{number}", [(f"cus_{number}", Window(start=MONTH_START, end=MONTH_END))])
        ours = MeterAccount(
            stripe=played.app.stripe,
            ledger=played.app.explainer.ledger,
            meter=METER,
            meter_id="mtr_1",
            customer_id=US,
            account=US,
            selection=Selection.of(Policy(), METER),
        )
        notes: list[str] = []
        search = NeighbourSearch(
            ours=ours,
            scope=BillingScope.of_invoice(invoice(invoice_id="in_ours", line_items=())),
            window=Window(start=MONTH_START, end=MONTH_END),
            drift=Decimal(4),
            store=store,
            policy=Policy(),
            note=notes.append,
        )
        assert len(list(search.candidates())) == min(others, 6)
        assert notes == said
