"""Pages of the dashboard for getting started (CONTRACT 8): access, account, login, keys, environments, customers."""

from collections.abc import Callable, Mapping
from typing import Any

import httpx

from pacspace_stripe.simulator.http import json_response
from pacspace_stripe.simulator.pacspace import answers
from pacspace_stripe.simulator.pacspace.accounts import ApiKey
from pacspace_stripe.simulator.pacspace.inputs import PacSpaceRequest, read_customer_id
from pacspace_stripe.simulator.pacspace.ledger import made_id
from pacspace_stripe.simulator.pacspace.refusals import PacSpaceRefusal, invalid
from pacspace_stripe.simulator.pacspace.world import World

COOKIE = "pacspace_session"
MFA_CODE = "123456"
"""The one code that the simulator accepts."""
_SHORTEST_PASSWORD = 8
_ENVIRONMENTS = ("sandbox", "production")

Page = Callable[[World, PacSpaceRequest], httpx.Response]


def request_access(world: World, call: PacSpaceRequest) -> httpx.Response:
    """POST …/auth/request-access: the same answer for every person."""
    for name in ("name", "organization", "useCase"):
        _text(call, name)
    if call.body.get("buyerMode") != "DIRECT_INFERENCE_VENDOR":
        message = "buyerMode must be one of: DIRECT_INFERENCE_VENDOR"
        raise invalid(message)
    world.dashboard.requested.add(_email(call))
    return _good(200, {}, "Thank you. If your request is approved, you will receive an email.")


def register(world: World, call: PacSpaceRequest) -> httpx.Response:
    """POST …/auth/register: with the token of the approval's mail."""
    email, password = _email(call), _text(call, "password")
    token = call.body.get("approvalToken")
    if not isinstance(token, str) or world.dashboard.approvals.get(token) != email:
        message = "Registration requires an approved access request"
        raise PacSpaceRefusal(403, message, "REGISTRATION_REQUIRES_APPROVAL")
    if len(password) < _SHORTEST_PASSWORD:
        message = f"password must be at least {_SHORTEST_PASSWORD} characters"
        raise invalid(message)
    if email in world.dashboard.passwords:
        message = "This account exists already"
        raise PacSpaceRefusal(409, message, "ACCOUNT_EXISTS")
    world.dashboard.passwords[email] = password
    return _good(201, {"email": email}, "Account created")


def login(world: World, call: PacSpaceRequest) -> httpx.Response:
    """POST …/auth/login: session cookies, or first a code."""
    email, password = _email(call), _text(call, "password")
    if world.dashboard.passwords.get(email) != password:
        message = "Invalid email or password"
        raise PacSpaceRefusal(401, message, "INVALID_CREDENTIALS")
    if world.rules.mfa:
        data = {"requiresMfa": True, "mfaTicket": world.dashboard.ticket(email, world.seed)}
        return _good(200, data, "MFA verification required")
    return _logged_in(world, email)


def verify_mfa(world: World, call: PacSpaceRequest) -> httpx.Response:
    """POST …/auth/login/mfa-verify."""
    email = world.dashboard.tickets.get(str(call.body.get("mfaTicket")))
    if email is None or call.body.get("code") != MFA_CODE:
        message = "Invalid verification code"
        raise PacSpaceRefusal(401, message, "INVALID_MFA_CODE")
    world.dashboard.tickets.pop(str(call.body["mfaTicket"]))
    return _logged_in(world, email)


def _logged_in(world: World, email: str) -> httpx.Response:
    token = world.dashboard.session(email, world.seed)
    data: dict[str, Any] = {"user": {"email": email}}
    if world.rules.login_token:
        data["accessToken"] = token
    response = _good(200, data, "Logged in")
    response.headers["Set-Cookie"] = f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax"
    return response


def in_session(page: Page) -> Page:
    """Return a page that requires a session: by cookie, with the CSRF header on writes, or by bearer token."""

    def answer(world: World, call: PacSpaceRequest) -> httpx.Response:
        scheme, _, token = call.headers.get("Authorization", "").partition(" ")
        by_token = scheme.lower() == "bearer"
        given = token if by_token else _cookie(call)
        if given not in world.dashboard.sessions:
            message = "Not logged in"
            raise PacSpaceRefusal(401, message, "UNAUTHORIZED")
        if not by_token and call.writes and call.headers.get("X-Pacspace-CSRF") != "1":
            message = "Missing CSRF header"
            raise PacSpaceRefusal(403, message, "CSRF_REQUIRED")
        return page(world, call)

    return answer


def _cookie(call: PacSpaceRequest) -> str | None:
    pairs = (part.strip().partition("=") for part in call.headers.get("Cookie", "").split(";"))
    return next((value for name, _, value in pairs if name == COOKIE), None)


