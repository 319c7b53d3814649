"""Our requests to Stripe: each one as Stripe's OpenAPI documents it, each answer read exactly or refused."""

import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import parse_qs

import httpx
import pytest
import stripe

from pacspace_stripe.errors import (
    LeaseLost,
    NotEditable,
    NotFound,
    PacspaceStripeError,
    RateLimited,
    RemoteError,
    RemoteRefused,
    RemoteUnavailable,
    UnexpectedAnswer,
)
from pacspace_stripe.http.client import Transport
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.simulator.stripe import StripeSimulator
from pacspace_stripe.stripe_api import API_VERSION, OUR_KEY_PREFIX, StripeApi
from pacspace_stripe.vocabulary.invoices import Formula, InvoiceStatus, Package, Tier, UsageType
from pacspace_stripe.vocabulary.windows import Window
from tests.support.openapi import Checked

START, END = datetime(2026, 11, 1, 8, 30, 15, tzinfo=UTC), datetime(2026, 12, 1, 8, 30, 15, tzinfo=UTC)
WHOLE = Window(start=START.replace(second=0), end=END.replace(second=0))


class World:
    """A simulated account with one customer, whose every exchange is held to Stripe's OpenAPI."""

    def __init__(self, *, enforce_rate_limits: bool = False) -> None:
        self.clock = ManualClock(END - timedelta(hours=1))
        self.stripe = StripeSimulator(self.clock, enforce_rate_limits=enforce_rate_limits)
        self.seen: list[httpx.Request] = []
        checked = Checked(self.stripe)

        def watched(request: httpx.Request) -> httpx.Response:
            self.seen.append(request)
            return checked(request)

        self.transport = transport(watched, self.clock)
        self.api = StripeApi(self.transport, self.stripe.api_key)
        self.customer = self.stripe.add_customer(name="Ann")
        self.meter = self.stripe.add_meter("api_calls")
        self.price = self.stripe.add_price(self.meter)
        self.subscription = self.subscribe(self.price)

    def subscribe(self, *prices: str) -> str:
        return self.stripe.add_subscription(
            self.customer,
            prices,
            period_start=START,
            period_end=END,
            metadata={"pacspace_customer_id": "acme"},
        )

    def use(self, value: str, at: datetime | None = None) -> None:
        self.stripe.record_usage(self.customer, "api_calls", value, at or START + timedelta(days=3))

    def draft(self, subscription: str | None = None) -> str:
        self.clock.advance_to(END + timedelta(minutes=1))
        self.stripe.run_due()
        drafts = self.stripe.invoices(status="draft", subscription=subscription or self.subscription)
        self.seen.clear()
        return drafts[-1]

    def asked(self) -> list[str]:
        """The requests since the draft was made."""
        return [f"{request.method} {request.url.path}" for request in self.seen]


def transport(handler: Callable[[httpx.Request], httpx.Response], clock: ManualClock | None = None) -> Transport:
    clock = clock or ManualClock(START)
    return Transport(
        httpx_transport=httpx.MockTransport(handler), clock=clock.now, sleep=clock.advance, random=lambda: 1.0
    )


def api_over(handler: Callable[[httpx.Request], httpx.Response]) -> StripeApi:
    return StripeApi(transport(handler), "sk_test_1", "https://stripe.test/")


# Reading


def test_a_draft_is_read_in_one_call() -> None:
    world = World()
    world.use("1250.5")
    invoice_id = world.draft()
    invoice = world.api.read_invoice(invoice_id)
    assert world.asked() == [f"GET /v1/invoices/{invoice_id}"]
    assert (invoice.status, invoice.auto_advance, invoice.billing_reason) == (
        InvoiceStatus.DRAFT,
        True,
        "subscription_cycle",
    )
    assert (invoice.customer_id, invoice.customer_name) == (world.customer, "Ann")
    assert invoice.subscription_metadata == {"pacspace_customer_id": "acme"}
    assert (invoice.created_at, invoice.automatically_finalizes_at) == (END, END + timedelta(hours=1))
    (line,) = invoice.line_items
    assert (line.price_id, line.subscription_id, line.quantity) == (world.price, world.subscription, Decimal("1250.5"))
    assert line.window == Window(start=START, end=END)


