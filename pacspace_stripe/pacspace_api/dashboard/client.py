"""The pages that lead to a key, one method each."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from pacspace_stripe.errors import InvalidInput, RemoteRefused, StillInFlight, UnexpectedAnswer
from pacspace_stripe.http.client import Transport
from pacspace_stripe.pacspace_api import inputs
from pacspace_stripe.pacspace_api.dashboard.failures import LOGIN, MFA, REGISTER
from pacspace_stripe.pacspace_api.dashboard.parsing import (
    Environment,
    EnvironmentStatus,
    KeyRow,
    NewKey,
    fields,
    keys_of,
    listed_address,
    listed_status,
    new_key_of,
    status_of,
    ticket_of,
)
from pacspace_stripe.pacspace_api.dashboard.session import Session
from pacspace_stripe.pacspace_api.failures import PACSPACE
from pacspace_stripe.settings import parsers as written

_BUYER_MODE = "DIRECT_INFERENCE_VENDOR"
_KEYS, _ENVIRONMENTS = "/dashboard/api-keys", "/dashboard/environments"
_STATUS, _PROVISION = f"{_ENVIRONMENTS}/environment-status", f"{_ENVIRONMENTS}/provision"
_ABSENT = 404
_LOOK_EVERY = 2.0
"""Seconds between two looks at an environment that comes up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRequest:
    """Who asks for access, and what for."""

    email: str
    name: str
    organization: str
    use_case: str

    def body(self) -> dict[str, object]:
        """As PacSpace takes it. Raises InvalidInput."""
        if "@" not in self.email or not self.email.isprintable() or " " in self.email:
            message = "the email must be an email address"
            raise InvalidInput(message)
        return {
            "name": inputs.text("the name", self.name),
            "email": inputs.text("the email", self.email),
            "organization": inputs.text("the organization", self.organization),
            "buyerMode": _BUYER_MODE,
            "useCase": inputs.text("the use case", self.use_case),
        }


class Dashboard:
    """PacSpace's dashboard for one person. One thread at a time.

    ``transport`` is yours to close. Raises InvalidInput before anything is sent, RemoteError's children after:
    LoginRefused and NotApproved are those that a person can do something about.
    """

    def __init__(self, transport: Transport, base_url: str = inputs.DEFAULT_ADDRESS) -> None:
        try:
            self.base_url = written.address(base_url)
        except ValueError as error:
            message = f"the dashboard's address {error}"
            raise InvalidInput(message) from None
        self._transport = transport
        self._session = Session(transport, self.base_url)

    def request_access(self, request: AccessRequest) -> None:
        """Ask PacSpace for access. It answers the same to everybody, and by mail later."""
        self._session.post("/dashboard/auth/request-access", request.body(), repeatable=True)

    def register(self, request: AccessRequest, *, password: str, approval_token: str) -> None:
        """Create the account, with the token of the approval's mail. Raises Conflict when there is one already."""
        secret = {
            "password": inputs.text("the password", password),
            "approvalToken": inputs.text("the approval token", approval_token),
        }
        self._session.post(REGISTER, {**request.body(), **secret}, secrets=(password, approval_token))

    def log_in(self, email: str, password: str) -> str | None:
        """Begin a session; or the ticket for ``verify_mfa``, when a code must follow."""
        body = {"email": inputs.text("the email", email), "password": inputs.text("the password", password)}
        data = fields("login", self._session.post(LOGIN, body, secrets=(password,), repeatable=True))
        ticket = ticket_of(data)
        if ticket is None:
            self._session.begin(data)
        return ticket

    def verify_mfa(self, ticket: str, code: str) -> None:
        """Begin the session with the code of an authenticator."""
        body = {"mfaTicket": ticket, "code": inputs.text("the code", code)}
        self._session.begin(fields("login", self._session.post(MFA, body, secrets=(ticket, code))))

    def listed_keys(self) -> tuple[KeyRow, ...]:
        """The first page of the keys there are."""
        return keys_of(fields("keys", self._session.get(f"{_KEYS}?page=1&limit=100")))

    def create_key(self, name: str, environment: Environment) -> NewKey:
        """A new key; its secret is shown this once. Without an environment PacSpace makes keys of the sandbox."""
        live = {"environment": "live"} if environment is Environment.PRODUCTION else {}
        body = {"name": inputs.text("the key's name", name), **live}
        return new_key_of(fields("key", self._session.post(_KEYS, body)))

    def status(self, environment: Environment) -> EnvironmentStatus:
        """How far an environment is."""
        try:
            return status_of(fields("environment status", self._session.get(_STATUS)), environment)
        except UnexpectedAnswer as error:
            # The Quick Start knows the list only; a dashboard without the newer page says the same there.
            if error.status != _ABSENT:
                raise
        return listed_status(self._session.get(_ENVIRONMENTS), environment) or EnvironmentStatus.UNKNOWN

    def api_address(self, environment: Environment) -> str | None:
        """Where the environment's API is, if the dashboard shows it."""
        return listed_address(self._session.get(_ENVIRONMENTS), environment)

    def provision(self, environment: Environment) -> None:
        """Have an environment made. Asked again, nothing happens again."""
        self._session.post(_PROVISION, {"environment": environment.value}, repeatable=True)

    def wait_until_active(
        self,
        environment: Environment,
        patience: timedelta,
        *,
        waiting: Callable[[EnvironmentStatus], object] = lambda _status: None,
    ) -> None:
        """Look until the environment is active; ``waiting`` is told once that it is not yet.

        Raises StillInFlight after ``patience``, RemoteRefused when PacSpace gave it up.
        """
        until, told = self._transport.deadline(patience.total_seconds()), False
        while (status := self.status(environment)) is not EnvironmentStatus.ACTIVE:
            if status is EnvironmentStatus.FAILED:
                message = f"the {environment} environment failed to come up"
                raise RemoteRefused(PACSPACE, message, hint="See PacSpace's dashboard, or ask PacSpace.")
            if not told:
                waiting(status)
                told = True
            if not self._transport.rest(_LOOK_EVERY, until=until):
                message = f"the {environment} environment is not active yet: {status}"
                raise StillInFlight(PACSPACE, message, hint="Run the same command again: it goes on from here.")
