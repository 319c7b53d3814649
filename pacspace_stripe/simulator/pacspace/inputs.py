"""Requests and their fields, checked as CONTRACT 1.9 and 3.1 say."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import httpx

from pacspace_stripe.simulator.pacspace.amounts import MAX_DIGITS, refused_delta
from pacspace_stripe.simulator.pacspace.ledger import Draft
from pacspace_stripe.simulator.pacspace.refusals import invalid

_Kind = TypeVar("_Kind")

MAX_BATCH = 100
_MAX_REASON = 500
_MAX_EXPONENT = 300
_CUSTOMER_ID = re.compile(r"[A-Za-z0-9_\-.:]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PacSpaceRequest:
    """One routed request: its path values, query, headers and JSON body."""

    values: Mapping[str, str]
    query: Mapping[str, str]
    headers: httpx.Headers
    writes: bool = False
    body: Mapping[str, Any] = field(default_factory=dict)

    def customer(self) -> str:
        return self.values["customerId"]

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """Return a whole number from the query."""
        text = self.query.get(name, str(default))
        if not re.fullmatch(r"\d{1,18}", text, re.ASCII) or not least <= int(text) <= most:
            message = f"{name} must be an integer between {least} and {most}"
            raise invalid(message)
        return int(text)


def read_call(request: httpx.Request, values: Mapping[str, str]) -> PacSpaceRequest:
    """Return the request with its body parsed; refuse a body that is not a JSON object."""
    query = dict(request.url.params)
    if request.method not in {"POST", "PATCH"}:
        return PacSpaceRequest(values=values, query=query, headers=request.headers)
    body = _json_object(request.read())
    return PacSpaceRequest(values=values, query=query, headers=request.headers, body=body, writes=True)


def _json_object(content: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(content or b"{}", parse_float=_decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        message = "Request body must be valid JSON"
        raise invalid(message) from None
    if not isinstance(body, dict):
        message = "Request body must be a JSON object"
        raise invalid(message)
    return body


def _decimal(digits: str) -> Decimal:
    """Return a number that a double could hold too; others could not be written out again."""
    number = Decimal(digits)
    if abs(number.adjusted()) > _MAX_EXPONENT:
        raise ValueError(digits)
    return number


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def read_number(value: Any, name: str) -> Decimal:
    """Return a JSON number, or a number of the query."""
    number = _parsed(value)
    if number is None or abs(number.adjusted()) > _MAX_EXPONENT or len(number.as_tuple().digits) > MAX_DIGITS:
        message = f"{name} must be a number"
        raise invalid(message)
    return number


def _parsed(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def read_balance(body: Mapping[str, Any], name: str) -> Decimal:
    """Return a required JSON number."""
    value = body.get(name)
    return read_number(None if isinstance(value, str) else value, name)


def read_customer_id(value: Any) -> str:
    """Return a well-formed customer id (CONTRACT 1.9)."""
    if not isinstance(value, str) or not _CUSTOMER_ID.fullmatch(value):
        message = "customerId must be 1 to 128 letters, digits, or any of _ - . :"
        raise invalid(message)
    return value


def read_draft(body: Any) -> Draft:
    """Return a delta as it is emitted, alone or in a batch."""
    if not isinstance(body, Mapping):
        message = "each delta must be an object"
        raise invalid(message)
    if body.get("vendorAccountId") is not None:
        message = "vendorAccountId is not allowed for direct tenants"
        raise invalid(message)
    return Draft(
        account=read_customer_id(body.get("customerId")),
        delta=_delta(body.get("delta")),
        reason=_reason(body.get("reason")),
        reference_id=_optional(body, "referenceId", str, "a string"),
        metadata=_optional(body, "metadata", dict, "an object"),
        adjusts=_adjusts(body),
    )


def _delta(value: Any) -> Decimal:
    number = read_number(None if isinstance(value, str) else value, "delta")
    refused = refused_delta(number)
    if refused:
        raise invalid(refused)
    return number


def _reason(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= _MAX_REASON:
        message = f"reason must be a string of 1 to {_MAX_REASON} characters"
        raise invalid(message)
    return value


def _optional(body: Mapping[str, Any], name: str, kind: type[_Kind], described: str) -> _Kind | None:
    value = body.get(name)
    if value is not None and not isinstance(value, kind):
        message = f"{name} must be {described}"
        raise invalid(message)
    return value


def _adjusts(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    adjusts = _optional(body, "adjusts", dict, "an object")
    if adjusts is not None and not any(isinstance(adjusts.get(name), str) for name in ("referenceId", "recordId")):
        message = "adjusts must name a referenceId or a recordId"
        raise invalid(message)
    return adjusts


def read_deltas(body: Mapping[str, Any]) -> list[Any]:
    """Return the items of a batch, unchecked, since each is judged alone."""
    deltas = body.get("deltas")
    if not isinstance(deltas, list) or not 1 <= len(deltas) <= MAX_BATCH:
        message = f"deltas must be an array of 1 to {MAX_BATCH} deltas"
        raise invalid(message)
    return deltas
