"""The simulated Stripe as an HTTP server: keys, errors, idempotency, limits, faults, cursors."""

import threading
import time
from datetime import timedelta

import httpx
import pytest

from pacspace_stripe.simulator.clock import ManualClock, WallClock
from pacspace_stripe.simulator.faults import Faults
from pacspace_stripe.simulator.stripe import StripeSimulator
from tests.support.stripe_worlds import KEY, MARCH, StripeWorld

SECOND = timedelta(seconds=1)


@pytest.fixture
def world() -> StripeWorld:
    return StripeWorld()


@pytest.mark.parametrize("key", ["sk_live_1", "rk_live_1"])
def test_live_keys_are_refused_outright(key: str) -> None:
    with pytest.raises(ValueError, match="refuses live keys"):
        StripeSimulator(ManualClock(MARCH), api_key=key)


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer sk_test_other"}, {"Authorization": ""}])
def test_a_wrong_key_is_unauthorized(world: StripeWorld, headers: dict[str, str]) -> None:
    response = world.http.get("/v1/invoices", headers=headers)
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_the_key_may_come_as_basic_auth(world: StripeWorld) -> None:
    assert world.http.get("/v1/invoices", auth=(KEY, "")).status_code == 200


def test_every_answer_names_its_request_and_version(world: StripeWorld) -> None:
    fine = world.http.get("/v1/invoices", headers={"Stripe-Version": "2026-10-28.endive"})
    bad = world.http.get("/v1/invoices/in_none")
    assert fine.headers["Request-Id"] != bad.headers["Request-Id"]
    assert fine.headers["Stripe-Version"] == "2026-10-28.endive"
    assert bad.json()["error"]["message"] == "No such invoice: 'in_none'"


def test_an_unknown_url_is_404(world: StripeWorld) -> None:
    response = world.simulator(
        httpx.Request("GET", "https://api.stripe.com/v1/nope", headers={"Authorization": f"Bearer {KEY}"})
    )
    assert response.status_code == 404
    assert "Unrecognized request URL" in response.json()["error"]["message"]


def test_an_id_in_the_path_is_decoded_once(world: StripeWorld) -> None:
    world.simulator.add_customer("cus_a b/c")
    assert world.http.get("/v1/customers/cus_a%20b%2Fc").json()["id"] == "cus_a b/c"


def create(world: StripeWorld, name: str, key: str) -> httpx.Response:
    return world.http.post("/v1/customers", data={"name": name}, headers={"Idempotency-Key": key})


def test_the_same_key_replays_the_first_answer_for_a_day(world: StripeWorld) -> None:
    first, again = create(world, "Ada", "k"), create(world, "Ada", "k")
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Request-Id"] == first.headers["Request-Id"]
    world.clock.advance(timedelta(days=1))
    assert create(world, "Ada", "k").json()["id"] != first.json()["id"]


def test_the_same_key_with_other_parameters_or_elsewhere_is_an_error(world: StripeWorld) -> None:
    created = create(world, "Ada", "k").json()
    other = create(world, "Bob", "k")
    assert (other.status_code, other.json()["error"]["type"]) == (400, "idempotency_error")
    path = f"/v1/customers/{created['id']}"
    elsewhere = world.http.post(path, data={"name": "Ada"}, headers={"Idempotency-Key": "k"})
    assert elsewhere.json()["error"]["type"] == "idempotency_error"


def test_a_key_has_at_most_255_characters(world: StripeWorld) -> None:
    assert [create(world, "Ada", "k" * length).status_code for length in (255, 256)] == [200, 400]


def test_a_key_does_not_remember_parameters_that_did_not_pass(world: StripeWorld) -> None:
    refused = world.http.post("/v1/customers", data={"nmae": "Ada"}, headers={"Idempotency-Key": "k"})
    assert refused.status_code == 400
    assert create(world, "Ada", "k").status_code == 200


