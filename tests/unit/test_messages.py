"""Messages of alerts: the webhook's JSON, and Slack's."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pacspace_stripe.alerts.rules.alert import Alert
from pacspace_stripe.alerts.rules.messages import (
    MOST_WINDOWS,
    AlertLinks,
    DriftCause,
    cause_of,
    escaped,
    headline,
    slack_body,
    webhook_body,
)
from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.explain.rules.explanation import Cause, DayFigures, Explanation, fingerprint
from pacspace_stripe.explain.rules.explanation_text import sentence
from pacspace_stripe.vocabulary.money import Money
from pacspace_stripe.vocabulary.windows import Window

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
WINDOW: dict[str, str | int | None] = {"meter": "api_calls", "billed": "100", "recorded": "90", "reason": "OVERBILLED"}
DRIFT = Alert(
    alert_id="msg_1",
    job_id="in_1",
    kind="drifted:OVERBILLED",
    at=AT,
    customer_id="cus_1",
    subscription_id="sub_1",
    verdict=Verdict.DRIFTED,
    reason=Reason.OVERBILLED,
    detail="billed 100, recorded 90: differs by 10",
    amount=Money(amount=12345, currency="eur"),
    windows=(WINDOW,),
)
BLOCK = replace(DRIFT, job_id="upcoming:sub_1:1", kind="upcoming_blocked:OVERBILLED", amount=None)
LIFTED = replace(BLOCK, kind="upcoming_recovered", verdict=Verdict.MATCHED)
TEST = Alert(alert_id="msg_2", job_id="-", kind="test", at=AT)
LIVE, TEST_MODE = AlertLinks(livemode=True), AlertLinks(livemode=False)
OWN = AlertLinks(livemode=True, console_url="https://billing.example")
WHY = DriftCause(sentence="On 17 October, 10 were sent to Stripe twice.", document=[{"cause": "twice_in_stripe"}])


def body(alert: Alert, place: AlertLinks = LIVE, why: DriftCause | None = None) -> Any:  # noqa: ANN401 - JSON
    return json.loads(webhook_body(alert, place, why))


def slack(alert: Alert, place: AlertLinks = LIVE, why: DriftCause | None = None) -> list[str]:
    message = json.loads(slack_body(alert, place, why))
    (block,) = message["blocks"]
    assert block == {"type": "section", "text": {"type": "mrkdwn", "text": message["text"], "verbatim": True}}
    return list(message["text"].split("\n"))


def test_a_drift_as_json() -> None:
    assert body(DRIFT) == {
        "type": "invoice.drifted",
        "id": "msg_1",
        "at": "2026-11-01T12:00:00Z",
        "kind": "drifted:OVERBILLED",
        "livemode": True,
        "invoice": "in_1",
        "customer": "cus_1",
        "subscription": "sub_1",
        "verdict": "drifted",
        "reason": "OVERBILLED",
        "detail": "billed 100, recorded 90: differs by 10",
        "amount_due": {"amount": 12345, "currency": "eur", "written": "123.45 EUR"},
        "windows": [WINDOW],
        "more_windows": 0,
        "explanation": None,
        "left_out": 0,
        "link": "https://dashboard.stripe.com/invoices/in_1",
    }


def test_a_drift_in_slack() -> None:
    assert slack(DRIFT) == [
        "*Invoice in_1 has drifted*",
        "billed 100, recorded 90: differs by 10",
        "123.45 EUR due · cus_1 · OVERBILLED",
        "<https://dashboard.stripe.com/invoices/in_1|Open in Stripe>",
    ]


def test_the_cause_of_a_drift_stands_below_the_figures() -> None:
    assert slack(DRIFT, why=WHY)[1:3] == [DRIFT.detail, WHY.sentence]
    explanation = {"sentence": WHY.sentence, "windows": [{"cause": "twice_in_stripe"}]}
    assert body(DRIFT, why=WHY)["explanation"] == explanation


MARCH = Window(start=datetime(2026, 10, 1, tzinfo=UTC), end=datetime(2026, 11, 1, tzinfo=UTC))
FOUND = Explanation(
    account="cus_1",
    meter="api_calls",
    window=MARCH,
    billed=Decimal(100),
    recorded=Decimal(90),
    cause=Cause.TWICE_IN_STRIPE,
    days=(DayFigures(on=AT.date(), billed=Decimal(100), recorded=Decimal(90)),),
)
FIGURES: dict[str, str | int | None] = {
    **WINDOW,
    "account": "cus_1",
    "start": "2026-10-01T00:00:00Z",
    "end": "2026-11-01T00:00:00Z",
}


@pytest.mark.parametrize(("windows", "more"), [(1, ""), (3, " And 2 more.")])
def test_an_explanation_of_the_same_figures_is_used(windows: int, more: str) -> None:
    alert = replace(DRIFT, windows=(FIGURES,))
    known = cause_of(alert, fingerprint([FIGURES]), (FOUND,) * windows)
    assert known is not None
    assert known.sentence == sentence(FOUND) + more
    assert [one["cause"] for one in body(alert, why=known)["explanation"]["windows"]] == ["twice_in_stripe"] * windows
    assert "days" not in body(alert, why=known)["explanation"]["windows"][0]


def test_an_explanation_of_other_figures_is_not_used() -> None:
    alert = replace(DRIFT, windows=({**FIGURES, "billed": "101"},))
    assert cause_of(alert, fingerprint([FIGURES]), (FOUND,)) is None
    assert cause_of(alert, fingerprint(alert.windows), ()) is None


def test_every_type_has_the_same_fields() -> None:
    assert {tuple(body(alert)) for alert in (DRIFT, BLOCK, TEST)} == {tuple(body(DRIFT))}
    assert body(BLOCK)["invoice"] is None


@pytest.mark.parametrize(
    ("alert", "place", "link"),
    [
        (DRIFT, LIVE, "https://dashboard.stripe.com/invoices/in_1"),
        (DRIFT, TEST_MODE, "https://dashboard.stripe.com/test/invoices/in_1"),
        (BLOCK, TEST_MODE, "https://dashboard.stripe.com/test/subscriptions/sub_1"),
        (DRIFT, OWN, "https://billing.example/invoices/in_1"),
        (TEST, LIVE, None),
        (TEST, OWN, "https://billing.example"),
    ],
)
def test_a_message_links_to_the_console_or_to_stripe(alert: Alert, place: AlertLinks, link: str | None) -> None:
    assert body(alert, place)["link"] == link
    assert any(f"<{link}|" in line for line in slack(alert, place)) is (link is not None)


@pytest.mark.parametrize(
    ("alert", "said"),
    [
        (DRIFT, "Invoice in_1 has drifted"),
        (BLOCK, "The coming invoice of sub_1 is blocked: it has drifted already"),
        (replace(DRIFT, kind="unproven:UNMAPPED"), "Invoice in_1 is still unproven"),
        (replace(DRIFT, kind="went_out_unproven:NOT_SETTLED"), "Invoice in_1 went out unproven"),
        (replace(DRIFT, kind="recovered:waived", verdict=Verdict.WAIVED), "Invoice in_1 has recovered: waived"),
        (LIFTED, "The coming invoice of sub_1 has recovered: matched"),
        (replace(DRIFT, kind="release_without_effect"), "Invoice in_1 needs attention: release without effect"),
        (TEST, "A test of pacspace-stripe's alerts: nothing happened"),
    ],
)
def test_a_message_begins_with_its_headline(alert: Alert, said: str) -> None:
    assert headline(alert) == said


def test_throttled_alerts_are_counted() -> None:
    assert "2 more like this were not sent, because the invoice is flapping" in slack(replace(DRIFT, left_out=2))


def test_only_the_worst_of_many_windows_are_sent() -> None:
    good = {**WINDOW, "reason": "EXACT"}
    many = body(replace(DRIFT, windows=(good,) * 300 + (WINDOW,)))
    assert len(many["windows"]) == MOST_WINDOWS
    assert many["windows"][0] == WINDOW
    assert many["more_windows"] == 301 - MOST_WINDOWS
    assert len(webhook_body(replace(DRIFT, windows=(good,) * 300), LIVE)) < 20_000


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("<!channel> & <@U1|me>", "&lt;!channel&gt; &amp; &lt;@U1|me&gt;"),
        ("one\ntwo\t\x1b[31m", "one two \\x1b[31m"),
        ("&amp;", "&amp;amp;"),
    ],
)
def test_slack_reads_no_markup_but_ours(said: str, shown: str) -> None:
    assert escaped(said) == shown
    assert slack(replace(DRIFT, detail=said))[1] == shown


@given(st.text(max_size=2000), st.text(max_size=2000))
@example("&" * 2000, "<" * 2000)
def test_slack_accepts_any_text(detail: str, sentence: str) -> None:
    for why in (None, DriftCause(sentence=sentence, document=[])):
        lines = slack(replace(DRIFT, detail=detail), why=why)
        assert len("\n".join(lines)) <= 3000
        assert sum(line.count("<") for line in lines) == 1
