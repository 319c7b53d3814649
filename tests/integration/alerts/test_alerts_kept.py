"""Alerts through crashes and beside other processes, on real databases; and the command that lists them."""

import json
import threading
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from pacspace_stripe.alerts.delivery import AlertSender
from pacspace_stripe.alerts.rules.alert import Channel, Delivered, GivenUp
from pacspace_stripe.cli import cli
from pacspace_stripe.errors import LeaseLost
from pacspace_stripe.gate.gate_alerts import Alerts
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.store import JobKind, Store
from pacspace_stripe.store.alerts import DELIVERY_LEASE, DeliveryState
from pacspace_stripe.store.tables import alerts, deliveries
from tests.support.alert_receivers import (
    BOTH,
    LEASE,
    NO_SERVICE,
    SECRET,
    delivery,
    drifted,
    opened,
    receiving,
    sending,
    tell,
    teller,
)
from tests.support.worlds import ENVIRONMENT

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


# -- crashes, and several at once -----------------------------------------------------------------------------------


def test_an_alert_and_the_state_that_remembers_it_are_written_together(store: Store) -> None:
    memory = tell(store, "in_1")
    assert memory.alerted == ("drifted:OVERBILLED",)
    assert tell_again(store) == memory.alerted
    assert len(store.alerts.sent()) == 1


def tell_again(store: Store) -> tuple[str, ...]:
    leased = store.jobs.acquire(JobKind.INVOICE, "in_1", LEASE)
    assert leased is not None
    memory = Alerts(store=store, channels=BOTH).give(leased, leased.job.state, "drifted:OVERBILLED", "")
    leased.give_back(memory, None)
    return memory.alerted


def test_a_check_that_dies_after_an_alert_has_sent_it(store: Store, clock: ManualClock) -> None:
    leased = store.jobs.acquire(JobKind.INVOICE, "in_1", LEASE)
    assert leased is not None
    Alerts(store=store, channels=BOTH).give(leased, drifted("in_1"), "drifted:OVERBILLED", "")
    clock.advance(LEASE)
    assert tell_again(store) == ("drifted:OVERBILLED",)
    assert len(store.alerts.sent()) == 1


def test_a_check_that_lost_its_lease_sends_no_alert(store: Store, clock: ManualClock) -> None:
    leased = store.jobs.acquire(JobKind.INVOICE, "in_1", LEASE)
    assert leased is not None
    clock.advance(LEASE)
    with pytest.raises(LeaseLost):
        Alerts(store=store, channels=BOTH).give(leased, drifted("in_1"), "drifted:OVERBILLED", "")
    assert store.alerts.sent() == []
    assert store.journal.audit_trail("in_1") == []


def test_a_process_killed_at_any_moment_loses_and_doubles_no_alert(database_url: str) -> None:
    process = teller(database_url)
    assert process.stdout is not None
    said = [process.stdout.readline().strip() for _ in range(25)]
    process.kill()
    process.communicate()
    with closing(opened(database_url)) as store:
        with store.engine.connect() as connection:
            told = list(connection.execute(sa.select(alerts.c.job_id)).scalars())
            ways = list(connection.execute(sa.select(deliveries.c.alert_id)).scalars())
        remembered = [one.job_id for one in store.jobs.invoices() if one.state.alerted]
    assert sorted(told) == sorted(set(told)) == sorted(remembered)
    assert set(told) >= set(said)
    assert len(ways) == 2 * len(told)


def test_a_message_of_a_process_that_died_is_sent_again_under_the_same_id(store: Store, clock: ManualClock) -> None:
    tell(store, "in_1")
    with receiving() as receiver, sending(store, receiver) as dies, sending(store, receiver) as next_one:
        claimed = store.alerts.lease_due(Channel.WEBHOOK)
        assert claimed is not None
        dies.post(claimed.alert)
        assert next_one.deliver() is None
        clock.advance(DELIVERY_LEASE)
        assert isinstance(next_one.deliver(), Delivered)
    assert len(receiver.requests) == 2
    assert len(set(receiver.ids)) == 1
    assert delivery(store) == (DeliveryState.DELIVERED, 2, None)


