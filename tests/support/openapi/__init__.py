"""Stripe's own OpenAPI as the judge of every request to Stripe and of every answer of the simulator."""

from tests.support.openapi.document import (
    BEYOND_OBJECTS,
    BEYOND_REQUESTS,
    PINNED_VERSION,
    PREVIEW_OBJECTS,
    SPEC_VERSION,
    ContractError,
    spec,
)
from tests.support.openapi.rules import (
    Checked,
    object_problems,
    operation_for,
    request_problems,
    response_problems,
    validate_event,
    validate_exchange,
)

__all__ = [
    "BEYOND_OBJECTS",
    "BEYOND_REQUESTS",
    "PINNED_VERSION",
    "PREVIEW_OBJECTS",
    "SPEC_VERSION",
    "Checked",
    "ContractError",
    "object_problems",
    "operation_for",
    "request_problems",
    "response_problems",
    "spec",
    "validate_event",
    "validate_exchange",
]
