"""Thin events have the effects of snapshots; the sweep does what they cannot."""

import contextlib
import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import stripe
from stripe.events import (
    V1InvoiceCreatedEventNotification,
    V1InvoicePaidEventNotification,
    V1InvoiceSentEventNotification,
)

from pacspace_stripe.errors import SignatureError, UnreadableEvent
from pacspace_stripe.gate.early_warning import upcoming_job_id
from pacspace_stripe.report.report import make_report
from pacspace_stripe.report.rules.checklist import CheckPoint, Standing
from pacspace_stripe.simulator.stripe.webhooks import signature
from tests.integration.test_gate import ask, kinds
from tests.support.openapi import object_problems
from tests.support.worlds import PERIOD_END, World, world

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
REFUSED = "webhooks in a row were refused"


def outcomes(made: World) -> set[tuple[str, str]]:
    return set(made.app.store.journal.events_received())


def points(made: World) -> dict[str, CheckPoint]:
    report = make_report(made.app.store, made.app.settings, now=made.clock.now())
    return {point.name: point for point in report.checklist}


# -- thin events of invoices -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [True, False], ids=["who caused it", "not who caused it"])
@pytest.mark.parametrize("recorded", ["100", "90"])
def test_an_invoice_is_gated_by_thin_events_as_by_snapshots(tmp_path: Path, recorded: str, *, reason: bool) -> None:
    with world(tmp_path, sweep="30d") as made:
        made.stripe.set_webhook(style="thin")
        made.stripe.webhook.thin_reason = reason
        made.subscribe()
        made.bill("100")
        made.record(recorded)
        made.run(30 * MINUTE)
        made.run(DAY)
        agrees = recorded == "100"
        assert made.left == ({made.invoice_id} if agrees else set())
        assert made.memory().verdict == ("matched" if agrees else "drifted")
        assert len(made.writes()) == (4 if agrees else 1)


