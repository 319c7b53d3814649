"""Every error this package raises on purpose.

    PacspaceStripeError            names what happened, and in ``hint`` what to do next
    ├── ConfigurationError         a setting is missing or wrong: names the variable, never its value
    ├── SignatureError             a webhook that no configured secret signed
    ├── UnreadableEvent            a signed webhook body that is no readable event
    ├── InvalidInput               a value that PacSpace does not take: nothing was sent
    ├── RemoteError                Stripe or PacSpace
    │   ├── RemoteUnavailable      no answer, or one that may be different later: retried
    │   │   ├── RateLimited        429: retried soon; says nothing about the invoice
    │   │   │   └── CadenceLimited 429 for one ledger account: its records come too often
    │   │   └── StillInFlight      accepted, but not done within the time allowed
    │   ├── UnexpectedAnswer       an answer outside the contract: never counts as agreement
    │   └── RemoteRefused          a clear refusal: the same request is not repeated
    │       ├── NotFound           the object does not exist
    │       ├── NotEditable        Stripe froze the invoice: it is read again
    │       ├── KeyRefused         401: an unknown or disabled key
    │       ├── HostMismatch       403: the key is of another environment than the address
    │       ├── PlanLimitReached   402: PacSpace's plan has no room for more
    │       ├── NotProvisioned     412: the key's environment does not exist yet
    │       ├── ScopeRefused       400: a span of time that PacSpace does not answer in one request
    │       ├── LoginRefused       401: PacSpace's dashboard does not know this login
    │       ├── NotApproved        PacSpace has not approved this person's access
    │       ├── Conflict           409: the idempotency key or the name is used for something else
    │       └── DeltaFailed        PacSpace took a delta and could not verify it
    ├── StoreUnavailable           our database does not answer
    ├── LeaseBusy                  another process checks this invoice now
    ├── LeaseLost                  the lease expired during the check: nothing more is written
    ├── RenderError                a document or footer could not be rendered
    └── UnreadableDocument         a file that is to be verified cannot be read at all
        └── UnreadableEvidence     evidence that is not JSON in our format

A drifted invoice is a result, not an error.
"""

from datetime import timedelta

from pacspace_stripe.vocabulary.webhooks import SignatureProblem


class PacspaceStripeError(Exception):
    """The root of the tree. ``hint`` names what a person can do next."""

    hint = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint

    @property
    def with_hint(self) -> str:
        """Return the message and the hint as sentences of one text."""
        message = str(self)
        if not self.hint:
            return message
        return f"{message} {self.hint}" if message.endswith((".", "!", "?")) else f"{message}. {self.hint}"


class ConfigurationError(PacspaceStripeError):
    """A setting is missing or wrong. ``variable`` is its name in the environment."""

    def __init__(self, variable: str, problem: str, *, hint: str | None = None) -> None:
        super().__init__(f"{variable}: {problem}", hint=hint)
        self.variable = variable


class SignatureError(PacspaceStripeError):
    """The webhook was not signed with any configured secret, or not recently."""

    hint = "Compare STRIPE_WEBHOOK_SECRET with the signing secret of this endpoint in Stripe's dashboard."

    def __init__(
        self, message: str, *, hint: str | None = None, cause: SignatureProblem = SignatureProblem.SIGNER
    ) -> None:
        super().__init__(message, hint=hint)
        self.cause = cause


class UnreadableEvent(PacspaceStripeError):
    """The webhook's signature holds, but its body is no readable event."""


class InvalidInput(PacspaceStripeError, ValueError):
    """A value that PacSpace does not take (CONTRACT 1.9): nothing was sent."""

    hint = "Correct the value; sending it again as it is changes nothing."


