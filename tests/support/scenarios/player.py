"""The player of one scenario, in a world of its own: first what happened before, then time passes until the end."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from pacspace_stripe.simulator.clock import ManualClock
from pacspace_stripe.usage.rules import ACCOUNT_METADATA_KEY
from tests.support.previews import Previewed
from tests.support.scenarios.expectations import judge
from tests.support.scenarios.tables import Both, Counted, Recorded, Scenario, Subscription, Then

_Act = Counted | Recorded | Then


class _Play:
    """A scenario while it is played."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario = scenario
        settings = {f"PACSPACE_STRIPE_{name.upper()}": value for name, value in scenario.settings.items()}
        self.world = Previewed(folder, settings, clock=ManualClock(scenario.starts_at), validated=False)
        self.ids: dict[str, str] = {}
        self.prices: dict[str, str] = {}

    def build(self) -> None:
        if self.scenario.rules:
            self.world.ledger.configure(**self.scenario.rules)
        self._catalog()
        for subscription in self.scenario.subscriptions:
            self._subscribe(subscription)
        if not self.ids:
            self.ids["cus_acme"] = self.world.stripe.add_customer("cus_acme", name="cus_acme")

    def _catalog(self) -> None:
        meters = {"api_calls": self.world.meter}
        for name, formula in self.scenario.meters.items():
            if name not in meters or formula != "sum":
                window = self.scenario.event_time_windows.get(name)
                meters[name] = self.world.stripe.add_meter(name, formula, event_time_window=window)  # type: ignore[arg-type]  # Stripe's word
        self.prices = {name: self.world.stripe.add_price(meter) for name, meter in meters.items()}
        for price in self.scenario.prices:
            self.prices[price.name] = self.world.stripe.add_price(
                meters[price.meter] if price.meter else None, **price.rest
            )

    def _subscribe(self, one: Subscription) -> None:
        options = one.rest
        if one.account is not None:
            options["metadata"] = {**options.get("metadata", {}), ACCOUNT_METADATA_KEY: one.account}
        if one.customer not in self.ids:
            self.world.stripe.add_customer(one.customer, name=one.customer)
            self.ids[one.customer] = one.customer
        prices = [self.prices[name] for name in one.prices]
        self.world.stripe.add_subscription(
            one.customer, prices, period_start=one.start, period_end=one.end, id=one.id, **options
        )

    def run(self) -> None:
        """Do everything in order of time; what happened before the world begins is there from the beginning."""
        for act in sorted(self._acts(), key=lambda each: each.happens_at):
            self._until(act.happens_at)
            self._do(act)
        self._until(self.scenario.ends_at)

    def _until(self, at: datetime) -> None:
        if at > self.world.clock.now():
            self.world.run(at - self.world.clock.now())

    def _acts(self) -> list[_Act]:
        told = [*self.scenario.stripe, *(_counted(each) for each in self.scenario.both)]
        recorded = [*self.scenario.ledger, *(self._recorded(each) for each in self.scenario.both)]
        return [*told, *recorded, *self.scenario.then]

    def _recorded(self, both: Both) -> Recorded:
        shared = both.model_dump(exclude={"at", "quantity", "told", "accepted"})
        return Recorded(at=both.accepted or both.at, usage=both.quantity * self._unit(both.meter), **shared)

    def _unit(self, meter: str) -> Decimal:
        units = dict(each.split("=") for each in self.scenario.settings.get("units", "").split(",") if each)
        return Decimal(units.get(meter, "1"))

    def _do(self, act: _Act) -> None:
        match act:
            case Counted():
                identifier = self.world.stripe.record_usage(act.customer, act.meter, act.quantity, act.at)
                self._name(act.id, identifier)
            case Recorded():
                self._name(act.id, self._record(act))
            case Then():
                self._then(act)

    def _name(self, name: str | None, an_id: str) -> None:
        if name is not None and name not in self.ids:
            self.ids[name] = an_id

    def _record(self, row: Recorded) -> str:
        record_id = self.world.ledger.record(
            row.account or self._account(row),
            row.delta if row.delta is not None else self._signed(row.usage or Decimal(0)),
            row.at,
            reason=row.reason or self._reason(row.meter),
            reference_id=row.reference,
            metadata=row.metadata if row.metadata is not None else self._metadata(row.meter),
            adjusts=self.ids.get(row.adjusts or "", row.adjusts),
            verified=row.status == "verified",
        )
        if row.status == "failed":
            self.world.ledger.fail(record_id)
        return record_id

    def _account(self, row: Recorded) -> str:
        mapped = {each.customer: each.account for each in self.scenario.subscriptions if each.account}
        template = self.scenario.settings.get("ledger_account", "{customer}")
        templated = template.replace("{customer}", row.customer).replace("{meter}", row.meter)
        return mapped.get(row.customer, templated)

    def _signed(self, usage: Decimal) -> Decimal:
        return usage if self.scenario.settings.get("usage_sign") == "positive" else -usage

    def _reason(self, meter: str) -> str:
        return meter if self.scenario.settings.get("meter_from") == "reason" else "usage"

    def _metadata(self, meter: str) -> dict[str, str] | None:
        told_by, _, key = self.scenario.settings.get("meter_from", "").partition(".")
        return {key: meter} if told_by == "metadata" else None

    def _then(self, act: Then) -> None:
        arguments = {name: self._meant(value) for name, value in act.rest.items()}
        whose, _, method = act.do.partition(".")
        match whose:
            case "restart":
                self.world.restart(**{f"PACSPACE_STRIPE_{name.upper()}": value for name, value in arguments.items()})
            case "look":
                self.world.app.checker.check(self.world.invoice_id)
            case "upcoming":
                self.world.stripe.send_upcoming(arguments["subscription"])
            case "stripe" | "ledger":
                getattr(self.world.stripe if whose == "stripe" else self.world.ledger, method)(**arguments)
            case _:
                message = f"unknown act: {act.do}"
                raise ValueError(message)

    def _meant(self, value: Any) -> Any:  # noqa: ANN401 - whatever a TOML table holds
        if value == "newest":
            return self.world.invoice_id
        if isinstance(value, list):
            return [self._meant(each) for each in value]
        if isinstance(value, dict):
            return {name: each if name == "metadata" else self._meant(each) for name, each in value.items()}
        return self.ids.get(value, self.prices.get(value, value)) if isinstance(value, str) else value


def _counted(both: Both) -> Counted:
    return Counted(at=both.at, quantity=both.quantity, meter=both.meter, customer=both.customer, told=both.told)


def play(scenario: Scenario, folder: Path) -> None:
    """Play a scenario, and assert everything that it expects."""
    playing = _Play(scenario, folder)
    try:
        playing.build()
        playing.run()
        for expected in scenario.expect:
            judge(playing.world, scenario, expected, playing.ids)
        playing.world.vouch()
        assert not playing.world.wrong, "\n".join(playing.world.wrong)
    finally:
        playing.world.app.close()
