"""The tenant's own data: customers, plan, limits, sequence gaps and webhooks (CONTRACT 3.11, CONTRACT 3.12)."""

from collections.abc import Callable

from pacspace_stripe.pacspace_api import inputs
from pacspace_stripe.pacspace_api.http import BALANCE, PacSpaceHttp
from pacspace_stripe.pacspace_api.inputs import Month, scope_fields
from pacspace_stripe.pacspace_api.models import (
    Customer,
    CustomerPage,
    CustomersSummary,
    DeliveryPage,
    Gap,
    GapFigures,
    Gaps,
    Limits,
    NewCustomer,
    PlanUsage,
    WebhookDelivery,
)
from pacspace_stripe.pacspace_api.parsing import about, read, rows, total_of

_LAST_PAGE, _LAST_ROW = 10**9, 10**15


class CustomersApi:
    """``PacSpace.customers``. Thread-safe.

    Raises InvalidInput before anything is sent, RemoteError's children after.
    """

    def __init__(self, http: PacSpaceHttp, new_key: Callable[[], str]) -> None:
        self._http = http
        self._new_key = new_key

    def list(self, *, page: int = 1, limit: int = 25, search: str | None = None) -> CustomerPage:
        """List a page of the customers whose id contains ``search``."""
        query = {
            "page": inputs.whole("page", page, least=1, most=_LAST_PAGE),
            "limit": inputs.whole("limit", limit, least=1, most=100),
        }
        if search is not None:
            query["search"] = inputs.text("search", search)
        data = self._http.get_rows("customers", f"{BALANCE}/customers", None, query, "customers", "items")
        found = rows(Customer, "customers.customers", data["customers"])
        return CustomerPage(customers=found, total=total_of(data, unnamed=len(found)))

    def summary(self) -> CustomersSummary:
        """Return counts and totals over all customers."""
        what = "customers summary"
        return read(CustomersSummary, what, self._http.get(what, f"{BALANCE}/customers/summary"))

    def get(
        self, customer_id: str, *, period: Month | None = None, delta_page: int = 1, delta_limit: int = 20
    ) -> Customer:
        """Return one customer with a page of its deltas, of a month if given. Raises NotFound for an unknown one."""
        query = {
            "deltaPage": inputs.whole("delta_page", delta_page, least=1, most=_LAST_PAGE),
            "deltaLimit": inputs.whole("delta_limit", delta_limit, least=1, most=100),
            **scope_fields(period),
        }
        path = f"{BALANCE}/customers/{{id}}"
        data = self._http.get("customer", path, inputs.customer_id(customer_id), query)
        return read(Customer, "customer", about("customer", data, customerId=customer_id))

    def create(
        self, display_name: str, *, dashboard_token: str, customer_id: str | None = None, unit_label: str | None = None
    ) -> NewCustomer:
        """Make a customer before its first delta, through the dashboard (CONTRACT 8), so with a session's token.

        Rarely needed: a customer's first delta creates it. Raises Conflict for an id that is taken.
        """
        body = {"displayName": inputs.text("display_name", display_name)}
        if customer_id is not None:
            body["customerId"] = inputs.customer_id(customer_id)
        if unit_label is not None:
            body["unitLabel"] = inputs.text("unit_label", unit_label)
        headers = {"Authorization": f"Bearer {inputs.token(dashboard_token)}", "X-Pacspace-CSRF": "1"}
        data = self._http.post("customer", "/dashboard/customers", body, key=self._new_key(), headers=headers)
        asked = {} if customer_id is None else {"customerId": customer_id}
        return read(NewCustomer, "customer", about("customer", data, **asked))


class TenantApi:
    """``PacSpace.tenant``. Thread-safe. Raises InvalidInput before anything is sent, RemoteError's children after."""

    def __init__(self, http: PacSpaceHttp, new_key: Callable[[], str]) -> None:
        self._http = http
        self._new_key = new_key

    def usage(self) -> PlanUsage:
        """Return the rest of the plan."""
        return read(PlanUsage, "usage", self._http.get("usage", f"{BALANCE}/usage"))

    def limits(self) -> Limits:
        """Return the largest scope of one request."""
        return read(Limits, "limits", self._http.get("limits", f"{BALANCE}/limits"))

    def gaps(
        self, customer_id: str, *, first: int | None = None, last: int | None = None, limit: int | None = None
    ) -> Gaps:
        """Return the gaps in a customer's sequence numbers, between two of them if given."""
        wishes = {"fromSequence": first, "toSequence": last, "limit": limit}
        query = {
            name: inputs.whole(name, value, least=0, most=_LAST_ROW)
            for name, value in wishes.items()
            if value is not None
        }
        data = self._http.get("gaps", f"{BALANCE}/gaps/{{id}}", inputs.customer_id(customer_id), query)
        found = read(GapFigures, "gaps", data, customerId=customer_id)
        return Gaps(count=found.count, gaps=rows(Gap, "gaps.gaps", found.gaps or []))

    def webhook_deliveries(self, *, status: str | None = None, limit: int = 50, offset: int = 0) -> DeliveryPage:
        """List the webhooks that PacSpace sent or tried to send."""
        query = {
            "limit": inputs.whole("limit", limit, least=1, most=100),
            "offset": inputs.whole("offset", offset, least=0, most=_LAST_ROW),
        }
        if status is not None:
            query["status"] = inputs.text("status", status)
        names = ("webhooks", "deliveries", "events", "items")
        data = self._http.get_rows("webhook deliveries", f"{BALANCE}/webhooks", None, query, *names)
        found = rows(WebhookDelivery, "webhook deliveries.webhooks", data["webhooks"])
        return DeliveryPage(deliveries=found, total=total_of(data, unnamed=len(found)))

    def retry_webhook(self, event_id: str) -> WebhookDelivery:
        """Have PacSpace send a webhook again. Raises NotFound for an event that PacSpace does not know."""
        path, named = f"{BALANCE}/webhooks/{{id}}/retry", inputs.text("event_id", event_id)
        data = self._http.post("webhook retry", path, {}, named=named, key=self._new_key())
        return read(WebhookDelivery, "webhook retry", data)
