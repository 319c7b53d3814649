"""Every error this package raises on purpose.

    PacspaceStripeError            says what happened, and in ``hint`` what to do next
    ├── ConfigurationError         a setting is missing or wrong: names the variable, never its value
    ├── SignatureError             a webhook that the sender's secret did not sign
    ├── UnreadableEvent            a signed webhook body that is not an event we can read
    ├── RemoteError                Stripe or PacSpace
    │   ├── RemoteUnavailable      no answer, or one that may be different later: try again
    │   │   └── RateLimited        429: try again soon; says nothing about the invoice
    │   ├── UnexpectedAnswer       an answer that is not what the contract says: never counts as agreement
    │   └── RemoteRefused          a clear no: do not repeat the same request
    │       ├── NotFound           the thing does not exist
    │       └── NotEditable        Stripe froze it: read again
    ├── StoreUnavailable           our database does not answer
    ├── LeaseBusy                  another process is looking at this invoice now
    ├── LeaseLost                  the lease ran out while we worked: nothing more is written
    └── RenderError                a document or footer could not be rendered

A drifted invoice is a result, not an error.
"""

from datetime import timedelta


class PacspaceStripeError(Exception):
    """The root of the tree. ``hint`` tells a person what to do next."""

    hint = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint


class ConfigurationError(PacspaceStripeError):
    """A setting is missing or wrong. ``variable`` is its name in the environment."""

    def __init__(self, variable: str, problem: str, *, hint: str | None = None) -> None:
        super().__init__(f"{variable}: {problem}", hint=hint)
        self.variable = variable


class SignatureError(PacspaceStripeError):
    """The webhook was not signed with any configured secret, or not recently."""

    hint = "Compare STRIPE_WEBHOOK_SECRET with the signing secret of this endpoint in Stripe's dashboard."


class UnreadableEvent(PacspaceStripeError):
    """The webhook's signature holds but its body is not an event we can read."""


class RemoteError(PacspaceStripeError):
    """Something about ``service`` ("Stripe" or "PacSpace"); ``request_id`` as the service named it."""

    def __init__(
        self,
        service: str,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(f"{service}: {message}", hint=hint)
        self.service = service
        self.status = status
        self.code = code
        self.request_id = request_id

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later by itself."""
        return not isinstance(self, RemoteRefused)


class RemoteUnavailable(RemoteError):
    """No answer, or a server error, after every retry: look again later."""

    hint = "Nothing to do: it is tried again by itself."


class RateLimited(RemoteUnavailable):
    """Refused for its rate. ``retry_after`` is the service's wish, if it named one."""

    def __init__(self, service: str, message: str, *, retry_after: timedelta | None = None, **details: object) -> None:
        super().__init__(service, message, **details)  # type: ignore[arg-type]  # same keywords as RemoteError
        self.retry_after = retry_after


class UnexpectedAnswer(RemoteError):
    """An answer outside the contract: wrong type, missing field, HTML, success=false."""


class RemoteRefused(RemoteError):
    """A clear no to this request: a bad key, a bad parameter, a missing permission."""


class NotFound(RemoteRefused):
    """The thing asked for does not exist (any more)."""


class NotEditable(RemoteRefused):
    """Stripe froze the invoice (``invoice_not_editable``): read it again, write metadata only."""


class StoreUnavailable(PacspaceStripeError):
    """Our database does not answer."""

    hint = "Check PACSPACE_STRIPE_DATABASE_URL and that the database runs."


class LeaseBusy(PacspaceStripeError):
    """Another process is looking at this invoice right now."""

    hint = "Try again in a few seconds."


class LeaseLost(PacspaceStripeError):
    """The lease ran out while we worked; nothing more is written."""


class RenderError(PacspaceStripeError):
    """A template could not be rendered: names the template and the reason."""
