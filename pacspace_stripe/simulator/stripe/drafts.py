"""Drafts and their lines, made of a period's usage and prices."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from pacspace_stripe.simulator.stripe.account import Account
from pacspace_stripe.simulator.stripe.agenda import Action
from pacspace_stripe.simulator.stripe.money import Part, parts
from pacspace_stripe.simulator.stripe.world import (
    Item,
    Line,
    StoredInvoice,
    StoredInvoiceStatus,
    StoredPrice,
    StoredSubscription,
    whole_second,
)


def rounded_up(at: datetime) -> datetime:
    """Return the next whole second, so that the API shows the exact time of each act."""
    floor = whole_second(at)
    return floor if floor == at else floor + timedelta(seconds=1)


def _description(price: StoredPrice, quantity: Decimal, account: Account, *, free: bool) -> str:
    name = price.nickname or account.products[price.product].name
    return f"{quantity.normalize():f} x {name}{' (Free trial)' if free else ''}"


def _line(account: Account, subscription: StoredSubscription, item: Item, price: StoredPrice, part: Part) -> Line:
    free = subscription.trial_end is not None and item.period_start < subscription.trial_end
    return Line(
        id=account.ids.new("il"),
        description=_description(price, part.quantity, account, free=free),
        period_start=item.period_start,
        period_end=item.period_end,
        amount=0 if free else part.amount,
        free=free,
        quantity=part.quantity,
        price=price.id,
        subscription=subscription.id,
        item=item.id,
        tier=part.tier,
        flat=part.flat,
        metered=price.metered,
        metadata=dict(subscription.metadata),
    )


def _parts(account: Account, price: StoredPrice, quantity: Decimal) -> list[Part]:
    behaviour = account.behaviour
    return parts(
        price,
        quantity,
        line_per_tier=behaviour.line_per_tier,
        bill_packages=behaviour.bill_packages,
        flat_lines=behaviour.flat_lines,
    )


def used(account: Account, price: StoredPrice, customer: str, start: datetime, end: datetime) -> Decimal:
    """Return a metered price's quantity of ``[start, end)``, from the events counted by now."""
    # Meter events are taken in real time, whatever a test clock says.
    seen_at = account.clock.now() if account.clock_of(customer) else account.now()
    return account.usage.total(account.meters[str(price.meter)], customer, start, end, seen_at=seen_at)


def metered_lines(
    account: Account, subscription: StoredSubscription, item: Item, *, whole: datetime | None = None
) -> Iterator[Line]:
    """Return the lines for the unbilled part of one metered item's period; several if a change split it.

    ``whole`` is the end of the period that the lines name, if that is not the end of their usage.
    """
    begin = item.billed_until or item.period_start
    changes = {*item.splits, *(until for until, _ in item.was)}
    edges = [begin, *sorted(at for at in changes if begin < at < item.period_end), item.period_end]
    for start, end in pairwise(edges):
        price = account.prices[item.price_at(start)]
        running = start == item.billed_until
        counts_from = item.period_start if running else start
        already = invoiced(account, item) if running else Decimal(0)
        quantity = used(account, price, subscription.customer, counts_from, end) - already
        window = replace(item, period_start=counts_from if whole else start, period_end=whole or end)
        for part in _parts(account, price, quantity):
            line = _line(account, subscription, window, price, part)
            yield replace(line, counts_from=counts_from, counts_to=end, already=already)


def accrued_lines(
    account: Account, subscription: StoredSubscription, item: Item, until: datetime, *, proration: bool, as_item: bool
) -> Iterator[Line]:
    """Bill the usage of an item before its removal at ``until``, as flexible billing mode does.

    ``proration`` and ``as_item`` (a line of the subscription's item, not an invoice item) are not documented.
    """
    for line in metered_lines(account, subscription, replace(item, period_end=until)):
        yield replace(line, item=line.item if as_item else None, proration=proration)


