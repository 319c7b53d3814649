"""Meter events that Stripe accepts and rejects later: found, kept, and reported as the cause of a drift."""

import json
import logging
from datetime import timedelta
from pathlib import Path

import pytest
import stripe
from stripe.events import V1BillingMeterErrorReportTriggeredEvent

from pacspace_stripe.alerts.rules.messages import AlertLinks, cause_of, webhook_body
from pacspace_stripe.explain.rules.explanation import Cause, Explanation
from pacspace_stripe.explain.rules.explanation_text import paragraphs, sentence
from pacspace_stripe.report.forms import as_csv, as_json
from pacspace_stripe.report.report import make_report
from pacspace_stripe.simulator.serve import serve
from tests.integration.test_gate_alerts import ADDRESSES, given_alerts
from tests.support.worlds import MIDDLE, World, world

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
CORE_EVENTS = "GET /v2/core/events"


def explanation(made: World) -> Explanation:
    known = made.app.store.explanations.find(made.invoice_id)
    assert known is not None
    return known.explanations[0]


def rejected(made: World, *, meter: bool = True, code: str = "meter_event_customer_not_found") -> None:
    """Five calls were recorded on both sides; Stripe takes two of them back."""
    made.subscribe()
    for number in range(5):
        made.stripe.record_usage("cus_acme", "api_calls", "1", MIDDLE + number * MINUTE, identifier=f"call-{number}")
        made.record("1", at=MIDDLE + number * MINUTE)
    made.stripe.reject_usage(["call-3", "call-4"], code=code, meter=made.meter if meter else None)


@pytest.mark.parametrize("meter", [True, False], ids=["of a meter", "no meter found"])
def test_rejected_meter_events_are_the_cause_of_the_drift(tmp_path: Path, *, meter: bool) -> None:
    with world(tmp_path, sweep="20m") as made:
        rejected(made, meter=meter)
        made.app.sweep.plan()
        made.run(3 * HOUR)
        found = explanation(made)
        assert (found.cause, found.rejections[0].count) == (Cause.REJECTED_BY_STRIPE, 2)
        assert "Stripe rejected 2 meter events (meter_event_customer_not_found)" in sentence(found)
        assert any("call-3: The customer does not exist." in paragraph for paragraph in paragraphs(found))


def test_a_rejection_reported_after_the_drift_explains_it_too(tmp_path: Path) -> None:
    with world(tmp_path, sweep="20m") as made:
        made.stripe.forbid(CORE_EVENTS)
        rejected(made)
        made.app.sweep.plan()
        made.run(3 * HOUR)
        assert explanation(made).cause in (Cause.NOT_IN_STRIPE, Cause.UNEXPLAINED)
        made.stripe.forbidden.clear()
        made.app.sweep.run(widely=True)
        assert explanation(made).cause is Cause.REJECTED_BY_STRIPE


def test_rejections_of_another_meter_or_time_explain_nothing(tmp_path: Path) -> None:
    with world(tmp_path, sweep="20m") as made:
        other = made.stripe.add_meter("other")
        made.subscribe()
        made.bill("8")
        made.record("10")
        made.stripe.reject_usage(["mevt_1"], meter=other)
        made.app.sweep.plan()
        made.run(3 * HOUR)
        assert explanation(made).cause is not Cause.REJECTED_BY_STRIPE
        assert made.app.store.rejections.since(None)


def test_a_rejection_explains_nothing_where_stripe_counted_more(tmp_path: Path) -> None:
    with world(tmp_path, sweep="20m") as made:
        rejected(made)
        made.bill("7")
        made.app.sweep.plan()
        made.run(3 * HOUR)
        assert explanation(made).cause is not Cause.REJECTED_BY_STRIPE


def test_alert_and_report_name_the_rejections(tmp_path: Path) -> None:
    with world(tmp_path, **ADDRESSES, sweep="20m") as made:
        rejected(made)
        made.app.sweep.plan()
        made.run(3 * HOUR)
        known = made.app.store.explanations.find(made.invoice_id)
        assert known is not None
        (alert,) = (one for one in given_alerts(made) if one.kind.startswith("drifted"))
        why = cause_of(alert, known.fingerprint, known.explanations)
        message = json.loads(webhook_body(alert, AlertLinks(livemode=False), why))
        assert "rejected 2 meter events" in message["explanation"]["sentence"]
        assert message["explanation"]["windows"][0]["rejections"][0]["code"] == "meter_event_customer_not_found"
        report = make_report(made.app.store, made.app.settings, now=made.clock.now())
        assert [one.code for one in report.rejections] == ["meter_event_customer_not_found"]
        document = json.loads(json.dumps(as_json(report)))
        (found,) = document["rejected_by_stripe"]
        assert (found["meter"], found["count"], found["samples"][0]["identifier"]) == ("api_calls", 2, "call-3")
        assert document["usage"][0]["cause"] == "rejected_by_stripe"
        assert ",rejected_by_stripe," in as_csv(report)


def test_a_key_without_permission_is_logged_once_and_the_sweep_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with world(tmp_path, sweep="20m") as made:
        made.stripe.forbid(CORE_EVENTS)
        rejected(made)
        with caplog.at_level(logging.WARNING):
            made.app.sweep.run(widely=True)
            made.app.sweep.run(widely=True)
        said = [record for record in caplog.records if "meter events that Stripe rejected" in record.getMessage()]
        assert len(said) == 1
        points = make_report(made.app.store, made.app.settings, now=made.clock.now()).checklist
        assert "rejected_events" in {point.name for point in points}
        made.stripe.forbidden.clear()
        made.app.sweep.run(widely=True)
        points = make_report(made.app.store, made.app.settings, now=made.clock.now()).checklist
        assert "rejected_events" not in {point.name for point in points}


def test_a_report_of_an_unknown_shape_is_logged_and_the_sweep_goes_on(tmp_path: Path) -> None:
    with world(tmp_path, sweep="20m") as made:
        rejected(made)
        event = next(one for one in made.stripe.account.events if one.type.startswith("billing.meter"))
        event.data = {"something": "new"}
        made.app.sweep.run(widely=True)
        points = make_report(made.app.store, made.app.settings, now=made.clock.now()).checklist
        assert "rejected_events" in {point.name for point in points}


def test_a_thin_event_of_a_rejection_makes_the_sweep_read_it_at_once(tmp_path: Path) -> None:
    with world(tmp_path, sweep="20m") as made:
        made.stripe.set_webhook(style="thin")
        made.app.sweep.plan()
        made.run(MINUTE)
        rejected(made)
        made.run(MINUTE)
        assert made.app.store.rejections.since(None)


def test_all_pages_are_read_and_each_report_is_kept_once(tmp_path: Path) -> None:
    with world(tmp_path, sweep="20m") as made:
        for number in range(230):
            made.stripe.reject_usage([f"call-{number}"], meter=made.meter)
        made.app.sweep.run(widely=True)
        made.app.sweep.run(widely=True)
        assert len(made.app.store.rejections.since(None)) == 230
        assert made.stripe_calls().count(CORE_EVENTS) == 6


def test_stripes_own_client_reads_the_reports(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        rejected(made)
        with serve(made.stripe) as served:
            client = stripe.StripeClient("sk_test_simulator", base_addresses={"api": served.url})
            event = next(iter(client.v2.core.events.list({"limit": 1}).auto_paging_iter()))
            assert isinstance(event, V1BillingMeterErrorReportTriggeredEvent)
            assert event.data.reason.error_types[0].code == "meter_event_customer_not_found"