def test_all_lines_of_a_long_invoice_are_read_page_by_page() -> None:
    world = World()
    tiers = [{"up_to": number, "unit_amount": 1} for number in range(1, 150)] + [{"up_to": None, "unit_amount": 1}]
    subscription = world.subscribe(world.stripe.add_price(world.meter, tiers=tiers))
    world.use("200")
    invoice_id = world.draft(subscription)
    invoice = world.api.read_invoice(invoice_id)
    lines = f"GET /v1/invoices/{invoice_id}/lines"
    assert world.asked() == [f"GET /v1/invoices/{invoice_id}", lines, lines]
    assert len(invoice.line_items) == 150
    assert sum((line.quantity or 0 for line in invoice.line_items), Decimal(0)) == 200


def test_every_request_names_the_pinned_version() -> None:
    world = World()
    list(world.api.list_invoices())
    world.api.finalize_invoice(world.draft())
    assert {request.headers["Stripe-Version"] for request in world.seen} == {API_VERSION}
    assert stripe.api_version == API_VERSION  # the SDK's own pin: both move together


@pytest.mark.parametrize("aggregated", ["12.25", "0.1", "123456789.012345", "-3"])
def test_meter_usage_is_exact(aggregated: str) -> None:
    world = World()
    world.use(aggregated)
    assert world.api.meter_usage(world.meter, world.customer, WHOLE) == Decimal(aggregated)


def test_no_usage_is_zero() -> None:
    world = World()
    assert world.api.meter_usage(world.meter, world.customer, WHOLE) == 0
    world.stripe.behaviour.summaries_of_nothing = "zero"
    assert world.api.meter_usage(world.meter, world.customer, WHOLE) == 0


@pytest.mark.parametrize("seconds", [{"start": START}, {"end": END}, {"start": START, "end": END}])
def test_stripe_sums_whole_minutes_only(seconds: dict[str, datetime]) -> None:
    world = World()
    window = Window(**{"start": WHOLE.start, "end": WHOLE.end} | seconds)
    with pytest.raises(ValueError, match="whole minutes"):
        world.api.meter_usage(world.meter, world.customer, window)
    assert world.asked() == []


def test_usage_by_hour_is_one_answer_for_four_days() -> None:
    world = World()
    start = WHOLE.start.replace(hour=0, minute=0, second=0)
    for later in (0, 1.5, 1.75, 95):
        world.use("10.5", start + timedelta(hours=later))
    days = Window(start=start, end=start + timedelta(days=4))
    found = world.api.meter_usage_by_hour(world.meter, world.customer, days)
    hours = {int((at - start).total_seconds() / 3600): counted for at, counted in found.items()}
    assert hours == {0: Decimal("10.5"), 1: Decimal(21), 95: Decimal("10.5")}
    assert len(world.asked()) == 1


def test_prices_and_meters_are_read_once() -> None:
    world = World()
    for _ in range(3):
        assert world.api.price(world.price).usage_type is UsageType.METERED
        assert world.api.meter(world.meter).event_name == "api_calls"
    assert Counter(world.asked()) == {f"GET /v1/prices/{world.price}": 1, f"GET /v1/billing/meters/{world.meter}": 1}


def test_many_threads_read_a_price_once() -> None:
    world = World()
    with ThreadPoolExecutor(8) as pool:
        prices = set(pool.map(world.api.price, [world.price] * 40))
    assert len(prices) == 1
    assert world.asked() == [f"GET /v1/prices/{world.price}"]


def test_meters_are_listed_only_for_new_names() -> None:
    world = World()
    world.stripe.add_meter("storage")
    before = len(world.seen)
    for _ in range(2):
        assert world.api.meters_among(frozenset({"storage", "api_calls"})) == {"storage", "api_calls"}
    assert len(world.seen) == before + 1
    world.stripe.add_meter("seats")
    assert world.api.meters_among(frozenset({"seats", "deposit"})) == {"seats"}
    assert len(world.seen) == before + 2


def test_a_failed_read_is_not_remembered() -> None:
    world = World()
    for _ in range(2):
        with pytest.raises(NotFound):
            world.api.price("price_unknown")
    world.stripe.add_price(world.meter, id="price_unknown")
    assert world.api.price("price_unknown").meter_id == world.meter