def test_a_sender_whose_lease_expired_settles_nothing(store: Store, clock: ManualClock) -> None:
    tell(store, "in_1")
    with receiving(200) as receiver, sending(store, receiver) as next_one:
        slept = store.alerts.lease_due(Channel.WEBHOOK)
        assert slept is not None
        clock.advance(DELIVERY_LEASE)
        next_one.deliver()
        assert not store.alerts.settle(slept, GivenUp(), "too late")
    assert delivery(store) == (DeliveryState.DELIVERED, 2, None)


def test_several_processes_send_each_message_once(store: Store) -> None:
    for number in range(12):
        tell(store, f"in_{number}")
    with receiving() as receiver:

        def work() -> None:
            with sending(store, receiver) as mine:
                while mine.deliver() is not None:
                    pass

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(receiver.ids) == len(set(receiver.ids)) == 12


def test_a_started_sender_delivers_and_stops(sqlite_store: Store) -> None:
    with receiving() as receiver, sending(sqlite_store, receiver) as sender:
        tell(sqlite_store, "in_1")
        sender.start_if_due()
        deadline = time.monotonic() + 60
        while not receiver.requests and time.monotonic() < deadline:
            time.sleep(0.02)
        sender.stop()
        sender.close(seconds=30)
    assert len(receiver.requests) == 1


def test_failures_of_one_message_on_its_own_schedule_delay_no_other_message(
    sqlite_store: Store, clock: ManualClock
) -> None:
    passed = 0.0
    with receiving(500) as receiver, sending(sqlite_store, receiver) as sender:
        sender.monotonic = lambda: passed
        tell(sqlite_store, "in_1")
        for failures in range(1, 5):
            attempt(sender)
            assert len(receiver.requests) == failures
            # Longer than the rest after one failure; and nothing is due until the message's own schedule says so.
            passed += 3
            attempt(sender)
            assert len(receiver.requests) == failures
            clock.advance(3 * HOUR)


def attempt(sender: AlertSender) -> None:
    """Let the sender deliver what is due, and wait until it has ended."""
    sender.start_if_due()
    for thread in threading.enumerate():
        if thread.name.startswith("pacspace-alerts-"):
            thread.join(timeout=30)


# -- the command ----------------------------------------------------------------------------------------------------


def commanded(monkeypatch: pytest.MonkeyPatch, url: str, *arguments: str, **settings: str) -> tuple[int, str]:
    """Run ``pacspace-stripe alerts`` in an environment."""
    ours = {f"PACSPACE_STRIPE_{name.upper()}": value for name, value in settings.items()}
    for name, value in (ENVIRONMENT | {"PACSPACE_STRIPE_DATABASE_URL": url} | ours).items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(cli, ["alerts", *arguments])
    return result.exit_code, str(result.exception) if result.exit_code == 1 and not result.output else result.output


def test_the_command_lists_alerts_and_their_deliveries(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    with closing(opened(sqlite_url, clock.now)) as made, receiving(500) as receiver:
        tell(made, "in_1")
        with sending(made, receiver) as sender:
            sender.deliver()
    code, said = commanded(monkeypatch, sqlite_url)
    assert code == 0
    assert "drifted:OVERBILLED" in said
    assert "slack: waiting; webhook: waiting after 1, alerts to webhook: POST: HTTP 500" in said
    listed = json.loads(commanded(monkeypatch, sqlite_url, "--json")[1])
    assert [(one["about"], one["type"], len(one["deliveries"])) for one in listed] == [("in_1", "invoice.drifted", 2)]
    assert commanded(monkeypatch, sqlite_url, "--failed") == (0, "no alert failed\n")


def test_the_command_tests_every_address(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as webhook, receiving(NO_SERVICE) as slack:
        addresses = {
            "alert_webhook_url": webhook.url,
            "alert_webhook_secret": SECRET,
            "alert_slack_url": slack.url,
        }
        code, said = commanded(monkeypatch, sqlite_url, "--test", **addresses)
    assert (code, said) == (1, "webhook: delivered\nslack: HTTP 404, no_service\n")
    assert webhook.verified()[0]["type"] == "alert.test"


def test_without_an_address_the_command_names_the_setting(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = commanded(monkeypatch, sqlite_url, "--test")
    assert code == 1
    assert "PACSPACE_STRIPE_ALERT_WEBHOOK_URL" in said
