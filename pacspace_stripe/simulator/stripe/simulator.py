"""The Stripe simulator: an ``httpx.Request -> httpx.Response`` callable with a clock, an engine and webhooks."""

import base64
import random
import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Self

import httpx

from pacspace_stripe.simulator.clock import Clock
from pacspace_stripe.simulator.faults import FaultName, Faults, answer_through
from pacspace_stripe.simulator.http import LoggedRequest, Route, find_route, json_response
from pacspace_stripe.simulator.outbox import Deliver, DeliveredWebhook
from pacspace_stripe.simulator.stripe import (
    catalog_endpoints,
    engine,
    event_endpoints,
    invoice_endpoints,
    lifecycle,
    meter_endpoints,
    subscription_endpoints,
    test_clock_endpoints,
)
from pacspace_stripe.simulator.stripe.account import Account, Behaviour, EventCause
from pacspace_stripe.simulator.stripe.admission import IdempotencyKeys, RateLimits
from pacspace_stripe.simulator.stripe.calls import Endpoint, StripeRequest, expand
from pacspace_stripe.simulator.stripe.control import Controlled
from pacspace_stripe.simulator.stripe.errors import (
    StripeError,
    forbidden,
    lock_timeout,
    rate_limited,
    server_error,
    unauthorized,
)
from pacspace_stripe.simulator.stripe.forms import Params, read_form
from pacspace_stripe.simulator.stripe.invoice_pages import invoice_pdf
from pacspace_stripe.simulator.stripe.invoice_shapes import page_secret
from pacspace_stripe.simulator.stripe.shapes import Json
from pacspace_stripe.simulator.stripe.tables import Ids
from pacspace_stripe.simulator.stripe.webhooks import StoredEvent, WebhookEndpoint, request_for
from pacspace_stripe.simulator.stripe.world import StoredInvoiceStatus

API_VERSION = "2026-10-28.endive"
LIVE_PREFIXES = ("sk_live_", "rk_live_")
ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    **catalog_endpoints.ENDPOINTS,
    **meter_endpoints.ENDPOINTS,
    **subscription_endpoints.ENDPOINTS,
    **invoice_endpoints.ENDPOINTS,
    **event_endpoints.ENDPOINTS,
    **test_clock_endpoints.ENDPOINTS,
}


