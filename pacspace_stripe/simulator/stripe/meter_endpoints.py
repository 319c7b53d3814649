"""Meters, meter events and their summaries."""

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal

from pacspace_stripe.simulator.stripe.account import Account
from pacspace_stripe.simulator.stripe.calls import PAGING, Endpoint, StripeRequest, page, page_of, required_moment
from pacspace_stripe.simulator.stripe.errors import refuse, refuse_missing, refuse_state
from pacspace_stripe.simulator.stripe.forms import Params, decimal_of
from pacspace_stripe.simulator.stripe.shapes import Json, meter_event_json, meter_json
from pacspace_stripe.simulator.stripe.tables import digits
from pacspace_stripe.simulator.stripe.usage import aggregate, too_many_digits
from pacspace_stripe.simulator.stripe.webhooks import rfc3339
from pacspace_stripe.simulator.stripe.world import MeterEvent, StoredMeter, unix, whole_second

OLDEST_EVENT, NEWEST_EVENT = timedelta(days=35), timedelta(minutes=5)
_SAMPLES = 10
"""Number of rejected meter events in a report."""
UNIQUE_FOR = timedelta(hours=24)


def create_meter(call: StripeRequest) -> Json:
    """``POST /v1/billing/meters``."""
    params = call.params
    params.only(
        "display_name",
        "event_name",
        "default_aggregation",
        "customer_mapping",
        "value_settings",
        "event_time_window",
        "expand",
    )
    event_name = params.required("event_name", longest=100)
    if call.account.meter_named(event_name) is not None:
        refuse_state(f"A meter with event_name '{event_name}' already exists", param="event_name")
    aggregation = params.within("default_aggregation")
    aggregation.required("formula")
    formula = aggregation.choice("formula", "sum", "count", "last")
    window = params.choice("event_time_window", "hour", "day")
    mapping, value = params.within("customer_mapping"), params.within("value_settings")
    mapping.choice("type", "by_id")
    meter = StoredMeter(
        id=call.account.ids.new("mtr"),
        created=whole_second(call.account.now()),
        event_name=event_name,
        display_name=params.required("display_name", longest=250),
        formula="count" if formula == "count" else "last" if formula == "last" else "sum",
        event_time_window="hour" if window == "hour" else "day" if window else None,
        customer_key=mapping.text("event_payload_key") or "stripe_customer_id",
        value_key=value.text("event_payload_key") or "value",
    )
    return meter_json(call.account.meters.add(meter))


def get_meter(call: StripeRequest) -> Json:
    """``GET /v1/billing/meters/{id}``."""
    call.params.only("expand")
    return meter_json(call.find(call.account.meters, "meter"))


def list_meters(call: StripeRequest) -> Json:
    """``GET /v1/billing/meters``."""
    call.params.only(*PAGING, "status")
    status = call.params.choice("status", "active", "inactive")
    return page(
        call, call.account.meters, "/v1/billing/meters", meter_json, lambda meter: status in {None, meter.status}
    )


def create_meter_event(call: StripeRequest) -> Json:
    """``POST /v1/billing/meter_events``."""
    params, account = call.params, call.account
    params.only("event_name", "payload", "identifier", "timestamp", "expand")
    event_name = params.required("event_name", longest=100)
    meter = account.meter_named(event_name)
    if meter is None:
        refuse_state(f"No active meter found for event name: {event_name}", param="event_name")
    payload = params.within("payload")
    at = _event_time(account, params)
    event = accept(
        account,
        event_name=event_name,
        customer=payload.required(meter.customer_key, longest=100),
        value=_event_value(meter, payload),
        at=at,
        identifier=params.text("identifier", longest=100),
    )
    return meter_event_json(event, {key: str(payload[key]) for key in payload})


def _event_time(account: Account, params: Params) -> datetime:
    now = account.now()
    at = params.moment("timestamp") or whole_second(now)
    if at < now - OLDEST_EVENT:
        oldest = unix(now - OLDEST_EVENT)
        message = f"The event timestamp cannot be more than 35 days in past. Expected at least {oldest}."
        refuse(message, "timestamp", "timestamp_too_far_in_past")
    if at > now + NEWEST_EVENT:
        message = "The event timestamp cannot be more than 5 minutes in the future."
        refuse(message, "timestamp", "timestamp_in_future")
    return at


def _event_value(meter: StoredMeter, payload: Params) -> Decimal:
    name = payload.name(meter.value_key)
    if meter.formula == "count" and meter.value_key not in payload:
        return Decimal(1)
    text = payload.required(meter.value_key, longest=100)
    value = decimal_of(text)
    if value is None:
        refuse(f"Invalid value: {text} is not a number", name, "meter_event_invalid_value")
    if too_many_digits(value):
        message = "Meter event values can have at most 15 significant digits"
        refuse(message, name, "meter_event_value_too_many_digits")
    return value


