"""Acts of Stripe's own clock: renewals, early warnings, finalizations, payments."""

import calendar
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from pacspace_stripe.simulator.stripe.account import Account, EventCause
from pacspace_stripe.simulator.stripe.agenda import Action, Agenda
from pacspace_stripe.simulator.stripe.drafts import draft, licensed_lines, metered_lines
from pacspace_stripe.simulator.stripe.errors import StripeError
from pacspace_stripe.simulator.stripe.lifecycle import (
    changed,
    collect,
    finalize,
    set_auto_advance,
    tell_update,
    wait_for_webhooks,
)
from pacspace_stripe.simulator.stripe.shapes import Json
from pacspace_stripe.simulator.stripe.test_clocks import StoredTestClock
from pacspace_stripe.simulator.stripe.world import (
    Interval,
    Item,
    Line,
    StoredInvoice,
    StoredInvoiceStatus,
    StoredPrice,
    StoredSubscription,
    whole_second,
)


def later(at: datetime, interval: Interval, count: int, *, day: int | None = None) -> datetime:
    """Return ``at`` plus a price's interval; months keep the anchor's ``day`` where the month has it."""
    match interval:
        case Interval.DAY:
            return at + timedelta(days=count)
        case Interval.WEEK:
            return at + timedelta(weeks=count)
        case Interval.MONTH | Interval.YEAR:
            months = at.year * 12 + at.month - 1 + count * (12 if interval is Interval.YEAR else 1)
            year, month = divmod(months, 12)
            last = calendar.monthrange(year, month + 1)[1]
            return at.replace(year=year, month=month + 1, day=min(day or at.day, last))


def next_period_end(price: StoredPrice, subscription: StoredSubscription, start: datetime) -> datetime:
    """Return the end of the period that starts at ``start``."""
    return later(start, price.interval or Interval.MONTH, price.interval_count, day=subscription.anchor.day)


def watch(account: Account, subscription: StoredSubscription) -> None:
    """Plan a subscription's renewal and its early warning."""
    end = subscription.period_end
    account.plan(end, Action.RENEW, subscription.id)
    warning = warning_at(account, subscription)
    if warning is not None and warning >= account.now():
        account.plan(warning, Action.UPCOMING, subscription.id)


def warning_at(account: Account, subscription: StoredSubscription) -> datetime | None:
    """Return the time of ``invoice.upcoming``; None for periods shorter than its lead (Stripe does not say)."""
    before = account.behaviour.upcoming_before
    if before is None or subscription.period_end - before < subscription.period_start:
        return None
    return subscription.period_end - before


def warns(account: Account, subscription: StoredSubscription) -> bool:
    """Return False if Stripe sends no ``invoice.upcoming``: for ``send_invoice``, and while collection is paused."""
    return (
        subscription.status == "active"
        and subscription.collection_method == "charge_automatically"
        and subscription.pause_behavior is None
        and subscription.upcoming_sent_for != subscription.period_end
        and warning_at(account, subscription) is not None
    )


def still_holds(account: Account, at: datetime, action: Action, subject: str) -> bool:
    """Return True if a plan should still happen at that time."""
    if action in {Action.FINALIZE, Action.PAY}:
        invoice = account.invoices.get(subject)
        return invoice is not None and _invoice_is_due(invoice, at, action)
    subscription = account.subscriptions[subject]
    if action is Action.RENEW:
        return subscription.status == "active" and subscription.period_end == at
    return warns(account, subscription) and warning_at(account, subscription) == at


def _invoice_is_due(invoice: StoredInvoice, at: datetime, action: Action) -> bool:
    if not invoice.auto_advance:
        return False
    if action is Action.FINALIZE:
        return invoice.status is StoredInvoiceStatus.DRAFT and invoice.automatically_finalizes_at == at
    return invoice.status is StoredInvoiceStatus.OPEN and invoice.next_payment_at == at