def preferences(world: World, call: PacSpaceRequest) -> httpx.Response:
    """PATCH …/auth/preferences."""
    world.dashboard.preferred = _environment(call, "preferredEnvironment")
    return _good(200, {"preferredEnvironment": world.dashboard.preferred}, "Preferences saved")


def create_key(world: World, call: PacSpaceRequest) -> httpx.Response:
    """POST /dashboard/api-keys: its secret is shown here and never again."""
    environment = call.body.get("environment") or "test"
    if environment not in {"test", "sandbox"}:
        message = "Simulator: keys are for the sandbox only"
        raise PacSpaceRefusal(403, message, "ENVIRONMENT_NOT_PROVISIONED")
    key = world.dashboard.new_key(_text(call, "name"), "test", world.seed, world.now())
    data = {**_key_row(key), "secretKey": key.secret, "fullKey": key.full}
    return json_response(201, {"statusCode": 201, "data": data})


def keys(world: World, call: PacSpaceRequest) -> httpx.Response:
    """GET /dashboard/api-keys."""
    page, limit = call.whole("page", 1, 1, 10**9), call.whole("limit", 20, 1, 100)
    shown = world.dashboard.keys[(page - 1) * limit : page * limit]
    data = {"items": list(map(_key_row, shown)), "total": len(world.dashboard.keys), "page": page, "limit": limit}
    return json_response(200, {"statusCode": 200, "data": data})


def _key_row(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "environment": key.environment,
        "publicKey": key.public,
        "createdAt": answers.stamp(key.created_at),
        "active": True,
    }


def environments(world: World, _call: PacSpaceRequest) -> httpx.Response:
    """GET /dashboard/environments. Its shape is not published: this is the simulator's."""
    rows = [
        {"environment": name, "status": _status(world, name), "baseUrl": world.base_url if name == "sandbox" else None}
        for name in _ENVIRONMENTS
    ]
    return _good(200, {"environments": rows})


def environment_status(world: World, _call: PacSpaceRequest) -> httpx.Response:
    """GET /dashboard/environments/environment-status."""
    return _good(200, {name: {"status": _status(world, name)} for name in _ENVIRONMENTS})


def provision(world: World, call: PacSpaceRequest) -> httpx.Response:
    """POST /dashboard/environments/provision: asked again, nothing happens again."""
    name = _environment(call, "environment")
    if name == "production":
        message = "Simulator: there is no production here"
        raise PacSpaceRefusal(403, message, "PLAN_REQUIRED")
    if _status(world, name) == "none":
        world.dashboard.active_at[name] = world.now() + world.rules.activation_delay
    return _good(201, {"environment": name, "status": _status(world, name)}, "Provisioning started")


def _status(world: World, name: str) -> str:
    if name == "sandbox" and world.environment_ready():
        return "active"
    return "activating" if name in world.dashboard.active_at else "none"


def create_customer(world: World, call: PacSpaceRequest) -> httpx.Response:
    """POST /dashboard/customers: before its first delta; an id is made where none is given."""
    name, made = _text(call, "displayName"), world.dashboard.customers
    account = call.body.get("customerId") or f"cust_{made_id(world.seed, 'customer', len(made))[:16]}"
    account = read_customer_id(account)
    if account in made or world.ledger.knows(account):
        message = "This customer exists already"
        raise PacSpaceRefusal(409, message, "CUSTOMER_EXISTS", customer_id=account)
    made[account] = name
    if world.announces:
        world.new_customers.append(account)
    kept = {key: call.body[key] for key in ("sharingStateHint", "eventCadence", "unitLabel") if key in call.body}
    return _good(201, {"customerId": account, "displayName": name, **kept, "createdAt": answers.stamp(world.now())})


def _environment(call: PacSpaceRequest, name: str) -> str:
    value = call.body.get(name)
    if value not in _ENVIRONMENTS:
        message = f"{name} must be one of: {', '.join(_ENVIRONMENTS)}"
        raise invalid(message)
    return str(value)


def _text(call: PacSpaceRequest, name: str) -> str:
    value = call.body.get(name)
    if not isinstance(value, str) or not value.strip():
        message = f"{name} must be a non-empty string"
        raise invalid(message)
    return value


def _email(call: PacSpaceRequest) -> str:
    email = _text(call, "email")
    if "@" not in email:
        message = "email must be an email"
        raise invalid(message)
    return email


def _good(status: int, data: Mapping[str, Any], message: str | None = None) -> httpx.Response:
    said = {} if message is None else {"message": message}
    return json_response(status, {"success": True, "data": data, **said})
