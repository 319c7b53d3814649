"""Stripe's JSON as our values, and every way in which it can be malformed."""

import copy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from pacspace_stripe.errors import ConfigurationError, UnexpectedAnswer
from pacspace_stripe.stripe_api import (
    invoice_from_stripe,
    key_livemode,
    line_item_from_stripe,
    meter_from_stripe,
    price_from_stripe,
    subscription_from_stripe,
)
from pacspace_stripe.stripe_api.calls import endpoint_of
from pacspace_stripe.vocabulary.invoices import (
    BillingReason,
    CollectionMethod,
    EventTimeWindow,
    Formula,
    Invoice,
    InvoiceStatus,
    LineItem,
    LineParent,
    MeterStatus,
    Package,
    Price,
    SubscriptionStatus,
    Tier,
    UsageType,
)
from pacspace_stripe.vocabulary.windows import Window

Json = dict[str, Any]
START, END = 1_793_491_200, 1_796_083_200
WINDOW = Window(start=datetime.fromtimestamp(START, UTC), end=datetime.fromtimestamp(END, UTC))
GONE = object()

LINE: Json = {
    "id": "il_1",
    "object": "line_item",
    "amount": 1225,
    "metadata": {"meter": "tokens"},
    "parent": {
        "type": "subscription_item_details",
        "subscription_item_details": {"subscription": "sub_1", "subscription_item": "si_1", "proration": False},
        "invoice_item_details": None,
    },
    "period": {"start": START, "end": END},
    "pricing": {"type": "price_details", "price_details": {"price": "price_1", "product": "prod_1"}},
    "quantity": 12,
    "quantity_decimal": "12.25",
}
INVOICE: Json = {
    "id": "in_1",
    "object": "invoice",
    "amount_due": 1225,
    "attempt_count": 0,
    "attempted": False,
    "auto_advance": True,
    "automatically_finalizes_at": END + 3600,
    "billing_reason": "subscription_cycle",
    "collection_method": "charge_automatically",
    "created": END,
    "currency": "eur",
    "customer": "cus_1",
    "customer_name": "Ann",
    "footer": "Legal text",
    "last_finalization_error": None,
    "lines": {"object": "list", "data": [LINE], "has_more": False},
    "livemode": False,
    "metadata": {"po": "17"},
    "number": None,
    "parent": {
        "type": "subscription_details",
        "subscription_details": {"subscription": "sub_1", "metadata": {"pacspace_customer_id": "acme"}},
    },
    "status": "draft",
    "status_transitions": {"finalized_at": None},
}
PRICE: Json = {
    "id": "price_1",
    "object": "price",
    "billing_scheme": "per_unit",
    "type": "recurring",
    "recurring": {"interval": "month", "meter": "mtr_1", "usage_type": "metered"},
    "tiers_mode": None,
    "transform_quantity": None,
}
METER: Json = {
    "id": "mtr_1",
    "object": "billing.meter",
    "event_name": "api_calls",
    "display_name": "API calls",
    "default_aggregation": {"formula": "sum"},
    "event_time_window": None,
    "status": "active",
}
SUBSCRIPTION: Json = {
    "id": "sub_1",
    "object": "subscription",
    "customer": "cus_1",
    "status": "active",
    "collection_method": "charge_automatically",
    "pause_collection": None,
    "metadata": {},
    "livemode": False,
    "items": {
        "object": "list",
        "has_more": False,
        "data": [
            {
                "id": "si_1",
                "object": "subscription_item",
                "current_period_start": START,
                "current_period_end": END,
                "price": PRICE,
            }
        ],
    },
}


def changed(data: Json, path: str, value: object) -> Json:
    """A copy with one field, named by its path, set to a value or taken out."""
    data = copy.deepcopy(data)
    *outer, last = path.split(".")
    at: Any = data
    for name in outer:
        at = at[int(name)] if isinstance(at, list) else at[name]
    if value is GONE:
        del at[last]
    else:
        at[last] = value
    return data


