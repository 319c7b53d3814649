"""Events of the simulated Stripe: signed, retried, and with every fault of delivery."""

from datetime import timedelta

import httpx
import pytest
import stripe

from tests.support.openapi import object_problems
from tests.support.stripe_worlds import APRIL, HOUR, MARCH, MAY, StripeWorld, unix

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def world() -> StripeWorld:
    return StripeWorld()


def test_every_delivery_is_signed_with_each_secret() -> None:
    world = StripeWorld(webhook_secret=["whsec_old", "whsec_new"])
    world.renewed()
    request = world.inbox.requests[0]
    assert request.headers["Stripe-Signature"].count("v1=") == 2
    for secret in ("whsec_old", "whsec_new"):
        stripe.WebhookSignature.verify_header(request.content, request.headers["Stripe-Signature"], secret)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(request.content + b" ", request.headers["Stripe-Signature"], "whsec_new")


def test_a_failed_delivery_is_tried_again_with_growing_waits_until_three_days(world: StripeWorld) -> None:
    world.simulator.webhook.enabled_events = frozenset({"invoice.created"})
    world.inbox.answer = lambda _: 302
    world.renewed()
    world.run_until(MAY - HOUR)
    waits = [attempt.at - APRIL for attempt in world.simulator.deliveries if attempt.type == "invoice.created"]
    assert waits[:4] == [timedelta(0), 5 * MINUTE, 35 * MINUTE, 155 * MINUTE]
    assert max(waits) < 3 * DAY
    assert len(waits) > 6
    failed = world.get("events", delivery_success="false")["data"]
    assert [event["type"] for event in failed] == ["invoice.created"]
    assert failed[0]["pending_webhooks"] == 1


def test_a_receiver_that_does_not_answer_is_a_failed_delivery(world: StripeWorld) -> None:
    def unreachable(_: httpx.Request) -> int:
        message = "nobody listens"
        raise httpx.ConnectError(message)

    world.inbox.answer = unreachable
    world.simulator.webhook.enabled_events = frozenset({"invoice.created"})
    world.renewed()
    assert {attempt.status for attempt in world.simulator.deliveries[1:]} == {None}
    world.inbox.answer = lambda _: 200
    world.run_until(APRIL + HOUR - MINUTE)
    assert world.get("events", delivery_success="false")["data"] == []
    assert world.simulator.account.outbox.next_due_at() is None


def test_each_retry_has_a_signature_of_its_own(world: StripeWorld) -> None:
    world.inbox.answer = lambda _: 500 if len(world.inbox.requests) == 1 else 200
    world.subscribe()
    world.run_until(MARCH + 6 * MINUTE)
    first, *_, last = (request.headers["Stripe-Signature"].split(",")[0] for request in world.inbox.requests)
    assert (first, last) == (f"t={unix(MARCH)}", f"t={unix(MARCH + 5 * MINUTE)}")


def test_duplicates_carry_the_same_event_id(world: StripeWorld) -> None:
    world.simulator.set_webhook(copies=3)
    world.renewed()
    ids = [event["id"] for event in world.inbox.events]
    made = [event["id"] for event in world.simulator.events[1:]]  # the first came with the world
    assert sorted(ids) == sorted(made * 3)


def test_events_that_are_due_together_can_come_in_another_order() -> None:
    orders = set()
    for seed in range(4):
        world = StripeWorld(seed=seed)
        world.simulator.set_webhook(shuffled=True)
        world.use("1")
        invoice_id = world.renewed()
        for place in range(5):
            world.post(f"invoices/{invoice_id}", **{"metadata[n]": str(place)})
        before = len(world.inbox.requests)
        world.simulator.run_due()
        got = [event["data"]["object"]["metadata"]["n"] for event in world.inbox.events[before:]]
        assert sorted(got) == ["0", "1", "2", "3", "4"]
        orders.add(tuple(got))
    assert len(orders) > 1


@pytest.mark.parametrize(("acknowledged", "found"), [(False, ["invoice.created"]), (True, [])])
def test_a_lost_event_is_never_delivered_and_stays_in_the_list(
    world: StripeWorld,
    acknowledged: bool,  # noqa: FBT001 - a parameter of the table
    found: list[str],
) -> None:
    world.simulator.webhook.lost_types = frozenset({"invoice.created"})
    world.simulator.webhook.lost_count_as_delivered = acknowledged
    world.renewed()
    world.run_until(APRIL + 4 * DAY)
    assert "invoice.created" not in world.inbox.types
    undelivered = world.get("events", delivery_success="false")["data"]
    assert [event["type"] for event in undelivered] == found
    assert len(world.get("events", **{"types[]": "invoice.created"})["data"]) == 1


