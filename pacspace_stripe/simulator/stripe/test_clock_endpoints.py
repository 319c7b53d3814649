"""Test clocks: make, read, advance."""

from pacspace_stripe.simulator.stripe import engine
from pacspace_stripe.simulator.stripe.calls import Endpoint, StripeRequest, required_moment
from pacspace_stripe.simulator.stripe.errors import refuse
from pacspace_stripe.simulator.stripe.shapes import Json
from pacspace_stripe.simulator.stripe.test_clocks import StoredTestClock
from pacspace_stripe.simulator.stripe.world import whole_second


def create_clock(call: StripeRequest) -> Json:
    """``POST /v1/test_helpers/test_clocks``."""
    call.params.only("frozen_time", "name", "expand")
    account = call.account
    clock = StoredTestClock(
        id=account.ids.new("clock"),
        created=whole_second(account.clock.now()),
        frozen_at=required_moment(call.params, "frozen_time"),
        name=call.params.text("name", longest=300),
    )
    return account.test_clocks.add(clock).json()


def get_clock(call: StripeRequest) -> Json:
    """``GET /v1/test_helpers/test_clocks/{id}``."""
    call.params.only("expand")
    return call.find(call.account.test_clocks, "test clock").json()


def advance_clock(call: StripeRequest) -> Json:
    """``POST /v1/test_helpers/test_clocks/{id}/advance``."""
    call.params.only("frozen_time", "expand")
    clock, to = call.find(call.account.test_clocks, "test clock"), required_moment(call.params, "frozen_time")
    if to <= clock.frozen_at:
        refuse("frozen_time must be after the current frozen time of the test clock.", "frozen_time")
    engine.advance(call.account, clock, to)
    return clock.json()


ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("POST", "/v1/test_helpers/test_clocks"): create_clock,
    ("GET", "/v1/test_helpers/test_clocks/{id}"): get_clock,
    ("POST", "/v1/test_helpers/test_clocks/{id}/advance"): advance_clock,
}
