"""Invoice items: what waits for a subscription's next invoice, and invoices that are made of it."""

from datetime import datetime
from decimal import Decimal

from pacspace_stripe.simulator.stripe import drafting
from pacspace_stripe.simulator.stripe.catalog_building import CatalogBuilding
from pacspace_stripe.simulator.stripe.preview_kinds import PreviewKind
from pacspace_stripe.simulator.stripe.world import Invoice, Line, whole_second


class ItemBuilding(CatalogBuilding):
    """Lines that no subscription item generates. Each method takes the lock."""

    def add_invoice_item(
        self,
        subscription: str,
        *,
        amount: int,
        quantity: Decimal | int | str = 1,
        description: str = "One-off",
        price: str | None = None,
        kind: PreviewKind | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> None:
        """Put a line on a subscription's next invoice: a plain amount in minor units, unless it has a price or a kind.

        Its period is this moment, unless ``start`` and ``end`` say another one.
        """
        with self._lock:
            found, now = self.account.subscriptions[subscription], whole_second(self.account.now())
            found.pending.append(
                Line(
                    id=self.account.ids.new("il"),
                    description=description,
                    period_start=start or now,
                    period_end=end or start or now,
                    amount=amount,
                    quantity=Decimal(quantity),
                    price=price,
                    subscription=None if kind else found.id,
                    kind=kind,
                )
            )

    def invoice_pending(self, customer: str, *, by_cadence: bool = False) -> str:
        """Make an invoice of all that waits for a customer's subscriptions, which itself has none; returns its id.

        ``by_cadence``: a billing cadence makes it, and no person.
        """
        with self._lock:
            account, now = self.account, whole_second(self.account.now())
            lines: list[Line] = []
            for subscription in account.subscriptions:
                if subscription.customer == customer:
                    lines.extend(subscription.pending)
                    subscription.pending = []
            invoice = Invoice(
                id=account.ids.new("in"),
                created=now,
                customer=customer,
                currency="usd",
                collection_method="charge_automatically",
                billing_reason="subscription_cycle" if by_cadence else "manual",
                period_start=min((line.period_start for line in lines), default=now),
                period_end=max((line.period_end for line in lines), default=now),
                auto_advance=True,
                lines=lines,
                by_cadence=by_cadence,
            )
            return drafting.place(account, invoice).id