def next_plan_at(account: Account, agenda: Agenda | None = None) -> datetime | None:
    """Return the time of the engine's next act, and drop plans that no longer hold. Default: by real time."""
    agenda = agenda or account.agenda
    while (first := agenda.first()) is not None:
        if still_holds(account, *first):
            return first[0]
        agenda.drop_first()
    return None


def run_due(account: Account) -> None:
    """Carry out every plan up to the clock's time in order, each at its own time."""
    _run(account, account.agenda, account.clock.now())


def advance(account: Account, clock: StoredTestClock, to: datetime) -> None:
    """Move a test clock, and carry out all that is due by it."""
    _run(account, clock.agenda, to)
    clock.frozen_at = to


def _run(account: Account, agenda: Agenda, until: datetime) -> None:
    while (at := next_plan_at(account, agenda)) is not None and at <= until:
        first = agenda.first()
        agenda.drop_first()
        if first is None:
            return
        caused, account.cause = account.cause, EventCause()
        account.acting_at = at
        try:
            _carry_out(account, first[1], first[2])
        finally:
            account.acting_at, account.cause = None, caused


def _carry_out(account: Account, action: Action, subject: str) -> None:
    match action:
        case Action.UPCOMING:
            warn(account, account.subscriptions[subject])
        case Action.RENEW:
            renew(account, account.subscriptions[subject])
        case Action.FINALIZE:
            invoice = account.invoices[subject]
            if not wait_for_webhooks(account, invoice):
                with suppress(StripeError):  # which an event has told about
                    finalize(account, invoice)
        case Action.PAY:
            collect(account, account.invoices[subject])


def renew(account: Account, subscription: StoredSubscription) -> StoredInvoice | None:
    """End the current period: bill its usage and the next period's fixed parts, on one draft."""
    before = account.show_subscription(subscription)
    closed = subscription.items[0]
    closed = replace(closed, period_start=subscription.period_start, period_end=subscription.period_end)
    ends = subscription.cancel_at_period_end
    lines, subscription.pending = list(subscription.pending), []
    for place, item in enumerate(subscription.items):
        price = account.prices[item.price]
        following = _following(price, subscription, item)
        if price.metered:
            lines.extend(metered_lines(account, subscription, item, whole=_whole(account, item)))
        elif not ends:
            lines.extend(licensed_lines(account, subscription, following))
        if not ends:
            subscription.items[place] = following
    invoice = draft(account, subscription, lines, "subscription_cycle", closed) if lines else None
    if ends:
        cancel(account, subscription, final=invoice)
    else:
        _roll(account, subscription, before)
    return invoice


def _following(price: StoredPrice, subscription: StoredSubscription, item: Item) -> Item:
    end = next_period_end(price, subscription, item.period_end)
    return replace(item, period_start=item.period_end, period_end=end, splits=[], was=[], billed_until=None)


def _whole(account: Account, item: Item, *, threshold: bool = False) -> datetime | None:
    """Return the end of the whole period, if the lines of a threshold and of those after it name it."""
    several = threshold or item.billed_until is not None
    return item.period_end if several and account.behaviour.threshold_periods == "whole" else None


def _roll(account: Account, subscription: StoredSubscription, before: Json) -> None:
    watch(account, subscription)
    after = account.show_subscription(subscription)
    account.emit("customer.subscription.updated", after, changed(before, after))


def cancel(account: Account, subscription: StoredSubscription, final: StoredInvoice | None = None) -> None:
    """End a subscription: it does not renew, and its unpaid invoices are not collected (FACTS 12.5).

    ``final`` is the invoice that the cancellation itself makes, which is collected as usual.
    """
    subscription.status = "canceled"
    subscription.ended_at = account.now()
    subscription.canceled_at = subscription.canceled_at or subscription.ended_at
    for invoice in account.invoices:
        unpaid = invoice.status in {StoredInvoiceStatus.DRAFT, StoredInvoiceStatus.OPEN}
        if invoice.subscription == subscription.id and unpaid and invoice is not final:
            before = account.show_invoice(invoice)
            set_auto_advance(account, invoice, wanted=False)
            tell_update(account, invoice, before)
    account.emit("customer.subscription.deleted", account.show_subscription(subscription))


