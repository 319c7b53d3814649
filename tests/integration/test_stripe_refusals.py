"""Refusals, faults and malformed answers of Stripe: each one is a documented error of ours."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from pacspace_stripe.errors import (
    NotEditable,
    NotFound,
    PacspaceStripeError,
    RateLimited,
    RemoteError,
    RemoteRefused,
    RemoteUnavailable,
    UnexpectedAnswer,
)
from pacspace_stripe.stripe_api import OUR_KEY_PREFIX, StripeApi
from tests.support.stripe_api_world import WHOLE, ApiWorld, Pages, api_over, page, transport

# Refusals and trouble


def test_a_frozen_invoice_is_not_editable() -> None:
    world = ApiWorld()
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
        ask(ApiWorld().api)
    assert (missing.value.code, missing.value.status) == ("resource_missing", 404)
    assert missing.value.request_id


def test_a_wrong_key_is_refused_with_a_hint() -> None:
    world = ApiWorld()
    with pytest.raises(RemoteRefused, match="Stripe: ") as refused:
        list(StripeApi(world.transport, "sk_test_wrong").list_invoices())
    assert "STRIPE_API_KEY" in refused.value.hint


@pytest.mark.parametrize("fault", ["500", "502", "503", "429", "lock_timeout", "connection_error", "timeout"])
def test_a_passing_fault_is_retried_unnoticed(fault: str) -> None:
    world = ApiWorld()
    invoice_id = world.draft()
    world.stripe.faults.add(fault, times=2)
    assert world.api.read_invoice(invoice_id).invoice_id == invoice_id
    assert len(world.seen) == 3


@pytest.mark.parametrize(
    ("fault", "error"),
    [("500", RemoteUnavailable), ("429", RateLimited), ("lock_timeout", RateLimited), ("timeout", RemoteUnavailable)],
)
def test_a_lasting_fault_is_unavailable(fault: str, error: type[RemoteError]) -> None:
    world = ApiWorld()
    invoice_id = world.draft()
    world.stripe.faults.add(fault)
    with pytest.raises(error) as trouble:
        world.api.update_invoice(invoice_id, auto_advance=False)
    assert type(trouble.value) is error
    # Stripe repeats a first 500 for the same key for a day; after any other failure the same key is sent again.
    assert len({request.headers["Idempotency-Key"] for request in world.seen}) == (3 if fault == "500" else 1)


def test_a_500_that_stripe_replays_is_overcome_in_the_same_call() -> None:
    world = ApiWorld()
    invoice_id = world.draft()
    world.stripe.faults.add("500", endpoint="POST *", times=1)
    world.api.update_invoice(invoice_id, auto_advance=False)
    assert world.stripe.invoice(invoice_id)["auto_advance"] is False


def test_stripes_limits_are_kept_without_a_single_429() -> None:
    world = ApiWorld(enforce_rate_limits=True)
    invoice_id = world.draft()
    for _ in range(60):
        world.api.read_invoice(invoice_id)
    assert {entry.status for entry in world.stripe.log} == {200}
    assert len(world.seen) == 60


@dataclass
class Reply:
    """A vendor that answers every request with one response."""

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
    world = ApiWorld()
    draft = world.stripe.invoice(world.draft())
    rows = api_over(Reply(200, page(draft | {"id": "in_bad", "auto_advance": None}, draft))).list_invoices()
    assert next(rows).invoice_id == draft["id"]
    with pytest.raises(UnexpectedAnswer, match="invoice in_bad: auto_advance"):
        next(rows)


def test_an_endless_invoice_is_not_read_for_ever() -> None:
    world = ApiWorld()
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
    world = ApiWorld()
    world.api.update_invoice(world.draft(), footer="private footer")
    assert "Stripe POST /v1/invoices/{id}: 200" in caplog.text
    for private in ("private", world.stripe.api_key, OUR_KEY_PREFIX, "Ann"):
        assert private not in caplog.text