def test_events_are_lost_by_share_and_by_choice(world: StripeWorld) -> None:
    world.simulator.set_webhook(loss=1.0)
    world.renewed()
    assert world.inbox.types == []
    world.simulator.set_webhook(loss=0.0)
    world.simulator.webhook.loses = lambda event: event["type"].startswith("customer")
    world.run_until(MAY)
    assert "invoice.finalized" in world.inbox.types
    assert not any(name.startswith("customer") for name in world.inbox.types)


def test_delivery_can_be_late(world: StripeWorld) -> None:
    world.simulator.set_webhook(delay=HOUR)
    world.subscribe()
    world.run_until(MARCH + HOUR - MINUTE)
    assert world.inbox.types == []
    world.run_until(MARCH + HOUR)
    assert world.inbox.types == ["customer.subscription.created"]


def test_the_receiver_may_call_back_during_a_delivery(world: StripeWorld) -> None:
    def hold(request: httpx.Request) -> int:
        event = httpx.Response(200, content=request.content).json()
        if event["type"] == "invoice.created":
            world.post(f"invoices/{event['data']['object']['id']}", auto_advance="false")
        return 200

    world.inbox.answer = hold
    invoice_id = world.renewed()
    world.run_until(APRIL + DAY)
    assert world.get(f"invoices/{invoice_id}")["status"] == "draft"


def test_an_exception_in_the_receiver_is_seen_and_the_delivery_is_tried_again(world: StripeWorld) -> None:
    def broken(_: httpx.Request) -> int:
        raise ZeroDivisionError

    world.inbox.answer = broken
    world.subscribe()
    with pytest.raises(ZeroDivisionError):
        world.simulator.run_due()
    world.inbox.answer = lambda _: 200
    world.run_until(MARCH + HOUR)
    assert world.inbox.types == ["customer.subscription.created"] * 2


def test_the_invoice_shows_the_time_at_which_webhooks_were_delivered(world: StripeWorld) -> None:
    invoice = world.get(f"invoices/{world.renewed()}")
    assert invoice["webhooks_delivered_at"] == unix(APRIL)


def test_without_an_endpoint_events_are_made_and_nothing_waits() -> None:
    world = StripeWorld(deliver=None)
    invoice = world.get(f"invoices/{world.renewed()}")
    assert invoice["webhooks_delivered_at"] == unix(APRIL)
    events = world.get("events", delivery_success="true")["data"]
    assert events[0]["pending_webhooks"] == 0
    assert world.inbox.requests == []


def test_an_endpoint_of_an_old_api_version_gets_the_old_shape(world: StripeWorld) -> None:
    world.simulator.set_webhook(api_version="2024-06-20")
    world.use("5")
    subscription = world.subscribe(metadata={"a": "1"})
    world.run_until(APRIL)
    event = next(event for event in world.inbox.events if event["type"] == "invoice.created")
    invoice = event["data"]["object"]
    assert (event["api_version"], invoice["subscription"]) == ("2024-06-20", subscription)
    assert invoice["subscription_details"]["metadata"] == {"a": "1"}
    assert invoice["paid"] is False
    line = invoice["lines"]["data"][0]
    assert (line["price"]["id"], line["type"], line["proration"]) == (world.price, "subscription", False)
    assert line["subscription_item"].startswith("si_")
    assert not {"parent", "pricing", "quantity_decimal"} & (set(line) | set(invoice))
    assert object_problems(world.get(f"invoices/{invoice['id']}")) == []
    assert world.get(f"events/{event['id']}")["data"]["object"] == invoice, "kept in the version it was made with"


def test_events_are_filtered_paged_and_kept_for_thirty_days(world: StripeWorld) -> None:
    world.renewed()
    world.run_until(APRIL + 2 * HOUR)
    young = [event for event in world.simulator.events if event["created"] > unix(MARCH + 2 * DAY)]
    every = [event["id"] for event in young][::-1]
    first = world.get("events", limit=3)
    rest = world.get("events", limit=100, starting_after=first["data"][-1]["id"])
    assert [event["id"] for event in first["data"] + rest["data"]] == every
    assert (first["has_more"], rest["has_more"]) == (True, False)
    invoices = world.get("events", type="invoice.*")["data"]
    assert {event["type"].partition(".")[0] for event in invoices} == {"invoice"}
    for query in ("type=a&types[]=b", "&".join(["types[]=invoice.paid"] * 21)):
        assert world.http.get(f"/v1/events?{query}").status_code == 400
    some = world.http.get("/v1/events?types[]=invoice.paid&types[]=invoice.finalized").json()["data"]
    assert [event["type"] for event in some] == ["invoice.paid", "invoice.finalized"]
    since = world.get("events", **{"created[gt]": unix(APRIL)})["data"]
    assert all(event["created"] > unix(APRIL) for event in since)
    world.run_until(MAY + 2 * DAY)
    gone = world.http.get(f"/v1/events/{every[0]}")
    assert gone.status_code == 404
    assert every[0] not in [event["id"] for event in world.get("events", limit=100)["data"]]
