"""Writes of the official SDK and of our client: the same answers, field by field, over one socket each."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from pacspace_sdk import errors as sdk_errors

from pacspace_stripe.errors import Conflict, DeltaFailed, NotFound
from pacspace_stripe.pacspace_api import DeliveryStatus, DeltaState, NewDelta, WebhookDelivery
from tests.integration.test_pacspace_both_clients import QUESTIONS, Both, agree, started

EMITTED: Mapping[str, str] = {
    "record_id": "recordId",
    "receipt_id": "receiptId",
    "status": "status",
    "customer_id": "customerId",
    "amount": "delta",
    "reason": "reason",
    "reference_id": "referenceId",
    "sequence_number": "sequenceNumber",
    "recorded_at": "createdAt",
}
DELTA = QUESTIONS["delta"][2]
DELIVERY: Mapping[str, str] = {"event_id": "eventId", "event": "event", "attempts": "attempts"}
WINDOW = {"windowStart": "2026-03-17T00:00:00Z", "windowEnd": "2026-03-18T00:00:00Z"}


@pytest.fixture
def both() -> Iterator[Both]:
    with started() as made:
        yield made


def delta(reference: str = "r1", **more: object) -> NewDelta:
    given = {"customer_id": "new", "delta": Decimal("-42.5"), "reason": "usage", "metadata": {"region": "eu"}, **more}
    return NewDelta(reference_id=reference, **given)  # type: ignore[arg-type]  # what a test wants to send


def theirs_of(new: NewDelta, key: str) -> tuple[str, float, str, dict[str, object]]:
    """Return the arguments of the delta for the SDK."""
    options: dict[str, object] = {
        "referenceId": new.reference_id,
        "metadata": dict(new.metadata),
        "idempotencyKey": key,
    }
    return new.customer_id, float(new.delta), new.reason, options


def eventually(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not true():
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.01)


def test_both_clients_get_the_same_answer_to_an_emit_and_its_replay(both: Both) -> None:
    for first, again in (("ours", "theirs"), ("theirs", "ours")):
        new = delta(first)
        answers = {
            "ours": partial(both.ours.balance.emit, new, idempotency_key=first),
            "theirs": partial(both.theirs.balance.emit, *theirs_of(new, first)),
        }
        told: dict[str, Any] = {name: answers[name]() for name in (first, again)}
        agree(told["ours"], told["theirs"], EMITTED)
    assert both.theirs.balance.customer("new")["totalDeltas"] == 2


def test_both_clients_wait_for_the_same_verified_delta(both: Both) -> None:
    customer, amount, reason, options = theirs_of(delta(), "key-1")
    theirs = both.theirs.balance.emit_and_wait(
        customer, amount, reason, {**options, "timeout": 5_000, "pollInterval": 10}
    )
    ours = both.ours.balance.emit_and_wait(delta(), idempotency_key="key-1", poll=timedelta(seconds=0.01))
    assert ours.status is DeltaState.VERIFIED
    agree(ours, theirs, DELTA)


def test_our_client_raises_for_a_delta_that_fails_while_it_waits(both: Both) -> None:
    both.simulator.configure(verify_delay=60)
    made = both.theirs.balance.emit(*theirs_of(delta(), "key-1"))
    both.simulator.fail(made["recordId"], "chain refused it")
    theirs = both.theirs.balance.wait_for_verified(made["recordId"], {"timeout": 5_000, "pollInterval": 10})
    with pytest.raises(DeltaFailed, match="chain refused it"):
        both.ours.balance.wait_for_verified(made["recordId"])
    assert (theirs["status"], theirs["error"]) == ("FAILED", "chain refused it")
    agree(both.ours.balance.delta(made["recordId"]), theirs, {**EMITTED, "error": "error"})


def flush(both: Both, *customers: str) -> dict[str, object]:
    for customer in customers:
        both.theirs.balance.queue_summary({"customerId": customer, "delta": -3.0, "referenceId": customer, **WINDOW})
    flushed: dict[str, object] = both.theirs.balance.flush_summaries()
    return flushed


def test_both_clients_get_the_same_answer_to_a_batch(both: Both) -> None:
    theirs = flush(both, "a", "b")
    ours = both.ours.balance.emit_batch([delta(each, customer_id=each, delta=-3) for each in ("a", "b", "c")])
    again = flush(both, "a", "c")
    assert (theirs["submitted"], theirs["replayed"], theirs["failed"]) == (2, 0, 0)
    assert (ours.queued, ours.failed, ours.unanswered) == (3, 0, ())
    assert [item.replayed for item in ours.items] == [True, True, False]
    assert (again["submitted"], again["replayed"], again["failed"]) == (2, 2, 0)
    for item, customer in zip(ours.items, ("a", "b", "c"), strict=True):
        (row,) = both.theirs.balance.customer(customer)["recentActivity"]["items"]
        agree(item, row, {"record_id": "recordId", "receipt_id": "receiptId"})


@pytest.mark.parametrize("fault", ["cadence_limit", "plan_full"])
def test_both_clients_learn_the_same_reason_for_a_refused_delta_of_a_batch(both: Both, fault: str) -> None:
    both.simulator.add_fault(fault)
    failures = flush(both, "a")["failures"]
    ours = both.ours.balance.emit_batch([delta("a", customer_id="a", delta=-3)])
    assert isinstance(failures, list)
    assert [(item.status, item.error) for item in ours.items] == [(DeltaState.FAILED, failures[0]["error"])]
    assert (ours.queued, ours.failed) == (0, 1)


def delivered(both: Both) -> None:
    """Wait until every delivery is done."""
    eventually(lambda: all(each.status is not DeliveryStatus.PENDING for each in deliveries(both)))


def deliveries(both: Both) -> tuple[WebhookDelivery, ...]:
    return both.ours.tenant.webhook_deliveries(limit=100).deliveries


def test_both_clients_list_the_same_deliveries_and_ours_keeps_their_state(both: Both) -> None:
    both.receiver.wait()
    eventually(lambda: len(deliveries(both)) >= 5)
    delivered(both)
    theirs = both.theirs.balance.list_webhook_deliveries({"limit": 3, "offset": 1})
    ours = both.ours.tenant.webhook_deliveries(limit=3, offset=1)
    assert ours.total == theirs["total"]
    assert len(ours.deliveries) == len(theirs["webhooks"]) == 3
    for each, row in zip(ours.deliveries, theirs["webhooks"], strict=True):
        agree(each, row, DELIVERY)
        # The SDK calls every state that no delta has QUEUED.
        assert (each.status, row["status"]) == (DeliveryStatus.DELIVERED, "QUEUED")
    lost = both.ours.tenant.webhook_deliveries(status="failed").deliveries
    assert [(each.event, each.status) for each in lost] == [("customer.created", DeliveryStatus.FAILED)]


def test_both_clients_repeat_a_delivery(both: Both) -> None:
    event_id = both.receiver.wait().headers["X-Event-ID"]
    delivered(both)
    theirs = both.theirs.balance.retry_webhook(event_id)
    delivered(both)
    ours = both.ours.tenant.retry_webhook(event_id)
    delivered(both)
    agree(ours, theirs, {"event_id": "eventId", "event": "event"})
    assert ours.attempts == theirs["attempts"] + 1
    assert ours.status is DeliveryStatus.PENDING
    sent = [request.headers["X-Event-ID"] for request in both.receiver.requests]
    assert sent.count(event_id) == 3


def test_neither_client_finds_an_unknown_event(both: Both) -> None:
    with pytest.raises(sdk_errors.NotFoundError):
        both.theirs.balance.retry_webhook("evt_nobody")
    with pytest.raises(NotFound):
        both.ours.tenant.retry_webhook("evt_nobody")


def test_both_clients_make_the_same_customer(both: Both) -> None:
    token = both.simulator.dashboard_token()
    theirs = both.theirs.customers.create(
        display_name="Acme", customer_id="made:1", unit_label="calls", options={"dashboardToken": token}
    )
    ours = both.ours.customers.create("Acme", customer_id="made:2", unit_label="calls", dashboard_token=token)
    assert (theirs["customerId"], ours.customer_id) == ("made:1", "made:2")
    agree(ours, theirs, {"display_name": "displayName"})
    own = {"customerId", "createdAt"}
    assert {name: each for name, each in ours.body.items() if name not in own} == {
        name: each for name, each in theirs.items() if name not in own
    }


def test_neither_client_makes_a_customer_that_exists(both: Both) -> None:
    token = both.simulator.dashboard_token()
    both.ours.customers.create("Acme", customer_id="made:1", dashboard_token=token)
    with pytest.raises(sdk_errors.PacSpaceError) as refused:
        both.theirs.customers.create(display_name="A", customer_id="made:1", options={"dashboardToken": token})
    with pytest.raises(Conflict) as told:
        both.ours.customers.create("A", customer_id="made:1", dashboard_token=token)
    assert (told.value.status, told.value.code) == (refused.value.status_code, refused.value.code)
