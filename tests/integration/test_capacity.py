"""The forecast of ``capacity`` beside the simulator's enforced limits, on compressed time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from pacspace_stripe.capacity.rules.forecast import Anchor, Forecast, Load, forecast
from pacspace_stripe.http.calls import Call
from pacspace_stripe.http.client import Transport
from pacspace_stripe.http.ratelimit.rules.rate import SPAN, Rate
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.simulator.stripe import StripeSimulator
from pacspace_stripe.simulator.stripe.admission import RateLimits
from pacspace_stripe.simulator.stripe.errors import StripeError
from pacspace_stripe.stripe_api.calls import endpoint_of
from pacspace_stripe.vocabulary.policy import FailPolicy
from tests.support.worlds import World

END = datetime(2026, 11, 1, tzinfo=UTC)
LIVE, TEST = Rate(endpoint=25, total=100), Rate(endpoint=25, total=25)
HOUR, SETTLE = timedelta(hours=1), timedelta(minutes=10)
Phase = Callable[["Calls", str], None]


@dataclass
class Admission:
    """The simulator's limits without its invoices, of which a hundred thousand would not fit into memory."""

    limits: RateLimits
    clock: ManualClock

    def __call__(self, request: httpx.Request) -> httpx.Response:
        try:
            self.limits.admit(endpoint_of(request.method, str(request.url)), self.clock.now())
        except StripeError as error:
            return httpx.Response(error.status, headers=error.headers)
        return httpx.Response(200)