def test_a_draft_is_read() -> None:
    assert invoice_from_stripe(INVOICE) == Invoice(
        invoice_id="in_1",
        customer_id="cus_1",
        customer_name="Ann",
        subscription_id="sub_1",
        status=InvoiceStatus.DRAFT,
        auto_advance=True,
        automatically_finalizes_at=datetime.fromtimestamp(END + 3600, UTC),
        created_at=WINDOW.end,
        finalized_at=None,
        billing_reason=BillingReason.SUBSCRIPTION_CYCLE,
        collection_method=CollectionMethod.CHARGE_AUTOMATICALLY,
        currency="eur",
        number=None,
        footer="Legal text",
        metadata={"po": "17"},
        subscription_metadata={"pacspace_customer_id": "acme"},
        livemode=False,
        attempted=False,
        attempt_count=0,
        amount_due=1225,
        finalization_error=None,
        line_items=(
            LineItem(
                line_id="il_1",
                price_id="price_1",
                subscription_id="sub_1",
                proration=False,
                quantity=Decimal("12.25"),
                window=WINDOW,
                item_id="si_1",
                amount=1225,
                parent=LineParent.SUBSCRIPTION_ITEM,
                product_id="prod_1",
                metadata={"meter": "tokens"},
            ),
        ),
    )


@pytest.mark.parametrize(
    ("path", "value", "attribute", "read"),
    [
        ("customer", {"id": "cus_2", "object": "customer", "deleted": True}, "customer_id", "cus_2"),
        ("parent.subscription_details.subscription", {"id": "sub_2"}, "subscription_id", "sub_2"),
        ("parent.subscription_details.metadata", None, "subscription_metadata", {}),
        ("parent", None, "subscription_id", None),
        ("parent", {"type": "quote_details"}, "subscription_id", None),
        ("status", "uncollectible", "status", InvoiceStatus.UNCOLLECTIBLE),
        ("status", "deep_frozen", "status", InvoiceStatus.UNKNOWN),
        ("status", None, "status", InvoiceStatus.UNKNOWN),
        ("collection_method", "barter", "collection_method", CollectionMethod.UNKNOWN),
        ("automatically_finalizes_at", None, "automatically_finalizes_at", None),
        ("automatically_finalizes_at", GONE, "automatically_finalizes_at", None),
        ("status_transitions.finalized_at", END, "finalized_at", WINDOW.end),
        ("billing_reason", None, "billing_reason", BillingReason.NONE),
        ("billing_reason", "of_tomorrow", "billing_reason", BillingReason.UNKNOWN),
        ("parent", {"type": "billing_cadence_details"}, "unknown", ("parent.type=billing_cadence_details",)),
        ("parent", {"type": "quote_details", "quote_details": {"quote": "qt_1"}}, "unknown", ()),
        ("parent", None, "unknown", ()),
        ("parent.subscription_details", None, "unknown", ("parent.subscription_details=null",)),
        ("metadata", None, "metadata", {}),
        ("metadata", {"a": ""}, "metadata", {"a": ""}),
        ("number", "ACME-0001", "number", "ACME-0001"),
        ("footer", "", "footer", ""),
        ("last_finalization_error", {"type": "x", "code": "y"}, "finalization_error", "y"),
        ("last_finalization_error", {"type": "x"}, "finalization_error", "x"),
        ("last_finalization_error", {}, "finalization_error", "unknown"),
        ("lines.data", [], "line_items", ()),
    ],
)
def test_every_documented_form_of_an_invoice_is_read(path: str, value: object, attribute: str, read: object) -> None:
    assert getattr(invoice_from_stripe(changed(INVOICE, path, value)), attribute) == read


def test_an_account_may_stand_in_for_the_customer() -> None:
    accounts = changed(changed(INVOICE, "customer", None), "customer_account", "acct_1")
    assert invoice_from_stripe(accounts).customer_id == "acct_1"


