"""The report's figures and forms: exact, per currency, and safe to open."""

import csv
import io
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.documents.templates import Templates
from pacspace_stripe.gate.rules.state import Ended, FirstSight, Held, InvoiceState, KeptBack
from pacspace_stripe.report.examples import reports
from pacspace_stripe.report.forms import as_csv, as_json
from pacspace_stripe.report.report import Report
from pacspace_stripe.report.rules.checklist import ChecklistInput, CheckPoint, Standing, checklist
from pacspace_stripe.report.rules.lines import Holding, InvoiceLine, TrendMonth
from pacspace_stripe.settings import load_settings
from pacspace_stripe.vocabulary.invoices import InvoiceStatus
from pacspace_stripe.vocabulary.money import Money
from pacspace_stripe.vocabulary.policy import FailPolicy, Mode, Policy
from tests.support.settings import CREDENTIALS

NOW = datetime(2026, 11, 7, 5, 0, tzinfo=UTC)
SEEN_AT = datetime(2026, 11, 1, tzinfo=UTC)
SENT_AT, HOUR = SEEN_AT + timedelta(hours=1), timedelta(hours=1)
OBSERVE = Policy(mode=Mode.OBSERVE)
HOSTILE = '=HYPERLINK("https://x","<b>")'
Shown = dict[str, str | int | None]


def window(reason: Reason = Reason.EXACT, **changes: str | int | None) -> Shown:
    there: Shown = {
        "account": "cus_1",
        "meter": "api_calls",
        "start": "2026-10-01T00:00:00Z",
        "end": "2026-11-01T00:00:00Z",
        "billed": "100",
        "recorded": "100",
        "count": 4,
        "reason": reason.value,
    }
    return there | changes


def remembered(reason: Reason | None = Reason.EXACT, **changes: object) -> InvoiceState:
    memory = InvoiceState(
        invoice_id="in_1",
        customer_id="cus_1",
        subscription_id="sub_1",
        first=FirstSight(at=SEEN_AT, auto_advance=True, finalizes_at=SENT_AT, status=InvoiceStatus.DRAFT),
        verdict=reason.verdict if reason else None,
        reason=reason,
        windows=(window(reason),) if reason else (),
        amount=Money(amount=12_345, currency="eur"),
    )
    return replace(memory, **changes)  # type: ignore[arg-type]  # by name


def kept(reason: Reason = Reason.OVERBILLED, until: datetime | None = None) -> KeptBack:
    return KeptBack(since=SENT_AT, verdict=reason.verdict, reason=reason, detail="differs", until=until)


def line(state: InvoiceState | None = None, policy: Policy = OBSERVE) -> InvoiceLine:
    return InvoiceLine(state=state or remembered(), policy=policy)


def report(*lines: InvoiceLine, points: tuple[CheckPoint, ...] = ()) -> Report:
    return Report(made_at=NOW, since=None, policy=OBSERVE, lines=lines, checklist=points)


# -- one invoice -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("billed", "recorded", "drift"),
    [
        ("100", "90", "10"),
        ("0.1", "0.3", "-0.2"),
        ("123456789012345.123456789012", "123456789012345.123456789011", "1E-12"),
        ("5", None, None),
    ],
)
def test_drift_is_exact_to_the_last_digit(billed: str, recorded: str | None, drift: str | None) -> None:
    (row,) = line(remembered(windows=(window(billed=billed, recorded=recorded),))).rows
    assert row.drift == (None if drift is None else Decimal(drift))


@pytest.mark.parametrize(
    ("changes", "holding"),
    [
        ({}, Holding.NO),
        ({"kept_back": kept()}, Holding.NOW),
        ({"kept_back": kept(until=NOW)}, Holding.A_WHILE),
        ({"kept_back": kept(), "position": Ended()}, Holding.TO_THE_END),
        ({"kept_back": kept(), "status": InvoiceStatus.PAID}, Holding.TO_THE_END),
        ({"kept_back": kept(), "status": InvoiceStatus.OPEN, "position": Held()}, Holding.NOW),
        ({"kept_back": kept(), "status": InvoiceStatus.DRAFT}, Holding.NOW),
    ],
)
def test_an_invoice_is_listed_with_how_it_was_held(changes: dict[str, object], holding: Holding) -> None:
    assert line(remembered(Reason.OVERBILLED, **changes)).holding is holding


