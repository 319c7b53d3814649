"""The statement of a gated invoice: its evidence, its daily figures, and what it is when neither vendor answers."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pikepdf
import pytest

from pacspace_stripe.documents.daily_usage import NoDailyFigures, daily_figures
from pacspace_stripe.documents.statement import Statement
from pacspace_stripe.errors import NotFound
from pacspace_stripe.gate.rules.state import Waiver
from pacspace_stripe.simulator.faults import FaultName
from pacspace_stripe.vocabulary.invoices import Invoice
from pacspace_stripe.vocabulary.windows import Window, iso
from tests.support.pdfs import dense, pages
from tests.support.worlds import PERIOD_END, PERIOD_START, START, World, world


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, vendor="Northwind Data") as made:
        yield made


def on(day: int, hour: int = 12) -> datetime:
    return PERIOD_START + timedelta(days=day - 1, hours=hour)


def matched(made: World) -> str:
    made.subscribe()
    for day, quantity in ((1, "10"), (2, "20.5"), (2, "0.5"), (30, "9")):
        made.use(quantity, at=on(day))
    made.run()
    assert made.memory().verdict == "matched"
    return made.invoice_id


def decision(made: World, invoice_id: str) -> tuple[bytes, str]:
    links = made.app.store.chains.of_job(invoice_id)
    (found, *_) = [link for link in reversed(links) if json.loads(link.document)["confirms"] is None]
    return found.document, found.sha256


def embedded(statement: Statement) -> bytes:
    with pikepdf.open(BytesIO(statement.pdf)) as pdf:
        data: bytes = pdf.attachments["evidence.json"].get_file().read_bytes()
    return data


def test_a_statement_carries_the_stamped_decision_and_the_time_of_its_confirmation(made: World) -> None:
    invoice_id = matched(made)
    statement = made.app.statements.of_invoice(invoice_id)
    document, sha256 = decision(made, invoice_id)
    assert embedded(statement) == document
    assert made.invoice()["metadata"]["pacspace_evidence_sha256"] == sha256
    (page,) = pages(statement.pdf)
    assert sha256 in dense(page)
    assert "Confirmed as finalized 2026-11-01" in page
    assert "Northwind Data" in page
    assert made.invoice()["number"] in page
    assert statement.left_out == ()


def test_both_sides_are_shown_day_by_day_when_they_add_up(made: World) -> None:
    (page,) = pages(made.app.statements.of_invoice(matched(made)).pdf)
    assert "Most in a day: 21" in page
    assert "2026-10-01 2026-10-31" in " ".join(page.split())


def test_making_a_statement_writes_to_neither_vendor(made: World) -> None:
    invoice_id = matched(made)
    stripe, ledger = len(made.stripe_calls()), len(made.ledger_calls())
    made.app.statements.of_invoice(invoice_id)
    assert made.stripe_calls()[stripe:] == ["GET /v1/invoices/{id}", "GET /v1/billing/meters/{id}/event_summaries"]
    assert made.ledger_calls()[ledger:] == ["GET /api/v1/balance/derive/{customerId}"]


def test_a_second_statement_is_the_same_bytes_and_asks_for_no_daily_figures(made: World) -> None:
    invoice_id = matched(made)
    first = made.app.statements.of_invoice(invoice_id)
    stripe, ledger = len(made.stripe_calls()), len(made.ledger_calls())
    made.clock.advance(3)
    assert made.app.statements.of_invoice(invoice_id) == first
    assert made.stripe_calls()[stripe:] == ["GET /v1/invoices/{id}"]
    assert made.ledger_calls()[ledger:] == []


def test_later_usage_does_not_change_a_statement(made: World) -> None:
    invoice_id = matched(made)
    first = made.app.statements.of_invoice(invoice_id).pdf
    made.record("5", at=on(31))
    made.bill("7", at=on(31))
    made.run(3600)
    assert made.app.statements.of_invoice(invoice_id).pdf == first


def test_daily_figures_that_no_longer_add_up_are_left_out_with_the_reason(made: World) -> None:
    invoice_id = matched(made)
    made.record("5", at=on(20))
    statement = made.app.statements.of_invoice(invoice_id)
    assert statement.left_out == (
        "no daily figures: PacSpace's records of api_calls no longer add up to what was compared",
    )
    assert "Most in a day" not in pages(statement.pdf)[0]


def silence(made: World) -> None:
    """Let neither vendor answer from now on."""
    made.stripe.faults.add(FaultName.CONNECTION_ERROR)
    made.ledger.faults.add(FaultName.CONNECTION_ERROR)


def test_a_statement_is_the_same_when_neither_vendor_answers(made: World) -> None:
    invoice_id = matched(made)
    first = made.app.statements.of_invoice(invoice_id)
    silence(made)
    again = made.app.statements.of_invoice(invoice_id)
    assert again.pdf == first.pdf
    (said,) = again.left_out
    assert said.startswith("the invoice's number, customer and footer are as last read: Stripe: ")


def test_a_first_statement_without_any_answer_is_made_of_the_evidence_alone(made: World) -> None:
    invoice_id = matched(made)
    silence(made)
    statement = made.app.statements.of_invoice(invoice_id)
    document, sha256 = decision(made, invoice_id)
    assert embedded(statement) == document
    (page,) = pages(statement.pdf)
    for said in (
        "cus_acme",
        invoice_id,
        "Matched",
        "Metered usage as recorded in PacSpace",
        "api_calls: 40 in 4 records",
    ):
        assert said in page
    assert dense(page).count(sha256) == 2
    assert "Most in a day" not in page


def test_a_ledger_that_does_not_answer_costs_the_daily_figures_only(made: World) -> None:
    invoice_id = matched(made)
    made.ledger.faults.add(FaultName.UNAVAILABLE, times=50)
    statement = made.app.statements.of_invoice(invoice_id)
    (said,) = statement.left_out
    assert said.startswith("no daily figures: PacSpace: ")
    assert made.invoice()["number"] in pages(statement.pdf)[0]


def test_daily_figures_are_found_when_the_ledger_answers_again(made: World) -> None:
    invoice_id = matched(made)
    made.ledger.faults.add(FaultName.UNAVAILABLE, times=3)
    assert made.app.statements.of_invoice(invoice_id).left_out
    assert made.app.statements.of_invoice(invoice_id).left_out == ()


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        (datetime(2026, 10, 1, 10, 30, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC), 31),
        (datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 31, 22, 30, tzinfo=UTC), 31),
        (datetime(2026, 10, 30, 10, 30, tzinfo=UTC), datetime(2026, 10, 31, 22, 30, tzinfo=UTC), 2),
        (datetime(2026, 10, 31, 0, 30, tzinfo=UTC), datetime(2026, 10, 31, 22, 30, tzinfo=UTC), 1),
    ],
)
def test_a_period_may_begin_and_end_at_any_minute(made: World, start: datetime, end: datetime, days: int) -> None:
    made.subscribe()
    for at in (start, start + timedelta(minutes=20), end - timedelta(hours=2)):
        made.use("5", at=at)
    if end < START:
        made.use("1000", at=end)
    window = {
        "account": "cus_acme",
        "meter": "api_calls",
        "start": iso(start),
        "end": iso(end),
        "billed": "15",
        "recorded": "15",
        "count": 3,
    }
    found = daily_figures(made.app.stripe, made.app.ledger, drafted(made), window, {"usage_sign": "negative"})
    assert len(found) == days
    assert found[0].on == start.date()
    assert {(day.billed, day.recorded) for day in found if day.billed} <= {(5, 5), (10, 10), (15, 15)}


def drafted(made: World) -> Invoice:
    made.run(timedelta(hours=1, minutes=10))
    return made.app.stripe.read_invoice(made.invoice_id)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"billed": "14"}, "Stripe's meter of api_calls no longer add up"),
        ({"recorded": "14"}, "PacSpace's records of api_calls no longer add up"),
        ({"count": 5001}, "more than 5000 records"),
        ({"record": {"key": "x"}}, "records of the settlement ledger have none"),
        ({"meter": "other"}, "other is no meter whose days add up"),
        ({"start": "2025-01-01T00:00:00Z"}, "more than 366 days"),
    ],
)
def test_missing_daily_figures_have_a_reason(made: World, change: dict[str, object], why: str) -> None:
    made.subscribe()
    made.use("15")
    made.run()
    invoice = made.app.stripe.read_invoice(made.invoice_id)
    window = {
        "account": "cus_acme",
        "meter": "api_calls",
        "start": "2026-10-01T00:00:00Z",
        "end": "2026-11-01T00:00:00Z",
        "billed": "15",
        "recorded": "15",
        "count": 1,
    }
    with pytest.raises(NoDailyFigures, match=why):
        daily_figures(made.app.stripe, made.app.ledger, invoice, window | change, {"usage_sign": "negative"})


@pytest.mark.parametrize("unknown", ["account", "start", "billed", "recorded"])
def test_a_window_without_both_figures_has_no_days_and_needs_no_request(made: World, unknown: str) -> None:
    invoice_id = matched(made)
    invoice = made.app.stripe.read_invoice(invoice_id)
    (window,) = json.loads(decision(made, invoice_id)[0])["windows"]
    assert (
        daily_figures(made.app.stripe, made.app.ledger, invoice, window | {unknown: None}, {"usage_sign": "negative"})
        == ()
    )


def test_daily_figures_of_many_windows_are_not_asked_for(made: World) -> None:
    made.subscribe(prices=[made.stripe.add_price(made.stripe.add_meter(f"meter_{number}")) for number in range(7)])
    made.run()
    asked = len(made.stripe_calls())
    assert made.app.statements.of_invoice(made.invoice_id).left_out == ("no daily figures: more than 6 windows",)
    assert made.stripe_calls()[asked:] == ["GET /v1/invoices/{id}"]


def test_an_account_that_the_ledger_does_not_know_has_no_records(made: World) -> None:
    balance, deltas = made.app.ledger.listed("nobody", Window(start=PERIOD_START, end=PERIOD_END))
    assert (balance.known, balance.count, deltas) == (False, 0, ())


def test_a_meter_names_only_days_with_usage(made: World) -> None:
    made.subscribe()
    made.use("2.5", at=on(3))
    made.use("1", at=on(3, hour=23))
    made.use("4", at=on(9, hour=0))
    made.run(timedelta(minutes=30))
    found = made.app.stripe.meter_usage_by_day(made.meter, "cus_acme", Window(start=PERIOD_START, end=on(31, hour=0)))
    assert {day.day: str(usage) for day, usage in found.items() if usage} == {3: "3.5", 9: "4"}


def test_a_drifted_statement_shows_on_which_day(made: World) -> None:
    made.subscribe()
    made.use("10", at=on(3))
    made.bill("4", at=on(9))
    made.run()
    statement = made.app.statements.of_invoice(made.invoice_id)
    (page,) = pages(statement.pdf)
    assert statement.left_out == ()
    assert "Drifted" in page
    assert "4 (billed less recorded)" in page
    assert "Most in a day: 10" in page


def test_a_waived_statement_prints_the_reason_of_the_waiver(made: World) -> None:
    made.subscribe()
    made.bill("4")
    made.run()
    waiver = Waiver(reason="agreed by phone", by="fin", at=made.clock.now(), figures={})
    made.app.checker.check(made.invoice_id, waiver=waiver)
    made.run()
    (page,) = pages(made.app.statements.of_invoice(made.invoice_id).pdf)
    assert "Waived" in page
    assert "Reason: agreed by phone" in page


def test_an_invoice_that_was_never_compared_has_no_statement(made: World) -> None:
    with pytest.raises(NotFound, match="it was not compared yet") as caught:
        made.app.statements.of_invoice("in_nobodyKnows")
    assert "pacspace-stripe check" in caught.value.hint