ENDLESS = Tier(up_to=None, unit_amount=Decimal(1), flat_amount=Decimal(0))


@pytest.mark.parametrize(
    ("options", "tiers", "package", "calls"),
    [
        ({}, (), None, 1),
        ({"tiers": [{"up_to": None, "unit_amount": 1}]}, (ENDLESS,), None, 2),
        ({"package_size": 100}, (), Package(size=Decimal(100), round_up=True), 1),
    ],
)
def test_a_prices_package_and_tiers_are_read(
    options: dict[str, Any], tiers: tuple[Tier, ...], package: Package | None, calls: int
) -> None:
    world = World()
    price = world.api.price(world.stripe.add_price(world.meter, **options))
    assert (price.tiered, price.tiers, price.package) == (bool(tiers), tiers, package)
    assert price.meter_id == world.meter
    assert len(world.stripe.log) == calls


def test_a_licensed_price_has_no_meter() -> None:
    world = World()
    price = world.api.price(world.stripe.add_price(None, unit_amount=500))
    assert (price.usage_type, price.meter_id) == (UsageType.LICENSED, None)


@pytest.mark.parametrize("formula", ["sum", "count", "last"])
def test_a_meter_is_read_with_its_formula(formula: Literal["sum", "count", "last"]) -> None:
    world = World()
    assert world.api.meter(world.stripe.add_meter("bytes", formula)).formula is Formula(formula)


def test_a_subscription_is_read_with_its_items() -> None:
    world = World()
    subscription = world.api.read_subscription(world.subscription)
    assert subscription.metadata == {"pacspace_customer_id": "acme"}
    (item,) = subscription.items
    assert (item.price.meter_id, item.window) == (world.meter, Window(start=START, end=END))


def test_all_items_of_a_wide_subscription_are_read() -> None:
    world = World()
    prices = [world.stripe.add_price(world.meter) for _ in range(25)]
    subscription = world.api.read_subscription(world.subscribe(*prices))
    assert [item.price.price_id for item in subscription.items] == prices


def test_invoices_are_listed_newest_first() -> None:
    world = World()
    for month in range(1, 4):
        end = START - timedelta(days=month)
        world.stripe.add_past_invoice(world.subscription, end - timedelta(days=1), end)
    assert [each.created_at for each in world.api.list_invoices()] == [START - timedelta(days=day) for day in (1, 2, 3)]
    assert world.asked() == ["GET /v1/invoices"]


@dataclass
class Pages:
    """A long list, served by cursor."""

    rows: list[dict[str, Any]]
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        after = request.url.params.get("starting_after")
        first = next((place + 1 for place, row in enumerate(self.rows) if row["id"] == after), 0)
        last = first + int(request.url.params["limit"])
        return httpx.Response(200, json=page(*self.rows[first:last], more=last < len(self.rows)))


def test_a_long_list_is_read_page_by_page_as_it_is_needed() -> None:
    world = World()
    draft = world.stripe.invoice(world.draft())
    pages = Pages([draft | {"id": f"in_{number}"} for number in range(230)])
    listed = api_over(pages).list_invoices(status="draft")
    assert pages.requests == []
    assert next(listed).invoice_id == "in_0"
    assert len(pages.requests) == 1
    assert [each.invoice_id for each in listed] == [f"in_{number}" for number in range(1, 230)]
    assert [request.url.params.get("starting_after") for request in pages.requests] == [None, "in_99", "in_199"]
    assert {request.url.params["status"] for request in pages.requests} == {"draft"}


def test_lists_are_narrowed_by_stripe() -> None:
    world = World()
    other = world.subscribe(world.price)
    old = world.stripe.add_past_invoice(world.subscription, START - timedelta(days=60), START - timedelta(days=30))
    draft = world.draft()

    def listed(**wanted: Any) -> set[str]:  # noqa: ANN401  # the filters of the method under test
        return {each.invoice_id for each in world.api.list_invoices(**wanted)}

    assert draft in listed(status="draft")
    assert old not in listed(status="draft")
    mine = {each.invoice_id: each.complete for each in world.api.invoices_of_subscription(world.subscription)}
    assert mine == {draft: True, old: True}
    assert old not in {each.invoice_id for each in world.api.invoices_of_subscription(other)}
    assert old not in listed(created_since=START)
    assert draft in listed(created_since=END)
    assert listed(customer=world.stripe.add_customer()) == set()
    assert all("None" not in str(request.url) for request in world.seen)


