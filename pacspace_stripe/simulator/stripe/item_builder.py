"""Items of subscriptions and of invoices, and invoices made of pending items."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from pacspace_stripe.simulator.stripe import drafts as drafting
from pacspace_stripe.simulator.stripe.catalog_builder import CatalogBuilding
from pacspace_stripe.simulator.stripe.world import Collection, Item, Line, PreviewKind, StoredInvoice, whole_second


class ItemBuilding(CatalogBuilding):
    """Items of subscriptions and of invoices. Each method takes the lock."""

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
        """Put a line on a subscription's next invoice.

        It is a plain amount in minor units, unless it has a price or a kind. Its period is this moment, or from
        ``start`` to ``end``.
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
        """Make an invoice of all pending items of a customer's subscriptions, and return its id.

        It has no subscription. With ``by_cadence``, a billing cadence makes it instead of a person.
        """
        with self._lock:
            account, now = self.account, whole_second(self.account.now())
            lines: list[Line] = []
            for subscription in account.subscriptions:
                if subscription.customer == customer:
                    lines.extend(subscription.pending)
                    subscription.pending = []
            invoice = StoredInvoice(
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

    def _item(self, price_id: str, start: datetime, end: datetime) -> Item:
        price = self.account.prices[price_id]
        return Item(
            id=self.account.ids.new("si"),
            created=start,
            price=price.id,
            quantity=None if price.metered else 1,
            period_start=start,
            period_end=end,
        )

    def replace_item(
        self,
        subscription: str,
        since: datetime,
        *,
        price: str | None = None,
        item: int = 0,
        proration: bool = True,
        as_item: bool = False,
    ) -> None:
        """End an item inside its period, as flexible billing mode does.

        Its usage so far goes on the next invoice. Another item with ``price`` takes its place; None adds no item.
        """
        with self._lock:
            found, at = self.account.subscriptions[subscription], whole_second(since)
            old = found.items.pop(item)
            found.pending.extend(
                drafting.accrued_lines(self.account, found, old, at, proration=proration, as_item=as_item)
            )
            if price is not None:
                found.items.append(self._item(price, at, old.period_end))

    def push_invoice(
        self,
        customer: str,
        items: Sequence[dict[str, Any]],
        *,
        metadata: dict[str, str] | None = None,
        collection_method: Collection = "charge_automatically",
        auto_advance: bool = True,
        subscription: str | None = None,
    ) -> str:
        """Bill usage as another metering system does: invoice items, then an invoice that takes them.

        Each of ``items`` is as ``push_items`` takes it. Return the draft's id.
        """
        with self._lock:
            account, now = self.account, whole_second(self.account.now())
            invoice = StoredInvoice(
                id=account.ids.new("in"),
                created=now,
                customer=account.customers[customer].id,
                currency="usd",
                collection_method=collection_method,
                billing_reason="manual",
                period_start=now,
                period_end=now,
                auto_advance=auto_advance,
                days_until_due=30 if collection_method == "send_invoice" else None,
                metadata=metadata or {},
                lines=[self._pushed(item, now) for item in items],
            )
            if subscription is not None:
                found = account.subscriptions[subscription]
                invoice.subscription, invoice.subscription_metadata = found.id, dict(found.metadata)
            return drafting.place(account, invoice).id

    def push_items(self, invoice: str, items: Sequence[dict[str, Any]]) -> None:
        """Put invoice items on a draft.

        Each is ``{quantity, amount, start, end, price, metadata, description}``; ``quantity`` may be absent,
        and without ``start`` and ``end`` its period is empty.
        """
        with self._lock:
            found = self.account.invoices[invoice]
            found.lines.extend(self._pushed(item, found.period_end) for item in items)

    def _pushed(self, item: dict[str, Any], at: datetime) -> Line:
        quantity = item.get("quantity")
        return Line(
            id=self.account.ids.new("il"),
            description=item.get("description", "Usage"),
            period_start=whole_second(item.get("start", at)),
            period_end=whole_second(item.get("end", at)),
            amount=item.get("amount", 100),
            quantity=None if quantity is None else Decimal(quantity),
            price=item.get("price"),
            metadata=dict(item.get("metadata", {})),
        )
