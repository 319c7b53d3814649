"""PacSpace's dashboard, as far as it takes to get a key: access, account, login, keys, environments (CONTRACT 8).

Owns the session, one method per page, and the reading of the answers. Does not own the dialogue with a person, nor the
place where a key is kept.
"""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

import httpx

from pacspace_stripe import __version__
from pacspace_stripe.errors import (
    Conflict,
    InvalidInput,
    LoginRefused,
    NotApproved,
    NotProvisioned,
    PlanLimitReached,
    RemoteError,
    RemoteRefused,
    RemoteUnavailable,
    StillInFlight,
    UnexpectedAnswer,
)
from pacspace_stripe.http.answers import Fields
from pacspace_stripe.http.calls import Answer, Call
from pacspace_stripe.http.client import Transport
from pacspace_stripe.pacspace_api import inputs
from pacspace_stripe.pacspace_api.failures import PACSPACE
from pacspace_stripe.pacspace_api.http import exact_json, success_of
from pacspace_stripe.settings import parsers

_LOGIN, _MFA, _REGISTER = "/dashboard/auth/login", "/dashboard/auth/login/mfa-verify", "/dashboard/auth/register"
_KEYS, _ENVIRONMENTS = "/dashboard/api-keys", "/dashboard/environments"
_STATUS, _PROVISION = f"{_ENVIRONMENTS}/environment-status", f"{_ENVIRONMENTS}/provision"
_BUYER_MODE = "DIRECT_INFERENCE_VENDOR"
_ABSENT, _NO_CONTENT = 404, 204
_POLL = 2.0
"""Seconds between two requests about an environment that is being activated."""
_TOKEN = re.compile(r"[!-~]{1,8000}")
_KEY = re.compile(r"pk_(test|live)_[!-~]{1,500}")
_NAMES, _ADDRESSES = ("environment", "name", "type"), ("baseUrl", "apiBaseUrl", "apiUrl", "sandboxUrl")
"""Fields in which a row of the environments page may have its name and its address: its shape is not published."""


# -- cookies ----------------------------------------------------------------------------------------------------------


class Cookies:
    """Cookies that the service at ``base_url`` set, kept in memory only and given back to the same origin alone.

    Domain, path, expiry and ``Secure`` count as in a browser.
    """

    def __init__(self, base_url: str) -> None:
        self._origin = _origin(base_url)
        self._kept = httpx.Cookies()

    def __bool__(self) -> bool:
        return bool(self._kept)

    def keep(self, call: Call, answer: Answer) -> None:
        """Take the cookies that an answer to ``call`` sets."""
        if _origin(call.url) != self._origin:
            return
        # A cookie that is not ASCII could not be sent back.
        set_by = [("Set-Cookie", value) for value in answer.headers.get_list("Set-Cookie") if value.isascii()]
        request = httpx.Request(call.method, call.url)
        with warnings.catch_warnings():  # the jar warns of a header that it cannot read, and leaves it out
            warnings.simplefilter("ignore")
            self._kept.extract_cookies(httpx.Response(answer.status, headers=set_by, request=request))

    def headers(self, url: str) -> dict[str, str]:
        """Return the header for a request to ``url``; none for another origin."""
        if _origin(url) != self._origin:
            return {}
        request = httpx.Request("GET", url)
        self._kept.set_cookie_header(request)
        return {"Cookie": request.headers["Cookie"]} if "Cookie" in request.headers else {}


def _origin(url: str) -> tuple[str, str, int | None]:
    parsed = httpx.URL(url)
    return parsed.scheme, parsed.host, parsed.port


# -- values ------------------------------------------------------------------------------------------------------------


class Environment(StrEnum):
    """An environment of PacSpace: ``pk_test_`` keys are of the sandbox, ``pk_live_`` keys of production."""

    SANDBOX = "sandbox"
    PRODUCTION = "production"

    @property
    def of_keys(self) -> str:
        """Name of the environment in keys: ``test`` or ``live``."""
        return "test" if self is Environment.SANDBOX else "live"