@pytest.mark.parametrize(
    ("path", "value", "attribute", "read"),
    [
        ("quantity_decimal", "0.000000000001", "quantity", Decimal("0.000000000001")),
        ("quantity_decimal", Decimal("12.5"), "quantity", Decimal("12.5")),
        ("quantity_decimal", "123456789012345.678901234567", "quantity", Decimal("123456789012345.678901234567")),
        ("quantity_decimal", None, "quantity", Decimal(12)),
        ("quantity_decimal", GONE, "quantity", Decimal(12)),
        ("quantity", "nonsense", "quantity", Decimal("12.25")),
        ("parent", None, "subscription_id", None),
        ("parent", None, "proration", False),
        ("parent.subscription_item_details.proration", True, "proration", True),
        (
            "parent",
            {"type": "invoice_item_details", "invoice_item_details": {"proration": True, "subscription": "sub_9"}},
            "subscription_id",
            "sub_9",
        ),
        ("parent", {"type": "something_new"}, "subscription_id", None),
        ("pricing", None, "price_id", None),
        ("pricing.price_details.price", {"id": "price_2", "object": "price"}, "price_id", "price_2"),
        ("pricing", {"type": "something_new"}, "price_id", None),
        ("period.end", START, "window", None),
        ("id", "il_1", "unknown", ()),
        ("id", "il_1", "parent", LineParent.SUBSCRIPTION_ITEM),
        ("parent", None, "parent", LineParent.NONE),
        ("parent", {"type": "something_new"}, "parent", LineParent.UNKNOWN),
        ("parent", {"type": "something_new"}, "unknown", ("parent.type=something_new",)),
        ("parent", None, "unknown", ()),
        ("pricing", {"type": "rate_card_rate_details"}, "unknown", ("pricing.type=rate_card_rate_details",)),
        ("pricing", None, "unknown", ()),
        ("parent.subscription_item_details", None, "unknown", ("parent.subscription_item_details=null",)),
        ("pricing.price_details", None, "unknown", ("pricing.price_details=null",)),
        ("pricing.price_details.price", None, "unknown", ("pricing.price_details.price=null",)),
    ],
)
def test_every_documented_form_of_a_line_is_read(path: str, value: object, attribute: str, read: object) -> None:
    assert getattr(line_item_from_stripe(changed(LINE, path, value)), attribute) == read


def test_a_line_may_have_no_quantity_at_all() -> None:
    assert line_item_from_stripe(changed(changed(LINE, "quantity_decimal", None), "quantity", None)).quantity is None


def test_lines_read_elsewhere_take_the_place_of_the_embedded_ones() -> None:
    others = [changed(LINE, "id", "il_2"), changed(LINE, "id", "il_3")]
    assert [line.line_id for line in invoice_from_stripe(INVOICE, line_items=others).line_items] == ["il_2", "il_3"]


HUNDREDS = Package(size=Decimal(100), round_up=True)
TOP = {"up_to": None, "unit_amount": None, "unit_amount_decimal": "0.5", "flat_amount_decimal": "300"}
TIERS = (
    Tier(up_to=Decimal(5), unit_amount=Decimal(2), flat_amount=Decimal(0)),
    Tier(up_to=None, unit_amount=Decimal("0.5"), flat_amount=Decimal(300)),
)


@pytest.mark.parametrize(
    ("path", "value", "attribute", "read"),
    [
        ("id", "price_1", "usage_type", UsageType.METERED),
        ("recurring", {"usage_type": "licensed", "meter": None}, "usage_type", UsageType.LICENSED),
        ("recurring.usage_type", "licensed", "usage_type", UsageType.UNKNOWN),
        ("recurring.usage_type", "guessed", "usage_type", UsageType.UNKNOWN),
        ("recurring.usage_type", "none", "usage_type", UsageType.UNKNOWN),
        ("recurring.usage_type", "guessed", "unknown", ("recurring.usage_type=guessed",)),
        ("recurring", None, "usage_type", UsageType.UNKNOWN),
        ("recurring", None, "unknown", ("recurring=null",)),
        ("recurring.usage_type", "licensed", "unknown", ("recurring.usage_type=licensed with a meter",)),
        ("billing_scheme", "sloped", "unknown", ("billing_scheme=sloped",)),
        ("tiers_mode", "stepped", "unknown", ("tiers_mode=stepped",)),
        ("tiers_mode", "volume", "unknown", ()),
        ("transform_quantity", {"divide_by": 5, "round": "even"}, "unknown", ("transform_quantity.round=even",)),
        ("recurring", None, "meter_id", None),
        ("recurring.meter", None, "meter_id", None),
        ("billing_scheme", "tiered", "tiered", True),
        ("tiers_mode", "volume", "tiered", True),
        ("id", "price_1", "tiered", False),
        ("transform_quantity", {"divide_by": 100, "round": "up"}, "package", HUNDREDS),
        ("transform_quantity", {"divide_by": 100, "round": "down"}, "package", replace(HUNDREDS, round_up=False)),
        ("id", "price_1", "package", None),
        ("tiers", [{"up_to": 5, "unit_amount": 2, "flat_amount": None}, TOP], "tiers", TIERS),
        ("tiers", None, "tiers", ()),
    ],
)
def test_every_documented_form_of_a_price_is_read(path: str, value: object, attribute: str, read: object) -> None:
    assert getattr(price_from_stripe(changed(PRICE, path, value)), attribute) == read


