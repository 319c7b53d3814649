"""Stripe's events: only ids are taken, from payloads of every age, and no body can break the reader."""

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.errors import UnreadableEvent
from pacspace_stripe.stripe_api.events import Event, event_from_stripe
from pacspace_stripe.vocabulary.webhooks import SUBSCRIBED, SUBSCRIPTION_TYPES, EventType

CREATED = 1_795_262_400
PERIOD_END = 1_795_219_200

BEFORE_BASIL: dict[str, Any] = {
    "object": "invoice",
    "id": "in_1",
    "customer": "cus_1",
    "subscription": "sub_1",
    "period_end": PERIOD_END,
}
SINCE_BASIL: dict[str, Any] = {
    "object": "invoice",
    "id": "in_1",
    "customer": "cus_1",
    "parent": {"type": "subscription_details", "subscription_details": {"subscription": "sub_1", "metadata": {}}},
    "period_end": PERIOD_END,
}
WITHOUT_ID = {name: value for name, value in SINCE_BASIL.items() if name != "id"}


def body(invoice: object = SINCE_BASIL, /, **changes: object) -> bytes:
    event = {
        "id": "evt_1",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": CREATED,
        "data": {"object": invoice},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": "req_1", "idempotency_key": "key-1"},
        "type": "invoice.created",
    }
    return json.dumps(event | changes).encode()


def read(invoice: object = SINCE_BASIL, /, **changes: object) -> Event:
    return event_from_stripe(body(invoice, **changes))


@pytest.mark.parametrize(
    "invoice",
    [
        BEFORE_BASIL,
        SINCE_BASIL,
        BEFORE_BASIL | {"customer": {"id": "cus_1", "object": "customer"}, "subscription": {"id": "sub_1"}},
        SINCE_BASIL | {"customer": {"id": "cus_1", "object": "customer", "deleted": True}},
        SINCE_BASIL | {"parent": {"subscription_details": {"subscription": {"id": "sub_1", "object": "subscription"}}}},
        SINCE_BASIL | {"subscription": None},
    ],
)
def test_payloads_of_every_api_version_give_the_same_ids(invoice: object) -> None:
    assert read(invoice) == Event(
        event_id="evt_1",
        type=EventType.INVOICE_CREATED,
        account=None,
        livemode=False,
        created_at=datetime.fromtimestamp(CREATED, UTC),
        api_version="2026-10-28.endive",
        invoice_id="in_1",
        customer_id="cus_1",
        subscription_id="sub_1",
        period_end=datetime.fromtimestamp(PERIOD_END, UTC),
        idempotency_key="key-1",
        by_request=True,
    )


@pytest.mark.parametrize("kind", [kind for kind in EventType if kind is not EventType.OTHER])
def test_every_handled_type_is_known(kind: EventType) -> None:
    about = {"object": "subscription", "id": "sub_1"} if kind in SUBSCRIPTION_TYPES else SINCE_BASIL
    assert read(about, type=kind.value).type is kind


@pytest.mark.parametrize("about", [{"object": "customer", "id": "cus_1"}, {}, [], None])
def test_other_types_are_read_whatever_they_are_about(about: object) -> None:
    event = read(about, type="customer.updated")
    assert event.type is EventType.OTHER
    assert (event.invoice_id, event.customer_id, event.subscription_id) == (None, None, None)


@pytest.mark.parametrize(
    "invoice",
    [WITHOUT_ID]
    + [
        SINCE_BASIL | {"id": wrong}
        for wrong in [
            None,
            1,
            "",
            "upcoming_in_1",
            "in_",
            "in_1/../in_2",
            "in_1?x",
            "in_1\n",
            "in_é",
            "ii_1",
            "in_" + "1" * 300,
        ]
    ],
)
def test_an_id_of_no_stored_invoice_is_none(invoice: object) -> None:
    event = read(invoice, type="invoice.upcoming")
    assert event.invoice_id is None
    assert (event.customer_id, event.subscription_id) == ("cus_1", "sub_1")