# Writing


def test_one_request_changes_everything_that_is_given() -> None:
    world = World()
    invoice_id = world.draft()
    at = END + timedelta(hours=24, microseconds=5)
    world.api.update_invoice(
        invoice_id,
        auto_advance=True,
        automatically_finalizes_at=at,
        metadata={"pacspace_verdict": "matched", "old": ""},
        footer="Ünïted\nFooter & more",
    )
    assert world.asked() == [f"POST /v1/invoices/{invoice_id}"]
    invoice = world.api.read_invoice(invoice_id)
    assert invoice.footer == "Ünïted\nFooter & more"
    assert invoice.metadata == {"pacspace_verdict": "matched"}
    assert invoice.automatically_finalizes_at == END + timedelta(hours=24)


def test_only_what_is_given_is_sent() -> None:
    world = World()
    world.api.update_invoice(world.draft(), auto_advance=False)
    assert world.seen[0].content == b"auto_advance=false"


def test_an_empty_footer_clears_it_and_an_empty_value_deletes_a_key() -> None:
    world = World()
    invoice_id = world.draft()
    world.api.update_invoice(invoice_id, footer="x", metadata={"a": "1", "b": "2"})
    world.api.update_invoice(invoice_id, footer="", metadata={"a": ""})
    invoice = world.api.read_invoice(invoice_id)
    assert (invoice.footer or "", dict(invoice.metadata)) == ("", {"b": "2"})


def test_an_update_without_changes_is_an_error() -> None:
    world = World()
    with pytest.raises(ValueError, match="nothing to change"):
        world.api.update_invoice(world.draft(), metadata={})


def test_finalizing_lets_stripe_do_nothing_more() -> None:
    world = World()
    world.use("5")
    invoice_id = world.draft()
    world.api.finalize_invoice(invoice_id)
    assert world.seen[0].content == b"auto_advance=false"
    world.clock.advance(timedelta(days=3))
    world.stripe.run_due()
    invoice = world.api.read_invoice(invoice_id)
    assert (invoice.status, invoice.auto_advance, invoice.attempted) == (InvoiceStatus.OPEN, False, False)
    assert invoice.number
    assert invoice.finalized_at == END + timedelta(minutes=1)


def test_every_write_has_a_fresh_key_of_ours() -> None:
    world = World()
    invoice_id = world.draft()
    for _ in range(2):
        world.api.update_invoice(invoice_id, auto_advance=False)
    world.api.finalize_invoice(invoice_id)
    keys = [request.headers["Idempotency-Key"] for request in world.seen]
    assert len(set(keys)) == 3
    assert all(key.startswith(OUR_KEY_PREFIX) and len(key) == len(OUR_KEY_PREFIX) + 32 for key in keys)
    ours = [
        event["request"]["idempotency_key"] for event in world.stripe.events if event["type"] == "invoice.finalized"
    ]
    assert ours == [keys[2]]


def test_a_write_whose_answer_was_lost_is_done_once() -> None:
    world = World()
    invoice_id = world.draft()
    world.stripe.faults.add("lost_reply", endpoint="POST /v1/invoices/{id}/finalize", times=1)
    world.api.finalize_invoice(invoice_id)
    assert len({request.headers["Idempotency-Key"] for request in world.seen}) == 1
    assert len(world.seen) == 2
    assert [event["type"] for event in world.stripe.events].count("invoice.finalized") == 1


def test_no_write_leaves_without_the_lease() -> None:
    world = World()
    invoice_id = world.draft()

    def lost() -> None:
        message = "the lease is gone"
        raise LeaseLost(message)

    with world.transport.guarded(lost):
        world.api.read_invoice(invoice_id)
        with pytest.raises(LeaseLost):
            world.api.update_invoice(invoice_id, auto_advance=False)
        with pytest.raises(LeaseLost):
            world.api.finalize_invoice(invoice_id)
    assert world.asked() == [f"GET /v1/invoices/{invoice_id}"]


# Refusals and trouble