class RemoteError(PacspaceStripeError):
    """Failure of a request to ``service`` ("Stripe" or "PacSpace"); ``request_id`` as the service named it.

    ``retry_after`` is how long the service asks us to wait, if it named a time.
    """

    def __init__(
        self,
        service: str,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: timedelta | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(f"{service}: {message}", hint=hint)
        self.service = service
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after

    @property
    def retryable(self) -> bool:
        """Return True if the same request may succeed later by itself."""
        return not isinstance(self, RemoteRefused)


class RemoteUnavailable(RemoteError):
    """No answer, or a server error, after every retry."""

    hint = "Nothing to do: it is tried again by itself."


class RateLimited(RemoteUnavailable):
    """Refused for its rate. ``retry_after`` is how long the service asks us to wait, if it named a time."""


class CadenceLimited(RateLimited):
    """PacSpace takes this ledger account's records less often (CONTRACT 1.8). It is never repeated by itself."""

    hint = "Send one summary per day and ledger account, or wait for retry_after."

    def __init__(self, service: str, message: str, *, customer_id: str | None = None, **details: object) -> None:
        super().__init__(service, message, **details)  # type: ignore[arg-type]  # same keywords as RemoteError
        self.customer_id = customer_id


class StillInFlight(RemoteUnavailable):
    """Accepted, but not done within the time allowed: ask again with the same idempotency key."""

    hint = "Ask again later, with the same idempotency key: nothing happens twice."


class UnexpectedAnswer(RemoteError):
    """An answer outside the contract: wrong type, missing field, HTML, success=false.

    ``unread`` holds the ids of a list's unreadable rows, as far as they have one.
    """

    unread: tuple[str, ...] = ()


class RemoteRefused(RemoteError):
    """A clear refusal of this request: a bad key, a bad parameter, a missing permission."""


class NotFound(RemoteRefused):
    """The object asked for does not exist (any more)."""

    hint = "Compare the id; the key must be of the account that has it, and of the same mode (test or live)."


class NotEditable(RemoteRefused):
    """Stripe froze the invoice (FACTS 2.2.3): it is read again, and only metadata is written."""


class KeyRefused(RemoteRefused):
    """401: PacSpace does not know the key, or disabled it."""

    hint = "Set PACSPACE_API_KEY to an active key from PacSpace's dashboard."


class HostMismatch(RemoteRefused):
    """403: the key is of another environment than the address."""

    hint = "PACSPACE_API_KEY may not be used at PACSPACE_API_BASE_URL: check that both are of one environment."


class PlanLimitReached(RemoteRefused):
    """402: PacSpace's plan has no room for more."""

    hint = "The plan behind PACSPACE_API_KEY has reached its limit: raise it in PacSpace's dashboard."


class NotProvisioned(RemoteRefused):
    """412: the key's environment does not exist yet."""

    hint = "The environment of PACSPACE_API_KEY is not provisioned: do so in PacSpace's dashboard."


class LoginRefused(RemoteRefused):
    """401: the dashboard does not know this email and password, or the code, or the session is over."""

    hint = "Log in to PacSpace's dashboard again."


class NotApproved(RemoteRefused):
    """PacSpace reviews requests for access before there is an account; this one is not approved."""

    hint = "PacSpace answers a request for access by mail: `pacspace-stripe onboard` goes on from there."


class ScopeRefused(RemoteRefused):
    """400: two scopes at once, or a span of time wider than PacSpace answers in one request."""

    hint = "Ask for one scope, no wider than PacSpace's limits (`limits()` names them)."


class Conflict(RemoteRefused):
    """409: the idempotency key was used for another request, or the name is taken."""

    hint = "Use a new idempotency key for a new request; the first one stands."


class DeltaFailed(RemoteRefused):
    """PacSpace took a delta and could not verify it: it counts nowhere."""

    hint = "Emit it again under a new idempotency key; what failed is not billed."


class StoreUnavailable(PacspaceStripeError):
    """Our database does not answer."""

    hint = "Check PACSPACE_STRIPE_DATABASE_URL and that the database runs."


class LeaseBusy(PacspaceStripeError):
    """Another process checks this invoice right now."""

    hint = "Try again in a few seconds."


class LeaseLost(PacspaceStripeError):
    """The lease expired during the check; nothing more is written."""


class RenderError(PacspaceStripeError):
    """A template could not be rendered; the message names the template and the reason."""


class UnreadableDocument(PacspaceStripeError):
    """A file that is to be verified is damaged, locked, too large or of another kind: nothing is known of it."""

    hint = "Get the file again from its issuer; one that was printed, merged or re-saved may have lost its proof."


class UnreadableEvidence(UnreadableDocument):
    """Bytes that are no evidence: not JSON, a name twice, a figure out of bounds, a field too many or missing."""

    hint = "Get the document again from its issuer; newer evidence may need a newer pacspace-stripe."
