"""Customers, products and prices."""

from copy import copy
from decimal import Decimal

from pacspace_stripe.simulator.stripe import engine
from pacspace_stripe.simulator.stripe.account import Account
from pacspace_stripe.simulator.stripe.calls import PAGING, Endpoint, StripeRequest, named, page, time_filter
from pacspace_stripe.simulator.stripe.errors import refuse
from pacspace_stripe.simulator.stripe.forms import Params
from pacspace_stripe.simulator.stripe.lifecycle import changed
from pacspace_stripe.simulator.stripe.shapes import Json, customer_json, price_json, product_json
from pacspace_stripe.simulator.stripe.world import (
    Interval,
    Product,
    StoredCustomer,
    StoredPrice,
    StoredTier,
    take_over,
    whole_second,
)

CUSTOMER_FIELDS = ("name", "email", "description", "phone", "metadata", "invoice_settings", "expand")


def _set_customer(customer: StoredCustomer, params: Params) -> None:
    params.only(*CUSTOMER_FIELDS, "test_clock")
    customer.name = params.text("name", customer.name, longest=256)
    customer.email = params.text("email", customer.email, longest=512)
    customer.description = params.text("description", customer.description)
    customer.phone = params.text("phone", customer.phone, longest=20)
    customer.metadata = params.metadata(customer.metadata)
    settings = params.within("invoice_settings")
    settings.only("footer")
    customer.footer = settings.text("footer", customer.footer) or None


def create_customer(call: StripeRequest) -> Json:
    """``POST /v1/customers``."""
    account = call.account
    customer = StoredCustomer(id=account.ids.new("cus"), created=whole_second(account.now()))
    clock = call.params.text("test_clock")
    customer.test_clock = named(account.test_clocks, "test clock", clock, "test_clock").id if clock else None
    _set_customer(customer, call.params)
    account.customers.add(customer)
    shown = customer_json(customer)
    account.emit("customer.created", shown)
    return shown


def update_customer(call: StripeRequest) -> Json:
    """``POST /v1/customers/{id}``."""
    customer = call.find(call.account.customers, "customer")
    before, wanted = customer_json(customer), copy(customer)
    _set_customer(wanted, call.params)
    take_over(customer, wanted)
    after = customer_json(customer)
    call.account.emit("customer.updated", after, changed(before, after))
    return after


def get_customer(call: StripeRequest) -> Json:
    """``GET /v1/customers/{id}``."""
    call.params.only("expand")
    return customer_json(call.find(call.account.customers, "customer"))


def delete_customer(call: StripeRequest) -> Json:
    """``DELETE /v1/customers/{id}``: for good, and its subscriptions end at once."""
    call.params.only()
    account, customer = call.account, call.find(call.account.customers, "customer")
    shown = customer_json(customer)
    for subscription in account.subscriptions:
        if subscription.customer == customer.id and subscription.status != "canceled":
            engine.cancel(account, subscription)
    customer.deleted = True
    account.emit("customer.deleted", shown)
    return customer_json(customer)


def list_customers(call: StripeRequest) -> Json:
    """``GET /v1/customers``."""
    call.params.only(*PAGING, "created", "email")
    created, email = time_filter(call.params, "created"), call.params.text("email")
    return page(
        call,
        call.account.customers,
        "/v1/customers",
        customer_json,
        lambda row: created(row.created) and email in {None, row.email},
    )


def new_product(account: Account, name: str, metadata: dict[str, str], product_id: str | None = None) -> Product:
    """Store a product and emit its event."""
    product = Product(
        id=product_id or account.ids.new("prod"), created=whole_second(account.now()), name=name, metadata=metadata
    )
    account.products.add(product)
    account.emit("product.created", product_json(product))
    return product


def create_product(call: StripeRequest) -> Json:
    """``POST /v1/products``."""
    call.params.only("id", "name", "metadata", "expand")
    name = call.params.required("name")
    wanted = call.params.text("id")
    if wanted is not None and wanted in call.account.products:
        refuse(f"Product already exists: {wanted}", "id", "resource_already_exists")
    return product_json(new_product(call.account, name, call.params.metadata({}), wanted))


def get_product(call: StripeRequest) -> Json:
    """``GET /v1/products/{id}``."""
    call.params.only("expand")
    return product_json(call.find(call.account.products, "product"))


def list_products(call: StripeRequest) -> Json:
    """``GET /v1/products``."""
    call.params.only(*PAGING, "created")
    created = time_filter(call.params, "created")
    return page(call, call.account.products, "/v1/products", product_json, lambda row: created(row.created))


PRICE_FIELDS = (
    "currency",
    "product",
    "product_data",
    "unit_amount",
    "unit_amount_decimal",
    "recurring",
    "billing_scheme",
    "tiers",
    "tiers_mode",
    "transform_quantity",
    "nickname",
    "lookup_key",
    "metadata",
    "expand",
)