class StripeSimulator(Controlled):
    """One simulated Stripe account in test mode.

    Call it with a request, or hand it to ``httpx.MockTransport`` or ``serve``. Webhooks go through ``deliver``,
    such as ``httpx.Client().send``, when :meth:`run_due` runs; without it, and without :meth:`set_webhook`, none
    are sent. Raise ValueError for a live key.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        api_key: str = "sk_test_simulator",
        account: str = "acct_simulator",
        webhook_secret: str | Sequence[str] = "whsec_simulator",  # noqa: S107 - opens nothing
        webhook_url: str = "http://127.0.0.1/webhooks/stripe",
        seed: int = 0,
        deliver: Deliver | None = None,
        enforce_rate_limits: bool = False,
        finalization_delay: timedelta = timedelta(hours=1),
        faults: Faults | None = None,
        behaviour: Behaviour | None = None,
    ) -> None:
        if api_key.startswith(LIVE_PREFIXES):
            message = "the simulator refuses live keys; use a key that starts with sk_test_"
            raise ValueError(message)
        self.clock = clock
        self.api_key = api_key
        self.faults = faults or Faults(seed)
        self.log: list[LoggedRequest] = []
        self.rate_limits = RateLimits()
        self.enforce_rate_limits = enforce_rate_limits
        self.forbidden: set[str] = set()
        secrets = (webhook_secret,) if isinstance(webhook_secret, str) else tuple(webhook_secret)
        self.account = Account(
            id=account,
            clock=clock,
            ids=Ids(seed),
            random=random.Random(seed),
            endpoint=WebhookEndpoint(url=webhook_url, secrets=secrets, api_version=API_VERSION),
            delivers=deliver is not None,
            behaviour=behaviour or Behaviour(finalization_delay=finalization_delay),
        )
        self._deliver = deliver
        self._client: httpx.Client | None = None
        self._keys = IdempotencyKeys()
        self._lock = threading.RLock()
        self._pdf = Route("GET", "/invoice/{account}/{secret}/pdf", self._invoice_pdf)
        self._routes = [self._pdf] + [
            Route(method, path, partial(self._endpoint, act)) for (method, path), act in ENDPOINTS.items()
        ]

    @property
    def pages_url(self) -> str:
        """Return the start of links to PDFs; set it to the address at which this simulator is served."""
        return self.account.pages_url

    @pages_url.setter
    def pages_url(self, pages_url: str) -> None:
        self.account.pages_url = pages_url.rstrip("/")

    def close(self) -> None:
        """Close the client that :meth:`set_webhook` made."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client, self._deliver, self.account.delivers = None, None, False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def run_due(self) -> int:
        """Do everything that is due: renewals, finalizations, payments, then deliveries.

        Return the deliveries tried. The lock is not held while a webhook is delivered, so the receiver may call back.
        """
        tried = 0
        while (delivery := self._next_delivery()) is not None:
            self._send(delivery)
            tried += 1
        return tried

    def _next_delivery(self) -> DeliveredWebhook[StoredEvent] | None:
        with self._lock:
            engine.run_due(self.account)
            return self.account.outbox.take(self.clock.now()) if self._deliver is not None else None

    def tick(self) -> None:
        """Do everything that is due, for a background thread."""
        self.run_due()

    def _send(self, delivery: DeliveredWebhook[StoredEvent]) -> None:
        with self._lock:
            now, deliver = self.clock.now(), self._deliver
            request = request_for(delivery.event, self.account.endpoint, now)
        status: int | None = None
        try:
            status = deliver(request).status_code if deliver is not None else None
        except httpx.TransportError:
            status = None
        finally:
            self._settle(delivery, status)

    def _settle(self, delivery: DeliveredWebhook[StoredEvent], status: int | None) -> None:
        with self._lock:
            first = self.account.outbox.settle(delivery, status, self.clock.now())
            if first and delivery.event.type == "invoice.created":
                invoice = self.account.invoices.get(delivery.event.object["id"])
                if invoice is not None:
                    lifecycle.webhooks_delivered(self.account, invoice)

    # Requests

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one API request, through the faults that are planned for it."""
        request.read()
        form = read_form(request)
        found = find_route(self._routes, request)
        endpoint = found[0].endpoint if found else f"{request.method} (unknown)"
        with self._lock:
            request_id = self.account.ids.new("req")
        status: int | None = None
        try:
            fault = self.faults.take(endpoint)
            answer = partial(self._answer, request, request_id, form, found)
            refuse = partial(self._refuse, request, request_id, form)
            response = answer_through(fault, request, self.clock, answer, refuse)
            status = response.status_code
        finally:
            self._note(request, endpoint, form, status or 0)
        return response

    def _note(self, request: httpx.Request, endpoint: str, form: Json, status: int) -> None:
        entry = LoggedRequest(
            at=self.clock.now(),
            method=request.method,
            path=request.url.path,
            endpoint=endpoint,
            idempotency_key=request.headers.get("Idempotency-Key"),
            status=status,
            params=form,
        )
        with self._lock:
            self.log.append(entry)

    def _answer(
        self, request: httpx.Request, request_id: str, form: Json, found: tuple[Route, dict[str, str]] | None
    ) -> httpx.Response:
        with self._lock:
            try:
                if found is None or found[0] is not self._pdf:
                    self._authenticate(request)
                if found is None:
                    message = f"Unrecognized request URL ({request.method}: {request.url.path})."
                    raise StripeError(message, status=404, remembered=False)  # noqa: TRY301 - all errors answer below
                if found[0].endpoint in self.forbidden:
                    raise forbidden(self.api_key, self.account.id, found[0].endpoint)
                if self.enforce_rate_limits:
                    self.rate_limits.admit(found[0].endpoint, self.clock.now())
                return self._once(request, request_id, form, *found)
            except StripeError as error:
                return self._error(request, request_id, error)

    def _once(
        self, request: httpx.Request, request_id: str, form: Json, route: Route, ids: dict[str, str]
    ) -> httpx.Response:
        """Answer, or replay the answer that the idempotency key remembers."""
        key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
        if key and (replayed := self._keys.replay(key, request, form, self.clock.now())):
            return replayed
        engine.run_due(self.account)
        self.account.cause = EventCause(request_id=request_id, idempotency_key=key)
        try:
            response = route.handler(request, request_id, form, ids)
            remembered = True
        except StripeError as error:
            response, remembered = self._error(request, request_id, error), error.remembered
        finally:
            self.account.cause = EventCause()
        if key and remembered:
            self._keys.remember(key, request, form, response, self.clock.now())
        return response

    def _endpoint(
        self, act: Endpoint, request: httpx.Request, request_id: str, form: Json, ids: Mapping[str, str]
    ) -> httpx.Response:
        params = Params(form)
        paths = params.words("expand")
        if lacking := self.forbidden & {f"expand {path.rpartition('.')[2]}" for path in paths}:
            raise forbidden(self.api_key, self.account.id, min(lacking))
        with self.account.living_by_clock_of(ids.get("id")):
            body = expand(self.account, act(StripeRequest(self.account, ids, params)), paths)
        return json_response(200, body, self._headers(request, request_id))

    def _invoice_pdf(
        self, request: httpx.Request, request_id: str, form: Json, ids: Mapping[str, str]
    ) -> httpx.Response:
        """Serve an invoice's PDF, by its link and without a key."""
        del form
        found = next((one for one in self.account.invoices if page_secret(one) == ids["secret"]), None)
        ready = self.account.behaviour.pdfs_ready and ids["account"] == self.account.id
        if found is None or found.status is StoredInvoiceStatus.DRAFT or not ready:
            return httpx.Response(404, html="<h1>Not found</h1>")
        shown = self.account.show_invoice(found)
        shown["lines"]["data"] = self.account.show_lines(found)
        headers = self._headers(request, request_id) | {"Content-Type": "application/pdf"}
        return httpx.Response(200, content=invoice_pdf(shown), headers=headers)

    def _refuse(self, request: httpx.Request, request_id: str, form: Json, name: FaultName) -> httpx.Response:
        """Return the answer of a fault; a remembered one (500) takes the idempotency key."""
        if name is FaultName.RATE_LIMITED:
            error = rate_limited("endpoint-rate")
        else:
            error = lock_timeout() if name is FaultName.LOCK_TIMEOUT else server_error(int(name))
        response = self._error(request, request_id, error)
        key = request.headers.get("Idempotency-Key")
        if request.method == "POST" and key and error.remembered:
            with self._lock:
                self._keys.remember(key, request, form, response, self.clock.now())
        return response

    def _authenticate(self, request: httpx.Request) -> None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            given = base64.b64decode(given).decode("latin-1").partition(":")[0]
        if given != self.api_key:
            raise unauthorized(given)

    def _headers(self, request: httpx.Request, request_id: str) -> dict[str, str]:
        headers = {"Request-Id": request_id, "Stripe-Version": request.headers.get("Stripe-Version", API_VERSION)}
        key = request.headers.get("Idempotency-Key")
        return headers | {"Idempotency-Key": key} if key else headers

    def _error(self, request: httpx.Request, request_id: str, error: StripeError) -> httpx.Response:
        headers = self._headers(request, request_id) | error.headers
        body = error.body(request_id, version=2 if request.url.path.startswith("/v2/") else 1)
        return json_response(error.status, body, headers)