@dataclass
class Calls:
    """The calls of both checks, made as the gate makes them, to a simulator that enforces a live key's limits."""

    rate: Rate
    refused: int = 0

    def __post_init__(self) -> None:
        self.clock = ManualClock(END - timedelta(hours=1))
        self.simulator = StripeSimulator(self.clock, enforce_rate_limits=True)
        self.simulator.rate_limits = RateLimits(self.rate.endpoint, self.rate.total)
        self.server: Callable[[httpx.Request], httpx.Response] = self.simulator
        self.transport = Transport(
            httpx_transport=httpx.MockTransport(self.answer),
            clock=self.clock.now,
            sleep=self.clock.advance,
            limits={"Stripe": self.rate},
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        answer = self.server(request)
        self.refused += answer.status_code == 429
        return answer

    def only_limits(self, count: int) -> list[str]:
        """Drafts at a Stripe that only counts requests."""
        self.server = Admission(self.simulator.rate_limits, self.clock)
        self.clock.advance_to(END)
        return [f"in_{number}" for number in range(count)]

    def drafts(self, count: int) -> list[str]:
        """Make a number of drafts now."""
        price = self.simulator.add_price(self.simulator.add_meter("api_calls"))
        for number in range(count):
            self.simulator.add_customer(f"cus_{number}")
            self.simulator.add_subscription(f"cus_{number}", [price], period_start=END - 30 * 24 * HOUR, period_end=END)
        self.clock.advance_to(END)
        self.simulator.run_due()
        return self.simulator.invoices()

    def send(self, method: str, path: str, content: bytes | None = None) -> None:
        url = f"https://api.stripe.com{path}"
        headers = {"Authorization": "Bearer sk_test_simulator", "Content-Type": "application/x-www-form-urlencoded"}
        self.transport.send(
            Call(
                service="Stripe",
                method=method,
                url=url,
                endpoint=endpoint_of(method, url),
                headers=headers,
                content=content,
            )
        )

    def read(self, invoice: str) -> None:
        self.send("GET", f"/v1/invoices/{invoice}")

    def write(self, invoice: str, change: str) -> None:
        self.send("POST", f"/v1/invoices/{invoice}", change.encode())

    def hold(self, invoice: str) -> None:
        self.read(invoice)
        self.write(invoice, "auto_advance=false")

    def postpone(self, invoice: str) -> None:
        self.read(invoice)
        self.write(invoice, f"automatically_finalizes_at={int((END + 24 * HOUR).timestamp())}")

    def stamp(self, invoice: str) -> None:
        self.read(invoice)
        self.write(invoice, "metadata[pacspace_verdict]=matched")

    def release(self, invoice: str) -> None:
        self.stamp(invoice)
        self.send("POST", f"/v1/invoices/{invoice}/finalize", b"auto_advance=false")
        self.read(invoice)
        self.write(invoice, "auto_advance=true")

    def played(self, policy: FailPolicy, drafts: list[str]) -> tuple[timedelta, timedelta]:
        """Make both checks of every draft, and return when all are secured, and when all are judged."""
        first, second = LOOKS[policy]
        ready_at = END + (max(HOUR, SETTLE) if policy is FailPolicy.CLOSED else SETTLE)
        secured_at: list[datetime] = []
        judged = 0
        for number, draft in enumerate(drafts):
            first(self, draft)
            secured_at.append(self.clock.now())
            # Both kinds have as many threads, so as many calls: a closed second check makes twice as many.
            turn = policy is FailPolicy.OPEN or number % 2
            if turn and self.clock.now() >= max(ready_at, secured_at[judged] + SETTLE):
                second(self, drafts[judged])
                judged += 1
        for place in range(judged, len(drafts)):
            self.clock.advance_to(max(ready_at, secured_at[place] + SETTLE))
            second(self, drafts[place])
        return secured_at[-1] - END, self.clock.now() - END


KEPT = 10_000
LOOKS: dict[FailPolicy, tuple[Phase, Phase]] = {
    FailPolicy.CLOSED: (Calls.hold, Calls.release),
    FailPolicy.OPEN: (Calls.postpone, Calls.stamp),
}


def foretold(invoices: int, rate: Rate, policy: FailPolicy) -> Forecast:
    return forecast(Load(invoices=invoices, anchor=Anchor.FIRST_OF_MONTH, rate=rate), policy)


def about(found: timedelta, told: timedelta) -> bool:
    """Allow two percent and two of the vendor's seconds, since the requests of the first second wait for nothing."""
    return abs(found - told) <= 0.02 * told + 2 * SPAN


@pytest.mark.parametrize(
    ("invoices", "rate"),
    [
        (1_000, LIVE),
        pytest.param(1_000, TEST, marks=pytest.mark.soak),
        pytest.param(10_000, LIVE, marks=pytest.mark.soak),
        pytest.param(100_000, LIVE, marks=pytest.mark.soak),
    ],
    ids=str,
)
def test_the_calls_take_as_long_as_forecast(invoices: int, rate: Rate) -> None:
    for policy in LOOKS:
        calls, told = Calls(rate), foretold(invoices, rate, policy)
        drafts = calls.drafts(invoices) if invoices <= KEPT else calls.only_limits(invoices)
        assert len(drafts) == invoices
        secured, judged = calls.played(policy, drafts)
        assert about(secured, told.secured_after)
        assert about(judged, told.judged_after)
        assert calls.refused == 0


@pytest.mark.parametrize("invoices", [60, pytest.param(1_000, marks=pytest.mark.soak)])
def test_the_whole_gate_takes_as_long_as_forecast(invoices: int, tmp_path: Path) -> None:
    made = World(tmp_path, {"PACSPACE_STRIPE_RATE": str(LIVE)}, validated=False)
    made.stripe.rate_limits = RateLimits(LIVE.endpoint, LIVE.total)
    made.stripe.enforce_rate_limits = True
    for number in range(invoices):
        made.subscribe(f"cus_{number}")
        made.use("10", customer=f"cus_{number}")
    made.run(timedelta(hours=2))
    made.app.close()
    told = foretold(invoices, LIVE, FailPolicy.CLOSED)
    writes = [entry for entry in made.stripe.log if entry.endpoint == "POST /v1/invoices/{id}"]
    holds = [entry.at for entry in writes if entry.params.get("auto_advance") == "false"]
    assert len(holds) == invoices
    assert about(max(holds) - END, told.secured_after)
    assert about(max(entry.at for entry in writes) - END, told.judged_after)
    assert all(entry.status == 200 for entry in made.stripe.log)
    assert len(made.stripe.log) == told.calls * invoices + len(("price", "meter"))
