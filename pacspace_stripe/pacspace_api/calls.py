"""Every request that PacSpace takes, once: path, query and body as the contract has them. Answers come back opened.

The gate (``api``) and the client (``client``) both ask through here; what an answer means is read elsewhere.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from pacspace_stripe.http.answers import Fields
from pacspace_stripe.http.calls import Answer
from pacspace_stripe.pacspace_api.envelope import data_of, listing_of
from pacspace_stripe.pacspace_api.http import Body, Query, Wire
from pacspace_stripe.vocabulary.ledger import Comparison

_BALANCE = "/api/v1/balance"


class Calls:
    """PacSpace's endpoints (2). Raises what ``Wire`` does, and UnexpectedAnswer for a body that cannot be opened."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    # The Balance API (3)

    def emit(self, delta: Body, *, key: str) -> Fields:
        return data_of("emit", self.wire.post(f"{_BALANCE}/delta", delta, key=key))

    def emit_batch(self, deltas: Sequence[Body], *, key: str) -> Fields:
        return data_of("batch", self.wire.post(f"{_BALANCE}/delta/batch", {"deltas": deltas}, key=key))

    def delta(self, record_id: str) -> Fields:
        return self._get("delta", f"{_BALANCE}/delta/{{id}}", record_id)

    def derive(self, customer_id: str, query: Query) -> Fields:
        return self._get("derive", f"{_BALANCE}/derive/{{id}}", customer_id, query)

    def compare(self, customer_id: str | None, sent: Comparison, starting: Decimal, scope: Query) -> Fields:
        """The three balances are numbers and always there; without a customer it is about all of them (CONTRACT 3.5)."""
        figures = {
            "yourBalance": sent.your_balance,
            "theirBalance": sent.their_balance,
            "startingBalance": starting,
        }
        named = {} if customer_id is None else {"customerId": customer_id}
        return data_of("compare", self.wire.post(f"{_BALANCE}/compare", {**named, **figures, **scope}))

    def checkpoint(self, body: Body, *, key: str) -> Fields:
        return data_of("checkpoint", self.wire.post(f"{_BALANCE}/checkpoint", body, key=key))

    def checkpoints(self, query: Query) -> Fields:
        return self._list("checkpoints", f"{_BALANCE}/checkpoints", None, query, "checkpoints", "items")

    def receipt(self, customer_id: str, query: Query) -> Fields:
        return self._get("receipt", f"{_BALANCE}/receipt/{{id}}", customer_id, query)

    def invoice_proof(self, customer_id: str, query: Query) -> Fields:
        return self._get("invoice-proof", f"{_BALANCE}/invoice-proof/{{id}}", customer_id, query)

    def receipt_document(self, receipt_id: str, query: Query) -> Fields:
        return self._get("receipt document", f"{_BALANCE}/receipts/{{id}}", receipt_id, query)

    def receipts(self, customer_id: str, query: Query) -> Fields:
        path = f"{_BALANCE}/customers/{{id}}/receipts"
        return self._list("receipts", path, customer_id, query, "receipts", "items")

    def customers(self, query: Query) -> Fields:
        return self._list("customers", f"{_BALANCE}/customers", None, query, "customers", "items")

    def customers_summary(self) -> Fields:
        return self._get("customers summary", f"{_BALANCE}/customers/summary")

    def customer(self, customer_id: str, query: Query) -> Fields:
        return self._get("customer", f"{_BALANCE}/customers/{{id}}", customer_id, query)

    def create_customer(self, body: Body, *, key: str, dashboard_token: str) -> Fields:
        """The dashboard's (8), so with a session's token beside the key."""
        headers = {"Authorization": f"Bearer {dashboard_token}", "X-Pacspace-CSRF": "1"}
        return data_of("customer", self.wire.post("/dashboard/customers", body, key=key, headers=headers))

    def gaps(self, customer_id: str, query: Query) -> Fields:
        return self._get("gaps", f"{_BALANCE}/gaps/{{id}}", customer_id, query)

    def usage(self) -> Fields:
        return self._get("usage", f"{_BALANCE}/usage")

    def limits(self) -> Fields:
        return self._get("limits", f"{_BALANCE}/limits")

    def webhook_deliveries(self, query: Query) -> Fields:
        names = ("webhooks", "deliveries", "events", "items")
        return self._list("webhook deliveries", f"{_BALANCE}/webhooks", None, query, *names)

    def retry_webhook(self, event_id: str, *, key: str) -> Fields:
        path = f"{_BALANCE}/webhooks/{{id}}/retry"
        return data_of("webhook retry", self.wire.post(path, {}, named=event_id, key=key))

    # Public, so without our key (3.10, 3.13)

    def verify(self, proof_root: str, query: Query) -> Fields:
        return data_of("verify", self.wire.get(VERIFY, proof_root, query, public=True), bare=True)

    def public_receipt(self, receipt_id: str) -> Fields:
        return data_of("receipt", self.wire.get("/api/v1/receipt/{id}", receipt_id, public=True), bare=True)

    def receipt_pdf(self, receipt_id: str) -> Answer:
        return self.wire.get("/api/v1/receipt/{id}.pdf", receipt_id, public=True)

    # The settlement API (7)

    def write(self, items: Sequence[Body], *, key: str) -> Fields:
        return data_of("writes", self.wire.post("/api/v1/writes", {"items": items}, key=key, repeatable=False))

    def bucket(self, record_key: str) -> Fields:
        return self._get("bucket", "/api/v1/reads/bucket/{id}", record_key)

    def post_fact(self, content: object, metadata: Mapping[str, object], *, key: str) -> Fields:
        body = {"content": content, "metadata": metadata}
        return data_of("fact", self.wire.post("/api/v1/facts", body, key=key, repeatable=False))

    def fact(self, content_hash: str) -> Fields:
        return self._get("fact", "/api/v1/facts/{id}", content_hash)

    def verify_fact(self, content_hash: str) -> Fields:
        return self._get("fact", "/api/v1/facts/{id}/verify", content_hash)

    def _get(self, what: str, path: str, named: str | None = None, query: Query | None = None) -> Fields:
        return data_of(what, self.wire.get(path, named, query))

    def _list(self, what: str, path: str, named: str | None, query: Query, *names: str) -> Fields:
        return listing_of(what, self.wire.get(path, named, query), *names)


VERIFY = "/api/v1/verify/{id}"
"""The address that anyone may ask about a root (CONTRACT 3.13)."""