def test_our_own_writes_are_recognized_in_thin_events_that_name_their_cause(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.stripe.set_webhook(style="thin")
        made.subscribe()
        made.use("100")
        made.run(DAY)
        assert ("invoice.updated", "echo of our own write") in outcomes(made)


def test_the_sweep_begins_the_early_warning_that_a_thin_event_cannot(tmp_path: Path) -> None:
    with world(tmp_path, warning="3d", sweep="2h") as made:
        made.clock.advance_to(PERIOD_END)
        made.run(DAY)
        made.stripe.set_webhook(style="thin")
        made.stripe.add_customer("cus_soon")
        end = PERIOD_END + 10 * DAY
        found = made.stripe.add_subscription("cus_soon", [made.price], period_start=PERIOD_END, period_end=end)
        made.app.sweep.plan()
        made.run(7 * DAY + 2 * HOUR)
        assert ("invoice.upcoming", "left to the sweep") in outcomes(made)
        assert made.app.store.jobs.find(upcoming_job_id(found, end)) is not None
        assert made.clock.now() < end - DAY


def test_stripes_own_client_reads_the_simulated_thin_events(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.stripe.set_webhook(style="thin")
        made.subscribe()
        made.use("100")
        made.run(DAY)
        client, shown = stripe.StripeClient("sk_test_simulator"), []
        for event in made.stripe.account.events:
            thin = made.stripe.webhook.shown(event)
            assert object_problems(thin) == []
            body = json.dumps(thin)
            header = signature(body.encode(), ("whsec_1",), datetime.now(UTC))
            shown.append(client.parse_event_notification(body, header, "whsec_1"))
        created = next(one for one in shown if isinstance(one, V1InvoiceCreatedEventNotification))
        assert created.related_object.id == made.invoice_id
        assert any(isinstance(one, V1InvoiceSentEventNotification | V1InvoicePaidEventNotification) for one in shown)


# -- mailed invoices ---------------------------------------------------------------------------------------------------


def test_a_mailed_invoice_ends_when_stripe_says_that_it_was_sent(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe(collection_method="send_invoice")
        made.use("5")
        made.run(2 * HOUR)
        assert made.memory().ended
        made.run(DAY)
        assert not any(kind.startswith("alert") for kind in kinds(made))


def test_a_release_that_is_never_mailed_is_reported_where_invoice_sent_arrives(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe(collection_method="send_invoice")
        made.use("5")
        made.run(DAY)
        assert made.stripe.mail_sent
        made.stripe.configure(mail_on_release=False)
        subscription = next(iter(made.stripe.account.subscriptions)).id
        made.use("7", at=PERIOD_END + HOUR)
        made.stripe.renew_now(subscription)
        made.run(DAY)
        assert made.invoice()["status"] == "open"
        assert len(made.stripe.mail_sent) == 1
        assert "alert:release_without_effect" in kinds(made)


def test_without_the_event_nothing_is_said_about_a_mail(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.stripe.set_webhook(lost_types=["invoice.sent"])
        made.stripe.webhook.lost_count_as_delivered = True
        made.subscribe(collection_method="send_invoice")
        made.use("5")
        made.run(DAY)
        assert made.memory().ended
        assert "select invoice.sent" in made.memory().detail
        assert not any(kind.startswith("alert") for kind in kinds(made))


def test_an_invoice_that_a_person_mails_under_our_hold_is_reported(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.subscribe(collection_method="send_invoice")
        made.bill("100")
        made.record("90")
        made.run(2 * HOUR)
        ask(made, f"/v1/invoices/{made.invoice_id}/finalize", auto_advance="false")
        ask(made, f"/v1/invoices/{made.invoice_id}/send")
        made.settle()
        assert "alert:sent_under_hold" in kinds(made)


# -- other types -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["snapshot", "thin"])
def test_a_corrected_subscription_brings_the_next_check_forward(tmp_path: Path, style: str) -> None:
    with world(tmp_path, retry="12h") as made:
        made.stripe.configure(upcoming_before=None)
        made.stripe.set_webhook(style=style)  # type: ignore[arg-type]  # one of the two
        found = made.subscribe(metadata={"pacspace_customer_id": "cus_wrong"})
        made.use("100")
        made.run(2 * HOUR)
        assert made.memory().verdict == "drifted"
        ask(made, f"/v1/subscriptions/{found}", **{"metadata[pacspace_customer_id]": "cus_acme"})
        made.run(2 * HOUR)
        assert made.left == {made.invoice_id}


def test_an_event_of_an_unknown_type_wakes_a_held_invoice(tmp_path: Path) -> None:
    with world(tmp_path, retry="12h") as made:
        made.subscribe()
        made.bill("100")
        made.run(2 * HOUR)
        before = made.app.store.jobs.find(made.invoice_id)
        assert before is not None
        made.clock.advance(60)
        made.stripe.account.emit("invoice.something_new", made.invoice())
        made.settle()
        after = made.app.store.jobs.find(made.invoice_id)
        assert after is not None
        assert after.updated_at > before.updated_at
        assert ("invoice.other", "queued") in outcomes(made)


# -- events that are not ours ------------------------------------------------------------------------------------------


def test_events_of_another_account_are_ignored_and_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with world(tmp_path) as made:
        made.stripe.set_webhook(style="thin")
        made.stripe.webhook.context = "acct_other"
        made.subscribe()
        made.use("100")
        with caplog.at_level(logging.WARNING):
            made.run(2 * HOUR)
        told = [record.getMessage() for record in caplog.records if "acct_other" in record.getMessage()]
        assert told == [
            "Stripe events of account acct_other are answered and ignored: STRIPE_API_KEY is of another account"
        ]
        assert made.app.store.jobs.find(made.invoice_id) is None
        ignored = points(made)["ignored_events"]
        assert ignored.standing is Standing.LOOK
        assert ignored.about == ("account acct_other",)
        assert points(made)["events"].standing is Standing.LOOK


def test_an_account_whose_invoice_our_key_reads_is_our_own(tmp_path: Path) -> None:
    with world(tmp_path, sweep="5m") as made:
        made.stripe.set_webhook(style="thin")
        made.stripe.webhook.context = "acct_mine"
        made.subscribe()
        made.use("100")
        made.app.sweep.plan()
        made.run(DAY)
        assert made.left == {made.invoice_id}
        assert ("invoice.finalized", "of another account") not in outcomes(made)
        assert ("invoice.paid", "queued") in outcomes(made) or ("invoice.paid", "nothing to look at") in outcomes(made)


def posted(made: World, event: dict[str, Any]) -> None:
    """Deliver an event, signed as Stripe signs it."""
    body = json.dumps(event).encode()
    with contextlib.suppress(UnreadableEvent):
        made.inbox.receive(body, signature(body, ("whsec_simulator",), made.clock.now()))


def test_events_of_the_other_mode_are_ignored_and_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("100")
        made.run(2 * HOUR)
        before = len(made.app.store.journal.event_outcomes())
        for number in range(3):
            posted(
                made, made.stripe.events[-1] | {"id": f"evt_live_{number}", "type": "invoice.paid", "livemode": True}
            )
        assert len(made.app.store.journal.event_outcomes()) == before + 3
        told = [record.getMessage() for record in caplog.records if "live mode" in record.getMessage()]
        assert told == ["Stripe events of live mode are answered and ignored: STRIPE_API_KEY is of test mode"]
        assert points(made)["ignored_events"].about == ("live mode",)
        assert "3 of the other mode" in points(made)["ignored_events"].sentence


@pytest.mark.parametrize("invoice_id", ["in_1/../x", None, 7])
def test_a_signed_but_unreadable_event_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, invoice_id: object
) -> None:
    with world(tmp_path) as made:
        made.subscribe()
        made.use("100")
        made.run(2 * HOUR)
        created = next(event for event in made.stripe.events if event["type"] == "invoice.created")
        posted(made, created | {"id": "evt_odd", "data": {"object": {"object": "invoice", "id": invoice_id}}})
        assert [one for one in caplog.records if "unreadable event of Stripe" in one.getMessage()]
        assert "1 event signed by Stripe" in points(made)["unreadable_events"].sentence


# -- refused requests --------------------------------------------------------------------------------------------------


def test_a_wrong_secret_is_diagnosed_once_and_reported_from_another_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with world(tmp_path) as made:
        made.stripe.set_webhook(secrets=["whsec_other"])
        made.subscribe()
        made.use("100")
        made.run(2 * HOUR)
        told = [record.getMessage() for record in caplog.records if REFUSED in record.getMessage()]
        assert len(told) == 1
        assert "STRIPE_WEBHOOK_SECRET" in told[0]
        assert "whsec" not in told[0]
        made.restart()
        assert points(made)["events"].sentence == "No event of Stripe was accepted: requests came and were refused."
        assert "STRIPE_WEBHOOK_SECRET" in points(made)["refused_stripe"].sentence


def test_finds_of_the_sweep_do_not_hide_that_every_webhook_is_refused(tmp_path: Path) -> None:
    with world(tmp_path, sweep="5m") as made:
        made.stripe.set_webhook(secrets=["whsec_other"])
        made.subscribe()
        made.use("100")
        made.app.sweep.plan()
        made.run(DAY)
        assert made.left == {made.invoice_id}
        assert points(made)["events"].sentence == "No event of Stripe was accepted: requests came and were refused."
        assert "STRIPE_WEBHOOK_SECRET" in points(made)["refused_stripe"].sentence


def test_an_accepted_event_ends_the_count_of_refused_ones(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with world(tmp_path) as made:
        for _ in range(4):
            with pytest.raises(SignatureError):
                made.inbox.receive(b"{}", None)
        made.subscribe()
        made.use("100")
        made.run(2 * HOUR)
        with pytest.raises(SignatureError):
            made.inbox.receive(b"{}", None)
        assert not [record for record in caplog.records if REFUSED in record.getMessage()]
        assert "refused_stripe" not in points(made)


def test_refused_requests_name_their_most_frequent_cause(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        for _ in range(7):
            with pytest.raises(SignatureError):
                made.inbox.receive(b"{}", None)
        assert "a proxy in front of this address" in points(made)["refused_stripe"].sentence
        assert "PACSPACE_WEBHOOK_SECRET" not in str(points(made)["refused_stripe"])


def test_unsigned_requests_do_not_hide_a_wrong_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with world(tmp_path) as made:
        for _ in range(50):
            with pytest.raises(SignatureError):
                made.inbox.receive(b"{}", None)
        stamp = int(made.clock.now().timestamp())
        for _ in range(5):
            with pytest.raises(SignatureError):
                made.inbox.receive(b"{}", f"t={stamp},v1={'0' * 64}")
        told = [record.getMessage() for record in caplog.records if REFUSED in record.getMessage()]
        assert ["STRIPE_WEBHOOK_SECRET" in one for one in told] == [False, True]
        made.clock.advance(HOUR)
        with pytest.raises(SignatureError):
            made.inbox.receive(b"{}", f"t={stamp + 3600},v1={'0' * 64}")
        assert "STRIPE_WEBHOOK_SECRET" in points(made)["refused_stripe"].sentence


def test_a_wrong_secret_of_pacspace_is_diagnosed_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with world(tmp_path) as made:
        for _ in range(5):
            made.heard += 1
            stamp = str(int(made.clock.now().timestamp()))
            assert made.ledger_inbox is not None
            with pytest.raises(SignatureError):
                made.ledger_inbox.receive(b"{}", signature=f"v1={'0' * 64}", timestamp=stamp)
        assert [record for record in caplog.records if "PACSPACE_WEBHOOK_SECRET" in record.getMessage()]
        assert "PACSPACE_WEBHOOK_SECRET" in points(made)["refused_pacspace"].sentence
