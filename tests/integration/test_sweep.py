"""The sweep finds within one interval what no webhook delivered; finding nothing costs two requests."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from pacspace_stripe.cli import cli
from pacspace_stripe.errors import LeaseBusy, RemoteRefused, RemoteUnavailable, UnexpectedAnswer
from pacspace_stripe.gate.early_warning import upcoming_job_id
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.store import JobKind
from pacspace_stripe.stripe_api.events import event_in
from pacspace_stripe.vocabulary.webhooks import FOUND_BY_SWEEP, SUBSCRIBED, EventType
from pacspace_stripe.wakeups import SWEEP_ID, UPCOMING_WITHOUT_PERIOD
from tests.integration.test_gate import ask, kinds, verdict
from tests.integration.test_holds import Forgetful
from tests.support.worlds import ENVIRONMENT, PERIOD_END, START, World, world

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
INTERVAL = 20 * MINUTE
HANDLED = list(SUBSCRIBED)
DRAFTS, EVENTS, SUBSCRIPTIONS = "GET /v1/invoices", "GET /v1/events", "GET /v1/subscriptions"


# -- lost webhooks -----------------------------------------------------------------------------------------------------


def subscription(made: World) -> str:
    return next(iter(made.stripe.account.subscriptions)).id


def request(made: World, method: str, path: str, **form: str) -> httpx.Response:
    headers = {"Authorization": "Bearer sk_test_simulator"}
    return made.stripe(httpx.Request(method, f"http://127.0.0.1:1{path}", headers=headers, data=form))


def warning(made: World) -> str | None:
    job = made.app.store.jobs.find(upcoming_job_id(subscription(made), PERIOD_END))
    return job.state.verdict if job else None


def looked_at_after(made: World, event: dict[str, Any]) -> bool:
    job = made.app.store.jobs.find(event["data"]["object"]["id"])
    return job is not None and job.updated_at.timestamp() > event["created"]


def looked_at_since(made: World, event: dict[str, Any]) -> bool:
    job = made.app.store.jobs.find(made.invoice_id)
    return job is not None and job.updated_at.timestamp() > event["created"]


def nothing(_: World) -> None:
    """Do nothing: the period just ends."""


def warned(made: World) -> None:
    made.stripe.send_upcoming(subscription(made))


def lifted(made: World) -> None:
    made.stripe.set_auto_advance_by_person(made.invoice_id, auto_advance=True)


def finalized(made: World) -> None:
    ask(made, f"/v1/invoices/{made.invoice_id}/finalize", auto_advance="false")


def refused(made: World) -> None:
    made.stripe.configure(finalization_fails=True)
    assert request(made, "POST", f"/v1/invoices/{made.invoice_id}/finalize").status_code == 400


def voided(made: World) -> None:
    finalized(made)
    ask(made, f"/v1/invoices/{made.invoice_id}/void")


def paid(made: World) -> None:
    ask(made, f"/v1/invoices/{made.invoice_id}/pay")


def uncollectible(made: World) -> None:
    finalized(made)
    ask(made, f"/v1/invoices/{made.invoice_id}/mark_uncollectible")


def sent(made: World) -> None:
    finalized(made)
    ask(made, f"/v1/invoices/{made.invoice_id}/send")


def corrected(made: World) -> None:
    ask(made, f"/v1/subscriptions/{subscription(made)}", **{"metadata[pacspace_customer_id]": "cus_right"})


def canceled(made: World) -> None:
    assert request(made, "DELETE", f"/v1/subscriptions/{subscription(made)}").status_code == 200


def deleted(made: World) -> None:
    invoice = request(made, "POST", "/v1/invoices", customer="cus_acme").json()["id"]
    assert made.app.checker.check(invoice).detail == "nothing metered"
    assert request(made, "DELETE", f"/v1/invoices/{invoice}").status_code == 200


@dataclass(frozen=True)
class Loss:
    """A lost event: what happens meanwhile, how long before that, and what holds once the sweep found it."""

    happens: Callable[[World], None]
    healed: Callable[[World, dict[str, Any]], bool]
    after: timedelta = 2 * HOUR
    matches: bool = False
    mailed: bool = False


LOSSES = {
    EventType.INVOICE_UPCOMING: Loss(warned, lambda made, _: warning(made) == "drifted", after=MINUTE),
    EventType.INVOICE_CREATED: Loss(nothing, lambda made, _: made.memory().held, after=59 * MINUTE),
    EventType.INVOICE_UPDATED: Loss(lifted, lambda made, _: kinds(made).count("hold") == 2),
    EventType.INVOICE_FINALIZED: Loss(finalized, lambda made, _: "pacspace_verdict" in made.invoice()["metadata"]),
    EventType.INVOICE_FINALIZATION_FAILED: Loss(
        refused, lambda made, _: "alert:finalization_failed:customer_tax_location_invalid" in kinds(made)
    ),
    EventType.INVOICE_VOIDED: Loss(voided, lambda made, _: made.memory().ended),
    EventType.INVOICE_PAID: Loss(paid, lambda made, _: made.memory().ended, after=HOUR + 61 * MINUTE, matches=True),
    EventType.INVOICE_SENT: Loss(sent, lambda made, _: "alert:sent_under_hold" in kinds(made), mailed=True),
    EventType.INVOICE_MARKED_UNCOLLECTIBLE: Loss(uncollectible, lambda made, _: made.memory().ended),
    EventType.SUBSCRIPTION_UPDATED: Loss(corrected, looked_at_since),
    EventType.SUBSCRIPTION_DELETED: Loss(canceled, looked_at_since),
    EventType.INVOICE_DELETED: Loss(deleted, looked_at_after),
}


@pytest.mark.parametrize("lost", HANDLED)
def test_a_lost_webhook_is_found_within_one_interval(tmp_path: Path, lost: EventType) -> None:
    loss = LOSSES[lost]
    with world(tmp_path, retry="12h", sweep="20m", warning="0s") as made:
        made.stripe.configure(payment_delay=DAY)
        made.subscribe(**{"collection_method": "send_invoice"} if loss.mailed else {})
        made.bill("100")
        made.record("100" if loss.matches else "90")
        made.app.sweep.plan()
        made.run(loss.after)
        made.stripe.set_webhook(lost_types=list(EventType))
        before = len(made.stripe.events)
        loss.happens(made)
        made.run(INTERVAL + MINUTE)
        event = next(event for event in made.stripe.events[before:] if event["type"] == lost)
        assert made.app.store.journal.event_outcomes()[event["id"]] in {"found by the sweep", "nothing to look at"}
        assert loss.healed(made, event)


def test_the_loss_of_every_handled_type_is_tested() -> None:
    assert set(LOSSES) == set(HANDLED)


def test_an_event_that_was_accepted_and_then_lost_is_found_too(tmp_path: Path) -> None:
    """A proxy answered 2xx, or the endpoint does not select the event: Stripe lists no failure."""
    with world(tmp_path, sweep="20m") as made:
        made.subscribe()
        made.stripe.webhook.lost_count_as_delivered = True
        made.stripe.set_webhook(lost_types=list(EventType))
        made.use("5")
        made.app.sweep.plan()
        made.run(HOUR + INTERVAL)
        assert made.memory().held
        made.run(DAY)
        assert made.left == {made.invoice_id}


def test_an_event_is_taken_once_however_often_it_is_listed_or_delivered(tmp_path: Path) -> None:
    with world(tmp_path, sweep="20m", retry="12h") as made:
        made.subscribe()
        made.bill("100")
        made.stripe.set_webhook(lost_types=["invoice.created"])
        made.app.sweep.plan()
        made.run(2 * HOUR)
        job = made.app.store.jobs.find(made.invoice_id)
        made.run(3 * INTERVAL)
        again = made.app.store.jobs.find(made.invoice_id)
        assert job is not None
        assert again is not None
        assert (again.requested, again.updated_at) == (job.requested, job.updated_at)


# -- what it costs -----------------------------------------------------------------------------------------------------


def lists(made: World) -> list[str]:
    """The lists read since the last call."""
    seen = [call for call in made.stripe_calls() if call in {DRAFTS, EVENTS, SUBSCRIPTIONS}]
    made.stripe.log.clear()
    return seen


def test_a_sweep_that_finds_nothing_makes_two_requests_and_four_each_hour(tmp_path: Path) -> None:
    with world(tmp_path, sweep="20m") as made:
        made.app.sweep.plan()
        made.settle()
        assert lists(made) == [DRAFTS, EVENTS, DRAFTS, SUBSCRIPTIONS]
        for wanted in ([DRAFTS, EVENTS], [DRAFTS, EVENTS], [DRAFTS, EVENTS, DRAFTS, SUBSCRIPTIONS]):
            made.run(INTERVAL)
            assert lists(made) == wanted


def test_lists_go_on_where_they_ended_and_only_handled_types_are_asked_for(tmp_path: Path) -> None:
    with world(tmp_path, sweep="20m") as made:
        made.app.sweep.plan()
        made.run(MINUTE)
        made.run(INTERVAL)
        asked = [entry.params for entry in made.stripe.log if entry.endpoint == EVENTS]
        began = int(START.timestamp())
        assert [int(params["created"]["gte"]) - began for params in asked] == [-3 * 86_400, -600]
        assert all(params["delivery_success"] == "false" for params in asked)
        assert {name for params in asked for name in params["types"].values()} == set(HANDLED)


def test_a_start_and_the_command_search_three_days_back(tmp_path: Path) -> None:
    with world(tmp_path, sweep="20m") as made:
        made.app.sweep.run()
        made.stripe.log.clear()
        made.app.sweep.run()
        assert lists(made) == [DRAFTS, EVENTS]
        made.app.sweep.run(widely=True)
        assert [entry.params.get("created") for entry in made.stripe.log if entry.endpoint == EVENTS] == [
            {"gte": str(int((START - 3 * DAY).timestamp()))}
        ]
        assert lists(made) == [DRAFTS, EVENTS, DRAFTS, SUBSCRIPTIONS]


def test_an_unknown_finalized_invoice_is_verified_after_the_fact(tmp_path: Path) -> None:
    made = World(tmp_path, {"PACSPACE_STRIPE_SWEEP": "20m"}, clock=ManualClock(PERIOD_END - 5 * DAY))
    with closing(made.app):
        found = made.subscribe()
        made.use("5")
        made.stripe.webhook.lost_count_as_delivered = True
        made.stripe.set_webhook(lost_types=list(EventType))
        made.app.sweep.plan()
        made.run(MINUTE)
        made.stripe.create_first_invoice(found, with_usage=True)
        made.run(HOUR)
        assert verdict(made) == ("matched", "EXACT")
        assert made.invoice()["metadata"]["pacspace_verdict"] == "matched"


def test_an_invoice_given_up_for_a_wrong_key_is_found_again(tmp_path: Path) -> None:
    made = Forgetful(tmp_path, {"PACSPACE_STRIPE_RETRY": "1m"}, clock=ManualClock(PERIOD_END - 5 * DAY))
    with closing(made.app):
        found = made.subscribe()
        made.use("5")
        made.unknown = "/v1/invoices/in_"
        made.stripe.create_first_invoice(found, with_usage=True)
        made.run(HOUR)
        assert made.memory().ended
        made.unknown = None
        made.app.sweep.plan()
        made.run(MINUTE)
        assert verdict(made) == ("matched", "EXACT")


# -- early warnings that Stripe does not send --------------------------------------------------------------------------


def pause(made: World, subscription_id: str) -> None:
    ask(made, f"/v1/subscriptions/{subscription_id}", **{"pause_collection[behavior]": "keep_as_draft"})


@pytest.mark.parametrize("silent", ["mailed", "paused"])
def test_a_subscription_without_upcoming_events_gets_its_early_warning(tmp_path: Path, silent: str) -> None:
    made = World(tmp_path, {"PACSPACE_STRIPE_SWEEP": "6h"}, clock=ManualClock(PERIOD_END - 8 * DAY))
    with closing(made.app):
        method = "send_invoice" if silent == "mailed" else "charge_automatically"
        found = made.subscribe(collection_method=method)
        if silent == "paused":
            pause(made, found)
        made.bill("100")
        made.record("90")
        made.app.sweep.plan()
        made.run(DAY - HOUR)
        assert warning(made) is None
        made.run(8 * HOUR)
        assert warning(made) == "drifted"
        assert not [event for event in made.stripe.events if event["type"] == EventType.INVOICE_UPCOMING]


def test_a_subscription_with_upcoming_events_is_left_to_stripe_until_the_day_before(tmp_path: Path) -> None:
    made = World(tmp_path, {"PACSPACE_STRIPE_SWEEP": "1h"}, clock=ManualClock(PERIOD_END - 5 * DAY))
    with closing(made.app):
        made.subscribe()
        made.use("5")
        made.stripe.webhook.lost_count_as_delivered = True
        made.stripe.set_webhook(lost_types=["invoice.upcoming"])
        made.app.sweep.plan()
        made.run(4 * DAY - HOUR)
        assert warning(made) is None
        made.run(2 * HOUR)
        assert warning(made) == "matched"


def test_only_a_delivered_event_shows_that_the_endpoint_names_no_period(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        wakeups, journal = made.app.sweep.wakeups, made.app.store.journal
        for number, (outcome, known) in enumerate([(FOUND_BY_SWEEP, None), ("queued", "yes")]):
            data = {"id": f"evt_{number}", "type": "v1.invoice.upcoming", "created": "2026-10-01T00:00:00Z"}
            wakeups.take(event_in({"object": "v2.core.event", "livemode": False, **data}), outcome)
            assert journal.fact(UPCOMING_WITHOUT_PERIOD) == known


def test_no_early_warning_is_begun_twice_or_without_a_meter(tmp_path: Path) -> None:
    with world(tmp_path, warning="7d") as made:
        licensed = made.stripe.add_price(None, unit_amount=500)
        made.subscribe("cus_flat", prices=[licensed], collection_method="send_invoice")
        found = made.subscribe(collection_method="send_invoice")
        assert made.app.sweep.run(widely=True) == [upcoming_job_id(found, PERIOD_END)]
        assert made.app.sweep.run(widely=True) == []


@pytest.mark.parametrize("settings", [{"warning": "0"}, {"ledger": "settlement"}])
def test_without_a_horizon_or_windows_no_subscription_is_listed(tmp_path: Path, settings: dict[str, str]) -> None:
    with world(tmp_path, **settings) as made:
        made.subscribe(collection_method="send_invoice")
        made.app.sweep.run(widely=True)
        assert SUBSCRIPTIONS not in made.stripe_calls()


# -- when Stripe does not answer ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("closed", [DRAFTS, EVENTS, SUBSCRIPTIONS])
def test_a_list_that_the_key_may_not_read_hides_no_other(tmp_path: Path, closed: str) -> None:
    with world(tmp_path, sweep="20m") as made:
        made.subscribe(collection_method="send_invoice")
        made.use("5")
        made.stripe.set_webhook(lost_types=list(EventType))
        made.run(HOUR + MINUTE)
        made.stripe.forbid(closed)
        with pytest.raises(RemoteRefused):
            made.app.sweep.run()
        assert made.app.store.jobs.known([made.invoice_id])


def test_a_list_that_broke_off_is_read_again_from_where_it_began(tmp_path: Path) -> None:
    with world(tmp_path, sweep="12h") as made:
        made.app.sweep.run()
        made.clock.advance_to(START + INTERVAL)
        made.stripe.add_fault("500", endpoint=EVENTS, times=3)
        with pytest.raises(RemoteUnavailable):
            made.app.sweep.run()
        made.stripe.log.clear()
        made.app.sweep.run()
        asked = next(entry.params for entry in made.stripe.log if entry.endpoint == EVENTS)
        assert asked["created"] == {"gte": str(int((START - 10 * MINUTE).timestamp()))}


def test_two_processes_do_not_sweep_at_once(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        assert made.app.store.jobs.acquire(JobKind.SWEEP, SWEEP_ID, HOUR) is not None
        with pytest.raises(LeaseBusy):
            made.app.sweep.run()


def test_the_command_checks_due_invoices_although_stripe_does_not_answer(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.app.store.triggers.request(JobKind.INVOICE, "in_1")
        url = f"sqlite:///{tmp_path / 'world.db'}"
        done = CliRunner().invoke(cli, ["sweep"], env=ENVIRONMENT | {"PACSPACE_STRIPE_DATABASE_URL": url})
        assert isinstance(done.exception, RemoteUnavailable)
        assert "0 found that no webhook reported, 1 invoice checked" in done.output
        assert made.memory("in_1").verdict == "unproven"


def test_a_draft_that_is_unreadable_in_the_list_is_checked_and_reported(tmp_path: Path) -> None:
    """Its webhook was lost, and Stripe shows it in a shape that we cannot read: it is not nothing."""
    made = World(tmp_path, {"PACSPACE_STRIPE_SWEEP": "20m"}, validated=False)
    with closing(made.app):
        made.stripe.set_webhook(lost_types=list(EventType))
        made.subscribe()
        made.use("5")
        made.run(HOUR + MINUTE)
        made.stripe.account.invoices[made.invoice_id].footer = 7  # type: ignore[assignment]  # on purpose
        with pytest.raises(UnexpectedAnswer):
            made.app.sweep.run()
        made.settle()
        assert made.memory().verdict == "unproven"
        assert "alert:unanswered" in kinds(made)