def accept(
    account: Account, *, event_name: str, customer: str, value: Decimal, at: datetime, identifier: str | None
) -> MeterEvent:
    """Accept a meter event; it counts after the aggregation delay."""
    now = account.now()
    identifier = identifier or account.ids.new("mevt")
    known = account.usage.known(identifier)
    if known is not None and now - known < UNIQUE_FOR:
        refuse_state(f"An event already exists with identifier {identifier}", param="identifier")
    event = MeterEvent(
        identifier=identifier,
        event_name=event_name,
        customer=customer,
        value=value,
        at=whole_second(at),
        created=now,
        visible_at=now + account.behaviour.aggregation_delay,
    )
    account.usage.add(event)
    return event


def reject(account: Account, meter: StoredMeter | None, code: str, errors: list[tuple[str, str]]) -> None:
    """Report meter events that were accepted and rejected later: identifiers and messages, of one code."""
    end = account.now().replace(second=0, microsecond=0) + timedelta(minutes=1)
    reported = {"code": code, "error_count": len(errors), "sample_errors": _samples(errors)}
    many = "1 event" if len(errors) == 1 else f"{len(errors)} events"
    data: Json = {
        "developer_message_summary": f"There is {many} with invalid data. Check the details in the reason.",
        "reason": {"error_count": len(errors), "error_types": [reported]},
        "validation_start": rfc3339(end - timedelta(minutes=10)),
        "validation_end": rfc3339(end),
    }
    name = "error_report_triggered" if meter else "no_meter_found"
    account.emit(f"billing.meter.{name}", meter_json(meter) if meter else {}, data=data)


def _samples(errors: list[tuple[str, str]]) -> list[Json]:
    return [
        {"error_message": message, "request": {"identifier": identifier}} for identifier, message in errors[:_SAMPLES]
    ]


def list_summaries(call: StripeRequest) -> Json:
    """``GET /v1/billing/meters/{id}/event_summaries``."""
    params, account = call.params, call.account
    params.only(*PAGING, "customer", "start_time", "end_time", "value_grouping_window")
    meter = call.find(account.meters, "meter")
    customer = params.required("customer")
    if customer not in account.customers:
        refuse_missing("customer", customer, "customer", status=400)
    start, end = required_moment(params, "start_time"), required_moment(params, "end_time")
    window = params.choice("value_grouping_window", "hour", "day")
    step = {"hour": 3600, "day": 86400}.get(window or "", 60)
    for at, name in ((start, "start_time"), (end, "end_time")):
        if unix(at) % step:
            boundary = window or "minute"
            refuse(f"{name} must be aligned with {boundary} boundaries.", name)
    if start >= end:
        refuse("end_time must be after start_time.", "end_time")
    width = timedelta(seconds=step) if window else end - start
    grouped = _by_window(account.usage.between(meter, customer, start, end, seen_at=account.now()), start, width)
    if account.behaviour.summaries_of_nothing == "zero":
        grouped = {start + width * place: [] for place in range((end - start) // width)} | grouped
    rows = [
        _summary_json(meter, customer, first, width, events) for first, events in sorted(grouped.items(), reverse=True)
    ]
    return page_of(call, f"/v1/billing/meters/{meter.id}/event_summaries", rows)


def _by_window(events: list[MeterEvent], start: datetime, width: timedelta) -> dict[datetime, list[MeterEvent]]:
    grouped: dict[datetime, list[MeterEvent]] = defaultdict(list)
    for event in events:
        grouped[start + width * ((event.at - start) // width)].append(event)
    return grouped


def _summary_json(
    meter: StoredMeter, customer: str, start: datetime, width: timedelta, events: list[MeterEvent]
) -> Json:
    return {
        "id": f"mtrusg_{digits(f'{meter.id}:{customer}:{unix(start)}:{width}')}",
        "object": "billing.meter_event_summary",
        "aggregated_value": _plain(aggregate(meter, events)),
        "end_time": unix(start + width),
        "livemode": False,
        "meter": meter.id,
        "start_time": unix(start),
    }


def _plain(value: Decimal) -> Decimal:
    """Return a JSON number without trailing zeros or an exponent."""
    return Decimal(f"{value.normalize():f}")


ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("POST", "/v1/billing/meters"): create_meter,
    ("GET", "/v1/billing/meters"): list_meters,
    ("GET", "/v1/billing/meters/{id}"): get_meter,
    ("POST", "/v1/billing/meter_events"): create_meter_event,
    ("GET", "/v1/billing/meters/{id}/event_summaries"): list_summaries,
}
