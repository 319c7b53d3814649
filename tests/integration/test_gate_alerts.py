"""Alerts of the gate: each problem once, its end too, and few of them while an invoice is flapping."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pacspace_stripe.alerts.rules.alert import MOST_A_DAY, Alert, AlertType, Channel
from pacspace_stripe.alerts.rules.messages import AlertLinks, webhook_body
from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.explain.rules.explanation_text import sentence
from pacspace_stripe.gate.case import BackfillRequest
from pacspace_stripe.gate.rules.state import Waiver
from tests.support.worlds import World, world

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HELD = timedelta(hours=2, minutes=30)
"""From the beginning of a world until its draft was held and judged."""
ADDRESSES = {
    "alert_webhook_url": "http://127.0.0.1:9/in",
    "alert_webhook_secret": "whsec_" + "A" * 32,
    "alert_slack_url": "http://127.0.0.1:9/slack",
}


RARELY = {"sweep": "12h"}
"""Webhooks tell us of everything here."""


@contextmanager
def alerted(folder: Path, **settings: str) -> Iterator[World]:
    """Make a world with two channels without deliveries: the alerts that were given wait there."""
    with world(folder, **ADDRESSES, **RARELY, **settings) as made:
        made.subscribe()
        yield made


def given_alerts(made: World) -> list[Alert]:
    """Oldest first."""
    sent = made.app.store.alerts.sent()
    for one in sent:
        expected = () if made.memory().past else (Channel.SLACK, Channel.WEBHOOK)
        assert tuple(way.channel for way in one.deliveries) == expected
    return sorted((one.alert for one in sent), key=lambda alert: alert.at)


def types(made: World) -> list[AlertType]:
    return [alert.type for alert in given_alerts(made)]


def test_a_drift_and_its_end_are_alerted_once_each(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with alerted(tmp_path) as made:
        made.bill("100")
        made.record("90")
        made.run(4 * HOUR)
        drift = given_alerts(made)[0]
        assert types(made) == [AlertType.DRIFTED]
        made.record("10")
        made.run(2 * HOUR)
        end = given_alerts(made)[1]
        assert types(made) == [AlertType.DRIFTED, AlertType.RECOVERED]
        assert (drift.job_id, drift.customer_id, drift.detail) == (
            *(made.invoice_id, "cus_acme"),
            "billed 100, recorded 90: differs by 10",
        )
        assert (end.kind, end.detail) == ("recovered:matched", "both sides agree")
        assert end.verdict is Verdict.MATCHED
        said = [record.getMessage() for record in caplog.records if record.name == "pacspace_stripe.alerts"]
        assert [line.split()[0] for line in said] == ["alert=drifted:OVERBILLED", "alert=recovered:matched"]
        audit = [kind for _, kind, _ in made.app.store.journal.audit_trail(made.invoice_id)]
        assert [kind for kind in audit if kind.startswith("alert:")] == [
            f"alert:{alert.kind}" for alert in given_alerts(made)
        ]


def test_a_message_has_the_figures_that_check_shows(tmp_path: Path) -> None:
    with alerted(tmp_path) as made:
        made.bill("100")
        made.record("90")
        made.run(HELD)
        body = json.loads(webhook_body(given_alerts(made)[0], AlertLinks(livemode=False)))
        shown = made.app.checker.preview(made.invoice_id).as_json()
        assert {name: body[name] for name in ("invoice", "verdict", "reason", "windows", "detail")} == {
            name: shown[name] for name in ("invoice", "verdict", "reason", "windows", "detail")
        }
        assert body["amount_due"]["amount"] == made.invoice()["amount_due"]


def test_a_message_explains_the_drift_while_the_figures_are_the_same(tmp_path: Path) -> None:
    with alerted(tmp_path) as made:
        made.bill("100")
        made.record("90")
        made.run(HELD)
        (alert,) = given_alerts(made)
        stored = made.app.store.explanations.find(made.invoice_id)
        assert stored is not None
        for sender in made.app.alert_senders():
            with closing(sender):
                cause = sender.cause(alert)
                assert cause is not None
                assert cause.sentence == sentence(stored.explanations[0])
                other = replace(alert, windows=({**alert.windows[0], "billed": "101"},))
                assert sender.cause(other) is None
                assert sender.cause(replace(alert, job_id="in_unknown")) is None


def test_a_waived_invoice_has_recovered(tmp_path: Path) -> None:
    with alerted(tmp_path) as made:
        made.bill("100")
        made.record("90")
        made.run(HELD)
        made.app.checker.check(
            made.invoice_id, waiver=Waiver(reason="agreed", by="fin", at=made.clock.now(), figures={})
        )
        made.run(HOUR)
        assert types(made) == [AlertType.DRIFTED, AlertType.RECOVERED]
        assert (given_alerts(made)[1].kind, given_alerts(made)[1].detail) == (
            "recovered:waived",
            "a person released it: agreed",
        )


def test_an_unproven_invoice_that_heals_in_time_is_not_alerted(tmp_path: Path) -> None:
    with alerted(tmp_path) as made:
        made.bill("100")
        made.record("100", verified=False)
        made.run(HELD)
        assert made.memory().verdict is Verdict.UNPROVEN
        made.ledger.verify_all()
        made.run(3 * HOUR)
        assert made.memory().verdict is Verdict.MATCHED
        assert types(made) == []


def test_an_unproven_invoice_that_does_not_heal_is_alerted_after_the_first_hour(tmp_path: Path) -> None:
    with alerted(tmp_path) as made:
        made.bill("100")
        made.record("100", verified=False)
        made.run(HELD)
        assert types(made) == []
        made.run(2 * HOUR)
        assert types(made) == [AlertType.UNPROVEN]
        made.ledger.verify_all()
        made.run(3 * HOUR)
        assert types(made) == [AlertType.UNPROVEN, AlertType.RECOVERED]


def test_failing_open_alerts_at_the_backstop_and_when_the_invoice_is_proven_after_all(tmp_path: Path) -> None:
    with alerted(tmp_path, fail="open", backstop="4h") as made:
        made.bill("12")
        made.record("12", verified=False)
        made.run(timedelta(hours=4, minutes=30))
        assert types(made) == []
        made.run(2 * HOUR)
        assert types(made) == [AlertType.WENT_OUT_UNPROVEN]
        made.ledger.verify_all()
        made.run(3 * HOUR)
        assert types(made) == [AlertType.WENT_OUT_UNPROVEN, AlertType.RECOVERED]


def test_a_block_and_its_end_are_alerted_on_the_invoice_it_was_about(tmp_path: Path) -> None:
    with world(tmp_path, **ADDRESSES, **RARELY, fail="open") as made:
        subscription = made.subscribe()
        made.bill("100")
        made.record("90")
        made.stripe.send_upcoming(subscription)
        made.run(timedelta(minutes=30))
        (block,) = made.app.store.alerts.sent()
        assert (block.alert.type, block.alert.invoice_id, block.alert.subscription_id) == (
            *(AlertType.BLOCKED, None),
            subscription,
        )
        made.run(timedelta(minutes=35))
        made.record("10")
        made.run(3 * HOUR)
        assert types(made) == [AlertType.BLOCKED, AlertType.RECOVERED]
        assert given_alerts(made)[-1].invoice_id == made.invoice_id


def test_a_block_that_is_lifted_is_alerted(tmp_path: Path) -> None:
    with world(tmp_path, **ADDRESSES, **RARELY, retry="1m") as made:
        subscription = made.subscribe()
        made.bill("100")
        made.record("90")
        made.stripe.send_upcoming(subscription)
        made.run(timedelta(minutes=10))
        made.record("10")
        made.run(timedelta(minutes=10))
        kinds = [one.alert.kind for one in made.app.store.alerts.sent()]
        assert sorted(kinds) == ["upcoming_blocked:OVERBILLED", "upcoming_recovered"]


# -- flapping invoices ----------------------------------------------------------------------------------------------


def flapping(made: World) -> None:
    """Drifted by 10, matched, and drifted by 10 again: five minutes each."""
    made.record("10")
    made.run(timedelta(minutes=5))
    made.app.checker.check(made.invoice_id)
    made.record("-10")
    made.run(timedelta(minutes=5))
    made.app.checker.check(made.invoice_id)


@contextmanager
def undecided(folder: Path) -> Iterator[World]:
    """Make a drifted draft that stays one for weeks, and is checked rarely except when a test asks for it."""
    with world(folder, **ADDRESSES, **RARELY, mode="observe", retry="12h") as made:
        made.stripe.configure(finalization_delay=30 * DAY)
        made.subscribe()
        made.bill("100")
        made.record("90")
        made.run(timedelta(hours=1, minutes=11))
        yield made


def test_the_same_drift_again_within_an_hour_is_not_sent(tmp_path: Path) -> None:
    with undecided(tmp_path) as made:
        flapping(made)
        flapping(made)
        assert types(made) == [AlertType.DRIFTED, AlertType.RECOVERED]
        assert made.memory().verdict is Verdict.DRIFTED


def test_a_drift_that_stays_is_sent_later_with_the_number_of_alerts_left_out(tmp_path: Path) -> None:
    with undecided(tmp_path) as made:
        flapping(made)
        flapping(made)
        made.run(HOUR)
        made.app.checker.check(made.invoice_id)
        assert types(made) == [AlertType.DRIFTED, AlertType.RECOVERED, AlertType.DRIFTED]
        assert given_alerts(made)[-1].left_out == 2
        made.run(DAY)
        assert len(given_alerts(made)) == 3


def test_another_figure_is_sent_but_a_day_has_few_messages(tmp_path: Path) -> None:
    with undecided(tmp_path) as made:
        for _ in range(MOST_A_DAY + 3):
            made.bill("1")
            made.record("1")
            flapping(made)
        assert types(made).count(AlertType.DRIFTED) == types(made).count(AlertType.RECOVERED) == MOST_A_DAY
        made.run(26 * HOUR)
        assert types(made).count(AlertType.DRIFTED) == MOST_A_DAY + 1
        assert given_alerts(made)[-1].left_out == 4


def test_a_hold_that_is_undone_again_and_again_is_alerted_now_and_then(tmp_path: Path) -> None:
    with alerted(tmp_path) as made:
        made.bill("100")
        made.record("90")
        made.run(HELD)
        for _ in range(4):
            made.stripe.set_auto_advance_by_person(made.invoice_id, auto_advance=True)
            made.run(timedelta(minutes=2))
        assert types(made) == [AlertType.DRIFTED, AlertType.ATTENTION]
        made.run(HOUR)
        made.stripe.set_auto_advance_by_person(made.invoice_id, auto_advance=True)
        made.run(timedelta(minutes=2))
        assert given_alerts(made)[-1].left_out == 3


# -- the channels --------------------------------------------------------------------------------------------------


def test_invoices_of_the_past_are_alerted_in_the_log_only(tmp_path: Path) -> None:
    with alerted(tmp_path, mode="observe") as made:
        made.stripe.set_webhook(loss=1.0)
        made.bill("100")
        made.record("90")
        made.stripe.run_due()
        made.clock.advance(10 * DAY)
        made.stripe.run_due()
        made.app.checker.check(made.invoice_id, backfill=BackfillRequest(patient=False))
        assert made.memory().past
        assert types(made) == [AlertType.DRIFTED]


def test_an_alert_of_an_earlier_version_is_not_given_again(tmp_path: Path) -> None:
    with alerted(tmp_path) as made:
        made.bill("100")
        made.record("90")
        made.run(HELD)
        before: datetime = given_alerts(made)[-1].at
        made.restart(fail="open")
        made.run(3 * HOUR)
        assert given_alerts(made)[-1].at == before


def test_an_alert_about_several_windows_names_their_number_and_the_largest(tmp_path: Path) -> None:
    with world(tmp_path, **ADDRESSES, **RARELY, ledger_account="{customer}:{meter}") as made:
        others = [made.stripe.add_meter(name) for name in ("storage", "jobs")]
        made.subscribe(prices=[made.price, *map(made.stripe.add_price, others)])
        for meter, billed, recorded in (("api_calls", "10", "9"), ("storage", "70", "7"), ("jobs", "5", "5")):
            made.bill(billed, meter=meter)
            made.record(recorded, account=f"cus_acme:{meter}")
        made.run(HELD)
        memory = made.memory()
        assert memory.detail == "2 of 3 windows differ, the largest: storage: billed 70, recorded 7: differs by 63"
        assert memory.kept_back is not None
        previewed = made.app.checker.preview(made.invoice_id)
        assert [alert.detail for alert in given_alerts(made)] == [memory.detail] == [memory.kept_back.detail]
        assert previewed.detail == memory.detail
