"""Subscriptions."""

from copy import copy
from datetime import datetime, timedelta

from pacspace_stripe.simulator.stripe import engine
from pacspace_stripe.simulator.stripe.account import Account
from pacspace_stripe.simulator.stripe.calls import PAGING, Endpoint, StripeRequest, named, page, page_of, time_filter
from pacspace_stripe.simulator.stripe.errors import refuse, refuse_state
from pacspace_stripe.simulator.stripe.forms import Params
from pacspace_stripe.simulator.stripe.lifecycle import changed
from pacspace_stripe.simulator.stripe.shapes import Json
from pacspace_stripe.simulator.stripe.world import Collection, Item, StoredSubscription, take_over, whole_second

SETTABLE = (
    "metadata",
    "collection_method",
    "days_until_due",
    "description",
    "invoice_settings",
    "cancel_at_period_end",
    "expand",
)


def collection_of(params: Params, default: Collection) -> Collection:
    """Return ``collection_method``."""
    sent = params.choice("collection_method", "charge_automatically", "send_invoice", default=default)
    return "send_invoice" if sent == "send_invoice" else "charge_automatically"


def _set(subscription: StoredSubscription, params: Params, now: datetime) -> None:
    subscription.metadata = params.metadata(subscription.metadata)
    subscription.collection_method = collection_of(params, subscription.collection_method)
    subscription.days_until_due = params.integer("days_until_due", subscription.days_until_due)
    subscription.description = params.text("description", subscription.description, longest=500) or None
    settings = params.within("invoice_settings")
    settings.only("footer", "description")
    subscription.footer = settings.text("footer", subscription.footer) or None
    ends = params.boolean("cancel_at_period_end")
    subscription.cancel_at_period_end = subscription.cancel_at_period_end if ends is None else ends
    if ends is not None:
        subscription.canceled_at = now if ends else None
    if subscription.collection_method == "send_invoice" and subscription.days_until_due is None:
        refuse("Missing required param: days_until_due.", "days_until_due", "parameter_missing")


def create_subscription(call: StripeRequest) -> Json:
    """``POST /v1/subscriptions``."""
    account, params = call.account, call.params
    params.only(*SETTABLE, "customer", "items", "billing_mode", "backdate_start_date", "billing_cycle_anchor")
    customer = named(account.customers, "customer", params.required("customer"), "customer")
    mode = params.within("billing_mode").choice("type", "flexible", "classic", default="flexible")
    now = whole_second(account.now())
    start = params.moment("backdate_start_date") or now
    anchor = params.moment("billing_cycle_anchor")
    subscription = StoredSubscription(
        id=account.ids.new("sub"),
        created=start,
        customer=customer.id,
        items=[],
        anchor=anchor or start,
        billing_mode="classic" if mode == "classic" else "flexible",
    )
    _set(subscription, params, now)
    for sent in params.each("items"):
        subscription.items.append(_read_item(account, subscription, sent))
    if not subscription.items:
        refuse("Missing required param: items.", "items", "parameter_missing")
    account.subscriptions.add(subscription)
    account.emit("customer.subscription.created", account.show_subscription(subscription))
    engine.watch(account, subscription)
    engine.bill_first(account, subscription)
    return account.show_subscription(subscription)


def _read_item(account: Account, subscription: StoredSubscription, sent: Params) -> Item:
    sent.only("price", "quantity", "metadata")
    price = named(account.prices, "price", sent.required("price"), sent.name("price"))
    quantity = sent.integer("quantity")
    if price.metered and quantity is not None:
        refuse("Quantity should not be specified for metered prices.", sent.name("quantity"))
    start = subscription.created
    end = engine.next_period_end(price, subscription, start) if subscription.anchor <= start else subscription.anchor
    while end <= account.now() - timedelta(seconds=1):
        start, end = end, engine.next_period_end(price, subscription, end)
    return Item(
        id=account.ids.new("si"),
        created=whole_second(account.now()),
        price=price.id,
        quantity=None if price.metered else quantity or 1,
        period_start=start,
        period_end=end,
        metadata=sent.metadata({}),
    )


