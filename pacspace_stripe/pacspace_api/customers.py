"""The customers that PacSpace keeps records of (CONTRACT 3.11)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from pacspace_stripe.http.answers import Fields
from pacspace_stripe.pacspace_api import inputs
from pacspace_stripe.pacspace_api.calls import Calls
from pacspace_stripe.pacspace_api.envelope import check_same, count_of, total_of
from pacspace_stripe.pacspace_api.records import delta_from_pacspace, plain, rows_of
from pacspace_stripe.pacspace_api.results import Delta
from pacspace_stripe.pacspace_api.scopes import Month, scope_fields

_LAST_PAGE = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A customer: its all-time balance over verified deltas, and what happened lately."""

    customer_id: str
    balance: Decimal | None
    """Raw and signed, over all verified deltas ever."""
    total_deltas: int | None
    """In any status."""
    reference: str | None
    """20 bytes as ``0x…``."""
    partition: str | None
    latest_checkpoint: str | None
    recent: tuple[Delta, ...]
    """One page, newest first; empty in a list of customers."""
    recent_total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerPage:
    """Some of the customers there are."""

    customers: tuple[Customer, ...]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomersSummary:
    """All customers together. PacSpace publishes no fields for it: ``body`` is what came, numbers exact."""

    customers: int | None
    balance: Decimal | None
    deltas: int | None
    body: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCustomer:
    """What PacSpace made of a new customer."""

    customer_id: str
    display_name: str | None
    body: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)


class CustomersApi:
    """``PacSpace.customers``. Thread-safe.

    Raises InvalidInput before anything is sent, RemoteError's children after.
    """

    def __init__(self, calls: Calls, new_key: Callable[[], str]) -> None:
        self._calls = calls
        self._new_key = new_key

    def list(self, *, page: int = 1, limit: int = 25, search: str | None = None) -> CustomerPage:
        """A page of the customers, those whose id contains ``search``."""
        query = {
            "page": inputs.whole("page", page, least=1, most=_LAST_PAGE),
            "limit": inputs.whole("limit", limit, least=1, most=100),
        }
        if search is not None:
            query["search"] = inputs.text("search", search)
        data = self._calls.customers(query)
        rows = tuple(map(_customer, data.items("customers")))
        return CustomerPage(customers=rows, total=total_of(data, unnamed=len(rows)))

    def summary(self) -> CustomersSummary:
        """Counts and totals over all customers."""
        data = self._calls.customers_summary()
        return CustomersSummary(
            customers=count_of(data, "totalCustomers", "customerCount"),
            balance=data.optional_number("totalBalance"),
            deltas=count_of(data, "totalDeltas"),
            body=plain(data),
        )

    def get(
        self, customer_id: str, *, period: Month | None = None, delta_page: int = 1, delta_limit: int = 20
    ) -> Customer:
        """One customer with a page of its deltas, of a month if wanted. NotFound for one PacSpace does not know."""
        query = {
            "deltaPage": inputs.whole("delta_page", delta_page, least=1, most=_LAST_PAGE),
            "deltaLimit": inputs.whole("delta_limit", delta_limit, least=1, most=100),
            **scope_fields(period),
        }
        data = self._calls.customer(inputs.customer_id(customer_id), query)
        check_same(data, "customerId", customer_id)
        return _customer(data)

    def create(
        self, display_name: str, *, dashboard_token: str, customer_id: str | None = None, unit_label: str | None = None
    ) -> NewCustomer:
        """A customer before its first record (8): the dashboard's, so it takes a session's token beside the key.

        Rarely needed: a customer's first delta creates it. Raises Conflict for an id that is taken.
        """
        body = {"displayName": inputs.text("display_name", display_name)}
        if customer_id is not None:
            body["customerId"] = inputs.customer_id(customer_id)
        if unit_label is not None:
            body["unitLabel"] = inputs.text("unit_label", unit_label)
        token = inputs.token(dashboard_token)
        data = self._calls.create_customer(body, key=self._new_key(), dashboard_token=token)
        if customer_id is not None:
            check_same(data, "customerId", customer_id)
        return NewCustomer(
            customer_id=data.text("customerId"), display_name=data.optional_text("displayName"), body=plain(data)
        )


def _customer(data: Fields) -> Customer:
    activity = data.optional_fields("recentActivity")
    recent = tuple(map(delta_from_pacspace, rows_of(activity, "items"))) if activity else ()
    return Customer(
        customer_id=data.text("customerId"),
        balance=data.optional_number("computedBalance"),
        total_deltas=count_of(data, "totalDeltas"),
        reference=data.optional_text("customerReference"),
        partition=data.optional_text("customerPartition"),
        latest_checkpoint=data.optional_text("latestCheckpoint"),
        recent=recent,
        recent_total=total_of(activity, unnamed=len(recent)) if activity else 0,
    )