@pytest.mark.parametrize(
    ("memory", "policy", "stops"),
    [
        (remembered(), OBSERVE, False),
        (remembered(Reason.OVERBILLED), OBSERVE, True),
        (remembered(Reason.NOT_SETTLED), OBSERVE, True),
        (remembered(Reason.NOT_SETTLED), replace(OBSERVE, fail=FailPolicy.OPEN), False),
        (remembered(Reason.OVERBILLED, position=Ended()), OBSERVE, False),
        (remembered(Reason.UNMAPPED, status=InvoiceStatus.PAID), OBSERVE, False),
        (remembered(Reason.UNMAPPED, status=InvoiceStatus.DRAFT), OBSERVE, True),
        (
            remembered(Reason.OVERBILLED, first=FirstSight(at=SEEN_AT, auto_advance=False, finalizes_at=None)),
            OBSERVE,
            False,
        ),
    ],
)
def test_invoices_that_would_be_held_today_are_listed(memory: InvoiceState, policy: Policy, stops: bool) -> None:  # noqa: FBT001
    assert line(memory, policy).stops_today is stops


@pytest.mark.parametrize(
    ("memory", "since", "belongs"),
    [
        (remembered(), None, True),
        (remembered(), datetime(2026, 10, 31, tzinfo=UTC), True),
        (remembered(), datetime(2026, 11, 1, tzinfo=UTC), False),
        (remembered(None), datetime(2026, 10, 31, tzinfo=UTC), True),
        (remembered(None), NOW, False),
        (remembered(None, position=Ended()), None, False),
        (remembered(None, first=None), None, False),
    ],
)
def test_a_report_since_a_time_leaves_others_out(memory: InvoiceState, since: datetime | None, belongs: bool) -> None:  # noqa: FBT001 - a table
    assert line(memory).belongs(since) is belongs


# -- all of them -------------------------------------------------------------------------------------------------------


def test_money_at_stake_is_counted_once_per_invoice_and_per_currency() -> None:
    yen = Money(amount=500, currency="jpy")
    two_windows = remembered(Reason.OVERBILLED, kept_back=kept(), windows=(window(), window(meter="tokens")))
    found = report(line(two_windows), line(remembered(kept_back=kept(until=NOW), amount=yen)), line())
    assert [str(money) for money in found.at_stake] == ["123.45 EUR", "500 JPY"]
    assert [str(money) for money in found.asked_for] == ["246.90 EUR", "500 JPY"]
    assert found.verdicts == {Verdict.MATCHED: 2, Verdict.DRIFTED: 1, Verdict.UNPROVEN: 0, Verdict.WAIVED: 0}


def test_the_trend_goes_by_the_month_in_which_the_usage_began() -> None:
    september = window(start="2026-09-30T23:59:59Z", end="2026-10-30T23:59:59Z")
    found = report(
        line(remembered(windows=(september,))), line(), line(remembered(Reason.OVERBILLED, kept_back=kept()))
    )
    assert [(month.month, month.invoices, month.held) for month in found.trend] == [
        ("2026-09", 1, 0),
        ("2026-10", 2, 1),
    ]
    assert [month.matched_share for month in found.trend] == ["100.0 %", "50.0 %"]


def test_a_share_is_never_rounded_up_to_all() -> None:
    (month,) = report(*[line()] * 2999, line(remembered(Reason.OVERBILLED))).trend
    assert month.matched_share == "99.9 %"
    assert report(line(remembered(None))).trend[0].matched_share == "-"


def test_the_invoice_that_waits_longest_comes_first() -> None:
    later = replace(kept(), since=NOW)
    first, second = remembered(kept_back=later, invoice_id="in_2"), remembered(kept_back=kept(), invoice_id="in_3")
    assert [one.invoice_id for one in report(line(first), line(second)).held] == ["in_3", "in_2"]


# -- the checklist -----------------------------------------------------------------------------------------------------


def points(
    *memories: InvoiceState, events: dict[tuple[str, str], int] | None = None, **settings: str
) -> dict[str, CheckPoint]:
    variables = {f"PACSPACE_STRIPE_{name.upper()}": value for name, value in settings.items()}
    loaded = load_settings(CREDENTIALS | {"PACSPACE_STRIPE_MODE": "observe"} | variables)
    lines = tuple(line(memory, loaded.policy) for memory in memories)
    blocks = tuple(memory for memory in memories if memory.invoice_id.startswith("upcoming"))
    given = ChecklistInput(
        policy=loaded.policy,
        lines=lines,
        blocks=blocks,
        events=events or {},
        ledger_webhook=bool(loaded.pacspace_webhook_secrets),
        database_is_a_file=True,
    )
    return {one.name: one for one in checklist(given)}