class EnvironmentStatus(StrEnum):
    """The state of an environment. ``UNKNOWN`` is any other word, and never counts as active."""

    ACTIVE = "active"
    ACTIVATING = "activating"
    DEPLOYING = "deploying"
    FAILED = "failed"
    NONE = "none"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> "EnvironmentStatus":
        known = value.strip().lower() if isinstance(value, str) else ""
        return next((status for status in cls if status.value == known), cls.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRequest:
    """The person who asks for access, and the purpose."""

    email: str
    name: str
    organization: str
    use_case: str

    def body(self) -> dict[str, object]:
        """Return the body that PacSpace takes. Raises InvalidInput."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A created key with its secret, which the dashboard shows once."""

    key_id: str | None
    name: str | None
    full: str = field(repr=False)

    @property
    def kind(self) -> str:
        """``test`` or ``live``."""
        return self.full.split("_", 2)[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """A listed key, without its secret."""

    key_id: str | None
    name: str | None
    public_key: str | None
    active: bool


# -- the client --------------------------------------------------------------------------------------------------------


class Dashboard:
    """PacSpace's dashboard for one person. One thread at a time.

    The owner of ``transport`` closes it. Raises InvalidInput before anything is sent, RemoteError's children after:
    LoginRefused and NotApproved are those that a person can act on.
    """

    def __init__(self, transport: Transport, base_url: str = inputs.DEFAULT_ADDRESS) -> None:
        try:
            self.base_url = parsers.address(base_url)
        except ValueError as error:
            message = f"the dashboard's address {error}"
            raise InvalidInput(message) from None
        self._transport = transport
        self._session = _Session(transport, self.base_url)

    def request_access(self, request: AccessRequest) -> None:
        """Ask PacSpace for access. The answer is the same for every person; the decision comes by mail later."""
        self._session.post("/dashboard/auth/request-access", request.body(), repeatable=True)

    def register(self, request: AccessRequest, *, password: str, approval_token: str) -> None:
        """Create the account, with the token of the approval's mail. Raises Conflict when there is one already."""
        secret = {
            "password": inputs.text("the password", password),
            "approvalToken": inputs.text("the approval token", approval_token),
        }
        self._session.post(_REGISTER, {**request.body(), **secret}, secrets=(password, approval_token))

    def log_in(self, email: str, password: str) -> str | None:
        """Begin a session, or return the ticket for ``verify_mfa`` when a code must follow."""
        body = {"email": inputs.text("the email", email), "password": inputs.text("the password", password)}
        data = _fields("login", self._session.post(_LOGIN, body, secrets=(password,), repeatable=True))
        if data.optional_flag("requiresMfa"):
            return data.text("mfaTicket")
        self._session.begin(data)
        return None

    def verify_mfa(self, ticket: str, code: str) -> None:
        """Begin the session with the code of an authenticator."""
        body = {"mfaTicket": ticket, "code": inputs.text("the code", code)}
        self._session.begin(_fields("login", self._session.post(_MFA, body, secrets=(ticket, code))))

    def listed_keys(self) -> tuple[KeyRow, ...]:
        """Return the first page of the keys."""
        rows = _fields("keys", self._session.get(f"{_KEYS}?page=1&limit=100")).items("items")
        return tuple(
            KeyRow(
                key_id=row.optional_text("id"),
                name=row.optional_text("name"),
                public_key=row.optional_text("publicKey"),
                active=row.optional_flag("active") is not False,
            )
            for row in rows
        )

    def create_key(self, name: str, environment: Environment) -> NewKey:
        """Create a key; its secret is shown this once. Its text is checked, and no error repeats it."""
        # Without an environment PacSpace makes keys of the sandbox.
        live = {"environment": "live"} if environment is Environment.PRODUCTION else {}
        data = _fields("key", self._session.post(_KEYS, {"name": inputs.text("the key's name", name), **live}))
        full = data.optional_text("fullKey") or f"{data.text('publicKey')}.{data.text('secretKey')}"
        if not _KEY.fullmatch(full):
            data.reject("fullKey", "is not pk_test_… or pk_live_…")
        return NewKey(key_id=data.optional_text("id"), name=data.optional_text("name"), full=full)

    def status(self, environment: Environment) -> EnvironmentStatus:
        """Return the state of an environment."""
        try:
            data = _fields("environment status", self._session.get(_STATUS))
        except UnexpectedAnswer as error:
            # The Quick Start knows the list only; a dashboard without the newer page has the same word there.
            if error.status != _ABSENT:
                raise
        else:
            # ``{"sandbox": {"status": "active"}, …}``, or the word alone.
            found = data.raw(environment.value)
            return EnvironmentStatus(found if isinstance(found, str) else data.fields(environment.value).text("status"))
        words = (row.get("status") for row in _rows(self._session.get(_ENVIRONMENTS), environment))
        return next((EnvironmentStatus(word) for word in words if isinstance(word, str)), EnvironmentStatus.UNKNOWN)

    def api_address(self, environment: Environment) -> str | None:
        """Return the address of the environment's API; None where the dashboard shows none that is valid."""
        for row in _rows(self._session.get(_ENVIRONMENTS), environment):
            for name in _ADDRESSES:
                shown = row.get(name)
                if isinstance(shown, str):
                    try:
                        return parsers.address(shown)
                    except ValueError:
                        continue
        return None

    def provision(self, environment: Environment) -> None:
        """Have an environment made. Repeating the request changes nothing."""
        self._session.post(_PROVISION, {"environment": environment.value}, repeatable=True)

    def wait_until_active(
        self,
        environment: Environment,
        timeout: timedelta,
        *,
        waiting: Callable[[EnvironmentStatus], object] = lambda _status: None,
    ) -> None:
        """Wait until the environment is active; call ``waiting`` once if it is not active at first.

        Raises StillInFlight after ``timeout``, RemoteRefused when PacSpace could not activate it.
        """
        until, announced = self._transport.deadline(timeout.total_seconds()), False
        while (status := self.status(environment)) is not EnvironmentStatus.ACTIVE:
            if status is EnvironmentStatus.FAILED:
                message = f"the {environment} environment failed to come up"
                raise RemoteRefused(PACSPACE, message, hint="See PacSpace's dashboard, or ask PacSpace.")
            if not announced:
                waiting(status)
                announced = True
            if not self._transport.rest(_POLL, until=until):
                message = f"the {environment} environment is not active yet: {status}"
                raise StillInFlight(PACSPACE, message, hint="Run the same command again: it goes on from here.")


def _fields(what: str, data: object) -> Fields:
    return Fields(PACSPACE, what, data)


def _rows(data: object, environment: Environment) -> Iterator[Mapping[str, object]]:
    """Yield what the environments page has of one environment, in a list or by name."""
    if isinstance(data, Mapping):
        inside = next((data[name] for name in ("environments", "items") if name in data), data)
        if isinstance(inside, Mapping):
            by_name = inside.get(environment.value)
            yield from [by_name] if isinstance(by_name, Mapping) else []
            return
        data = inside
    for row in data if isinstance(data, list) else []:
        names = [row.get(name) for name in _NAMES] if isinstance(row, Mapping) else []
        if any(isinstance(name, str) and name.strip().lower() == environment.value for name in names):
            yield row


# -- the session -------------------------------------------------------------------------------------------------------


class _Session:
    """A session with the dashboard at ``base_url``, anonymous until a login. One thread at a time.

    Newer dashboards set cookies and want a header of their own on writes, older ones hand out a token (CONTRACT 1.2).
    Whatever came at login is sent, to this address only. Raises RemoteError's children.
    """

    def __init__(self, transport: Transport, base_url: str) -> None:
        self._transport = transport
        self._base_url = base_url.rstrip("/")
        self._cookies = Cookies(self._base_url)
        self._token: str | None = None
        self._secrets: dict[str, None] = {}

    def get(self, path: str) -> object:
        """Return what a page answers, without its envelope."""
        return self._sent("GET", path, None, repeatable=True)

    def post(
        self, path: str, body: Mapping[str, object], *, secrets: tuple[str, ...] = (), repeatable: bool = False
    ) -> object:
        """Return what a write answers. It is sent once unless ``repeatable``; no error repeats the ``secrets``."""
        self._secrets.update(dict.fromkeys(secrets))
        return self._sent("POST", path, body, repeatable=repeatable)

    def begin(self, data: Fields) -> None:
        """Keep what a login answered for the requests that follow. Raises UnexpectedAnswer when there is nothing."""
        token = data.optional_text("accessToken") or data.optional_text("token")
        if token is not None and not _TOKEN.fullmatch(token):
            data.reject("accessToken", "has characters that no token has")
        if token is None and not self._cookies:
            data.reject("accessToken", "is missing, and no cookie was set")
        self._token = token

    def _sent(self, method: str, path: str, body: Mapping[str, object] | None, *, repeatable: bool) -> object:
        url = self._base_url + path
        headers = {"User-Agent": f"pacspace-stripe/{__version__}", "Accept": "application/json"}
        if body is not None:
            headers |= {"Content-Type": "application/json", "X-Pacspace-CSRF": "1"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        call = Call(
            service=PACSPACE,
            method=method,
            url=url,
            endpoint=f"{method} {path}",
            headers=headers | self._cookies.headers(url),
            content=None if body is None else exact_json(body).encode(),
            repeatable=repeatable,
            secrets=tuple(self._secrets),
        )
        try:
            answer = self._transport.send(call)
            if not 200 <= answer.status < 300:  # noqa: PLR2004  # success
                raise _failure(call.endpoint, answer)
            self._cookies.keep(call, answer)
            if answer.status == _NO_CONTENT:
                return {}
            # Either envelope (CONTRACT 1.4), or the body itself where there is none.
            found = success_of(call.endpoint, answer).data
            return found if found.get("data") is None else found["data"]
        except UnexpectedAnswer as error:
            error.hint = _ADDRESS
            raise


# -- failures ----------------------------------------------------------------------------------------------------------

_ADDRESS = "Check the dashboard's address: what answers there is not PacSpace's dashboard."
_SESSION_OVER = "The session is over: run the same command again."
_REFUSED = "PacSpace's dashboard says why; what your plan and role allow is shown there."
_BY_STATUS: dict[int, type[RemoteError]] = {
    401: LoginRefused,
    402: PlanLimitReached,
    404: UnexpectedAnswer,
    408: RemoteUnavailable,
    409: Conflict,
    412: NotProvisioned,
    425: RemoteUnavailable,
}
_HINTS: dict[tuple[type[RemoteError], str], str] = {
    (LoginRefused, _LOGIN): (
        "Check email and password; without an account yet, request access first (--request-access)."
    ),
    (LoginRefused, _MFA): "Run it again, with the code that your authenticator shows then.",
    (NotApproved, _LOGIN): "Has PacSpace approved the account? Did you open its mail's link to verify the address?",
    (NotApproved, _REGISTER): (
        "The token is in PacSpace's mail after the approval, and belongs to the email that asked."
    ),
    (Conflict, _REGISTER): "There is an account for this email already: log in.",
    (RemoteRefused, _REGISTER): "Correct what it says, and register again.",
}


def _failure(endpoint: str, answer: Answer) -> RemoteError:
    """Return our error for an answer outside 2xx. 429 and 5xx never come here: the transport raises them."""
    body, path = answer.error, endpoint.partition(" ")[2]
    if not body.readable or answer.status < 400:  # noqa: PLR2004  # the first error status
        kind: type[RemoteError] = UnexpectedAnswer
    elif (answer.status in {400, 401, 403} and "APPROV" in (body.code or "").upper()) or (
        answer.status == 403 and path == _LOGIN  # noqa: PLR2004  # the account is known, and not let in
    ):
        kind = NotApproved
    else:
        kind = _BY_STATUS.get(answer.status, RemoteRefused)
    usual = {UnexpectedAnswer: _ADDRESS, LoginRefused: _SESSION_OVER, RemoteRefused: _REFUSED}
    return kind(
        PACSPACE,
        f"{endpoint}: HTTP {answer.status}{body.suffix}",
        status=answer.status,
        code=body.code,
        request_id=answer.request_id,
        # None leaves the hint of the error's own class.
        hint=_HINTS.get((kind, path), usual.get(kind)),
    )
