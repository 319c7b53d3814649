"""Named worlds for the demo: usage on both sides, and the end state that it must lead to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

METER = "api_calls"
USAGE_AGO = timedelta(days=3)
PERIOD = timedelta(days=30)


class ScenarioControl(Protocol):
    """A simulator's control methods by name, in this process or over its socket."""

    def __call__(self, method: str, **args: object) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The invoice's end state in Stripe."""

    status: str
    verdict: str | None
    left: bool
    """True if money was collected for it."""
    auto_advance: bool = False
    held_as: str = "drifted"
    """Verdict in our own records for an invoice that did not leave and carries none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One customer's story. ``billed`` and ``recorded`` are usage on each side, in the meter's unit."""

    name: str
    story: str
    customer: str
    billed: str
    recorded: str
    expected: Expected
    verified: bool = True
    late_usage: str = ""
    """Usage that reaches Stripe alone, after the draft was made."""
    item_kind: str = ""
    """Kind of a line beside the usage that no release of Stripe's API knows."""
    steps: tuple[str, ...] = field(default_factory=tuple)
    """Later steps of the player, by name."""


RELEASED = Expected(status="paid", verdict="matched", left=True)

CLOSED = (
    Scenario(
        name="matched",
        story="both sides say 1250.5: stamped, finalized, released",
        customer="cus_matched",
        billed="1250.5",
        recorded="1250.5",
        expected=RELEASED,
        steps=("statement",),
    ),
    Scenario(
        name="overbilled",
        story="Stripe says 100, the ledger 90: held",
        customer="cus_overbilled",
        billed="100",
        recorded="90",
        expected=Expected(status="draft", verdict=None, left=False),
    ),
    Scenario(
        name="ledger late",
        story="the ledger's record is verified late: unproven first, then released by itself",
        customer="cus_late_ledger",
        billed="12",
        recorded="12",
        verified=False,
        expected=RELEASED,
        steps=("wait unproven", "verify"),
    ),
    Scenario(
        name="late usage at finalization",
        story="usage of 7 arrives at Stripe after the draft was made: caught after finalize, not released",
        customer="cus_late_usage",
        billed="100",
        recorded="100",
        expected=Expected(status="open", verdict="drifted", left=False),
        late_usage="7",
    ),
    Scenario(
        name="unknown kind",
        story="both sides say 100, but a rate card's line beside it cannot be compared: held, and the line is named",
        customer="cus_unknown_kind",
        billed="100",
        recorded="100",
        expected=Expected(status="draft", verdict=None, left=False, held_as="unproven"),
        item_kind="rate_card",
        steps=("say why",),
    ),
    Scenario(
        name="waived",
        story="Stripe says 100, the ledger 90, and a person releases it with a reason: stamped as waived",
        customer="cus_waived",
        billed="100",
        recorded="90",
        expected=Expected(status="paid", verdict="waived", left=True),
        steps=("wait drifted", "waive"),
    ),
)
DISORDER = Scenario(
    name="duplicates and disorder",
    story="each event 5 times, shuffled: one effect",
    customer="cus_disorder",
    billed="42",
    recorded="42",
    expected=RELEASED,
)
UPCOMING = Scenario(
    name="drift at upcoming",
    story="drift found before the invoice: blocked; the draft is held at once although failing open; fixed, released",
    customer="cus_upcoming",
    billed="100",
    recorded="90",
    expected=RELEASED,
    steps=("upcoming", "wait held", "record the missing 10"),
)
KILLED = Scenario(
    name="killed",
    story="kill -9 in the middle of finalization, started again: the same end",
    customer="cus_killed",
    billed="77",
    recorded="77",
    expected=RELEASED,
    steps=("kill",),
)


@dataclass(slots=True, kw_only=True)
class ScenarioBuilder:
    """Builder of scenarios in a pair of simulators."""

    stripe: ScenarioControl
    pacspace: ScenarioControl
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _price: str | None = None

    def set(self, scenario: Scenario, *, ends_in: timedelta) -> str:
        """Create the customer, usage on both sides, and a subscription that renews soon.

        Return the subscription's id.
        """
        if self._price is None:
            self._price = str(self.stripe("add_price", meter=self.stripe("add_meter", event_name=METER)))
        now = self.now()
        # The invoice item has to be there before the period ends, however slow the machine is.
        end = now + ends_in * (4 if scenario.item_kind else 1)
        self.stripe("add_customer", id=scenario.customer, name=scenario.name.title())
        self.bill(scenario, scenario.billed)
        if scenario.recorded != "0":
            self.record(scenario, scenario.recorded, verified=scenario.verified)
        subscription = str(
            self.stripe(
                "add_subscription",
                customer=scenario.customer,
                prices=[self._price],
                period_start=(end - PERIOD).isoformat(),
                period_end=end.isoformat(),
            )
        )
        if scenario.item_kind:
            self.stripe("add_invoice_item", subscription=subscription, amount=4500, kind=scenario.item_kind)
        return subscription

    def bill(self, scenario: Scenario, quantity: str) -> None:
        """Report usage to Stripe."""
        at = (self.now() - USAGE_AGO).isoformat()
        self.stripe("record_usage", customer=scenario.customer, event_name=METER, value=quantity, at=at)

    def record(self, scenario: Scenario, quantity: str, *, verified: bool = True) -> None:
        """Record usage in the ledger, as a negative delta, as PacSpace writes charges."""
        at = (self.now() - USAGE_AGO).isoformat()
        self.pacspace("record", account=scenario.customer, delta=f"-{quantity}", at=at, verified=verified)