@pytest.mark.parametrize(
    ("kind", "read", "unknown"),
    [("one_time", UsageType.NONE, ()), ("of_tomorrow", UsageType.UNKNOWN, ("type=of_tomorrow",))],
)
def test_only_a_price_that_is_known_to_be_one_off_has_no_usage(
    kind: str, read: UsageType, unknown: tuple[str, ...]
) -> None:
    price = price_from_stripe(changed(changed(PRICE, "recurring", None), "type", kind))
    assert (price.usage_type, price.unknown) == (read, unknown)


@pytest.mark.parametrize(
    ("path", "word", "attribute", "read", "unknown"),
    [
        ("default_aggregation.formula", "sum", "formula", Formula.SUM, ()),
        ("default_aggregation.formula", "last", "formula", Formula.LAST, ()),
        ("default_aggregation.formula", "mean", "formula", Formula.UNKNOWN, ("default_aggregation.formula=mean",)),
        ("event_time_window", None, "event_time_window", EventTimeWindow.NONE, ()),
        ("event_time_window", "hour", "event_time_window", EventTimeWindow.HOUR, ()),
        ("event_time_window", "week", "event_time_window", EventTimeWindow.UNKNOWN, ("event_time_window=week",)),
        ("status", "inactive", "status", MeterStatus.INACTIVE, ()),
        ("status", "asleep", "status", MeterStatus.UNKNOWN, ("status=asleep",)),
    ],
)
def test_a_meter_is_read(path: str, word: str | None, attribute: str, read: object, unknown: tuple[str, ...]) -> None:
    found = meter_from_stripe(changed(METER, path, word))
    assert (getattr(found, attribute), found.unknown) == (read, unknown)
    assert (found.meter_id, found.event_name, found.display_name) == ("mtr_1", "api_calls", "API calls")


def test_a_subscription_is_read_with_the_prices_of_its_items() -> None:
    subscription = subscription_from_stripe(SUBSCRIPTION)
    assert (subscription.subscription_id, subscription.customer_id, subscription.status) == ("sub_1", "cus_1", "active")
    assert [(item.item_id, item.window) for item in subscription.items] == [("si_1", WINDOW)]
    assert subscription.items[0].price == Price(
        price_id="price_1", usage_type=UsageType.METERED, meter_id="mtr_1", tiered=False
    )


def test_an_unknown_subscription_status_reads_as_unknown() -> None:
    told = subscription_from_stripe(SUBSCRIPTION | {"status": "hibernating"})
    assert told.status is SubscriptionStatus.UNKNOWN


def test_a_subscriptions_collection_method_and_pause_are_read() -> None:
    told = subscription_from_stripe(SUBSCRIPTION)
    assert (told.collection_method, told.paused) == (CollectionMethod.CHARGE_AUTOMATICALLY, False)
    mailed = subscription_from_stripe(SUBSCRIPTION | {"collection_method": "send_invoice"})
    assert mailed.collection_method is CollectionMethod.SEND_INVOICE
    assert subscription_from_stripe(SUBSCRIPTION | {"pause_collection": {"behavior": "void"}}).paused


