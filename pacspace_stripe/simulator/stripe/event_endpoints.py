"""Events, to be read again for 30 days."""

import fnmatch
from collections.abc import Callable
from datetime import timedelta

from pacspace_stripe.simulator.stripe.calls import PAGING, Call, Endpoint, page, time_filter
from pacspace_stripe.simulator.stripe.errors import refuse, refuse_missing
from pacspace_stripe.simulator.stripe.forms import Params
from pacspace_stripe.simulator.stripe.shapes import Json
from pacspace_stripe.simulator.stripe.webhooks import Event

KEPT_FOR = timedelta(days=30)
MOST_TYPES = 20


def _type_filter(params: Params) -> Callable[[str], bool]:
    pattern, types = params.text("type"), params.words("types")
    if pattern is not None and types:
        refuse("You may only specify one of these parameters: type, types.", "types")
    if len(types) > MOST_TYPES:
        refuse(f"You can list at most {MOST_TYPES} types", "types")
    if pattern is not None:
        wanted = pattern
        return lambda name: fnmatch.fnmatchcase(name, wanted)
    return lambda name: not types or name in types


def list_events(call: Call) -> Json:
    """``GET /v1/events``."""
    params, account = call.params, call.account
    params.only(*PAGING, "type", "types", "created", "delivery_success")
    of_type, created = _type_filter(params), time_filter(params, "created")
    delivered = params.boolean("delivery_success")
    oldest = account.now() - KEPT_FOR

    def keep(event: Event) -> bool:
        if event.created < oldest or not of_type(event.type) or not created(event.created):
            return False
        return delivered is None or event.delivered == delivered

    return page(call, account.events, "/v1/events", Event.json, keep)


def get_event(call: Call) -> Json:
    """``GET /v1/events/{id}``."""
    call.params.only("expand")
    event = call.find(call.account.events, "event")
    if event.created < call.account.now() - KEPT_FOR:
        refuse_missing("event", event.id, "id")
    return event.json()


ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", "/v1/events"): list_events,
    ("GET", "/v1/events/{id}"): get_event,
}
