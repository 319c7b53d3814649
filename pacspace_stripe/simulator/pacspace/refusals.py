"""Errors as PacSpace words them (CONTRACT 1.5): nested, with the message repeated for flat readers."""

from http import HTTPStatus
from typing import Any

import httpx

from pacspace_stripe.simulator.http import json_response


class PacSpaceRefusal(Exception):
    """A request that PacSpace does not accept, with its answer.

    Plain validation errors carry no code, since the SDK raises its ``ValidationError`` only then.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        *,
        retry_after: int | None = None,
        customer_id: str | None = None,
        flat: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.retry_after = retry_after
        self.customer_id = customer_id
        self.flat = flat
        """Use the framework's own shape, as the settlement API does."""

    def answer(self) -> httpx.Response:
        """Return the response."""
        if self.flat:
            body = {"statusCode": self.status, "error": HTTPStatus(self.status).phrase, "message": self.message}
            return json_response(self.status, body)
        error: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "retryAfterSeconds": self.retry_after,
            "customerId": self.customer_id,
        }
        error = {name: value for name, value in error.items() if value is not None}
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return json_response(self.status, {"success": False, "error": error, "message": self.message}, headers)


def invalid(message: str) -> PacSpaceRefusal:
    """Return 400 for an invalid field."""
    return PacSpaceRefusal(400, message)


def scope_conflict(message: str) -> PacSpaceRefusal:
    """Return 400 for scopes that exclude each other."""
    return PacSpaceRefusal(400, message, "INVALID_SCOPE_COMBINATION")


def customer_not_found(account: str) -> PacSpaceRefusal:
    """Return 404 for a customer without a record."""
    return PacSpaceRefusal(404, "Customer not found", "CUSTOMER_NOT_FOUND", customer_id=account)


def wrong_key() -> PacSpaceRefusal:
    """Return 401."""
    return PacSpaceRefusal(401, "Invalid or missing API key", "INVALID_API_KEY")


def rate_limited(retry_after: int) -> PacSpaceRefusal:
    """Return 429 for too many requests."""
    return PacSpaceRefusal(429, "Too many requests", "RATE_LIMITED", retry_after=retry_after)


def cadence_limited(retry_after: int, account: str | None) -> PacSpaceRefusal:
    """Return 429 for a customer's deltas that come too close together."""
    message = "Submission cadence limit reached"
    return PacSpaceRefusal(429, message, "CADENCE_LIMIT", retry_after=retry_after, customer_id=account)


def plan_limited() -> PacSpaceRefusal:
    """Return 402."""
    return PacSpaceRefusal(402, "Plan limit reached", "INSUFFICIENT_CREDITS")


def environment_missing() -> PacSpaceRefusal:
    """Return 412."""
    message = "No contract deployed. Provision an environment first."
    return PacSpaceRefusal(412, message, "CONTRACT_NOT_DEPLOYED")


def unavailable(retry_after: int) -> PacSpaceRefusal:
    """Return 503."""
    return PacSpaceRefusal(503, "Service temporarily unavailable", "SERVICE_UNAVAILABLE", retry_after=retry_after)