_NO_NUMBERS: tuple[object, ...] = ("", "twelve", "1_000", "NaN", "1e999", True, [], {}, Decimal("1e999999"))
_WRONG: list[tuple[Callable[[object], object], Json, str, object, str]] = [
    *(
        (invoice_from_stripe, INVOICE, path, GONE, path.rpartition(".")[2])
        for path in ("id", "object", "auto_advance", "created", "livemode", "status")
    ),
    *((invoice_from_stripe, INVOICE, path, None, path) for path in ("auto_advance", "created")),
    (invoice_from_stripe, INVOICE, "object", "charge", "object"),
    (invoice_from_stripe, INVOICE, "auto_advance", "true", "auto_advance"),
    (invoice_from_stripe, INVOICE, "status", ["draft"], "status"),
    (invoice_from_stripe, INVOICE, "created", "2026-01-01", "created"),
    (invoice_from_stripe, INVOICE, "created", 10**18, "created"),
    (invoice_from_stripe, INVOICE, "metadata", ["a"], "metadata"),
    (invoice_from_stripe, INVOICE, "metadata", {"a": 1}, "a is a number"),
    (invoice_from_stripe, INVOICE, "footer", 5, "footer"),
    *(
        (line_item_from_stripe, LINE, path, GONE, path.rpartition(".")[2])
        for path in (
            "id", "object", "parent", "period", "period.start", "period.end", "pricing", "pricing.price_details.price",
            "parent.subscription_item_details.proration",
        )
    ),
    (line_item_from_stripe, changed(LINE, "quantity_decimal", None), "quantity", GONE, "quantity"),
    (line_item_from_stripe, changed(LINE, "quantity_decimal", None), "quantity", Decimal("1.5"), "quantity"),
    (line_item_from_stripe, changed(LINE, "quantity_decimal", None), "quantity", True, "quantity"),
    *(
        (line_item_from_stripe, LINE, "quantity_decimal", value, "quantity_decimal")
        for value in _NO_NUMBERS
    ),
    (line_item_from_stripe, LINE, "pricing.price_details.price", 5, "price"),
    (line_item_from_stripe, LINE, "period.start", "now", "start"),
    *((price_from_stripe, PRICE, path, GONE, path) for path in ("id", "object", "recurring", "billing_scheme")),
    (price_from_stripe, PRICE, "recurring.usage_type", None, "usage_type"),
    (price_from_stripe, PRICE, "recurring", "month", "recurring"),
    (price_from_stripe, PRICE, "transform_quantity", 5, "transform_quantity"),
    *((meter_from_stripe, METER, path, GONE, path) for path in ("event_name", "display_name", "default_aggregation")),
    (meter_from_stripe, METER, "event_name", "", "event_name"),
    *(
        (subscription_from_stripe, SUBSCRIPTION, path, GONE, path.rpartition(".")[2])
        for path in (
            "customer", "status", "collection_method", "livemode", "items", "items.data.0.price",
            "items.data.0.current_period_end",
        )
    ),
    (subscription_from_stripe, SUBSCRIPTION, "items.data", {}, "items.data"),
]  # fmt: skip


