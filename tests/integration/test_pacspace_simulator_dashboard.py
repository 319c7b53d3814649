"""The PacSpace simulator's other pages: from the request for access to a key that works; settlement; receipts."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from pacspace_stripe.errors import NotProvisioned
from pacspace_stripe.pacspace_api import PacSpace
from pacspace_stripe.simulator.pacspace.behaviour import BY_NAME
from tests.support.pacspace_calls import ADDRESS, CUSTOMER, NOW, World, delta, populated

PERSON = {"email": "you@example.com", "password": "your-secure-password"}
ACCESS = {
    "name": "Jane Doe",
    "email": "you@example.com",
    "organization": "Acme Inc",
    "buyerMode": "DIRECT_INFERENCE_VENDOR",
    "useCase": "Record usage before invoices go out.",
}
CSRF = {"X-Pacspace-CSRF": "1"}


@contextmanager
def browser(world: World) -> Iterator[httpx.Client]:
    with httpx.Client(transport=httpx.MockTransport(world.ledger), base_url=f"{ADDRESS}/dashboard") as client:
        yield client


def registered(world: World, client: httpx.Client) -> None:
    token = world.ledger.approve_access(PERSON["email"])
    assert client.post("/auth/register", json={**ACCESS, **PERSON, "approvalToken": token}).status_code == 201


def code(response: httpx.Response) -> str:
    found: str = response.json()["error"]["code"]
    return found


def test_from_asking_for_access_to_a_key_that_works() -> None:
    world = World({"environment_ready": False})
    with browser(world) as client:
        answers = [client.post("/auth/request-access", json={**ACCESS, "email": f"{n}@x"}) for n in (1, 2, 2)]
        assert len({answer.content for answer in answers}) == 1
        assert code(client.post("/auth/register", json={**ACCESS, **PERSON})) == "REGISTRATION_REQUIRES_APPROVAL"
        registered(world, client)
        login = client.post("/auth/login", json=PERSON)
        assert "HttpOnly" in login.headers["Set-Cookie"]
        assert "accessToken" not in login.json()["data"]

        status = client.get("/environments/environment-status").json()["data"]
        assert status == {"sandbox": {"status": "none"}, "production": {"status": "none"}}
        made = client.post("/api-keys", json={"name": "quickstart-key"}, headers=CSRF)
        key = made.json()["data"]["fullKey"]
        pac = PacSpace(key, base_url=ADDRESS, transport=world.transport)
        with pytest.raises(NotProvisioned):
            pac.balance.emit(delta())

        for _ in range(2):
            provisioned = client.post("/environments/provision", json={"environment": "sandbox"}, headers=CSRF)
            assert provisioned.json()["data"] == {"environment": "sandbox", "status": "activating"}
        world.clock.advance(1)
        assert client.get("/environments").json()["data"]["environments"][0]["status"] == "active"
        assert pac.balance.emit(delta()).record_id

        listed = client.get("/api-keys").json()
        assert (listed["statusCode"], listed["data"]["total"]) == (200, 1)
        assert key.partition(".")[2] not in json.dumps(listed)
        assert key.startswith("pk_test_")
    assert all("password" not in str(entry.params) for entry in world.ledger.log)


def test_logging_in_may_take_a_code() -> None:
    world = World({"mfa": True, "login_token": True})
    with browser(world) as client:
        registered(world, client)
        asked = client.post("/auth/login", json=PERSON).json()["data"]
        assert asked["requiresMfa"] is True
        assert client.get("/api-keys").status_code == 401
        for wrong in ({"code": "000000"}, {"code": "123456", "mfaTicket": "other"}):
            answer = client.post("/auth/login/mfa-verify", json={"mfaTicket": asked["mfaTicket"], **wrong})
            assert code(answer) == "INVALID_MFA_CODE"
        given = {"mfaTicket": asked["mfaTicket"], "code": "123456"}
        token = client.post("/auth/login/mfa-verify", json=given).json()["data"]["accessToken"]
        assert client.get("/api-keys").status_code == 200
        assert client.post("/auth/login/mfa-verify", json=given).status_code == 401
    with browser(world) as another:
        bearer = {"Authorization": f"Bearer {token}"}
        assert another.post("/api-keys", json={"name": "k"}, headers=bearer).status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/auth/request-access", {**ACCESS, "buyerMode": "OTHER"}, 400),
        ("POST", "/auth/request-access", {**ACCESS, "email": "nobody"}, 400),
        ("POST", "/auth/request-access", {}, 400),
        ("POST", "/auth/register", {**ACCESS, **PERSON, "approvalToken": "other"}, 403),
        ("POST", "/auth/login", {**PERSON, "password": "other"}, 401),
        ("POST", "/auth/login", {"email": "you@example.com"}, 400),
        ("POST", "/api-keys", {"name": "k", "environment": "live"}, 403),
        ("POST", "/api-keys", {"name": ""}, 400),
        ("POST", "/environments/provision", {"environment": "production"}, 403),
        ("POST", "/environments/provision", {"environment": "moon"}, 400),
        ("PATCH", "/auth/preferences", {"preferredEnvironment": "moon"}, 400),
        ("PATCH", "/auth/preferences", {"preferredEnvironment": "production"}, 200),
        ("POST", "/customers", {"displayName": "A", "customerId": CUSTOMER}, 409),
        ("POST", "/customers", {"displayName": "A", "customerId": "a b"}, 400),
        ("POST", "/customers", {"displayName": "A"}, 201),
    ],
)
def test_the_dashboard_refuses_incomplete_requests(method: str, path: str, body: dict[str, Any], status: int) -> None:
    world = World()
    world.ledger.record(CUSTOMER, -1)
    with browser(world) as client:
        registered(world, client)
        client.post("/auth/login", json=PERSON)
        assert client.request(method, path, json=body, headers=CSRF).status_code == status
        if not path.startswith("/auth/re"):
            assert status != 201 or code(client.request(method, path, json=body)) == "CSRF_REQUIRED"


def test_an_account_is_made_once_and_its_password_is_long() -> None:
    world = World()
    with browser(world) as client:
        token = world.ledger.approve_access(PERSON["email"])
        given = {**ACCESS, **PERSON, "approvalToken": token}
        assert client.post("/auth/register", json={**given, "password": "short"}).status_code == 400
        assert client.post("/auth/register", json=given).status_code == 201
        assert code(client.post("/auth/register", json=given)) == "ACCOUNT_EXISTS"


# The settlement API


def settlement(world: World, method: str, path: str, body: object = None) -> httpx.Response:
    with httpx.Client(transport=httpx.MockTransport(world.ledger), headers={"X-Api-Key": world.ledger.api_key}) as http:
        return http.request(method, f"{ADDRESS}/api/v1/{path}", json=body)


def test_the_settlement_example_is_answered_to_the_letter() -> None:
    world = World({"verify_delay": 3})
    for bits in (100, 250, 150):
        item = {"key": "settlement-2025-06", "accountId": "customer-acme", "bits": bits, "metadata": {"week": bits}}
        written = settlement(world, "POST", "writes", {"items": [item]})
        assert (written.status_code, written.json()["statusCode"]) == (202, 202)
        assert written.json()["data"]["batchId"].startswith("batch_")
    world.clock.advance(3)
    data = settlement(world, "GET", "reads/bucket/settlement-2025-06").json()["data"]
    assert (data["currentBits"], data["totalWrites"], data["verified"]) == (500, 3, True)
    assert data["metadata"] == {"week": 150}


def test_a_missing_bucket_is_answered_in_the_frameworks_words() -> None:
    answer = settlement(World(), "GET", "reads/bucket/order-99999")
    assert answer.status_code == 404
    assert answer.json() == {
        "statusCode": 404,
        "error": "Not Found",
        "message": "No record found for key: order-99999",
    }


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("writes", {}),
        ("writes", {"items": []}),
        ("writes", {"items": [5]}),
        ("writes", {"items": [{"key": "k", "accountId": "a", "bits": 0.5}]}),
        ("writes", {"items": [{"key": "k", "accountId": "a", "bits": True}]}),
        ("writes", {"items": [{"key": "", "accountId": "a", "bits": 1}]}),
        ("writes", {"items": [{"key": "k", "bits": 1}]}),
        ("writes", {"items": [{"key": "k", "accountId": "a", "bits": 1, "metadata": [1]}]}),
        ("facts", {}),
    ],
)
def test_the_settlement_api_refuses_invalid_writes(path: str, body: object) -> None:
    world = World()
    assert settlement(world, "POST", path, body).json()["statusCode"] == 400
    assert settlement(world, "GET", "reads/bucket/k").status_code == 404


def test_a_bucket_is_verified_when_each_of_its_writes_is() -> None:
    world = World({"verify_delay": 3})
    world.ledger.write("k", 5, at=NOW - timedelta(days=1))
    assert world.pac.settlement.bucket("k").verified
    world.ledger.write("k", "5", verified=False)
    world.clock.advance(60)
    bucket = world.pac.settlement.bucket("k")
    assert (bucket.verified, bucket.current_bits) == (False, Decimal(10))
    world.ledger.verify_all()
    assert world.pac.settlement.bucket("k").verified


# Receipt documents, and behaviours by name


@pytest.mark.parametrize("path", ["balance/receipts/chk_none", "receipt/chk_none", "receipt/chk_none.pdf"])
def test_a_customer_without_records_has_no_receipt(path: str) -> None:
    assert code(settlement(World(), "GET", path)) == "RECEIPT_NOT_FOUND"


def test_a_receipt_appears_when_its_checkpoint_is_committed() -> None:
    world, _ = populated()
    world.ledger.configure(checkpoint_delay=5)
    later = world.pac.balance.checkpoint(CUSTOMER)
    path = f"receipt/{later.checkpoint_id}"
    before = settlement(world, "GET", path).status_code
    world.ledger.record(CUSTOMER, -7)
    newer = world.pac.balance.checkpoint(CUSTOMER)
    assert (before, newer.proof_root) == (200, None)
    assert settlement(world, "GET", f"receipt/{newer.checkpoint_id}").status_code == 404
    world.clock.advance(5)
    assert settlement(world, "GET", f"receipt/{newer.checkpoint_id}.pdf").headers["Content-Type"] == "application/pdf"
    assert (
        settlement(world, "GET", f"balance/receipts/{newer.checkpoint_id}?customerDisplayName=yes").status_code == 400
    )


@pytest.mark.parametrize("name", BY_NAME)
def test_a_behaviour_is_turned_on_by_its_name(name: str) -> None:
    world = World()
    before = world.ledger.rules
    world.ledger.add_fault(name)
    assert world.ledger.rules == before.changed(dict(BY_NAME[name])) != before
