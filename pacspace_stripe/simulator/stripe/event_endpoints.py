"""Events, readable for 30 days."""

import fnmatch
import operator
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import urlencode

from pacspace_stripe.simulator.stripe.calls import PAGING, Endpoint, StripeRequest, page, page_size, time_filter
from pacspace_stripe.simulator.stripe.errors import refuse, refuse_missing
from pacspace_stripe.simulator.stripe.forms import Params
from pacspace_stripe.simulator.stripe.shapes import Json
from pacspace_stripe.simulator.stripe.webhooks import THIN_ONLY, THIN_PREFIX, StoredEvent

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


def list_events(call: StripeRequest) -> Json:
    """``GET /v1/events``."""
    params, account = call.params, call.account
    params.only(*PAGING, "type", "types", "created", "delivery_success")
    of_type, created = _type_filter(params), time_filter(params, "created")
    delivered = params.boolean("delivery_success")
    oldest = account.now() - KEPT_FOR

    def keep(event: StoredEvent) -> bool:
        if event.type in THIN_ONLY or event.created < oldest or not of_type(event.type) or not created(event.created):
            return False
        return delivered is None or event.delivered == delivered

    return page(call, account.events, "/v1/events", StoredEvent.json, keep)


def get_event(call: StripeRequest) -> Json:
    """``GET /v1/events/{id}``."""
    call.params.only("expand")
    event = call.find(call.account.events, "event")
    if event.type in THIN_ONLY or event.created < call.account.now() - KEPT_FOR:
        refuse_missing("event", event.id, "id")
    return event.json()


def list_core_events(call: StripeRequest) -> Json:
    """``GET /v2/core/events``: thin events, newest first; a page names the next one."""
    params, account = call.params, call.account
    params.only("limit", "page", "types", "created", "object_id")
    types, about, size = params.words("types"), params.text("object_id"), page_size(params)
    if len(types) > MOST_TYPES:
        refuse(f"You can list at most {MOST_TYPES} types", "types")
    created, oldest = _written_filter(params), account.now() - KEPT_FOR
    found = [
        event
        for event in account.events.older_than(None)
        if event.created >= oldest
        and created(event.created)
        and (not types or f"{THIN_PREFIX}{event.type}" in types)
        and about in (None, event.object.get("id"))
    ]
    start = params.integer("page", 0) or 0
    asked = [("limit", str(size)), *((f"types[{place}]", one) for place, one in enumerate(types))]
    asked += [(f"created[{name}]", str(bound)) for name, bound in (params.get("created") or {}).items()]
    more, query = start + size < len(found), urlencode([*asked, ("page", str(start + size))])
    return {
        "data": [event.read() for event in found[start : start + size]],
        "next_page_url": f"/v2/core/events?{query}" if more else None,
        "previous_page_url": None,
    }


def get_core_event(call: StripeRequest) -> Json:
    """``GET /v2/core/events/{id}``."""
    return call.find(call.account.events, "event").read()


def _written_filter(params: Params) -> Callable[[datetime], bool]:
    """Return the predicate of ``created[gte]=2026-11-01T00:00:00Z``."""
    bounds = params.within("created")
    bounds.only("gt", "gte", "lt", "lte")
    limits = [(_BOUNDS[name], datetime.fromisoformat(bounds.required(name))) for name in bounds]
    return lambda at: all(holds(at, bound) for holds, bound in limits)


_BOUNDS: dict[str, Callable[[datetime, datetime], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}

ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", "/v1/events"): list_events,
    ("GET", "/v1/events/{id}"): get_event,
    ("GET", "/v2/core/events"): list_core_events,
    ("GET", "/v2/core/events/{id}"): get_core_event,
}