def test_a_frozen_invoice_is_not_editable() -> None:
    world = World()
    invoice_id = world.draft()
    world.api.finalize_invoice(invoice_id)
    with pytest.raises(NotEditable):
        world.api.update_invoice(invoice_id, footer="too late", metadata={"a": "b"})
    with pytest.raises(NotEditable):
        world.api.finalize_invoice(invoice_id)
    world.api.update_invoice(invoice_id, metadata={"still": "works"})
    assert world.api.read_invoice(invoice_id).metadata == {"still": "works"}


@pytest.mark.parametrize(
    "ask",
    [
        lambda api: api.read_invoice("in_unknown"),
        lambda api: api.price("price_unknown"),
        lambda api: api.meter("mtr_unknown"),
        lambda api: api.read_subscription("sub_unknown"),
        lambda api: api.meter_usage("mtr_unknown", "cus_1", WHOLE),
        lambda api: api.update_invoice("in_unknown", auto_advance=False),
    ],
)
def test_a_missing_object_is_not_found(ask: Callable[[StripeApi], object]) -> None:
    with pytest.raises(NotFound) as missing:
        ask(World().api)
    assert (missing.value.code, missing.value.status) == ("resource_missing", 404)
    assert missing.value.request_id


def test_a_wrong_key_is_refused_with_a_hint() -> None:
    world = World()
    with pytest.raises(RemoteRefused, match="Stripe: ") as refused:
        list(StripeApi(world.transport, "sk_test_wrong").list_invoices())
    assert "STRIPE_API_KEY" in refused.value.hint


@pytest.mark.parametrize("fault", ["500", "502", "503", "429", "lock_timeout", "connection_error", "timeout"])
def test_a_passing_fault_is_retried_unnoticed(fault: str) -> None:
    world = World()
    invoice_id = world.draft()
    world.stripe.faults.add(fault, times=2)
    assert world.api.read_invoice(invoice_id).invoice_id == invoice_id
    assert len(world.seen) == 3


@pytest.mark.parametrize(
    ("fault", "error"),
    [("500", RemoteUnavailable), ("429", RateLimited), ("lock_timeout", RateLimited), ("timeout", RemoteUnavailable)],
)
def test_a_lasting_fault_is_unavailable(fault: str, error: type[RemoteError]) -> None:
    world = World()
    invoice_id = world.draft()
    world.stripe.faults.add(fault)
    with pytest.raises(error) as trouble:
        world.api.update_invoice(invoice_id, auto_advance=False)
    assert type(trouble.value) is error
    # Stripe would answer a key with its first 500 for a day; every other trouble is asked about under the same key.
    assert len({request.headers["Idempotency-Key"] for request in world.seen}) == (3 if fault == "500" else 1)


def test_a_500_that_stripe_replays_is_overcome_in_the_same_call() -> None:
    world = World()
    invoice_id = world.draft()
    world.stripe.faults.add("500", endpoint="POST *", times=1)
    world.api.update_invoice(invoice_id, auto_advance=False)
    assert world.stripe.invoice(invoice_id)["auto_advance"] is False


def test_stripes_limits_are_kept_without_a_single_429() -> None:
    world = World(enforce_rate_limits=True)
    invoice_id = world.draft()
    for _ in range(60):
        world.api.read_invoice(invoice_id)
    assert {entry.status for entry in world.stripe.log} == {200}
    assert len(world.seen) == 60


@dataclass
class Reply:
    """Answers everything with one response."""

    status: int
    content: bytes | Any
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if isinstance(self.content, bytes):
            return httpx.Response(self.status, content=self.content, headers=self.headers)
        return httpx.Response(self.status, json=self.content, headers=self.headers)


