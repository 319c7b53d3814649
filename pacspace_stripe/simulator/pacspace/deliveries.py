"""The list of webhooks sent, and a repeated sending. No answer was ever published: these shapes are the simulator's."""

from typing import Any

from pacspace_stripe.simulator.outbox import DeliveredWebhook
from pacspace_stripe.simulator.pacspace import answers
from pacspace_stripe.simulator.pacspace.inputs import PacSpaceRequest
from pacspace_stripe.simulator.pacspace.refusals import PacSpaceRefusal
from pacspace_stripe.simulator.pacspace.webhooks import PacSpaceEvent
from pacspace_stripe.simulator.pacspace.world import World


def listed(world: World, call: PacSpaceRequest) -> dict[str, Any]:
    """GET /api/v1/balance/webhooks: newest first."""
    limit, offset = call.whole("limit", 50, 1, 100), call.whole("offset", 0, 0, 10**9)
    rows = [_row(world, event) for event in reversed(world.events)]
    wanted = call.query.get("status")
    found = [row for row in rows if wanted in {None, row["status"]}]
    return {"webhooks": found[offset : offset + limit], **answers.paged(len(found), limit, offset)}


def retry(world: World, call: PacSpaceRequest) -> dict[str, Any]:
    """POST /api/v1/balance/webhooks/{eventId}/retry."""
    event = next((event for event in world.events if event.id == call.values["eventId"]), None)
    if event is None:
        message = "Webhook event not found"
        raise PacSpaceRefusal(404, message, "WEBHOOK_EVENT_NOT_FOUND")
    now = world.clock.now()
    event.pending, event.acknowledged, event.lost = 1, False, False
    world.outbox.queue(DeliveredWebhook(event=event, first_at=now), now)
    return {**_row(world, event), "status": "pending"}


def _row(world: World, event: PacSpaceEvent) -> dict[str, Any]:
    attempts = [attempt for attempt in world.outbox.attempts if attempt.event_id == event.id]
    last = attempts[-1] if attempts else None
    return {
        "id": event.id,
        "eventId": event.id,
        "event": event.type,
        "status": _status(world, event, len(attempts)),
        "attempts": len(attempts),
        "lastStatusCode": last.status if last else None,
        "lastAttemptAt": answers.stamp(last.at) if last else None,
        "createdAt": event.happened_at,
    }


def _status(world: World, event: PacSpaceEvent, attempts: int) -> str:
    if event.acknowledged:
        return "delivered"
    gave_up = attempts >= (world.webhook.most_attempts or attempts + 1)
    return "failed" if event.lost or gave_up else "pending"