@pytest.mark.parametrize(
    "invoice",
    [
        {"object": "invoice"},
        {"object": "invoice", "customer": None, "parent": None, "subscription": None, "period_end": None},
        {"object": "invoice", "customer": 1, "parent": [], "subscription": [], "period_end": "soon"},
        {"object": "invoice", "customer": {}, "parent": {"subscription_details": 1}, "period_end": -1},
        {"object": "invoice", "customer": "a/b", "subscription": "sub_1/x", "period_end": 10**30},
        {"object": "invoice", "customer": "", "subscription": "si_1", "period_end": True},
        {"object": "credit_note", "id": "in_1", "subscription": "sub_1", "period_end": PERIOD_END},
    ],
)
def test_a_missing_or_malformed_id_is_none(invoice: object) -> None:
    event = read(invoice, type="invoice.upcoming")
    assert (event.invoice_id, event.customer_id, event.subscription_id, event.period_end) == (None,) * 4
    with pytest.raises(UnreadableEvent, match="names no invoice"):
        read(invoice)


@pytest.mark.parametrize(
    "request_", [None, "req_1", {}, {"id": None, "idempotency_key": None}, {"idempotency_key": 1}, []]
)
def test_requests_of_every_age_are_read(request_: object) -> None:
    assert read(request=request_).idempotency_key is None


def test_an_event_of_a_connected_account_names_it() -> None:
    assert read(account="acct_1").account == "acct_1"


@pytest.mark.parametrize("version", [None, 1, "", "2026\n", "x" * 65])
def test_an_api_version_that_is_none_is_none(version: object) -> None:
    assert read(api_version=version).api_version is None


UNREADABLE = {
    "empty": b"",
    "no JSON": b"tellnobody",
    "not UTF-8": b'{"id": "\xff"}',
    "UTF-16": body().decode().encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + body(),
    "two documents": body() + body(),
    "a list": b"[]",
    "a text": b'"evt_1"',
    "null": b"null",
    "NaN": body().replace(b"false", b"NaN"),
    "Infinity": body().replace(str(CREATED).encode(), b"-Infinity"),
    "a name twice": body().replace(b'"livemode"', b'"id": "evt_2", "livemode"'),
    "a name twice, deep inside": body().replace(b'"customer"', b'"id": "in_2", "customer"'),
    "deep nesting": b'{"a":' * 100_000,
    "deep lists": b"[" * 100_000,
    "a huge number": body().replace(str(CREATED).encode(), b"9" * 10_000),
    "a huge exponent": body().replace(str(CREATED).encode(), b"1e" + b"9" * 30),
    "no id": body(id=None),
    "another thing's id": body(id="in_1"),
    "an id with a path": body(id="evt_1/../x"),
    "an endless id": body(id="evt_" + "1" * 300),
    "no type": body(type=None),
    "an empty type": body(type=""),
    "no mode": body(livemode=None),
    "a mode in words": body(livemode="true"),
    "no time": body(created=None),
    "a time in words": body(created="now"),
    "a time out of time": body(created=10**15),
    "an account in numbers": body(account=1),
    "an account of another form": body(account="acct_1/x"),
    "no data": body(data=None),
    "no invoice": body(None),
    "an invoice in words": body("in_1"),
}


@pytest.mark.parametrize("what", sorted(UNREADABLE))
def test_a_body_that_is_no_event_is_unreadable(what: str) -> None:
    with pytest.raises(UnreadableEvent) as caught:
        event_from_stripe(UNREADABLE[what])
    assert caught.value.hint
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert "tellnobody" not in str(caught.value)


@pytest.mark.parametrize("name", ["invoice.will_be_due", "invoice.payment_succeeded", "invoice.something_new"])
def test_an_unknown_type_still_names_its_invoice(name: str) -> None:
    assert (read(type=name).type, read(type=name).invoice_id) == (EventType.INVOICE_OTHER, "in_1")
    assert read({"object": "line_item", "id": "il_1"}, type=name).invoice_id is None


@pytest.mark.parametrize("kind", SUBSCRIPTION_TYPES)
def test_a_subscriptions_event_names_it_and_its_customer(kind: EventType) -> None:
    event = read({"object": "subscription", "id": "sub_1", "customer": "cus_1"}, type=kind.value)
    assert (event.subscription_id, event.customer_id, event.invoice_id) == ("sub_1", "cus_1", None)
    with pytest.raises(UnreadableEvent, match="names no subscription"):
        read({"object": "subscription", "id": "si_1"}, type=kind.value)


# -- thin events -------------------------------------------------------------------------------------------------------


def thin(kind: str = "v1.invoice.created", /, **changes: object) -> bytes:
    event = {
        "id": "evt_test_65R9Ijk8dKEYZcXeRWn16R9A7j1FSQ3w3TGDPLLGSM4CW0",
        "object": "v2.core.event",
        "type": kind,
        "created": "2026-11-21T10:00:00.500Z",
        "livemode": False,
        "context": None,
        "related_object": {"id": "in_1", "type": "invoice", "url": "/v1/invoices/in_1"},
        "reason": {"type": "request", "request": {"id": "req_1", "idempotency_key": "key-1"}},
    }
    return json.dumps(event | changes).encode()


