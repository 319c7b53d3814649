"""Parts that endpoints share: the call itself, cursor paging, and expanding."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from pacspace_stripe.simulator.stripe.account import Account
from pacspace_stripe.simulator.stripe.errors import refuse, refuse_missing
from pacspace_stripe.simulator.stripe.forms import Params
from pacspace_stripe.simulator.stripe.shapes import (
    Json,
    customer_json,
    listing,
    product_json,
    tiers_json,
)
from pacspace_stripe.simulator.stripe.shapes import price_json as shown_price
from pacspace_stripe.simulator.stripe.tables import Row, Table
from pacspace_stripe.simulator.stripe.test_clocks import StoredTestClock

DEFAULT_PAGE, LARGEST_PAGE = 10, 100
PAGING = ("limit", "starting_after", "ending_before", "expand")
DEEPEST_EXPANSION = 4


@dataclass(frozen=True, slots=True)
class StripeRequest:
    """One API call: the account, the ids in its path, its parameters."""

    account: Account
    ids: Mapping[str, str]
    params: Params

    def find(self, table: Table[Row], what: str) -> Row:
        """Return the object that the path names. Answer 404 without it."""
        row = table.get(self.ids["id"])
        if row is None:
            refuse_missing(what, self.ids["id"], "id")
        return row


Endpoint = Callable[[StripeRequest], Json]


def named(table: Table[Row], what: str, row_id: str, param: str) -> Row:
    """Return the object that a parameter names. Answer 400 without it."""
    row = table.get(row_id)
    if row is None:
        refuse_missing(what, row_id, param, status=400)
    return row


def page_size(params: Params) -> int:
    """Return ``limit``, between 1 and 100."""
    size = params.integer("limit", DEFAULT_PAGE) or 0
    if not 1 <= size <= LARGEST_PAGE:
        refuse("Invalid integer: limit must be between 1 and 100", "limit", "parameter_invalid_integer")
    return size


def page(
    call: StripeRequest,
    table: Table[Row],
    url: str,
    show: Callable[[Row], Json],
    keep: Callable[[Row], bool] = lambda _: True,
) -> Json:
    """Return one page of a table, newest first, by Stripe's cursors."""
    size = page_size(call.params)
    after, before = call.params.text("starting_after"), call.params.text("ending_before")
    for cursor, name in ((after, "starting_after"), (before, "ending_before")):
        if cursor is not None and cursor not in table:
            refuse_missing("object", cursor, name, status=400)
    rows: Iterator[Row] = table.newer_than(before) if before is not None else table.older_than(after)
    found = list(islice((row for row in rows if keep(row)), size + 1))
    shown = found[:size][::-1] if before is not None else found[:size]
    return listing(url, [show(row) for row in shown], has_more=len(found) > size)


def page_of(call: StripeRequest, url: str, objects: list[Json]) -> Json:
    """Return one page of objects in the order given, such as an invoice's lines."""
    size = page_size(call.params)
    after, before = call.params.text("starting_after"), call.params.text("ending_before")
    places = {shown["id"]: place for place, shown in enumerate(objects)}
    for cursor, name in ((after, "starting_after"), (before, "ending_before")):
        if cursor is not None and cursor not in places:
            refuse_missing("object", cursor, name, status=400)
    if before is not None:
        stop = places[before]
        start = max(stop - size, 0)
        return listing(url, objects[start:stop], has_more=start > 0)
    start = places[after] + 1 if after is not None else 0
    return listing(url, objects[start : start + size], has_more=start + size < len(objects))


def time_filter(params: Params, key: str) -> Callable[[datetime], bool]:
    """Return the predicate of ``created=…`` or ``created[gte]=…``. Times are whole seconds."""
    sent = params.get(key)
    if sent is None:
        return lambda _: True
    if isinstance(sent, str):
        exact = params.integer(key)
        return lambda at: int(at.timestamp()) == exact
    bounds = params.within(key)
    bounds.only("gt", "gte", "lt", "lte")
    limits = [(name, bounds.integer(name) or 0) for name in bounds]
    return lambda at: all(_within(int(at.timestamp()), name, bound) for name, bound in limits)


def _within(at: int, name: str, bound: int) -> bool:
    match name:
        case "gt":
            return at > bound
        case "gte":
            return at >= bound
        case "lt":
            return at < bound
        case _:
            return at <= bound


def required_moment(params: Params, key: str) -> datetime:
    """Return a required Unix time."""
    params.required(key)
    return datetime.fromtimestamp(params.integer(key) or 0, UTC)


def expand(account: Account, body: Json, paths: Iterable[str]) -> Json:
    """Replace the ids that ``expand[]`` names by their objects, in a copy."""
    paths = list(paths)
    body = deepcopy(body) if paths else body
    for path in paths:
        steps = path.split(".")
        if len(steps) > DEEPEST_EXPANSION + steps.count("data") + 1:
            refuse("You cannot expand more than 4 levels", "expand")
        _expand_at(account, body, steps, path)
    return body


def _expand_at(account: Account, at: Any, steps: list[str], path: str) -> None:
    if isinstance(at, list):
        for inner in at:
            _expand_at(account, inner, steps, path)
        return
    step, *rest = steps
    if not isinstance(at, dict):
        return
    if step == "tiers" and at.get("object") == "price":
        at["tiers"] = tiers_json(account.prices[at["id"]]) if at["tiers_mode"] else None
        if at["tiers"] is None:
            del at["tiers"]
    elif step not in at:
        refuse(f"This property cannot be expanded ({path}).", "expand")
    elif isinstance(at[step], str):
        at[step] = _object_with(account, at[step]) or at[step]
    if rest:
        _expand_at(account, at.get(step), rest, path)


def _object_with(account: Account, object_id: str) -> Json | None:
    tables: tuple[tuple[Table[Any], Callable[[Any], Json]], ...] = (
        (account.prices, shown_price),
        (account.customers, customer_json),
        (account.products, product_json),
        (account.subscriptions, account.show_subscription),
        (account.invoices, account.show_invoice),
        (account.test_clocks, StoredTestClock.json),
    )
    return next((show(table[object_id]) for table, show in tables if object_id in table), None)
