"""A month of usage on both sides of one or more customers, in process, and what the explainer says of its invoice."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import httpx

from pacspace_stripe.app import App, build
from pacspace_stripe.comparison.rules.verdicts import Finding
from pacspace_stripe.explain.meter_account import BillingScope
from pacspace_stripe.explain.rules.explanation import Explanation
from pacspace_stripe.settings import load_settings
from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator
from pacspace_stripe.simulator.stripe import StripeSimulator
from pacspace_stripe.vocabulary.invoices import Invoice
from tests.support.worlds import ENVIRONMENT, METER, STRIPE_PORT

MONTH_START, MONTH_END = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
US, THEM = "cus_us", "cus_them"


@dataclass(slots=True)
class Use:
    """One use as each side has it; None where it does not."""

    at: datetime
    quantity: Decimal
    meter: str = METER
    customer: str = US
    billed: Decimal | None = None
    recorded: Decimal | None = None
    recorded_at: datetime | None = None
    account: str | None = None
    reference: str | None = None
    metadata: dict[str, str] | None = None
    times_billed: int = 1
    times_recorded: int = 1

    def __post_init__(self) -> None:
        self.billed = self.quantity if self.billed is None else self.billed
        self.recorded = self.quantity if self.recorded is None else self.recorded


@dataclass
class Month:
    """The uses of a month, to be played on both vendors and explained by the product."""

    folder: Path
    seed: int = 0
    start: datetime = MONTH_START
    end: datetime = MONTH_END
    now: datetime = MONTH_END + 3 * DAY
    meters: tuple[str, ...] = (METER,)
    settings: dict[str, str] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)

    def fill(
        self, customer: str = US, *, a_day: int = 4, meter: str = METER, digits: int = 2, largest: int = 500
    ) -> None:
        """Add usage at random times of each day, until now."""
        random = Random(f"{self.seed} {customer} {meter}")
        first, last = self.start - DAY, self.now - HOUR
        for _ in range(int((last - first) / DAY * a_day)):
            at = first + (last - first) * random.random()
            at = at.replace(microsecond=0)
            quantity = Decimal(random.randint(1, largest * 10**digits)).scaleb(-digits)
            name = f"{customer}-{len(self.uses)}"
            self.uses.append(Use(at=at, quantity=quantity, customer=customer, meter=meter, reference=name))

    def inside(self, customer: str = US, meter: str = METER) -> list[Use]:
        """Return the uses in the window, in order of time."""
        mine = (use for use in self.uses if (use.customer, use.meter) == (customer, meter))
        return sorted((use for use in mine if self.start <= use.at < self.end), key=lambda use: use.at)

    @contextlib.contextmanager
    def played(self) -> Iterator["PlayedMonth"]:
        """Play the month: both vendors then know every use."""
        played = PlayedMonth(self)
        try:
            yield played
        finally:
            played.app.close()


class PlayedMonth:
    """A month on both vendors in process, and the product on them."""

    def __init__(self, month: Month) -> None:
        self.month = month
        self.clock = ManualClock(month.now)
        self.stripe, self.ledger = StripeSimulator(self.clock), PacSpaceSimulator(self.clock)
        environment = ENVIRONMENT | {"PACSPACE_STRIPE_DATABASE_URL": f"sqlite:///{month.folder / 'explained.db'}"}
        self.requests = 0
        self.app: App = build(
            load_settings(environment | month.settings),
            now=self.clock.now,
            httpx_transport=httpx.MockTransport(self._answer),
            sleep=self._sleep,
        )
        prices = self.prices = [self.stripe.add_price(self.stripe.add_meter(meter)) for meter in month.meters]
        for customer in dict.fromkeys([US, *(use.customer for use in month.uses)]):
            self.stripe.add_customer(customer, name=customer)
            self.stripe.add_subscription(
                customer, prices, period_start=month.end, period_end=month.end + 31 * DAY, id=f"sub_{customer}"
            )
        for use in month.uses:
            self._record(use)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        return self.stripe(request) if request.url.port == STRIPE_PORT else self.ledger(request)

    def _sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def _record(self, use: Use) -> None:
        for _ in range(use.times_billed if use.billed else 0):
            self.stripe.record_usage(use.customer, use.meter, use.billed or 0, use.at)
        for time in range(use.times_recorded if use.recorded else 0):
            self.ledger.record(
                use.account or use.customer,
                -(use.recorded or Decimal(0)),
                (use.recorded_at or use.at) + time * SECOND,
                reason=use.meter,
                reference_id=use.reference,
                metadata=use.metadata,
            )

    def subscribe_apart(self, meter: str) -> str:
        """Add another subscription of our customer, to one meter alone."""
        price = self.prices[self.month.meters.index(meter)]
        return self.stripe.add_subscription(
            US, [price], period_start=self.month.end, period_end=self.month.end + 31 * DAY, id=f"sub_{meter}"
        )

    def invoice(self, customer: str = US, subscription: str | None = None) -> Invoice:
        """Return the paid invoice of the window."""
        of = subscription or f"sub_{customer}"
        invoice_id = self.stripe.add_past_invoice(of, self.month.start, self.month.end)
        return self.app.stripe.read_invoice(invoice_id)

    def finding(self, invoice: Invoice) -> Finding:
        comparer = self.app.checker.services.comparer
        return comparer.compare(invoice, comparer.usages(invoice), finalized_by_us=False)

    def explained(self, customer: str = US) -> Explanation:
        """Explain the one drift of a customer's invoice; the other customers' are checked first, as they would be."""
        for other in dict.fromkeys(use.customer for use in self.month.uses):
            if other != customer:
                self.app.checker.check(self.invoice(other).invoice_id)
        invoice = self.invoice(customer)
        finding = self.finding(invoice)
        before = self.requests
        (found,) = self.app.explainer.explain_all(BillingScope.of_invoice(invoice), finding)
        assert found.calls == self.requests - before
        return found


Plant = Callable[[list[Use]], Use]