ARRIVED = {(f"invoice.{what}", "queued"): 3 for what in ("created", "updated", "finalized")}


def test_only_the_missing_secret_needs_attention_when_all_is_well() -> None:
    found = points(remembered(agreed_at=SEEN_AT + HOUR), events=ARRIVED)
    assert [name for name, point in found.items() if point.standing is Standing.LOOK] == ["ledger_webhook"]


@pytest.mark.parametrize(
    ("memory", "name", "sentence"),
    [
        (
            remembered(Reason.OVERBILLED, detail="differs by 10"),
            "held_today",
            "1 invoice would be held today, asking for 123.45 EUR.",
        ),
        (remembered(Reason.UNMAPPED), "unmapped", "pacspace_customer_id"),
        (remembered(Reason.LEDGER_MISSING), "nothing_recorded", "no records at all"),
        (
            remembered(Reason.OVERBILLED, invoice_id="upcoming:sub_1:1"),
            "coming",
            "1 invoice that Stripe will make soon",
        ),
        (remembered(position=Held()), "inherited", "nothing releases them"),
        (remembered(None), "history", "observe one billing period"),
        (remembered(agreed_at=NOW, kept_back=kept(until=NOW)), "settling", "1 of 1 invoice agreed only after"),
    ],
)
def test_a_point_has_a_sentence_and_names_what_it_is_about(memory: InvoiceState, name: str, sentence: str) -> None:
    point = points(memory, events=ARRIVED)[name]
    assert point.standing is Standing.LOOK
    assert sentence in point.sentence
    assert point.about or name == "history"


def test_missing_events_and_failed_webhooks_are_reported() -> None:
    found = points(events={("invoice.created", "found by the sweep"): 2, ("invoice.updated", "queued"): 5})
    assert found["events"].about == ("invoice.created", "invoice.finalized")
    assert "2 of 7" in found["failed_webhooks"].sentence


@pytest.mark.parametrize(("backstop", "standing"), [("24h", Standing.FINE), ("1h", Standing.LOOK)])
def test_the_backstop_is_compared_with_the_slowest_proof(backstop: str, standing: Standing) -> None:
    memory = remembered(agreed_at=SEEN_AT + 5 * HOUR)
    assert points(memory, fail="open", backstop=backstop)["backstop"].standing is standing
    assert "backstop" not in points(memory)


def test_more_than_ten_names_are_counted() -> None:
    many = [remembered(Reason.UNMAPPED, customer_id=f"cus_{number}") for number in range(13)]
    assert points(*many)["unmapped"].about[-1] == "and 3 more"


# -- forms -------------------------------------------------------------------------------------------------------------


def parsed(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_csv_has_one_line_per_window_and_an_amount_only_once() -> None:
    two = remembered(Reason.OVERBILLED, kept_back=kept(), windows=(window(), window(Reason.UNDERBILLED, billed="5.5")))
    first, second, third = parsed(as_csv(report(line(two), line(remembered(None)))))
    assert (first["amount_due_minor"], first["currency"], first["amount_due"]) == ("12345", "eur", "123.45")
    assert (second["amount_due_minor"], second["currency"], second["amount_due"]) == ("", "", "")
    assert (second["billed"], second["recorded"], second["drift"]) == ("5.5", "100", "-94.5")
    assert (first["held"], first["held_since"], first["held_until"]) == ("now", "2026-11-01T01:00:00Z", "")
    assert (third["meter"], third["verdict"], third["amount_due_minor"]) == ("", "", "12345")


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20))
def test_no_cell_is_a_formula_and_none_is_lost(name: str) -> None:
    (row,) = parsed(as_csv(report(line(remembered(windows=(window(meter=name),))))))
    cell = row["meter"]
    assert cell in {name, f"'{name}"}
    assert cell.lstrip("-").replace(".", "", 1).isdigit() or not cell.lstrip().startswith(("=", "+", "-", "@"))


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1"])
def test_formulas_are_written_as_text(name: str) -> None:
    (row,) = parsed(as_csv(report(line(remembered(windows=(window(meter=name),))))))
    assert row["meter"] == f"'{name}"