def get_subscription(call: StripeRequest) -> Json:
    """``GET /v1/subscriptions/{id}``."""
    call.params.only("expand")
    return call.account.show_subscription(call.find(call.account.subscriptions, "subscription"))


def update_subscription(call: StripeRequest) -> Json:
    """``POST /v1/subscriptions/{id}``."""
    account, params = call.account, call.params
    params.only(*SETTABLE, "pause_collection")
    subscription = call.find(account.subscriptions, "subscription")
    if subscription.status == "canceled" and set(params) - {"metadata", "expand"}:
        refuse_state("A canceled subscription can only update its cancellation_details and metadata.")
    before, wanted = account.show_subscription(subscription), copy(subscription)
    _set(wanted, params, account.now())
    if "pause_collection" in params:
        _pause(wanted, params)
    take_over(subscription, wanted)
    after = account.show_subscription(subscription)
    if previous := changed(before, after):
        account.emit("customer.subscription.updated", after, previous)
    return after


def _pause(subscription: StoredSubscription, params: Params) -> None:
    if params["pause_collection"] == "":
        subscription.pause_behavior = None
        return
    pause = params.within("pause_collection")
    pause.only("behavior")
    behavior = pause.required("behavior")
    if behavior != "keep_as_draft":
        refuse("The simulator only knows pause_collection[behavior]=keep_as_draft", "pause_collection[behavior]")
    subscription.pause_behavior = behavior


def cancel_subscription(call: StripeRequest) -> Json:
    """``DELETE /v1/subscriptions/{id}``."""
    call.params.only("expand", "invoice_now", "prorate")
    subscription = call.find(call.account.subscriptions, "subscription")
    if subscription.status != "canceled":
        subscription.canceled_at = None  # what was asked for before is overtaken
        engine.cancel(call.account, subscription)
        if call.params.boolean("invoice_now"):
            engine.bill_final(call.account, subscription)
    return call.account.show_subscription(subscription)


def list_subscriptions(call: StripeRequest) -> Json:
    """``GET /v1/subscriptions``."""
    account, params = call.account, call.params
    params.only(*PAGING, "customer", "price", "status", "collection_method", "created", "current_period_end")
    status = params.choice("status", "active", "canceled", "all", "live", default="live")
    customer, price = params.text("customer"), params.text("price")
    method = params.text("collection_method")
    created, ends = time_filter(params, "created"), time_filter(params, "current_period_end")

    def keep(row: StoredSubscription) -> bool:
        wanted = row.status != "canceled" if status == "live" else status in {"all", row.status}
        mine = customer in {None, row.customer} and method in {None, row.collection_method}
        priced = price is None or any(item.price == price for item in row.items)
        return wanted and mine and priced and created(row.created) and ends(row.period_end)

    return page(call, account.subscriptions, "/v1/subscriptions", account.show_subscription, keep)


def list_items(call: StripeRequest) -> Json:
    """``GET /v1/subscription_items``."""
    account, params = call.account, call.params
    params.only(*PAGING, "subscription")
    wanted = params.required("subscription")
    subscription = named(account.subscriptions, "subscription", wanted, "subscription")
    return page_of(call, f"/v1/subscription_items?subscription={wanted}", account.show_items(subscription))


ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("POST", "/v1/subscriptions"): create_subscription,
    ("GET", "/v1/subscriptions"): list_subscriptions,
    ("GET", "/v1/subscriptions/{id}"): get_subscription,
    ("POST", "/v1/subscriptions/{id}"): update_subscription,
    ("DELETE", "/v1/subscriptions/{id}"): cancel_subscription,
    ("GET", "/v1/subscription_items"): list_items,
}