def invoiced(account: Account, item: Item) -> Decimal:
    """Return the usage of an item that invoices inside its period have billed."""
    lines = (
        line for invoice in account.invoices if invoice.status is not StoredInvoiceStatus.VOID for line in invoice.lines
    )
    billed = (line for line in lines if line.item == item.id and not line.flat and not line.proration)
    inside = (line for line in billed if line.counts_from and line.counts_from >= item.period_start)
    return sum((line.quantity or Decimal(0) for line in inside), Decimal(0))


def licensed_lines(account: Account, subscription: StoredSubscription, item: Item) -> Iterator[Line]:
    """Yield the line for one licensed item, billed ahead for the period of ``item``."""
    price = account.prices[item.price]
    for part in _parts(account, price, Decimal(item.quantity or 1)):
        yield _line(account, subscription, item, price, part)


def refresh(account: Account, invoice: StoredInvoice) -> None:
    """Update the metered quantities of a draft with the events counted by now."""
    if invoice.subscription is None:
        return
    kept: list[Line] = []
    done: set[tuple[str | None, datetime]] = set()
    for line in invoice.lines:
        window = (line.item, line.period_start)
        if not line.metered or line.proration or line.price is None:
            kept.append(line)
        elif window not in done:
            done.add(window)
            kept.extend(_refreshed(account, invoice, line))
    invoice.lines = kept


def _refreshed(account: Account, invoice: StoredInvoice, first: Line) -> Iterator[Line]:
    price = account.prices[str(first.price)]
    before = [line for line in invoice.lines if (line.item, line.period_start) == (first.item, first.period_start)]
    start, end = first.counts_from or first.period_start, first.counts_to or first.period_end
    quantity = used(account, price, invoice.customer, start, end) - first.already
    for place, part in enumerate(_parts(account, price, quantity)):
        line_id = before[place].id if place < len(before) else account.ids.new("il")
        yield replace(
            first,
            id=line_id,
            description=_description(price, part.quantity, account, free=first.free),
            amount=0 if first.free else part.amount,
            quantity=part.quantity,
            tier=part.tier,
            flat=part.flat,
        )


def draft(
    account: Account, subscription: StoredSubscription, lines: list[Line], reason: str, period: Item
) -> StoredInvoice:
    """Create a subscription's draft, plan its finalization and emit its event."""
    now = account.now()
    customer = account.customers[subscription.customer]
    invoice = StoredInvoice(
        id=account.ids.new("in"),
        created=whole_second(now),
        customer=subscription.customer,
        currency=account.currency_of(subscription),
        collection_method=subscription.collection_method,
        billing_reason=reason,
        period_start=period.period_start,
        period_end=period.period_end,
        auto_advance=subscription.pause_behavior is None,
        subscription=subscription.id,
        subscription_metadata=dict(subscription.metadata),
        days_until_due=subscription.days_until_due,
        lines=lines,
        footer=subscription.footer or customer.footer or account.behaviour.default_footer,
        description=subscription.description,
    )
    subscription.latest_invoice = invoice.id
    return place(account, invoice)


def place(account: Account, invoice: StoredInvoice) -> StoredInvoice:
    """Store a new draft, plan its finalization and emit ``invoice.created``."""
    if not (account.delivers and account.endpoint.wants("invoice.created")):
        invoice.webhooks_delivered_at = invoice.created
    account.invoices.add(invoice)
    if invoice.auto_advance and invoice.automatically_finalizes_at is None:
        schedule(account, invoice, rounded_up(account.now() + account.behaviour.finalization_delay))
    elif invoice.automatically_finalizes_at is not None:
        schedule(account, invoice, invoice.automatically_finalizes_at)
    account.emit("invoice.created", account.show_invoice(invoice))
    return invoice


def schedule(account: Account, invoice: StoredInvoice, at: datetime | None) -> None:
    """Set the time at which a draft finalizes by itself; None withdraws the plan."""
    invoice.automatically_finalizes_at = at
    if at is not None:
        account.plan(at, Action.FINALIZE, invoice.id)
