"""Webhooks of the PacSpace simulator: signed, retried, doubled, shuffled or lost."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pacspace_sdk.errors import WebhookVerificationError
from pacspace_sdk.webhooks import Webhooks

from pacspace_stripe.simulator.pacspace import PacSpaceSimulator
from pacspace_stripe.simulator.pacspace.webhooks import signature
from tests.support.pacspace_calls import APRIL, CUSTOMER, NOW, World, delta

FAR = 10**10
"""Seconds of tolerance, since these worlds have a time of their own."""


def events(world: World) -> list[tuple[str, dict[str, Any]]]:
    bodies = [json.loads(request.content) for request in world.received]
    return [(body["event"], body["data"]) for body in bodies]


def test_events_are_sent_in_order() -> None:
    world = World({"verify_delay": 3, "checkpoint_delay": 2})
    world.ledger.record(CUSTOMER, -1, NOW - timedelta(hours=1))
    made = world.pac.balance.checkpoint(CUSTOMER, APRIL)
    emitted = world.pac.balance.emit(delta())
    failing = world.pac.balance.emit(delta(7))
    world.ledger.run_due()
    assert [kind for kind, _ in events(world)] == ["customer.created", "delta.verified"]

    world.clock.advance(1)
    world.ledger.fail(failing.record_id or "", "bad shape")
    assert world.ledger.next_due_at() == NOW + timedelta(seconds=1)
    world.clock.advance(2)
    world.ledger.run_due()

    told = events(world)[2:]
    assert [kind for kind, _ in told] == ["delta.failed", "checkpoint.verified", "delta.verified"]
    assert (told[0][1]["recordId"], told[0][1]["error"]) == (failing.record_id, "bad shape")
    assert told[1][1]["checkpointId"] == made.checkpoint_id
    assert told[1][1]["proofRoot"]
    assert told[2][1]["recordId"] == emitted.record_id
    assert world.ledger.next_due_at() is None


def test_the_published_vector_gives_the_published_signature() -> None:
    body = b'{"event":"delta.verified","data":{"recordId":"rec_1"}}'
    expected = "v1=8d2ab76f863c13d6d10d5f82e5a3f37e0d34eab4a80d41bebae3fb642e26e304"
    assert signature(body, "1739270400", ("whsec_test",)) == expected


@pytest.mark.parametrize("milliseconds", [False, True])
@pytest.mark.parametrize("secrets", [["whsec_new"], ["whsec_new", "whsec_old"]])
def test_the_sdk_verifies_the_signature(*, milliseconds: bool, secrets: list[str]) -> None:
    world = World({"verify_delay": 0})
    world.ledger.set_webhook(secrets=secrets, milliseconds=milliseconds)
    world.pac.balance.emit(delta())
    world.ledger.run_due()
    request = world.received[-1]
    headers, body = dict(request.headers), request.content.decode()
    for secret in secrets:
        assert Webhooks(secret).verify_from_headers(headers, body, tolerance=FAR)["event"] == "delta.verified"
    with pytest.raises(WebhookVerificationError):
        Webhooks("whsec_other").verify_from_headers(headers, body, tolerance=FAR)
    assert len(headers["x-pacspace-signature"].split(",")) == len(secrets)
    assert int(headers["x-pacspace-timestamp"]) // (1000 if milliseconds else 1) == int(NOW.timestamp())
    assert headers["x-webhook-event"] == "delta.verified"
    assert headers["x-event-id"] == json.loads(body)["id"]


@pytest.mark.parametrize(("shape", "amount"), [("flat", -42.5), ("nested", {"amount"}), ("both", {"amount"})])
def test_the_data_has_either_shape_or_both(shape: str, amount: object) -> None:
    world = World({"verify_delay": 0, "webhook_data": shape})
    world.pac.balance.emit(delta())
    world.ledger.run_due()
    _, data = events(world)[-1]
    found = data["delta"]
    assert (amount & found.keys() if isinstance(amount, set) else found) == amount
    assert ("recordId" in data) is (shape != "nested")
    assert ("proof" in data) is (shape != "flat")


def test_both_envelopes_are_there() -> None:
    world = World({"verify_delay": 0})
    world.pac.balance.emit(delta())
    world.ledger.run_due()
    assert set(json.loads(world.received[0].content)) == {"id", "event", "tenantId", "createdAt", "timestamp", "data"}


def test_an_undelivered_webhook_is_retried_ten_times_and_no_more() -> None:
    world = World({"verify_delay": 0})
    world.accepts = False
    world.ledger.set_webhook(lost_types=["customer.created"])
    world.pac.balance.emit(delta())
    tried = [world.ledger.run_due()]
    while (due := world.ledger.next_due_at()) is not None:
        world.clock.advance_to(due)
        tried.append(world.ledger.run_due())
    assert tried == [1] * 11
    waits = [
        later.at - sooner.at for sooner, later in zip(*(world.ledger.deliveries()[n:] for n in (0, 1)), strict=False)
    ]
    assert waits == sorted(waits)
    assert len({request.headers["X-Event-ID"] for request in world.received}) == 1
    (given_up,) = [each for each in world.pac.tenant.webhook_deliveries().deliveries if each.attempts == 11]
    assert given_up.status == "FAILED"

    world.accepts = True
    world.pac.tenant.retry_webhook(given_up.event_id or "")
    world.ledger.run_due()
    (delivered,) = world.pac.tenant.webhook_deliveries(status="delivered").deliveries
    assert (delivered.event_id, delivered.status) == (given_up.event_id, "DELIVERED")


def test_webhooks_come_doubled_shuffled_late_or_not_at_all() -> None:
    world = World({"verify_delay": 0})
    world.ledger.set_webhook(copies=2, shuffled=True, delay=timedelta(seconds=5), lost_types=["customer.created"])
    ids = [world.pac.balance.emit(delta(number + 1)).record_id for number in range(10)]
    assert world.ledger.run_due() == 0
    world.clock.advance(5)
    world.ledger.run_due()
    told = [data["recordId"] for _, data in events(world)]
    assert sorted(told) == sorted([*ids, *ids])  # type: ignore[type-var]  # every one has an id
    assert told != sorted(told, key=[*ids].index)
    world.ledger.set_webhook(loss=1.0)
    world.pac.balance.emit(delta())
    world.clock.advance(5)
    assert world.ledger.run_due() == 0


def test_webhooks_go_to_this_machine_only_and_not_before_they_are_asked_for() -> None:
    world = World()
    alone = PacSpaceSimulator(world.clock)
    alone.record(CUSTOMER, -1)
    assert (alone.run_due(), alone.events(), alone.next_due_at()) == (0, [], None)
    with pytest.raises(ValueError, match="loopback"):
        alone.set_webhook("https://pacspace.test/hook")
    alone.set_webhook("http://127.0.0.1:9/hook")
    alone.record(CUSTOMER, -2)
    assert alone.run_due() == 1
    assert [attempt.status for attempt in alone.deliveries()] == [None]
    alone.close()
    assert alone.run_due() == 0


def test_the_receiver_may_call_back() -> None:
    world = World({"verify_delay": 0})
    balances: list[object] = []

    def calling(_: httpx.Request) -> httpx.Response:
        balances.append(world.pac.balance.derive(CUSTOMER).balance)
        return httpx.Response(200)

    ledger = PacSpaceSimulator(world.clock, deliver=calling)
    ledger.record(CUSTOMER, -1)
    world.ledger.record(CUSTOMER, -5)
    assert ledger.run_due() == 2
    assert balances == [-5, -5]
