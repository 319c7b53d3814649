"""The judge itself: it passes good exchanges, finds faults, and knows every endpoint of the simulator."""

import json
from typing import Any

import httpx
import pytest
import stripe

from pacspace_stripe.simulator.stripe.simulator import ENDPOINTS
from tests.support import openapi
from tests.support.stripe_worlds import StripeWorld

URL = "https://api.stripe.com"


def form(path: str, body: str) -> httpx.Request:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return httpx.Request("POST", f"{URL}{path}", content=body, headers=headers)


@pytest.mark.parametrize(("method", "path"), sorted(ENDPOINTS))
def test_stripe_has_every_endpoint_of_the_simulator(method: str, path: str) -> None:
    openapi.operation_for(httpx.Request(method, f"{URL}{path.replace('{id}', 'x_1')}"))


@pytest.mark.parametrize(
    "body",
    [
        "auto_advance=false",
        "footer=line+one%0Aline+two&metadata[a]=1&metadata[b]=",
        "metadata=",
        "automatically_finalizes_at=1790000000",
        "custom_fields[0][name]=a&custom_fields[0][value]=b",
        "custom_fields=",
        "expand[]=customer&expand[]=subscription",
        "rendering[pdf][page_size]=a4",
        f"footer={'x' * 5000}",
        "",
    ],
)
def test_good_requests_pass(body: str) -> None:
    assert openapi.request_problems(form("/v1/invoices/in_1", body)) == []


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (form("/v1/invoices/in_1", "auto_advanced=false"), "auto_advanced"),
        (form("/v1/invoices/in_1", "auto_advance=no"), "auto_advance"),
        (form("/v1/invoices/in_1", "automatically_finalizes_at=tomorrow"), "automatically_finalizes_at"),
        (form("/v1/invoices/in_1", f"footer={'x' * 5001}"), "footer"),
        (form("/v1/invoices/in_1", "collection_method=carrier_pigeon"), "collection_method"),
        (form("/v1/invoices/in_1", "metadata[a][b]=1"), "metadata"),
        (form("/v1/invoices/in_1", "rendering[pdf][colour]=red"), "colour"),
        (form("/v1/invoices/in_1", "custom_fields[1][name]=a&custom_fields[1][value]=b"), "custom_fields"),
        (form("/v1/invoices", "subscription[id]=sub_1"), "subscription"),
        (form("/v1/invoices/in_1/finalize", "expedite=true"), "expedite"),
        (httpx.Request("GET", f"{URL}/v1/invoices?status=drafty"), "status"),
        (httpx.Request("GET", f"{URL}/v1/invoices?created[since]=1"), "created"),
        (httpx.Request("GET", f"{URL}/v1/billing/meters/mtr_1/event_summaries?start_time=0"), "required"),
        (httpx.Request("POST", f"{URL}/v1/invoices/in_1", json={"footer": "x"}), "application/json"),
    ],
)
def test_bad_requests_are_found(request_: httpx.Request, complaint: str) -> None:
    (problem, *_) = openapi.request_problems(request_)
    assert complaint in problem


def test_an_operation_that_stripe_does_not_have_is_found() -> None:
    with pytest.raises(openapi.ContractError, match="Stripe has no PUT"):
        openapi.operation_for(httpx.Request("PUT", f"{URL}/v1/invoices/in_1"))


def set_at(body: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    *outer, last = path.split(".")
    at: Any = body
    for part in outer:
        at = at[int(part) if isinstance(at, list) else part]
    at[last] = value
    return body


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("colour", "red"),
        ("status", "drafty"),
        ("created", "today"),
        ("auto_advance", None),
        ("metadata", {"a": 1}),
        ("lines.data.0.quantity_decimal", 12.5),
        ("lines.data.0.parent.subscription_item_details.subscription_item", None),
        ("lines.data.0.price", {"id": "price_1"}),
        ("parent.subscription_details.subscription", 7),
        ("lines.object", "array"),
    ],
)
def test_bad_answers_are_found(path: str, value: object) -> None:
    world = StripeWorld()
    invoice_id = world.renewed()
    request = httpx.Request("GET", f"{URL}/v1/invoices/{invoice_id}")
    invoice = world.get(f"invoices/{invoice_id}")
    openapi.validate_exchange(request, httpx.Response(200, content=json.dumps(invoice)))
    with pytest.raises(openapi.ContractError):
        openapi.validate_exchange(request, httpx.Response(200, content=json.dumps(set_at(invoice, path, value))))


def test_a_bad_error_is_found() -> None:
    request = httpx.Request("GET", f"{URL}/v1/invoices/in_1")
    with pytest.raises(openapi.ContractError, match="type"):
        openapi.validate_exchange(request, httpx.Response(404, json={"error": {"message": "none"}}))


ABSENT = {
    "confirmation_secret",  # only when expanded
    "payments",  # only when expanded
    "threshold_reason",  # only on threshold invoices
}


def test_the_invoice_has_every_field_that_stripe_documents() -> None:
    world = StripeWorld()
    world.use("5")
    invoice = world.get(f"invoices/{world.renewed()}")
    fields = set(openapi.spec()["components"]["schemas"]["invoice"]["properties"])
    assert fields - set(invoice) == ABSENT
    assert set(invoice) - fields == set(openapi.BEYOND_OBJECTS["invoice"])
    line_fields = set(openapi.spec()["components"]["schemas"]["line_item"]["properties"])
    assert line_fields == set(invoice["lines"]["data"][0])


IN_THE_SDK: dict[str, type] = {
    "invoice": stripe.Invoice,
    "subscription": stripe.Subscription,
    "subscriptions_resource_subscription_invoice_settings": stripe.Subscription.InvoiceSettings,
}


@pytest.mark.parametrize("name", sorted(openapi.BEYOND_OBJECTS))
def test_what_goes_beyond_the_document_is_in_the_official_package(name: str) -> None:
    assert stripe.api_version == openapi.PINNED_VERSION
    assert set(openapi.BEYOND_OBJECTS[name]) <= set(IN_THE_SDK[name].__annotations__)


def test_what_goes_beyond_the_document_is_still_beyond_it() -> None:
    """Fail when a newer document makes the tables of additions shorter."""
    schemas = openapi.spec()["components"]["schemas"]
    for name, added in (*openapi.BEYOND_OBJECTS.items(), *openapi.PREVIEW_OBJECTS.items()):
        assert set(added) & set(schemas[name]["properties"]) <= {"type"}
