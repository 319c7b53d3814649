"""Refusals of Stripe: status, type, code, parameter and message, and if an idempotency key keeps them."""

from typing import Any, NoReturn


class StripeError(Exception):
    """An answer that is an error.

    ``remembered`` says if the Idempotency-Key keeps it: Stripe stores the answer of an endpoint (a 500 too), but
    nothing if the parameters did not pass or the request was never admitted.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
        remembered: bool = True,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param
        self.headers = headers or {}
        self.remembered = remembered

    def body(self, request_id: str, *, version: int = 1) -> dict[str, Any]:
        """Return the JSON of the answer; the v2 API's errors always have a code."""
        if version > 1:
            return {"error": {"message": self.message, "type": self.kind, "code": self.code or self.kind}}
        fields: dict[str, Any] = {"message": self.message, "type": self.kind}
        if self.code:
            fields["code"] = self.code
            fields["doc_url"] = f"https://docs.stripe.com/error-codes#{self.code.replace('_', '-')}"
        if self.param:
            fields["param"] = self.param
        fields["request_log_url"] = f"https://dashboard.stripe.com/test/workbench/logs?object={request_id}"
        return {"error": fields}


def refuse(message: str, param: str | None, code: str | None = None) -> NoReturn:
    """Refuse a parameter: 400, and the idempotency key stays unused."""
    raise StripeError(message, param=param, code=code, remembered=False)


def refuse_state(message: str, *, code: str | None = None, param: str | None = None) -> NoReturn:
    """Refuse because of the object's state: 400, which the idempotency key remembers."""
    raise StripeError(message, param=param, code=code)


def refuse_missing(what: str, object_id: str, param: str, *, status: int = 404) -> NoReturn:
    """Refuse a missing object: 404 for the one in the path, 400 for one named by a parameter."""
    message = f"No such {what}: '{object_id}'"
    raise StripeError(message, status=status, code="resource_missing", param=param)


def refuse_edit(param: str | None = None) -> NoReturn:
    """Refuse an update of a frozen field of a finalized invoice."""
    message = "Finalized invoices can't be updated in this way"
    raise StripeError(message, code="invoice_not_editable", param=param)


def unauthorized(key: str) -> StripeError:
    """Return 401 for a key that is not this simulator's."""
    shown = f"{key[:8]}{'*' * 12}{key[-4:]}" if key else ""
    message = f"Invalid API Key provided: {shown}" if key else "You did not provide an API key."
    return StripeError(message, status=401, remembered=False)


def forbidden(key: str, account: str, endpoint: str) -> StripeError:
    """Return 403 for a restricted key. Stripe names the missing permission; the simulator names the endpoint."""
    message = (
        f"The provided key '{key[:8]}{'*' * 12}{key[-4:]}' does not have the required permissions for this endpoint "
        f"on account '{account}'. Having the permission for '{endpoint}' would allow this request to continue."
    )
    return StripeError(message, status=403, remembered=False)


def rate_limited(reason: str) -> StripeError:
    """Return 429 with the exceeded limit; the SDK does not retry it."""
    message = (
        "Request rate limit exceeded. You can learn more about rate limits here https://docs.stripe.com/rate-limits."
    )
    return StripeError(
        message, status=429, code="rate_limit", headers={"Stripe-Rate-Limited-Reason": reason}, remembered=False
    )


def lock_timeout() -> StripeError:
    """Return 429 for an object that is locked; the SDK retries it."""
    message = "This object cannot be accessed right now because another API request or Stripe process is accessing it."
    return StripeError(
        message, status=429, code="lock_timeout", headers={"Stripe-Should-Retry": "true"}, remembered=False
    )


def server_error(status: int = 500) -> StripeError:
    """Return Stripe's own failure; an idempotency key remembers it."""
    return StripeError("An unknown error occurred", status=status, kind="api_error")