@pytest.mark.parametrize(("read", "good", "path", "value", "named"), _WRONG)
def test_a_malformed_answer_is_unexpected_and_names_the_field(
    read: Callable[[object], object], good: Json, path: str, value: object, named: str
) -> None:
    with pytest.raises(UnexpectedAnswer, match=named) as refused:
        read(changed(good, path, value))
    assert refused.value.service == "Stripe"
    assert refused.value.hint


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        *((path, GONE, path.rpartition(".")[2]) for path in ("lines", "lines.data", "parent", "parent.type")),
        *(
            (path, value, path)
            for path in (
                "amount_due",
                "attempt_count",
                "attempted",
                "collection_method",
                "currency",
                "customer",
                "status_transitions",
            )
            for value in (GONE, None, [])
        ),
        *(
            (path, [], path)
            for path in (
                "account_name",
                "automatically_finalizes_at",
                "billing_reason",
                "customer_name",
                "last_finalization_error",
                "number",
                "test_clock",
            )
        ),
        ("amount_due", Decimal("12.25"), "amount_due"),
        ("amount_due", 10**30, "amount_due"),
        ("customer", {"object": "customer"}, "id"),
        ("customer", {"object": "customer", "id": "cus_1", "deleted": "so"}, "deleted"),
        ("parent.subscription_details.subscription", None, "subscription is missing"),
        ("parent.subscription_details.metadata", ["a"], "metadata"),
        ("lines", [], "lines"),
        ("lines.data", {"a": 1}, "lines.data"),
        ("lines.data", ["il_1"], "line_item"),
        ("lines.data", [LINE, LINE], "names one line twice"),
    ],
)
def test_an_invoice_with_an_unreadable_part_is_of_an_unknown_kind(path: str, value: object, named: str) -> None:
    unknown = invoice_from_stripe(changed(INVOICE, path, value)).unknown
    assert unknown[0] == f"{path.partition('.')[0]}=unreadable"
    assert named in unknown[1]


@pytest.mark.parametrize("answer", [None, [], "in_1", 5, {}, {"object": "list", "data": []}, {"error": {"code": "x"}}])
@pytest.mark.parametrize("read", [invoice_from_stripe, price_from_stripe, meter_from_stripe, subscription_from_stripe])
def test_an_answer_of_another_kind_is_unexpected(read: Callable[[object], object], answer: object) -> None:
    with pytest.raises(UnexpectedAnswer):
        read(answer)


@pytest.mark.parametrize(
    ("read", "good"),
    [(invoice_from_stripe, INVOICE), (price_from_stripe, PRICE), (subscription_from_stripe, SUBSCRIPTION)],
)
@pytest.mark.parametrize("odd", [None, 0, True, "", "odd", Decimal("1e500"), [], {}, [[]], {"id": {}}], ids=repr)
def test_any_value_of_a_field_is_read_or_unexpected(read: Callable[[object], object], good: Json, odd: object) -> None:
    for path in _paths(good):
        with suppress(UnexpectedAnswer):
            read(changed(good, path, odd))


def _paths(data: object, before: str = "") -> list[str]:
    """Every field, however deep, that sits in an object."""
    if isinstance(data, dict):
        return [
            path for name, value in data.items() for path in (f"{before}{name}", *_paths(value, f"{before}{name}."))
        ]
    if isinstance(data, list):
        return [path for place, value in enumerate(data) for path in _paths(value, f"{before}{place}.")]
    return []


@pytest.mark.parametrize(
    ("key", "live"),
    [("sk_test_1", False), ("rk_test_1", False), ("sk_live_1", True), ("rk_live_1", True)],
)
def test_a_key_names_its_mode(key: str, live: bool) -> None:  # noqa: FBT001
    assert key_livemode(key) is live


@pytest.mark.parametrize(
    "key", ["", "pk_live_1", "whsec_1", "sk_prod_1", "xsk_live_1", "sk_org_live_1", "rk_org_test_1"]
)
def test_a_value_that_is_no_secret_key_is_a_configuration_error_without_the_value(key: str) -> None:
    with pytest.raises(ConfigurationError, match="STRIPE_API_KEY") as refused:
        key_livemode(key)
    assert not key or key not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://api.stripe.com/v1/invoices?limit=100", "GET /v1/invoices"),
        ("https://api.stripe.com/v1/invoices/in_1AbC", "GET /v1/invoices/{id}"),
        ("https://api.stripe.com/v1/invoices/in_abc/lines", "GET /v1/invoices/{id}/lines"),
        ("http://127.0.0.1:4/stripe/v1/prices/gold-2026", "GET /v1/prices/{id}"),
        ("https://x/v1/billing/meters/mtr_test_1/event_summaries?a=b", "GET /v1/billing/meters/{id}/event_summaries"),
        ("https://x/v1/subscription_items", "GET /v1/subscription_items"),
    ],
)
def test_an_endpoint_is_a_path_without_its_ids(url: str, endpoint: str) -> None:
    assert endpoint_of("GET", url) == endpoint