def bill_final(account: Account, subscription: StoredSubscription) -> StoredInvoice | None:
    """Bill the usage up to now of a subscription that was just canceled, as ``invoice_now`` does."""
    now = whole_second(account.now())
    lines: list[Line] = []
    for item in subscription.items:
        if account.prices[item.price].metered:
            lines.extend(metered_lines(account, subscription, replace(item, period_end=now)))
    if not lines:
        return None
    return draft(account, subscription, lines, "subscription_cycle", replace(subscription.items[0], period_end=now))


def preview(account: Account, subscription: StoredSubscription) -> Json:
    """Return the coming invoice as ``invoice.upcoming`` shows it: usage so far, and nothing stored."""
    lines: list[Line] = []
    for item in subscription.items:
        price = account.prices[item.price]
        if price.metered:
            lines.extend(metered_lines(account, subscription, item))
        else:
            lines.extend(licensed_lines(account, subscription, _following(price, subscription, item)))
    for line in lines:
        line.id = line.id.replace("il_", "il_tmp_")
    end = subscription.period_end
    shown = account.show_invoice(
        StoredInvoice(
            id=account.ids.new("upcoming_in"),
            created=end,
            customer=subscription.customer,
            currency=account.currency_of(subscription),
            collection_method=subscription.collection_method,
            billing_reason="upcoming",
            period_start=subscription.period_start,
            period_end=end,
            auto_advance=True,
            subscription=subscription.id,
            subscription_metadata=dict(subscription.metadata),
            lines=lines,
            next_payment_at=end + account.behaviour.finalization_delay,
            footer=subscription.footer,
        )
    )
    shown["lines"]["url"] = (
        f"/v1/invoices/upcoming/lines?customer={subscription.customer}&subscription={subscription.id}"
    )
    if not account.behaviour.upcoming_has_id:
        del shown["id"]
        for line in shown["lines"]["data"]:
            line["invoice"] = None
    return shown


def warn(account: Account, subscription: StoredSubscription) -> None:
    """Emit ``invoice.upcoming``: no stored object, and no id unless the switch says so."""
    subscription.upcoming_sent_for = subscription.period_end
    account.emit("invoice.upcoming", preview(account, subscription))


def bill_first(account: Account, subscription: StoredSubscription, *, with_usage: bool = False) -> StoredInvoice | None:
    """Make a subscription's first invoice: finalized as it is made if charged automatically, else a draft."""
    lines: list[Line] = []
    for item in subscription.items:
        price = account.prices[item.price]
        if not price.metered:
            lines.extend(licensed_lines(account, subscription, item))
        elif with_usage:
            lines.extend(metered_lines(account, subscription, item))
        elif subscription.billing_mode == "classic":
            named = item.period_end if account.behaviour.first_zero_line == "coming" else None
            nothing = replace(item, period_end=item.period_start)
            lines.extend(metered_lines(account, subscription, nothing, whole=named))
    if not lines:
        return None
    start = subscription.items[0].period_start
    period = replace(subscription.items[0], period_start=start, period_end=start)
    invoice = draft(account, subscription, lines, "subscription_create", period)
    if invoice.collection_method == "charge_automatically":
        finalize(account, invoice, fold_in=False)
    return invoice


def bill_threshold(account: Account, subscription: StoredSubscription, upto: datetime) -> StoredInvoice | None:
    """Bill the usage so far inside the period, as a threshold does; the renewal bills the rest."""
    lines: list[Line] = []
    for item in subscription.items:
        if account.prices[item.price].metered:
            whole = _whole(account, item, threshold=True)
            lines.extend(metered_lines(account, subscription, replace(item, period_end=upto), whole=whole))
            item.billed_until = upto
    if not lines:
        return None
    period = replace(subscription.items[0], period_end=upto)
    return draft(account, subscription, lines, "subscription_threshold", period)