def create_price(call: StripeRequest) -> Json:
    """``POST /v1/prices``."""
    call.params.only(*PRICE_FIELDS)
    price = _read_price(call.account, call.params)
    call.account.prices.add(price)
    shown = price_json(price)
    call.account.emit("price.created", shown)
    return shown


def _read_price(account: Account, params: Params) -> StoredPrice:
    recurring = params.within("recurring")
    recurring.only("interval", "interval_count", "usage_type", "meter")
    interval = recurring.choice("interval", *Interval)
    if recurring and interval is None:
        recurring.required("interval")
    tiers_mode = params.choice("tiers_mode", "graduated", "volume")
    tiers = _read_tiers(params)
    if (params.choice("billing_scheme", "per_unit", "tiered") == "tiered") != bool(tiers and tiers_mode):
        refuse("Tiered prices need billing_scheme=tiered, tiers and tiers_mode", "billing_scheme")
    package = params.within("transform_quantity")
    package.only("divide_by", "round")
    if package and tiers:
        refuse("transform_quantity cannot be combined with tiers", "transform_quantity")
    return StoredPrice(
        id=account.ids.new("price"),
        created=whole_second(account.now()),
        currency=params.required("currency").lower(),
        unit_amount=_unit_amount(params, tiered=bool(tiers)),
        interval=Interval(interval) if interval else None,
        interval_count=recurring.integer("interval_count", 1) or 1,
        meter=_read_meter(account, recurring),
        tiers=tiers,
        tiers_mode="volume" if tiers_mode == "volume" else "graduated" if tiers_mode else None,
        package_size=package.integer("divide_by"),
        package_round="down" if package.choice("round", "up", "down") == "down" else "up",
        nickname=params.text("nickname"),
        lookup_key=params.text("lookup_key", longest=200),
        metadata=params.metadata({}),
        product=_read_product(account, params),
    )


def _unit_amount(params: Params, *, tiered: bool) -> Decimal | None:
    amount = params.decimal("unit_amount_decimal" if "unit_amount_decimal" in params else "unit_amount")
    if amount is None and not tiered:
        refuse("Missing required param: unit_amount.", "unit_amount", "parameter_missing")
    return amount


def _read_product(account: Account, params: Params) -> str:
    if "product" in params:
        return named(account.products, "product", params.required("product"), "product").id
    data = params.within("product_data")
    data.only("name", "metadata")
    return new_product(account, data.required("name"), data.metadata({})).id


def _read_meter(account: Account, recurring: Params) -> str | None:
    metered = recurring.choice("usage_type", "licensed", "metered", default="licensed") == "metered"
    meter = recurring.text("meter")
    if not metered:
        if meter:
            refuse("A licensed price has no meter", "recurring[meter]")
        return None
    if meter is None:
        refuse("Metered prices must be backed by a meter.", "recurring[meter]", "parameter_missing")
    return named(account.meters, "meter", meter, "recurring[meter]").id


def _read_tiers(params: Params) -> tuple[StoredTier, ...]:
    tiers: list[StoredTier] = []
    for tier in params.each("tiers"):
        tier.only("up_to", "unit_amount", "unit_amount_decimal", "flat_amount", "flat_amount_decimal")
        upto = None if tier.required("up_to") == "inf" else tier.integer("up_to")
        unit = tier.decimal("unit_amount_decimal" if "unit_amount_decimal" in tier else "unit_amount")
        flat = tier.decimal("flat_amount_decimal" if "flat_amount_decimal" in tier else "flat_amount")
        tiers.append(StoredTier(up_to=upto, unit_amount=unit or Decimal(0), flat_amount=flat or Decimal(0)))
    return tuple(tiers)


def get_price(call: StripeRequest) -> Json:
    """``GET /v1/prices/{id}``."""
    call.params.only("expand")
    return price_json(call.find(call.account.prices, "price"))


def list_prices(call: StripeRequest) -> Json:
    """``GET /v1/prices``."""
    call.params.only(*PAGING, "created", "product")
    created, product = time_filter(call.params, "created"), call.params.text("product")
    return page(
        call,
        call.account.prices,
        "/v1/prices",
        price_json,
        lambda row: created(row.created) and product in {None, row.product},
    )


ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("POST", "/v1/customers"): create_customer,
    ("GET", "/v1/customers"): list_customers,
    ("GET", "/v1/customers/{id}"): get_customer,
    ("POST", "/v1/customers/{id}"): update_customer,
    ("DELETE", "/v1/customers/{id}"): delete_customer,
    ("POST", "/v1/products"): create_product,
    ("GET", "/v1/products"): list_products,
    ("GET", "/v1/products/{id}"): get_product,
    ("POST", "/v1/prices"): create_price,
    ("GET", "/v1/prices"): list_prices,
    ("GET", "/v1/prices/{id}"): get_price,
}