def refusal(status: int, **error: object) -> Reply:
    return Reply(status, {"error": {"type": "invalid_request_error", **error}}, {"Request-Id": "req_1"})


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (refusal(400, code="invoice_not_editable", message="m"), NotEditable),
        (refusal(400, message="Finalized invoices can't be updated in this way", param="footer"), NotEditable),
        (refusal(400, message="This invoice is already finalized, you can't re-finalize it."), NotEditable),
        (refusal(400, message="Invalid invoice: This invoice is no longer editable"), NotEditable),
        (refusal(404, code="resource_missing", message="No such invoice: 'in_1'"), NotFound),
        (refusal(400, code="resource_missing", message="No such customer: 'cus_1'", param="customer"), RemoteRefused),
        (refusal(404, message="Unrecognized request URL (GET: /v2/x)."), RemoteRefused),
        (
            refusal(
                404,
                code="resource_missing",
                message="No such invoice: 'in_1'; a similar object exists in live mode, but a test mode key was used",
            ),
            RemoteRefused,
        ),
        (refusal(400, code="parameter_unknown", message="m"), RemoteRefused),
        (refusal(400, type="idempotency_error", message="m"), RemoteRefused),
        (refusal(401, message="Invalid API Key provided: sk_test_****1"), RemoteRefused),
        (refusal(402, type="card_error", message="m"), RemoteRefused),
        (refusal(403, message="Having the 'rak_invoice_read' permission would allow this"), RemoteRefused),
        (refusal(409, message="m"), RemoteUnavailable),
        (refusal(418, message="m"), RemoteRefused),
        (refusal(429, code="lock_timeout", message="m"), RateLimited),
        (refusal(500, type="api_error", message="m"), RemoteUnavailable),
        (refusal(400), RemoteRefused),
        (refusal(400, code=5, message=["m"]), RemoteRefused),
        (Reply(400, {"error": "invalid_grant", "error_description": "m"}), UnexpectedAnswer),
        (Reply(400, {"error": 5}), UnexpectedAnswer),
        (Reply(400, {"error": []}), UnexpectedAnswer),
        (Reply(400, []), UnexpectedAnswer),
        (Reply(404, b"<html>not here</html>"), UnexpectedAnswer),
        (Reply(400, b""), UnexpectedAnswer),
        (Reply(302, b"", {"Location": "https://elsewhere.test"}), UnexpectedAnswer),
        (Reply(200, b"<html>Welcome</html>"), UnexpectedAnswer),
        (Reply(200, b""), UnexpectedAnswer),
        (Reply(200, b"\xff\xfe"), UnexpectedAnswer),
        (Reply(200, b"[" * 50_000), UnexpectedAnswer),
        (Reply(200, b'{"object": "invoice", "id": NaN}'), UnexpectedAnswer),
        (Reply(200, b'{"object": "invoice", "amount_due": ' + b"9" * 5000 + b"}"), UnexpectedAnswer),
        (Reply(200, b"null"), UnexpectedAnswer),
        (Reply(200, []), UnexpectedAnswer),
        (Reply(200, {}), UnexpectedAnswer),
        (Reply(200, {"object": "invoice", "id": "in_2"}), UnexpectedAnswer),
        (Reply(200, {"object": "customer", "id": "in_1"}), UnexpectedAnswer),
        (Reply(200, {"success": False}), UnexpectedAnswer),
        (Reply(200, {"error": {"code": "x"}}), UnexpectedAnswer),
        (Reply(200, {"id": "in_1", "object": "invoice", "deleted": True}), NotFound),
    ],
)
@pytest.mark.parametrize("write", [False, True])
def test_every_refusal_is_the_documented_error(reply: Reply, kind: type[RemoteError], write: bool) -> None:  # noqa: FBT001
    api = api_over(reply)
    with pytest.raises(PacspaceStripeError) as refused:
        api.finalize_invoice("in_1") if write else api.read_invoice("in_1")
    assert type(refused.value) is kind
    assert isinstance(refused.value, RemoteError)
    assert refused.value.service == "Stripe"


@pytest.mark.parametrize(
    ("reply", "hint"),
    [
        (refusal(401, message="m"), "STRIPE_API_KEY"),
        (refusal(403, message="m"), "permission"),
        (refusal(404, code="resource_missing", message="a similar object exists in live mode"), "modes"),
    ],
)
def test_a_refusal_carries_a_hint(reply: Reply, hint: str) -> None:
    with pytest.raises(RemoteRefused) as refused:
        api_over(reply).read_invoice("in_1")
    assert hint in refused.value.hint
    assert (refused.value.request_id, refused.value.status) == ("req_1", reply.status)


def page(*rows: object, more: bool = False) -> dict[str, Any]:
    return {"object": "list", "data": list(rows), "has_more": more}