def test_json_has_no_number_that_a_parser_could_round() -> None:
    figures = window(billed="123456789012345.123456789012")
    document = as_json(report(line(remembered(kept_back=kept(), windows=(figures,)))))
    again = json.loads(json.dumps(document), parse_float=pytest.fail)
    assert again == document
    assert again["usage"][0]["billed"] == "123456789012345.123456789012"
    assert again["held"]["at_stake"] == [{"amount": 12345, "currency": "eur", "written": "123.45 EUR"}]


class Page(HTMLParser):
    """The references, tags and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.refers: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Iterable[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.refers += [value or "" for name, value in attrs if name in {"src", "href", "action", "style"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def page(*lines: InvoiceLine) -> Page:
    point = CheckPoint(name="held_today", standing=Standing.LOOK, sentence=HOSTILE, about=(HOSTILE,))
    return Page(Templates().render("report.html.jinja", as_json(report(*lines, points=(point,)))))


def test_the_page_loads_nothing_and_runs_no_script() -> None:
    found = page(line(remembered(Reason.OVERBILLED, kept_back=kept())))
    assert found.refers == []
    assert not found.tags & {"script", "link", "img", "iframe", "object", "svg", "b "}
    assert "url(" not in found.text
    assert "@import" not in found.text


def test_no_id_on_the_page_is_wrapped_and_print_cuts_no_column() -> None:
    on_screen, _, on_paper = Templates().render("report.html.jinja", as_json(report(line()))).partition("@media print")
    (ids,) = re.findall(r"\.id { [^}]*}", on_screen)
    assert "white-space: nowrap" in ids
    assert "overflow-wrap" not in ids
    assert "size: landscape" in on_screen
    assert ".wide { overflow: visible }" in on_paper


def test_numbers_are_grouped_on_the_page_and_not_in_json() -> None:
    much = Money(amount=123_456_789, currency="eur")
    found = as_json(report(line(remembered(Reason.OVERBILLED, kept_back=kept(), amount=much))))
    assert "1,234,567.89 EUR" in Templates().render("report.html.jinja", found)
    assert "1,234,567.89" not in json.dumps(found)


def test_an_invoice_that_no_longer_waits_names_no_next_check() -> None:
    detail = "missing: 1 ledger record; checked again by 2026-11-01T05:00:01Z"
    for until, said in ((None, detail), (SENT_AT, "missing: 1 ledger record")):
        found: Any = as_json(report(line(remembered(kept_back=replace(kept(until=until), detail=detail)))))
        assert [one["detail"] for one in found["held"]["invoices"]] == [said]


@pytest.mark.parametrize(
    ("matched", "judged", "share"),
    [
        (2, 3, "66.7 %"),
        (1, 3, "33.3 %"),
        (1, 2, "50.0 %"),
        (9999, 10000, "99.9 %"),
        (1, 10000, "0.1 %"),
        (0, 5, "0.0 %"),
        (5, 5, "100.0 %"),
        (0, 0, "-"),
    ],
)
def test_a_share_is_100_percent_only_if_all_matched(matched: int, judged: int, share: str) -> None:
    counts = dict.fromkeys(Verdict, 0) | {Verdict.MATCHED: matched, Verdict.DRIFTED: judged - matched}
    month = TrendMonth(month="2026-10", invoices=judged, verdicts=counts, waiting=0, held=0, at_stake=())
    assert month.matched_share == share


def test_names_on_the_page_are_text() -> None:
    hostile = remembered(
        Reason.OVERBILLED,
        customer_id=HOSTILE,
        kept_back=replace(kept(), detail="<script>alert(1)</script>"),
        windows=(window(meter="<img src=x onerror=alert(1)>"),),
    )
    found = page(line(hostile))
    assert "script" not in found.tags
    assert "img" not in found.tags
    assert HOSTILE in found.text
    assert "<script>alert(1)</script>" in found.text


def test_an_empty_page_states_that_it_is_empty() -> None:
    found = page()
    assert "Nothing." in found.text
    assert "table" not in found.tags


def test_the_examples_cover_every_state_of_the_page() -> None:
    made = dict(reports())
    assert [name for name, each in made.items() if each.observing] == ["nothing yet", "observing"]
    assert made["nothing yet"].lines == ()
    for name in ("observing", "enforcing"):
        assert {line.holding for line in made[name].lines} >= {Holding.NO, Holding.A_WHILE, Holding.NOW}
        assert {point.standing for point in made[name].checklist} == set(Standing)
