"""Building a catalog from Python: customers, meters, prices, and a subscription's status."""

import threading
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

from pacspace_stripe.simulator.stripe import catalog_endpoints
from pacspace_stripe.simulator.stripe.account import Account
from pacspace_stripe.simulator.stripe.lifecycle import changed
from pacspace_stripe.simulator.stripe.world import (
    Formula,
    Interval,
    StoredCustomer,
    StoredMeter,
    StoredPrice,
    StoredTier,
    whole_second,
)


class CatalogBuilding:
    """Customers, meters and prices. Each method takes the lock."""

    account: Account
    _lock: threading.RLock

    def add_customer(
        self,
        id: str | None = None,  # noqa: A002 - Stripe's word
        *,
        metadata: dict[str, str] | None = None,
        name: str | None = None,
        email: str | None = None,
        footer: str | None = None,
        credit: int = 0,
        test_clock: str | None = None,
    ) -> str:
        """Add a customer, with a credit in minor units that its invoices use up. Return its id."""
        with self._lock:
            now = whole_second(self.account.now())
            customer_id = id or self.account.ids.new("cus")
            customer = StoredCustomer(
                id=customer_id,
                created=now,
                name=name,
                email=email,
                metadata=metadata or {},
                footer=footer,
                credit=credit,
                test_clock=test_clock,
            )
            return self.account.customers.add(customer).id

    def add_meter(
        self,
        event_name: str,
        formula: Formula = "sum",
        *,
        id: str | None = None,  # noqa: A002 - Stripe's word
        event_time_window: Literal["hour", "day"] | None = None,
    ) -> str:
        """Add a meter and return its id."""
        with self._lock:
            meter = StoredMeter(
                id=id or self.account.ids.new("mtr"),
                created=whole_second(self.account.now()),
                event_name=event_name,
                display_name=event_name,
                formula=formula,
                event_time_window=event_time_window,
            )
            return self.account.meters.add(meter).id

    def add_price(
        self,
        meter: str | None = None,
        *,
        unit_amount: Decimal | int | str | None = 1,
        currency: str = "usd",
        interval: Interval | str | None = Interval.MONTH,
        interval_count: int = 1,
        tiers: Sequence[StoredTier | dict[str, Any]] = (),
        tiers_mode: Literal["graduated", "volume"] | None = None,
        package_size: int | None = None,
        package_round: Literal["up", "down"] = "up",
        nickname: str | None = None,
        product: str | None = None,
        id: str | None = None,  # noqa: A002 - Stripe's word
    ) -> str:
        """Add a price, metered if it has a meter, and return its id. Amounts are in minor currency units.

        Without an interval it is charged once.
        """
        with self._lock:
            account = self.account
            product_id = product or catalog_endpoints.new_product(account, nickname or "Simulated product", {}).id
            price = StoredPrice(
                id=id or account.ids.new("price"),
                created=whole_second(account.now()),
                product=product_id,
                currency=currency,
                unit_amount=None if tiers or unit_amount is None else Decimal(unit_amount),
                interval=Interval(interval) if interval else None,
                interval_count=interval_count,
                meter=account.meters[meter].id if meter else None,
                tiers=tuple(_tier(tier) for tier in tiers),
                tiers_mode=tiers_mode or ("graduated" if tiers else None),
                package_size=package_size,
                package_round=package_round,
                nickname=nickname,
            )
            return account.prices.add(price).id

    def set_subscription_status(self, subscription: str, status: Literal["active", "unpaid"]) -> None:
        """Set a subscription's status as Stripe does when payments fail for good, or are made up for."""
        with self._lock:
            found = self.account.subscriptions[subscription]
            before = self.account.show_subscription(found)
            found.status = status
            after = self.account.show_subscription(found)
            self.account.emit("customer.subscription.updated", after, changed(before, after))


def _tier(tier: StoredTier | dict[str, Any]) -> StoredTier:
    if isinstance(tier, StoredTier):
        return tier
    return StoredTier(
        up_to=tier.get("up_to"),
        unit_amount=Decimal(tier.get("unit_amount", 0)),
        flat_amount=Decimal(tier.get("flat_amount", 0)),
    )