@pytest.mark.parametrize("kind", [kind for kind in SUBSCRIBED if kind.startswith("invoice.")])
def test_a_thin_event_is_read_like_its_snapshot(kind: EventType) -> None:
    assert event_from_stripe(thin(f"v1.{kind}")) == Event(
        event_id="evt_test_65R9Ijk8dKEYZcXeRWn16R9A7j1FSQ3w3TGDPLLGSM4CW0",
        type=kind,
        account=None,
        livemode=False,
        created_at=datetime(2026, 11, 21, 10, 0, 0, 500_000, tzinfo=UTC),
        api_version=None,
        invoice_id="in_1",
        customer_id=None,
        subscription_id=None,
        period_end=None,
        idempotency_key="key-1",
        by_request=True,
    )


def test_a_thin_event_without_a_reason_names_no_request() -> None:
    for reason in (None, {}, {"type": "request", "request": None}, {"type": "request"}):
        assert event_from_stripe(thin(reason=reason)).idempotency_key is None


@pytest.mark.parametrize("kind", SUBSCRIPTION_TYPES)
def test_a_thin_event_of_a_subscription_names_it(kind: EventType) -> None:
    related = {"id": "sub_1", "type": "subscription", "url": "/v1/subscriptions/sub_1"}
    assert event_from_stripe(thin(f"v1.{kind}", related_object=related)).subscription_id == "sub_1"


def test_a_thin_event_of_a_coming_invoice_or_of_no_meter_names_nothing() -> None:
    for kind in ("v1.invoice.upcoming", "v1.billing.meter.no_meter_found"):
        event = event_from_stripe(thin(kind, related_object=None))
        assert (event.invoice_id, event.subscription_id) == (None, None)


@pytest.mark.parametrize("context", ["acct_1", "org_1/acct_1"])
def test_a_thin_events_context_is_its_account(context: str) -> None:
    assert event_from_stripe(thin(context=context)).account == context


def test_other_thin_types_are_read_whatever_they_are_about() -> None:
    assert event_from_stripe(thin("v2.core.event_destination.ping", related_object=None)).type is EventType.OTHER
    assert event_from_stripe(thin("v1.invoice.something_new")).type is EventType.INVOICE_OTHER


UNREADABLE_THIN = {
    "no invoice": thin(related_object=None),
    "an id of another form": thin(related_object={"id": "in_1/x", "type": "invoice", "url": ""}),
    "no id": thin(id="in_1"),
    "seconds for a time": thin(created=CREATED),
    "a time without a zone": thin(created="2026-11-21T10:00:00"),
    "no time": thin(created="soon"),
    "a context with a path": thin(context="acct_1/../acct_2"),
    "a context in numbers": thin(context=1),
    "no mode": thin(livemode=None),
    "no type": thin(None),  # type: ignore[arg-type]  # on purpose
}


@pytest.mark.parametrize("what", sorted(UNREADABLE_THIN))
def test_a_thin_body_that_is_no_event_is_unreadable(what: str) -> None:
    with pytest.raises(UnreadableEvent):
        event_from_stripe(UNREADABLE_THIN[what])


@given(
    st.dictionaries(
        st.sampled_from([*json.loads(thin()), "data"]),
        st.none() | st.text() | st.integers() | st.lists(st.integers()) | st.dictionaries(st.text(), st.text()),
    )
)
def test_no_mixture_of_right_and_wrong_in_a_thin_event_raises_anything_else(event: dict[str, object]) -> None:
    with contextlib.suppress(UnreadableEvent):
        event_from_stripe(json.dumps(json.loads(thin()) | event).encode())


def quietly_read(data: bytes) -> None:
    try:
        event = event_from_stripe(data)
    except UnreadableEvent:
        return
    assert event.event_id.startswith("evt_")


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    quietly_read(data)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(st.sampled_from([*json.loads(body()), "account"]), ANY_JSON),
    st.dictionaries(st.sampled_from([*SINCE_BASIL, *BEFORE_BASIL]), ANY_JSON),
)
def test_no_mixture_of_right_and_wrong_raises_anything_else(
    event: dict[str, object], invoice: dict[str, object]
) -> None:
    quietly_read(body(SINCE_BASIL | invoice, **event))