def test_a_key_does_remember_what_the_object_refused(world: StripeWorld) -> None:
    world.use("5")
    path = f"/v1/invoices/{world.renewed()}/void"
    keyed = {"Idempotency-Key": "k"}
    assert world.http.post(path, headers=keyed).status_code == 400
    world.post(f"{path.removeprefix('/v1/').removesuffix('/void')}/finalize", auto_advance="false")
    replayed = world.http.post(path, headers=keyed)
    assert (replayed.status_code, replayed.headers["Idempotent-Replayed"]) == (400, "true")


def test_a_500_is_remembered_and_a_429_is_not(world: StripeWorld) -> None:
    world.simulator.add_fault("500", endpoint="POST /v1/customers", times=1)
    assert [create(world, "Ada", "k").status_code for _ in range(2)] == [500, 500]
    world.simulator.add_fault("429", endpoint="POST /v1/customers", times=1)
    assert [create(world, "Ada", "l").status_code for _ in range(2)] == [429, 200]


def test_limits_are_per_endpoint_and_in_all(world: StripeWorld) -> None:
    world.simulator.limit_rates(per_endpoint=3, overall=5)
    statuses = [world.http.get("/v1/invoices").status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    refused = world.http.get("/v1/invoices")
    assert refused.headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    assert refused.json()["error"]["code"] == "rate_limit"
    reasons = [world.http.get("/v1/prices").headers.get("Stripe-Rate-Limited-Reason") for _ in range(3)]
    assert reasons == [None, None, "global-rate"]
    world.clock.advance(SECOND)
    assert world.http.get("/v1/invoices").status_code == 200


def test_an_endpoint_is_a_method_and_a_pattern(world: StripeWorld) -> None:
    invoice_id = world.renewed()
    world.simulator.limit_rates(per_endpoint=1, overall=100)
    assert world.http.get(f"/v1/invoices/{invoice_id}").status_code == 200
    assert world.http.get("/v1/invoices/in_other").status_code == 429
    assert world.http.post(f"/v1/invoices/{invoice_id}").status_code == 200


def test_a_restricted_key_is_refused_where_it_lacks_the_permission(world: StripeWorld) -> None:
    world.simulator.forbid("POST /v1/customers")
    response = create(world, "Ada", "k")
    assert response.status_code == 403
    assert "does not have the required permissions" in response.json()["error"]["message"]
    assert world.http.get("/v1/customers").status_code == 200


def test_limits_are_off_by_default(world: StripeWorld) -> None:
    assert {world.http.get("/v1/invoices").status_code for _ in range(60)} == {200}


@pytest.mark.parametrize(
    ("name", "error", "happened"),
    [
        ("timeout", httpx.ReadTimeout, False),
        ("lost_reply", httpx.ReadTimeout, True),
        ("connection_error", httpx.ConnectError, False),
    ],
)
def test_faults_that_leave_no_answer(
    world: StripeWorld,
    name: str,
    error: type[Exception],
    happened: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    world.simulator.add_fault(name, endpoint="POST /v1/customers", times=1)
    with pytest.raises(error):
        create(world, "Grace", "k")
    names = [customer.name for customer in world.simulator.account.customers]
    assert ("Grace" in names) is happened
    assert create(world, "Grace", "k").status_code == 200
    assert len(world.simulator.account.customers) == 2, "the second request did not do it twice"
    assert [entry.status for entry in world.simulator.log[-2:]] == [0, 200]


@pytest.mark.parametrize(("seconds", "late"), [(1.0, False), (10.0, True)])
def test_a_slow_answer_takes_time_and_may_come_too_late(
    world: StripeWorld,
    seconds: float,
    late: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    world.simulator.add_fault("slow", times=1, seconds=seconds)
    if late:
        with pytest.raises(httpx.ReadTimeout):
            world.http.get("/v1/invoices")
    else:
        assert world.http.get("/v1/invoices").status_code == 200
    assert world.clock.now() == MARCH + timedelta(seconds=seconds)


def test_on_wall_time_a_slow_answer_really_takes_its_time() -> None:
    simulator = StripeSimulator(WallClock())
    simulator.add_fault("slow", seconds=0.05)
    request = httpx.Request("GET", "https://api.stripe.com/v1/invoices", headers={"Authorization": f"Bearer {KEY}"})
    before = time.monotonic()
    assert simulator(request).status_code == 200
    assert time.monotonic() - before >= 0.05


def test_a_lock_timeout_says_that_it_may_be_retried(world: StripeWorld) -> None:
    world.simulator.add_fault("lock_timeout", endpoint="POST /v1/*", times=1)
    response = create(world, "Ada", "k")
    assert (response.status_code, response.json()["error"]["code"]) == (429, "lock_timeout")
    assert response.headers["Stripe-Should-Retry"] == "true"
    assert "Stripe-Rate-Limited-Reason" not in response.headers


def test_a_fault_can_skip_requests_and_be_cleared(world: StripeWorld) -> None:
    world.simulator.add_fault("503", skip=1)
    assert [world.http.get("/v1/invoices").status_code for _ in range(3)] == [200, 503, 503]
    world.simulator.faults.clear()
    assert world.http.get("/v1/invoices").status_code == 200


def test_the_same_seed_fails_at_the_same_requests() -> None:
    def strikes(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.add("500", probability=0.3)
        return [faults.take("GET /v1/invoices") is not None for _ in range(50)]

    assert strikes(1) == strikes(1)
    assert strikes(1) != strikes(2)


def test_a_fault_must_have_a_known_name() -> None:
    with pytest.raises(ValueError, match="meteorite"):
        Faults().add("meteorite")


def test_the_log_shows_what_was_asked(world: StripeWorld) -> None:
    invoice_id = world.renewed()
    world.post(f"invoices/{invoice_id}", key="k-1", auto_advance="false", **{"metadata[a]": "1"})
    entry = world.simulator.log[-1]
    assert (entry.endpoint, entry.path) == ("POST /v1/invoices/{id}", f"/v1/invoices/{invoice_id}")
    assert (entry.idempotency_key, entry.status) == ("k-1", 200)
    assert entry.params == {"auto_advance": "false", "metadata": {"a": "1"}}
    assert world.simulator.calls()["POST /v1/invoices/{id}"] == 1


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=many", "starting_after=in_none", "expand[]=nonsense", "created[at]=1"]
)
def test_bad_list_parameters_are_refused(world: StripeWorld, query: str) -> None:
    world.renewed()
    assert world.http.get(f"/v1/invoices?{query}").status_code == 400


def test_ids_are_the_same_for_a_seed_and_differ_between_seeds() -> None:
    def ids(seed: int) -> list[str]:
        world = StripeWorld(seed=seed)
        return [world.renewed(), *(event["id"] for event in world.simulator.events)]

    assert ids(1) == ids(1)
    assert not set(ids(1)) & set(ids(2))


def test_expanding_fills_in_objects(world: StripeWorld) -> None:
    world.renewed()
    (invoice,) = world.http.get(
        "/v1/invoices?expand[]=data.customer&expand[]=data.lines.data.pricing.price_details.price.tiers"
    ).json()["data"]
    assert invoice["customer"]["email"] == "ada@example.com"
    assert invoice["lines"]["data"][0]["pricing"]["price_details"]["price"]["recurring"]["meter"] == world.meter


def test_requests_from_many_threads_are_each_done_once(world: StripeWorld) -> None:
    def work(number: int) -> None:
        for place in range(10):
            create(world, f"{number}-{place}", f"key-{number}-{place}")
            create(world, f"{number}-{place}", f"key-{number}-{place}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(world.simulator.account.customers) == 41
    assert len({customer.id for customer in world.simulator.account.customers}) == 41