SUMMARY = {"object": "billing.meter_event_summary", "id": "mtrusg_1", "meter": "mtr_1", "aggregated_value": 1}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        page() | {"has_more": None},
        page() | {"data": None},
        page(more=True),
        page(SUMMARY, more=True),
        page(5),
        page(SUMMARY | {"aggregated_value": "much"}),
        page(SUMMARY | {"aggregated_value": None}),
        page(SUMMARY | {"meter": "mtr_2"}),
        page(SUMMARY | {"object": "charge"}),
    ],
    ids=repr,
)
def test_an_inconsistent_list_is_unexpected(answer: object) -> None:
    with pytest.raises(UnexpectedAnswer):
        api_over(Reply(200, answer)).meter_usage("mtr_1", "cus_1", WHOLE)


def test_usage_is_the_exact_sum_of_all_rows() -> None:
    content = b"""{"object": "list", "has_more": false, "data": [
        {"object": "billing.meter_event_summary", "id": "a", "meter": "mtr_1", "aggregated_value": 0.1},
        {"object": "billing.meter_event_summary", "id": "b", "meter": "mtr_1", "aggregated_value": 12345678901234.2}
    ]}"""
    assert api_over(Reply(200, content)).meter_usage("mtr_1", "cus_1", WHOLE) == Decimal("12345678901234.3")


def test_a_number_beyond_any_usage_is_unexpected() -> None:
    content = b"""{"object": "list", "has_more": false, "data": [
        {"object": "billing.meter_event_summary", "id": "a", "meter": "mtr_1", "aggregated_value": 1e999999999}
    ]}"""
    with pytest.raises(UnexpectedAnswer, match="aggregated_value"):
        api_over(Reply(200, content)).meter_usage("mtr_1", "cus_1", WHOLE)


def test_one_unreadable_invoice_does_not_hide_the_others() -> None:
    world = World()
    draft = world.stripe.invoice(world.draft())
    rows = api_over(Reply(200, page(draft | {"id": "in_bad", "auto_advance": None}, draft))).list_invoices()
    assert next(rows).invoice_id == draft["id"]
    with pytest.raises(UnexpectedAnswer, match="invoice in_bad: auto_advance"):
        next(rows)


def test_an_endless_invoice_is_not_read_for_ever() -> None:
    world = World()
    draft = world.stripe.invoice(world.draft())
    (line,) = draft["lines"]["data"]
    pages = Pages([line | {"id": f"il_{number}"} for number in range(20_000)])

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/lines"):
            return pages(request)
        return httpx.Response(200, json=draft | {"lines": page(line, more=True)})

    with pytest.raises(UnexpectedAnswer, match="more than 10000 rows"):
        api_over(answer).read_invoice(draft["id"])


@pytest.mark.parametrize("an_id", ["", ".", ".."])
def test_an_id_that_names_another_path_is_not_sent(an_id: str) -> None:
    reply = Reply(200, {})
    with pytest.raises(ValueError, match="an id is needed"):
        api_over(reply).update_invoice(an_id, auto_advance=False)
    assert reply.requests == []


def test_any_id_is_one_path_segment() -> None:
    reply = Reply(404, {"error": {"message": "m"}})
    with pytest.raises(RemoteError):
        api_over(reply).read_invoice("in_1/../../customers?x=#y")
    assert reply.requests[0].url.raw_path == b"/v1/invoices/in_1%2F..%2F..%2Fcustomers%3Fx%3D%23y"


def test_the_base_url_may_have_a_path_and_a_slash() -> None:
    reply = Reply(200, page())
    list(StripeApi(transport(reply), "sk_test_1", "https://proxy.test/stripe/").list_invoices())
    assert str(reply.requests[0].url) == "https://proxy.test/stripe/v1/invoices?limit=100"
    assert parse_qs(reply.requests[0].url.query.decode()) == {"limit": ["100"]}


@pytest.mark.parametrize(("key", "live"), [("sk_test_1", False), ("rk_live_1", True)])
def test_the_key_decides_the_mode(key: str, live: bool) -> None:  # noqa: FBT001
    assert StripeApi(transport(Reply(200, page())), key).livemode is live


def test_the_log_has_no_body_and_no_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world = World()
    world.api.update_invoice(world.draft(), footer="private footer")
    assert "Stripe POST /v1/invoices/{id}: 200" in caplog.text
    for private in ("private", world.stripe.api_key, OUR_KEY_PREFIX, "Ann"):
        assert private not in caplog.text
